"""The trailing candles of one symbol, kept up to date candle by candle.

What belongs here: buffers of the base interval and of the higher intervals built from it. What does not:
evaluation (evaluate), the source of the candles (marketdata), resampling of whole series (timeframes).

Mutable, but without I/O: the same appends give the same series, equal to `timeframes.resample` of all
candles ever appended.
"""

from collections.abc import Mapping

import numpy as np

from trading_engine.strategy.api import FloatArray, IntArray, Series
from trading_engine.strategy.timeframes import check_multiple

_SPARE = 256  # rows of head-room at the least, so that small windows do not move on every candle


class _Column:
    """The last candles of one interval in arrays with room at the end.

    A full buffer is replaced, not shifted in place, so a series handed out never changes.
    """

    __slots__ = ("close", "count", "end", "high", "interval_ms", "keep", "low", "open", "ts", "volume")

    def __init__(self, interval_ms: int, keep: int) -> None:
        self.interval_ms = interval_ms
        self.keep = keep
        self.count = 0  # candles ever appended
        self.end = 0  # rows in use
        self._allocate()

    def push(self, ts: int, open_: float, high: float, low: float, close: float, volume: float) -> None:
        row = self.end
        if row == len(self.ts):
            row = self._move()
        self.ts[row] = ts
        self.open[row] = open_
        self.high[row] = high
        self.low[row] = low
        self.close[row] = close
        self.volume[row] = volume
        self.end = row + 1
        self.count += 1

    @property
    def last_ts(self) -> int:
        """Open time of the last candle, −1 before the first."""
        return int(self.ts[self.end - 1]) if self.end else -1

    def series(self, count: int) -> Series:
        rows = slice(max(0, self.end - count), self.end)
        return Series(
            self.ts[rows],
            self.open[rows],
            self.high[rows],
            self.low[rows],
            self.close[rows],
            self.volume[rows],
            self.interval_ms,
        )

    def _allocate(self) -> None:
        size = self.keep + max(self.keep, _SPARE)
        self.ts: IntArray = np.empty(size, dtype=np.int64)
        self.open, self.high, self.low, self.close, self.volume = _floats(size)

    def _move(self) -> int:
        kept = self.series(self.keep)
        self._allocate()
        rows = len(kept)
        self.ts[:rows] = kept.ts
        self.open[:rows] = kept.open
        self.high[:rows] = kept.high
        self.low[:rows] = kept.low
        self.close[:rows] = kept.close
        self.volume[:rows] = kept.volume
        self.end = rows
        return rows


class _Forming:
    """The candle of a higher interval that is not complete yet, and the column it goes to."""

    __slots__ = ("bucket", "close", "column", "high", "interval_ms", "is_partial", "low", "open", "volume")

    def __init__(self, column: _Column) -> None:
        self.column = column
        self.interval_ms = column.interval_ms
        self.bucket = -1  # open time, −1 while nothing forms
        self.is_partial = False  # the history began inside this bucket
        self.open = self.high = self.low = self.close = self.volume = 0.0

    def begin(self, bucket: int, open_: float, high: float, low: float) -> None:
        self.bucket = bucket
        self.open = open_
        self.high = high
        self.low = low
        self.volume = 0.0

    def complete(self) -> bool:
        """Hand the candle over; False where it is thrown away as partial, or is there already."""
        is_whole = not self.is_partial and self.bucket > self.column.last_ts
        if is_whole:
            self.column.push(self.bucket, self.open, self.high, self.low, self.close, self.volume)
        self.bucket = -1
        self.is_partial = False
        return is_whole


class Window:
    """Trailing series of one symbol for several intervals, fed with base candles.

    base_interval_ms   interval of the candles that are appended
    intervals          interval in ms → candles to keep, each interval a multiple of the base; the base
                       itself may be left out

    ValueError for an interval that is no multiple of the base or a count below 1.
    """

    def __init__(self, base_interval_ms: int, intervals: Mapping[int, int]) -> None:
        for interval_ms, keep in intervals.items():
            check_multiple(base_interval_ms, interval_ms)
            if keep < 1:
                raise ValueError(f"a window of {keep} candles of {interval_ms} ms holds nothing")
        self._interval_ms = base_interval_ms
        self._last_ts = -1
        self._closed: set[int] = set()
        self._columns = {base_interval_ms: _Column(base_interval_ms, intervals.get(base_interval_ms, 1))}
        self._base = self._columns[base_interval_ms]
        self._forming: list[_Forming] = []
        for interval_ms in sorted(set(intervals) - {base_interval_ms}):
            column = _Column(interval_ms, intervals[interval_ms])
            self._columns[interval_ms] = column
            self._forming.append(_Forming(column))

    def append(self, open_time_ms: int, open_: float, high: float, low: float, close: float, volume: float) -> None:
        """Add the next closed base candle; times may skip but never repeat or go back.

        A higher candle becomes visible with the base candle that ends it or, where that one is missing,
        with the first base candle of a later bucket. ValueError, and no change, for a time that does not
        follow the last one or does not lie on the interval.
        """
        if open_time_ms <= self._last_ts or open_time_ms % self._interval_ms:
            raise ValueError(
                f"candle at {open_time_ms} does not follow the one at {self._last_ts} "
                f"on a grid of {self._interval_ms} ms"
            )
        self._closed.clear()
        self._base.push(open_time_ms, open_, high, low, close, volume)
        end_ms = open_time_ms + self._interval_ms
        for forming in self._forming:
            bucket = open_time_ms - open_time_ms % forming.interval_ms
            if bucket != forming.bucket:
                if forming.bucket >= 0 and forming.complete():
                    self._closed.add(forming.interval_ms)
                forming.begin(bucket, open_, high, low)
                forming.is_partial = self._last_ts < 0 and open_time_ms != bucket
            else:
                forming.high = max(forming.high, high)
                forming.low = min(forming.low, low)
            forming.close = close
            forming.volume += volume
            if end_ms == bucket + forming.interval_ms and forming.complete():
                self._closed.add(forming.interval_ms)
        self._last_ts = open_time_ms

    def seed(self, series: Series) -> None:
        """Take in past candles of a higher interval that come whole from elsewhere, before any base candle.

        Those that base candles would make again are not made. ValueError for an interval that the window was not
        made for, and once a base candle has been appended.
        """
        column = self._columns.get(series.interval_ms)
        if column is None or column is self._base or self._last_ts >= 0:
            raise ValueError(f"candles of {series.interval_ms} ms cannot begin a window that is in use or keeps none")
        kept = series.tail(column.keep)
        columns = (kept.open, kept.high, kept.low, kept.close, kept.volume)
        for ts, *values in zip(kept.ts.tolist(), *(values.tolist() for values in columns), strict=True):
            column.push(ts, *values)
        column.count += len(series) - len(kept)

    def extend(self, series: Series) -> None:
        """Append a series of base candles, oldest first; ValueError as `append`, or for another interval."""
        if series.interval_ms != self._interval_ms:
            raise ValueError(f"candles of {series.interval_ms} ms, the base is {self._interval_ms} ms")
        columns = (series.open, series.high, series.low, series.close, series.volume)
        for ts, *values in zip(series.ts.tolist(), *(column.tolist() for column in columns), strict=True):
            self.append(ts, *values)

    def series(self, interval_ms: int, count: int) -> Series:
        """The last `count` closed candles (all where there are fewer), as views that never change.

        ValueError for an interval or a count that the window was not made for.
        """
        column = self._columns.get(interval_ms)
        if column is None or count > column.keep:
            raise ValueError(f"the window does not keep {count} candles of {interval_ms} ms")
        return column.series(count)

    def closed(self, interval_ms: int) -> bool:
        """Whether the last append made a candle of this interval visible."""
        return interval_ms in self._closed or (interval_ms == self._interval_ms and self._last_ts >= 0)

    def count(self, interval_ms: int) -> int:
        """Candles of this interval that have ever become visible."""
        return self._columns[interval_ms].count

    @property
    def last_close_ms(self) -> int:
        """The close of the last base candle, ms; −1 before the first."""
        return self._last_ts + self._interval_ms if self._last_ts >= 0 else -1


def _floats(size: int) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    return np.empty(size), np.empty(size), np.empty(size), np.empty(size), np.empty(size)
