"""What every run of the engine has, whatever drives it: state, log, alerts, signals, commands.

What belongs here: preparing the state directory and the parts around the engine. What does not: where events come
from (app, live), what any of them means (core).
"""

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from loguru import logger

from trading_engine.alerts.channel import Channel
from trading_engine.alerts.outbox_worker import OutboxWorker
from trading_engine.alerts.port import AlertRow
from trading_engine.config.model import Config
from trading_engine.core.settings import EngineSettings
from trading_engine.core.state import EngineState
from trading_engine.domain.control import Level
from trading_engine.domain.errors import ConfigInvalid, RateLimited, VenueUnavailable
from trading_engine.domain.ids import EPOCH_LENGTH, base36
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.records import Record
from trading_engine.domain.time import MINUTE_MS
from trading_engine.ports import Capabilities, Clock, Loaded
from trading_engine.runtime import arming, bootstrap, status
from trading_engine.runtime.bootstrap import RunOptions
from trading_engine.runtime.commands import Commands
from trading_engine.runtime.control import Answer
from trading_engine.runtime.executor import Executor
from trading_engine.runtime.log_events import log_call, log_record
from trading_engine.runtime.observe import Observer
from trading_engine.runtime.pump import Pump
from trading_engine.runtime.reaching import FIRST_PAUSE_S, Reaching
from trading_engine.runtime.service_report import Report, Silence
from trading_engine.store import backup as backups
from trading_engine.store.engine import lost, missing
from trading_engine.store.sql_store import SqlStore
from trading_engine.system.clock import SystemClock
from trading_engine.system.logging import configure_logging, has_journal
from trading_engine.system.redaction import register_secret
from trading_engine.system.service_manager import ServiceManager
from trading_engine.system.state_dir import StateDir
from trading_engine.system.stop_file import StopFile

SHUTDOWN_BUDGET_S = 20.0
EXIT_DONE = 0
EXIT_REFUSED = 3
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

T = TypeVar("T")


class Process:
    """The parts around the engine. `pump` and `clock` are set once they exist; commands need them."""

    def __init__(self, options: RunOptions, config: Config, state: StateDir) -> None:
        self._options = options
        self._config = config
        self._state = state
        self._stop_file = stop_file_of(config)
        self._run_id = f"{SystemClock().now_ms():x}-{os.getpid():x}"
        self._stopping = ""
        self._must_stop = asyncio.Event()
        self._pump: Pump | None = None
        self._questions = 0  # asked of the venue during the start
        self._was_synced = False
        self._silence: Silence | None = None
        self._settings_of: Callable[[Config], EngineSettings] | None = None
        self._hangup: asyncio.Task[None] | None = None
        self.manager = ServiceManager()
        self._clock: Clock = SystemClock()
        self._observer: Observer | None = None
        self._reaching: Reaching | None = None

    async def main(self) -> int:
        """Start, recover, run, end; the exit code."""
        raise NotImplementedError

    def report(self) -> Report:
        """What it is doing, for the service manager."""
        where = f"{', '.join(self._config.symbols)} on {self._config.venue} ({self._config.mode})"
        if self._pump is None:
            phase = f"starting: reaching {self._config.venue}" if self._questions else "starting"
            return Report(phase, is_ready=False, turns=self._questions)
        state, turns = self._pump.state, self._questions + self._pump.turns
        self._was_synced = self._was_synced or state.market.is_synced
        count = len(state.book.positions)
        held = f"{count} position{'' if count == 1 else 's'} open" if count else "flat"
        control = state.book.control
        lock = "" if control.level is Level.RUN else f", kill switch at {control.level}: {control.reason}"
        if self._stopping:
            phase = f"stopping ({self._stopping}), {held}"
        elif not self._was_synced:
            phase = f"starting: comparing with {self._config.venue}"
        else:
            doing = "signals only, sending nothing:" if self._options.signals_only else "trading"
            phase = f"{doing} {where}, {held}{lock}"
        stuck = self._silence.why(state.market) if self._silence is not None and not self._stopping else ""
        return Report(phase, self._was_synced, turns, stuck)

    @property
    def _is_quiet(self) -> bool:
        """The console shows errors only."""
        return self._config.mode == "paper" and self._options.speed is None and not self._options.debug

    def _configure_logging(self) -> None:
        log = self._config.logging
        level = "DEBUG" if self._options.debug else log.level
        directory = self._state.logs if log.file and not has_journal(os.environ) else None
        # At full speed weeks pass in seconds: the console keeps to what needs a person, the file has it all.
        console_level = "ERROR" if self._is_quiet else level
        configure_logging(
            level,
            log_dir=directory,
            rotation_mb=log.rotation_mb,
            keep=log.keep,
            console_level=console_level,
            fields={"run_id": self._run_id, "venue": self._config.venue, "account": self._config.account},
        )
        if self._options.signals_only:
            logger.info("signals only: nothing is sent to {} by this run", self._config.venue)

    def _settings(
        self,
        config: Config,
        instruments: Mapping[str, Instrument],
        capabilities: Capabilities | None = None,
        interval_ms: int = MINUTE_MS,
    ) -> EngineSettings:
        """The core's settings of this run: a reload changes the configuration, never whether anything is sent."""
        settings = bootstrap.engine_settings(config, instruments, capabilities, interval_ms)
        return replace(settings, signals_only=self._options.signals_only)

    def _warn(self, text: str) -> None:
        """Into the log, and to the person in front of a console that leaves warnings out."""
        logger.warning(text)
        if self._is_quiet and self._options.on_notice is not None:
            self._options.on_notice(text)

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

    def _observe(self, observer: Observer, executor: Executor) -> None:
        """Measure a run from here on."""
        self._observer = observer

        def on_call(kind: str, took_ms: int) -> None:
            observer.telemetry.on_call(kind, took_ms)
            log_call(kind, took_ms)

        executor.on_call = on_call

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, signal.Signals(number).name)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)

    def _stop(self, reason: str) -> None:
        self._stopping = self._stopping or reason
        self.manager.stopping()
        self._must_stop.set()

    async def _wait_for(self, question: Callable[[], Awaitable[T]]) -> T | None:
        """The answer of a venue that may not be reachable yet; None where told to stop before."""
        while not self._must_stop.is_set():
            self._questions += 1
            try:
                answer = await question()
            except VenueUnavailable as error:
                pause_s = self._out_of_reach(error)
            else:
                if self._reaching is not None:
                    self._reaching.reached()
                return answer
            try:
                async with asyncio.timeout(pause_s):
                    await self._must_stop.wait()
            except TimeoutError:
                continue
        return None

    def _out_of_reach(self, error: VenueUnavailable) -> float:
        """Tell of it, loudly when it lasts; how long to wait before the next attempt, s."""
        pause_s = FIRST_PAUSE_S
        if self._reaching is not None:
            self._reaching.failed(str(error))
            pause_s = self._reaching.pause_s
        if isinstance(error, RateLimited):
            pause_s = max(pause_s, error.retry_after_ms / 1000)
        logger.warning("{} cannot be reached ({}); again in {:g} s", self._config.venue, error, pause_s)
        return pause_s

    def _reach_for(self, store: SqlStore, loaded: Loaded) -> None:
        """From now on a venue that is not reached is told, although no core runs yet."""
        alert_after_ms = self._config.execution.outage_alert_s * 1000
        now_ms = SystemClock().now_ms
        self._reaching = Reaching(store, loaded, self._config.venue, self._run_id, alert_after_ms, now_ms)

    async def _command(self, request: Mapping[str, object]) -> Answer:
        """What the control socket can ask of the engine."""
        if request.get("command") == "health":
            return self._health()
        commands = Commands(
            self._pump,
            self._clock,
            self._stop_file,
            self._config,
            read_config=lambda: bootstrap.configuration(self._options, os.environ),
            settings_of=self._settings_of,
            is_permitted=self._may_trade_with,
            on_reloaded=self._go_on_with,
        )
        return commands.answer(request)

    def _health(self) -> Answer:
        """How the process stands; what a start waits for, where nothing runs yet."""
        if self._observer is None:
            return {"ok": True, "health": {"state": "starting", "alive": True, "ready": False, "checks": []}}
        who = {"run_id": self._run_id, "pid": os.getpid(), "metrics_port": self._observer.metrics_port or None}
        return {"ok": True, "health": {**self._observer.health().row(), **who}}

    def _may_trade_with(self, config: Config) -> str:
        """Why a configuration may not be gone on with: real money takes an operator's word, as at the start."""
        if config.mode != "live" or self._options.signals_only:
            return ""
        from trading_engine.runtime.acknowledgement import is_real_money  # noqa: PLC0415 - needs the venues

        return arming.refusal(self._state, config, self._options.config_path) if is_real_money(config) else ""

    def _go_on_with(self, config: Config) -> None:
        self._config = config

    def _on_hangup(self) -> None:
        """A service reloads; on a terminal that has gone away it is the end."""
        if sys.stdin is not None and sys.stdin.isatty():
            self._stop("SIGHUP")
            return
        self._hangup = asyncio.create_task(self._reload(), name="reload")

    async def _reload(self) -> None:
        answer = await self._command({"command": "reload", "actor": "SIGHUP"})
        logger.log("INFO" if answer["ok"] else "ERROR", "reload: {}", answer["message"])

    def _log_records(self, ts_ms: int, records: tuple[Record, ...]) -> None:
        if self._observer is not None:
            self._observer.committed()
        for record in records:
            log_record(ts_ms, record)


def stop_file_of(config: Config) -> StopFile:
    """The kill-switch file; absolute, so that messages say where it lies."""
    return StopFile(config.kill_switch.file.absolute())


def require(refusal: str) -> None:
    """Refuse for safety (exit 3) where there is a reason."""
    if refusal:
        raise ConfigInvalid(refusal, exit_code=EXIT_REFUSED)


@contextlib.contextmanager
def handlers_kept() -> Iterator[None]:
    """The loop takes the signals over and, when it closes, leaves their defaults behind; the caller has its own."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ensure_database(state: StateDir) -> None:
    """A new state directory gets its schema from a process of its own: Alembic never enters this one.

    ConfigInvalid where a database was here and is gone: with a new one, limits and kill switch would be forgotten.

    It works on a name of this start alone: where this process is killed, the other goes on for a moment, and
    must not touch what the next start has made.
    """
    path = state.database
    if lost(path):
        raise missing(path)
    for leftover in state.root.glob(f"*.{path.name}.*"):
        leftover.unlink(missing_ok=True)
    if path.exists():
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    command = [sys.executable, "-m", "trading_engine.store.migrate", str(draft)]
    where = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # ours, from wherever it was started
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=where)  # noqa: S603 - our own module
    if done.returncode:
        for leftover in state.root.glob(f"*{draft.name}*"):  # it may have been killed
            leftover.unlink(missing_ok=True)
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise ConfigInvalid(f"{path}: no database could be made: {said.removeprefix(f'{draft}: ')}")
    backups.set_aside(path, SystemClock().now_ms())  # the log of a database that is gone must not meet the new one
    backups.publish(draft, path)


def initial_state(loaded: Loaded, new_epoch: str) -> EngineState:
    """The state to start with: the book as stored, the market view from the last checkpoint."""
    book = loaded.book if loaded.book.epoch else replace(loaded.book, epoch=new_epoch)
    seen = loaded.checkpoint
    if seen is None:
        return EngineState(book)
    return EngineState(book, status.view_of(seen))
