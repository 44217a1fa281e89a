"""An event loop whose time is made up: it jumps to the next timer instead of waiting for it.

What belongs here: virtual time and the deadlock detector. What does not: faults, latencies (network).

The order of callbacks is asyncio's own, first in first out: what varies between seeds is latency, so that a
failure that shows here can happen. Time starts at zero: near the Unix epoch a float could no longer tell
`time() + resolution` from `time()`, and timers would never fire.
"""

import asyncio
from collections.abc import Callable


class Deadlock(Exception):
    """Nothing is scheduled any more and the main task still waits."""


class _VirtualSelector:
    """Stands where the loop asks the operating system to wait."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[object]:
        """Let the time pass at once."""
        self._loop.pass_by(timeout)
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """`time()` is the virtual clock in seconds; `on_step` is called before each turn of the loop."""

    def __init__(self) -> None:
        super().__init__()
        self._virtual_s = 0.0
        self._selector = _VirtualSelector(self)
        self.steps = 0
        self.on_step: Callable[[int], None] | None = None

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._virtual_s

    def pass_by(self, timeout: float | None) -> None:
        """Jump to where the next timer is due; Deadlock where there is none."""
        if timeout is None:
            raise Deadlock("nothing is scheduled, and something still waits")
        self._virtual_s += timeout
        self.steps += 1
        if self.on_step is not None:
            self.on_step(self.steps)

    def _process_events(self, event_list: list[object]) -> None:
        """There are no file descriptors."""

    def _write_to_self(self) -> None:
        """No other thread has to wake this loop."""
