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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from loguru import logger

from trading_engine import __version__
from trading_engine.alerts.channel import Channel
from trading_engine.alerts.outbox_worker import OutboxWorker
from trading_engine.alerts.port import AlertRow
from trading_engine.config.show import config_hash
from trading_engine.core import on_timer
from trading_engine.core.state import EngineState
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.events import ResumeRequested, RunBegan, RunEnding, RunFinished
from trading_engine.domain.ids import EPOCH_LENGTH, base36
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.records import AlertRaised, PositionAdvanced, Record
from trading_engine.domain.severity import Severity
from trading_engine.ports import Loaded
from trading_engine.runtime import bootstrap, startup, status
from trading_engine.runtime.bootstrap import Plan, RunOptions
from trading_engine.runtime.brain import Brain
from trading_engine.runtime.clock import VirtualClock
from trading_engine.runtime.control import Answer, ControlServer
from trading_engine.runtime.executor import Executor
from trading_engine.runtime.pump import Pump
from trading_engine.runtime.replay import Parts, ReplayDriver
from trading_engine.runtime.timers import Timers
from trading_engine.store import backup as backups
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
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

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
    if not state.database.exists():  # nothing to manage, so nothing is made
        stop_file = _stop_file(plan)
        if stop_file.read() is not None:
            raise ConfigInvalid(f"{stop_file.path} is present; remove it to start", exit_code=EXIT_REFUSED)
        _require(startup.lost_engine(state))
    state = state_dir.prepare(state)
    with InstanceLock(state.lock):
        _ensure_database(state)
        with _handlers_kept():
            return asyncio.run(_Run(options, plan, state).main())


@contextlib.contextmanager
def _handlers_kept() -> Iterator[None]:
    """The loop takes the signals over and, when it closes, leaves their defaults behind; the caller has its own."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop_file(plan: Plan) -> StopFile:
    """The kill-switch file; absolute, so that messages say where it lies."""
    return StopFile(plan.config.kill_switch.file.absolute())


def _require(refusal: str) -> None:
    """Refuse for safety (exit 3) where there is a reason."""
    if refusal:
        raise ConfigInvalid(refusal, exit_code=EXIT_REFUSED)


def _ensure_database(state: StateDir) -> None:
    """A new state directory gets its schema from a process of its own: Alembic never enters this one.

    It works on a name of this start alone: where this process is killed, the other goes on for a moment, and
    must not touch what the next start has made.
    """
    path = state.database
    for leftover in state.root.glob(f"*.{path.name}.*"):
        leftover.unlink(missing_ok=True)
    if path.exists():
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    command = [sys.executable, "-m", "trading_engine.store.migrate", str(draft)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
    if done.returncode:
        raise ConfigInvalid(f"{path}: cannot be created ({done.stderr.strip().splitlines()[-1:]})")
    backups.set_aside(path, SystemClock().now_ms())  # the log of a database that is gone must not meet the new one
    backups.publish(draft, path)


class _Run:
    """The parts of one process and their order of life."""

    def __init__(self, options: RunOptions, plan: Plan, state: StateDir) -> None:
        self._options = options
        self._plan = plan
        self._state = state
        self._config = plan.config
        self._stop_file = _stop_file(plan)
        self._run_id = f"{SystemClock().now_ms():x}-{os.getpid():x}"
        self._stopping = ""
        self._clock = VirtualClock()

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
            _require(startup.torn_apart(self._state, loaded, paper))
            remedy = startup.remedy_of(self._options, self._config)
            _require(startup.left_behind(loaded.book, paper, settings.instruments, remedy))
            _require(startup.switched_off(loaded.book, self._stop_file))
            instruments = startup.listed(self._config, settings.instruments, paper)
            self._configure_logging()  # not before: what is refused leaves no file
            for text in startup.warnings(self._options, self._plan, loaded):
                self._warn(text)
            return await self._live(store, loaded, instruments)
        finally:
            store.close()

    @property
    def _is_quiet(self) -> bool:
        """The console shows errors only."""
        return self._options.speed is None and not self._options.debug

    def _configure_logging(self) -> None:
        log = self._config.logging
        level = "DEBUG" if self._options.debug else log.level
        directory = self._state.logs if log.file else None
        # At full speed weeks pass in seconds: the console keeps to what needs a person, the file has it all.
        console_level = "ERROR" if self._is_quiet else level
        configure_logging(
            level,
            log_dir=directory,
            rotation_mb=log.rotation_mb,
            keep=log.keep,
            console_level=console_level,
        )

    def _warn(self, text: str) -> None:
        """Into the log, and to the person in front of a console that leaves warnings out."""
        logger.warning(text)
        if self._is_quiet and self._options.on_notice is not None:
            self._options.on_notice(text)

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
            self._stop_file,
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
        for number in _SIGNALS:
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
        if self._stop_file.read() is not None:
            return {"ok": False, "message": f"{self._stop_file.path} is still there; remove it first"}
        now_ms = self._clock.now_ms()
        released = status.released(self._pump.state.book, status.limits(self._pump.state, self._plan.settings, now_ms))
        if not released:
            return {"ok": True, "message": status.NOTHING_TO_RESUME}
        self._pump.handle(ResumeRequested(now_ms, str(request.get("actor", "operator"))))
        return {"ok": True, "message": f"{status.resumed(released)}; peak and losing streak count anew"}

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
    return EngineState(book, status.view_of(seen))
