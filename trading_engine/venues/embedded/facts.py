"""Facts of the embedded exchange, and of the best-known perpetuals, so that paper trading needs no configuration.

What belongs here: what its answers are worth; tick, step and minimums as Binance USDⓈ-M lists them (exchangeInfo,
2025/2026; they change now and then, a configuration entry overrides them). What does not: live facts of a venue.
"""

from collections.abc import Mapping
from decimal import Decimal

from trading_engine.domain.instrument import Instrument, MarginTier

NAME = "embedded"
ABSENCE_IS_PROOF = True  # nothing can be under way in process
VISIBILITY_DELAY_MS = 0

DEFAULT_MAINTENANCE_RATE = Decimal("0.005")
_UNBOUNDED = Decimal(10_000_000_000)

# symbol: tick, step (= smallest quantity), largest quantity, smallest notional, highest leverage
_KNOWN: Mapping[str, tuple[str, str, str, str, str]] = {
    "BTCUSDT": ("0.1", "0.001", "120", "50", "125"),
    "ETHUSDT": ("0.01", "0.001", "2000", "20", "125"),
    "BNBUSDT": ("0.01", "0.01", "2000", "5", "75"),
    "SOLUSDT": ("0.01", "0.01", "5000", "5", "100"),
    "XRPUSDT": ("0.0001", "0.1", "2000000", "5", "75"),
    "DOGEUSDT": ("0.00001", "1", "30000000", "5", "75"),
    "ADAUSDT": ("0.0001", "1", "2000000", "5", "75"),
    "LTCUSDT": ("0.01", "0.001", "5000", "20", "75"),
    "LINKUSDT": ("0.001", "0.01", "50000", "20", "75"),
    "AVAXUSDT": ("0.001", "1", "50000", "5", "75"),
}


def single_tier(rate: Decimal, max_leverage: Decimal) -> tuple[MarginTier, ...]:
    """One maintenance tier for every notional."""
    return (MarginTier(_UNBOUNDED, rate, Decimal(0), max_leverage),)


def known_instrument(symbol: str) -> Instrument | None:
    """The facts of a well-known symbol, None for any other."""
    row = _KNOWN.get(symbol)
    if row is None:
        return None
    tick, step, largest, notional, leverage = (Decimal(text) for text in row)
    return Instrument(
        symbol=symbol,
        tick=tick,
        step=step,
        min_quantity=step,
        max_quantity=largest,
        min_notional=notional,
        max_leverage=leverage,
        tiers=single_tier(DEFAULT_MAINTENANCE_RATE, leverage),
    )
