"""The present.

What belongs here: reading the machine's clocks. What does not: arithmetic on instants (domain.time),
a venue's clock (venues), virtual time (runtime, backtest).
"""

import time
from collections.abc import Callable

_NS_PER_MS = 1_000_000
_SLEW = 20  # one part in so many
_STEP_NS = 60_000 * _NS_PER_MS


class SystemClock:
    """The machine's clocks in whole milliseconds."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC; may jump when the machine's clock is set."""
        return time.time_ns() // _NS_PER_MS

    def monotonic_ms(self) -> int:
        """Milliseconds from an arbitrary start; never runs backwards, for durations and deadlines."""
        return time.monotonic_ns() // _NS_PER_MS


class SteadyClock:
    """The wall clock for decisions: it follows the machine's without ever jumping with it.

    What waits for a span to pass (until an order that is not to be seen is proven absent, above all) must not be
    cut short because somebody sets the clock. Differences are worked off by one part in twenty; only where the
    machine's clock is more than a minute ahead, after a suspended machine wakes up, it is taken over at once. It
    never runs backwards: a clock that was set back by hours is waited for, or taken over with a restart.

    stepped_ms   when the machine's clock was last taken over at once, 0 for never: who waits for a span begins anew

    It begins no earlier than `not_before_ms`, the last instant that was written down: a restart after the clock was
    set back finds no past that lies in the future.

    wall_ns, steady_ns   readers of the machine's clocks; the steady one counts the time of a suspension too
    """

    def __init__(
        self,
        wall_ns: Callable[[], int] = time.time_ns,
        steady_ns: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        not_before_ms: int = 0,
    ) -> None:
        self._wall_ns = wall_ns
        self._steady_ns = steady_ns
        self._last_steady_ns = steady_ns()
        self._now_ns = max(wall_ns(), not_before_ms * _NS_PER_MS)
        self.stepped_ms = 0

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        steady_ns = self._steady_ns()
        elapsed_ns = max(steady_ns - self._last_steady_ns, 0)
        ahead_ns = self._wall_ns() - (self._now_ns + elapsed_ns)
        if ahead_ns < _STEP_NS:
            most_ns = elapsed_ns // _SLEW
            ahead_ns = max(-most_ns, min(ahead_ns, most_ns))
        self._last_steady_ns = steady_ns
        self._now_ns += elapsed_ns + ahead_ns
        if ahead_ns >= _STEP_NS:
            self.stepped_ms = self._now_ns // _NS_PER_MS
        return self._now_ns // _NS_PER_MS


class AdoptedClock:
    """The clock of a server on this machine, which may run faster than the machine's.

    now_ms, pace   what the server showed (`told_ms`), and how many of its seconds pass in one of ours
    shown_ns       when it showed that, by the machine's steady clock; None for this moment
    """

    stepped_ms = 0  # it follows the steady clock and nothing else

    def __init__(self, now_ms: int, pace: float, not_before_ms: int = 0, shown_ns: int | None = None) -> None:
        self.told_ms = self._begun_ms = now_ms
        self._begun_ns = time.monotonic_ns() if shown_ns is None else shown_ns
        self._not_before_ms = not_before_ms
        self.pace = pace

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC, as the server has them."""
        passed_ms = (time.monotonic_ns() - self._begun_ns) / _NS_PER_MS * self.pace
        return max(self._begun_ms + int(passed_ms), self._not_before_ms)
