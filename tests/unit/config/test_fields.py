"""Percentages become parts per million without loss."""

from decimal import Decimal

import pytest

from trading_engine.config import ppm
from trading_engine.config.fields import read_decimal


@pytest.mark.parametrize(
    ("percent", "expected"), [("0.5", 5_000), ("100", 1_000_000), ("0.0001", 1), ("0.06", 600), ("0", 0)]
)
def test_percent_becomes_parts_per_million(percent: str, expected: int) -> None:
    """Half a percent is five thousand millionths."""
    assert expected == ppm(Decimal(percent))


def test_what_is_finer_than_a_millionth_is_refused() -> None:
    """Nothing is rounded in silence."""
    with pytest.raises(ValueError, match="not a multiple"):
        ppm(Decimal("0.00001"))


@pytest.mark.parametrize("value", [True, None, "", "x", "nan", "-inf", "1e99", float("inf"), [1], {}, b"1"])
def test_what_is_not_a_finite_number_is_none(value: object) -> None:
    """Flags, lists and infinities are not numbers to trade with."""
    assert read_decimal(value) is None


@pytest.mark.parametrize("value", [0.1, "0.1", Decimal("0.1")])
def test_a_number_is_what_was_written(value: object) -> None:
    """A float stands for its shortest text."""
    assert Decimal("0.1") == read_decimal(value)
