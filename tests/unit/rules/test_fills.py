"""Fills inside a candle: path, triggers, gaps, slippage, fees, funding."""

import pytest

from trading_engine.rules import fills
from trading_engine.rules.fills import Path


@pytest.mark.parametrize(("sign", "expected"), [(1, Path(100, 90, 120, 110)), (-1, Path(100, 120, 90, 110))])
def test_the_path_meets_the_adverse_extreme_first(sign: int, expected: Path) -> None:
    """The low for a long, the high for a short."""
    assert expected == fills.adverse_path(sign, 100, 120, 90, 110)


@pytest.mark.parametrize(
    ("trade_sign", "ticks", "ppm", "expected"),
    [
        (1, 10_000, 500, 10_005),
        (-1, 10_000, 500, 9_995),
        (1, 10_001, 500, 10_007),
        (-1, 10_001, 500, 9_995),
        (1, 3, 1, 4),
        (-1, 3, 1, 2),
        (-1, 1, 500, 1),
        (1, 10_000, 0, 10_000),
        (-1, 10_000, 0, 10_000),
    ],
)
def test_slippage_moves_the_price_against_the_taker(trade_sign: int, ticks: int, ppm: int, expected: int) -> None:
    """Rounded against the taker, at least one tick, never below one tick."""
    assert expected == fills.slipped(trade_sign, ticks, ppm)


@pytest.mark.parametrize(
    ("trade_sign", "ppm", "range_ticks", "range_ppm", "expected"),
    [
        (1, 200, 60, 100_000, 10_008),
        (-1, 200, 60, 100_000, 9_992),
        (1, 200, 61, 100_000, 10_009),
        (-1, 200, 61, 100_000, 9_991),
        (1, 0, 61, 100_000, 10_007),
        (1, 200, 0, 100_000, 10_002),
        (1, 200, 60, 0, 10_002),
        (1, 0, 60, 1_000_000, 10_060),
        (-1, 500_000, 9_000, 1_000_000, 1),
    ],
)
def test_a_share_of_a_range_is_added_to_the_share_of_the_price(
    trade_sign: int, ppm: int, range_ticks: int, range_ppm: int, expected: int
) -> None:
    """Each rounded against the taker by itself; together never below one tick."""
    assert expected == fills.slipped(trade_sign, 10_000, ppm, range_ticks, range_ppm)


@pytest.mark.parametrize(
    ("impact_ppm", "steps", "volume", "expected"),
    [
        (1_000, 100, 10_000, 10_000),  # a hundredth of the volume: a tenth of 0.1 %
        (1_000, 1, 1_000_000, 100),
        (1_000, 1, 3, 57_736),  # √⅓ is 0.577350 and a rest
        (1_000, 10_000, 10_000, 100_000),
        (1_000, 10_001, 10_000, 100_000),
        (1_000, 1, 0, 100_000),
        (1_000, 1, 10**18, 1),
        (1_000_000, 5, 5, 100_000_000),
        (0, 100, 10_000, 0),
        (0, 100, 0, 0),
    ],
)
def test_impact_grows_with_the_root_of_the_share_of_the_volume(
    impact_ppm: int, steps: int, volume: int, expected: int
) -> None:
    """Rounded up; a market without volume, or with less than is traded, costs all of it and no more."""
    assert expected == fills.impact_e8(impact_ppm, steps, volume)


@pytest.mark.parametrize(
    ("trade_sign", "ppm", "impact_e8", "expected"),
    [
        (1, 200, 10_000, 10_003),
        (-1, 200, 10_000, 9_997),
        (1, 0, 10_001, 10_002),
        (1, 200, 0, 10_002),
        (-1, 0, 10**8, 1),
    ],
)
def test_impact_is_a_share_of_the_price_by_itself(trade_sign: int, ppm: int, impact_e8: int, expected: int) -> None:
    """Rounded against the taker as the others; never below one tick."""
    assert expected == fills.slipped(trade_sign, 10_000, ppm, impact_e8=impact_e8)


@pytest.mark.parametrize(
    ("trade_sign", "start", "end", "expected"),
    [
        (-1, 105, 101, False),
        (-1, 105, 100, True),
        (-1, 105, 95, True),
        (-1, 95, 105, True),
        (-1, 101, 105, False),
        (-1, 100, 105, True),
        (1, 100, 95, True),
        (1, 95, 99, False),
        (1, 95, 100, True),
        (1, 95, 105, True),
        (1, 105, 95, True),
        (1, 99, 95, False),
    ],
)
def test_a_stop_triggers_when_touched_or_passed(trade_sign: int, start: int, end: int, expected: bool) -> None:
    """A trigger at 100: a sale at or below it, a buy at or above it."""
    assert expected is fills.crosses_stop(trade_sign, start, end, 100)


@pytest.mark.parametrize(
    ("trade_sign", "start", "end", "expected"),
    [
        (-1, 95, 99, False),
        (-1, 95, 100, True),
        (-1, 105, 95, True),
        (1, 105, 101, False),
        (1, 105, 100, True),
        (1, 95, 105, True),
    ],
)
def test_a_target_triggers_on_the_other_side(trade_sign: int, start: int, end: int, expected: bool) -> None:
    """A trigger at 100: a sale at or above it, a buy at or below it."""
    assert expected is fills.crosses_target(trade_sign, start, end, 100)


@pytest.mark.parametrize(
    ("trade_sign", "start", "expected"), [(-1, 105, 100), (-1, 95, 95), (1, 95, 100), (1, 105, 105)]
)
def test_a_stop_behind_a_gap_trades_at_the_gap(trade_sign: int, start: int, expected: int) -> None:
    """A trigger at 100, or the price at which the segment begins beyond it."""
    assert expected == fills.stop_base_ticks(trade_sign, start, 100)


@pytest.mark.parametrize(
    ("trade_sign", "start", "end", "expected"),
    [
        (1, 105, 100, False),
        (1, 105, 99, True),
        (1, 99, 105, True),
        (1, 100, 105, False),
        (-1, 95, 100, False),
        (-1, 95, 101, True),
        (-1, 101, 95, True),
        (-1, 100, 95, False),
    ],
)
def test_a_resting_limit_trades_only_when_passed(trade_sign: int, start: int, end: int, expected: bool) -> None:
    """A limit at 100 that is only touched stays in the queue."""
    assert expected is fills.limit_trades(trade_sign, start, end, 100)


@pytest.mark.parametrize(("trade_sign", "start"), [(1, 105), (1, 90), (-1, 95), (-1, 110)])
def test_a_resting_limit_fills_at_its_limit(trade_sign: int, start: int) -> None:
    """Never better, also behind a gap."""
    assert 100 == fills.limit_price(trade_sign, start, 100)


def test_a_share_of_the_volume_is_available() -> None:
    """Ten per cent of 1,009 steps, rounded down."""
    assert 100 == fills.available_steps(1_009, 100_000)


@pytest.mark.parametrize(
    ("notional", "rate", "expected"),
    [
        (10**10, 50_000, 5_000_000),
        (10**10 + 1, 50_000, 5_000_001),
        (10**10 + 1, -50_000, -5_000_000),
        (7, 0, 0),
    ],
)
def test_a_fee_is_rounded_up_and_a_rebate_down(notional: int, rate: int, expected: int) -> None:
    """0.05 % of 100 and a bit."""
    assert expected == fills.fee_e8(notional, rate)


@pytest.mark.parametrize(
    ("rate", "sign", "expected"),
    [(10_000, 1, -1_000_001), (10_000, -1, 1_000_000), (-10_000, 1, 1_000_000), (-10_000, -1, -1_000_001)],
)
def test_funding_flows_from_long_to_short_and_rounds_against_the_holder(rate: int, sign: int, expected: int) -> None:
    """0.01 % of 100 and a bit; a negative rate flows the other way."""
    assert expected == fills.funding_e8(10**10 + 1, rate, sign)


@pytest.mark.parametrize(
    ("sign", "high", "low", "stop", "target", "expected"),
    [
        (1, 110, 90, 90, 110, True),
        (1, 109, 90, 90, 110, False),
        (1, 110, 91, 90, 110, False),
        (-1, 110, 90, 110, 90, True),
        (-1, 109, 90, 110, 90, False),
        (-1, 110, 91, 110, 90, False),
        (1, 110, 90, 90, 0, False),
        (-1, 110, 90, 0, 90, False),
    ],
)
def test_a_candle_with_stop_and_target_is_ambiguous(
    sign: int, high: int, low: int, stop: int, target: int, expected: bool
) -> None:
    """Both must exist and lie inside."""
    assert expected is fills.is_ambiguous(sign, high, low, stop, target)
