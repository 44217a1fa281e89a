"""The kill switch: its levels and where it begins."""

import pytest

from trading_engine.domain.control import Control, Level, pause_key, paused_symbol


def test_levels_are_ordered_by_what_they_forbid() -> None:
    """From RUN to LOCKED."""
    levels = [Level.RUN, Level.NO_ENTRY, Level.FLATTEN, Level.LOCKED]
    assert levels == sorted(Level, key=lambda level: level.rank)


def test_the_kill_switch_begins_released() -> None:
    """RUN, without a reason."""
    assert (Level.RUN, "", 0) == (Control().level, Control().reason, Control().since_ms)


@pytest.mark.parametrize("symbol", ["", "BTCUSDT"])
def test_a_pause_is_named_so_that_no_strategy_is_meant(symbol: str) -> None:
    """There and back; a strategy's name is the name of no pause."""
    assert symbol == paused_symbol(pause_key(symbol))
    assert paused_symbol("momentum") is None
