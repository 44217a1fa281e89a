"""Public streams of BingX: what their frames say.

What belongs here: the shapes of frames and their values in our units, and the sequence of books. What does not:
connections and subscriptions (market_stream), what is built from the values (marketdata).

Frames carry their topic (`dataType`), and that alone says what they are. Lists come in no order that can be relied
on, neither levels of a book nor trades nor candles: each is put in order here.

A candle is never called final: it is closed when the next one begins. Its message names no time of its own; the
candle's stands for it.

The ids of a book's changes are documented as rising by one. They were measured to skip some now and then, without
anything being lost and without the skipped ones ever coming: on one connection nothing can overtake or vanish. So a
rising id joins, and one that does not rise ends the book; that it is not crossed is checked by who builds it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

import msgspec

from trading_engine.domain import money
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle
from trading_engine.domain.streams import (
    CandleUpdate,
    DepthChange,
    DepthSnapshot,
    MarketEvent,
    MarkPrice,
    Quote,
    Trade,
)
from trading_engine.venues.bingx import facts
from trading_engine.venues.wire.topics import Broken, Heard, Refused, Reply, Said
from trading_engine.venues.wire.units import Units

_PING = b"Ping"
_PONG = "Pong"
_WHOLE = "all"
_KLINE = "kline_"
_Levels: TypeAlias = list[tuple[str, str]]
_INTERVALS = {word: interval_ms for interval_ms, word in facts.INTERVALS.items()}


class _Frame(msgspec.Struct, gc=False):
    """Any frame: data of a topic, an answer to a frame of ours, or the heartbeat of other sockets of the venue."""

    topic: str = msgspec.field(name="dataType", default="")
    code: int | str = 0
    id: str = ""
    msg: str | None = ""
    data: msgspec.Raw = msgspec.Raw(b"null")
    ping: str = ""
    time: str | int = ""


class _Kline(msgspec.Struct, gc=False):
    T: int
    o: str
    h: str
    l: str  # noqa: E741 - the venue's name
    c: str
    v: str


class _Trade(msgspec.Struct, gc=False):
    T: int
    p: str
    q: str
    m: bool


class _Mark(msgspec.Struct, gc=False):
    E: int
    p: Decimal


class _BookTicker(msgspec.Struct, gc=False):
    T: int
    b: str
    B: str
    a: str
    A: str
    u: int = 0


class _Book(msgspec.Struct, gc=False):
    action: str
    last_id: int = msgspec.field(name="lastUpdateId")
    time: int = 0
    bids: _Levels | None = None
    asks: _Levels | None = None


@dataclass(slots=True)
class _Known:
    """A topic that may be heard of: whose it is, its units, and what is remembered of it.

    last_id    id of the last change of the book, 0 while its snapshot is missing
    traded_ms  time of the last trade
    """

    instrument: Instrument
    prices: Units
    quantities: Units
    last_id: int = 0
    traded_ms: int = 0
    is_new: bool = True

    def levels(self, levels: _Levels | None) -> list[tuple[int, int]]:
        prices, quantities = self.prices, self.quantities
        return [(prices[price], quantities[quantity]) for price, quantity in levels or ()]


@dataclass(slots=True)
class MarketDecoder:
    """Frames, unpacked, as values. ValueError for what is no such frame or off the tick.

    asked   the topic that a request of ours named, by the request's id, until it is answered
    """

    asked: dict[str, str] = field(default_factory=dict)
    _topics: dict[str, _Known] = field(default_factory=dict)
    _frame: msgspec.json.Decoder[_Frame] = field(default_factory=lambda: msgspec.json.Decoder(_Frame))

    def expect(self, topic: str, instrument: Instrument) -> None:
        """Understand a topic of a contract from now on."""
        self._topics[topic] = _Known(instrument, Units(instrument.tick), Units(instrument.step))

    def forget(self, topic: str) -> None:
        """The topic begins anew: a book with its snapshot, trades with those that were told before."""
        known = self._topics[topic]
        known.last_id, known.is_new = 0, True

    def read(self, frame: bytes) -> Heard:
        """What a frame says; None for acknowledgements, and for a change of a book whose snapshot is missing."""
        if frame == _PING:
            return Reply(_PONG)
        told = self._frame.decode(frame)
        if told.ping:
            return Reply(msgspec.json.encode({"pong": told.ping, "time": told.time}).decode())
        asked = self.asked.pop(told.id, "")
        if str(told.code) != "0":
            return Refused(f"{told.code}: {told.msg or ''}", told.topic or asked)
        known = self._topics.get(told.topic)
        if known is None or told.data == b"null":
            return None
        channel = told.topic.partition("@")[2]
        if channel == facts.BOOK_TOPIC:
            return _book(told.topic, known, told.data)
        return Said(told.topic, _events(channel, known, told.data))


def _events(channel: str, known: _Known, data: msgspec.Raw) -> Sequence[MarketEvent]:
    """What a channel other than the book says, oldest first; nothing for channels that are of no use here."""
    symbol = known.instrument.symbol
    if channel == "bookTicker":
        quote = msgspec.json.decode(data, type=_BookTicker)
        prices, steps = known.prices, known.quantities
        bid, ask = prices[quote.b], prices[quote.a]
        return (Quote(symbol, quote.u, quote.T, bid, steps[quote.B], ask, steps[quote.A]),)
    if channel == "trade":
        return _trades(known, msgspec.json.decode(data, type=list[_Trade]))
    if channel.startswith(_KLINE):
        return _candles(known, channel.removeprefix(_KLINE), msgspec.json.decode(data, type=list[_Kline]))
    if channel == "markPrice":
        mark = msgspec.json.decode(data, type=_Mark)
        return (MarkPrice(symbol, mark.E, mark.p, None, None, 0),)
    return ()


def _candles(known: _Known, word: str, rows: Iterable[_Kline]) -> list[MarketEvent]:
    interval_ms = _INTERVALS.get(word)
    if interval_ms is None:
        raise ValueError(f"{word!r} is no interval that is understood")
    instrument, prices = known.instrument, known.prices
    updates: list[MarketEvent] = []
    for row in sorted(rows, key=lambda row: row.T):
        volume = money.floor_units(Decimal(row.v), instrument.step)
        shape = prices[row.o], prices[row.h], prices[row.l], prices[row.c]
        candle = Candle(instrument.symbol, row.T, interval_ms, *shape, volume)
        updates.append(CandleUpdate(candle, is_final=False, ts_ms=row.T))
    return updates


def _trades(known: _Known, rows: Sequence[_Trade]) -> list[MarketEvent]:
    """Trades, oldest first. A subscription begins with past ones: those that were told already are left out."""
    since_ms = known.traded_ms + 1 if known.is_new else known.traded_ms
    symbol, oldest_first = known.instrument.symbol, rows[::-1]
    trades: list[MarketEvent] = [
        Trade(symbol, 0, row.T, known.prices[row.p], known.quantities[row.q], row.m)
        for row in sorted(oldest_first, key=lambda row: row.T)
        if since_ms <= row.T
    ]
    known.is_new = False
    known.traded_ms = max([known.traded_ms, *(row.T for row in rows)])
    return trades


def _book(topic: str, known: _Known, data: msgspec.Raw) -> Heard:
    symbol = known.instrument.symbol
    try:
        row = msgspec.json.decode(data, type=_Book)
        bids, asks = known.levels(row.bids), known.levels(row.asks)
    except (msgspec.DecodeError, ValueError) as error:
        return Broken(topic, f"a change that cannot be read: {error}")
    if row.action == _WHOLE:
        known.last_id = row.last_id
        return Said(topic, (DepthSnapshot(symbol, row.last_id, row.time, bids, asks),))
    if not known.last_id:
        return None
    previous_id = known.last_id
    if row.last_id <= previous_id:
        return Broken(topic, f"change {row.last_id} after {previous_id}")
    known.last_id = row.last_id
    return Said(topic, (DepthChange(symbol, previous_id + 1, row.last_id, previous_id, row.time, bids, asks),))
