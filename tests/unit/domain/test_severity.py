"""The grades of an alert."""

from trading_engine.domain.severity import Severity


def test_grades_are_ordered_by_weight() -> None:
    """Not by spelling."""
    assert [Severity.INFO, Severity.WARNING, Severity.CRITICAL] == sorted(Severity, key=lambda grade: grade.rank)
