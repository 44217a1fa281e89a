"""The clock of a local server: it may run faster than the machine's, or be moved by a test.

What belongs here: telling the server's time and waiting for it. What does not: what happens at which time (exchange).
"""

import asyncio
from typing import Protocol


class ServerClock(Protocol):
    """Time as the server's clients see it."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        ...

    async def sleep_until(self, at_ms: int) -> None:
        """Return once the server's time has come to `at_ms`."""
        ...


class PacedClock:
    """Runs from `start_ms`, `factor` times as fast as the machine. Made on the running loop."""

    def __init__(self, start_ms: int, factor: float = 1.0) -> None:
        self._loop = asyncio.get_running_loop()
        self._begun_s = self._loop.time()
        self._start_ms = start_ms
        self._factor = factor

    def now_ms(self) -> int:
        """The start and what has passed since."""
        return self._start_ms + int((self._loop.time() - self._begun_s) * 1000 * self._factor)

    async def sleep_until(self, at_ms: int) -> None:
        """Sleep the real time that lies between."""
        await asyncio.sleep(max(at_ms - self.now_ms(), 0) / 1000 / self._factor)


class MovedClock:
    """Stands still until it is moved: for tests, in which the order of things is what is asserted."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """Where it was moved to."""
        return self._now_ms

    def move(self, by_ms: int) -> None:
        """Let time pass."""
        self._now_ms += by_ms

    async def sleep_until(self, at_ms: int) -> None:
        """Nobody sleeps on a clock that is moved by hand."""
        raise NotImplementedError(f"a clock that is moved by hand was asked to wait until {at_ms}")
