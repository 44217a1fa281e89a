"""The one boundary between Decimal and the integers of `rules/`.

What belongs here: conversions a decision needs, each with its rounding named. What does not: the rules.
"""

from decimal import Decimal

from trading_engine.domain import money
from trading_engine.domain.instrument import Instrument

MTICKS = 1_000
_THOUSANDTH = Decimal("0.001")


def ticks(instrument: Instrument, price: Decimal) -> int:
    """A price on the tick, as ticks."""
    return instrument.price_to_ticks(price)


def mticks(instrument: Instrument, price: Decimal) -> int:
    """A mean price in thousandths of a tick, rounded down."""
    return money.floor_units(price * MTICKS, instrument.tick)


def price_of_mticks(instrument: Instrument, mticks: int) -> Decimal:
    """Thousandths of a tick as a price, exactly."""
    return money.multiply(money.from_units(mticks, instrument.tick), _THOUSANDTH) if mticks else money.ZERO


def steps(instrument: Instrument, quantity: Decimal) -> int:
    """A quantity on the step, as steps."""
    return instrument.quantity_to_steps(quantity)


def value_e8(instrument: Instrument) -> int:
    """Value of one tick of one step in 1e-8, rounded up so that a size is never overstated."""
    return money.ceil_units(instrument.value_per_tick_step, money.MONEY_QUANTUM)


def milli(number: Decimal) -> int:
    """A ratio (leverage, R) in thousandths, rounded down."""
    return money.floor_units(number, Decimal("0.001"))


def e8_up(amount: Decimal) -> int:
    """Money in 1e-8, rounded up: for what is owed or at risk."""
    return money.ceil_units(amount, money.MONEY_QUANTUM)


def e8_down(amount: Decimal) -> int:
    """Money in 1e-8, rounded down: for what is owned."""
    return money.to_e8(amount)
