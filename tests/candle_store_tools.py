"""Small candles and funding rates for tests of the store."""

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import numpy as np

from trading_engine.domain.time import HOUR_MS, MINUTE_MS
from trading_engine.marketdata.candle_store.manifest import Source
from trading_engine.marketdata.candle_store.name import DatasetName
from trading_engine.marketdata.candle_store.rows import Rows
from trading_engine.marketdata.candle_store.writing import Change, open_writer

START = 1_746_057_600_000  # 2025-05-01T00:00Z
MINUTES = DatasetName("binance", "BTCUSDT", MINUTE_MS)
FUNDING = DatasetName("binance", "BTCUSDT", 0)
SOURCE = Source("import", "btc.csv", 1, 0, 0, 0)


def candles(numbers: Iterable[int], decimals: tuple[int, int] = (1, 3), base: int = 1_000) -> Rows:
    """A candle for each minute after START, `base` plus its number at the open; integers of so many decimals."""
    number = np.array(list(numbers), np.int64)
    opens = base + number % 500
    columns = (opens, opens + 7, opens - 7, opens + 3, number % 90 + 1)
    return Rows(START + number * MINUTE_MS, columns, decimals)


def rates(numbers: Iterable[int], rate: str = "0.0001") -> Rows:
    """A settlement every eight hours after START."""
    number = np.array(list(numbers), np.int64)
    value = Decimal(rate)
    exponent = -int(value.as_tuple().exponent)
    return Rows(
        START + number * 8 * HOUR_MS, (np.full(number.size, int(value.scaleb(exponent)), np.int64),), (exponent,)
    )


def store(root: Path, rows: Rows, name: DatasetName = MINUTES, *, replaces: bool = False) -> Change:
    """Put rows into a store."""
    with open_writer(root, name) as writer:
        return writer.write(rows, SOURCE, replaces=replaces)
