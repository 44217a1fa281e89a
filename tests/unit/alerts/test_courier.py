"""A courier waits as long as agreed and starts no second thread while one hangs."""

import asyncio
import threading

from trading_engine.alerts.channel import Channel, Message
from trading_engine.alerts.courier import Courier
from trading_engine.domain.severity import Severity

CHANNEL = Channel("json://host.example")
MESSAGE = Message("title", "body", Severity.INFO)


def test_a_channel_that_hangs_costs_one_thread_and_recovers() -> None:
    """While one message hangs the next is turned away at once; when it ends all is well again."""
    release, started, ended = threading.Event(), [], threading.Event()

    def send(_: Channel, message: Message) -> None:
        started.append(message)
        if len(started) == 1:
            release.wait(30)
            ended.set()

    courier = Courier(CHANNEL, send, timeout_s=0.01)

    async def run() -> tuple[str | None, str | None]:
        return await courier.deliver(MESSAGE), await courier.deliver(MESSAGE)

    late, busy = asyncio.run(run())
    assert "not accepted within 0.01 s" == late
    assert "the message before this one is still being sent" == busy
    assert 1 == len(started)
    release.set()
    ended.wait(30)

    async def until_free() -> None:
        patient = Courier(CHANNEL, send, timeout_s=30)
        assert await patient.deliver(MESSAGE) is None
        while await courier.deliver(MESSAGE) is not None:  # noqa: ASYNC110 - a thread ends it
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(until_free(), 30))
