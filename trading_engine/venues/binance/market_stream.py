"""Public streams of Binance USDⓈ-M over their two routes, kept alive by what they say.

What belongs here: which stream lives on which route, subscribing, noticing streams that say nothing. What does
not: what frames mean (market), the life of a connection (wire.socket), what is built from it all (marketdata).

The venue acknowledges a subscription on any route and then stays silent on the wrong one, so only data proves a
subscription. A connection without data is cut by its socket; one stream that is silent among others is subscribed
again, then its connection is renewed, then with pauses that double: some symbols simply do not trade.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from trading_engine.domain.instrument import Instrument
from trading_engine.domain.streams import CandleUpdate, MarketEvent, MarketSink
from trading_engine.venues.binance.market import Answered, MarketDecoder, topics_of
from trading_engine.venues.wire.clock import Milliseconds
from trading_engine.venues.wire.socket import Patience, Send, Socket
from trading_engine.venues.wire.transport import Transport

_PUBLIC = ("depth", "bookTicker", "trade", "rpiDepth")  # everything else lives on the route of the market
_RARE = ("forceOrder",)  # silence is no news
_STREAMS_A_FRAME = 100
_FRAME_PAUSE_S = 0.2  # the venue cuts at more than ten frames a second
_LONGEST_PAUSE_MS = 3_600_000
_NEVER_MS = 1 << 50
_MOST_ATTEMPTS = 16

RawSink = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """What is listened to.

    url         the venue's address for websockets, with or without a route: `wss://fstream.binance.com/market`
    topics      for each symbol: `kline_1m`, `aggTrade`, `trade`, `markPrice@1s`, `bookTicker`, `depth@100ms`,
                `forceOrder`
    silence_ms  a stream that has said nothing for so long is subscribed again
    """

    url: str
    symbols: tuple[str, ...]
    topics: tuple[str, ...] = ("kline_1m",)
    silence_ms: int = 60_000
    patience: Patience = field(default_factory=Patience)


class BinanceMarketStream:
    """`subscribe` and `listen` first, then `run` until cancelled. Satisfies the market stream of a live feed.

    on_note      told what an operator may want to know: refusals, silence, frames that were not understood
    on_raw       given every frame before it is decoded, to be recorded
    undecoded    frames that were not understood; they are skipped
    """

    def __init__(
        self,
        transport: Transport,
        clock: Milliseconds,
        instruments: Sequence[Instrument],
        settings: StreamSettings,
        on_note: Callable[[str], None],
        on_raw: RawSink | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self._clock = clock
        self._decoder = MarketDecoder(instruments)
        self._on_note = on_note
        self._on_raw = on_raw
        self._sleep = sleep
        self._on_update: Callable[[CandleUpdate], None] | None = None
        self._on_break: Callable[[str], None] | None = None
        self._listeners: list[MarketSink] = []
        self._names = {symbol.lower(): symbol for symbol in settings.symbols}
        self._candle_streams: dict[str, str] = {}
        self.undecoded = 0
        base = settings.url.removesuffix("/").removesuffix("/market").removesuffix("/public")
        self._routes: list[_Route] = []
        for route, topics in (
            ("public", tuple(topic for topic in settings.topics if _is_public(topic))),
            ("market", tuple(topic for topic in settings.topics if not _is_public(topic))),
        ):
            streams = topics_of(settings.symbols, topics)
            if streams:
                url = f"{base}/{route}/stream"
                self._routes.append(_Route(self, transport, clock, url, streams, settings, sleep, rng))
        for route_ in self._routes:
            for stream in route_.states:
                name, _, topic = stream.partition("@")
                if topic.startswith("kline_"):
                    self._candle_streams[self._names[name]] = stream

    def subscribe(self, on_update: Callable[[CandleUpdate], None], on_break: Callable[[str], None]) -> None:
        """Tell updates of candles from now on, and the symbol whose candles may miss something from there."""
        self._on_update, self._on_break = on_update, on_break

    def listen(self, sink: MarketSink) -> None:
        """Give `sink` everything else from now on, as it comes."""
        self._listeners.append(sink)

    async def run(self) -> None:
        """Keep all connections until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for route in self._routes:
                tasks.create_task(route.socket.run())
                tasks.create_task(route.watch())

    def is_speaking(self, symbol: str) -> bool:
        """Candles of the symbol have come over the present connection."""
        state = self._state(self._candle_streams.get(symbol, ""))
        return state is not None and state.has_spoken

    def data_age_ms(self, symbol: str) -> int:
        """Time since the last candle of the symbol; very large before the first."""
        return self.stream_age_ms(self._candle_streams.get(symbol, ""))

    def stream_age_ms(self, stream: str) -> int:
        """Time since the last data of a stream by its name (`btcusdt@depth@100ms`); very large before the first."""
        state = self._state(stream)
        if state is None or not state.heard_ms:
            return _NEVER_MS
        return self._clock.now_ms() - state.heard_ms

    def take(self, frame: bytes) -> str | None:
        """Take in a frame; the name of the stream whose data it is, None where it proves nothing."""
        if self._on_raw is not None:
            self._on_raw(frame)
        try:
            event = self._decoder.decode(frame)
        except (msgspec.DecodeError, ValueError) as error:
            self.undecoded += 1
            if self.undecoded & (self.undecoded - 1) == 0:  # 1, 2, 4, 8, …: told, but never a flood
                self._on_note(f"{self.undecoded} frames were not understood; the last one: {error}")
            return None
        if isinstance(event, Answered):
            if event.error:
                self._on_note(f"the venue refused a subscription: {event.error}")
            return None
        if event is None:
            return None
        self._hand_on(event)
        return _stream_name(frame)

    def broken(self, stream: str) -> None:
        """A stream may miss something from here."""
        name, _, topic = stream.partition("@")
        if self._on_break is not None and topic.startswith("kline_"):
            self._on_break(self._names[name])

    def note(self, text: str) -> None:
        """Tell an operator."""
        self._on_note(text)

    def _hand_on(self, event: MarketEvent) -> None:
        if isinstance(event, CandleUpdate):
            if self._on_update is not None:
                self._on_update(event)
            return
        for sink in self._listeners:
            sink(event)

    def _state(self, stream: str) -> "_State | None":
        for route in self._routes:
            if stream in route.states:
                return route.states[stream]
        return None


@dataclass(slots=True)
class _State:
    """One stream: since when it is waited for, and how often something was tried in vain."""

    heard_ms: int = 0
    has_spoken: bool = False
    asked_ms: int = 0
    attempts: int = 0


class _Route:
    """One connection and its streams."""

    def __init__(
        self,
        owner: BinanceMarketStream,
        transport: Transport,
        clock: Milliseconds,
        url: str,
        streams: Sequence[str],
        settings: StreamSettings,
        sleep: Callable[[float], Awaitable[None]],
        rng: random.Random | None,
    ) -> None:
        self._owner = owner
        self._clock = clock
        self._url = url
        self._silence_ms = settings.silence_ms
        self._sleep = sleep
        self._request_id = 0
        self.states = {stream: _State() for stream in streams}
        self.socket = Socket(
            transport,
            clock,
            self._address,
            self._on_open,
            self._on_message,
            self._on_lost,
            self._on_restored,
            settings.patience,
            rng,
        )

    async def watch(self) -> None:
        """Look after streams that say nothing, until cancelled."""
        while True:
            await self._sleep(self._silence_ms / 4_000)
            if self.socket.is_speaking:
                await self._wake_silent()

    async def _wake_silent(self) -> None:
        now_ms = self._clock.now_ms()
        silent = [stream for stream, state in self.states.items() if self._is_silent(stream, state, now_ms)]
        if not silent:
            return
        attempts = min(self.states[stream].attempts for stream in silent)
        for stream in silent:
            state = self.states[stream]
            state.attempts = min(state.attempts + 1, _MOST_ATTEMPTS)
            state.asked_ms = now_ms
            state.has_spoken = False
            self._owner.broken(stream)
        told = ", ".join(silent[:5]) + (f" and {len(silent) - 5} more" if len(silent) > 5 else "")
        if attempts % 2 == 1:
            await self.socket.reconnect(f"{told} said nothing for {self._silence_ms} ms")
            return
        self._owner.note(f"{told} said nothing for {self._silence_ms} ms: subscribed again")
        await self._request("UNSUBSCRIBE", silent, self.socket.send)
        await self._request("SUBSCRIBE", silent, self.socket.send)

    def _is_silent(self, stream: str, state: _State, now_ms: int) -> bool:
        if stream.partition("@")[2].startswith(_RARE):
            return False
        patience_ms = min(self._silence_ms << state.attempts, max(_LONGEST_PAUSE_MS, self._silence_ms))
        return now_ms - max(state.heard_ms, state.asked_ms) >= patience_ms

    async def _address(self) -> str:
        return self._url

    async def _on_open(self, send: Send) -> None:
        now_ms = self._clock.now_ms()
        for state in self.states.values():
            state.has_spoken = False
            state.asked_ms = now_ms
        await self._request("SUBSCRIBE", list(self.states), send)

    async def _request(self, method: str, streams: Sequence[str], send: Send) -> None:
        for start in range(0, len(streams), _STREAMS_A_FRAME):
            if self._request_id:
                await self._sleep(_FRAME_PAUSE_S)
            self._request_id += 1
            frame = {"method": method, "params": streams[start : start + _STREAMS_A_FRAME], "id": self._request_id}
            await send(msgspec.json.encode(frame).decode())

    async def _on_message(self, frame: bytes, send: Send) -> bool:
        del send
        stream = self._owner.take(frame)
        state = self.states.get(stream) if stream is not None else None
        if state is None:
            return False
        state.heard_ms = self.socket.heard_ms
        state.has_spoken = True
        state.attempts = 0
        return True

    def _on_lost(self, why: str) -> None:
        self._owner.note(f"{self._url}: {why}")
        for stream, state in self.states.items():
            if state.has_spoken:
                state.has_spoken = False
                self._owner.broken(stream)

    def _on_restored(self) -> None:
        self._owner.note(f"{self._url}: speaks")


def _is_public(topic: str) -> bool:
    return topic.partition("@")[0].rstrip("0123456789") in _PUBLIC


def _stream_name(frame: bytes) -> str | None:
    """The name in a wrapped frame: `{"stream":"btcusdt@trade",…`."""
    if not frame.startswith(b'{"stream":"'):
        return None
    return frame[11 : frame.index(b'"', 11)].decode()
