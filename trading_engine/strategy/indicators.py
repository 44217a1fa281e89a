"""Indicators over whole arrays, and comparisons that rounding noise cannot flip.

What belongs here: the only use of TA-Lib, VWAP, which it lacks, how long each indicator remembers, tolerance
comparison and crosses. What does not: conditions and thresholds of a strategy, alignment of intervals
(timeframes), pivots and divergence (divergence), volume by price (volume_profile).

All arrays are float64, oldest first; a result has the length of its input and is NaN where the past does
not suffice. TA-Lib keeps running sums, so the same value computed from a window and from the whole
history differs by rounding noise: `TOLERANCE` is what the comparisons ignore.
"""

import math
from itertools import pairwise

import numpy as np
import talib

from trading_engine.domain.time import DAY_MS
from trading_engine.strategy.api import BoolArray, FloatArray, Series

TOLERANCE = 1e-9
_WINDOW = 4_096  # rows from which on it pays to look before working out what hardly any row needs
NEGLIGIBLE = 1e-12  # weight of everything outside a declared window


def sma(values: FloatArray, period: int) -> FloatArray:
    """Simple moving average of the last `period` ≥ 2 values."""
    return talib.SMA(values, period)


def ema(values: FloatArray, period: int) -> FloatArray:
    """Exponential moving average of weight 2 / (`period` + 1), `period` ≥ 2, begun with the mean of `period` values."""
    return talib.EMA(values, period)


def macd(values: FloatArray, fast: int, slow: int, signal: int) -> tuple[FloatArray, FloatArray]:
    """EMA(fast) − EMA(slow), and the EMA of that over `signal` rows; 2 ≤ fast < slow, `signal` ≥ 2."""
    line, smoothed, _ = talib.MACD(values, fast, slow, signal)
    return line, smoothed


def bollinger(values: FloatArray, period: int, width: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Lower, middle and upper band: the mean of `period` ≥ 2 values and `width` population deviations around it."""
    upper, middle, lower = talib.BBANDS(values, period, width, width)
    return lower, middle, upper


def rsi(values: FloatArray, period: int) -> FloatArray:
    """Wilder's relative strength index in [0, 100], `period` ≥ 2; 0 where nothing has ever moved."""
    return talib.RSI(values, period)


def atr(series: Series, period: int) -> FloatArray:
    """Wilder's average true range, price units, `period` ≥ 2; the row's own candle is included."""
    return talib.ATR(series.high, series.low, series.close, period)


def adx(series: Series, period: int) -> FloatArray:
    """Wilder's average directional index in [0, 100], `period` ≥ 2: how much of a trend there is, not which way."""
    return talib.ADX(series.high, series.low, series.close, period)


def highest(values: FloatArray, period: int) -> FloatArray:
    """The largest of the last `period` ≥ 2 values, the row's own included."""
    return talib.MAX(values, period)


def lowest(values: FloatArray, period: int) -> FloatArray:
    """The smallest of the last `period` ≥ 2 values, the row's own included."""
    return talib.MIN(values, period)


def previous(values: FloatArray) -> FloatArray:
    """The value of the row before; NaN in the first row."""
    shifted = np.empty_like(values)
    shifted[:1] = np.nan
    shifted[1:] = values[:-1]
    return shifted


def wilder_window(period: int) -> int:
    """Candles after which Wilder smoothing has forgotten its start to 1e-12 (`period` 14: 388).

    The seed takes `period` differences of `period` + 1 candles; each candle after it keeps the share
    1 − 1/period of the past.
    """
    return period + 1 + _forgotten_after(1 - 1 / period)


def ema_window(period: int) -> int:
    """Candles after which an EMA has forgotten its start to 1e-12 (`period` 200: 2,964).

    The first `period` of them make the seed, which weighs them otherwise than an older EMA would.
    """
    return period + _forgotten_after(1 - 2 / (period + 1))


def macd_window(slow: int, signal: int) -> int:
    """Candles after which MACD and its signal line have forgotten their starts (26 and 9: 519).

    The signal line begins to forget once the MACD that it averages is right.
    """
    return ema_window(slow) + ema_window(signal)


def adx_window(period: int) -> int:
    """Candles after which ADX has forgotten its start (`period` 14: 776).

    It smooths what is smoothed already, so the second smoothing is counted from the end of the first.
    """
    return 2 * wilder_window(period)


def session_vwap(series: Series) -> FloatArray:
    """Volume-weighted mean of the typical price (h + l + c) / 3 since 00:00 UTC of the row's day.

    NaN until the day has volume. Summed anew for each day, so a window that holds the whole day gives the
    very same number as the whole history.
    """
    sums = np.empty((2, len(series)))
    turnover, volume = sums
    np.multiply(_typical(series), series.volume, out=turnover)
    volume[:] = series.volume
    for start, end in pairwise(_day_edges(series)):
        day = sums[:, start:end]
        np.add.accumulate(day, axis=1, out=day)
    return _quotient(turnover, volume, volume > 0)


def rolling_vwap(series: Series, period: int) -> FloatArray:
    """Volume-weighted mean of the typical price over the last `period` ≥ 2 candles; NaN without volume."""
    turnover = talib.SUM(_typical(series) * series.volume, period)
    # A running sum of zeros may keep a residue of what left it, so "no volume" is asked of the maximum.
    return _quotient(turnover, talib.SUM(series.volume, period), highest(series.volume, period) > 0)


def greater(left: FloatArray, right: FloatArray | float) -> BoolArray:
    """Whether left > right by more than 1e-9 of the larger magnitude; false for NaN."""
    return _exceeds(left - right, left, right)


def less(left: FloatArray, right: FloatArray | float) -> BoolArray:
    """Whether left < right by more than 1e-9 of the larger magnitude; false for NaN."""
    return _exceeds(right - left, left, right)


def at_least(left: FloatArray, right: FloatArray | float) -> BoolArray:
    """Whether left ≥ right, or short of it by no more than 1e-9 of the larger magnitude; false for NaN."""
    short = right - left
    reaches: BoolArray = ~_exceeds(short, left, right) & (short == short)  # noqa: PLR0124 - false for NaN
    return reaches


def crosses_above(left: FloatArray, right: FloatArray) -> BoolArray:
    """`left` is greater on this candle and was not (with both values known) on the one before."""
    difference = left - right
    is_above = _exceeds(difference, left, right)
    crossed = is_above.copy()
    crossed[1:] &= ~is_above[:-1] & (difference[:-1] == difference[:-1])
    crossed[:1] = False
    return crossed


def crosses_below(left: FloatArray, right: FloatArray) -> BoolArray:
    """`left` is less on this candle and was not (with both values known) on the one before."""
    return crosses_above(right, left)


def _forgotten_after(kept: float) -> int:
    """Steps until a weight that keeps the share `kept` with each step is negligible."""
    return math.ceil(math.log(NEGLIGIBLE) / math.log(kept))


def _day_edges(series: Series) -> list[int]:
    """First rows of the UTC days, and the length; a day without candles is an empty stretch."""
    if len(series) == 0:
        return [0]
    first, last = int(series.ts[0]) // DAY_MS, int(series.ts[-1]) // DAY_MS
    midnights = np.arange(first + 1, last + 1) * DAY_MS
    return [0, *series.ts.searchsorted(midnights).tolist(), len(series)]


def _typical(series: Series) -> FloatArray:
    return (series.high + series.low + series.close) / 3.0


def _quotient(numerator: FloatArray, denominator: FloatArray, where: BoolArray) -> FloatArray:
    result = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=result, where=where)
    return result


def _exceeds(difference: FloatArray, left: FloatArray, right: FloatArray | float) -> BoolArray:
    """Whether a difference of the two is above the slack of its row.

    Over a history only rows are asked for their own slack whose difference is not above the largest of all: hardly any.
    """
    left, right = np.asarray(left), np.asarray(right)
    if len(difference) <= _WINDOW or not {left.shape, right.shape} <= {(), difference.shape}:
        return np.greater(difference, _slack(left, right))
    exceeds: BoolArray = difference > max(_largest(left), _largest(right)) * TOLERANCE
    near = np.flatnonzero((difference > 0) & ~exceeds)
    exceeds[near] = difference[near] > _slack(*(one[near] if one.shape else one for one in (left, right)))
    return exceeds


def _largest(values: FloatArray) -> float:
    """The largest magnitude, 0 where no value is known."""
    if not values.shape:
        return abs(float(values))
    return max(float(np.fmax.reduce(values, initial=0.0)), -float(np.fmin.reduce(values, initial=0.0)))


def _slack(left: FloatArray, right: FloatArray | float) -> FloatArray:
    slack: FloatArray = np.abs(left)
    np.maximum(slack, np.abs(right), out=slack)
    slack *= TOLERANCE
    return slack
