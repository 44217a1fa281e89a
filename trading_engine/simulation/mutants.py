"""Deliberate breaks of the engine, each of which the simulation must notice.

What belongs here: one way to be wrong a mutant, made by replacing a function of the product for a while. What
does not: the search for a seed that notices (runner).

A simulation that lets one of them live proves nothing: the suite fails then.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from trading_engine.core import (
    booking,
    foreign,
    invariants,
    kill,
    on_command,
    on_timer,
    on_venue,
    project,
    protect,
    reconcile,
    risk,
)
from trading_engine.core.draft import Draft
from trading_engine.core.effects import PlaceOrder, TakeSnapshot
from trading_engine.domain.control import Level
from trading_engine.domain.errors import VenueUnavailable
from trading_engine.domain.events import RunBegan
from trading_engine.domain.fills import Fill
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import CloseReason, PositionState
from trading_engine.domain.orders import Order, OrderReport, OrderState
from trading_engine.domain.position import Position
from trading_engine.domain.records import FillApplied, OrderIntended, OrderUpdated, PositionOpened
from trading_engine.domain.reports import Accepted, Outcome, Rejected
from trading_engine.domain.time import day_of
from trading_engine.ports import Commit
from trading_engine.runtime import executor
from trading_engine.runtime.pump import Pump
from trading_engine.store import backup, loading, rows, sql_store, tables
from trading_engine.system.clock import SteadyClock

Restore = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A named break; `apply` makes it and returns how to mend it; `profile` is the trouble that shows it."""

    name: str
    what: str
    apply: Callable[[], Restore]
    profile: str = "everything"


@contextmanager
def mutated(mutant: Mutant) -> Iterator[None]:
    """The product with one break."""
    restore = mutant.apply()
    try:
        yield
    finally:
        restore()


def _all(*restores: Restore) -> Restore:
    def restore() -> None:
        for undo in restores:
            undo()

    return restore


def _swap(owner: Any, name: str, replacement: object) -> Restore:
    original = getattr(owner, name)
    setattr(owner, name, replacement)
    return lambda: setattr(owner, name, original)


# ── persistence ─────────────────────────────────────────────────────────────


def _persist_after_send() -> Restore:
    original = Pump._commit  # noqa: SLF001 - that is what is broken here

    def late(self: Pump, commit: Commit) -> None:
        if any(isinstance(record, OrderIntended) for record in commit.records):
            asyncio.get_running_loop().call_later(0.2, original, self, commit)
        else:
            original(self, commit)

    return _swap(Pump, "_commit", late)


def _two_transactions() -> Restore:
    original = sql_store.SqlStore.commit

    def torn(self: sql_store.SqlStore, commit: Commit) -> int:
        """The fill's row in one transaction, what it changes in the next."""
        fills = [record for record in commit.records if isinstance(record, FillApplied)]
        if fills:
            collected = rows.collect(fills, commit.book, commit.ts_ms, self.last_seq + 1)
            with self._connection.begin():
                self._insert("fills", collected.fills)
            self._hit(sql_store.INSIDE_COMMIT)
            with self._connection.begin():
                for record in fills:
                    same = tables.fills.c.trade_id == record.fill.trade_id
                    self._connection.execute(tables.fills.delete().where(same))
        return original(self, commit)

    return _swap(sql_store.SqlStore, "commit", torn)


def _fixed_epoch() -> Restore:
    original = backup.restore

    def careless(backup_path: Path, path: Path, now_ms: int, *, new_epoch: str = "", force: bool = False) -> str:
        """The restored database goes on in the epoch of the backup, as if nothing had happened since."""
        del new_epoch
        with closing(sqlite3.connect(backup_path)) as connection:
            old = str(connection.execute("SELECT epoch FROM control").fetchone()[0])
        return original(backup_path, path, now_ms, new_epoch=old, force=force)

    def trusting(_draft: Draft, _fill: Fill) -> None:
        """Its own fills look like those of an order that this database never made."""

    return _all(_swap(backup, "restore", careless), _swap(booking, "_lock_on_unknown_origin", trusting))


def _no_fill_dedup() -> Restore:
    return _swap(project, "_with_key", lambda seen, _key, _ts_ms: seen)


def _goes_on_after_a_failed_commit() -> Restore:
    return _swap(Pump, "handle", Pump._handle)  # noqa: SLF001 - the guard is what is taken away


def _day_of_processing() -> Restore:
    original = booking._book  # noqa: SLF001 - as above

    def wrong_day(draft: Draft, position: Position, fill: Any, order: Order | None) -> None:
        mend = _swap(booking, "day_of", lambda _ts_ms, start_ms: day_of(draft.ts_ms, start_ms))
        try:
            original(draft, position, fill, order)
        finally:
            mend()

    return _swap(booking, "_book", wrong_day)


# ── unknown outcomes ────────────────────────────────────────────────────────


def _timeout_is_rejection() -> Restore:
    def refused(draft: Draft, order: Order, why: str) -> None:
        on_venue._refused(draft, order, Rejected("timeout", why))  # noqa: SLF001

    return _swap(on_venue, "_doubtful", refused)


def _absence_trusted_at_once() -> Restore:
    def gone(draft: Draft, order: Order) -> None:
        if order.is_live:
            on_venue._conclude_absent(draft, order)  # noqa: SLF001

    return _swap(on_venue, "_not_found", gone)


def _retry_with_new_id() -> Restore:
    original = on_venue._doubtful  # noqa: SLF001

    def again(draft: Draft, order: Order, why: str) -> None:
        original(draft, order, why)
        position = draft.book.positions.get(order.position_id)
        if order.purpose is Purpose.ENTRY and position is not None and order.generation == 1:
            fresh = protect.entry_order(draft, position, order.quantity)
            draft.record(OrderIntended(fresh))
            draft.effect(PlaceOrder(risk.approve_again(fresh), fresh.to_request(), fresh.not_after_ms))

    def check(_book: object) -> None:
        """The core's own guard would notice; the question is whether the simulation does."""

    return _all(_swap(on_venue, "_doubtful", again), _swap(invariants, "check", check))


def _failed_read_is_empty() -> Restore:
    original = executor._bounded  # noqa: SLF001

    async def hopeful(read: Any) -> Any:
        name = read.__name__
        try:
            return await original(read)
        except VenueUnavailable:
            if name == "balance":
                raise
            return None if name == "order" else ()

    return _swap(executor, "_bounded", hopeful)


def _cancel_is_final() -> Restore:
    def done(draft: Draft, client_order_id: str, outcome: Outcome) -> None:
        order = draft.book.orders.get(client_order_id)
        if order is None or not isinstance(outcome, Accepted | Rejected):
            return
        report = OrderReport(
            client_order_id, order.venue_order_id, order.symbol, OrderState.CANCELED, order.filled, draft.ts_ms
        )
        on_venue.merge_report(draft, report)

    return _swap(on_venue, "on_cancel_answered", done)


def _no_boot_reconciliation() -> Restore:
    original = on_command.on_run_began

    def trusting(draft: Draft, event: RunBegan) -> None:
        original(draft, event)
        draft.effects[:] = [effect for effect in draft.effects if not isinstance(effect, TakeSnapshot)]
        draft.see(is_synced=True)

    return _all(_swap(on_command, "on_run_began", trusting), _swap(executor, "FILL_OVERLAP_MS", -60_000))


# ── protection ──────────────────────────────────────────────────────────────


def _cancel_before_replacement() -> Restore:
    original = protect._ensure_stop  # noqa: SLF001

    def naked(draft: Draft, position: Position) -> None:
        for stop in draft.book.orders_of(position.position_id, Purpose.STOP):
            is_stale = stop.trigger_price != position.stop_price or stop.remaining != position.quantity
            if stop.is_confirmed and is_stale:
                protect.cancel(draft, stop, "replaced")
        stops = draft.book.orders_of(position.position_id, Purpose.STOP)
        if not any(stop.is_live and stop.cancel_requested for stop in stops):
            original(draft, position)

    return _swap(protect, "_ensure_stop", naked)


def _stop_not_resized() -> Restore:
    original = protect._ensure_stop  # noqa: SLF001

    def lazy(draft: Draft, position: Position) -> None:
        stops = draft.book.orders_of(position.position_id, Purpose.STOP)
        if not any(stop.is_confirmed and stop.trigger_price == position.stop_price for stop in stops):
            original(draft, position)

    return _swap(protect, "_ensure_stop", lazy)


def _unprotected_is_tolerated() -> Restore:
    return _all(
        _swap(protect, "_patience_ends_ms", lambda draft, _order, _rows: draft.ts_ms + 3_600_000),
        _swap(on_timer, "_stop_unconfirmed", lambda _draft, _position_id: None),
    )


def _leftovers_stay() -> Restore:
    original = protect.cancel

    def forgetful(draft: Draft, order: Order, reason: str) -> None:
        if reason == "position is flat":
            report = OrderReport(
                order.client_order_id, "", order.symbol, OrderState.CANCELED, order.filled, draft.ts_ms
            )
            draft.record(
                OrderUpdated(
                    order.client_order_id,
                    report.state,
                    order.reported_filled,
                    order.venue_order_id,
                    reason,
                    draft.ts_ms,
                )
            )
        else:
            original(draft, order, reason)

    return _swap(protect, "cancel", forgetful)


# ── control ─────────────────────────────────────────────────────────────────


def _stop_ignored_in_flight() -> Restore:
    original = kill.enforce_level

    def blind(draft: Draft) -> None:
        level = draft.book.control.level
        if level is Level.FLATTEN:
            for position in list(draft.book.positions.values()):
                if position.state is PositionState.OPEN and draft.book.entry_of(position.position_id) is None:
                    protect.begin_close(draft, position.position_id, CloseReason.KILL_SWITCH, "level")
            return
        original(draft)

    return _swap(kill, "enforce_level", blind)


def _level_forgotten_at_restart() -> Restore:
    original = loading.load_book

    def amnesia(connection: Any) -> Any:
        book = original(connection)
        return replace(book, control=type(book.control)())

    return _swap(loading, "load_book", amnesia)


def _limits_forgotten_at_restart() -> Restore:
    original = loading.load_book

    def amnesia(connection: Any) -> Any:
        book = original(connection)
        return replace(book, ledger=replace(book.ledger, closed=(), days=()))

    return _swap(loading, "load_book", amnesia)


def _first_look_freezes() -> Restore:
    original = reconcile._compare_positions  # noqa: SLF001

    def hasty(draft: Draft, snapshot: Any) -> None:
        keep = draft.settings
        draft.settings = replace(keep, absence_is_proof=True)
        try:
            original(draft, snapshot)
        finally:
            draft.settings = keep

    return _swap(reconcile, "_compare_positions", hasty)


def _foreign_money_is_dropped() -> Restore:
    def dropped(draft: Draft, fill: Fill) -> None:
        del draft, fill

    return _swap(foreign, "on_fill", dropped)


def _adopted_without_stop() -> Restore:
    def bare(draft: Draft, position: Position, action: str, text: str) -> None:
        del action, text
        draft.record(PositionOpened(position))

    return _swap(foreign, "_take_over", bare)


def _clock_is_believed() -> Restore:
    def wall(self: SteadyClock) -> int:
        return self._wall_ns() // 1_000_000

    return _swap(SteadyClock, "now_ms", wall)


def _report_without_stop() -> Restore:
    def told(_draft: Draft, position: Position) -> Decimal:
        return position.quantity

    return _swap(protect, "exposure", told)


def _reads_are_the_whole_story() -> Restore:
    return _swap(booking, "LONGEST_LAG_MS", 0)


MUTANTS: tuple[Mutant, ...] = (
    Mutant("persist_after_send", "the row is committed after the order has left", _persist_after_send),
    Mutant(
        "fill_and_order_in_two_transactions",
        "a fill's row and its effect are committed apart",
        _two_transactions,
        "crashes",
    ),
    Mutant("fixed_epoch", "a restored backup goes on with the ids it had", _fixed_epoch, "restore"),
    Mutant("no_fill_dedup", "a fill that is told twice is booked twice", _no_fill_dedup, "network"),
    Mutant(
        "on_after_failed_commit",
        "events are handled after a commit has failed",
        _goes_on_after_a_failed_commit,
        "storage",
    ),
    Mutant("day_of_processing", "a fill counts to the day it was heard of", _day_of_processing, "midnight"),
    Mutant("timeout_read_as_rejected", "no answer is taken for a refusal", _timeout_is_rejection, "network"),
    Mutant("absence_trusted_at_once", "one look-up without result proves absence", _absence_trusted_at_once),
    Mutant(
        "retry_with_new_id", "an entry without an answer is sent again under a new id", _retry_with_new_id, "network"
    ),
    Mutant("failed_snapshot_read_as_flat", "a failed read counts as an empty one", _failed_read_is_empty, "network"),
    Mutant("cancel_is_final", "a cancel's answer is taken for the order's final state", _cancel_is_final, "network"),
    Mutant("no_boot_reconciliation", "a start trusts its database", _no_boot_reconciliation, "crashes"),
    Mutant(
        "stop_cancelled_before_replacement", "the old stop goes before the new one stands", _cancel_before_replacement
    ),
    Mutant("stop_not_resized", "a partial fill leaves the stop as it was", _stop_not_resized),
    Mutant("unprotected_is_tolerated", "a stop without an answer is waited for", _unprotected_is_tolerated, "network"),
    Mutant("leftovers_stay", "orders of a flat position are forgotten, not cancelled", _leftovers_stay, "calm"),
    Mutant("stop_ignored_in_flight", "the kill switch passes over what is in flight", _stop_ignored_in_flight, "stops"),
    Mutant("level_forgotten_at_restart", "a restart releases the kill switch", _level_forgotten_at_restart, "stops"),
    Mutant("limits_forgotten_at_restart", "a restart forgets losses", _limits_forgotten_at_restart, "crashes"),
    Mutant("first_look_freezes", "one snapshot's difference is believed", _first_look_freezes, "network"),
    Mutant("foreign_money_is_dropped", "a stranger's result is not booked", _foreign_money_is_dropped, "strangers"),
    Mutant("adopted_without_stop", "what is taken over gets its stop later", _adopted_without_stop, "strangers"),
    Mutant("clock_is_believed", "decisions follow a clock that somebody sets", _clock_is_believed, "clock"),
    Mutant("report_without_stop", "a reported entry waits for its fills", _report_without_stop, "network"),
    Mutant("reads_are_the_whole_story", "a history that lags is believed", _reads_are_the_whole_story, "network"),
)
__all__ = ["MUTANTS", "Mutant", "mutated"]
