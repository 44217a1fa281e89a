"""Alerts beside a live session: a receiver that hangs for an hour costs the trading path nothing."""

import asyncio
import inspect
import threading
from collections.abc import Sequence

from fakes.live_rig import MINUTE, START, LiveRig, live

from trading_engine.alerts import AlertRow, Channel, OutboxWorker
from trading_engine.alerts.channel import Message, Send, SendFailed
from trading_engine.alerts.outbox_worker import MOST_KEPT
from trading_engine.domain.records import AlertRaised, Record
from trading_engine.domain.severity import Severity
from trading_engine.runtime.pump import Pump

MINUTES = 60
CHANNELS = [Channel("json://one.example/t"), Channel("json://two.example/t")]


class Outbox:
    """The alerts that a rig has committed, as rows that wait."""

    def __init__(self, rig: LiveRig) -> None:
        self._rig = rig
        self._sent: set[int] = set()
        self._due_ms: dict[int, int] = {}

    async def pending(self, limit: int) -> Sequence[AlertRow]:
        """Unsent and due, oldest first."""
        alerts = [record for record in self._rig.records if isinstance(record, AlertRaised)]
        now_ms = self._rig.clock.now_ms()
        rows = [AlertRow(at, START, alert.severity, alert.key, alert.text, 0) for at, alert in enumerate(alerts, 1)]
        return [row for row in rows if row.id not in self._sent and self._due_ms.get(row.id, 0) <= now_ms][:limit]

    async def mark_sent(self, ids: Sequence[int], ts_ms: int) -> None:
        """Dealt with."""
        del ts_ms
        self._sent |= set(ids)

    async def mark_failed(self, row_id: int, error: str, next_try_ms: int) -> None:
        """Put off."""
        del error
        self._due_ms[row_id] = next_try_ms


async def _hour(rig: LiveRig) -> list[tuple[float, Record]]:
    """A candle a minute and an entry that fills: each record with the second in which it was committed."""
    seen: list[tuple[float, Record]] = []

    def note() -> None:
        seen.extend((rig.seconds, record) for record in rig.records[len(seen) :])

    await rig.begin()
    await rig.enter()
    note()
    for minute in range(1, MINUTES):
        rig.feed.close(1_000, START + minute * MINUTE)
        await asyncio.sleep(60)
        note()
    await rig.end()
    note()
    return seen


def _played(send: Send | None) -> tuple[list[tuple[float, Record]], OutboxWorker | None, int]:
    """What was committed when, with a worker that sends so or without one, and the threads it has left."""
    found: list[tuple[float, Record]] = []
    workers: list[OutboxWorker] = []
    threads: list[int] = []

    async def talk() -> None:
        rig = LiveRig()
        if send is not None:
            worker = OutboxWorker(Outbox(rig), CHANNELS, now_ms=rig.clock.now_ms, throttle_s=0, send=send)
            workers.append(worker)
            worker.start()
        found.extend(await _hour(rig))
        threads.append(sum(thread.name == "alert-sender" for thread in threading.enumerate()))
        for worker in workers:
            await worker.stop(5)

    live(talk)
    return found, workers[0] if workers else None, threads[0]


def test_an_hour_with_a_receiver_that_hangs_is_like_one_without_alerts() -> None:
    """The same records in the same instants; one thread a channel, however much there is to tell."""
    released = threading.Event()

    def hang(channel: Channel, message: Message) -> None:
        del channel, message
        released.wait()

    try:
        quiet, _, _ = _played(None)
        hung, worker, threads = _played(hang)
    finally:
        released.set()
    assert MINUTES * 60 - 60 < quiet[-1][0]
    assert any(isinstance(record, AlertRaised) for _, record in quiet)
    assert quiet == hung
    assert len(CHANNELS) == threads
    assert worker is not None


def test_nothing_in_the_trading_path_can_wait_for_an_alert() -> None:
    """Deciding and committing are plain functions: there is no await in them to wait with."""
    path = (Pump.handle, Pump._handle, Pump._commit)
    assert [False, False, False] == [inspect.iscoroutinefunction(function) for function in path]
    assert "alerts" not in inspect.getsource(inspect.getmodule(Pump) or Pump)


class Flood(Outbox):
    """So many alerts at once, each of a kind of its own."""

    def __init__(self, count: int) -> None:
        self.rows = {at: AlertRow(at, 0, Severity.INFO, f"key:{at}", "text", 0) for at in range(1, count + 1)}
        self.due_ms: dict[int, int] = {}
        self.now_ms = 1

    async def pending(self, limit: int) -> Sequence[AlertRow]:
        """What is due."""
        due = [row for row in self.rows.values() if self.due_ms.get(row.id, 0) <= self.now_ms]
        return due[:limit]

    async def mark_sent(self, ids: Sequence[int], ts_ms: int) -> None:
        """Dealt with."""
        del ts_ms
        for number in ids:
            del self.rows[number]

    async def mark_failed(self, row_id: int, error: str, next_try_ms: int) -> None:
        """Put off."""
        del error
        self.due_ms[row_id] = next_try_ms


def test_what_the_worker_keeps_in_mind_is_bounded() -> None:
    """A flood of alerts while one channel refuses and the other accepts; everything is told in the end."""
    is_down = [True]

    def send(channel: Channel, message: Message) -> None:
        del message
        if channel is CHANNELS[0] and is_down[0]:
            raise SendFailed("busy")

    outbox = Flood(MOST_KEPT * 2)
    worker = OutboxWorker(outbox, CHANNELS, now_ms=lambda: outbox.now_ms, throttle_s=3_600, send=send)

    async def run() -> None:
        passes = len(outbox.rows) // 200 + 1
        for _ in range(passes):
            await worker.run_once()
        assert MOST_KEPT * 2 == len(outbox.rows)
        assert MOST_KEPT >= len(worker._postponed)
        for mailbox, _ in worker._routes:
            assert MOST_KEPT >= max(len(mailbox.done), len(mailbox.told), len(mailbox.held))
        is_down[0] = False
        outbox.now_ms += 10_000_000
        for _ in range(2 * passes):
            await worker.run_once()

    asyncio.run(run())
    assert {} == outbox.rows
