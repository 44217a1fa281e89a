"""When a market is wilder than anybody should enter it: the range of a candle, the average range against its day's.

What belongs here: the measure, kept candle by candle, and its two verdicts. What does not: the pause that follows
(limits.cooldown), filters of single strategies (strategy.filters).

The average true range is Wilder's over `PERIOD` candles, in thousandths of a tick. Its median of 24 hours is the
median of the means of the last 24 hours in which there were candles: a few numbers that a restart can keep, and
that no single wild hour moves.
"""

from typing import NamedTuple

from trading_engine.rules.integers import MILLI, PPM

PERIOD = 14
HOURS = 24
_HOUR_MS = 3_600_000


class Turbulence(NamedTuple):
    """What is remembered of a market; all prices in ticks, ranges in thousandths of a tick.

    close         of the last candle, 0 before the first
    atr_mticks    average true range
    hour          number of the hour that is going on, since 1970
    sum_mticks    of the average ranges in it, and `samples` how many
    means_mticks  of the last 24 hours, newest last, 0 where there was none yet
    usual_mticks  their median, 0 before there are 24
    """

    close: int
    atr_mticks: int
    hour: int
    sum_mticks: int
    samples: int
    means_mticks: tuple[int, ...]
    usual_mticks: int


def calm() -> Turbulence:
    """Before the first candle."""
    none = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    return Turbulence(0, 0, 0, 0, 0, none, 0)


def true_range(before_close: int, high: int, low: int) -> int:
    """The range of a candle with the gap before it, ticks; without a candle before (0) its own range."""
    if before_close == 0:
        return high - low
    return max(high, before_close) - min(low, before_close)


def measured(seen: Turbulence, closed_ms: int, high: int, low: int, close: int) -> Turbulence:
    """The measure with one candle more, which closed at `closed_ms`."""
    hour = (closed_ms - 1) // _HOUR_MS
    means = seen.means_mticks
    total = seen.sum_mticks
    samples = seen.samples
    usual_mticks = seen.usual_mticks
    if samples > 0 and hour != seen.hour:
        means = means[1:] + (total // samples,)  # noqa: RUF005 - unpacking does not compile
        usual_mticks = median_mticks(means)
        total = 0
        samples = 0
    range_mticks = true_range(seen.close, high, low) * MILLI
    atr_mticks = range_mticks
    if seen.close > 0:
        atr_mticks = seen.atr_mticks + (range_mticks - seen.atr_mticks) // PERIOD
    return Turbulence(close, atr_mticks, hour, total + atr_mticks, samples + 1, means, usual_mticks)


def median_mticks(means: tuple[int, ...]) -> int:
    """The lower median of 24 hourly means, 0 where the oldest is not known."""
    if means[0] == 0:
        return 0
    found = 0
    for mean in means:
        below = 0
        same = 0
        for other in means:
            if other < mean:
                below += 1
            elif other == mean:
                same += 1
        if below < HOURS // 2 <= below + same:
            found = mean
    return found


def is_wide(high: int, low: int, limit_ppm: int) -> bool:
    """Whether the range of one candle exceeds a share of its low; 0 is off."""
    return limit_ppm > 0 and (high - low) * PPM > low * limit_ppm


def is_wild(seen: Turbulence, limit_milli: int) -> bool:
    """Whether the average range exceeds thousandths of its usual value; 0 is off, an unknown usual value too."""
    return seen.usual_mticks > 0 and limit_milli > 0 and seen.atr_mticks * MILLI > seen.usual_mticks * limit_milli
