"""Files whose bits keep the engine out: exit 78 naming the file, and a backup is not the cure."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fakes.databases import told
from fakes.limits import bound_by_bits

from trading_engine.store.sql_store import SqlStore
from trading_engine.venues.embedded.account import Account
from trading_engine.venues.embedded.matching import Change
from trading_engine.venues.embedded.memory import Memory


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """Both databases with a log beside them, as after a kill: they stay open here."""
    path, story = told(tmp_path)
    with SqlStore.open(path) as store, closing(Memory(tmp_path / "paper.db")) as memory:
        store.commit(story.next())
        memory.write(Account(), Change())
        yield tmp_path
        for file in (tmp_path, *tmp_path.iterdir()):
            file.chmod(0o700)


@pytest.mark.parametrize(
    ("file", "mode", "command"),
    [
        ("engine.db-wal", 0o000, ("status",)),
        ("engine.db-wal", 0o000, ("resume",)),
        ("engine.db-shm", 0o000, ("status",)),
        ("engine.db", 0o400, ("resume",)),
        ("engine.db-wal", 0o400, ("resume",)),
        ("paper.db", 0o000, ("db", "check")),
        ("paper.db-wal", 0o000, ("db", "check")),
        ("paper.db-wal", 0o000, ("db", "backup")),
        ("engine.lock", 0o000, ("status",)),
        ("engine.lock", 0o000, ("resume",)),
    ],
)
def test_a_file_that_keeps_us_out_is_named(state: Path, file: str, mode: int, command: tuple[str, ...]) -> None:
    """Its owner and its permissions are what to look at; nothing is damaged."""
    (state / file).touch()
    (state / file).chmod(mode)
    done = bound_by_bits(*command, "--state", state)
    assert 78 == done.returncode, done.stdout + done.stderr
    assert f"{state / file}" in done.stderr
    assert "owner and permissions" in done.stderr
    assert "restore" not in done.stderr


def test_a_paper_account_that_may_only_be_read_is_refused_before_anything_is_sent(state: Path) -> None:
    """Opening it for trading changes nothing of it, not even its permissions."""
    paper = state / "paper.db"
    paper.chmod(0o400)
    done = bound_by_bits("flatten", "--direct", "--config", "configs/demo.yaml", "--state", state, "--yes")
    assert 78 == done.returncode, done.stdout + done.stderr
    assert f"readonly database); check owner and permissions of {paper}" in done.stderr
    assert 0o400 == paper.stat().st_mode & 0o777


def test_a_directory_that_may_only_be_read_is_named(tmp_path: Path) -> None:
    """A reader needs a place for the log's index."""
    path, _ = told(tmp_path)
    tmp_path.chmod(0o500)
    try:
        done = bound_by_bits("db", "check", "--state", tmp_path)
    finally:
        tmp_path.chmod(0o700)
    assert 78 == done.returncode, done.stdout + done.stderr
    assert f"{path}: the database cannot be used (" in done.stderr
    assert f"check owner and permissions of {tmp_path}\n" in done.stderr
