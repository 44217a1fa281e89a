"""What a strategy is: candle arrays in, signal arrays out.

What belongs here: the values that cross the border of a strategy and the protocol it fulfils. What does
not: indicators, how windows are kept (window), how a row becomes a domain signal (evaluate).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
SideArray = NDArray[np.int8]
BoolArray = NDArray[np.bool_]
Column = TypeVar("Column", bound=np.ndarray[Any, Any])


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Closed candles of one symbol and one interval, oldest first, all arrays of one length.

    ts           open times, ms since 1970 UTC, strictly ascending, multiples of `interval_ms`
    open … close prices in the quote currency
    volume       base coin
    """

    ts: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    interval_ms: int

    def __len__(self) -> int:
        """Number of candles."""
        return len(self.ts)

    @property
    def close_times(self) -> IntArray:
        """The instants at which the candles were complete, ms."""
        return self.ts + self.interval_ms

    def tail(self, count: int) -> "Series":
        """The last `count` candles (all where there are fewer), as views; `count` ≥ 0."""
        return self._part(slice(max(0, len(self.ts) - count), None))

    def head(self, count: int) -> "Series":
        """The first `count` candles (all where there are fewer), as views; `count` ≥ 0."""
        return self._part(slice(count))

    def locked(self) -> "Series":
        """The same candles as views that cannot be written to, where others look at them as well."""
        prices = (_locked(self.open), _locked(self.high), _locked(self.low), _locked(self.close))
        return Series(_locked(self.ts), *prices, _locked(self.volume), self.interval_ms)

    def _part(self, rows: slice) -> "Series":
        return Series(
            self.ts[rows],
            self.open[rows],
            self.high[rows],
            self.low[rows],
            self.close[rows],
            self.volume[rows],
            self.interval_ms,
        )


def _locked(column: Column) -> Column:
    view = column.view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True, slots=True, eq=False)
class Signals:
    """What a strategy says on each candle of its primary series.

    side             +1 enter long, −1 enter short, 0 nothing
    confidence       in [0, 1]; 0 where side is 0
    stop_distance    from the close to the stop, price units, > 0 where side is not 0
    target_distance  from the close to the target, price units, 0 for none
    stop_level, target_level   prices in place of the distances, NaN in rows without one; None where it names none
    exit_side        +1 close a long of this strategy, −1 close a short of it, 0 nothing
    explain          named arrays of the values that the decision was made from
    tag              a short name of the kind of set-up
    """

    side: SideArray
    confidence: FloatArray
    stop_distance: FloatArray
    target_distance: FloatArray
    exit_side: SideArray
    explain: Mapping[str, FloatArray]
    tag: str
    stop_level: FloatArray | None = None
    target_level: FloatArray | None = None

    @property
    def has_levels(self) -> bool:
        """It names prices."""
        return self.stop_level is not None or self.target_level is not None


class Strategy(Protocol):
    """A named pure function from candles to signals; a frozen value whose fields are its settings."""

    @property
    def name(self) -> str:
        """The name under which it is configured and recorded."""

    @property
    def primary_interval_ms(self) -> int:
        """The interval whose closed candles it decides on; the rows of its signals."""

    @property
    def intervals(self) -> Mapping[int, int]:
        """Interval in ms → trailing candles that make the last row as good as the whole history.

        Everything before that window weighs less than 1e-12 in the last row. Contains the primary one.
        """

    @property
    def warm_up(self) -> int:
        """Candles of the primary interval that come before the first signal."""

    def is_silent(self, market: Mapping[int, Series]) -> bool:
        """Whether the last candle certainly gives no signal: a cheap look before `compute`, which decides.

        False where unsure; True must never be wrong by a rounding error.
        """

    def compute(self, market: Mapping[int, Series]) -> Signals:
        """Signals for every candle of `market[primary_interval_ms]`, from no later candle.

        `market` holds a series of closed candles for each of `intervals`; lengths and starts differ, so
        other intervals are aligned with `timeframes.as_of`. A NaN in a value needed gives no signal.
        """


def mean_margin(*margins: FloatArray) -> FloatArray:
    """Confidence: the mean, row by row, of the margins, each clipped to [0, 1]."""
    table = np.array(margins)
    np.maximum(table, 0.0, out=table)  # np.clip and np.mean cost thrice as much on few rows
    np.minimum(table, 1.0, out=table)
    total: FloatArray = np.add.reduce(table, axis=0)
    return total / len(margins)
