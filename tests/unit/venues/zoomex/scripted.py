"""A small server on this machine that answers as it was told, and remembers what it was asked."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

from aiohttp import WSMsgType, web

from trading_engine.domain.market import Side
from trading_engine.domain.order_type import OrderType, TimeInForce
from trading_engine.domain.orders import OrderRequest, TradeSide
from trading_engine.ports import PositionMode, VenueEvent
from trading_engine.venues.wire.secrets import Credentials
from trading_engine.venues.wire.settings import AccountSettings, Hosts
from trading_engine.venues.zoomex import facts
from trading_engine.venues.zoomex.venue import ZoomexVenue

T = TypeVar("T")
START_MS = 1_767_225_600_000
BTC = "BTCUSDT"
OURS = "teabcd000001e00001"
ORDER_ID = "c6f055d9-0000-4079-913d-e6523a9cfffa"
CREDENTIALS = Credentials("test-key", "test-secret")


@dataclass
class Clock:
    """Time that starts at a known instant and goes on; `skew_ms` sets it off from the server's."""

    skew_ms: int = 0
    started: float = field(default_factory=time.monotonic)

    def now_ms(self) -> int:
        """The present instant."""
        return START_MS + self.skew_ms + int((time.monotonic() - self.started) * 1000)


@dataclass
class Asked:
    """A request as it came over the wire."""

    method: str
    path: str
    query: str
    body: str
    headers: dict[str, str]

    @property
    def json(self) -> dict[str, object]:
        """The body."""
        made: dict[str, object] = json.loads(self.body)
        return made


@dataclass
class Answer:
    """What the server says; a dict is a result inside of an envelope without an error."""

    body: object = None
    code: int = 0
    text: str = "OK"
    status: int = 200
    raw: str | None = None
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    hangs_up: bool = False


Script = Answer | list[Answer] | Callable[[Asked], Answer]


def order_row(**changes: object) -> dict[str, object]:
    """A resting order as the history and the stream show it."""
    return {
        "category": "linear",
        "symbol": BTC,
        "orderId": ORDER_ID,
        "orderLinkId": OURS,
        "side": "Buy",
        "orderType": "Limit",
        "price": "60000.50",
        "qty": "0.010",
        "timeInForce": "GTC",
        "orderStatus": "New",
        "cancelType": "UNKNOWN",
        "rejectReason": "EC_NoError",
        "avgPrice": "",
        "leavesQty": "0.010",
        "cumExecQty": "0.000",
        "cumExecValue": "0",
        "cumExecFee": "0",
        "positionIdx": 0,
        "stopOrderType": "UNKNOWN",
        "triggerPrice": "0.00",
        "triggerDirection": 0,
        "reduceOnly": False,
        "createdTime": "1767225600100",
        "updatedTime": "1767225600101",
        **changes,
    }


def capital(row: dict[str, object]) -> dict[str, object]:
    """The spelling of the listing of open orders."""
    return {name[0].upper() + name[1:]: value for name, value in row.items()}


def execution_row(**changes: object) -> dict[str, object]:
    """A fill as the listing shows it: without a client id."""
    return {
        "symbol": BTC,
        "orderId": ORDER_ID,
        "side": "Buy",
        "orderPrice": "60000.5",
        "orderQty": "0.010",
        "leavesQty": "0.006",
        "orderType": "Limit",
        "stopOrderType": "UNKNOWN",
        "execFee": "0.04800040",
        "execId": "e0cbe81d-0000-5866-9415-cf319b5dab3b",
        "execPrice": "60000.5",
        "execQty": "0.004",
        "execType": "Trade",
        "execValue": "240.002",
        "execTime": "1767225601000",
        "isMaker": True,
        "feeRate": "0.0002",
        "closedSize": 0,
        "seq": 7961638724,
        **changes,
    }


def instrument_row(symbol: str = BTC, **changes: object) -> dict[str, object]:
    """A listed contract."""
    return {
        "symbol": symbol,
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "settleCoin": "USDT",
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
        "priceFilter": {"minPrice": "0.10", "maxPrice": "1999999.80", "tickSize": "0.10"},
        "lotSizeFilter": {
            "maxOrderQty": "100.000",
            "minOrderQty": "0.001",
            "qtyStep": "0.001",
            "maxMktOrderQty": "50.000",
            "minNotionalValue": "5",
        },
        "fundingInterval": 480,
        "tags": [],
        **changes,
    }


def listing(*rows: object, cursor: str = "") -> Answer:
    """One page."""
    return Answer({"list": list(rows), "nextPageCursor": cursor, "category": "linear"})


def _defaults() -> dict[str, Script]:
    tier = {"id": 1, "symbol": BTC, "riskLimitValue": "2000000", "maintenanceMargin": "0.005", "maxLeverage": "100.00"}
    wallet = {
        "accountType": "UNIFIED",
        "totalAvailableBalance": "993.03",
        "coin": [{"coin": "USDT", "walletBalance": "1000.10", "availableToWithdraw": ""}],
    }
    return {
        facts.INSTRUMENTS: listing(instrument_row()),
        facts.RISK_LIMITS: listing(tier),
        facts.WALLET: Answer({"list": [wallet]}),
        facts.CREATE: Answer({"orderId": ORDER_ID, "orderLinkId": OURS}),
        facts.CANCEL: Answer({"orderId": ORDER_ID, "orderLinkId": OURS}),
        facts.CANCEL_ALL: Answer({"list": [], "success": "1"}),
        facts.REALTIME: listing(),
        facts.HISTORY: listing(),
        facts.EXECUTIONS: listing(),
        facts.POSITIONS: listing(),
    }


class Server:
    """Answers by path; a list of answers is used up, its last one stays."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.script = _defaults()
        self.asked: list[Asked] = []
        self.frames: list[dict[str, object]] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.on_frame: Callable[[dict[str, object]], list[object]] = confirm
        self.address = ""

    def calls(self, path: str) -> list[Asked]:
        """What was asked of one path."""
        return [asked for asked in self.asked if asked.path == facts.PREFIX + path]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a call."""
        path, _, query = request.raw_path.partition("?")
        asked = Asked(request.method, path, query, (await request.read()).decode(), dict(request.headers))
        self.asked.append(asked)
        answer = self._answer(path.removeprefix(facts.PREFIX), asked)
        if answer.hangs_up:
            assert request.transport is not None
            request.transport.close()
        if answer.raw is not None:
            return web.Response(
                status=answer.status, text=answer.raw, content_type=answer.content_type, headers=answer.headers
            )
        envelope = {
            "retCode": answer.code,
            "retMsg": answer.text,
            "result": answer.body,
            "retExtInfo": {},
            "time": self.clock.now_ms(),
        }
        return web.json_response(envelope, status=answer.status, headers=answer.headers)

    def _answer(self, path: str, asked: Asked) -> Answer:
        if path == facts.TIME:
            now_ms = self.clock.now_ms()
            return Answer({"timeSecond": str(now_ms // 1000), "timeNano": str(now_ms * 1_000_000)})
        script = self.script.get(path, Answer(raw="404 page not found", status=404, content_type="text/plain"))
        if isinstance(script, list):
            return script.pop(0) if len(script) > 1 else script[0]
        return script if isinstance(script, Answer) else script(asked)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Talk on a websocket until it ends."""
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        self.sockets.append(ws)
        async for message in ws:
            if message.type is not WSMsgType.TEXT:
                break
            frame = json.loads(message.data)
            self.frames.append(frame)
            for answer in self.on_frame(frame):
                await ws.send_json(answer)
        return ws

    async def push(self, topic: str, *rows: object) -> None:
        """Tell rows of a topic on the newest connection."""
        await self.sockets[-1].send_json({"id": "1", "topic": topic, "creationTime": START_MS, "data": list(rows)})


def confirm(frame: dict[str, object]) -> list[object]:
    """The documented answer to each frame."""
    if frame["op"] == "ping":
        return [{"req_id": frame["req_id"], "op": "pong", "args": ["1767225600633"], "conn_id": "c"}]
    return [{"success": True, "ret_msg": "", "op": frame["op"], "req_id": frame.get("req_id"), "conn_id": "c"}]


@dataclass
class Bench:
    """A venue in front of a server."""

    venue: ZoomexVenue
    server: Server
    events: list[VenueEvent]

    async def until(self, is_so: Callable[[], bool], timeout_s: float = 5.0) -> None:
        """Wait for something to become so."""
        async with asyncio.timeout(timeout_s):
            while not is_so():  # noqa: ASYNC110 - what is waited for has no event of its own
                await asyncio.sleep(0.005)


@asynccontextmanager
async def bench(
    *,
    mode: PositionMode = PositionMode.ONE_WAY,
    trigger_by: str = "last",
    symbols: tuple[str, ...] = (BTC,),
    skew_ms: int = 0,
    reads_instruments: bool = True,
) -> AsyncIterator[Bench]:
    """Both ends, with the instruments read and the list of requests empty; the stream is not started."""
    server = Server(Clock())
    app = web.Application()
    app.router.add_get(facts.PRIVATE_STREAM_PATH, server.stream)
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    hosts = Hosts(f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}", f"ws://127.0.0.1:{port}")
    server.address = hosts.rest_url
    settings = AccountSettings("main", symbols, hosts, position_mode=mode, trigger_by=trigger_by)
    venue = ZoomexVenue(CREDENTIALS, settings, Clock(skew_ms))
    events: list[VenueEvent] = []
    venue.subscribe(events.append)
    try:
        if reads_instruments:
            await venue.instruments()
            server.asked.clear()
        yield Bench(venue, server, events)
    finally:
        await venue.close()
        await runner.cleanup()


def run(story: Callable[[Bench], Awaitable[T]], **settings: object) -> T:
    """Play a story on a fresh bench."""

    async def play() -> T:
        async with bench(**settings) as made:  # type: ignore[arg-type]
            return await story(made)

    return asyncio.run(play())


def request(**changes: object) -> OrderRequest:
    """A limit order to buy 0.010 at 60,000.5, or what is changed."""
    values: dict[str, object] = {
        "client_order_id": OURS,
        "symbol": BTC,
        "side": TradeSide.BUY,
        "type": OrderType.LIMIT,
        "quantity": Decimal("0.010"),
        "reduce_only": False,
        "position_side": Side.LONG,
        "price": Decimal("60000.5"),
        "time_in_force": TimeInForce.GTC,
        **changes,
    }
    return OrderRequest(**values)  # type: ignore[arg-type]
