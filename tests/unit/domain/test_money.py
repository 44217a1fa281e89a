"""Exact decimals: nothing is lost, every rounding has a direction, text is canonical."""

from decimal import Decimal, Inexact

import pytest

from trading_engine.domain import money


def test_sums_and_products_are_exact() -> None:
    """Numbers that floats cannot hold come out to the last digit."""
    assert Decimal("0.3") == money.add(Decimal("0.1"), Decimal("0.2"))
    assert Decimal("-0.1") == money.subtract(Decimal("0.2"), Decimal("0.3"))
    assert Decimal("0.00000000000002") == money.multiply(Decimal("0.0000001"), Decimal("0.0000002"))


def test_a_digit_that_would_be_lost_is_an_error() -> None:
    """More than 60 digits raise instead of rounding in silence."""
    with pytest.raises(Inexact):
        money.add(Decimal("1e40"), Decimal("1e-40"))


def test_a_share_is_rounded_half_even_to_the_smallest_money() -> None:
    """A third of one, and the tie that goes to the even digit."""
    assert Decimal("0.33333333") == money.share(Decimal(1), Decimal(1), Decimal(3))
    assert Decimal("0.00000002") == money.share(Decimal("0.00000005"), Decimal(1), Decimal(2))


def test_a_ratio_has_eight_decimals() -> None:
    """For display: two thirds."""
    assert Decimal("0.66666667") == money.ratio(Decimal(2), Decimal(3))


def test_money_is_rounded_half_even() -> None:
    """A tie goes to the even digit."""
    assert Decimal("1.00000002") == money.round_money(Decimal("1.000000015"))


@pytest.mark.parametrize(("value", "floor", "ceil"), [("0.35", 3, 4), ("-0.35", -4, -3), ("0.3", 3, 3)])
def test_units_are_counted_down_or_up(value: str, floor: int, ceil: int) -> None:
    """Towards minus and towards plus infinity, also below zero."""
    assert floor == money.floor_units(Decimal(value), Decimal("0.1"))
    assert ceil == money.ceil_units(Decimal(value), Decimal("0.1"))


def test_a_value_on_the_grid_is_a_whole_number_of_units() -> None:
    """0.3 is exactly three tenths."""
    assert 3 == money.exact_units(Decimal("0.3"), Decimal("0.1"))


def test_a_value_off_the_grid_is_refused() -> None:
    """No silent rounding of a price."""
    with pytest.raises(ValueError, match=r"0\.35 is not a multiple of 0\.1"):
        money.exact_units(Decimal("0.35"), Decimal("0.1"))


def test_units_become_a_value_again() -> None:
    """Three tenths."""
    assert Decimal("0.3") == money.from_units(3, Decimal("0.1"))


def test_money_in_1e8_is_rounded_down_and_back() -> None:
    """A balance is never overstated."""
    assert 123_456_789 == money.to_e8(Decimal("1.234567899"))
    assert -1 == money.to_e8(Decimal("-0.000000001"))
    assert Decimal("1.23456789") == money.from_e8(123_456_789)


def test_a_float_means_what_was_written() -> None:
    """0.1 is one tenth, not its binary neighbour."""
    assert Decimal("0.1") == money.from_float(0.1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", "0"),
        ("-0.00", "0"),
        ("1E+3", "1000"),
        ("1.500", "1.5"),
        ("100", "100"),
        ("1E-8", "0.00000001"),
        ("-2.0", "-2"),
    ],
)
def test_text_is_plain_and_without_trailing_zeros(value: str, expected: str) -> None:
    """One text for one value."""
    assert expected == money.text(Decimal(value))
