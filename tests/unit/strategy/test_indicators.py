"""Indicators against hand-worked values, and comparisons that noise cannot flip."""

import sys
from collections.abc import Callable

import numpy as np
import pytest

from trading_engine.domain.time import DAY_MS, MINUTE_MS
from trading_engine.strategy import indicators as ta
from trading_engine.strategy.api import FloatArray, Series

NAN = float("nan")


def _series(prices: list[float], volumes: list[float], start_ms: int = 0) -> Series:
    column = np.array(prices, dtype=np.float64)
    ts = start_ms + np.arange(len(prices), dtype=np.int64) * MINUTE_MS
    return Series(ts, column, column, column, column, np.array(volumes, dtype=np.float64), MINUTE_MS)


def _array(*values: float) -> FloatArray:
    return np.array(values, dtype=np.float64)


def test_no_data_frame_library_is_pulled_in() -> None:
    """TA-Lib wraps pandas and polars where it finds them; the engine must not carry them."""
    assert {"pandas", "polars"}.isdisjoint(sys.modules)


def test_a_simple_average_by_hand() -> None:
    """(1 + 2) / 2, (2 + 6) / 2, after one row without enough past."""
    np.testing.assert_array_equal([NAN, 1.5, 4.0], ta.sma(_array(1, 2, 6), 2))


def test_rsi_by_hand() -> None:
    """Two losses of 1, then 1 and a gain of 3: gains 1.5 against losses 0.5 are 75."""
    result = ta.rsi(_array(12, 11, 10, 9, 12), 2)
    np.testing.assert_allclose([NAN, NAN, 0.0, 0.0, 75.0], result)


def test_atr_by_hand() -> None:
    """True ranges 2, 2 and 4 (a gap counts): the mean 2, then (2 + 4) / 2."""
    series = Series(
        np.arange(4) * MINUTE_MS,
        _array(9, 9, 9, 12),
        _array(10, 10, 10, 13),
        _array(8, 8, 8, 12),
        _array(9, 9, 9, 12.5),
        _array(1, 1, 1, 1),
        MINUTE_MS,
    )
    np.testing.assert_allclose([NAN, NAN, 2.0, 3.0], ta.atr(series, 2))


def test_the_highest_value_includes_the_row_and_previous_shifts_by_one() -> None:
    """Together they give the highest of the rows before."""
    result = ta.highest(_array(3, 1, 2, 5), 2)
    np.testing.assert_array_equal([NAN, 3.0, 2.0, 5.0], result)
    np.testing.assert_array_equal([NAN, NAN, 3.0, 2.0], ta.previous(result))


def test_an_indicator_of_too_short_a_past_is_nan() -> None:
    """Fewer rows than the period, or none, give no value and no error."""
    assert np.isnan(ta.sma(_array(1, 2), 5)).all()
    assert np.isnan(ta.rsi(_array(1, 2), 5)).all()
    assert [] == ta.sma(_array(), 5).tolist()
    assert [] == ta.previous(_array()).tolist()


def test_session_vwap_by_hand_starts_anew_at_midnight_utc() -> None:
    """(10×1 + 20×3) / 4 = 17.5 before midnight; after it the day before has no weight."""
    series = _series([10, 20, 40, 10], [1, 3, 2, 2], DAY_MS - 2 * MINUTE_MS)
    np.testing.assert_allclose([10.0, 17.5, 40.0, 25.0], ta.session_vwap(series))


def test_session_vwap_weighs_the_typical_price() -> None:
    """(high + low + close) / 3 is what volume is multiplied with."""
    series = Series(_ts(1), _array(10), _array(14), _array(9), _array(13), _array(5), MINUTE_MS)
    np.testing.assert_allclose([12.0], ta.session_vwap(series))


def test_session_vwap_is_nan_until_the_day_has_volume() -> None:
    """A day that begins without trades has no VWAP yet, and no warning is raised."""
    series = _series([10, 20, 30], [0, 0, 2])
    np.testing.assert_array_equal([NAN, NAN, 30.0], ta.session_vwap(series))


def test_session_vwap_passes_over_a_day_without_candles() -> None:
    """A gap of two days neither fails nor lets a day leak into another."""
    series = _series([10, 20], [1, 1])
    gap = Series(np.array([0, 3 * DAY_MS]), *(series.close,) * 4, series.volume, MINUTE_MS)
    np.testing.assert_array_equal([10.0, 20.0], ta.session_vwap(gap))
    assert [] == ta.session_vwap(series.tail(0)).tolist()


def test_rolling_vwap_by_hand() -> None:
    """(10×1 + 20×3) / 4 and (20×3 + 40×2) / 5 over two candles."""
    np.testing.assert_allclose([NAN, 17.5, 28.0], ta.rolling_vwap(_series([10, 20, 40], [1, 3, 2]), 2))


def test_rolling_vwap_is_nan_where_its_candles_have_no_volume() -> None:
    """A residue of the running sum is not taken for volume."""
    result = ta.rolling_vwap(_series([10, 20, 30, 40], [0.1, 0.7, 0.0, 0.0]), 2)
    assert [True, False, False, True] == np.isnan(result).tolist()


@pytest.mark.parametrize(
    ("left", "right", "greater", "less", "at_least"),
    [
        (2.0, 1.0, True, False, True),
        (1.0, 2.0, False, True, False),
        (1.0, 1.0, False, False, True),
        (1e5 * (1 + 1e-12), 1e5, False, False, True),
        (1e5 * (1 - 1e-12), 1e5, False, False, True),
        (1e-5 * (1 + 1e-7), 1e-5, True, False, True),
        (-1.0, -2.0, True, False, True),
        (0.0, 0.0, False, False, True),
        (NAN, 1.0, False, False, False),
        (1.0, NAN, False, False, False),
    ],
)
def test_comparisons_ignore_rounding_noise(
    left: float, right: float, greater: bool, less: bool, at_least: bool
) -> None:
    """A difference within 1e-9 of the larger magnitude is none; NaN satisfies no comparison."""
    for other in (right, _array(right)):
        assert [greater] == ta.greater(_array(left), other).tolist()
        assert [less] == ta.less(_array(left), other).tolist()
        assert [at_least] == ta.at_least(_array(left), other).tolist()


def test_a_cross_needs_one_side_before_and_the_other_now() -> None:
    """Above at rows 2 and 5 only: staying above is no cross, touching is not yet one."""
    left = _array(1, 1, 3, 3, 2, 3, 1)
    right = _array(2, 2, 2, 2, 2, 2, 2)
    assert [2, 5] == np.flatnonzero(ta.crosses_above(left, right)).tolist()
    assert [6] == np.flatnonzero(ta.crosses_below(left, right)).tolist()


def test_noise_around_equality_is_no_cross() -> None:
    """Equal averages that differ in the last bits do not cross each other."""
    base = np.full(6, 61_234.5)
    noisy = base * (1 + _array(0, 1e-15, -1e-15, 2e-15, -2e-15, 1e-12))
    assert not ta.crosses_above(noisy, base).any()
    assert not ta.crosses_below(noisy, base).any()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("odd", [NAN, float("inf"), float("-inf"), 0.0, 1e-12])
def test_a_history_is_compared_as_its_parts_are(seed: int, odd: float) -> None:
    """Prices from 1e-3 to 1e6 that differ by up to four slacks: each row has its own, however long the arrays are."""
    rng = np.random.default_rng(seed)
    rows, part = 20_000, 1_000
    left = 10.0 ** rng.uniform(-3, 6, rows) * rng.choice([-1, 1], rows)
    right = left * (1 + rng.uniform(-4, 4, rows) * ta.TOLERANCE)
    for column in (left, right):
        column[rng.integers(0, rows, 50)] = odd
    parts = [slice(at, at + part) for at in range(0, rows, part)]
    with np.errstate(invalid="ignore"):  # infinite on both sides
        for compare in (ta.greater, ta.less, ta.at_least):
            for other in (right, 0.0, 5):
                others = [other[one] if isinstance(other, np.ndarray) else other for one in parts]
                apart = [compare(left[one], mine) for one, mine in zip(parts, others, strict=True)]
                assert np.concatenate(apart).tolist() == compare(left, other).tolist(), compare.__name__
        above, known = ta.greater(left, right), ~np.isnan(left - right)
        crossed = [False, *(above[1:] & ~above[:-1] & known[:-1]).tolist()]
        assert crossed == ta.crosses_above(left, right).tolist()
    assert 0.2 < above.mean() < 0.6


@pytest.mark.parametrize("rows", [10, 10_000])
def test_whatever_can_be_compared_is_compared_however_long(rows: int) -> None:
    """A list, one value in an array, a number without a dimension: a window takes them, and so does a history."""
    left = np.linspace(-1, 1, rows)
    expected = (left > 0.5).tolist()
    for right in (0.5, np.float64(0.5), np.array(0.5), np.array([0.5]), [0.5] * rows):
        assert expected == ta.greater(left, right).tolist()  # type: ignore[arg-type]
    assert expected == ta.less([0.5] * rows, left).tolist()  # type: ignore[arg-type]


def test_the_first_known_value_is_no_cross() -> None:
    """Without a known value before there is no telling on which side it was."""
    assert [False, False, False] == ta.crosses_above(_array(NAN, 3, 4), _array(2, 2, 2)).tolist()
    assert [False] == ta.crosses_above(_array(3), _array(2)).tolist()
    assert [] == ta.crosses_above(_array(), _array()).tolist()


@pytest.mark.parametrize("period", [2, 14, 50])
def test_a_wilder_window_forgets_what_lies_before_it(period: int) -> None:
    """A past of true range 1 before a dead-flat window leaves less than 1e-12 in the last row."""
    window = ta.wilder_window(period)
    high = np.concatenate((np.full(40 * period, 101.0), np.full(window, 100.0)))
    flat = np.full(len(high), 100.0)
    series = Series(_ts(len(high)), flat, high, flat, flat, flat, MINUTE_MS)
    outside = ta.atr(series, period)[-1] - ta.atr(series.tail(window), period)[-1]
    assert 0 < outside < 1e-12
    assert 388 == ta.wilder_window(14)


def _ts(count: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return np.arange(count, dtype=np.int64) * MINUTE_MS


def test_an_exponential_average_by_hand() -> None:
    """The mean 1.5 begins it, then two thirds of the way from 1.5 to 6."""
    np.testing.assert_allclose([NAN, 1.5, 4.5], ta.ema(_array(1, 2, 6), 2))


def test_macd_by_hand() -> None:
    """EMA(2) 2.5, 5.5, 6.5 less EMA(3) 2, 4.5, 5.75; the signal line begins with the mean of 0.5 and 1."""
    line, smoothed = ta.macd(_array(1, 2, 3, 7, 7), 2, 3, 2)
    np.testing.assert_allclose([NAN, NAN, NAN, 1.0, 0.75], line)
    np.testing.assert_allclose([NAN, NAN, NAN, 0.75, 0.75], smoothed)


def test_bollinger_bands_by_hand() -> None:
    """Means 2 and 4, a population deviation of 1 each, twice of it to both sides."""
    lower, middle, upper = ta.bollinger(_array(1, 3, 5), 2, 2.0)
    np.testing.assert_allclose([NAN, 0.0, 2.0], lower)
    np.testing.assert_allclose([NAN, 2.0, 4.0], middle)
    np.testing.assert_allclose([NAN, 4.0, 6.0], upper)


def test_adx_by_hand() -> None:
    """Moves up 1, 3.5, 1.75 and down 1, 0.5, 1.25 give DX 0, 75, 50/3: their mean 37.5, then 27.0833."""
    high, low = _array(10, 12, 11, 14, 13), _array(8, 9, 8, 10, 9)
    series = Series(_ts(5), low, high, low, (high + low) / 2, low, MINUTE_MS)
    np.testing.assert_allclose([NAN, NAN, NAN, 37.5, (37.5 + 50 / 3) / 2], ta.adx(series, 2))


def test_the_lowest_value_includes_the_row() -> None:
    """The smaller of each two."""
    np.testing.assert_array_equal([NAN, 1.0, 1.0, 2.0], ta.lowest(_array(3, 1, 2, 5), 2))


def _last_ema(values: FloatArray, period: int) -> float:
    return float(ta.ema(values, period)[-1])


def _last_macd(values: FloatArray, period: int) -> float:
    return float(ta.macd(values, max(2, period // 2), period, max(2, period // 3))[1][-1])


def _last_adx(values: FloatArray, period: int) -> float:
    series = Series(_ts(len(values)), values, values + 0.1, values - 0.1, values, values, MINUTE_MS)
    return float(ta.adx(series, period)[-1]) / 100


@pytest.mark.parametrize(
    ("last", "window", "period"),
    [
        (_last_ema, ta.ema_window(3), 3),
        (_last_ema, ta.ema_window(50), 50),
        (_last_ema, ta.ema_window(200), 200),
        (_last_macd, ta.macd_window(26, 8), 26),
        (_last_macd, ta.macd_window(60, 20), 60),
        (_last_adx, ta.adx_window(5), 5),
        (_last_adx, ta.adx_window(14), 14),
    ],
)
def test_a_window_of_smoothed_values_forgets_what_lies_before_it(
    last: Callable[[FloatArray, int], float], window: int, period: int
) -> None:
    """Measured: a past that doubles or halves moves the last row by less than 1e-12; in a third of it by more."""
    values = 1 + 0.1 * np.sin(np.arange(window) * 0.7) + 0.05 * np.cos(np.arange(window) * 0.31)
    alone = last(values, period)
    for factor in (0.5, 2.0):
        past = factor * np.exp(0.03 * np.cumsum(np.sin(np.arange(3 * window) * 0.9)))
        assert abs(last(np.concatenate((past, values)), period) - alone) < 1e-12
        third = values[-(window // 3) :]
        assert abs(last(np.concatenate((past, third)), period) - last(third, period)) > 1e-12


def test_the_declared_windows_are_known_numbers() -> None:
    """EMA(200), MACD(12, 26, 9) and ADX(14)."""
    assert (2_964, 519, 776) == (ta.ema_window(200), ta.macd_window(26, 9), ta.adx_window(14))
