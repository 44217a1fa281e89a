"""What every Store does, whatever it is made of."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import postgres_server
from fakes.databases import fresh
from fakes.memory_store import MemoryStore
from fakes.record_stories import Story, without_old_keys

from trading_engine.core.project import apply, prune
from trading_engine.domain.records import RunStarted
from trading_engine.ports import Store
from trading_engine.store import postgres
from trading_engine.store.sql_store import SqlStore


class _OddRecord:
    """Nothing a journal knows."""


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A server of this test run, where one is installed."""
    if postgres_server.programs() is None:
        pytest.skip("no PostgreSQL server is installed here (Debian: apt-get install postgresql)")
    with postgres_server.server() as url:
        yield url


@pytest.fixture(params=["sqlite", "memory", pytest.param("postgres", marks=pytest.mark.xdist_group("postgres"))])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Gives the store, each time as a new process would find it."""
    opened: list[Store] = []
    memory = MemoryStore()
    path = tmp_path / "engine.db"
    if request.param == "postgres":
        url = postgres_server.new_database(request.getfixturevalue("postgres_url"))
        postgres.attach(path, url, "the test")
    else:
        fresh(tmp_path)

    def again() -> Store:
        for store in opened:
            store.close()
        opened.append(memory if request.param == "memory" else SqlStore.open(path))
        return opened[-1]

    yield again
    for store in opened:
        store.close()


def test_a_new_store_is_empty(reopen: Callable[[], Store]) -> None:
    """No epoch, no checkpoint, no record."""
    loaded = reopen().load()
    assert ("", None, 0) == (loaded.book.epoch, loaded.checkpoint, loaded.last_seq)
    assert {} == loaded.book.positions
    assert 0 == loaded.last_ts_ms


def test_what_was_committed_is_loaded_by_the_next_process(reopen: Callable[[], Store]) -> None:
    """Book, checkpoint and the number of the last record, after each commit."""
    story = Story(5)
    last = written_ms = 0
    for commit in story.commits(40):
        store = reopen()
        last += len(commit.records)
        assert last == store.commit(commit)
        loaded = reopen().load()
        assert (commit.checkpoint, last) == (loaded.checkpoint, loaded.last_seq)
        written_ms = commit.ts_ms if commit.records else written_ms
        assert written_ms == loaded.last_ts_ms
        assert without_old_keys(prune(commit.book), loaded.book) == loaded.book


def test_orders_keep_the_order_in_which_they_were_intended(reopen: Callable[[], Store]) -> None:
    """The core reads the last entry or stop as the present one."""
    story = Story(9)
    store = reopen()
    for commit in story.commits(60):
        store.commit(commit)
    loaded = reopen().load().book
    assert list(story.book.orders) == list(loaded.orders)
    assert list(story.book.positions) == list(loaded.positions)


def test_progress_is_committed_without_records(reopen: Callable[[], Store]) -> None:
    """The checkpoint moves and nothing else."""
    first = Story(2).begin()
    store = reopen()
    last = store.commit(first)
    later = replace(first, records=(), checkpoint=replace(first.checkpoint, cursor_ms=77))
    assert last == store.commit(later)
    loaded = reopen().load()
    assert (77, last, first.book) == (
        loaded.checkpoint.cursor_ms if loaded.checkpoint else None,
        loaded.last_seq,
        loaded.book,
    )


def test_a_commit_that_cannot_be_written_leaves_nothing(reopen: Callable[[], Store]) -> None:
    """And the store goes on from where it was."""
    first, second = Story(2).commits(2)
    store = reopen()
    last = store.commit(first)
    with pytest.raises(TypeError, match="_OddRecord is not a kind of journal record"):
        store.commit(replace(second, records=(*second.records, _OddRecord())))  # type: ignore[arg-type]
    assert first.checkpoint == store.load().checkpoint
    assert last + len(second.records) == store.commit(second)


def test_a_new_run_may_bear_an_old_name(reopen: Callable[[], Store]) -> None:
    """A seeded run gets the same id each time."""
    story = Story(2)
    first = story.begin()
    store = reopen()
    store.commit(first)
    record = RunStarted("run-2", "0.1.0", "paper", "c0ffee", "ab12")
    last = store.commit(replace(first, records=(record,), book=apply(first.book, record)))
    assert len(first.records) + 1 == last
