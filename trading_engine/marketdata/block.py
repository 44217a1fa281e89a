"""A stretch of candles as arrays, and the one place where prices become ticks and volumes become steps.

What belongs here: `CandleBlock`, its integers alone (`Units`), their conversion and their cutting. What does not:
where the numbers come from (candle_file, synth) and whether they make sense (candle_file).
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trading_engine.domain.instrument import Instrument

Int64: TypeAlias = NDArray[np.int64]
Float64: TypeAlias = NDArray[np.float64]


class Grid(Protocol):
    """What integers count: an `Instrument`, or whatever else has a tick and a step."""

    @property
    def tick(self) -> Decimal:
        """One of a price."""

    @property
    def step(self) -> Decimal:
        """One of a volume."""


class CandleBlock(NamedTuple):
    """Consecutive candles of one symbol, one array a column, all of equal length and sorted by `ts`.

    ts                                              open times, UTC ms
    open, high, low, close                          ticks
    volume                                          steps, rounded down
    open_price, high_price, low_price, close_price  the same prices in the quote currency, for strategies
    base_volume                                     the same volume in base coin

    The floats are computed from the integers, so the strategies see exactly what the rules act on. As with
    every NamedTuple `len()` counts the columns; `rows` counts the candles.
    """

    ts: Int64
    open: Int64
    high: Int64
    low: Int64
    close: Int64
    volume: Int64
    open_price: Float64
    high_price: Float64
    low_price: Float64
    close_price: Float64
    base_volume: Float64

    @property
    def rows(self) -> int:
        """The number of candles."""
        return int(self.ts.size)

    def part(self, start: int, stop: int) -> "CandleBlock":
        """The candles from row `start` up to but without row `stop`, as views that copy nothing."""
        return CandleBlock._make(column[start:stop] for column in self)


class Units(NamedTuple):
    """The integers of a `CandleBlock`: all that is kept where there is much to keep; `from_units` gives the rest."""

    ts: Int64
    open: Int64
    high: Int64
    low: Int64
    close: Int64
    volume: Int64

    @property
    def rows(self) -> int:
        """The number of candles."""
        return int(self.ts.size)

    def part(self, start: int, stop: int) -> "Units":
        """The candles from row `start` up to but without row `stop`, as views that copy nothing."""
        return Units._make(column[start:stop] for column in self)

    def priced(self, grid: Grid) -> CandleBlock:
        """With prices and volumes of their own kind, in these units."""
        return from_units(grid, self.ts, self[1:5], self.volume)


def to_ticks(prices: Float64, instrument: Instrument) -> Int64:
    """Prices in the quote currency as the nearest whole ticks."""
    return np.rint(prices / float(instrument.tick)).astype(np.int64)


def to_steps(volumes: Float64, instrument: Instrument) -> Int64:
    """Volumes in base coin as whole steps, rounded down.

    A volume that misses a whole number of steps only by the noise of a float counts as that number:
    0.3 / 0.1 is 2.9999999999999996 and means 3.
    """
    steps = volumes / float(instrument.step)
    return np.floor(steps * (1 + 1e-12) + 1e-9).astype(np.int64)


def from_units(grid: Grid, ts: Int64, ticks: Sequence[Int64], steps: Int64) -> CandleBlock:
    """The block of candles with these open, high, low and close in `ticks` and these volumes in `steps`."""
    tick, step = np.float64(grid.tick), np.float64(grid.step)
    opens, highs, lows, closes = ticks
    return CandleBlock(
        ts,
        opens,
        highs,
        lows,
        closes,
        steps,
        opens * tick,
        highs * tick,
        lows * tick,
        closes * tick,
        steps * step,
    )


def join(blocks: Sequence[CandleBlock]) -> CandleBlock:
    """The blocks one after another; a block without rows for an empty sequence."""
    if len(blocks) == 1:
        return blocks[0]
    if not blocks:
        none = np.empty(0, np.int64)
        return CandleBlock(none, none, none, none, none, none, *[np.empty(0, np.float64)] * 5)
    return CandleBlock._make(np.concatenate(columns) for columns in zip(*blocks, strict=True))
