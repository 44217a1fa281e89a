"""Files of candles and funding rates as rows, with every digit they have.

What belongs here: from a Parquet or CSV file to rows, several files to one. What does not: what makes a file valid
(candle_file, funding_file: the same that a replay reads), storing (writing).
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np

from trading_engine.domain import money
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.instrument import Instrument
from trading_engine.marketdata.block import Float64, Int64
from trading_engine.marketdata.candle_file import Gap, open_candles
from trading_engine.marketdata.candle_store.holes import holes_between
from trading_engine.marketdata.candle_store.name import LONGEST_FUNDING_MS
from trading_engine.marketdata.candle_store.rows import (
    CANDLES,
    EXACT,
    MOST_DECIMALS,
    RATES,
    Rows,
    Shape,
    TooFine,
    decimals_of,
    from_floats,
    merge,
    unit,
)
from trading_engine.marketdata.candle_store.writing import refused
from trading_engine.marketdata.columns import read_columns
from trading_engine.marketdata.funding_file import read_funding

_USUAL_DECIMALS = 8
_MOST_RATE_DECIMALS = 12


@dataclass(frozen=True, slots=True)
class Taken:
    """What one file holds.

    interval_ms   length of a candle, 0 for funding rates
    note          what a person should know about it, empty for nothing
    """

    path: Path
    rows: Rows
    interval_ms: int
    gaps: tuple[Gap, ...]
    note: str = ""


def take_candles(symbol: str, path: Path) -> Taken:
    """A file of candles, of whatever interval. ConfigInvalid as `open_candles` raises it."""
    ts, values = _columns(path, CANDLES.columns)
    prices, volumes = values[:4], values[4]
    try:
        decimals = decimals_of(prices)
        volume_decimals, is_rounded = _volume_decimals(volumes)
    except TooFine:
        most = [_most_decimals(max(map(_largest, columns))) for columns in (prices, [volumes])]
        open_candles(symbol, path, _counted_in(symbol, *most))  # says which row is no candle
        raise ConfigInvalid(
            f"{path}: prices from {min(map(np.min, prices))} to {max(map(np.max, prices))} have more digits than"
            " decimals can keep; are they of one symbol?"
        ) from None
    report = open_candles(symbol, path, _counted_in(symbol, decimals, volume_decimals)).report
    columns = (*(from_floats(column, decimals) for column in prices), from_floats(volumes, volume_decimals))
    note = f"volumes have more digits than decimals keep: rounded to {volume_decimals}" if is_rounded else ""
    return Taken(path, Rows(ts, columns, (decimals, volume_decimals)), report.interval_ms, report.gaps, note)


def take_funding(symbol: str, path: Path) -> Taken:
    """A file of funding rates, each at its minute. ConfigInvalid as `read_funding` raises it."""
    settled = read_funding(symbol, path)
    _, (rates,) = _columns(path, RATES.columns)
    try:
        decimals = decimals_of([rates])
    except TooFine:
        decimals = _MOST_RATE_DECIMALS
    ts = np.array([rate.ts_ms for rate in settled], np.int64)
    rows = Rows(ts, (from_floats(rates, decimals),), (decimals,))
    return Taken(path, rows, 0, holes_between(ts, LONGEST_FUNDING_MS))


def join_files(files: Sequence[Taken], shape: Shape, *, replaces: bool) -> Rows:
    """The rows of all files; where two have an instant and `replaces`, those of the later one.

    Raises ConfigInvalid where they differ without `replaces`.
    """
    rows = files[0].rows
    for number, file in enumerate(files[1:], start=1):
        try:
            merged = merge(rows, file.rows, shape)
        except TooFine:
            raise ConfigInvalid(
                f"{file.path}: is not of the same symbol as {files[0].path}: prices are too far apart"
            ) from None
        if merged.difference and not replaces:
            ts = merged.difference.ts
            raise refused(merged.difference, str(file.path), str(origin(files[:number], ts)))
        rows = merged.rows
    return rows


def origin(files: Sequence[Taken], ts: int) -> Path:
    """The last file that has a row of an instant, which one of them has."""
    return next(file.path for file in reversed(files) if ts in file.rows.ts)


def _columns(path: Path, names: tuple[str, ...]) -> tuple[Int64, tuple[Float64, ...]]:
    read = list(read_columns(path, names))
    values = zip(*(columns.values for columns in read), strict=True)
    return np.concatenate([columns.ts for columns in read]), tuple(np.concatenate(column) for column in values)


def _volume_decimals(volumes: Float64) -> tuple[int, bool]:
    """Decimals of volumes, and whether they are fewer than the values have: sums of sums carry noise."""
    with suppress(TooFine):
        decimals = decimals_of([volumes])
        if decimals <= _USUAL_DECIMALS:
            return decimals, False
    if not np.isfinite(volumes).all():
        raise TooFine
    return min(_USUAL_DECIMALS, _most_decimals(_largest(volumes))), True


def _largest(values: Float64) -> float:
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))


def _most_decimals(largest: float) -> int:
    """As many as a float of this size can tell apart."""
    return max((many for many in range(MOST_DECIMALS + 1) if largest * 10.0**many < EXACT), default=0)


def _counted_in(symbol: str, price_decimals: int, volume_decimals: int) -> Instrument:
    """An instrument on whose tick every price lies: a file is checked with the rules of a replay."""
    tick, step = unit(price_decimals), unit(volume_decimals)
    return Instrument(symbol, tick, step, step, step, money.ZERO, Decimal(1), ())
