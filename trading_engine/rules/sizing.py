"""How much to buy or sell: the largest quantity within every bound, and the name of the tightest one.

What belongs here: quantities from money, risk and the venue's minimums and maximums. What does not:
whether to trade at all (limits), where the stop lies (exits).

Every quantity is rounded down and never up, so rounding never raises the risk.
"""

from enum import IntEnum
from typing import NamedTuple

from trading_engine.rules.fills import fee_e8
from trading_engine.rules.integers import MILLI, PPM, scale_floor
from trading_engine.rules.margin import initial_margin_e8
from trading_engine.rules.scaling import Method, Record, Scaling, at_risk_ppm, scale_milli, volatility_steps

# Margin and two fees are each rounded up, by less than one unit.
_ROUNDING_E8 = 3
NO_BOUND = -1


class Bound(IntEnum):
    """What set a quantity; where several give the same, the first of them is named."""

    RISK = 0  # loss at the stop
    CAP = 1  # notional as a share of the balance
    CAP_MONEY = 2  # notional as an amount of money
    MARGIN = 3  # margin and fees within the available margin
    VENUE = 4  # the venue's largest order
    MINIMUM = 5  # what the others leave is below the venue's minimum: no order
    METHOD = 6  # what the method of sizing asks for


class SizingInput(NamedTuple):
    """Everything a quantity follows from; recorded with each decision.

    balance_e8               balance, up to 1e18; not positive gives no order
    risk_ppm                 share of the balance that the stop may cost, before fees and slippage
    cap_ppm                  largest notional as a share of the balance, up to 9_000_000 (900 %)
    cap_money_e8             largest notional, 0 for none
    available_margin_e8      free margin at the venue
    leverage_milli           leverage, 1_000 = 1x, at least 1x
    fee_rate_e8              taker fee, >= 0; reserved for both sides out of the margin
    entry_ticks              expected entry, > 0
    stop_distance_ticks      distance from entry to stop, > 0
    value_per_tick_step_e8   value of one tick of one step, > 0
    max_steps                the venue's largest order
    min_steps                the venue's smallest order
    min_notional_e8          the venue's smallest price × quantity, 0 for none
    method_steps             what the method asks for, in steps, NO_BOUND for one that only risks
    """

    balance_e8: int
    risk_ppm: int
    cap_ppm: int
    cap_money_e8: int
    available_margin_e8: int
    leverage_milli: int
    fee_rate_e8: int
    entry_ticks: int
    stop_distance_ticks: int
    value_per_tick_step_e8: int
    max_steps: int
    min_steps: int
    min_notional_e8: int
    method_steps: int = NO_BOUND


class Size(NamedTuple):
    """A quantity, 0 for no order, and the bound that set it."""

    steps: int
    binding: Bound


def notional_e8(ticks: int, steps: int, value_per_tick_step_e8: int) -> int:
    """Price × quantity, exactly. Each partial product is at most the result, so it fits where that does."""
    return ticks * steps * value_per_tick_step_e8


def reserved_margin_e8(trade_notional_e8: int, leverage_milli: int, fee_rate_e8: int) -> int:
    """What an entry ties up: initial margin and the taker fee of both sides, each rounded up."""
    return initial_margin_e8(trade_notional_e8, leverage_milli) + 2 * fee_e8(trade_notional_e8, fee_rate_e8)


def by_method(inputs: SizingInput, rule: Scaling, record: Record, atr_mticks: int) -> SizingInput:
    """The inputs with the share at risk and the quantity that the method asks for, scaled by the record.

    `inputs` carry the bounds; their own `risk_ppm` and `method_steps` are replaced.
    """
    scale = scale_milli(rule, record)
    steps = NO_BOUND
    if rule.method == Method.FIXED_MONEY:
        step_e8 = notional_e8(inputs.entry_ticks, 1, inputs.value_per_tick_step_e8)
        steps = scale_floor(rule.money_e8, scale, MILLI) // step_e8
    elif rule.method == Method.VOLATILITY:
        moved_e8 = scale_floor(scale_floor(inputs.balance_e8, rule.volatility_ppm, PPM), scale, MILLI)
        steps = volatility_steps(moved_e8, atr_mticks, inputs.value_per_tick_step_e8)
    return SizingInput(
        inputs.balance_e8,
        scale_floor(at_risk_ppm(rule, record), scale, MILLI),
        inputs.cap_ppm,
        inputs.cap_money_e8,
        inputs.available_margin_e8,
        inputs.leverage_milli,
        inputs.fee_rate_e8,
        inputs.entry_ticks,
        inputs.stop_distance_ticks,
        inputs.value_per_tick_step_e8,
        inputs.max_steps,
        inputs.min_steps,
        inputs.min_notional_e8,
        steps,
    )


def fixed_fraction(inputs: SizingInput) -> Size:
    """The largest quantity within every bound, named after the tightest; see `Bound` for ties.

    No order (`Bound.MINIMUM`) where that quantity is below the venue's smallest order or its notional
    below the venue's smallest notional. Notional is computed only within the cap, so it fits int64.
    """
    step_e8 = notional_e8(inputs.entry_ticks, 1, inputs.value_per_tick_step_e8)
    loss_of_step_e8 = notional_e8(inputs.stop_distance_ticks, 1, inputs.value_per_tick_step_e8)
    balance_e8 = max(0, inputs.balance_e8)
    steps = scale_floor(balance_e8, inputs.risk_ppm, PPM) // loss_of_step_e8
    binding = Bound.RISK
    if 0 <= inputs.method_steps < steps:
        steps = inputs.method_steps
        binding = Bound.METHOD
    cap_steps = scale_floor(balance_e8, inputs.cap_ppm, PPM) // step_e8
    if cap_steps < steps:
        steps = cap_steps
        binding = Bound.CAP
    if inputs.cap_money_e8 > 0 and inputs.cap_money_e8 // step_e8 < steps:
        steps = inputs.cap_money_e8 // step_e8
        binding = Bound.CAP_MONEY
    margin_steps = _affordable_steps(inputs, steps, step_e8)
    if margin_steps < steps:
        steps = margin_steps
        binding = Bound.MARGIN
    if inputs.max_steps < steps:
        steps = inputs.max_steps
        binding = Bound.VENUE
    if steps < max(1, inputs.min_steps) or steps * step_e8 < inputs.min_notional_e8:
        return Size(0, Bound.MINIMUM)
    return Size(steps, binding)


def share_of(size: Size, share_ppm: int, inputs: SizingInput) -> Size:
    """A share of a quantity, rounded down; no order where that is below the venue's minimums."""
    steps = scale_floor(size.steps, share_ppm, PPM)
    step_e8 = notional_e8(inputs.entry_ticks, 1, inputs.value_per_tick_step_e8)
    if steps < max(1, inputs.min_steps) or steps * step_e8 < inputs.min_notional_e8:
        return Size(0, Bound.MINIMUM)
    return Size(steps, size.binding)


def _affordable_steps(inputs: SizingInput, most: int, step_e8: int) -> int:
    """The largest quantity up to `most` steps whose reserved margin is available.

    A bisection rather than a formula: it reserves, unit by unit, what `reserved_margin_e8` will ask for.
    The margin of one step, which rounding overstates by less than three units, brackets the answer so
    tightly that a few rounds are enough.
    """
    available_e8 = max(0, inputs.available_margin_e8)
    if reserved_margin_e8(most * step_e8, inputs.leverage_milli, inputs.fee_rate_e8) <= available_e8:
        return most
    margin_of_step_e8 = reserved_margin_e8(step_e8, inputs.leverage_milli, inputs.fee_rate_e8)
    enough = available_e8 // margin_of_step_e8
    too_many = most
    if margin_of_step_e8 > _ROUNDING_E8:
        too_many = min(most, available_e8 // (margin_of_step_e8 - _ROUNDING_E8) + 1)
    while too_many - enough > 1:
        middle = (enough + too_many) // 2
        if reserved_margin_e8(middle * step_e8, inputs.leverage_milli, inputs.fee_rate_e8) <= available_e8:
            enough = middle
        else:
            too_many = middle
    return enough
