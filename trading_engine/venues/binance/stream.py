"""The user stream: its key, its connection, its life.

What belongs here: listen keys, keeping them alive, lost and restored. What does not: what messages mean (events),
the connection itself (wire.socket).

An account on which nothing happens says nothing, so silence is no sign. A connection counts as restored once it
stands and a signed question over REST was answered; pings tell when it is dead.
"""

import asyncio
from collections.abc import Callable

from loguru import logger

from trading_engine.domain.errors import VenueRejected, VenueUnavailable
from trading_engine.domain.events import StreamLost, StreamRestored
from trading_engine.ports import VenueEvent
from trading_engine.venues.binance import limits
from trading_engine.venues.binance.errors import Refusal
from trading_engine.venues.binance.events import KEY_EXPIRED, Reader
from trading_engine.venues.binance.facts import LISTEN_KEY_RENEWAL_MS
from trading_engine.venues.binance.rest import Rest
from trading_engine.venues.binance.shapes import Done, ListenKey, PlainOrder
from trading_engine.venues.wire.clock import Milliseconds
from trading_engine.venues.wire.outcome import Meaning
from trading_engine.venues.wire.settings import AccountSettings
from trading_engine.venues.wire.socket import Patience, Send, Socket
from trading_engine.venues.wire.transport import Transport

PATIENCE = Patience(is_quiet=True)
_RETRY_MS = 30_000


class UserStream:
    """Events of one account, given to `emit` in the order they come."""

    def __init__(
        self,
        rest: Rest,
        settings: AccountSettings,
        transport: Transport,
        clock: Milliseconds,
        reader: Reader,
        emit: Callable[[VenueEvent], None],
        renewal_ms: int = LISTEN_KEY_RENEWAL_MS,
        patience: Patience = PATIENCE,
    ) -> None:
        self._rest = rest
        self._settings = settings
        self._clock = clock
        self._reader = reader
        self._emit = emit
        self._renewal_ms = renewal_ms
        self._tasks: list[asyncio.Task[None]] = []
        self._is_up = asyncio.Event()
        self._why_not = "no connection"
        self._socket = Socket(
            transport,
            clock,
            self._address,
            self._on_open,
            self._on_message,
            self._on_lost,
            self._on_restored,
            patience,
        )

    @property
    def is_speaking(self) -> bool:
        """The present connection stands and the account has answered."""
        return self._socket.is_speaking

    async def start(self, within_ms: int) -> None:
        """Connect and go on living; VenueUnavailable, and nothing left running, where no connection came about."""
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._socket.run(), name="binance:user-stream"),
            loop.create_task(self._keep_alive(), name="binance:listen-key"),
        ]
        try:
            async with asyncio.timeout(within_ms / 1000):
                await self._is_up.wait()
        except TimeoutError:
            await self.stop()
            raise VenueUnavailable(f"the user stream did not start within {within_ms} ms: {self._why_not}") from None
        except asyncio.CancelledError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End it; again has no effect. The key is left to expire: another process may share it."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def renew(self, why: str) -> None:
        """Connect anew."""
        await self._socket.reconnect(why)

    async def _address(self) -> str:
        try:
            key = (await self._rest.read(limits.NEW_LISTEN_KEY, (), ListenKey)).listen_key
        except (VenueUnavailable, VenueRejected) as error:
            self._why_not = f"no listen key ({error})"
            raise ConnectionError(self._why_not) from None
        return f"{self._settings.hosts.private_ws_url}/ws?listenKey={key}"

    async def _on_open(self, send: Send) -> None:
        """The connection stands; whether the account answers is asked over REST."""
        del send
        try:
            params = (("symbol", self._settings.symbols[0]),) if self._settings.symbols else ()
            await self._rest.read(limits.OPEN_ORDERS, params, list[PlainOrder])
        except (VenueUnavailable, VenueRejected) as error:
            self._why_not = f"the account does not answer ({error})"
            raise ConnectionError(self._why_not) from None
        self._socket.prove()

    async def _on_message(self, frame: bytes, send: Send) -> bool:
        del send
        try:
            message = self._reader.read(frame, self._clock.now_ms())
        except ValueError as error:
            logger.warning("binance: a message of the user stream cannot be read ({})", error)
            return False
        for event in message.events:
            self._emit(event)
        if message.kind == KEY_EXPIRED:
            await self._socket.reconnect("the listen key has expired")
        return bool(message.kind)

    async def _keep_alive(self) -> None:
        """Renew the key for as long as the stream lives; a key that is gone is replaced by connecting anew."""
        pause_ms = self._renewal_ms
        while True:
            await asyncio.sleep(pause_ms / 1000)
            try:
                answer = await self._rest.ask(limits.KEEP_LISTEN_KEY, (), Done)
            except VenueUnavailable as error:
                logger.warning("binance: the listen key could not be renewed ({})", error)
                pause_ms = min(_RETRY_MS, self._renewal_ms)
                continue
            if isinstance(answer, Refusal) and answer.meaning is Meaning.NOT_FOUND:
                await self._socket.reconnect("the listen key has expired")
            pause_ms = min(_RETRY_MS, self._renewal_ms) if isinstance(answer, Refusal) else self._renewal_ms

    def _on_lost(self, why: str) -> None:
        self._emit(StreamLost(self._clock.now_ms(), why))

    def _on_restored(self) -> None:
        self._is_up.set()
        self._emit(StreamRestored(self._clock.now_ms()))
