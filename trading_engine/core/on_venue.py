"""The venue has answered: merge, book, and bring the position into order.

What belongs here: replies to orders and cancels, look-ups, fills and incomes. What does not: snapshots
(reconcile uses these very functions), timers (on_timer).

An unknown outcome is never read as failure: the order becomes UNKNOWN, is looked up, and only the venue's
answer after the send window proves absence.
"""

from dataclasses import replace
from decimal import Decimal

from trading_engine.core import authority, breaker, contact, fees, foreign, kill, protect, slippage
from trading_engine.core.draft import Draft
from trading_engine.core.effects import FetchFills, LookUpOrder, SetTimer, TakeSnapshot
from trading_engine.core.on_command import raise_level
from trading_engine.domain import money
from trading_engine.domain.control import Level
from trading_engine.domain.events import TimerKind
from trading_engine.domain.fills import PART_MARK, Fill, Income, PnlKind
from trading_engine.domain.ids import (
    OrderKey,
    Purpose,
    is_emergency_order_id,
    next_epoch,
    parse_client_order_id,
    position_id,
)
from trading_engine.domain.lifecycle import PositionState, Trigger
from trading_engine.domain.market import Side
from trading_engine.domain.orders import (
    Order,
    OrderReport,
    OrderState,
    OrderType,
    TradeSide,
    closing_side,
    merge,
    opening_side,
)
from trading_engine.domain.position import CloseReason, Position, gross_of
from trading_engine.domain.records import (
    DifferenceFound,
    EpochChanged,
    FillApplied,
    IncomeBooked,
    OrderUpdated,
    PositionOpened,
    SymbolFrozen,
)
from trading_engine.domain.reports import KEY_CODE, Accepted, OrderLookup, Outcome, Rejected, is_passing
from trading_engine.domain.severity import Severity
from trading_engine.domain.time import day_of

LONGEST_LAG_MS = 60_000  # no venue shows a position for so long without the fill that made it
_LONGEST_PAUSE_MS = 30_000  # between two reads of a history that lags


def on_submit_answered(draft: Draft, client_order_id: str, outcome: Outcome) -> None:
    """The one attempt to send has ended in acceptance, a proven refusal, or doubt."""
    _count_answer(draft, outcome)
    order = draft.book.orders.get(client_order_id)
    if order is None:
        return
    if isinstance(outcome, Accepted):
        merge_report(draft, outcome.report)
    elif isinstance(outcome, Rejected):
        _refused(draft, order, outcome)
    else:
        _doubtful(draft, order, outcome.why)


def _count_answer(draft: Draft, outcome: Outcome) -> None:
    """Whether the venue has answered at all; a refusal is an answer, unless it came before it looked."""
    if isinstance(outcome, Accepted):
        breaker.on_answer(draft)
        authority.on_accepted(draft)
    elif isinstance(outcome, Rejected):
        if outcome.code == KEY_CODE:
            authority.on_refused(draft, outcome.reason, by_read=False)
        if is_passing(outcome.told):
            breaker.on_error(draft, outcome.told)
        else:
            breaker.on_answer(draft)
    else:
        breaker.on_error(draft, outcome.why)


def on_submit_expired(draft: Draft, client_order_id: str) -> None:
    """The send window was over before the order could leave: it provably does not exist."""
    order = draft.book.orders.get(client_order_id)
    if order is not None and order.state is OrderState.INTENT:
        _void(draft, order, "not sent in time")


def on_cancel_answered(draft: Draft, client_order_id: str, outcome: Outcome) -> None:
    """A cancel is only ever as true as the order's own final state, so anything but a report is looked up."""
    _count_answer(draft, outcome)
    order = draft.book.orders.get(client_order_id)
    if order is None:
        return
    if isinstance(outcome, Accepted):
        merge_report(draft, outcome.report)
    if draft.book.orders.get(client_order_id, order).is_live:
        draft.effect(LookUpOrder(order.symbol, client_order_id))


def cancel_again(draft: Draft, client_order_id: str) -> None:
    """Ask once more for a cancel that was intended, after a pause: the venue still shows the order open."""
    order = draft.book.orders.get(client_order_id)
    if order is not None:
        protect.cancel_again(draft, order)


def on_looked_up(draft: Draft, lookup: OrderLookup) -> None:
    """The venue says what became of an order, or that it knows none."""
    breaker.on_answer(draft)
    order = draft.book.orders.get(lookup.client_order_id)
    if order is None:
        return
    if lookup.report is None:
        _not_found(draft, order)
        return
    merge_report(draft, lookup.report)
    after = draft.book.orders.get(lookup.client_order_id)
    if after is None or not after.is_live:
        return
    if after.cancel_requested:
        at_ms = draft.ts_ms + draft.settings.execution.lookup_retry_ms
        draft.effect(SetTimer(at_ms, TimerKind.CANCEL, after.client_order_id))
    _ask_again(draft, after)


def on_lookup_failed(draft: Draft, client_order_id: str, why: str) -> None:
    """Nothing was learned: ask again."""
    breaker.on_error(draft, f"an order cannot be looked up ({why})")
    at_ms = draft.ts_ms + draft.settings.execution.lookup_retry_ms
    draft.effect(SetTimer(at_ms, TimerKind.LOOKUP, client_order_id))


def _ask_again(draft: Draft, order: Order) -> None:
    """Ask after an order that should fill at once: a stream may lose the fill."""
    if is_prompt(order) and not draft.settings.absence_is_proof:
        draft.effect(SetTimer(_next_poll_ms(draft, order), TimerKind.LOOKUP, order.client_order_id))


def is_prompt(order: Order) -> bool:
    """It should fill at once: when it does not seem to, a message may be lost. A stop should once it has begun."""
    if order.purpose is Purpose.STOP:
        return max(order.filled, order.reported_filled) > 0
    return order.purpose in (Purpose.ENTRY, Purpose.EXIT) and order.type is OrderType.MARKET


def _next_poll_ms(draft: Draft, order: Order) -> int:
    """The pause between two questions grows with the order's age, of a stop since it was last heard of.

    Not beyond what leaves time to protect what an entry has filled meanwhile: the stream may have lost that fill.
    """
    execution = draft.settings.execution
    since_ms = order.updated_ms if order.purpose is Purpose.STOP else order.created_ms
    pause_ms = max(execution.poll_ms, (draft.ts_ms - since_ms) // 2)
    if order.purpose is Purpose.ENTRY:
        longest_ms = max(execution.stop_confirmation_ms - 2 * execution.poll_ms, execution.poll_ms)
        pause_ms = min(pause_ms, longest_ms)
    return draft.ts_ms + pause_ms


def _look_later(draft: Draft, order: Order) -> None:
    """Ask when absence can be the truth; an order that should fill at once is asked after before, too."""
    execution = draft.settings.execution
    at_ms = absence_proven_ms(draft, order) + 1
    if is_prompt(order):
        at_ms = max(min(at_ms, _next_poll_ms(draft, order)), draft.ts_ms + execution.poll_ms)
    else:
        at_ms = max(at_ms, draft.ts_ms + execution.lookup_retry_ms)
    draft.effect(SetTimer(at_ms, TimerKind.LOOKUP, order.client_order_id))


def _not_found(draft: Draft, order: Order) -> None:
    """The venue knows no such order. In process that is proof; over a wire only a whole snapshot proves it."""
    if not order.is_live:
        return
    if not draft.settings.absence_is_proof:
        if draft.ts_ms > absence_proven_ms(draft, order):
            draft.effect(TakeSnapshot())
        else:
            _look_later(draft, order)
    elif order.state is OrderState.INTENT and draft.ts_ms <= order.not_after_ms:
        if order.cancel_requested:
            _void(draft, order, "cancelled before it was sent")
        else:
            protect.place_again(draft, order)
    else:
        _conclude_absent(draft, order)


def absence_proven_ms(draft: Draft, order: Order) -> int:
    """The instant after which "no such order" can be the truth: nothing in flight, nothing still invisible.

    What an earlier process sent counts from this one's beginning: the clock may have been set in between.
    """
    execution = draft.settings.execution
    began_ms = draft.market.began_ms
    settled_ms = max(order.not_after_ms, began_ms) + execution.recv_window_ms
    if not order.state.is_unresolved:
        settled_ms = max(order.not_after_ms + execution.recv_window_ms, order.updated_ms, began_ms)
    return settled_ms + draft.settings.visibility_delay_ms + execution.absence_margin_ms


def absent_in_snapshot(draft: Draft, client_order_id: str, asked_ms: int, *, is_explained: bool) -> None:
    """A snapshot begun at `asked_ms` shows an order neither by id nor in the list, its fills are booked.

    `is_explained` says that the venue holds what we hold on the symbol: without that nothing is concluded.
    """
    order = draft.book.orders.get(client_order_id)
    if order is None or not order.is_live:
        return
    if draft.settings.absence_is_proof:
        _not_found(draft, order)
    elif asked_ms > absence_proven_ms(draft, order) and is_explained:
        _conclude_absent(draft, order)
    else:
        _look_later(draft, order)


def _conclude_absent(draft: Draft, order: Order) -> None:
    if order.state.is_unresolved:
        _void(draft, order, "the venue never had it")
    else:
        _vanished(draft, order)


def merge_report(draft: Draft, report: OrderReport) -> None:
    """Take in what a report adds; fetch fills that it names and we lack; bring the position into order."""
    order = draft.book.orders.get(report.client_order_id)
    if order is None:
        return
    if report.symbol != order.symbol or report.filled > order.quantity:
        _tells_another(draft, order, report)
        return
    merged = merge(order, report)
    if merged.reported_filled > merged.filled and order.client_order_id not in draft.market.lagging:
        # Reports carry no fills: they are read since the watermark, a moment later where they lag behind.
        draft.effect(SetTimer(draft.ts_ms + draft.settings.execution.poll_ms, TimerKind.FILLS))
    if merged == order:
        return
    _update(draft, merged)
    if merged.is_live and order.state.is_unresolved:
        _ask_again(draft, merged)
    if merged.state is OrderState.REJECTED and order.state is not OrderState.REJECTED:
        _after_refusal(draft, order, report.reason)
    protect.tend(draft, order.position_id)


def _tells_another(draft: Draft, order: Order, report: OrderReport) -> None:
    """The venue knows another order by this id: rows were lost, or somebody gives ids like ours."""
    told = f"{report.symbol} with {money.text(report.filled)} filled"
    if draft.book.control.level is Level.LOCKED:
        return
    draft.record(DifferenceFound("another_order", order.symbol, money.text(order.quantity), told, "locked"))
    reason = f"the venue knows order {order.client_order_id} as another one ({told})"
    raise_level(draft, Level.LOCKED, reason, "reconcile")


def _update(draft: Draft, order: Order) -> None:
    draft.record(
        OrderUpdated(
            order.client_order_id,
            order.state,
            order.reported_filled,
            order.venue_order_id,
            order.reason,
            order.updated_ms,
        )
    )


def _refused(draft: Draft, order: Order, outcome: Rejected) -> None:
    if outcome.retry_after_ms and order.reduce_only:  # an entry may not use the reserve that is kept for these
        draft.see(quiet_until_ms=max(draft.market.quiet_until_ms, draft.ts_ms + outcome.retry_after_ms))
    report = OrderReport(
        order.client_order_id, "", order.symbol, OrderState.REJECTED, money.ZERO, draft.ts_ms, reason=outcome.told
    )
    merge_report(draft, report)


def _after_refusal(draft: Draft, order: Order, reason: str) -> None:
    """What a refusal calls for, whether it came as an answer or by a report."""
    grave = order.purpose is Purpose.STOP or (order.purpose is Purpose.EXIT and _is_left_open(draft, order))
    text = f"{order.symbol}: {order.purpose} order of {order.position_id} was refused ({reason})"
    severity = Severity.CRITICAL if grave else Severity.WARNING
    draft.alert(severity, f"rejected:{order.position_id}:{order.purpose}", text)
    if order.purpose is Purpose.ENTRY:
        _count_reject(draft, order)
    elif order.purpose is Purpose.STOP and not is_passing(reason):  # else it is placed again, until that takes too long
        protect.begin_close(draft, order.position_id, CloseReason.RISK, "the venue refused the stop")
    elif order.purpose is Purpose.EXIT:
        at_ms = protect.retry_exit_at_ms(draft, order.position_id)
        draft.effect(SetTimer(at_ms, TimerKind.RETRY_EXIT, order.position_id))
        draft.effect(TakeSnapshot())


def _is_left_open(draft: Draft, leave: Order) -> bool:
    """A refused exit leaves its position where nothing may close it.

    The first one behind a stop of full size does not: mostly that stop has just closed the position, of which the venue
    told later than of the refusal. The next attempt shows it.
    """
    exits = draft.book.orders_of(leave.position_id, Purpose.EXIT)
    refusals = sum(1 for row in exits if row.state is OrderState.REJECTED)
    return refusals > 1 or not protect.is_covered(draft.book, draft.position(leave.position_id))


def _count_reject(draft: Draft, order: Order) -> None:
    count = draft.book.rejects.get(order.symbol, 0)
    limit = draft.settings.limits.rejects_to_freeze
    if limit and count >= limit and order.symbol not in draft.book.frozen:
        draft.record(SymbolFrozen(order.symbol, f"{count} entries refused in a row"))
        text = f"{order.symbol}: {count} entries refused in a row; no more until `trading-engine resume`"
        draft.alert(Severity.WARNING, f"frozen:{order.symbol}", text)


def _doubtful(draft: Draft, order: Order, why: str) -> None:
    report = OrderReport(
        order.client_order_id, "", order.symbol, OrderState.UNKNOWN, money.ZERO, draft.ts_ms, reason=why
    )
    merged = merge(order, report)
    if merged != order:
        _update(draft, merged)
    if order.state is OrderState.INTENT:  # else the stream has told meanwhile that the venue has it
        text = f"{order.symbol}: outcome of {order.purpose} order {order.client_order_id} is unknown ({why})"
        draft.alert(Severity.WARNING, f"unknown:{order.client_order_id}", text)
    draft.effect(LookUpOrder(order.symbol, order.client_order_id))


def _void(draft: Draft, order: Order, reason: str) -> None:
    report = OrderReport(
        order.client_order_id, "", order.symbol, OrderState.VOID, money.ZERO, draft.ts_ms, reason=reason
    )
    _update(draft, merge(order, report))
    protect.tend(draft, order.position_id)


def _vanished(draft: Draft, order: Order) -> None:
    """An acknowledged order the venue does not know any more: its fills are kept, the rest is gone."""
    report = OrderReport(
        order.client_order_id,
        "",
        order.symbol,
        OrderState.CANCELED,
        order.filled,
        draft.ts_ms,
        reason="gone at the venue",
    )
    draft.record(DifferenceFound("order_gone", order.symbol, f"{order.state}", "unknown", "taken as cancelled"))
    text = f"{order.symbol}: {order.purpose} order of {order.position_id} is gone at the venue; taken as cancelled"
    draft.alert(Severity.WARNING, f"gone:{order.client_order_id}", text)
    _update(draft, merge(order, report))
    protect.tend(draft, order.position_id)


def on_fills_read(draft: Draft, fills: tuple[Fill, ...]) -> None:
    """Book what was missed, in the order it happened; what a report has named and nobody shows is asked for again."""
    for fill in sorted(fills, key=lambda fill: fill.ts_ms):
        on_fill(draft, fill, is_whole_story=True)
    after_reading(draft)


def after_reading(draft: Draft) -> None:
    """What reports have named and a read of fills did not show: the venue's history lags, and is read again.

    What an entry has taken meanwhile is protected by the report's word.
    """
    behind = [order for order in draft.book.orders.values() if order.reported_filled > order.filled]
    lagging = frozenset(order.client_order_id for order in behind)
    if lagging != draft.market.lagging:
        draft.see(lagging=lagging)
        for name in {order.position_id: None for order in behind if order.purpose is Purpose.ENTRY}:
            protect.tend(draft, name)
    if behind:
        age_ms = draft.ts_ms - max(order.updated_ms for order in behind)
        pause_ms = max(draft.settings.execution.poll_ms, min(age_ms // 2, _LONGEST_PAUSE_MS))
        draft.effect(SetTimer(draft.ts_ms + pause_ms, TimerKind.FILLS))
    unbooked = {key: at_ms for key, at_ms in draft.market.unbooked.items() if key not in draft.book.seen}
    if len(unbooked) != len(draft.market.unbooked):
        draft.see(unbooked=unbooked)


def on_fill(draft: Draft, fill: Fill, *, is_whole_story: bool = False) -> None:
    """Book an execution, once, to the position it belongs to.

    `is_whole_story` says that every earlier fill was shown as well (a snapshot). A stream may tell an exit
    before the entry: what reduces more than is open waits for a snapshot, where the order of things is known.
    """
    if fill.key in draft.book.seen or fill.ts_ms < draft.book.ledger.opened_ms:
        return
    if is_whole_story:
        contact.on_fill_read(draft, fill)
    order = draft.book.orders.get(fill.client_order_id)
    position = draft.book.positions.get(order.position_id) if order else None
    if position is not None and position.state is PositionState.CLOSED:
        position = None  # closed earlier in this very step: as late as after it
    is_told = is_whole_story or draft.settings.absence_is_proof
    if position is None:
        _without_position(draft, fill, is_told=is_told)
        return
    if order is not None and fill.quantity > order.quantity - order.filled:
        _leave_unbooked(draft, fill, f"fill {fill.trade_id} is more than order {order.client_order_id} has left")
        return
    if fill.side is closing_side(position.side) and fill.quantity > position.quantity:
        if not is_told:
            draft.effect(FetchFills())
            return
        if _is_entry_behind(draft, position, fill):
            return
        excess = fill
        if position.quantity:
            fill, excess = split_fill(fill, position.quantity)
            _book(draft, position, fill, order)
        foreign.on_fill(draft, excess)  # an order that only reduces opens nothing: it closed a stranger's coins
        return
    _book(draft, position, fill, order)


def _is_entry_behind(draft: Draft, position: Position | None, fill: Fill) -> bool:
    """Fills of the position's own entry may be yet to come: what closes more than we know of waits for them.

    For as long as histories lag at the most; it is read again until then.
    """
    is_late = draft.ts_ms - fill.ts_ms >= LONGEST_LAG_MS
    if position is None or is_late or draft.settings.absence_is_proof or fill.side is not closing_side(position.side):
        return False
    if all(entry.is_settled for entry in draft.book.orders_of(position.position_id, Purpose.ENTRY)):
        return False
    draft.effect(SetTimer(draft.ts_ms + draft.settings.execution.poll_ms, TimerKind.FILLS))
    return True


def _leave_unbooked(draft: Draft, fill: Fill, reason: str) -> None:
    """What this fill is cannot be said without a person: it is kept in mind, read again, and nothing is entered."""
    draft.see(unbooked={**draft.market.unbooked, fill.key: fill.ts_ms})
    if draft.book.control.level is Level.LOCKED:
        return
    draft.record(DifferenceFound("unknown_origin", fill.symbol, "", fill.client_order_id, "locked"))
    raise_level(draft, Level.LOCKED, reason, "reconcile")


def _without_position(draft: Draft, fill: Fill, *, is_told: bool) -> None:
    """A fill that belongs to no open position of ours: a stranger's, a late one, or one of a lost database."""
    key = parse_client_order_id(fill.client_order_id)
    if key is None or fill.is_liquidation:
        _from_outside(draft, fill, is_told=is_told)
    elif key.epoch == draft.book.epoch and key.position_number < draft.book.next_position:
        if key.purpose is Purpose.ENTRY:
            _late_fill(draft, fill, position_id(key.position_number))
        else:  # it only reduces, so it has closed what is there now
            _from_outside(draft, fill, is_told=is_told)
    elif _closes_what_a_backup_holds(draft, fill, key):
        _from_outside(draft, fill, is_told=is_told)
    elif fill.ts_ms > draft.book.ledger.rebased_ms:
        _lock_on_unknown_origin(draft, fill)
    else:  # an operator has resumed since: the past of a lost database is a stranger's
        _from_outside(draft, fill, is_told=is_told)


def _closes_what_a_backup_holds(draft: Draft, fill: Fill, key: OrderKey) -> bool:
    """An exit that was made after the backup, of a position that is in it: the epoch before this one sent its orders.

    Until it is booked the position seems open, and stops and exits would be sent for nothing.
    """
    held = draft.book.position_on(fill.symbol)
    if held is None or key.purpose is Purpose.ENTRY or held.number != key.position_number:
        return False
    ids = (parse_client_order_id(order.client_order_id) for order in draft.book.orders_of(held.position_id))
    return any(known is not None and known.epoch == key.epoch for known in ids)


def _lock_on_unknown_origin(draft: Draft, fill: Fill) -> None:
    """A fill of an order that this database never made: a restored backup, a lost file, a second instance."""
    leave_epoch(draft, fill.client_order_id)
    reason = f"fill {fill.trade_id} is of order {fill.client_order_id}, which this database never made"
    _leave_unbooked(draft, fill, reason)


def leave_epoch(draft: Draft, client_order_id: str) -> None:
    """Rows of this very database were lost: ids that it would give next are taken at the venue, so others begin."""
    key = parse_client_order_id(client_order_id)
    if key is not None and key.epoch == draft.book.epoch:
        draft.record(EpochChanged(next_epoch(key.epoch, draft.ts_ms), f"{client_order_id} is no row of it"))


def split_fill(fill: Fill, quantity: Decimal) -> tuple[Fill, Fill]:
    """A fill cut at `quantity`: fee and PnL by share, the second part takes the remainder and a key of its own."""
    fee = money.share(fill.fee, quantity, fill.quantity)
    first = replace(fill, quantity=quantity, fee=fee)
    second = replace(
        fill,
        quantity=fill.quantity - quantity,
        fee=money.subtract(fill.fee, fee),
        trade_id=f"{fill.trade_id}{PART_MARK}" if quantity else fill.trade_id,
        realized_pnl=None,
    )
    return first, second


def _book(draft: Draft, position: Position, fill: Fill, order: Order | None) -> None:
    own_gross = gross_of(position, fill)
    is_opening = fill.side is opening_side(position.side)
    keeps_own = foreign.keeps_own_figures(draft, position)
    is_ours = keeps_own or fill.realized_pnl is None
    gross = money.ZERO if is_opening else own_gross if is_ours else fill.realized_pnl or money.ZERO
    day = day_of(fill.ts_ms, draft.settings.limits.day_start_ms)
    # An opening of ours realises nothing: what the venue books for it closed a stranger's coins.
    adjustment = foreign.strangers_part(fill, gross) if keeps_own or is_opening else money.ZERO
    draft.record(FillApplied(fill, position.position_id, gross, own_gross, day, adjustment, draft.settings.asset))
    fees.tell_left_out(draft, fill)
    if gross != own_gross and not foreign.is_rounding(position, gross - own_gross):
        ours, theirs = money.text(own_gross), money.text(gross)
        text = f"{fill.symbol}: the venue books {theirs} for trade {fill.trade_id}, our arithmetic gives {ours}"
        draft.record(DifferenceFound("pnl", fill.symbol, ours, theirs, "the venue's figure is booked"))
        draft.alert(Severity.WARNING, f"pnl:{fill.key}", text)
    slippage.judge(draft, position, fill, order)
    _tell_part(draft, position, order)
    if order is not None and order.purpose is Purpose.STOP and not order.filled and order.is_live:
        _ask_again(draft, draft.book.orders[order.client_order_id])
    _move_on(draft, position, fill, order)
    protect.tend(draft, position.position_id)


def _tell_part(draft: Draft, before: Position, order: Order | None) -> None:
    """A partial profit that is taken whole, while the rest goes on."""
    if order is None or order.purpose is not Purpose.PARTIAL:
        return
    after, part = draft.position(before.position_id), draft.book.orders[order.client_order_id]
    if part.remaining or not after.quantity:
        return
    r_multiple = after.r_multiple(after.net_pnl)
    in_r = f", {r_multiple:+.2f} R" if r_multiple is not None else ""
    made = f"{after.net_pnl:+.2f} {draft.settings.asset}{in_r} so far"
    text = (
        f"{after.symbol} {after.side}: {money.text(part.filled)} closed for a part of the profit, {made};"
        f" {money.text(after.quantity)} left, stop {money.text(after.stop_price)}"
    )
    draft.alert(Severity.INFO, f"partial:{order.client_order_id}", text)


def _move_on(draft: Draft, position: Position, fill: Fill, order: Order | None) -> None:
    """The life-cycle moves that one fill causes."""
    if position.state is PositionState.PENDING:
        draft.advance(position.position_id, Trigger.FIRST_FILL, f"fill {fill.trade_id}")
        _announce_open(draft, position, fill)
        if (fill.price - position.initial_stop) * position.side.sign <= 0:
            cause = "filled beyond its own stop"
            protect.begin_close(draft, position.position_id, CloseReason.STOP, cause)
        kill.enforce_level(draft)  # the entry may have filled while its cancel was on the way
    elif position.state is PositionState.OPEN:
        reason = _close_reason(position, fill, order)
        if reason is not None:
            draft.advance(position.position_id, Trigger.BEGIN_CLOSE, f"fill {fill.trade_id}", reason)


def _close_reason(position: Position, fill: Fill, order: Order | None) -> CloseReason | None:
    if order is None:
        if fill.quantity < position.quantity:
            return None  # what is left goes on, behind a smaller stop
        if fill.is_liquidation:
            return CloseReason.LIQUIDATION
        return CloseReason.ADL if fill.is_adl else CloseReason.EXTERNAL
    if order.purpose is Purpose.STOP:
        return CloseReason.STOP if order.trigger_price == position.initial_stop else CloseReason.TRAILING
    if order.purpose is Purpose.TARGET and fill.quantity >= position.quantity:
        return CloseReason.TARGET
    return None  # a target that rests may wait for the price with its remainder: until then the position is open


def _announce_open(draft: Draft, position: Position, fill: Fill) -> None:
    text = (
        f"{position.symbol} {position.side} opened at {money.text(fill.price)}, stop {money.text(position.stop_price)}"
    )
    draft.alert(Severity.INFO, f"opened:{position.position_id}", text)


def _from_outside(draft: Draft, fill: Fill, *, is_told: bool) -> None:
    """A liquidation or a person's order: what of it closes our position is booked there, the rest is not ours.

    A stream may tell it before the entry that it closes, so without the whole story nothing is taken for foreign.
    """
    position = draft.book.position_on(fill.symbol)
    ours = foreign.part_of_ours(draft, fill, position)
    if ours < fill.quantity and not is_told:
        draft.effect(FetchFills())
        return
    if ours < fill.quantity and _is_entry_behind(draft, position, fill):
        return
    if position is None or not ours:
        foreign.on_fill(draft, fill)
        return
    mine, rest = (fill, None) if ours == fill.quantity else split_fill(fill, ours)
    text = f"{fill.symbol}: {_cause(fill)} of {money.text(ours)} at {money.text(fill.price)} reduced the position"
    draft.alert(Severity.CRITICAL, f"outside:{fill.key}", text)
    if is_emergency_order_id(fill.client_order_id):
        raise_level(draft, Level.NO_ENTRY, "somebody closed positions with `flatten --direct`", "operator")
    _book(draft, position, mine, None)
    if rest is not None:
        foreign.on_fill(draft, rest)


def _cause(fill: Fill) -> str:
    if fill.is_liquidation:
        return "liquidation"
    if fill.is_adl:
        return "auto-deleveraging"
    if is_emergency_order_id(fill.client_order_id):
        return "the emergency close"
    is_late = parse_client_order_id(fill.client_order_id) is not None
    return "a late fill of an order of ours" if is_late else "a fill that is not ours"


def _late_fill(draft: Draft, fill: Fill, origin: str) -> None:
    """A fill of ours after its position closed never reopens it: what it left is closed at once."""
    text = f"{fill.symbol}: late fill {fill.trade_id} of {origin}; closing what it opened"
    held = draft.book.position_on(fill.symbol)
    if held is not None:
        draft.see(unbooked={**draft.market.unbooked, fill.key: fill.ts_ms})
        if fill.symbol not in draft.book.frozen:
            draft.record(SymbolFrozen(fill.symbol, f"late fill {fill.trade_id} beside an open position"))
            draft.alert(Severity.CRITICAL, f"late:{fill.key}", f"{text} once the open position is closed")
        if fill.side is opening_side(held.side):  # nothing covers what it added
            protect.begin_close(draft, held.position_id, CloseReason.RISK, "a late fill stands beside it")
        return
    number = draft.book.next_position
    side = Side.LONG if fill.side is TradeSide.BUY else Side.SHORT
    residual = Position(
        position_id=position_id(number),
        number=number,
        symbol=fill.symbol,
        side=side,
        strategy="residual",
        state=PositionState.CLOSING,
        intended_quantity=fill.quantity,
        reference_price=fill.price,
        initial_stop=fill.price,
        stop_price=fill.price,
        target_price=None,
        leverage=draft.settings.leverage,
        signal_ms=fill.ts_ms,
        created_ms=draft.ts_ms,
        close_reason=CloseReason.EXTERNAL,
        residual_of=origin,
    )
    draft.record(PositionOpened(residual))
    draft.alert(Severity.CRITICAL, f"late:{fill.key}", text)
    _book(draft, residual, fill, None)


def on_income(draft: Draft, income: Income) -> None:
    """Book funding or another wallet change, once, to the position it belongs to; another asset is another wallet."""
    if income.asset != draft.settings.asset:
        return
    if income.key in draft.book.seen or income.ts_ms < draft.book.ledger.opened_ms:
        return
    owner = ""
    if income.kind is not PnlKind.TRANSFER:
        held = draft.book.position_on(income.symbol)
        if held is not None and held.opened_ms and held.opened_ms < income.ts_ms:
            owner = held.position_id
        else:
            owner = _last_closed(draft, income)
        is_traded = not income.symbol or income.symbol in draft.settings.instruments
        if not owner and not is_traded:
            foreign.on_income(draft, income)
            return
    day = day_of(income.ts_ms, draft.settings.limits.day_start_ms)
    draft.record(IncomeBooked(income, owner, day))


def _last_closed(draft: Draft, income: Income) -> str:
    """The position on the symbol that closed at or after the settlement, where one did."""
    for trade in reversed(draft.book.ledger.closed):
        if trade.symbol == income.symbol:
            return trade.position_id if trade.closed_ms >= income.ts_ms else ""
    return ""
