"""From nothing, or from an older schema, to the present one; at every moment one or the other."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from fakes.databases import fresh, meddle, told
from sqlalchemy import create_engine

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.store import engine, migrate, schema_version
from trading_engine.store.tables import metadata

NOW_MS = 1_746_360_000_250

NEXT = f"""
import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = "{schema_version.HEAD}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("positions", table_kwargs={{"sqlite_strict": True}}) as batch:
        batch.add_column(sa.Column("note", sa.Text(), nullable=False, server_default=""))
    op.execute("CREATE TABLE added (x INTEGER)")
"""
BROKEN = NEXT + '    op.execute("INSERT INTO nowhere VALUES (1)")\n'
ORPHANING = NEXT + "    op.execute(\"UPDATE orders SET position_id = 'P999999' WHERE rowid = 1\")\n"


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A copy of the revisions, to add to."""
    origin = migrate.scripts_dir()
    copy = tmp_path / "scripts"
    (copy / "versions").mkdir(parents=True)
    for path in (origin / "env.py", origin / "script.py.mako", *sorted((origin / "versions").glob("*.py"))):
        (copy / path.relative_to(origin)).write_text(path.read_text())
    return copy


def _schema(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND type <> 'trigger' ORDER BY name"
    return [row for row in connection.execute(query) if row[0] != "alembic_version"]


def _query(path: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_there_is_one_line_of_revisions() -> None:
    """No branch, and the code knows every one of them."""
    script = ScriptDirectory(str(migrate.scripts_dir()))
    assert [schema_version.HEAD] == script.get_heads()
    known = [item.revision for item in script.walk_revisions()]
    assert list(reversed(known)) == list(schema_version.REVISIONS)
    assert schema_version.HEAD == migrate.head()


def test_the_migrated_schema_is_that_of_the_code(tmp_path: Path) -> None:
    """Autogenerate finds nothing to do."""
    with engine.create_reader(fresh(tmp_path)).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert [] == compare_metadata(context, metadata)


def test_the_migrated_tables_are_spelled_as_the_code_spells_them(tmp_path: Path) -> None:
    """Also what autogenerate does not compare: CHECKs, STRICT, partial indexes, names."""
    created = tmp_path / "created.db"
    connectable = create_engine(f"sqlite:///{created}")
    metadata.create_all(connectable)
    connectable.dispose()
    found = []
    for path in (created, fresh(tmp_path)):
        connection = sqlite3.connect(path)
        found.append([(name, " ".join(sorted(sql.split()))) for name, sql in _schema(connection)])
        connection.close()
    assert found[0] == found[1]


def test_the_journal_is_guarded(tmp_path: Path) -> None:
    """A rebuilt table loses its triggers: these must be there at every head."""
    found = _query(fresh(tmp_path), "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger' ORDER BY name")
    assert [("journal_no_delete", "journal"), ("journal_no_update", "journal")] == found


def test_every_table_is_strict(tmp_path: Path) -> None:
    """SQLite would take text for a number otherwise."""
    query = "SELECT name FROM pragma_table_list WHERE type = 'table' AND strict = 0 AND schema = 'main'"
    loose = {name for (name,) in _query(fresh(tmp_path), query)}
    assert set() == loose - {"alembic_version", "sqlite_schema", "sqlite_sequence"}


def test_a_new_file_is_for_its_owner_only(tmp_path: Path) -> None:
    """And the only one there; a second upgrade has nothing to do."""
    path = tmp_path / "engine.db"
    assert schema_version.HEAD == migrate.upgrade(path)
    assert [path] == list(tmp_path.iterdir())
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    before = path.read_bytes()
    assert schema_version.HEAD == migrate.upgrade(path)
    assert before == path.read_bytes()
    assert schema_version.HEAD == migrate.current(path)


def test_a_log_without_its_database_is_moved_aside(tmp_path: Path) -> None:
    """It would be read into the new file otherwise."""
    path = tmp_path / "engine.db"
    path.with_name("engine.db-wal").write_bytes(b"stale")
    migrate.upgrade(path, NOW_MS)
    assert b"stale" == path.with_name("engine.db.replaced-20250504T120000.250Z-wal").read_bytes()
    assert not path.with_name("engine.db-wal").exists()


@pytest.mark.parametrize("point", [migrate.INSIDE_MIGRATION, migrate.BEFORE_PUBLISH])
def test_a_kill_while_a_database_is_made_leaves_none(tmp_path: Path, point: str) -> None:
    """The next attempt makes it."""
    path = tmp_path / "engine.db"
    _killed(path, point)
    assert not path.exists()
    migrate.upgrade(path)
    assert [path] == list(tmp_path.iterdir())


def test_a_kill_while_a_database_is_changed_leaves_the_old_schema(tmp_path: Path, scripts: Path) -> None:
    """With every row, and the next attempt succeeds."""
    path, _ = told(tmp_path)
    fills = _query(path, "SELECT * FROM fills")
    (scripts / "versions" / "next.py").write_text(NEXT)
    _killed(path, migrate.INSIDE_MIGRATION, scripts)
    assert schema_version.HEAD == migrate.current(path)
    assert fills == _query(path, "SELECT * FROM fills")
    assert "next" == migrate.upgrade(path, NOW_MS, scripts=scripts)


def _killed(path: Path, point: str, scripts: Path | None = None) -> None:
    script = f"""
import os, signal
from pathlib import Path
from trading_engine.store import migrate
def hit(name):
    if name == {point!r}:
        os.kill(os.getpid(), signal.SIGKILL)
migrate.upgrade(Path({str(path)!r}), scripts={f"Path({str(scripts)!r})" if scripts else None}, hit=hit)
"""
    root = str(migrate.scripts_dir().parent)
    done = subprocess.run([sys.executable, "-c", script], cwd=root, env={**os.environ, "PYTHONPATH": root}, check=False)
    assert -signal.SIGKILL == done.returncode


def test_an_upgrade_keeps_children_rows_and_makes_a_backup(tmp_path: Path, scripts: Path) -> None:
    """Rebuilding a parent table deletes nothing, because foreign keys are off meanwhile."""
    path, _ = told(tmp_path)
    before = [_query(path, f"SELECT * FROM {table}") for table in ("orders", "fills", "pnl")]
    (scripts / "versions" / "next.py").write_text(NEXT)
    assert "next" == migrate.upgrade(path, NOW_MS, scripts=scripts)
    assert before == [_query(path, f"SELECT * FROM {table}") for table in ("orders", "fills", "pnl")]
    assert [("",)] == _query(path, "SELECT DISTINCT note FROM positions")
    copy = tmp_path / "backups" / "engine-20250504T120000.250Z.db"
    assert schema_version.HEAD == migrate.current(copy)


def test_positions_and_fills_of_the_first_schema_come_through(tmp_path: Path, scripts: Path) -> None:
    """Every row as it was, with nothing adopted and nothing deleveraged; keys, indexes and guards as in a new file."""
    for later in sorted((scripts / "versions").glob("*.py"))[1:]:
        later.unlink()
    path, old = told(tmp_path)[0], tmp_path / "old" / "engine.db"
    old.parent.mkdir()
    assert "0001" == migrate.upgrade(old, NOW_MS, scripts=scripts)
    tables = ("positions", "orders", "fills", "pnl", "signals")
    columns = {table: ", ".join(str(row[1]) for row in _query(old, f"PRAGMA table_info({table})")) for table in tables}
    copies = [f"INSERT INTO {table} ({columns[table]}) SELECT {columns[table]} FROM new.{table}" for table in tables]
    meddle(old, f"ATTACH '{path}' AS new", *copies)
    before = {table: _query(old, f"SELECT {columns[table]} FROM {table}") for table in tables}
    assert all(before.values())
    assert schema_version.HEAD == migrate.upgrade(old, NOW_MS)
    assert before == {table: _query(old, f"SELECT {columns[table]} FROM {table}") for table in tables}
    assert [("0", "0")] == _query(old, "SELECT DISTINCT adopted_quantity, atr FROM positions")
    assert [("[]",)] == _query(old, "SELECT DISTINCT inputs FROM signals")
    assert [("{}", "{}")] == _query(old, "SELECT shocks, disabled FROM control")
    assert [(0,)] == _query(old, "SELECT DISTINCT is_adl FROM fills")
    assert [] == _query(old, "PRAGMA foreign_key_check")
    schemas = []
    for file in (fresh(tmp_path, "new.db"), old):
        with closing(sqlite3.connect(file)) as connection:
            schemas.append(_schema(connection))
    assert schemas[0] == schemas[1]
    assert "0001" == migrate.current(old.parent / "backups" / "engine-20250504T120000.250Z.db")


@pytest.mark.parametrize(("revision", "message"), [(BROKEN, "the migration failed"), (ORPHANING, "missing rows")])
def test_a_failed_upgrade_changes_nothing(tmp_path: Path, scripts: Path, revision: str, message: str) -> None:
    """Not even the table that was added before the failure."""
    path, _ = told(tmp_path)
    (scripts / "versions" / "next.py").write_text(revision)
    with pytest.raises(ConfigInvalid, match=message):
        migrate.upgrade(path, NOW_MS, scripts=scripts)
    assert schema_version.HEAD == migrate.current(path)
    assert [] == _query(path, "SELECT name FROM sqlite_master WHERE name IN ('added', '_alembic_tmp_positions')")


def test_a_newer_database_is_not_touched(tmp_path: Path) -> None:
    """An older program does not know what it would break."""
    path = fresh(tmp_path)
    meddle(path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigInvalid, match="newer schema"):
        migrate.upgrade(path)
    assert [path] == list(tmp_path.iterdir())


def test_a_file_that_is_not_ours_is_not_touched(tmp_path: Path) -> None:
    """Nor a backup made of it."""
    path = tmp_path / "engine.db"
    meddle(path, "CREATE TABLE other (x)")
    with pytest.raises(ConfigInvalid, match="another program"):
        migrate.upgrade(path)
    assert [path] == list(tmp_path.iterdir())


def test_a_directory_that_does_not_exist_is_named(tmp_path: Path) -> None:
    """Instead of a traceback."""
    with pytest.raises(ConfigInvalid, match="cannot be created"):
        migrate.upgrade(tmp_path / "nowhere" / "engine.db")


def test_the_program_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, and the exit code of the error where there is one."""
    path = tmp_path / "engine.db"
    assert 0 == migrate.main([str(path)])
    assert f"{path}: schema {schema_version.HEAD}\n" == capsys.readouterr().out
    assert 2 == migrate.main([])
    path.write_text("hello")
    assert 78 == migrate.main([str(path)])
    assert "not a SQLite database" in capsys.readouterr().err


def test_the_store_does_not_load_the_migration_tool() -> None:
    """The engine's process stays lean."""
    script = """
import sys
import trading_engine.store.sql_store, trading_engine.store.read_models
import trading_engine.store.audit, trading_engine.store.backup
print(sorted({"alembic", "mako"} & set(sys.modules)))
"""
    root = migrate.scripts_dir().parent
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert "[]" == done.stdout.strip()
