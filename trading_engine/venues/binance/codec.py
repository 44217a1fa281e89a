"""Binance's answers in our values.

What belongs here: pure translation. What does not: the shapes (shapes), who asked (rest, history), which client ids
are ours (names), messages of the stream (events).

A state that is new raises ValueError: it is never guessed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TypeVar

from trading_engine.domain import money
from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.domain.market import Candle, Side
from trading_engine.domain.money import ZERO
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import OrderReport, OrderState, TradeSide
from trading_engine.domain.reports import Balance, VenuePosition
from trading_engine.venues.binance.shapes import (
    AlgoOrder,
    BalanceRow,
    Brackets,
    Kline,
    PlainOrder,
    PositionRow,
    SymbolInfo,
)

T = TypeVar("T")

ALGO_ID_MARK = "algo-"  # begins the venue's id of a conditional order: the two spaces number apart


@dataclass(frozen=True, slots=True)
class Listing:
    """An instrument with the bounds that market orders have apart."""

    instrument: Instrument
    market_step: Decimal
    market_min: Decimal
    market_max: Decimal


# ── orders ──────────────────────────────────────────────────────────────────

PLAIN_STATES: Mapping[str, OrderState] = {
    "NEW": OrderState.ACKED,
    "PARTIALLY_FILLED": OrderState.PARTIAL,
    "FILLED": OrderState.FILLED,
    "CANCELED": OrderState.CANCELED,
    "EXPIRED": OrderState.EXPIRED,
    "EXPIRED_IN_MATCH": OrderState.EXPIRED,
    "REJECTED": OrderState.REJECTED,
    "NEW_INSURANCE": OrderState.ACKED,
    "NEW_ADL": OrderState.ACKED,
}
# FINISHED says that the child has ended, not how: the child is asked. REJECTED comes at the trigger, long after the
# order was acknowledged, where our REJECTED ("never accepted") would be overruled by that acknowledgement.
ALGO_STATES: Mapping[str, OrderState] = {
    "NEW": OrderState.ACKED,
    "TRIGGERING": OrderState.ACKED,
    "TRIGGERED": OrderState.ACKED,
    "FINISHED": OrderState.ACKED,
    "CANCELED": OrderState.CANCELED,
    "EXPIRED": OrderState.EXPIRED,
    "REJECTED": OrderState.EXPIRED,
}
HAS_CHILD = frozenset({"TRIGGERED", "FINISHED"})
SIDES: Mapping[str, TradeSide] = {"BUY": TradeSide.BUY, "SELL": TradeSide.SELL}
_TYPES: Mapping[str, OrderType] = {
    "LIMIT": OrderType.LIMIT,
    "STOP": OrderType.STOP_MARKET,
    "STOP_MARKET": OrderType.STOP_MARKET,
    "TRAILING_STOP_MARKET": OrderType.STOP_MARKET,
    "TAKE_PROFIT": OrderType.TAKE_PROFIT_MARKET,
    "TAKE_PROFIT_MARKET": OrderType.TAKE_PROFIT_MARKET,
}


def looked_up(table: Mapping[str, T], word: str, what: str) -> T:
    """The meaning of a word; ValueError where it is new."""
    if word not in table:
        raise ValueError(f"{what} {word!r} is not known")
    return table[word]


def number(text: str | None) -> Decimal:
    """A number that may be absent or empty, as zero."""
    try:
        return Decimal(text) if text else ZERO
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a number") from None


def order_type(word: str) -> OrderType:
    """The nearest of our types; everything that is none of them trades at the market."""
    return _TYPES.get(word, OrderType.MARKET)


def only_reduces(side: str, position_side: str, *, is_flagged: bool) -> bool:
    """Hedge mode has no flag: a trade against the position side reduces."""
    return is_flagged or (position_side, side) in (("LONG", "SELL"), ("SHORT", "BUY"))


def plain_report(order: PlainOrder, client_order_id: str) -> OrderReport:
    """What the venue says of a plain order; ValueError for a status that is new."""
    state = looked_up(PLAIN_STATES, order.status, "order status")
    return OrderReport(
        client_order_id=client_order_id,
        venue_order_id=str(order.order_id),
        symbol=order.symbol,
        state=state,
        filled=order.executed_qty,
        ts_ms=order.update_time or order.time,
        side=SIDES[order.side],
        type=order_type(order.type),
        quantity=order.orig_qty,
        price=number(order.price) or None,
        trigger_price=number(order.stop_price) or None,
        reduce_only=only_reduces(order.side, order.position_side, is_flagged=order.reduce_only or order.close_position),
        reason="" if order.status in ("NEW", "PARTIALLY_FILLED", "FILLED") else order.status.lower(),
    )


def algo_report(order: AlgoOrder, client_order_id: str) -> OrderReport:
    """What the venue says of a conditional order by itself, without its child; ValueError as above."""
    state = looked_up(ALGO_STATES, order.algo_status, "algo status")
    return OrderReport(
        client_order_id=client_order_id,
        venue_order_id=f"{ALGO_ID_MARK}{order.algo_id}",
        symbol=order.symbol,
        state=state,
        filled=number(order.actual_qty),
        ts_ms=order.update_time or order.create_time,
        side=SIDES[order.side],
        type=order_type(order.order_type),
        quantity=number(order.quantity),
        price=number(order.price) or None,
        trigger_price=number(order.trigger_price) or None,
        reduce_only=only_reduces(order.side, order.position_side, is_flagged=order.reduce_only or order.close_position),
        reason="" if state is OrderState.ACKED else order.algo_status.lower(),
    )


def family_report(parent: OrderReport, child: OrderReport) -> OrderReport:
    """A triggered conditional order: what it is from the parent, how far it is from the child."""
    return OrderReport(
        client_order_id=parent.client_order_id,
        venue_order_id=child.venue_order_id,
        symbol=parent.symbol,
        state=child.state,
        filled=child.filled,
        ts_ms=max(parent.ts_ms, child.ts_ms),
        side=parent.side,
        type=parent.type,
        quantity=parent.quantity or child.quantity,
        price=parent.price,
        trigger_price=parent.trigger_price,
        reduce_only=parent.reduce_only,
        reason=child.reason,
    )


# ── account and instruments ─────────────────────────────────────────────────


def position(row: PositionRow, leverage: Decimal) -> VenuePosition:
    """A row with a quantity; its side from the row in hedge mode, from the sign otherwise."""
    if row.position_side == "BOTH":
        side = Side.LONG if row.position_amt > 0 else Side.SHORT
    else:
        side = Side.LONG if row.position_side == "LONG" else Side.SHORT
    return VenuePosition(
        symbol=row.symbol,
        side=side,
        quantity=abs(row.position_amt),
        entry_price=row.entry_price,
        mark_price=row.mark_price,
        liquidation_price=row.liquidation_price if row.liquidation_price > 0 else None,
        leverage=leverage,
    )


def balance(row: BalanceRow) -> Balance:
    """The wallet: settled money, and what new orders may use."""
    return Balance(row.asset, row.balance, row.available_balance)


def listing(info: SymbolInfo, brackets: Brackets) -> Listing:
    """The facts of a symbol; ValueError where a filter or every tier is missing."""
    filters = {item.filter_type: item for item in info.filters}
    try:
        lot, tick = filters["LOT_SIZE"], filters["PRICE_FILTER"].tick_size
    except KeyError as error:
        raise ValueError(f"{info.symbol} has no filter {error.args[0]}") from None
    market = filters.get("MARKET_LOT_SIZE", lot)
    tiers = sorted(brackets.brackets, key=lambda item: item.notional_cap)
    if not tiers or tick <= 0 or lot.step_size <= 0:
        raise ValueError(f"{info.symbol} has no tier, tick or step")
    instrument = Instrument(
        symbol=info.symbol,
        tick=_plain(tick),
        step=_plain(lot.step_size),
        min_quantity=_plain(max(lot.min_qty, market.min_qty)),
        max_quantity=_plain(min(lot.max_qty, market.max_qty)),
        min_notional=_plain(filters["MIN_NOTIONAL"].notional if "MIN_NOTIONAL" in filters else ZERO),
        max_leverage=_plain(tiers[0].initial_leverage),
        tiers=tuple(
            MarginTier(
                _plain(item.notional_cap),
                _plain(item.maint_margin_ratio),
                _plain(item.cum),
                _plain(item.initial_leverage),
            )
            for item in tiers
        ),
        settle_asset=info.margin_asset,
    )
    return Listing(instrument, market.step_size or lot.step_size, market.min_qty, market.max_qty)


def _plain(value: Decimal) -> Decimal:
    """The number without trailing zeros or exponent."""
    return Decimal(money.text(value))


def candle(row: Kline, instrument: Instrument, interval_ms: int) -> Candle:
    """A closed candle; prices of a time with a finer tick are rounded outwards."""
    return Candle(
        instrument.symbol,
        row.open_ms,
        interval_ms,
        money.floor_units(row.open, instrument.tick),
        money.ceil_units(row.high, instrument.tick),
        money.floor_units(row.low, instrument.tick),
        money.floor_units(row.close, instrument.tick),
        money.floor_units(row.volume, instrument.step),
    )
