"""Arithmetic of performance figures on plain sequences.

What belongs here: formulas on equity curves, returns and results, each with its source. What does not: which figures a
backtest tells (metrics), trades and accounts (result).

Returns are fractions (0.01 is one percent); percentages that leave here are in percent.
"""

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache
from itertools import groupby
from statistics import fmean, stdev
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from trading_engine.backtest.equity import Curve
from trading_engine.domain.money import from_e8
from trading_engine.domain.time import DAY_MS, iso

DAYS_A_YEAR = 365
_ROUNDING = 1e-15  # more than a quotient of floats is off by; what lies closer together is told apart exactly
_NOISE = 1e-12  # a deviation below it is rounding, not risk

BUCKET_R = Decimal("0.5")
LOWEST_R, HIGHEST_R = Decimal(-5), Decimal(20)


class Fall(Struct, frozen=True):
    """What a curve has lost below its peaks.

    money, pct     the deepest fall below the highest value so far (Magdon-Ismail and Atiya 2004); 0 or negative.
                   The deepest in money and the deepest in percent may be different falls
    length_ms      of the deepest in percent: from its peak to the first value that reaches it again, or to the end
    longest_ms     the longest stretch from a peak until it is reached again, or to the end
    """

    money: Decimal
    pct: float
    length_ms: int
    longest_ms: int


def deepest_fall(curve: Curve) -> Fall:
    """The falls of equity; the first value of the curve is positive."""
    equity, ts_ms = curve.equity_e8, curve.ts_ms
    peaks = np.maximum.accumulate(equity)
    highs = np.flatnonzero(equity >= peaks)  # each makes good the fall before it, where there was one
    nexts = np.append(highs[1:], len(equity))
    lengths = np.where(nexts > highs + 1, ts_ms[np.minimum(nexts, len(equity) - 1)] - ts_ms[highs], 0)
    shares = equity / peaks
    least = float(shares.min())
    nearly = np.flatnonzero((equity < peaks) & (shares <= least + _ROUNDING * max(1.0, abs(least))))
    pcts = [float((from_e8(int(equity[at])) / from_e8(int(peaks[at])) - 1) * 100) for at in nearly.tolist()]
    pct = min(pcts, default=0.0)
    if pct == 0.0:
        return Fall(from_e8(int((equity - peaks).min())), 0.0, 0, int(lengths.max()))
    fall = int(np.searchsorted(highs, nearly[pcts.index(pct)], side="right")) - 1
    return Fall(from_e8(int((equity - peaks).min())), pct, int(lengths[fall]), int(lengths.max()))


def period_returns(curve: Curve, period: Callable[[int], str]) -> dict[str, float]:
    """The change of equity in each period, as a fraction; periods that begin with nothing left have none.

    `period` names the period an instant belongs to, a UTC day or several whole ones; a value at the very boundary ends
    the period before it. Values are in order of time.
    """
    days = (curve.ts_ms[1:] - 1) // DAY_MS
    lasts = curve.rows(np.append(np.flatnonzero(days[1:] != days[:-1]), len(days) - 1) + 1) if len(days) else ()
    ends = {period(sample.ts_ms - 1): sample.equity for sample in lasts}
    returns, before = {}, curve[0].equity
    for name, value in ends.items():
        if before > 0:
            returns[name] = float(value / before - 1)
        before = value
    return returns


def day(ts_ms: int) -> str:
    """The UTC day of an instant, `2025-05-04`."""
    return iso(ts_ms // DAY_MS * DAY_MS)[:10]


def month(ts_ms: int) -> str:
    """The UTC month of an instant, `2025-05`."""
    return _month_of(ts_ms // DAY_MS)


@cache
def _month_of(days: int) -> str:
    return day(days * DAY_MS)[:7]


def sharpe(returns: Sequence[float]) -> float | None:
    """Mean / standard deviation (n − 1) of daily returns × √365, without a risk-free rate (Sharpe 1994)."""
    if len(returns) < 2:
        return None
    deviation = stdev(returns)
    return fmean(returns) / deviation * math.sqrt(DAYS_A_YEAR) if deviation > _NOISE else None


def sharpe_error(returns: Sequence[float]) -> float | None:
    """One standard error of that ratio for independent returns: √((1 + s² / 2) / n) × √365, s of one day (Lo 2002)."""
    ratio = sharpe(returns)
    if ratio is None:
        return None
    return math.sqrt((1 + (ratio / math.sqrt(DAYS_A_YEAR)) ** 2 / 2) / len(returns)) * math.sqrt(DAYS_A_YEAR)


def sortino(returns: Sequence[float]) -> float | None:
    """Mean / downside deviation × √365 (Sortino and van der Meer 1991).

    The downside deviation is the root of the mean square of all daily returns, with gains taken as 0.
    """
    if len(returns) < 2:
        return None
    downside = math.sqrt(math.fsum(min(one, 0.0) ** 2 for one in returns) / len(returns))
    return fmean(returns) / downside * math.sqrt(DAYS_A_YEAR) if downside > _NOISE else None


def volatility_pct(returns: Sequence[float]) -> float | None:
    """Standard deviation (n − 1) of daily returns × √365, percent."""
    return stdev(returns) * math.sqrt(DAYS_A_YEAR) * 100 if len(returns) > 1 else None


def cagr_pct(initial: Decimal, final: Decimal, span_ms: int) -> float | None:
    """The yearly growth that leads to the same end, percent: (final / initial)^(365 / days) − 1.

    None for less than a day, for an end with nothing left, and for growth that no float holds.
    """
    if span_ms < DAY_MS or final <= 0:
        return None
    try:
        return (math.pow(float(final / initial), DAYS_A_YEAR * DAY_MS / span_ms) - 1) * 100
    except OverflowError:
        return None


def longest_run(nets: Sequence[Decimal], belongs: Callable[[Decimal], bool]) -> int:
    """The most results in a row that belong."""
    return max((len(list(run)) for is_one, run in groupby(nets, belongs) if is_one), default=0)


class Bucket(NamedTuple):
    """How many trades ended in [from_r, to_r); None is an open end."""

    from_r: float | None
    to_r: float | None
    trades: int


def r_distribution(multiples: Sequence[Decimal]) -> tuple[Bucket, ...]:
    """Results in steps of half an R, from the lowest to the highest without a gap; beyond −5R and 20R one step each."""
    if not multiples:
        return ()
    lowest, highest = int(LOWEST_R / BUCKET_R), int(HIGHEST_R / BUCKET_R)
    places = [min(max(math.floor(one / BUCKET_R), lowest - 1), highest) for one in multiples]
    return tuple(
        Bucket(
            float(place * BUCKET_R) if place >= lowest else None,
            float((place + 1) * BUCKET_R) if place < highest else None,
            places.count(place),
        )
        for place in range(min(places), max(places) + 1)
    )
