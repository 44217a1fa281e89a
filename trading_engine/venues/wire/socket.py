"""A websocket that comes back: connect, speak, listen, notice silence, wait, connect again.

What belongs here: the life of a connection. What does not: what is said on it (each venue's `stream`).

A socket that is open proves nothing: some routes acknowledge a subscription and then say nothing. So a connection
counts as restored only when `on_message` has said that it understood something, and it is cut when nothing came
for `silence_ms`. One that speaks and falls over again and again is not healthy either: the waits go on doubling
until a connection has lasted longer than the wait before it.

A stream that says nothing while nothing happens (an account's) is quiet by nature: it is pinged instead, cut when no
pong comes, and counts as restored when its owner says so (`prove`), after whatever it has checked.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import aiohttp
from yarl import URL

from trading_engine.domain.errors import OutcomeUnknown, RateLimited, VenueRejected, VenueUnavailable
from trading_engine.venues.wire.clock import Milliseconds
from trading_engine.venues.wire.transport import NoReply, NotSent, Transport

Send = Callable[[str], Awaitable[None]]

_CLOSE_S = 1.0  # how long a polite end may take: a venue that streams on or is gone would hold up the next connection
_MOST_BYTES = 16 << 20
_AT_ONCE = 32  # frames that may be handled before everybody else gets a turn: a burst must not hold up an order
_TROUBLE = (
    aiohttp.ClientError,
    OSError,  # TimeoutError is one
    NotSent,
    NoReply,
    VenueUnavailable,
    VenueRejected,
    OutcomeUnknown,
)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a connection waits for what.

    silence_ms   without any frame for so long the connection is cut, > 0; a ping of the venue is a frame
    connect_ms   for the address and the handshake together, and for a frame of ours to be taken
    first_ms     the first wait before connecting again, > 0; it doubles up to `longest_ms`, each with jitter
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
    on_open      told once a connection stands, with the way to send; subscribes, within `silence_ms`; may fail alike
    on_message   given each text or binary frame; True where it proves that the stream speaks. It handles its own
                 failures: whatever it raises is taken for a bug
    on_lost      told why a connection that had spoken is gone
    on_restored  told at the first message that proves it; lost and restored alternate, restored comes first
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
        self._spoke_s = 0.0
        self._why = ""
        self.connections = 0
        self.heard_ms = 0
        self.ended_why = ""  # why the last attempt or connection ended, spoken or not; never an address

    @property
    def is_open(self) -> bool:
        """A connection stands, whether or not it has said anything."""
        return self._ws is not None

    @property
    def is_speaking(self) -> bool:
        """The present connection has said something that was understood."""
        return self._has_spoken

    def data_age_ms(self) -> int:
        """Time since the last frame, in ms; counts from 1970 before the first."""
        return self._clock.now_ms() - self.heard_ms

    async def run(self) -> None:
        """Live until cancelled; a cancelled run tells nobody. What a callback raises ends it, and is raised here."""
        failures = 0
        try:
            while True:
                end = await self._live_once()
                failures = 0 if self._has_lasted(failures) else failures + 1
                self._lose(end.why)
                await asyncio.sleep(max(self._pause_s(failures), end.retry_after_ms / 1000))
        except Exception as error:
            self._lose(f"the handling of the stream failed ({type(error).__name__})")
            raise
        finally:
            self._has_spoken = False

    async def reconnect(self, why: str) -> None:
        """Cut the present connection, or the one being made; `run` makes a new one."""
        self._why = why
        if self._ws is not None:
            await _close(self._ws)

    async def send(self, text: str) -> None:
        """Say something on the present connection; dropped where there is none or it breaks: `run` notices that."""
        if self._ws is None or self._ws.closed:
            return
        try:
            async with asyncio.timeout(self._patience.connect_ms / 1000):
                await self._ws.send_str(text)
        except TimeoutError:
            await self.reconnect(f"the venue took nothing for {self._patience.connect_ms} ms")
        except (aiohttp.ClientError, ConnectionError):
            return

    def prove(self) -> None:
        """Count the present connection as restored; for owners of a quiet stream who have checked it otherwise."""
        if self._ws is not None and not self._has_spoken:
            self._has_spoken = True
            self._spoke_s = asyncio.get_running_loop().time()
            self._on_restored()

    def _lose(self, why: str) -> None:
        self.ended_why = self._why or why
        if self._has_spoken:
            self._has_spoken = False
            self._on_lost(self.ended_why)

    def _has_lasted(self, failures: int) -> bool:
        """Spoken for longer than the wait that came before."""
        spoken_s = asyncio.get_running_loop().time() - self._spoke_s
        return self._has_spoken and spoken_s * 1000 >= self._bound_ms(failures)

    def _bound_ms(self, failures: int) -> int:
        return min(self._patience.first_ms << min(max(failures - 1, 0), 16), self._patience.longest_ms)

    def _pause_s(self, failures: int) -> float:
        bound_ms = self._bound_ms(failures)
        return self._rng.uniform(bound_ms / 2, bound_ms) / 1000

    async def _live_once(self) -> "_End":
        """One connection, until it ends, and why it ended."""
        self._why = ""
        try:
            async with asyncio.timeout(self._patience.connect_ms / 1000):
                ws = await self._connect()
        except _TROUBLE as error:
            return _end("no connection", error)
        self._ws = ws
        self.connections += 1
        try:
            return await self._use(ws)
        finally:
            self._ws = None
            await _close(ws)

    async def _connect(self) -> aiohttp.ClientWebSocketResponse:
        address = await self._address()
        try:
            url = URL(address, encoded=True)
            is_sound = bool(url.raw_host and url.port)
        except ValueError:
            is_sound = False
        if not is_sound:  # raised out here: the ValueError quotes the address, and that may hold a key
            raise NotSent("the address is no URL")
        heartbeat_s = self._patience.silence_ms / 1000 if self._patience.is_quiet else None
        return await self._transport.session.ws_connect(
            url, autoping=True, heartbeat=heartbeat_s, max_msg_size=_MOST_BYTES, compress=0
        )

    async def _use(self, ws: aiohttp.ClientWebSocketResponse) -> "_End":
        started_ms = self._clock.now_ms()
        if self._why:  # `reconnect` came while the connection was made: its address may be out of date
            return _End(self._why)
        try:
            async with asyncio.timeout(self._patience.silence_ms / 1000):
                await self._on_open(self.send)
        except _TROUBLE as error:
            return _end("the stream could not be opened", error)
        return _End(await self._listen(ws, started_ms))

    async def _listen(self, ws: aiohttp.ClientWebSocketResponse, started_ms: int) -> str:
        heard = 0
        while True:
            heard += 1
            if heard % _AT_ONCE == 0:  # what has come already is received without waiting
                await asyncio.sleep(0)
            if self._patience.life_ms and self._clock.now_ms() - started_ms >= self._patience.life_ms:
                return "renewed before the venue ends it"
            try:
                message = await ws.receive(timeout=self._patience.silence_ms / 1000)
            except TimeoutError:
                if self._patience.is_quiet:  # a missing pong closes the connection
                    continue
                return f"nothing was heard for {self._patience.silence_ms} ms"
            if message.type is aiohttp.WSMsgType.ERROR:
                return f"a frame that makes no sense ({type(message.data).__name__})"
            if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                return "closed by the venue" if ws.close_code is None else f"closed by the venue ({ws.close_code})"
            self.heard_ms = self._clock.now_ms()
            frame = message.data.encode() if isinstance(message.data, str) else message.data
            if await self._on_message(frame, self.send):
                self.prove()


class _End(NamedTuple):
    """Why a connection ended, and how long the venue wants to be left alone."""

    why: str
    retry_after_ms: int = 0


def _end(what: str, error: Exception) -> _End:
    retry_after_ms = error.retry_after_ms if isinstance(error, RateLimited) else 0
    return _End(f"{what} ({type(error).__name__})", retry_after_ms)


async def _close(ws: aiohttp.ClientWebSocketResponse) -> None:
    """Say goodbye and hang up; without goodbye where that takes too long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_S):
            await ws.close()
