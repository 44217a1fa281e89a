"""An event loop with real sockets and made-up time: where nothing is on its way, it jumps to the next timer.

What belongs here: time that passes at once between two happenings. What does not: sockets, clocks (fault_rig).

Both ends of every connection live in one process on one loop, so bytes that were written are there to be read a
moment later. A jump is made only after the sockets have been silent for that moment.
"""

import asyncio
import selectors
from collections.abc import Callable

MOMENT_S = 0.0005
STUCK_S = 10.0


class Stuck(Exception):
    """Nothing is scheduled, and nothing comes in."""


class _Selector(selectors.DefaultSelector):
    """Looks at the sockets; lets made-up time pass where they say nothing."""

    loop: "SocketLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready; none after a jump."""
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        ready = super().select(STUCK_S if timeout is None else MOMENT_S)
        if ready:
            return ready
        if timeout is None:
            raise Stuck("nothing is scheduled, and nothing comes in")
        if not self.loop.looked():
            self.loop.pass_by(timeout)
        return []


class SocketLoop(asyncio.SelectorEventLoop):
    """`time()` begins at zero and is made up. `watches` are looked at before each jump; who saw something goes."""

    def __init__(self) -> None:
        self._passed_s = 0.0
        self.watches: list[Callable[[], bool]] = []
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._passed_s

    def pass_by(self, seconds: float) -> None:
        """Be so much later."""
        self._passed_s += seconds

    def looked(self) -> bool:
        """Whether a watch saw what it waits for."""
        left = [watch for watch in self.watches if not watch()]
        has_seen = len(left) < len(self.watches)
        self.watches = left
        return has_seen
