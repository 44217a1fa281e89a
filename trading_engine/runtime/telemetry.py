"""What this process measures of itself: answers of the venue, commits, memory, processor, handles.

What belongs here: collecting and summing up. What does not: keeping it (store), serving it (metrics).

Only the newest values are kept, so it costs the same for ever.
"""

import os
import resource
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from trading_engine.store.measuring import Measured

_KEPT = 2_000
_PAGE = resource.getpagesize()
_MB = 1_000_000


class Series:
    """The newest values of one kind, and their number and sum since the beginning."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=_KEPT)
        self._taken = (0, 0.0)
        self.count = 0
        self.total = 0.0

    def add(self, value: float) -> None:
        """One more."""
        self._recent.append(value)
        self.count += 1
        self.total += value

    def take(self, name: str) -> Measured | None:
        """What was added since the last time, None for nothing; the 99th and the largest are of the newest values."""
        found = summed(name, self._recent)
        self._recent.clear()
        before, total_before = self._taken
        self._taken = (self.count, self.total)
        count = self.count - before
        return found and found._replace(samples=count, mean=(self.total - total_before) / count)


def summed(name: str, values: Iterable[float]) -> Measured | None:
    """Number, mean, the 99th of a hundred and the largest; None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    p99 = ordered[min(len(ordered) * 99 // 100, len(ordered) - 1)]
    return Measured(name, len(ordered), sum(ordered) / len(ordered), p99, ordered[-1])


class Telemetry:
    """The series of a run."""

    def __init__(self) -> None:
        self.calls: dict[str, Series] = {}
        self.commits = Series()
        self._cpu = (time.monotonic(), time.process_time())

    def on_call(self, kind: str, took_ms: int) -> None:
        """A request to the venue was answered."""
        self.calls.setdefault(kind, Series()).add(took_ms)

    def take(self, slippages_bps: Iterable[float]) -> list[Measured]:
        """Everything since the last time."""
        found = [series.take(f"call.{kind}") for kind, series in sorted(self.calls.items())]
        found += [self.commits.take("commit"), summed("slippage", slippages_bps)]
        found += [summed("memory", [memory_mb()]), summed("cpu", [self._cpu_percent()])]
        return [item for item in found if item is not None]

    def _cpu_percent(self) -> float:
        now_s, used_s = time.monotonic(), time.process_time()
        before_s, used_before_s = self._cpu
        self._cpu = (now_s, used_s)
        return (used_s - used_before_s) * 100 / max(now_s - before_s, 0.001)


def memory_mb() -> float:
    """What the process has in memory now, MB; its peak where /proc is not there."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE / _MB
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000


def open_files() -> int:
    """Handles that the process holds, -1 where that cannot be seen."""
    try:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only the number is wanted
    except OSError:
        return -1
