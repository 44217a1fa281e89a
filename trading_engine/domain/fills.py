"""What the venue books: fills and other income, each with a key that makes it count once.

What belongs here: the two values and their keys. What does not: their effect (position, core.project).
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from trading_engine.domain.money import ZERO
from trading_engine.domain.orders import TradeSide


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution.

    trade_id        unique per venue and account; the dedup key
    client_order_id ours, or empty for orders that are not (liquidation, a person's order)
    fee             cost in `fee_asset`, positive = paid, negative = rebate
    realized_pnl    gross PnL the venue books for this fill, None where it does not say
    is_liquidation  the venue took the position over; is_adl: it was closed against by auto-deleveraging
    ts_ms           venue time
    """

    venue: str
    account: str
    trade_id: str
    client_order_id: str
    venue_order_id: str
    symbol: str
    side: TradeSide
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    ts_ms: int
    realized_pnl: Decimal | None = None
    is_maker: bool = False
    is_liquidation: bool = False
    is_adl: bool = False

    @property
    def key(self) -> str:
        """What makes this fill one fill, however often it is told."""
        return f"{self.venue}:{self.account}:{self.trade_id}"

    def fee_in(self, asset: str) -> Decimal:
        """What of the fee a wallet in `asset` has paid: all of it, or nothing where another wallet did."""
        return self.fee if self.fee_asset == asset else ZERO


GAP_MARK = ":#gap-"  # in the key of an adjustment that an operator asked for
PART_MARK = "+"  # ends the key of what is left of a fill that was cut


def is_made_here(key: str) -> bool:
    """Whether a booking with this dedup key has no event of its own at the venue."""
    return key.endswith(PART_MARK) or GAP_MARK in key


class PnlKind(StrEnum):
    """Why the wallet changed."""

    TRADE = "trade"
    FEE = "fee"
    FUNDING = "funding"
    LIQUIDATION = "liquidation"
    ADJUSTMENT = "adjustment"  # not this engine's doing: somebody else's trade, a gap that an operator accepted
    TRANSFER = "transfer"

    @property
    def is_result(self) -> bool:
        """It is a result of trading, which the limits count; deposits and adjustments are not."""
        return self not in (PnlKind.ADJUSTMENT, PnlKind.TRANSFER)


@dataclass(frozen=True, slots=True)
class Income:
    """A wallet change that is not a fill: funding, a transfer, a clearance fee; `amount` is signed."""

    venue: str
    account: str
    income_id: str
    kind: PnlKind
    symbol: str
    amount: Decimal
    asset: str
    ts_ms: int

    @property
    def key(self) -> str:
        """What makes this income one income."""
        return f"{self.venue}:{self.account}:{self.kind}:{self.income_id}"
