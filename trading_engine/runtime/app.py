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
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from loguru import logger

from trading_engine import __version__
from trading_engine.alerts.channel import Channel
from trading_engine.alerts.outbox_worker import OutboxWorker
from trading_engine.alerts.port import AlertRow
from trading_engine.config.show import config_hash
from trading_engine.core import on_timer
from trading_engine.core.state import EngineState, Market
from trading_engine.domain.control import Level
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.events import ResumeRequested, RunBegan, RunEnding, RunFinished
from trading_engine.domain.ids import EPOCH_LENGTH, base36
from trading_engine.domain.records import AlertRaised, PositionAdvanced, Record
from trading_engine.domain.severity import Severity
from trading_engine.ports import Loaded
from trading_engine.runtime import bootstrap
from trading_engine.runtime.bootstrap import Plan, RunOptions
from trading_engine.runtime.brain import Brain
from trading_engine.runtime.clock import VirtualClock
from trading_engine.runtime.control import Answer, ControlServer
from trading_engine.runtime.executor import Executor
from trading_engine.runtime.pump import Pump
from trading_engine.runtime.replay import Parts, ReplayDriver
from trading_engine.runtime.timers import Timers
from trading_engine.store.sql_store import SqlStore
from trading_engine.system import crash_points, state_dir
from trading_engine.system.clock import SystemClock
from trading_engine.system.logging import configure_logging
from trading_engine.system.redaction import register_secret
from trading_engine.system.single_instance import InstanceLock
from trading_engine.system.state_dir import StateDir
from trading_engine.system.stop_file import StopFile
from trading_engine.venues.embedded.memory import Memory
from trading_engine.venues.embedded.venue import EmbeddedVenue

__all__ = ["RunOptions", "run"]

SHUTDOWN_BUDGET_S = 20.0
CANDLES_TO_FLATTEN = 60  # after these a market too thin to close in is left behind its stop
EXIT_DONE = 0
EXIT_REFUSED = 3

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
    plan = bootstrap.prepare(options, os.environ)
    if options.dry_run:
        return EXIT_DONE
    state = state_dir.resolve(options.state_dir, os.environ)
    stop_file = StopFile(plan.config.kill_switch.file)
    if not state.database.exists() and stop_file.read() is not None:  # nothing to manage, so nothing is made
        raise ConfigInvalid(f"{stop_file.path} is present; remove it to start", exit_code=EXIT_REFUSED)
    state = state_dir.prepare(state)
    with InstanceLock(state.lock):
        _ensure_database(state)
        return asyncio.run(_Run(options, plan, state).main())


def _ensure_database(state: StateDir) -> None:
    """A new state directory gets its schema from a process of its own: Alembic never enters this one."""
    if state.database.exists():
        return
    command = [sys.executable, "-m", "trading_engine.store.migrate", str(state.database)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
    if done.returncode:
        raise ConfigInvalid(f"{state.database}: cannot be created ({done.stderr.strip().splitlines()[-1:]})")


class _Run:
    """The parts of one process and their order of life."""

    def __init__(self, options: RunOptions, plan: Plan, state: StateDir) -> None:
        self._options = options
        self._plan = plan
        self._state = state
        self._config = plan.config
        self._run_id = f"{SystemClock().now_ms():x}-{os.getpid():x}"
        self._stopping = ""
        self._clock = VirtualClock()

    async def main(self) -> int:
        """Start, recover, play, end."""
        settings = self._plan.settings
        store = SqlStore.open(
            self._state.database, venue=settings.venue, account=settings.account, hit=crash_points.hit
        )
        try:
            loaded = store.load()
            refusal = self._torn_apart(loaded) or self._refusal(loaded)
            if refusal:
                raise ConfigInvalid(refusal, exit_code=EXIT_REFUSED)
            self._configure_logging()  # not before: what is refused leaves no file
            return await self._live(store, loaded)
        finally:
            store.close()

    def _configure_logging(self) -> None:
        log = self._config.logging
        level = "DEBUG" if self._options.debug else log.level
        directory = self._state.logs if log.file else None
        # At full speed weeks pass in seconds: the console keeps to what needs a person, the file has it all.
        console_level = "ERROR" if self._options.speed is None and not self._options.debug else level
        configure_logging(
            level,
            log_dir=directory,
            rotation_mb=log.rotation_mb,
            keep=log.keep,
            console_level=console_level,
        )

    def _torn_apart(self, loaded: Loaded) -> str:
        """Why the two databases cannot belong together; trading on would trade on a lie."""
        paper, engine = self._state.paper_database, self._state.database
        bookings = loaded.book.ledger.bookings
        if bookings and not paper.exists():
            return (
                f"{paper} is missing, {engine.name} knows {bookings} bookings of that account; put it back, or"
                " start on a new --state"
            )
        if not loaded.last_seq and paper.exists():
            account = Memory(paper, read_only=True).load()
            if account is not None and account.progress.trades:
                return (
                    f"{paper} holds {account.progress.trades} trades, {engine} knows none of them; put the"
                    " engine's database back (`trading-engine db restore`), or start on a new --state"
                )
        return ""

    def _refusal(self, loaded: Loaded) -> str:
        """Why a flat engine must not start; with a position it starts and manages the exits."""
        stop_file = StopFile(self._config.kill_switch.file)
        if loaded.book.positions:
            return ""
        if stop_file.read() is not None:
            return f"{stop_file.path} is present; remove it, then run `trading-engine resume`"
        control = loaded.book.control
        if control.level is not Level.RUN:
            return f"kill switch at {control.level} ({control.reason}); run `trading-engine resume` to release it"
        return ""

    async def _live(self, store: SqlStore, loaded: Loaded) -> int:
        memory = Memory(self._state.paper_database, crash_points.hit)
        venue = EmbeddedVenue(
            memory,
            list(self._plan.settings.instruments.values()),
            self._plan.terms,
            self._config.paper.balance,
            self._plan.source.first_ts,
            self._config.account,
        )
        driver, pump, executor = self._wire(store, loaded, venue)
        worker = self._alert_worker(store)
        control = ControlServer(self._state.control_socket, self._command)
        self._pump, self._driver, self._executor = pump, driver, executor
        self._catch_signals()
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
        state = _initial_state(loaded, self._epoch())
        pump = Pump(
            state, plan.settings, store, self._run_id, executor.dispatch, self._log_records, venue.save_progress
        )
        executor.attach(pump)
        venue.subscribe(pump.handle)
        brain = Brain(plan.strategies, plan.settings.instruments, plan.source.interval_ms)
        parts = Parts(
            plan.source,
            venue,
            brain,
            pump,
            executor,
            timers,
            self._clock,
            StopFile(self._config.kill_switch.file),
            bootstrap.stop_level(self._config),
        )
        driver = ReplayDriver(parts, self._options.speed, lambda: bool(self._stopping), self._progress)
        if state.market.closed_ms:
            brain.warm_up(plan.source, state.market.closed_ms)
        self._clock.advance_to(max(state.market.closed_ms, venue.progress.now_ms, plan.source.first_ts))
        return driver, pump, executor

    def _epoch(self) -> str:
        """The epoch of a new database: from the seed where one is given, so that equal runs give equal rows."""
        if self._options.seed is not None:
            return base36(self._options.seed % 36**EPOCH_LENGTH, EPOCH_LENGTH)
        return base36(secrets.randbelow(36**EPOCH_LENGTH), EPOCH_LENGTH)

    def _alert_worker(self, store: SqlStore) -> OutboxWorker:
        alerts = self._config.alerts
        for item in alerts.channels:
            register_secret(item.url.get_secret_value())
        return OutboxWorker(
            store.outbox(AlertRow, SystemClock().now_ms),
            [Channel(item.url.get_secret_value(), item.min_severity) for item in alerts.channels],
            now_ms=SystemClock().now_ms,
            throttle_s=alerts.throttle_s,
            timeout_s=alerts.timeout_s,
        )

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, signal.Signals(number).name)

    def _stop(self, reason: str) -> None:
        self._stopping = self._stopping or reason

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

    async def _command(self, request: Mapping[str, object]) -> Answer:
        """What the control socket can ask of the engine."""
        if request.get("command") != "resume":
            return {"ok": False, "message": f"unknown command {request.get('command')!r}; known: resume"}
        stop_file = StopFile(self._config.kill_switch.file)
        if stop_file.read() is not None:
            return {"ok": False, "message": f"{stop_file.path} is still there; remove it first"}
        before = self._pump.state.book.control.level
        self._pump.handle(ResumeRequested(self._clock.now_ms(), str(request.get("actor", "operator"))))
        return {"ok": True, "message": f"resumed (kill switch was at {before}); peak and losing streak count anew"}

    def _progress(self, done: int, now_ms: int) -> None:
        if self._options.on_progress is not None:
            self._options.on_progress(done, self._plan.total_candles, now_ms)

    def _log_records(self, ts_ms: int, records: tuple[Record, ...]) -> None:
        for record in records:
            if isinstance(record, AlertRaised):
                level = {Severity.INFO: "INFO", Severity.WARNING: "WARNING"}.get(record.severity, "ERROR")
                logger.bind(event_ms=ts_ms, alert=record.key).log(level, record.text)
            elif isinstance(record, PositionAdvanced):
                logger.bind(event_ms=ts_ms).debug(
                    "{} {} -> {}: {}", record.position_id, record.source, record.target, record.cause
                )


def _initial_state(loaded: Loaded, new_epoch: str) -> EngineState:
    """The state to start with: the book as stored, the market view from the last checkpoint."""
    book = loaded.book if loaded.book.epoch else replace(loaded.book, epoch=new_epoch)
    seen = loaded.checkpoint
    if seen is None:
        return EngineState(book)
    marks = {symbol: Decimal(price) for symbol, price in seen.marks}
    return EngineState(book, Market(marks, seen.cursor_ms, seen.decided_ms, seen.reconciled_ms, is_synced=False))
