"""Where a strategy's stop and target lie: at price levels that it names, or where its configuration puts them instead.

What belongs here: turning levels, percentages and multiples into the distances that a signal carries, in prices and in
ticks, and what keeps an entry from having them. What does not: partial exits, trailing and age (rules.exits), the
average true range itself (indicators).
"""

from dataclasses import dataclass, replace

import numpy as np

from trading_engine.strategy.api import BoolArray, FloatArray, IntArray, Signals
from trading_engine.strategy.indicators import TOLERANCE

MOST_TICKS = 10**10  # the highest price that the rules count with; what lies farther away is never reached


@dataclass(frozen=True, slots=True)
class Levels:
    """Distances in place of a strategy's own; 0 leaves them as they are.

    …_percent   of the close        …_atr   average true ranges        target_r   stop distances
    """

    stop_percent: float = 0.0
    stop_atr: float = 0.0
    target_percent: float = 0.0
    target_atr: float = 0.0
    target_r: float = 0.0

    @property
    def asks_atr(self) -> bool:
        """An average true range is needed."""
        return bool(self.stop_atr or self.target_atr)


NO_LEVELS = Levels()


def placed(signals: Signals, closes: FloatArray, ranges: FloatArray | None, levels: Levels = NO_LEVELS) -> Signals:
    """The signals with the distances that their levels, or the configuration's, give; rows without an entry stay.

    ranges   average true range of each row, where `levels` asks for it; NaN where it is not known yet

    A row whose range is not known makes no entry. A stop level that is not on its side of the close gives a distance
    that is not above 0, such a target level a negative one, or NaN at the close itself, as 0 means none; `objections`
    has something against such an entry.
    """
    if not signals.has_levels and levels == NO_LEVELS:
        return signals
    enters = signals.side != 0
    stop = _distance(signals.stop_distance, signals.stop_level, signals, closes)
    target = _distance(signals.target_distance, signals.target_level, signals, closes)
    if levels.asks_atr and ranges is not None:
        enters &= np.isfinite(ranges)
        stop = levels.stop_atr * ranges if levels.stop_atr else stop
        target = levels.target_atr * ranges if levels.target_atr else target
    stop = closes * (levels.stop_percent / 100) if levels.stop_percent else stop
    target = closes * (levels.target_percent / 100) if levels.target_percent else target
    target = levels.target_r * stop if levels.target_r else target
    return replace(
        signals,
        side=np.where(enters, signals.side, np.int8(0)),
        confidence=np.where(enters, signals.confidence, 0.0),
        stop_distance=np.where(enters, stop, 0.0),
        target_distance=np.where(enters, target, 0.0),
        stop_level=None,
        target_level=None,
    )


def objections(stop: FloatArray, target: FloatArray, tick: float) -> dict[int, str]:
    """What keeps entries from being made, by row: distances, in price units, that are not those of a stop and a target.

    A level depends on the market: a swing low can lie above the close. So only the one entry is given up.
    """
    found: dict[int, str] = {}
    for row in np.flatnonzero(~fits(stop, target, tick)).tolist():
        found[row] = _objection(float(stop[row]), float(target[row]), tick)
    return found


def fits(stop: FloatArray, target: FloatArray, tick: float) -> BoolArray:
    """The rows that a stop and a target can be made of: a stop above 0, a target of 0 or more, neither beyond reach."""
    most = MOST_TICKS * tick
    found: BoolArray = (stop > 0) & (stop <= most) & (target >= 0) & (target <= most)
    return found


def in_ticks(distances: FloatArray, tick: float) -> IntArray:
    """Distances that fit in whole ticks, rounded down, at least one where there is a distance; 0 for any other."""
    known = np.where((distances > 0) & (distances <= MOST_TICKS * tick), distances, 0.0).astype(np.float64)
    # A hair more than the quotient: 3 ticks must not become 2 for a rounding error of a float.
    ticks = np.floor(known / tick * (1 + TOLERANCE))
    return np.where(known > 0, np.maximum(ticks, 1.0), 0.0).astype(np.int64)


def _objection(stop: float, target: float, tick: float) -> str:
    most = MOST_TICKS * tick
    if not stop > 0:
        return "stop: it does not lie on the losing side of the close"
    if stop > most:
        return f"stop: it lies more than {MOST_TICKS:,} ticks from the close"
    if target > most:
        return f"target: it lies more than {MOST_TICKS:,} ticks from the close; a distance of 0 is none"
    return "target: it does not lie on the winning side of the close"


def _distance(distance: FloatArray, level: FloatArray | None, signals: Signals, closes: FloatArray) -> FloatArray:
    """How far a level lies from the close, in the direction of the trade for a target; NaN names no level."""
    if level is None:
        return distance
    if level is signals.stop_level:
        return np.where(np.isfinite(level), signals.side * (closes - level), distance)
    away = signals.side * (level - closes)
    return np.where(np.isfinite(level), np.where(away == 0, np.nan, away), distance)
