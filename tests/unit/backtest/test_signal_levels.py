"""The signals of a whole history, as arrays and as the live engine hears them."""

import numpy as np
import pytest
from fakes.backtest_bench import candles, instrument

from trading_engine.backtest.market import make_market
from trading_engine.backtest.signals import speak
from trading_engine.domain.market import Candle
from trading_engine.runtime.brain import Brain
from trading_engine.strategy.builtin.trend_vwap import TrendVwap
from trading_engine.strategy.levels import NO_LEVELS, Levels

MINUTE_MS = 60_000
AAA = "AAAUSDT"


@pytest.mark.parametrize(
    ("period", "levels"),
    [(0, NO_LEVELS), (14, NO_LEVELS), (14, Levels(stop_atr=2, target_r=3)), (14, Levels(target_percent=2))],
)
def test_what_a_signal_carries_is_the_same_over_the_history_and_live(period: int, levels: Levels) -> None:
    """Range, stop and target, from the whole of it or from the trailing window."""
    block = candles(np.random.default_rng(5), AAA, 6_000, 0.001, 0.0)
    market, facts = make_market({AAA: block}, [], MINUTE_MS), {AAA: instrument(AAA)}
    strategies = {AAA: (TrendVwap(volume_filter=False, rsi_high=100.0, shorts=True),)}
    periods = {"trend_vwap": period} if period else {}
    put = {"trend_vwap": levels} if levels != NO_LEVELS else {}
    spoken = speak(market, strategies, facts, periods, put)
    brain = Brain(strategies, facts, MINUTE_MS, {}, periods, put)
    columns = (block.ts, block.open, block.high, block.low, block.close, block.volume)
    heard = {
        ts + MINUTE_MS: signals
        for ts, *values in zip(*(column.tolist() for column in columns), strict=True)
        if (signals := list(brain.signals([Candle(AAA, ts, MINUTE_MS, *values)])))
    }
    expected = spoken.signals(market)
    assert len(expected) > 10
    assert expected.keys() == heard.keys()
    carried = [
        [[(one.atr_mticks, one.stop_ticks, one.target_ticks) for one in signals] for signals in told.values()]
        for told in (expected, heard)
    ]
    assert carried[0] == carried[1]
    assert all((atr > 0) is bool(period) for signals in carried[0] for atr, _, _ in signals)
    if levels.target_r:
        assert all(abs(target - 3 * stop) <= 3 for signals in carried[0] for _, stop, target in signals)
