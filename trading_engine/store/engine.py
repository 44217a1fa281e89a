"""Connections to the database file: one that writes, any number that only read.

What belongs here: everything that is peculiar to SQLite, and the check that a file is ours. What does
not: statements of any table. On another database only this module and the triggers would differ.

There is exactly one read-write connection in the system: SQLite before 3.51.3 has a rare race that
corrupts the file when two connections write and checkpoint at once. Python's own transaction handling is
switched off, because it runs DDL and SELECT outside of transactions; BEGIN is real here.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool

from trading_engine import sqlite_faults
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.store import postgres

APPLICATION_ID = 0x54524445  # "TRDE" in the header of every database of ours
WRITER_PATIENCE_MS = 1_000  # one writer by design: a longer wait is a bug and must be loud
READER_PATIENCE_MS = 5_000

REPLACED = ".replaced-"  # and the time, behind the name of a database that `db restore` has set aside

_MAGIC = b"SQLite format 3\x00"
_ID_OFFSET = 68
_HEADER_LENGTH = 100

_SHARED_PRAGMAS = ("trusted_schema = OFF", "cell_size_check = ON", "temp_store = MEMORY")
_LOG_ON = "journal_mode = WAL"
_WRITER_PRAGMAS = (
    f"busy_timeout = {WRITER_PATIENCE_MS}",
    _LOG_ON,
    "synchronous = FULL",
    "foreign_keys = ON",
)
_WHERE_DAMAGED = "if the file is damaged, restore a backup with `trading-engine db restore`"
_READER_PRAGMAS = (f"busy_timeout = {READER_PATIENCE_MS}", "query_only = ON")


def check_file(path: Path) -> None:
    """ConfigInvalid unless `path` is a database of ours; looks at the file's header and writes nothing."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_LENGTH)
    except FileNotFoundError:
        raise missing(path) from None
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror}); check owner and permissions"
        raise ConfigInvalid(message) from error
    if header.startswith(postgres.MARK):
        postgres.url_of(path)
        return
    if not header.startswith(_MAGIC):
        raise ConfigInvalid(
            f"{path}: not a SQLite database; restore a backup with `trading-engine db restore`, "
            "or name another directory with --state"
        )
    found = int.from_bytes(header[_ID_OFFSET : _ID_OFFSET + 4], "big")
    if found != APPLICATION_ID:
        raise ConfigInvalid(
            f"{path}: a SQLite database of another program (application id {found:#x}, "
            f"expected {APPLICATION_ID:#x}); name another directory with --state"
        )


def missing(path: Path, exit_code: int = 78) -> ConfigInvalid:
    """What to say where there is no database: nothing has run yet, or it was here and is gone."""
    return ConfigInvalid(lost(path) or f"no database at {path}: nothing has run on this state yet", exit_code=exit_code)


def lost(path: Path) -> str:
    """How it is known that a database was here and is gone, and what to do; empty where it is there, or never was."""
    if path.exists():
        return ""
    log, draft = path.with_name(f"{path.name}-wal"), draft_of_restore(path)
    kept = sorted(file.name for file in path.parent.glob(f"{path.name}{REPLACED}*Z"))
    remedy = "bring it back, or restore a backup with `trading-engine db restore`"
    if draft.exists():
        what = f"is gone while {draft.name} is there, so a `db restore` was cut short"
        remedy = "restore the backup again with `trading-engine db restore`"
        if kept:
            remedy += f", or give {kept[-1]} its old name back, and its -wal, where it has one, with it"
    elif log.exists():
        what = f"is gone while its log {log.name} is there, so it was deleted or moved"
    elif kept:
        what = f"is gone while {kept[-1]}, which it had replaced, is there, so it was deleted or moved"
    else:
        return ""
    return f"{path}: {what}: {remedy} (a new state begins in another directory: --state DIR)"


def draft_of_restore(path: Path) -> Path:
    """What a `db restore` makes before it takes the name."""
    return path.with_name(f".{path.name}.restored")


def create_writer(path: Path) -> Engine:
    """The engine of the one writing connection; each transaction begins IMMEDIATE, each commit is synced."""
    if postgres.is_pointer(path):
        return postgres.create_writer(path)
    return _create(path, "rw", _WRITER_PRAGMAS, "BEGIN IMMEDIATE")


def create_reader(path: Path) -> Engine:
    """An engine whose connections cannot write; a transaction sees one snapshot and should be short."""
    if postgres.is_pointer(path):
        return postgres.create_reader(path)
    return _create(path, "ro", _READER_PRAGMAS, "BEGIN")


def create_migrator(path: Path) -> Engine:
    """An engine for changing the schema: of a file with foreign keys off and our mark in its header."""
    if postgres.is_pointer(path):
        return postgres.create_writer(path)
    pragmas = ("foreign_keys = OFF", "synchronous = FULL", f"busy_timeout = {READER_PATIENCE_MS}")
    return _create(path, "rw", (*pragmas, f"application_id = {APPLICATION_ID}"), "BEGIN IMMEDIATE")


def open_raw(path: Path, mode: str) -> sqlite3.Connection:
    """A plain connection (`mode` is ro or rw) in which no transaction begins by itself."""
    if postgres.is_pointer(path):
        raise ConfigInvalid(
            f"{path}: names a PostgreSQL server, which is backed up and restored by the server's own means (pg_dump)"
        )
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=READER_PATIENCE_MS / 1000)


def roll_back_unfinished(path: Path) -> None:
    """Undo what a process left half written where it died outside of the log: while the log was being set up.

    A connection that may not write cannot undo it either, and would refuse the file for ever.
    """
    if not path.with_name(f"{path.name}-journal").exists():
        return
    connection = open_raw(path, "rw")
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")
    finally:
        connection.close()


class FileGone(Exception):
    """The database that is open is not the file at its path any more."""


def files_of(path: Path, connection: Connection) -> tuple[tuple[Path, int, int], ...]:
    """Database and log as they are at their paths now, for `require_in_place`; nothing for a server's database.

    The connection must have read from the database: the log is there from then on.
    """
    if connection.dialect.name != "sqlite":
        return ()
    return tuple((file, *_identity(file)) for file in (path, path.with_name(f"{path.name}-wal")))


def require_in_place(files: tuple[tuple[Path, int, int], ...]) -> None:
    """FileGone where one of `files` was deleted, renamed or replaced: commits would go where nobody finds them."""
    for file, device, number in files:
        try:
            is_same = _identity(file) == (device, number)
        except OSError as error:
            raise FileGone(f"{file}: is gone while the engine runs ({error.strerror})") from error
        if not is_same:
            raise FileGone(f"{file}: was replaced while the engine runs")


def _identity(file: Path) -> tuple[int, int]:
    found = os.stat(file)  # noqa: PTH116 - at each commit: a third of the time that Path takes
    return found.st_dev, found.st_ino


@contextmanager
def damage_reported(path: Path) -> Iterator[None]:
    """Turn what the database says about a broken or blocked file into one line that says what to do."""
    try:
        yield
    except (DatabaseError, sqlite3.DatabaseError) as error:
        cause = getattr(error, "orig", None) or error
        remedy = sqlite_faults.remedy(path, cause, _WHERE_DAMAGED)
        raise ConfigInvalid(f"{path}: the database cannot be used ({cause}); {remedy}") from error


def require_sound(connection: Connection, path: Path) -> None:
    """ConfigInvalid where the quick check of pages or the foreign keys of the file find something."""
    if connection.dialect.name != "sqlite":
        return  # a server looks after its pages, and its keys cannot be switched off
    found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA quick_check")]
    if found != ["ok"]:
        raise _unsound(path, found)
    orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if orphans:
        raise _unsound(path, [f"a row of {row[0]} refers to a missing row of {row[2]}" for row in orphans])


def _unsound(path: Path, findings: list[str]) -> ConfigInvalid:
    return ConfigInvalid(
        f"{path}: the database is damaged ({findings[0]}; {len(findings)} in all); "
        "restore a backup with `trading-engine db restore`"
    )


@lru_cache(maxsize=8)  # an engine keeps the statements it has compiled, and no connection
def _create(path: Path, mode: str, pragmas: tuple[str, ...], begin: str) -> Engine:
    # Each connection is closed when it is given back: nothing holds a snapshot or a lock behind our back.
    engine = create_engine("sqlite+pysqlite://", creator=lambda: open_raw(path, mode), poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in (*pragmas, *_SHARED_PRAGMAS):
            answer = connection.execute(f"PRAGMA {pragma}").fetchone()
            if pragma == _LOG_ON and answer != ("wal",):  # refused without an error: readers would block the writer
                raise sqlite3.OperationalError("the write-ahead log cannot be switched on")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
