"""How much the engine may do, and why: the kill switch, and what an operator has switched off.

What belongs here: the levels and the persisted row, and how a pause is named among what is switched off. What does
not: what raises the switch (core) and who may lower it (core.on_command).
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


# Names among what an operator has switched off, beside those of strategies, which are words of small letters.
EVERYTHING = "*"
_SYMBOL = "symbol:"


def pause_key(symbol: str) -> str:
    """The name of a pause of one symbol, or of everything where it is empty."""
    return f"{_SYMBOL}{symbol}" if symbol else EVERYTHING


def paused_symbol(key: str) -> str | None:
    """The symbol of a pause, empty for everything; None for the name of a strategy."""
    if key == EVERYTHING:
        return ""
    return key.removeprefix(_SYMBOL) if key.startswith(_SYMBOL) else None


@dataclass(frozen=True, slots=True)
class Control:
    """The latched level with its reason."""

    level: Level = Level.RUN
    reason: str = ""
    since_ms: int = 0
