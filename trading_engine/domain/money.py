"""Exact decimals for prices, quantities and money, and their integer form for the rules.

What belongs here: exact arithmetic, rounding with a named direction, and the one conversion between
Decimal and the integers (ticks, steps, 1e-8 money) that `rules/` works on. What does not: what a number
means (instrument, position) or any float: a float enters only through `from_float`.

Every operation runs in a context of 60 digits that traps inexactness, so a lost digit is an exception,
never a wrong cent.
"""

from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
)

ZERO = Decimal(0)
E8 = 100_000_000
MONEY_QUANTUM = Decimal("0.00000001")

EXACT = Context(prec=60, traps=[InvalidOperation, DivisionByZero, Overflow, Inexact])
_ROUNDING = Context(prec=60, traps=[InvalidOperation, DivisionByZero, Overflow])


def add(left: Decimal, right: Decimal) -> Decimal:
    """left + right, exactly."""
    return EXACT.add(left, right)


def subtract(left: Decimal, right: Decimal) -> Decimal:
    """left − right, exactly."""
    return EXACT.subtract(left, right)


def multiply(left: Decimal, right: Decimal) -> Decimal:
    """left × right, exactly."""
    return EXACT.multiply(left, right)


def share(amount: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """amount × part / whole, rounded half-even to 1e-8; the caller gives the remainder to the last part."""
    return _ROUNDING.divide(_ROUNDING.multiply(amount, part), whole).quantize(MONEY_QUANTUM, ROUND_HALF_EVEN, _ROUNDING)


def ratio(numerator: Decimal, denominator: Decimal) -> Decimal:
    """numerator / denominator to 1e-8, for display and statistics; never booked."""
    return _ROUNDING.divide(numerator, denominator).quantize(MONEY_QUANTUM, ROUND_HALF_EVEN, _ROUNDING)


def round_money(amount: Decimal) -> Decimal:
    """The amount rounded half-even to 1e-8."""
    return amount.quantize(MONEY_QUANTUM, ROUND_HALF_EVEN, _ROUNDING)


def floor_units(value: Decimal, unit: Decimal) -> int:
    """How many whole units fit into `value`, towards minus infinity."""
    return int(_ROUNDING.divide(value, unit).to_integral_value(ROUND_FLOOR))


def ceil_units(value: Decimal, unit: Decimal) -> int:
    """The fewest whole units that reach `value`, towards plus infinity."""
    return int(_ROUNDING.divide(value, unit).to_integral_value(ROUND_CEILING))


def exact_units(value: Decimal, unit: Decimal) -> int:
    """`value` as a whole number of units; ValueError where it is not one."""
    count = _ROUNDING.divide(value, unit)
    whole = count.to_integral_value()
    if whole != count:
        raise ValueError(f"{value} is not a multiple of {unit}")
    return int(whole)


def from_units(count: int, unit: Decimal) -> Decimal:
    """count × unit, exactly."""
    return EXACT.multiply(Decimal(count), unit)


def to_e8(amount: Decimal) -> int:
    """Money as whole 1e-8, rounded down, so that a balance is never overstated."""
    return floor_units(amount, MONEY_QUANTUM)


def from_e8(amount_e8: int) -> Decimal:
    """Whole 1e-8 as money."""
    return EXACT.multiply(amount_e8, MONEY_QUANTUM)  # half the time of `scaleb`; the same digits


def from_float(value: float) -> Decimal:
    """The shortest decimal that reads back as `value`: what the person who wrote the number meant."""
    return Decimal(repr(value))


def text(value: Decimal) -> str:
    """Canonical text: plain notation, no exponent, no trailing zeros, `0` for every zero."""
    if not value:
        return "0"
    plain = f"{value:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain
