"""Higher intervals from lower ones, without a look at what has not closed.

What belongs here: resampling of whole series and the alignment of a higher series with lower closes. What
does not: candle-by-candle building (window), which must give the same candles.
"""

from functools import reduce

import numpy as np

from trading_engine.strategy.api import FloatArray, IntArray, Series


def resample(series: Series, interval_ms: int) -> Series:
    """The complete candles of a multiple of the series' interval, aligned to 1970-01-01 UTC.

    A candle is complete once its end is not later than the close of the last base candle; base candles
    missing inside it make it thinner, not invalid, and a bucket without any has no candle. The bucket that
    the history begins in the middle of is left out, because nobody can tell what it lacks.

    ValueError where `interval_ms` is not a multiple of the series' interval.
    """
    check_multiple(series.interval_ms, interval_ms)
    if interval_ms == series.interval_ms or len(series) == 0:
        columns = (series.ts, series.open, series.high, series.low, series.close, series.volume)
        return Series(*columns, interval_ms)
    if series.ts[-1] - series.ts[0] == (len(series) - 1) * series.interval_ms:
        return _of_unbroken(series, interval_ms)
    buckets = series.ts - series.ts % interval_ms
    firsts = np.flatnonzero(np.concatenate(([True], buckets[1:] != buckets[:-1])))
    lasts = np.append(firsts[1:], len(buckets)) - 1
    is_begun_late = buckets[0] != series.ts[0]
    is_unfinished = buckets[-1] + interval_ms > series.ts[-1] + series.interval_ms
    kept = slice(int(is_begun_late), len(firsts) - int(is_unfinished))
    return Series(
        buckets[firsts][kept],
        series.open[firsts][kept],
        np.maximum.reduceat(series.high, firsts)[kept],
        np.minimum.reduceat(series.low, firsts)[kept],
        series.close[lasts][kept],
        np.add.reduceat(series.volume, firsts)[kept],
        interval_ms,
    )


def _of_unbroken(series: Series, interval_ms: int) -> Series:
    """The same where no base candle is missing: every higher one has as many, which is several times as fast."""
    count = interval_ms // series.interval_ms
    begin = int(-series.ts[0] % interval_ms) // series.interval_ms
    end = begin + (len(series) - begin) // count * count
    highs, lows = (
        tuple(column[begin + at : end : count] for at in range(count)) for column in (series.high, series.low)
    )
    firsts = np.arange(begin, end, count)
    return Series(
        series.ts[firsts],
        series.open[firsts],
        reduce(np.maximum, highs),
        reduce(np.minimum, lows),
        series.close[firsts + (count - 1)],
        np.add.reduceat(series.volume[:end], firsts) if len(firsts) else np.empty(0),
        interval_ms,
    )


def as_of(higher: Series, close_times: IntArray) -> IntArray:
    """For each instant the index of the last candle of `higher` closed at or before it, −1 for none."""
    return higher.close_times.searchsorted(close_times, side="right") - 1


def pick(values: FloatArray, index: IntArray) -> FloatArray:
    """`values[index]` with NaN where the index is −1, as `as_of` gives it."""
    padded = np.empty(len(values) + 1)
    padded[:-1] = values
    padded[-1] = np.nan  # index −1 is the last one
    return padded[index]


def check_multiple(base_ms: int, interval_ms: int) -> None:
    """Raise ValueError unless candles of `interval_ms` can be built from candles of `base_ms`."""
    if interval_ms < base_ms or interval_ms % base_ms:
        raise ValueError(f"candles of {interval_ms} ms cannot be built from candles of {base_ms} ms")
