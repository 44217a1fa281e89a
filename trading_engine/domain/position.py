"""A position: what its fills add up to, exactly.

What belongs here: the position row and the arithmetic of fills. What does not: the life-cycle's table
(lifecycle), decisions (core), rounding of prices (instrument, rules).

Money adds up exactly: the open part carries its exact cost; closing q of Q releases cost × q / Q rounded
to 1e-8 and the last part takes the remainder, so the PnL is the same however the exit is split and
equals the cash flow.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from trading_engine.domain import money
from trading_engine.domain.fills import Fill
from trading_engine.domain.lifecycle import CloseReason, PositionState
from trading_engine.domain.market import Side
from trading_engine.domain.money import ZERO
from trading_engine.domain.orders import opening_side


@dataclass(frozen=True, slots=True)
class Position:
    """One row of the positions table.

    intended_quantity  what the entry asked for
    quantity           open now, unsigned
    cost               exact cost of the open quantity (price × quantity at entry)
    entry_quantity     sum of opening fills; `entry_value` their price × quantity
    exit_quantity      sum of reducing fills; `exit_value` their price × quantity. It is less than `entry_quantity` in
                       a CLOSED position that was dropped: no fill tells how the rest ended
    gross_pnl          booked before fees and funding; `fees` positive = paid, in the settle asset; `funding` signed
    reference_price    close of the signal's candle: what stop and target were counted from
    initial_stop       stop fixed at the decision; `stop_price` where it stands now
    signal_ms          open time of the signal's candle
    opened_ms          venue time of the first opening fill; `closed_ms` of the last fill, or of the drop
    adopted_quantity   part of `entry_quantity` that was taken over from the venue without fills of ours
    version            counts the changes of the row, for the store's guard
    """

    position_id: str
    number: int
    symbol: str
    side: Side
    strategy: str
    state: PositionState
    intended_quantity: Decimal
    reference_price: Decimal
    initial_stop: Decimal
    stop_price: Decimal
    target_price: Decimal | None
    leverage: Decimal
    signal_ms: int
    created_ms: int
    tag: str = ""
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    entry_quantity: Decimal = ZERO
    entry_value: Decimal = ZERO
    exit_quantity: Decimal = ZERO
    exit_value: Decimal = ZERO
    gross_pnl: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    fills: int = 0
    opened_ms: int = 0
    closed_ms: int = 0
    close_reason: CloseReason | None = None
    is_aged: bool = False
    residual_of: str = ""
    adopted_quantity: Decimal = ZERO
    atr: Decimal = ZERO
    version: int = 1

    @property
    def net_pnl(self) -> Decimal:
        """Gross PnL less fees plus funding."""
        return self.gross_pnl - self.fees + self.funding

    @property
    def average_entry(self) -> Decimal | None:
        """Mean price of the opening fills to 1e-8, None before the first."""
        return money.ratio(self.entry_value, self.entry_quantity) if self.entry_quantity else None

    @property
    def average_exit(self) -> Decimal | None:
        """Mean price of the reducing fills to 1e-8, None before the first."""
        return money.ratio(self.exit_value, self.exit_quantity) if self.exit_quantity else None

    @property
    def risk_per_unit(self) -> Decimal:
        """R: distance from the average entry to the initial stop, 0 before the first fill."""
        entry = self.average_entry
        return ZERO if entry is None else abs(entry - self.initial_stop)

    def r_multiple(self, pnl: Decimal) -> Decimal | None:
        """`pnl` in multiples of the money at risk at entry, None where nothing was at risk."""
        at_risk = money.round_money(self.risk_per_unit * self.entry_quantity)
        return money.ratio(pnl, at_risk) if at_risk else None

    def unrealized(self, mark: Decimal) -> Decimal:
        """Open PnL at `mark`, before fees."""
        value = money.multiply(self.quantity, mark)
        return money.subtract(value, self.cost) if self.side is Side.LONG else money.subtract(self.cost, value)

    @property
    def is_trailed(self) -> bool:
        """The stop has been moved since the decision."""
        return self.stop_price != self.initial_stop


def gross_of(position: Position, fill: Fill) -> Decimal:
    """Gross PnL that a reducing fill realises by our own arithmetic; 0 for an opening fill."""
    if fill.side is opening_side(position.side):
        return ZERO
    value = money.multiply(fill.quantity, fill.price)
    released = _released(position, fill.quantity)
    return money.subtract(value, released) if position.side is Side.LONG else money.subtract(released, value)


def apply_fill(position: Position, fill: Fill, gross: Decimal, fee: Decimal | None = None) -> Position:
    """The position after one fill; `gross` is what is booked for it (the venue's word, or ours).

    `fee` is what the settle wallet has paid for it, None where that is the fill's whole fee.
    A reducing fill larger than the open quantity is a ValueError: the caller splits off the excess first.
    """
    value = money.multiply(fill.quantity, fill.price)
    fees = money.add(position.fees, fill.fee if fee is None else fee)
    if fill.side is opening_side(position.side):
        return replace(
            position,
            quantity=position.quantity + fill.quantity,
            cost=money.add(position.cost, value),
            entry_quantity=position.entry_quantity + fill.quantity,
            entry_value=money.add(position.entry_value, value),
            fees=fees,
            fills=position.fills + 1,
            opened_ms=min(position.opened_ms or fill.ts_ms, fill.ts_ms),
            version=position.version + 1,
        )
    return replace(
        position,
        quantity=position.quantity - fill.quantity,
        cost=money.subtract(position.cost, _released(position, fill.quantity)),
        exit_quantity=position.exit_quantity + fill.quantity,
        exit_value=money.add(position.exit_value, value),
        gross_pnl=money.add(position.gross_pnl, gross),
        fees=fees,
        fills=position.fills + 1,
        closed_ms=max(position.closed_ms, fill.ts_ms),
        version=position.version + 1,
    )


def _released(position: Position, quantity: Decimal) -> Decimal:
    if quantity > position.quantity:
        raise ValueError(f"{position.position_id}: a fill of {quantity} exceeds the open {position.quantity}")
    if quantity == position.quantity:
        return position.cost
    return money.share(position.cost, quantity, position.quantity)
