"""S1 on five candles worked by hand.

Closes 13, 11, 10, 9, 12 with fast 2 and slow 3: the averages are 9.5 under 10 on the fourth candle and
10.5 over 10.33 on the fifth, a cross. RSI(2) there: gains 1.5, losses 0.625, that is 70.588.
"""

from dataclasses import replace

import numpy as np
import pytest

from trading_engine.domain.time import MINUTE_MS
from trading_engine.strategy.api import Series, Signals
from trading_engine.strategy.builtin.trend_vwap import TrendVwap

FIVE = 5 * MINUTE_MS
RULES = TrendVwap(fast=2, slow=3, rsi_period=2, rsi_low=30.0, rsi_high=80.0, volume_period=2, volume_ratio=1.2)
CLOSES = [13.0, 11.0, 10.0, 9.0, 12.0]
VOLUMES = [10.0, 10.0, 10.0, 10.0, 20.0]


def _series(closes: list[float], volumes: list[float]) -> Series:
    column = np.array(closes)
    ts = np.arange(len(closes), dtype=np.int64) * FIVE
    return Series(ts, column, column, column, column, np.array(volumes), FIVE)


def _compute(rules: TrendVwap, closes: list[float] = CLOSES, volumes: list[float] = VOLUMES) -> Signals:
    return rules.compute({FIVE: _series(closes, volumes)})


def test_a_cross_with_everything_behind_it_is_a_long() -> None:
    """Only on the candle of the cross; stop 1 % and target 3 % of the close of 12."""
    signals = _compute(RULES)
    assert [0, 0, 0, 0, 1] == signals.side.tolist()
    np.testing.assert_allclose([0, 0, 0, 0, 0.12], signals.stop_distance)
    np.testing.assert_allclose([0, 0, 0, 0, 0.36], signals.target_distance)
    assert [0] * 5 == signals.exit_side.tolist()
    assert "cross" == signals.tag


def test_confidence_is_the_mean_of_the_margins_by_hand() -> None:
    """Cross 0.1667 / 0.12 and VWAP 0.83 / 0.12 count as 1, RSI is 0.376 into the band, volume 0.11 above."""
    signals = _compute(RULES)
    rsi = 100 - 100 / (1 + 1.5 / 0.625)
    expected = (1 + 1 + (80 - rsi) / 25 + (20 / 18 - 1)) / 4
    assert expected == pytest.approx(signals.confidence[-1])
    assert [0.0] * 4 == signals.confidence[:4].tolist()
    without_volume = _compute(replace(RULES, volume_filter=False))
    assert (1 + 1 + (80 - rsi) / 25) / 3 == pytest.approx(without_volume.confidence[-1])


def test_the_values_that_explain_it_are_there() -> None:
    """VWAP: (13 + 11 + 10 + 9) × 10 + 12 × 20 over 60."""
    last = {name: float(values[-1]) for name, values in _compute(RULES).explain.items()}
    expected = {"close": 12, "sma_fast": 10.5, "sma_slow": 31 / 3, "vwap": 670 / 60, "rsi": 1200 / 17}
    assert {**expected, "volume": 20, "volume_mean": 15} == pytest.approx(last)


@pytest.mark.parametrize(
    ("rules", "closes", "volumes"),
    [
        pytest.param(RULES, [13.0, 11.0, 10.0, 9.0, 9.5], VOLUMES, id="no cross"),
        pytest.param(RULES, CLOSES, [1000.0, 10.0, 10.0, 10.0, 20.0], id="below the VWAP"),
        pytest.param(replace(RULES, rsi_high=70.0), CLOSES, VOLUMES, id="RSI too high"),
        pytest.param(replace(RULES, rsi_low=71.0), CLOSES, VOLUMES, id="RSI too low"),
        pytest.param(replace(RULES, volume_ratio=1.34), CLOSES, VOLUMES, id="volume too thin"),
        pytest.param(RULES, CLOSES, [0.0] * 5, id="no volume at all"),
        pytest.param(RULES, [13.0, float("nan"), 10.0, 9.0, 12.0], VOLUMES, id="a hole in the data"),
    ],
)
def test_one_missing_condition_is_no_signal(rules: TrendVwap, closes: list[float], volumes: list[float]) -> None:
    """Each case differs from the signal above by one condition."""
    signals = _compute(rules, closes, volumes)
    assert not signals.side.any()
    assert not signals.confidence.any()


def test_the_volume_filter_can_be_off() -> None:
    """Thin volume matters no more."""
    rules = replace(RULES, volume_ratio=1.34, volume_filter=False)
    assert 1 == _compute(rules).side[-1]


def test_volume_at_the_threshold_is_enough() -> None:
    """At least 4/3 of the mean: 20 against a mean of 15."""
    assert 1 == _compute(replace(RULES, volume_ratio=4 / 3)).side[-1]


def test_the_mirror_image_is_a_short_only_where_shorts_are_on() -> None:
    """Prices mirrored at 12.5 and the band mirrored at 50 give the same confidence on the other side."""
    mirrored = [25 - close for close in CLOSES]
    assert not _compute(RULES, mirrored).side.any()
    signals = _compute(replace(RULES, shorts=True, stop_pct=1.2, target_pct=0.0), mirrored)
    long = _compute(replace(RULES, stop_pct=1.3))
    assert [0, 0, 0, 0, -1] == signals.side.tolist()
    assert 13 * 0.012 == pytest.approx(signals.stop_distance[-1])
    assert long.stop_distance[-1] == pytest.approx(signals.stop_distance[-1])
    assert long.confidence[-1] == pytest.approx(signals.confidence[-1])
    assert 0.0 == signals.target_distance[-1], "a target of 0 percent is no target"


def test_the_early_exit_closes_a_long_when_the_averages_cross_back() -> None:
    """Equal averages (9 and 9 at a close of 6) are not yet a cross; 5.5 under 7.67 is. Off by default."""
    closes, volumes = [*CLOSES, 6.0, 5.0], [*VOLUMES, 10.0, 10.0]
    assert not _compute(RULES, closes, volumes).exit_side.any()
    signals = _compute(replace(RULES, early_exit_on_cross=True), closes, volumes)
    assert [0, 0, 0, 0, 0, 0, 1] == signals.exit_side.tolist()
    assert [0, 0, 0, 0, 1, 0, 0] == signals.side.tolist()


def test_the_early_exit_of_a_short_is_the_cross_above() -> None:
    """With shorts on, the candle that opens a long also closes a short."""
    signals = _compute(replace(RULES, early_exit_on_cross=True, shorts=True))
    assert [0, 0, 0, 0, -1] == signals.exit_side.tolist()
    assert [0, 0, 0, 0, 1] == signals.side.tolist()


def test_the_window_holds_a_day_and_what_rsi_remembers() -> None:
    """388 candles for RSI(14) exceed the 289 of a UTC day; a short RSI leaves the day."""
    assert {FIVE: 388} == TrendVwap().intervals
    assert 388 == TrendVwap().warm_up
    assert {FIVE: 289} == TrendVwap(rsi_period=5).intervals
    assert {FIVE: 501} == TrendVwap(slow=500).intervals
