"""Reconciliation: what the venue shows against what we hold, as one pure plan.

What belongs here: the comparison and what follows from each difference. What does not: reading the
account (runtime.sync), merging and booking (on_venue: the same functions the stream uses).

Order of work: own orders, fills and income since the watermark, stops, net positions; only then the entry
gate opens. A snapshot that failed changes nothing but the gate.
"""

from trading_engine.core import on_venue, protect
from trading_engine.core.draft import Draft
from trading_engine.core.effects import CancelOrder
from trading_engine.core.on_command import raise_level
from trading_engine.domain import money
from trading_engine.domain.control import Level
from trading_engine.domain.fills import Fill, Income
from trading_engine.domain.ids import parse_client_order_id
from trading_engine.domain.market import Side
from trading_engine.domain.money import ZERO
from trading_engine.domain.orders import OrderReport
from trading_engine.domain.records import DifferenceFound, SymbolFrozen
from trading_engine.domain.reports import VenueSnapshot
from trading_engine.domain.severity import Severity


def on_snapshot(draft: Draft, snapshot: VenueSnapshot) -> None:
    """Bring the book to what the snapshot proves; open the entry gate where nothing is left unexplained."""
    _book_what_happened(draft, snapshot)
    for report in snapshot.open_orders:
        _order_at_venue(draft, report)
    for lookup in snapshot.lookups:
        on_venue.on_looked_up(draft, lookup)
    for position_id in list(draft.book.positions):
        protect.tend(draft, position_id)
    _compare_positions(draft, snapshot)
    _compare_wallet(draft, snapshot)
    draft.see(is_synced=True, reconciled_ms=draft.ts_ms)


def on_snapshot_failed(draft: Draft) -> None:
    """Failure is not "flat": the old view stays and the gate is shut."""
    draft.see(is_synced=False)


def _book_what_happened(draft: Draft, snapshot: VenueSnapshot) -> None:
    """Income and fills in the order they happened; income first at one instant (held before it)."""
    events: list[tuple[int, int, int, Income | Fill]] = []
    events.extend((income.ts_ms, 0, at, income) for at, income in enumerate(snapshot.incomes))
    events.extend((fill.ts_ms, 1, at, fill) for at, fill in enumerate(snapshot.fills))
    for _, _, _, event in sorted(events, key=lambda item: item[:3]):
        if isinstance(event, Income):
            on_venue.on_income(draft, event)
        else:
            on_venue.on_fill(draft, event)


def _order_at_venue(draft: Draft, report: OrderReport) -> None:
    key = parse_client_order_id(report.client_order_id)
    if report.client_order_id in draft.book.orders:
        on_venue.merge_report(draft, report)
        order = draft.book.orders.get(report.client_order_id)
        if order is not None and order.is_live and order.cancel_requested:
            draft.effect(CancelOrder(order.symbol, order.client_order_id, order.venue_order_id))
    elif key is None:
        _freeze(draft, report.symbol, "foreign_order", f"order {report.venue_order_id} is not ours")
    elif key.epoch != draft.book.epoch:
        reason = f"order {report.client_order_id} is of another database (a restored backup, a second instance?)"
        if draft.book.control.level is not Level.LOCKED:
            _note(draft, "other_epoch", report.symbol, "none", report.client_order_id, "locked")
        raise_level(draft, Level.LOCKED, reason, "reconcile")
    else:
        _note(draft, "orphan_order", report.symbol, "none", report.client_order_id, "cancelled")
        text = f"{report.symbol}: orphan order {report.client_order_id} is cancelled"
        draft.alert(Severity.WARNING, f"orphan:{report.client_order_id}", text)
        draft.effect(CancelOrder(report.symbol, report.client_order_id, report.venue_order_id))


def _compare_positions(draft: Draft, snapshot: VenueSnapshot) -> None:
    """Net quantities by symbol, signed; a difference that fills did not explain freezes the symbol."""
    theirs = dict.fromkeys(draft.settings.instruments, ZERO)
    for held in snapshot.positions:
        signed = held.quantity if held.side is Side.LONG else -held.quantity
        theirs[held.symbol] = theirs.get(held.symbol, ZERO) + signed
    for symbol, quantity in sorted(theirs.items()):
        position = draft.book.position_on(symbol)
        ours = position.quantity * position.side.sign if position is not None else ZERO
        if ours == quantity:
            continue
        if symbol not in draft.settings.instruments:
            continue  # not traded by us: counted as nobody's business but the account's margin
        _freeze(draft, symbol, "position", f"venue holds {money.text(quantity)}, we hold {money.text(ours)}")


def _compare_wallet(draft: Draft, snapshot: VenueSnapshot) -> None:
    """Ledger and wallet must agree to the last digit; a gap is told when it appears or changes."""
    ledger = draft.book.ledger.balance
    gap = money.subtract(snapshot.balance.wallet, ledger)
    if gap and gap != draft.market.wallet_gap:
        wallet = money.text(snapshot.balance.wallet)
        _note(draft, "wallet", "", money.text(ledger), wallet, "told")
        text = f"wallet holds {wallet} {snapshot.balance.asset}, the ledger adds up to {money.text(ledger)}"
        draft.alert(Severity.CRITICAL, "wallet", text)
    draft.see(wallet_gap=gap)


def _freeze(draft: Draft, symbol: str, kind: str, reason: str) -> None:
    if symbol in draft.book.frozen or symbol not in draft.settings.instruments:
        return
    _note(draft, kind, symbol, "", reason, "frozen")
    draft.record(SymbolFrozen(symbol, reason))
    text = f"{symbol}: {reason}; no entries until `trading-engine resume`"
    draft.alert(Severity.CRITICAL, f"frozen:{symbol}", text)


def _note(draft: Draft, kind: str, symbol: str, local: str, venue: str, action: str) -> None:
    draft.record(DifferenceFound(kind, symbol, local, venue, action))
