"""The signals of a whole history, as arrays and as the live engine hears them."""

import numpy as np
import pytest
from fakes.backtest_bench import candles, instrument

from trading_engine.backtest.market import make_market
from trading_engine.backtest.signals import speak
from trading_engine.domain.market import Candle
from trading_engine.runtime.brain import Brain
from trading_engine.strategy.builtin.trend_vwap import TrendVwap

MINUTE_MS = 60_000
AAA = "AAAUSDT"


@pytest.mark.parametrize("period", [0, 14])
def test_the_range_at_a_signal_is_the_same_over_the_history_and_live(period: int) -> None:
    """Thousandths of a tick, from the whole of it or from the trailing window."""
    block = candles(np.random.default_rng(5), AAA, 6_000, 0.001, 0.0)
    market, facts = make_market({AAA: block}, [], MINUTE_MS), {AAA: instrument(AAA)}
    strategies = {AAA: (TrendVwap(volume_filter=False, rsi_high=100.0, shorts=True),)}
    periods = {"trend_vwap": period} if period else {}
    spoken = speak(market, strategies, facts, periods)
    brain = Brain(strategies, facts, MINUTE_MS, {}, periods)
    columns = (block.ts, block.open, block.high, block.low, block.close, block.volume)
    heard = {
        ts + MINUTE_MS: signals
        for ts, *values in zip(*(column.tolist() for column in columns), strict=True)
        if (signals := list(brain.signals([Candle(AAA, ts, MINUTE_MS, *values)])))
    }
    expected = spoken.signals(market)
    assert len(expected) > 10
    assert expected.keys() == heard.keys()
    ranges = [[signal.atr_mticks for signal in signals] for signals in expected.values()]
    assert ranges == [[signal.atr_mticks for signal in signals] for signals in heard.values()]
    assert all((value > 0) is bool(period) for values in ranges for value in values)
