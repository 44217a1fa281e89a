"""A dead man's switch: a service elsewhere is called while the engine decides, and raises the alarm when it is not.

What belongs here: when it is called, and the call. What does not: what counts as deciding (runtime).

A process that runs but decides nothing is as silent as one that is gone; so is a machine without a network. The call
is made in a thread of its own, like every message, so that a service that hangs costs nobody anything.
"""

import asyncio
from collections.abc import Awaitable, Callable

from loguru import logger

from trading_engine.alerts.channel import Channel, Message, Send, SendFailed
from trading_engine.alerts.courier import Courier
from trading_engine.domain.severity import Severity

_TIMEOUT_S = 10.0
_READ = 1_000
_BEAT = Message("heartbeat", "", Severity.INFO)


class Heartbeat:
    """Calls `url` every `interval_s` for which `is_alive` says so. The URL is a secret and never shown."""

    def __init__(
        self,
        url: str,
        interval_s: float,
        is_alive: Callable[[], bool],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        send: Send | None = None,
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        self._interval_s = interval_s
        self._is_alive = is_alive
        self._sleep = sleep
        self._courier = Courier(Channel(url), send or call_address, timeout_s)
        self._is_failing = False
        self.beats = 0

    async def run(self) -> None:
        """Until cancelled; never raises for the service."""
        while True:
            await self.beat()
            await self._sleep(self._interval_s)

    async def beat(self) -> None:
        """Call once, if the engine decides."""
        if not self._is_alive():
            return
        error = await self._courier.deliver(_BEAT)
        if error is None:
            self.beats += 1
        elif not self._is_failing:
            logger.warning(f"heartbeat: {self._courier.channel.label} does not answer: {error}")
        self._is_failing = error is not None


def call_address(channel: Channel, message: Message) -> None:
    """A `Send`: one GET, of whose answer little is read; SendFailed for anything but success."""
    del message
    import urllib.error  # noqa: PLC0415 - with what it needs it costs a tenth of a second, for those with a heartbeat
    import urllib.request  # noqa: PLC0415 - as above

    try:
        # http and https only: the configuration has refused everything else.
        with urllib.request.urlopen(channel.url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - see above
            answer.read(_READ)
    except urllib.error.HTTPError as error:
        error.close()
        raise SendFailed(f"HTTP {error.code}") from None
    except OSError as error:
        raise SendFailed(channel.hide(str(getattr(error, "reason", error)))) from None
