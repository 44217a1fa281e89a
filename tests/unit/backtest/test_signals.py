"""Signals over a whole history: what the live brain says candle by candle, filters included."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
from fakes.reckless import Reckless

from trading_engine.backtest.market import Market, make_market
from trading_engine.backtest.signals import speak
from trading_engine.domain.market import Signal
from trading_engine.domain.time import HOUR_MS, MINUTE_MS
from trading_engine.marketdata.block import join
from trading_engine.marketdata.synth import SyntheticMarket
from trading_engine.runtime.brain import Brain
from trading_engine.strategy import registry
from trading_engine.strategy.api import Series, Signals, Strategy
from trading_engine.strategy.builtin.trend_vwap import TrendVwap
from trading_engine.strategy.filters import Filter, RewardRiskFilter, SessionFilter, TrendFilter, VolumeFilter
from trading_engine.venues.embedded.facts import known_instrument

START_MS = 1_746_316_800_000
ROWS = 4_000
SYMBOLS = ("BTCUSDT", "ETHUSDT")
INSTRUMENTS = {symbol: known for symbol in SYMBOLS if (known := known_instrument(symbol)) is not None}
FILTERS: Mapping[str, tuple[Filter, ...]] = {
    "multi_timeframe_long": (
        TrendFilter(HOUR_MS, 20),
        SessionFilter(((300, 1_200),)),
        TrendFilter(15 * MINUTE_MS, 30, "BTCUSDT"),
        RewardRiskFilter(1.5),
        VolumeFilter(5 * MINUTE_MS, 20, 0.7),
    ),
}


@pytest.fixture(scope="module")
def market() -> Market:
    """Two symbols, not quite three days."""
    source = SyntheticMarket(3, INSTRUMENTS, START_MS, ROWS)
    held = {symbol: source.history(symbol, START_MS + ROWS * MINUTE_MS, ROWS) for symbol in SYMBOLS}
    return make_market({symbol: join([block]) for symbol, block in held.items()}, (), MINUTE_MS)


STRATEGIES = {
    symbol: tuple(registry.create(name, {}) for name in ("trend_vwap", "multi_timeframe_long")) for symbol in SYMBOLS
}


@pytest.fixture(scope="module")
def live(market: Market) -> Mapping[str, list[Signal]]:
    """What a brain says, without filters and with them."""
    return {"plain": told_live(market, {}), "filtered": told_live(market, FILTERS)}


def told_live(market: Market, filters: Mapping[str, tuple[Filter, ...]]) -> list[Signal]:
    """What a brain says that is fed with the same candles one instant after the other."""
    brain = Brain(STRATEGIES, INSTRUMENTS, MINUTE_MS, filters)
    return [signal for batch in market.source((), INSTRUMENTS).batches() for signal in brain.signals(batch.candles)]


def told_at_once(market: Market, filters: Mapping[str, tuple[Filter, ...]]) -> list[Signal]:
    heard = speak(market, STRATEGIES, INSTRUMENTS, filters=filters).signals(market)
    return [signal for at in sorted(heard) for signal in heard[at]]


def plain(signals: list[Signal]) -> list[Signal]:
    """In one order, without what floats of another order of adding may tell otherwise in their last digits."""
    rounded = [
        replace(
            signal,
            confidence=round(signal.confidence, 9),
            explanation=(),
            refusals=tuple(text.partition(":")[0] for text in signal.refusals),
        )
        for signal in signals
    ]
    return sorted(rounded, key=lambda signal: (signal.candle_ts_ms, signal.symbol, signal.strategy))


@pytest.mark.parametrize("name", ["plain", "filtered"])
def test_what_is_said_of_a_history_is_what_is_said_live(
    market: Market, live: Mapping[str, list[Signal]], name: str
) -> None:
    """The same signals, refused by the same filters."""
    expected = plain(live[name])
    assert len(expected) > 20
    assert expected == plain(told_at_once(market, FILTERS if name == "filtered" else {}))


def test_every_filter_has_refused_something_and_let_something_pass(live: Mapping[str, list[Signal]]) -> None:
    """Otherwise the comparison above would show nothing."""
    assert not any(signal.refusals for signal in live["plain"])
    named = {text.partition(":")[0] for signal in live["filtered"] for text in signal.refusals}
    assert {"trend", "session", "reference", "volume"} <= named
    entries = [signal for signal in live["filtered"] if signal.side is not None and signal.strategy in FILTERS]
    assert 0 < sum(not signal.refusals for signal in entries) < len(entries)


def test_a_refused_entry_has_no_side_in_the_arrays_and_keeps_its_exit(market: Market) -> None:
    """Both engines see the same: nothing to open, and what closes a position as before."""
    free, bound = speak(market, STRATEGIES, INSTRUMENTS), speak(market, STRATEGIES, INSTRUMENTS, filters=FILTERS)
    rows = list(bound.refused)
    assert rows
    assert {0} == set(bound.table.side[rows].tolist())
    assert 0 not in free.table.side[rows].tolist()
    assert free.table.exit_side.tolist() == bound.table.exit_side.tolist()


@pytest.mark.parametrize("filters", [{}, {"reckless": (RewardRiskFilter(1.2),)}])
def test_what_cannot_be_traded_is_refused_alike_live_and_over_the_history(
    market: Market, filters: Mapping[str, tuple[Filter, ...]]
) -> None:
    """Stops and targets on the wrong side or out of reach end their own signal, for the same reason in both."""
    strategies: Mapping[str, tuple[Strategy, ...]] = {symbol: (Reckless(),) for symbol in SYMBOLS}
    brain = Brain(strategies, INSTRUMENTS, MINUTE_MS, filters)
    live = [said for batch in market.source((), INSTRUMENTS).batches() for said in brain.signals(batch.candles)]
    spoken = speak(market, strategies, INSTRUMENTS, filters=filters)
    heard = spoken.signals(market)
    assert live == [signal for at in sorted(heard) for signal in heard[at]]
    entries = [signal for signal in live if signal.side is not None]
    assert len(entries) == spoken.entries
    reasons = {text for signal in entries for text in signal.refusals if text.startswith(("stop:", "target:"))}
    assert len(reasons) == 3
    refused = [signal for signal in entries if signal.refusals]
    assert 0.2 < len(refused) / len(entries) < 0.8
    assert {0} == set(spoken.table.side[list(spoken.refused)].tolist())
    assert any(signal.exit_side for signal in refused)


def test_signals_before_the_part_that_is_traded_are_left_out(market: Market) -> None:
    """The same as those of the whole history from there on: what lies before has warmed the strategies up."""
    half = ROWS // 2
    blocks = {symbol: block.part(half, ROWS) for symbol, block in zip(market.symbols, market.blocks, strict=True)}
    later = make_market(blocks, (), MINUTE_MS)
    whole = speak(market, STRATEGIES, INSTRUMENTS, filters=FILTERS)
    kept = whole.within(later).signals(later)
    expected = {at: said for at, said in whole.signals(market).items() if at > later.first_ms}
    assert 0 < len(expected) < len(whole.signals(market))
    assert expected == kept
    assert whole.within(market) is whole


@dataclass(frozen=True)
class Narrow(TrendVwap):
    """Tells its numbers in fewer bits than the loop reads."""

    name = "narrow"
    kind: str = "float32"

    def compute(self, market: Mapping[int, Series]) -> Signals:
        """Everything that it may."""
        said = super().compute(market)
        names = ("confidence", "stop_distance", "target_distance")
        return replace(said, **{name: getattr(said, name).astype(self.kind) for name in names})


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_numbers_of_any_kind_become_those_that_the_loop_reads(market: Market, kind: str) -> None:
    """Eight bytes each: machine code takes them as they lie."""
    spoken = speak(market, {symbol: (Narrow(kind=kind),) for symbol in SYMBOLS}, INSTRUMENTS)
    assert {"float64", "int64"} == {str(column.dtype) for column in spoken.table}
    assert "float64" == str(spoken.table.confidence.dtype)
    assert len(spoken.table.side) > 1


@dataclass(frozen=True)
class Vandal(TrendVwap):
    """Would leave a column of its candles in ruins."""

    name = "a_vandal"
    column: str = "ts"

    def compute(self, market: Mapping[int, Series]) -> Signals:
        """Ruin first."""
        for series in market.values():
            getattr(series, self.column)[:] = 1
        return super().compute(market)


@pytest.mark.parametrize("column", ["ts", "open", "high", "low", "close", "volume"])
def test_no_strategy_writes_into_its_candles(market: Market, column: str) -> None:
    """They are made once for all: the one that is asked next would see others."""
    ruined = {symbol: (Vandal(column=column),) for symbol in STRATEGIES}
    with pytest.raises(ValueError, match="read-only"):
        speak(market, ruined, INSTRUMENTS)
