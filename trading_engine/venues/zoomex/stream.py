"""The private stream: what the venue tells unasked.

What belongs here: authentication, subscriptions, the heartbeat, and which message is what. What does not: the life of
the connection (wire.socket), what follows from a row (venue).

The venue sends no picture at the start and nothing while nothing happens. So the stream counts as speaking once the
venue has confirmed both the key and the subscriptions to orders and executions; after that the answers to our pings
prove that it still hears us. What cannot be understood may have been an order, so it ends the connection: the engine
then reads the account.
"""

import asyncio
from collections.abc import Callable

import aiohttp
import msgspec

from trading_engine.venues.wire.clock import Milliseconds, VenueClock
from trading_engine.venues.wire.secrets import Credentials
from trading_engine.venues.wire.socket import Patience, Send, Socket
from trading_engine.venues.wire.transport import Transport
from trading_engine.venues.zoomex import facts, shapes
from trading_engine.venues.zoomex.rest import signature

_NEEDED = "needed"  # names the frame that subscribes to what the engine lives on
_FURTHER = "further"
_PING = '{"req_id":"ping","op":"ping"}'


def auth_frame(credentials: Credentials, expires_ms: int) -> str:
    """The first frame of a connection."""
    signed = signature(credentials.secret, f"GET/realtime{expires_ms}")
    frame = {"req_id": "auth", "op": "auth", "args": [credentials.key, expires_ms, signed]}
    return msgspec.json.encode(frame).decode()


def subscribe_frame(name: str, *topics: str) -> str:
    """One frame; a single bad topic would fail all of its topics."""
    return msgspec.json.encode({"req_id": name, "op": "subscribe", "args": list(topics)}).decode()


class Stream:
    """The user stream of one account; `run` lives until cancelled.

    on_order, on_execution   given each row of this adapter's category
    on_lost, on_restored     as for a socket
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        transport: Transport,
        clock: Milliseconds,
        venue_clock: VenueClock,
        on_order: Callable[[shapes.OrderRow], None],
        on_execution: Callable[[shapes.ExecutionRow], None],
        on_lost: Callable[[str], None],
        on_restored: Callable[[], None],
        patience: Patience | None = None,
        ping_ms: int = facts.PING_MS,
    ) -> None:
        self._url = url
        self._credentials = credentials
        self._venue_clock = venue_clock
        self._on_order = on_order
        self._on_execution = on_execution
        self._ping_ms = ping_ms
        self._is_known = False  # the venue has taken the key of this connection
        self._is_confirmed = False  # and the subscriptions
        self._socket = Socket(
            transport,
            clock,
            self._address,
            self._open,
            self._message,
            on_lost,
            on_restored,
            patience or Patience(silence_ms=facts.SILENCE_MS),
        )

    @property
    def is_speaking(self) -> bool:
        """Key and subscriptions of the present connection are confirmed."""
        return self._socket.is_speaking

    async def run(self) -> None:
        """Live until cancelled."""
        pinger = asyncio.get_running_loop().create_task(self._ping(), name="zoomex:ping")
        try:
            await self._socket.run()
        finally:
            pinger.cancel()
            await asyncio.gather(pinger, return_exceptions=True)

    async def renew(self, why: str) -> None:
        """Connect anew."""
        await self._socket.reconnect(why)

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self._ping_ms / 1000)
            try:
                if self._is_known:
                    await self._socket.send(_PING)
            except (aiohttp.ClientError, OSError):
                continue  # the connection is ending; the socket notices by itself

    async def _address(self) -> str:
        return self._url

    async def _open(self, send: Send) -> None:
        self._is_known = self._is_confirmed = False
        await send(auth_frame(self._credentials, self._venue_clock.now_ms() + facts.AUTH_LIFE_MS))

    async def _message(self, frame: bytes, send: Send) -> bool:
        try:
            told = shapes.decode(frame, dict[str, object])
            if "topic" in told:
                self._rows(told)
            else:
                await self._answer(told, send)
        except shapes.Unreadable as error:
            await self._socket.reconnect(f"a message that cannot be understood: {error}")
            return False
        return self._is_confirmed

    async def _answer(self, told: dict[str, object], send: Send) -> None:
        """The venue's answer to a frame of ours."""
        op, is_success = told.get("op"), told.get("success") is True
        if op == "auth":
            if not is_success:
                await self._socket.reconnect("the venue refused the key of the stream")
                return
            self._is_known = True
            await send(subscribe_frame(_NEEDED, "order", "execution"))
            await send(subscribe_frame(_FURTHER, "position", "wallet"))
        elif op == "subscribe" and told.get("req_id") in (None, "", _NEEDED):
            # The echo of the name is not sure; answers come in the order of the frames.
            is_double = "already subscribed" in str(told.get("ret_msg"))
            if is_success or is_double or self._is_confirmed:
                self._is_confirmed = True
            else:
                await self._socket.reconnect("the venue refused the subscription to orders and executions")

    def _rows(self, told: dict[str, object]) -> None:
        """Positions and the wallet are signs of life; they are read whole where they are needed."""
        topic = str(told["topic"]).split(".", 1)[0]
        if topic == "order":
            for order in shapes.rows_of(told.get("data"), shapes.OrderRow):
                if order.category in (None, "", facts.CATEGORY):
                    self._on_order(order)
        elif topic == "execution":
            for execution in shapes.rows_of(told.get("data"), shapes.ExecutionRow):
                if execution.category in (None, "", facts.CATEGORY):
                    self._on_execution(execution)
