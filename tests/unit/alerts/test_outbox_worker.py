"""The worker delivers every alert, to whom it concerns, without flooding and without ever failing."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from trading_engine.alerts import AlertRow, Channel, OutboxWorker
from trading_engine.alerts.channel import Message, SendFailed
from trading_engine.domain.severity import Severity

ONE, TWO = Channel("json://one.example/token-1"), Channel("json://two.example/token-2")
CRITICAL_ONLY = Channel("json://night.example/token-3", Severity.CRITICAL)


@dataclass
class Outbox:
    """The port in memory, with the store's rule: what is put off is not pending before its time."""

    clock: "Clock"
    rows: dict[int, AlertRow] = field(default_factory=dict)
    sent: dict[int, int] = field(default_factory=dict)
    put_off: dict[int, tuple[str, int]] = field(default_factory=dict)
    broken: bool = False

    def add(self, text: str, key: str = "", severity: Severity = Severity.INFO) -> int:
        """A new row, with the next number."""
        number = len(self.rows) + 1
        self.rows[number] = AlertRow(number, self.clock.now_ms, severity, key, text, 0)
        return number

    async def pending(self, limit: int) -> Sequence[AlertRow]:
        """Unsent and due, oldest first."""
        if self.broken:
            raise OSError("disk")
        due = [
            row
            for number, row in self.rows.items()
            if number not in self.sent and self.put_off.get(number, ("", 0))[1] <= self.clock.now_ms
        ]
        return due[:limit]

    async def mark_sent(self, ids: Sequence[int], ts_ms: int) -> None:
        """A row is settled once."""
        for number in ids:
            assert number not in self.sent
            self.sent[number] = ts_ms

    async def mark_failed(self, row_id: int, error: str, next_try_ms: int) -> None:
        """Counts the attempt."""
        self.put_off[row_id] = (error, next_try_ms)
        self.rows[row_id] = self.rows[row_id]._replace(attempts=self.rows[row_id].attempts + 1)


@dataclass
class Clock:
    """Time that passes only when told."""

    now_ms: int = 1_000_000

    def __call__(self) -> int:
        """The present."""
        return self.now_ms

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now_ms += round(seconds * 1_000)


@dataclass
class Services:
    """What the channels received, and which of them refuse."""

    received: list[tuple[Channel, Message]] = field(default_factory=list)
    down: set[Channel] = field(default_factory=set)
    attempts: int = 0

    def __call__(self, channel: Channel, message: Message) -> None:
        """Take or refuse a message."""
        self.attempts += 1
        if channel in self.down:
            raise SendFailed("service unavailable")
        self.received.append((channel, message))

    def texts(self, channel: Channel) -> list[str]:
        """First lines of what a channel got."""
        return [message.body.split("\n")[0] for to, message in self.received if to == channel]


@dataclass
class Bench:
    """A worker with everything around it."""

    worker: OutboxWorker
    outbox: Outbox
    services: Services
    clock: Clock

    def passes(self, count: int = 1, seconds: float = 0) -> None:
        """Some passes, with time between them."""

        async def run() -> None:
            for _ in range(count):
                await self.worker.run_once()
                self.clock.advance(seconds)

        asyncio.run(run())


def bench(*channels: Channel, throttle_s: float = 60) -> Bench:
    """A worker for these channels."""
    clock, services = Clock(), Services()
    outbox = Outbox(clock)
    worker = OutboxWorker(outbox, channels, now_ms=clock, throttle_s=throttle_s, send=services)
    return Bench(worker, outbox, services, clock)


def test_an_alert_is_sent_once_and_marked() -> None:
    """Later passes leave it alone."""
    it = bench(ONE)
    it.outbox.add("opened", severity=Severity.WARNING)
    it.passes(3)
    assert [Severity.WARNING] == [message.severity for _, message in it.services.received]
    assert ["opened"] == it.services.texts(ONE)
    assert {1: 1_000_000} == it.outbox.sent


def test_severity_decides_which_channels_are_told() -> None:
    """The night channel hears only what cannot wait."""
    it = bench(ONE, CRITICAL_ONLY)
    it.outbox.add("opened")
    it.outbox.add("no stop", severity=Severity.CRITICAL)
    it.passes()
    assert ["opened", "no stop"] == it.services.texts(ONE)
    assert ["no stop"] == it.services.texts(CRITICAL_ONLY)
    assert {1, 2} == set(it.outbox.sent)


def test_what_nobody_wants_is_settled() -> None:
    """Without channels, or below every channel's least severity, nothing piles up."""
    for it in (bench(), bench(CRITICAL_ONLY)):
        it.outbox.add("opened")
        it.passes()
        assert {1} == set(it.outbox.sent)
        assert [] == it.services.received


def test_repeats_are_held_and_counted_in_the_next_message() -> None:
    """One message now, one after the throttle time that says how many there were."""
    it = bench(ONE)
    for number in range(6):
        it.outbox.add(f"slow {number}", key="slow")
        it.passes(seconds=5)
    assert ["slow 0"] == it.services.texts(ONE)
    assert {1, 2, 3, 4, 5} == set(it.outbox.sent)
    it.clock.advance(60)
    it.passes()
    assert ["slow 0", "slow 5 (\u00d74 more)"] == it.services.texts(ONE)
    assert set(it.outbox.rows) == set(it.outbox.sent)


def test_other_keys_and_graver_news_are_not_held() -> None:
    """A throttle is for more of the same."""
    it = bench(ONE)
    it.outbox.add("first", key="a", severity=Severity.WARNING)
    it.passes()
    it.outbox.add("other", key="b")
    it.outbox.add("worse", key="a", severity=Severity.CRITICAL)
    it.outbox.add("no key")
    it.outbox.add("no key")
    it.passes()
    it.outbox.add("same again", key="a", severity=Severity.CRITICAL)
    it.passes()
    assert ["first", "other", "worse", "no key", "no key"] == it.services.texts(ONE)


def test_a_throttle_of_zero_holds_nothing() -> None:
    """Who wants everything gets everything."""
    it = bench(ONE, throttle_s=0)
    for _ in range(3):
        it.outbox.add("again", key="a")
        it.passes()
    assert ["again"] * 3 == it.services.texts(ONE)


def test_a_service_that_is_down_is_tried_again_ever_less_often() -> None:
    """Pauses double up to five minutes; in an hour it is tried some twenty times, not thousands."""
    it = bench(ONE)
    it.services.down = {ONE}
    it.outbox.add("opened")
    tried: list[int] = []
    for _ in range(3_600):
        before = it.services.attempts
        it.passes(seconds=1)
        if it.services.attempts > before:
            tried.append(it.clock.now_ms // 1_000)
    pauses = [later - earlier for earlier, later in pairwise(tried)]
    assert [2, 4, 8, 16, 32, 64, 128, 256, 300, 300] == pauses[:10]
    assert {} == it.outbox.sent
    it.services.down.clear()
    it.passes(count=301, seconds=1)
    assert ["opened"] == it.services.texts(ONE)


def test_a_restart_does_not_hammer_a_service_that_was_down() -> None:
    """How often a row was put off is in the row."""
    it = bench(ONE)
    it.services.down = {ONE}
    it.outbox.add("opened")
    it.outbox.rows[1] = it.outbox.rows[1]._replace(attempts=6)
    it.passes()
    assert it.clock.now_ms + 128_000 == it.outbox.put_off[1][1]


def test_after_an_outage_there_is_one_digest() -> None:
    """Thirty alerts became one message that names their number."""
    it = bench(ONE)
    it.services.down = {ONE}
    for number in range(30):
        it.outbox.add(f"event {number}")
        it.passes(seconds=20)
    it.services.down.clear()
    it.passes(count=10, seconds=60)
    ((_, message),) = it.services.received
    assert "trading-engine: 30 alerts (30 info)" == message.title
    assert set(it.outbox.rows) == set(it.outbox.sent)


def test_up_to_ten_alerts_come_one_by_one() -> None:
    """The eleventh makes a digest."""
    it = bench(ONE)
    for number in range(10):
        it.outbox.add(f"event {number}")
    it.passes()
    assert [f"event {number}" for number in range(10)] == it.services.texts(ONE)
    for number in range(11):
        it.outbox.add(f"event {number}")
    it.passes()
    assert 11 == len(it.services.received)


def test_a_channel_that_is_down_costs_the_others_nothing() -> None:
    """The one that works is told at once and once; the other when it is back."""
    it = bench(ONE, TWO)
    it.services.down = {TWO}
    it.outbox.add("opened")
    it.passes(count=20, seconds=1)
    it.outbox.add("closed")
    it.passes()
    assert ["opened", "closed"] == it.services.texts(ONE)
    assert {} == it.outbox.sent
    it.services.down.clear()
    it.passes(count=40, seconds=1)
    assert ["opened", "closed"] == it.services.texts(ONE)
    assert ["opened", "closed"] == it.services.texts(TWO)
    assert {1, 2} == set(it.outbox.sent)


def test_a_throttle_holds_on_the_channel_that_works_while_another_is_down() -> None:
    """One outage does not become another channel's flood."""
    it = bench(ONE, TWO)
    it.services.down = {TWO}
    for _ in range(30):
        it.outbox.add("again", key="a")
        it.passes(seconds=1)
    assert 1 == len(it.services.texts(ONE))


def test_the_kept_error_names_the_channel_without_its_secrets() -> None:
    """It is stored and shown."""
    it = bench(ONE)
    it.services.down = {ONE}
    it.outbox.add("opened")
    it.passes()
    assert "json://***: service unavailable" == it.outbox.put_off[1][0]


def test_a_bug_in_a_channel_is_that_channels_failure() -> None:
    """An unexpected exception, with the address in it, is an error text without the address."""

    def explode(channel: Channel, _: Message) -> None:
        raise ZeroDivisionError(channel.url)

    clock = Clock()
    outbox = Outbox(clock)
    worker = OutboxWorker(outbox, [ONE], now_ms=clock, send=explode)
    outbox.add("opened")
    asyncio.run(worker.run_once())
    assert "json://***: ZeroDivisionError: ***" == outbox.put_off[1][0]


def _worker(outbox: Outbox, send: Callable[[Channel, Message], None], *channels: Channel) -> OutboxWorker:
    async def soon(_: float) -> None:
        await asyncio.sleep(0)

    sleep: Callable[[float], Awaitable[None]] = soon
    return OutboxWorker(outbox, channels, now_ms=outbox.clock, send=send, sleep=sleep, throttle_s=60, timeout_s=5)


def test_the_loop_delivers_survives_a_broken_outbox_and_stops() -> None:
    """A store that fails for a while delays alerts and raises nothing."""
    outbox, services = Outbox(Clock()), Services()
    worker = _worker(outbox, services, ONE)

    async def run() -> None:
        outbox.broken = True
        worker.start()
        for _ in range(20):
            await asyncio.sleep(0)
        outbox.broken = False
        outbox.add("opened")
        while not outbox.sent:  # noqa: ASYNC110 - turns of the loop are what is tested
            await asyncio.sleep(0)
        await worker.stop(5)

    asyncio.run(asyncio.wait_for(run(), 30))
    assert ["opened"] == services.texts(ONE)


def test_stopping_delivers_what_is_held_and_what_came_last() -> None:
    """The last words of an engine are the most important ones."""
    outbox, services = Outbox(Clock()), Services()
    worker = _worker(outbox, services, ONE)

    async def run() -> None:
        worker.start()
        outbox.add("again", key="a")
        while not outbox.sent:  # noqa: ASYNC110 - turns of the loop are what is tested
            await asyncio.sleep(0)
        outbox.add("again", key="a")
        outbox.add("engine stopped")
        await worker.stop(5)

    asyncio.run(asyncio.wait_for(run(), 30))
    assert ["again", "again", "engine stopped"] == services.texts(ONE)
    assert {1, 2, 3} == set(outbox.sent)


def test_stopping_does_not_wait_for_a_channel_that_hangs() -> None:
    """The rest stays in the outbox for the next start, and the loop runs on while a send hangs."""
    outbox, release = Outbox(Clock()), threading.Event()

    def hang(channel: Channel, _: Message) -> None:
        release.wait(30)
        raise SendFailed(channel.label)

    worker = _worker(outbox, hang, ONE)
    outbox.add("opened")

    async def run() -> None:
        worker.start()
        for _ in range(100):
            await asyncio.sleep(0)
        await worker.stop(0.05)

    asyncio.run(asyncio.wait_for(run(), 4))
    release.set()
    assert {} == outbox.sent


def test_stopping_without_having_started_delivers() -> None:
    """A start that fails can still say so."""
    outbox, services = Outbox(Clock()), Services()
    worker = _worker(outbox, services, ONE)
    outbox.add("start failed", severity=Severity.CRITICAL)
    asyncio.run(worker.stop(5))
    assert ["start failed"] == services.texts(ONE)


@pytest.mark.parametrize("count", [201, 450])
def test_more_than_one_batch_is_delivered_in_several_digests(count: int) -> None:
    """Nothing is left behind."""
    it = bench(ONE)
    for number in range(count):
        it.outbox.add(f"event {number}")
    it.passes(count=5)
    assert set(it.outbox.rows) == set(it.outbox.sent)
    assert len(it.services.received) <= 3
