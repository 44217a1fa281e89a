"""Timers of the core: one a (kind, key), fired as events in order of time.

What belongs here: keeping and yielding them. What does not: what they mean (core.on_timer), the clock.
"""

import heapq
from collections.abc import Callable

from trading_engine.domain.events import TimerFired, TimerKind

_EARLIEST_STANDS = frozenset({TimerKind.RECONCILE, TimerKind.FILLS, TimerKind.STREAM})


class Timers:
    """A later timer of the same kind and key replaces the earlier one, but for looks at the account or its stream.

    Those are due at the latest by the earliest instant that anybody has named.
    """

    def __init__(self) -> None:
        self.on_set: Callable[[int], None] | None = None  # told each new instant, where somebody sleeps until then
        self._at: dict[tuple[TimerKind, str], int] = {}
        self._heap: list[tuple[int, TimerKind, str]] = []

    def set(self, at_ms: int, kind: TimerKind, key: str) -> None:
        """Fire at `at_ms`."""
        if kind in _EARLIEST_STANDS and self._at.get((kind, key), at_ms) < at_ms:
            return
        self._at[kind, key] = at_ms
        heapq.heappush(self._heap, (at_ms, kind, key))
        if self.on_set is not None:
            self.on_set(at_ms)

    @property
    def next_ms(self) -> int | None:
        """When the next timer is due, None where there is none."""
        self._drop_replaced()
        return self._heap[0][0] if self._heap else None

    def is_due(self, now_ms: int) -> bool:
        """Whether `pop_due` is worth a call; cheap, and true at times for a timer that was replaced."""
        return bool(self._heap) and self._heap[0][0] <= now_ms

    def pop_due(self, now_ms: int) -> TimerFired | None:
        """The earliest timer due at `now_ms`, stamped with its own time, or None."""
        self._drop_replaced()
        if not self._heap or self._heap[0][0] > now_ms:
            return None
        at_ms, kind, key = heapq.heappop(self._heap)
        del self._at[kind, key]
        return TimerFired(at_ms, kind, key)

    def _drop_replaced(self) -> None:
        while self._heap and self._at.get((self._heap[0][1], self._heap[0][2])) != self._heap[0][0]:
            heapq.heappop(self._heap)
