"""What the service manager is told of a run: starting, ready, alive by proven progress, leaving.

What belongs here: when something is said. What does not: how (system.service_manager), what a run is doing (process).

Alive is said only after the pump has decided since the last time: on an event, or on the state as it stands. A loop
that turns while nothing is decided is left to the watchdog. A start may wait for its venue as long as it keeps asking.
"""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

from loguru import logger

from trading_engine.core.state import Market
from trading_engine.system.service_manager import ServiceManager

LOOK_S = 5.0  # between two looks where no watchdog asks for more
_LOOKS_A_PERIOD = 3
_LEAST_LOOK_S = 0.05
MORE_TIME_S = 120.0  # asked for while a start makes progress
SILENCE_S = 300.0  # a live market closes a candle a minute, or its feed says what is wrong


class Report(NamedTuple):
    """What a run is doing.

    phase      in words, for `systemctl status`
    is_ready   the boot reconciliation is behind it
    turns      rises with every decision, and during a start with every question asked
    why_stuck  what has come to a standstill although decisions are made; empty where nothing has
    """

    phase: str
    is_ready: bool
    turns: int
    why_stuck: str = ""


class Silence:
    """Since when a live market has closed no candle although nobody has told that anything is wrong with it.

    pace   how many seconds of the market pass in a real one
    """

    def __init__(self, pace: float = 1.0, now: Callable[[], float] = time.monotonic) -> None:
        self._patience_s = SILENCE_S / min(pace, 1.0)
        self._now = now
        self._closed_ms = -1
        self._since_s = 0.0

    def why(self, market: Market) -> str:
        """What is to be said about it; empty while all is well."""
        is_explained = bool(market.feed_faults) or bool(market.lost_ms)
        if is_explained or market.closed_ms != self._closed_ms:
            self._closed_ms, self._since_s = market.closed_ms, self._now()
        silent_s = self._now() - self._since_s
        return (
            "" if silent_s < self._patience_s else f"no candle has closed for {self._patience_s:.0f} s, nobody says why"
        )


class ServiceReport:
    """Looks at a run from time to time and passes on what it sees."""

    def __init__(self, manager: ServiceManager, report: Callable[[], Report]) -> None:
        self._manager = manager
        self._report = report
        self._phase = ""
        self._turns = -1
        self._is_ready = False
        self._told_stuck = ""

    @property
    def period_s(self) -> float:
        """Time between two looks: three in a period of the watchdog."""
        watchdog_s = self._manager.watchdog_s
        return max(min(LOOK_S, watchdog_s / _LOOKS_A_PERIOD), _LEAST_LOOK_S) if watchdog_s else LOOK_S

    async def run(self) -> None:
        """Look until cancelled; returns at once where nobody is to be told."""
        while self._manager:
            self.look()
            await asyncio.sleep(self.period_s)

    def look(self) -> None:
        """Tell what is new."""
        report = self._report()
        if report.phase != self._phase and self._manager.tell(report.phase):
            self._phase = report.phase
        has_moved = report.turns != self._turns
        self._turns = report.turns
        if not self._is_ready:
            self._is_ready = report.is_ready and self._manager.ready()
            if not self._is_ready and has_moved:
                self._manager.extend(MORE_TIME_S)
        elif report.why_stuck:
            self._say_stuck(report.why_stuck)
        elif has_moved:
            self._manager.alive()

    def _say_stuck(self, why: str) -> None:
        if why != self._told_stuck:
            self._told_stuck = why
            logger.error("{}: the watchdog is not fed any more", why)
