"""One run on the embedded exchange, from the checked state to the exit code.

What belongs here: the order of a start and an end, the same for every market. What does not: what any event means
(core), the order of things at an instant (replay), how a venue's live market is followed (paper_live).

Start and recovery are the same path: load the book, bring the exchange to where the market is, reconcile, and only
then decide on new candles.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from trading_engine import __version__
from trading_engine.config.model import Config
from trading_engine.config.show import config_hash
from trading_engine.core import on_timer
from trading_engine.core.settings import EngineSettings
from trading_engine.domain.events import RunBegan, RunEnding, RunFinished
from trading_engine.domain.instrument import Instrument
from trading_engine.ports import Loaded
from trading_engine.runtime import bootstrap, startup
from trading_engine.runtime.bootstrap import Plan, RunOptions
from trading_engine.runtime.brain import Brain
from trading_engine.runtime.clock import VirtualClock
from trading_engine.runtime.control import ControlServer
from trading_engine.runtime.executor import Executor
from trading_engine.runtime.observe import Observer
from trading_engine.runtime.process import EXIT_DONE, SHUTDOWN_BUDGET_S, Process, initial_state, require
from trading_engine.runtime.pump import Pump
from trading_engine.runtime.read_only import ReadOnlyVenue
from trading_engine.runtime.replay import Parts, PlayedMarket, ReplayDriver
from trading_engine.runtime.startup import Paper
from trading_engine.runtime.strategy_setup import Filters
from trading_engine.runtime.timers import Timers
from trading_engine.store.sql_store import SqlStore
from trading_engine.strategy.api import Strategy
from trading_engine.system import crash_points
from trading_engine.system.state_dir import StateDir
from trading_engine.venues.embedded.memory import Memory
from trading_engine.venues.embedded.terms import Terms
from trading_engine.venues.embedded.venue import EmbeddedVenue

CANDLES_TO_FLATTEN = 60  # after these a market too thin to close in is left behind its stop


@dataclass(frozen=True, slots=True)
class Ground:
    """What a run stands on once its market is known.

    instruments   what the exchange lists: what is traded, and what reconciliation will ask about
    first_ms      where the market begins for this run; dates the deposit of a new account
    """

    settings: EngineSettings
    terms: Terms
    strategies: Mapping[str, tuple[Strategy, ...]]
    filters: Filters
    instruments: Sequence[Instrument]
    market: PlayedMarket
    first_ms: int


class PaperRun(Process):
    """The parts of one process on the embedded exchange, and their order of life."""

    def __init__(self, options: RunOptions, config: Config, state: StateDir) -> None:
        super().__init__(options, config, state)
        self._clock: VirtualClock = VirtualClock()

    async def main(self) -> int:
        """Start, recover, play, end."""
        self._catch_signals()  # from here on a signal is an orderly end, however far the start has come
        config = self._config
        store = SqlStore.open(
            self._state.database, venue=EmbeddedVenue.name, account=config.account, hit=crash_points.hit
        )
        try:
            loaded = store.load()
            paper = startup.read_paper(self._state.paper_database, loaded.book)
            require(startup.torn_apart(self._state, loaded, paper))
            if self._options.signals_only:
                require(startup.unprotected(startup.still_open(loaded.book, paper)))
            remedy = startup.remedy_of(self._options, config)
            require(startup.left_behind(loaded.book, paper, self._symbols, remedy))
            require(startup.switched_off(loaded.book, self._stop_file))
            self._configure_logging()  # not before: what is refused leaves no file
            worker = self._alert_worker(store)  # before the market is reached: that it is not is worth an alert
            worker.start()
            if self._is_live_market:
                self._reach_for(store, loaded)
            try:
                ground = await self._stand(loaded, paper)
                return EXIT_DONE if ground is None else await self._live(store, loaded, ground)
            finally:
                await worker.stop(SHUTDOWN_BUDGET_S / 4)
        finally:
            store.close()

    # ── what depends on the market ──────────────────────────────────────────

    @property
    def _symbols(self) -> Collection[str]:
        """What is traded."""
        raise NotImplementedError

    @property
    def _is_live_market(self) -> bool:
        """Candles come as they close in the world: a disk may fill up meanwhile."""
        return False

    async def _stand(self, loaded: Loaded, paper: Paper | None) -> Ground | None:
        """The market and everything that is known once it is; None where told to stop before."""
        raise NotImplementedError

    def _warm_up(self, brain: Brain, closed_ms: int) -> None:
        """Fill the strategies' windows before the first candle; the engine has seen candles up to `closed_ms`."""
        raise NotImplementedError

    async def _catch_up(self, driver: ReplayDriver, venue: EmbeddedVenue) -> None:
        """Bring the exchange to where the run begins to decide."""
        raise NotImplementedError

    async def _play(self, driver: ReplayDriver, pump: Pump) -> None:
        """Until the market or the run is over."""
        raise NotImplementedError

    async def _close_all(self, driver: ReplayDriver, pump: Pump) -> None:
        """Let closing orders trade before the run ends."""
        raise NotImplementedError

    # ── the run ─────────────────────────────────────────────────────────────

    async def _live(self, store: SqlStore, loaded: Loaded, ground: Ground) -> int:
        memory = Memory(self._state.paper_database, crash_points.hit)
        paper = self._config.paper
        venue = EmbeddedVenue(
            memory, ground.instruments, ground.terms, paper.balance, ground.first_ms, self._config.account
        )
        driver, pump, executor = self._wire(store, loaded, venue, ground)
        observer = Observer(self._config, self._state, store, pump, self._clock, pump.handle, self._run_id)
        self._observe(observer, executor)
        control = ControlServer(self._state.control_socket, self._command)
        self._pump = pump
        instruments, interval_ms = ground.settings.instruments, ground.market.interval_ms
        self._settings_of = lambda changed: self._settings(changed, instruments, interval_ms=interval_ms)
        await control.start()
        observer.start(watches_disk=self._is_live_market)
        try:
            await self._catch_up(driver, venue)
            await self._recover(driver, pump, executor, store.unfinished_ms())
            await self._play(driver, pump)
            await self._end(driver, pump, executor)
        finally:
            await observer.stop()
            await control.stop()
            venue.close()
        return EXIT_DONE

    def _wire(
        self, store: SqlStore, loaded: Loaded, venue: EmbeddedVenue, ground: Ground
    ) -> tuple[ReplayDriver, Pump, Executor]:
        timers = Timers()
        asked = ReadOnlyVenue(venue) if self._options.signals_only else venue
        executor = Executor(asked, self._clock, timers, crash_points.hit)
        state = initial_state(loaded, self._epoch())
        pump = Pump(
            state, ground.settings, store, self._run_id, executor.dispatch, self._log_records, venue.save_progress
        )
        executor.attach(pump)
        venue.subscribe(pump.handle)
        settings = ground.settings
        brain = Brain(
            ground.strategies,
            settings.instruments,
            ground.market.interval_ms,
            ground.filters,
            settings.atr_periods,
            settings.levels,
        )
        parts = Parts(
            ground.market,
            venue,
            brain,
            pump,
            executor,
            timers,
            self._clock,
            self._stop_file,
            bootstrap.stop_level(self._config),
        )
        driver = ReplayDriver(parts, self._options.speed, lambda: bool(self._stopping), self._progress)
        self._warm_up(brain, state.market.closed_ms)
        self._clock.advance_to(max(state.market.closed_ms, venue.progress.now_ms, ground.first_ms))
        return driver, pump, executor

    async def _recover(self, driver: ReplayDriver, pump: Pump, executor: Executor, crashed_ms: int) -> None:
        """Boot is reconciliation first, entries last."""
        driver.look_for_stop()
        now_ms = self._clock.now_ms()
        hashed = config_hash(self._config)
        pump.handle(RunBegan(now_ms, self._run_id, __version__, self._config.mode, hashed, crashed_ms))
        await executor.idle()
        for timer in on_timer.boot_timers(pump.state.book, pump.settings, now_ms):
            executor.dispatch(timer)
        crash_points.hit("run.recovered")

    async def _end(self, driver: ReplayDriver, pump: Pump, executor: Executor) -> None:
        reason = self._stopping or "end of data"
        if self._stopping:
            flatten = self._config.on_shutdown == "flatten"
            pump.handle(RunEnding(self._clock.now_ms(), reason, flatten))
            async with asyncio.timeout(SHUTDOWN_BUDGET_S):
                await executor.idle()
                if flatten:
                    await self._close_all(driver, pump)
        pump.handle(RunFinished(self._clock.now_ms(), self._run_id, reason))
        await executor.idle()

    def _progress(self, done: int, now_ms: int) -> None:
        """Nobody is told where nothing is known of the end."""


class RecordedRun(PaperRun):
    """A run on recorded or synthetic candles, in virtual time."""

    def __init__(self, options: RunOptions, plan: Plan, state: StateDir) -> None:
        super().__init__(options, plan.config, state)
        self._plan = plan

    @property
    def _symbols(self) -> Collection[str]:
        return self._plan.settings.instruments

    async def _stand(self, loaded: Loaded, paper: Paper | None) -> Ground | None:
        plan = self._plan
        for text in startup.warnings(self._options, plan, loaded):
            self._warn(text)
        instruments = startup.listed(self._config, plan.settings.instruments, paper)
        return Ground(
            plan.settings, plan.terms, plan.strategies, plan.filters, instruments, plan.source, plan.source.first_ts
        )

    def _warm_up(self, brain: Brain, closed_ms: int) -> None:
        if closed_ms:
            brain.warm_up(self._plan.source, closed_ms)

    async def _catch_up(self, driver: ReplayDriver, venue: EmbeddedVenue) -> None:
        del venue
        driver.catch_up()

    async def _play(self, driver: ReplayDriver, pump: Pump) -> None:
        del pump
        await driver.run()

    async def _close_all(self, driver: ReplayDriver, pump: Pump) -> None:
        await driver.play_exits(lambda: not pump.state.book.positions, CANDLES_TO_FLATTEN)

    def _progress(self, done: int, now_ms: int) -> None:
        if self._options.on_progress is not None:
            self._options.on_progress(done, self._plan.total_candles, now_ms)
