"""S3 on a constructed breakdown and on near misses that each lack one condition.

400 quiet minutes at 100 with wicks of 0.1 and volume 10; the last one falls from 100 to 97 on volume 100.
"""

import numpy as np
import pytest

from trading_engine.domain.time import MINUTE_MS
from trading_engine.strategy.api import FloatArray, Series, Signals
from trading_engine.strategy.builtin.trend_distance_short import TrendDistanceShort

RULES = TrendDistanceShort()
COUNT = 401


def _breakdown(**last: float) -> dict[str, FloatArray]:
    columns = {name: np.full(COUNT, 100.0) for name in ("open", "close")}
    columns |= {"high": np.full(COUNT, 100.1), "low": np.full(COUNT, 99.9), "volume": np.full(COUNT, 10.0)}
    for name, value in ({"high": 100.1, "low": 96.9, "close": 97.0, "volume": 100.0} | last).items():
        columns[name][-1] = value
    return columns


def _series(columns: dict[str, FloatArray]) -> Series:
    return Series(np.arange(COUNT, dtype=np.int64) * MINUTE_MS, **columns, interval_ms=MINUTE_MS)


def _compute(columns: dict[str, FloatArray], rules: TrendDistanceShort = RULES) -> Signals:
    return rules.compute({MINUTE_MS: _series(columns)})


def test_a_breakdown_far_below_the_averages_is_a_short() -> None:
    """One signal on the last candle: ATR is (13 × 0.2 + 3.2) / 14; the stop 3, the target 15 of it."""
    signals = _compute(_breakdown())
    assert [COUNT - 1] == np.flatnonzero(signals.side).tolist()
    assert -1 == signals.side[-1]
    atr = (13 * 0.2 + 3.2) / 14
    assert 3 * atr == pytest.approx(signals.stop_distance[-1])
    assert 15 * atr == pytest.approx(signals.target_distance[-1])
    assert 0 == np.abs(signals.exit_side).max()


def test_confidence_is_the_mean_of_the_margins() -> None:
    """2.94 of the 1.9988 below SMA(50) that are asked for, a body of 3 in a range of 3.2; the others are full."""
    distance = 2.94 / (0.02 * 99.94) - 1
    body = (3 / 3.2 - 0.6) / 0.4
    assert (1 + distance + 1 + body + 1 + 1) / 6 == pytest.approx(_compute(_breakdown()).confidence[-1])


def _above_the_slow_average() -> dict[str, FloatArray]:
    columns = _breakdown()
    for name in ("open", "close", "high", "low"):
        columns[name][:340] -= 10.0
    return columns


def _already_that_low() -> dict[str, FloatArray]:
    columns = _breakdown()
    columns["low"][-10] = 96.0
    return columns


def _wild() -> dict[str, FloatArray]:
    columns = _breakdown()
    columns["high"][:-1] = 105.0
    return columns


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param(_breakdown(close=98.2, low=98.1), id="less than 2 % below SMA(50)"),
        pytest.param(_above_the_slow_average(), id="above SMA(200)"),
        pytest.param(_wild(), id="range below 1.5 ATR"),
        pytest.param(_breakdown(low=94.9), id="body below 60 % of the range"),
        pytest.param(_breakdown(open=96.0, low=95.9), id="rising body"),
        pytest.param(_already_that_low(), id="no new low"),
        pytest.param(_breakdown(volume=20.0), id="volume below twice its mean"),
    ],
)
def test_a_near_miss_is_no_signal(columns: dict[str, FloatArray]) -> None:
    """Each lacks one condition."""
    assert not _compute(columns).side.any()


def test_a_target_of_zero_is_none() -> None:
    """The position is left to its stop and its trailing."""
    assert 0 == _compute(_breakdown(), TrendDistanceShort(target_atr=0)).target_distance[-1]


def test_the_cheap_look_is_silent_unless_a_low_is_broken() -> None:
    """It says nothing about the breakdown itself, and passes over a candle that closes above the lows."""
    assert not RULES.is_silent({MINUTE_MS: _series(_breakdown())})
    assert RULES.is_silent({MINUTE_MS: _series(_breakdown(close=99.95))})
    assert RULES.is_silent({MINUTE_MS: _series(_breakdown()).tail(20)})
