"""Public streams of Binance USDⓈ-M over their two routes.

What belongs here: which stream lives on which route, frames of subscriptions. What does not: what frames mean
(market), keeping streams alive (wire.topics), who is told (wire.market_stream).

The venue acknowledges a subscription on any route and then stays silent on the wrong one. It sends changes of the
book and no snapshot: that comes over REST (`BinanceVenue.depth`).
"""

import asyncio
import random
from collections.abc import Iterator, Sequence

import msgspec

from trading_engine.domain.instrument import Instrument
from trading_engine.venues.binance.market import Answered, MarketDecoder, topics_of
from trading_engine.venues.wire.clock import Milliseconds
from trading_engine.venues.wire.market_stream import Note, RawSink, Sleep, StreamSettings, TopicStream, kind_of
from trading_engine.venues.wire.topics import Heard, Line, Refused, Request, Said, Topic
from trading_engine.venues.wire.transport import Transport

__all__ = ["BinanceMarketStream", "StreamSettings"]

_PUBLIC = ("depth", "bookTicker", "trade", "rpiDepth")  # everything else lives on the route of the market
_STREAMS_A_FRAME = 100


class BinanceMarketStream(TopicStream):
    """`subscribe` and `listen` first, then `run` until cancelled. Satisfies the market stream of a live feed.

    settings.url     with or without a route: `wss://fstream.binance.com/market`
    settings.topics  those of every venue, and the venue's own: `aggTrade`, `markPrice@1s`, `depth@100ms`
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
        decoder = MarketDecoder(instruments)
        base = settings.url.removesuffix("/").removesuffix("/market").removesuffix("/public")
        lines = []
        for route in ("public", "market"):
            names = tuple(topic for topic in settings.topics if _is_public(topic) is (route == "public"))
            topics = [
                Topic(stream, symbol, kind_of(name))
                for symbol in settings.symbols
                for name, stream in zip(names, topics_of([symbol], names), strict=True)
            ]
            if topics:
                lines.append(Line(f"{base}/{route}/stream", topics, _Dialect(decoder)))
        super().__init__(transport, clock, settings, lines, on_note, on_raw, sleep, rng)


class _Dialect:
    """JSON in plain text; the venue's pings are those of the protocol."""

    pause_s = 0.2  # the venue cuts at more than ten frames a second
    ping = ""
    ping_ms = 0

    def __init__(self, decoder: MarketDecoder) -> None:
        self._decoder = decoder
        self._request_id = 0

    def unpacked(self, frame: bytes) -> bytes:
        return frame

    def read(self, frame: bytes) -> Heard:
        event = self._decoder.decode(frame)
        if isinstance(event, Answered):
            return Refused(event.error) if event.error else None
        name = _stream_name(frame)
        return None if event is None or name is None else Said(name, (event,))

    def subscribe(self, topics: Sequence[str]) -> Iterator[Request]:
        return self._requests("SUBSCRIBE", topics)

    def unsubscribe(self, topics: Sequence[str]) -> Iterator[Request]:
        return self._requests("UNSUBSCRIBE", topics)

    def forget(self, topic: str) -> None:
        """Nothing is remembered."""

    def _requests(self, method: str, topics: Sequence[str]) -> Iterator[Request]:
        for start in range(0, len(topics), _STREAMS_A_FRAME):
            self._request_id += 1
            named = list(topics[start : start + _STREAMS_A_FRAME])
            frame = {"method": method, "params": named, "id": self._request_id}
            yield msgspec.json.encode(frame).decode(), named


def _is_public(topic: str) -> bool:
    return topic.partition("@")[0].rstrip("0123456789") in _PUBLIC


def _stream_name(frame: bytes) -> str | None:
    """The name in a wrapped frame: `{"stream":"btcusdt@trade",…`."""
    if not frame.startswith(b'{"stream":"'):
        return None
    return frame[11 : frame.index(b'"', 11)].decode()
