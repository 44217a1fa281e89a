"""A scripted BingX on 127.0.0.1, and a venue that talks to it.

What belongs here: answers in the shapes of the venue with invented values. What does not: any behaviour of a market.
"""

import asyncio
import gzip
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl

from aiohttp import WSMsgType, web

from trading_engine.ports import PositionMode, VenueEvent
from trading_engine.venues.bingx.venue import BingxVenue
from trading_engine.venues.wire.secrets import Credentials
from trading_engine.venues.wire.settings import AccountSettings, Hosts

NOW_MS = 1_767_225_600_000
KEY, SECRET = "test-key", "bx-test-secret-0123456789ABCDEF"

TIME = "GET /openApi/swap/v2/server/time"
CONTRACTS = "GET /openApi/swap/v2/quote/contracts"
KLINES = "GET /openApi/swap/v3/quote/klines"
BALANCE = "GET /openApi/swap/v3/user/balance"
POSITIONS = "GET /openApi/swap/v2/user/positions"
INCOME = "GET /openApi/swap/v2/user/income"
COMMISSION = "GET /openApi/swap/v2/user/commissionRate"
PLACE = "POST /openApi/swap/v2/trade/order"
CANCEL = "DELETE /openApi/swap/v2/trade/order"
CANCEL_ALL = "DELETE /openApi/swap/v2/trade/allOpenOrders"
ORDER = "GET /openApi/swap/v2/trade/order"
OPEN_ORDERS = "GET /openApi/swap/v2/trade/openOrders"
ORDERS = "GET /openApi/swap/v1/trade/fullOrder"
FILLS = "GET /openApi/swap/v2/trade/fillHistory"
FORCED = "GET /openApi/swap/v2/trade/forceOrders"
LEVERAGE = "GET /openApi/swap/v2/trade/leverage"
SET_LEVERAGE = "POST /openApi/swap/v2/trade/leverage"
MARGIN = "GET /openApi/swap/v2/trade/marginType"
SET_MARGIN = "POST /openApi/swap/v2/trade/marginType"
MODE = "GET /openApi/swap/v1/positionSide/dual"
SET_MODE = "POST /openApi/swap/v1/positionSide/dual"
ASSET_MODE = "GET /openApi/swap/v1/trade/assetMode"
TIERS = "GET /openApi/swap/v1/maintMarginRatio"
PERMISSIONS = "GET /openApi/v1/account/apiPermissions"
LISTEN_KEY = "POST /openApi/user/auth/userDataStream"
EXTEND = "PUT /openApi/user/auth/userDataStream"


def ok(data: Any) -> dict[str, Any]:
    """A successful envelope."""
    return {"code": 0, "msg": "", "data": data}


def bad(code: int, text: str = "") -> dict[str, Any]:
    """An envelope of a failure."""
    return {"code": code, "msg": text}


def balance_row(asset: str = "USDT") -> dict[str, Any]:
    """One asset of a wallet."""
    return {
        "userId": "1",
        "asset": asset,
        "balance": "1000.0000",
        "equity": "1003.5000",
        "unrealizedProfit": "3.5000",
        "realisedProfit": "-12.10",
        "availableMargin": "880.0000",
        "usedMargin": "120.0000",
        "freezedMargin": "0.0000",
    }


def contract(symbol: str = "BTC-USDT", **changes: Any) -> dict[str, Any]:
    """One listed contract."""
    row = {
        "contractId": "100",
        "symbol": symbol,
        "size": "0.0001",
        "quantityPrecision": 4,
        "pricePrecision": 1,
        "feeRate": 0.0005,
        "tradeMinLimit": 0,
        "tradeMinQuantity": 0.0001,
        "tradeMinUSDT": 2,
        "currency": "USDT",
        "asset": "BTC",
        "status": 1,
        "apiStateOpen": "true",
    }
    return row | changes


def order_row(**changes: Any) -> dict[str, Any]:
    """One order as a query shows it."""
    row = {
        "symbol": "BTC-USDT",
        "orderId": 1900000000000000123,
        "side": "BUY",
        "positionSide": "BOTH",
        "type": "MARKET",
        "origQty": "0.0012",
        "price": "0.0",
        "executedQty": "0.0012",
        "avgPrice": "60000.1",
        "stopPrice": "",
        "profit": "",
        "commission": "",
        "status": "FILLED",
        "time": NOW_MS,
        "updateTime": NOW_MS + 123,
        "clientOrderId": "teabcd000001e00000",
        "leverage": "10X",
        "takeProfit": {"type": "", "quantity": 0, "stopPrice": 0},
        "workingType": "MARK_PRICE",
        "triggerOrderId": 0,
        "reduceOnly": False,
        "closePosition": "false",
    }
    return row | changes


def fill_row(trade: int, order: int = 1900000000000000123, **changes: Any) -> dict[str, Any]:
    """One execution of the history: eight o'clock at UTC+8 is midnight."""
    row = {
        "tradeId": str(trade),
        "orderId": str(order),
        "symbol": "BTC-USDT",
        "price": "60000.1",
        "volume": "0.0012",
        "qty": "0.0012",
        "quoteQty": "72.0001",
        "commission": "-0.0360",
        "commissionAsset": "USDT",
        "role": "taker",
        "side": "buy",
        "positionSide": "both",
        "filledTime": "2026-01-01T08:00:00.000+0800",
        "filledTm": "2026-01-01T08:00:00Z",
    }
    return row | changes


def income_row(kind: str = "FUNDING_FEE", **changes: Any) -> dict[str, Any]:
    """One change of the wallet."""
    row = {
        "symbol": "BTC-USDT",
        "incomeType": kind,
        "income": "-0.0292",
        "asset": "USDT",
        "info": "Funding Fee",
        "time": NOW_MS - 1_000,
        "tranId": "77",
        "tradeId": "",
    }
    return row | changes


def position_row(**changes: Any) -> dict[str, Any]:
    """One open position."""
    row = {
        "positionId": "1900000000000000001",
        "symbol": "BTC-USDT",
        "currency": "USDT",
        "positionAmt": "0.0120",
        "availableAmt": "0.0100",
        "positionSide": "LONG",
        "isolated": True,
        "onlyOnePosition": True,
        "avgPrice": "60000.1",
        "leverage": 10,
        "unrealizedProfit": "1.10",
        "liquidationPrice": 54321.98,
        "markPrice": "60091.8",
    }
    return row | changes


DEFAULTS: Mapping[str, Any] = {
    TIME: ok({"serverTime": NOW_MS}),
    CONTRACTS: ok([contract(), contract("ETH-USDT", quantityPrecision=2, pricePrecision=2, tradeMinQuantity=0.01)]),
    BALANCE: ok([balance_row("USDC"), balance_row()]),
    LEVERAGE: ok({"longLeverage": 20, "shortLeverage": 20, "maxLongLeverage": 125, "maxShortLeverage": "100"}),
    TIERS: ok(
        [
            {"tier": "Tier 2", "maxPositionVal": "900000", "maintMarginRatio": "0.005", "maintAmount": "180"},
            {"tier": "Tier 1", "maxPositionVal": "150000", "maintMarginRatio": "0.003800", "maintAmount": "0.000000"},
        ]
    ),
    FORCED: ok({"orders": []}),
    OPEN_ORDERS: ok({"orders": []}),
    ORDERS: ok({"orders": []}),
    LISTEN_KEY: {"listenKey": "listen-1"},
    EXTEND: (200, b""),
}


class FixedClock:
    """Always the same instant; enough where no limit is reached."""

    def now_ms(self) -> int:
        """The instant."""
        return NOW_MS


class RunningClock:
    """Runs from that instant on."""

    def __init__(self) -> None:
        self._begin = time.monotonic()

    def now_ms(self) -> int:
        """The instant and what has passed since."""
        return NOW_MS + int((time.monotonic() - self._begin) * 1000)


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: str
    body: bytes
    key: str | None

    @property
    def params(self) -> dict[str, str]:
        """The decoded parameters."""
        return dict(parse_qsl(self.query, keep_blank_values=True))


Script = dict[str, Any]  # "GET /path" to an answer, a list of answers (the last stays), or a function of the request


@dataclass
class Server:
    """Answers by script; what is not scripted is a path that does not exist."""

    script: Script = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    socket_keys: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    frames: list[Any] = field(default_factory=list)  # sent on each connection at once
    url: str = ""
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        """Listen."""
        app = web.Application()
        app.router.add_get("/swap-market", self._socket)
        app.router.add_route("*", "/{tail:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        address = self._runner.addresses[0]
        self.url = f"http://127.0.0.1:{address[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.stop_listening()

    async def stop_listening(self) -> None:
        """End every connection, and take no new one; again has no effect."""
        for socket in self.sockets:
            await socket.close()
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    def calls(self, what: str) -> list[Asked]:
        """The requests of one call."""
        return [asked for asked in self.asked if f"{asked.method} {asked.path}" == what]

    async def say(self, payload: Any) -> None:
        """Send a packed frame on the last connection."""
        text = payload if isinstance(payload, str) else json.dumps(payload)
        await self.sockets[-1].send_bytes(gzip.compress(text.encode()))

    async def _answer(self, request: web.Request) -> web.Response:
        path, _, query = request.raw_path.partition("?")
        asked = Asked(request.method, path, query, await request.read(), request.headers.get("X-BX-APIKEY"))
        self.asked.append(asked)
        what = f"{request.method} {path}"
        answer = self.script.get(what, DEFAULTS.get(what, bad(100404, "this api is not exist")))
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if callable(answer):
            answer = answer(asked)
        headers: dict[str, str] = {}
        status, content = 200, answer
        if isinstance(answer, tuple):
            status, content, *rest = answer
            headers = rest[0] if rest else {}
        if content is None:  # no answer at all
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return web.Response(status=status, body=body, headers=headers, content_type="application/json")

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        self.socket_keys.append(request.query.get("listenKey", ""))
        for frame in self.frames:
            await self.say(frame)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                self.said.append(message.data)
        return socket


@dataclass
class Bench:
    """A venue, its server, and the events it told."""

    venue: BingxVenue
    server: Server
    events: list[VenueEvent]

    async def until(self, is_so: Callable[[], bool], timeout_s: float = 3.0) -> None:
        """Wait for a condition."""
        async with asyncio.timeout(timeout_s):
            while not is_so():  # noqa: ASYNC110 - anything may make it so
                await asyncio.sleep(0.005)


def settings_for(url: str, **changes: Any) -> AccountSettings:
    """An account whose hosts are one local server."""
    ws = f"{url.replace('http', 'ws')}/swap-market"
    values: dict[str, Any] = {
        "account": "main",
        "symbols": ("BTCUSDT",),
        "hosts": Hosts(url, ws, ws),
        "position_mode": PositionMode.ONE_WAY,
    }
    return AccountSettings(**(values | changes))


def play(
    story: Callable[[Bench], Awaitable[None]],
    script: Script | None = None,
    *,
    clock: Any = None,
    is_read: bool = True,
    frames: list[Any] | None = None,
    **changes: Any,
) -> Server:
    """Tell a story to a venue whose instruments were read; the server with what it was asked since."""

    async def scene() -> Server:
        async with Server(dict(script or {}), frames=frames or []) as server:
            settings = settings_for(server.url, **changes)
            venue = BingxVenue(Credentials(KEY, SECRET), settings, clock or FixedClock())
            bench = Bench(venue, server, [])
            venue.subscribe(bench.events.append)
            try:
                if is_read:
                    await venue.instruments()
                    server.asked.clear()
                await story(bench)
            finally:
                await venue.close()
            return server

    return asyncio.run(scene())
