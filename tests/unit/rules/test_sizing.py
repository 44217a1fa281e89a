"""Quantities: each bound binds alone, ties have an order, everything rounds down."""

import pytest

from trading_engine.rules.scaling import Method, Scaling, no_record
from trading_engine.rules.sizing import (
    NO_BOUND,
    Bound,
    Size,
    SizingInput,
    by_method,
    fixed_fraction,
    notional_e8,
    reserved_margin_e8,
    share_of,
)

E8 = 100_000_000

# 10,000 USDT; BTC at 60,000 with tick 0.1 and step 0.001, stop 600 away. Risk of 0.5 % gives 50 / 0.6 =
# 83 steps; the cap is 120 % so that only the risk binds.
BASE = SizingInput(
    balance_e8=10_000 * E8,
    risk_ppm=5_000,
    cap_ppm=1_200_000,
    cap_money_e8=0,
    available_margin_e8=10_000 * E8,
    leverage_milli=5_000,
    fee_rate_e8=50_000,
    entry_ticks=600_000,
    stop_distance_ticks=6_000,
    value_per_tick_step_e8=10_000,
    max_steps=1_000_000,
    min_steps=1,
    min_notional_e8=5 * E8,
)


def test_the_notional_is_price_times_quantity() -> None:
    """8 steps of 0.001 at 60,000.0 are worth 480."""
    assert 480 * E8 == notional_e8(600_000, 8, 10_000)


def test_the_reserved_margin_holds_the_fees_of_both_sides() -> None:
    """480 at 5x take 96 of margin and twice 0.24 of fees."""
    assert 9_648_000_000 == reserved_margin_e8(480 * E8, 5_000, 50_000)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Size(83, Bound.RISK)),
        ({"risk_ppm": 4_980}, Size(83, Bound.RISK)),
        ({"risk_ppm": 4_979}, Size(82, Bound.RISK)),
        ({"cap_ppm": 200_000}, Size(33, Bound.CAP)),
        ({"cap_money_e8": 1_000 * E8}, Size(16, Bound.CAP_MONEY)),
        ({"cap_money_e8": 9_000 * E8}, Size(83, Bound.RISK)),
        ({"available_margin_e8": 100 * E8}, Size(8, Bound.MARGIN)),
        ({"available_margin_e8": 9_648_000_000}, Size(8, Bound.MARGIN)),
        ({"available_margin_e8": 9_647_999_999}, Size(7, Bound.MARGIN)),
        ({"max_steps": 5}, Size(5, Bound.VENUE)),
        ({"method_steps": 40}, Size(40, Bound.METHOD)),
        ({"method_steps": 83}, Size(83, Bound.RISK)),
        ({"method_steps": 0}, Size(0, Bound.MINIMUM)),
    ],
)
def test_the_tightest_bound_sets_the_quantity(changes: dict[str, int], expected: Size) -> None:
    """Each bound, made the tightest, is the one that is named."""
    assert expected == fixed_fraction(BASE._replace(**changes))


@pytest.mark.parametrize(
    ("changes", "winner"),
    [
        ({"cap_ppm": 498_000}, Bound.RISK),
        ({"cap_ppm": 498_000, "risk_ppm": 6_000, "cap_money_e8": 4_980 * E8}, Bound.CAP),
        ({"cap_money_e8": 4_980 * E8, "risk_ppm": 6_000, "max_steps": 83}, Bound.CAP_MONEY),
        ({"available_margin_e8": 83 * 1_206_000_000, "risk_ppm": 6_000, "max_steps": 83}, Bound.MARGIN),
        ({"max_steps": 83}, Bound.RISK),
    ],
)
def test_of_equal_bounds_the_first_is_named(changes: dict[str, int], winner: Bound) -> None:
    """Risk before cap before money before margin before venue."""
    assert Size(83, winner) == fixed_fraction(BASE._replace(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"min_steps": 84},
        {"min_notional_e8": 4_980 * E8 + 1},
        {"balance_e8": 0},
        {"balance_e8": -1},
        {"risk_ppm": 0},
        {"min_steps": 0, "risk_ppm": 1, "stop_distance_ticks": 600_000},
        {"available_margin_e8": -1},
        {"max_steps": 0},
    ],
)
def test_too_little_for_the_venue_is_no_order(changes: dict[str, int]) -> None:
    """Below the smallest order or notional nothing is bought, and nothing is rounded up."""
    assert Size(0, Bound.MINIMUM) == fixed_fraction(BASE._replace(**changes))


def test_the_smallest_order_and_notional_are_allowed() -> None:
    """A quantity exactly at both minimums is an order."""
    assert Size(83, Bound.RISK) == fixed_fraction(BASE._replace(min_steps=83, min_notional_e8=4_980 * E8))


@pytest.mark.parametrize(
    ("step_e8", "changes", "expected"),
    [
        (1, {"available_margin_e8": 10}, Size(50, Bound.MARGIN)),  # 0.2 each
        (1, {"available_margin_e8": 10, "cap_money_e8": 50}, Size(50, Bound.CAP_MONEY)),
        (15, {"available_margin_e8": 10}, Size(3, Bound.MARGIN)),  # 3 each
        (16, {"available_margin_e8": 100}, Size(31, Bound.MARGIN)),  # 3.2 each
    ],
)
def test_rounding_of_margin_is_not_multiplied_by_steps(step_e8: int, changes: dict[str, int], expected: Size) -> None:
    """Where a step costs next to nothing the margin of the whole is rounded, at 5x without fees."""
    dust = BASE._replace(
        entry_ticks=1, stop_distance_ticks=1, value_per_tick_step_e8=step_e8, fee_rate_e8=0, min_notional_e8=0
    )
    assert expected == fixed_fraction(dust._replace(max_steps=10**18, **changes))


@pytest.mark.parametrize(
    ("share", "changes", "expected"),
    [
        (1_000_000, {}, Size(83, Bound.RISK)),
        (250_000, {}, Size(20, Bound.RISK)),
        (10_000, {}, Size(0, Bound.MINIMUM)),
        (250_000, {"min_steps": 21}, Size(0, Bound.MINIMUM)),
        (250_000, {"min_notional_e8": 1_201 * E8}, Size(0, Bound.MINIMUM)),
    ],
)
def test_a_share_of_a_size_is_rounded_down_and_not_below_the_minimum(
    share: int, changes: dict[str, int], expected: Size
) -> None:
    """A quarter of 83 steps are 20, worth 1,200."""
    inputs = BASE._replace(**changes)
    assert expected == share_of(fixed_fraction(inputs), share, inputs)


RULE = Scaling(Method.FIXED_FRACTION, 5_000, 1_000 * E8, 10_000, 250_000, 20_000, 1_000, 1_000, 1_000)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (Method.FIXED_FRACTION, (5_000, NO_BOUND)),
        (Method.FIXED_MONEY, (5_000, 16)),
        (Method.VOLATILITY, (5_000, 200)),
        (Method.KELLY, (5_000, NO_BOUND)),
    ],
)
def test_a_method_asks_for_a_share_or_for_a_quantity(method: Method, expected: tuple[int, int]) -> None:
    """1,000 buy 16 steps at 60; one per cent of 10,000 is moved by 200 of them in a range of 5,000 ticks."""
    made = by_method(BASE, RULE._replace(method=method), no_record(), 5_000_000)
    assert expected == (made.risk_ppm, made.method_steps)
    assert BASE == made._replace(risk_ppm=BASE.risk_ppm, method_steps=NO_BOUND)


@pytest.mark.parametrize(
    ("method", "expected"),
    [(Method.FIXED_FRACTION, (7_500, NO_BOUND)), (Method.FIXED_MONEY, (7_500, 25)), (Method.VOLATILITY, (7_500, 300))],
)
def test_a_winning_streak_scales_whatever_the_method_asks_for(method: Method, expected: tuple[int, int]) -> None:
    """Half as much again."""
    rule = RULE._replace(method=method, win_step_milli=1_500, win_most_milli=2_000)
    made = by_method(BASE, rule, no_record()._replace(wins_in_row=1), 5_000_000)
    assert expected == (made.risk_ppm, made.method_steps)
