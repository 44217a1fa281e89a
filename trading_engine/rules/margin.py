"""Margin of an isolated one-way position in a linear contract: initial, maintenance, liquidation price.

What belongs here: the venue's margin arithmetic, rounded so that we never look safer than we are. What
does not: whether a position is allowed (limits), how large it may be (sizing).
"""

from typing import NamedTuple, Protocol

from trading_engine.rules.integers import (
    MILLI,
    PPM,
    divide_ceil,
    ratio_floor,
    scale_ceil,
)

UNREACHABLE_TICKS = 10**12


class Caps(Protocol):
    """The caps of tiers, ascending: a list, or a column of an array."""

    def __len__(self) -> int:
        """Number of tiers."""

    def __getitem__(self, index: int, /) -> int:
        """The cap of one tier, 1e-8."""


class Tier(NamedTuple):
    """Maintenance margin for a notional up to and including `cap_e8`: notional × rate − deduction."""

    cap_e8: int
    rate_ppm: int
    deduction_e8: int


def initial_margin_e8(notional_e8: int, leverage_milli: int) -> int:
    """Margin that opens `notional_e8` at a leverage of at least 1x (1_000), rounded up.

    `scale_ceil` divides by the leverage first: notional × 1_000 would not fit.
    """
    return scale_ceil(notional_e8, MILLI, leverage_milli)


def tier_index(notional_e8: int, caps_e8: Caps) -> int:
    """Which of the tiers with these ascending caps reaches `notional_e8` first; the last one beyond all of them."""
    for index in range(len(caps_e8)):
        if notional_e8 <= caps_e8[index]:
            return index
    return len(caps_e8) - 1


def tier_for(notional_e8: int, tiers: tuple[Tier, ...]) -> Tier:
    """The tier of a notional; `tiers` are in ascending order of their caps, at least one."""
    return tiers[tier_index(notional_e8, [tier.cap_e8 for tier in tiers])]


def maintenance_margin_e8(notional_e8: int, tiers: tuple[Tier, ...]) -> int:
    """Margin below which a position of `notional_e8` is liquidated, rounded up, never negative."""
    tier = tier_for(notional_e8, tiers)
    return max(0, scale_ceil(notional_e8, tier.rate_ppm, PPM) - tier.deduction_e8)


def liquidation_ticks(
    sign: int,
    entry_mticks: int,
    steps: int,
    value_per_tick_step_e8: int,
    isolated_margin_e8: int,
    tier: Tier,
) -> int:
    """Price at which isolated margin + unrealised PnL is down to the maintenance margin; 0 for none.

        (margin + deduction − sign × quantity × entry) / (quantity × (maintenance rate − sign))

    The exact quotient is rounded to a tick towards the entry (up for a long, down for a short), so that
    a position is liquidated no later than the formula says. There is none for a flat position, for a long
    whose margin outlasts a price of zero, and where the margin lasts for more than 1e12 ticks.

    sign                     +1 long, -1 short
    entry_mticks             average entry, up to 1e13
    isolated_margin_e8       margin set aside for this position, without its unrealised PnL
    tier                     the tier of the position's notional (`tier_for`), rate below 100 %

    Numerator and denominator are divided by the value of a tick first, in millionths of a tick by long
    division, because quantity × entry in thousandths does not fit. Flooring that quotient keeps the
    result exact: the rest of the division is by a whole number.
    """
    value_per_tick_e8 = steps * value_per_tick_step_e8
    cushion_e8 = isolated_margin_e8 + tier.deduction_e8
    if value_per_tick_e8 <= 0 or cushion_e8 // value_per_tick_e8 >= UNREACHABLE_TICKS:
        return 0
    entry_millionths = entry_mticks * MILLI
    cushion_millionths = ratio_floor(cushion_e8, value_per_tick_e8, 6)
    if sign > 0:
        return max(0, divide_ceil(entry_millionths - cushion_millionths, PPM - tier.rate_ppm))
    return (entry_millionths + cushion_millionths) // (PPM + tier.rate_ppm)
