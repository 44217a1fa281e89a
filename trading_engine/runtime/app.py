"""One run of the engine, from the checked configuration to the exit code.

What belongs here: the life of a process: lock, database, recovery, loop, orderly end. What does not: what
any event means (core), how parts are made from configuration (bootstrap).

Start and recovery are the same path: load the book, bring the exchange to where the engine was, reconcile,
and only then decide on new candles.
"""

import asyncio
import contextlib
import faulthandler
import os
from collections.abc import Callable, Sequence

from trading_engine import __version__
from trading_engine.config.model import Config
from trading_engine.config.show import config_hash
from trading_engine.core import on_timer
from trading_engine.domain.errors import ConfigInvalid, VenueUnavailable
from trading_engine.domain.events import RunBegan, RunEnding, RunFinished
from trading_engine.domain.instrument import Instrument
from trading_engine.ports import Loaded
from trading_engine.runtime import bootstrap, startup, strategy_setup
from trading_engine.runtime.bootstrap import Plan, RunOptions
from trading_engine.runtime.brain import Brain
from trading_engine.runtime.clock import VirtualClock
from trading_engine.runtime.control import ControlServer
from trading_engine.runtime.executor import Executor
from trading_engine.runtime.process import (
    EXIT_DONE,
    EXIT_REFUSED,
    SHUTDOWN_BUDGET_S,
    Process,
    ensure_database,
    handlers_kept,
    initial_state,
    require,
    stop_file_of,
)
from trading_engine.runtime.pump import Pump
from trading_engine.runtime.replay import Parts, ReplayDriver
from trading_engine.runtime.timers import Timers
from trading_engine.store.sql_store import SqlStore
from trading_engine.system import crash_points, state_dir
from trading_engine.system.single_instance import InstanceLock
from trading_engine.system.state_dir import StateDir
from trading_engine.venues.embedded.memory import Memory
from trading_engine.venues.embedded.venue import EmbeddedVenue

__all__ = ["RunOptions", "run"]

CANDLES_TO_FLATTEN = 60  # after these a market too thin to close in is left behind its stop

for _name in (
    "engine.commit.before",
    "engine.commit.inside",
    "engine.commit.after",
    "exchange.commit.before",
    "exchange.commit.inside",
    "exchange.commit.after",
    "send.before",
    "send.after",
    "cancel.before",
    "cancel.after",
    "run.recovered",
):
    crash_points.register(_name)


def run(options: RunOptions) -> int:
    """Run to the end of the data or a clean stop; the exit code. Raises ConfigInvalid for bad input."""
    with contextlib.suppress(OSError, ValueError):  # stderr may be no file
        faulthandler.enable()
    config = bootstrap.configuration(options, os.environ)
    if config.mode != "paper":
        return _run_live(options, config)
    plan = bootstrap.prepare(options, os.environ)
    if options.dry_run:
        return EXIT_DONE
    state = state_dir.resolve(options.state_dir, os.environ)
    if not state.database.exists():  # nothing to manage, so nothing is made
        _refuse_to_begin_stopped(config)
        require(startup.lost_engine(state))
    return _locked(state, lambda prepared: _Run(options, plan, prepared))


def _run_live(options: RunOptions, config: Config) -> int:
    """The same on a real venue. The adapters are imported here: paper trading does without a network."""
    from trading_engine.runtime import live  # noqa: PLC0415 - see above

    live.refuse_leftovers(options)
    strategy_setup.filters_of(config, strategy_setup.strategies_of(config, config.symbols))
    if options.dry_run:
        return EXIT_DONE
    state = state_dir.resolve(options.state_dir, os.environ)
    if not state.database.exists():
        _refuse_to_begin_stopped(config)
    live.acknowledge(config)
    return _locked(state, lambda prepared: live.LiveRun(options, config, prepared))


def rehearse(options: RunOptions) -> list[bootstrap.Finding]:
    """What `--dry-run` reports: the checks of `validate`, and on a real venue what the venue says. Sends no order.

    Raises ConfigInvalid for what would not run at all.
    """
    config = bootstrap.configuration(options, os.environ)
    found = bootstrap.check(options)
    if config.mode == "paper":
        return found
    from trading_engine.runtime import live  # noqa: PLC0415 - paper trading does without a network

    try:
        return [*found, *live.rehearse(config)]
    except VenueUnavailable as error:
        return [*found, bootstrap.Finding("error", config.venue, f"cannot be asked: {error}")]


def _refuse_to_begin_stopped(config: Config) -> None:
    stop_file = stop_file_of(config)
    if stop_file.read() is not None:
        raise ConfigInvalid(f"{stop_file.path} is present; remove it to start", exit_code=EXIT_REFUSED)


def _locked(state: StateDir, make: Callable[[StateDir], Process]) -> int:
    """Run what `make` makes of the prepared state, alone on it."""
    state = state_dir.prepare(state)
    with InstanceLock(state.lock):
        ensure_database(state)
        with handlers_kept():
            return asyncio.run(_main(state, make))


async def _main(state: StateDir, make: Callable[[StateDir], Process]) -> int:
    return await make(state).main()


class _Run(Process):
    """One run on recorded or synthetic candles, and its order of life."""

    def __init__(self, options: RunOptions, plan: Plan, state: StateDir) -> None:
        super().__init__(options, plan.config, state)
        self._plan = plan
        self._clock: VirtualClock = VirtualClock()

    async def main(self) -> int:
        """Start, recover, play, end."""
        self._catch_signals()  # from here on a signal is an orderly end, however far the start has come
        settings = self._plan.settings
        store = SqlStore.open(
            self._state.database, venue=settings.venue, account=settings.account, hit=crash_points.hit
        )
        try:
            loaded = store.load()
            paper = startup.read_paper(self._state.paper_database, loaded.book)
            require(startup.torn_apart(self._state, loaded, paper))
            remedy = startup.remedy_of(self._options, self._config)
            require(startup.left_behind(loaded.book, paper, settings.instruments, remedy))
            require(startup.switched_off(loaded.book, self._stop_file))
            instruments = startup.listed(self._config, settings.instruments, paper)
            self._configure_logging()  # not before: what is refused leaves no file
            for text in startup.warnings(self._options, self._plan, loaded):
                self._warn(text)
            return await self._live(store, loaded, instruments)
        finally:
            store.close()

    async def _live(self, store: SqlStore, loaded: Loaded, instruments: Sequence[Instrument]) -> int:
        memory = Memory(self._state.paper_database, crash_points.hit)
        venue = EmbeddedVenue(
            memory,
            instruments,
            self._plan.terms,
            self._config.paper.balance,
            self._plan.source.first_ts,
            self._config.account,
        )
        driver, pump, executor = self._wire(store, loaded, venue)
        worker = self._alert_worker(store)
        control = ControlServer(self._state.control_socket, self._command)
        self._pump = pump
        await control.start()
        worker.start()
        try:
            await self._recover(driver, pump, executor)
            await driver.run()
            await self._end(driver, pump, executor)
        finally:
            await control.stop()
            await worker.stop(SHUTDOWN_BUDGET_S / 4)
            venue.close()
        return EXIT_DONE

    def _wire(self, store: SqlStore, loaded: Loaded, venue: EmbeddedVenue) -> tuple[ReplayDriver, Pump, Executor]:
        plan = self._plan
        timers = Timers()
        executor = Executor(venue, self._clock, timers, crash_points.hit)
        state = initial_state(loaded, self._epoch())
        pump = Pump(
            state, plan.settings, store, self._run_id, executor.dispatch, self._log_records, venue.save_progress
        )
        executor.attach(pump)
        venue.subscribe(pump.handle)
        brain = Brain(plan.strategies, plan.settings.instruments, plan.source.interval_ms, plan.filters)
        parts = Parts(
            plan.source,
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
        if state.market.closed_ms:
            brain.warm_up(plan.source, state.market.closed_ms)
        self._clock.advance_to(max(state.market.closed_ms, venue.progress.now_ms, plan.source.first_ts))
        return driver, pump, executor

    async def _recover(self, driver: ReplayDriver, pump: Pump, executor: Executor) -> None:
        """Boot is reconciliation first, entries last."""
        driver.catch_up()
        driver.look_for_stop()
        now_ms = self._clock.now_ms()
        pump.handle(RunBegan(now_ms, self._run_id, __version__, self._config.mode, config_hash(self._config)))
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
                    await driver.play_exits(lambda: not pump.state.book.positions, CANDLES_TO_FLATTEN)
        pump.handle(RunFinished(self._clock.now_ms(), self._run_id, reason))
        await executor.idle()

    def _progress(self, done: int, now_ms: int) -> None:
        if self._options.on_progress is not None:
            self._options.on_progress(done, self._plan.total_candles, now_ms)
