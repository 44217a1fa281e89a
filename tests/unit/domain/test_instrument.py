"""Instruments: prices on the tick, quantities on the step."""

from decimal import Decimal

import pytest
from builders import dec, make_instrument


def test_an_instrument_counts_prices_and_quantities() -> None:
    """Ticks of 0.1 and steps of 0.01, both ways."""
    instrument = make_instrument()
    assert (1_005, dec("100.5")) == (instrument.price_to_ticks(dec("100.5")), instrument.ticks_to_price(1_005))
    assert (150, dec("1.50")) == (instrument.quantity_to_steps(dec("1.5")), instrument.steps_to_quantity(150))
    assert Decimal("0.001") == instrument.value_per_tick_step


def test_an_instrument_refuses_what_lies_between() -> None:
    """A price off the tick, a quantity off the step."""
    instrument = make_instrument()
    with pytest.raises(ValueError, match=r"100\.55 is not a multiple of 0\.1"):
        instrument.price_to_ticks(dec("100.55"))
    with pytest.raises(ValueError, match=r"1\.505 is not a multiple of 0\.01"):
        instrument.quantity_to_steps(dec("1.505"))
