"""Dropping a position that only the book holds: what speaks against it, and what is written down.

What belongs here: judging two looks at the venue, and the act. What does not: looking, and who may ask for it
(runtime); what the wallet lost or won by it (on_command.on_gap_accepted).

A pause that outlasts the history of a venue may leave a position whose end nobody tells any more: the venue is flat,
the book is not, and every exit is refused. The fills that ended it cannot be had, so no result is invented for it.
"""

from collections.abc import Iterator, Sequence

from trading_engine.core import booking, on_venue, risk
from trading_engine.core.draft import Draft
from trading_engine.domain import money
from trading_engine.domain.events import DropRequested
from trading_engine.domain.fills import Fill
from trading_engine.domain.ids import is_emergency_order_id, parse_client_order_id
from trading_engine.domain.lifecycle import CloseReason, PositionState, Trigger
from trading_engine.domain.orders import Order, OrderReport, OrderState, closing_side, merge
from trading_engine.domain.position import Position
from trading_engine.domain.records import EquitySampled, PositionDropped
from trading_engine.domain.reports import VenueSnapshot
from trading_engine.domain.severity import Severity

LOOKS = 2
PATIENCE_MS = booking.LONGEST_LAG_MS  # between the looks over a wire: a fill that lags is told by then


def objections(draft: Draft, symbol: str, looks: Sequence[VenueSnapshot]) -> tuple[str, ...]:
    """What in these looks speaks against a position on `symbol` that only the book holds; nothing where it is one."""
    position = draft.book.position_on(symbol)
    if position is None or not position.quantity:
        return (f"{symbol}: no position is held here, so there is nothing to drop",)
    return tuple(dict.fromkeys(reason for look in looks for reason in _seen(draft, position, look)))


def refusals(draft: Draft, symbol: str, looks: Sequence[VenueSnapshot]) -> tuple[str, ...]:
    """Why the position on `symbol` cannot be dropped on the word of these looks; nothing where it can."""
    found = objections(draft, symbol, looks)
    if found:
        return found
    patience_ms = 0 if draft.settings.absence_is_proof else PATIENCE_MS
    if len(looks) < LOOKS or looks[-1].ts_ms - looks[0].ts_ms < patience_ms:
        return (f"{symbol}: it takes two looks at the venue, {patience_ms // 1000} s apart",)
    return tuple(
        f"{symbol}: {order.purpose} order {order.client_order_id} is {order.state}, and the venue does not prove yet"
        " what became of it; try again in a minute"
        for order, ended in _ends(draft, symbol, looks[-1])
        if ended is None
    )


def on_drop(draft: Draft, event: DropRequested) -> None:
    """Close the position with what is known of it; where something speaks against that, nothing happens."""
    position = draft.book.position_on(event.symbol)
    if position is None or refusals(draft, event.symbol, event.looks):
        return
    name = position.position_id
    ends = [ended for _, ended in _ends(draft, event.symbol, event.looks[-1]) if ended is not None]
    looked_ms = tuple(look.ts_ms for look in event.looks)
    draft.record(PositionDropped(name, position.quantity, event.actor, event.reason, draft.ts_ms, looked_ms))
    for ended in ends:
        on_venue.update(draft, ended)
    cause = f"dropped by {event.actor}"
    if position.state is PositionState.OPEN:
        draft.advance(name, Trigger.BEGIN_CLOSE, cause, CloseReason.EXTERNAL)
    draft.advance(name, Trigger.FLAT, cause, CloseReason.EXTERNAL)
    text = (
        f"{position.symbol} {position.side}: {money.text(position.quantity)} of {name} dropped by {event.actor}"
        f" ({event.reason}): the venue holds none of it, and what it made is not known"
    )
    draft.alert(Severity.WARNING, f"dropped:{name}", text)
    open_pnl = money.round_money(risk.unrealized(draft.book, draft.marks))
    draft.record(EquitySampled(draft.ts_ms, draft.book.ledger.balance, open_pnl))


def _seen(draft: Draft, position: Position, look: VenueSnapshot) -> Iterator[str]:
    """What one look shows that speaks against it."""
    symbol = position.symbol
    for held in look.positions:
        if held.symbol == symbol and held.quantity:
            what = f"{held.side} {money.text(held.quantity)}"
            yield f"{symbol}: the venue holds {what}; what it holds is closed (`flatten --direct`), not dropped"
    for report in look.open_orders:
        if report.symbol == symbol and _is_ours(draft, report.client_order_id):
            order = report.client_order_id
            yield f"{symbol}: order {order} of ours rests at the venue; cancel it on its page first"
    for fill in look.fills:
        if fill.symbol == symbol and _may_explain(draft, position, fill):
            yield f"{symbol}: fill {fill.trade_id} is not booked yet; first `reconcile --apply` without --drop"


def _is_ours(draft: Draft, client_order_id: str) -> bool:
    is_own_kind = parse_client_order_id(client_order_id) is not None or is_emergency_order_id(client_order_id)
    return is_own_kind or client_order_id in draft.book.orders


def _may_explain(draft: Draft, position: Position, fill: Fill) -> bool:
    """Not booked, and it closes what is held, or it is of one of the position's own orders."""
    if fill.key in draft.book.seen or fill.ts_ms < draft.book.ledger.opened_ms:
        return False
    order = draft.book.orders.get(fill.client_order_id)
    is_own = order is not None and order.position_id == position.position_id
    return is_own or fill.side is closing_side(position.side)


def _ends(draft: Draft, symbol: str, look: VenueSnapshot) -> Iterator[tuple[Order, Order | None]]:
    """Each live order on the symbol with the final form that the look proves, None where it proves none."""
    told = {lookup.client_order_id: lookup for lookup in look.lookups}
    for order in draft.book.orders.values():
        if order.symbol == symbol and order.is_live:
            lookup = told.get(order.client_order_id)
            report = None if lookup is None else lookup.report or _absence(draft, order, look.ts_ms)
            yield order, None if report is None else _ended(order, report)


def _ended(order: Order, report: OrderReport) -> Order | None:
    """The order with what the report says of it, None where it goes on or is another one."""
    if report.symbol != order.symbol or report.filled > order.quantity:
        return None
    merged = merge(order, report)
    return None if merged.is_live else merged


def _absence(draft: Draft, order: Order, asked_ms: int) -> OrderReport | None:
    """What "no such order" comes to, None while it may not be the truth yet."""
    if not draft.settings.absence_is_proof and asked_ms <= on_venue.absence_proven_ms(draft, order):
        return None
    state = OrderState.VOID if order.state.is_unresolved else OrderState.CANCELED
    reason = "the venue never had it" if state is OrderState.VOID else "gone at the venue"
    return OrderReport(order.client_order_id, "", order.symbol, state, order.filled, draft.ts_ms, reason=reason)
