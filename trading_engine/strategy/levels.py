"""Where a strategy's stop and target lie: at price levels that it names, or where its configuration puts them instead.

What belongs here: turning levels, percentages and multiples into the distances that a signal carries. What does not:
partial exits, trailing and age (rules.exits), the average true range itself (indicators).
"""

from dataclasses import dataclass, replace

import numpy as np

from trading_engine.strategy.api import FloatArray, Signals


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

    A row whose range is not known makes no entry. A level on the wrong side of the close gives a distance that is not
    above 0, which whoever reads the row refuses.
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


def _distance(distance: FloatArray, level: FloatArray | None, signals: Signals, closes: FloatArray) -> FloatArray:
    """How far a level lies from the close, in the direction of the trade for a target; NaN names no level."""
    if level is None:
        return distance
    against = -1.0 if level is signals.stop_level else 1.0
    return np.where(np.isfinite(level), against * signals.side * (level - closes), distance)
