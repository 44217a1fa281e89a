"""How much an alert matters.

What belongs here: the grades and their order. What does not: where a grade is sent (config, alerts).
"""

from enum import StrEnum


class Severity(StrEnum):
    """Grades of an alert, from what is nice to know to what needs a person now."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for info, rising; to compare grades by weight instead of by spelling."""
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}
