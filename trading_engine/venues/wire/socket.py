"""A websocket that comes back: connect, speak, listen, notice silence, wait, connect again.

What belongs here: the life of a connection. What does not: what is said on it (each venue's `stream`).

A socket that is open proves nothing: some routes acknowledge a subscription and then say nothing. So a connection
counts as restored only when `on_message` has said that it understood something, and it is cut when nothing came
for `silence_ms`.

A stream that says nothing while nothing happens (an account's) is quiet by nature: it is pinged instead, cut when no
pong comes, and counts as restored when its owner says so (`prove`), after whatever it has checked.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp
from yarl import URL

from trading_engine.venues.wire.clock import Milliseconds
from trading_engine.venues.wire.transport import NotSent, Transport

Send = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a connection waits for what.

    silence_ms   without any frame for so long the connection is cut
    connect_ms   for the handshake
    first_ms     the first wait before connecting again; it doubles up to `longest_ms`, each with jitter
    life_ms      a connection is renewed after so long, before the venue cuts it; 0 for never
    is_quiet     silence is no fault of the stream: pings tell every `silence_ms` whether the connection lives
    """

    silence_ms: int = 20_000
    connect_ms: int = 5_000
    first_ms: int = 250
    longest_ms: int = 30_000
    life_ms: int = 23 * 3_600_000
    is_quiet: bool = False


class Socket:
    """One connection at a time to whatever `address` names at that moment.

    address      made anew for each connection (it may need a fresh key); its failure counts as a failed connection
    on_open      told once a connection stands, with the way to send; subscribes
    on_message   given each text or binary frame; True where it proves that the stream speaks
    on_lost      told why a connection that had spoken is gone
    on_restored  told at the first message that proves it
    """

    def __init__(
        self,
        transport: Transport,
        clock: Milliseconds,
        address: Callable[[], Awaitable[str]],
        on_open: Callable[[Send], Awaitable[None]],
        on_message: Callable[[bytes, Send], Awaitable[bool]],
        on_lost: Callable[[str], None],
        on_restored: Callable[[], None],
        patience: Patience | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._address = address
        self._on_open = on_open
        self._on_message = on_message
        self._on_lost = on_lost
        self._on_restored = on_restored
        self._patience = patience or Patience()
        self._rng = rng or random.Random()  # noqa: S311 - jitter is no secret
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._has_spoken = False
        self._why = ""
        self.connections = 0
        self.heard_ms = 0

    @property
    def is_speaking(self) -> bool:
        """The present connection has said something that was understood."""
        return self._has_spoken

    def data_age_ms(self) -> int:
        """Time since the last frame, in ms; counts from 1970 before the first."""
        return self._clock.now_ms() - self.heard_ms

    async def run(self) -> None:
        """Live until cancelled."""
        failures = 0
        while True:
            why = await self._live_once()
            failures = 0 if self._has_spoken else failures + 1
            self._lose(why)
            await asyncio.sleep(self._pause_s(failures))

    async def reconnect(self, why: str) -> None:
        """Cut the present connection; `run` makes a new one."""
        self._why = why
        if self._ws is not None:
            await self._ws.close()

    async def send(self, text: str) -> None:
        """Say something on the present connection; dropped where there is none."""
        if self._ws is not None and not self._ws.closed:
            await self._ws.send_str(text)

    def prove(self) -> None:
        """Count the present connection as restored; for owners of a quiet stream who have checked it otherwise."""
        if self._ws is not None and not self._has_spoken:
            self._has_spoken = True
            self._on_restored()

    def _lose(self, why: str) -> None:
        if self._has_spoken:
            self._has_spoken = False
            self._on_lost(self._why or why)
        self._why = ""

    def _pause_s(self, failures: int) -> float:
        bound = min(self._patience.first_ms << min(failures, 16), self._patience.longest_ms)
        return self._rng.uniform(bound / 2, bound) / 1000

    async def _live_once(self) -> str:
        """One connection, until it ends; why it ended."""
        try:
            async with asyncio.timeout(self._patience.connect_ms / 1000):
                url = await self._address()
                ws = await self._transport.session.ws_connect(
                    URL(url, encoded=True),
                    autoping=True,
                    heartbeat=self._patience.silence_ms / 1000 if self._patience.is_quiet else None,
                    max_msg_size=16 << 20,
                    compress=0,
                )
        except (aiohttp.ClientError, OSError, TimeoutError, NotSent) as error:
            return f"no connection ({type(error).__name__})"
        self._ws = ws
        self.connections += 1
        try:
            return await self._listen(ws)
        except (aiohttp.ClientError, OSError) as error:
            return f"connection broken ({type(error).__name__})"
        finally:
            self._ws = None
            await ws.close()

    async def _listen(self, ws: aiohttp.ClientWebSocketResponse) -> str:
        started_ms = self._clock.now_ms()
        await self._on_open(self.send)
        while True:
            if self._patience.life_ms and self._clock.now_ms() - started_ms >= self._patience.life_ms:
                return "renewed before the venue ends it"
            try:
                message = await ws.receive(timeout=self._patience.silence_ms / 1000)
            except TimeoutError:
                if self._patience.is_quiet:  # a missing pong closes the connection
                    continue
                return f"nothing was heard for {self._patience.silence_ms} ms"
            if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                return "closed by the venue"
            self.heard_ms = self._clock.now_ms()
            frame = message.data.encode() if isinstance(message.data, str) else message.data
            if await self._on_message(frame, self.send):
                self.prove()
