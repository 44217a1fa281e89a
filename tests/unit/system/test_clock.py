"""The clocks count whole milliseconds."""

import time

from trading_engine.system.clock import SystemClock


def test_the_wall_clock_is_the_machines() -> None:
    """Milliseconds since 1970."""
    before = time.time_ns() // 1_000_000
    now = SystemClock().now_ms()
    assert before <= now <= time.time_ns() // 1_000_000


def test_the_monotonic_clock_never_runs_backwards() -> None:
    """Durations are never negative."""
    clock = SystemClock()
    readings = [clock.monotonic_ms() for _ in range(1_000)]
    assert sorted(readings) == readings
