"""Targets of a position that somebody else has reduced, or that a further entry has made larger.

What belongs here: how much was taken from outside, and what the resting exits should be then. What does not:
placing and cancelling them (protect), the ladder itself (protect.planned_targets).

Everything follows from the rows, so a restart decides the same: what orders of ours have not closed was closed
by others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from trading_engine.core.state import Book
from trading_engine.domain.ids import Purpose
from trading_engine.domain.money import ZERO
from trading_engine.domain.orders import Order, OrderState
from trading_engine.domain.position import Position

Leg = tuple[Purpose, int, Decimal, Decimal]  # purpose, leg, quantity, price


@dataclass(slots=True)
class Changes:
    """What to do: cancel these, place those. A leg is placed anew when its cancelled order has ended."""

    cancel: list[Order] = field(default_factory=list)
    place: list[Leg] = field(default_factory=list)


def taken_from_outside(book: Book, position: Position) -> Decimal:
    """Quantity that fills of no order of ours have closed."""
    by_orders = (row.filled for row in book.orders_of(position.position_id) if row.purpose is not Purpose.ENTRY)
    return position.exit_quantity - sum(by_orders, ZERO)


def resized(position: Position, rows: Sequence[Order], planned: Sequence[Leg], least: Decimal) -> Changes:
    """Bring the resting exits `rows` to the plan for what is open; parts below `least` are left to the stop."""
    changes = Changes()
    left = position.quantity
    wanted: dict[tuple[Purpose, int], Leg] = {}
    for purpose, leg, quantity, price in planned:
        mine = [row for row in rows if (row.purpose, row.leg) == (purpose, leg)]
        if all(row.is_settled for row in mine) and not _may_follow(mine):
            continue  # filled or refused: what it does not take is left to the target
        filled = sum((row.filled for row in mine), ZERO)
        part = left if purpose is Purpose.TARGET else min(max(quantity - filled, ZERO), left)
        if part >= least:
            wanted[purpose, leg] = (purpose, leg, part, price)
            left -= part
    for row in rows:
        fits = wanted.get((row.purpose, row.leg), (None, 0, ZERO, ZERO))[2] == row.remaining
        if row.is_live and not fits:
            changes.cancel.append(row)
    for key, item in wanted.items():
        mine = [row for row in rows if (row.purpose, row.leg) == key]
        if all(row.is_settled for row in mine):
            changes.place.append(item)
    return changes


def _may_follow(mine: Sequence[Order]) -> bool:
    """Nothing was placed yet, or what was is void or was cancelled by us; a refusal is not asked for again."""
    return not mine or mine[-1].state is OrderState.VOID or mine[-1].cancel_requested
