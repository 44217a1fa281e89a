"""The two engines on markets that are made for one thing each."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from fakes.backtest_bench import DEPOSIT, MINUTE_MS, START_MS, Case, instrument, moved
from msgspec import structs

from trading_engine.backtest.fast import NeedsFullEngine
from trading_engine.backtest.market import make_market
from trading_engine.backtest.metrics import curve, measure
from trading_engine.backtest.result import Decision, Outcome, compare
from trading_engine.backtest.signals import Spoken
from trading_engine.backtest.tables import Signals as Table
from trading_engine.core.settings import (
    EngineSettings,
    ExitPlan,
    ExitSettings,
    LimitSettings,
    PartialStep,
    SizingSettings,
)
from trading_engine.domain.lifecycle import CloseReason
from trading_engine.domain.market import FundingRate
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.time import DAY_MS, HOUR_MS
from trading_engine.marketdata.block import Units, from_units
from trading_engine.rules.exits import Follow, TrailStep
from trading_engine.strategy.api import Signals
from trading_engine.venues.embedded.terms import Terms

AAA = "AAAUSDT"
QUIET = (10_000, 10_000, 10_000, 10_000)
FREE = Terms(taker_fee_e8=0, maker_fee_e8=0, slippage_ppm=0)
LENIENT = LimitSettings(
    cooldown_ms=0,
    consecutive_losses=0,
    position_ppm=0,
    max_leverage_milli=0,
    portfolio_risk_ppm=0,
    refuses_liquidation=False,
)


def case(
    shapes: list[tuple[int, int, int, int]],
    side: int = 1,
    stop: int = 100,
    target: int = 300,
    atr: int = 0,
    **changes: object,
) -> Case:
    """One signal on the close of the first candle, or of the one at `signal_minute`; the others are given in ticks."""
    columns = [np.array(column, dtype=np.int64) for column in zip(QUIET, *shapes, strict=True)]
    ts = START_MS + MINUTE_MS * np.arange(len(shapes) + 1, dtype=np.int64)
    volume = np.full(len(ts), changes.pop("volume", 10**9), dtype=np.int64)
    rates = changes.pop("rates", [])
    market = make_market({AAA: from_units(instrument(AAA), ts, columns, volume)}, rates, MINUTE_MS)  # type: ignore[arg-type]
    heard_ms = START_MS + (1 + int(changes.pop("signal_minute", 0))) * MINUTE_MS  # type: ignore[call-overload]
    ints = [np.array([value], dtype=np.int64) for value in (heard_ms, 0, 0, side, 0)]
    table = Table(*ints, np.array([0.5]), np.array([stop]), np.array([target]), np.array([atr]))
    none = np.empty(0)
    said = Signals(np.empty(0, np.int8), none, none, none, np.empty(0, np.int8), {}, "made")
    terms = changes.pop("terms", FREE)
    settings = EngineSettings(
        "embedded", "backtest", "USDT", {AAA: instrument(AAA)}, absence_is_proof=True, limits=LENIENT
    )
    settings = replace(settings, sizing=SizingSettings(risk_ppm=1_000_000, cap_ppm=100_000), **changes)  # type: ignore[arg-type]
    return Case(market, rates, Spoken(table, ("made",), ((said, 0),), (MINUTE_MS,)), settings, terms)  # type: ignore[arg-type]


def both(given: Case) -> Outcome:
    """What both engines agree on."""
    fast, full = given.fast(), given.full()
    assert [] == compare(fast, full)
    return fast


@pytest.mark.parametrize(
    ("name", "side", "shapes", "reason", "entry", "exit_price", "net"),
    [
        # 10 % of 1,000 at 1,000.0 a coin: 0.1 coins, so a move of 1.0 is worth 0.1
        ("target of a long", 1, [QUIET, (10_000, 10_301, 10_000, 10_200)], "target", "1000", "1030", "3"),
        ("stop of a long", 1, [QUIET, (10_000, 10_000, 9_890, 9_950)], "stop", "1000", "990", "-1"),
        ("target of a short", -1, [QUIET, (10_000, 10_000, 9_699, 9_800)], "target", "1000", "970", "3"),
        ("stop of a short", -1, [QUIET, (10_000, 10_110, 10_000, 10_050)], "stop", "1000", "1010", "-1"),
        ("gap through the stop", 1, [QUIET, (9_800, 9_850, 9_790, 9_800)], "stop", "1000", "980", "-2"),
        ("gap beyond the target", 1, [QUIET, (10_400, 10_410, 10_390, 10_400)], "target", "1000", "1030", "3"),
        ("both in one candle: the worse", 1, [QUIET, (10_000, 10_400, 9_800, 10_000)], "stop", "1000", "990", "-1"),
        ("target only touched", 1, [QUIET, (10_000, 10_300, 10_000, 10_000)], "", "", "", ""),
        ("filled beyond its stop", 1, [(9_890, 9_900, 9_880, 9_890), QUIET], "stop", "989", "989", "0"),
    ],
)
def test_a_trade_worked_out_by_hand(
    name: str,
    side: int,
    shapes: list[tuple[int, int, int, int]],
    reason: str,
    entry: str,
    exit_price: str,
    net: str,
) -> None:
    """No fees, no slippage: the prices say it all."""
    outcome = both(case(shapes, side))
    decision = Decision(AAA, "made", "long" if side > 0 else "short", START_MS)
    if not reason:
        assert (0, 1) == (len(outcome.trades), outcome.open_positions), name
        assert {decision} == outcome.still_open
        return
    trade = outcome.trades[0]
    assert (decision, frozenset()) == (trade.decision, outcome.still_open)
    told = (str(trade.close_reason), trade.entry_price, trade.exit_price, trade.net_pnl)
    assert (reason, Decimal(entry), Decimal(exit_price), Decimal(net)) == told, name
    assert DEPOSIT + Decimal(net) == outcome.balance


def test_fees_are_paid_on_both_sides_and_slippage_goes_against_us() -> None:
    """In at 1,000.5 and out at the target's own price as maker: 100.05 × 0.06 % and 103 × 0.02 %."""
    given = case([QUIET, (10_000, 10_301, 10_000, 10_200)], terms=Terms(slippage_ppm=500))
    trade = both(given).trades[0]
    assert (Decimal("1000.5"), Decimal(1030)) == (trade.entry_price, trade.exit_price)
    assert Decimal("0.06003") + Decimal("0.0206") == trade.fees
    assert Decimal("2.95") - trade.fees == trade.net_pnl


@pytest.mark.parametrize(("rate", "expected"), [("0.001", "-0.1"), ("-0.001", "0.1")])
def test_a_long_pays_a_positive_funding_rate_and_receives_a_negative_one(rate: str, expected: str) -> None:
    """0.1 coins at 1,000: a notional of 100, at the settlement two minutes in."""
    settlement = FundingRate(AAA, START_MS + 3 * MINUTE_MS, Decimal(rate))
    given = case([QUIET, QUIET, QUIET, (10_000, 10_301, 10_000, 10_200)], rates=[settlement])
    trade = both(given).trades[0]
    assert (Decimal(expected), Decimal(3) + Decimal(expected)) == (trade.funding, trade.net_pnl)


def test_a_position_without_margin_left_is_liquidated_before_its_stop() -> None:
    """At 50x the stop 10 % away is beyond the liquidation price, 1.5 % below the entry."""
    given = case(
        [QUIET, (10_000, 10_000, 9_500, 9_600)],
        stop=1_000,
        leverage=Decimal(50),
        terms=structs.replace(FREE, leverage_milli=50_000),
    )
    trade = both(given).trades[0]
    assert CloseReason.LIQUIDATION is trade.close_reason
    assert Decimal(984) < trade.exit_price < Decimal(986)


def test_the_stop_trails_by_multiples_of_r() -> None:
    """At 1R to break-even: the fall afterwards costs nothing."""
    exits = ExitSettings(plans={"made": ExitPlan(trailing=(TrailStep(1_000, 0),))})
    given = case([QUIET, (10_000, 10_120, 10_000, 10_110), (10_110, 10_110, 9_900, 9_900)], exits=exits)
    trade = both(given).trades[0]
    told = (trade.close_reason, trade.stop_price, trade.net_pnl)
    assert (CloseReason.TRAILING, Decimal(1000), Decimal(0)) == told


@pytest.mark.parametrize(
    ("follow", "stop"),
    [(Follow(10_000, 0, 0, 0), "1000.9"), (Follow(0, 2_000, 0, 0), "1006"), (Follow(0, 0, 0, 0), "990")],
)
def test_the_stop_follows_the_close_at_a_distance(follow: Follow, stop: str) -> None:
    """One per cent behind a close of 1,011.0, or two ranges of 2.5; then the price falls through it."""
    exits = ExitSettings(plans={"made": ExitPlan(follow=follow)})
    falls = [QUIET, (10_000, 10_120, 10_000, 10_110), (10_110, 10_110, 9_800, 9_900)]
    trade = both(case(falls, atr=25_000, exits=exits)).trades[0]
    assert Decimal(stop) == trade.stop_price == trade.exit_price


def test_the_stop_of_an_old_position_is_tightened() -> None:
    """From the third minute on half an R, 5.0, behind the close; a later fall ends it there."""
    exits = ExitSettings(max_age_ms=3 * MINUTE_MS, tighten_milli=500)
    rises = [QUIET, (10_000, 10_020, 10_000, 10_020), *[(10_020, 10_030, 10_010, 10_030)] * 3]
    trade = both(case([*rises, (10_030, 10_030, 9_900, 9_900)], exits=exits)).trades[0]
    assert (Decimal(998), CloseReason.TRAILING) == (trade.exit_price, trade.close_reason)


def test_an_order_that_wants_more_than_the_volume_gives_is_the_full_engines() -> None:
    """The fast engine says so instead of guessing; the full one fills in parts."""
    given = case([QUIET, QUIET], volume=500)
    with pytest.raises(NeedsFullEngine, match="share of the candle's volume"):
        given.fast()
    assert 1 == given.full().open_positions


def test_a_take_profit_order_that_the_open_is_beyond_goes_before_a_younger_exit() -> None:
    """Too old at the close, and the next candle opens beyond the partial exit: that one, and the rest by age."""
    exits = ExitSettings(
        plans={"made": ExitPlan((PartialStep(1_000, 300_000),))},
        target_order=OrderType.TAKE_PROFIT_MARKET,
        max_age_ms=2 * MINUTE_MS,
        close_on_max_age=True,
    )
    trade = both(case([QUIET, QUIET, (10_150, 10_150, 10_140, 10_140)], exits=exits)).trades[0]
    assert (3, CloseReason.TIME) == (trade.fills, trade.close_reason)
    assert Decimal("1.5") == trade.net_pnl  # all of 0.1 coins at 1,015


def test_a_resting_target_that_the_open_is_beyond_goes_after_the_exit() -> None:
    """The same with limit orders: what trades at the market comes first, all of it, and nothing is left to reduce."""
    plans = {"made": ExitPlan((PartialStep(1_000, 300_000),))}
    exits = ExitSettings(plans=plans, max_age_ms=2 * MINUTE_MS, close_on_max_age=True)
    trade = both(case([QUIET, QUIET, (10_150, 10_150, 10_140, 10_140)], exits=exits)).trades[0]
    assert (2, CloseReason.TIME, Decimal("1.5")) == (trade.fills, trade.close_reason, trade.net_pnl)


@pytest.mark.parametrize(("flattens", "reason"), [(True, CloseReason.RISK), (False, CloseReason.STOP)])
def test_a_wide_candle_may_close_the_position(flattens: bool, reason: CloseReason) -> None:
    """Ten per cent up and back: closed at the next open, or left to its stop."""
    limits = replace(LENIENT, shock_range_ppm=50_000, flatten_on_shock=flattens)
    shapes = [QUIET, (10_000, 10_600, 10_000, 10_000), (10_000, 10_000, 9_890, 9_890)]
    trade = both(case(shapes, target=0, limits=limits)).trades[0]
    assert reason is trade.close_reason


@pytest.mark.parametrize(("ago", "trades"), [(29, 0), (30, 1)])
def test_a_wide_candle_forbids_entries_for_its_pause(ago: int, trades: int) -> None:
    """Half an hour after its close an entry is made again."""
    wide = (10_000, 11_100, 10_000, 10_000)
    quiet = [QUIET] * (ago - 1)
    shapes = [wide, *quiet, QUIET, QUIET, (10_000, 10_000, 9_890, 9_890)]
    given = case(shapes, target=0, limits=LENIENT, signal_minute=1 + ago)
    assert trades == len(both(given).trades)


def test_an_average_range_above_its_usual_value_forbids_entries() -> None:
    """A day of candles ten ticks wide, then one of three hundred: both engines make no entry on its close."""
    calm = [(10_000, 10_010, 10_000, 10_000)] * 1_500
    for multiple, expected in ((2_000, 0), (9_000, 1)):
        limits = replace(LENIENT, shock_atr_milli=multiple)
        shapes = [*calm, (10_000, 10_300, 10_000, 10_000), QUIET, (10_000, 10_000, 9_890, 9_890)]
        given = case(shapes, target=0, limits=limits, signal_minute=1_501)
        assert expected == len(both(given).trades)


def test_a_position_that_may_grow_is_the_full_engines() -> None:
    """The first entry takes its share in both; a further signal for its side is not guessed at."""
    ladder = SizingSettings(risk_ppm=1_000_000, cap_ppm=100_000, ladder=(250_000, 750_000))
    given = case([QUIET, (10_000, 10_000, 9_890, 9_950)])
    given = replace(given, settings=replace(given.settings, sizing=ladder))
    assert Decimal("0.025") == both(given).trades[0].quantity
    table = given.spoken.table
    twice = Table(*(np.repeat(column, 2) for column in table))
    twice.closed_ms[1] += 2 * MINUTE_MS
    spoken = structs.replace(
        given.spoken, table=twice, sources=given.spoken.sources * 2, primaries=given.spoken.primaries * 2
    )
    shapes = [QUIET, QUIET, QUIET, (10_000, 10_000, 9_890, 9_950)]
    grown = replace(case(shapes), spoken=spoken, settings=given.settings)
    with pytest.raises(NeedsFullEngine, match="a further signal may make a position larger"):
        grown.fast()
    assert Decimal("0.1") == grown.full().trades[0].quantity


@pytest.mark.parametrize("hole_minutes", [1, 2, 26 * 60, 3 * 24 * 60])
def test_midnight_is_what_was_held_at_the_last_close_before_it(hole_minutes: int) -> None:
    """Bought 0.1 at 1,000.0 at 23:56 of 31 May; at 1,020.0 at the close of 23:59, and no candle after it.

    Midnight stands at 1,000 + 0.1 × 20 = 1,002: +0.2 % in May. At the end, at 1,005.0, there are 1,000.5 of them. The
    full hour before was 23:00, with nothing bought.
    """
    may_31 = START_MS + 27 * DAY_MS
    rises, high = (10_000, 10_200, 10_000, 10_200), (10_200, 10_200, 10_200, 10_200)
    falls, low = (10_200, 10_200, 10_050, 10_050), (10_050, 10_050, 10_050, 10_050)
    flat = [QUIET] * 60
    made = case([*flat, rises, high, high, *[high] * hole_minutes, falls, low], target=0, signal_minute=60)
    first_ms = may_31 + (22 * 60 + 55) * MINUTE_MS
    june = may_31 + DAY_MS
    hole = range(june - MINUTE_MS, june + (hole_minutes - 1) * MINUTE_MS)
    made = moved(made, first_ms - START_MS, hole)
    found = both(made)
    begin, end = made.market.first_ms, made.market.last_ms
    points = {point.ts_ms: point for point in curve(found, begin, end)}
    assert june not in made.market.candles.ts + MINUTE_MS
    assert (Decimal(1000), Decimal(2), Decimal(1002)) == (
        points[june].balance,
        points[june].unrealized,
        points[june].equity,
    )
    metrics = measure(found, begin, end)
    assert {"2025-05": pytest.approx(0.2), "2025-06": pytest.approx((1000.5 / 1002 - 1) * 100)} == (
        metrics.monthly_return_pct
    )


def test_the_last_close_before_midnight_is_sampled_where_none_is_at_midnight() -> None:
    """Two symbols, three nights: one with both, one with one of them, one with neither."""
    minutes = 3 * 24 * 60 + 10
    columns = [np.full(minutes, 10_000, dtype=np.int64)] * 4
    ts = START_MS + MINUTE_MS * np.arange(minutes, dtype=np.int64)
    block = from_units(instrument(AAA), ts, columns, np.full(minutes, 10**9, dtype=np.int64))
    nights = [START_MS + night * DAY_MS for night in (1, 2, 3)]

    def lacking(*opened: int) -> Units:
        return Units._make(column[~np.isin(ts, opened)] for column in block[: len(Units._fields)])

    third = range(nights[2] - 7 * MINUTE_MS, nights[2], MINUTE_MS)
    held = {AAA: lacking(nights[1] - MINUTE_MS, *third), "BBBUSDT": lacking(*third)}
    instants = make_market(held, [], MINUTE_MS).instants().tolist()
    assert sorted(instants) == instants
    hours = {START_MS + hour * HOUR_MS for hour in range(1, 72)}
    assert hours | {nights[2] - 7 * MINUTE_MS, nights[2] + MINUTE_MS} == set(instants)
