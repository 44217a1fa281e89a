"""Public streams of Zoomex: what their frames say.

What belongs here: the shapes of frames and their values in our units, merged tickers, the sequence of books. What
does not: connections and subscriptions (market_stream), what is built from the values (marketdata).

The topic alone says whose data a frame is: the symbol inside was seen to have another name. Tickers tell what has
changed and are put together here. The updates of a book are numbered by one, whatever else has a gap.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

import msgspec

from trading_engine.domain import money
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle
from trading_engine.domain.orders import TradeSide
from trading_engine.domain.streams import (
    CandleUpdate,
    DepthChange,
    DepthSnapshot,
    Liquidation,
    MarketEvent,
    MarkPrice,
    Quote,
    Trade,
)
from trading_engine.venues.wire.topics import Broken, Heard, Refused, Said
from trading_engine.venues.wire.units import Units
from trading_engine.venues.zoomex import facts

_SNAPSHOT = "snapshot"
_ALREADY = "already subscribed"  # harmless: it goes on
_BOOK, _BEST = "orderbook", "1"
_Levels: TypeAlias = list[tuple[str, str]]
_INTERVALS = {word: interval_ms for interval_ms, word in facts.INTERVALS.items()}


class _Frame(msgspec.Struct, gc=False):
    """Any frame: data of a topic, or an answer to a frame of ours."""

    topic: str = ""
    type: str = _SNAPSHOT
    ts: int = 0
    data: msgspec.Raw = msgspec.Raw(b"null")
    success: bool = True
    ret_msg: str | None = ""
    op: str = ""


class _Kline(msgspec.Struct, gc=False):
    start: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    confirm: bool


class _Trade(msgspec.Struct, gc=False):
    T: int
    S: str
    p: str
    v: str
    BT: bool = False  # agreed beside the book


class _Ticker(msgspec.Struct, gc=False):
    mark: Decimal | None = msgspec.field(name="markPrice", default=None)
    index: Decimal | None = msgspec.field(name="indexPrice", default=None)
    rate: str | None = msgspec.field(name="fundingRate", default=None)
    next_ms: str | None = msgspec.field(name="nextFundingTime", default=None)


class _Book(msgspec.Struct, gc=False):
    u: int
    b: _Levels
    a: _Levels


class _Liquidated(msgspec.Struct, gc=False):
    T: int
    S: str
    p: Decimal
    v: str


@dataclass(slots=True)
class _Known:
    """A topic that may be heard of: whose it is, its units, and what is remembered of it.

    last_id  number of the last update of the book, 0 while its snapshot is missing
    ticker   the mark price as far as it was told, None while its snapshot is missing
    """

    instrument: Instrument
    prices: Units
    quantities: Units
    last_id: int = 0
    ticker: MarkPrice | None = None

    def levels(self, levels: _Levels) -> list[tuple[int, int]]:
        prices, quantities = self.prices, self.quantities
        return [(prices[price], quantities[quantity]) for price, quantity in levels]


class MarketDecoder:
    """Frames as values. ValueError for what is no such frame or off the tick."""

    def __init__(self) -> None:
        self._topics: dict[str, _Known] = {}
        self._frame = msgspec.json.Decoder(_Frame)

    def expect(self, topic: str, instrument: Instrument) -> None:
        """Understand a topic of a contract from now on."""
        self._topics[topic] = _Known(instrument, Units(instrument.tick), Units(instrument.step))

    def forget(self, topic: str) -> None:
        """The topic begins anew, with a snapshot where it has one."""
        known = self._topics[topic]
        known.last_id, known.ticker = 0, None

    def read(self, frame: bytes) -> Heard:
        """What a frame says; None for answers, and for changes whose snapshot is missing."""
        told = self._frame.decode(frame)
        if not told.topic:
            return _answer(told)
        known = self._topics.get(told.topic)
        if known is None:
            return None
        name, _, rest = told.topic.partition(".")
        if name == _BOOK and not rest.startswith(f"{_BEST}."):
            return _book(told, known)
        if name == "tickers":
            return _ticker(told, known)
        return Said(told.topic, _events(told, known, name, rest.partition(".")[0]))


def _answer(told: _Frame) -> Heard:
    why = told.ret_msg or ""
    if told.success or _ALREADY in why or told.op == "unsubscribe":
        return None
    return Refused(why, why.partition("topic:")[2])


def _events(told: _Frame, known: _Known, name: str, option: str) -> Sequence[MarketEvent]:
    """What the simple topics say, oldest first; nothing for topics that are of no use here."""
    symbol = known.instrument.symbol
    if name == _BOOK:
        best = msgspec.json.decode(told.data, type=_Book)
        bids, asks = known.levels(best.b), known.levels(best.a)
        if not bids or not asks:
            return ()
        return (Quote(symbol, best.u, told.ts, *max(bids), *min(asks)),)
    if name == "publicTrade":
        return [_trade(known, row) for row in msgspec.json.decode(told.data, type=list[_Trade])]
    if name == "kline":
        return _candles(told, known, option)
    if name == "allLiquidation":
        rows = msgspec.json.decode(told.data, type=list[_Liquidated])
        # The side is that of the position, so the order that closed it had the other one.
        sides = {"Buy": TradeSide.SELL, "Sell": TradeSide.BUY}
        return [Liquidation(symbol, row.T, sides[row.S], row.p, known.quantities[row.v]) for row in rows]
    return ()


def _trade(known: _Known, row: _Trade) -> Trade:
    price, quantity = known.prices[row.p], known.quantities[row.v]
    return Trade(known.instrument.symbol, 0, row.T, price, quantity, row.S == "Sell", not row.BT)


def _candles(told: _Frame, known: _Known, word: str) -> list[MarketEvent]:
    interval_ms = _INTERVALS.get(word)
    if interval_ms is None:
        raise ValueError(f"{word!r} is no interval that is understood")
    instrument, prices = known.instrument, known.prices
    rows: Iterable[_Kline] = msgspec.json.decode(told.data, type=list[_Kline])
    updates: list[MarketEvent] = []
    for row in sorted(rows, key=lambda row: row.start):
        volume = money.floor_units(Decimal(row.volume), instrument.step)
        shape = prices[row.open], prices[row.high], prices[row.low], prices[row.close]
        candle = Candle(instrument.symbol, row.start, interval_ms, *shape, volume)
        updates.append(CandleUpdate(candle, row.confirm, told.ts))
    return updates


def _ticker(told: _Frame, known: _Known) -> Heard:
    """The mark price with what this frame has changed of it; None while there is no whole one to change."""
    row = msgspec.json.decode(told.data, type=_Ticker)
    before = known.ticker
    if told.type == _SNAPSHOT:
        if row.mark is None:
            raise ValueError("a ticker without a mark price")
        before = MarkPrice(known.instrument.symbol, told.ts, row.mark, None, None, 0)
    if before is None:
        return None
    known.ticker = MarkPrice(
        before.symbol,
        told.ts,
        before.mark_price if row.mark is None else row.mark,
        before.index_price if row.index is None else row.index,
        Decimal(row.rate) if row.rate else before.funding_rate,
        int(row.next_ms) if row.next_ms else before.next_funding_ms,
    )
    has_news = row != _Ticker()
    return Said(told.topic, (known.ticker,) if has_news else ())


def _book(told: _Frame, known: _Known) -> Heard:
    symbol = known.instrument.symbol
    try:
        row = msgspec.json.decode(told.data, type=_Book)
        bids, asks = known.levels(row.b), known.levels(row.a)
    except (msgspec.DecodeError, ValueError) as error:
        return Broken(told.topic, f"a change that cannot be read: {error}")
    if told.type == _SNAPSHOT:
        known.last_id = row.u
        return Said(told.topic, (DepthSnapshot(symbol, row.u, told.ts, bids, asks),))
    if not known.last_id:
        return None
    previous_id = known.last_id
    if row.u != previous_id + 1:
        return Broken(told.topic, f"update {row.u} after {previous_id}")
    known.last_id = row.u
    return Said(told.topic, (DepthChange(symbol, row.u, row.u, previous_id, told.ts, bids, asks),))
