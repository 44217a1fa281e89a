"""Orders: what we intend, what the venue says, and how the two are merged.

What belongs here: the order row, its states, requests and reports, and `merge`. What does not: fills'
effect on a position (position), when an order is placed (core), venue spellings (venues).

The states form a lattice; merging takes the higher one, so reports may come twice, late or in any order:

    INTENT < UNKNOWN < VOID < REJECTED < ACKED < PARTIAL < EXPIRED < CANCELED < FILLED

VOID and REJECTED (proofs of absence) stand below ACKED on purpose: positive evidence always wins.
"""

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from trading_engine.domain.ids import Purpose
from trading_engine.domain.market import Side
from trading_engine.domain.money import ZERO
from trading_engine.domain.order_type import OrderType, TimeInForce


class TradeSide(StrEnum):
    """Direction of an order or a fill."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for buy, −1 for sell."""
        return 1 if self is TradeSide.BUY else -1


def opening_side(side: Side) -> TradeSide:
    """The trade that opens a position of this side."""
    return TradeSide.BUY if side is Side.LONG else TradeSide.SELL


def closing_side(side: Side) -> TradeSide:
    """The trade that reduces a position of this side."""
    return TradeSide.SELL if side is Side.LONG else TradeSide.BUY


class OrderState(StrEnum):
    """What is known about an order; see the lattice above."""

    INTENT = "INTENT"  # may or may not have been sent: the only honest name
    UNKNOWN = "UNKNOWN"  # we asked and got no answer
    VOID = "VOID"  # proven never accepted
    REJECTED = "REJECTED"  # refused with proof
    ACKED = "ACKED"
    PARTIAL = "PARTIAL"
    EXPIRED = "EXPIRED"
    CANCELED = "CANCELED"
    FILLED = "FILLED"

    @property
    def is_terminal(self) -> bool:
        """Nothing more can be filled."""
        return self in _TERMINAL

    @property
    def is_unresolved(self) -> bool:
        """The venue may or may not have it."""
        return self in (OrderState.INTENT, OrderState.UNKNOWN)


_TERMINAL = frozenset(
    {OrderState.VOID, OrderState.REJECTED, OrderState.EXPIRED, OrderState.CANCELED, OrderState.FILLED}
)
_RANK = {state: rank for rank, state in enumerate(OrderState)}


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What is asked of the venue, in its plain meaning; the adapter translates.

    price           limit price, LIMIT only
    trigger_price   STOP_MARKET and TAKE_PROFIT_MARKET only
    position_side   the position the order belongs to; one-way venues ignore it, hedge mode needs it
    """

    client_order_id: str
    symbol: str
    side: TradeSide
    type: OrderType
    quantity: Decimal
    reduce_only: bool
    position_side: Side
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC


@dataclass(frozen=True, slots=True)
class OrderReport:
    """What a venue says about one order, from a reply, a stream or a query.

    `client_order_id` is empty for orders that are not ours; `filled` is cumulative.
    """

    client_order_id: str
    venue_order_id: str
    symbol: str
    state: OrderState
    filled: Decimal
    ts_ms: int
    side: TradeSide = TradeSide.BUY
    type: OrderType = OrderType.MARKET
    quantity: Decimal = ZERO
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    reduce_only: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """One row of the orders table: an intent and everything learned about it.

    not_after_ms      the executor never sends after this instant; makes absence provable
    filled            sum of the fills that were applied to the position
    reported_filled   highest cumulative quantity the venue has named
    filled_value      sum of price × quantity of the applied fills
    cancel_requested  a cancel was intended; the final state is still the venue's to tell
    """

    client_order_id: str
    position_id: str
    symbol: str
    purpose: Purpose
    leg: int
    generation: int
    type: OrderType
    side: TradeSide
    position_side: Side
    quantity: Decimal
    price: Decimal | None
    trigger_price: Decimal | None
    reduce_only: bool
    time_in_force: TimeInForce
    created_ms: int
    not_after_ms: int
    state: OrderState = OrderState.INTENT
    filled: Decimal = ZERO
    reported_filled: Decimal = ZERO
    filled_value: Decimal = ZERO
    venue_order_id: str = ""
    reason: str = ""
    cancel_requested: bool = False
    updated_ms: int = 0

    @property
    def remaining(self) -> Decimal:
        """Quantity not yet filled by applied fills."""
        return self.quantity - self.filled

    @property
    def is_live(self) -> bool:
        """May still fill, as far as is known (unresolved orders count: pessimistic)."""
        return not self.state.is_terminal

    @property
    def is_settled(self) -> bool:
        """Terminal, and every fill the venue has reported is applied."""
        return self.state.is_terminal and self.filled >= self.reported_filled

    @property
    def is_confirmed(self) -> bool:
        """The venue has acknowledged it and it still rests there."""
        return self.state in (OrderState.ACKED, OrderState.PARTIAL)

    def to_request(self) -> OrderRequest:
        """The request this row stands for."""
        return OrderRequest(
            client_order_id=self.client_order_id,
            symbol=self.symbol,
            side=self.side,
            type=self.type,
            quantity=self.quantity,
            reduce_only=self.reduce_only,
            position_side=self.position_side,
            price=self.price,
            trigger_price=self.trigger_price,
            time_in_force=self.time_in_force,
        )


def resolve_state(state: OrderState, quantity: Decimal, filled: Decimal) -> OrderState:
    """The state that `filled` implies together with a state that was told."""
    if filled >= quantity:
        return OrderState.FILLED
    if filled > 0:
        return max(state, OrderState.PARTIAL, key=_RANK.__getitem__)
    return state


def merge(order: Order, report: OrderReport) -> Order:
    """The order with what the report adds; commutative and idempotent, never steps back in the lattice."""
    reported = max(order.reported_filled, report.filled)
    state = max(order.state, report.state, key=_RANK.__getitem__)
    return replace(
        order,
        state=resolve_state(state, order.quantity, max(reported, order.filled)),
        reported_filled=reported,
        venue_order_id=max(order.venue_order_id, report.venue_order_id),
        reason=max(order.reason, report.reason),
        updated_ms=max(order.updated_ms, report.ts_ms),
    )
