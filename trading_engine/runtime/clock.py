"""Virtual time of a replay: set by the driver, read by everything that stamps events.

What belongs here: the virtual clock. What does not: the machine's clocks (system.clock).
"""


class VirtualClock:
    """Stands still until it is told; never runs backwards."""

    def __init__(self, now_ms: int = 0) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """The present instant of the replayed market."""
        return self._now_ms

    def advance_to(self, now_ms: int) -> None:
        """Move forward; an earlier instant changes nothing."""
        self._now_ms = max(self._now_ms, now_ms)
