"""The venue's clock, seen from here.

What belongs here: the offset between our clock and the venue's, from the best of several round trips. What does not:
asking the venue (each venue), what follows from a large offset (runtime).
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

SAMPLES = 5


class Milliseconds(Protocol):
    """Anything that tells the time."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        ...


class VenueClock:
    """Our clock corrected by what was measured; before the first measurement it is ours.

    offset_ms   what the venue's clock is ahead of ours
    error_ms    half of the round trip that the offset comes from: it is right within so much
    """

    def __init__(self, clock: Milliseconds) -> None:
        self._clock = clock
        self.offset_ms = 0
        self.error_ms = 0
        self.measured_ms = 0

    def now_ms(self) -> int:
        """The instant the venue's clock shows, as far as is known."""
        return self._clock.now_ms() + self.offset_ms

    async def measure(self, ask: Callable[[], Awaitable[int]], samples: int = SAMPLES) -> int:
        """Ask the venue for its time several times; the offset of the quickest answer counts. Returns it, in ms."""
        best: tuple[int, int] | None = None
        for _ in range(samples):
            before = self._clock.now_ms()
            theirs = await ask()
            after = self._clock.now_ms()
            trip = max(after - before, 0)
            if best is None or trip < best[0]:
                best = (trip, theirs - (before + trip // 2))
        assert best is not None  # noqa: S101 - samples are positive
        self.error_ms, self.offset_ms = (best[0] + 1) // 2, best[1]
        self.measured_ms = self._clock.now_ms()
        return self.offset_ms
