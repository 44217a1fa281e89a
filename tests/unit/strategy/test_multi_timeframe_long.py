"""S2 on a constructed breakout and on near misses that each lack one condition.

400 quiet minutes rise by 0.01 each with wicks of 0.01 and volume 10; the last one runs from P to P + 0.5.
"""

from dataclasses import replace

import numpy as np
import pytest

from trading_engine.domain.time import MINUTE_MS
from trading_engine.strategy.api import FloatArray, Series, Signals
from trading_engine.strategy.builtin.multi_timeframe_long import MultiTimeframeLong

FIVE = 5 * MINUTE_MS
RULES = MultiTimeframeLong()
START = 100.0
COUNT = 401
OPEN = START + (COUNT - 1) * 0.01  # P, the open of the last minute


def _quiet() -> dict[str, FloatArray]:
    opens = START + np.arange(COUNT) * 0.01
    closes = opens + 0.01
    columns = {"open": opens, "high": closes + 0.01, "low": opens - 0.01, "close": closes}
    return {**columns, "volume": np.full(COUNT, 10.0)}


def _breakout(**last: float) -> dict[str, FloatArray]:
    """The last minute: range 0.54, body 0.5, volume 100 unless given otherwise."""
    columns = _quiet()
    shape = {"high": OPEN + 0.52, "low": OPEN - 0.02, "close": OPEN + 0.5, "volume": 100.0} | last
    for name, value in shape.items():
        columns[name][-1] = value
    return columns


def _trend(closes: FloatArray, end_minute: int = COUNT) -> Series:
    """5-minute candles of which the last one closes at `end_minute`."""
    ts = (end_minute - 5 * np.arange(len(closes), 0, -1)) * MINUTE_MS
    return Series(ts, closes, closes, closes, closes, closes, FIVE)


UP = np.linspace(95.0, 104.0, 60)


def _compute(columns: dict[str, FloatArray], trend: Series, rules: MultiTimeframeLong = RULES) -> Signals:
    ts = np.arange(COUNT, dtype=np.int64) * MINUTE_MS
    return rules.compute({MINUTE_MS: Series(ts, **columns, interval_ms=MINUTE_MS), FIVE: trend})


def _last_atr() -> float:
    """Wilder: every true range before the last is 0.03, the last is 0.54."""
    return (13 * 0.03 + 0.54) / 14


def test_an_explosive_breakout_in_an_up_trend_is_a_long() -> None:
    """Only on that minute, with a stop of 3 and a target of 12 ATR."""
    signals = _compute(_breakout(), _trend(UP))
    assert [COUNT - 1] == np.flatnonzero(signals.side).tolist()
    assert 1 == signals.side[-1]
    assert 3 * _last_atr() == pytest.approx(signals.stop_distance[-1])
    assert 12 * _last_atr() == pytest.approx(signals.target_distance[-1])
    assert not signals.exit_side.any()
    assert "breakout" == signals.tag


def test_confidence_is_the_mean_of_the_margins_by_hand() -> None:
    """Range, breakout, volume and the trend's close saturate; the body is 0.5 / 0.54 of the range."""
    trend = _trend(UP)
    signals = _compute(_breakout(), trend)
    body = (0.5 / 0.54 - 0.6) / 0.4
    assert (5 + body) / 6 == pytest.approx(signals.confidence[-1])
    whole_body = _compute(_breakout(low=OPEN, high=OPEN + 0.5), trend, replace(RULES, body_share=1.0))
    assert pytest.approx(1.0) == whole_body.confidence[-1]


def test_a_weak_margin_is_measured_not_only_passed() -> None:
    """Volume 22 against 2 × 10.6 is 0.0377 above its threshold."""
    signals = _compute(_breakout(volume=22.0), _trend(UP))
    body = (0.5 / 0.54 - 0.6) / 0.4
    assert (4 + body + (22 / 21.2 - 1)) / 6 == pytest.approx(signals.confidence[-1])


def _earlier_high() -> dict[str, FloatArray]:
    columns = _breakout()
    columns["high"][-21] = OPEN + 0.51
    return columns


def _hole() -> dict[str, FloatArray]:
    columns = _breakout()
    columns["volume"][-5] = np.nan
    return columns


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param(_quiet(), id="a quiet minute"),
        pytest.param(
            _breakout(high=OPEN + 0.02, low=OPEN, close=OPEN + 0.02),
            id="range below 1.5 ATR, else a breakout",
        ),
        pytest.param(_breakout(low=OPEN - 0.4), id="body below 60 % of the range"),
        pytest.param(_earlier_high(), id="a higher high 20 bars before"),
        pytest.param(_breakout(volume=21.0), id="volume below twice its mean of 10.55"),
        pytest.param(_breakout(close=OPEN - 0.5, low=OPEN - 0.52, high=OPEN + 0.02), id="the wrong way"),
        pytest.param(_hole(), id="a hole in the data"),
    ],
)
def test_a_minute_that_misses_one_condition_is_no_signal(columns: dict[str, FloatArray]) -> None:
    """Each case is the breakout with one thing changed, in the same trend."""
    assert not _compute(columns, _trend(UP)).side.any()


def _last(closes: FloatArray, value: float) -> FloatArray:
    return np.append(closes[1:], value)


@pytest.mark.parametrize(
    "closes",
    [
        pytest.param(UP[::-1], id="down"),
        pytest.param(_last(UP, 50.0), id="close below the slow average, fast above it"),
        pytest.param(_last(UP[::-1], 104.0), id="fast below the slow average, close above it"),
        pytest.param(UP[-49:], id="too short for the slow average"),
        pytest.param(np.full(60, 100.0), id="flat"),
        pytest.param(np.empty(0), id="none"),
    ],
)
def test_a_trend_that_misses_one_condition_is_no_signal(closes: FloatArray) -> None:
    """The same breakout is left alone without the trend."""
    assert not _compute(_breakout(), _trend(closes)).side.any()


def test_a_trend_candle_counts_from_its_close_on() -> None:
    """A last 5-minute candle that ends the trend is not seen while it forms, and is once it has closed."""
    closes = _last(UP, 50.0)
    assert 1 == _compute(_breakout(), _trend(closes, COUNT + 1)).side[-1]
    assert 0 == _compute(_breakout(), _trend(closes, COUNT)).side[-1]


def test_a_high_that_has_left_the_20_bars_no_longer_counts() -> None:
    """The 21st bar before the breakout may have been higher."""
    columns = _breakout()
    columns["high"][-22] = OPEN + 0.51
    assert 1 == _compute(columns, _trend(UP)).side[-1]


def test_a_target_of_zero_is_no_target() -> None:
    """The stop stays."""
    signals = _compute(_breakout(), _trend(UP), replace(RULES, target_atr=0.0))
    assert 0.0 == signals.target_distance[-1]
    assert signals.stop_distance[-1] > 0


def test_the_windows_follow_the_settings() -> None:
    """388 minutes for ATR(14), 50 trend candles; a long trend average lengthens the warm-up."""
    assert {MINUTE_MS: 388, FIVE: 50} == RULES.intervals
    assert 388 == RULES.warm_up
    assert 1_005 == replace(RULES, trend_slow=200).warm_up
    assert 601 == replace(RULES, breakout_bars=600).intervals[MINUTE_MS]
