"""Rows of Zoomex in the domain's words.

What belongs here: what a row means. What does not: its shape (shapes), where it comes from (rest, stream), which client
id an execution belongs to (seen, executions).
"""

from collections.abc import Sequence
from decimal import Decimal

from trading_engine.domain import money
from trading_engine.domain.fills import Fill, Income, PnlKind
from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.domain.market import Candle, Side
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import OrderReport, OrderState, TradeSide
from trading_engine.domain.reports import VenuePosition
from trading_engine.venues.zoomex import facts
from trading_engine.venues.zoomex.shapes import (
    AccountRow,
    CoinRow,
    ExecutionRow,
    InstrumentRow,
    Number,
    OrderRow,
    PositionRow,
    RiskRow,
    Unreadable,
    instant_ms,
    needed,
    number,
)

_HALF = Decimal("0.5")
_LIVED_MS = 5_000


def _positive(value: Number) -> Decimal | None:
    """A price; unset ones are zero in several spellings."""
    made = number(value)
    return made if made is not None and made > 0 else None


def trade_side(text: str | None) -> TradeSide:
    """Buy or sell."""
    sides = {"buy": TradeSide.BUY, "sell": TradeSide.SELL}
    side = sides.get((text or "").lower())
    if side is None:
        raise Unreadable("zoomex answered a side that is neither Buy nor Sell")
    return side


# ── orders ──────────────────────────────────────────────────────────────────

_STATES = {
    "Created": OrderState.UNKNOWN,  # taken, not yet at matching: it may still be refused
    "New": OrderState.ACKED,
    "Untriggered": OrderState.ACKED,
    "Triggered": OrderState.ACKED,
    "Active": OrderState.ACKED,
    "PendingCancel": OrderState.ACKED,
    "PartiallyFilled": OrderState.PARTIAL,
    "Filled": OrderState.FILLED,
    "Cancelled": OrderState.CANCELED,
    "Canceled": OrderState.CANCELED,
    "PartiallyFilledCanceled": OrderState.CANCELED,
    "Deactivated": OrderState.CANCELED,
    "Expired": OrderState.EXPIRED,
    "Rejected": OrderState.REJECTED,
}
_NO_REASON = frozenset({"", "EC_NoError", "UNKNOWN"})


def order_report(row: OrderRow, *, has_stood: bool = False) -> OrderReport:
    """What a row says about an order. A status of the future counts as open: the order is there.

    `has_stood` says that it was seen at work before: a refusal then (of a stop, when it is triggered) is its end,
    told as CANCELED, for REJECTED denies that the venue ever took it.
    """
    filled = number(row.cum_exec_qty) or money.ZERO
    state = _STATES.get(row.order_status, OrderState.ACKED)
    created_ms = instant_ms(row.created_time)
    updated_ms = instant_ms(row.updated_time) or created_ms
    has_lived = has_stood or filled > 0 or (created_ms > 0 and updated_ms - created_ms > _LIVED_MS)
    if state is OrderState.REJECTED and has_lived:
        state = OrderState.CANCELED
    return OrderReport(
        client_order_id=row.order_link_id or "",
        venue_order_id=row.order_id,
        symbol=row.symbol,
        state=state,
        filled=filled,
        ts_ms=updated_ms,
        side=trade_side(row.side),
        type=order_type(row),
        quantity=number(row.qty) or money.ZERO,
        price=_positive(row.price) if row.order_type == "Limit" else None,
        trigger_price=_positive(row.trigger_price),
        reduce_only=bool(row.reduce_only),
        reason=_reason(row, state),
    )


def _reason(row: OrderRow, state: OrderState) -> str:
    if row.order_status not in _STATES:
        return f"status {row.order_status} is not documented"
    if not state.is_terminal or state is OrderState.FILLED:
        return ""
    told = [text for text in (row.reject_reason, row.cancel_type) if text not in _NO_REASON]
    return told[0] or "" if told else ""


def order_type(row: OrderRow) -> OrderType:
    """The type in our words; the direction of a trigger tells a stop from a target."""
    trigger = _positive(row.trigger_price)
    if trigger is None:
        return OrderType.LIMIT if row.order_type == "Limit" else OrderType.MARKET
    kind = (row.stop_order_type or "").lower()
    if "takeprofit" in kind:
        return OrderType.TAKE_PROFIT_MARKET
    if "stoploss" in kind or "trailing" in kind:
        return OrderType.STOP_MARKET
    direction = int(number(row.trigger_direction) or 0)
    if direction not in (1, 2):
        last = _positive(row.last_price_on_created)
        if last is None:
            return OrderType.STOP_MARKET
        direction = 1 if trigger > last else 2
    is_stop = direction == stop_direction(trade_side(row.side))
    return OrderType.STOP_MARKET if is_stop else OrderType.TAKE_PROFIT_MARKET


def stop_direction(side: TradeSide) -> int:
    """Where the price must go to trigger a stop: 1 up, which buys, 2 down, which sells."""
    return 1 if side is TradeSide.BUY else 2


# ── executions ──────────────────────────────────────────────────────────────


def fill(row: ExecutionRow, account: str, client_order_id: str, asset: str) -> Fill:
    """An execution; `client_order_id` is empty for one that is not ours. `asset` pays the fee where none is told."""
    price = needed(row.exec_price, "price of an execution")
    kind = (row.exec_type or "").lower()
    return Fill(
        venue=facts.NAME,
        account=account,
        trade_id=row.exec_id,
        client_order_id=client_order_id,
        venue_order_id=row.order_id or "",
        symbol=row.symbol,
        side=trade_side(row.side),
        quantity=_executed(row, price),
        price=price,
        fee=needed(row.exec_fee, "fee of an execution"),
        fee_asset=row.fee_currency or asset,
        ts_ms=row.ts_ms,
        is_maker=bool(row.is_maker),
        is_liquidation=kind.startswith("bust"),
        is_adl=kind.startswith("adl"),
    )


def _executed(row: ExecutionRow, price: Decimal) -> Decimal:
    """The quantity; one of the documented samples has only the value."""
    quantity = number(row.exec_qty)
    if quantity is not None:
        return quantity
    value = needed(row.exec_value, "quantity of an execution")
    return money.ratio(value, price) if price else money.ZERO


def funding(row: ExecutionRow, account: str, asset: str) -> Income:
    """A funding payment: its fee is a cost, what it brings is the contrary."""
    return Income(
        venue=facts.NAME,
        account=account,
        income_id=row.exec_id,
        kind=PnlKind.FUNDING,
        symbol=row.symbol,
        amount=-needed(row.exec_fee, "amount of a funding payment"),
        asset=asset,
        ts_ms=row.ts_ms,
    )


# ── account ─────────────────────────────────────────────────────────────────


def position(row: PositionRow) -> VenuePosition | None:
    """A position, None for a flat row."""
    size = needed(row.size, "size of a position")
    if not size:
        return None
    index = int(number(row.position_idx) or 0)
    if index in (1, 2):
        side = Side.LONG if index == 1 else Side.SHORT
    else:
        side = Side.LONG if trade_side(row.side) is TradeSide.BUY else Side.SHORT
    entry = number(row.avg_price)
    return VenuePosition(
        symbol=row.symbol,
        side=side,
        quantity=abs(size),
        entry_price=needed(row.entry_price, "entry price") if entry is None else entry,
        mark_price=needed(row.mark_price, "mark price"),
        liquidation_price=_positive(row.liq_price),
        leverage=_positive(row.leverage) or Decimal(1),  # not told: as if the margin were the whole value
    )


def available(account: AccountRow, coin: CoinRow, *, is_unified: bool) -> Decimal:
    """What new orders may use. An empty text means "not told here", never zero."""
    if not is_unified:
        free = number(coin.available_to_withdraw)
        return needed(coin.wallet_balance, "wallet balance") - _bound(coin) if free is None else free
    total = number(account.total_available_balance)
    if total is not None:
        return total
    return needed(coin.wallet_balance, "wallet balance") - _bound(coin)


def _bound(coin: CoinRow) -> Decimal:
    """Money that margins, locks and vouchers hold; Unreadable where the margins are not told."""
    margins = needed(coin.total_position_im, "margin of positions") + needed(coin.total_order_im, "margin of orders")
    return margins + (number(coin.locked) or money.ZERO) + (number(coin.bonus) or money.ZERO)


# ── instruments and candles ─────────────────────────────────────────────────


def instrument(row: InstrumentRow, tiers: Sequence[RiskRow], asset: str) -> Instrument:
    """The facts of a contract; market orders have a lower maximum, which then holds for all."""
    lot = row.lot_size_filter
    largest = [size for size in (_positive(lot.max_order_qty), _positive(lot.max_mkt_order_qty)) if size]
    if not largest:
        raise Unreadable(f"zoomex answered no largest order of {row.symbol}")
    tier_rows = tuple(sorted((tier(item) for item in tiers), key=lambda item: item.notional_cap))
    if not tier_rows:
        raise Unreadable(f"zoomex answered no risk limits of {row.symbol}")
    notional = number(lot.min_notional_value)
    return Instrument(
        symbol=row.symbol,
        tick=needed(row.price_filter.tick_size, "tick"),
        step=needed(lot.qty_step, "quantity step"),
        min_quantity=needed(lot.min_order_qty, "smallest order"),
        max_quantity=min(largest),
        min_notional=facts.DEFAULT_MIN_NOTIONAL if notional is None else notional,
        max_leverage=needed(row.leverage_filter.max_leverage, "highest leverage"),
        tiers=tier_rows,
        settle_asset=asset,
    )


def tier(row: RiskRow) -> MarginTier:
    """A tier. A rate that no leverage could bear is a percentage; a deduction not told is none, which errs early."""
    rate = needed(row.maintenance_margin, "maintenance rate")
    leverage = needed(row.max_leverage, "highest leverage of a tier")
    if rate * leverage > 1:
        rate = money.multiply(rate, Decimal("0.01"))
    cap = needed(row.risk_limit_value, "notional of a tier")
    return MarginTier(cap, rate, number(row.mm_deduction) or money.ZERO, leverage)


def candle(row: Sequence[Number], interval_ms: int, facts_of: Instrument) -> Candle:
    """A candle in ticks and steps; a price from a time of finer ticks goes to the nearest."""
    if len(row) < 6:
        raise Unreadable("zoomex answered a candle with too few columns")
    opened, high, low, close = (_ticks(needed(value, "price of a candle"), facts_of) for value in row[1:5])
    volume = money.floor_units(needed(row[5], "volume of a candle"), facts_of.step)
    return Candle(facts_of.symbol, instant_ms(row[0]), interval_ms, opened, high, low, close, volume)


def _ticks(price: Decimal, facts_of: Instrument) -> int:
    return money.floor_units(money.add(price, money.multiply(facts_of.tick, _HALF)), facts_of.tick)
