"""Time has come: each timer checks whether its reason still stands.

What belongs here: what a timer means. What does not: keeping timers (runtime).
"""

from trading_engine.core import contact, on_venue, protect
from trading_engine.core.draft import Draft
from trading_engine.core.effects import Effect, FetchFills, LookUpOrder, SetTimer, TakeSnapshot
from trading_engine.core.settings import EngineSettings
from trading_engine.core.state import Book
from trading_engine.domain.events import TimerFired, TimerKind
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import CloseReason, PositionState
from trading_engine.domain.severity import Severity


def on_timer(draft: Draft, event: TimerFired) -> None:  # noqa: C901, PLR0912 - a line or two a kind
    """Dispatch by kind."""
    if event.kind is TimerKind.ENTRY_DEADLINE:
        order = draft.book.orders.get(event.key)
        if order is not None:
            protect.cancel(draft, order, "entry deadline")
    elif event.kind is TimerKind.STOP_CONFIRMATION:
        _stop_unconfirmed(draft, event.key)
    elif event.kind is TimerKind.RETRY_EXIT:
        _retry_exit(draft, event.key)
    elif event.kind is TimerKind.PROTECT:
        if event.key in draft.book.positions:
            protect.tend(draft, event.key)
    elif event.kind is TimerKind.FILLS:
        draft.effect(FetchFills())
    elif event.kind is TimerKind.CANCEL:
        on_venue.cancel_again(draft, event.key)
    elif event.kind is TimerKind.LOOKUP:
        order = draft.book.orders.get(event.key)
        if order is not None and order.is_live:
            draft.effect(LookUpOrder(order.symbol, order.client_order_id))
    elif event.kind is TimerKind.OUTAGE:
        contact.on_outage_timer(draft)
    elif event.kind is TimerKind.STREAM:
        contact.on_stream_timer(draft)
    else:
        draft.effect(TakeSnapshot())
        at_ms = draft.ts_ms + draft.settings.execution.reconcile_interval_ms
        draft.effect(SetTimer(at_ms, TimerKind.RECONCILE))


def _retry_exit(draft: Draft, position_id: str) -> None:
    if position_id not in draft.book.positions:
        return
    at_ms = protect.retry_exit_at_ms(draft, position_id)
    if draft.ts_ms < at_ms:
        draft.effect(SetTimer(at_ms, TimerKind.RETRY_EXIT, position_id))
    else:
        protect.tend(draft, position_id)


def _stop_unconfirmed(draft: Draft, position_id: str) -> None:
    """An open position without a confirmed stop for too long is closed."""
    position = draft.book.positions.get(position_id)
    since_ms = draft.market.uncovered.get(position_id)
    if position is None or since_ms is None:
        return  # covered meanwhile, or on its way out
    confirm_by = since_ms + draft.settings.execution.stop_confirmation_ms
    if draft.ts_ms < confirm_by:
        draft.effect(SetTimer(confirm_by, TimerKind.STOP_CONFIRMATION, position_id))
        return
    text = f"{position.symbol}: stop of {position_id} is not confirmed in time; closing the position"
    draft.alert(Severity.CRITICAL, f"unprotected:{position_id}", text)
    protect.begin_close(draft, position_id, CloseReason.RISK, "stop not confirmed in time")


def boot_timers(book: Book, settings: EngineSettings, now_ms: int) -> tuple[Effect, ...]:
    """The timers that a book calls for, so that a restart forgets none."""
    execution = settings.execution
    timers: list[Effect] = [SetTimer(now_ms + execution.reconcile_interval_ms, TimerKind.RECONCILE)]
    for order in book.orders.values():
        if order.purpose is Purpose.ENTRY and order.is_live and not order.cancel_requested:
            at_ms = order.created_ms + execution.entry_ttl_ms
            timers.append(SetTimer(at_ms, TimerKind.ENTRY_DEADLINE, order.client_order_id))
        if order.is_live and on_venue.is_prompt(order) and not settings.absence_is_proof:
            timers.append(SetTimer(now_ms + execution.poll_ms, TimerKind.LOOKUP, order.client_order_id))
    for position in book.positions.values():
        if position.state is PositionState.OPEN:
            # The first snapshot brings its stop in order; where there is none to be had, this does.
            timers.append(SetTimer(now_ms + execution.resend_ms, TimerKind.PROTECT, position.position_id))
        elif position.state is PositionState.CLOSING:
            timers.append(SetTimer(now_ms + execution.retry_exit_ms, TimerKind.RETRY_EXIT, position.position_id))
    return tuple(timers)
