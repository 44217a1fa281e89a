"""Proof that what is written down adds up: the journal against the projections, and each against itself.

What belongs here: checks that read and never write. What does not: repairing anything, the exit code and
the display (cli), the wallet's figure (the caller asks the venue).

The journal is replayed commit by commit with `core.project.apply`, closed positions are laid aside after
each as the engine does it, and what comes out is compared with every table row by row.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, func, select

from trading_engine.core.project import apply, prune
from trading_engine.core.state import Book, Ledger
from trading_engine.domain import money
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.money import ZERO
from trading_engine.domain.orders import OrderState, TradeSide, opening_side
from trading_engine.domain.records import Record
from trading_engine.store import codec, engine, loading, rows, schema_version
from trading_engine.store import tables as t
from trading_engine.store.read_models import net_by_position, stop_cover

_SHOWN = 3  # findings named in a check's detail


class Check(NamedTuple):
    """One question and its answer; `detail` counts what was looked at, or names what is wrong."""

    name: str
    ok: bool
    detail: str


def audit(path: Path, wallet: Decimal | None = None) -> list[Check]:
    """Every check of the database at `path`; `wallet` is what the venue holds, None where it was not asked.

    ConfigInvalid where the file is no database of ours with this schema.
    """
    engine.check_file(path)
    with (
        engine.damage_reported(path),
        engine.create_reader(path).connect() as connection,
        connection.begin(),
    ):
        schema_version.require_head(connection, path)
        return audit_connection(connection, wallet)


def audit_connection(connection: Connection, wallet: Decimal | None = None) -> list[Check]:
    """The checks, on one snapshot of a connection that only reads."""
    checks = [
        _pages(connection),
        _foreign_keys(connection),
        _sequence(connection),
        _rebuild(connection),
        _fills(connection),
        _ledger(connection),
        _closed_positions(connection),
        _stops(connection),
        _windows(connection),
    ]
    if wallet is not None:
        checks.append(_wallet(connection, wallet))
    return checks


def _verdict(name: str, findings: Sequence[str], looked_at: str) -> Check:
    if not findings:
        return Check(name, ok=True, detail=looked_at)
    more = f" and {len(findings) - _SHOWN} more" if len(findings) > _SHOWN else ""
    return Check(name, ok=False, detail="; ".join(findings[:_SHOWN]) + more)


def _pages(connection: Connection) -> Check:
    if connection.dialect.name != "sqlite":
        return _verdict("file integrity", [], "looked after by the server")
    found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check")]
    return _verdict("file integrity", [] if found == ["ok"] else found, "every page and index is sound")


def _foreign_keys(connection: Connection) -> Check:
    if connection.dialect.name != "sqlite":
        return _verdict("foreign keys", [], "enforced by the server")
    orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    findings = [f"{row[0]} row {row[1]} refers to a missing row of {row[2]}" for row in orphans]
    return _verdict("foreign keys", findings, "every reference leads to a row")


def _sequence(connection: Connection) -> Check:
    query = select(func.count(), func.min(t.journal.c.seq), func.max(t.journal.c.seq)).select_from(t.journal)
    count, first, last = connection.execute(query).one()
    is_whole = not count or last - first + 1 == count
    findings = [] if is_whole else [f"{count} records between {first} and {last}"]
    return _verdict("journal has no gap", findings, f"{count} records")


@dataclass(slots=True)
class _Replay:
    """What the journal alone leads to."""

    book: Book = field(default_factory=lambda: Book(epoch=""))
    positions: dict[str, rows.Row] = field(default_factory=dict)
    orders: dict[str, rows.Row] = field(default_factory=dict)
    tables: dict[str, list[rows.Row]] = field(default_factory=dict)
    days: dict[str, rows.Row] = field(default_factory=dict)
    peak_at_rebase: Decimal = ZERO
    records: int = 0

    def add(self, seq: int, ts_ms: int, records: Sequence[Record]) -> None:
        """Apply the records of one commit, whose first has the number `seq`."""
        for record in records:
            self.book = apply(self.book, record)
        collected = rows.collect(records, self.book, ts_ms, seq)
        for name in _COMPARED:
            self.tables.setdefault(name, []).extend(getattr(collected, name))
        for run_id, ended, how in collected.ended:
            self._end_run(run_id, ended, how)
        self.days.update((row["day"], row) for row in collected.daily_metrics)
        for position_id, last in collected.positions.items():
            row = rows.position_row(self.book.positions[position_id], last)
            row["first_seq"] = self._first(self.positions, position_id, collected.opened)
            self.positions[position_id] = row
        for client_order_id, last in collected.orders.items():
            row = rows.order_row(self.book.orders[client_order_id], last)
            row["first_seq"] = self._first(self.orders, client_order_id, collected.intended)
            self.orders[client_order_id] = row
        if collected.peak_at_rebase is not None:
            self.peak_at_rebase = collected.peak_at_rebase
        self.records += len(records)
        self.book = prune(self.book)

    def _end_run(self, run_id: str, ended: int, how: str) -> None:
        for row in reversed(self.tables.get("runs", [])):
            if row["run_id"] == run_id:
                row.update(ended=ended, how=how)
                return

    @staticmethod
    def _first(known: Mapping[str, rows.Row], key: str, made: Mapping[str, int]) -> int:
        first: int = made[key] if key in made else known[key]["first_seq"]
        return first


# Delivery changes the rest of an alert's row; the keys of pnl and alerts are given by the database.
_IGNORED = {
    "pnl": {"id"},
    "alert_outbox": {"id", "attempts", "next_try_ms", "last_error", "sent_at"},
}
_COMPARED = ("fills", "pnl", "runs", "alert_outbox", "signals", "equity", "system_events")


def _rebuild(connection: Connection) -> Check:
    name = "journal rebuild equals projections"
    replay = _Replay()
    try:
        for causation, commit in groupby(_journal(connection), key=_first_of_commit):
            records = list(commit)
            decoded = [codec.decode(row.kind, row.payload) for row in records]
            replay.add(causation, records[0].ts, decoded)
    except ConfigInvalid as error:
        return Check(name, ok=False, detail=str(error))
    except (ArithmeticError, LookupError, ValueError) as error:
        detail = f"the journal cannot be applied after record {replay.records}: {error!r}"
        return Check(name, ok=False, detail=detail)
    findings = [*_compare_tables(connection, replay), *_compare_books(connection, replay)]
    return _verdict(name, findings, f"{replay.records} records, {len(replay.positions)} positions")


def _journal(connection: Connection) -> Iterable[Any]:
    columns = t.journal.c
    query = select(columns.seq, columns.ts, columns.kind, columns.payload, columns.causation)
    return connection.execution_options(yield_per=1000).execute(query.order_by(columns.seq))


def _first_of_commit(row: Any) -> int:
    first: int = row.seq if row.causation is None else row.causation
    return first


def _compare_tables(connection: Connection, replay: _Replay) -> list[str]:
    findings = [
        *_differences(connection, t.positions, "position_id", replay.positions.values()),
        *_differences(connection, t.orders, "client_order_id", replay.orders.values()),
        *_differences(connection, t.daily_metrics, "day", replay.days.values()),
    ]
    for name in _COMPARED:
        rebuilt = replay.tables.get(name, [])
        if name == "pnl":
            findings += _differences(connection, t.pnl, _pnl_key, rebuilt)
        else:
            findings += _differences(connection, t.metadata.tables[name], "seq", rebuilt)
    return findings


def _pnl_key(row: Mapping[str, Any]) -> str:
    return f"{row['kind']} of {row['source_id']}"


def _differences(
    connection: Connection,
    table: Table,
    key: str | Callable[[Mapping[str, Any]], str],
    rebuilt: Iterable[rows.Row],
) -> list[str]:
    """What distinguishes the rows of a table from those that the journal leads to."""
    ignored = _IGNORED.get(table.name, set())

    def name_of(row: Mapping[str, Any]) -> Any:
        return row[key] if isinstance(key, str) else key(row)

    expected = {name_of(row): row for row in rebuilt}
    findings = []
    for found in connection.execute(select(table)).mappings():
        row = {str(column): value for column, value in found.items()}
        other = expected.pop(name_of(row), None)
        if other is None:
            findings.append(f"{table.name} {name_of(row)} is not in the journal")
            continue
        findings += [
            f"{table.name} {name_of(row)}: {column} is {_show(row[column])}, the journal says {_show(other[column])}"
            for column in row
            if column not in ignored and row[column] != other[column]
        ]
    return findings + [f"{table.name} {name} of the journal is missing" for name in expected]


def _compare_books(connection: Connection, replay: _Replay) -> list[str]:
    """Control and ledger; positions and orders were compared row by row."""
    control = connection.execute(select(t.control)).mappings().one()
    expected = rows.control_row(replay.book, replay.peak_at_rebase)
    findings = [
        f"control.{name} is {_show(control[name])}, the journal says {_show(value)}"
        for name, value in expected.items()
        if control[name] != value
    ]
    loaded = loading.load_book(connection)
    if loaded.signal_ms != replay.book.signal_ms:
        findings.append("the last signals differ from the journal's")
    return findings + _ledger_differences(loaded.ledger, replay.book.ledger)


def _ledger_differences(found: Ledger, expected: Ledger) -> list[str]:
    return [
        f"ledger.{name}: the rows give {_show(getattr(found, name))}, the journal {_show(getattr(expected, name))}"
        for name in Ledger.__dataclass_fields__
        if getattr(found, name) != getattr(expected, name)
    ]


def _show(value: object) -> str:
    text = money.text(value) if isinstance(value, Decimal) else str(value)
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


_LONG = 60


@dataclass(slots=True)
class _FillSums:
    """Quantities of fills, summed up in the ways positions and orders need."""

    count: int = 0
    by_side: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    by_order: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    by_client_id: dict[str, Decimal] = field(default_factory=dict)


def _fills(connection: Connection) -> Check:
    """Entry and exit of each position, and what each order has filled, are the sums of their fills."""
    columns = t.fills.c
    query = select(columns.position_id, columns.side, columns.client_order_id, columns.quantity)
    sums = _FillSums()
    for row in connection.execute(query):
        sums.count += 1
        _add(sums.by_side, (row.position_id, row.side), row.quantity)
        _add(sums.by_order, (row.position_id, row.client_order_id), row.quantity)
        _add(sums.by_client_id, row.client_order_id, row.quantity)
    findings = [*_position_fills(connection, sums), *_order_fills(connection, sums)]
    return _verdict("fills equal positions", findings, f"{sums.count} fills")


def _position_fills(connection: Connection, sums: _FillSums) -> list[str]:
    findings = []
    for row in connection.execute(select(t.positions)):
        position = loading.position_from(row)
        for side in TradeSide:
            filled = sums.by_side.get((position.position_id, side), ZERO)
            is_opening = side is opening_side(position.side)
            has = position.exit_quantity
            if is_opening:  # what was adopted came without fills
                has = money.subtract(position.entry_quantity, position.adopted_quantity)
            if filled != has:
                findings.append(f"{position.position_id}: {side} {_show(has)}, its fills give {_show(filled)}")
    return findings


def _order_fills(connection: Connection, sums: _FillSums) -> list[str]:
    """What exceeded a position went to a residual one, and may or may not count for the order."""
    columns = t.orders.c
    findings = []
    for row in connection.execute(select(columns.client_order_id, columns.position_id, columns.filled)):
        least = sums.by_order.get((row.position_id, row.client_order_id), ZERO)
        most = sums.by_client_id.get(row.client_order_id, ZERO)
        if not least <= row.filled <= most:
            findings.append(f"{row.client_order_id}: filled {_show(row.filled)}, its fills give {_show(least)}")
    return findings


def _add(sums: dict[Any, Decimal], key: Any, amount: Decimal) -> None:
    sums[key] = money.add(sums.get(key, ZERO), amount)


def _ledger(connection: Connection) -> Check:
    """Bookings are numbered without a gap, and each fill and its pnl rows say the same.

    A fee in another asset than the booking's was paid by another wallet: its booking has none.
    """
    booked = connection.execute(select(t.pnl).order_by(t.pnl.c.booking, t.pnl.c.id)).all()
    fees = {
        f"{row.venue}:{row.account}:{row.trade_id}": (row.fee, row.fee_asset)
        for row in connection.execute(select(t.fills))
    }
    findings = []
    expected = 0
    for booking, group in groupby(booked, key=attrgetter("booking")):
        expected += 1
        if booking != expected:
            findings.append(f"booking {expected} is missing")
            expected = booking
        found = list(group)
        if len({row.source_id for row in found}) > 1:
            findings.append(f"booking {booking} has more than one source")
        if found[0].source == rows.FROM_FILL:
            fee = next((row.amount for row in found if row.kind == "fee"), ZERO)
            paid, asset = fees.pop(found[0].source_id, (None, ""))
            if (paid if asset in ("", found[0].asset) else ZERO) != money.subtract(ZERO, fee):
                findings.append(f"booking {booking}: the fee is not that of fill {found[0].source_id}")
    findings += [f"fill {key} was never booked" for key in fees]
    balance = loading.load_ledger(connection).balance
    return _verdict("ledger adds up", findings, f"{expected} bookings, balance {money.text(balance)}")


def _closed_positions(connection: Connection) -> Check:
    """Net PnL of each position is the sum of its pnl rows, less what was booked after it closed."""
    late: dict[str, Decimal] = {}
    touched = t.positions.c.last_seq
    query = select(t.pnl.c.position_id, t.pnl.c.amount).join(t.positions).where(t.pnl.c.seq > touched)
    for position_id, amount in connection.execute(query):
        _add(late, position_id, amount)
    sums = net_by_position(connection)
    findings = []
    count = 0
    for row in connection.execute(select(t.positions).where(t.positions.c.state == PositionState.CLOSED)):
        count += 1
        position = loading.position_from(row)
        expected = money.add(position.net_pnl, late.get(position.position_id, ZERO))
        if expected != sums.get(position.position_id, ZERO):
            booked = _show(sums.get(position.position_id, ZERO))
            findings.append(f"{position.position_id}: net {_show(expected)}, its pnl rows give {booked}")
    return _verdict("closed positions equal their pnl rows", findings, f"{count} closed positions")


def _stops(connection: Connection) -> Check:
    covered = stop_cover(connection)
    opened = select(t.positions).where(t.positions.c.state == PositionState.OPEN)
    held = [loading.position_from(row) for row in connection.execute(opened)]
    findings = [
        f"{item.position_id} ({item.symbol}): stops cover {_show(covered.get(item.position_id, ZERO))} "
        f"of {_show(item.quantity)}"
        for item in held
        if item.quantity and covered.get(item.position_id, ZERO) < item.quantity
    ]
    closing = select(func.count()).select_from(t.positions).where(t.positions.c.state == PositionState.CLOSING)
    leaving = connection.execute(closing).scalar_one()  # an exit is under way: its stop may be gone already
    looked_at = f"{len(held)} open positions" + (f", {leaving} more closing" if leaving else "")
    return _verdict("no open position without a confirmed stop", findings, looked_at)


def _windows(connection: Connection) -> Check:
    checkpoint = loading.load_checkpoint(connection)
    now_ms = checkpoint.cursor_ms if checkpoint else 0
    columns = t.orders.c
    states = [state for state in OrderState if state.is_unresolved]
    found = connection.execute(
        select(columns.client_order_id, columns.state, columns.not_after_ms).where(columns.state.in_(states))
    ).all()
    findings = [
        f"{row.client_order_id} is {row.state}, {now_ms - row.not_after_ms} ms after its window"
        for row in found
        if row.not_after_ms < now_ms
    ]
    return _verdict("no unresolved order older than its window", findings, f"{len(found)} unresolved orders")


def _wallet(connection: Connection, wallet: Decimal) -> Check:
    balance = loading.load_ledger(connection).balance
    findings = [f"ledger {money.text(balance)}, wallet {money.text(wallet)}"] if balance != wallet else []
    return _verdict("ledger equals wallet", findings, money.text(wallet))
