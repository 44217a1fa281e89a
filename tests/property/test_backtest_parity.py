"""Both backtest engines make the same trades of any market, to the tick, the step and the last digit of money.

`python tests/parity/parity_table.py` compares them on recorded markets, over tens of thousands of trades.
"""

from dataclasses import replace

from builders import without_limits
from fakes import strategy_bench
from fakes.backtest_bench import MINUTE_MS, START_MS, Case, delay, draw, ended, moved, vary
from fakes.reckless import Reckless
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from trading_engine.backtest.fast import NeedsFullEngine
from trading_engine.backtest.metrics import curve
from trading_engine.backtest.result import compare
from trading_engine.backtest.signals import speak
from trading_engine.domain.time import DAY_MS
from trading_engine.rules.scaling import Method


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32 - 1))
def test_the_loop_over_arrays_trades_what_the_live_code_trades(seed: int) -> None:
    """Random markets with holes, signals, costs, exits and limits; what is compared is every field of every trade.

    Every other one with symbols that come and go, longer candles and settlements between them as well; and every other
    pair with fills that are late or cost a share of the range before.
    """
    case = draw(seed) if seed % 2 else vary(draw(seed), seed)
    case = delay(case, seed) if seed % 4 > 1 else case
    try:
        fast = case.fast()
    except NeedsFullEngine:
        reject()
    assert [] == compare(fast, case.full())


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32 - 1), st.integers(1, 90), st.integers(0, 90))
def test_midnight_in_a_hole_holds_what_a_run_that_ends_there_holds(seed: int, before: int, after: int) -> None:
    """Random markets that lack the minutes around a midnight: balance and open PnL of then, booked trades and all."""
    midnight = START_MS + DAY_MS
    hole = range(midnight - before * MINUTE_MS, midnight + after * MINUTE_MS)
    case = moved(draw(seed), DAY_MS - 120 * MINUTE_MS, hole)
    try:
        fast = case.fast()
    except NeedsFullEngine:
        reject()
    assert [] == compare(fast, case.full())
    then = next(one for one in curve(fast, case.market.first_ms, case.market.last_ms) if one.ts_ms == midnight)
    until = ended(case, hole.start).full()
    assert (until.balance, until.unrealized) == (then.balance, then.unrealized)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32 - 1))
def test_any_strategy_with_any_settings_trades_the_same_in_both_engines(seed: int) -> None:
    """One to five built-in strategies, settings at random, filters, levels, a synthetic market of some character."""
    case = strategy_bench.draw(seed)
    try:
        fast = case.fast()
    except NeedsFullEngine:
        reject()
    assert [] == compare(fast, case.full())


def _reckless(seed: int) -> Case:
    """The market and settings of a seed with a strategy whose entries often cannot be made."""
    case = draw(seed)
    told = dict.fromkeys(case.market.symbols, (Reckless(seed % 1_000),))
    spoken = speak(case.market, told, case.settings.instruments)
    assert 0 < len(spoken.refused) < spoken.entries
    return replace(case, spoken=spoken, settings=replace(case.settings, limits=without_limits()))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32 - 1))
def test_entries_that_cannot_be_made_are_refused_in_both_engines(seed: int) -> None:
    """Stops and targets on the wrong side of the close, or out of reach: the others are traded alike."""
    case = _reckless(seed)
    try:
        fast = case.fast()
    except NeedsFullEngine:
        reject()
    assert [] == compare(fast, case.full())


def test_what_is_left_of_a_reckless_strategy_trades() -> None:
    """Comparing silence would prove nothing here either."""
    assert sum(len(_reckless(seed).full().trades) for seed in range(3)) > 30


def test_strategies_that_are_drawn_trade() -> None:
    """Comparing silence would prove nothing: some cases together make a number of trades, long and short."""
    trades = [trade for seed in range(3) for trade in strategy_bench.draw(seed).fast().trades]
    assert len(trades) > 30
    assert {"long", "short"} == {trade.side for trade in trades}


def test_both_engines_size_by_what_thirty_trades_recommend() -> None:
    """A longer market with hardly a pause, so that Kelly has something to go by."""
    case = draw(18, minutes=1_200)
    limits = without_limits(streak_pause_ms=60_000, consecutive_losses=3)
    sizing = replace(case.settings.sizing, method=Method.KELLY, kelly_share_ppm=1_000_000, kelly_cap_ppm=30_000)
    case = replace(case, settings=replace(case.settings, limits=limits, sizing=sizing))
    full = case.full()
    assert len(full.trades) > 40
    assert [] == compare(case.fast(), full)
