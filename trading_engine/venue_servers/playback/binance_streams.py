"""The websockets of a recording: whoever subscribed gets what the tape says, in order.

What belongs here: who gets which recorded stream under which name, and frames on their way to slow clients. What does
not: routes and subscriptions (those of the local venue server), what the tape says (binance).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress

from trading_engine.venue_servers.binance.market import MarketRequests
from trading_engine.venue_servers.binance.shapes import Json
from trading_engine.venue_servers.binance.streams import Feed, Streams
from trading_engine.venue_servers.exchange import LocalExchange, Ticked
from trading_engine.venue_servers.playback.binance_frames import canonical
from trading_engine.venue_servers.web import Connection

_MOST_WAITING = 100_000  # frames; a client that is so far behind is hung up on, as at the venue
_KLINE = "kline_"


class Outbox:
    """Frames on their way to one connection; `taken` is set whenever the client has taken some."""

    def __init__(self, connection: Connection, taken: asyncio.Event) -> None:
        self._connection = connection
        self._taken = taken
        self._waiting: deque[str] = deque()
        self._has_some = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, frame: str) -> None:
        """Send it after those that wait."""
        self._waiting.append(frame)
        self._has_some.set()

    async def run(self) -> None:
        """Send until cancelled, or until the client has fallen too far behind."""
        waiting, connection = self._waiting, self._connection
        while True:
            await self._has_some.wait()
            while waiting:
                if len(waiting) > _MOST_WAITING:
                    await connection.close(code=1008)
                    waiting.clear()
                    return
                await connection.reply(waiting.popleft())
                self._taken.set()
            self._has_some.clear()


class _Target:
    """One copy of a recorded symbol: its name in quotes, and who gets it with what in front of the data."""

    __slots__ = ("name", "receivers")

    def __init__(self, name: str) -> None:
        self.name = f'"{name}"'
        self.receivers: list[tuple[Outbox, str]] = []


class PlaybackStreams(Streams):
    """Market streams come from `tell` alone; the user stream is that of the local exchange.

    copies      by recorded symbol, under which names it is played
    subscribed  set once somebody has asked for a stream
    """

    def __init__(self, exchange: LocalExchange, market: MarketRequests, elapse: Callable[[], None]) -> None:
        super().__init__(exchange, market, elapse)
        self.copies: Mapping[str, tuple[str, ...]] = {}
        self.subscribed = asyncio.Event()
        self._taken = asyncio.Event()
        self._outboxes: dict[Connection, Outbox] = {}
        self._index: dict[tuple[str, str], list[_Target]] = {}
        self._indexed: dict[str, list[Feed]] | None = None
        self._klines: dict[str, list[str]] = {}

    async def serve(self, connection: Connection) -> None:
        """Serve one websocket until it is closed."""
        outbox = self._outboxes[connection] = Outbox(connection, self._taken)
        sending = asyncio.create_task(outbox.run())
        try:
            await super().serve(connection)
        finally:
            del self._outboxes[connection]
            self._taken.set()
            sending.cancel()
            with suppress(asyncio.CancelledError):
                await sending

    @property
    def connections(self) -> int:
        """How many listen."""
        return len(self._outboxes)

    async def drain(self, most: int) -> None:
        """Return once no client has more than `most` frames to take."""
        while max(map(len, self._outboxes.values()), default=0) > most:
            self._taken.clear()
            await self._taken.wait()

    def _opened(self, connection: Connection) -> Feed | None:
        feed = super()._opened(connection)
        if feed is not None and feed.streams:
            self.subscribed.set()
        return feed

    def _answer(self, feed: Feed, frame: bytes) -> Json:
        answer = super()._answer(feed, frame)
        if feed.streams:
            self.subscribed.set()
        return answer

    def on_tick(self, tick: Ticked) -> None:
        """The tape says what happens, not the local exchange."""

    def _quote(self, symbol: str) -> None:
        """As `on_tick`."""

    def wants(self, symbol: str, topic: str) -> bool:
        """Whether somebody gets a topic of a recorded symbol, under any of its names."""
        return (symbol, topic) in self._targets()

    def intervals(self, symbol: str) -> list[str]:
        """Intervals of the candles that somebody gets of a recorded symbol."""
        self._targets()
        return self._klines.get(symbol, [])

    def tell(self, symbol: str, topic: str, text: str) -> None:
        """Tell everybody who gets it; `text` is the event's JSON, of the recorded symbol."""
        recorded = f'"{symbol}"'
        for target in self._targets().get((symbol, topic), ()):
            own = text if target.name == recorded else text.replace(recorded, target.name)
            for outbox, head in target.receivers:
                outbox.put(f"{head}{own}}}" if head else own)

    def _targets(self) -> dict[tuple[str, str], list[_Target]]:
        """Who gets what, by recorded symbol and topic; made anew when a subscription has changed."""
        wanted = self._subscribed()
        if wanted is not self._indexed:
            self._indexed = wanted
            self._index, self._klines = {}, {}
            for symbol, names in self.copies.items():
                for name in names:
                    self._list(symbol, name, wanted)
        return self._index

    def _list(self, symbol: str, name: str, wanted: Mapping[str, list[Feed]]) -> None:
        prefix = f"{name.lower()}@"
        targets: dict[str, _Target] = {}
        for stream, feeds in wanted.items():
            if not stream.startswith(prefix):
                continue
            topic = canonical(stream.removeprefix(prefix))
            target = targets.setdefault(topic, _Target(name))
            for feed in feeds:
                outbox = self._outboxes.get(feed.connection)
                if outbox is not None:
                    head = f'{{"stream":"{stream}","data":' if feed.is_combined else ""
                    target.receivers.append((outbox, head))
        for topic, target in targets.items():
            self._index.setdefault((symbol, topic), []).append(target)
            interval = topic.removeprefix(_KLINE)
            known = self._klines.setdefault(symbol, [])
            if interval != topic and interval not in known:
                known.append(interval)
