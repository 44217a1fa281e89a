"""What the embedded exchange trades, and on which conditions.

What belongs here: a contract and an account's costs, in the kernel's integers (ticks, steps, 1e-8 money). What does
not: orders, positions and what becomes of them (account), facts of real symbols (facts).
"""

from msgspec import Struct

from trading_engine.domain.instrument import Instrument
from trading_engine.domain.money import MONEY_QUANTUM, exact_units, to_e8
from trading_engine.rules.margin import Tier


class Contract(Struct, frozen=True):
    """An instrument in the kernel's integers."""

    instrument: Instrument
    value_e8: int
    min_steps: int
    max_steps: int
    min_notional_e8: int
    tiers: tuple[Tier, ...]

    @classmethod
    def of(cls, instrument: Instrument) -> "Contract":
        """ValueError where one tick of one step is not a whole number of 1e-8: money would not be exact."""
        return cls(
            instrument,
            exact_units(instrument.value_per_tick_step, MONEY_QUANTUM),
            instrument.quantity_to_steps(instrument.min_quantity),
            instrument.quantity_to_steps(instrument.max_quantity),
            to_e8(instrument.min_notional),
            tuple(
                Tier(
                    to_e8(tier.notional_cap),
                    int(tier.maintenance_rate * 1_000_000),
                    to_e8(tier.deduction),
                )
                for tier in instrument.tiers
            ),
        )


class Terms(Struct, frozen=True):
    """Costs and limits of the account: rates in 1e-8 or parts per million, leverage in thousandths.

    slippage_ppm         share of the price that a taker's fill is worse by
    slippage_range_ppm   and share of the range of its symbol's last whole candle
    latency_candles      how many candles' time an order at the market is under way
    impact_ppm           and share of the price for a fill of the whole volume of that candle, by its root for less
    """

    taker_fee_e8: int = 60_000
    maker_fee_e8: int = 20_000
    slippage_ppm: int = 500
    volume_share_ppm: int = 100_000
    leverage_milli: int = 1_000
    slippage_range_ppm: int = 0
    latency_candles: int = 0
    impact_ppm: int = 0
