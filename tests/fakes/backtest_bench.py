"""Markets and signals drawn from a seed, for both backtest engines.

What belongs here: making what a run is fed with. What does not: any expectation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
from builders import without_limits
from msgspec import structs

from trading_engine.backtest import tables
from trading_engine.backtest.fast import run_fast
from trading_engine.backtest.full import run_full
from trading_engine.backtest.market import Market, make_market
from trading_engine.backtest.result import Outcome
from trading_engine.backtest.signals import Spoken
from trading_engine.core.settings import (
    CooldownScope,
    EngineSettings,
    ExitPlan,
    ExitSettings,
    GroupLimit,
    LimitSettings,
    PartialStep,
    SizingSettings,
)
from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.domain.market import FundingRate
from trading_engine.domain.order_type import OrderType
from trading_engine.marketdata.block import CandleBlock, Units, from_units
from trading_engine.rules.exits import Follow, TrailStep
from trading_engine.rules.scaling import Method
from trading_engine.strategy.api import Signals
from trading_engine.venues.embedded.terms import Terms

MINUTE_MS = 60_000
START_MS = 1_746_316_800_000
DEPOSIT = Decimal(1_000)
STRATEGIES = ("alpha", "beta")


def instrument(symbol: str) -> Instrument:
    """A contract with three maintenance tiers, small enough that positions reach the second."""
    return Instrument(
        symbol=symbol,
        tick=Decimal("0.1"),
        step=Decimal("0.001"),
        min_quantity=Decimal("0.002"),
        max_quantity=Decimal(1_000),
        min_notional=Decimal(5),
        max_leverage=Decimal(50),
        tiers=(
            MarginTier(Decimal(300), Decimal("0.005"), Decimal(0), Decimal(50)),
            MarginTier(Decimal(2_000), Decimal("0.01"), Decimal("1.5"), Decimal(25)),
            MarginTier(Decimal(10**9), Decimal("0.025"), Decimal("31.5"), Decimal(10)),
        ),
    )


def candles(rng: np.random.Generator, symbol: str, minutes: int, wildness: float, gaps: float) -> CandleBlock:
    """A walk of prices, with holes in it."""
    moves = np.cumsum(rng.normal(0, wildness, minutes * 4))
    prices = np.maximum(np.rint(10_000 * np.exp(moves)), 50).astype(np.int64).reshape(minutes, 4)
    opens, closes = prices[:, 0], prices[:, 3]
    highs = prices.max(axis=1) + rng.integers(0, 3, minutes)
    lows = np.maximum(prices.min(axis=1) - rng.integers(0, 3, minutes), 1)
    ts = START_MS + MINUTE_MS * np.arange(minutes, dtype=np.int64)
    kept = rng.random(minutes) >= gaps
    kept[0] = True
    volume = rng.integers(50_000_000, 90_000_000, minutes)
    columns = [opens[kept], highs[kept], lows[kept], closes[kept]]
    return from_units(instrument(symbol), ts[kept], columns, volume[kept])


def funding(rng: np.random.Generator, symbols: Sequence[str], minutes: int) -> list[FundingRate]:
    """A settlement every two hours, of either sign."""
    return [
        FundingRate(symbol, START_MS + at * MINUTE_MS, Decimal(int(rng.integers(-200_000, 200_000))) / 10**8)
        for symbol in symbols
        for at in range(30, minutes, 120)
    ]


def follow(rng: np.random.Generator) -> Follow:
    """A stop that follows the close, more often than not at no distance."""
    return Follow(
        percent_ppm=int(rng.choice([0, 0, 2_000, 20_000])),
        atr_milli=int(rng.choice([0, 0, 1_500])),
        risk_milli=0,
        from_milli=int(rng.choice([0, 500, 1_500])),
    )


def settings(rng: np.random.Generator, symbols: Sequence[str]) -> EngineSettings:
    """Limits that trip now and then, exits of every kind."""
    partials = (PartialStep(1_000, 300_000), PartialStep(2_000, 400_000))
    trailing = (TrailStep(1_000, 0), TrailStep(2_000, 1_500), TrailStep(3_000, 3_000))
    plans = {
        "alpha": ExitPlan(partials if rng.random() < 0.6 else (), trailing if rng.random() < 0.6 else (), follow(rng)),
        "beta": ExitPlan((PartialStep(500, 100_000),), trailing[:2], follow(rng)),
    }
    return EngineSettings(
        venue="embedded",
        account="backtest",
        asset="USDT",
        instruments={symbol: instrument(symbol) for symbol in symbols},
        leverage=Decimal(int(rng.choice([1, 3, 10, 25]))),
        absence_is_proof=True,
        sizing=SizingSettings(
            risk_ppm=int(rng.choice([2_000, 10_000, 30_000])),
            cap_ppm=int(rng.choice([200_000, 900_000, 4_000_000])),
            cap_money_e8=int(rng.choice([0, 300 * 10**8])),
            method=Method(int(rng.choice([0, 0, 1, 2, 3]))),
            money_e8=int(rng.choice([50, 400])) * 10**8,
            volatility_ppm=int(rng.choice([1_000, 20_000])),
            kelly_trades=int(rng.choice([30, 60])),
            kelly_share_ppm=int(rng.choice([250_000, 1_000_000])),
            win_step_milli=int(rng.choice([1_000, 1_250])),
            win_most_milli=2_000,
            recovery_milli=int(rng.choice([1_000, 500])),
        ),
        exits=ExitSettings(
            plans=plans,
            target_order=OrderType.LIMIT if rng.random() < 0.7 else OrderType.TAKE_PROFIT_MARKET,
            max_age_ms=int(rng.choice([0, 45, 180])) * MINUTE_MS,
            close_on_max_age=bool(rng.random() < 0.4),
            tighten_milli=int(rng.choice([0, 100, 500])),
            exit_on_opposite=bool(rng.random() < 0.5),
        ),
        limits=LimitSettings(
            daily_loss_ppm=int(rng.choice([0, 4_000, 20_000])),
            daily_loss_money_e8=int(rng.choice([0, 5 * 10**8])),
            day_start_ms=int(rng.choice([0, 3_600_000])),
            drawdown_ppm=int(rng.choice([0, 5_000, 30_000])),
            flatten_on_drawdown=bool(rng.random() < 0.5),
            consecutive_losses=int(rng.choice([0, 2, 3])),
            streak_pause_ms=int(rng.choice([0, 60, 240])) * MINUTE_MS,
            cooldown_ms=int(rng.choice([0, 5, 60])) * MINUTE_MS,
            cooldown_scope=CooldownScope.GLOBAL if rng.random() < 0.5 else CooldownScope.SYMBOL,
            portfolio_risk_ppm=int(rng.choice([0, 20_000, 50_000])),
            max_positions=int(rng.choice([1, 2, 3])),
            position_ppm=int(rng.choice([400_000, 900_000, 5_000_000])),
            min_balance_ppm=int(rng.choice([0, 100_000, 992_000])),
            max_leverage_milli=int(rng.choice([1_500, 5_000, 20_000])),
            groups=(
                GroupLimit("first", frozenset(symbols[:2]), int(rng.choice([0, 300_000, 1_000_000]))),
                GroupLimit("last", frozenset(symbols[-1:]), int(rng.choice([0, 150_000]))),
            ),
            refuses_liquidation=bool(rng.random() < 0.5),
            drawdown_days=int(rng.choice([0, 1, 2])),
            shock_range_ppm=int(rng.choice([0, 10_000, 30_000])),
            shock_pause_ms=int(rng.choice([5, 30])) * MINUTE_MS,
            flatten_on_shock=bool(rng.random() < 0.3),
        ),
    )


def terms(rng: np.random.Generator, leverage: Decimal) -> Terms:
    """Fees with and without a rebate, slippage with and without."""
    return Terms(
        taker_fee_e8=60_000,
        maker_fee_e8=int(rng.choice([20_000, -5_000])),
        slippage_ppm=int(rng.choice([0, 500])),
        leverage_milli=int(leverage * 1_000),
    )


def spoken(rng: np.random.Generator, market: Market, chance: float) -> Spoken:
    """Signals at random: entries and exits of two strategies, of equal confidence at times."""
    rows = []
    for s, block in enumerate(market.blocks):
        for at in np.flatnonzero(rng.random(block.rows) < chance).tolist():
            for strategy in range(2) if rng.random() < 0.3 else (int(rng.integers(0, 2)),):
                side = int(rng.choice([1, -1, 0]))
                exit_side = int(rng.choice([1, -1])) if side == 0 else int(rng.choice([0, 0, -side]))
                stop = int(rng.integers(5, 400)) if side else 0
                target = int(rng.choice([0, 1, 3])) * stop
                confidence = float(rng.choice([0.25, 0.5, 0.75])) if side else 0.0
                closed_ms = int(block.ts[at]) + MINUTE_MS
                atr = int(rng.choice([0, 7_500, 40_000])) if side else 0
                rows.append((closed_ms, s, strategy, side, exit_side, confidence, stop, target, atr))
    rows.sort(key=lambda row: row[:3])
    columns = list(zip(*rows, strict=True)) or [()] * 9
    kinds = [np.float64 if name == "confidence" else np.int64 for name in tables.Signals._fields]
    table = tables.Signals(*[np.array(column, dtype=kind) for column, kind in zip(columns, kinds, strict=True)])
    none = np.empty(0)
    source = Signals(np.empty(0, np.int8), none, none, none, np.empty(0, np.int8), {}, "drawn")
    return Spoken(table, STRATEGIES, ((source, 0),) * len(rows), (MINUTE_MS,) * len(rows))


@dataclass(frozen=True)
class Case:
    """Everything both engines are given."""

    market: Market
    rates: Sequence[FundingRate]
    spoken: Spoken
    settings: EngineSettings
    terms: Terms

    def fast(self) -> Outcome:
        """The loop over arrays, interpreted."""
        return run_fast(self.market, self.spoken, self.settings, self.terms, DEPOSIT)

    def full(self) -> Outcome:
        """The live code."""
        return run_full(self.market, self.rates, self.spoken, self.settings, self.terms, DEPOSIT)


def draw(seed: int, minutes: int = 300, volume_share_ppm: int = 100_000) -> Case:
    """The case of a seed."""
    rng = np.random.default_rng(seed)
    symbols = ("AAAUSDT", "BBBUSDT", "CCCUSDT")[: int(rng.integers(1, 4))]
    wildness = float(rng.choice([0.0005, 0.002, 0.01]))
    held = {symbol: candles(rng, symbol, minutes, wildness, float(rng.choice([0.0, 0.03]))) for symbol in symbols}
    rates = funding(rng, symbols, minutes)
    market = make_market(held, rates, MINUTE_MS)
    engine = settings(rng, symbols)
    costs = structs.replace(terms(rng, engine.leverage), volume_share_ppm=volume_share_ppm)
    return Case(market, rates, spoken(rng, market, float(rng.choice([0.02, 0.1]))), engine, costs)


def vary(case: Case, seed: int) -> Case:
    """The same case made odder, and more often without limits.

    Symbols come late and go early, candles may be longer, settlements lie between them, orders hardly reach the least
    that the venue takes, entries are given little time.
    """
    rng = np.random.default_rng((seed, 1))
    times = int(rng.choice([1, 1, 5, 60]))
    held = {
        symbol: _stretched(_cut(rng, block), times)
        for symbol, block in zip(case.market.symbols, case.market.blocks, strict=True)
    }
    rates = [
        FundingRate(one.symbol, _later(one.ts_ms, times) + int(rng.choice([0, 0, 1, 20_000, 59_999])), one.rate)
        for one in case.rates
    ]
    market = make_market(held, rates, MINUTE_MS * times)
    table = case.spoken.table
    closed_ms = np.array([_later(ts, times) for ts in table.closed_ms.tolist()], dtype=np.int64)
    spoken = structs.replace(
        case.spoken,
        table=table._replace(closed_ms=closed_ms),
        primaries=(MINUTE_MS * times,) * len(closed_ms),
    )
    limits = replace(
        without_limits() if rng.random() < 0.6 else case.settings.limits,
        shock_atr_milli=int(rng.choice([0, 1_200, 2_000])),
        rejects_to_freeze=int(rng.choice([0, 1, 3])),
    )
    sizing = case.settings.sizing
    if rng.random() < 0.3:
        sizing = replace(sizing, risk_ppm=int(rng.choice([20, 60, 200])))
    ttl_ms = int(rng.choice([1_000, 60_000, 60_000, 240_000]))
    execution = replace(case.settings.execution, entry_ttl_ms=ttl_ms)
    engine = replace(case.settings, limits=limits, sizing=sizing, execution=execution)
    return Case(market, rates, spoken.within(market), engine, case.terms)


def delay(case: Case, seed: int) -> Case:
    """The same case with fills that come late, cost by the range or the volume of the candle before, or both.

    Entries have the time.
    """
    rng = np.random.default_rng((seed, 2))
    latency = int(rng.choice([0, 1, 1, 2, 5]))
    range_ppm = int(rng.choice([0, 70_000, 1_000_000]))
    impact_ppm = int(rng.choice([0, 0, 1_000, 30_000, 1_000_000]))
    market = case.market
    if impact_ppm:
        held = {name: _thinned(rng, block) for name, block in zip(market.symbols, market.blocks, strict=True)}
        market = make_market(held, case.rates, market.interval_ms)
    execution = case.settings.execution
    ttl_ms = execution.entry_ttl_ms + latency * case.market.interval_ms
    return replace(
        case,
        market=market,
        settings=replace(case.settings, execution=replace(execution, entry_ttl_ms=ttl_ms)),
        terms=structs.replace(case.terms, latency_candles=latency, slippage_range_ppm=range_ppm, impact_ppm=impact_ppm),
    )


def moved(case: Case, by_ms: int, hole: range = range(0)) -> Case:
    """The same case that much later, without the candles that open in a hole and what is said on their closes."""
    interval_ms, symbols = case.market.interval_ms, case.market.symbols
    later = {
        symbol: block._replace(ts=block.ts + by_ms) for symbol, block in zip(symbols, case.market.blocks, strict=True)
    }
    rates = [one._replace(ts_ms=one.ts_ms + by_ms) for one in case.rates]
    table = case.spoken.table
    opened = table.closed_ms + by_ms - interval_ms
    kept = np.flatnonzero((opened < hole.start) | (opened >= hole.stop))
    said = structs.replace(
        case.spoken,
        table=tables.Signals._make(column[kept] for column in table._replace(closed_ms=table.closed_ms + by_ms)),
        sources=tuple(case.spoken.sources[at] for at in kept.tolist()),
        primaries=tuple(case.spoken.primaries[at] for at in kept.tolist()),
    )
    held = {symbol: _without(block, hole.start, hole.stop) for symbol, block in later.items()}
    return replace(case, market=make_market(held, rates, interval_ms), rates=rates, spoken=said)


def ended(case: Case, last_ms: int) -> Case:
    """The same case up to an instant; every symbol has candles before it."""
    market = case.market
    held = {
        symbol: block.part(0, int(np.searchsorted(block.ts, last_ms)))
        for symbol, block in zip(market.symbols, market.blocks, strict=True)
    }
    rates = [one for one in case.rates if one.ts_ms < last_ms]
    cut = make_market(held, rates, market.interval_ms)
    return replace(case, market=cut, rates=rates, spoken=case.spoken.within(cut))


def _without(block: Units, from_ms: int, to_ms: int) -> Units:
    kept = np.flatnonzero((block.ts < from_ms) | (block.ts >= to_ms))
    return Units._make(column[kept] for column in block)


def _cut(rng: np.random.Generator, block: Units) -> Units:
    """Without some candles at its beginning or its end."""
    first = int(rng.choice([0, 0, block.rows // 4]))
    return block.part(first, int(rng.choice([block.rows, block.rows, block.rows * 3 // 4])))


def _thinned(rng: np.random.Generator, block: Units) -> Units:
    """With much less volume in some candles than in others, though enough for most orders."""
    return block._replace(volume=block.volume // rng.choice([1, 10, 100, 1_000], block.rows))


def _later(ts_ms: int, times: int) -> int:
    """Where an instant lies when a minute takes `times` minutes."""
    return START_MS + (ts_ms - START_MS) * times


def _stretched(block: Units, times: int) -> Units:
    return block._replace(ts=START_MS + (block.ts - START_MS) * times)
