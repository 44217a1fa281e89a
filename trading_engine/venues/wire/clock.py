"""The venue's clock, seen from here.

What belongs here: the offset between our clock and the venue's, from the best of several round trips. What does not:
asking the venue (each venue), what follows from a large offset (runtime).
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from trading_engine.domain.errors import VenueUnavailable
from trading_engine.domain.events import ClockMeasured
from trading_engine.ports import ClockListener

SAMPLES = 5


class Milliseconds(Protocol):
    """Anything that tells the time."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        ...


class VenueClock:
    """Our clock corrected by what was measured; before the first measurement it is ours.

    offset_ms   what the venue's clock is ahead of ours
    error_ms    half of the round trip that the offset comes from: it is right within so much, and a ms of rounding
    measured_ms our clock at the last measurement, 0 before the first
    """

    def __init__(self, clock: Milliseconds) -> None:
        self._clock = clock
        self._tell: ClockListener | None = None
        self.offset_ms = 0
        self.error_ms = 0
        self.measured_ms = 0

    def now_ms(self) -> int:
        """The instant the venue's clock shows, as far as is known."""
        return self._clock.now_ms() + self.offset_ms

    def tell(self, listener: ClockListener) -> None:
        """Tell `listener` what was measured last, where anything was, and every measurement from now on."""
        self._tell = listener
        if self.measured_ms:
            listener(self._measurement())

    def _measurement(self) -> ClockMeasured:
        return ClockMeasured(self._clock.now_ms(), self.offset_ms, self.error_ms)

    async def measure(self, ask: Callable[[], Awaitable[int]], samples: int = SAMPLES) -> int:
        """Ask the venue for its time several times; the offset of the quickest answer counts. Returns it, in ms.

        What `ask` raises passes through, and VenueUnavailable where our own clock was set back under every answer:
        the last measurement stands then.
        """
        best: tuple[int, int] | None = None
        for _ in range(samples):
            before = self._clock.now_ms()
            theirs = await ask()
            after = self._clock.now_ms()
            trip = after - before
            if trip >= 0 and (best is None or trip < best[0]):  # below 0 our clock was set back: it proves nothing
                best = (trip, theirs - (before + trip // 2))
        if best is None:
            raise VenueUnavailable("the venue's clock could not be measured: ours was set back meanwhile")
        self.error_ms, self.offset_ms = (best[0] + 1) // 2, best[1]
        self.measured_ms = self._clock.now_ms()
        if self._tell is not None:
            self._tell(self._measurement())
        return self.offset_ms
