"""Keeping a position in order: its stop, its targets, its exit, its end.

What belongs here: `tend`, which brings one position's orders to what its state demands and is called
after everything that touches it, and the few verbs it is made of. What does not: why a position is
closed (handlers), how a reply is merged (on_venue).

`tend` is idempotent: what already stands as an order row is not asked for again. A stop is replaced by
placing the new one first; the old one is cancelled when the new one is acknowledged.
"""

from collections.abc import Container
from dataclasses import dataclass
from decimal import Decimal

from trading_engine.core import degradation, resizing, risk, units
from trading_engine.core.draft import Draft
from trading_engine.core.effects import CancelOrder, PlaceOrder, SetTimer
from trading_engine.core.state import Book
from trading_engine.domain import money
from trading_engine.domain.events import TimerKind
from trading_engine.domain.ids import OrderKey, Purpose, derive_client_order_id
from trading_engine.domain.lifecycle import CloseReason, PositionState, Trigger
from trading_engine.domain.order_type import OrderType, TimeInForce
from trading_engine.domain.orders import Order, OrderState, TradeSide, closing_side
from trading_engine.domain.position import Position
from trading_engine.domain.records import CancelIntended, EquitySampled, OrderIntended
from trading_engine.domain.reports import is_passing
from trading_engine.domain.severity import Severity
from trading_engine.rules import exits

_MOST_DOUBLINGS = 10
_LONGEST_RETRY_MS = 300_000
_MANY_REFUSALS = 20
_LONGEST_LULL_MS = 1_800_000  # for an exit that the venue has refused so often, of a position that it does not show
_LONGEST_BUSY_MS = 30_000  # a venue that is busy is asked again no later than this


def tend(draft: Draft, position_id: str) -> None:
    """Bring the orders of one position to what its state and size demand."""
    position = draft.position(position_id)
    if position.state is PositionState.CLOSED:
        return
    entry = draft.book.entry_of(position_id)
    if position.state is PositionState.PENDING:
        _tend_pending(draft, position, entry)
        return
    if position.quantity == 0:
        _finish(draft, position)
        _tend_reported(draft, draft.position(position_id))
        return
    if position.state is PositionState.CLOSING:
        if entry is not None:
            cancel(draft, entry, "position is closing")
        _ensure_exit(draft, position)
    if not position.residual_of:
        _ensure_stop(draft, position)
        _watch_cover(draft, draft.position(position_id))
    if position.state is PositionState.OPEN and (entry is None or entry.is_settled):
        _ensure_targets(draft, position)


def _tend_pending(draft: Draft, position: Position, entry: Order | None) -> None:
    if entry is None or entry.is_settled:
        draft.advance(position.position_id, Trigger.ABANDON, "entry ended unfilled", CloseReason.ABANDONED)
    elif exposure(draft, position):
        _ensure_stop(draft, position)
        _watch_cover(draft, position)


def _tend_reported(draft: Draft, position: Position) -> None:
    """Nothing that is known is open (any more), and the venue may have reported more of the entry."""
    if exposure(draft, position):
        _ensure_exit(draft, position)
        _ensure_stop(draft, position)
    _watch_cover(draft, position)


def exposure(draft: Draft, position: Position) -> Decimal:
    """What is open, with what the venue has reported of an entry and its history of fills does not show yet."""
    entries = (draft.book.orders[name] for name in draft.market.lagging if name in draft.book.orders)
    untold = (
        max(entry.reported_filled - entry.filled, money.ZERO)
        for entry in entries
        if entry.purpose is Purpose.ENTRY and entry.position_id == position.position_id
    )
    return position.quantity + sum(untold, money.ZERO)


def begin_close(draft: Draft, position_id: str, reason: CloseReason, cause: str) -> None:
    """Decide a full exit and bring it on its way; one that is CLOSING or CLOSED is left as it is.

    So is one that is PENDING, unless the venue has reported its entry as filled: those fills are yet to come.
    """
    position = draft.position(position_id)
    if position.state is PositionState.PENDING and exposure(draft, position):
        draft.advance(position_id, Trigger.FIRST_FILL, "reported as filled")
    if draft.position(position_id).state is PositionState.OPEN:
        draft.advance(position_id, Trigger.BEGIN_CLOSE, cause, reason)
        tend(draft, position_id)


def cancel(draft: Draft, order: Order, reason: str) -> None:
    """Intend a cancel, once; the order stays live until the venue tells its final state."""
    if order.is_live and not order.cancel_requested:
        draft.record(CancelIntended(order.client_order_id, reason))
        draft.effect(CancelOrder(order.symbol, order.client_order_id, order.venue_order_id))


def cancel_again(draft: Draft, order: Order, listed: Container[str] | None = None) -> None:
    """Send a cancel that was intended and has not happened.

    The stop that an old one was replaced by may be gone meanwhile, while nothing ran or unheard: a position's last stop
    waits until another one covers it.

    listed   ids of the orders that the venue has just shown open, where it has; what it did not show covers nothing
    """
    if not order.is_live or not order.cancel_requested:
        return
    if _is_last_cover(draft, order, listed):
        at_ms = draft.ts_ms + draft.settings.execution.lookup_retry_ms
        draft.effect(SetTimer(at_ms, TimerKind.CANCEL, order.client_order_id))
    else:
        draft.effect(CancelOrder(order.symbol, order.client_order_id, order.venue_order_id))


def _is_last_cover(draft: Draft, order: Order, listed: Container[str] | None) -> bool:
    position = draft.book.positions.get(order.position_id)
    quantity = money.ZERO if position is None else exposure(draft, position)
    if order.purpose is not Purpose.STOP or not quantity:
        return False
    return not any(
        stop.is_confirmed
        and not stop.cancel_requested
        and stop.remaining >= quantity
        and (listed is None or stop.client_order_id in listed)
        for stop in draft.book.orders_of(order.position_id, Purpose.STOP)
    )


def place_again(draft: Draft, order: Order) -> None:
    """Send an intent that provably never left, under its own id and within its own window."""
    draft.effect(PlaceOrder(risk.approve_again(order), order.to_request(), order.not_after_ms))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A reduce-only order that should exist."""

    purpose: Purpose
    type: OrderType
    quantity: Decimal
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    leg: int = 0


def new_order(draft: Draft, position: Position, wanted: _Wanted, side: TradeSide, *, reduce_only: bool) -> Order:
    """The row of an order that does not exist yet; the generation grows with every row of its kind."""
    rows = draft.book.orders_of(position.position_id, wanted.purpose)
    generation = 1 + max((row.generation for row in rows if row.leg == wanted.leg), default=0)
    key = OrderKey(draft.book.epoch, position.number, wanted.purpose, wanted.leg, generation)
    return Order(
        client_order_id=derive_client_order_id(key),
        position_id=position.position_id,
        symbol=position.symbol,
        purpose=wanted.purpose,
        leg=wanted.leg,
        generation=generation,
        type=wanted.type,
        side=side,
        position_side=position.side,
        quantity=wanted.quantity,
        price=wanted.price,
        trigger_price=wanted.trigger_price,
        reduce_only=reduce_only,
        time_in_force=TimeInForce.GTC,
        created_ms=draft.ts_ms,
        not_after_ms=draft.ts_ms + draft.settings.execution.max_send_delay_ms,
        updated_ms=draft.ts_ms,
    )


def entry_order(draft: Draft, position: Position, quantity: Decimal) -> Order:
    """A market entry of a position: its first, or one more."""
    wanted = _Wanted(Purpose.ENTRY, OrderType.MARKET, quantity)
    side = TradeSide.BUY if position.side.sign > 0 else TradeSide.SELL
    return new_order(draft, position, wanted, side, reduce_only=False)


def _intend(draft: Draft, position: Position, wanted: _Wanted) -> None:
    order = new_order(draft, position, wanted, closing_side(position.side), reduce_only=True)
    draft.record(OrderIntended(order))
    draft.effect(PlaceOrder(risk.approve_protective(order), order.to_request(), order.not_after_ms))


def _ensure_stop(draft: Draft, position: Position) -> None:
    stops = draft.book.orders_of(position.position_id, Purpose.STOP)
    if position.state is PositionState.CLOSING and any(_is_refused(stop) for stop in stops):
        return  # the exit is on its way; a venue that refused the stop once would be asked in a loop
    live = [stop for stop in stops if _is_at_work(stop) and not stop.cancel_requested]
    quantity = exposure(draft, position)
    fitting = [stop for stop in live if stop.trigger_price == position.stop_price and stop.remaining == quantity]
    confirmed = [stop for stop in fitting if stop.is_confirmed]
    if confirmed:
        for stop in live:
            if stop is not confirmed[-1]:
                cancel(draft, stop, "replaced")
        return
    at_ms = _may_place_stop_at_ms(draft, stops, fitting)
    if draft.ts_ms < at_ms:
        draft.effect(SetTimer(at_ms, TimerKind.PROTECT, position.position_id))
        return
    wanted = _Wanted(Purpose.STOP, OrderType.STOP_MARKET, quantity, trigger_price=position.stop_price)
    _intend(draft, position, wanted)
    _wake_if_unanswered(draft, position, Purpose.STOP)


def _may_place_stop_at_ms(draft: Draft, stops: list[Order], fitting: list[Order]) -> int:
    """When the next stop order may be intended: now, after a pause, or once a fitting one has gone unanswered.

    The pause keeps a venue that fills in slices, or takes every stop away again, from being flooded.
    """
    execution = draft.settings.execution
    if fitting:  # none of them is acknowledged
        return _patience_ends_ms(draft, fitting[-1], stops)
    if not stops or draft.settings.absence_is_proof:  # in process nobody is flooded, and time may jump a candle
        return 0
    wait_ms = min(execution.stop_spacing_ms << min(_turned_away(stops), _MOST_DOUBLINGS), _LONGEST_BUSY_MS)
    return max(stops[-1].created_ms + wait_ms, draft.market.quiet_until_ms)


def _is_refused(row: Order) -> bool:
    """The venue has looked at it and said no."""
    return row.state is OrderState.REJECTED and not is_passing(row.reason)


def _turned_away(rows: list[Order]) -> int:
    """How many of the last rows in a row were turned down before they were looked at, but the first."""
    away = 0
    for row in reversed(rows):
        if row.state is not OrderState.REJECTED or not is_passing(row.reason):
            break
        away += 1
    return max(away - 1, 0)


def _patience_ends_ms(draft: Draft, order: Order, rows: list[Order]) -> int:
    """How long a protective order may go unanswered before another is sent; never in process.

    The wait doubles with each since the venue was last heard: an outage is not answered by a flood, and what comes
    after it does not pay for it. One that was refused counts like one without an answer: where no connection is to be
    had, each is refused a moment after the next was sent.
    """
    if draft.settings.absence_is_proof or not order.state.is_unresolved:
        return draft.ts_ms + draft.settings.execution.stop_confirmation_ms
    heard_ms = draft.market.reconciled_ms
    in_vain = sum(1 for row in rows if _is_in_vain(row) and row.created_ms > heard_ms)
    wait_ms = draft.settings.execution.resend_ms << min(max(in_vain - 1, 0), _MOST_DOUBLINGS)
    return order.created_ms + min(wait_ms, _LONGEST_RETRY_MS)


def _is_in_vain(row: Order) -> bool:
    """Nothing is known to have come of it."""
    return row.state.is_unresolved or row.state is OrderState.REJECTED


def _wake_if_unanswered(draft: Draft, position: Position, purpose: Purpose) -> None:
    if draft.settings.absence_is_proof:
        return
    rows = draft.book.orders_of(position.position_id, purpose)
    at_ms = _patience_ends_ms(draft, rows[-1], rows)
    kind = TimerKind.RETRY_EXIT if purpose is Purpose.EXIT else TimerKind.PROTECT
    draft.effect(SetTimer(at_ms, kind, position.position_id))


def is_covered(book: Book, position: Position) -> bool:
    """Acknowledged reduce-only stops cover at least the open quantity."""
    return _covered(book, position) >= position.quantity


def _covered(book: Book, position: Position) -> Decimal:
    stops = book.orders_of(position.position_id, Purpose.STOP)
    return sum((stop.remaining for stop in stops if stop.is_confirmed), money.ZERO)


def _watch_cover(draft: Draft, position: Position) -> None:
    """Remember since when a position is not covered, and come back when that has been too long."""
    uncovered = draft.market.uncovered
    is_watched = position.state in (PositionState.PENDING, PositionState.OPEN)
    if not is_watched or _covered(draft.book, position) >= exposure(draft, position):
        if position.position_id in uncovered:
            left = {name: at for name, at in uncovered.items() if name != position.position_id}
            draft.see(uncovered=left)
        return
    if position.position_id not in uncovered:
        draft.see(uncovered={**uncovered, position.position_id: draft.ts_ms})
        confirm_by = draft.ts_ms + draft.settings.execution.stop_confirmation_ms
        draft.effect(SetTimer(confirm_by, TimerKind.STOP_CONFIRMATION, position.position_id))


def planned_targets(
    draft: Draft, position: Position, outside: Decimal = money.ZERO
) -> list[tuple[Purpose, int, Decimal, Decimal]]:
    """The resting exits a filled entry calls for, as (purpose, leg, quantity, price).

    What was taken from `outside` is shared out no more.

    Partials at their R levels, the rest at the target; a level at or beyond the target folds into it, and
    parts below the venue's minimum join the last.
    """
    entry = position.average_entry
    if entry is None:
        return []
    instrument = draft.instrument(position.symbol)
    plan = draft.settings.exits.plan(position.strategy)
    sign = position.side.sign
    entry_mticks = units.mticks(instrument, entry)
    risk_mticks = exits.initial_risk_mticks(entry_mticks, units.ticks(instrument, position.initial_stop))
    target_ticks = units.ticks(instrument, position.target_price) if position.target_price else 0
    levels = [exits.r_level(sign, entry_mticks, risk_mticks, step.at_milli) for step in plan.partials]
    kept = [
        (level, step.share_ppm)
        for level, step in zip(levels, plan.partials, strict=True)
        if risk_mticks > 0 and not exits.folds_into_target(sign, level, target_ticks)
    ]
    total = units.steps(instrument, position.entry_quantity - outside)
    minimum = units.steps(instrument, instrument.min_quantity)
    parts = exits.split_partials(total, tuple(share for _, share in kept), minimum)
    planned = [
        (Purpose.PARTIAL, leg, instrument.steps_to_quantity(part), instrument.ticks_to_price(level))
        for leg, ((level, _), part) in enumerate(zip(kept, parts, strict=False))
        if part
    ]
    if position.target_price and parts[-1]:
        planned.append((Purpose.TARGET, 0, instrument.steps_to_quantity(parts[-1]), position.target_price))
    return planned


def _ensure_targets(draft: Draft, position: Position) -> None:
    rows = [
        row for row in draft.book.orders_of(position.position_id) if row.purpose in (Purpose.PARTIAL, Purpose.TARGET)
    ]
    outside = resizing.taken_from_outside(draft.book, position)
    if outside or draft.book.rungs(position.position_id) > 1:
        least = draft.instrument(position.symbol).min_quantity
        changes = resizing.resized(position, rows, planned_targets(draft, position, outside), least)
        for row in changes.cancel:
            cancel(draft, row, "the position was reduced from outside" if outside else "the position has grown")
        _place_targets(draft, position, changes.place)
        return
    if rows and all(row.state is not OrderState.VOID for row in rows):
        return  # all legs were intended in one step
    standing = {(row.purpose, row.leg) for row in rows if row.state is not OrderState.VOID}
    planned = planned_targets(draft, position)
    _place_targets(draft, position, [item for item in planned if item[:2] not in standing])


def _place_targets(draft: Draft, position: Position, legs: list[resizing.Leg]) -> None:
    order_type = draft.settings.exits.target_order
    for purpose, leg, quantity, price in legs:
        if order_type is OrderType.LIMIT:
            wanted = _Wanted(purpose, order_type, quantity, price=price, leg=leg)
        else:
            wanted = _Wanted(purpose, order_type, quantity, trigger_price=price, leg=leg)
        _intend(draft, position, wanted)


def _ensure_exit(draft: Draft, position: Position) -> None:
    """A CLOSING position needs orders that are closing all of it: a stop that began to fill, market exits.

    What an entry has filled meanwhile, or is reported to have, gets an exit of its own.
    """
    if draft.ts_ms < retry_exit_at_ms(draft, position.position_id):
        return  # the retry timer asks again
    left = exposure(draft, position)
    for row in draft.book.orders_of(position.position_id):
        has_begun = row.purpose is Purpose.STOP and max(row.filled, row.reported_filled) > 0
        if not (row.purpose is Purpose.EXIT or has_begun) or not _is_at_work(row) or row.cancel_requested:
            continue
        if row.state.is_unresolved:
            at_ms = _patience_ends_ms(draft, row, draft.book.orders_of(position.position_id, Purpose.EXIT))
            if draft.ts_ms < at_ms:
                draft.effect(SetTimer(at_ms, TimerKind.RETRY_EXIT, position.position_id))
                return
        else:
            left -= row.quantity - row.filled  # what is reported of it is still in what we know to be open
    if left > 0:
        _intend(draft, position, _Wanted(Purpose.EXIT, OrderType.MARKET, left))
        _wake_if_unanswered(draft, position, Purpose.EXIT)


def _is_at_work(row: Order) -> bool:
    """It may still reduce the position: it is live, or the venue has reported fills that are yet to come."""
    return row.is_live or (row.state is OrderState.FILLED and not row.is_settled)


def retry_exit_at_ms(draft: Draft, position_id: str) -> int:
    """When an exit may be sent after refusals: the wait doubles with each, up to five minutes; 0 without any.

    After one that was not looked at it is shorter, and no earlier than the venue wants. After many on a frozen symbol
    it is longer: mostly the venue holds nothing of the position, and each attempt is a row that stays.
    """
    exits_made = draft.book.orders_of(position_id, Purpose.EXIT)
    if not exits_made or exits_made[-1].state is not OrderState.REJECTED:
        return 0
    if is_passing(exits_made[-1].reason):
        wait_ms = draft.settings.execution.retry_exit_ms << min(_turned_away(exits_made), _MOST_DOUBLINGS)
        return max(exits_made[-1].updated_ms + min(wait_ms, _LONGEST_BUSY_MS), draft.market.quiet_until_ms)
    refusals = sum(1 for row in exits_made if row.state is OrderState.REJECTED)
    if refusals >= _MANY_REFUSALS and exits_made[-1].symbol in draft.book.frozen:
        return exits_made[-1].updated_ms + _LONGEST_LULL_MS
    wait_ms = draft.settings.execution.retry_exit_ms << min(refusals - 1, _MOST_DOUBLINGS)
    return exits_made[-1].updated_ms + min(wait_ms, _LONGEST_RETRY_MS)


def _finish(draft: Draft, position: Position) -> None:
    """Flat: cancel what is left, and close when the venue holds no order of ours any more.

    The stops go last: an entry that has not ended may have filled again without our knowing. Where it has told that it
    did, exits are at work on that.
    """
    if position.state is PositionState.OPEN:
        reason = position.close_reason or CloseReason.TARGET
        draft.advance(position.position_id, Trigger.BEGIN_CLOSE, "flat", reason)
    rows = draft.book.orders_of(position.position_id)
    entry = draft.book.entry_of(position.position_id)
    has_ended = entry is None or entry.is_settled
    kept = {Purpose.STOP, Purpose.EXIT} if exposure(draft, position) else set() if has_ended else {Purpose.STOP}
    for row in rows:
        if row.purpose not in kept:
            cancel(draft, row, "position is flat")
    # A fill of the entry that was reported is still to come; one of an exit would be a late one.
    if not any(row.is_live or (row.purpose is Purpose.ENTRY and not row.is_settled) for row in rows):
        draft.advance(position.position_id, Trigger.FLAT, "flat and no order left")
        _announce_close(draft, draft.position(position.position_id))


def _announce_close(draft: Draft, position: Position) -> None:
    r_multiple = position.r_multiple(position.net_pnl)
    in_r = f", {r_multiple:+.2f} R" if r_multiple is not None else ""
    draft.alert(
        Severity.INFO,
        f"closed:{position.position_id}",
        f"{position.symbol} {position.side} closed by {position.close_reason}:"
        f" {position.net_pnl:+.2f} {draft.settings.asset}{in_r}",
    )
    degradation.judge(draft, position.strategy)
    open_pnl = money.round_money(risk.unrealized(draft.book, draft.marks))
    draft.record(EquitySampled(draft.ts_ms, draft.book.ledger.balance, open_pnl))
