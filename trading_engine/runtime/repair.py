"""Acting on a state while no engine runs: perform a reconciliation, or close everything without the database.

What belongs here: the two acts of an operator that reach the exchange by themselves, on the paper exchange; a real
venue's are handed on (at_venue). What does not: what a difference means (core), how a plan is made (offline), how
everything is closed (emergency), asking the operator (cli).

A reconciliation takes the engine's own path: decide, commit, then act. The emergency takes another one on
purpose: it reads nothing but the venue and writes nothing but orders, for the database may be what is broken.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from trading_engine.core.effects import TakeSnapshot
from trading_engine.core.state import EngineState, Market
from trading_engine.domain import money
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.events import DropRequested, GapAccepted
from trading_engine.domain.records import (
    AdjustmentBooked,
    CancelIntended,
    FillApplied,
    IncomeBooked,
    OrderIntended,
    OrderUpdated,
    PositionAdvanced,
    PositionDropped,
    PositionGrown,
    PositionOpened,
    Record,
    SymbolFrozen,
)
from trading_engine.runtime import bootstrap, contracts, emergency, offline, startup, status
from trading_engine.runtime.clock import VirtualClock
from trading_engine.runtime.executor import Executor
from trading_engine.runtime.offline import Difference, Word
from trading_engine.runtime.pump import Pump
from trading_engine.runtime.timers import Timers
from trading_engine.store.sql_store import SqlStore
from trading_engine.system import crash_points
from trading_engine.system.clock import SystemClock
from trading_engine.system.single_instance import AlreadyRunning, InstanceLock
from trading_engine.system.state_dir import StateDir
from trading_engine.venues.embedded.memory import Memory
from trading_engine.venues.embedded.venue import EmbeddedVenue

RUN_ID = "offline"


@dataclass(frozen=True, slots=True)
class Repaired:
    """What became of `reconcile --apply`; `done` is empty where the operator said no or nothing differs.

    left   what a venue over a network has not settled in time
    """

    differences: tuple[Difference, ...]
    done: tuple[str, ...]
    is_applied: bool
    gap: Decimal = money.ZERO
    left: tuple[str, ...] = ()


@contextmanager
def alone(state: StateDir) -> Iterator[None]:
    """Under the instance lock; ConfigInvalid, exit 3, where an engine holds it."""
    try:
        with InstanceLock(state.lock):
            yield
    except AlreadyRunning as error:
        raise ConfigInvalid(
            f"{error}; a running engine reconciles by itself: at its start, after every reconnect and every"
            " execution.reconcile_interval_s",
            exit_code=3,
        ) from error


def reconcile(
    state_dir: Path,
    config_path: Path,
    agree: Callable[[Sequence[Difference]], bool],
    word: Word | None = None,
    environ: Mapping[str, str] | None = None,
    acknowledged: str = "",
) -> Repaired:
    """Plan, ask `agree`, perform; `word` may book an unexplained wallet gap, and drop what the exchange does not hold.

    acknowledged   the account that a script means, where that is real money (`acknowledgement`)

    Raises ConfigInvalid, exit 3, while an engine runs; as `offline.plan` for what is not there or not ours.
    """
    state = StateDir(state_dir)
    known = os.environ if environ is None else environ
    config = bootstrap.configuration(bootstrap.RunOptions(config_path), known)
    if config.mode != "paper":
        from trading_engine.runtime import at_venue  # noqa: PLC0415 - paper trading does without a network

        return at_venue.reconcile(state, config, config_path, agree, word, acknowledged)
    offline.require_both(state)
    with alone(state):
        planned = offline.plan_on_paper(state, bootstrap.RunOptions(config_path, state_dir), known, word)
        if not planned:
            return Repaired((), (), is_applied=True)
        if not agree(planned):
            return Repaired(tuple(planned), (), is_applied=False)
        done, gap = asyncio.run(_perform(state, bootstrap.RunOptions(config_path, state_dir), known, word))
        return Repaired(tuple(planned), tuple(done), is_applied=True, gap=gap)


async def _perform(
    state: StateDir, options: bootstrap.RunOptions, environ: Mapping[str, str], word: Word | None
) -> tuple[list[str], Decimal]:
    """One snapshot through step, commit and act, and what follows from the answers; the lines of what was done."""
    config, settings, terms = bootstrap.settings_only(options, environ)
    with SqlStore.open(state.database, venue=settings.venue, account=settings.account, hit=crash_points.hit) as store:
        loaded = store.load()
        memory = Memory(state.paper_database, crash_points.hit)
        paper = startup.paper_of(memory, loaded.book)
        instruments = startup.listed(config, settings.instruments, paper, contracts.kept(state))
        venue = EmbeddedVenue(memory, instruments, terms, config.paper.balance, 0, config.account)
        done: list[str] = []
        try:
            view = Market() if loaded.checkpoint is None else status.view_of(loaded.checkpoint)
            clock = VirtualClock(max(venue.progress.now_ms, view.closed_ms, loaded.book.ledger.last_booked_ms))
            executor = Executor(venue, clock, Timers(), crash_points.hit)  # in process nothing waits for a timer
            pump = Pump(
                EngineState(loaded.book, view),
                settings,
                store,
                RUN_ID,
                executor.dispatch,
                lambda _, records: done.extend(line for record in records if (line := told(record))),
                venue.save_progress,
            )
            executor.attach(pump)
            if word is not None and word.drops:  # first, or exits would be sent for it
                looks = await offline.look_twice(venue, loaded.book, clock.now_ms())
                pump.handle(DropRequested(clock.now_ms(), word.drops, looks, word.actor, word.reason))
            executor.dispatch(TakeSnapshot())
            await executor.idle()
            before = pump.state.book.ledger.balance
            if word is not None and word.books_gap:
                wallet = (await venue.balance()).wallet
                pump.handle(GapAccepted(clock.now_ms(), wallet, word.actor, word.reason))
            return done, money.subtract(pump.state.book.ledger.balance, before)
        finally:
            venue.close()


def told(record: Record) -> str:  # noqa: C901, PLR0911 - one a kind
    """What a record did, for a person; empty for what only informs."""
    match record:
        case FillApplied(fill=fill):
            what = f"{fill.side} {money.text(fill.quantity)} at {money.text(fill.price)}"
            return f"{fill.symbol}: fill {fill.trade_id} booked to {record.position_id} ({what})"
        case IncomeBooked(income=income):
            return f"{income.kind} of {money.text(income.amount)} {income.asset} booked"
        case AdjustmentBooked():
            return f"{money.text(record.amount)} {record.asset} booked as an adjustment ({record.reason})"
        case PositionOpened(position=position):
            quantity = money.text(position.quantity)
            return f"{position.symbol}: {position.position_id} taken over, {position.side} {quantity}"
        case PositionGrown():
            return f"{money.text(record.quantity)} more taken over into {record.position_id}"
        case PositionDropped():
            return f"{money.text(record.quantity)} of {record.position_id} dropped ({record.reason})"
        case PositionAdvanced():
            return f"{record.position_id} moved from {record.source} to {record.target}"
        case OrderIntended(order=order):
            quantity = money.text(order.quantity)
            return f"{order.symbol}: {order.purpose} order {order.client_order_id} intended ({order.side} {quantity})"
        case CancelIntended():
            return f"cancel of {record.client_order_id} intended ({record.reason})"
        case OrderUpdated():
            return f"{record.client_order_id} is {record.state}"
        case SymbolFrozen():
            return f"{record.symbol} is frozen ({record.reason})"
        case _:
            return ""


# ── without the database ────────────────────────────────────────────────────


def flatten(
    state_dir: Path,
    config_path: Path,
    tell: Callable[[str], None],
    environ: Mapping[str, str] | None = None,
    acknowledged: str = "",
) -> bool:
    """Close every position of the configured symbols; the engine's database is not opened.

    Whether the venue is flat, or as flat as the paper exchange gets before its next candle. Raises ConfigInvalid,
    exit 3, while an engine runs (at a venue also one of another state), and exit 78 where there is no account.
    `acknowledged` as for `reconcile`.
    """
    state = StateDir(state_dir)
    known = os.environ if environ is None else environ
    options = bootstrap.RunOptions(config_path, state_dir)
    live = bootstrap.configuration(options, known)
    if live.mode != "paper":
        from trading_engine.runtime import at_venue  # noqa: PLC0415 - paper trading does without a network

        return at_venue.flatten(state, live, tell, acknowledged)
    config, settings, terms = bootstrap.settings_only(options, known)
    if not state.root.is_dir():
        raise ConfigInvalid(f"{state.root}: nothing has run on this state yet")
    with InstanceLock(state.lock, writes_nothing=True):
        paper = startup.read_paper(state.paper_database)
        if paper is None or paper.account is None:
            raise ConfigInvalid(f"{state.paper_database}: there is no paper account")
        held = {item.symbol for item in paper.account.positions.values()}
        held |= {item.symbol for item in paper.account.orders.values()}
        told = contracts.kept(state)
        strange = sorted(held - set(settings.instruments))
        others = [bootstrap.instrument_of(config, symbol, told.get(symbol)) for symbol in strange]
        venue = EmbeddedVenue(
            Memory(state.paper_database),
            [*settings.instruments.values(), *others],
            terms,
            config.paper.balance,
            0,
            config.account,
        )
        try:
            return asyncio.run(emergency.flatten(venue, tuple(settings.instruments), SystemClock().now_ms(), tell))
        finally:
            venue.close()
