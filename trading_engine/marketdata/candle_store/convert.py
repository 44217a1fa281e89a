"""What other parts of the program call candles and settlements, as rows of the store.

What belongs here: exact conversion of blocks, candles and rates. What does not: files (intake).
"""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from trading_engine.domain.market import Candle, FundingRate
from trading_engine.marketdata.block import CandleBlock, Grid
from trading_engine.marketdata.candle_store.rows import RATES, Rows, no_rows


def rows_of_block(block: CandleBlock, grid: Grid) -> Rows:
    """A block whose integers count the tick and step of `grid`."""
    (tick, price_decimals), (step, volume_decimals) = _whole(grid.tick), _whole(grid.step)
    prices = (block.open, block.high, block.low, block.close)
    columns = (*(column * np.int64(tick) for column in prices), block.volume * np.int64(step))
    return Rows(block.ts, columns, (price_decimals, volume_decimals))


def rows_of_candles(candles: Sequence[Candle], price_decimals: int, volume_decimals: int) -> Rows:
    """Candles by ascending open time whose integers have so many decimals. OverflowError beyond 64 bits."""
    table = np.array([(one.open_time_ms, *one[3:]) for one in candles], np.int64).reshape(-1, 6)
    return Rows(table[:, 0], tuple(table[:, column] for column in range(1, 6)), (price_decimals, volume_decimals))


def rows_of_rates(rates: Sequence[FundingRate]) -> Rows:
    """Settlements by ascending time."""
    if not rates:
        return no_rows(RATES)
    decimals = max(_whole(rate.rate)[1] for rate in rates)
    ts = np.array([rate.ts_ms for rate in rates], np.int64)
    return Rows(ts, (np.array([int(rate.rate.scaleb(decimals)) for rate in rates], np.int64),), (decimals,))


def _whole(value: Decimal) -> tuple[int, int]:
    """A decimal as an integer and the number of its decimals."""
    exponent = value.as_tuple().exponent
    decimals = max(0, -exponent) if isinstance(exponent, int) else 0
    return int(value.scaleb(decimals)), decimals
