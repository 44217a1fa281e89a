"""The embedded exchange's own rows: orders, positions, market points, wallet.

What belongs here: the values of the kernel, in integers (ticks, steps, 1e-8 money), and the arithmetic of
one account. What does not: matching (matching), durability (memory), the port's types (venue).
"""

from dataclasses import dataclass, field
from enum import StrEnum

from trading_engine.rules import margin
from trading_engine.rules.integers import share_half_even
from trading_engine.rules.sizing import notional_e8
from trading_engine.venues.embedded.terms import Contract


class Status(StrEnum):
    """Where an order stands at the exchange."""

    NEW = "new"
    WORKING = "working"  # a market order, or a triggered one, that still wants quantity
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"

    @property
    def is_open(self) -> bool:
        """May still trade."""
        return self in (Status.NEW, Status.WORKING)


class Kind(StrEnum):
    """Order types the kernel matches."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop_market"
    TARGET = "take_profit_market"


@dataclass(slots=True)
class ExchangeOrder:
    """One order; `price` is the limit or the trigger in ticks, 0 for market orders; `sign` +1 buys."""

    client_order_id: str
    number: int
    symbol: str
    kind: Kind
    sign: int
    steps: int
    price: int
    reduce_only: bool
    created_ms: int
    updated_ms: int
    status: Status = Status.NEW
    filled: int = 0
    reason: str = ""

    @property
    def remaining(self) -> int:
        """Steps not yet filled."""
        return self.steps - self.filled


@dataclass(slots=True)
class ExchangePosition:
    """Net position, isolated margin: `sign` 0 is flat; `cost_e8` is exact."""

    symbol: str
    sign: int = 0
    steps: int = 0
    cost_e8: int = 0
    margin_e8: int = 0
    liquidation: int = 0


@dataclass(slots=True)
class MarketPoint:
    """Where the price of a symbol stands inside the current candle.

    last        ticks, 0 before the first candle
    budget      steps that may still trade in this candle
    path_sign   +1 low first, −1 high first, 0 not chosen yet
    funded_ms   last settlement that was paid or received
    range       high less low of the last whole candle, ticks; 0 before the first
    volume      what traded in it, steps; 0 before the first
    """

    symbol: str
    last: int = 0
    budget: int = 0
    path_sign: int = 0
    funded_ms: int = -1
    range: int = 0
    volume: int = 0


@dataclass(slots=True)
class Progress:
    """How far the exchange has matched, and its counters.

    open_ms, stage   the candle batch and the stage inside it; DONE when the batch is over
    funded_ms        settlements up to here were looked at
    leverage_milli   symbol → leverage in thousandths, where it is another than the account's terms say
    is_hedge         a server shows the account in hedge mode; paper trading never does
    burns_fees       a server takes fees in a coin that is not in the wallet; paper trading never does
    """

    open_ms: int = -1
    stage: int = 0
    now_ms: int = 0
    funded_ms: int = -1
    orders: int = 0
    trades: int = 0
    wallet_e8: int = 0
    leverage_milli: dict[str, int] = field(default_factory=dict)
    is_hedge: bool = False
    burns_fees: bool = False


def trade(
    position: ExchangePosition, contract: Contract, leverage_milli: int, sign: int, steps: int, price: int
) -> int:
    """Change the position by one trade and return the gross PnL it realises, in 1e-8.

    A trade against the position reduces it first; what is left of it opens the other side.
    """
    gross = 0
    if position.sign and sign == -position.sign:
        closing = min(steps, position.steps)
        released = share_half_even(position.cost_e8, closing, position.steps)
        gross = position.sign * (notional_e8(price, closing, contract.value_e8) - released)
        position.margin_e8 -= position.margin_e8 * closing // position.steps
        position.cost_e8 -= released
        position.steps -= closing
        steps -= closing
        if position.steps == 0:
            position.sign = position.margin_e8 = position.liquidation = 0
    if steps:
        value = notional_e8(price, steps, contract.value_e8)
        position.sign = sign
        position.steps += steps
        position.cost_e8 += value
        position.margin_e8 += margin.initial_margin_e8(value, leverage_milli)
    if position.steps:
        entry_mticks = position.cost_e8 * 1_000 // (position.steps * contract.value_e8)
        position.liquidation = margin.liquidation_ticks(
            position.sign,
            entry_mticks,
            position.steps,
            contract.value_e8,
            position.margin_e8,
            margin.tier_for(position.cost_e8, contract.tiers),
        )
    return gross


@dataclass(slots=True)
class Account:
    """Everything the exchange remembers between two candles; closed orders live in the memory only."""

    orders: dict[str, ExchangeOrder] = field(default_factory=dict)
    positions: dict[str, ExchangePosition] = field(default_factory=dict)
    points: dict[str, MarketPoint] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)
