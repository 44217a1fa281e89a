"""peer_cross: the rule of benchmarks/peers/market.py, as a strategy of this engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trading_engine.domain.time import MINUTE_MS
from trading_engine.strategy import indicators as ta
from trading_engine.strategy.api import Series, Signals


@dataclass(frozen=True, slots=True)
class PeerCross:
    """Long when SMA(10) crosses above SMA(30) on a close above SMA(200), with 30 ≤ RSI(14) ≤ 65; always sure."""

    name: ClassVar[str] = "peer_cross"
    primary_interval_ms: ClassVar[int] = MINUTE_MS

    @property
    def intervals(self) -> Mapping[int, int]:
        """The longest average, and what an RSI needs to forget."""
        return {MINUTE_MS: max(201, ta.wilder_window(14))}

    @property
    def warm_up(self) -> int:
        """As many candles as the longest average."""
        return 200

    def is_silent(self, market: Mapping[int, Series]) -> bool:
        """Never known beforehand."""
        return False

    def compute(self, market: Mapping[int, Series]) -> Signals:
        """The rule over arrays."""
        close = market[MINUTE_MS].close
        fast, slow, strength = ta.sma(close, 10), ta.sma(close, 30), ta.rsi(close, 14)
        enters = (
            ta.crosses_above(fast, slow)
            & ta.greater(close, ta.sma(close, 200))
            & (strength >= 30.0)
            & (strength <= 65.0)
        )
        side = enters.astype(np.int8)
        stop, target = np.where(enters, 0.01 * close, 0.0), np.where(enters, 0.03 * close, 0.0)
        return Signals(side, enters.astype(float), stop, target, np.zeros_like(side), {"rsi": strength}, "cross")
