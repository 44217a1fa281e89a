"""S5 against the same rules spelled out candle by candle, on a generated walk."""

import numpy as np
import pytest

from trading_engine.domain.time import MINUTE_MS
from trading_engine.strategy import indicators as ta
from trading_engine.strategy.api import FloatArray, Series
from trading_engine.strategy.builtin.momentum import Momentum

QUARTER = 15 * MINUTE_MS
RULES = Momentum(trend_period=50)


def _walk(seed: int = 3, count: int = 1_500) -> Series:
    random = np.random.default_rng(seed)
    closes = 100 * np.exp(np.cumsum(random.normal(0, 0.004, count) + np.repeat(random.normal(0, 0.001, 15), 100)))
    opens = np.concatenate((closes[:1], closes[:-1]))
    highs = np.maximum(opens, closes) * 1.001
    lows = np.minimum(opens, closes) * 0.999
    return Series(np.arange(count, dtype=np.int64) * QUARTER, opens, highs, lows, closes, np.ones(count), QUARTER)


def _ema(values: list[float], period: int) -> list[float]:
    """Begun with the first value, which 1,000 candles later has no weight."""
    smoothed = [values[0]]
    for value in values[1:]:
        smoothed.append(smoothed[-1] + 2 / (period + 1) * (value - smoothed[-1]))
    return smoothed


def _expected(series: Series, rules: Momentum) -> dict[int, int]:
    """Row → side by the rules, from row 1,000 on."""
    closes = series.close.tolist()
    fast, slow, trend = (_ema(closes, period) for period in (rules.fast, rules.slow, rules.trend_period))
    lines = [one - other for one, other in zip(fast, slow, strict=True)]
    smoothed = _ema(lines, rules.signal)
    strength = ta.adx(series, rules.adx_period)
    found = {}
    for row in range(1_000, len(closes)):
        now, before = lines[row] - smoothed[row], lines[row - 1] - smoothed[row - 1]
        if strength[row] > rules.adx_least and now > 0 >= before and closes[row] > trend[row]:
            found[row] = 1
        if strength[row] > rules.adx_least and now < 0 <= before and closes[row] < trend[row]:
            found[row] = -1
    return found


@pytest.mark.parametrize("seed", [3, 4])
def test_signals_are_those_of_the_rules(seed: int) -> None:
    """Same rows, same sides, of both kinds; without `shorts` the longs remain."""
    series = _walk(seed)
    expected = _expected(series, RULES)
    assert {1, -1} == set(expected.values())
    side = RULES.compute({QUARTER: series}).side
    assert expected == {row: int(side[row]) for row in np.flatnonzero(side).tolist() if row >= 1_000}
    longs = Momentum(trend_period=50, shorts=False).compute({QUARTER: series}).side
    np.testing.assert_array_equal(np.maximum(side, 0), longs)


def test_distances_and_confidence_follow_from_the_values() -> None:
    """2 and 4 ATR; the mean of the margins of cross, ADX and trend."""
    signals = RULES.compute({QUARTER: _walk()})
    for row in np.flatnonzero(signals.side)[-10:].tolist():
        at = {name: float(column[row]) for name, column in signals.explain.items()}
        sign = int(signals.side[row])
        assert 2 * at["atr"] == pytest.approx(signals.stop_distance[row])
        assert 4 * at["atr"] == pytest.approx(signals.target_distance[row])
        margins = [
            sign * (at["macd"] - at["macd_signal"]) / at["atr"],
            at["adx"] / 20 - 1,
            sign * (at["close"] - at["ema"]) / (2 * at["atr"]),
        ]
        assert np.mean([min(margin, 1.0) for margin in margins]) == pytest.approx(signals.confidence[row])


def test_a_flat_market_says_nothing() -> None:
    """Lines that differ by rounding noise alone do not cross."""
    closes: FloatArray = np.full(700, 61_234.5) * (1 + 1e-15 * np.sin(np.arange(700)))
    series = Series(np.arange(700, dtype=np.int64) * QUARTER, *(closes,) * 4, np.ones(700), QUARTER)
    assert not Momentum(adx_least=0, trend_period=50).compute({QUARTER: series}).side.any()
