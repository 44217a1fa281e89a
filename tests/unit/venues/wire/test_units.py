"""Text to whole units, remembered."""

from decimal import Decimal

import pytest

from trading_engine.venues.wire import units
from trading_engine.venues.wire.units import Units


def test_numbers_become_whole_units_however_they_are_written() -> None:
    """Trailing zeros and signs of padding do not matter."""
    ticks = Units(Decimal("0.1"))
    assert [614965, 614965, 0] == [ticks["61496.50"], ticks["61496.5"], ticks["0"]]
    assert 614965 == ticks["61496.50"]


@pytest.mark.parametrize("text", ["0.15", "", "x", "NaN", "Infinity"])
def test_what_is_no_multiple_or_no_number_is_refused(text: str) -> None:
    """And not remembered."""
    ticks = Units(Decimal("0.1"))
    with pytest.raises(ValueError, match=r"multiple|no number"):
        ticks[text]
    assert 0 == len(ticks)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is full everything is forgotten; answers stay right."""
    monkeypatch.setattr(units, "_MOST_REMEMBERED", 3)
    ticks = Units(Decimal(1))
    assert list(range(10)) == [ticks[str(number)] for number in range(10)]
    assert len(ticks) <= 3
