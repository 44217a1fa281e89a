"""S3: an explosive 1-minute breakdown of a price that has already left its averages behind.

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


@dataclass(frozen=True, slots=True)
class TrendDistanceShort:
    """Short on a forceful 1-minute breakdown far below the averages.

    The closed 1-minute candle has

    - a close below SMA(fast) and below SMA(slow),
    - a close at least `distance_pct` percent of SMA(fast) away from it,
    - a range (high − low) of at least `range_atr` × ATR(atr_period), the candle itself included,
    - a falling body (open − close) of at least `body_share` of the range,
    - a close below the lowest low of the `breakout_bars` candles before it,
    - a volume of at least `volume_ratio` × its mean of `volume_period` candles, the candle itself included.

    Stop and target lie `stop_atr` and `target_atr` × ATR from the close (target 0: none).

    Confidence is the mean of these margins, each clipped to [0, 1]:

    - trend: distance of the close below SMA(slow), in stop distances
    - distance: distance below SMA(fast) / the distance asked for − 1
    - range: range / (range_atr × ATR) − 1
    - body: (body / range − body_share) / (1 − body_share); 1 where body_share is 1
    - breakdown: distance between lowest low and close, in ATR
    - volume: volume / (volume_ratio × mean) − 1
    """

    name: ClassVar[str] = "trend_distance_short"
    primary_interval_ms: ClassVar[int] = MINUTE_MS

    fast: int = bounded(50, 2, 2_000)
    slow: int = bounded(200, 3, 5_000)
    distance_pct: float = bounded(2.0, 0.01, 50.0)
    atr_period: int = bounded(14, 2, 500)
    range_atr: float = bounded(1.5, 0.01, 100.0)
    body_share: float = bounded(0.6, 0.01, 1.0)
    breakout_bars: int = bounded(20, 2, 2_000)
    volume_period: int = bounded(20, 2, 2_000)
    volume_ratio: float = bounded(2.0, 0.01, 100.0)
    stop_atr: float = bounded(3.0, 0.1, 100.0)
    target_atr: float = bounded(15.0, 0.0, 1_000.0)

    def __post_init__(self) -> None:
        """Check every setting, then what must hold between them; ConfigInvalid."""
        check_fields(self, self.name)
        if self.fast >= self.slow:
            raise_all([f"{self.name}.fast = {self.fast} is not below slow = {self.slow}"])

    @property
    def intervals(self) -> Mapping[int, int]:
        """Enough candles for ATR to forget its start, and for the slow average."""
        return {
            MINUTE_MS: max(ta.wilder_window(self.atr_period), self.slow, self.breakout_bars + 1, self.volume_period)
        }

    @property
    def warm_up(self) -> int:
        """As many candles as the window, so that a first signal is the one the whole history gives."""
        return self.intervals[MINUTE_MS]

    def is_silent(self, market: Mapping[int, Series]) -> bool:
        """Most candles do not even reach the low that they would have to break."""
        candles = market[MINUTE_MS]
        lows = candles.low[-1 - self.breakout_bars : -1]
        return len(lows) < self.breakout_bars or bool(candles.close[-1] >= lows.min())

    def compute(self, market: Mapping[int, Series]) -> Signals:
        """Signals for every 1-minute candle."""
        candles = market[MINUTE_MS]
        values = {
            "close": candles.close,
            "sma_fast": ta.sma(candles.close, self.fast),
            "sma_slow": ta.sma(candles.close, self.slow),
            "range": candles.high - candles.low,
            "body": candles.open - candles.close,
            "atr": ta.atr(candles, self.atr_period),
            "lowest": ta.previous(ta.lowest(candles.low, self.breakout_bars)),
            "volume": candles.volume,
            "volume_mean": ta.sma(candles.volume, self.volume_period),
        }
        side = -(self._is_far_below(values) & self._is_explosive(values)).astype(np.int8)
        rows = np.flatnonzero(side)
        confidence, stop, target = np.zeros((3, len(candles)))
        stop[rows] = self.stop_atr * values["atr"][rows]
        target[rows] = self.target_atr * values["atr"][rows]
        if len(rows):
            confidence[rows] = self._confidence(rows, stop[rows], values)
        return Signals(side, confidence, stop, target, np.zeros_like(side), values, "breakdown")

    def _is_far_below(self, values: Mapping[str, FloatArray]) -> BoolArray:
        close, fast = values["close"], values["sma_fast"]
        return (
            ta.less(close, fast)
            & ta.less(close, values["sma_slow"])
            & ta.at_least(fast - close, self.distance_pct / 100 * fast)
        )

    def _is_explosive(self, values: Mapping[str, FloatArray]) -> BoolArray:
        return (
            ta.less(values["close"], values["lowest"])
            & ta.at_least(values["range"], self.range_atr * values["atr"])
            & ta.at_least(values["body"], self.body_share * values["range"])
            & ta.at_least(values["volume"], self.volume_ratio * values["volume_mean"])
            & (values["volume"] > 0)
        )

    def _confidence(self, rows: IntArray, stop: FloatArray, values: Mapping[str, FloatArray]) -> FloatArray:
        at = {name: column[rows] for name, column in values.items()}
        room = 1 - self.body_share
        return mean_margin(
            (at["sma_slow"] - at["close"]) / stop,
            (at["sma_fast"] - at["close"]) / (self.distance_pct / 100 * at["sma_fast"]) - 1,
            at["range"] / (self.range_atr * at["atr"]) - 1,
            (at["body"] / at["range"] - self.body_share) / room if room > 0 else np.ones(len(rows)),
            (at["lowest"] - at["close"]) / at["atr"],
            at["volume"] / (self.volume_ratio * at["volume_mean"]) - 1,
        )
