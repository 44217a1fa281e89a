"""Candles that are too wild, over arrays.

What belongs here: which candles they are, and whether one of them still forbids entries. What does not: the measures
(rules.turbulence), what follows (loop). In the subset of Python that numba compiles.
"""

from trading_engine.backtest.tables import Bools, Candles, Ints, Records, Settings, Stage
from trading_engine.rules import turbulence


def find_wild_rows(candles: Candles, settings: Settings, wild: Bools) -> None:
    """Write down for each candle whether the average range was too wide on its close; nothing where nobody asks."""
    if settings.shock_atr_milli <= 0:
        return
    for s in range(len(candles.start) - 1):
        seen = turbulence.calm()
        for row in range(candles.start[s], candles.start[s + 1]):
            closed_ms = candles.ts[row] + candles.interval_ms
            seen = turbulence.measured(seen, closed_ms, candles.high[row], candles.low[row], candles.close[row])
            wild[row] = turbulence.is_wild(seen, settings.shock_atr_milli)


def is_shock(high: Ints, low: Ints, wild: Bools, row: int, limit_ppm: int) -> bool:
    """Whether a candle was too wild; `limit_ppm` is that of its own range."""
    if len(wild) > 0 and wild[row]:
        return True
    return turbulence.is_wide(high[row], low[row], limit_ppm)


def until_shock(candles: Candles, wild: Bools, desks: Records, settings: Settings, until_ms: int) -> int:
    """The opening of the first candle of what is held that was too wild, at the latest `until_ms`."""
    for s in range(len(desks)):
        desk = desks[s]
        row = desk.at
        while desk.stage != Stage.FLAT and row < desk.end and candles.ts[row] < until_ms:
            if is_shock(candles.high, candles.low, wild, row, settings.shock_range_ppm):
                until_ms = candles.ts[row]
            row += 1
    return until_ms


def is_shaken(
    ts: Ints,
    high: Ints,
    low: Ints,
    wild: Bools,
    begin: int,
    end: int,
    interval_ms: int,
    settings: Settings,
    now_ms: int,
) -> bool:
    """Whether one of the candles [begin, end), which closed by now, was too wild within the pause before now."""
    limit_ppm = settings.shock_range_ppm
    if limit_ppm <= 0 and len(wild) == 0:
        return False
    since_ms = now_ms - settings.shock_pause_ms - interval_ms
    row = end - 1
    while row >= begin and ts[row] > since_ms:
        if is_shock(high, low, wild, row, limit_ppm):
            return True
        row -= 1
    return False
