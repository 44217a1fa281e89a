"""Exact multiplication and division within 64 bits, with a named direction."""

import pytest

from trading_engine.rules.integers import (
    divide_ceil,
    ratio_ceil,
    ratio_floor,
    root_ceil,
    root_floor,
    scale_ceil,
    scale_floor,
    share_half_even,
)


@pytest.mark.parametrize(("value", "expected"), [(6, 3), (7, 4), (-7, -3), (0, 0)])
def test_divide_ceil_rounds_towards_plus_infinity(value: int, expected: int) -> None:
    """A rest goes up, for negative numbers too."""
    assert expected == divide_ceil(value, 2)


@pytest.mark.parametrize(
    ("value", "multiplier", "down", "up"),
    [(7, 3, 10, 11), (-7, 3, -11, -10), (7, -3, -11, -10), (8, 3, 12, 12)],
)
def test_scaling_rounds_as_named(value: int, multiplier: int, down: int, up: int) -> None:
    """Floor and ceiling differ by one exactly where there is a rest."""
    assert (down, up) == (scale_floor(value, multiplier, 2), scale_ceil(value, multiplier, 2))


@pytest.mark.parametrize(
    ("numerator", "digits", "down", "up"),
    [(2, 3, 666, 667), (-2, 3, -667, -666), (6, 3, 2000, 2000), (2, 0, 0, 1)],
)
def test_ratios_are_long_divisions(numerator: int, digits: int, down: int, up: int) -> None:
    """A third of the numerator to so many decimal digits."""
    assert (down, up) == (ratio_floor(numerator, 3, digits), ratio_ceil(numerator, 3, digits))


@pytest.mark.parametrize(
    ("amount", "part", "whole", "expected"), [(7, 1, 2, 4), (5, 1, 2, 2), (10, 1, 3, 3), (10, 2, 3, 7), (9, 3, 3, 9)]
)
def test_a_share_is_the_nearest_whole_number_and_ties_go_to_the_even(
    amount: int, part: int, whole: int, expected: int
) -> None:
    """As the ledger rounds, so that every book says the same."""
    assert expected == share_half_even(amount, part, whole)


@pytest.mark.parametrize(
    ("value", "down", "up"),
    [
        (0, 0, 0), (1, 1, 1), (2, 1, 2), (3, 1, 2), (4, 2, 2), (5, 2, 3), (99, 9, 10), (100, 10, 10), (101, 10, 11),
        (10**12, 10**6, 10**6), (10**12 - 1, 10**6 - 1, 10**6), (2**63 - 1, 3_037_000_499, 3_037_000_500),
    ],
)  # fmt: skip
def test_roots_round_as_named(value: int, down: int, up: int) -> None:
    """Floor and ceiling are one for a square, and differ by one for every other number."""
    assert (down, up) == (root_floor(value), root_ceil(value))
