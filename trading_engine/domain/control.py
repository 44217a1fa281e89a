"""The kill switch: how much the engine may do, and why.

What belongs here: the levels and the persisted row. What does not: what raises it (core) and who may
lower it (core.on_command).
"""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much the engine may do; only an operator lowers it."""

    RUN = "RUN"
    NO_ENTRY = "NO_ENTRY"  # exits are managed, entries are not made
    FLATTEN = "FLATTEN"  # as NO_ENTRY, and every position is closed
    LOCKED = "LOCKED"  # state and venue disagree in a way only a person can judge

    @property
    def rank(self) -> int:
        """0 for RUN, rising with what is forbidden; to compare levels by weight instead of by spelling."""
        return _RANKS[self]


_RANKS = {level: rank for rank, level in enumerate(Level)}


@dataclass(frozen=True, slots=True)
class Control:
    """The latched level with its reason."""

    level: Level = Level.RUN
    reason: str = ""
    since_ms: int = 0
