"""What goes on beside the trading path while it runs: heartbeat, disk, figures, their server, the parts' supervision.

What belongs here: putting these together for a run. What does not: each of them, the parts themselves.

Nothing here is waited for by a decision. Alerts that come of it are events of the core like all others.
"""

import asyncio
import shutil
import time
from collections.abc import Callable

from loguru import logger
from sqlalchemy.exc import SQLAlchemyError

from trading_engine import __version__
from trading_engine.alerts.heartbeat import Heartbeat
from trading_engine.config.model import Config
from trading_engine.domain.events import ComponentFailed, DiskMeasured, Event
from trading_engine.ports import Clock
from trading_engine.runtime import health, status
from trading_engine.runtime.health import Health
from trading_engine.runtime.pump import Pump
from trading_engine.runtime.supervise import Supervisor
from trading_engine.runtime.telemetry import Telemetry
from trading_engine.store.sql_store import SqlStore
from trading_engine.system.clock import SystemClock
from trading_engine.system.state_dir import StateDir

DISK_PERIOD_S = 60.0
MEASURE_PERIOD_S = 3_600.0
_BYTES_PER_MB = 1_000_000


class Observer:
    """One run's surroundings: `start`, then `stop`. `handle` takes what becomes an event of the core."""

    def __init__(
        self,
        config: Config,
        state: StateDir,
        store: SqlStore,
        pump: Pump,
        clock: Clock,
        handle: Callable[[Event], None],
        run_id: str,
    ) -> None:
        self._config = config
        self._state = state
        self._store = store
        self._pump = pump
        self._clock = clock
        self._handle = handle
        self._run_id = run_id
        self.telemetry = Telemetry()
        self.supervisor = Supervisor(self._on_failure)
        self._closed_ms = -1
        self._moved_s = time.monotonic()
        self._measured_seq = store.last_seq
        self.metrics_port = 0

    def start(self, *, watches_disk: bool) -> None:
        """Begin everything that the configuration asks for; `watches_disk` where time is the world's."""
        config = self._config
        self.supervisor.start("measurements", self._measure)
        if watches_disk and config.alerts.disk_free_mb:
            self.supervisor.start("disk", self._watch_disk)
        beat = config.alerts.heartbeat
        if beat is not None:
            heartbeat = Heartbeat(beat.url.get_secret_value(), beat.interval_s, self.is_deciding)
            self.supervisor.start("heartbeat", heartbeat.run)
        if config.metrics.enabled:
            self.supervisor.start("metrics", self._serve)

    async def stop(self) -> None:
        """End everything, and keep what was measured."""
        await self.supervisor.stop()
        try:
            self.keep()
        except SQLAlchemyError as error:  # the run may be ending because of the very same
            logger.warning("what was measured could not be kept ({})", error)

    def committed(self) -> None:
        """A commit has become durable."""
        self.telemetry.commits.add(self._store.last_commit_ms)

    def health(self) -> Health:
        """How it stands now."""
        silence_ms = round(self._silence_s() * 1000)
        parts = self.supervisor.components
        return health.judge(self._pump.state, parts, self.telemetry, silence_ms, self._store.last_commit_ms)

    def is_deciding(self) -> bool:
        """Candles have been decided on within the last minutes: what a heartbeat vouches for."""
        return self._silence_s() * 1000 <= health.LONGEST_SILENCE_MS

    def keep(self) -> None:
        """Write down what was measured since the last time."""
        measured = self.telemetry.take(self._store.slippages_bps(self._measured_seq))
        self._measured_seq = self._store.last_seq
        self._store.measure(SystemClock().now_ms(), self._run_id, measured)

    def _silence_s(self) -> float:
        closed_ms = self._pump.state.market.closed_ms
        if closed_ms != self._closed_ms:
            self._closed_ms, self._moved_s = closed_ms, time.monotonic()
        return time.monotonic() - self._moved_s

    def _on_failure(self, name: str, why: str, restarts: int, is_over: bool) -> None:  # noqa: FBT001 - told so
        self._handle(ComponentFailed(self._clock.now_ms(), name, why, restarts, is_over))

    async def _watch_disk(self) -> None:
        while True:
            usage = await asyncio.to_thread(shutil.disk_usage, self._state.root)
            self._handle(DiskMeasured(self._clock.now_ms(), usage.free // _BYTES_PER_MB))
            await asyncio.sleep(DISK_PERIOD_S)

    async def _measure(self) -> None:
        while True:
            await asyncio.sleep(MEASURE_PERIOD_S)
            self.keep()

    async def _serve(self) -> None:
        from trading_engine.runtime import metrics  # noqa: PLC0415 - only who wants figures pays for the libraries

        pump = self._pump
        labels = {
            "version": __version__,
            "mode": self._config.mode,
            "venue": pump.settings.venue,
            "account": pump.settings.account,
            "run_id": self._run_id,
        }
        figures = metrics.Figures(
            labels,
            lambda: pump.state,
            lambda: status.checkpoint(pump.state, pump.settings, self._clock.now_ms()),
            self.telemetry,
            lambda: self.supervisor.components,
        )
        server = metrics.MetricsServer(self._config.metrics.port, figures, self.health)
        runner = await server.open()
        self.metrics_port = server.bound_port
        try:
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()
