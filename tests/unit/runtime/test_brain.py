"""The strategies at work: warm, by symbol, in the order of their configuration."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import pytest

from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.domain.market import Candle, Side
from trading_engine.marketdata.block import CandleBlock, from_units
from trading_engine.marketdata.replay import Replay
from trading_engine.runtime.brain import Brain
from trading_engine.strategy.api import Series, Signals
from trading_engine.strategy.filters import SessionFilter, TrendFilter, VolumeFilter

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


def test_what_a_filter_has_against_an_entry_stands_with_its_signal() -> None:
    """Only that strategy is filtered; nothing to say is no refusal."""
    chosen = (HigherClose("strict", 1), HigherClose("free", 1))
    filters = {"strict": (SessionFilter(((0, 1),)), VolumeFilter(MINUTE, 2, 1.25))}
    brain = Brain({"A": chosen}, INSTRUMENTS, MINUTE, filters)
    found = [brain.signals((_candle("A", minute),)) for minute in range(4)][-1]
    refusals = ("session: no entries at 00:04 UTC", "volume: a volume of 0.3 is below 1.25 × its mean of 0.25")
    assert [("strict", refusals), ("free", ())] == [(signal.strategy, signal.refusals) for signal in found]


def test_a_filter_sees_another_symbol_as_of_the_same_instant() -> None:
    """B is the reference of A and comes after it; its candle of that minute counts already."""
    filters = {"higher": (TrendFilter(MINUTE, 2, "B"),)}
    brain = Brain({"A": (HigherClose("higher", 1),), "B": ()}, INSTRUMENTS, MINUTE, filters)
    told = [
        [signal.refusals for signal in brain.signals((_candle("A", minute), _candle("B", minute)))]
        for minute in range(3)
    ]
    assert [[], [()], [()]] == told
    brain = Brain({"A": (HigherClose("higher", 1),), "B": ()}, INSTRUMENTS, MINUTE, filters)
    told = [[signal.refusals for signal in brain.signals((_candle("A", minute),))] for minute in range(3)]
    unknown = ("reference: B 1m EMA(2) is not known yet (0 of 2 candles)",)
    assert [[], [unknown], [unknown]] == told


def test_an_exit_is_never_filtered() -> None:
    """A filter is asked about entries alone."""

    class Leaves(HigherClose):
        def compute(self, market: Mapping[int, Series]) -> Signals:
            signals = super().compute(market)
            return replace(signals, side=0 * signals.side, exit_side=signals.side)

    brain = Brain({"A": (Leaves("exit", 1),)}, INSTRUMENTS, MINUTE, {"exit": (SessionFilter(((0, 1),)),)})
    found = [brain.signals((_candle("A", minute),)) for minute in range(4)][-1]
    assert [(None, Side.LONG, ())] == [(signal.side, signal.exit_side, signal.refusals) for signal in found]


def test_long_windows_are_asked_for_in_candles_of_their_own() -> None:
    """A daily average of 10 needs 149 days: one day of minutes, and the days as they are."""
    filters = {"higher": (TrendFilter(1_440 * MINUTE, 10),)}
    brain = Brain({"A": (HigherClose(),), "B": ()}, INSTRUMENTS, MINUTE, filters)
    assert (1_441, {1_440 * MINUTE: 149}) == brain.history_needed("A")
    assert (149 * 1_440, {}) == brain.history_needed("A", most_base=10**6)
    assert (0, {}) == brain.history_needed("B")
    with pytest.raises(KeyError, match="B"):
        Brain({"A": (HigherClose(),)}, INSTRUMENTS, MINUTE, {"higher": (TrendFilter(MINUTE, 10, "B"),)})


def test_history_read_both_ways_gives_the_same_signals() -> None:
    """Five-minute candles as they are and the minutes of the one that forms, or all of it in minutes."""
    strategies = {"A": (HigherClose("higher", 3, 5 * MINUTE),)}
    block = next(Rising("A", 98).blocks())
    fives = next(Rising("A", 98).blocks()).part(0, 95)
    firsts = np.arange(0, 95, 5)
    columns = [fives.open[firsts], fives.high[firsts + 4], fives.low[firsts], fives.close[firsts + 4]]
    higher = from_units(INSTRUMENTS["A"], fives.ts[firsts], columns, fives.volume[firsts])
    minutes, mixed = (Brain(strategies, INSTRUMENTS, MINUTE) for _ in range(2))
    minutes.take_history("A", block)
    mixed.take_history("A", higher, 5 * MINUTE)
    mixed.take_history("A", block.part(92, 98))
    told = [[brain.signals((_candle("A", minute),)) for minute in range(98, 110)] for brain in (minutes, mixed)]
    assert told[0] == told[1]
    assert 3 == sum(len(signals) for signals in told[0])
