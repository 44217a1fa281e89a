"""The one writer: everything of a step in one synced transaction, or nothing of it.

What belongs here: opening the engine's database for writing, `commit` and its guards. What does not: what
the rows are (rows), how they are read back (loading), anything read by people (read_models).

Guards: file and log are those that were opened (one that was deleted or replaced would take commits that nobody can
read again); the journal's numbers follow on without a gap; a position row is only changed from the version
that this process wrote last; `control.version` counts the commits. A second writer breaks one of the last
three in its first commit and gets StoreFailed instead of silence.
"""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import (
    Connection,
    Dialect,
    Table,
    bindparam,
    false,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql import ClauseElement

from trading_engine.domain.errors import ConfigInvalid, InvariantBroken
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.severity import Severity
from trading_engine.ports import Commit, Loaded
from trading_engine.store import codec, engine, loading, measuring, rows, schema_version
from trading_engine.store.outbox import AlertOutbox, RowT
from trading_engine.store.rows import CommitRows, Row
from trading_engine.store.statements import Prepared
from trading_engine.store.tables import (
    alert_outbox,
    control,
    daily_metrics,
    equity,
    fills,
    journal,
    orders,
    pnl,
    positions,
    runs,
    signals,
    system_events,
)

BEFORE_COMMIT = "engine.commit.before"
INSIDE_COMMIT = "engine.commit.inside"
AFTER_COMMIT = "engine.commit.after"


class StoreFailed(InvariantBroken):
    """A commit did not become durable as a whole; memory and database may differ: stop, start again."""


def _no_hit(name: str) -> None:
    del name


def _update_of(table: Table, *key: str) -> ClauseElement:
    """Change every column but the key and `first_seq`; the key's parameters are named `key_…`."""
    kept = {*table.primary_key.columns.keys(), "first_seq"}
    changed = [column.name for column in table.c if column.name not in kept]
    statement = update(table).values({name: bindparam(name) for name in changed})
    for name in key:
        statement = statement.where(table.c[name] == bindparam(f"key_{name}"))
    return statement


def _insert_into(table: Table) -> ClauseElement:
    """Every column but `id`, which the database counts itself."""
    return insert(table).values({name: bindparam(name) for name in table.c.keys() if name != "id"})  # noqa: SIM118 - no dict


_UPDATE_POSITION = _update_of(positions, "position_id", "version")
_UPDATE_ORDER = _update_of(orders, "client_order_id")
_UPDATE_DAY = _update_of(daily_metrics, "day")
_UPDATE_CONTROL = _update_of(control, "version")
_NO_CHANGE = update(control).values(version=control.c.version).where(false())
_INSERTS = {
    name: _insert_into(table)
    for name, table in {
        "journal": journal,
        "positions": positions,
        "orders": orders,
        "fills": fills,
        "pnl": pnl,
        "runs": runs,
        "alert_outbox": alert_outbox,
        "signals": signals,
        "equity": equity,
        "system_events": system_events,
        "daily_metrics": daily_metrics,
    }.items()
}
_APPENDED = ("fills", "pnl", "runs", "alert_outbox", "signals", "equity", "system_events")
_LAST_START = select(func.max(runs.c.seq)).where(runs.c.run_id == bindparam("ended_run")).scalar_subquery()
_END_RUN = update(runs).values(ended=bindparam("ts"), how=bindparam("reason")).where(runs.c.seq == _LAST_START)


@lru_cache(maxsize=4)
def _prepared(dialect: Dialect) -> Mapping[ClauseElement, Prepared]:
    every = (_UPDATE_POSITION, _UPDATE_ORDER, _UPDATE_DAY, _UPDATE_CONTROL, _END_RUN, *_INSERTS.values())
    return {statement: Prepared(statement, dialect) for statement in every}


class SqlStore:
    """The Store on a SQLAlchemy connection. Belongs to the thread that opened it."""

    def __init__(
        self, path: Path, connection: Connection, hit: Callable[[str], None], *, read_only: bool = False
    ) -> None:
        self._path = path
        self._connection = connection
        self._hit = hit
        self._is_read_only = read_only
        self.last_commit_ms = 0.0
        with connection.begin():
            if not read_only and connection.dialect.name == "sqlite":
                connection.execute(_NO_CHANGE)  # a file that may only be read is refused before a run begins
            row = connection.execute(select(control)).one()
            self._commits: int = row.version
            self._identity = {"venue": row.venue, "account": row.account}
            self._peak_at_rebase = row.peak_at_rebase
            self._last_seq = loading.last_seq(connection)
            live = loading.live_positions(connection)
        self._versions = {name: position.version for name, position in live.items()}
        self._statements = _prepared(connection.dialect)
        self._files = () if read_only else engine.files_of(path, connection)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        venue: str = "",
        account: str = "",
        hit: Callable[[str], None] = _no_hit,
        read_only: bool = False,
    ) -> Self:
        """The store in the file at `path`, which must exist, be sound and of exactly this schema.

        venue, account   whose rows these are; written with the first commit, compared ever after
        hit              told the names of the crash points around each commit
        read_only        only `load` works

        Raises ConfigInvalid, and writes nothing, where one of that does not hold.
        """
        engine.check_file(path)
        with engine.damage_reported(path):
            if not read_only:
                engine.roll_back_unfinished(path)
            _inspect(path)
            create = engine.create_reader if read_only else engine.create_writer
            connection = create(path).connect()
            try:
                store = cls(path, connection, hit, read_only=read_only)
                store._claim(venue, account)
            except BaseException:
                connection.close()
                raise
        return store

    @property
    def last_seq(self) -> int:
        """The number of the newest journal record."""
        return self._last_seq

    def outbox(
        self, make_row: Callable[[int, int, Severity, str, str, int], RowT], now_ms: Callable[[], int]
    ) -> AlertOutbox[RowT]:
        """The alerts that wait for delivery, on this same connection, as rows of the reader's own kind."""
        return AlertOutbox(self._connection, make_row, now_ms)

    def __enter__(self) -> Self:
        """The store itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def load(self) -> Loaded:
        """The live book and the last checkpoint, from the projections."""
        with self._connection.begin():
            return loading.load(self._connection)

    def modes(self) -> frozenset[str]:
        """The modes that this database has run in."""
        with self._connection.begin():
            return frozenset(self._connection.execute(select(runs.c.mode).distinct()).scalars())

    def unfinished_ms(self) -> int:
        """When the last run began, where it never said that it ends; 0 where it did, or where there was none."""
        newest = select(runs.c.started, runs.c.ended).order_by(runs.c.seq.desc()).limit(1)
        with self._connection.begin():
            row = self._connection.execute(newest).one_or_none()
        return row.started if row is not None and row.ended is None else 0

    def measure(self, ts_ms: int, run_id: str, measured: Sequence[measuring.Measured]) -> None:
        """Keep figures for people; a transaction of its own, of which nothing depends."""
        measuring.write(self._connection, ts_ms, run_id, measured)

    def slippages_bps(self, after_seq: int = 0) -> list[float]:
        """How much worse than meant each fill after a journal record was, in basis points."""
        with self._connection.begin():
            return measuring.slippages_bps(self._connection, after_seq)

    def commit(self, commit: Commit) -> int:
        """Write everything or nothing, synced to disk; the sequence number of the last record.

        `commit.book` is the book after all records with what they closed still in it. Raises StoreFailed,
        with nothing written, where the database refuses or a guard does not hold.
        """
        first_seq = self._last_seq + 1
        journaled = rows.journal_rows(commit.records, commit.book, commit.ts_ms, commit.run_id, first_seq)
        collected = rows.collect(commit.records, commit.book, commit.ts_ms, first_seq)
        self._hit(BEFORE_COMMIT)
        started = time.perf_counter()
        try:
            with self._connection.begin():
                self._write(commit, journaled, collected)
                engine.require_in_place(self._files)
                self._hit(INSIDE_COMMIT)
        except engine.FileGone as error:
            raise StoreFailed(f"{error}; nothing was written") from None
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            message = f"{self._path}: a commit of {len(journaled)} records failed ({cause})"
            raise StoreFailed(message) from error
        self._adopt(commit, collected, len(journaled))
        self.last_commit_ms = (time.perf_counter() - started) * 1000
        self._hit(AFTER_COMMIT)
        return self._last_seq

    def close(self) -> None:
        """Fold the log into the file, unless it is only read or no longer there, and release it; again has no effect.

        Never raises for the database: the log holds everything, and an error here would hide the first one.
        """
        if self._connection.closed:
            return
        try:
            raw = self._connection.connection.dbapi_connection
            if raw is not None and not self._is_read_only and self._connection.dialect.name == "sqlite":
                with contextlib.suppress(sqlite3.Error, engine.FileGone):
                    engine.require_in_place(self._files)
                    raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._connection.close()

    def _claim(self, venue: str, account: str) -> None:
        """Refuse the rows of another account; remember whose a new database will be."""
        known = (self._identity["venue"], self._identity["account"])
        if known == ("", ""):
            self._identity = {"venue": venue, "account": account}
        elif (venue, account) not in (("", ""), known):
            raise ConfigInvalid(
                f"{self._path}: belongs to {known[0]}:{known[1]}, the configuration names {venue}:{account}; "
                "use one state directory for each account"
            )

    def _write(self, commit: Commit, journaled: Sequence[Row], collected: CommitRows) -> None:
        self._write_control(commit, collected)
        self._insert("journal", journaled)
        self._write_positions(commit, collected)
        self._write_orders(commit, collected)
        for name in _APPENDED:
            self._insert(name, getattr(collected, name))
        for day in collected.daily_metrics:  # a day is closed once, or again with later bookings
            if not self._execute(_UPDATE_DAY, [{**day, "key_day": day["day"]}]):
                self._insert("daily_metrics", [day])
        for run_id, ts_ms, reason in collected.ended:
            self._execute(_END_RUN, [{"ended_run": run_id, "ts": ts_ms, "reason": reason}])

    def _write_control(self, commit: Commit, collected: CommitRows) -> None:
        peak = self._peak_at_rebase if collected.peak_at_rebase is None else collected.peak_at_rebase
        row = rows.control_row(commit.book, peak)
        row.update(self._identity)
        row["checkpoint"] = codec.encode_checkpoint(commit.checkpoint)
        row["version"] = self._commits + 1
        row["key_version"] = self._commits
        self._change(_UPDATE_CONTROL, [row], "another process has written")

    def _write_positions(self, commit: Commit, collected: CommitRows) -> None:
        changed, added = [], []
        for position_id, seq in collected.positions.items():
            row = rows.position_row(commit.book.positions[position_id], seq)
            if position_id in collected.opened:
                row["first_seq"] = collected.opened[position_id]
                added.append(row)
            elif position_id in self._versions:
                row["key_position_id"] = position_id
                row["key_version"] = self._versions[position_id]
                changed.append(row)
            else:
                raise StoreFailed(f"{self._path}: a record changes {position_id}, which was never opened")
        # Changes first: one that closes makes room for the next position on its symbol.
        self._change(_UPDATE_POSITION, changed, "a position is not as this process left it")
        self._insert("positions", added)

    def _write_orders(self, commit: Commit, collected: CommitRows) -> None:
        changed, added = [], []
        for client_order_id, seq in collected.orders.items():
            row = rows.order_row(commit.book.orders[client_order_id], seq)
            if client_order_id in collected.intended:
                row["first_seq"] = collected.intended[client_order_id]
                added.append(row)
            else:
                row["key_client_order_id"] = client_order_id
                changed.append(row)
        self._change(_UPDATE_ORDER, changed, "an order was never intended")
        self._insert("orders", added)

    def _insert(self, name: str, values: Sequence[Row]) -> None:
        if values:
            self._execute(_INSERTS[name], values)

    def _change(self, statement: ClauseElement, values: Sequence[Row], breach: str) -> None:
        if values:
            self._demand(len(values), self._execute(statement, values), breach)

    def _execute(self, statement: ClauseElement, values: Sequence[Row]) -> int:
        return self._statements[statement].execute(self._connection, values)

    def _demand(self, expected: int, found: int, breach: str) -> None:
        if found != expected:
            raise StoreFailed(f"{self._path}: {breach} ({found} of {expected} rows match); nothing was written")

    def _adopt(self, commit: Commit, collected: CommitRows, records: int) -> None:
        """Remember what is durable now."""
        self._commits += 1
        self._last_seq += records
        if collected.peak_at_rebase is not None:
            self._peak_at_rebase = collected.peak_at_rebase
        for position_id in collected.positions:
            position = commit.book.positions[position_id]
            if position.state is PositionState.CLOSED:
                self._versions.pop(position_id, None)
            else:
                self._versions[position_id] = position.version


def _inspect(path: Path) -> None:
    """Schema, pages, keys and the journal's numbers, looked at through a connection that cannot write."""
    with engine.create_reader(path).connect() as connection, connection.begin():
        schema_version.require_head(connection, path)
        engine.require_sound(connection, path)
        numbers = select(func.count(), func.min(journal.c.seq), func.max(journal.c.seq)).select_from(journal)
        count, first, last = connection.execute(numbers).one()
        if count and last - first + 1 != count:
            raise ConfigInvalid(
                f"{path}: the journal has {count} records between {first} and {last}: some are missing; "
                "restore a backup with `trading-engine db restore`"
            )
