"""Pivots and divergence on prices drawn by hand."""

import numpy as np
import pytest

from trading_engine.domain.time import MINUTE_MS
from trading_engine.strategy.api import BoolArray, FloatArray, Series
from trading_engine.strategy.divergence import divergence, divergence_window, pivot_highs, pivot_lows


def _array(*values: float) -> FloatArray:
    return np.array(values, dtype=np.float64)


def _series(prices: FloatArray) -> Series:
    ts = np.arange(len(prices), dtype=np.int64) * MINUTE_MS
    return Series(ts, prices, prices + 0.5, prices - 0.5, prices, prices, MINUTE_MS)


def _rows(flags: BoolArray) -> list[int]:
    return np.flatnonzero(flags).tolist()


def test_a_low_counts_on_the_candle_that_confirms_it() -> None:
    """The low of row 2 is one once rows 3 and 4 are not below it; row 6 gets no second candle."""
    assert [4] == _rows(pivot_lows(_array(5, 4, 3, 4, 5, 4, 3, 4), 2))


def test_a_high_is_a_low_upside_down() -> None:
    """The high of row 2, confirmed on row 4."""
    assert [4] == _rows(pivot_highs(_array(5, 6, 7, 6, 5), 2))


def test_of_equal_lows_the_first_is_the_pivot() -> None:
    """One pivot for a flat bottom, also where its values differ by rounding noise."""
    assert [4] == _rows(pivot_lows(_array(5, 4, 3, 3, 4, 5, 6), 2))
    assert [4] == _rows(pivot_lows(_array(5, 4, 3, 3 * (1 - 1e-12), 4, 5, 6), 2))


def test_too_few_candles_have_no_pivot() -> None:
    """Four candles cannot hold a pivot of strength 2; none at all neither."""
    assert [] == _rows(pivot_lows(_array(5, 4, 3, 4), 2))
    assert [] == _rows(pivot_lows(_array(), 2))


# Two lows, on rows 2 and 7, confirmed on rows 4 and 9.
LOWER_LOWS = _array(9, 8, 5, 7, 8, 8, 7, 4, 6, 8)
HIGHER_LOWS = _array(9, 8, 4, 7, 8, 8, 7, 5, 6, 8)
HIGHER_HIGHS, LOWER_HIGHS = -LOWER_LOWS + 20, -HIGHER_LOWS + 20


@pytest.mark.parametrize(
    ("prices", "first", "second", "kind"),
    [
        (LOWER_LOWS, 20, 30, "regular_bullish"),
        (HIGHER_LOWS, 30, 20, "hidden_bullish"),
        (HIGHER_HIGHS, 80, 70, "regular_bearish"),
        (LOWER_HIGHS, 70, 80, "hidden_bearish"),
    ],
)
def test_each_kind_of_divergence_is_told_on_its_confirmation(
    prices: FloatArray, first: float, second: float, kind: str
) -> None:
    """Only its own kind, on row 9; where the oscillator agrees with the price there is none."""
    oscillator = np.full(len(prices), 50.0)
    oscillator[[2, 7]] = first, second
    found = divergence(_series(prices), oscillator, 2, 5)
    for name in ("regular_bullish", "hidden_bullish", "regular_bearish", "hidden_bearish"):
        assert ([9] if name == kind else []) == _rows(getattr(found, name))
    oscillator[[2, 7]] = second, first
    assert [] == _rows(getattr(divergence(_series(prices), oscillator, 2, 5), kind))


def test_pivots_too_far_apart_are_not_compared() -> None:
    """Rows 2 and 7 are five candles apart; an oscillator without a value says nothing either."""
    oscillator = np.full(10, 50.0)
    oscillator[2] = 20
    assert [9] == _rows(divergence(_series(LOWER_LOWS), oscillator, 2, 5).regular_bullish)
    assert [] == _rows(divergence(_series(LOWER_LOWS), oscillator, 2, 4).regular_bullish)
    oscillator[7] = np.nan
    assert [] == _rows(divergence(_series(LOWER_LOWS), oscillator, 2, 5).regular_bullish)


def test_divergence_neither_looks_ahead_nor_needs_more_than_its_window() -> None:
    """On a random walk every prefix, and every window of the declared length, ends as the whole history."""
    random = np.random.default_rng(5)
    prices, oscillator = 100 + np.cumsum(random.normal(0, 1, 400)), random.normal(50, 10, 400)
    whole = divergence(_series(prices), oscillator, 3, 20)
    window = divergence_window(3, 20)
    assert whole.regular_bullish.sum() > 3
    for end in range(window, 401):
        part = divergence(_series(prices[:end]), oscillator[:end], 3, 20)
        live = divergence(_series(prices[end - window : end]), oscillator[end - window : end], 3, 20)
        for name in ("regular_bullish", "hidden_bullish", "regular_bearish", "hidden_bearish"):
            np.testing.assert_array_equal(getattr(whole, name)[:end], getattr(part, name))
            assert getattr(whole, name)[end - 1] == getattr(live, name)[-1]
