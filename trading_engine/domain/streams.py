"""What a market says as it happens: forming candles, trades, quotes, changes of the book.

What belongs here: immutable values of public streams, the same for every venue. What does not: how they are
decoded (venues), what is built from them (marketdata), closed candles (market).

Prices are ticks and quantities steps, whole numbers; what lies off the tick by nature (mark and index prices,
rates) stays decimal. Times are the venue's own, UTC milliseconds.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import NamedTuple, TypeAlias

from trading_engine.domain.market import Candle
from trading_engine.domain.orders import TradeSide

Levels: TypeAlias = Sequence[tuple[int, int]]


class CandleUpdate(NamedTuple):
    """A candle as it stands at `ts_ms`; `is_final` where the venue says that it will not change any more."""

    candle: Candle
    is_final: bool
    ts_ms: int


class Trade(NamedTuple):
    """One trade, or several of one order at one price.

    trade_id        rises by one from trade to trade of a stream, so a missing trade shows; 0 at venues that do not
                    number their trades
    is_buyer_maker  the seller was the aggressor
    is_matched      False for transfers of the insurance fund and the like: no trade of the book, in no candle
    """

    symbol: str
    trade_id: int
    ts_ms: int
    price: int
    quantity: int
    is_buyer_maker: bool
    is_matched: bool = True


class Quote(NamedTuple):
    """Best bid and ask after the change of the book numbered `update_id`."""

    symbol: str
    update_id: int
    ts_ms: int
    bid: int
    bid_quantity: int
    ask: int
    ask_quantity: int


class DepthSnapshot(NamedTuple):
    """The best levels of a book, as (price, quantity), after the change numbered `last_id`."""

    symbol: str
    last_id: int
    ts_ms: int
    bids: Levels
    asks: Levels


class DepthChange(NamedTuple):
    """What levels hold after the changes in (previous_id, last_id]; a quantity of 0 removes a level.

    Where a venue tells no `previous_id`, its adapter has checked the sequence and names the change before.
    """

    symbol: str
    first_id: int
    last_id: int
    previous_id: int
    ts_ms: int
    bids: Levels
    asks: Levels


class DepthLost(NamedTuple):
    """Changes of the book may have been missed from here: it begins anew with the next snapshot."""

    symbol: str


class MarkPrice(NamedTuple):
    """Mark and index price, and the funding rate (a fraction) that is due at `next_funding_ms` as it stands.

    A venue whose stream tells the mark price only has None, and 0 for the instant.
    """

    symbol: str
    ts_ms: int
    mark_price: Decimal
    index_price: Decimal | None
    funding_rate: Decimal | None
    next_funding_ms: int


class Liquidation(NamedTuple):
    """A position was closed by force: the side, average price and quantity of the order that did it.

    Some venues tell the price at which the margin was gone instead of the average.
    """

    symbol: str
    ts_ms: int
    side: TradeSide
    price: Decimal
    quantity: int


MarketEvent: TypeAlias = (
    CandleUpdate | Trade | Quote | DepthSnapshot | DepthChange | DepthLost | MarkPrice | Liquidation
)
MarketSink: TypeAlias = Callable[[MarketEvent], None]
