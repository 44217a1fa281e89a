"""Candles and settlements of a run as arrays, in memory.

What belongs here: all of a run's market in one value, its hash, and the same market as a replay. What does not:
files (marketdata), signals.

Prices are kept in ticks only: those in money are made for one symbol at a time, for whoever asks.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from trading_engine.backtest.tables import Bools, Candles, Funding, Ints
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import FundingRate
from trading_engine.domain.money import MONEY_QUANTUM, exact_units
from trading_engine.domain.time import DAY_MS, HOUR_MS
from trading_engine.marketdata.block import CandleBlock, Units
from trading_engine.strategy.api import Series

if TYPE_CHECKING:
    from trading_engine.marketdata.replay import Replay


class Market(Struct, frozen=True, eq=False):
    """Every candle and settlement of a run; symbols in order of their names."""

    symbols: tuple[str, ...]
    blocks: tuple[Units, ...]
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

    def instants(self) -> Ints:
        """When the account is looked at: the closes with which a full hour, or more of them, was completed.

        Where nothing closed at a UTC midnight, the last close before it as well: what the account held then is what it
        held at midnight. The first close of all is none: nothing can have happened by then.
        """
        begun, ended = [], []
        for block in self.blocks:
            closes = block.ts + self.interval_ms
            begun.append(closes[_rows_from(closes, HOUR_MS)])
            ended.append(closes[_rows_until(closes, DAY_MS)])
        found = np.sort(np.concatenate(begun))
        hours = found[_is_first(found // HOUR_MS)][1:]
        found = np.sort(np.concatenate(ended))[::-1]  # of each day the last close comes first
        lasts = found[_is_first((found - 1) // DAY_MS)][1:]
        lasts = lasts[(lasts % DAY_MS != 0) & (lasts > self.first_ms + self.interval_ms)]
        found = np.sort(np.concatenate((hours, lasts)))
        kept: Ints = found[_is_first(found)]
        return kept

    def source(self, rates: Sequence[FundingRate], instruments: Mapping[str, Instrument]) -> "Replay":
        """The same candles for an engine that is fed one after the other."""
        from trading_engine.marketdata.replay import Replay  # noqa: PLC0415 - of use to the full engine only

        pairs = zip(self.symbols, self.blocks, strict=True)
        return Replay([_Held(symbol, block, instruments[symbol], self.interval_ms) for symbol, block in pairs], rates)

    def series(self, symbol: int, instrument: Instrument) -> Series:
        """A symbol's candles as strategies see them."""
        block = self.blocks[symbol].priced(instrument)
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


def _rows_from(closes: Ints, span_ms: int) -> Ints:
    """The rows that close first in each span [n × span_ms, (n + 1) × span_ms) in which any does."""
    spans = np.arange(closes[0] // span_ms, closes[-1] // span_ms + 1)
    rows = np.searchsorted(closes, spans * span_ms)
    return rows[_is_first(rows)]


def _rows_until(closes: Ints, span_ms: int) -> Ints:
    """The rows that close last in each span (n × span_ms, (n + 1) × span_ms] in which any does."""
    spans = np.arange((closes[0] - 1) // span_ms, (closes[-1] - 1) // span_ms + 1)
    rows = np.searchsorted(closes, (spans + 1) * span_ms, side="right") - 1
    return rows[_is_first(rows)]


def _is_first(ordered: Ints) -> Bools:
    """Which values differ from the one before; `np.unique` gives the same and loads masked arrays for it."""
    return np.concatenate((np.ones(min(1, len(ordered)), dtype=np.bool_), ordered[1:] != ordered[:-1]))


class _Held(Struct, frozen=True, eq=False):
    """One symbol's candles that are in memory, as a replay reads them."""

    symbol: str
    block: Units
    instrument: Instrument
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
            yield self.block.part(at, self.block.rows).priced(self.instrument)


def make_market(held: Mapping[str, Units | CandleBlock], rates: Sequence[FundingRate], interval_ms: int) -> Market:
    """The arrays of some symbols' candles, none of them empty, and of the settlements of those symbols."""
    units = {symbol: Units._make(block[: len(Units._fields)]) for symbol, block in held.items()}
    return take_market(units, rates, interval_ms)


def take_market(held: dict[str, Units], rates: Sequence[FundingRate], interval_ms: int) -> Market:
    """As `make_market`, and leaves `held` empty: symbol by symbol all arrays become parts of one.

    Where nobody else holds them, nothing is in memory twice: a year of one symbol's minutes has 25 MB.
    """
    symbols = tuple(sorted(held))
    start = np.cumsum(np.array([0, *(held[symbol].rows for symbol in symbols)], dtype=np.int64))
    if len(symbols) == 1:
        only = held.pop(symbols[0])
        return Market(symbols, (only,), Candles(start, *only, interval_ms), _funding(symbols, rates), interval_ms)
    whole = Units._make(np.empty((len(Units._fields), int(start[-1])), dtype=np.int64))
    blocks = []
    for symbol, (begin, end) in zip(symbols, pairwise(start.tolist()), strict=True):
        mine, taken = whole.part(begin, end), held.pop(symbol)
        for target, column in zip(mine, taken, strict=True):
            target[:] = column
        blocks.append(mine)
    candles = Candles(start, *whole, interval_ms)
    return Market(symbols, tuple(blocks), candles, _funding(symbols, rates), interval_ms)


def _funding(symbols: Sequence[str], rates: Sequence[FundingRate]) -> Funding:
    start, ts, rate_e8 = [0], [], []
    for symbol in symbols:
        mine = sorted((item for item in rates if item.symbol == symbol), key=lambda item: item.ts_ms)
        ts += [item.ts_ms for item in mine]
        rate_e8 += [exact_units(item.rate, MONEY_QUANTUM) for item in mine]
        start.append(len(ts))
    return Funding(np.array(start, dtype=np.int64), np.array(ts, dtype=np.int64), np.array(rate_e8, dtype=np.int64))
