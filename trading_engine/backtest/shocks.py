"""Candles that are too wild, over arrays.

What belongs here: which candles they are, and whether one of them still forbids entries. What does not: the measures
(rules.turbulence), what follows (loop). In the subset of Python that numba compiles.
"""

import numpy as np

from trading_engine.backtest.tables import Bools, Candles, Desk, Settings
from trading_engine.rules import turbulence


def wild_rows(candles: Candles, settings: Settings) -> Bools:
    """For each candle whether the average range was too wide on its close; empty where nobody asks."""
    if settings.shock_atr_milli <= 0:
        return np.zeros(0, np.bool_)
    wild = np.zeros(len(candles.ts), np.bool_)
    for s in range(len(candles.start) - 1):
        seen = turbulence.calm()
        for row in range(candles.start[s], candles.start[s + 1]):
            closed_ms = candles.ts[row] + candles.interval_ms
            seen = turbulence.measured(seen, closed_ms, candles.high[row], candles.low[row], candles.close[row])
            wild[row] = turbulence.is_wild(seen, settings.shock_atr_milli)
    return wild


def is_shock(candles: Candles, wild: Bools, row: int, settings: Settings) -> bool:
    """Whether a candle was too wild."""
    if len(wild) > 0 and wild[row]:
        return True
    return turbulence.is_wide(candles.high[row], candles.low[row], settings.shock_range_ppm)


def is_shaken(candles: Candles, wild: Bools, desk: Desk, s: int, settings: Settings, now_ms: int) -> bool:
    """Whether a candle was too wild within the pause before now: no entries on the symbol."""
    row = desk.at - 1
    begin = candles.start[s]
    while row >= begin and candles.ts[row] + candles.interval_ms + settings.shock_pause_ms > now_ms:
        if is_shock(candles, wild, row, settings):
            return True
        row -= 1
    return False
