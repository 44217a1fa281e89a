"""S1: a cross of two averages, on the right side of the day's VWAP, with room in RSI and volume behind it.

What belongs here: the conditions and settings of this strategy. What does not: the indicators.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trading_engine.domain.time import DAY_MS, MINUTE_MS
from trading_engine.strategy import indicators as ta
from trading_engine.strategy.api import BoolArray, FloatArray, IntArray, Series, Signals, mean_margin
from trading_engine.strategy.settings import bounded, check_fields, raise_all


@dataclass(frozen=True, slots=True)
class TrendVwap:
    """Long on a cross of averages in 5-minute candles.

    On the closed candle

    - SMA(fast) crosses above SMA(slow),
    - the close is above the VWAP anchored at 00:00 UTC,
    - rsi_low < RSI(rsi_period) < rsi_high,
    - with `volume_filter`: the volume is at least `volume_ratio` × its mean of `volume_period` candles,
      the candle itself included.

    `shorts` adds the mirror image: a cross below, a close below the VWAP, RSI between 100 − rsi_high and
    100 − rsi_low, the same volume. `early_exit_on_cross` closes a position when the averages cross back.
    Stop and target lie `stop_pct` and `target_pct` percent of the close away (target 0: none).

    Confidence is the mean of these margins, each clipped to [0, 1]:

    - cross: distance between the averages, in stop distances
    - VWAP: distance between close and VWAP, in stop distances
    - RSI: distance to the nearer bound, in halves of the band (1 in its middle)
    - volume, only with the filter: volume / (volume_ratio × mean) − 1
    """

    name: ClassVar[str] = "trend_vwap"
    primary_interval_ms: ClassVar[int] = 5 * MINUTE_MS

    fast: int = bounded(10, 2, 1_000)
    slow: int = bounded(30, 3, 2_000)
    rsi_period: int = bounded(14, 2, 500)
    rsi_low: float = bounded(30.0, 0.0, 100.0)
    rsi_high: float = bounded(65.0, 0.0, 100.0)
    volume_filter: bool = True
    volume_period: int = bounded(20, 2, 2_000)
    volume_ratio: float = bounded(1.2, 0.01, 100.0)
    stop_pct: float = bounded(1.0, 0.01, 50.0)
    target_pct: float = bounded(3.0, 0.0, 1_000.0)
    early_exit_on_cross: bool = False
    shorts: bool = False

    def __post_init__(self) -> None:
        """Check every setting, then what must hold between them; ConfigInvalid."""
        check_fields(self, self.name)
        mistakes = []
        if self.fast >= self.slow:
            mistakes.append(f"{self.name}.fast = {self.fast} is not below slow = {self.slow}")
        if self.rsi_low >= self.rsi_high:
            band = f"rsi_low = {self.rsi_low:g} is not below rsi_high = {self.rsi_high:g}"
            mistakes.append(f"{self.name}.{band}")
        raise_all(mistakes)

    @property
    def intervals(self) -> Mapping[int, int]:
        """A whole UTC day for the VWAP, enough for RSI to forget its start, the averages and their cross."""
        day = DAY_MS // self.primary_interval_ms + 1
        window = max(day, ta.wilder_window(self.rsi_period), self.slow + 1, self.volume_period)
        return {self.primary_interval_ms: window}

    @property
    def warm_up(self) -> int:
        """As many candles as the window, so that a first signal is the one the whole history gives."""
        return self.intervals[self.primary_interval_ms]

    def is_silent(self, market: Mapping[int, Series]) -> bool:
        """Nothing cheaper than the averages themselves tells whether they cross."""
        del market
        return False

    def compute(self, market: Mapping[int, Series]) -> Signals:
        """Signals for every 5-minute candle."""
        candles = market[self.primary_interval_ms]
        values = {
            "close": candles.close,
            "sma_fast": ta.sma(candles.close, self.fast),
            "sma_slow": ta.sma(candles.close, self.slow),
            "vwap": ta.session_vwap(candles),
            "rsi": ta.rsi(candles.close, self.rsi_period),
            "volume": candles.volume,
            "volume_mean": ta.sma(candles.volume, self.volume_period),
        }
        side = np.zeros(len(candles), dtype=np.int8)
        exit_side = np.zeros(len(candles), dtype=np.int8)
        above = ta.crosses_above(values["sma_fast"], values["sma_slow"])
        side[self._may_enter(above, values, 1)] = 1
        if self.shorts or self.early_exit_on_cross:
            below = ta.crosses_below(values["sma_fast"], values["sma_slow"])
            if self.shorts:
                side[self._may_enter(below, values, -1)] = -1
            if self.early_exit_on_cross:
                exit_side[below] = 1
            if self.shorts and self.early_exit_on_cross:
                exit_side[above] = -1
        rows = np.flatnonzero(side)
        confidence, stop, target = np.zeros((3, len(candles)))
        stop[rows] = candles.close[rows] * (self.stop_pct / 100)
        target[rows] = candles.close[rows] * (self.target_pct / 100)
        if len(rows):
            confidence[rows] = self._confidence(rows, side[rows].astype(np.float64), stop[rows], values)
        return Signals(side, confidence, stop, target, exit_side, values, "cross")

    def _may_enter(self, crossed: BoolArray, values: Mapping[str, FloatArray], sign: int) -> BoolArray:
        close, vwap, rsi = values["close"], values["vwap"], values["rsi"]
        low, high = self._band(sign)
        beyond_vwap = ta.greater(close, vwap) if sign > 0 else ta.less(close, vwap)
        allowed = crossed & beyond_vwap & ta.greater(rsi, low) & ta.less(rsi, high)
        if self.volume_filter:
            volume = values["volume"]
            allowed &= ta.at_least(volume, self.volume_ratio * values["volume_mean"]) & (volume > 0)
        return allowed

    def _band(self, sign: int) -> tuple[float, float]:
        return (self.rsi_low, self.rsi_high) if sign > 0 else (100 - self.rsi_high, 100 - self.rsi_low)

    def _confidence(
        self, rows: IntArray, sign: FloatArray, stop: FloatArray, values: Mapping[str, FloatArray]
    ) -> FloatArray:
        close = values["close"][rows]
        middle = 50 + sign * ((self.rsi_low + self.rsi_high) / 2 - 50)
        half_band = (self.rsi_high - self.rsi_low) / 2
        margins = [
            sign * (values["sma_fast"][rows] - values["sma_slow"][rows]) / stop,
            sign * (close - values["vwap"][rows]) / stop,
            1 - np.abs(values["rsi"][rows] - middle) / half_band,
        ]
        if self.volume_filter:
            volume_mean = values["volume_mean"][rows]
            margins.append(values["volume"][rows] / (self.volume_ratio * volume_mean) - 1)
        return mean_margin(*margins)
