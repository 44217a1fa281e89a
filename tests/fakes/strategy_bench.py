"""Built-in strategies with settings drawn from a seed, on a synthetic market that is, for both backtest engines.

What belongs here: making what a run is fed with, from candles to settings. What does not: any expectation.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from builders import without_limits
from fakes import backtest_bench as bench
from parity.cases import EAGER

from trading_engine.backtest.market import make_market
from trading_engine.backtest.signals import speak
from trading_engine.core.settings import ExitPlan
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.time import HOUR_MS, MINUTE_MS
from trading_engine.marketdata.synth import Character, SyntheticMarket
from trading_engine.strategy.api import Strategy
from trading_engine.strategy.filters import (
    Filter,
    RewardRiskFilter,
    SessionFilter,
    TrendFilter,
    VolatilityFilter,
    VolumeFilter,
)
from trading_engine.strategy.levels import NO_LEVELS, Levels
from trading_engine.strategy.registry import BUILT_IN, create
from trading_engine.strategy.settings import described

KNOWN = 8_000  # minutes; the slowest strategy speaks after 5,835 of them
TRADED = 600


def draw(seed: int) -> bench.Case:
    """The case of a seed: one to all strategies, one or two symbols, the last ten hours of five days."""
    rng = np.random.default_rng(seed)
    symbols = ("AAAUSDT", "BBBUSDT")[: int(rng.integers(1, 3))]
    instruments = {symbol: bench.instrument(symbol) for symbol in symbols}
    kind = list(Character)[int(rng.integers(0, len(Character)))]
    synthetic = SyntheticMarket(int(rng.integers(0, 2**31)), instruments, bench.START_MS, KNOWN, kind)
    begin_ms, end_ms = bench.START_MS + (KNOWN - TRADED) * MINUTE_MS, bench.START_MS + KNOWN * MINUTE_MS
    whole = {symbol: synthetic.history(symbol, end_ms, KNOWN) for symbol in symbols}
    traded = {
        symbol: block.part(int(np.searchsorted(block.ts, begin_ms)), block.rows) for symbol, block in whole.items()
    }
    rates = synthetic.funding_between(begin_ms, end_ms)
    market = make_market(traded, rates, MINUTE_MS)
    strategies = _strategies(rng)
    names = [one.name for one in strategies]
    levels = {name: _levels(rng) for name in names}
    spoken = speak(
        make_market(whole, (), MINUTE_MS),
        dict.fromkeys(symbols, tuple(strategies)),
        instruments,
        {name: int(rng.choice([5, 14])) for name in names},
        levels,
        {one.name: _filters(rng, one) for one in strategies},
    ).within(market)
    engine = bench.settings(rng, symbols)
    plans = {name: engine.exits.plan(str(rng.choice(bench.STRATEGIES))) for name in names}
    plans = {name: plan if rng.random() < 0.7 else ExitPlan() for name, plan in plans.items()}
    limits = without_limits() if rng.random() < 0.7 else engine.limits
    engine = replace(engine, exits=replace(engine.exits, plans=plans), limits=limits)
    return bench.Case(market, rates, spoken, engine, bench.terms(rng, engine.leverage))


def _strategies(rng: np.random.Generator) -> list[Strategy]:
    names = sorted(BUILT_IN)
    chosen = rng.choice(names, size=int(rng.integers(1, len(names) + 1)), replace=False)
    return [_strategy(rng, str(name)) for name in sorted(chosen)]


def _strategy(rng: np.random.Generator, name: str) -> Strategy:
    """Settings that trade often, each moved by up to a factor of two where the strategy takes that."""
    bounds = {one.name: one for one in described(BUILT_IN[name])}
    for _ in range(20):
        settings = {key: _moved(rng, value, bounds[key].lowest, bounds[key].highest) for key, value in _eager(name)}
        try:
            return create(name, settings)
        except ConfigInvalid:
            continue  # two settings that do not go together
    return create(name, dict(_eager(name)))


def _eager(name: str) -> list[tuple[str, Any]]:
    settings: Mapping[str, Any] = EAGER[name]
    return list(settings.items())


def _moved(rng: np.random.Generator, value: Any, lowest: float | None, highest: float | None) -> Any:
    if isinstance(value, bool):
        return bool(rng.random() < 0.5)
    if lowest is None or highest is None:
        return value
    moved = float(np.clip(value * rng.uniform(0.5, 2), lowest, highest))
    return round(moved) if isinstance(value, int) else moved


def _levels(rng: np.random.Generator) -> Levels:
    choices = [NO_LEVELS, NO_LEVELS, Levels(stop_percent=0.3), Levels(stop_atr=2, target_r=1.5), Levels(target_atr=3)]
    return choices[int(rng.integers(0, len(choices)))]


def _filters(rng: np.random.Generator, strategy: Strategy) -> tuple[Filter, ...]:
    own = strategy.primary_interval_ms
    choices: list[Filter] = [
        TrendFilter(HOUR_MS, 10),
        VolatilityFilter(own, 5, 20, 1.1),
        VolumeFilter(own, 10, 0.8),
        SessionFilter(((8 * 60, 14 * 60),), ()),
        RewardRiskFilter(1.2),
    ]
    return (choices[int(rng.integers(0, len(choices)))],) if rng.random() < 0.3 else ()
