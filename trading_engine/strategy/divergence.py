"""Pivots of the price and their divergence from an oscillator.

What belongs here: turning points that later candles have confirmed, and what two of them say together. What
does not: the oscillator (any array of indicators), what a strategy makes of a divergence.

Nothing looks ahead: a pivot of strength n is reported on the n-th candle after it, the first on which it is one.
"""

from dataclasses import dataclass

import numpy as np

from trading_engine.strategy import indicators as ta
from trading_engine.strategy.api import BoolArray, FloatArray, IntArray, Series


@dataclass(frozen=True, slots=True, eq=False)
class Divergence:
    """The rows on which a divergence is confirmed, of the latest pivot and the one before it.

    regular_bullish   a lower low of the price with a higher low of the oscillator: a fall loses force
    hidden_bullish    a higher low with a lower low of the oscillator: a rise goes on after a rest
    regular_bearish   a higher high of the price with a lower high of the oscillator
    hidden_bearish    a lower high with a higher high of the oscillator
    """

    regular_bullish: BoolArray
    hidden_bullish: BoolArray
    regular_bearish: BoolArray
    hidden_bearish: BoolArray


def pivot_lows(values: FloatArray, strength: int) -> BoolArray:
    """The rows on which a low is confirmed; the low itself lies `strength` ≥ 2 rows earlier.

    It is less than each of the `strength` values before it and not greater than any of those after it, so that
    of equal lows the first is the pivot.
    """
    confirmed = np.zeros(len(values), dtype=np.bool_)
    if len(values) > 2 * strength:
        floor = ta.lowest(values, strength)
        low = values[strength:-strength]
        before, after = floor[strength - 1 : -strength - 1], floor[2 * strength :]
        confirmed[2 * strength :] = ta.less(low, before) & ta.at_least(after, low)
    return confirmed


def pivot_highs(values: FloatArray, strength: int) -> BoolArray:
    """The same for highs."""
    return pivot_lows(-values, strength)


def divergence(series: Series, oscillator: FloatArray, strength: int, most_apart: int) -> Divergence:
    """Where price and oscillator disagree about two pivots in a row.

    oscillator   one value a candle; NaN at a pivot gives no divergence
    strength     candles on each side that make a low or high a pivot, ≥ 2
    most_apart   pivots further apart than so many candles are not compared, ≥ 1

    Pivots are those of the candles' lows and highs; the oscillator is read on the same candles.
    """
    lows = np.flatnonzero(pivot_lows(series.low, strength))
    highs = np.flatnonzero(pivot_highs(series.high, strength))
    return Divergence(
        *_compared(series.low, oscillator, lows, strength, most_apart),
        *_compared(-series.high, -oscillator, highs, strength, most_apart),
    )


def divergence_window(strength: int, most_apart: int) -> int:
    """Candles that decide the last row; the oscillator's own window is needed at the first of them."""
    return most_apart + 2 * strength + 1


def _compared(
    price: FloatArray, oscillator: FloatArray, confirmed: IntArray, strength: int, most_apart: int
) -> tuple[BoolArray, BoolArray]:
    """Regular and hidden divergence of lows; highs are lows upside down."""
    regular, hidden = np.zeros((2, len(price)), dtype=np.bool_)
    first, second = confirmed[:-1] - strength, confirmed[1:] - strength
    is_near = second - first <= most_apart
    rows, first, second = confirmed[1:][is_near], first[is_near], second[is_near]
    regular[rows] = ta.less(price[second], price[first]) & ta.greater(oscillator[second], oscillator[first])
    hidden[rows] = ta.greater(price[second], price[first]) & ta.less(oscillator[second], oscillator[first])
    return regular, hidden
