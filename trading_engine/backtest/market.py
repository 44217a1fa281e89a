"""Candles and settlements of a run as arrays, from the very source that the live engine would replay.

What belongs here: reading a source whole, its hash. What does not: files (marketdata), signals.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trading_engine.backtest.tables import Candles, Funding
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.money import MONEY_QUANTUM, exact_units
from trading_engine.marketdata.block import CandleBlock, join
from trading_engine.marketdata.candle_file import CandleFile
from trading_engine.marketdata.replay import CandleSource
from trading_engine.strategy.api import Series


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
            told.update(np.ascontiguousarray(column, dtype="<i8").tobytes())
        return told.hexdigest()


def read_market(source: CandleSource, files: Mapping[str, CandleFile]) -> Market:
    """Read a source to its end; ConfigInvalid where a file has become unreadable."""
    symbols = source.symbols
    blocks = tuple(join(list(files[symbol].blocks())) for symbol in symbols)
    sizes = np.array([0, *(block.rows for block in blocks)], dtype=np.int64)
    candles = Candles(
        np.cumsum(sizes),
        np.concatenate([block.ts for block in blocks]),
        np.concatenate([block.open for block in blocks]),
        np.concatenate([block.high for block in blocks]),
        np.concatenate([block.low for block in blocks]),
        np.concatenate([block.close for block in blocks]),
        np.concatenate([block.volume for block in blocks]),
        source.interval_ms,
    )
    return Market(symbols, blocks, candles, _funding(source), source.interval_ms)


def _funding(source: CandleSource) -> Funding:
    rates = source.funding_between(-1, source.last_ts)
    start, ts, rate = [0], [], []
    for symbol in source.symbols:
        mine = [item for item in rates if item.symbol == symbol]
        ts += [item.ts_ms for item in mine]
        rate += [exact_units(item.rate, MONEY_QUANTUM) for item in mine]
        start.append(len(ts))
    return Funding(np.array(start, dtype=np.int64), np.array(ts, dtype=np.int64), np.array(rate, dtype=np.int64))
