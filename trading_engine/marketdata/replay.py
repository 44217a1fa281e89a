"""Many symbols' candles as one sequence in time order, with the history and the funding around it.

What belongs here: `CandleSource`, the interface that recorded and generated markets share, and the merge.
What does not: where a symbol's candles come from (candle_file, synth) and what happens at a candle (core).

Order is fixed: by open time, then by the name of the symbol, whatever order the files were given in.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.market import Candle, FundingRate
from trading_engine.domain.time import interval_name
from trading_engine.marketdata.block import CandleBlock, Int64, join

# Candles of a symbol that are Python objects at a time: enough to make the cost of a window vanish, few
# enough to keep many symbols within a megabyte or two.
_WINDOW_CANDLES = 1_024

Floats: TypeAlias = tuple[float, float, float, float, float]
T = TypeVar("T")


class Batch(NamedTuple):
    """All candles that open at one instant, by symbol name; a symbol without one is absent.

    `floats` are the same candles as (open, high, low, close, volume) in quote currency and base coin, for
    strategies.
    """

    open_time_ms: int
    candles: tuple[Candle, ...]
    floats: tuple[Floats, ...]


class CandleSeries(Protocol):
    """One symbol's candles, to be merged: a `CandleFile` or a generated series."""

    @property
    def symbol(self) -> str:
        """Name of the symbol."""

    @property
    def interval_ms(self) -> int:
        """Length of a candle."""

    @property
    def first_ts(self) -> int:
        """Open time of the first candle, UTC ms."""

    @property
    def last_ts(self) -> int:
        """Open time of the last candle, UTC ms."""

    def blocks(self, from_ts: int = 0) -> Iterator[CandleBlock]:
        """Yield the candles that open at `from_ts` or later, in time order, never an empty block."""


class CandleSource(Protocol):
    """A market that a run trades on: `Replay` or `SyntheticMarket`."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the symbols, sorted."""

    @property
    def interval_ms(self) -> int:
        """Length of every candle."""

    @property
    def first_ts(self) -> int:
        """Open time of the earliest candle of any symbol, UTC ms."""

    @property
    def last_ts(self) -> int:
        """Open time of the latest candle of any symbol, UTC ms."""

    def batches(self, from_ts: int = 0) -> Iterator[Batch]:
        """Yield the candles that open at `from_ts` or later, an instant at a time."""

    def history(self, symbol: str, before_ts: int, count: int) -> CandleBlock:
        """The last `count` candles of a symbol that open before `before_ts`; fewer where it has fewer."""

    def funding_between(self, after_ts: int, until_ts: int) -> tuple[FundingRate, ...]:
        """The settlements in (after_ts, until_ts] of all symbols, by time and symbol."""


class Replay:
    """Recorded candles of several symbols, which may begin, pause and end at different times."""

    def __init__(self, series: Sequence[CandleSeries], funding: Iterable[FundingRate] = ()) -> None:
        """Take one series a symbol, all of one interval, and any settlements of those symbols.

        Raises ConfigInvalid where there is no series, a symbol has two, intervals differ, or a settlement
        belongs to none of the symbols.
        """
        self._series = {one.symbol: one for one in sorted(series, key=lambda one: one.symbol)}
        self._funding = sorted(funding, key=lambda rate: (rate.ts_ms, rate.symbol))
        self._funding_ts = [rate.ts_ms for rate in self._funding]
        _require_mergeable(series, self._funding)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the symbols, sorted."""
        return tuple(self._series)

    @property
    def interval_ms(self) -> int:
        """Length of every candle."""
        return next(iter(self._series.values())).interval_ms

    @property
    def first_ts(self) -> int:
        """Open time of the earliest candle of any symbol, UTC ms."""
        return min(series.first_ts for series in self._series.values())

    @property
    def last_ts(self) -> int:
        """Open time of the latest candle of any symbol, UTC ms."""
        return max(series.last_ts for series in self._series.values())

    def batches(self, from_ts: int = 0) -> Iterator[Batch]:
        """Yield the candles that open at `from_ts` or later, an instant at a time.

        Instants at which no symbol has a candle are skipped. The rest of a run is the same whether it
        began here or earlier.
        """
        cursors = [_Cursor(series, from_ts) for series in self._series.values()]
        while True:
            starts = [cursor.next_ts for cursor in cursors if cursor.next_ts is not None]
            if not starts:
                return
            until_ts = min(starts) + _WINDOW_CANDLES * self.interval_ms
            taken = ((cursor.symbol, cursor.take(until_ts)) for cursor in cursors)
            yield from _merge([(symbol, block) for symbol, block in taken if block.rows], self.interval_ms)

    def history(self, symbol: str, before_ts: int, count: int) -> CandleBlock:
        """The last `count` candles of a symbol that open before `before_ts`; fewer where it has fewer.

        KeyError for a symbol that is not among `symbols`.
        """
        series = self._series[symbol]
        before_ts = min(before_ts, series.last_ts + self.interval_ms)  # else the search begins in the void
        span_ms = count * self.interval_ms
        while True:
            block = _between(series, before_ts - span_ms, before_ts)
            if block.rows >= count or before_ts - span_ms <= series.first_ts:
                return block.part(max(0, block.rows - count), block.rows)
            span_ms *= 2  # candles are missing: look further back

    def funding_between(self, after_ts: int, until_ts: int) -> tuple[FundingRate, ...]:
        """The settlements in (after_ts, until_ts] of all symbols, by time and symbol."""
        start = bisect_right(self._funding_ts, after_ts)
        stop = bisect_right(self._funding_ts, until_ts)
        return tuple(self._funding[start:stop])


def _require_mergeable(series: Sequence[CandleSeries], funding: Sequence[FundingRate]) -> None:
    if not series:
        raise ConfigInvalid("there are no candles to replay; expected at least one file, as SYMBOL=FILE")
    first = series[0]
    seen: set[str] = set()
    for one in series:
        if one.symbol in seen:
            raise ConfigInvalid(f"{one.symbol} is given twice; expected one file of candles a symbol")
        seen.add(one.symbol)
        if one.interval_ms != first.interval_ms:
            raise ConfigInvalid(
                f"{one.symbol} has {interval_name(one.interval_ms)} candles and {first.symbol}"
                f" {interval_name(first.interval_ms)} candles; expected one interval for all symbols"
            )
    for rate in funding:
        if rate.symbol not in seen:
            raise ConfigInvalid(
                f"there is funding for {rate.symbol} but no candles; expected only {', '.join(sorted(seen))}"
            )


def _between(series: CandleSeries, from_ts: int, until_ts: int) -> CandleBlock:
    """The candles of a series that open in [from_ts, until_ts)."""
    return _Cursor(series, from_ts).take(until_ts)


class _Cursor:
    """A place in one series, which is read a block at a time."""

    def __init__(self, series: CandleSeries, from_ts: int) -> None:
        self.symbol = series.symbol
        self._blocks = series.blocks(from_ts)
        self._block = next(self._blocks, None)
        self._at = 0

    @property
    def next_ts(self) -> int | None:
        """Open time of the candle that comes next, None at the end."""
        return None if self._block is None else int(self._block.ts[self._at])

    def take(self, until_ts: int) -> CandleBlock:
        """Move past the candles that open before `until_ts` and return them."""
        parts: list[CandleBlock] = []
        while self._block is not None and self._block.ts[self._at] < until_ts:
            stop = int(np.searchsorted(self._block.ts, until_ts))
            parts.append(self._block.part(self._at, stop))
            self._at = stop
            if stop == self._block.rows:
                self._block = next(self._blocks, None)
                self._at = 0
        return join(parts)


def _merge(taken: Sequence[tuple[str, CandleBlock]], interval_ms: int) -> Iterator[Batch]:
    """The candles of one window, an instant at a time; `taken` is in symbol order and no block is empty."""
    times = _union([block for _, block in taken])
    candles = [_candles(symbol, block, interval_ms) for symbol, block in taken]
    floats = [_floats(block) for _, block in taken]
    if all(block.rows == times.size for _, block in taken):
        # The usual case: nobody misses a candle. Everything runs inside zip and map.
        rows = zip(times.tolist(), zip(*candles, strict=True), zip(*floats, strict=True), strict=True)
        return map(Batch._make, rows)
    places = [np.searchsorted(times, block.ts).tolist() for _, block in taken]
    spread_candles = [_spread(one, place, times.size) for one, place in zip(candles, places, strict=True)]
    spread_floats = [_spread(one, place, times.size) for one, place in zip(floats, places, strict=True)]
    return (
        Batch(ts, tuple(c for c in row if c is not None), tuple(f for f in values if f is not None))
        for ts, row, values in zip(
            times.tolist(), zip(*spread_candles, strict=True), zip(*spread_floats, strict=True), strict=True
        )
    )


def _union(blocks: Sequence[CandleBlock]) -> Int64:
    if len(blocks) == 1:
        return blocks[0].ts
    # Not numpy.unique: it imports the masked arrays, a tenth of a second of every start.
    times: Int64 = np.sort(np.concatenate([block.ts for block in blocks]))
    first = np.append(True, times[1:] != times[:-1])
    return np.extract(first, times)


def _candles(symbol: str, block: CandleBlock, interval_ms: int) -> Iterator[Candle]:
    columns = (block.open, block.high, block.low, block.close, block.volume)
    names, intervals = repeat(symbol), repeat(interval_ms)  # endless: the arrays end the rows
    rows = zip(names, block.ts.tolist(), intervals, *(column.tolist() for column in columns), strict=False)
    return map(Candle._make, rows)


def _floats(block: CandleBlock) -> Iterator[Floats]:
    return zip(
        block.open_price.tolist(),
        block.high_price.tolist(),
        block.low_price.tolist(),
        block.close_price.tolist(),
        block.base_volume.tolist(),
        strict=True,
    )


def _spread(values: Iterable[T], places: Sequence[int], size: int) -> list[T | None]:
    """A list of `size` with the values at their places and None elsewhere."""
    row: list[T | None] = [None] * size
    for place, value in zip(places, values, strict=True):
        row[place] = value
    return row
