"""One symbol's candles in a Parquet or CSV file: checked in full when opened, streamed afterwards.

What belongs here: what makes a file of candles valid, and the report on one that is. What does not: file
formats (columns), units (block), other symbols (replay). Rows are counted from 1 below the header.

A candle file has the columns `ts` (open time, UTC ms, an integer) and `open high low close volume`, in any
order and among others; prices in the quote currency, volume in base coin; one interval throughout.
Missing candles are allowed and reported, everything else that is odd is refused.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.time import DAY_MS, MINUTE_MS, interval_name, iso
from trading_engine.marketdata.block import CandleBlock, Float64, Int64, from_units, join, to_steps, to_ticks
from trading_engine.marketdata.columns import Columns, read_columns

_VALUES = ("open", "high", "low", "close", "volume")
_MAX_UNITS = 2.0**53  # beyond it a float no longer tells neighbours apart
_LIKE_GAPS = 12  # gaps of one length in a row that no thin market makes
_OFF_TICK = 1e-4  # distance from the tick, in ticks, that is more than the noise of a float


class Gap(NamedTuple):
    """Candles that a file lacks: those that open in [from_ts, to_ts), `missing` of them."""

    from_ts: int
    to_ts: int
    missing: int


class DataReport(NamedTuple):
    """What a valid file holds.

    rows          candles
    first, last   open times of the first and the last candle, UTC ms
    interval_ms   length of a candle
    gaps          missing candles, in time order
    off_tick      prices that do not lie on the instrument's tick and are moved to the nearest one
    """

    rows: int
    first: int
    last: int
    interval_ms: int
    gaps: tuple[Gap, ...]
    off_tick: int


@dataclass(frozen=True, slots=True)
class CandleFile:
    """A file of candles that has been read through once and found valid; made by `open_candles`."""

    symbol: str
    path: Path
    instrument: Instrument
    report: DataReport

    @property
    def interval_ms(self) -> int:
        """Length of a candle."""
        return self.report.interval_ms

    @property
    def first_ts(self) -> int:
        """Open time of the first candle, UTC ms."""
        return self.report.first

    @property
    def last_ts(self) -> int:
        """Open time of the last candle, UTC ms."""
        return self.report.last

    @property
    def rows(self) -> int:
        """Number of candles."""
        return self.report.rows

    def validate(self) -> DataReport:
        """The report of the full pass that opening the file made; costs nothing and raises nothing."""
        return self.report

    def blocks(self, from_ts: int = 0) -> Iterator[CandleBlock]:
        """Yield the candles that open at `from_ts` or later, in time order, a few thousand a block.

        Every call reads the file again, in bounded memory. Raises ConfigInvalid where the file has become
        unreadable or invalid since it was opened.
        """
        for _, block in _checked(self.path, self.instrument, from_ts):
            yield block


def open_candles(symbol: str, path: str | Path, instrument: Instrument) -> CandleFile:
    """Read a candle file through once, checking every row, and return it ready to be streamed.

    Raises ConfigInvalid (exit code 78) with one line that names the file, the row, the value and what was
    expected, so that a mistake is found before anything is written.
    """
    path = Path(path)
    scan = _Scan(path)
    for raw, block in _checked(path, instrument, 0):
        scan.add(raw, block, instrument)
    return CandleFile(symbol, path, instrument, scan.report())


def load_candles(symbol: str, path: str | Path, instrument: Instrument) -> tuple[CandleFile, CandleBlock]:
    """`open_candles`, and every candle in memory, in one pass; raises as it does."""
    path = Path(path)
    scan, blocks = _Scan(path), []
    for raw, block in _checked(path, instrument, 0):
        scan.add(raw, block, instrument)
        blocks.append(block)
    return CandleFile(symbol, path, instrument, scan.report()), join(blocks)


class _Scan:
    """Gathers the report over one pass; raises ConfigInvalid for what only shows across rows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows = 0
        self._interval_ms = 0
        self._first_ts = 0
        self._last_ts = 0
        self._gaps: list[Gap] = []
        self._off_tick = 0

    def add(self, raw: Columns, block: CandleBlock, instrument: Instrument) -> None:
        """Take in the next rows, as read and as converted."""
        if self._rows == 0:
            self._interval_ms = _interval(self._path, block.ts)
            self._first_ts = self._last_ts = int(block.ts[0])
        before = np.concatenate(([self._last_ts], block.ts[:-1]))
        steps = block.ts - before
        self._require_multiples(raw, steps)
        self._require_one_interval(raw, steps)
        for at in np.flatnonzero(steps > self._interval_ms).tolist():
            start, end = int(before[at]) + self._interval_ms, int(block.ts[at])
            self._gaps.append(Gap(start, end, (end - start) // self._interval_ms))
        self._off_tick += _off_tick(raw, block, instrument)
        self._rows += block.rows
        self._last_ts = int(block.ts[-1])

    def report(self) -> DataReport:
        """The report over everything taken in."""
        return DataReport(
            self._rows, self._first_ts, self._last_ts, self._interval_ms, tuple(self._gaps), self._off_tick
        )

    def _require_multiples(self, raw: Columns, steps: Int64) -> None:
        odd = np.flatnonzero(steps % self._interval_ms)
        if odd.size:
            at = int(odd[0])
            raise ConfigInvalid(
                f"{self._path}: row {raw.first_row + at}: ts {raw.ts[at]} is {int(steps[at]):,} ms after the"
                f" row above; expected a multiple of {interval_name(self._interval_ms)}, the interval of the"
                " first rows (one file holds one interval)"
            )

    def _require_one_interval(self, raw: Columns, steps: Int64) -> None:
        """Gaps that are alike, one after the other, are candles of a longer interval."""
        is_same = (steps[1:] == steps[:-1]) & (steps[1:] > self._interval_ms)
        pairs = _LIKE_GAPS - 1
        if int(np.count_nonzero(is_same)) < pairs:
            return
        ends = np.flatnonzero(np.convolve(is_same, np.ones(pairs, np.int64), "valid") == pairs)
        if ends.size:
            at = int(ends[0])
            raise ConfigInvalid(
                f"{self._path}: from row {raw.first_row + at} on candles are {int(steps[at]):,} ms apart, those of the"
                f" first rows {self._interval_ms:,} ms; expected one interval in a file"
            )


def _interval(path: Path, ts: Int64) -> int:
    """The smallest step between the first rows of a file, which are known to ascend."""
    if ts.size < 2:
        raise ConfigInvalid(f"{path}: has one row; expected at least two, which show the interval")
    steps = np.diff(ts)
    at = int(steps.argmin())
    interval_ms = int(steps[at])
    if interval_ms % MINUTE_MS:
        raise ConfigInvalid(
            f"{path}: row {at + 2}: ts {ts[at + 1]} is {interval_ms:,} ms after the row above;"
            f" expected candles of whole minutes (a multiple of {MINUTE_MS:,} ms)"
        )
    # Candles of whole days may begin at an hour or weekday of their own.
    grid_ms = interval_ms if DAY_MS % interval_ms == 0 else MINUTE_MS
    if int(ts[0]) % grid_ms:
        raise ConfigInvalid(
            f"{path}: row 1: ts {ts[0]} ({iso(int(ts[0]))}) is not the open time of a"
            f" {interval_name(interval_ms)} candle; expected multiples of {grid_ms:,} ms (not the close time)"
        )
    return interval_ms


def _checked(path: Path, instrument: Instrument, from_ts: int) -> Iterator[tuple[Columns, CandleBlock]]:
    """The rows from `from_ts` on, as read and as converted, once they have passed every check."""
    before: int | None = None
    for raw in read_columns(path, _VALUES):
        _require_times(path, raw, before)
        before = int(raw.ts[-1])
        if before >= from_ts:
            rest = _from(raw, int(np.searchsorted(raw.ts, from_ts)))
            yield rest, _convert(path, rest, instrument)


def _from(raw: Columns, start: int) -> Columns:
    if start == 0:
        return raw
    return Columns(raw.first_row + start, raw.ts[start:], tuple(column[start:] for column in raw.values))


def _require_times(path: Path, raw: Columns, before: int | None) -> None:
    steps = np.diff(raw.ts, prepend=raw.ts[0] - 1 if before is None else before)
    wrong = np.flatnonzero(steps <= 0)
    if wrong.size:
        at = int(wrong[0])
        ts, step = int(raw.ts[at]), int(steps[at])
        problem = "occurs twice" if step == 0 else f"lies before {ts - step} of the row above"
        raise ConfigInvalid(
            f"{path}: row {raw.first_row + at}: ts {ts} ({iso(ts)}) {problem};"
            " expected each open time once, in ascending order"
        )


def _convert(path: Path, raw: Columns, instrument: Instrument) -> CandleBlock:
    """The rows as a block, if every one of them is a sound candle."""
    sound = _sound(raw.values, instrument)
    if not sound.all():
        at = int(sound.argmin())
        problem = _explain([float(column[at]) for column in raw.values], instrument)
        raise ConfigInvalid(f"{path}: row {raw.first_row + at}: {problem}")
    opens, highs, lows, closes, volumes = raw.values
    ticks = [to_ticks(prices, instrument) for prices in (opens, highs, lows, closes)]
    return from_units(instrument, raw.ts, ticks, to_steps(volumes, instrument))


def _sound(values: tuple[Float64, ...], instrument: Instrument) -> NDArray[np.bool_]:
    """Which rows are candles; every comparison is false for NaN, so NaN is never sound."""
    opens, highs, lows, closes, volumes = values
    tick, step = float(instrument.tick), float(instrument.step)
    sound: NDArray[np.bool_] = (
        (lows > tick / 2)
        & (lows <= np.minimum(opens, closes))
        & (highs >= np.maximum(opens, closes))
        & (highs < _MAX_UNITS * tick)
        & (volumes >= 0)
        & (volumes < _MAX_UNITS * step)
    )
    return sound


def _explain(row: list[float], instrument: Instrument) -> str:
    """What is wrong with one row that is not sound."""
    opened, high, low, close, volume = row
    units = f"{instrument.symbol} (tick {instrument.tick}, step {instrument.step}): is it the right file?"
    if problem := _unusable(row):
        return problem
    top, bottom = max(opened, close), min(opened, close)
    if high < top:
        return f"high {high} is below the open or close {top}; expected the highest price of the candle"
    if low > bottom:
        return f"low {low} is above the open or close {bottom}; expected the lowest price of the candle"
    if low <= float(instrument.tick) / 2:
        return f"low {low} is less than half a tick; expected prices of {units}"
    return f"high {high} or volume {volume} is out of range; expected values of {units}"


def _unusable(row: list[float]) -> str:
    """Which of the values is missing, no price or no volume; empty where each can be one."""
    for name, value in zip(_VALUES, row, strict=True):
        if math.isnan(value):
            return f"{name} is missing or not a number; expected a finite number"
        if name == "volume" and (math.isinf(value) or value < 0):
            return f"volume {value} is not a volume; expected a finite number, 0 or more"
        if name != "volume" and (math.isinf(value) or value <= 0):
            return f"{name} {value} is not a price; expected a finite number above 0"
    return ""


def _off_tick(raw: Columns, block: CandleBlock, instrument: Instrument) -> int:
    tick = float(instrument.tick)
    pairs = zip(raw.values[:4], (block.open, block.high, block.low, block.close), strict=True)
    return sum(int(np.count_nonzero(np.abs(prices / tick - ticks) > _OFF_TICK)) for prices, ticks in pairs)
