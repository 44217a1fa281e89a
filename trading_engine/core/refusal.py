"""A refused order: what it calls for, and how often it is told.

What belongs here: entries that are counted, stops and exits that leave a position in danger. What does not: how an
answer becomes a refusal (on_venue), when an exit is tried again (protect).
"""

from trading_engine.core import protect
from trading_engine.core.draft import Draft
from trading_engine.core.effects import SetTimer, TakeSnapshot
from trading_engine.domain.events import TimerKind
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import CloseReason
from trading_engine.domain.orders import Order, OrderState
from trading_engine.domain.records import SymbolFrozen
from trading_engine.domain.reports import is_passing
from trading_engine.domain.severity import Severity
from trading_engine.domain.time import HOUR_MS

_TOLD_AT_ONCE = 2  # refusals of an exit, before they are told once an hour


def after(draft: Draft, order: Order, reason: str) -> None:
    """What a refusal calls for, whether it came as an answer or by a report."""
    grave = order.purpose is Purpose.STOP or (order.purpose is Purpose.EXIT and _is_left_open(draft, order))
    text = f"{order.symbol}: {order.purpose} order of {order.position_id} was refused ({reason})"
    severity = Severity.CRITICAL if grave else Severity.WARNING
    refused_ms = _refused_exits(draft, order)
    if len(refused_ms) > _TOLD_AT_ONCE and not is_passing(reason):
        text += f", {len(refused_ms)} times by now; if the venue holds none of it: `trading-engine reconcile --plan`"
    if is_passing(reason) or _is_news(refused_ms):
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


def _refused_exits(draft: Draft, order: Order) -> list[int]:
    """When the venue has looked at exits of the order's position and said no; empty for another order than an exit."""
    if order.purpose is not Purpose.EXIT:
        return []
    return [
        row.updated_ms
        for row in draft.book.orders_of(order.position_id, Purpose.EXIT)
        if row.state is OrderState.REJECTED and not is_passing(row.reason)
    ]


def _is_news(refused_ms: list[int]) -> bool:
    """Two refusals are told at once, what follows once an hour: it is tried again and again, also of a phantom."""
    if len(refused_ms) <= _TOLD_AT_ONCE:
        return True
    since_ms = refused_ms[_TOLD_AT_ONCE - 1]
    return (refused_ms[-1] - since_ms) // HOUR_MS > (refused_ms[-2] - since_ms) // HOUR_MS


def _count_reject(draft: Draft, order: Order) -> None:
    count = draft.book.rejects.get(order.symbol, 0)
    limit = draft.settings.limits.rejects_to_freeze
    if limit and count >= limit and order.symbol not in draft.book.frozen:
        draft.record(SymbolFrozen(order.symbol, f"{count} entries refused in a row"))
        text = f"{order.symbol}: {count} entries refused in a row; no more until `trading-engine resume`"
        draft.alert(Severity.WARNING, f"frozen:{order.symbol}", text)
