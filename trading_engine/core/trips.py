"""Noticing that a limit has just tripped, and what follows from it.

What belongs here: the comparison of verdicts before and after a booking, the record and alert of a trip,
the drawdown's emergency stop. What does not: the verdicts (risk).
"""

from trading_engine.core import risk
from trading_engine.core.draft import Draft
from trading_engine.core.kill import enforce_level
from trading_engine.core.settings import EngineSettings
from trading_engine.core.state import Book
from trading_engine.domain.control import Level
from trading_engine.domain.records import ControlChanged, LimitTripped
from trading_engine.domain.severity import Severity
from trading_engine.domain.time import iso

# A cooldown follows every loss: it is in `risk` and `status`, not on the phone. A shock is told with its measure.
_TOLD_ELSEWHERE = frozenset({"cooldown", "volatility"})

Tripped = frozenset[tuple[str, str]]


def tripped(book: Book, settings: EngineSettings, now_ms: int) -> Tripped:
    """The limits that forbid entries, as (limit, scope)."""
    judged = risk.time_limits(book, settings, tuple(sorted(settings.instruments)), now_ms)
    return frozenset((item.limit, item.scope) for item in judged if item.verdict.tripped)


def announce_trips(draft: Draft, book_before: Book) -> None:
    """Write down and tell every limit that this step has tripped; a drawdown latches the kill switch."""
    before = tripped(book_before, draft.settings, draft.ts_ms)
    symbols = tuple(sorted(draft.settings.instruments))
    for judged in risk.time_limits(draft.book, draft.settings, symbols, draft.ts_ms):
        if not judged.verdict.tripped or (judged.limit, judged.scope) in before:
            continue
        value, threshold = judged.show(judged.verdict.value), judged.show(judged.verdict.threshold)
        draft.record(LimitTripped(judged.limit, judged.scope, value, threshold, judged.verdict.until_ms))
        if judged.limit in _TOLD_ELSEWHERE:
            continue
        until = f" until {iso(judged.verdict.until_ms)}" if judged.verdict.until_ms else ""
        draft.alert(
            Severity.CRITICAL if judged.limit == "drawdown" else Severity.WARNING,
            f"limit:{judged.limit}:{draft.ts_ms}",
            f"no entries{until}: {judged.reason}",
        )
        if judged.limit == "drawdown":
            _emergency_stop(draft, judged.reason)


def _emergency_stop(draft: Draft, reason: str) -> None:
    level = Level.FLATTEN if draft.settings.limits.flatten_on_drawdown else Level.NO_ENTRY
    if level.rank > draft.book.control.level.rank:
        draft.record(ControlChanged(level, reason, "risk", draft.ts_ms))
        enforce_level(draft)
