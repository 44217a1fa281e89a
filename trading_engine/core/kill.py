"""What a raised kill switch does to positions and entries.

What belongs here: enforcing the level. What does not: raising it (on_command, trips, reconcile).
"""

from trading_engine.core import protect
from trading_engine.core.draft import Draft
from trading_engine.domain.control import Level
from trading_engine.domain.lifecycle import CloseReason


def enforce_level(draft: Draft) -> None:
    """Above RUN unfilled entries are cancelled; at FLATTEN every position is closed as well."""
    level = draft.book.control.level
    if level is Level.RUN:
        return
    for position in list(draft.book.positions.values()):
        entry = draft.book.entry_of(position.position_id)
        if entry is not None:
            protect.cancel(draft, entry, f"kill switch at {level}")
        if level is Level.FLATTEN:
            is_risk = draft.book.control.reason.startswith("drawdown")
            reason = CloseReason.RISK if is_risk else CloseReason.KILL_SWITCH
            protect.begin_close(draft, position.position_id, reason, draft.book.control.reason)
