"""How often somebody may ask.

What belongs here: counting calls and refusals, and the silence that follows. What does not: which endpoint allows how
much (protocol).

Each endpoint has windows of its own. Whoever goes beyond one finds the endpoint disabled for minutes; whoever goes on
is banned altogether. The same refusal over and over disables an endpoint as well.
"""

from collections import Counter, deque
from dataclasses import dataclass, field

from trading_engine.venue_servers.bingx.words import Refused
from trading_engine.venue_servers.clock import ServerClock

DISABLED_MS = 300_000
SAME_ERRORS = 20
SAME_ERRORS_MS = 480_000
KNOCKS = 20  # calls at a disabled endpoint before the address is banned

LIMITED = 109429


@dataclass(frozen=True, slots=True)
class Allowance:
    """So many calls in a window; endpoints with the same `pool` share it, "" for one of its own."""

    calls: int
    window_ms: int = 1_000
    pool: str = ""


MARKET = (Allowance(500, 10_000, "market"), Allowance(1_000, 60_000, "market by minute"))


@dataclass(slots=True)
class _Window:
    begun_ms: int = -1
    calls: int = 0


@dataclass(slots=True)
class Pace:
    """What one account and one address have used up."""

    clock: ServerClock
    disabled_ms: int = DISABLED_MS
    _windows: dict[str, _Window] = field(default_factory=dict)
    _disabled: dict[str, int] = field(default_factory=dict)
    _knocks: Counter[str] = field(default_factory=Counter)
    _errors: dict[tuple[str, int], deque[int]] = field(default_factory=dict)
    _banned_until_ms: int = 0

    def enter(self, endpoint: str, allowances: tuple[Allowance, ...]) -> dict[str, str]:
        """Count a call; the headers that go with its answer. Refused, with HTTP 429 or 418, where it is too many."""
        now_ms = self.clock.now_ms()
        if now_ms < self._banned_until_ms:
            raise _disabled_until(self._banned_until_ms, 418)
        if now_ms < self._disabled.get(endpoint, 0):
            self._knocks[endpoint] += 1
            if self._knocks[endpoint] > KNOCKS:
                self._banned_until_ms = now_ms + self.disabled_ms
            raise _disabled_until(self._disabled[endpoint], 429)
        remain, expire_ms = 1 << 30, 0
        for allowance in allowances:
            left, resets_ms = self._count(endpoint, allowance, now_ms)
            if left < 0:
                self._disable(endpoint, now_ms)
                raise _disabled_until(self._disabled[endpoint], 429)
            if left < remain:
                remain, expire_ms = left, resets_ms
        return {"X-RateLimit-Requests-Remain": str(remain), "X-RateLimit-Requests-Expire": str(expire_ms)}

    def _count(self, endpoint: str, allowance: Allowance, now_ms: int) -> tuple[int, int]:
        """What is left after this call, and the milliseconds until the window begins anew."""
        window = self._windows.setdefault(f"{allowance.pool or endpoint} {allowance.window_ms}", _Window())
        begun_ms = now_ms - now_ms % allowance.window_ms
        if window.begun_ms != begun_ms:
            window.begun_ms, window.calls = begun_ms, 0
        window.calls += 1
        return allowance.calls - window.calls, begun_ms + allowance.window_ms - now_ms

    def _disable(self, endpoint: str, now_ms: int) -> None:
        self._disabled[endpoint] = now_ms + self.disabled_ms
        self._knocks[endpoint] = 0

    def refused(self, endpoint: str, code: int) -> Refused | None:
        """Count a refusal; what is answered instead of it where there were too many of its kind."""
        now_ms = self.clock.now_ms()
        seen = self._errors.setdefault((endpoint, code), deque())
        seen.append(now_ms)
        while seen[0] <= now_ms - SAME_ERRORS_MS:
            seen.popleft()
        if len(seen) <= SAME_ERRORS:
            return None
        seen.clear()
        self._disable(endpoint, now_ms)
        return Refused(
            LIMITED,
            f"over {SAME_ERRORS} error code:{code} requests within {SAME_ERRORS_MS} ms for this api, please verify and"
            f" use it correctly and can retry after time: {self._disabled[endpoint]}",
        )


def _disabled_until(until_ms: int, status: int) -> Refused:
    return Refused(
        LIMITED,
        "The endpoint trigger frequency limit rule is currently in the disabled period and will be unblocked after"
        f" {until_ms}",
        status,
    )
