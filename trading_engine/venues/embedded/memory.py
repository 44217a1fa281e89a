"""The exchange's durable memory: one SQLite file of its own, apart from the engine's database.

What belongs here: writing what a change touched in one synced transaction, and reading it back. What does
not: any matching. Plain sqlite3: five small tables of JSON rows that only this exchange reads.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import msgspec

from trading_engine import sqlite_faults
from trading_engine.domain.errors import ConfigInvalid, InvariantBroken
from trading_engine.venues.embedded.account import (
    Account,
    ExchangeOrder,
    ExchangePosition,
    MarketPoint,
    Progress,
)
from trading_engine.venues.embedded.matching import Change, IncomeRow, TradeRow

SCHEMA_VERSION = 1
APPLICATION_ID = 0x54455058  # "TEPX"

_OWNER_ONLY = 0o600
_COMPANIONS = ("-wal", "-shm")
_WHERE_DAMAGED = "if the file is damaged, restore a backup with `trading-engine db restore`, or start on a new --state"

_SCHEMA = """
CREATE TABLE orders (client_order_id TEXT PRIMARY KEY, is_open INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
CREATE INDEX ix_orders_open ON orders (is_open) WHERE is_open = 1;
CREATE TABLE trades (number INTEGER PRIMARY KEY, ts_ms INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
CREATE INDEX ix_trades_ts ON trades (ts_ms);
CREATE TABLE incomes (income_id TEXT PRIMARY KEY, ts_ms INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
CREATE INDEX ix_incomes_ts ON incomes (ts_ms);
CREATE TABLE symbols (symbol TEXT PRIMARY KEY, point TEXT NOT NULL, position TEXT NOT NULL) STRICT;
CREATE TABLE progress (id INTEGER PRIMARY KEY CHECK (id = 1), body TEXT NOT NULL) STRICT;
"""


class MemoryFailed(InvariantBroken):
    """The file did not take or give what it must; the account in the process may be ahead of it: stop, start again."""


def _no_hit(name: str) -> None:
    del name


class AccountMemory(Protocol):
    """What an exchange needs of its memory."""

    def load(self) -> Account | None:
        """The account as of the last durable change, None for a new one."""
        ...

    def write(self, account: Account, change: Change) -> None:
        """Make a change durable."""
        ...

    def order(self, client_order_id: str) -> ExchangeOrder | None:
        """An order in any state."""
        ...

    def is_known(self, client_order_id: str) -> bool:
        """Whether an id has ever been used."""
        ...

    def trades_since(self, since_ms: int) -> list[TradeRow]:
        """Executions at or after an instant, oldest first."""
        ...

    def incomes_since(self, since_ms: int) -> list[IncomeRow]:
        """Funding and deposits at or after an instant, oldest first."""
        ...

    def close(self) -> None:
        """Release what it holds."""
        ...


class Memory:
    """One file; `hit` is told the names of the crash points around each commit.

    Opened `read_only` it shows one moment for as long as it is open, whatever a running exchange goes on to
    write. Raises ConfigInvalid for a file that is damaged or not ours, with nothing written.
    """

    def __init__(self, path: Path, hit: Callable[[str], None] = _no_hit, *, read_only: bool = False) -> None:
        self._path = path
        self._hit = hit
        self._encode = msgspec.json.Encoder().encode
        self._newest_ms = {"trades": -1, "incomes": -1}  # spares a query that would find nothing
        mode = "ro" if read_only else "rwc"
        if not read_only:
            _create_for_owner(path)
        try:
            self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None)
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        try:
            self._db.execute("PRAGMA busy_timeout = 5000")
            if read_only:
                self._db.execute("BEGIN")
            self._is_blank = self._recognise() == 0
            self._require_sound()
            if not read_only:
                self._prepare()
        except sqlite3.Error as error:
            self._db.close()
            raise self._unusable(error) from error
        except ConfigInvalid:
            self._db.close()
            raise

    def _unusable(self, error: object) -> ConfigInvalid:
        remedy = sqlite_faults.remedy(self._path, error, _WHERE_DAMAGED)
        return ConfigInvalid(f"{self._path}: cannot be used as the paper exchange's memory ({error}); {remedy}")

    @contextmanager
    def _intact(self) -> Iterator[None]:
        """What is read comes from a sound file: damage is the operator's to mend, and a restart cannot."""
        try:
            yield
        except sqlite3.OperationalError as error:  # busy, or the disk: not the file's fault
            raise MemoryFailed(f"{self._path}: cannot be read ({error})") from error
        except (sqlite3.DatabaseError, msgspec.MsgspecError) as error:
            raise self._unusable(error) from error

    def _require_sound(self) -> None:
        found: str = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise self._unusable(found.splitlines()[-1])

    def _recognise(self) -> int:
        """The schema of the file, 0 for an empty one; ConfigInvalid, and nothing written, for what is not ours."""
        version: int = self._db.execute("PRAGMA user_version").fetchone()[0]
        identity = self._db.execute("PRAGMA application_id").fetchone()[0]
        is_empty = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        if identity != APPLICATION_ID and (version or identity or not is_empty):
            raise ConfigInvalid(f"{self._path}: is not a memory of the paper exchange; move it away")
        if version > SCHEMA_VERSION:
            raise ConfigInvalid(
                f"{self._path}: schema {version} is newer than this program's {SCHEMA_VERSION}; use a newer release"
            )
        return version

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        if not self._is_blank:
            self._db.execute("DELETE FROM progress WHERE FALSE")  # a file that may only be read is refused now
        for suffix in ("", *_COMPANIONS):  # an earlier release was less careful
            path = self._path.with_name(self._path.name + suffix)
            if path.exists():
                path.chmod(_OWNER_ONLY)
        if self._is_blank:
            self._db.executescript(
                f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA application_id = {APPLICATION_ID};"
                f" PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            )
            self._is_blank = False

    def load(self) -> Account | None:
        """The account as of the last durable change, None for a new file."""
        if self._is_blank:
            return None
        with self._intact():
            return self._load()

    def _load(self) -> Account | None:
        for table in self._newest_ms:
            newest = self._db.execute(f"SELECT max(ts_ms) FROM {table}").fetchone()[0]  # noqa: S608 - our names
            self._newest_ms[table] = -1 if newest is None else newest
        row = self._db.execute("SELECT body FROM progress").fetchone()
        if row is None:
            return None
        account = Account(progress=msgspec.json.decode(row[0], type=Progress))
        for (body,) in self._db.execute("SELECT body FROM orders WHERE is_open = 1"):
            order = msgspec.json.decode(body, type=ExchangeOrder)
            account.orders[order.client_order_id] = order
        account.orders = dict(sorted(account.orders.items(), key=lambda item: item[1].number))
        for point, position in self._db.execute("SELECT point, position FROM symbols"):
            market = msgspec.json.decode(point, type=MarketPoint)
            account.points[market.symbol] = market
            account.positions[market.symbol] = msgspec.json.decode(position, type=ExchangePosition)
        return account

    def write(self, account: Account, change: Change) -> None:
        """Make a change durable, with the market points and the progress it happened at.

        Raises MemoryFailed, with nothing written, where the file does not take it.
        """
        self._hit("exchange.commit.before")
        with self._failure_reported("a change of the account was not stored"):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._write_rows(account, change)
                self._hit("exchange.commit.inside")
                self._db.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise
        for row in change.trades:
            self._newest_ms["trades"] = max(self._newest_ms["trades"], row.ts_ms)
        for income in change.incomes:
            self._newest_ms["incomes"] = max(self._newest_ms["incomes"], income.ts_ms)
        self._hit("exchange.commit.after")

    @contextmanager
    def _failure_reported(self, what: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise MemoryFailed(f"{self._path}: {what} ({error})") from error

    def _roll_back(self) -> None:
        """What cannot be rolled back now is rolled back by the next one who opens the file."""
        with suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def _write_rows(self, account: Account, change: Change) -> None:
        text = self._text
        self._db.executemany(
            "INSERT INTO orders VALUES (?, ?, ?)"
            " ON CONFLICT (client_order_id) DO UPDATE SET is_open = excluded.is_open, body = excluded.body",
            [(order.client_order_id, int(order.status.is_open), text(order)) for order in change.orders],
        )
        self._db.executemany(
            "INSERT INTO trades VALUES (?, ?, ?)", [(row.number, row.ts_ms, text(row)) for row in change.trades]
        )
        self._db.executemany(
            "INSERT INTO incomes VALUES (?, ?, ?)", [(row.income_id, row.ts_ms, text(row)) for row in change.incomes]
        )
        self._db.executemany(
            "INSERT INTO symbols VALUES (?, ?, ?)"
            " ON CONFLICT (symbol) DO UPDATE SET point = excluded.point, position = excluded.position",
            [
                (symbol, text(point), text(account.positions.get(symbol, ExchangePosition(symbol))))
                for symbol, point in account.points.items()
            ],
        )
        self._db.execute(
            "INSERT INTO progress VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            (text(account.progress),),
        )

    def _text(self, row: object) -> str:
        return self._encode(row).decode()

    def bookings(self) -> int:
        """How many executions and incomes there have been: what a ledger of this account may know at most."""
        if self._is_blank:
            return 0
        with self._intact():
            query = "SELECT (SELECT count(*) FROM trades) + (SELECT count(*) FROM incomes)"
            found: int = self._db.execute(query).fetchone()[0]
            return found

    def order(self, client_order_id: str) -> ExchangeOrder | None:
        """An order in any state."""
        with self._intact():
            row = self._db.execute("SELECT body FROM orders WHERE client_order_id = ?", (client_order_id,)).fetchone()
            return None if row is None else msgspec.json.decode(row[0], type=ExchangeOrder)

    def every_order(self) -> list[ExchangeOrder]:
        """All orders there have been, oldest first."""
        with self._intact():
            rows = [
                msgspec.json.decode(body, type=ExchangeOrder) for (body,) in self._db.execute("SELECT body FROM orders")
            ]
        return sorted(rows, key=lambda order: order.number)

    def trades_since(self, since_ms: int) -> list[TradeRow]:
        """Executions at or after an instant, oldest first."""
        if since_ms > self._newest_ms["trades"]:
            return []
        with self._intact():
            rows = self._db.execute("SELECT body FROM trades WHERE ts_ms >= ? ORDER BY number", (since_ms,))
            return [msgspec.json.decode(body, type=TradeRow) for (body,) in rows]

    def incomes_since(self, since_ms: int) -> list[IncomeRow]:
        """Funding and deposits at or after an instant, oldest first."""
        if since_ms > self._newest_ms["incomes"]:
            return []
        query = "SELECT body FROM incomes WHERE ts_ms >= ? ORDER BY ts_ms, income_id"
        with self._intact():
            return [msgspec.json.decode(body, type=IncomeRow) for (body,) in self._db.execute(query, (since_ms,))]

    def is_known(self, client_order_id: str) -> bool:
        """Whether an id has ever been used."""
        return self.order(client_order_id) is not None

    def close(self) -> None:
        """Fold the log into the file and release it."""
        self._roll_back()
        self._db.close()


def _create_for_owner(path: Path) -> None:
    """Make a missing file its owner's alone before SQLite does: the log beside it takes the same permissions."""
    with suppress(OSError):  # SQLite says what is wrong with the path
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY))
