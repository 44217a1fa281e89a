"""S2: an explosive 1-minute breakout in the direction of the 5-minute trend.

What belongs here: the conditions and settings of this strategy. What does not: the indicators.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trading_engine.domain.time import MINUTE_MS
from trading_engine.strategy import indicators as ta
from trading_engine.strategy.api import BoolArray, FloatArray, IntArray, Series, Signals, mean_margin
from trading_engine.strategy.settings import bounded, check_fields, raise_all
from trading_engine.strategy.timeframes import as_of, pick

_TREND_MS = 5 * MINUTE_MS


@dataclass(frozen=True, slots=True)
class MultiTimeframeLong:
    """Long on a forceful 1-minute breakout while the 5-minute trend is up.

    The closed 1-minute candle has

    - a range (high − low) of at least `range_atr` × ATR(atr_period), the candle itself included,
    - a body (close − open) of at least `body_share` of the range,
    - a close above the highest high of the `breakout_bars` candles before it,
    - a volume of at least `volume_ratio` × its mean of `volume_period` candles, the candle itself included,

    and of the last 5-minute candle closed by then

    - the close is above its SMA(trend_slow),
    - SMA(trend_fast) is above SMA(trend_slow).

    Stop and target lie `stop_atr` and `target_atr` × ATR from the close (target 0: none).

    Confidence is the mean of these margins, each clipped to [0, 1]:

    - range: range / (range_atr × ATR) − 1
    - body: (body / range − body_share) / (1 − body_share); 1 where body_share is 1
    - breakout: distance between close and highest high, in ATR
    - volume: volume / (volume_ratio × mean) − 1
    - trend close and trend averages: each distance above SMA(trend_slow), in stop distances
    """

    name: ClassVar[str] = "multi_timeframe_long"
    primary_interval_ms: ClassVar[int] = MINUTE_MS

    atr_period: int = bounded(14, 2, 500)
    range_atr: float = bounded(1.5, 0.01, 100.0)
    body_share: float = bounded(0.6, 0.01, 1.0)
    breakout_bars: int = bounded(20, 2, 2_000)
    volume_period: int = bounded(20, 2, 2_000)
    volume_ratio: float = bounded(2.0, 0.01, 100.0)
    trend_fast: int = bounded(20, 2, 1_000)
    trend_slow: int = bounded(50, 3, 2_000)
    stop_atr: float = bounded(3.0, 0.1, 100.0)
    target_atr: float = bounded(12.0, 0.0, 1_000.0)

    def __post_init__(self) -> None:
        """Check every setting, then what must hold between them; ConfigInvalid."""
        check_fields(self, self.name)
        if self.trend_fast >= self.trend_slow:
            wrong = f"{self.name}.trend_fast = {self.trend_fast} is not below trend_slow = {self.trend_slow}"
            raise_all([wrong])

    @property
    def intervals(self) -> Mapping[int, int]:
        """Enough 1-minute candles for ATR to forget its start, and the slow average of the trend."""
        window = max(ta.wilder_window(self.atr_period), self.breakout_bars + 1, self.volume_period)
        return {MINUTE_MS: window, _TREND_MS: self.trend_slow}

    @property
    def warm_up(self) -> int:
        """Enough 1-minute candles to fill both windows, whatever minute the history begins at."""
        windows = self.intervals
        return max(windows[MINUTE_MS], (windows[_TREND_MS] + 1) * _TREND_MS // MINUTE_MS)

    def is_silent(self, market: Mapping[int, Series]) -> bool:
        """Most candles do not even reach the high that they would have to break."""
        candles = market[MINUTE_MS]
        highs = candles.high[-1 - self.breakout_bars : -1]
        return len(highs) < self.breakout_bars or bool(candles.close[-1] <= highs.max())

    def compute(self, market: Mapping[int, Series]) -> Signals:
        """Signals for every 1-minute candle."""
        candles = market[MINUTE_MS]
        trend = market[_TREND_MS]
        values = {
            "close": candles.close,
            "range": candles.high - candles.low,
            "body": candles.close - candles.open,
            "atr": ta.atr(candles, self.atr_period),
            "highest": ta.previous(ta.highest(candles.high, self.breakout_bars)),
            "volume": candles.volume,
            "volume_mean": ta.sma(candles.volume, self.volume_period),
        }
        seen = as_of(trend, candles.close_times)
        values["trend_close"] = pick(trend.close, seen)
        values["trend_fast"] = pick(ta.sma(trend.close, self.trend_fast), seen)
        values["trend_slow"] = pick(ta.sma(trend.close, self.trend_slow), seen)
        side = (self._is_explosive(values) & _is_up(values)).astype(np.int8)
        rows = np.flatnonzero(side)
        confidence, stop, target = np.zeros((3, len(candles)))
        stop[rows] = self.stop_atr * values["atr"][rows]
        target[rows] = self.target_atr * values["atr"][rows]
        if len(rows):
            confidence[rows] = self._confidence(rows, stop[rows], values)
        return Signals(side, confidence, stop, target, np.zeros_like(side), values, "breakout")

    def _is_explosive(self, values: Mapping[str, FloatArray]) -> BoolArray:
        return (
            ta.greater(values["close"], values["highest"])
            & ta.at_least(values["range"], self.range_atr * values["atr"])
            & ta.at_least(values["body"], self.body_share * values["range"])
            & ta.at_least(values["volume"], self.volume_ratio * values["volume_mean"])
            & (values["volume"] > 0)
        )

    def _confidence(self, rows: IntArray, stop: FloatArray, values: Mapping[str, FloatArray]) -> FloatArray:
        at = {name: column[rows] for name, column in values.items()}
        body_share = at["body"] / at["range"]
        room = 1 - self.body_share
        return mean_margin(
            at["range"] / (self.range_atr * at["atr"]) - 1,
            (body_share - self.body_share) / room if room > 0 else np.ones(len(rows)),
            (at["close"] - at["highest"]) / at["atr"],
            at["volume"] / (self.volume_ratio * at["volume_mean"]) - 1,
            (at["trend_close"] - at["trend_slow"]) / stop,
            (at["trend_fast"] - at["trend_slow"]) / stop,
        )


def _is_up(values: Mapping[str, FloatArray]) -> BoolArray:
    slow = values["trend_slow"]
    return ta.greater(values["trend_close"], slow) & ta.greater(values["trend_fast"], slow)
