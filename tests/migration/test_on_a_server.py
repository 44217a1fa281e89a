"""The revisions on a real PostgreSQL server: from the first one, with rows, to the present schema and beyond."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from fakes import postgres_server
from fakes.record_stories import Story
from sqlalchemy import Connection, MetaData, Table, create_engine, insert, select, text
from sqlalchemy.pool import NullPool

from trading_engine.cli.main import main
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.store import migrate, postgres, schema_version
from trading_engine.store.audit import audit
from trading_engine.store.sql_store import SqlStore

pytestmark = [
    pytest.mark.xdist_group("postgres"),
    pytest.mark.skipif(
        postgres_server.programs() is None,
        reason="no PostgreSQL server is installed here (Debian: apt-get install postgresql)",
    ),
]

# As a later revision is written, so that it holds for a file and for a server.
NEXT = f"""
import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = "{schema_version.HEAD}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("positions", table_kwargs={{"sqlite_strict": True}}) as batch:
        batch.add_column(sa.Column("note", sa.Text(), nullable=False, server_default="none"))
"""
BROKEN = NEXT + '    op.execute("INSERT INTO nowhere VALUES (1)")\n'

COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable, is_identity,
       regexp_replace(column_default, '[^(]*seq', 'seq') AS default
FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
"""
CONSTRAINTS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND conrelid <> 'alembic_version'::regclass
"""
INDEXES = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
TRIGGERS = """
SELECT pg_get_triggerdef(guard.oid), prosrc FROM pg_trigger guard JOIN pg_proc ON pg_proc.oid = tgfoid
WHERE NOT tgisinternal
"""
SCHEMA = (COLUMNS, CONSTRAINTS, INDEXES, TRIGGERS)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A running server."""
    with postgres_server.server() as url:
        yield url


@contextmanager
def writer(url: str) -> Iterator[Connection]:
    """A connection of its own, in one transaction."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"), poolclass=NullPool)
    with engine.begin() as connection:
        yield connection


def schema_of(url: str) -> list[list[tuple[Any, ...]]]:
    """Columns, constraints, indexes and guards as the server tells them, whatever the order of columns."""
    with writer(url) as connection:
        return [sorted(map(tuple, connection.execute(text(query))), key=str) for query in SCHEMA]


def pointer_to(url: str, folder: Path) -> Path:
    """The file that names a database, as `db attach` leaves it."""
    folder.mkdir(mode=0o700)
    path = folder / "engine.db"
    path.write_text(f"{url}\n", encoding="utf-8")
    return path


def at_first(url: str, scripts: Path) -> None:
    """The schema as it was released first, made by its revision."""
    shutil.copytree(migrate.scripts_dir(), scripts, ignore=shutil.ignore_patterns("000[2-9]*", "00[1-9]*"))
    with writer(url) as connection:
        migrate._run_revisions(connection, scripts)


def rows_of(connection: Connection, table: Table) -> list[tuple[Any, ...]]:
    """Every row, by its key; of the columns that the table had at first."""
    return list(map(tuple, connection.execute(select(table).order_by(*table.primary_key.columns))))


def test_the_first_schema_with_rows_comes_to_the_present_one(server: str, tmp_path: Path) -> None:
    """Every row as it was, the schema that of a fresh database, and an engine goes on writing where it ended."""
    old, source = postgres_server.new_database(server), postgres_server.new_database(server)
    at_first(old, tmp_path / "scripts")
    story = iter(Story(7).commits(80))
    postgres.attach(tmp_path / "source.db", source, "the test")
    fresh = schema_of(source)
    with SqlStore.open(tmp_path / "source.db") as store:
        for commit in islice(story, 60):
            store.commit(commit)
    released = MetaData()
    with writer(old) as into, writer(source) as origin:
        released.reflect(bind=into)
        tables = [table for table in released.sorted_tables if table.name != "alembic_version"]
        into.execute(text("DELETE FROM control"))
        before = {table.name: rows_of(origin, table) for table in tables}
        for table in tables:
            if rows := before[table.name]:
                into.execute(insert(table), [dict(zip(table.columns.keys(), row, strict=True)) for row in rows])
            for column in table.columns:
                if column.server_default is not None:
                    last = f"SELECT setval(pg_get_serial_sequence('{table}', '{column.name}'), max({column.name}))"
                    into.execute(text(f"{last} FROM {table}"))
    assert {"journal", "control", "positions", "orders", "fills", "pnl", "signals"} <= {
        name for name, rows in before.items() if rows
    }
    path = pointer_to(old, tmp_path / "state")
    assert "0001" == migrate.current(path)
    assert 0 == main(["db", "migrate", "--state", str(path.parent)])
    assert schema_version.HEAD == migrate.current(path)
    assert not (path.parent / "backups").exists()
    with writer(old) as connection:
        assert before == {table.name: rows_of(connection, table) for table in tables}
        added = "SELECT DISTINCT adopted_quantity, atr FROM positions"
        assert [("0", "0")] == list(map(tuple, connection.execute(text(added))))
        assert [("{}", "{}")] == list(map(tuple, connection.execute(text("SELECT shocks, disabled FROM control"))))
    assert fresh == schema_of(old)
    later = list(story)
    for one in (path, tmp_path / "source.db"):
        with SqlStore.open(one) as store:
            for commit in later:
                store.commit(commit)
    migrated, never = ([(check.name, check.ok) for check in audit(one)] for one in (path, tmp_path / "source.db"))
    assert never == migrated
    assert ("journal rebuild equals projections", True) in migrated


def test_a_later_revision_is_made_on_the_server_or_not_at_all(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Written once for both: with rows it comes to the schema of a fresh database; one that fails changes nothing."""
    url = postgres_server.new_database(server)
    path = tmp_path / "engine.db"
    postgres.attach(path, url, "the test")
    with SqlStore.open(path) as store:
        for commit in Story(7).commits(30):
            store.commit(commit)
    was = schema_of(url)
    scripts = tmp_path / "scripts"
    shutil.copytree(migrate.scripts_dir(), scripts)
    (scripts / "versions/next.py").write_text(BROKEN, encoding="utf-8")
    with pytest.raises(ConfigInvalid, match=r'the migration failed .*"nowhere" does not exist.*nothing was changed'):
        migrate.upgrade(path, scripts=scripts)
    assert (schema_version.HEAD, was) == (migrate.current(path), schema_of(url))
    (scripts / "versions/next.py").write_text(NEXT, encoding="utf-8")
    monkeypatch.setattr(migrate, "scripts_dir", lambda: scripts)
    assert 0 == main(["db", "migrate", "--state", str(tmp_path)])
    told = f"is now at schema next, was {schema_version.HEAD} (no backup was made: that is the server's business)"
    assert told in capsys.readouterr().out
    with writer(url) as connection:
        assert [("none",)] == list(map(tuple, connection.execute(text("SELECT DISTINCT note FROM positions"))))
    added = [row for row in schema_of(url)[0] if row not in was[0]]
    assert [("positions", "note", "text", "NO", "NO", "'none'::text")] == added
    assert was[1:] == schema_of(url)[1:]
    with pytest.raises(ConfigInvalid, match="newer schema"):
        SqlStore.open(path)


def test_an_engine_that_writes_keeps_the_schema(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 3, from wherever it runs; once it has gone the schema is changed."""
    monkeypatch.setattr(postgres, "_LOCK_PATIENCE_S", 0.0)
    path = tmp_path / "engine.db"
    postgres.attach(path, postgres_server.new_database(server), "the test")
    scripts = tmp_path / "scripts"
    shutil.copytree(migrate.scripts_dir(), scripts)
    (scripts / "versions/next.py").write_text(NEXT, encoding="utf-8")
    with SqlStore.open(path), pytest.raises(ConfigInvalid, match="another engine writes") as caught:
        migrate.upgrade(path, scripts=scripts)
    assert (3, schema_version.HEAD) == (caught.value.exit_code, migrate.current(path))
    assert "next" == migrate.upgrade(path, scripts=scripts)


def test_an_older_database_is_attached_as_it_is_and_a_lost_one_is_not_made_anew(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dump of before may be all there is; an empty ledger in the place of a lost one would be a lie."""
    old, empty = postgres_server.new_database(server), postgres_server.new_database(server)
    at_first(old, tmp_path / "scripts")
    monkeypatch.setenv("TRADING_DATABASE", old)
    state = tmp_path / "state"
    assert 0 == main(["db", "attach", "--state", str(state)])
    assert "schema 0001; bring it on with `trading-engine db migrate`" in capsys.readouterr().out
    assert 0 == main(["db", "migrate", "--state", str(state)])
    assert 0 == main(["db", "check", "--state", str(state)])
    path = pointer_to(empty, tmp_path / "lost")
    assert 78 == main(["db", "migrate", "--state", str(path.parent)])
    assert "holds no tables of this program" in capsys.readouterr().err
    assert migrate.current(path) is None
