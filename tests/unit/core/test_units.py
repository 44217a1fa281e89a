"""The border between Decimal and the integers of the rules: every rounding as named."""

from decimal import Decimal

import pytest
from builders import dec, make_instrument

from trading_engine.core import units

INSTRUMENT = make_instrument()


def test_prices_and_quantities_on_the_grid_are_exact() -> None:
    """Ticks of 0.1, steps of 0.01."""
    assert 1_001 == units.ticks(INSTRUMENT, dec("100.1"))
    assert 250 == units.steps(INSTRUMENT, dec("2.5"))


def test_a_price_between_ticks_is_refused() -> None:
    """An order must never carry one."""
    with pytest.raises(ValueError, match="is not a multiple of"):
        units.ticks(INSTRUMENT, dec("100.15"))


def test_a_mean_price_is_rounded_down_to_thousandths_of_a_tick() -> None:
    """100.33339 is 1,003.3339 ticks."""
    assert 1_003_333 == units.mticks(INSTRUMENT, dec("100.33339"))


def test_the_value_of_a_tick_is_rounded_up() -> None:
    """So that a size is never overstated."""
    assert 100_000 == units.value_e8(INSTRUMENT)
    assert 1 == units.value_e8(make_instrument(tick=dec("0.00001"), step=dec("0.00001")))


def test_ratios_are_rounded_down_to_thousandths() -> None:
    """2.9999 is 2,999."""
    assert 2_999 == units.milli(dec("2.9999"))


def test_what_is_owed_is_rounded_up_and_what_is_owned_down() -> None:
    """Half of the smallest unit."""
    half = Decimal("0.000000005")
    assert (1, 0) == (units.e8_up(half), units.e8_down(half))
