"""Connections and the check that a file is ours."""

import sqlite3
from pathlib import Path

import pytest
from fakes.databases import fresh, meddle, told
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.store import engine
from trading_engine.store.sql_store import SqlStore


def test_a_missing_file_says_that_nothing_has_run(tmp_path: Path) -> None:
    """The reader of an empty state directory learns why there is nothing to see."""
    with pytest.raises(ConfigInvalid, match=r"no database at .*: nothing has run on this state yet") as caught:
        engine.check_file(tmp_path / "engine.db")
    assert 78 == caught.value.exit_code


def test_a_missing_file_beside_its_log_was_there(tmp_path: Path) -> None:
    """Deleted while an engine ran, or moved away: what it held is in a backup, at best."""
    (tmp_path / "engine.db-wal").write_bytes(b"")
    with pytest.raises(ConfigInvalid, match=r"is gone while its log engine\.db-wal is there, .* `trading-engine db"):
        engine.check_file(tmp_path / "engine.db")


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (
            [".engine.db.restored"],
            r"restored is there, .*restore the backup again .* give engine\.db\.replaced-20250504",
        ),
        ([".engine.db.restored", "engine.db-wal"], r"was cut short: .* give engine\.db\.replaced-20250504.* its -wal"),
        ([], r"is gone while engine\.db\.replaced-20250504T120000\.250Z, which .*: bring it back, or restore a backup"),
        (["engine.db-wal"], r"is gone while its log engine\.db-wal is there, .*: bring it back, or restore a backup"),
    ],
)
def test_a_missing_file_beside_what_a_restore_replaced_was_there(tmp_path: Path, left: list[str], said: str) -> None:
    """Only what the restore that was cut short has set aside goes back: the older ones are of older times."""
    for time in ("20250503T120000.250Z", "20250504T120000.250Z"):
        (tmp_path / f"engine.db.replaced-{time}").touch()
        (tmp_path / f"engine.db.replaced-{time}-wal").touch()
    for name in left:
        (tmp_path / name).touch()
    with pytest.raises(ConfigInvalid, match=said):
        engine.check_file(tmp_path / "engine.db")


def test_a_missing_file_beside_the_draft_of_a_restore_is_not_a_new_state(tmp_path: Path) -> None:
    """The operator meant to go on with a backup."""
    (tmp_path / ".engine.db.restored").touch()
    with pytest.raises(
        ConfigInvalid, match=r"is gone while \.engine\.db\.restored is there, .*restore the backup again"
    ):
        engine.check_file(tmp_path / "engine.db")


def test_a_log_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """A directory in its place, for one: the database itself is sound, and no backup would help."""
    path, _ = told(tmp_path)
    log = path.with_name("engine.db-wal")
    log.mkdir()
    with pytest.raises(ConfigInvalid, match=rf"check owner and permissions of {log}$"):
        SqlStore.open(path, read_only=True)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A directory in its place, for one."""
    with pytest.raises(ConfigInvalid, match=r"cannot be read .*check owner and permissions"):
        engine.check_file(tmp_path)


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    """A text file is no database."""
    path = tmp_path / "engine.db"
    path.write_text("hello")
    with pytest.raises(ConfigInvalid, match="not a SQLite database"):
        engine.check_file(path)


def test_a_database_of_another_program_is_refused_and_untouched(tmp_path: Path) -> None:
    """Nothing is written to it or beside it."""
    path = tmp_path / "engine.db"
    meddle(path, "CREATE TABLE other (x)")
    before = path.read_bytes()
    with pytest.raises(ConfigInvalid, match="a SQLite database of another program"):
        engine.check_file(path)
    assert before == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def test_the_writer_has_the_settings_that_survive_power_loss(tmp_path: Path) -> None:
    """They are per connection: each one sets them."""
    with engine.create_writer(fresh(tmp_path)).connect() as connection:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "trusted_schema", "temp_store")
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]
    assert ["wal", 2, 1, 1000, 0, 2] == found


def test_ddl_is_rolled_back(tmp_path: Path) -> None:
    """BEGIN is real: a failed transaction leaves no table behind."""
    connectable = engine.create_writer(fresh(tmp_path))
    with connectable.connect() as connection:
        with connection.begin() as transaction:
            connection.execute(text("CREATE TABLE half_done (x INTEGER)"))
            transaction.rollback()
        found = connection.execute(text("SELECT count(*) FROM sqlite_master WHERE name = 'half_done'")).scalar()
    assert 0 == found


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    """Neither by mistake nor on purpose."""
    with (
        engine.create_reader(fresh(tmp_path)).connect() as connection,
        pytest.raises(OperationalError, match="readonly"),
    ):
        connection.execute(text("UPDATE control SET reason = 'x'"))


def test_a_second_writing_transaction_fails_loudly(tmp_path: Path) -> None:
    """It waits for its patience and then says that the database is locked."""
    path = fresh(tmp_path)
    with engine.create_writer(path).connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 10")
        connection.rollback()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="database is locked"):
            connection.execute(text("SELECT 1"))
        other.close()
