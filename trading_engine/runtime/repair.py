"""Acting on a state while no engine runs: perform a reconciliation, or close everything without the database.

What belongs here: the two acts of an operator that reach the exchange by themselves. What does not: what a
difference means (core), how a plan is made (offline), asking the operator (cli).

A reconciliation takes the engine's own path: decide, commit, then act. The emergency takes another one on
purpose: it reads nothing but the venue and writes nothing but orders, for the database may be what is broken.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from trading_engine.core.effects import TakeSnapshot
from trading_engine.core.state import EngineState, Market
from trading_engine.domain import money
from trading_engine.domain.errors import ConfigInvalid, VenueUnavailable
from trading_engine.domain.events import GapAccepted
from trading_engine.domain.ids import emergency_order_id, is_emergency_order_id
from trading_engine.domain.orders import OrderReport, OrderRequest, OrderType, closing_side
from trading_engine.domain.records import (
    AdjustmentBooked,
    CancelIntended,
    FillApplied,
    IncomeBooked,
    OrderIntended,
    OrderUpdated,
    PositionAdvanced,
    PositionGrown,
    PositionOpened,
    Record,
    SymbolFrozen,
)
from trading_engine.domain.reports import Accepted, Outcome, Rejected, VenuePosition
from trading_engine.ports import Venue
from trading_engine.runtime import bootstrap, contracts, offline, startup, status
from trading_engine.runtime.clock import VirtualClock
from trading_engine.runtime.executor import Executor
from trading_engine.runtime.offline import Difference
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
class GapWord:
    """An operator's word that a gap between wallet and ledger is in order."""

    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Repaired:
    """What became of `reconcile --apply`; `done` is empty where the operator said no or nothing differs."""

    differences: tuple[Difference, ...]
    done: tuple[str, ...]
    is_applied: bool
    gap: Decimal = money.ZERO


@contextmanager
def _alone(state: StateDir) -> Iterator[None]:
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
    word: GapWord | None = None,
    environ: Mapping[str, str] | None = None,
) -> Repaired:
    """Plan, ask `agree`, perform against the paper exchange; with `word` an unexplained wallet gap is booked.

    Raises ConfigInvalid, exit 3, while an engine runs; as `offline.plan` for what is not there or not ours.
    """
    state = StateDir(state_dir)
    known = os.environ if environ is None else environ
    if not state.database.exists() or not state.paper_database.exists():
        raise ConfigInvalid(f"{state.root}: nothing has run on this state yet")
    with _alone(state):
        planned = [_with_word(item, word) for item in offline.plan(state_dir, config_path, known)]
        if not planned:
            return Repaired((), (), is_applied=True)
        if not agree(planned):
            return Repaired(tuple(planned), (), is_applied=False)
        done, gap = asyncio.run(_perform(state, bootstrap.RunOptions(config_path, state_dir), known, word))
        return Repaired(tuple(planned), tuple(done), is_applied=True, gap=gap)


def _with_word(item: Difference, word: GapWord | None) -> Difference:
    if word is None or item.kind != "wallet":
        return item
    gap = money.subtract(Decimal(item.venue), Decimal(item.local))
    return replace(item, action=f"book {money.text(gap)} as an adjustment")


async def _perform(
    state: StateDir, options: bootstrap.RunOptions, environ: Mapping[str, str], word: GapWord | None
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
            executor.dispatch(TakeSnapshot())
            await executor.idle()
            before = pump.state.book.ledger.balance
            if word is not None:
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


def flatten_paper(
    state_dir: Path, config_path: Path, tell: Callable[[str], None], environ: Mapping[str, str] | None = None
) -> bool:
    """Close every position of the configured symbols on the paper exchange; the engine's database is not opened.

    Whether the venue is flat, or as flat as it gets before its next candle. Raises ConfigInvalid, exit 3, while
    an engine runs, and exit 78 where there is no account.
    """
    state = StateDir(state_dir)
    known = os.environ if environ is None else environ
    config, settings, terms = bootstrap.settings_only(bootstrap.RunOptions(config_path, state_dir), known)
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
            return asyncio.run(flatten(venue, tuple(settings.instruments), SystemClock().now_ms(), tell))
        finally:
            venue.close()


async def flatten(venue: Venue, symbols: Sequence[str], now_ms: int, tell: Callable[[str], None]) -> bool:
    """Cancel what could open, close the positions of `symbols` at market, then cancel the rest; whether all is well.

    What only reduces goes last, and only where the position is gone: until then it guards what is left. A closing
    order that fills later (the paper exchange trades with the next candle) counts as done.
    """
    try:
        orders = [order for order in await venue.open_orders() if order.symbol in symbols]
        held = [item for item in await venue.positions() if item.symbol in symbols]
        most = {item.symbol: item.max_quantity for item in await venue.instruments()}
        others = [order for order in orders if not is_emergency_order_id(order.client_order_id)]
        for order in others:
            if not order.reduce_only:
                await _cancel(venue, order, tell)
        is_closing = True
        for index, item in enumerate(held):
            is_closing &= await _close(venue, item, most[item.symbol], _Ids(now_ms, index), orders, tell)
        kept = {item.symbol for item in await venue.positions()}
        for order in others:
            if order.reduce_only and order.symbol not in kept:
                await _cancel(venue, order, tell)
        return await _is_flat(venue, symbols, tell) and is_closing
    except VenueUnavailable as error:
        tell(f"the venue does not answer ({error}); try again")
        return False


@dataclass(slots=True)
class _Ids:
    """Ids for the orders that close one position."""

    now_ms: int
    index: int
    made: int = 0

    def next(self) -> str:
        self.made += 1
        return emergency_order_id(self.now_ms, self.index * 36 + self.made)


async def _close(
    venue: Venue,
    held: VenuePosition,
    most: Decimal,
    ids: _Ids,
    orders: Sequence[OrderReport],
    tell: Callable[[str], None],
) -> bool:
    """Ask for the close of one position, in parts where it is larger than one order may be."""
    what = f"{held.symbol} {held.side} {money.text(held.quantity)}"
    waiting = [item for item in orders if item.symbol == held.symbol and is_emergency_order_id(item.client_order_id)]
    left = held.quantity - sum((item.quantity - item.filled for item in waiting), money.ZERO)
    if left <= 0:
        tell(f"{what}: closing order {waiting[-1].client_order_id} is in already")
        return True
    while left > 0:
        part = min(left, most)
        request = OrderRequest(
            client_order_id=ids.next(),
            symbol=held.symbol,
            side=closing_side(held.side),
            type=OrderType.MARKET,
            quantity=part,
            reduce_only=True,
            position_side=held.side,
        )
        outcome = await _submit(venue, request)
        if not isinstance(outcome, Accepted):
            why = f"{outcome.code}: {outcome.reason}" if isinstance(outcome, Rejected) else outcome.why
            tell(f"{what}: NOT closed ({why}); its stops stay")
            return False
        tell(f"{what}: closing order {request.client_order_id} for {money.text(part)} is placed")
        left -= part
    return True


async def _submit(venue: Venue, request: OrderRequest) -> Outcome:
    """Send once; where nobody knows what became of it, ask."""
    outcome = await venue.submit(request)
    if isinstance(outcome, Accepted | Rejected):
        return outcome
    report = await venue.order(request.symbol, request.client_order_id)
    return outcome if report is None else Accepted(report)


async def _cancel(venue: Venue, order: OrderReport, tell: Callable[[str], None]) -> None:
    name = order.client_order_id or order.venue_order_id
    outcome = await venue.cancel(order.symbol, order.client_order_id, order.venue_order_id)
    is_gone = isinstance(outcome, Accepted)
    tell(f"{order.symbol}: {order.type} {name} {'is cancelled' if is_gone else 'could not be cancelled'}")


async def _is_flat(venue: Venue, symbols: Sequence[str], tell: Callable[[str], None]) -> bool:
    """Look again: what is left must have its closing order, and nothing else may rest."""
    orders = [item for item in await venue.open_orders() if item.symbol in symbols]
    closing = {item.symbol for item in orders if is_emergency_order_id(item.client_order_id)}
    left = [item for item in await venue.positions() if item.symbol in symbols]
    for item in left:
        if item.symbol in closing:
            tell(f"{item.symbol}: closes with the next candle; the next start books it as an external close")
        else:
            tell(f"{item.symbol}: {item.side} {money.text(item.quantity)} is STILL OPEN")
    held = {item.symbol for item in left}
    resting = []
    for order in orders:
        name = order.client_order_id or order.venue_order_id
        if order.reduce_only and order.symbol in held and not is_emergency_order_id(order.client_order_id):
            tell(f"{order.symbol}: {order.type} {name} stays until the position is gone")
        elif not is_emergency_order_id(order.client_order_id):
            tell(f"{order.symbol}: order {name} STILL RESTS")
            resting.append(order)
    if not left and not resting:
        tell("flat: no position and no order is left")
    return not resting and all(item.symbol in closing for item in left)
