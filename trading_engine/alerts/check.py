"""Whether alerts would arrive.

What belongs here: sending one test message to each channel and saying what came of it. What does not: the
outbox, which a test does not touch.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from trading_engine.alerts.apprise_sender import AppriseSender
from trading_engine.alerts.channel import Channel, Message, Send
from trading_engine.alerts.courier import Courier
from trading_engine.domain.severity import Severity

_TEXT = "This is a test. If you can read it, alerts reach you here."


class CheckResult(NamedTuple):
    """One channel: the URL as it may be shown, whether it accepted, and otherwise why not."""

    url: str
    ok: bool
    error: str


def send_test(
    channels: Sequence[Channel],
    *,
    timeout_s: float = 10,
    send: Send | None = None,
    source: str = "trading-engine",
) -> list[CheckResult]:
    """Send a test message to each channel, all at a time, whatever its least severity; in their order.

    Blocks for at most `timeout_s` (not for use on an event loop); never raises for a channel that fails.
    """
    sender = send or AppriseSender()
    message = Message(f"{source}: test", _TEXT, Severity.INFO)

    async def send_all() -> list[str | None]:
        couriers = [Courier(channel, sender, timeout_s) for channel in channels]
        return await asyncio.gather(*(courier.deliver(message) for courier in couriers))

    errors = asyncio.run(send_all())
    return [
        CheckResult(channel.label, error is None, error or "") for channel, error in zip(channels, errors, strict=True)
    ]
