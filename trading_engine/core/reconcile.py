"""Reconciliation: what the venue shows against what we hold, as one pure plan.

What belongs here: the comparison and what follows from each difference. What does not: reading the
account (runtime.sync), merging and booking (on_venue: the same functions the stream uses).

Order of work: own orders, fills and income since the watermark, stops, net positions; only then the entry
gate opens. A snapshot that failed changes nothing but the gate.
"""

from collections.abc import Sequence
from decimal import Decimal

from trading_engine.core import authority, booking, breaker, contact, danger, foreign, on_venue, protect
from trading_engine.core.draft import Draft
from trading_engine.core.effects import CancelOrder, SetTimer, TakeSnapshot
from trading_engine.core.on_command import raise_level
from trading_engine.core.state import Doubt
from trading_engine.domain import money
from trading_engine.domain.control import Level
from trading_engine.domain.events import TimerKind
from trading_engine.domain.fills import Fill, Income
from trading_engine.domain.ids import OrderKey, parse_client_order_id, position_id
from trading_engine.domain.money import ZERO
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import OrderReport
from trading_engine.domain.records import DifferenceFound
from trading_engine.domain.reports import VenueSnapshot
from trading_engine.domain.severity import Severity
from trading_engine.domain.time import iso


def on_snapshot(draft: Draft, snapshot: VenueSnapshot) -> None:
    """Bring the book to what the snapshot proves; open the entry gate where nothing is left unexplained."""
    draft.see(reconciled_ms=draft.ts_ms)
    breaker.on_answer(draft)
    authority.on_read(draft)
    _book_what_happened(draft, snapshot)
    foreign.on_orders(draft, [report for report in snapshot.open_orders if _is_foreign(draft, report)])
    unexplained = _differences(draft, snapshot)
    for report in snapshot.open_orders:
        _order_at_venue(draft, report, is_unexplained=report.symbol in unexplained)
    _take_in_lookups(draft, snapshot)
    unanswered = [order.client_order_id for order in draft.book.orders.values() if order.cancel_requested]
    for held in list(draft.book.positions):
        protect.tend(draft, held)
    _cancel_what_is_left(draft, snapshot, unanswered)
    _compare_positions(draft, snapshot)
    danger.on_positions(draft, snapshot.positions)
    _compare_wallet(draft, snapshot)
    _judge_untold(draft, snapshot)
    if draft.market.doubts:
        _look_again(draft)
    booking.after_reading(draft)
    is_current = draft.market.is_connected and snapshot.ts_ms >= draft.market.connected_ms
    draft.see(is_synced=is_current)
    if is_current:
        contact.on_found(draft)


def on_snapshot_failed(draft: Draft, why: str, *, is_key: bool = False) -> None:
    """Failure is not "flat": the old view stays and the gate is shut."""
    draft.see(is_synced=False)
    if is_key:
        authority.on_refused(draft, why, by_read=True)
    contact.on_lost(draft, f"the account cannot be read ({why})")


def on_stream_lost(draft: Draft, why: str) -> None:
    """Nobody tells what happens: no entries until the stream is back and a snapshot was reconciled."""
    draft.see(is_connected=False, is_synced=False)
    contact.on_lost(draft, f"the user stream is lost ({why})")


def on_stream_restored(draft: Draft) -> None:
    """The stream speaks again; what it did not tell is read."""
    draft.see(is_connected=True, connected_ms=draft.ts_ms)
    draft.effect(TakeSnapshot())


def _look_again(draft: Draft) -> None:
    at_ms = draft.ts_ms + draft.settings.execution.lookup_retry_ms
    draft.effect(SetTimer(at_ms, TimerKind.RECONCILE))


def _take_in_lookups(draft: Draft, snapshot: VenueSnapshot) -> None:
    differences = _differences(draft, snapshot)
    for lookup in snapshot.lookups:
        order = draft.book.orders.get(lookup.client_order_id)
        if lookup.report is not None or order is None:
            on_venue.on_looked_up(draft, lookup)
            continue
        difference = differences.get(order.symbol, ZERO)
        # What this order's own fills would make is not explained, unless it has stood for longer than fills can lag.
        is_explained = difference * order.side.sign <= 0 or _has_stood(draft, order.symbol, difference)
        on_venue.absent_in_snapshot(draft, order.client_order_id, snapshot.ts_ms, is_explained=is_explained)


def _book_what_happened(draft: Draft, snapshot: VenueSnapshot) -> None:
    """Income and fills in the order they happened; income first at one instant (held before it)."""
    events: list[tuple[int, int, int, Income | Fill]] = []
    events.extend((income.ts_ms, 0, at, income) for at, income in enumerate(snapshot.incomes))
    events.extend((fill.ts_ms, 1, at, fill) for at, fill in enumerate(snapshot.fills))
    for _, _, _, event in sorted(events, key=lambda item: item[:3]):
        if isinstance(event, Income):
            booking.on_income(draft, event)
        else:
            booking.on_fill(draft, event, is_whole_story=True)


def _cancel_what_is_left(draft: Draft, snapshot: VenueSnapshot, unanswered: Sequence[str]) -> None:
    """Cancels that have not happened, of orders that are shown; last, when it is known which stops there still are."""
    listed = {report.client_order_id for report in snapshot.open_orders}
    for client_order_id in unanswered:
        order = draft.book.orders.get(client_order_id)
        if order is not None and client_order_id in listed:
            protect.cancel_again(draft, order, listed)


def _order_at_venue(draft: Draft, report: OrderReport, *, is_unexplained: bool) -> None:
    """What becomes of an open order; `is_unexplained` says that the venue holds another quantity than we do."""
    key = parse_client_order_id(report.client_order_id)
    if report.client_order_id in draft.book.orders:
        on_venue.merge_report(draft, report)
    elif key is None or draft.settings.signals_only:
        return  # not ours: judged above
    elif key.epoch != draft.book.epoch:
        reason = f"order {report.client_order_id} is of another database (a restored backup, a second instance?)"
        if draft.book.control.level is not Level.LOCKED:
            _note(draft, "other_epoch", report.symbol, "none", report.client_order_id, "locked")
        raise_level(draft, Level.LOCKED, reason, "reconcile")
    elif is_unexplained and report.reduce_only and _is_lost(draft, key):
        # Perhaps all that stands between that position and the market: a person decides.
        booking.leave_epoch(draft, report.client_order_id)
        reason = f"order {report.client_order_id} guards what we do not hold"
        foreign.freeze(draft, report.symbol, "orphan_order", reason)
    else:
        if _is_lost(draft, key):
            booking.leave_epoch(draft, report.client_order_id)
        _note(draft, "orphan_order", report.symbol, "none", report.client_order_id, "cancelled")
        text = f"{report.symbol}: orphan order {report.client_order_id} is cancelled"
        draft.alert(Severity.WARNING, f"orphan:{report.client_order_id}", text)
        draft.effect(CancelOrder(report.symbol, report.client_order_id, report.venue_order_id))


def _is_lost(draft: Draft, key: OrderKey) -> bool:
    """The row was lost with the disk: the order is of a position that is open here, or that is yet to come."""
    return key.position_number >= draft.book.next_position or position_id(key.position_number) in draft.book.positions


def _differences(draft: Draft, snapshot: VenueSnapshot) -> dict[str, Decimal]:
    """Signed net quantity of the venue less ours and known strangers', for each traded symbol where they differ."""
    theirs = dict.fromkeys(draft.settings.instruments, ZERO)  # others are nobody's business but the margin's
    for held in snapshot.positions:
        if held.symbol in theirs:
            theirs[held.symbol] += held.quantity * held.side.sign
    return {
        symbol: quantity - _held(draft, symbol)
        for symbol, quantity in sorted(theirs.items())
        if quantity != _held(draft, symbol)
    }


def _has_stood(draft: Draft, symbol: str, difference: Decimal) -> bool:
    doubt = draft.market.doubts.get(symbol)
    return (
        doubt is not None and doubt.difference == difference and draft.ts_ms - doubt.since_ms >= booking.LONGEST_LAG_MS
    )


def _is_foreign(draft: Draft, report: OrderReport) -> bool:
    """Where nothing is sent nothing can be ours either that is no row: another engine trades on the account."""
    is_known = report.client_order_id in draft.book.orders
    is_own_kind = parse_client_order_id(report.client_order_id) is not None
    return not is_known and (draft.settings.signals_only or not is_own_kind)


def _held(draft: Draft, symbol: str) -> Decimal:
    position = draft.book.position_on(symbol)
    ours = ZERO if position is None else position.quantity * position.side.sign
    return ours + foreign.expected(draft, symbol)


def _compare_positions(draft: Draft, snapshot: VenueSnapshot) -> None:
    """A difference that fills did not explain follows the symbol's policy for what is not ours.

    Orders, positions and fills are read one after the other, and fills may lag behind: over a wire the same
    difference has to show twice, with nothing of ours in doubt on the symbol, before it is believed; one that a fill
    of an order of ours would make has to stand for longer than histories lag.
    """
    doubts: dict[str, Doubt] = {}
    execution = draft.settings.execution
    differences = _differences(draft, snapshot)
    foreign.look(draft, snapshot, differences)
    for symbol, difference in differences.items():
        doubt = draft.market.doubts.get(symbol)
        if doubt is None or doubt.difference != difference:
            doubt = Doubt(difference, draft.ts_ms)
        soon_ms = execution.lookup_retry_ms + draft.settings.visibility_delay_ms
        wait_ms = booking.LONGEST_LAG_MS if _may_be_a_fill_of_ours(draft, snapshot, symbol, difference) else soon_ms
        is_stable = draft.ts_ms - doubt.since_ms >= wait_ms
        if draft.settings.absence_is_proof or (is_stable and not _has_order_in_doubt(draft, symbol)):
            foreign.on_difference(draft, symbol, difference, snapshot.positions)
        else:
            doubts[symbol] = doubt
    draft.see(doubts=doubts)


def _may_be_a_fill_of_ours(draft: Draft, snapshot: VenueSnapshot, symbol: str, difference: Decimal) -> bool:
    """An order that is shown at rest as we know it explains nothing."""
    resting = {(report.client_order_id, report.filled) for report in snapshot.open_orders}
    return any(
        order.symbol == symbol
        and not order.is_settled
        and difference * order.side.sign > 0
        and (order.client_order_id, order.filled) not in resting
        for order in draft.book.orders.values()
    )


def _has_order_in_doubt(draft: Draft, symbol: str) -> bool:
    return any(
        order.state.is_unresolved or (not order.is_settled and order.type is OrderType.MARKET)
        for order in draft.book.orders.values()
        if order.symbol == symbol and (order.is_live or order.reported_filled > order.filled)
    )


def _compare_wallet(draft: Draft, snapshot: VenueSnapshot) -> None:
    """Ledger and wallet must agree to the last digit; a gap that two looks show alike is told once."""
    ledger = draft.book.ledger.balance
    gap = money.subtract(snapshot.balance.wallet, ledger)
    is_sure = draft.settings.absence_is_proof or gap == draft.market.wallet_gap
    if gap and not is_sure:
        _look_again(draft)
    if is_sure and gap != draft.market.told_gap:
        draft.see(told_gap=gap)
    else:
        draft.see(wallet_gap=gap)
        return
    if gap:
        wallet = money.text(snapshot.balance.wallet)
        _note(draft, "wallet", "", money.text(ledger), wallet, "told")
        text = (
            f"wallet holds {wallet} {snapshot.balance.asset}, the ledger adds up to {money.text(ledger)}; a transfer"
            " that the venue does not tell is booked by `trading-engine reconcile --apply --book-gap`"
        )
        draft.alert(Severity.CRITICAL, "wallet", text)
    draft.see(wallet_gap=gap)


def _judge_untold(draft: Draft, snapshot: VenueSnapshot) -> None:
    """The venue has forgotten a part of the past: nothing was in it where the wallet agrees, else all is frozen."""
    untold = snapshot.untold or draft.market.untold
    if untold is None:
        return
    is_sure = draft.market.wallet_gap == draft.market.told_gap
    draft.see(untold=None if is_sure else untold)
    if not is_sure or not draft.market.wallet_gap:
        return
    since, until = (iso(ts_ms)[:16] for ts_ms in untold)
    reason = f"the venue does not tell any more what happened from {since} to {until}, and the wallet has changed"
    for symbol in sorted(draft.settings.instruments):
        foreign.freeze(draft, symbol, "history", reason)


def _note(draft: Draft, kind: str, symbol: str, local: str, venue: str, action: str) -> None:
    draft.record(DifferenceFound(kind, symbol, local, venue, action))
