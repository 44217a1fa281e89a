"""The kill switch: its levels and where it begins."""

from trading_engine.domain.control import Control, Level


def test_levels_are_ordered_by_what_they_forbid() -> None:
    """From RUN to LOCKED."""
    levels = [Level.RUN, Level.NO_ENTRY, Level.FLATTEN, Level.LOCKED]
    assert levels == sorted(Level, key=lambda level: level.rank)


def test_the_kill_switch_begins_released() -> None:
    """RUN, without a reason."""
    assert (Level.RUN, "", 0) == (Control().level, Control().reason, Control().since_ms)
