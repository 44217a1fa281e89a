"""Carrying alerts from the outbox to the channels, beside the trading path and never in it.

What belongs here: the loop, one pass over the outbox, and what becomes of each row. What does not: what a
channel may be told (mailbox), wording (compose), threads (courier).

Delivery is at least once: a row counts as sent when every channel that wants it has accepted it. Channels
are independent; one that is down is tried again later and then gets one digest instead of a flood.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from loguru import logger

from trading_engine.alerts.apprise_sender import AppriseSender
from trading_engine.alerts.channel import Channel, Message, Send
from trading_engine.alerts.compose import Letter, digest, single
from trading_engine.alerts.courier import Courier
from trading_engine.alerts.mailbox import Mailbox
from trading_engine.alerts.port import AlertRow, OutboxReader

DIGEST_ABOVE = 10
_POLL_S = 1.0
_BATCH = 200
MOST_KEPT = 5_000  # rows remembered while a channel is down; what is forgotten may be told twice
_MS_PER_S = 1_000


class OutboxWorker:
    """Delivers what is in the outbox to the channels that want it; nothing it does raises.

    throttle_s   alerts of one key within this time become one message; 0 for never
    timeout_s    a message not accepted within this time is tried again later
    now_ms       the present instant, for throttling and retries
    sleep        waits between two passes
    source       how messages name their sender
    """

    def __init__(
        self,
        outbox: OutboxReader,
        channels: Sequence[Channel],
        *,
        now_ms: Callable[[], int],
        throttle_s: float = 60,
        timeout_s: float = 10,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        send: Send | None = None,
        source: str = "trading-engine",
    ) -> None:
        self._outbox = outbox
        self._now_ms = now_ms
        self._sleep = sleep
        self._source = source
        sender = send or AppriseSender()
        self._routes = [
            (Mailbox(channel, round(throttle_s * _MS_PER_S)), Courier(channel, sender, timeout_s))
            for channel in channels
        ]
        self._postponed: dict[int, int] = {}  # row to the instant it was put off to
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._broken = False

    def start(self) -> None:
        """Begin delivering, on the running event loop; sends happen in threads."""
        self._task = asyncio.create_task(self._run(), name="alerts")

    async def stop(self, timeout_s: float) -> None:
        """Deliver what is pending, throttled or not, within `timeout_s`; what is left waits in the outbox.

        Returns in time whatever the channels do, and never raises.
        """
        self._stopping.set()
        try:
            async with asyncio.timeout(timeout_s):
                if self._task is not None:
                    await asyncio.wait([self._task])
                await self._guarded(final=True)
        except TimeoutError:
            logger.warning("alerts: stopped before everything was delivered; the rest is kept")
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def run_once(self) -> None:
        """One pass: read, send, mark. Raises only what the outbox raises."""
        await self._pass(final=False)

    async def _run(self) -> None:
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            while not self._stopping.is_set():
                await self._guarded(final=False)
                pause = asyncio.ensure_future(self._sleep(_POLL_S))
                await asyncio.wait([pause, stopping], return_when=asyncio.FIRST_COMPLETED)
                pause.cancel()
        finally:
            stopping.cancel()

    async def _guarded(self, *, final: bool) -> None:
        """A pass whose failure is logged once, not every second."""
        try:
            await self._pass(final=final)
        except Exception as error:  # noqa: BLE001 - alerts may fail, trading goes on
            if not self._broken:
                cause = getattr(error, "orig", None) or error
                logger.opt(exception=error).error("alerts: the outbox cannot be read or written ({})", cause)
            self._broken = True
        else:
            self._broken = False

    async def _pass(self, *, final: bool) -> None:
        rows = await self._outbox.pending(_BATCH)
        if not rows:
            return
        await asyncio.gather(*(self._serve(mailbox, courier, rows, final=final) for mailbox, courier in self._routes))
        await self._settle(rows)

    async def _serve(self, mailbox: Mailbox, courier: Courier, rows: Sequence[AlertRow], *, final: bool) -> None:
        """Tell one channel what it may be told now; the first failure ends its turn."""
        letters = mailbox.due(rows, self._now_ms(), hold=not final)
        if not final and self._now_ms() < mailbox.retry_at_ms:
            return
        parcels = [letters] if len(letters) > DIGEST_ABOVE else [[letter] for letter in letters]
        for parcel in parcels:
            message = self._message(parcel)
            error = await courier.deliver(message)
            if error is None:
                self._note_success(mailbox)
                mailbox.accepted(parcel, self._now_ms())
            else:
                self._note_failure(mailbox, error)
                mailbox.refused(parcel, self._now_ms(), error)
                return

    def _message(self, parcel: Sequence[Letter]) -> Message:
        return single(self._source, parcel[0]) if len(parcel) == 1 else digest(self._source, parcel)

    async def _settle(self, rows: Sequence[AlertRow]) -> None:
        """Mark what every channel is done with, put off what waits for channels that are down."""
        boxes = [mailbox for mailbox, _ in self._routes]
        finished = [row.id for row in rows if all(row.id in mailbox.done for mailbox in boxes)]
        if finished:
            await self._outbox.mark_sent(finished, self._now_ms())
        settled = set(finished)
        for row_id in settled:
            self._postponed.pop(row_id, None)
            for mailbox in boxes:
                mailbox.done.discard(row_id)
        now_ms = self._now_ms()
        for row in rows:
            waiting = [mailbox for mailbox in boxes if row.id not in mailbox.done]
            # What is held by a throttle is looked at again in the next pass.
            if row.id not in settled and all(now_ms < mailbox.retry_at_ms for mailbox in waiting):
                await self._put_off(row, min(waiting, key=lambda mailbox: mailbox.retry_at_ms))
        self._forget(boxes)

    def _forget(self, boxes: Sequence[Mailbox]) -> None:
        """Memory stays bounded however long a channel is down and however much there is to tell."""
        while len(self._postponed) > MOST_KEPT:
            del self._postponed[next(iter(self._postponed))]
        for mailbox in boxes:
            mailbox.forget(MOST_KEPT)

    async def _put_off(self, row: AlertRow, mailbox: Mailbox) -> None:
        if self._postponed.get(row.id) != mailbox.retry_at_ms:
            error = f"{mailbox.channel.label}: {mailbox.last_error}"
            await self._outbox.mark_failed(row.id, error, mailbox.retry_at_ms)
            self._postponed[row.id] = mailbox.retry_at_ms

    @staticmethod
    def _note_failure(mailbox: Mailbox, error: str) -> None:
        """Say it once for each outage."""
        if not mailbox.failures:
            logger.warning(f"alerts: {mailbox.channel.label} does not accept messages, will retry: {error}")

    @staticmethod
    def _note_success(mailbox: Mailbox) -> None:
        if mailbox.failures:
            logger.info(f"alerts: {mailbox.channel.label} accepts messages again")
