"""The strategies at work: warm, by symbol, in the order of their configuration."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pytest

from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.domain.market import Candle, Side
from trading_engine.marketdata.block import CandleBlock, from_units
from trading_engine.marketdata.replay import Replay
from trading_engine.runtime.brain import Brain
from trading_engine.strategy.api import Series, Signals

START = 1_746_316_800_000
MINUTE = 60_000


def _instrument(symbol: str) -> Instrument:
    return Instrument(
        symbol=symbol,
        tick=Decimal("0.5"),
        step=Decimal("0.1"),
        min_quantity=Decimal("0.1"),
        max_quantity=Decimal(100),
        min_notional=Decimal(5),
        max_leverage=Decimal(50),
        tiers=(MarginTier(Decimal(10**9), Decimal("0.005"), Decimal(0), Decimal(50)),),
    )


INSTRUMENTS = {symbol: _instrument(symbol) for symbol in ("A", "B")}


@dataclass(frozen=True)
class HigherClose:
    """Buys when a candle closes above the one so many candles before it."""

    name: str = "higher"
    lookback: int = 2
    primary_interval_ms: int = MINUTE

    @property
    def intervals(self) -> Mapping[int, int]:
        """The candles it compares."""
        return {self.primary_interval_ms: self.lookback + 1}

    @property
    def warm_up(self) -> int:
        """The first candle with one to compare with."""
        return self.lookback

    def is_silent(self, market: Mapping[int, Series]) -> bool:
        """Never for certain."""
        del market
        return False

    def compute(self, market: Mapping[int, Series]) -> Signals:
        """A long with a stop one price unit away."""
        close = market[self.primary_interval_ms].close
        rises = np.zeros(len(close), np.int8)
        rises[self.lookback :] = close[self.lookback :] > close[: -self.lookback]
        ones = np.ones(len(close))
        return Signals(rises, ones * 0.5, ones, ones * 0, np.zeros(len(close), np.int8), {}, "up")


@dataclass(frozen=True)
class Rising:
    """A symbol whose every candle closes one tick higher."""

    symbol: str
    count: int = 10
    interval_ms: int = MINUTE
    first_ts: int = START

    @property
    def last_ts(self) -> int:
        """Open time of the last candle."""
        return START + (self.count - 1) * MINUTE

    def blocks(self, from_ts: int = 0) -> Iterator[CandleBlock]:
        """One block of everything from a time on."""
        minutes = np.arange(max(0, (from_ts - START) // MINUTE), self.count, dtype=np.int64)
        if minutes.size:
            ticks = 100 + minutes
            yield from_units(INSTRUMENTS[self.symbol], START + minutes * MINUTE, (ticks, ticks, ticks, ticks), minutes)


def _candle(symbol: str, minute: int) -> Candle:
    ticks = 100 + minute
    return Candle(symbol, START + minute * MINUTE, MINUTE, ticks, ticks, ticks, ticks, minute)


def test_a_warm_brain_speaks_on_its_first_candle() -> None:
    """The history before the run fills the windows, and gives no signal itself."""
    brain = Brain({"A": (HigherClose(),)}, INSTRUMENTS, MINUTE)
    brain.warm_up(Replay([Rising("A")]), START + 5 * MINUTE)
    (signal,) = brain.signals((_candle("A", 5),))
    assert ("higher", "A", Side.LONG, 105, 2) == (
        signal.strategy,
        signal.symbol,
        signal.side,
        signal.close_ticks,
        signal.stop_ticks,
    )


def test_a_cold_brain_is_silent_until_it_has_seen_enough() -> None:
    """Two candles to compare with."""
    brain = Brain({"A": (HigherClose(),)}, INSTRUMENTS, MINUTE)
    brain.warm_up(Replay([Rising("A")]), START)
    assert [0, 0, 1] == [len(brain.signals((_candle("A", minute),))) for minute in range(3)]


def test_signals_come_by_symbol_and_then_as_configured() -> None:
    """Symbols without strategies are passed over."""
    chosen = (HigherClose("zeta", 1), HigherClose("alpha", 1))
    brain = Brain({"A": chosen, "B": chosen}, INSTRUMENTS, MINUTE)
    for minute in range(2):
        found = brain.signals((_candle("A", minute), _candle("B", minute), _candle("C", minute)))
    assert [("A", "zeta"), ("A", "alpha"), ("B", "zeta"), ("B", "alpha")] == [
        (signal.symbol, signal.strategy) for signal in found
    ]


def test_a_strategy_finer_than_the_candles_is_refused() -> None:
    """Five-minute candles cannot be cut into minutes."""
    with pytest.raises(ValueError, match=r"candles of 60000 ms cannot be built from candles of 300000 ms"):
        Brain({"A": (HigherClose(),)}, INSTRUMENTS, 5 * MINUTE)
