"""The present.

What belongs here: reading the machine's clocks. What does not: arithmetic on instants (domain.time),
a venue's clock (venues), virtual time (runtime, backtest).
"""

import time

_NS_PER_MS = 1_000_000


class SystemClock:
    """The machine's clocks in whole milliseconds."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC; may jump when the machine's clock is set."""
        return time.time_ns() // _NS_PER_MS

    def monotonic_ms(self) -> int:
        """Milliseconds from an arbitrary start; never runs backwards, for durations and deadlines."""
        return time.monotonic_ns() // _NS_PER_MS
