"""What may be traded and in which units: tick, step, minimums, leverage, maintenance tiers.

What belongs here: the facts of one instrument and the rounding that follows from them. What does not:
where the facts come from (venues) and what is allowed by our own limits (rules, core.risk).
"""

from dataclasses import dataclass
from decimal import Decimal

from trading_engine.domain import money


@dataclass(frozen=True, slots=True)
class MarginTier:
    """Maintenance margin for a notional up to `notional_cap`: notional × rate − deduction."""

    notional_cap: Decimal
    maintenance_rate: Decimal
    deduction: Decimal
    max_leverage: Decimal


@dataclass(frozen=True, slots=True)
class Instrument:
    """One linear perpetual contract, quoted and settled in `settle_asset`.

    tick               smallest price step
    step               smallest quantity step, in base coin
    min_quantity       smallest order
    max_quantity       largest order of any type
    min_notional       smallest price × quantity of an order that opens (reduce-only orders are exempt)
    max_leverage       highest leverage of the lowest tier
    tiers              maintenance tiers by ascending notional cap, at least one
    """

    symbol: str
    tick: Decimal
    step: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    min_notional: Decimal
    max_leverage: Decimal
    tiers: tuple[MarginTier, ...]
    settle_asset: str = "USDT"

    def price_to_ticks(self, price: Decimal) -> int:
        """A price that lies on the tick, as ticks; ValueError where it does not."""
        return money.exact_units(price, self.tick)

    def ticks_to_price(self, ticks: int) -> Decimal:
        """Ticks as a price."""
        return money.from_units(ticks, self.tick)

    def quantity_to_steps(self, quantity: Decimal) -> int:
        """A quantity that lies on the step, as steps; ValueError where it does not."""
        return money.exact_units(quantity, self.step)

    def steps_to_quantity(self, steps: int) -> Decimal:
        """Steps as a quantity in base coin."""
        return money.from_units(steps, self.step)

    @property
    def value_per_tick_step(self) -> Decimal:
        """Change in value of one step when the price moves by one tick, in the settle asset."""
        return money.multiply(self.tick, self.step)
