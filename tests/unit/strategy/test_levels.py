"""Stop and target by price level, percent, average true range or multiple of the stop."""

import numpy as np
import pytest

from trading_engine.strategy.api import FloatArray, Signals
from trading_engine.strategy.levels import NO_LEVELS, Levels, in_ticks, objections, placed

CLOSES = np.array([100.0, 200.0, 100.0])
RANGES = np.array([2.0, 4.0, np.nan])


def said(stop_level: FloatArray | None = None, target_level: FloatArray | None = None) -> Signals:
    """A long, a short and a long, each with its stop 5 and its target 10 away."""
    return Signals(
        side=np.array([1, -1, 1], dtype=np.int8),
        confidence=np.full(3, 0.5),
        stop_distance=np.full(3, 5.0),
        target_distance=np.full(3, 10.0),
        exit_side=np.zeros(3, np.int8),
        explain={},
        tag="test",
        stop_level=stop_level,
        target_level=target_level,
    )


def test_without_levels_nothing_is_touched() -> None:
    """The very same value."""
    signals = said()
    assert signals is placed(signals, CLOSES, None)


@pytest.mark.parametrize(
    ("levels", "stop", "target"),
    [
        (Levels(stop_percent=1), [1, 2, 1], [10, 10, 10]),
        (Levels(target_percent=3), [5, 5, 5], [3, 6, 3]),
        (Levels(target_r=2), [5, 5, 5], [10, 10, 10]),
        (Levels(stop_percent=1, target_r=3), [1, 2, 1], [3, 6, 3]),
        (Levels(stop_atr=1.5), [3, 6, 0], [10, 10, 0]),
        (Levels(stop_atr=1.5, target_r=2), [3, 6, 0], [6, 12, 0]),
        (Levels(stop_percent=1, target_atr=3), [1, 2, 0], [6, 12, 0]),
    ],
)
def test_the_configuration_puts_them_elsewhere(levels: Levels, stop: list[float], target: list[float]) -> None:
    """Where a range is asked for and not known yet there is no entry."""
    made = placed(said(), CLOSES, RANGES, levels)
    assert (stop, target) == (made.stop_distance.tolist(), made.target_distance.tolist())
    enters = [1, -1, 1 if stop[2] else 0]
    assert (enters, [0.5 * abs(side) for side in enters]) == (made.side.tolist(), made.confidence.tolist())


def test_a_strategy_may_name_prices() -> None:
    """Below the close for the stop of a long, above it for that of a short; a row without one has its distance."""
    stop, target = np.array([97.0, 204.0, np.nan]), np.array([108.0, 180.0, np.nan])
    made = placed(said(stop, target), CLOSES, None, NO_LEVELS)
    assert ([3, 4, 5], [8, 20, 10]) == (made.stop_distance.tolist(), made.target_distance.tolist())
    only_stops = placed(said(stop), CLOSES, None)
    assert ([3, 4, 5], [10, 10, 10]) == (only_stops.stop_distance.tolist(), only_stops.target_distance.tolist())
    assert not made.has_levels


def test_a_level_on_the_wrong_side_gives_no_distance() -> None:
    """The entry is refused, and the others are not; a price at the close itself is none either."""
    made = placed(said(np.array([103.0, 190.0, 97.0]), np.array([90.0, 210.0, 110.0])), CLOSES, None)
    assert ([-3, -10, 3], [-10, -10, 10]) == (made.stop_distance.tolist(), made.target_distance.tolist())
    assert [0, 1] == list(objections(made.stop_distance, made.target_distance, 0.1))
    at_close = placed(said(np.full(3, np.nan), CLOSES), CLOSES, None)
    why = objections(at_close.stop_distance, at_close.target_distance, 0.1)
    assert dict.fromkeys(range(3), "target: it does not lie on the winning side of the close") == why


def test_ticks_are_counted_down_and_what_cannot_be_a_distance_is_none() -> None:
    """In single precision as in double: 0.7 / 0.1 is seven."""
    distances = [0.7, 0.799, 0.01, 0.0, -1.0, np.nan, np.inf, 1e18, 1e6]
    expected = [7, 7, 1, 0, 0, 0, 0, 0, 10**7]
    assert expected == in_ticks(np.array(distances), 0.1).tolist()
    assert [1, 7] == in_ticks(np.array([0.11, 0.75], dtype=np.float32), 0.1).tolist()
