"""S4: back to the mean after an excursion beyond the Bollinger bands that RSI calls exaggerated.

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

_SURE = 1e-7  # of the price: so far inside its band a close is there whatever the rounding


@dataclass(frozen=True, slots=True)
class RsiBollinger:
    """Mean reversion in 15-minute candles.

    Long where

    - RSI(rsi_period) of the candle before is below `rsi_low`,
    - that candle closed below the lower band of Bollinger(band_period, band_width),
    - the closed candle is back inside: not below its lower band, and below its middle band, which is the target.

    With `shorts` also the mirror image: RSI above `rsi_high`, a close above the upper band, then one not above it.
    The stop lies `stop_atr` × ATR(atr_period) from the close.

    Confidence is the mean of these margins, each clipped to [0, 1]:

    - RSI: how far beyond its bound it was, in parts of what lies beyond (1 at RSI 0 or 100; 1 for a bound of 0 or 100)
    - excursion: how far outside the candle before closed, in its ATR
    - return: how far inside the candle closed, in parts of the way from the band to the middle
    """

    name: ClassVar[str] = "rsi_bollinger"
    primary_interval_ms: ClassVar[int] = 15 * MINUTE_MS

    rsi_period: int = bounded(14, 2, 500)
    rsi_low: float = bounded(30.0, 0.0, 100.0)
    rsi_high: float = bounded(70.0, 0.0, 100.0)
    band_period: int = bounded(20, 2, 2_000)
    band_width: float = bounded(2.0, 0.1, 20.0)
    atr_period: int = bounded(14, 2, 500)
    stop_atr: float = bounded(2.0, 0.1, 100.0)
    shorts: bool = True

    def __post_init__(self) -> None:
        """Check every setting, then what must hold between them; ConfigInvalid."""
        check_fields(self, self.name)
        if self.rsi_low >= self.rsi_high:
            band = f"rsi_low = {self.rsi_low:g} is not below rsi_high = {self.rsi_high:g}"
            raise_all([f"{self.name}.{band}"])

    @property
    def intervals(self) -> Mapping[int, int]:
        """Enough candles for RSI and ATR of the candle before to have forgotten their start, and for the bands."""
        wilder = ta.wilder_window(max(self.rsi_period, self.atr_period))
        return {self.primary_interval_ms: max(wilder, self.band_period) + 1}

    @property
    def warm_up(self) -> int:
        """As many candles as the window, so that a first signal is the one the whole history gives."""
        return self.intervals[self.primary_interval_ms]

    def is_silent(self, market: Mapping[int, Series]) -> bool:
        """Most candles follow one that closed well inside its bands."""
        closes = market[self.primary_interval_ms].close[-1 - self.band_period : -1]
        if len(closes) < self.band_period:
            return True
        from_middle = abs(float(closes[-1] - closes.mean()))
        return bool(from_middle < self.band_width * float(closes.std()) - _SURE * float(closes[-1]))

    def compute(self, market: Mapping[int, Series]) -> Signals:
        """Signals for every 15-minute candle."""
        candles = market[self.primary_interval_ms]
        lower, middle, upper = ta.bollinger(candles.close, self.band_period, self.band_width)
        rsi, atr = ta.rsi(candles.close, self.rsi_period), ta.atr(candles, self.atr_period)
        values = {
            "close": candles.close,
            "lower": lower,
            "middle": middle,
            "upper": upper,
            "atr": atr,
            "close_before": ta.previous(candles.close),
            "lower_before": ta.previous(lower),
            "upper_before": ta.previous(upper),
            "rsi_before": ta.previous(rsi),
            "atr_before": ta.previous(atr),
        }
        side = np.zeros(len(candles), dtype=np.int8)
        side[self._returns_from_below(values)] = 1
        if self.shorts:
            side[self._returns_from_above(values)] = -1
        rows = np.flatnonzero(side)
        confidence, stop, target = np.zeros((3, len(candles)))
        stop[rows] = self.stop_atr * atr[rows]
        target[rows] = np.abs(middle[rows] - candles.close[rows])
        if len(rows):
            confidence[rows] = self._confidence(rows, side[rows] > 0, values)
        return Signals(side, confidence, stop, target, np.zeros_like(side), values, "reversion")

    def _returns_from_below(self, values: Mapping[str, FloatArray]) -> BoolArray:
        return (
            ta.less(values["rsi_before"], self.rsi_low)
            & ta.less(values["close_before"], values["lower_before"])
            & ta.at_least(values["close"], values["lower"])
            & ta.less(values["close"], values["middle"])
            & ta.greater(values["atr"], 0.0)
        )

    def _returns_from_above(self, values: Mapping[str, FloatArray]) -> BoolArray:
        return (
            ta.greater(values["rsi_before"], self.rsi_high)
            & ta.greater(values["close_before"], values["upper_before"])
            & ta.at_least(values["upper"], values["close"])
            & ta.greater(values["close"], values["middle"])
            & ta.greater(values["atr"], 0.0)
        )

    def _confidence(self, rows: IntArray, is_long: BoolArray, values: Mapping[str, FloatArray]) -> FloatArray:
        at = {name: column[rows] for name, column in values.items()}
        sign = np.where(is_long, 1.0, -1.0)
        band = np.where(is_long, at["lower"], at["upper"])
        band_before = np.where(is_long, at["lower_before"], at["upper_before"])
        bound = np.where(is_long, self.rsi_low, self.rsi_high)
        beyond = np.where(is_long, self.rsi_low, 100 - self.rsi_high)
        return mean_margin(
            np.divide(sign * (bound - at["rsi_before"]), beyond, out=np.ones(len(rows)), where=beyond > 0),
            sign * (band_before - at["close_before"]) / at["atr_before"],
            (at["close"] - band) / (at["middle"] - band),
        )
