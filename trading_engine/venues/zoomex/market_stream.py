"""Public streams of Zoomex.

What belongs here: names of topics, frames of subscriptions, the heartbeat. What does not: what frames mean
(market_events), keeping topics alive (wire.topics), who is told (wire.market_stream).

The venue closes a connection on which it has said nothing itself for some ten seconds, so it is asked for a "pong"
more often than that. One topic that it does not know fails a whole frame, so each topic has a frame of its own.
"""

import asyncio
import random
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from trading_engine.domain.instrument import Instrument
from trading_engine.domain.time import interval_name
from trading_engine.venues.wire.clock import Milliseconds
from trading_engine.venues.wire.market_stream import (
    BOOKS,
    CANDLES,
    LIQUIDATIONS,
    MARKS,
    QUOTES,
    TRADES,
    Note,
    RawSink,
    Sleep,
    StreamSettings,
    TopicStream,
    kind_of,
)
from trading_engine.venues.wire.topics import Heard, Kind, Line, Request, Topic
from trading_engine.venues.wire.transport import Transport
from trading_engine.venues.zoomex import facts
from trading_engine.venues.zoomex.market_events import MarketDecoder

__all__ = ["StreamSettings", "ZoomexMarketStream"]

_OWN: Mapping[str, str] = {
    TRADES: "publicTrade",
    MARKS: "tickers",
    QUOTES: "orderbook.1",
    BOOKS: "orderbook.200",
    LIQUIDATIONS: "allLiquidation",
    **{CANDLES + interval_name(interval_ms): f"kline.{word}" for interval_ms, word in facts.INTERVALS.items()},
}
_TOPICS_A_LINE = 500  # the venue counts letters, and takes some 900 topics


class ZoomexMarketStream(TopicStream):
    """`subscribe` and `listen` first, then `run` until cancelled. Satisfies the market stream of a live feed.

    settings.url     with or without the path: `wss://stream.zoomex.com`
    settings.topics  those of every venue, and the venue's own without the symbol: `orderbook.50`
    """

    def __init__(
        self,
        transport: Transport,
        clock: Milliseconds,
        instruments: Sequence[Instrument],
        settings: StreamSettings,
        on_note: Note,
        on_raw: RawSink | None = None,
        sleep: Sleep = asyncio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        url = settings.url.removesuffix("/").removesuffix(facts.PUBLIC_STREAM_PATH) + facts.PUBLIC_STREAM_PATH
        listed = {instrument.symbol: instrument for instrument in instruments}
        topics = [_topic(symbol, name) for symbol in settings.symbols for name in settings.topics]
        lines = []
        for start in range(0, len(topics), _TOPICS_A_LINE):
            some = topics[start : start + _TOPICS_A_LINE]
            lines.append(Line(url, some, _Dialect(some, listed)))
        super().__init__(transport, clock, settings, lines, on_note, on_raw, sleep, rng)


def _topic(symbol: str, name: str) -> Topic:
    own = _OWN.get(name, name)
    is_book = own.startswith("orderbook.") and own != _OWN[QUOTES]
    kind = Kind.DEPTH if is_book else Kind.RARE if own == _OWN[LIQUIDATIONS] else kind_of(name)
    return Topic(f"{own}.{symbol}", symbol, kind)


class _Dialect:
    """JSON in plain text, one topic a frame."""

    pause_s = 0.05
    ping = '{"req_id":"ping","op":"ping"}'
    ping_ms = facts.PING_MS

    def __init__(self, topics: Sequence[Topic], listed: Mapping[str, Instrument]) -> None:
        self._decoder = MarketDecoder()
        for topic in topics:
            self._decoder.expect(topic.name, listed[topic.symbol])
        self._count = 0

    def unpacked(self, frame: bytes) -> bytes:
        return frame

    def read(self, frame: bytes) -> Heard:
        return self._decoder.read(frame)

    def subscribe(self, topics: Sequence[str]) -> Iterator[Request]:
        return self._requests("subscribe", topics)

    def unsubscribe(self, topics: Sequence[str]) -> Iterator[Request]:
        return self._requests("unsubscribe", topics)

    def forget(self, topic: str) -> None:
        self._decoder.forget(topic)

    def _requests(self, what: str, topics: Sequence[str]) -> Iterator[Request]:
        for topic in topics:
            self._count += 1
            frame = {"req_id": str(self._count), "op": what, "args": [topic]}
            yield msgspec.json.encode(frame).decode(), (topic,)
