"""What a venue answers: outcomes of commands and snapshots of an account.

What belongs here: venue-neutral answers that cross the Venue port. What does not: orders and fills
themselves (orders, fills), how an answer is classified (venues).
"""

from dataclasses import dataclass, field
from decimal import Decimal

from trading_engine.domain.fills import Fill, Income
from trading_engine.domain.market import Side
from trading_engine.domain.orders import OrderReport


@dataclass(frozen=True, slots=True)
class Accepted:
    """The venue has the order; fills come separately, an acknowledgement carries none."""

    report: OrderReport


# Codes of requests that were turned down before they were looked at, or never sent: the same may be taken later.
PASSING_CODES = frozenset({"busy", "clock", "not_sent", "rate_limited"})


KEY_CODE = "key"  # of a refusal for the key, its signature or its permissions: an operator must act


@dataclass(frozen=True, slots=True)
class Rejected:
    """Definitively refused: `code` is on the venue's list of proofs, or the request was never sent.

    retry_after_ms   the same may be taken after so long, where that is known; 0 where it is not
    """

    code: str
    reason: str
    retry_after_ms: int = field(default=0, compare=False)

    @property
    def told(self) -> str:
        """Code and reason, as they stand in an order's row."""
        return f"{self.code}: {self.reason}"


def is_passing(told: str) -> bool:
    """Whether a refusal, as it stands in an order's row, says nothing against the order itself."""
    return told.partition(":")[0] in PASSING_CODES


@dataclass(frozen=True, slots=True)
class Unknown:
    """The request may have taken effect."""

    why: str


Outcome = Accepted | Rejected | Unknown


@dataclass(frozen=True, slots=True)
class VenuePosition:
    """Net exposure in one symbol as the venue has it; `quantity` is unsigned."""

    symbol: str
    side: Side
    quantity: Decimal
    entry_price: Decimal
    mark_price: Decimal
    liquidation_price: Decimal | None
    leverage: Decimal


@dataclass(frozen=True, slots=True)
class Balance:
    """The wallet: `wallet` is settled money, `available` what new orders may use."""

    asset: str
    wallet: Decimal
    available: Decimal


@dataclass(frozen=True, slots=True)
class OrderLookup:
    """The answer to a query by client order id: a report, or None for "no such order"."""

    client_order_id: str
    report: OrderReport | None


@dataclass(frozen=True, slots=True)
class VenueSnapshot:
    """Everything reconciliation compares, read in one go; a failed part fails the whole.

    lookups   one answer for each local live order that the open-order list did not show
    fills     since the watermark less an overlap, any order
    incomes   likewise
    untold    the span before those that the venue does not tell of any more, (from, to) in ms; None where it tells all
    """

    ts_ms: int
    open_orders: tuple[OrderReport, ...]
    lookups: tuple[OrderLookup, ...]
    fills: tuple[Fill, ...]
    incomes: tuple[Income, ...]
    positions: tuple[VenuePosition, ...]
    balance: Balance
    untold: tuple[int, int] | None = None
