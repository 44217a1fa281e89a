"""The time of a recording that is played.

What belongs here: standing still until somebody comes, running at a pace, or going with the frames. What does not:
which frame comes when (serve).
"""

import asyncio


class PlaybackClock:
    """Stands at `start_ms` until `start`. Made on the running loop.

    factor  recorded seconds in a real one; None for a clock that goes with what is played (`move_to`)
    """

    def __init__(self, start_ms: int, factor: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._start_ms = start_ms
        self._factor = factor
        self._begun_s: float | None = None

    @property
    def has_started(self) -> bool:
        """Time passes."""
        return self._begun_s is not None

    def start(self) -> None:
        """Let time pass from now on; again has no effect."""
        if self._begun_s is None:
            self._begun_s = self._loop.time()

    def move_to(self, at_ms: int) -> None:
        """What is played has come to this instant; has no effect on a clock with a pace, and never goes back."""
        if self._factor is None:
            self._start_ms = max(self._start_ms, at_ms)

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        if self._begun_s is None or self._factor is None:
            return self._start_ms
        return self._start_ms + int((self._loop.time() - self._begun_s) * 1000 * self._factor)

    async def sleep_until(self, at_ms: int) -> None:
        """Sleep the real time that lies between; NotImplementedError where there is none to be told."""
        if self._factor is None:
            raise NotImplementedError(f"a clock that goes with the frames was asked to wait until {at_ms}")
        await asyncio.sleep(max(at_ms - self.now_ms(), 0) / 1000 / self._factor)
