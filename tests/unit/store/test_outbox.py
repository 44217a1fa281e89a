"""The alerts that wait for delivery."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.databases import fresh
from fakes.record_stories import Story

from trading_engine.alerts.port import AlertRow, OutboxReader
from trading_engine.domain.records import AlertRaised
from trading_engine.domain.severity import Severity
from trading_engine.store.read_models import Reader
from trading_engine.store.sql_store import SqlStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    """A store with three alerts."""
    alerts = tuple(AlertRaised(Severity.WARNING, f"key{number}", f"text {number}") for number in range(3))
    with SqlStore.open(fresh(tmp_path)) as opened:
        first = Story(1).begin()
        opened.commit(replace(first, records=(*first.records, *alerts)))
        yield opened


def _outbox(store: SqlStore, now_ms: int = 1_000) -> OutboxReader:
    return store.outbox(AlertRow, lambda: now_ms)


def test_pending_alerts_come_oldest_first(store: SqlStore) -> None:
    """As many as asked for, with what the delivery needs."""
    rows = asyncio.run(_outbox(store).pending(2))
    assert ["text 0", "text 1"] == [row.text for row in rows]
    assert AlertRow(1, Story(1).now_ms, Severity.WARNING, "key0", "text 0", 0) == rows[0]


def test_what_is_sent_is_not_pending(store: SqlStore, tmp_path: Path) -> None:
    """A delivered alert is not read again."""
    asyncio.run(_outbox(store).mark_sent([1, 3], 1_234))
    asyncio.run(_outbox(store).mark_sent([], 1_234))
    assert [2] == [row.id for row in asyncio.run(_outbox(store).pending(10))]
    with Reader.open(tmp_path / "engine.db") as reader:
        assert 1 == reader.status_counts().unsent_alerts


def test_what_failed_waits_for_its_next_try(store: SqlStore) -> None:
    """The attempt is counted and the row comes back when it is due."""
    asyncio.run(_outbox(store).mark_failed(1, "no route", 5_000))
    assert [2, 3] == [row.id for row in asyncio.run(_outbox(store, 4_999).pending(10))]
    due = asyncio.run(_outbox(store, 5_000).pending(10))
    assert [(1, 1), (2, 0), (3, 0)] == [(row.id, row.attempts) for row in due]


def test_marking_does_not_disturb_the_next_commit(store: SqlStore) -> None:
    """Delivery shares the connection of the writer and none of its guards."""
    last = store.last_seq
    asyncio.run(_outbox(store).mark_sent([1], 1))
    empty = replace(Story(1).begin(), records=())
    assert last == store.commit(empty)
