"""The local BingX server over real sockets, asked by a client that is written from the venue's documentation."""

import asyncio
import gzip
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
import yarl

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.domain.market import Candle, FundingRate
from trading_engine.venue_servers.bingx import BingxProtocol, Habits
from trading_engine.venue_servers.clock import MovedClock
from trading_engine.venue_servers.exchange import LocalExchange
from trading_engine.venue_servers.web import Call, WebServer
from trading_engine.venues.embedded.memory import Memory
from trading_engine.venues.embedded.terms import Terms
from trading_engine.venues.wire.secrets import Credentials

KEY, SECRET = "test-key", "bx-test-secret-0123456789ABCDEF"
START_MS = 1_767_225_600_000
MINUTE_MS = 60_000
BTC = Instrument(
    "BTCUSDT",
    Decimal("0.1"),
    Decimal("0.001"),
    Decimal("0.002"),
    Decimal(100),
    Decimal(20),
    Decimal(125),
    (
        MarginTier(Decimal(150_000), Decimal("0.0038"), Decimal(0), Decimal(125)),
        MarginTier(Decimal(10_000_000), Decimal("0.005"), Decimal(180), Decimal(100)),
    ),
)
TERMS = Terms(taker_fee_e8=50_000, maker_fee_e8=20_000, slippage_ppm=0, leverage_milli=10_000)

Json = dict[str, Any]


def signed(params: Json, secret: str = SECRET) -> str:
    """Raw values are signed, escaped values are sent."""
    items = sorted((name, str(value)) for name, value in params.items())
    raw = "&".join(f"{name}={value}" for name, value in items)
    signature = hmac.new(secret.encode(), raw.encode(), hashlib.sha256).hexdigest()
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in items) + f"&signature={signature}"


class World:
    """A server, its market and a client."""

    def __init__(self, path: Path, habits: Habits, asset: str, *, is_paced: bool) -> None:
        self.clock = MovedClock(START_MS)
        self.memory = Memory(path)
        contract = replace(BTC, settle_asset=asset)
        self.exchange = LocalExchange(self.memory, [contract], TERMS, Decimal(10_000), self.clock)
        self.protocol = BingxProtocol(
            self.exchange, Credentials(KEY, SECRET), habits=habits, ping_ms=20, is_paced=is_paced
        )
        self.server = WebServer(self.protocol)
        self.web: aiohttp.ClientSession
        self.headers: dict[str, str] = {}

    def minute(self, number: int, points: int, *prices: int, rates: tuple[FundingRate, ...] = ()) -> None:
        """Let a minute pass up to a point; the prices are open, high, low and close in whole dollars."""
        first, high, low, last = (price * 10 for price in prices)
        open_ms = START_MS + number * MINUTE_MS
        self.clock.move(max(open_ms + points * MINUTE_MS // 4 - self.clock.now_ms(), 0))
        candle = Candle("BTCUSDT", open_ms, MINUTE_MS, first, high, low, last, 8_000_000)
        self.exchange.play(open_ms, [candle], rates, points)

    async def raw(self, method: str, path: str, query: str, key: str = KEY, **more: Any) -> tuple[int, Json]:
        """Send a query as it is."""
        url = yarl.URL(f"http://127.0.0.1:{self.server.port}/openApi/{path}?{query}", encoded=True)
        async with self.web.request(method, url, headers={"X-BX-APIKEY": key} | more.pop("headers", {}), **more) as got:
            self.headers = dict(got.headers)
            body = await got.read()
            return got.status, json.loads(body) if body else {}

    async def call(self, method: str, path: str, **params: Any) -> Json:
        """A signed call; the whole answer."""
        _, answer = await self.raw(method, path, signed({"timestamp": self.clock.now_ms()} | params))
        return answer

    async def data(self, method: str, path: str, **params: Any) -> Any:
        """A signed call that must go well."""
        answer = await self.call(method, path, **params)
        assert 0 == answer["code"], answer
        return answer["data"]

    async def place(self, kind: str, side: str, quantity: str, /, **params: Any) -> Json:
        """A new order; the whole answer."""
        return await self.call(
            "POST",
            "swap/v2/trade/order",
            **{"symbol": "BTC-USDT", "type": kind, "side": side, "positionSide": "BOTH", "quantity": quantity} | params,
        )

    async def placed(self, kind: str, side: str, quantity: str, /, **params: Any) -> int:
        """A new order that must be taken; its id."""
        answer = await self.place(kind, side, quantity, **params)
        assert 0 == answer["code"], answer
        return int(answer["data"]["order"]["orderId"])

    async def order(self, order_id: int) -> Json:
        """A queried order."""
        found: Json = (await self.data("GET", "swap/v2/trade/order", symbol="BTC-USDT", orderId=order_id))["order"]
        return found

    async def open_types(self) -> list[str]:
        """The types of all open orders."""
        return [order["type"] for order in (await self.data("GET", "swap/v2/trade/openOrders"))["orders"]]

    @asynccontextmanager
    async def socket(self, query: str = "") -> AsyncIterator["Socket"]:
        """A websocket of the venue."""
        async with self.web.ws_connect(f"http://127.0.0.1:{self.server.port}/swap-market{query}") as ws:
            yield Socket(ws)

    async def user_socket_key(self) -> str:
        """A new listen key."""
        status, answer = await self.raw("POST", "user/auth/userDataStream", "")
        assert 200 == status
        return str(answer["listenKey"])


class Socket:
    """Reads compressed frames and answers heartbeats."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws

    async def text(self) -> str:
        """The next frame."""
        message = await self.ws.receive(timeout=5)
        assert message.type is aiohttp.WSMsgType.BINARY, message
        return gzip.decompress(message.data).decode()

    async def next(self, *, without: str = "ACCOUNT_CONFIG_UPDATE") -> Json:
        """The next message that is no heartbeat."""
        while True:
            text = await self.text()
            if text == "Ping":
                await self.ws.send_str("Pong")
                continue
            message: Json = json.loads(text)
            if message.get("e") != without:
                return message

    async def subscribe(self, topic: str) -> Json:
        """Ask for a topic; the acknowledgement."""
        await self.ws.send_str(json.dumps({"id": "a1", "reqType": "sub", "dataType": topic}))
        return await self.next()


Scenario = Callable[[World], Awaitable[None]]
Play = Callable[..., None]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Run a scenario against a server whose first minute has just begun at 60000."""

    def run(scenario: Scenario, habits: Habits | None = None, asset: str = "USDT", *, is_paced: bool = False) -> None:
        async def do() -> None:
            world = World(tmp_path / "exchange.sqlite", habits or Habits(), asset, is_paced=is_paced)
            await world.server.start()
            world.minute(0, 1, 60_000, 60_400, 59_000, 60_100)
            try:
                async with aiohttp.ClientSession() as world.web:
                    await scenario(world)
            finally:
                await world.server.stop()
                world.exchange.close()

        asyncio.run(do())

    return run


# ── who may ask ─────────────────────────────────────────────────────────────


def test_the_documented_signature_of_json_values_is_the_one_that_is_checked() -> None:
    """A vector that was computed apart from both sides."""
    params = {"clientOrderIdList": '["aa01","bb02"]', "symbol": "BTC-USDT", "timestamp": 1767225600456}
    assert signed(params).endswith("13e0d9f65735b2977bb4efa38cafe4bbcd28e4f8748338e0b755b5f2c7c61c5b")


def test_a_request_is_refused_by_the_first_thing_that_is_wrong_with_it(play: Play) -> None:
    """Key, signature, time stamp, each with its own code and HTTP 200."""

    async def scenario(world: World) -> None:
        now_ms = world.clock.now_ms()
        path = "swap/v3/user/balance"
        cases = [
            (100413, signed({"timestamp": now_ms}), "another-key"),
            (100412, f"timestamp={now_ms}", KEY),
            (100421, signed({"recvWindow": 5000}), KEY),
            (100001, signed({"timestamp": now_ms}, "another-secret"), KEY),
            (109400, signed({"timestamp": now_ms - 5_001}), KEY),
            (109400, signed({"timestamp": now_ms, "recvWindow": 60_001}), KEY),
            (100421, signed({"timestamp": now_ms + 5_001}), KEY),
            (0, signed({"timestamp": now_ms - 9_000, "recvWindow": 10_000}), KEY),
        ]
        for code, query, key in cases:
            status, answer = await world.raw("GET", path, query, key)
            assert (200, code) == (status, answer["code"]), (query, answer)

    play(scenario)


def test_the_signature_over_escaped_values_is_wrong(play: Play) -> None:
    """Raw values are signed: the commonest mistake of clients is refused."""

    async def scenario(world: World) -> None:
        items = {"clientOrderIdList": '["aa01"]', "symbol": "BTC-USDT", "timestamp": str(world.clock.now_ms())}
        escaped = "&".join(f"{name}={quote(value, safe='')}" for name, value in items.items())
        wrong = hmac.new(SECRET.encode(), escaped.encode(), hashlib.sha256).hexdigest()
        _, answer = await world.raw("DELETE", "swap/v2/trade/batchOrders", f"{escaped}&signature={wrong}")
        assert 100001 == answer["code"]
        _, answer = await world.raw("DELETE", "swap/v2/trade/batchOrders", signed(dict(items)))
        assert (0, None) == (answer["code"], answer["data"]["success"])

    play(scenario)


def test_parameters_may_come_as_a_form_or_as_json(play: Play) -> None:
    """A form is signed as it is sent, JSON by its sorted values."""

    async def scenario(world: World) -> None:
        now_ms = world.clock.now_ms()
        path, form = "swap/v2/trade/leverage", {"Content-Type": "application/x-www-form-urlencoded"}
        body = signed({"leverage": 7, "side": "BOTH", "symbol": "BTC-USDT", "timestamp": now_ms})
        _, answer = await world.raw("POST", path, "", data=body, headers=form)
        assert {"leverage": 7, "symbol": "BTC-USDT"} == answer["data"]
        content = {"leverage": 8, "side": "BOTH", "symbol": "BTC-USDT", "timestamp": now_ms}
        signature = signed(dict(content)).rpartition("=")[2]
        _, answer = await world.raw("POST", path, "", json=content | {"signature": signature})
        assert {"leverage": 8, "symbol": "BTC-USDT"} == answer["data"]

    play(scenario)


def test_an_unknown_path_and_a_wrong_method_have_codes_of_their_own(play: Play) -> None:
    """The version is a part of the path."""

    async def scenario(world: World) -> None:
        assert 100404 == (await world.call("GET", "swap/v2/positionSide/dual"))["code"]
        assert 100400 == (await world.call("PUT", "swap/v2/trade/order"))["code"]

    play(scenario)


# ── rate limits ─────────────────────────────────────────────────────────────


def test_headers_count_down_and_too_many_calls_disable_the_endpoint(play: Play) -> None:
    """HTTP 429 with the instant at which it ends; whoever goes on is banned with HTTP 418 from everything."""

    async def scenario(world: World) -> None:
        path = "swap/v3/user/balance"
        for left in (4, 3, 2, 1, 0):
            await world.data("GET", path)
            assert str(left) == world.headers["X-RateLimit-Requests-Remain"]
            assert 0 < int(world.headers["X-RateLimit-Requests-Expire"]) <= 1_000
        status, answer = await world.raw("GET", path, signed({"timestamp": world.clock.now_ms()}))
        assert (429, 109429) == (status, answer["code"])
        until_ms = int(answer["msg"].rpartition(" ")[2])
        assert world.clock.now_ms() + 300_000 == until_ms
        world.clock.move(2_000)
        assert 109429 == (await world.call("GET", path))["code"]
        await world.data("GET", "swap/v2/user/positions")
        for _ in range(21):
            await world.call("GET", path)
        status, _ = await world.raw("GET", "swap/v2/user/positions", signed({"timestamp": world.clock.now_ms()}))
        assert 418 == status
        world.clock.move(300_001)
        await world.data("GET", path)

    play(scenario, is_paced=True)


def test_the_same_refusal_over_and_over_disables_the_endpoint(play: Play) -> None:
    """More than twenty in eight minutes; the text names the code and the instant."""

    async def scenario(world: World) -> None:
        for _ in range(20):
            assert 101204 == (await world.place("MARKET", "BUY", "50"))["code"]
            world.clock.move(1_000)
        answer = await world.place("MARKET", "BUY", "50")
        assert 109429 == answer["code"]
        assert answer["msg"].startswith("over 20 error code:101204 requests within 480000 ms")
        assert 109429 == (await world.place("MARKET", "BUY", "0.01"))["code"]
        world.clock.move(300_000)
        await world.placed("LIMIT", "BUY", "0.01", price="59000")

    play(scenario, is_paced=True)


def test_market_data_is_counted_by_ten_seconds_for_all_endpoints_together(play: Play) -> None:
    """Five hundred for the address, no key needed."""

    async def scenario(world: World) -> None:
        await world.raw("GET", "swap/v2/server/time", "", key="")
        await world.raw("GET", "swap/v2/quote/contracts", "", key="")
        assert "498" == world.headers["X-RateLimit-Requests-Remain"]

    play(scenario, is_paced=True)


# ── filters and refusals ────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("code", "params"),
    [
        (109425, {"symbol": "ETH-USDT"}),
        (109400, {"symbol": ""}),
        (109400, {"type": "market"}),
        (110400, {"type": "TRIGGER_MARKET"}),
        (109400, {"side": "buy"}),
        (109400, {"positionSide": "LONG"}),
        (109400, {"positionSide": ""}),
        (109400, {"quantity": ""}),
        (109400, {"quantity": "0"}),
        (109400, {"quantity": "1e999999x"}),
        (110425, {"quantity": "0.0011"}),
        (110422, {"quantity": "0.001"}),
        (101419, {"quantity": "101"}),
        (101204, {"quantity": "2"}),
        (109400, {"type": "LIMIT"}),
        (110400, {"type": "LIMIT", "price": "60000.05"}),
        (101202, {"type": "LIMIT", "price": "1000"}),
        (101215, {"type": "LIMIT", "price": "60000", "timeInForce": "PostOnly"}),
        (109400, {"type": "LIMIT", "price": "59000", "timeInForce": "POSTONLY"}),
        (101290, {"reduceOnly": "true"}),
        (109420, {"type": "STOP_MARKET", "side": "SELL", "stopPrice": "59000"}),
        (109400, {"type": "STOP_MARKET", "side": "SELL"}),
        (109400, {"type": "STOP_MARKET", "side": "SELL", "stopPrice": "59000", "workingType": "LAST"}),
        (110411, {"type": "STOP_MARKET", "side": "SELL", "stopPrice": "61000"}),
        (110412, {"type": "STOP_MARKET", "side": "BUY", "stopPrice": "59000"}),
        (110413, {"type": "TAKE_PROFIT_MARKET", "side": "SELL", "stopPrice": "59000"}),
        (110414, {"type": "TAKE_PROFIT_MARKET", "side": "BUY", "stopPrice": "61000"}),
        (109400, {"clientOrderId": "a-b"}),
        (109400, {"clientOrderId": "a" * 41}),
        (109400, {"closePosition": "true"}),
    ],
)
def test_an_order_that_breaks_a_rule_is_refused_with_its_code(play: Play, code: int, params: Json) -> None:
    """HTTP 200, an error code, and nothing at the exchange."""

    async def scenario(world: World) -> None:
        assert code == (await world.place("MARKET", "BUY", "0.01", **params))["code"]
        assert [] == world.exchange.orders()

    play(scenario)


NONSENSE = [
    "-1",
    "1e9",
    "9" * 30,
    "9" * 5_000,
    "NaN",
    "٣",
    "\x00",
    "[" * 9_000,
    '[{"a":1}]',
    '["x",1e999999999,null]',
    "\ud800",
]


@pytest.mark.parametrize("nonsense", NONSENSE, ids=range(len(NONSENSE)))
def test_nonsense_is_refused_and_never_breaks_the_server(play: Play, nonsense: str) -> None:
    """In every parameter of every endpoint, signed or not: an answer in JSON, or an empty one of the listen keys."""
    names = "symbol interval limit startTime endTime startTs endTs orderId clientOrderId quantity price stopPrice type"
    more = "timestamp recvWindow leverage side marginType batchOrders orderIdList dualSidePosition pageSize listenKey"
    good = {"symbol": "BTC-USDT", "interval": "1m", "side": "BUY", "positionSide": "BOTH", "quantity": "0.01"}
    good |= {"type": "LIMIT", "price": "59000", "startTs": "1", "endTs": "2"}

    async def scenario(world: World) -> None:
        endpoints = list(world.protocol._endpoints)
        for name in f"{names} {more}".split():
            params = good | {"timestamp": str(world.clock.now_ms())} | {name: nonsense}
            raw = "&".join(f"{key}={value}" for key, value in params.items())
            sign = hmac.new(SECRET.encode(), raw.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()
            query = "&".join(f"{key}={quote(value, safe='', errors='surrogatepass')}" for key, value in params.items())
            for method, path in endpoints:
                call = Call(method, f"/openApi/{path}", f"{query}&signature={sign}", {"x-bx-apikey": KEY}, b"")
                answer = world.protocol.answer(call)
                assert answer.body == b"" or {"code", "listenKey"} & set(json.loads(answer.body))

    play(scenario)


def test_a_client_order_id_is_lower_cased_and_burned(play: Play) -> None:
    """Queries take any case; the same id again is a duplicate, within a second a repetition."""

    async def scenario(world: World) -> None:
        order_id = await world.placed("LIMIT", "BUY", "0.01", price="59900", clientOrderId="Ab01")
        assert 109201 == (await world.place("LIMIT", "BUY", "0.01", price="59900", clientOrderID="ab01"))["code"]
        world.clock.move(1_000)
        assert 101400 == (await world.place("LIMIT", "BUY", "0.01", price="59900", clientOrderId="AB01"))["code"]
        found = await world.data("GET", "swap/v2/trade/order", symbol="BTC-USDT", clientOrderId="AB01")
        assert (order_id, "ab01") == (found["order"]["orderId"], found["order"]["clientOrderId"])
        unnamed = await world.placed("LIMIT", "BUY", "0.01", price="59900")
        assert "" == (await world.order(unnamed))["clientOrderId"]

    play(scenario, Habits(duplicate_code=101400))


# ── lives of orders ─────────────────────────────────────────────────────────


def test_a_limit_order_rests_is_listed_and_fills_as_maker(play: Play) -> None:
    """PENDING, then FILLED with average, commission below zero and a fill."""

    async def scenario(world: World) -> None:
        answer = await world.place("LIMIT", "BUY", "0.01", price="59500", clientOrderId="l1", timeInForce="PostOnly")
        order = answer["data"]["order"]
        assert ("NEW", 59500.0, 0.01, 0) == tuple(order[name] for name in ("status", "price", "quantity", "stopPrice"))
        assert str(order["orderId"]) == order["orderID"]
        assert order["orderId"] > 1 << 53
        resting = await world.order(order["orderId"])
        assert ("PENDING", "0.000", "0.0", "") == (
            resting["status"],
            resting["executedQty"],
            resting["avgPrice"],
            resting["commission"],
        )
        assert ["LIMIT"] == await world.open_types()
        world.minute(0, 4, 60_000, 60_400, 59_000, 60_100)
        filled = await world.order(order["orderId"])
        assert ("FILLED", "0.010", "59500.0", "-0.119") == (
            filled["status"],
            filled["executedQty"],
            filled["avgPrice"],
            filled["commission"],
        )
        assert [] == await world.open_types()
        history = await world.data(
            "GET", "swap/v2/trade/fillHistory", symbol="BTC-USDT", startTs=START_MS, endTs=world.clock.now_ms()
        )
        (fill,) = history["fill_history_orders"]
        assert (1, "maker", "buy", "both", "59500.0") == (
            history["total"],
            *(fill[name] for name in ("role", "side", "positionSide", "price")),
        )
        assert str(order["orderId"]) == fill["orderId"]
        assert fill["filledTm"].endswith("Z")
        assert fill["filledTime"].startswith("2026-01-01T08:01:00") is fill["filledTime"].endswith("+0800")

    play(scenario)


def test_a_market_order_fills_at_once_and_shows_in_every_figure(play: Play) -> None:
    """Order, position, balance, income and fills tell one story."""

    async def scenario(world: World) -> None:
        answer = await world.place("MARKET", "BUY", "0.5", clientOrderId="m1")
        order = answer["data"]["order"]
        assert ("FILLED", "60000.0", "0.500") == (order["status"], order["avgPrice"], order["executedQty"])
        (held,) = await world.data("GET", "swap/v2/user/positions")
        assert ("0.5", "0.5", "LONG", True, "60000", 10) == tuple(
            held[name]
            for name in ("positionAmt", "availableAmt", "positionSide", "onlyOnePosition", "avgPrice", "leverage")
        )
        assert isinstance(held["liquidationPrice"], float)
        (usdt,) = [row for row in await world.data("GET", "swap/v3/user/balance") if row["asset"] == "USDT"]
        assert (Decimal(9_985), Decimal(3_000), Decimal(6_985)) == tuple(
            Decimal(usdt[name]) for name in ("balance", "usedMargin", "availableMargin")
        )
        incomes = await world.data("GET", "swap/v2/user/income")
        assert [("TRADING_FEE", "-15"), ("TRANSFER", "10000")] == [
            (row["incomeType"], row["income"]) for row in incomes
        ]
        assert await world.data("GET", "swap/v2/user/income", incomeType="FUNDING_FEE") is None
        fills = await world.data(
            "GET", "swap/v2/trade/allFillOrders", startTs=START_MS, endTs=world.clock.now_ms(), tradingUnit="COIN"
        )
        assert ["0.5"] == [row["volume"] for row in fills["fill_orders"]]
        fills = await world.data("GET", "swap/v2/trade/allFillOrders", startTs=START_MS, endTs=world.clock.now_ms())
        assert ["0"] == [row["volume"] for row in fills["fill_orders"]]
        await world.placed("MARKET", "SELL", "0.5", reduceOnly="true")
        assert [] == await world.data("GET", "swap/v2/user/positions")
        orders = (await world.data("GET", "swap/v2/trade/allOrders", symbol="BTC-USDT", limit=10))["orders"]
        assert ["SELL", "BUY"] == [order["side"] for order in orders]

    play(scenario)


def test_an_order_against_the_position_turns_it_unless_it_only_reduces(play: Play) -> None:
    """One-way mode; the new position is another one."""

    async def scenario(world: World) -> None:
        await world.placed("MARKET", "BUY", "0.1")
        (before,) = await world.data("GET", "swap/v2/user/positions")
        await world.placed("MARKET", "SELL", "0.3")
        (after,) = await world.data("GET", "swap/v2/user/positions")
        assert ("SHORT", "0.2") == (after["positionSide"], after["positionAmt"])
        assert before["positionId"] != after["positionId"]
        assert 101290 == (await world.place("MARKET", "SELL", "0.1", reduceOnly="true"))["code"]

    play(scenario)


def test_a_stop_triggers_and_its_fill_belongs_to_a_child_order(play: Play) -> None:
    """The conditional is done, the child has the fill and names it, the target of the position is cancelled."""

    async def scenario(world: World) -> None:
        await world.placed("MARKET", "BUY", "0.1")
        answer = await world.place("STOP_MARKET", "SELL", "0.1", stopPrice="59500", clientOrderId="s1")
        assert (59500.0, True) == (answer["data"]["order"]["stopPrice"], answer["data"]["order"]["reduceOnly"])
        stop = answer["data"]["order"]["orderId"]
        target = await world.placed(
            "TAKE_PROFIT_MARKET", "SELL", "0.1", stopPrice="61000", workingType="CONTRACT_PRICE"
        )
        listed = {row["orderId"]: row for row in (await world.data("GET", "swap/v2/trade/openOrders"))["orders"]}
        assert {stop, target} == set(listed)
        assert ("NEW", True, "false") == tuple(listed[stop][name] for name in ("status", "reduceOnly", "closePosition"))
        queried = await world.order(stop)
        assert ("NEW", False, "", "59500.0") == tuple(
            queried[name] for name in ("status", "reduceOnly", "closePosition", "stopPrice")
        )
        world.minute(0, 2, 60_000, 60_400, 59_000, 60_100)
        done = await world.order(stop)
        assert ("TRIGGERED", "0.000") == (done["status"], done["executedQty"])
        assert "CANCELLED" == (await world.order(target))["status"]
        rows = (await world.data("GET", "swap/v2/trade/allOrders", symbol="BTC-USDT", limit=10))["orders"]
        (child,) = [row for row in rows if row["triggerOrderId"] == stop]
        assert ("FILLED", "STOP_MARKET", "59500.0", True, "") == tuple(
            child[name] for name in ("status", "type", "avgPrice", "reduceOnly", "clientOrderId")
        )
        fills = await world.data(
            "GET", "swap/v2/trade/fillHistory", orderId=child["orderId"], startTs=START_MS, endTs=world.clock.now_ms()
        )
        assert 1 == fills["total"]
        assert [] == await world.data("GET", "swap/v2/user/positions")
        assert 109400 == (await world.call("DELETE", "swap/v2/trade/order", symbol="BTC-USDT", orderId=stop))["code"]

    play(scenario)


def test_a_triggered_stop_can_be_gone_and_its_child_can_carry_its_name(play: Play) -> None:
    """Nobody knows which the venue does, so the server does either."""

    async def scenario(world: World) -> None:
        await world.placed("MARKET", "SELL", "0.1")
        stop = await world.placed("STOP_MARKET", "BUY", "0.1", stopPrice="60200", clientOrderId="s1")
        target = await world.placed("TAKE_PROFIT_MARKET", "BUY", "0.1", stopPrice="59000")
        world.minute(0, 2, 60_000, 60_400, 59_000, 60_100)
        gone = await world.call("GET", "swap/v2/trade/order", symbol="BTC-USDT", orderId=stop)
        assert 109421 == gone["code"]
        child = (await world.data("GET", "swap/v2/trade/order", symbol="BTC-USDT", clientOrderId="s1"))["order"]
        assert (stop, "FILLED") == (child["triggerOrderId"], child["status"])
        assert "NEW" == (await world.order(target))["status"]

    play(scenario, Habits(triggered_status="", child_keeps_client_id=True, voids_stops=False))


def test_a_stop_for_the_whole_position_needs_a_quantity_and_is_the_only_one(play: Play) -> None:
    """A stop with a quantity next to it is welcome, so that a stop can be moved without a gap."""

    async def scenario(world: World) -> None:
        await world.placed("MARKET", "BUY", "0.1")
        whole = {"stopPrice": "59000", "closePosition": "true"}
        assert "quantity or stopPrice is must" in (await world.place("STOP_MARKET", "SELL", "", **whole))["msg"]
        await world.placed("STOP_MARKET", "SELL", "0.1", **whole)
        assert 110406 == (await world.place("STOP_MARKET", "SELL", "0.1", **whole))["code"]
        await world.placed("STOP_MARKET", "SELL", "0.1", stopPrice="59500")

    play(scenario)


def test_a_cancel_is_answered_once(play: Play) -> None:
    """Again within a second, or later, or for what is filled or unknown: a code for each."""

    async def scenario(world: World) -> None:
        await world.placed("MARKET", "BUY", "0.1", clientOrderId="m1")
        stop = await world.placed("STOP_MARKET", "SELL", "0.1", stopPrice="59000")

        async def cancel(**params: Any) -> Json:
            return await world.call("DELETE", "swap/v2/trade/order", symbol="BTC-USDT", **params)

        gone = (await cancel(orderId=stop))["data"]["order"]
        assert (stop, "CANCELLED", "LIMIT", "") == tuple(
            gone[name] for name in ("orderId", "status", "type", "stopPrice")
        )
        assert 109201 == (await cancel(orderId=stop))["code"]
        world.clock.move(1_000)
        again = await cancel(orderId=stop)
        assert (109400, "order not exist") == (again["code"], again["msg"])
        assert 109422 == (await cancel(clientOrderId="m1"))["code"]
        assert 109400 == (await cancel(clientOrderId="nobody"))["code"]
        assert 109400 == (await cancel())["code"]
        assert 109421 == (await world.call("GET", "swap/v2/trade/order", symbol="BTC-USDT", orderId=1))["code"]
        assert "CANCELLED" == (await world.order(stop))["status"]

    play(scenario)


def test_cancelling_all_leaves_stops_unless_their_type_is_named(play: Play) -> None:
    """As the venue has been seen to do."""

    async def scenario(world: World) -> None:
        await world.placed("MARKET", "BUY", "0.1")
        await world.placed("STOP_MARKET", "SELL", "0.1", stopPrice="59000")
        await world.placed("LIMIT", "BUY", "0.01", price="59000")
        await world.placed("LIMIT", "SELL", "0.1", price="61000", reduceOnly="true")
        gone = await world.data("DELETE", "swap/v2/trade/allOpenOrders", symbol="BTC-USDT")
        assert ["LIMIT", "LIMIT"] == [order["type"] for order in gone["success"]]
        assert ["STOP_MARKET"] == await world.open_types()
        await world.data("DELETE", "swap/v2/trade/allOpenOrders", type="STOP_MARKET")
        assert [] == await world.open_types()

    play(scenario)


def test_a_batch_is_not_atomic(play: Play) -> None:
    """One leg is refused and names the code of the whole, the others rest; a batch of cancels tells each apart."""

    async def scenario(world: World) -> None:
        leg = {"symbol": "BTC-USDT", "type": "LIMIT", "side": "BUY", "positionSide": "BOTH", "price": 59000.5}
        legs = [leg | {"quantity": 0.01, "clientOrderId": "b1"}, leg | {"quantity": 0.0001, "clientOrderId": "b2"}]
        answer = await world.call("POST", "swap/v2/trade/batchOrders", batchOrders=json.dumps(legs))
        assert (110425, ["b1"]) == (answer["code"], [one["clientOrderId"] for one in answer["data"]["orders"]])
        gone = await world.data(
            "DELETE", "swap/v2/trade/batchOrders", symbol="BTC-USDT", clientOrderIdList='["b1","b2"]'
        )
        assert ["b1"] == [order["clientOrderId"] for order in gone["success"]]
        assert [("b2", 109400)] == [(one["clientOrderId"], one["errorCode"]) for one in gone["failed"]]

    play(scenario)


def test_ids_are_the_same_after_a_restart(tmp_path: Path) -> None:
    """They follow from the exchange's own numbers, the position's as well."""

    async def visit(scenario: Scenario) -> None:
        world = World(tmp_path / "exchange.sqlite", Habits(), "USDT", is_paced=False)
        await world.server.start()
        world.minute(0, 1, 60_000, 60_400, 59_000, 60_100)
        async with aiohttp.ClientSession() as world.web:
            await scenario(world)
        await world.server.stop()
        world.exchange.close()

    seen: dict[str, Any] = {}

    async def before(world: World) -> None:
        await world.placed("MARKET", "BUY", "0.1", clientOrderId="m1")
        await world.placed("STOP_MARKET", "SELL", "0.1", stopPrice="59000")
        seen["orders"] = await world.data("GET", "swap/v1/trade/fullOrder", symbol="BTC-USDT")
        seen["positions"] = await world.data("GET", "swap/v2/user/positions")

    async def after(world: World) -> None:
        assert seen["orders"] == await world.data("GET", "swap/v1/trade/fullOrder", symbol="BTC-USDT")
        assert seen["positions"] == await world.data("GET", "swap/v2/user/positions")

    asyncio.run(visit(before))
    asyncio.run(visit(after))


# ── account and settings ────────────────────────────────────────────────────


def test_the_position_mode_is_a_text_and_stands_while_anything_is_open(play: Play) -> None:
    """Otherwise either may be asked for as often as one likes."""

    async def scenario(world: World) -> None:
        path = "swap/v1/positionSide/dual"
        assert {"dualSidePosition": "false"} == await world.data("GET", path)
        await world.data("POST", path, dualSidePosition="false")
        for mode in ("true", "true", "false"):
            assert {"dualSidePosition": mode} == await world.data("POST", path, dualSidePosition=mode)
            assert {"dualSidePosition": mode} == await world.data("GET", path)
        await world.placed("LIMIT", "BUY", "0.01", price="59000")
        assert 109401 == (await world.call("POST", path, dualSidePosition="true"))["code"]

    play(scenario)


def test_in_hedge_mode_two_sides_tell_what_an_order_does(play: Play) -> None:
    """BOTH and the flag are refused; a conditional order that would open is, too; leverage has two sides."""

    async def scenario(world: World) -> None:
        await world.data("POST", "swap/v1/positionSide/dual", dualSidePosition="true")

        async def code(**changes: str) -> int:
            order = {"symbol": "BTC-USDT", "type": "MARKET", "side": "BUY", "quantity": "0.01", **changes}
            found: int = (await world.call("POST", "swap/v2/trade/order", **order))["code"]
            return found

        assert 109400 == await code(positionSide="BOTH")
        assert 109400 == await code(positionSide="LONG", reduceOnly="true")
        assert 101290 == await code(positionSide="SHORT")
        assert 109420 == await code(positionSide="LONG", type="STOP_MARKET", stopPrice="70000")
        assert 0 == await code(positionSide="LONG")
        [held] = await world.data("GET", "swap/v2/user/positions")
        assert ("LONG", False) == (held["positionSide"], held["onlyOnePosition"])
        assert 110400 == await code(positionSide="SHORT", side="SELL")
        assert 0 == await code(positionSide="LONG", side="SELL")
        assert [] == await world.data("GET", "swap/v2/user/positions")
        leverage = {"symbol": "BTC-USDT", "leverage": "2"}
        assert 109400 == (await world.call("POST", "swap/v2/trade/leverage", **leverage, side="BOTH"))["code"]
        await world.data("POST", "swap/v2/trade/leverage", **leverage, side="SHORT")

    play(scenario)


def test_leverage_and_margin_mode_belong_to_a_contract(play: Play) -> None:
    """The side must be BOTH; the highest leverage, an open position and other modes have their refusals."""

    async def scenario(world: World) -> None:
        path, contract = "swap/v2/trade/leverage", {"symbol": "BTC-USDT"}
        assert {"leverage": 20, "symbol": "BTC-USDT"} == await world.data(
            "POST", path, **contract, side="BOTH", leverage=20
        )
        shown = await world.data("GET", path, **contract)
        assert (20, 20, 125) == (shown["longLeverage"], shown["shortLeverage"], shown["maxLongLeverage"])
        assert 109400 == (await world.call("POST", path, **contract, side="LONG", leverage=20))["code"]
        assert 101414 == (await world.call("POST", path, **contract, side="BOTH", leverage=126))["code"]
        assert {"marginType": "ISOLATED"} == await world.data("GET", "swap/v2/trade/marginType", **contract)
        await world.data("POST", "swap/v2/trade/marginType", **contract, marginType="ISOLATED")
        for code, wanted in ((109400, "CROSSED"), (104108, "SEPARATE_ISOLATED")):
            answer = await world.call("POST", "swap/v2/trade/marginType", **contract, marginType=wanted)
            assert code == answer["code"]
        await world.placed("MARKET", "BUY", "0.1")
        assert 109400 == (await world.call("POST", path, **contract, side="BOTH", leverage=5))["code"]
        answer = await world.call("POST", "swap/v2/trade/marginType", **contract, marginType="ISOLATED")
        assert "positions or pending orders" in answer["msg"]

    play(scenario)


def test_fees_tiers_and_rights_have_their_shapes(play: Play) -> None:
    """Rates are numbers, tiers are texts, rights are not under data."""

    async def scenario(world: World) -> None:
        fees = await world.data("GET", "swap/v2/user/commissionRate")
        assert {"takerCommissionRate": 0.0005, "makerCommissionRate": 0.0002} == fees["commission"]
        tiers = await world.data("GET", "swap/v1/maintMarginRatio", symbol="BTC-USDT")
        assert ("Tier 2", "150000", "10000000", "0.005000", "180.000000") == tuple(
            tiers[1][name] for name in ("tier", "minPositionVal", "maxPositionVal", "maintMarginRatio", "maintAmount")
        )
        assert (await world.call("GET", "v1/account/apiRestrictions"))["enableFutures"] is True
        assert {"assetMode": "singleAssetMode"} == await world.data("GET", "swap/v1/trade/assetMode")

    play(scenario)


def test_demo_money_has_a_name_of_its_own(play: Play) -> None:
    """The balance is VST while contracts are still priced in USDT."""

    async def scenario(world: World) -> None:
        assert ["VST"] == [row["asset"] for row in await world.data("GET", "swap/v3/user/balance")]
        (contract,) = await world.data("GET", "swap/v2/quote/contracts")
        assert ("BTC-USDT", "USDT") == (contract["symbol"], contract["currency"])

    play(scenario, asset="VST")


def test_funding_and_liquidation_reach_the_account(play: Play) -> None:
    """Funding is income of the position; a liquidation is an order of its own and ends the position's stops."""

    async def scenario(world: World) -> None:
        await world.placed("MARKET", "BUY", "0.5")
        await world.placed("STOP_MARKET", "SELL", "0.5", stopPrice="50000")
        world.minute(0, 4, 60_000, 60_000, 60_000, 60_000)
        rate = FundingRate("BTCUSDT", START_MS + MINUTE_MS, Decimal("0.0001"))
        world.minute(1, 1, 60_000, 60_000, 55_000, 55_000, rates=(rate,))
        (income,) = await world.data("GET", "swap/v2/user/income", incomeType="FUNDING_FEE")
        assert ("-3", "BTC-USDT") == (income["income"], income["symbol"])
        (held,) = await world.data("GET", "swap/v2/user/positions")
        assert "-18.0000" == held["realisedProfit"]
        assert START_MS + MINUTE_MS == (await world.data("GET", "swap/v2/quote/fundingRate"))[0]["fundingTime"]
        world.minute(1, 2, 60_000, 60_000, 54_000, 54_000)
        assert [] == await world.data("GET", "swap/v2/user/positions")
        (forced,) = (await world.data("GET", "swap/v2/trade/forceOrders"))["orders"]
        assert ("SELL", "FILLED", "0.500") == (forced["side"], forced["status"], forced["executedQty"])
        assert [] == await world.open_types()

    play(scenario)


def test_a_query_of_more_than_seven_days_is_refused(play: Play) -> None:
    """For orders; the text names the reason."""

    async def scenario(world: World) -> None:
        answer = await world.call(
            "GET", "swap/v2/trade/allOrders", startTime=START_MS - 8 * 86_400_000, endTime=START_MS, limit=10
        )
        assert (109400, "the query range is more than seven days") == (answer["code"], answer["msg"])

    play(scenario)


# ── market data ─────────────────────────────────────────────────────────────


def test_klines_come_newest_first_with_the_forming_bar_in_front(play: Play) -> None:
    """What has not happened yet is in none of them; longer bars are made of minutes."""

    async def scenario(world: World) -> None:
        path, ask = "swap/v3/quote/klines", {"symbol": "BTC-USDT"}
        world.minute(0, 4, 60_000, 60_400, 59_000, 60_100)
        world.minute(1, 2, 60_100, 61_000, 60_000, 60_900)
        forming, closed = await world.data("GET", path, **ask, interval="1m")
        assert {
            "open": "60000.0",
            "close": "60100.0",
            "high": "60400.0",
            "low": "59000.0",
            "volume": "8000",
            "time": START_MS,
        } == closed
        assert (START_MS + MINUTE_MS, "60000.0") == (forming["time"], forming["close"])
        (bar,) = await world.data("GET", path, **ask, interval="15m", limit=1)
        assert (START_MS, "60000.0", "60400.0", "59000.0") == tuple(
            bar[name] for name in ("time", "open", "high", "low")
        )
        assert [closed] == await world.data("GET", path, **ask, interval="1m", endTime=START_MS)
        assert 109400 == (await world.call("GET", path, **ask, interval="1min"))["code"]
        assert 109400 == (await world.call("GET", path, **ask, interval="1m", limit=1441))["code"]

    play(scenario)


def test_prices_have_the_shapes_of_their_endpoints(play: Play) -> None:
    """Asks with the best one last, numbers in the book ticker, an object for one contract and a list for all."""

    async def scenario(world: World) -> None:
        ask = {"symbol": "BTC-USDT"}
        depth = await world.data("GET", "swap/v2/quote/depth", **ask, limit=5)
        assert (["59999.9", "10"], ["60000.1", "10"], 5) == (
            depth["bidsCoin"][0],
            depth["asksCoin"][-1],
            len(depth["asks"]),
        )
        book = (await world.data("GET", "swap/v2/quote/bookTicker", **ask))["book_ticker"]
        assert (59999.9, 60000.1) == (book["bid_price"], book["ask_price"])
        premium = await world.data("GET", "swap/v2/quote/premiumIndex", **ask)
        assert ("60000.0", START_MS + 8 * 3_600_000) == (premium["markPrice"], premium["nextFundingTime"])
        assert [premium] == await world.data("GET", "swap/v2/quote/premiumIndex")
        assert "60000.0" == (await world.data("GET", "swap/v1/ticker/price", **ask))["price"]
        assert "60000.0" == (await world.data("GET", "swap/v2/quote/ticker", **ask))["lastPrice"]
        assert world.clock.now_ms() == (await world.data("GET", "swap/v2/server/time"))["serverTime"]
        (contract,) = await world.data("GET", "swap/v2/quote/contracts")
        assert (1, 3, 0.002, "true") == tuple(
            contract[name] for name in ("pricePrecision", "quantityPrecision", "tradeMinQuantity", "apiStateOpen")
        )

    play(scenario)


@pytest.mark.parametrize("tick", ["0.5", "10"])
def test_a_tick_that_is_no_decimal_place_cannot_be_served(tmp_path: Path, tick: str) -> None:
    """The venue names numbers of decimals only."""
    memory = Memory(tmp_path / "exchange.sqlite")
    contract = replace(BTC, tick=Decimal(tick))
    exchange = LocalExchange(memory, [contract], TERMS, Decimal(1), MovedClock(START_MS))
    with pytest.raises(ConfigInvalid, match="bingx names decimals only"):
        BingxProtocol(exchange, Credentials(KEY, SECRET))
    exchange.close()


# ── the stream ──────────────────────────────────────────────────────────────


def test_every_frame_is_compressed_and_heartbeats_must_be_answered(play: Play) -> None:
    """Ping as a text inside; after five without an answer the venue hangs up."""

    async def scenario(world: World) -> None:
        async with world.socket() as socket:
            assert ["Ping"] * 5 == [await socket.text() for _ in range(5)]
            assert (await socket.ws.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE

    play(scenario)


def test_market_topics_are_acknowledged_and_pushed(play: Play) -> None:
    """Candles as far as they have come, and the next one when the minute is over."""

    async def scenario(world: World) -> None:
        async with world.socket() as socket:
            ack = await socket.subscribe("BTC-USDT@kline_1m")
            assert {"id": "a1", "code": 0, "msg": "", "dataType": "", "data": None} == ack
            first = await socket.next()
            assert ("BTC-USDT@kline_1m", "BTC-USDT", START_MS) == (
                first["dataType"],
                first["s"],
                first["data"][0]["T"],
            )
            world.minute(0, 4, 60_000, 60_400, 59_000, 60_100)
            world.minute(1, 1, 60_200, 60_400, 59_000, 60_100)
            last, new = await socket.next(), await socket.next()
            assert {"c": "60100.0", "o": "60000.0", "h": "60400.0", "l": "59000.0", "v": "8000", "T": START_MS} == (
                last["data"][0]
            )
            assert START_MS + MINUTE_MS == new["data"][0]["T"]

    play(scenario)


@pytest.mark.parametrize("topic", ["trade", "depth5", "depth5@500ms", "markPrice", "lastPrice", "bookTicker", "ticker"])
def test_other_topics_tell_the_price(play: Play, topic: str) -> None:
    """Each in its own letters."""

    async def scenario(world: World) -> None:
        async with world.socket() as socket:
            await socket.subscribe(f"BTC-USDT@{topic}")
            message = await socket.next()
            assert f"BTC-USDT@{topic}" == message["dataType"]
            data = message["data"][0] if topic == "trade" else message["data"]
            shown = {
                "trade": "p",
                "markPrice": "p",
                "lastPrice": "c",
                "bookTicker": "b",
                "ticker": "B",
                "depth5": "asks",
                "depth5@500ms": "asks",
            }
            price = data[shown[topic]]
            expected = {"bookTicker": "59999.9", "ticker": "59999.9", "depth5": "60000.1", "depth5@500ms": "60000.1"}
            assert expected.get(topic, "60000.0") == (price[-1][0] if isinstance(price, list) else price)

    play(scenario)


def test_a_book_is_told_whole_and_then_by_its_changes(play: Play) -> None:
    """Ids rise, and some are skipped without anything being lost; a second listener joins where the book stands."""

    async def scenario(world: World) -> None:
        async with world.socket() as socket, world.socket() as late:
            await socket.subscribe("BTC-USDT@incrDepth")
            whole = (await socket.next())["data"]
            assert ("all", "59999.9", "60000.1") == (whole["action"], whole["bids"][0][0], whole["asks"][-1][0])
            book = {side: dict(whole[side]) for side in ("bids", "asks")}
            last, steps = whole["lastUpdateId"], set()
            for number in range(10):
                price = 60_000 + number % 3
                world.minute(number, 4, price, price, price, price)
            for _ in range(9):
                change = (await socket.next())["data"]
                assert "update" == change["action"]
                steps.add(change["lastUpdateId"] - last)
                last = change["lastUpdateId"]
                for side in ("bids", "asks"):
                    book[side] |= dict(change[side])
                    book[side] = {price: size for price, size in book[side].items() if float(size)}
            assert {1, 3} == steps
            await late.subscribe("BTC-USDT@incrDepth")
            again = (await late.next())["data"]
            assert (last, book) == (again["lastUpdateId"], {side: dict(again[side]) for side in ("bids", "asks")})
            rest = await world.data("GET", "swap/v2/quote/depth", symbol="BTC-USDT", limit=100)
            assert book == {side: dict(rest[f"{side}Coin"]) for side in ("bids", "asks")}

    play(scenario)


@pytest.mark.parametrize(
    ("code", "frame"),
    [
        (80015, '{"id":"1","reqType":"sub","dataType":"BTC-USDT@kline_7m"}'),
        (80015, '{"id":"1","reqType":"sub","dataType":"ETH-USDT@trade"}'),
        (80014, '{"id":"1","reqType":"ask","dataType":"BTC-USDT@trade"}'),
        (80014, "[]"),
        (80014, "hello"),
    ],
)
def test_a_wrong_subscription_is_answered_with_a_code(play: Play, code: int, frame: str) -> None:
    """And the connection goes on."""

    async def scenario(world: World) -> None:
        async with world.socket() as socket:
            await socket.ws.send_str(frame)
            assert code == (await socket.next())["code"]
            assert 0 == (await socket.subscribe("BTC-USDT@markPrice"))["code"]

    play(scenario)


def test_the_account_hears_of_orders_and_of_itself_in_order(play: Play) -> None:
    """New, trade, account, new, cancelled; and a stop's child names the stop."""

    async def scenario(world: World) -> None:
        key = await world.user_socket_key()
        async with world.socket(f"?listenKey={key}") as socket:
            settings = await socket.next(without="")
            assert ("ACCOUNT_CONFIG_UPDATE", {"s": "BTC-USDT", "l": 10, "S": 10, "mt": "isolated"}) == (
                settings["e"],
                settings["ac"],
            )
            await world.placed("MARKET", "BUY", "0.1", clientOrderId="m1")
            new, trade, account = [await socket.next() for _ in range(3)]
            assert ("ORDER_TRADE_UPDATE", "m1", "NEW", "NEW") == (
                new["e"],
                *(new["o"][name] for name in ("c", "x", "X")),
            )
            assert ("TRADE", "FILLED", "0.1", "-3", "6000", False, "BOTH") == tuple(
                trade["o"][name] for name in ("x", "X", "z", "n", "tv", "ro", "ps")
            )
            assert ("ACCOUNT_UPDATE", "ORDER", "9997", "9397") == (
                account["e"],
                account["a"]["m"],
                account["a"]["B"][0]["wb"],
                account["a"]["B"][0]["cw"],
            )
            assert [("0.1", "LONG", "60000")] == [(row["pa"], row["ps"], row["ep"]) for row in account["a"]["P"]]
            stop = await world.placed("STOP_MARKET", "SELL", "0.1", stopPrice="59500", clientOrderId="s1")
            target = await world.placed("TAKE_PROFIT_MARKET", "SELL", "0.1", stopPrice="61000")
            world.minute(0, 2, 60_000, 60_400, 59_000, 60_100)
            told = [await socket.next() for _ in range(5)]
            assert [(stop, "NEW"), (target, "NEW")] == [(one["o"]["i"], one["o"]["X"]) for one in told[:2]]
            child = told[2]["o"]
            assert (stop, "STOP_MARKET", "FILLED", "59500", "", True, "-50") == tuple(
                child[name] for name in ("ti", "o", "X", "ap", "c", "ro", "rp")
            )
            assert child["i"] not in (stop, target)
            assert [("0", "LONG")] == [(row["pa"], row["ps"]) for row in told[3]["a"]["P"]]
            assert (target, "CANCELED") == (told[4]["o"]["i"], told[4]["o"]["X"])
            await socket.ws.send_str("{}")
            assert 80014 == (await socket.next())["code"]

    play(scenario)


def test_a_child_can_be_told_of_through_the_account_alone(play: Play) -> None:
    """Shorts have a sign where the side says BOTH."""

    async def scenario(world: World) -> None:
        await world.placed("MARKET", "SELL", "0.1")
        (held,) = await world.data("GET", "swap/v2/user/positions")
        assert ("BOTH", "-0.1") == (held["positionSide"], held["positionAmt"])
        await world.placed("STOP_MARKET", "BUY", "0.1", stopPrice="60200")
        key = await world.user_socket_key()
        async with world.socket(f"?listenKey={key}") as socket:
            world.minute(0, 2, 60_000, 60_400, 59_000, 60_100)
            account = await socket.next()
            assert ("ACCOUNT_UPDATE", [("0", "BOTH")]) == (
                account["e"],
                [(row["pa"], row["ps"]) for row in account["a"]["P"]],
            )

    play(scenario, Habits(tells_of_children=False, is_side_both=True))


def test_a_listen_key_lasts_an_hour_unless_it_is_extended(play: Play) -> None:
    """At its end the socket is told, falls silent, and the key cannot be extended any more."""

    async def scenario(world: World) -> None:
        path, key = "user/auth/userDataStream", await world.user_socket_key()
        async with world.socket(f"?listenKey={key}") as socket:
            world.clock.move(3_599_999)
            assert 200 == (await world.raw("PUT", path, f"listenKey={key}"))[0]
            world.clock.move(3_600_000)
            assert 404 == (await world.raw("PUT", path, f"listenKey={key}"))[0]
            message = await socket.next()
            assert ("listenKeyExpired", key) == (message["e"], message["listenKey"])
            await world.placed("LIMIT", "BUY", "0.01", price="59000")
            assert ["Ping", "Ping"] == [await socket.text() for _ in range(2)]
        assert 204 == (await world.raw("PUT", path, ""))[0]
        async with world.socket(f"?listenKey={key}") as socket:
            assert 100401 == (await socket.next())["code"]
        other = await world.user_socket_key()
        assert key != other
        assert 200 == (await world.raw("DELETE", path, f"listenKey={other}"))[0]
        assert 404 == (await world.raw("PUT", path, f"listenKey={other}"))[0]

    play(scenario)
