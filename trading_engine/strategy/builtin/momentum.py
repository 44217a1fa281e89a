"""S5: a MACD cross in a trending market, on the right side of the long average.

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
class Momentum:
    """Long on a MACD cross with the trend in 15-minute candles.

    On the closed candle

    - MACD(fast, slow) crosses above its signal line, EMA(signal),
    - ADX(adx_period) is above `adx_least`,
    - the close is above EMA(trend_period).

    With `shorts` also the mirror image: a cross below, the same ADX, a close below the average.
    Stop and target lie `stop_atr` and `target_atr` × ATR(atr_period) from the close (target 0: none).

    Confidence is the mean of these margins, each clipped to [0, 1]:

    - cross: distance between MACD and its signal line, in ATR
    - ADX: ADX / adx_least − 1 (1 where adx_least is 0)
    - trend: distance between close and EMA(trend_period), in stop distances
    """

    name: ClassVar[str] = "momentum"
    primary_interval_ms: ClassVar[int] = 15 * MINUTE_MS

    fast: int = bounded(12, 2, 500)
    slow: int = bounded(26, 3, 1_000)
    signal: int = bounded(9, 2, 500)
    adx_period: int = bounded(14, 2, 500)
    adx_least: float = bounded(20.0, 0.0, 100.0)
    trend_period: int = bounded(200, 2, 1_000)
    atr_period: int = bounded(14, 2, 500)
    stop_atr: float = bounded(2.0, 0.1, 100.0)
    target_atr: float = bounded(4.0, 0.0, 1_000.0)
    shorts: bool = True

    def __post_init__(self) -> None:
        """Check every setting, then what must hold between them; ConfigInvalid."""
        check_fields(self, self.name)
        if self.fast >= self.slow:
            raise_all([f"{self.name}.fast = {self.fast} is not below slow = {self.slow}"])

    @property
    def intervals(self) -> Mapping[int, int]:
        """Enough candles for every average to have forgotten its start, on the candle before a cross too."""
        window = max(
            ta.macd_window(self.slow, self.signal) + 1,
            ta.adx_window(self.adx_period),
            ta.ema_window(self.trend_period),
            ta.wilder_window(self.atr_period),
        )
        return {self.primary_interval_ms: window}

    @property
    def warm_up(self) -> int:
        """As many candles as the window, so that a first signal is the one the whole history gives."""
        return self.intervals[self.primary_interval_ms]

    def is_silent(self, market: Mapping[int, Series]) -> bool:
        """Nothing cheaper than MACD itself tells whether it crosses."""
        del market
        return False

    def compute(self, market: Mapping[int, Series]) -> Signals:
        """Signals for every 15-minute candle."""
        candles = market[self.primary_interval_ms]
        line, smoothed = ta.macd(candles.close, self.fast, self.slow, self.signal)
        values = {
            "close": candles.close,
            "macd": line,
            "macd_signal": smoothed,
            "adx": ta.adx(candles, self.adx_period),
            "ema": ta.ema(candles.close, self.trend_period),
            "atr": ta.atr(candles, self.atr_period),
        }
        is_trending = ta.greater(values["adx"], self.adx_least) & ta.greater(values["atr"], 0.0)
        side = np.zeros(len(candles), dtype=np.int8)
        side[_crosses(values, 1) & is_trending & ta.greater(candles.close, values["ema"])] = 1
        if self.shorts:
            side[_crosses(values, -1) & is_trending & ta.less(candles.close, values["ema"])] = -1
        rows = np.flatnonzero(side)
        confidence, stop, target = np.zeros((3, len(candles)))
        stop[rows] = self.stop_atr * values["atr"][rows]
        target[rows] = self.target_atr * values["atr"][rows]
        if len(rows):
            confidence[rows] = self._confidence(rows, side[rows].astype(np.float64), stop[rows], values)
        return Signals(side, confidence, stop, target, np.zeros_like(side), values, "momentum")

    def _confidence(
        self, rows: IntArray, sign: FloatArray, stop: FloatArray, values: Mapping[str, FloatArray]
    ) -> FloatArray:
        at = {name: column[rows] for name, column in values.items()}
        return mean_margin(
            sign * (at["macd"] - at["macd_signal"]) / at["atr"],
            at["adx"] / self.adx_least - 1 if self.adx_least > 0 else np.ones(len(rows)),
            sign * (at["close"] - at["ema"]) / stop,
        )


def _crosses(values: Mapping[str, FloatArray], sign: int) -> BoolArray:
    """Crosses of the lines; measured at the price, because MACD is a difference of numbers as large as that."""
    line, smoothed = values["close"] + values["macd"], values["close"] + values["macd_signal"]
    return ta.crosses_above(line, smoothed) if sign > 0 else ta.crosses_below(line, smoothed)
