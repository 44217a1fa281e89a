"""Both backtest engines make the same trades of any market, to the tick, the step and the last digit of money."""

from dataclasses import replace

from builders import without_limits
from fakes.backtest_bench import draw
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from trading_engine.backtest.fast import NeedsFullEngine
from trading_engine.backtest.result import compare
from trading_engine.rules.scaling import Method


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32 - 1))
def test_the_loop_over_arrays_trades_what_the_live_code_trades(seed: int) -> None:
    """Random markets with holes, signals, costs, exits and limits; what is compared is every field of every trade."""
    case = draw(seed)
    try:
        fast = case.fast()
    except NeedsFullEngine:
        reject()
    assert [] == compare(fast, case.full())


def test_both_engines_size_by_what_thirty_trades_recommend() -> None:
    """A longer market with hardly a pause, so that Kelly has something to go by."""
    case = draw(18, minutes=1_200)
    limits = without_limits(streak_pause_ms=60_000, consecutive_losses=3)
    sizing = replace(case.settings.sizing, method=Method.KELLY, kelly_share_ppm=1_000_000, kelly_cap_ppm=30_000)
    case = replace(case, settings=replace(case.settings, limits=limits, sizing=sizing))
    full = case.full()
    assert len(full.trades) > 40
    assert [] == compare(case.fast(), full)
