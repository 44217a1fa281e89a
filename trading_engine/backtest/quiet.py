"""Letting time pass in which nothing can happen: from signal to signal while flat, to the next price that matters else.

What belongs here: up to where candles need not be looked at one by one. What does not: what happens in those that are
(loop). Nothing is decided here; what may matter is only brought to the loop's attention. In the subset of Python that
numba compiles.
"""

import numpy as np

from trading_engine.backtest.tables import (
    LEG_PRICE,
    LEG_STEPS,
    LEGS,
    NEVER,
    Desk,
    Ints,
    Records,
    Settings,
    Stage,
)
from trading_engine.domain.time import HOUR_MS


def skip_to(ts: Ints, close: Ints, funded_ts: Ints, desks: Records, open_ms: int, interval_ms: int) -> int:
    """Let time pass without a position until the candles that open at `open_ms`; the close of the last one before."""
    closed_ms = 0
    for s in range(len(desks)):
        desk = desks[s]
        begin = desk.at
        desk.at = begin + np.searchsorted(ts[begin : desk.end], open_ms)
        if desk.at > begin:
            desk.last = close[desk.at - 1]
        if desk.last > 0:
            closed_ms = max(closed_ms, ts[desk.at - 1] + interval_ms)
        begin = desk.funded
        desk.funded = begin + np.searchsorted(funded_ts[begin : desk.funded_end], open_ms)
    return closed_ms


def quiet_until(
    ts: Ints,
    high: Ints,
    low: Ints,
    funded_ts: Ints,
    desks: Records,
    settings: Settings,
    until_ms: int,
) -> int:
    """Up to which opening, at the latest `until_ms`, no candle of what is held can reach anything; 0 for not at all.

    Nothing is decided here: what may matter is only brought to the loop's attention.
    """
    for s in range(len(desks)):
        desk = desks[s]
        if desk.stage != Stage.FLAT and desk.stage != Stage.OPEN:  # noqa: PLR1714 - as numba compiles it
            return 0
    for s in range(len(desks)):
        desk = desks[s]
        if desk.stage == Stage.FLAT:
            continue
        if desk.funded < desk.funded_end:
            until_ms = min(until_ms, funded_ts[desk.funded])
        if settings.max_age_ms > 0 and (settings.close_on_max_age or (settings.tighten_milli > 0 and not desk.is_aged)):
            until_ms = min(until_ms, desk.opened_ms + settings.max_age_ms - HOUR_MS)
        bottom, top = _bounds(desk)
        row, end = desk.at, desk.end
        while row < end and ts[row] < until_ms and low[row] > bottom and high[row] < top:
            row += 1
        if row < end:
            until_ms = min(until_ms, ts[row])
    return until_ms


def _bounds(desk: Desk) -> tuple[int, int]:
    """Prices between which no order of a position, and no move of its stop, can be met."""
    sign = desk.sign
    worst = desk.resting_stop
    if desk.liquidation > 0:
        worst = max(worst, desk.liquidation) if sign > 0 else min(worst, desk.liquidation)
    best = NEVER if sign > 0 else 0
    if desk.trail_level > 0:
        best = desk.trail_level
    legs = desk.legs
    for leg in range(LEGS):
        if legs[leg, LEG_STEPS] > 0:
            price = legs[leg, LEG_PRICE]
            best = min(best, price) if sign > 0 else max(best, price)
    return (worst, best) if sign > 0 else (best, worst)


def let_go(ts: Ints, close: Ints, desks: Records, open_ms: int, previous_ms: int, interval_ms: int) -> int:
    """Let the candles before `open_ms` pass in which nothing happens; the close of the last one."""
    for s in range(len(desks)):
        desk = desks[s]
        begin = desk.at
        row, end = begin, desk.end
        while row < end and ts[row] < open_ms:
            row += 1
        desk.at = row
        if row > begin:
            desk.last = close[desk.at - 1]
            previous_ms = max(previous_ms, ts[desk.at - 1] + interval_ms)
    return previous_ms
