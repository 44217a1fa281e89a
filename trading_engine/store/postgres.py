"""PostgreSQL in place of the file: what is peculiar to it.

What belongs here: finding the server, connections that write and that only read, making the schema. What does not:
statements, which are the same (sql_store, read_models), SQLite (engine).

A state whose database is a server's has a file `engine.db` of one line, its URL, readable by the owner alone; so every
command finds the database where it always is. One writer holds an advisory lock of the server for as long as it is
connected: the lock of the state directory says nothing to an engine on another machine. Commits wait for the server's
disk (synchronous_commit). Backups are the server's business (pg_dump, continuous archiving).
"""

import os
import time
from functools import lru_cache
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, insert, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.money import ZERO
from trading_engine.store import schema_version
from trading_engine.store.tables import control, metadata

MARK = b"postgresql"
DRIVER = "postgresql+psycopg"
LOCK = 0x54524445  # as the application id of a file of ours

_OWNER_ONLY = 0o600
_LONGEST_URL = 4_096
_LOCK_PATIENCE_S = 5.0  # a server takes a moment to notice that a client is dead
_REFUSED = 3
_WRITER = "-c synchronous_commit=on -c lock_timeout=1000"
_READER = "-c default_transaction_read_only=on -c statement_timeout=5000"

_GUARD = """
CREATE FUNCTION journal_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the journal is append-only'; END $$
"""
_GUARDS = (
    "CREATE TRIGGER journal_no_change BEFORE UPDATE OR DELETE ON journal FOR EACH ROW"
    " EXECUTE FUNCTION journal_is_append_only()",
    "CREATE TRIGGER journal_no_truncate BEFORE TRUNCATE ON journal EXECUTE FUNCTION journal_is_append_only()",
)


def is_pointer(path: Path) -> bool:
    """Whether `path` names a server instead of being a database."""
    try:
        with path.open("rb") as file:
            return file.read(len(MARK)) == MARK
    except OSError:
        return False


def url_of(path: Path) -> URL:
    """The URL that a pointer holds; ConfigInvalid where it is none."""
    try:
        line = path.read_text(encoding="utf-8")[:_LONGEST_URL].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{path}: cannot be read ({type(error).__name__})") from None
    return parse(line, str(path))


def parse(line: str, where: str) -> URL:
    """A URL of PostgreSQL; ConfigInvalid names `where` and never the URL, which may hold a password."""
    try:
        url = make_url(line)
    except ArgumentError:
        raise ConfigInvalid(f"{where}: is no URL of a database (postgresql://USER@HOST/NAME)") from None
    if url.drivername not in ("postgresql", DRIVER):
        raise ConfigInvalid(f"{where}: is of {url.drivername}; expected postgresql://USER@HOST/NAME")
    return url.set(drivername=DRIVER)


@lru_cache(maxsize=8)
def create_writer(path: Path) -> Engine:
    """The engine of the one writing connection; ConfigInvalid (exit 3) while another one has it."""
    engine = _create(url_of(path), _WRITER, "SERIALIZABLE")

    @event.listens_for(engine, "engine_connect")
    def _lock(connection: Connection) -> None:
        until_s = time.monotonic() + _LOCK_PATIENCE_S
        with connection.begin():
            while not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": LOCK}).scalar():
                if time.monotonic() > until_s:
                    raise ConfigInvalid(
                        f"{path}: another engine writes to this database; stop it first", exit_code=_REFUSED
                    )
                time.sleep(0.1)

    return engine


@lru_cache(maxsize=8)
def create_reader(path: Path) -> Engine:
    """An engine whose connections cannot write; a transaction sees one snapshot."""
    return _create(url_of(path), _READER, "REPEATABLE READ")


def _create(url: URL, options: str, isolation: str) -> Engine:
    try:
        return create_engine(
            url,
            poolclass=NullPool,
            isolation_level=isolation,
            connect_args={"options": options, "connect_timeout": 5},
        )
    except ModuleNotFoundError:
        raise ConfigInvalid("PostgreSQL needs its driver: pip install 'trading-engine[postgres]'") from None


def attach(path: Path, line: str, where: str) -> str:
    """Make the schema on an empty server database and point `path` to it; the revision.

    What this program has made there before is kept as it is, at the revision that it has: an older one is brought on
    by `store.migrate`. ConfigInvalid where `path` is there already, the server cannot be reached, or its schema is
    another one's.
    """
    if path.exists():
        raise ConfigInvalid(f"{path}: is there already; attach a database to a new --state")
    url = parse(line, where)
    try:
        with _create(url, _WRITER, "SERIALIZABLE").connect() as connection, connection.begin():
            revision = _build(connection, path)
    except SQLAlchemyError as error:
        cause = " ".join(str(getattr(error, "orig", None) or error).split())
        raise ConfigInvalid(f"{where}: the server's database cannot be used ({cause})") from None
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _OWNER_ONLY)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(url.render_as_string(hide_password=False) + "\n")
    return revision


def _build(connection: Connection, path: Path) -> str:
    found = schema_version.revision_of(connection)
    if found in schema_version.REVISIONS:
        return found
    if found is not None:
        schema_version.require_head(connection, path)
    if inspect(connection).get_table_names():
        raise ConfigInvalid("the server's database holds tables of another program; give the engine one of its own")
    for table in metadata.tables.values():
        for index in table.indexes:
            # Not said in `tables`: naming PostgreSQL there imports its dialect into every process.
            index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"]["where"]
    metadata.create_all(connection)
    connection.exec_driver_sql(_GUARD)
    for guard in _GUARDS:
        connection.exec_driver_sql(guard)
    words = dict.fromkeys(("venue", "account", "epoch", "reason", "checkpoint"), "")
    empty = dict.fromkeys(("frozen", "rejects", "shocks", "disabled"), "{}")
    zeros = dict.fromkeys(("since_ms", "rebased_booking", "rebased_ms", "version"), 0)
    first = {"id": 1, "level": "RUN", "next_position": 1, **words, **empty, **zeros}
    connection.execute(insert(control).values(**first, peak_at_rebase=ZERO))
    connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": schema_version.HEAD})
    return schema_version.HEAD
