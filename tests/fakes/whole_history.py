"""A strategy asked once about a whole history, as the backtest asks it, for one symbol and without its tables.

What belongs here: that one answer. What does not: any expectation.
"""

from dataclasses import replace

import numpy as np

from trading_engine.strategy.api import Series, Signals, Strategy
from trading_engine.strategy.evaluate import asked_rows
from trading_engine.strategy.timeframes import resample


def whole_history(strategy: Strategy, base: Series) -> Signals:
    """The signals on every primary candle of a history of base candles; silent where the live engine would not ask."""
    market = {interval_ms: resample(base, interval_ms) for interval_ms in strategy.intervals}
    said = strategy.compute(market)
    asked = asked_rows(strategy, base, market[strategy.primary_interval_ms])
    names = ("side", "confidence", "stop_distance", "target_distance", "exit_side")
    return replace(said, **{name: np.where(asked, getattr(said, name), 0) for name in names})
