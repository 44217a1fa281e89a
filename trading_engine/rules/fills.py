"""How orders fill inside a candle, and what a fill costs: the embedded exchange and both backtests.

What belongs here: the path of the price through a candle, when an order triggers or trades on a segment
of it, at which price and for how much, fees and funding. What does not: the order book of open orders
(venues.embedded), the decision to place one (core).

A candle is walked in three segments, from each point of its `Path` to the next. A trade has a
`trade_sign`: +1 buys (closes a short), -1 sells (closes a long). Where the truth is unknown the worse
case is taken: stops before targets, no fill at a price that was only touched, costs rounded up.
"""

from typing import NamedTuple

from trading_engine.rules.integers import E8, PPM, ratio_ceil, root_ceil, scale_ceil, scale_floor

_SHARE_DIGITS = 12  # of a share in 1e-12 the root is in 1e-6


class Path(NamedTuple):
    """The four prices a candle is walked through, in ticks: open, the two extremes, close."""

    first: int
    second: int
    third: int
    fourth: int


def adverse_path(sign: int, open: int, high: int, low: int, close: int) -> Path:  # noqa: A002 - a candle's names
    """The candle's path with the extreme that hurts an exposure of `sign` first: low for a long.

    Its stop is met before its target where one candle holds both.
    """
    if sign > 0:
        return Path(open, low, high, close)
    return Path(open, high, low, close)


def impact_e8(impact_ppm: int, steps: int, volume_steps: int) -> int:
    """How much worse a taker of `steps` fills where `volume_steps` traded before, in 1e-8 of the price, rounded up.

    impact_ppm × √(steps / volume_steps): the square-root law of market impact (Tóth et al. 2011, Physical Review X 1,
    021006; on Bitcoin Donier and Bonart 2015, arXiv:1412.4503). More than the whole volume counts as the whole, and so
    does anything where nothing traded: it never comes to more than impact_ppm. 0 ≤ impact_ppm ≤ 1e6.
    """
    most_e8 = impact_ppm * (E8 // PPM)
    if most_e8 == 0 or steps >= volume_steps:
        return most_e8
    return scale_ceil(most_e8, root_ceil(ratio_ceil(steps, volume_steps, _SHARE_DIGITS)), PPM)


def slipped(
    sign_of_trade: int, ticks: int, slippage_ppm: int, range_ticks: int = 0, range_ppm: int = 0, impact_e8: int = 0
) -> int:
    """`ticks` moved against the taker: up for a buy, down for a sell.

    By `slippage_ppm` of the price, `range_ppm` of a range (high less low) of `range_ticks` and `impact_e8` (1e-8)
    of the price. Each part is rounded against the taker to whole ticks, so that any that is not nothing costs at
    least one; none costs none. A sale never goes below one tick.
    """
    cost = scale_ceil(ticks, slippage_ppm, PPM) + scale_ceil(range_ticks, range_ppm, PPM)
    cost += scale_ceil(ticks, impact_e8, E8)
    return max(1, ticks + sign_of_trade * cost)


def crosses_stop(trade_sign: int, start: int, end: int, trigger: int) -> bool:
    """Whether a stop order triggers between `start` and `end`, both included.

    A buy triggers at or above its trigger, a sale at or below; also where the segment begins beyond it.
    """
    return trade_sign * start >= trade_sign * trigger or trade_sign * end >= trade_sign * trigger


def crosses_target(trade_sign: int, start: int, end: int, trigger: int) -> bool:
    """Whether a take-profit order triggers between `start` and `end`: the mirror image of a stop.

    A sale triggers at or above its trigger, a buy at or below; also where the segment begins beyond it.
    """
    return crosses_stop(-trade_sign, start, end, trigger)


def stop_base_ticks(trade_sign: int, start: int, trigger: int) -> int:
    """Price of a triggered stop before slippage: its trigger, or `start` where that is beyond it already.

    The second is the gap rule: nothing traded between the last price and the first one beyond the stop.
    """
    return max(start, trigger) if trade_sign > 0 else min(start, trigger)


def limit_trades(trade_sign: int, start: int, end: int, limit: int) -> bool:
    """Whether a resting limit order trades between `start` and `end`.

    It needs a price at least one tick beyond its limit (below for a buy): at the limit itself others
    may stand before us in the queue, whose length is unknown.
    """
    return trade_sign * start < trade_sign * limit or trade_sign * end < trade_sign * limit


def limit_price(trade_sign: int, start: int, limit: int) -> int:  # noqa: ARG001 - called like stop_base_ticks
    """Price of a resting limit order that trades: always its limit, never better.

    A resting order is the maker: whoever comes trades at its price, also where the segment begins beyond
    it. The arguments are those of `stop_base_ticks`, its counterpart, though side and start decide
    nothing.
    """
    return limit


def available_steps(candle_volume_steps: int, share_ppm: int) -> int:
    """The part of a candle's volume that our orders may take, rounded down."""
    return scale_floor(candle_volume_steps, share_ppm, PPM)


def fee_e8(notional_e8: int, rate_e8: int) -> int:
    """Fee of a trade, rounded up: a fee is never understated; negative, a rebate, never overstated.

    `scale_ceil` divides the notional by 1e8 first: notional × rate would not fit.
    """
    return scale_ceil(notional_e8, rate_e8, E8)


def funding_e8(notional_e8: int, rate_e8: int, sign: int) -> int:
    """Cash flow of a funding settlement to the holder, rounded down: against the holder.

    A long pays a positive rate (negative result) and receives a negative one; a short the reverse.
    Divides first, as `fee_e8`.
    """
    return scale_floor(notional_e8, -sign * rate_e8, E8)


def is_ambiguous(sign: int, high: int, low: int, stop_ticks: int, target_ticks: int) -> bool:
    """Whether one candle holds both the stop and the target, so that its order of events is a guess.

    0 stands for no stop or no target; then nothing is ambiguous.
    """
    if stop_ticks <= 0 or target_ticks <= 0:
        return False
    if sign > 0:
        return low <= stop_ticks and high >= target_ticks
    return high >= stop_ticks and low <= target_ticks
