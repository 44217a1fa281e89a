"""Trading days read back: what each made, from its bookings.

What belongs here: one view a day, the running day included. What does not: closing a day (core), what a person is
shown of many days (cli).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from itertools import groupby

from sqlalchemy import Connection, func, or_, select

from trading_engine.domain import money
from trading_engine.domain.fills import PnlKind
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.money import ZERO
from trading_engine.store.rows import FROM_FILL
from trading_engine.store.tables import daily_metrics, pnl, positions


@dataclass(frozen=True, slots=True)
class DayView:
    """A trading day; a trade belongs to the day of its last booking of price results, or of its last fill.

    start_balance   as it was when the day had ended: transfers of the day count as there from the start
    realized        net of fees (paid: positive) and funding (received: positive)
    won, lost       sums of the net results of the trades above and below nothing; `lost` is 0 or negative
    drawdown        the deepest fall of the realized balance below its highest of the day; 0 or negative
    is_over         False for the day that still runs, whose figures are those so far
    """

    day: str
    start_balance: Decimal
    realized: Decimal
    fees: Decimal
    funding: Decimal
    trades: int
    wins: int
    won: Decimal
    lost: Decimal
    drawdown: Decimal
    is_over: bool

    @property
    def profit_factor(self) -> Decimal | None:
        """Money won / money lost; None without a loss."""
        return money.ratio(self.won, -self.lost) if self.lost else None


def read(connection: Connection) -> Iterator[DayView]:
    """Days with bookings or closed by the engine, the oldest first."""
    closed = {row.day: row for row in connection.execute(select(daily_metrics))}
    nets = _nets_by_day(connection)
    columns = pnl.c
    booked = connection.execute(select(columns.day, columns.kind, columns.amount).order_by(columns.booking))
    # Late bookings carry the day they belong to, so the order of bookings is not that of days.
    rows = sorted(booked, key=lambda row: row.day)
    by_day = {day: [(PnlKind(row.kind), row.amount) for row in one] for day, one in groupby(rows, lambda row: row.day)}
    balance = ZERO
    for day in sorted({*closed, *by_day}):
        amounts = by_day.get(day, [])
        start = money.add(balance, _total(amount for kind, amount in amounts if not kind.is_result))
        view = _day(day, start, amounts, nets.get(day, ()), is_over=day in closed)
        balance = money.add(start, view.realized)
        yield view


def _day(
    day: str,
    start: Decimal,
    amounts: Sequence[tuple[PnlKind, Decimal]],
    nets: Sequence[Decimal],
    *,
    is_over: bool,
) -> DayView:
    results = [amount for kind, amount in amounts if kind.is_result]
    fees = _total(amount for kind, amount in amounts if kind is PnlKind.FEE)
    return DayView(
        day=day,
        start_balance=start,
        realized=_total(results),
        fees=-fees if fees else ZERO,
        funding=_total(amount for kind, amount in amounts if kind is PnlKind.FUNDING),
        trades=len(nets),
        wins=sum(1 for net in nets if net > 0),
        won=_total(net for net in nets if net > 0),
        lost=_total(net for net in nets if net < 0),
        drawdown=_deepest_fall(results),
        is_over=is_over,
    )


def _total(amounts: Iterable[Decimal]) -> Decimal:
    return reduce(money.add, amounts, ZERO)


def _deepest_fall(results: list[Decimal]) -> Decimal:
    here = peak = deepest = ZERO
    for amount in results:
        here = money.add(here, amount)
        peak = max(peak, here)
        deepest = min(deepest, money.subtract(here, peak))
    return deepest


def _nets_by_day(connection: Connection) -> dict[str, list[Decimal]]:
    """Net results of the closed trades of each day."""
    columns = pnl.c
    last = (
        select(columns.position_id, func.max(columns.day).label("day"))
        .join(positions, positions.c.position_id == columns.position_id)
        .where(or_(columns.kind.in_((PnlKind.TRADE, PnlKind.LIQUIDATION)), columns.source == FROM_FILL))
        .where(positions.c.state == PositionState.CLOSED, positions.c.fills > 0)
        .group_by(columns.position_id)
        .subquery()
    )
    query = select(last.c.day, columns.position_id, columns.amount).join(
        last, last.c.position_id == columns.position_id
    )
    sums: dict[tuple[str, str], Decimal] = {}
    for day, position_id, amount in connection.execute(query):
        sums[day, position_id] = money.add(sums.get((day, position_id), ZERO), amount)
    nets: dict[str, list[Decimal]] = {}
    for (day, _), net in sums.items():
        nets.setdefault(day, []).append(net)
    return nets
