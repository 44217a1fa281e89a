"""What can be done while the engine is down: see the paper wallet, plan a reconciliation, release a lock.

What belongs here: the few operations of the command line that need several adapters at once. What does
not: anything that trades.
"""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from trading_engine.core.draft import Draft
from trading_engine.core.effects import CancelOrder, Effect, LookUpOrder, PlaceOrder
from trading_engine.core.on_command import on_resume
from trading_engine.core.reconcile import on_snapshot
from trading_engine.core.settings import EngineSettings
from trading_engine.core.state import Book, EngineState, Market
from trading_engine.domain import money
from trading_engine.domain.control import Level
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.events import ResumeRequested
from trading_engine.domain.records import (
    DifferenceFound,
    FillApplied,
    IncomeBooked,
    OrderUpdated,
    PositionAdvanced,
    Record,
    SymbolFrozen,
)
from trading_engine.ports import Checkpoint, Commit
from trading_engine.runtime import bootstrap
from trading_engine.runtime.executor import take_snapshot
from trading_engine.store.sql_store import SqlStore
from trading_engine.system.clock import SystemClock
from trading_engine.system.single_instance import InstanceLock
from trading_engine.system.state_dir import StateDir
from trading_engine.venues.embedded.memory import Memory
from trading_engine.venues.embedded.venue import EmbeddedVenue


@dataclass(frozen=True, slots=True)
class Difference:
    """One line of `reconcile --plan`."""

    kind: str
    symbol: str
    local: str
    venue: str
    action: str


def paper_wallet(state_dir: Path) -> Decimal | None:
    """What the embedded exchange says the wallet holds, None where there is no paper account."""
    path = StateDir(state_dir).paper_database
    if not path.exists():
        return None
    memory = Memory(path, read_only=True)
    try:
        account = memory.load()
        return None if account is None else money.from_e8(account.progress.wallet_e8)
    finally:
        memory.close()


def resume(state_dir: Path, actor: str) -> str:
    """Release a raised kill switch while the engine is down; refused (exit 3) while it runs."""
    state = StateDir(state_dir)
    if not state.database.exists():
        raise ConfigInvalid(f"{state.database}: no database; nothing has run on this state yet", exit_code=4)
    with InstanceLock(state.lock):
        store = SqlStore.open(state.database)
        try:
            loaded = store.load()
            before = loaded.book.control.level
            if before is Level.RUN and not loaded.book.frozen:
                return "nothing to resume: the kill switch is at RUN and no symbol is frozen"
            seen = loaded.checkpoint
            # A fill inside a candle is later than the last close; the streak counts anew after both.
            now_ms = max(seen.cursor_ms, loaded.book.ledger.last_booked_ms) if seen else SystemClock().now_ms()
            draft = Draft(EngineState(loaded.book), _no_settings(), now_ms)
            on_resume(draft, ResumeRequested(now_ms, actor))
            # What was judged before does not hold any more; the next start judges anew.
            progress = replace(seen, gates=(), limits=()) if seen else Checkpoint(0, (), 0, 0, (), (), "0")
            store.commit(Commit(now_ms, "offline", tuple(draft.records), draft.book, progress))
        finally:
            store.close()
    return f"resumed (kill switch was at {before}); the next start trades again"


def _no_settings() -> EngineSettings:
    """Resuming depends on no setting."""
    return EngineSettings("", "", "", {})


def plan(state_dir: Path, config_path: Path, environ: Mapping[str, str] | None = None) -> list[Difference]:
    """What reconciliation would find and do, against the paper exchange's memory, without acting."""
    state = StateDir(state_dir)
    options = bootstrap.RunOptions(config_path)
    config, settings, terms = bootstrap.settings_only(options, os.environ if environ is None else environ)
    if not state.database.exists() or not state.paper_database.exists():
        raise ConfigInvalid(f"{state.root}: nothing has run on this state yet")
    store = SqlStore.open(state.database, read_only=True)
    memory = Memory(state.paper_database, read_only=True)
    try:
        loaded = store.load()
        venue = EmbeddedVenue(
            memory, list(settings.instruments.values()), terms, config.paper.balance, 0, config.account
        )
        snapshot = asyncio.run(take_snapshot(venue, loaded.book, venue.progress.now_ms))
        draft = Draft(EngineState(loaded.book, Market()), settings, venue.progress.now_ms)
        on_snapshot(draft, snapshot)
        return _differences(draft, loaded.book)
    finally:
        store.close()
        memory.close()


def _differences(draft: Draft, before: Book) -> list[Difference]:
    shown = [_of_record(record, draft.book, before) for record in draft.records]
    shown += [_of_effect(effect) for effect in draft.effects]
    return [difference for difference in shown if difference is not None]


def _of_record(record: Record, after: Book, before: Book) -> Difference | None:  # noqa: PLR0911 - one a kind
    match record:
        case DifferenceFound():
            return Difference(record.kind, record.symbol, record.local, record.venue, record.action)
        case FillApplied(fill=fill):
            what = f"{fill.side} {money.text(fill.quantity)} at {money.text(fill.price)}"
            return Difference("missing_fill", fill.symbol, "", what, "book it")
        case IncomeBooked(income=income):
            what = f"{income.kind} {money.text(income.amount)}"
            return Difference("missing_income", income.symbol, "", what, "book it")
        case OrderUpdated():
            known = before.orders.get(record.client_order_id)
            was = str(known.state) if known else ""
            symbol = after.orders[record.client_order_id].symbol
            return Difference("order_state", symbol, was, str(record.state), "take it over")
        case PositionAdvanced():
            symbol = after.positions[record.position_id].symbol
            return Difference("position_state", symbol, str(record.source), "", f"move to {record.target}")
        case SymbolFrozen():
            return Difference("frozen", record.symbol, "", record.reason, "no entries until resumed")
        case _:
            return None


def _of_effect(effect: Effect) -> Difference | None:
    match effect:
        case PlaceOrder(request=request):
            what = f"send {request.type} {request.side} {money.text(request.quantity)}"
            return Difference("order_missing", request.symbol, request.client_order_id, "", what)
        case CancelOrder():
            return Difference("order_left", effect.symbol, "", effect.client_order_id, "cancel it")
        case LookUpOrder():
            return Difference("order_unclear", effect.symbol, effect.client_order_id, "", "look it up")
        case _:
            return None
