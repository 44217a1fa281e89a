"""Cheap assertions on the state after every step; a breach is our bug and stops the process.

What belongs here: what must hold of any book, whatever happened. What does not: what needs the venue
(reconcile) or the rows (store.audit).
"""

from trading_engine.core.state import Book
from trading_engine.domain.errors import InvariantBroken
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.position import Position


def check(book: Book) -> None:
    """Raise InvariantBroken, naming the row, where the book contradicts itself."""
    symbols: set[str] = set()
    for position in book.positions.values():
        if position.state is PositionState.CLOSED:
            _demand(position.quantity == 0, position, "CLOSED with a quantity")
            _demand(_settled(book, position), position, "CLOSED with an order that may still fill")
            continue
        _demand(position.symbol not in symbols, position, "two live positions on one symbol")
        symbols.add(position.symbol)
        _check_money(position)
        entries = [o for o in book.orders_of(position.position_id, Purpose.ENTRY) if o.is_live]
        _demand(len(entries) <= 1, position, "two live entries")
    for order in book.orders.values():
        if order.filled > order.quantity:
            raise InvariantBroken(f"order {order.client_order_id}: filled {order.filled} of {order.quantity}")
        if order.purpose is not Purpose.ENTRY and not order.reduce_only:
            raise InvariantBroken(f"order {order.client_order_id}: {order.purpose} is not reduce-only")


def _check_money(position: Position) -> None:
    _demand(position.quantity >= 0, position, "negative quantity")
    _demand(
        position.entry_quantity - position.exit_quantity == position.quantity,
        position,
        "fills do not add up to the open quantity",
    )
    _demand((position.quantity == 0) == (position.cost == 0), position, "cost without quantity")
    if position.state is PositionState.PENDING:
        _demand(position.fills == 0, position, "PENDING with fills")


def _settled(book: Book, position: Position) -> bool:
    return not any(order.is_live for order in book.orders_of(position.position_id))


def _demand(holds: bool, position: Position, breach: str) -> None:  # noqa: FBT001 - a condition, not a flag
    if not holds:
        raise InvariantBroken(f"position {position.position_id} ({position.symbol}): {breach}")
