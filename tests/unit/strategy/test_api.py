"""Series and the mean of margins."""

import numpy as np

from trading_engine.strategy.api import Series, mean_margin


def _series(count: int) -> Series:
    prices = np.arange(1.0, count + 1)
    return Series(np.arange(count) * 60_000, prices, prices, prices, prices, prices, 60_000)


def test_the_tail_is_the_last_candles_without_a_copy() -> None:
    """A tail shares memory with its series and carries the interval on."""
    series = _series(5)
    tail = series.tail(2)
    assert [180_000, 240_000] == tail.ts.tolist()
    assert [4.0, 5.0] == tail.close.tolist()
    assert 60_000 == tail.interval_ms
    assert np.shares_memory(tail.close, series.close)


def test_a_tail_longer_than_the_series_is_the_series() -> None:
    """Asking for more candles than there are gives all of them."""
    assert 3 == len(_series(3).tail(10))
    assert 0 == len(_series(3).tail(0))


def test_close_times_are_the_ends_of_the_candles() -> None:
    """A candle is complete one interval after it opened."""
    assert [60_000, 120_000] == _series(2).close_times.tolist()


def test_confidence_is_the_mean_of_the_clipped_margins() -> None:
    """Below 0 counts as 0 and above 1 as 1 before the mean is taken, row by row."""
    first, second = np.array([0.5, 3.0]), np.array([-2.0, 0.5])
    assert [0.25, 0.75] == mean_margin(first, second).tolist()
    assert [0.5, 3.0] == first.tolist(), "the margins themselves stay as they are"
