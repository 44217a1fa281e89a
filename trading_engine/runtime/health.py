"""Is it well? The judgement that `health`, `/healthz` and `/readyz` share.

What belongs here: checks with their verdicts, from values that others have measured. What does not: measuring
(telemetry, supervise), showing (cli), serving (metrics).

Alive is a process that decides: its candles come or the venue is known to be away, and no part is given up. Ready is
one that could enter: the account is compared, the data fresh, the kill switch not raised.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from trading_engine.core.state import EngineState
from trading_engine.domain.control import Level
from trading_engine.domain.events import FeedFault
from trading_engine.domain.orders import OrderState
from trading_engine.domain.time import MINUTE_MS, iso
from trading_engine.runtime.supervise import DOWN, Component
from trading_engine.runtime.telemetry import Telemetry, memory_mb, open_files

LONGEST_SILENCE_MS = 3 * MINUTE_MS
_SLOW_COMMIT_MS = 100.0

Row = dict[str, object]


class HealthCheck(NamedTuple):
    """One question: its answer, whether it is well, and whether a process that fails it is dead."""

    name: str
    ok: bool
    detail: str
    is_vital: bool = False


@dataclass(frozen=True, slots=True)
class Health:
    """Checks and parts of one moment."""

    checks: tuple[HealthCheck, ...]
    components: tuple[Component, ...]
    figures: Row

    @property
    def is_alive(self) -> bool:
        """Nothing that a restart would cure."""
        return all(check.ok for check in self.checks if check.is_vital)

    @property
    def is_ready(self) -> bool:
        """Entries are possible as far as the process is concerned."""
        return self.is_alive and all(check.ok for check in self.checks if check.name in _READY)

    @property
    def is_well(self) -> bool:
        """Every check."""
        return all(check.ok for check in self.checks)

    def row(self) -> Row:
        """As JSON."""
        return {
            "state": "ok" if self.is_well else "degraded" if self.is_alive else "failed",
            "alive": self.is_alive,
            "ready": self.is_ready,
            "checks": [{"name": item.name, "ok": item.ok, "detail": item.detail} for item in self.checks],
            "components": [
                {
                    "name": item.name,
                    "state": item.state,
                    "restarts": item.restarts,
                    "budget": item.budget,
                    "failures": item.failures,
                    "last_error": item.last_error or None,
                }
                for item in self.components
            ],
            **self.figures,
        }


_READY = frozenset({"account", "market data", "kill switch", "stops"})


def judge(
    state: EngineState, components: Sequence[Component], telemetry: Telemetry, silence_ms: int, last_commit_ms: float
) -> Health:
    """How it stands; `silence_ms` is the time since the engine's own time last went on."""
    market, book = state.market, state.book
    down = [item.name for item in components if item.state == DOWN]
    stale = sorted(symbol for fault, symbol in market.feed_faults if fault is FeedFault.STALE)
    unknown = [order.client_order_id for order in book.orders.values() if order.state is OrderState.UNKNOWN]
    is_silent = silence_ms > LONGEST_SILENCE_MS and not market.lost_ms and not stale
    level = book.control.level
    checks = (
        HealthCheck("decisions", not is_silent, f"the engine's time went on {silence_ms // 1000} s ago", is_vital=True),
        HealthCheck("parts", not down, f"given up: {', '.join(down)}" if down else "all run", is_vital=True),
        HealthCheck("account", market.is_synced, _account(state)),
        HealthCheck("market data", not stale, f"stale on {', '.join(stale)}" if stale else "fresh"),
        HealthCheck(
            "kill switch", level is Level.RUN, f"{level}: {book.control.reason}" if book.control.reason else f"{level}"
        ),
        HealthCheck(
            "stops",
            not market.uncovered,
            f"not confirmed: {', '.join(sorted(market.uncovered))}" if market.uncovered else "confirmed",
        ),
        HealthCheck("orders", not unknown, f"unknown: {', '.join(unknown)}" if unknown else "none in doubt"),
        HealthCheck("commits", last_commit_ms < _SLOW_COMMIT_MS, f"the last took {last_commit_ms:.1f} ms"),
    )
    figures: Row = {
        "memory_mb": round(memory_mb(), 1),
        "open_files": open_files(),
        "calls_ms": {
            kind: {"count": series.count, "mean": round(series.total / series.count, 1)}
            for kind, series in sorted(telemetry.calls.items())
            if series.count
        },
        "disk_free_mb": market.host.disk_free_mb,
        "clock_off_ms": market.clock_off_ms,
    }
    return Health(checks, tuple(components), figures)


def _account(state: EngineState) -> str:
    market = state.market
    if market.is_synced:
        return f"compared at {iso(market.reconciled_ms)}" if market.reconciled_ms else "compared"
    return f"not compared: {market.lost_why}" if market.lost_why else "not compared yet"
