"""The book as the projections have it: what boot continues from and what the audit compares.

What belongs here: reading rows back into positions, orders, ledger and the rest of the book. What does
not: the journal (audit replays it), lists for people (read_models).

Sums are made here in Decimal, never by the database: SQL would add money as binary fractions.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from enum import StrEnum
from itertools import groupby
from operator import attrgetter
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from sqlalchemy import Connection, Row, and_, func, select

from trading_engine.core.project import with_high
from trading_engine.core.state import (
    KEPT_DAYS,
    KEPT_KEYS_MS,
    KEPT_TRADES,
    Book,
    ClosedTrade,
    DayFigures,
    Ledger,
)
from trading_engine.domain import money
from trading_engine.domain.control import Control, Level
from trading_engine.domain.fills import PnlKind, is_made_here
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.money import ZERO
from trading_engine.domain.orders import Order
from trading_engine.domain.position import Position
from trading_engine.ports import Checkpoint, Loaded
from trading_engine.store import codec
from trading_engine.store.rows import FROM_FILL
from trading_engine.store.tables import control, journal, orders, pnl, positions, signals


def load(connection: Connection) -> Loaded:
    """The live book, the last checkpoint (None before the first), number and instant of the last record."""
    row = connection.execute(select(control)).one()
    newest = connection.execute(select(journal.c.seq, journal.c.ts).order_by(journal.c.seq.desc()).limit(1)).first()
    seq, ts_ms = (0, 0) if newest is None else (newest.seq, newest.ts)
    return Loaded(load_book(connection), _checkpoint(row.checkpoint), seq, ts_ms)


def last_seq(connection: Connection) -> int:
    """The number of the newest journal record, 0 in an empty journal."""
    return connection.execute(select(func.max(journal.c.seq))).scalar() or 0


def load_checkpoint(connection: Connection) -> Checkpoint | None:
    """The progress of the last commit, None before the first."""
    return _checkpoint(connection.execute(select(control.c.checkpoint)).scalar_one())


def load_book(connection: Connection) -> Book:
    """The book of the projections: live positions with their orders, ledger, control."""
    row = connection.execute(select(control)).one()
    live = live_positions(connection)
    ledger, seen = _load_ledger(connection, row, frozenset(live))
    return Book(
        epoch=row.epoch,
        next_position=row.next_position,
        positions=live,
        orders=_live_orders(connection),
        seen=seen,
        signal_ms=_last_signals(connection),
        frozen=codec.decode_map(row.frozen),
        rejects=codec.decode_map(row.rejects),
        shocks=codec.decode_map(row.shocks),
        disabled=codec.decode_map(row.disabled),
        ledger=ledger,
        control=Control(Level(row.level), row.reason, row.since_ms),
    )


def load_ledger(connection: Connection) -> Ledger:
    """The sums over the pnl rows."""
    return _load_ledger(connection, connection.execute(select(control)).one(), frozenset())[0]


def live_positions(connection: Connection) -> dict[str, Position]:
    """Positions that are not CLOSED, in the order in which they were opened."""
    query = select(positions).where(positions.c.state != PositionState.CLOSED).order_by(positions.c.first_seq)
    return {row.position_id: position_from(row) for row in connection.execute(query)}


def position_from(row: Row[Any]) -> Position:
    """The position in a row of `positions`."""
    return Position(**_values(_POSITION, row._mapping))  # noqa: SLF001 - SQLAlchemy's public name for it


def order_from(row: Row[Any]) -> Order:
    """The order in a row of `orders`."""
    return Order(**_values(_ORDER, row._mapping))  # noqa: SLF001 - SQLAlchemy's public name for it


def _checkpoint(payload: str) -> Checkpoint | None:
    return codec.decode_checkpoint(payload) if payload else None


def _live_orders(connection: Connection) -> dict[str, Order]:
    live = select(positions.c.position_id).where(positions.c.state != PositionState.CLOSED)
    query = select(orders).where(orders.c.position_id.in_(live)).order_by(orders.c.first_seq)
    return {row.client_order_id: order_from(row) for row in connection.execute(query)}


def _last_signals(connection: Connection) -> dict[tuple[str, str], int]:
    newest = select(func.max(signals.c.seq).label("seq")).group_by(signals.c.strategy, signals.c.symbol).subquery()
    query = select(signals.c.strategy, signals.c.symbol, signals.c.candle_ts).join(
        newest, signals.c.seq == newest.c.seq
    )
    return {(row.strategy, row.symbol): row.candle_ts for row in connection.execute(query)}


@dataclass(slots=True)
class _Sums:
    """Running sums over the pnl rows, booking by booking."""

    rebased_booking: int
    peak: Decimal
    balance: Decimal = ZERO
    transfers: Decimal = ZERO
    start_balance: Decimal = ZERO
    bookings: int = 0
    made_here: int = 0
    last_booked_ms: int = 0
    opened_ms: int = 0
    highs: tuple[tuple[str, Decimal], ...] = ()
    days: dict[str, DayFigures] = field(default_factory=dict)
    by_position: dict[str, Decimal] = field(default_factory=dict)

    def add(self, booking: int, rows: Iterable[Row[Any]]) -> None:
        """Take in the rows of a booking."""
        key = day = ""
        before = money.subtract(self.balance, self.transfers)
        for row in rows:
            key = row.source_id
            self.balance = money.add(self.balance, row.amount)
            self.last_booked_ms = max(self.last_booked_ms, row.ts)
            self.opened_ms = self.opened_ms if self.bookings else row.ts
            if PnlKind(row.kind).is_result:
                day = row.day
                self._add_result(row)
                continue
            self.transfers = money.add(self.transfers, row.amount)
            if row.kind == PnlKind.TRANSFER:
                self.start_balance = self.start_balance or row.amount
        self.bookings = booking
        self.made_here += is_made_here(key)
        if booking > self.rebased_booking:
            after = money.subtract(self.balance, self.transfers)
            self.peak = max(self.peak, after)
            if day:
                self.highs = with_high(self.highs, day, max(before, after))

    def _add_result(self, row: Row[Any]) -> None:
        figures = self.days.get(row.day) or DayFigures(row.day)
        is_fill_fee = row.kind == PnlKind.FEE and row.source == FROM_FILL
        self.days[row.day] = replace(
            figures,
            realized=money.add(figures.realized, row.amount),
            fees=money.subtract(figures.fees, row.amount) if is_fill_fee else figures.fees,
            funding=(money.add(figures.funding, row.amount) if row.kind == PnlKind.FUNDING else figures.funding),
        )
        if row.position_id is not None:
            before = self.by_position.get(row.position_id, ZERO)
            self.by_position[row.position_id] = money.add(before, row.amount)


def _load_ledger(connection: Connection, row: Row[Any], live: frozenset[str]) -> tuple[Ledger, dict[str, int]]:
    """The ledger, and the dedup keys that a venue may still repeat."""
    booked = connection.execute(select(pnl).order_by(pnl.c.booking, pnl.c.id)).all()
    sums = _Sums(row.rebased_booking, row.peak_at_rebase)
    for booking, rows in groupby(booked, key=attrgetter("booking")):
        sums.add(booking, rows)
    oldest = max((item.ts for item in booked), default=0) - KEPT_KEYS_MS
    seen = {item.source_id: item.ts for item in booked if item.ts >= oldest or item.position_id in live}
    ledger = Ledger(
        balance=sums.balance,
        transfers=sums.transfers,
        start_balance=sums.start_balance,
        bookings=sums.bookings,
        made_here=sums.made_here,
        peak=sums.peak,
        rebased_booking=row.rebased_booking,
        rebased_ms=row.rebased_ms,
        last_booked_ms=sums.last_booked_ms,
        opened_ms=sums.opened_ms,
        highs=sums.highs,
        days=tuple(sums.days[day] for day in sorted(sums.days)[-KEPT_DAYS:]),
        closed=_closed_trades(connection, sums.by_position),
    )
    return ledger, seen


def _closed_trades(connection: Connection, nets: Mapping[str, Decimal]) -> tuple[ClosedTrade, ...]:
    columns = positions.c
    query = (
        select(columns.position_id, columns.symbol, columns.strategy, columns.closed_ms)
        .where(and_(columns.state == PositionState.CLOSED, columns.fills > 0))
        .order_by(columns.closed_ms.desc(), columns.position_id.desc())
        .limit(KEPT_TRADES)
    )
    newest_first = [
        ClosedTrade(row.position_id, row.symbol, row.strategy, nets.get(row.position_id, ZERO), row.closed_ms)
        for row in connection.execute(query)
    ]
    return tuple(reversed(newest_first))


_Plan = tuple[tuple[str, Callable[[Any], Any] | None], ...]


def _plan_of(kind: type) -> _Plan:
    """For each field of a dataclass the enum to make its column's text into, where it is one."""
    hints = get_type_hints(kind)
    return tuple((item.name, _enum_in(hints[item.name])) for item in fields(kind))


def _enum_in(hint: Any) -> type[StrEnum] | None:
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return next((part for part in parts if isinstance(part, type) and issubclass(part, StrEnum)), None)


def _values(plan: _Plan, columns: Mapping[Any, Any]) -> dict[str, Any]:
    values = {}
    for name, convert in plan:
        value = columns[name]
        values[name] = value if convert is None or value is None else convert(value)
    return values


_POSITION = _plan_of(Position)
_ORDER = _plan_of(Order)
