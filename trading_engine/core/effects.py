"""What the core wants done: the only output that reaches the world, and only after its records are committed.

What belongs here: one imperative class an action. What does not: how it is done (runtime.executor).
"""

from dataclasses import dataclass

from trading_engine.core.risk import Approved
from trading_engine.domain.events import TimerKind
from trading_engine.domain.orders import OrderRequest


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """Send this order once, never after `not_after_ms`; only what risk approved can be placed."""

    approved: Approved
    request: OrderRequest
    not_after_ms: int


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Ask the venue to cancel; the answer is never taken as the final state."""

    symbol: str
    client_order_id: str
    venue_order_id: str


@dataclass(frozen=True, slots=True)
class LookUpOrder:
    """Ask the venue what became of an order."""

    symbol: str
    client_order_id: str


@dataclass(frozen=True, slots=True)
class TakeSnapshot:
    """Read the account whole, then reconcile."""


@dataclass(frozen=True, slots=True)
class FetchFills:
    """Read the executions since the watermark: a report has named one that the stream did not tell."""


@dataclass(frozen=True, slots=True)
class RenewStream:
    """Make the user stream anew; it is there and does not tell what happens."""

    why: str


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Wake the core at `at_ms`; one timer a (kind, key), a later one replaces it."""

    at_ms: int
    kind: TimerKind
    key: str = ""


Effect = PlaceOrder | CancelOrder | LookUpOrder | FetchFills | TakeSnapshot | RenewStream | SetTimer
