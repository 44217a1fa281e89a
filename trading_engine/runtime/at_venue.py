"""What an operator does at a venue over a network while no engine trades there: compare, mend, close everything.

What belongs here: reaching the venue for that, looking until what is seen can be believed, performing what follows.
What does not: what a difference means (core), the same on the paper exchange (offline, repair), the steps of an
emergency (emergency), the words shown (cli).

The hosts are those that the mode allows, as for `run`. A plan reads only, and hears no stream: an engine may run
beside it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from loguru import logger

from trading_engine.config.model import Config
from trading_engine.core import drop
from trading_engine.core.draft import Draft
from trading_engine.core.effects import TakeSnapshot
from trading_engine.core.protect import is_covered
from trading_engine.core.reconcile import on_snapshot
from trading_engine.core.settings import EngineSettings
from trading_engine.core.state import Book, EngineState, Market
from trading_engine.domain import money
from trading_engine.domain.errors import ConfigInvalid, VenueUnavailable
from trading_engine.domain.events import DropRequested, GapAccepted
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.orders import OrderState
from trading_engine.domain.reports import VenueSnapshot
from trading_engine.ports import Clock, Loaded, PositionMode, RemoteVenue
from trading_engine.runtime import bootstrap, emergency, offline, remote, startup, status
from trading_engine.runtime.acknowledgement import acknowledge
from trading_engine.runtime.executor import Executor, take_snapshot
from trading_engine.runtime.offline import Difference, Word
from trading_engine.runtime.process import EXIT_REFUSED, require
from trading_engine.runtime.pump import Pump
from trading_engine.runtime.repair import RUN_ID, Repaired, alone, told
from trading_engine.runtime.sole_trader import sole_trader
from trading_engine.runtime.timers import Timers
from trading_engine.store.engine import missing
from trading_engine.store.sql_store import SqlStore
from trading_engine.system import crash_points
from trading_engine.system.clock import SteadyClock
from trading_engine.system.single_instance import InstanceLock
from trading_engine.system.state_dir import StateDir

LOOK_AGAIN_MS = 2_500  # longer than a difference must stand before it is believed once the venue's delay has passed
LONGEST_LOOK_MS = 30_000
SETTLE_MS = 60_000
REACH_MS = 60_000
_MOMENTS = 5  # for a moment between two commits of a running engine


@dataclass(frozen=True, slots=True)
class _Desk:
    """A venue that can be asked and ordered at."""

    venue: RemoteVenue
    clock: Clock
    pace: float

    async def sleep(self, milliseconds: int) -> None:
        """Let so much of the venue's time pass."""
        await asyncio.sleep(milliseconds / 1000 / self.pace)


@asynccontextmanager
async def _reached(config: Config, not_before_ms: int, mode: PositionMode | None = None) -> AsyncIterator[_Desk]:
    """The venue, connected; VenueUnavailable where it cannot be."""
    adopted = await remote.adopt_clock(config, not_before_ms)
    clock = adopted or SteadyClock(not_before_ms=not_before_ms)
    venue = remote.make_venue(config, clock, mode)
    try:
        await remote.connect_venue(venue)
        yield _Desk(venue, clock, adopted.pace if adopted else 1.0)
    finally:
        await venue.close()


# ── comparing ───────────────────────────────────────────────────────────────


def plan(state: StateDir, config: Config, config_path: Path) -> list[Difference]:
    """What reconciliation would find and do at the venue; nothing is written, nothing but questions is sent.

    ConfigInvalid where the configuration is not that of this state, VenueUnavailable where the venue cannot be read.
    """
    with _opened(state, config, read_only=True) as store:
        return asyncio.run(_plan(store, config, config_path))


def _opened(state: StateDir, config: Config, *, read_only: bool) -> SqlStore:
    if not state.database.exists():
        raise missing(state.database)
    store = SqlStore.open(
        state.database, venue=config.venue, account=config.account, read_only=read_only, hit=crash_points.hit
    )
    try:
        require(startup.other_money(store.modes(), config.mode))
    except ConfigInvalid:
        store.close()
        raise
    return store


async def _plan(store: SqlStore, config: Config, config_path: Path) -> list[Difference]:
    loaded = store.load()
    _check_symbols(loaded.book, config, config_path)
    async with _reached(config, loaded.last_ts_ms) as desk:
        return await _compare(store, desk, await _settings(desk, config), desk.clock.now_ms())


def _check_symbols(book: Book, config: Config, config_path: Path) -> None:
    if not book.epoch:
        raise ConfigInvalid("nothing has run on this state yet: its ledger is empty")
    remedy = startup.remedy_of(bootstrap.RunOptions(config_path), config)
    stranger = startup.left_behind(book, None, config.symbols, remedy)
    if stranger:
        raise ConfigInvalid(stranger)


async def _settings(desk: _Desk, config: Config) -> EngineSettings:
    """The engine's settings with the venue's facts; ConfigInvalid for an account that `run` would not trade on."""
    facts = await desk.venue.account_facts()
    remote.check_facts(facts, config)
    wanted = remote.venue_config(config).position_mode
    if facts.position_mode is not None and facts.position_mode != wanted:
        raise ConfigInvalid(
            f"the account is in position mode {facts.position_mode}, venues.{config.venue}.position_mode = {wanted};"
            " correct the configuration, or change the account's mode while it is flat",
            exit_code=EXIT_REFUSED,
        )
    instruments = {one.symbol: one for one in await desk.venue.instruments()}
    return bootstrap.engine_settings(config, instruments, desk.venue.capabilities)


async def _compare(
    store: SqlStore, desk: _Desk, settings: EngineSettings, began_ms: int, dropped: DropRequested | None = None
) -> list[Difference]:
    """Look until a look shows nothing that the next one may explain, or until that has taken too long.

    dropped   an operator drops a position: what differs is what differs without it. ConfigInvalid where he may not
    """
    first_ms = desk.clock.now_ms()
    seen = Market()
    looks: list[VenueSnapshot] = []
    while True:
        loaded, snapshot = await _one_moment(store, desk)
        looks.append(snapshot)
        view = replace(_view(loaded), began_ms=began_ms, doubts=seen.doubts, wallet_gap=seen.wallet_gap)
        before = EngineState(loaded.book, view)
        lines: list[Difference] = []
        if dropped is not None:
            before, lines = offline.drop(before, dropped, settings)
        draft = Draft(before, settings, desk.clock.now_ms())
        on_snapshot(draft, snapshot)
        is_over = desk.clock.now_ms() - first_ms >= LONGEST_LOOK_MS
        if is_over or not _is_doubtful(draft.book, draft.market, snapshot):
            return [*lines, *offline.differences(draft, before.book, looks)]
        seen = draft.market
        await desk.sleep(LOOK_AGAIN_MS)


async def _look_for_drop(
    store: SqlStore, desk: _Desk, settings: EngineSettings, began_ms: int, word: Word
) -> DropRequested:
    """Two whole looks with a pause, for a position that an operator drops; ConfigInvalid at the first objection."""
    looks: list[VenueSnapshot] = []
    while True:
        loaded, snapshot = await _one_moment(store, desk)
        looks.append(snapshot)
        event = DropRequested(desk.clock.now_ms(), word.drops, tuple(looks), word.actor, word.reason)
        if len(looks) == drop.LOOKS:
            return event  # judged whole where it is planned and done
        view = replace(_view(loaded), began_ms=began_ms)
        objections = drop.objections(Draft(EngineState(loaded.book, view), settings, event.ts_ms), word.drops, looks)
        if objections:
            raise ConfigInvalid("; ".join(objections), exit_code=EXIT_REFUSED)
        await desk.sleep(drop.PATIENCE_MS)


def _view(loaded: Loaded) -> Market:
    return Market() if loaded.checkpoint is None else status.view_of(loaded.checkpoint)


async def _one_moment(store: SqlStore, desk: _Desk) -> tuple[Loaded, VenueSnapshot]:
    """Ledger and venue with no commit in between, if a running engine allows."""
    for _ in range(_MOMENTS):
        loaded = store.load()
        view = _view(loaded)
        snapshot = await take_snapshot(
            desk.venue, loaded.book, desk.clock.now_ms(), view.reconciled_ms, view.unbooked_ms
        )
        if store.load().last_seq == loaded.last_seq:
            break
    return loaded, snapshot


def _is_doubtful(book: Book, market: Market, snapshot: VenueSnapshot) -> bool:
    """Whether the next look may show something else."""
    absent = [item.client_order_id for item in snapshot.lookups if item.report is None]
    is_missing = any(book.orders[name].is_live for name in absent if name in book.orders)
    return bool(market.doubts) or market.wallet_gap != market.told_gap or is_missing


# ── mending ─────────────────────────────────────────────────────────────────


def reconcile(
    state: StateDir,
    config: Config,
    config_path: Path,
    agree: Callable[[Sequence[Difference]], bool],
    word: Word | None,
    acknowledged: str,
) -> Repaired:
    """As `repair.reconcile`, at the venue. VenueUnavailable where it cannot be read; what was done stays done."""
    acknowledge(config, "may place orders with", acknowledged)
    with alone(state), sole_trader(config, logger.warning), _opened(state, config, read_only=False) as store:
        return asyncio.run(_reconcile(store, config, config_path, agree, word))


async def _reconcile(
    store: SqlStore,
    config: Config,
    config_path: Path,
    agree: Callable[[Sequence[Difference]], bool],
    word: Word | None,
) -> Repaired:
    loaded = store.load()
    _check_symbols(loaded.book, config, config_path)
    async with _reached(config, loaded.last_ts_ms) as desk:
        settings = await _settings(desk, config)
        began_ms = desk.clock.now_ms()
        dropped = None
        if word is not None and word.drops:
            dropped = await _look_for_drop(store, desk, settings, began_ms, word)
        planned = tuple(offline.with_word(await _compare(store, desk, settings, began_ms, dropped), word))
        if not planned:
            return Repaired((), (), is_applied=True)
        if not agree(planned):
            return Repaired(planned, (), is_applied=False)
        return await _Mending(store, desk, settings, loaded, began_ms).perform(planned, word, dropped)


class _Mending:
    """The engine's own path from a snapshot on, without strategies: decide, commit, act, and hear what came of it."""

    def __init__(self, store: SqlStore, desk: _Desk, settings: EngineSettings, loaded: Loaded, began_ms: int) -> None:
        self._desk = desk
        self._done: list[str] = []
        self._timers = Timers()
        self._executor = Executor(desk.venue, desk.clock, self._timers, crash_points.hit)
        self._pump = Pump(
            EngineState(loaded.book, replace(_view(loaded), began_ms=began_ms)),
            settings,
            store,
            RUN_ID,
            self._executor.dispatch,
            lambda _, records: self._done.extend(line for record in records if (line := told(record))),
            lambda: None,
        )
        self._executor.attach(self._pump)

    async def perform(
        self, planned: tuple[Difference, ...], word: Word | None, dropped: DropRequested | None
    ) -> Repaired:
        """Settle what the plan has shown; what an operator accepts is booked at the end, when nothing is under way.

        What he drops goes first: exits would be sent for it, and nothing comes to rest while it is there.
        """
        if dropped is not None:
            self._pump.handle(dropped)
        before = self._pump.state.book.ledger.balance
        until_ms = self._desk.clock.now_ms() + SETTLE_MS
        steps = -1
        while steps != len(self._done) and self._desk.clock.now_ms() < until_ms:  # orders that filled have moved money
            steps = len(self._done)
            self._executor.dispatch(TakeSnapshot())
            await self._settle(until_ms)
        left = tuple(unsettled(self._pump.state))
        if word is not None and word.books_gap and not left:
            wallet = (await self._desk.venue.balance()).wallet
            self._pump.handle(GapAccepted(self._desk.clock.now_ms(), wallet, word.actor, word.reason))
        elif word is not None and word.books_gap:
            left = (*left, "the wallet's difference is not booked: something is still under way")
        gap = money.subtract(self._pump.state.book.ledger.balance, before)
        return Repaired(planned, tuple(self._done), is_applied=True, gap=gap, left=left)

    async def _settle(self, until_ms: int) -> None:
        """Let calls and timers go on until nothing is open, or the time is over."""
        clock = self._desk.clock
        while True:
            await self._executor.idle()
            now_ms = clock.now_ms()
            while (timer := self._timers.pop_due(now_ms)) is not None:
                self._pump.handle(replace(timer, ts_ms=now_ms))
            if not self._executor.is_idle:
                continue
            if now_ms >= until_ms or not any(unsettled(self._pump.state)):
                return
            if self._timers.next_ms is None:
                self._executor.dispatch(TakeSnapshot())
            next_ms = min(self._timers.next_ms or now_ms, now_ms + LOOK_AGAIN_MS, until_ms)
            await self._desk.sleep(max(next_ms - now_ms, 100))


def unsettled(state: EngineState) -> list[str]:
    """What is still under way, for a person; empty where the book is at rest."""
    book, market = state.book, state.market
    lines = [f"{symbol}: the venue holds another quantity than we do" for symbol in sorted(market.doubts)]
    if market.wallet_gap != market.told_gap:
        lines.append("the wallet differs from the ledger, and was seen so only once")
    for order in book.orders.values():
        if order.is_live and (order.state not in (OrderState.ACKED, OrderState.PARTIAL) or order.cancel_requested):
            what = "to be cancelled" if order.cancel_requested else str(order.state)
            lines.append(f"{order.symbol}: {order.purpose} order {order.client_order_id} is {what}")
        if order.reported_filled > order.filled:
            lines.append(f"{order.symbol}: fills of {order.client_order_id} are not told yet")
    for position in book.positions.values():
        if position.state is PositionState.CLOSING:
            lines.append(f"{position.symbol}: {position.position_id} is not closed yet")
        elif position.state is PositionState.OPEN and not is_covered(book, position):
            lines.append(f"{position.symbol}: the stop of {position.position_id} is not confirmed")
    return lines


# ── closing everything ──────────────────────────────────────────────────────


def flatten(state: StateDir, config: Config, tell: Callable[[str], None], acknowledged: str) -> bool:
    """Close the configured symbols at the venue, without the engine's database; whether they are flat.

    ConfigInvalid, exit 3, while an engine runs on this state, or another process of this machine on this account.
    """
    acknowledge(config, "closes positions held with", acknowledged)
    if state.root.is_dir():
        lock: InstanceLock | nullcontext[None] = InstanceLock(state.lock, writes_nothing=True)
    else:
        tell(f"no state at {state.root}: whether an engine trades on this account elsewhere is not known")
        lock = nullcontext()
    with lock, sole_trader(config, tell):
        return asyncio.run(_flatten(config, tell))


async def _flatten(config: Config, tell: Callable[[str], None]) -> bool:
    begun_s = asyncio.get_running_loop().time()
    mode: PositionMode | None = None
    while True:
        try:
            async with _reached(config, 0, mode) as desk:
                present = await _mode_of(desk.venue)
                if mode is None and present is not None and present != remote.venue_config(config).position_mode:
                    mode = present  # an emergency takes the account as it is
                    tell(f"the account is in position mode {mode}, unlike the configuration: orders follow the account")
                    continue
                most = {one.symbol: one.max_quantity for one in await desk.venue.instruments()}
                return await emergency.Flattening(desk.venue, most, desk.clock, desk.sleep, tell).run()
        except VenueUnavailable as error:
            if asyncio.get_running_loop().time() - begun_s > REACH_MS / 1000:
                tell(f"{config.venue} cannot be reached ({error}): NOTHING was done; what is open stays as it is")
                return False
            tell(f"{config.venue} cannot be reached ({error}); trying again")
        await asyncio.sleep(emergency.PAUSE_MS / 1000)


async def _mode_of(venue: RemoteVenue) -> PositionMode | None:
    try:
        return (await venue.account_facts()).position_mode
    except VenueUnavailable:
        return None
