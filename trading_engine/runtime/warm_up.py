"""The history that strategies want to see before their first live candle.

What belongs here: reading it from a venue. What does not: how much is wanted (brain), candles from now on (feed).
"""

import numpy as np

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.time import MINUTE_MS, floor_to
from trading_engine.marketdata.block import from_units
from trading_engine.marketdata.polling import CandleHistory
from trading_engine.runtime.brain import Brain


async def warm_up(history: CandleHistory, brain: Brain, instrument: Instrument, until_ms: int) -> None:
    """Take in what has closed by `until_ms` (a whole minute) and the windows of a symbol hold; no signals.

    Long windows are read in candles of their own interval where the venue has such: 200 days are 288,000 minutes.
    Raises what the venue raises where it cannot be read.
    """
    needed = brain.history_needed(instrument.symbol)
    base = needed.base
    for interval_ms, count in needed.higher.items():
        try:
            await _take(history, brain, instrument, interval_ms, until_ms, count)
        except ConfigInvalid:  # an interval that the venue does not have is made of minutes
            base = max(base, count * interval_ms // MINUTE_MS)
    await _take(history, brain, instrument, MINUTE_MS, until_ms, base + 1)


async def _take(
    history: CandleHistory, brain: Brain, instrument: Instrument, interval_ms: int, until_ms: int, count: int
) -> None:
    since_ms = floor_to(until_ms, interval_ms) - count * interval_ms
    candles = await history.candles(instrument.symbol, interval_ms, max(since_ms, 0), until_ms)
    closed = [candle for candle in candles if candle.close_time_ms <= until_ms]
    if not closed:
        return
    columns = [np.array(column, dtype=np.int64) for column in zip(*[item[3:] for item in closed], strict=True)]
    ts = np.array([candle.open_time_ms for candle in closed], dtype=np.int64)
    brain.take_history(instrument.symbol, from_units(instrument, ts, columns[:4], columns[4]), interval_ms)
