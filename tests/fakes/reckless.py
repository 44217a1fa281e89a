"""A strategy that puts its stops and targets anywhere, and leaves anything beside its exits.

What belongs here: words that are well-formed and often cannot be traded. What does not: any expectation.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trading_engine.domain.time import MINUTE_MS
from trading_engine.strategy.api import FloatArray, IntArray, Series, Signals


@dataclass(frozen=True)
class Reckless:
    """Every fifth candle or so an entry, every tenth an exit; each row depends on its own candle alone."""

    seed: int = 1
    name: str = "reckless"
    primary_interval_ms: int = MINUTE_MS
    warm_up: int = 3

    @property
    def intervals(self) -> Mapping[int, int]:
        """Four candles."""
        return {self.primary_interval_ms: 4}

    def is_silent(self, market: Mapping[int, Series]) -> bool:
        """Never sure."""
        del market
        return False

    def compute(self, market: Mapping[int, Series]) -> Signals:
        """Of the entries about a half has a stop and a target that can be placed."""
        series = market[self.primary_interval_ms]
        close, chance = series.close, [self._chance(series.ts, number) for number in range(8)]
        side = np.where(chance[0] < 0.2, np.where(chance[1] < 0.5, -1, 1), 0).astype(np.int8)
        exit_side = np.where(chance[2] < 0.1, np.where(chance[1] < 0.5, 1, -1), 0).astype(np.int8)
        near = 0.001 + 0.004 * chance[3]
        stop, target = close * near, close * near * 2
        target = np.where(chance[4] < 0.1, 1e18, np.where(chance[4] < 0.15, np.inf, target))
        stop_level = np.where(chance[5] < 0.5, close - side * (chance[5] - 0.1) * 0.02 * close, np.nan)
        target_level = np.where(chance[6] < 0.4, close + side * (chance[6] - 0.1) * 0.04 * close, np.nan)
        waste = np.array([np.nan, -5.0, 1.7, 1e300])[(chance[7] * 4).astype(np.int64)]
        confidence, stop, target = (np.where(side != 0, column, waste) for column in (chance[7], stop, target))
        explained = {"close": close, "chance": chance[0]}
        return Signals(side, confidence, stop, target, exit_side, explained, "any", stop_level, target_level)

    def _chance(self, ts: IntArray, number: int) -> FloatArray:
        """A number from [0, 1) for each candle, the same whatever comes before and after."""
        mixed = (ts // MINUTE_MS).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        mixed += np.uint64((self.seed * 8 + number) * 0xBF58476D1CE4E5B9 % 2**64)
        for shift, factor in ((31, 0x94D049BB133111EB), (29, 0xD6E8FEB86659FD93), (32, 1)):
            mixed ^= mixed >> np.uint64(shift)
            mixed *= np.uint64(factor)
        chance: FloatArray = mixed.astype(np.float64) / 2.0**64
        return np.minimum(chance, 0.999_999)
