"""Both backtest engines make the same trades of any market, to the tick, the step and the last digit of money."""

from fakes.backtest_bench import draw
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from trading_engine.backtest.fast import NeedsFullEngine
from trading_engine.backtest.result import compare


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
