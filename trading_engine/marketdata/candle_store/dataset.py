"""Reading the store: candles and funding rates of one symbol, exactly as they were stored.

What belongs here: what a backtest asks a dataset. What does not: writing (writing), proving that files are whole
(checking); a damaged page is noticed here too, by its own checksum.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trading_engine.domain import money
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import FundingRate
from trading_engine.domain.time import iso
from trading_engine.marketdata.block import CandleBlock, Int64, from_units, join
from trading_engine.marketdata.candle_file import DataReport, Gap
from trading_engine.marketdata.candle_store import parts
from trading_engine.marketdata.candle_store.holes import gap
from trading_engine.marketdata.candle_store.manifest import Manifest, read_manifest
from trading_engine.marketdata.candle_store.name import DatasetName, names_below
from trading_engine.marketdata.candle_store.rows import CANDLES, RATES, Rows, Shape, unit, with_decimals

_MOST_TOLD = 6
_FOREVER_MS = 2**62


class StoredUnits(NamedTuple):
    """What the integers of a block count where no instrument was named."""

    tick: Decimal
    step: Decimal


@dataclass(frozen=True, slots=True)
class Dataset:
    """One symbol's candles of one interval, and its funding rates where there are any; made by `open_dataset`.

    It is the dataset of the moment in which it was opened. Where another process has replaced some of it since, reading
    that raises ConfigInvalid: nobody reads half of one state and half of another.

    manifest           rows, span, gaps, units, sources of the candles
    funding_manifest   the same of the funding rates, None where there are none
    """

    root: Path
    name: DatasetName
    manifest: Manifest
    funding_manifest: Manifest | None

    @property
    def symbol(self) -> str:
        """Name of the symbol."""
        return self.name.symbol

    @property
    def interval_ms(self) -> int:
        """Length of a candle."""
        return self.name.interval_ms

    @property
    def rows(self) -> int:
        """Number of candles."""
        return self.manifest.rows

    @property
    def first_ts(self) -> int:
        """Open time of the first candle, UTC ms."""
        return self.manifest.first_ms

    @property
    def last_ts(self) -> int:
        """Open time of the last candle, UTC ms."""
        return self.manifest.last_ms

    @property
    def digest(self) -> str:
        """What equal candles have in common, whatever they were imported or downloaded from: 64 hex digits."""
        return self.manifest.digest

    @property
    def price_unit(self) -> Decimal:
        """A power of ten of which every stored price is a multiple, the largest."""
        return unit(self.manifest.decimals[0])

    @property
    def volume_unit(self) -> Decimal:
        """A power of ten of which every stored volume is a multiple, the largest."""
        return unit(self.manifest.decimals[1])

    def block(
        self, from_ms: int | None = None, to_ms: int | None = None, instrument: Instrument | None = None
    ) -> CandleBlock:
        """The candles that open in [from_ms, to_ms); a block without rows where there are none.

        from_ms, to_ms   None for the first candle and beyond the last one
        instrument       whose ticks and steps the integers count; prices off its tick go to the nearest one (`report`
                         counts them), volumes are rounded down, as for a candle file. Without one the integers count
                         `price_unit` and `volume_unit`, and nothing is rounded.

        Raises ConfigInvalid for a file that is missing or damaged.
        """
        return join([self._block(rows, instrument) for rows in self._read(from_ms, to_ms)])

    def blocks(self, from_ts: int = 0, instrument: Instrument | None = None) -> Iterator[CandleBlock]:
        """Yield the candles that open at `from_ts` or later in time order, a month a block."""
        for rows in self._read(from_ts, None):
            yield self._block(rows, instrument)

    def series(self, instrument: Instrument) -> "StoredSeries":
        """The candles in the units of an instrument, as a replay merges them with those of other symbols."""
        return StoredSeries(self, instrument)

    def report(self, instrument: Instrument, from_ms: int | None = None, to_ms: int | None = None) -> DataReport:
        """What [from_ms, to_ms) holds, as `open_candles` reports on a file; ConfigInvalid where it holds nothing."""
        rows, first, last, off_tick = 0, 0, 0, 0
        for part in self._read(from_ms, to_ms):
            first = first or int(part.ts[0])
            last, rows = int(part.ts[-1]), rows + part.size
            off_tick += _off_tick(part, instrument)
        if not rows:
            raise ConfigInvalid(f"{self.name}: holds no candle of the time asked for ({self._told_span()})")
        inner = self.gaps(first, last)
        return DataReport(rows, first, last, self.interval_ms, inner, off_tick)

    def gaps(self, from_ms: int | None = None, to_ms: int | None = None) -> tuple[Gap, ...]:
        """Candles that are missing among those that open in [from_ms, to_ms), in time order.

        Bounds that are given count: what lies before the first candle or after the last one is missing as well.
        Without bounds only what is missing in between.
        """
        step = self.interval_ms
        start = self.first_ts if from_ms is None else -(-from_ms // step) * step
        end = self.last_ts + step if to_ms is None else -(-to_ms // step) * step
        found = [gap(start, min(end, self.first_ts), step), gap(max(start, self.last_ts + step), end, step)]
        inner = [gap(max(hole.from_ms, start), min(hole.to_ms, end), step) for hole in self.manifest.gaps]
        return tuple(one for one in (found[0], *inner, found[1]) if one.from_ts < one.to_ts)

    def funding(self, from_ms: int | None = None, to_ms: int | None = None) -> list[FundingRate]:
        """The settlements from `from_ms` to `to_ms`, both included, in time order; rates to 1e-8.

        Both included, as `read_funding` has it: one is due at the very close of the last candle. Empty where none
        were stored. Raises ConfigInvalid for a file that is missing or damaged.
        """
        manifest = self.funding_manifest
        if manifest is None:
            return []
        name = replace(self.name, interval_ms=0)
        last = _FOREVER_MS if to_ms is None else to_ms + 1
        found = _rows(self.root, name, manifest, RATES, 0 if from_ms is None else from_ms, last)
        return [
            FundingRate(self.symbol, ts, money.round_money(Decimal(rate).scaleb(-rows.decimals[0])))
            for rows in found
            for ts, rate in zip(rows.ts.tolist(), rows.columns[0].tolist(), strict=True)
        ]

    def _read(self, from_ms: int | None, to_ms: int | None) -> Iterator[Rows]:
        start, end = 0 if from_ms is None else from_ms, _FOREVER_MS if to_ms is None else to_ms
        wanted = self.manifest.decimals
        for rows in _rows(self.root, self.name, self.manifest, CANDLES, start, end):
            yield with_decimals(rows, CANDLES, wanted)

    def _block(self, rows: Rows, instrument: Instrument | None) -> CandleBlock:
        *prices, volumes = rows.columns
        if instrument is None:
            return from_units(StoredUnits(self.price_unit, self.volume_unit), rows.ts, prices, volumes)
        ticks = [_nearest(*_scaled(column, rows.decimals[0], instrument.tick)) for column in prices]
        if int(ticks[2].min()) < 1:
            price = Decimal(int(prices[2].min())).scaleb(-rows.decimals[0])
            raise ConfigInvalid(
                f"{self.name}: low {money.text(price)} is less than half a tick of {instrument.symbol}"
                f" (tick {money.text(instrument.tick)}); correct the tick of the instrument"
            )
        steps, _, _ = _scaled(volumes, rows.decimals[1], instrument.step)
        return from_units(instrument, rows.ts, ticks, steps)

    def _told_span(self) -> str:
        return f"it has {iso(self.first_ts)} to {iso(self.last_ts)}"


@dataclass(frozen=True, slots=True)
class StoredSeries:
    """A dataset's candles in the units of an instrument. Passes `replay.CandleSeries`."""

    dataset: Dataset
    instrument: Instrument

    @property
    def symbol(self) -> str:
        """Name of the symbol."""
        return self.dataset.symbol

    @property
    def interval_ms(self) -> int:
        """Length of a candle."""
        return self.dataset.interval_ms

    @property
    def first_ts(self) -> int:
        """Open time of the first candle, UTC ms."""
        return self.dataset.first_ts

    @property
    def last_ts(self) -> int:
        """Open time of the last candle, UTC ms."""
        return self.dataset.last_ts

    def blocks(self, from_ts: int = 0) -> Iterator[CandleBlock]:
        """Yield the candles that open at `from_ts` or later in time order, a month a block."""
        return self.dataset.blocks(from_ts, self.instrument)


def open_dataset(folder: Path, venue: str, symbol: str, interval_ms: int) -> Dataset:
    """Open what the store in `folder` has of a symbol at a venue; nothing but the manifests is read yet.

    Raises ConfigInvalid where it has no such candles: the message names what it has and how to get them.
    """
    name = DatasetName(venue, symbol, interval_ms)
    manifest = read_manifest(folder, name)
    if manifest is None:
        near = [other for other in names_below(folder) if other.symbol == symbol] or list(names_below(folder))
        has = ", ".join(map(str, near[:_MOST_TOLD])) or "nothing"
        raise ConfigInvalid(
            f"{folder}: has no {name.kind} candles of {symbol} at {venue} (it has: {has}); get them with"
            f" `trading-engine data download --venue {venue} --symbol {symbol} --from DATE` or `data import`"
        )
    return Dataset(folder, name, manifest, read_manifest(folder, replace(name, interval_ms=0)))


def _rows(
    root: Path, name: DatasetName, manifest: Manifest, shape: Shape, start_ms: int, end_ms: int
) -> Iterator[Rows]:
    """The rows of [start_ms, end_ms) part by part, never empty ones."""
    for part in manifest.parts:
        if part.last_ms < start_ms or part.first_ms >= end_ms:
            continue
        path = name.folder(root) / part.file
        try:
            rows = parts.read_part(path, shape)
        except parts.Damaged as error:
            if read_manifest(root, name) != manifest:
                raise ConfigInvalid(f"{name} was changed since it was opened; run the command again") from None
            raise parts.damaged(path, error) from error
        if rows.size != part.rows:
            raise parts.damaged(path, parts.Damaged(f"has {rows.size:,} rows; expected {part.rows:,}"))
        found = rows.between(start_ms, end_ms)
        if found.size:
            yield found


def _scaled(values: Int64, decimals: int, one: Decimal) -> tuple[Int64, Int64, int]:
    """How often `one` fits into values of so many decimals, what is left over, and of how many parts it is left."""
    ratio = Fraction(1, 10**decimals) / Fraction(one)
    if values.size and int(np.abs(values).max()) * ratio.numerator >= 2**63:
        raise ConfigInvalid(f"a tick or step of {one} is too small for the stored values; correct the instrument")
    whole, left = np.divmod(values * np.int64(ratio.numerator), np.int64(ratio.denominator))
    return whole, left, ratio.denominator


def _nearest(whole: Int64, left: Int64, of: int) -> Int64:
    """To the nearest, halves to the even one."""
    up = (2 * left > of) | ((2 * left == of) & (whole % 2 == 1))
    rounded: Int64 = whole + up.astype(np.int64)
    return rounded


def _off_tick(rows: Rows, instrument: Instrument) -> int:
    """How many prices do not lie on the tick."""
    prices = rows.columns[:4]
    return sum(int(np.count_nonzero(_scaled(column, rows.decimals[0], instrument.tick)[1])) for column in prices)
