"""Initial and maintenance margin, liquidation price."""

import pytest

from trading_engine.rules.margin import (
    Tier,
    initial_margin_e8,
    liquidation_ticks,
    maintenance_margin_e8,
    tier_for,
    tier_index,
)

E8 = 100_000_000
LOW = Tier(50_000 * E8, 4_000, 0)
HIGH = Tier(250_000 * E8, 5_000, 50 * E8)
TOP = Tier(10**6 * E8, 10_000, 1_300 * E8)
TIERS = (LOW, HIGH, TOP)
FREE = Tier(E8, 0, 0)


@pytest.mark.parametrize(
    ("notional", "leverage", "expected"), [(1_000, 1_000, 1_000), (1_000, 5_000, 200), (1_000, 3_000, 334)]
)
def test_initial_margin_is_notional_over_leverage_rounded_up(notional: int, leverage: int, expected: int) -> None:
    """At 1x, 5x and 3x."""
    assert expected == initial_margin_e8(notional, leverage)


@pytest.mark.parametrize(
    ("notional", "expected"),
    [(0, LOW), (50_000 * E8, LOW), (50_000 * E8 + 1, HIGH), (250_001 * E8, TOP), (2 * 10**6 * E8, TOP)],
)
def test_a_tier_reaches_up_to_its_cap_and_the_last_beyond(notional: int, expected: Tier) -> None:
    """The cap itself still belongs to the tier."""
    assert expected == tier_for(notional, TIERS)


@pytest.mark.parametrize(
    ("notional", "expected"),
    [(50_000 * E8, 200 * E8), (100_000 * E8, 450 * E8), (1, 1), (0, 0)],
)
def test_maintenance_margin_is_a_rate_less_a_deduction_rounded_up(notional: int, expected: int) -> None:
    """0.4 % of 50,000; 0.5 % of 100,000 less 50."""
    assert expected == maintenance_margin_e8(notional, TIERS)


def test_maintenance_margin_is_never_negative() -> None:
    """A deduction larger than the margin leaves none."""
    assert 0 == maintenance_margin_e8(E8, (Tier(E8, 5_000, E8),))


@pytest.mark.parametrize(
    ("sign", "expected"),
    # (100 x 100 - 2,000) / (100 x 0.996) = 80.32.. and (10,000 + 2,000) / (100 x 1.004) = 119.52..
    [(1, 8_033), (-1, 11_952)],
)
def test_the_liquidation_price_is_rounded_towards_the_entry(sign: int, expected: int) -> None:
    """100 coins at 100.00 with a margin of 2,000: 80.33 and 119.52 in ticks of 0.01."""
    assert expected == liquidation_ticks(sign, 10_000_000, 100, E8 // 100, 2_000 * E8, LOW)


@pytest.mark.parametrize(("sign", "expected"), [(1, 81), (-1, 120)])
def test_without_maintenance_the_margin_is_the_whole_way(sign: int, expected: int) -> None:
    """An entry at 100.5 ticks and 20 ticks of margin give 80.5 and 120.5, and a tick towards the entry."""
    assert expected == liquidation_ticks(sign, 100_500, 1, 1, 20, FREE)


def test_a_deduction_moves_the_liquidation_price_away() -> None:
    """The upper tier: (10,000 - 2,000 - 50) / (100 x 0.995) = 79.899.."""
    assert 7_990 == liquidation_ticks(1, 10_000_000, 100, E8 // 100, 2_000 * E8, HIGH)


@pytest.mark.parametrize(
    ("sign", "steps", "margin"),
    [(1, 0, 100), (-1, 0, 100), (1, 1, 100), (1, 1, 101), (1, 1, 10**12), (-1, 1, 10**12)],
)
def test_there_may_be_no_liquidation_price(sign: int, steps: int, margin: int) -> None:
    """Flat, a long that survives a price of zero, a margin that outlasts any price."""
    assert 0 == liquidation_ticks(sign, 100_000, steps, 1, margin, FREE)


def test_a_short_that_survives_any_real_price_still_has_a_liquidation_price() -> None:
    """Just below the bound beyond which there is none."""
    assert 100 + 10**12 - 1 == liquidation_ticks(-1, 100_000, 1, 1, 10**12 - 1, FREE)


@pytest.mark.parametrize(("notional", "expected"), [(0, 0), (10, 0), (11, 1), (20, 1), (21, 2), (99, 2)])
def test_a_tier_reaches_up_to_its_cap_and_the_last_beyond_it(notional: int, expected: int) -> None:
    """Caps are included."""
    assert expected == tier_index(notional, [10, 20, 30])
