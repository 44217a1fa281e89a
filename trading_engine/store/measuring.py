"""What the process has measured of itself and of the venue, for people: no decision depends on it.

What belongs here: the rows of `measurements`, their end after three months, and reading them back. What does not:
measuring (runtime), the equity curve and the days, which are the ledger's (rows).

Written on the writer's own connection, as the outbox is marked: it is the only one that may write.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select

from trading_engine.domain.ids import Purpose
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import TradeSide
from trading_engine.domain.time import DAY_MS
from trading_engine.store import tables as t
from trading_engine.store.tables import measurements

KEPT_MS = 90 * DAY_MS
_BPS = 10_000


class Measured(NamedTuple):
    """One figure over a span: how many values, their mean, the 99th of a hundred, the largest.

    name   call.submit, call.cancel, call.snapshot, commit (ms); slippage (basis points, positive for worse);
           memory (MB), cpu (percent of one processor)
    """

    name: str
    samples: int
    mean: float
    p99: float
    most: float


class MeasuredAt(NamedTuple):
    """A row: the figure, when, and of which run."""

    ts_ms: int
    run_id: str
    measured: Measured


def write(connection: Connection, ts_ms: int, run_id: str, rows: Sequence[Measured]) -> None:
    """Add rows in one short transaction, and let go of what is older than three months."""
    with connection.begin():
        if rows:
            values = [{"ts": ts_ms, "run_id": run_id, **row._asdict()} for row in rows]
            connection.execute(insert(measurements), values)
        connection.execute(delete(measurements).where(measurements.c.ts < ts_ms - KEPT_MS))


def read(connection: Connection, limit: int | None, name: str | None) -> list[MeasuredAt]:
    """The newest first, of one name where it is given."""
    columns = measurements.c
    query = select(columns.ts, columns.run_id, columns.name, columns.samples, columns.mean, columns.p99, columns.most)
    if name is not None:
        query = query.where(columns.name == name)
    rows = connection.execute(query.order_by(columns.id.desc()).limit(limit)).all()
    return [MeasuredAt(row[0], row[1], Measured(*row[2:])) for row in rows]


def slippages_bps(connection: Connection, after_seq: int) -> list[float]:
    """How much worse than meant each fill after a journal record was, in basis points; as core.slippage measures it."""
    fills, orders, positions = t.fills.c, t.orders.c, t.positions.c
    query = (
        select(fills.price, fills.side, orders.purpose, orders.type, orders.generation)
        .add_columns(orders.trigger_price, positions.reference_price)
        .join_from(t.fills, t.orders, fills.client_order_id == orders.client_order_id)
        .join(t.positions, orders.position_id == positions.position_id)
        .where(fills.seq > after_seq)
    )
    found = []
    for row in connection.execute(query):
        is_first = row.purpose == Purpose.ENTRY and row.generation == 1
        meant = row.reference_price if is_first else row.trigger_price if row.type == OrderType.STOP_MARKET else None
        if meant:
            worse = row.price - meant if row.side == TradeSide.BUY else meant - row.price
            found.append(float(worse * _BPS / meant))
    return found
