"""Sending from a thread that nobody waits for longer than agreed.

What belongs here: the thread and the time limit. What does not: what is sent, and what follows a failure.

A thread cannot be killed, so one that hangs is left behind: as a daemon, so that it never holds up the end
of the process, and at most one for each channel, so that a channel that hangs costs one thread and delays
no other channel.
"""

import asyncio
import threading
from collections.abc import Callable

from trading_engine.alerts.channel import Channel, Message, Send, SendFailed


class Courier:
    """Takes messages to one channel."""

    def __init__(self, channel: Channel, send: Send, timeout_s: float) -> None:
        self.channel = channel
        self._send = send
        self._timeout_s = timeout_s
        self._busy = threading.Lock()

    async def deliver(self, message: Message) -> str | None:
        """None once accepted, otherwise why not; returns within the time limit and never raises.

        A message may still arrive after its time limit, so a retry can show it twice.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str | None] = loop.create_future()

        def report(error: str | None) -> None:
            try:
                loop.call_soon_threadsafe(_settle, answer, error)
            except RuntimeError:
                return  # the loop is gone: nobody asks any more

        if not self._start(message, report):
            return "the message before this one is still being sent"
        try:
            async with asyncio.timeout(self._timeout_s):
                return await answer
        except TimeoutError:
            return f"not accepted within {self._timeout_s:g} s"

    def _start(self, message: Message, report: Callable[[str | None], None]) -> bool:
        if not self._busy.acquire(blocking=False):
            return False

        def work() -> None:
            error: str | None = None
            try:
                self._send(self.channel, message)
            except SendFailed as failure:
                error = str(failure)
            except Exception as failure:  # noqa: BLE001 - a channel's bug is that channel's failure
                error = self.channel.hide(f"{type(failure).__name__}: {failure}")
            finally:
                self._busy.release()
            report(error)

        threading.Thread(target=work, name="alert-sender", daemon=True).start()
        return True


def _settle(answer: "asyncio.Future[str | None]", error: str | None) -> None:
    if not answer.done():
        answer.set_result(error)
