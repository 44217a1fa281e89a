"""A venue that a start cannot reach: told like an outage, although nothing runs yet that could decide to.

What belongs here: the alert rows of that time, and how long the next attempt waits. What does not: the attempts
(process), outages of a run (core.contact).

The core begins once the venue's facts are known, so these alerts are committed by themselves, with the book as it was
loaded; a start that waits for days must not be silent while positions are open.
"""

from collections.abc import Callable

from trading_engine.domain.records import AlertRaised
from trading_engine.domain.severity import Severity
from trading_engine.domain.time import MINUTE_MS
from trading_engine.ports import Checkpoint, Commit, Loaded, Store

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 60.0
_NOTHING_SEEN = Checkpoint(0, (), 0, 0, (), (), "0")


class Reaching:
    """One start's attempts.

    alert_after_ms   a person is told of an outage of so long, at once where positions are open
    now_ms           time of the alerts and of the wait
    """

    def __init__(
        self, store: Store, loaded: Loaded, venue: str, run_id: str, alert_after_ms: int, now_ms: Callable[[], int]
    ) -> None:
        self._store = store
        self._loaded = loaded
        self._venue = venue
        self._run_id = run_id
        self._now_ms = now_ms
        held = [item for item in loaded.book.positions.values() if item.quantity]
        self._held = ", ".join(f"{item.symbol} {item.side}" for item in held)
        self._alert_after_ms = 0 if held else alert_after_ms
        self._since_ms = 0
        self._failures = 0
        self._is_told = False

    @property
    def pause_s(self) -> float:
        """How long to wait before the next attempt: 5 s, doubling up to a minute."""
        return float(min(FIRST_PAUSE_S * 2 ** max(self._failures - 1, 0), LONGEST_PAUSE_S))

    def failed(self, why: str) -> None:
        """An attempt came to nothing."""
        now_ms = self._now_ms()
        self._since_ms = self._since_ms or now_ms
        self._failures += 1
        if self._is_told or now_ms - self._since_ms < self._alert_after_ms:
            return
        self._is_told = True
        kept = f"{self._held} behind what rests at the venue" if self._held else "flat"
        severity = Severity.CRITICAL if self._held else Severity.WARNING
        self._tell(
            severity, "venue:down", f"the engine starts and cannot reach {self._venue} ({why}); it waits, {kept}"
        )

    def reached(self) -> None:
        """An attempt has succeeded: what comes next begins anew."""
        if self._is_told:
            minutes = round((self._now_ms() - self._since_ms) / MINUTE_MS)
            self._tell(
                Severity.WARNING, "venue:up", f"{self._venue} is reached after {minutes} min; the engine goes on"
            )
        self._since_ms, self._failures, self._is_told = 0, 0, False

    def _tell(self, severity: Severity, key: str, text: str) -> None:
        # Not later than the core's own clock will be: a venue server on this machine has a time of its own.
        ts_ms = self._loaded.last_ts_ms or self._now_ms()
        seen = self._loaded.checkpoint or _NOTHING_SEEN
        self._store.commit(Commit(ts_ms, self._run_id, (AlertRaised(severity, key, text),), self._loaded.book, seen))
