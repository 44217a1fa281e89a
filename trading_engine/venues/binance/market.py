"""Public streams of Binance USDⓈ-M: what their frames say.

What belongs here: the shapes of frames and their values in our units. What does not: connections and
subscriptions (market_stream), what is built from the values (marketdata).

Frames come raw (`/ws`) or wrapped with the name of their stream (`/stream`); unknown keys are ignored, for new
ones appear without notice. A symbol that is not configured is skipped: streams of all symbols carry COIN-M too.
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
from trading_engine.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from trading_engine.venues.wire.units import Units

_UNIT_MS = {"m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}
_Levels: TypeAlias = list[tuple[str, str]]


class _Frame(msgspec.Struct, tag_field="e", gc=False):
    """An event; its kind is `e`."""


class _Kline(msgspec.Struct, gc=False):
    t: int
    i: str
    o: str
    h: str
    l: str  # noqa: E741 - the venue's name
    c: str
    v: str
    x: bool


class KlineFrame(_Frame, tag="kline", gc=False):
    """A forming or final candle."""

    E: int
    s: str
    k: _Kline


class AggTradeFrame(_Frame, tag="aggTrade", gc=False):
    """Trades of one taker order at one price."""

    s: str
    a: int
    p: str
    q: str
    T: int
    m: bool


class TradeFrame(_Frame, tag="trade", gc=False):
    """One trade. X is MARKET, or INSURANCE_FUND, ADL or NA for what did not happen on the book."""

    s: str
    t: int
    p: str
    q: str
    T: int
    m: bool
    X: str = "MARKET"


class MarkPriceFrame(_Frame, tag="markPriceUpdate", gc=False):
    """Mark price, index and funding."""

    E: int
    s: str
    p: Decimal
    i: Decimal
    r: str  # empty for contracts with a delivery date
    T: int


class BookTickerFrame(_Frame, tag="bookTicker", gc=False):
    """Best bid and ask."""

    u: int
    s: str
    b: str
    B: str
    a: str
    A: str
    T: int


class DepthFrame(_Frame, tag="depthUpdate", gc=False):
    """Changed levels of the book."""

    T: int
    s: str
    U: int
    u: int
    pu: int
    b: _Levels
    a: _Levels


class _ForcedOrder(msgspec.Struct, gc=False):
    s: str
    S: str
    ap: Decimal
    z: str
    T: int


class ForceOrderFrame(_Frame, tag="forceOrder", gc=False):
    """A liquidation: the largest of a symbol in a second."""

    o: _ForcedOrder


AnyFrame: TypeAlias = (
    KlineFrame | AggTradeFrame | TradeFrame | MarkPriceFrame | BookTickerFrame | DepthFrame | ForceOrderFrame
)


class _Wrapped(msgspec.Struct, gc=False):
    stream: str
    data: AnyFrame


class _Failure(msgspec.Struct):
    code: int = 0
    msg: str = ""


class _Answer(msgspec.Struct):
    """An answer to a frame of ours, or a snapshot of the book, or something new."""

    id: int | None = None
    code: int = 0
    msg: str = ""
    error: _Failure | None = None


class _Snapshot(msgspec.Struct):
    last_id: int = msgspec.field(name="lastUpdateId")
    bids: _Levels
    asks: _Levels
    T: int = 0


@dataclass(frozen=True, slots=True)
class Answered:
    """The venue's answer to a subscription: `error` is empty where it agreed, which proves nothing."""

    request_id: int | None
    error: str


class _Symbol:
    """The units of one instrument."""

    __slots__ = ("instrument", "prices", "quantities")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.prices = Units(instrument.tick)
        self.quantities = Units(instrument.step)

    def levels(self, levels: _Levels) -> list[tuple[int, int]]:
        prices, quantities = self.prices, self.quantities
        return [(prices[price], quantities[quantity]) for price, quantity in levels]


class MarketDecoder:
    """Frames of public streams as values. ValueError for what is no such frame or off the tick.

    A price off the tick means that the instrument has changed: trading on would be on wrong numbers.
    """

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._symbols = {one.symbol: _Symbol(one) for one in instruments}
        self._wrapped = msgspec.json.Decoder(_Wrapped)
        self._raw: msgspec.json.Decoder[AnyFrame] = msgspec.json.Decoder(AnyFrame)
        self._answer = msgspec.json.Decoder(_Answer)
        self._snapshot = msgspec.json.Decoder(_Snapshot)

    def decode(self, frame: bytes) -> MarketEvent | Answered | None:
        """What a frame says; None for symbols that are not ours. ValueError where it cannot be understood."""
        if frame.startswith(b'{"stream"'):
            event: AnyFrame = self._wrapped.decode(frame).data
        elif frame.startswith(b'{"e"'):
            event = self._raw.decode(frame)
        else:
            return self._other(frame)
        return self.value(event)

    def snapshot(self, symbol: str, body: bytes) -> DepthSnapshot:
        """The answer of the REST call for the depth of a symbol. ValueError for anything else."""
        book = self._snapshot.decode(body)
        units = self._symbols[symbol]
        return DepthSnapshot(symbol, book.last_id, book.T, units.levels(book.bids), units.levels(book.asks))

    def value(self, event: AnyFrame) -> MarketEvent | None:
        """An event in our units."""
        name = event.o.s if isinstance(event, ForceOrderFrame) else event.s
        symbol = self._symbols.get(name)
        if symbol is None:
            return None
        # By how often they come.
        if isinstance(event, BookTickerFrame):
            prices, steps = symbol.prices, symbol.quantities
            bid, ask = prices[event.b], prices[event.a]
            return Quote(name, event.u, event.T, bid, steps[event.B], ask, steps[event.A])
        if isinstance(event, DepthFrame):
            bids, asks = symbol.levels(event.b), symbol.levels(event.a)
            return DepthChange(name, event.U, event.u, event.pu, event.T, bids, asks)
        if isinstance(event, TradeFrame | AggTradeFrame):
            return _trade(symbol, event)
        if isinstance(event, KlineFrame):
            return _candle(symbol, event)
        return _seldom(symbol, event)

    def _other(self, frame: bytes) -> MarketEvent | Answered | None:
        try:
            answer = self._answer.decode(frame)
        except msgspec.ValidationError:
            return self.value(self._raw.decode(frame))  # an event whose kind does not stand first
        if answer.error is not None:
            return Answered(answer.id, f"{answer.error.code}: {answer.error.msg}")
        if answer.code or answer.msg:
            return Answered(answer.id, f"{answer.code}: {answer.msg}")
        if answer.id is not None:
            return Answered(answer.id, "")
        return self.value(self._raw.decode(frame))


def _trade(symbol: _Symbol, event: TradeFrame | AggTradeFrame) -> Trade:
    price, quantity = symbol.prices[event.p], symbol.quantities[event.q]
    if isinstance(event, AggTradeFrame):
        return Trade(event.s, event.a, event.T, price, quantity, event.m)
    return Trade(event.s, event.t, event.T, price, quantity, event.m, event.X == "MARKET" and quantity > 0)


def _candle(symbol: _Symbol, frame: KlineFrame) -> CandleUpdate:
    k, prices = frame.k, symbol.prices
    interval_ms = interval_of(k.i)
    volume = money.floor_units(Decimal(k.v), symbol.instrument.step)
    candle = Candle(frame.s, k.t, interval_ms, prices[k.o], prices[k.h], prices[k.l], prices[k.c], volume)
    return CandleUpdate(candle, k.x, frame.E)


def _seldom(symbol: _Symbol, event: MarkPriceFrame | ForceOrderFrame) -> MarketEvent:
    if isinstance(event, MarkPriceFrame):
        rate = Decimal(event.r) if event.r else money.ZERO
        return MarkPrice(event.s, event.E, event.p, event.i, rate, event.T)
    order = event.o
    side = TradeSide.BUY if order.S == "BUY" else TradeSide.SELL
    return Liquidation(order.s, order.T, side, order.ap, symbol.quantities[order.z])


def interval_of(name: str) -> int:
    """`1m` as 60000. ValueError for weeks and months, whose lengths differ or are not aligned."""
    unit_ms = _UNIT_MS.get(name[-1:])
    if unit_ms is None or not name[:-1].isdigit():
        raise ValueError(f"{name!r} is no interval of minutes, hours or days")
    return int(name[:-1]) * unit_ms


def topics_of(symbols: Sequence[str], topics: Sequence[str]) -> tuple[str, ...]:
    """Names of streams, in lower case: `btcusdt@kline_1m` for BTCUSDT and `kline_1m`."""
    return tuple(f"{symbol.lower()}@{topic}" for symbol in symbols for topic in topics)
