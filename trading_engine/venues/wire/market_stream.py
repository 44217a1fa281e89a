"""A venue's public streams as a live market needs them: candles, trades, quotes, books.

What belongs here: the interface that is the same for every venue, who is told what. What does not: keeping topics
alive (topics), frames and names (each venue).

Topics have the same names at every venue; each venue's module maps them to its own, and anything else is taken for
a name of the venue:

    kline_1m     candles of an interval     bookTicker  best bid and ask
    trade        trades                     depth       the book: a snapshot where the venue sends one, and changes
    markPrice    mark price and funding     forceOrder  liquidations
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from trading_engine.domain.streams import CandleUpdate, DepthLost, MarketEvent, MarketSink
from trading_engine.venues.wire.clock import Milliseconds
from trading_engine.venues.wire.socket import Patience
from trading_engine.venues.wire.topics import Kind, Line, Topic, TopicSocket
from trading_engine.venues.wire.transport import Transport

CANDLES, TRADES, MARKS, QUOTES, BOOKS, LIQUIDATIONS = (
    "kline_",
    "trade",
    "markPrice",
    "bookTicker",
    "depth",
    "forceOrder",
)
_NEVER_MS = 1 << 50

RawSink = Callable[[bytes], None]
Note = Callable[[str], None]
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """What is listened to.

    url         the venue's public address for websockets, as in its `Hosts`
    symbols     in our spelling
    topics      for each symbol: `kline_1m`, `trade`, `markPrice`, `bookTicker`, `depth`, `forceOrder`, or names of
                the venue
    silence_ms  a topic that has said nothing for so long is subscribed again
    """

    url: str
    symbols: tuple[str, ...]
    topics: tuple[str, ...] = ("kline_1m",)
    silence_ms: int = 60_000
    patience: Patience = field(default_factory=Patience)


class TopicStream:
    """`subscribe` and `listen` first, then `run` until cancelled. Satisfies the market stream of a live feed.

    lines        the connections, each with its topics
    on_note      told what an operator may want to know: refusals, silence, frames that were not understood
    on_raw       given every frame, as text, before it is decoded, to be recorded
    lacking      topics that were asked for and that the venue does not have; told once
    undecoded    frames that were not understood; they are skipped
    """

    def __init__(
        self,
        transport: Transport,
        clock: Milliseconds,
        settings: StreamSettings,
        lines: Sequence[Line],
        on_note: Note,
        on_raw: RawSink | None = None,
        sleep: Sleep = asyncio.sleep,
        rng: random.Random | None = None,
        lacking: Sequence[str] = (),
    ) -> None:
        self._clock = clock
        self._on_note = on_note
        self._on_raw = on_raw
        self._on_update: Callable[[CandleUpdate], None] | None = None
        self._on_break: Callable[[str], None] | None = None
        self._listeners: list[MarketSink] = []
        self._lacking = tuple(lacking)
        self.undecoded = 0
        topics = [topic for line in lines for topic in line.topics]
        self._candles = {topic.symbol: topic.name for topic in topics if topic.kind is Kind.CANDLES}
        self._books = {topic.symbol: topic.name for topic in topics if topic.kind is Kind.DEPTH}
        self._sockets = [
            TopicSocket(transport, clock, line, self, settings.silence_ms, settings.patience, sleep, rng)
            for line in lines
        ]

    # ── what a feed asks ────────────────────────────────────────────────────

    def subscribe(self, on_update: Callable[[CandleUpdate], None], on_break: Callable[[str], None]) -> None:
        """Tell updates of candles from now on, and the symbol whose candles may miss something from there."""
        self._on_update, self._on_break = on_update, on_break

    def listen(self, sink: MarketSink) -> None:
        """Give `sink` everything else from now on, as it comes."""
        self._listeners.append(sink)

    async def run(self) -> None:
        """Keep all connections until cancelled."""
        for topic in self._lacking:
            self.note(f"the venue has no stream for {topic}")
        async with asyncio.TaskGroup() as tasks:
            for socket in self._sockets:
                tasks.create_task(socket.run())

    def is_speaking(self, symbol: str) -> bool:
        """Candles of the symbol have come over the present connection."""
        name = self._candles.get(symbol, "")
        return any(socket.has_spoken(name) for socket in self._sockets)

    def data_age_ms(self, symbol: str) -> int:
        """Time since the last candle of the symbol; very large before the first."""
        return self.stream_age_ms(self._candles.get(symbol, ""))

    def stream_age_ms(self, stream: str) -> int:
        """Time since the last data of a topic by the venue's name for it; very large before the first."""
        heard_ms = max((socket.heard_ms(stream) for socket in self._sockets), default=0)
        return self._clock.now_ms() - heard_ms if heard_ms else _NEVER_MS

    def renew_book(self, symbol: str) -> None:
        """Subscribe to the book of a symbol again: what is built from it is impossible."""
        for socket in self._sockets:
            socket.renew(self._books.get(symbol, ""), "the book is impossible")

    # ── what the connections tell ───────────────────────────────────────────

    def raw(self, frame: bytes) -> None:
        """A frame came."""
        if self._on_raw is not None:
            self._on_raw(frame)

    def told(self, events: Sequence[MarketEvent]) -> None:
        """Hand on what a frame says."""
        for event in events:
            if isinstance(event, CandleUpdate):
                if self._on_update is not None:
                    self._on_update(event)
                continue
            for sink in self._listeners:
                sink(event)

    def garbled(self, error: Exception) -> None:
        """A frame was not understood."""
        self.undecoded += 1
        if self.undecoded & (self.undecoded - 1) == 0:  # 1, 2, 4, 8, …: told, but never a flood
            self.note(f"{self.undecoded} frames were not understood; the last one: {error}")

    def broken(self, topic: Topic) -> None:
        """A topic may miss something from here."""
        if topic.kind is Kind.CANDLES and self._on_break is not None:
            self._on_break(topic.symbol)
        elif topic.kind is Kind.DEPTH:
            self.told([DepthLost(topic.symbol)])

    def note(self, text: str) -> None:
        """Tell an operator."""
        self._on_note(text)


def kind_of(topic: str) -> Kind:
    """What follows from the silence of a topic, by the name that is the same everywhere."""
    if topic.startswith(CANDLES):
        return Kind.CANDLES
    if topic.startswith(LIQUIDATIONS):
        return Kind.RARE
    return Kind.DEPTH if topic.partition("@")[0] == BOOKS else Kind.OTHER
