"""The engine's database on a real PostgreSQL server: readers, guards, one writer, and a kill in the middle of a run.

The store's contract suite runs on the same server: tests/contract/test_store_contract.py.
"""

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_tools import call, eventually, running, write_config, write_market
from fakes import postgres_server
from fakes.databases import told as told_in_a_file
from fakes.record_stories import Story
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from trading_engine.cli.main import main
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.store import backup, postgres
from trading_engine.store.audit import audit
from trading_engine.store.read_models import Reader
from trading_engine.store.sql_store import SqlStore

pytestmark = [
    pytest.mark.xdist_group("postgres"),
    pytest.mark.skipif(
        postgres_server.programs() is None,
        reason="no PostgreSQL server is installed here (Debian: apt-get install postgresql)",
    ),
]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A running server."""
    with postgres_server.server() as url:
        yield url


@pytest.fixture
def pointer(server: str, tmp_path: Path) -> Path:
    """A state whose database is the server's, empty."""
    path = tmp_path / "engine.db"
    postgres.attach(path, postgres_server.new_database(server), "the test")
    return path


def test_rows_are_read_and_proven_as_in_a_file(pointer: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A story is told, read by the read models, and passes the whole audit."""
    file, story = told_in_a_file(tmp_path_factory.mktemp("file"), commits=60)
    with SqlStore.open(pointer) as store:
        for commit in Story(7).commits(60):
            store.commit(commit)
    proven = [[(check.name, check.ok) for check in audit(path)] for path in (file, pointer)]
    assert proven[0] == proven[1]
    assert ("journal rebuild equals projections", True) in proven[1]
    with Reader.open(pointer) as reader:
        counts = reader.status_counts()
        assert (len(reader.journal()), len(reader.orders())) == (counts.journal, counts.orders)
        assert set(story.book.positions) >= {item.position.position_id for item in reader.positions()}
        assert reader.trades()
        assert reader.slippages_bps() is not None


def test_the_journal_takes_no_change_and_readers_write_nothing(pointer: Path) -> None:
    """The server itself refuses."""
    with SqlStore.open(pointer) as store:
        store.commit(Story(2).begin())
        for statement in ("UPDATE journal SET ts = 0", "DELETE FROM journal", "TRUNCATE journal"):
            with pytest.raises(DBAPIError, match="append-only"), store._connection.begin():
                store._connection.execute(text(statement))
    with (
        pytest.raises(DBAPIError, match="read-only"),
        postgres.create_reader(pointer).connect() as connection,
        connection.begin(),
    ):
        connection.execute(text("DELETE FROM control"))


def test_there_is_one_writer_wherever_it_runs(pointer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second one is refused (exit 3) until the first has gone."""
    monkeypatch.setattr(postgres, "_LOCK_PATIENCE_S", 0.0)
    with SqlStore.open(pointer), pytest.raises(ConfigInvalid, match="another engine writes") as caught:
        SqlStore.open(pointer)
    assert 3 == caught.value.exit_code
    SqlStore.open(pointer).close()


def test_the_address_is_kept_for_the_owner_alone_and_never_shown(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`db attach` reads it from the environment; what else is there is refused, and a backup is the server's."""
    url = postgres_server.new_database(server).replace("engine@", "engine:hunter2-pass@")
    monkeypatch.setenv("TRADING_DATABASE", url)
    state = tmp_path / "state"
    assert 0 == main(["db", "attach", "--state", str(state)])
    assert 0o600 == stat.S_IMODE((state / "engine.db").stat().st_mode)
    assert 78 == main(["db", "attach", "--state", str(state)])
    assert 78 == main(["db", "backup", "--state", str(state)])
    monkeypatch.setenv("TRADING_DATABASE", "mysql://root:hunter2-pass@localhost/x")
    assert 78 == main(["db", "attach", "--state", str(tmp_path / "other")])
    monkeypatch.setenv("TRADING_DATABASE", f"postgresql://e:hunter2-pass@/x?host={tmp_path}")
    assert 78 == main(["db", "attach", "--state", str(tmp_path / "other")])
    monkeypatch.delenv("TRADING_DATABASE")
    assert 2 == main(["db", "attach", "--state", str(tmp_path / "other")])
    shown = "".join(capsys.readouterr())
    assert "hunter2-pass" not in shown
    assert "pg_dump" in shown
    assert not (tmp_path / "other" / "engine.db").exists()
    with pytest.raises(ConfigInvalid, match="pg_dump"):
        backup.verify(state / "engine.db")


def test_a_server_that_was_restored_is_locked_with_a_new_epoch(
    pointer: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    """`db restore --server` does what follows a restore; a file never takes the place of a server's address."""
    state = ["--state", str(pointer.parent)]
    with SqlStore.open(pointer) as store:
        for commit in Story(7).commits(5):
            store.commit(commit)
        before = store.load().book.control
    assert 2 == main(["db", "restore", *state])
    assert 0 == main(["db", "restore", "--server", *state])
    assert "goes on in the new epoch" in capsys.readouterr().out
    with Reader.open(pointer) as reader:
        view = reader.control()
    assert ("LOCKED", backup.RESTORED) == (view.control.level, view.control.reason)
    assert before.level != view.control.level
    assert 0 == main(["db", "check", *state])
    assert "names a PostgreSQL server" in capsys.readouterr().out
    file, _ = told_in_a_file(tmp_path_factory.mktemp("file"), commits=5)
    assert 78 == main(["db", "restore", str(backup.backup(file, file.parent / "copies", 1)), "--force", *state])
    assert "`db restore --server`" in capsys.readouterr().err
    assert postgres.is_pointer(pointer)
    assert 78 == main(["db", "restore", "--server", "--state", str(file.parent)])


def test_a_database_of_another_program_is_left_alone(server: str, tmp_path: Path) -> None:
    """Nothing is made in it."""
    url = postgres_server.new_database(server)
    first = tmp_path / "first.db"
    postgres.attach(first, url, "the test")
    assert postgres.schema_version.HEAD == postgres.attach(tmp_path / "again.db", url, "the test")
    with postgres.create_writer(first).connect() as connection, connection.begin():
        connection.execute(text("DROP TABLE alembic_version"))
    with pytest.raises(ConfigInvalid, match="tables of another program"):
        postgres.attach(tmp_path / "second.db", url, "the test")


def test_a_run_that_is_killed_goes_on_and_ends_as_one_that_never_was(server: str, tmp_path: Path) -> None:
    """SIGKILL in the middle, on the server; the same trades as on a file without a kill, and the audit holds."""
    market = write_market(tmp_path / "market.csv", "wlwl")
    config = write_config(tmp_path)
    options = ["run", "--config", config, "--replay", f"SOLUSDT={market}", "--seed", "7"]
    quiet, killed = tmp_path / "quiet", tmp_path / "killed"
    assert 0 == call(*options, "--state", quiet).code
    killed.mkdir(mode=0o700)
    postgres.attach(killed / "engine.db", postgres_server.new_database(server), "the test")
    with running([*options, "--state", killed, "--speed", "6000"]) as process:

        def has_traded() -> bool:
            with Reader.open(killed / "engine.db") as reader:
                return len(reader.trades()) >= 1

        eventually(has_traded, process)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert 0 == call(*options, "--state", killed).code
    trades = []
    for state in (quiet, killed):
        with Reader.open(state / "engine.db") as reader:
            trades.append(reader.trades())
            runs, crashes = reader.runs(), sum(item.key == "run:crashed" for item in reader.alerts())
    assert len(trades[0]) > 2
    assert trades[0] == trades[1]
    assert ["end of data", None] == [run.how for run in runs]
    assert 1 == crashes
    assert [] == [check for check in audit(killed / "engine.db") if not check.ok]
