"""Reading a state that an engine may be writing meanwhile."""

from trading_engine.backtest.compare_state import steady


def test_a_state_that_stays_is_read_once() -> None:
    """Nothing was written: what was read belongs together."""
    read: list[int] = []
    assert ("seen", True) == steady(lambda: read.append(1) or "seen", lambda: 7)
    assert [1] == read


def test_a_state_that_was_written_meanwhile_is_read_again() -> None:
    """The second reading belongs together."""
    marks = iter([7, 8, 8])
    readings = iter(["torn", "whole"])
    assert ("whole", True) == steady(lambda: next(readings), lambda: next(marks))


def test_a_state_that_never_stays_is_told() -> None:
    """After some attempts what there is has to do."""
    marks, readings = iter(range(100)), iter(range(100))
    assert (9, False) == steady(lambda: next(readings), lambda: next(marks))
