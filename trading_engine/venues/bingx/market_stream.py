"""Public streams of BingX.

What belongs here: names of topics, frames of subscriptions, how many topics a connection may have. What does not:
what frames mean (market_events), keeping topics alive (wire.topics), who is told (wire.market_stream).

Every frame of the venue is gzip, its heartbeat too, which wants a "Pong" in plain text.
"""

import asyncio
import random
from collections.abc import Iterator, Sequence
from uuid import UUID

import msgspec

from trading_engine.domain.instrument import Instrument
from trading_engine.venues.bingx import facts
from trading_engine.venues.bingx.market_events import MarketDecoder
from trading_engine.venues.bingx.stream import unpacked
from trading_engine.venues.wire.clock import Milliseconds
from trading_engine.venues.wire.market_stream import (
    BOOKS,
    LIQUIDATIONS,
    Note,
    RawSink,
    Sleep,
    StreamSettings,
    TopicStream,
    kind_of,
)
from trading_engine.venues.wire.topics import Heard, Line, Request, Topic
from trading_engine.venues.wire.transport import Transport

__all__ = ["BingxMarketStream", "StreamSettings"]

_TOPICS_A_LINE = 150  # the venue takes 200; asking for all of them takes a while
_PATH = "/swap-market"
_LACKING = (LIQUIDATIONS,)


class BingxMarketStream(TopicStream):
    """`subscribe` and `listen` first, then `run` until cancelled. Satisfies the market stream of a live feed.

    settings.url     with or without the path: `wss://open-api-swap.bingx.com/swap-market`
    settings.topics  those of every venue except `forceOrder`, which the venue lacks, and the venue's own names
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
        url = settings.url.removesuffix("/").removesuffix(_PATH) + _PATH
        listed = {instrument.symbol: instrument for instrument in instruments}
        topics = [
            _topic(symbol, name) for symbol in settings.symbols for name in settings.topics if name not in _LACKING
        ]
        lines = []
        for start in range(0, len(topics), _TOPICS_A_LINE):
            some = topics[start : start + _TOPICS_A_LINE]
            lines.append(Line(url, some, _Dialect(some, listed)))
        lacking = [name for name in settings.topics if name in _LACKING]
        super().__init__(transport, clock, settings, lines, on_note, on_raw, sleep, rng, lacking)


def _topic(symbol: str, name: str) -> Topic:
    channel = facts.BOOK_TOPIC if name == BOOKS else name
    kind = kind_of(BOOKS if channel == facts.BOOK_TOPIC else name)
    return Topic(f"{facts.venue_symbol_of(symbol)}@{channel}", symbol, kind)


class _Dialect:
    """One topic a frame; the venue asks for signs of life, not we."""

    pause_s = 0.12  # at most ten subscriptions a second
    ping = ""
    ping_ms = 0

    def __init__(self, topics: Sequence[Topic], listed: dict[str, Instrument]) -> None:
        self._decoder = MarketDecoder()
        for topic in topics:
            self._decoder.expect(topic.name, listed[topic.symbol])
        self._count = 0

    def unpacked(self, frame: bytes) -> bytes:
        return unpacked(frame)

    def read(self, frame: bytes) -> Heard:
        return self._decoder.read(frame)

    def subscribe(self, topics: Sequence[str]) -> Iterator[Request]:
        return self._requests("sub", topics)

    def unsubscribe(self, topics: Sequence[str]) -> Iterator[Request]:
        return self._requests("unsub", topics)

    def forget(self, topic: str) -> None:
        self._decoder.forget(topic)

    def _requests(self, what: str, topics: Sequence[str]) -> Iterator[Request]:
        for topic in topics:
            self._count += 1
            name = str(UUID(int=self._count))
            if what == "sub":
                self._decoder.asked[name] = topic
            frame = {"id": name, "reqType": what, "dataType": topic}
            yield msgspec.json.encode(frame).decode(), (topic,)
