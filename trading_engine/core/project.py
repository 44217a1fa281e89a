"""`apply(book, record) -> book`: the only code that changes the durable state.

What belongs here: one small function a record kind. What does not: decisions, checks of legality beyond
what keeps the arithmetic sane. Used by `step`, by boot and by the audit, which rebuilds everything from
the journal and compares.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from functools import singledispatch

from trading_engine.core.state import (
    KEPT_DAYS,
    KEPT_HIGHS,
    KEPT_KEYS_MS,
    KEPT_TRADES,
    Book,
    ClosedTrade,
    DayFigures,
    Ledger,
)
from trading_engine.domain import money
from trading_engine.domain.control import Control, pause_key
from trading_engine.domain.fills import PnlKind, is_made_here
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.money import ZERO
from trading_engine.domain.orders import OrderState, resolve_state
from trading_engine.domain.position import Position, apply_fill
from trading_engine.domain.records import (
    AdjustmentBooked,
    CancelIntended,
    ControlChanged,
    EntriesPaused,
    EpochChanged,
    FillApplied,
    IncomeBooked,
    LimitsRebased,
    MarketShocked,
    OrderIntended,
    OrderUpdated,
    PositionAdvanced,
    PositionAged,
    PositionDropped,
    PositionGrown,
    PositionOpened,
    Record,
    RunStarted,
    SignalSeen,
    StopMoved,
    StrategySwitched,
    SymbolFrozen,
)

_MANY_KEYS = 4096


def apply(book: Book, record: Record) -> Book:
    """The book after one record. Records that only inform (alerts, samples, differences) leave it as it is."""
    return _apply(record, book)


def prune(book: Book) -> Book:
    """The book without CLOSED positions and their orders: what memory needs, and what a load gives."""
    closed = {key for key, position in book.positions.items() if position.state is PositionState.CLOSED}
    if not closed:
        return book
    return replace(
        book,
        positions={key: position for key, position in book.positions.items() if key not in closed},
        orders={key: order for key, order in book.orders.items() if order.position_id not in closed},
    )


@singledispatch
def _apply(record: object, book: Book) -> Book:
    del record
    return book


@_apply.register
def _(record: RunStarted, book: Book) -> Book:
    return replace(book, epoch=record.epoch)


@_apply.register
def _(record: EpochChanged, book: Book) -> Book:
    return replace(book, epoch=record.epoch)


@_apply.register
def _(record: SignalSeen, book: Book) -> Book:
    key = (record.signal.strategy, record.signal.symbol)
    return replace(book, signal_ms={**book.signal_ms, key: record.signal.candle_ts_ms})


@_apply.register
def _(record: PositionOpened, book: Book) -> Book:
    position = record.position
    return replace(
        book,
        next_position=max(book.next_position, position.number + 1),
        positions={**book.positions, position.position_id: position},
    )


@_apply.register
def _(record: PositionGrown, book: Book) -> Book:
    before = book.positions[record.position_id]
    after = replace(
        before,
        quantity=before.quantity + record.quantity,
        cost=money.add(before.cost, record.value),
        entry_quantity=before.entry_quantity + record.quantity,
        entry_value=money.add(before.entry_value, record.value),
        adopted_quantity=before.adopted_quantity + record.quantity,
        version=before.version + 1,
    )
    return _with_position(book, after)


@_apply.register
def _(record: PositionDropped, book: Book) -> Book:
    before = book.positions[record.position_id]
    after = replace(
        before,
        quantity=before.quantity - record.quantity,
        cost=ZERO,
        closed_ms=max(before.closed_ms, record.ts_ms),
        version=before.version + 1,
    )
    return _with_position(book, after)


@_apply.register
def _(record: PositionAdvanced, book: Book) -> Book:
    before = book.positions[record.position_id]
    after = replace(
        before,
        state=record.target,
        close_reason=record.close_reason or before.close_reason,
        version=before.version + 1,
    )
    book = _with_position(book, after)
    if record.target is PositionState.CLOSED and after.fills:
        return replace(book, ledger=_with_trade(book.ledger, after))
    return book


@_apply.register
def _(record: StopMoved, book: Book) -> Book:
    before = book.positions[record.position_id]
    return _with_position(book, replace(before, stop_price=record.stop_price, version=before.version + 1))


@_apply.register
def _(record: PositionAged, book: Book) -> Book:
    before = book.positions[record.position_id]
    return _with_position(book, replace(before, is_aged=True, version=before.version + 1))


@_apply.register
def _(record: OrderIntended, book: Book) -> Book:
    return replace(book, orders={**book.orders, record.order.client_order_id: record.order})


@_apply.register
def _(record: OrderUpdated, book: Book) -> Book:
    before = book.orders[record.client_order_id]
    after = replace(
        before,
        state=record.state,
        reported_filled=record.reported_filled,
        venue_order_id=record.venue_order_id,
        reason=record.reason,
        updated_ms=record.updated_ms,
    )
    book = replace(book, orders={**book.orders, record.client_order_id: after})
    if record.state is OrderState.REJECTED and after.purpose is Purpose.ENTRY:
        rejects = {**book.rejects, after.symbol: book.rejects.get(after.symbol, 0) + 1}
        return replace(book, rejects=rejects)
    return book


@_apply.register
def _(record: CancelIntended, book: Book) -> Book:
    after = replace(book.orders[record.client_order_id], cancel_requested=True)
    return replace(book, orders={**book.orders, record.client_order_id: after})


@_apply.register
def _(record: FillApplied, book: Book) -> Book:
    fill = record.fill
    position = apply_fill(book.positions[record.position_id], fill, record.gross, record.fee)
    book = replace(_with_position(book, position), seen=_with_key(book.seen, fill.key, fill.ts_ms))
    order = book.orders.get(fill.client_order_id)
    # A late fill belongs to the residual position; the row of the order stays as it was when it was closed.
    if order is not None and order.position_id == record.position_id:
        filled = order.filled + fill.quantity
        after = replace(
            order,
            filled=filled,
            filled_value=money.add(order.filled_value, money.multiply(fill.quantity, fill.price)),
            state=resolve_state(order.state, order.quantity, max(filled, order.reported_filled)),
            updated_ms=max(order.updated_ms, fill.ts_ms),
        )
        book = replace(book, orders={**book.orders, order.client_order_id: after})
        if order.purpose is Purpose.ENTRY and order.symbol in book.rejects:
            rejects = {symbol: count for symbol, count in book.rejects.items() if symbol != order.symbol}
            book = replace(book, rejects=rejects)
    net = money.subtract(record.gross, record.fee)  # the ledger is the settle wallet: it pays no fee of another
    ledger = _with_booking(book.ledger, record.day, fill.ts_ms, net, fee=record.fee)
    return replace(book, ledger=_counted(_with_adjustment(ledger, record.adjustment), fill.key))


@_apply.register
def _(record: IncomeBooked, book: Book) -> Book:
    income = record.income
    book = replace(book, seen=_with_key(book.seen, income.key, income.ts_ms))
    if not income.kind.is_result:
        is_deposit = income.kind is PnlKind.TRANSFER
        ledger = _with_transfer(book.ledger, income.amount, income.ts_ms, is_deposit=is_deposit)
        return replace(book, ledger=_counted(ledger, income.key))
    funding = income.amount if income.kind is PnlKind.FUNDING else ZERO
    ledger = _with_booking(book.ledger, record.day, income.ts_ms, income.amount, funding=funding)
    ledger = _with_late_income(_counted(ledger, income.key), record.position_id, income.amount)
    book = replace(book, ledger=ledger)
    position = book.positions.get(record.position_id)
    if position is None:
        return book
    position = replace(
        position,
        funding=money.add(position.funding, income.amount),
        version=position.version + 1,
    )
    return _with_position(book, position)


@_apply.register
def _(record: AdjustmentBooked, book: Book) -> Book:
    ledger = _with_transfer(book.ledger, record.amount, record.ts_ms, is_deposit=False)
    seen = _with_key(book.seen, record.key, record.ts_ms)
    return replace(book, seen=seen, ledger=_counted(ledger, record.key))


@_apply.register
def _(record: ControlChanged, book: Book) -> Book:
    return replace(book, control=Control(record.level, record.reason, record.since_ms))


@_apply.register
def _(record: StrategySwitched, book: Book) -> Book:
    others = {name: since_ms for name, since_ms in book.disabled.items() if name != record.strategy}
    return replace(book, disabled=others if record.is_enabled else {**others, record.strategy: record.ts_ms})


@_apply.register
def _(record: EntriesPaused, book: Book) -> Book:
    key = pause_key(record.symbol)
    others = {name: since_ms for name, since_ms in book.disabled.items() if name != key}
    return replace(book, disabled={**others, key: record.ts_ms} if record.is_paused else others)


@_apply.register
def _(record: LimitsRebased, book: Book) -> Book:
    ledger = replace(
        book.ledger,
        peak=book.ledger.performance,
        highs=(),
        rebased_booking=book.ledger.bookings,
        rebased_ms=record.ts_ms,
    )
    return replace(book, ledger=ledger, frozen={}, rejects={}, shocks={})


@_apply.register
def _(record: MarketShocked, book: Book) -> Book:
    return replace(book, shocks={**book.shocks, record.symbol: record.ts_ms})


@_apply.register
def _(record: SymbolFrozen, book: Book) -> Book:
    return replace(book, frozen={**book.frozen, record.symbol: record.reason})


def _with_position(book: Book, position: Position) -> Book:
    return replace(book, positions={**book.positions, position.position_id: position})


def _with_key(seen: Mapping[str, int], key: str, ts_ms: int) -> Mapping[str, int]:
    kept = {**seen, key: ts_ms}
    if len(kept) <= _MANY_KEYS:
        return kept
    oldest = max(kept.values()) - KEPT_KEYS_MS
    return {name: at for name, at in kept.items() if at >= oldest}


def _with_booking(
    ledger: Ledger, day: str, ts_ms: int, net: Decimal, fee: Decimal = ZERO, funding: Decimal = ZERO
) -> Ledger:
    balance = money.add(ledger.balance, net)
    figures = ledger.day(day)
    figures = replace(
        figures,
        realized=money.add(figures.realized, net),
        fees=money.add(figures.fees, fee),
        funding=money.add(figures.funding, funding),
    )
    return replace(
        ledger,
        balance=balance,
        bookings=ledger.bookings + 1,
        peak=max(ledger.peak, money.subtract(balance, ledger.transfers)),
        highs=with_high(ledger.highs, day, max(ledger.performance, money.subtract(balance, ledger.transfers))),
        last_booked_ms=max(ledger.last_booked_ms, ts_ms),
        opened_ms=ledger.opened_ms if ledger.bookings else ts_ms,
        days=_with_day(ledger.days, figures),
    )


def with_high(highs: tuple[tuple[str, Decimal], ...], day: str, high: Decimal) -> tuple[tuple[str, Decimal], ...]:
    """The highs of days after performance has reached `high` on one; a booking that comes late counts for the last day.

    The performance with which a day began is among its highs.
    """
    if highs and highs[-1][0] >= day:
        day, high = highs[-1][0], max(highs[-1][1], high)
    above = [item for item in highs if item[0] < day and item[1] > high]
    return (*above[-KEPT_HIGHS + 1 :], (day, high))


def _with_transfer(ledger: Ledger, amount: Decimal, ts_ms: int, *, is_deposit: bool) -> Ledger:
    """The ledger after money that trading did not make; only a deposit or withdrawal can be the first of it."""
    return replace(
        _with_adjustment(ledger, amount),
        start_balance=ledger.start_balance or (amount if is_deposit else ZERO),
        bookings=ledger.bookings + 1,
        last_booked_ms=max(ledger.last_booked_ms, ts_ms),
        opened_ms=ledger.opened_ms if ledger.bookings else ts_ms,
    )


def _with_adjustment(ledger: Ledger, amount: Decimal) -> Ledger:
    return replace(ledger, balance=money.add(ledger.balance, amount), transfers=money.add(ledger.transfers, amount))


def _counted(ledger: Ledger, key: str) -> Ledger:
    return replace(ledger, made_here=ledger.made_here + 1) if is_made_here(key) else ledger


def _with_day(days: tuple[DayFigures, ...], figures: DayFigures) -> tuple[DayFigures, ...]:
    others = [item for item in days if item.day != figures.day]
    return tuple(sorted([*others, figures], key=lambda item: item.day)[-KEPT_DAYS:])


def _with_trade(ledger: Ledger, position: Position) -> Ledger:
    trade = ClosedTrade(position.position_id, position.symbol, position.strategy, position.net_pnl, position.closed_ms)
    closed = sorted([*ledger.closed, trade], key=lambda item: (item.closed_ms, item.position_id))
    return replace(ledger, closed=tuple(closed[-KEPT_TRADES:]))


def _with_late_income(ledger: Ledger, position_id: str, amount: Decimal) -> Ledger:
    """The ledger with an income added to the trade it belongs to, where that one has closed."""
    closed = tuple(
        replace(trade, net=money.add(trade.net, amount)) if trade.position_id == position_id else trade
        for trade in ledger.closed
    )
    return replace(ledger, closed=closed)
