"""Candles and settlements of a run as arrays, in memory.

What belongs here: all of a run's market in one value, its hash, and the same market as a replay. What does not:
files (marketdata), signals.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from trading_engine.backtest.tables import Candles, Funding
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import FundingRate
from trading_engine.domain.money import MONEY_QUANTUM, exact_units
from trading_engine.domain.time import HOUR_MS
from trading_engine.marketdata.block import CandleBlock
from trading_engine.strategy.api import Series

if TYPE_CHECKING:
    from trading_engine.marketdata.replay import Replay


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """Every candle and settlement of a run; symbols in order of their names."""

    symbols: tuple[str, ...]
    blocks: tuple[CandleBlock, ...]
    candles: Candles
    funding: Funding
    interval_ms: int

    @property
    def rows(self) -> int:
        """Number of candles."""
        return len(self.candles.ts)

    @property
    def first_ms(self) -> int:
        """Open time of the first candle."""
        return int(self.candles.ts[self.candles.start[:-1]].min())

    @property
    def last_ms(self) -> int:
        """Close time of the last candle."""
        return int(self.candles.ts[self.candles.start[1:] - 1].max()) + self.interval_ms

    def hours(self) -> list[int]:
        """The closes of candles with which a full hour, or more of them, was completed."""
        firsts = []
        for block in self.blocks:
            closes = block.ts + self.interval_ms
            hours = closes // HOUR_MS
            firsts.append(closes[np.flatnonzero(np.diff(hours, prepend=-1))])
        found = np.sort(np.concatenate(firsts))
        _, at = np.unique(found // HOUR_MS, return_index=True)
        return [int(close) for close in found[at][1:]]

    def source(self, rates: Sequence[FundingRate]) -> "Replay":
        """The same candles for an engine that is fed one after the other."""
        from trading_engine.marketdata.replay import Replay  # noqa: PLC0415 - of use to the full engine only

        pairs = zip(self.symbols, self.blocks, strict=True)
        return Replay([_Held(symbol, block, self.interval_ms) for symbol, block in pairs], rates)

    def series(self, symbol: int) -> Series:
        """A symbol's candles as strategies see them."""
        block = self.blocks[symbol]
        return Series(
            block.ts,
            block.open_price,
            block.high_price,
            block.low_price,
            block.close_price,
            block.base_volume,
            self.interval_ms,
        )

    def digest(self, instruments: Mapping[str, Instrument]) -> str:
        """What equal inputs have in common: symbols, units, every candle and settlement."""
        told = hashlib.sha256()
        for symbol in self.symbols:
            told.update(f"{symbol} {instruments[symbol].tick} {instruments[symbol].step}\n".encode())
        for column in (*self.candles[:-1], *self.funding):
            told.update(np.ascontiguousarray(column, dtype="<i8").data)
        return told.hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """One symbol's candles that are in memory, as a replay reads them."""

    symbol: str
    block: CandleBlock
    interval_ms: int

    @property
    def first_ts(self) -> int:
        return int(self.block.ts[0])

    @property
    def last_ts(self) -> int:
        return int(self.block.ts[-1])

    def blocks(self, from_ts: int = 0) -> Iterator[CandleBlock]:
        at = int(np.searchsorted(self.block.ts, from_ts))
        if at < self.block.rows:
            yield self.block.part(at, self.block.rows)


def make_market(held: Mapping[str, CandleBlock], rates: Sequence[FundingRate], interval_ms: int) -> Market:
    """The arrays of some symbols' candles, none of them empty, and of the settlements of those symbols."""
    return take_market(dict(held), rates, interval_ms)


def take_market(held: dict[str, CandleBlock], rates: Sequence[FundingRate], interval_ms: int) -> Market:
    """As `make_market`, and leaves `held` empty: column by column all symbols' arrays become parts of one.

    Where nobody else holds them, nothing is in memory twice: a year of minutes of ten symbols has 46 MB each.
    """
    symbols = tuple(sorted(held))
    blocks = [held.pop(symbol) for symbol in symbols]
    start = np.cumsum(np.array([0, *(block.rows for block in blocks)], dtype=np.int64))
    spans = list(pairwise(start.tolist()))
    columns = []
    for name in Candles._fields[1:-1]:
        column = np.concatenate([getattr(block, name) for block in blocks])
        blocks = [block._replace(**{name: column[a:b]}) for block, (a, b) in zip(blocks, spans, strict=True)]
        columns.append(column)
    candles = Candles._make((start, *columns, interval_ms))
    return Market(symbols, tuple(blocks), candles, _funding(symbols, rates), interval_ms)


def _funding(symbols: Sequence[str], rates: Sequence[FundingRate]) -> Funding:
    start, ts, rate_e8 = [0], [], []
    for symbol in symbols:
        mine = sorted((item for item in rates if item.symbol == symbol), key=lambda item: item.ts_ms)
        ts += [item.ts_ms for item in mine]
        rate_e8 += [exact_units(item.rate, MONEY_QUANTUM) for item in mine]
        start.append(len(ts))
    return Funding(np.array(start, dtype=np.int64), np.array(ts, dtype=np.int64), np.array(rate_e8, dtype=np.int64))
