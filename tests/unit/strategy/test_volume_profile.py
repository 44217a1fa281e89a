"""Volume by price, worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_engine.domain.time import MINUTE_MS
from trading_engine.strategy.api import Series
from trading_engine.strategy.volume_profile import volume_profile


def _series(rows: list[tuple[float, float, float]]) -> Series:
    """Candles of (low, high, volume)."""
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    low, high, volume = (column.copy() for column in table.T)
    return Series(np.arange(len(low), dtype=np.int64) * MINUTE_MS, low, high, low, high, volume, MINUTE_MS)


def test_a_candle_spreads_its_volume_over_its_range() -> None:
    """40 over 0 to 4 are 10 a bin; 6 within 1 to 2, and 5 at 3 without a range, join the second and the fourth."""
    profile = volume_profile(_series([(0, 4, 40), (1, 2, 6), (3, 3, 5)]), 4)
    assert profile is not None
    np.testing.assert_allclose([0, 1, 2, 3, 4], profile.edges)
    np.testing.assert_allclose([10, 16, 10, 15], profile.volumes)
    assert 1.5 == profile.point_of_control


def test_the_value_area_grows_by_the_heavier_neighbour() -> None:
    """16, then 10 below of two equal tens, then 10 above: 36 of 51 are the 70 % asked for."""
    profile = volume_profile(_series([(0, 4, 40), (1, 2, 6), (3, 3, 5)]), 4)
    assert profile is not None
    assert (0.0, 3.0) == (profile.value_low, profile.value_high)
    whole = volume_profile(_series([(0, 4, 40), (1, 2, 6), (3, 3, 5)]), 4, 1.0)
    assert whole is not None
    assert (0.0, 4.0) == (whole.value_low, whole.value_high)


def test_a_volume_at_the_highest_price_lies_in_the_last_bin() -> None:
    """The last border belongs to the bin below it."""
    profile = volume_profile(_series([(0, 2, 2), (2, 2, 7)]), 2)
    assert profile is not None
    np.testing.assert_allclose([1, 8], profile.volumes)


def test_a_single_price_has_a_profile_of_that_price() -> None:
    """Everything in one bin, whose borders are that price."""
    profile = volume_profile(_series([(5, 5, 3)]), 3)
    assert profile is not None
    assert (5.0, 5.0, 5.0) == (profile.point_of_control, profile.value_low, profile.value_high)
    assert 3.0 == profile.volumes.sum()


@pytest.mark.parametrize("rows", [[], [(1, 2, 0), (2, 3, 0)]])
def test_without_volume_there_is_no_profile(rows: list[tuple[float, float, float]]) -> None:
    """No candles, or candles without trades."""
    assert volume_profile(_series(rows), 4) is None


candles = st.tuples(st.floats(1, 100), st.floats(0, 10), st.floats(0.1, 50))


@given(st.lists(candles, min_size=1, max_size=30), st.integers(1, 20), st.floats(0.1, 1))
def test_no_volume_is_lost_and_the_value_area_holds_its_share(
    rows: list[tuple[float, float, float]], bins: int, share: float
) -> None:
    """Whatever the candles: the bins add up, and the area holds its share around the point of control."""
    series = _series([(low, low + span, volume) for low, span, volume in rows])
    profile = volume_profile(series, bins, share)
    assert profile is not None
    total = series.volume.sum()
    assert total == pytest.approx(profile.volumes.sum())
    assert profile.value_low <= profile.point_of_control <= profile.value_high
    inside = (profile.edges[:-1] >= profile.value_low) & (profile.edges[1:] <= profile.value_high)
    assert profile.volumes[inside].sum() >= share * total * (1 - 1e-6)
