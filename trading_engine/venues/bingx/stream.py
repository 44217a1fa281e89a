"""The user stream: its key, its frames, and the events that follow.

What belongs here: the life of the listen key, unpacking, answering heartbeats, and reading executions that the
stream announces. What does not: connecting again (wire.socket), what an order's row means (codec).

Each frame is gzip. Every five seconds the venue says "Ping" and wants "Pong"; an account without trades says little
else, so a Ping counts as speech. That is safe because the key was made for this very connection and is extended in
time: a key that cannot be extended, or is said to have expired, ends the connection.

An execution is announced here and read from the history, where its trade id is the one that later reads will show.
An order message that may hide another order (a stop that has triggered) is not believed: the order is asked for.
"""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from urllib.parse import quote

import msgspec
from loguru import logger

from trading_engine.domain import money
from trading_engine.domain.errors import TradingEngineError, VenueUnavailable
from trading_engine.domain.events import FillSeen, OrderReported, StreamLost, StreamRestored
from trading_engine.domain.fills import Fill
from trading_engine.domain.orders import OrderReport
from trading_engine.ports import VenueEvent
from trading_engine.venues.bingx import codec, facts
from trading_engine.venues.bingx.codec import ListenKey, Number, OrderRow
from trading_engine.venues.bingx.history import OrderIds
from trading_engine.venues.bingx.rest import HTTP_OK, Answer, Rest, decoded
from trading_engine.venues.wire.clock import Milliseconds
from trading_engine.venues.wire.socket import Patience, Send, Socket
from trading_engine.venues.wire.transport import NotSent, Transport

EXTEND_MS = 20 * 60_000  # a key lives 60 minutes; at the very end it cannot be extended any more
EXTEND_AGAIN_MS = 30_000
PATIENCE = Patience(silence_ms=15_000)  # three heartbeats
READ_PAUSES_MS = (0, 200, 500, 1_000, 2_000)  # the history may lag behind the stream
_BEFORE_MS = 5_000  # an execution may be dated a little before its message

_MOST_FRAME = 16 << 20
_GZIP = b"\x1f\x8b"
_MOST_TOLD = 10_000


class OrderEvent(msgspec.Struct, frozen=True):
    """The order part of a message."""

    symbol: str = msgspec.field(name="s")
    order_id: codec.Id = msgspec.field(name="i")
    side: str = msgspec.field(name="S")
    status: str = msgspec.field(name="X")
    execution: str = msgspec.field(name="x", default="")
    client_id: str | None = msgspec.field(name="c", default="")
    type: str = msgspec.field(name="o", default="")
    quantity: Number = msgspec.field(name="q", default=None)
    price: Number = msgspec.field(name="p", default=None)
    stop_price: Number = msgspec.field(name="sp", default=None)
    filled: Number = msgspec.field(name="z", default=None)
    time: Number = msgspec.field(name="T", default=None)
    position_side: str = msgspec.field(name="ps", default="")
    trigger_order_id: codec.Id = msgspec.field(name="ti", default=0)
    reduce_only: codec.Flag = msgspec.field(name="ro", default=None)

    def row(self) -> OrderRow:
        """The same as a query would show it."""
        return OrderRow(
            symbol=self.symbol,
            order_id=self.order_id,
            side=self.side,
            status=self.status,
            type=self.type,
            position_side=self.position_side,
            orig_qty=self.quantity,
            price=self.price,
            stop_price=self.stop_price,
            executed_qty=self.filled,
            update_time=self.time,
            client_order_id=self.client_id,
            trigger_order_id=self.trigger_order_id,
            reduce_only=self.reduce_only,
        )


class AccountPart(msgspec.Struct, frozen=True):
    """Why the account changed, and which positions did."""

    reason: str = msgspec.field(name="m", default="")
    positions: list[msgspec.Raw] | None = msgspec.field(name="P", default=None)


class Message(msgspec.Struct, frozen=True):
    """Any message of the stream."""

    event: str = msgspec.field(name="e", default="")
    time: int = msgspec.field(name="E", default=0)
    order: msgspec.Raw = msgspec.field(name="o", default=msgspec.Raw(b"null"))
    account: msgspec.Raw = msgspec.field(name="a", default=msgspec.Raw(b"null"))


class Heartbeat(msgspec.Struct, frozen=True):
    """The JSON form of a heartbeat, seen on other sockets of the venue."""

    ping: str
    time: str = ""


_ORDER_EVENTS = frozenset({"ORDER_TRADE_UPDATE", "TRADE_UPDATE"})
_EXECUTIONS = frozenset({"TRADE", "CALCULATED"})
_PLAIN = b"Ping"


def unpacked(frame: bytes) -> bytes:
    """A frame's text; b"" where it cannot be unpacked."""
    if not frame.startswith(_GZIP):
        return frame
    try:
        return zlib.decompressobj(wbits=31).decompress(frame, _MOST_FRAME)
    except zlib.error:
        return b""


class UserStream:
    """Turns what an account's stream says into events for one sink.

    fills_since   reads executions, with the trade ids that they keep
    order         reads one order by its client id, following it where it has triggered
    """

    def __init__(
        self,
        rest: Rest,
        transport: Transport,
        clock: Milliseconds,
        ids: OrderIds,
        url: str,
        fills_since: Callable[[int], Awaitable[Sequence[Fill]]],
        order: Callable[[str, str], Awaitable[OrderReport | None]],
        emit: Callable[[VenueEvent], None],
        *,
        is_hedge: bool,
        patience: Patience = PATIENCE,
    ) -> None:
        self._rest = rest
        self._clock = clock
        self._ids = ids
        self._url = url
        self._fills_since = fills_since
        self._order = order
        self._emit = emit
        self._is_hedge = is_hedge
        self._listen_key = ""
        self._announced: dict[str, Decimal] = {}  # order: filled as announced, until executions explain it
        self._told: dict[str, Decimal] = {}  # order: sum of its executions that were told
        self._told_ids: dict[str, None] = {}
        self._moved_ms = 0  # a position changed then; 0 once an execution explains it
        self._latest_fill_ms = 0
        self._since_ms = 0
        self._wake = asyncio.Event()
        self._doubtful: dict[str, str] = {}  # client id: symbol, of orders to ask for
        self.socket = Socket(
            transport, clock, self._address, self._opened, self._heard, self._lost, self._restored, patience
        )

    async def run(self) -> None:
        """Live until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.socket.run())
            tasks.create_task(self._extend_for_ever())
            tasks.create_task(self._read_for_ever())

    # ── the key ─────────────────────────────────────────────────────────────

    async def _address(self) -> str:
        answer = await self._rest.act(facts.NEW_LISTEN_KEY, {}, is_protective=True)
        if not isinstance(answer, Answer):
            raise NotSent("no listen key")
        for part in (answer.body, answer.data):  # beside the envelope or in it
            try:
                self._listen_key = decoded(part, ListenKey).listen_key
            except VenueUnavailable:
                continue
            if self._listen_key:
                return f"{self._url}?listenKey={quote(self._listen_key, safe='')}"
        raise NotSent("no listen key")

    async def _extend_for_ever(self) -> None:
        pause_ms = EXTEND_MS
        while True:
            await asyncio.sleep(pause_ms / 1000)
            pause_ms = await self.extend()

    async def extend(self) -> int:
        """Extend the key, or connect anew where the venue does not know it any more; ms until the next time."""
        if not self._listen_key:
            return EXTEND_MS
        status = await self._rest.status(facts.EXTEND_LISTEN_KEY, {"listenKey": self._listen_key})
        if status is None:
            return EXTEND_AGAIN_MS
        if status != HTTP_OK:
            await self.socket.reconnect("the listen key could not be extended")
        return EXTEND_MS

    # ── frames ──────────────────────────────────────────────────────────────

    async def _opened(self, send: Send) -> None:
        """Nothing is said: everything comes by itself, and words that are not expected are answered with an error."""

    async def _heard(self, frame: bytes, send: Send) -> bool:
        text = unpacked(frame)
        if text == _PLAIN:
            await send("Pong")
            return True
        try:
            message = msgspec.json.decode(text, type=Message)
        except (msgspec.DecodeError, msgspec.ValidationError):
            return False
        if not message.event:
            return await self._answered_heartbeat(text, send)
        if message.event == "listenKeyExpired":
            await self.socket.reconnect("the listen key has expired")
            return False
        try:
            self._understand(message)
        except VenueUnavailable as error:
            logger.warning("a message of the user stream was not understood: {}", error)
            self._announce_move(message.time)
        return True

    async def _answered_heartbeat(self, text: bytes, send: Send) -> bool:
        try:
            beat = msgspec.json.decode(text, type=Heartbeat)
        except (msgspec.DecodeError, msgspec.ValidationError):
            return False
        await send(msgspec.json.encode({"pong": beat.ping, "time": beat.time}).decode())
        return True

    def _understand(self, message: Message) -> None:
        if message.event in _ORDER_EVENTS:
            self._on_order(decoded(bytes(message.order), OrderEvent), message.time)
        elif message.event == "ACCOUNT_UPDATE":
            part = decoded(bytes(message.account), AccountPart)
            # A stop that has triggered may show here only. Funding is read with the incomes.
            if part.positions and part.reason != "FUNDING_FEE":
                self._announce_move(message.time)

    def _on_order(self, event: OrderEvent, time_ms: int) -> None:
        row = event.row()
        client_id = self._ids.client_id(row.parent_id) or row.client_id
        if client_id:
            self._ids.learn(row.venue_id, client_id)
        if event.execution.upper() in _EXECUTIONS or row.filled:
            self._announce(row.venue_id, row.filled, codec.instant_ms(event.time) or time_ms)
        if row.may_have_triggered or (row.parent_id and not client_id):
            if client_id:
                self._doubtful[client_id] = facts.symbol_of(event.symbol)
                self._wake.set()
            return
        now_ms = self._clock.now_ms()
        self._emit(
            OrderReported(now_ms, codec.report_of(row, client_id, is_hedge=self._is_hedge, now_ms=time_ms or now_ms))
        )

    # ── what is read because of it ──────────────────────────────────────────

    def _announce(self, venue_id: str, filled: Decimal, time_ms: int) -> None:
        """An order has been filled up to so much."""
        if filled > self._told.get(venue_id, money.ZERO):
            self._announced[venue_id] = max(filled, self._announced.get(venue_id, money.ZERO))
            self._look_back(time_ms)

    def _announce_move(self, time_ms: int) -> None:
        """A position has changed, for whatever reason."""
        if self._latest_fill_ms < time_ms - _BEFORE_MS:
            self._moved_ms = max(self._moved_ms, time_ms)
            self._look_back(time_ms)

    def _look_back(self, time_ms: int) -> None:
        begin_ms = (time_ms or self._clock.now_ms()) - _BEFORE_MS
        self._since_ms = min(self._since_ms or begin_ms, begin_ms)
        self._wake.set()

    async def _read_for_ever(self) -> None:
        while True:
            await self._wake.wait()
            for pause_ms in READ_PAUSES_MS:
                await asyncio.sleep(pause_ms / 1000)
                self._wake.clear()
                if await self._read_once():
                    break
            else:
                # What is still missing is found by the reads of the engine: it knows of it by the order's report.
                self._announced.clear()
                self._moved_ms = 0
            self._since_ms = self._since_ms if self._wake.is_set() else 0

    async def _read_once(self) -> bool:
        """Tell what the history shows and what became of doubtful orders; whether everything announced was found."""
        try:
            if self._since_ms:
                for fill in await self._fills_since(self._since_ms):
                    self._tell(fill)
            for client_id, symbol in list(self._doubtful.items()):
                report = await self._order(symbol, client_id)
                self._doubtful.pop(client_id, None)
                if report is not None:
                    self._emit(OrderReported(self._clock.now_ms(), report))
        except TradingEngineError as error:
            logger.debug("what the user stream announced could not be read yet: {}", error)
            return False
        zero = money.ZERO
        self._announced = {key: most for key, most in self._announced.items() if self._told.get(key, zero) < most}
        if self._latest_fill_ms >= self._moved_ms - _BEFORE_MS:
            self._moved_ms = 0
        return not self._announced and not self._moved_ms

    def _tell(self, fill: Fill) -> None:
        if fill.trade_id in self._told_ids:
            return
        self._told_ids[fill.trade_id] = None
        self._latest_fill_ms = max(self._latest_fill_ms, fill.ts_ms)
        self._told[fill.venue_order_id] = self._told.get(fill.venue_order_id, money.ZERO) + fill.quantity
        if len(self._told_ids) > _MOST_TOLD:
            del self._told_ids[next(iter(self._told_ids))]
        if len(self._told) > _MOST_TOLD:
            del self._told[next(iter(self._told))]
        self._emit(FillSeen(self._clock.now_ms(), fill))

    # ── the connection ──────────────────────────────────────────────────────

    def _lost(self, why: str) -> None:
        self._emit(StreamLost(self._clock.now_ms(), why))

    def _restored(self) -> None:
        self._emit(StreamRestored(self._clock.now_ms()))
