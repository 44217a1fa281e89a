"""A venue server that says what a test tells it to, on a real socket of this machine.

What belongs here: the server, its recordings, and payloads of the right shape made for the tests. What does not: any
logic of an exchange.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiohttp import WSMsgType, web

from trading_engine.domain.events import FillSeen, IncomeSeen, OrderReported, StreamLost, StreamRestored
from trading_engine.ports import PositionMode
from trading_engine.venues.binance.venue import BinanceVenue
from trading_engine.venues.wire.secrets import Credentials
from trading_engine.venues.wire.settings import AccountSettings, Hosts

T = TypeVar("T")
VenueEvents = list[FillSeen | IncomeSeen | OrderReported | StreamLost | StreamRestored]

KEY, SECRET = "test-key", "test-secret"
NOW_MS = 1_764_000_000_000
DAY_MS = 86_400_000
OURS = "teaaaa000001e00000"
STOP = "teaaaa000001s00000"


@dataclass
class SetClock:
    """A clock that a test sets."""

    now: int = NOW_MS

    def now_ms(self) -> int:
        """The instant that was set."""
        return self.now


@dataclass(frozen=True)
class Call:
    """What the server was asked: `text` without the stamp, `raw` as it came."""

    method: str
    path: str
    raw: str
    key: str

    @property
    def text(self) -> str:
        """Parameters without stamp and signature."""
        return self.raw.split("recvWindow=")[0].rstrip("&")

    @property
    def told(self) -> str:
        """Method, path and parameters."""
        return f"{self.method} {self.path} {self.text}".rstrip()

    @property
    def params(self) -> dict[str, str]:
        """Every parameter as it came."""
        return dict(pair.split("=", 1) for pair in self.raw.split("&") if pair)


@dataclass
class Answer:
    """One answer; `body` is JSON unless it is text already. `cut` closes the connection instead."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


Script = Answer | Callable[[Call], Answer]


class Server:
    """Answers by method and path: what is queued first, then the standing answer."""

    def __init__(self, clock: SetClock) -> None:
        self.clock = clock
        self.calls: list[Call] = []
        self.queued: dict[str, deque[Script]] = {}
        self.standing: dict[str, Script] = {
            "GET /fapi/v1/time": lambda _: Answer({"serverTime": clock.now}),
            "GET /fapi/v1/exchangeInfo": Answer(exchange_info()),
            "GET /fapi/v1/leverageBracket": Answer([brackets("BTCUSDT"), brackets("ETHUSDT")]),
            "GET /fapi/v1/feeBurn": Answer({"feeBurn": False}),
            "POST /fapi/v1/listenKey": Answer({"listenKey": "k1"}),
            "PUT /fapi/v1/listenKey": Answer({}),
        }
        for path in ("openOrders", "openAlgoOrders", "allAlgoOrders", "allOrders", "userTrades", "income"):
            self.standing[f"GET /fapi/v1/{path}"] = Answer([])
        self.sockets: list[web.WebSocketResponse] = []
        self.socket_addresses: list[str] = []
        self.pings = True

    def say(self, name: str, *scripts: Script | dict[str, Any] | list[Any]) -> None:
        """Queue answers to a call; plain JSON is a success."""
        ready = [Answer(item) if isinstance(item, dict | list) else item for item in scripts]
        self.queued.setdefault(name, deque()).extend(ready)

    def told(self, *paths: str) -> list[str]:
        """What was asked on these paths, all of them by default."""
        return [call.told for call in self.calls if not paths or call.path.rsplit("/", 1)[-1] in paths]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Record a call and answer it; any path below /private is the user stream."""
        if request.path.startswith("/private"):
            return await self._listen(request)
        body = await request.text()
        raw = request.rel_url.raw_query_string + body
        call = Call(request.method, request.path, raw, request.headers.get("X-MBX-APIKEY", ""))
        self.calls.append(call)
        name = f"{request.method} {request.path}"
        queue = self.queued.get(name)
        script = queue.popleft() if queue else self.standing.get(name, Answer({"code": -1000, "msg": name}, 500))
        answer = script(call) if callable(script) else script
        if answer.cut:
            assert request.transport is not None
            request.transport.close()
        text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
        return web.Response(text=text, status=answer.status, headers=answer.headers)

    async def _listen(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoping=self.pings)
        await socket.prepare(request)
        self.socket_addresses.append(request.raw_path)
        self.sockets.append(socket)
        async for message in socket:
            if message.type is WSMsgType.ERROR:
                break
        return socket


@asynccontextmanager
async def served(clock: SetClock) -> AsyncIterator[tuple[Server, Hosts]]:
    """A server on a port of its own."""
    server = Server(clock)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield (
            server,
            Hosts(f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}/market", f"ws://127.0.0.1:{port}/private"),
        )
    finally:
        for socket in server.sockets:
            await socket.close()
        await runner.cleanup()


def play(
    scene: Callable[[Server, BinanceVenue], Awaitable[T]],
    *,
    mode: PositionMode = PositionMode.ONE_WAY,
    symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT"),
    trigger_by: str = "last",
    is_loaded: bool = True,
    clock: SetClock | None = None,
) -> T:
    """Run a scene with a server and an adapter that has read its instruments."""
    clock = clock or SetClock()

    async def main() -> T:
        async with served(clock) as (server, hosts):
            settings = AccountSettings("main", symbols, hosts, position_mode=mode, trigger_by=trigger_by)
            venue = BinanceVenue(Credentials(KEY, SECRET), settings, clock)
            try:
                if is_loaded:
                    await venue.instruments()
                    server.calls.clear()
                return await scene(server, venue)
            finally:
                await venue.close()

    return asyncio.run(main())


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that a socket brings about, for two seconds at most."""
    async with asyncio.timeout(2):
        while not condition():  # noqa: ASYNC110 - what is waited for is in another task
            await asyncio.sleep(0.005)


# ── payloads ────────────────────────────────────────────────────────────────


def symbol_info(symbol: str, tick: str, step: str, **changes: Any) -> dict[str, Any]:
    plain = {
        "symbol": symbol,
        "pair": symbol,
        "contractType": "PERPETUAL",
        "status": "TRADING",
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": 9,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "1", "maxPrice": "1000000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "1000", "stepSize": step},
            {"filterType": "MARKET_LOT_SIZE", "minQty": step, "maxQty": "120", "stepSize": step},
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
            {"filterType": "MIN_NOTIONAL", "notional": "100"},
        ],
    }
    return plain | changes


def exchange_info(*extra: dict[str, Any]) -> dict[str, Any]:
    return {
        "timezone": "UTC",
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400},
            {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300},
        ],
        "symbols": [symbol_info("BTCUSDT", "0.10", "0.001"), symbol_info("ETHUSDT", "0.01", "0.001"), *extra],
    }


def brackets(symbol: str) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "notionalCoef": 1.0,
        "brackets": [
            {"bracket": 2, "initialLeverage": 50, "notionalCap": 250000, "maintMarginRatio": 0.01, "cum": 1750.0},
            {"bracket": 1, "initialLeverage": 75, "notionalCap": 50000, "maintMarginRatio": 0.0065, "cum": 0.0},
        ],
    }


def plain(**changes: Any) -> dict[str, Any]:
    """A plain order as the venue tells it."""
    order = {
        "orderId": 8389765739703625592,
        "symbol": "BTCUSDT",
        "status": "NEW",
        "clientOrderId": OURS,
        "price": "0.0000",
        "origQty": "0.010",
        "executedQty": "0.000",
        "timeInForce": "GTC",
        "type": "MARKET",
        "reduceOnly": False,
        "closePosition": False,
        "side": "BUY",
        "positionSide": "BOTH",
        "stopPrice": "0.0000",
        "updateTime": NOW_MS - 5,
    }
    return order | changes


def algo(**changes: Any) -> dict[str, Any]:
    """A conditional order as the venue tells it."""
    order = {
        "algoId": 4000001910058351,
        "clientAlgoId": STOP,
        "algoType": "CONDITIONAL",
        "orderType": "STOP_MARKET",
        "symbol": "BTCUSDT",
        "side": "SELL",
        "positionSide": "BOTH",
        "timeInForce": "GTC",
        "quantity": "0.010",
        "algoStatus": "NEW",
        "triggerPrice": "58000.000000",
        "price": "0.000000",
        "icebergQuantity": None,
        "closePosition": False,
        "reduceOnly": True,
        "createTime": NOW_MS - 100,
        "updateTime": NOW_MS - 100,
        "triggerTime": 0,
    }
    return order | changes


def trade(number: int, time: int, **changes: Any) -> dict[str, Any]:
    """A row of userTrades."""
    row = {
        "symbol": "BTCUSDT",
        "id": number,
        "orderId": 7,
        "side": "BUY",
        "price": "60000.0",
        "qty": "0.001",
        "realizedPnl": "0",
        "commission": "0.03",
        "commissionAsset": "USDT",
        "time": time,
        "buyer": True,
        "maker": False,
        "positionSide": "BOTH",
        "baseQty": "0",
        "marginAsset": "USDT",
    }
    return row | changes


def income(number: int, time: int, kind: str = "FUNDING_FEE", **changes: Any) -> dict[str, Any]:
    """A row of income."""
    row = {
        "symbol": "BTCUSDT",
        "incomeType": kind,
        "income": "-0.01230000",
        "asset": "USDT",
        "info": kind,
        "time": time,
        "tranId": number,
        "tradeId": "",
    }
    return row | changes


def order_update(**changes: Any) -> dict[str, Any]:
    """ORDER_TRADE_UPDATE of a fill."""
    order = {
        "s": "BTCUSDT",
        "c": OURS,
        "S": "BUY",
        "o": "MARKET",
        "f": "GTC",
        "q": "0.010",
        "p": "0",
        "ap": "60000.1",
        "sp": "0",
        "x": "TRADE",
        "X": "FILLED",
        "i": 33878894217,
        "l": "0.004",
        "z": "0.010",
        "L": "60000.1",
        "n": "0.0012",
        "N": "BNB",
        "T": NOW_MS - 3,
        "t": 1190331610,
        "b": "0",
        "a": "0",
        "m": True,
        "R": False,
        "wt": "CONTRACT_PRICE",
        "ot": "MARKET",
        "ps": "BOTH",
        "cp": False,
        "rp": "0.147",
        "er": "0",
    }
    return {"e": "ORDER_TRADE_UPDATE", "T": NOW_MS - 3, "E": NOW_MS - 2, "o": order | changes}


def algo_update(**changes: Any) -> dict[str, Any]:
    """ALGO_UPDATE of a new stop."""
    order = {
        "caid": STOP,
        "aid": 4000001910701524,
        "at": "CONDITIONAL",
        "o": "STOP_MARKET",
        "s": "BTCUSDT",
        "S": "SELL",
        "ps": "BOTH",
        "f": "GTC",
        "q": "0.010",
        "X": "NEW",
        "ai": "",
        "tp": "58000.0",
        "p": "0",
        "wt": "CONTRACT_PRICE",
        "cp": False,
        "R": True,
        "tt": 0,
    }
    return {"e": "ALGO_UPDATE", "T": NOW_MS - 3, "E": NOW_MS - 2, "o": order | changes}
