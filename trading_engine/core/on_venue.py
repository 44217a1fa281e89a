"""The venue has answered: merge, and bring the position into order.

What belongs here: replies to orders and cancels, look-ups, reports. What does not: fills and incomes (booking),
snapshots (reconcile uses these very functions), timers (on_timer).

An unknown outcome is never read as failure: the order becomes UNKNOWN, is looked up, and only the venue's
answer after the send window proves absence.
"""

from trading_engine.core import authority, breaker, protect, refusal
from trading_engine.core.draft import Draft
from trading_engine.core.effects import LookUpOrder, SetTimer, TakeSnapshot
from trading_engine.core.on_command import raise_level
from trading_engine.domain import money
from trading_engine.domain.control import Level
from trading_engine.domain.events import TimerKind
from trading_engine.domain.ids import (
    Purpose,
)
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import Order, OrderReport, OrderState, merge
from trading_engine.domain.records import (
    DifferenceFound,
    OrderUpdated,
)
from trading_engine.domain.reports import KEY_CODE, Accepted, OrderLookup, Outcome, Rejected, is_passing
from trading_engine.domain.severity import Severity


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
    ask_again(draft, after)


def on_lookup_failed(draft: Draft, client_order_id: str, why: str) -> None:
    """Nothing was learned: ask again."""
    breaker.on_error(draft, f"an order cannot be looked up ({why})")
    at_ms = draft.ts_ms + draft.settings.execution.lookup_retry_ms
    draft.effect(SetTimer(at_ms, TimerKind.LOOKUP, client_order_id))


def ask_again(draft: Draft, order: Order) -> None:
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
    update(draft, merged)
    if merged.is_live and order.state.is_unresolved:
        ask_again(draft, merged)
    if merged.state is OrderState.REJECTED and order.state is not OrderState.REJECTED:
        refusal.after(draft, order, report.reason)
    protect.tend(draft, order.position_id)


def _tells_another(draft: Draft, order: Order, report: OrderReport) -> None:
    """The venue knows another order by this id: rows were lost, or somebody gives ids like ours."""
    told = f"{report.symbol} with {money.text(report.filled)} filled"
    if draft.book.control.level is Level.LOCKED:
        return
    draft.record(DifferenceFound("another_order", order.symbol, money.text(order.quantity), told, "locked"))
    reason = f"the venue knows order {order.client_order_id} as another one ({told})"
    raise_level(draft, Level.LOCKED, reason, "reconcile")


def update(draft: Draft, order: Order) -> None:
    """Write down what was learned about an order."""
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


def _doubtful(draft: Draft, order: Order, why: str) -> None:
    report = OrderReport(
        order.client_order_id, "", order.symbol, OrderState.UNKNOWN, money.ZERO, draft.ts_ms, reason=why
    )
    merged = merge(order, report)
    if merged != order:
        update(draft, merged)
    if order.state is OrderState.INTENT:  # else the stream has told meanwhile that the venue has it
        text = f"{order.symbol}: outcome of {order.purpose} order {order.client_order_id} is unknown ({why})"
        draft.alert(Severity.WARNING, f"unknown:{order.client_order_id}", text)
    draft.effect(LookUpOrder(order.symbol, order.client_order_id))


def _void(draft: Draft, order: Order, reason: str) -> None:
    report = OrderReport(
        order.client_order_id, "", order.symbol, OrderState.VOID, money.ZERO, draft.ts_ms, reason=reason
    )
    update(draft, merge(order, report))
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
    update(draft, merge(order, report))
    protect.tend(draft, order.position_id)
