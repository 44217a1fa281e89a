"""A venue that a start cannot reach is told like an outage, and asked less and less often."""

from pathlib import Path

import pytest
from fakes.databases import fresh
from fakes.record_stories import Story

from trading_engine.domain.severity import Severity
from trading_engine.runtime.reaching import Reaching
from trading_engine.store.audit import audit
from trading_engine.store.read_models import Reader
from trading_engine.store.sql_store import SqlStore

MINUTE = 60_000


class Start:
    """A start that waits, on a real database."""

    def __init__(self, path: Path) -> None:
        self.store = SqlStore.open(path)
        self.now_ms = 1_000_000
        self.loaded = self.store.load()
        self.reaching = Reaching(self.store, self.loaded, "binance", "run-1", 5 * MINUTE, lambda: self.now_ms)

    def told(self) -> list[tuple[str, str, str]]:
        """The alerts so far, oldest first."""
        with Reader.open(self.store._path) as reader:
            return [(item.key, item.severity, item.text) for item in reversed(reader.alerts())]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A new database."""
    return fresh(tmp_path)


def test_a_flat_start_is_told_after_the_patience_of_an_outage_once_and_when_it_is_over(path: Path) -> None:
    """The ledger is as it was, and sound."""
    start = Start(path)
    for _ in range(4):
        start.reaching.failed("no route to host")
        start.now_ms += MINUTE
    assert [] == start.told()
    for _ in range(4):
        start.now_ms += MINUTE
        start.reaching.failed("no route to host")
    assert [("venue:down", Severity.WARNING)] == [item[:2] for item in start.told()]
    assert "cannot reach binance (no route to host); it waits, flat" in start.told()[0][2]
    start.reaching.reached()
    assert ("venue:up", "binance is reached after 8 min; the engine goes on") == start.told()[1][::2]
    assert start.loaded.book == start.store.load().book
    start.store.close()
    assert all(check.ok for check in audit(path))


def test_with_open_positions_it_is_told_at_once_and_loudly(path: Path) -> None:
    """Nobody manages them meanwhile."""
    story = Story(3)
    with SqlStore.open(path) as store:
        for commit in story.commits(40):
            store.commit(commit)
            if any(position.quantity for position in commit.book.positions.values()):
                break
    start = Start(path)
    before = len(start.told())
    start.reaching.failed("no route to host")
    start.reaching.failed("no route to host")
    ((key, severity, text),) = start.told()[before:]
    assert ("venue:down", Severity.CRITICAL) == (key, severity)
    assert "behind what rests at the venue" in text


def test_pauses_double_up_to_a_minute_and_begin_anew(path: Path) -> None:
    """A venue that is away for days is not asked every five seconds."""
    start = Start(path)
    pauses = []
    for _ in range(6):
        start.reaching.failed("away")
        pauses.append(start.reaching.pause_s)
    assert [5, 10, 20, 40, 60, 60] == pauses
    start.reaching.reached()
    start.reaching.failed("away")
    assert 5 == start.reaching.pause_s
