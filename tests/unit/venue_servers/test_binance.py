"""The local server that speaks Binance USDⓈ-M's protocol, over real sockets, asked by a client written here."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from builders import BTC, ETH, T0, make_instrument
from yarl import URL

from trading_engine.domain.market import Candle, FundingRate
from trading_engine.venue_servers.binance import BinanceProtocol, Limits
from trading_engine.venue_servers.clock import MovedClock, PacedClock
from trading_engine.venue_servers.exchange import LocalExchange
from trading_engine.venue_servers.web import WebServer
from trading_engine.venues.embedded.memory import Memory
from trading_engine.venues.embedded.terms import Terms
from trading_engine.venues.wire.secrets import Credentials

KEY, SECRET = "test-key", "test-secret"
MINUTE = 60_000
WIDE = make_instrument(max_quantity=Decimal(100))
LIMIT = {"symbol": BTC, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "99"}
MARKET = {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": "1"}
STOP = {
    "algoType": "CONDITIONAL",
    "symbol": BTC,
    "side": "SELL",
    "type": "STOP_MARKET",
    "quantity": "1",
    "triggerPrice": "95",
    "reduceOnly": "true",
}
Said = tuple[int, Any]


class House:
    """A server with its market, moved by hand, and a client that signs as the venue's documentation says."""

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        self.path = path
        self.limits = limits
        self.clock = MovedClock(T0)
        self.open_ms = T0
        self.exchange: LocalExchange
        self.server: WebServer
        self.headers: dict[str, str] = {}
        self.http: aiohttp.ClientSession

    async def open(self) -> None:
        """Serve what the memory holds."""
        instruments = [WIDE, make_instrument(ETH)]
        terms = Terms(slippage_ppm=0, volume_share_ppm=1_000_000, leverage_milli=10_000)
        self.exchange = LocalExchange(Memory(self.path), instruments, terms, Decimal(10_000), self.clock)
        credentials = Credentials(KEY, SECRET)
        self.server = WebServer(BinanceProtocol(self.exchange, credentials, self.limits))
        await self.server.start()
        self.http = aiohttp.ClientSession()

    async def close(self) -> None:
        """End the server and its client."""
        await self.http.close()
        await self.server.stop()
        self.exchange.close()

    # ── the market ──────────────────────────────────────────────────────────

    def minute(self, *prices: int, points: int = 4, volume: int = 100_000) -> None:
        """Play a minute of BTC through open, high, low and close (in ticks); ETH stays at 50."""
        opened, high, low, close = prices if len(prices) == 4 else (*prices * 4,)
        candle = Candle(BTC, self.open_ms, MINUTE, opened, high, low, close, volume)
        quiet = Candle(ETH, self.open_ms, MINUTE, 500, 500, 500, 500, volume)
        if points == 4:
            self.clock.move(self.open_ms + MINUTE - self.clock.now_ms())
        self.exchange.play(self.open_ms, [candle, quiet], [], points)
        if points == 4:
            self.open_ms += MINUTE

    # ── the client ──────────────────────────────────────────────────────────

    async def ask(self, method: str, path: str, *, in_body: bool = False, key: str = KEY, **params: Any) -> Said:
        """A signed call; (status, answer)."""
        params.setdefault("timestamp", self.clock.now_ms())
        text = urlencode(params)
        text += "&signature=" + hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
        return await self.send(method, path, "" if in_body else text, text if in_body else "", key=key)

    async def send(self, method: str, path: str, query: str = "", body: str = "", *, key: str = KEY) -> Said:
        """A call byte for byte."""
        url = URL(f"http://127.0.0.1:{self.server.port}/fapi/{path}{'?' if query else ''}{query}", encoded=True)
        headers = {"X-MBX-APIKEY": key} if key else {}
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        async with self.http.request(method, url, data=body or None, headers=headers) as response:
            self.headers = dict(response.headers)
            return response.status, json.loads(await response.text())

    async def code(self, method: str, path: str, **params: Any) -> int:
        """The error code of a call."""
        _, answer = await self.ask(method, path, **params)
        return int(answer["code"])

    async def get(self, path: str, **params: Any) -> Any:
        """The answer of a call that works."""
        return await self.done("GET", path, **params)

    async def done(self, method: str, path: str, **params: Any) -> Any:
        """The answer of a call that works, by any method."""
        status, answer = await self.ask(method, path, **params)
        assert (200, path) == (status, path), answer
        return answer

    @asynccontextmanager
    async def socket(self, path: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A websocket that the server knows of: it answers a first question."""
        async with self.http.ws_connect(f"http://127.0.0.1:{self.server.port}{path}") as socket:
            await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 0})
            while "result" not in await socket.receive_json():  # where the clock runs, a price may come before
                continue
            yield socket

    @asynccontextmanager
    async def user_socket(self, more: str = "") -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A websocket on the user stream."""
        _, answer = await self.send("POST", "v1/listenKey")
        async with self.socket(f"/private/ws?listenKey={answer['listenKey']}{more}") as socket:
            yield socket


def verdict(said: Said) -> tuple[int, int]:
    """Status and code of a refusal."""
    return said[0], said[1]["code"]


async def heard(socket: aiohttp.ClientWebSocketResponse, wait_s: float = 0.1) -> list[Any]:
    """Everything that comes until it is quiet."""
    frames = []
    while True:
        try:
            frames.append(await socket.receive_json(timeout=wait_s))
        except TimeoutError:
            return frames


def run(tmp_path: Path, story: Callable[[House], Awaitable[None]], limits: Limits | None = None) -> None:
    """Tell a story in a house whose market stands at 100."""

    async def tell() -> None:
        house = House(tmp_path / "exchange.db", limits)
        await house.open()
        house.minute(1_000)
        house.minute(1_000, points=1)
        try:
            await story(house)
        finally:
            await house.close()

    asyncio.run(tell())


def outline(event: dict[str, Any]) -> tuple[str, ...]:
    """What an event is about, in a word or two."""
    order = event.get("o", {})
    return tuple(str(part) for part in (event["e"], order.get("x"), order.get("X")) if part)


# ── who may ask ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("key", "code", "status"), [("", -2014, 401), ("not a key!", -2014, 401), ("another-key", -2015, 401)]
)
def test_a_call_without_the_right_key_is_refused(tmp_path: Path, key: str, code: int, status: int) -> None:
    """No key and nonsense are -2014, a strange key is -2015, for signed calls and for the listen key alike."""

    async def story(house: House) -> None:
        for method, path in (("GET", "v3/balance"), ("POST", "v1/listenKey")):
            answered, answer = await house.ask(method, path, key=key)
            assert (status, code) == (answered, answer["code"])

    run(tmp_path, story)


@pytest.mark.parametrize(
    ("offset_ms", "window", "code"),
    [(999, 5_000, 0), (1_000, 60_000, -1021), (-5_000, 5_000, 0), (-5_001, 5_000, -1021), (-5_001, 6_000, 0)],
)
def test_a_time_stamp_counts_within_its_window_only(tmp_path: Path, offset_ms: int, window: int, code: int) -> None:
    """Less than a second ahead, and no more than `recvWindow` behind."""

    async def story(house: House) -> None:
        stamp = house.clock.now_ms() + offset_ms
        status, answer = await house.ask("GET", "v1/accountConfig", recvWindow=window, timestamp=stamp)
        assert (code, 400 if code else 200) == (answer.get("code", 0), status)

    run(tmp_path, story)


def test_query_and_form_are_signed_as_one_text_without_a_separator(tmp_path: Path) -> None:
    """The documented rule, in the query, in the form, in both; the query's value wins."""

    async def story(house: House) -> None:
        query = f"symbol={BTC}&side=BUY&type=LIMIT&timeInForce=GTC"
        body = f"quantity=1&price=90&recvWindow=5000&timestamp={house.clock.now_ms()}"
        signature = hmac.new(SECRET.encode(), (query + body).encode(), hashlib.sha256).hexdigest()
        status, answer = await house.send("POST", "v1/order", query, f"{body}&signature={signature.upper()}")
        assert (200, "90.000") == (status, answer["price"])
        in_body = await house.done("POST", "v1/order", in_body=True, **LIMIT)
        assert "99.000" == in_body["price"]
        wrong = hmac.new(SECRET.encode(), f"{query}&{body}".encode(), hashlib.sha256).hexdigest()
        status, answer = await house.send("POST", "v1/order", query, f"{body}&signature={wrong}")
        assert (400, -1022) == (status, answer["code"])

    run(tmp_path, story)


def test_what_is_missing_or_unreadable_has_its_own_code(tmp_path: Path) -> None:
    """Missing time stamp and signature, empty, doubled and malformed values, unknown paths."""

    async def story(house: House) -> None:
        now = house.clock.now_ms()
        for query, code in (
            ("signature=00", -1102),
            (f"timestamp={now}", -1102),
            (f"timestamp={now}&timestamp={now}&signature=00", -1101),
            ("timestamp=soon&signature=00", -1100),
            (f"timestamp={now}&signature=00", -1022),
        ):
            assert (400, code) == verdict(await house.send("GET", "v3/balance", query))
        assert -1102 == await house.code("GET", "v1/userTrades")
        assert -1105 == await house.code("GET", "v1/openOrders", symbol=BTC, recvWindow="")
        assert -1121 == await house.code("GET", "v1/openOrders", symbol="NOUSDT")
        assert -1100 == await house.code("GET", "v1/userTrades", symbol=BTC, startTime="x")
        assert -1130 == await house.code("GET", "v1/userTrades", symbol=BTC, limit=1_001)
        assert -1127 == await house.code("GET", "v1/userTrades", symbol=BTC, startTime=1, endTime=7 * 86_400_000 + 2)
        assert -1128 == await house.code("GET", "v1/userTrades", symbol=BTC, startTime=1, fromId=1)
        assert (404, -5000) == verdict(await house.send("GET", "v1/nothing"))

    run(tmp_path, story)


# ── how often ───────────────────────────────────────────────────────────────


def test_weight_is_counted_by_the_minute_and_answered_with_429_then_418(tmp_path: Path) -> None:
    """The header counts; over the limit is 429 with a pause; who goes on is banned, for two minutes at first."""

    async def story(house: House) -> None:
        house.clock.move(MINUTE - house.clock.now_ms() % MINUTE)  # into a window of its own
        await house.send("GET", "v1/time")
        assert "1" == house.headers["X-MBX-USED-WEIGHT-1M"]
        await house.send("GET", "v1/depth", f"symbol={BTC}&limit=1000")
        assert "21" == house.headers["X-MBX-USED-WEIGHT-1M"]
        for _ in range(3):
            status, answer = await house.send("GET", "v1/depth", f"symbol={BTC}&limit=1000")
            assert (429, -1003, "60") == (status, answer["code"], house.headers["Retry-After"])
        status, answer = await house.send("GET", "v1/time")
        assert (418, -1003, "120") == (status, answer["code"], house.headers["Retry-After"])
        assert f"banned until {house.clock.now_ms() + 120_000}" in answer["msg"]
        house.clock.move(119_999)
        assert 418 == (await house.send("GET", "v1/time"))[0]
        house.clock.move(1)
        assert 200 == (await house.send("GET", "v1/time"))[0]

    run(tmp_path, story, Limits(weight=40, offences=3))


def test_orders_are_counted_for_ten_seconds_and_for_a_minute(tmp_path: Path) -> None:
    """An order has no weight but counts; one too many is 429 with -1015 and is not taken."""

    async def story(house: House) -> None:
        for count in ("1", "2"):
            await house.done("POST", "v1/order", **LIMIT)
            assert (count, count) == (house.headers["X-MBX-ORDER-COUNT-10S"], house.headers["X-MBX-ORDER-COUNT-1M"])
        assert "0" == house.headers["X-MBX-USED-WEIGHT-1M"]
        status, answer = await house.ask("POST", "v1/algoOrder", **STOP)
        assert (429, -1015, "10") == (status, answer["code"], house.headers["Retry-After"])
        house.clock.move(10_000)
        await house.done("POST", "v1/order", **LIMIT)
        assert 3 == len(house.exchange.orders())
        assert ("1", "4") == (house.headers["X-MBX-ORDER-COUNT-10S"], house.headers["X-MBX-ORDER-COUNT-1M"])
        assert "X-MBX-ORDER-COUNT-10S" not in (await house.get("v1/openOrders", symbol=BTC), house.headers)[1]

    run(tmp_path, story, Limits(orders_10s=2))


# ── filters ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"symbol": "NOUSDT"}, -1121),
        ({"side": "HOLD"}, -1117),
        ({"type": "FOO"}, -1116),
        ({"type": "STOP_MARKET"}, -4120),
        ({"type": "STOP"}, -4120),
        ({"type": "TAKE_PROFIT_MARKET"}, -4120),
        ({"type": "TRAILING_STOP_MARKET"}, -4120),
        ({"positionSide": "LONG"}, -4061),
        ({"timeInForce": "SOON"}, -1115),
        ({"timeInForce": "GTD", "goodTillDate": 1}, -5040),
        ({"timeInForce": "GTD"}, -1102),
        ({"type": "MARKET"}, -1106),
        ({"quantity": None}, -1102),
        ({"quantity": "1e3"}, -1100),
        ({"quantity": "0"}, -4003),
        ({"quantity": "-1"}, -4003),
        ({"quantity": "1.001"}, -1111),
        ({"quantity": "0.03"}, -4004),
        ({"quantity": "101"}, -4005),
        ({"quantity": "0.07"}, -4023),
        ({"price": None}, -1102),
        ({"price": "0"}, -4001),
        ({"price": "99.05"}, -4014),
        ({"price": "99.001"}, -1111),
        ({"price": "0.05"}, -4013),
        ({"price": "1000000.1"}, -4002),
        ({"price": "115.1"}, -4016),
        ({"side": "SELL", "price": "84.9"}, -4024),
        ({"quantity": "0.05"}, -4164),
        ({"newClientOrderId": "a" * 37}, -4015),
        ({"newClientOrderId": "a b"}, -4015),
        ({"newClientOrderId": "used"}, -4116),
        ({"reduceOnly": "true"}, -2022),
        ({"reduceOnly": "perhaps"}, -1130),
        ({"newOrderRespType": "FULL"}, -1130),
        ({"quantity": "100", "price": "100", "symbol": ETH}, -4016),
        ({"quantity": "100", "price": "99"}, 0),
        ({"timeInForce": "GTX", "price": "100"}, -5022),
        ({"timeInForce": "FOK", "price": "99"}, -5021),
        ({"price": "1"}, -4164),
        ({"price": "10", "quantity": "1"}, 0),
    ],
)
def test_an_order_outside_of_the_filters_is_refused_with_its_code(
    tmp_path: Path, changes: dict[str, object], code: int
) -> None:
    """Each wrong parameter by itself; far below the market a purchase is fine."""

    async def story(house: House) -> None:
        await house.done("POST", "v1/order", **LIMIT | {"newClientOrderId": "used", "quantity": "1"})
        wanted = {name: value for name, value in (LIMIT | changes).items() if value is not None}
        status, answer = await house.ask("POST", "v1/order", **wanted)
        assert (code, 400 if code else 200) == (answer.get("code", 0), status), answer

    run_small(tmp_path, story)


def run_small(tmp_path: Path, story: Callable[[House], Awaitable[None]]) -> None:
    """As `run`, with lots that start at 0.05 in steps of 0.05, worth at least 9."""
    global WIDE  # noqa: PLW0603 - one contract for one story
    before, WIDE = (
        WIDE,
        make_instrument(
            step=Decimal("0.05"), min_quantity=Decimal("0.05"), max_quantity=Decimal(100), min_notional=Decimal(9)
        ),
    )
    try:
        run(tmp_path, story)
    finally:
        WIDE = before


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"algoType": "VP"}, -1130),
        ({"algoType": None}, -1102),
        ({"type": "LIMIT"}, -1116),
        ({"type": "TRAILING_STOP_MARKET"}, -1020),
        ({"triggerPrice": None}, -1102),
        ({"triggerPrice": "95.05"}, -4014),
        ({"triggerPrice": "100"}, -2021),
        ({"triggerPrice": "101"}, -2021),
        ({"type": "TAKE_PROFIT_MARKET", "triggerPrice": "99"}, -2021),
        ({"side": "BUY"}, -2021),
        ({"side": "BUY", "triggerPrice": "105"}, -2022),
        ({"closePosition": "true"}, -4137),
        ({"closePosition": "true", "quantity": None}, -4138),
        ({"closePosition": "true", "quantity": None, "reduceOnly": None, "symbol": ETH, "triggerPrice": "40"}, -4509),
        ({"workingType": "ORACLE"}, -1130),
        ({"clientAlgoId": "used"}, -4116),
        ({"clientAlgoId": "ü"}, -4015),
        ({"quantity": "0.01", "reduceOnly": None, "triggerPrice": "95"}, -4164),
    ],
)
def test_a_conditional_order_that_cannot_be_is_refused_with_its_code(
    tmp_path: Path, changes: dict[str, object], code: int
) -> None:
    """Each wrong parameter by itself, on a long position of one coin."""

    async def story(house: House) -> None:
        await house.done("POST", "v1/order", **MARKET)
        await house.done("POST", "v1/algoOrder", **STOP | {"clientAlgoId": "used"})
        wanted = {name: value for name, value in (STOP | changes).items() if value is not None}
        assert code == await house.code("POST", "v1/algoOrder", **wanted)

    run(tmp_path, story)


def test_margin_is_asked_for_and_missing_margin_refused(tmp_path: Path) -> None:
    """A wallet of 10,000 at tenfold leverage does not carry 200,000."""

    async def story(house: House) -> None:
        await house.done("POST", "v1/leverage", symbol=BTC, leverage=1)
        assert -2019 == await house.code("POST", "v1/order", **MARKET | {"quantity": "100"})

    run(tmp_path, story)


# ── plain orders ────────────────────────────────────────────────────────────


def test_a_limit_order_lives_from_its_placing_to_its_cancelling(tmp_path: Path) -> None:
    """Placed, read in five ways, cancelled; then it is unknown to a cancel and known to a query."""

    async def story(house: House) -> None:
        placed = await house.done("POST", "v1/order", **LIMIT | {"newClientOrderId": "te:1/a.B_c-9"})
        assert ("NEW", "te:1/a.B_c-9", "0", "1") == tuple(
            placed[name] for name in ("status", "clientOrderId", "executedQty", "origQty")
        )
        assert not {"avgPrice", "cumQuote", "time"} & placed.keys()
        assert placed["orderId"] > 1 << 53
        order_id = {"symbol": BTC, "orderId": placed["orderId"]}
        client_id = {"symbol": BTC, "origClientOrderId": "te:1/a.B_c-9"}
        queried = await house.get("v1/order", **order_id)
        assert {"avgPrice", "cumQuote", "time"} <= queried.keys()
        assert queried == await house.get("v1/order", **client_id)
        for rows in (
            await house.get("v1/openOrders", symbol=BTC),
            await house.get("v1/openOrders"),
            await house.get("v1/allOrders", symbol=BTC),
            [await house.get("v1/openOrder", **client_id)],
        ):
            assert [placed["orderId"]] == [row["orderId"] for row in rows]
        assert [] == await house.get("v1/openOrders", symbol=ETH)
        assert -2011 == await house.code("DELETE", "v1/order", symbol=ETH, orderId=placed["orderId"])
        assert -1102 == await house.code("DELETE", "v1/order", symbol=BTC)
        assert -1020 == await house.code("PUT", "v1/order", **order_id, side="BUY", quantity="1", price="98")
        assert "CANCELED" == (await house.done("DELETE", "v1/order", **order_id))["status"]
        assert -2011 == await house.code("DELETE", "v1/order", **order_id)
        assert -2013 == await house.code("GET", "v1/openOrder", **order_id)
        assert -2013 == await house.code("GET", "v1/order", symbol=BTC, origClientOrderId="unknown")
        assert "CANCELED" == (await house.get("v1/order", **order_id))["status"]
        house.clock.move(4 * 86_400_000)
        assert -2013 == await house.code("GET", "v1/order", **order_id)

    run(tmp_path, story)


def test_an_acknowledgement_tells_nothing_of_the_fill_and_a_result_does(tmp_path: Path) -> None:
    """`newOrderRespType` is ACK where nothing else is asked for."""

    async def story(house: House) -> None:
        short = await house.done("POST", "v1/order", **MARKET)
        assert ("NEW", "0") == (short["status"], short["executedQty"])
        full = await house.done("POST", "v1/order", **MARKET, newOrderRespType="RESULT")
        assert ("FILLED", "1", "1") == (full["status"], full["executedQty"], full["cumQty"])
        queried = await house.get("v1/order", symbol=BTC, orderId=full["orderId"])
        assert ("100.0000", "100.0000000") == (queried["avgPrice"], queried["cumQuote"])
        assert Decimal(2) == house.exchange.positions()[0].steps * WIDE.step

    run(tmp_path, story)


def test_what_cannot_be_traded_at_once_expires(tmp_path: Path) -> None:
    """A market order and an IOC take what there is; the rest is EXPIRED, not left waiting."""

    async def story(house: House) -> None:
        house.minute(1_000)
        house.minute(1_000, points=1, volume=50)
        market = await house.done("POST", "v1/order", **MARKET, newOrderRespType="RESULT")
        assert ("EXPIRED", "0.5") == (market["status"], market["executedQty"])
        late = LIMIT | {"timeInForce": "IOC", "newOrderRespType": "RESULT"}
        assert "EXPIRED" == (await house.done("POST", "v1/order", **late))["status"]
        assert [] == await house.get("v1/openOrders")

    run(tmp_path, story)


def test_a_reduce_only_market_order_is_cut_to_the_position(tmp_path: Path) -> None:
    """It closes one coin where five were asked for, and is FILLED."""

    async def story(house: House) -> None:
        await house.done("POST", "v1/order", **MARKET)
        exit_ = MARKET | {"side": "SELL", "quantity": "5", "reduceOnly": "true", "newOrderRespType": "RESULT"}
        async with house.user_socket() as socket:
            closed = await house.done("POST", "v1/order", **exit_)
            events = await heard(socket)
        assert ("FILLED", "1", "1") == (closed["status"], closed["origQty"], closed["executedQty"])
        assert [("TRADE_LITE",), ("ORDER_TRADE_UPDATE", "NEW", "NEW"), ("ACCOUNT_UPDATE",)] == [
            outline(event) for event in events[:3]
        ]
        assert [("ORDER_TRADE_UPDATE", "TRADE", "FILLED")] == [outline(event) for event in events[3:]]
        assert "1" == events[1]["o"]["q"]
        assert [] == house.exchange.positions()

    run(tmp_path, story)


def test_executions_are_listed_from_the_oldest_and_by_page(tmp_path: Path) -> None:
    """`limit` keeps the oldest; `fromId`, `orderId` and the times narrow it; newest orders for `allOrders`."""

    async def story(house: House) -> None:
        placed = []
        for _ in range(3):
            house.clock.move(1_000)
            placed.append((await house.done("POST", "v1/order", **MARKET))["orderId"])
        rows = await house.get("v1/userTrades", symbol=BTC)
        assert placed == [row["orderId"] for row in rows]
        assert ("1", "100.000", "0.06000000", "USDT", True, False) == tuple(
            rows[0][name] for name in ("qty", "price", "commission", "commissionAsset", "buyer", "maker")
        )
        assert placed[:2] == [row["orderId"] for row in await house.get("v1/userTrades", symbol=BTC, limit=2)]
        page = await house.get("v1/userTrades", symbol=BTC, fromId=rows[1]["id"])
        assert rows[1:] == page
        assert rows[2:] == await house.get("v1/userTrades", symbol=BTC, startTime=rows[2]["time"])
        assert rows[1:2] == await house.get("v1/userTrades", symbol=BTC, orderId=placed[1])
        assert placed[1:] == [row["orderId"] for row in await house.get("v1/allOrders", symbol=BTC, limit=2)]
        fees = await house.get("v1/income", incomeType="COMMISSION")
        assert [str(row["id"]) for row in rows] == [row["tradeId"] for row in fees]

    run(tmp_path, story)


def test_batches_answer_for_each_part(tmp_path: Path) -> None:
    """Placing and cancelling together, with a refusal in the middle; too many are refused whole."""

    async def story(house: House) -> None:
        wanted = [
            LIMIT | {"newClientOrderId": name, "quantity": quantity} for name, quantity in (("a", "1"), ("b", "0"))
        ]
        placed = await house.done("POST", "v1/batchOrders", batchOrders=json.dumps(wanted))
        assert ["a", -4003] == [row.get("clientOrderId", row.get("code")) for row in placed]
        assert -4082 == await house.code("POST", "v1/batchOrders", batchOrders=json.dumps(wanted * 3))
        ids = json.dumps([placed[0]["orderId"], 77])
        gone = await house.done("DELETE", "v1/batchOrders", symbol=BTC, orderIdList=ids)
        assert ["CANCELED", -2011] == [row.get("status", row.get("code")) for row in gone]
        many = json.dumps([str(number) for number in range(11)])
        assert -4032 == await house.code("DELETE", "v1/batchOrders", symbol=BTC, origClientOrderIdList=many)

    run(tmp_path, story)


def test_good_till_dates_and_the_countdown_end_plain_orders_only(tmp_path: Path) -> None:
    """A GTD order expires; the dead man's switch cancels what is plain and leaves the stop; zero disarms it."""

    async def story(house: House) -> None:
        await house.done("POST", "v1/order", **MARKET)
        await house.done("POST", "v1/algoOrder", **STOP)
        till = house.clock.now_ms() + 700_000
        dated = await house.done("POST", "v1/order", **LIMIT | {"timeInForce": "GTD"}, goodTillDate=till)
        house.clock.move(701_000)
        assert "EXPIRED" == (await house.get("v1/order", symbol=BTC, orderId=dated["orderId"]))["status"]
        await house.done("POST", "v1/order", **LIMIT)
        armed = await house.done("POST", "v1/countdownCancelAll", symbol=BTC, countdownTime=5_000)
        assert {"symbol": BTC, "countdownTime": "5000"} == armed
        await house.done("POST", "v1/countdownCancelAll", symbol=BTC, countdownTime=0)
        house.clock.move(6_000)
        assert 1 == len(await house.get("v1/openOrders"))
        await house.done("POST", "v1/countdownCancelAll", symbol=BTC, countdownTime=5_000)
        house.clock.move(5_000)
        assert ([], 1) == (await house.get("v1/openOrders"), len(await house.get("v1/openAlgoOrders")))

    run(tmp_path, story)


# ── conditional orders ──────────────────────────────────────────────────────


def test_a_stop_lives_in_its_own_space_until_it_triggers(tmp_path: Path) -> None:
    """Never among plain orders before; then a plain market order with its client id, and a finished record."""

    async def story(house: House) -> None:
        await house.done("POST", "v1/order", **MARKET)
        placed = await house.done("POST", "v1/algoOrder", **STOP | {"clientAlgoId": "te-stop"})
        assert ("NEW", "STOP_MARKET", "95.000", 0, None) == tuple(
            placed[name] for name in ("algoStatus", "orderType", "triggerPrice", "triggerTime", "icebergQuantity")
        )
        assert not {"status", "type", "orderId"} & placed.keys()
        assert [] == await house.get("v1/openOrders")
        assert ["te-stop"] == [row["clientAlgoId"] for row in await house.get("v1/openAlgoOrders", symbol=BTC)]
        assert -2013 == await house.code("GET", "v1/order", symbol=BTC, origClientOrderId="te-stop")
        house.minute(1_000, 1_000, 940, 940)
        assert [] == await house.get("v1/openAlgoOrders")
        record = (await house.get("v1/allAlgoOrders", symbol=BTC))[0]
        child = await house.get("v1/order", symbol=BTC, origClientOrderId="te-stop")
        assert ("FINISHED", str(child["orderId"]), "1", "MARKET") == tuple(
            record[name] for name in ("algoStatus", "actualOrderId", "actualQty", "actualType")
        )
        assert ("FILLED", "MARKET", "MARKET", "0.000", True) == tuple(
            child[name] for name in ("status", "type", "origType", "stopPrice", "reduceOnly")
        )
        assert child["orderId"] != placed["algoId"] == record["algoId"]
        assert child["orderId"] in [row["orderId"] for row in await house.get("v1/allOrders", symbol=BTC)]
        assert record == await house.get("v1/algoOrder", clientAlgoId="te-stop")
        assert -2011 == await house.code("DELETE", "v1/algoOrder", clientAlgoId="te-stop")

    run(tmp_path, story)


def test_ids_outlive_a_restart_of_the_server(tmp_path: Path) -> None:
    """A stop that triggered before it and one that rests after it have the ids they had."""

    async def story(house: House) -> None:
        await house.done("POST", "v1/order", **MARKET | {"quantity": "2"})
        await house.done("POST", "v1/algoOrder", **STOP | {"clientAlgoId": "first"})
        await house.done("POST", "v1/algoOrder", **STOP | {"clientAlgoId": "second", "triggerPrice": "90"})
        house.minute(1_000, 1_000, 940, 940)
        paths = (
            ("v1/allAlgoOrders", {"symbol": BTC}),
            ("v1/allOrders", {"symbol": BTC}),
            ("v1/userTrades", {"symbol": BTC}),
            ("v1/openAlgoOrders", {}),
            ("v1/income", {}),
        )
        before = [await house.get(path, **params) for path, params in paths]
        await house.close()
        await house.open()
        assert before == [await house.get(path, **params) for path, params in paths]

    run(tmp_path, story)


def test_cancelling_everything_takes_two_calls(tmp_path: Path) -> None:
    """`allOpenOrders` leaves the stops, `algoOpenOrders` the plain orders."""

    async def story(house: House) -> None:
        await house.done("POST", "v1/order", **MARKET)
        await house.done("POST", "v1/order", **LIMIT)
        stop = await house.done("POST", "v1/algoOrder", **STOP)
        assert 200 == (await house.done("DELETE", "v1/allOpenOrders", symbol=BTC))["code"]
        assert ([], 1) == (await house.get("v1/openOrders"), len(await house.get("v1/openAlgoOrders")))
        await house.done("POST", "v1/order", **LIMIT)
        assert 200 == (await house.done("DELETE", "v1/algoOpenOrders", symbol=BTC))["code"]
        assert (1, []) == (len(await house.get("v1/openOrders")), await house.get("v1/openAlgoOrders"))
        assert "CANCELED" == (await house.get("v1/algoOrder", algoId=stop["algoId"]))["algoStatus"]
        again = await house.done("POST", "v1/algoOrder", **STOP)
        gone = await house.done("DELETE", "v1/algoOrder", algoId=again["algoId"])
        assert (again["algoId"], "200") == (gone["algoId"], gone["code"])
        assert -2013 == await house.code("DELETE", "v1/algoOrder", algoId=1)
        assert -1102 == await house.code("DELETE", "v1/algoOrder")

    run(tmp_path, story)


def test_a_stop_for_the_whole_position_dies_with_it(tmp_path: Path) -> None:
    """It shows no quantity; it closes all; where the position was closed otherwise it is EXPIRED."""

    async def story(house: House) -> None:
        whole = {name: value for name, value in STOP.items() if name not in ("quantity", "reduceOnly")}
        whole |= {"closePosition": "true"}
        await house.done("POST", "v1/order", **MARKET | {"quantity": "3"})
        placed = await house.done("POST", "v1/algoOrder", **whole | {"clientAlgoId": "all"})
        assert ("0", True) == (placed["quantity"], placed["closePosition"])
        house.minute(1_000, 1_000, 940, 1_000)
        child = await house.get("v1/order", symbol=BTC, origClientOrderId="all")
        assert ("FILLED", "3", "3") == (child["status"], child["origQty"], child["executedQty"])
        house.minute(1_000, points=1)
        await house.done("POST", "v1/order", **MARKET)
        await house.done("POST", "v1/algoOrder", **whole | {"clientAlgoId": "void"})
        await house.done("POST", "v1/order", **MARKET | {"side": "SELL"})
        assert "EXPIRED" == (await house.get("v1/algoOrder", clientAlgoId="void"))["algoStatus"]

    run(tmp_path, story)


def test_a_stop_that_triggers_without_a_position_is_rejected(tmp_path: Path) -> None:
    """The record says REJECTED and why; there is no plain order."""

    async def story(house: House) -> None:
        await house.done("POST", "v1/order", **MARKET)
        await house.done("POST", "v1/algoOrder", **STOP | {"clientAlgoId": "late"})
        await house.done("POST", "v1/order", **MARKET | {"side": "SELL"})
        async with house.user_socket() as socket:
            house.minute(1_000, 1_000, 940, 940)
            events = await heard(socket)
        assert [("ALGO_UPDATE", "TRIGGERING"), ("ALGO_UPDATE", "REJECTED")] == [outline(event) for event in events]
        assert "ReduceOnly Order is rejected." == events[1]["o"]["rm"]
        assert -2013 == await house.code("GET", "v1/order", symbol=BTC, origClientOrderId="late")

    run(tmp_path, story)


# ── the account ─────────────────────────────────────────────────────────────


def test_balances_and_positions_agree_with_the_exchange(tmp_path: Path) -> None:
    """Both versions of balance, account and position, on a short that has lost."""

    async def story(house: House) -> None:
        await house.done("POST", "v1/order", **MARKET | {"side": "SELL", "quantity": "2"})
        house.minute(1_000, 1_010, 1_000, 1_010)
        held = house.exchange.positions()[0]
        wallet, available = house.exchange.wallet, house.exchange.available
        for version in ("v2", "v3"):
            row = (await house.get(f"{version}/balance"))[0]
            assert (wallet, available) == (Decimal(row["balance"]), Decimal(row["availableBalance"]))
            account = await house.get(f"{version}/account")
            assert wallet == Decimal(account["totalWalletBalance"])
            assert Decimal(-2) == Decimal(account["totalUnrealizedProfit"])
            risk = next(row for row in await house.get(f"{version}/positionRisk") if row["symbol"] == BTC)
            assert ("-2", "100", "BOTH", "101.00000000") == tuple(
                risk[name] for name in ("positionAmt", "entryPrice", "positionSide", "markPrice")
            )
            assert Decimal(-2) == Decimal(risk["unRealizedProfit"])
            assert WIDE.ticks_to_price(held.liquidation) == Decimal(risk["liquidationPrice"])
            assert Decimal(20) == Decimal(risk["isolatedWallet"])
        for version, symbols in (("v3", [BTC]), ("v2", [BTC, ETH])):
            assert symbols == [row["symbol"] for row in await house.get(f"{version}/positionRisk")]
        flat = (await house.get("v2/account"))["positions"][1]
        assert (ETH, "0", "10", True) == tuple(flat[name] for name in ("symbol", "positionAmt", "leverage", "isolated"))

    run(tmp_path, story)


def test_settings_are_refused_where_the_exchange_has_only_one(tmp_path: Path) -> None:
    """Isolated, single asset: the same again is the benign code, anything else -1020."""

    async def story(house: House) -> None:
        assert -4046 == await house.code("POST", "v1/marginType", symbol=BTC, marginType="ISOLATED")
        assert -1020 == await house.code("POST", "v1/marginType", symbol=BTC, marginType="CROSSED")
        assert -4059 == await house.code("POST", "v1/positionSide/dual", dualSidePosition="false")
        assert -4171 == await house.code("POST", "v1/multiAssetsMargin", multiAssetsMargin="false")
        assert -1020 == await house.code("POST", "v1/multiAssetsMargin", multiAssetsMargin="true")
        assert {"dualSidePosition": False} == await house.get("v1/positionSide/dual")
        assert {"multiAssetsMargin": False} == await house.get("v1/multiAssetsMargin")
        assert (await house.get("v1/accountConfig"))["dualSidePosition"] is False
        await house.done("POST", "v1/order", **LIMIT)
        assert -4047 == await house.code("POST", "v1/marginType", symbol=BTC, marginType="CROSSED")
        assert -4067 == await house.code("POST", "v1/positionSide/dual", dualSidePosition="true")

    run(tmp_path, story)


def test_fees_in_bnb_leave_the_wallet_alone(tmp_path: Path) -> None:
    """Switched on and off by its call; rows and events name the coin; what was traded keeps what it was charged in."""

    async def story(house: House) -> None:
        burn = ("POST", "v1/feeBurn")
        assert {"feeBurn": False} == await house.get("v1/feeBurn")
        assert {"code": 200, "msg": "success"} == await house.done(*burn, feeBurn="true")
        assert {"feeBurn": True} == await house.get("v1/feeBurn")
        before = house.exchange.wallet
        async with house.user_socket() as socket:
            await house.done("POST", "v1/order", **MARKET)
            events = await heard(socket)
        assert before == house.exchange.wallet
        (told,) = [event["o"] for event in events if event["e"] == "ORDER_TRADE_UPDATE" and event["o"]["x"] == "TRADE"]
        assert ("0.00009", "BNB") == (told["n"], told["N"]), "0.06 USDT less a tenth at 600"
        await house.done(*burn, feeBurn="false")
        house.clock.move(1_000)
        await house.done("POST", "v1/order", **MARKET)
        assert before - Decimal("0.06") == house.exchange.wallet
        rows = await house.get("v1/userTrades", symbol=BTC)
        paid = [("0.00009000", "BNB"), ("0.06000000", "USDT")]
        assert paid == [(row["commission"], row["commissionAsset"]) for row in rows]
        fees = await house.get("v1/income", incomeType="COMMISSION")
        assert [(f"-{fee}", asset) for fee, asset in paid] == [(row["income"], row["asset"]) for row in fees]

    run(tmp_path, story)


def test_in_hedge_mode_two_sides_tell_what_an_order_does(tmp_path: Path) -> None:
    """A side must be named and no flag; rows name it everywhere; the mode stands while anything is open."""

    async def story(house: House) -> None:
        mode = ("POST", "v1/positionSide/dual")
        await house.done(*mode, dualSidePosition="true")
        assert {"dualSidePosition": True} == await house.get("v1/positionSide/dual")
        assert -4059 == await house.code(*mode, dualSidePosition="true")
        long, short = MARKET | {"positionSide": "LONG"}, MARKET | {"positionSide": "SHORT"}
        assert -4061 == await house.code("POST", "v1/order", **MARKET)
        assert -1106 == await house.code("POST", "v1/order", **long, reduceOnly="false")
        assert -2022 == await house.code("POST", "v1/order", **short), "a purchase closes a short, and there is none"
        placed = await house.done("POST", "v1/order", **long)
        assert ("LONG", False) == (placed["positionSide"], placed["reduceOnly"])
        assert -1020 == await house.code("POST", "v1/order", **short | {"side": "SELL"})
        assert ["LONG"] == [row["positionSide"] for row in await house.get("v3/positionRisk")]
        assert -4068 == await house.code(*mode, dualSidePosition="false")
        closed = await house.done("POST", "v1/order", **long | {"side": "SELL"})
        assert ("LONG", False) == (closed["positionSide"], closed["reduceOnly"])
        assert [] == await house.get("v3/positionRisk")
        assert {"LONG"} == {row["positionSide"] for row in await house.get("v1/userTrades", symbol=BTC)}

    run(tmp_path, story)


def test_leverage_is_set_told_and_held_while_there_is_a_position(tmp_path: Path) -> None:
    """Echoed as a number, shown by `symbolConfig`, told on the stream; -4028 and -4161 otherwise."""

    async def story(house: House) -> None:
        async with house.user_socket() as socket:
            answer = await house.done("POST", "v1/leverage", symbol=BTC, leverage=7)
            events = await heard(socket)
        assert {"symbol": BTC, "leverage": 7, "maxNotionalValue": "1000000"} == answer
        assert [{"s": BTC, "l": 7}] == [event["ac"] for event in events]
        row = (await house.get("v1/symbolConfig", symbol=BTC))[0]
        assert (7, "ISOLATED") == (row["leverage"], row["marginType"])
        for wrong in (0, 51):
            assert -4028 == await house.code("POST", "v1/leverage", symbol=BTC, leverage=wrong)
        await house.done("POST", "v1/order", **MARKET)
        assert -4161 == await house.code("POST", "v1/leverage", symbol=BTC, leverage=5)
        bracket = (await house.get("v1/leverageBracket", symbol=BTC))[0]["brackets"][0]
        assert (50, 1_000_000, 0.005) == tuple(
            bracket[name] for name in ("initialLeverage", "notionalCap", "maintMarginRatio")
        )
        rates = await house.get("v1/commissionRate", symbol=BTC)
        assert ("0.000200", "0.000600") == (rates["makerCommissionRate"], rates["takerCommissionRate"])

    run(tmp_path, story)


# ── the market ──────────────────────────────────────────────────────────────


def test_the_listing_has_the_filters_that_are_applied(tmp_path: Path) -> None:
    """Filters as strings, precisions that are not the tick, the limits."""

    async def story(house: House) -> None:
        _, info = await house.send("GET", "v1/exchangeInfo", key="")
        symbol = info["symbols"][0]
        filters = {row["filterType"]: row for row in symbol["filters"]}
        assert ("0.1", "0.01", "5") == (
            filters["PRICE_FILTER"]["tickSize"],
            filters["LOT_SIZE"]["stepSize"],
            filters["MIN_NOTIONAL"]["notional"],
        )
        assert ("BTC", "USDT", "PERPETUAL", "TRADING", 2) == tuple(
            symbol[name] for name in ("baseAsset", "quoteAsset", "contractType", "status", "pricePrecision")
        )
        assert [2_400, 300, 1_200] == [row["limit"] for row in info["rateLimits"]]
        assert (200, {"serverTime": house.clock.now_ms()}) == await house.send("GET", "v1/time", key="")

    run(tmp_path, story)


def test_candles_end_with_the_unfinished_one_and_join_to_longer_ones(tmp_path: Path) -> None:
    """A row for each minute, the last open; five make a longer one; bad questions are refused."""

    async def story(house: House) -> None:
        for close in (1_010, 1_020, 1_030, 1_040):
            house.minute(1_000, close, 990, close)
        house.minute(1_040, points=1)
        _, rows = await house.send("GET", "v1/klines", f"symbol={BTC}&interval=1m")
        assert [T0 + number * MINUTE for number in range(6)] == [row[0] for row in rows]
        assert ["100.0", "101.0", "99.0", "101.0"] == rows[1][1:5]
        assert rows[-1][6] >= house.clock.now_ms() > rows[-2][6]
        _, rows = await house.send("GET", "v1/klines", f"symbol={BTC}&interval=5m")
        assert [["100.0", "104.0", "99.0", "104.0"], ["104.0"] * 4] == [row[1:5] for row in rows]
        _, rows = await house.send("GET", "v1/klines", f"symbol={BTC}&interval=1m&startTime={T0}&limit=2")
        assert [T0, T0 + MINUTE] == [row[0] for row in rows]
        _, rows = await house.send("GET", "v1/klines", f"symbol={BTC}&interval=1m&limit=1")
        assert [T0 + 5 * MINUTE] == [row[0] for row in rows]
        assert -1120 == (await house.send("GET", "v1/klines", f"symbol={BTC}&interval=1s"))[1]["code"]
        for interval in ("1h", "1d", "3d", "1w", "1M"):
            assert 1 == len((await house.send("GET", "v1/klines", f"symbol={BTC}&interval={interval}"))[1])

    run(tmp_path, story)


def test_prices_and_funding_are_told_to_anybody(tmp_path: Path) -> None:
    """Premium index with and without a symbol, past settlements, the book and its best."""

    async def story(house: House) -> None:
        house.exchange.markets[BTC].next_rate = FundingRate(BTC, T0 + 8 * 3_600_000, Decimal("0.0003"))
        house.exchange.markets[BTC].funding = [
            FundingRate(BTC, T0 - 60_000 * step, Decimal("0.0001")) for step in (2, 1)
        ]
        _, index = await house.send("GET", "v1/premiumIndex", f"symbol={BTC}")
        assert ("100.00000000", "0.00030000", T0 + 8 * 3_600_000) == tuple(
            index[name] for name in ("markPrice", "lastFundingRate", "nextFundingTime")
        )
        assert [BTC, ETH] == [row["symbol"] for row in (await house.send("GET", "v1/premiumIndex"))[1]]
        _, rates = await house.send("GET", "v1/fundingRate", f"symbol={BTC}&startTime=1&limit=1")
        assert [(T0 - 120_000, "0.00010000", "Regular")] == [
            (row["fundingTime"], row["fundingRate"], row["rateType"]) for row in rates
        ]
        _, book = await house.send("GET", "v1/depth", f"symbol={BTC}&limit=5")
        assert (["99.9", "99.8"], ["100.1", "100.2"]) == tuple(
            [row[0] for row in book[side][:2]] for side in ("bids", "asks")
        )
        assert -4021 == (await house.send("GET", "v1/depth", f"symbol={BTC}&limit=7"))[1]["code"]
        _, best = await house.send("GET", "v1/ticker/bookTicker", f"symbol={BTC}")
        assert ("99.9", "100.1") == (best["bidPrice"], best["askPrice"])

    run(tmp_path, story)


# ── the websockets ──────────────────────────────────────────────────────────


def test_a_market_fill_is_told_in_the_order_of_the_venue(tmp_path: Path) -> None:
    """In short first, then the order, the position before the fill; types as on the wire."""

    async def story(house: House) -> None:
        async with house.user_socket() as socket:
            placed = await house.done("POST", "v1/order", **MARKET, newClientOrderId="te-1")
            events = await heard(socket)
        assert [
            ("TRADE_LITE",),
            ("ORDER_TRADE_UPDATE", "NEW", "NEW"),
            ("ACCOUNT_UPDATE",),
            ("ORDER_TRADE_UPDATE", "TRADE", "FILLED"),
        ] == [outline(event) for event in events]
        assert 1 == len({(event["T"], event["E"]) for event in events})
        fill = events[3]["o"]
        assert ("te-1", placed["orderId"], "1", "1", "100", "100", "0.06", "USDT", "0") == tuple(
            fill[name] for name in ("c", "i", "l", "z", "L", "ap", "n", "N", "rp")
        )
        assert events[0]["t"] == fill["t"] == (await house.get("v1/userTrades", symbol=BTC))[0]["id"]
        account = events[2]["a"]
        assert ("ORDER", "9999.94", "1", "100", "isolated", "10") == (
            account["m"],
            account["B"][0]["wb"],
            *(account["P"][0][name] for name in ("pa", "ep", "mt", "iw")),
        )

    run(tmp_path, story)


def test_a_trigger_is_told_from_the_conditional_order_to_its_child(tmp_path: Path) -> None:
    """Placed, triggering, triggered with the child's id, the child's life, finished with what it filled."""

    async def story(house: House) -> None:
        await house.done("POST", "v1/order", **MARKET)
        async with house.user_socket() as socket:
            placed = await house.done("POST", "v1/algoOrder", **STOP | {"clientAlgoId": "te-stop"})
            house.minute(1_000, 1_000, 940, 940)
            events = await heard(socket)
        assert [
            ("ALGO_UPDATE", "NEW"),
            ("ALGO_UPDATE", "TRIGGERING"),
            ("ALGO_UPDATE", "TRIGGERED"),
            ("TRADE_LITE",),
            ("ORDER_TRADE_UPDATE", "NEW", "NEW"),
            ("ACCOUNT_UPDATE",),
            ("ORDER_TRADE_UPDATE", "TRADE", "FILLED"),
            ("ALGO_UPDATE", "FINISHED"),
        ] == [outline(event) for event in events]
        child, finished = events[6]["o"], events[7]["o"]
        assert ("te-stop", "MARKET", "-5") == (child["c"], child["o"], child["rp"])
        assert (placed["algoId"], "te-stop", str(child["i"]), "1", "95") == tuple(
            finished[name] for name in ("aid", "caid", "ai", "aq", "ap")
        )
        assert "" == events[1]["o"]["ai"]
        assert str(child["i"]) == events[2]["o"]["ai"]

    run(tmp_path, story)


def test_cancels_funding_and_liquidation_reach_the_stream(tmp_path: Path) -> None:
    """A cancel says no position; funding names its symbol; a liquidation has an order that is nobody's."""

    async def story(house: House) -> None:
        async with house.user_socket("&events=ORDER_TRADE_UPDATE/ACCOUNT_UPDATE") as socket:
            order = await house.done("POST", "v1/order", **LIMIT)
            await house.done("DELETE", "v1/order", symbol=BTC, orderId=order["orderId"])
            events = await heard(socket)
            assert ["NEW", "CANCELED"] == [event["o"]["x"] for event in events]
            await house.done("POST", "v1/order", **MARKET)
            house.minute(1_000)
            await heard(socket)
            candles = [Candle(BTC, house.open_ms, MINUTE, 1_000, 1_000, 800, 800, 10_000)]
            rate = FundingRate(BTC, house.open_ms, Decimal("0.001"))
            house.clock.move(MINUTE)
            house.exchange.play(house.open_ms, candles, [rate])
            funding, account, forced = await heard(socket)
        assert ("FUNDING_FEE", BTC, "-0.1") == (funding["a"]["m"], funding["a"]["S"], funding["a"]["B"][0]["bc"])
        assert "0" == account["a"]["P"][0]["pa"]
        assert ("CALCULATED", "FILLED") == (forced["o"]["x"], forced["o"]["X"])
        assert forced["o"]["c"].startswith("autoclose-")
        rows = await house.get("v1/forceOrders")
        assert [forced["o"]["i"]] == [row["orderId"] for row in rows]
        assert forced["o"]["i"] == (await house.get("v1/userTrades", symbol=BTC))[-1]["orderId"]
        assert ["-0.10000000"] == [row["income"] for row in await house.get("v1/income", incomeType="FUNDING_FEE")]

    run(tmp_path, story)


def test_everybody_hears_of_a_liquidation_and_trades_are_numbered_by_one(tmp_path: Path) -> None:
    """Single trades have numbers of their own, beside those of orders' trades."""

    async def story(house: House) -> None:
        await house.done("POST", "v1/order", **MARKET)
        public = house.socket("/public/ws/btcusdt@trade")
        async with house.socket("/market/ws/btcusdt@forceOrder/btcusdt@aggTrade") as market, public as trades:
            for _ in range(3):
                house.minute(1_000)
            numbers = [trade["t"] for trade in await heard(trades)]
            assert list(range(numbers[0], numbers[0] + 3)) == numbers[:3]
            candles = [Candle(BTC, house.open_ms, MINUTE, 1_000, 1_000, 800, 800, 10_000)]
            house.clock.move(MINUTE)
            house.exchange.play(house.open_ms, candles, [])
            (forced,) = [event for event in await heard(market) if event["e"] == "forceOrder"]
        assert (BTC, "SELL", "FILLED") == tuple(forced["o"][name] for name in ("s", "S", "X"))
        assert forced["o"]["q"] == forced["o"]["z"]
        (row,) = await house.get("v1/forceOrders")
        assert Decimal(row["avgPrice"]) == Decimal(forced["o"]["ap"])

    run(tmp_path, story)


def test_a_listen_key_lives_for_an_hour_after_its_last_refresh(tmp_path: Path) -> None:
    """The same key while it lives; its end is said once, the socket stays open and says nothing more."""

    async def story(house: House) -> None:
        async with house.user_socket() as socket:
            first = (await house.send("POST", "v1/listenKey"))[1]["listenKey"]
            assert 64 == len(first)
            house.clock.move(3_599_999)
            assert (200, {"listenKey": first}) == await house.send("PUT", "v1/listenKey")
            house.clock.move(3_599_999)
            assert first == (await house.send("POST", "v1/listenKey"))[1]["listenKey"]
            house.clock.move(3_600_000)
            await house.send("GET", "v1/ping")
            assert [{"e": "listenKeyExpired", "E": house.clock.now_ms(), "listenKey": first}] == await heard(socket)
            await house.done("POST", "v1/order", **LIMIT)
            assert [] == await heard(socket)
            assert not socket.closed
            assert (400, -1125) == verdict(await house.send("PUT", "v1/listenKey"))
            second = (await house.send("POST", "v1/listenKey"))[1]["listenKey"]
            assert first != second
        async with house.user_socket() as socket:
            assert (200, {}) == await house.send("DELETE", "v1/listenKey")
            assert aiohttp.WSMsgType.CLOSE == (await socket.receive(timeout=2)).type

    run(tmp_path, story)


def test_each_route_delivers_only_its_own_streams_and_acknowledges_all(tmp_path: Path) -> None:
    """The retired address delivers public data; a wrong route is acknowledged and silent."""
    names = [
        "btcusdt@kline_1m",
        "btcusdt@aggTrade",
        "btcusdt@markPrice@1s",
        "btcusdt@bookTicker",
        "btcusdt@depth@100ms",
        "btcusdt@trade",
    ]
    market = ["kline", "aggTrade", "markPriceUpdate"]
    public = ["bookTicker", "depthUpdate", "trade"]

    async def story(house: House) -> None:
        for address, expected in (
            ("/market/ws", market),
            ("/public/ws", public),
            ("/ws", public),
            ("/private/ws", []),
        ):
            async with house.socket(address) as socket:
                await socket.send_json({"method": "SUBSCRIBE", "params": names, "id": 1})
                assert {"result": None, "id": 1} == await socket.receive_json()
                house.minute(1_000, points=2)
                assert sorted(expected) == sorted(event["e"] for event in await heard(socket))
                await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 2})
                assert {"result": names, "id": 2} == await socket.receive_json()
                await socket.send_json({"method": "UNSUBSCRIBE", "params": names, "id": 3})
                assert {"result": None, "id": 3} == await socket.receive_json()
                house.minute(1_000)
                assert [] == await heard(socket)
        async with house.socket("/market/ws") as socket:
            for frame, code in (("{", 3), ('{"method":"SUBSCRIBE"}', 2), ('{"method":"DANCE","id":1}', 2)):
                await socket.send_str(frame)
                assert code == (await socket.receive_json())["code"]
            await socket.send_json({"method": "SUBSCRIBE", "params": [1], "id": 7})
            assert {"code": 2, "id": 7}.items() <= (await socket.receive_json()).items()

    run(tmp_path, story)


def test_a_client_that_talks_too_much_is_shown_out(tmp_path: Path) -> None:
    """Ten messages in a second are heard, the eleventh ends it."""

    async def story(house: House) -> None:
        async with house.socket("/market/ws") as socket:
            house.clock.move(1_000)
            for number in range(11):
                await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
            for number in range(10):
                assert number == (await socket.receive_json())["id"]
            assert aiohttp.WSMsgType.CLOSE == (await socket.receive(timeout=2)).type

    run(tmp_path, story)


def test_a_candle_is_final_once_and_combined_messages_name_their_stream(tmp_path: Path) -> None:
    """Open at each point of the minute, `x` with its end, for one minute and for two joined to a longer one."""

    async def story(house: House) -> None:
        async with house.socket("/market/stream?streams=btcusdt@kline_1m/btcusdt@kline_3m") as socket:
            house.minute(1_000, 1_010, 990, 1_005, points=2)
            house.minute(1_000, 1_010, 990, 1_005)
            house.minute(1_005)
            frames = await heard(socket)
        short = [frame["data"]["k"] for frame in frames if frame["stream"] == "btcusdt@kline_1m"]
        long = [frame["data"]["k"] for frame in frames if frame["stream"] == "btcusdt@kline_3m"]
        assert [False, True, True] == [candle["x"] for candle in short]
        assert [False, False, True] == [candle["x"] for candle in long]
        assert ("100.0", "101.0", "99.0", "100.5") == tuple(short[1][name] for name in "ohlc")
        assert (T0, T0 + 3 * MINUTE - 1, "100.0", "100.5") == tuple(long[2][name] for name in ("t", "T", "o", "c"))

    run(tmp_path, story)


def test_the_updates_of_the_book_lead_from_a_snapshot_to_the_next(tmp_path: Path) -> None:
    """The documented procedure, from a snapshot through every update, ends at the book that is asked for then."""

    async def story(house: House) -> None:
        async with house.socket("/public/ws/btcusdt@depth@100ms") as socket:
            house.minute(1_000, points=2)
            _, snapshot = await house.send("GET", "v1/depth", f"symbol={BTC}&limit=1000")
            for close in (1_005, 990, 1_020):
                house.minute(close)
            updates = [event for event in await heard(socket) if event["u"] >= snapshot["lastUpdateId"]]
            _, expected = await house.send("GET", "v1/depth", f"symbol={BTC}&limit=1000")
        assert updates[0]["U"] <= snapshot["lastUpdateId"] <= updates[0]["u"]
        sides = {name: dict(snapshot[name]) for name in ("bids", "asks")}
        previous = None
        for update in updates:
            assert previous in (None, update["pu"])
            previous = update["u"]
            for name, levels in (("bids", update["b"]), ("asks", update["a"])):
                sides[name] |= dict(levels)
        kept = {name: {price: size for price, size in side.items() if Decimal(size)} for name, side in sides.items()}
        assert {name: dict(expected[name]) for name in ("bids", "asks")} == kept

    run(tmp_path, story)


def test_a_clock_that_runs_brings_the_mark_price_each_second_and_the_end_after_a_day(tmp_path: Path) -> None:
    """Between two prices time passes by itself: marks, books, what comes due, the day that a connection lives."""

    async def story(house: House) -> None:
        moved = house.clock
        await house.close()
        house.clock = PacedClock(moved.now_ms(), 50.0)  # type: ignore[assignment]
        await house.open()
        house.minute(1_000, points=1)
        async with house.socket("/market/ws/btcusdt@markPrice@1s") as socket:
            marks = [await socket.receive_json(timeout=2) for _ in range(3)]
            assert all(900 <= after["E"] - before["E"] for before, after in pairwise(marks))
            await house.done("POST", "v1/order", **LIMIT, recvWindow=60_000)
            await house.done("POST", "v1/countdownCancelAll", symbol=BTC, countdownTime=500, recvWindow=60_000)
            await socket.receive_json(timeout=2)
            await socket.receive_json(timeout=2)
            assert [] == house.exchange.orders(only_open=True)
        await house.close()
        house.clock = moved
        await house.open()
        async with house.socket("/public/ws") as socket:
            house.clock.move(24 * 3_600_000)
            await house.send("GET", "v1/ping")
            assert aiohttp.WSMsgType.CLOSE == (await socket.receive(timeout=2)).type

    run(tmp_path, story)


def test_a_reduce_only_limit_order_loses_what_the_position_does_not_have(tmp_path: Path) -> None:
    """It trades what closes the position, and the rest of it expires because it would reverse."""

    async def story(house: House) -> None:
        await house.done("POST", "v1/order", **MARKET)
        exit_ = LIMIT | {"side": "SELL", "quantity": "3", "price": "101", "reduceOnly": "true"}
        placed = await house.done("POST", "v1/order", **exit_)
        async with house.user_socket() as socket:
            house.minute(1_000, 1_020, 1_000, 1_020)
            events = await heard(socket)
        assert [
            ("TRADE_LITE",),
            ("ACCOUNT_UPDATE",),
            ("ORDER_TRADE_UPDATE", "TRADE", "PARTIALLY_FILLED"),
            ("ORDER_TRADE_UPDATE", "EXPIRED", "EXPIRED"),
        ] == [outline(event) for event in events]
        assert (True, "4") == (events[2]["o"]["m"], events[3]["o"]["er"])
        read = await house.get("v1/order", symbol=BTC, orderId=placed["orderId"])
        assert ("EXPIRED", "3", "1") == (read["status"], read["origQty"], read["executedQty"])

    run(tmp_path, story)


def test_a_stop_that_finds_no_volume_is_triggered_and_waits_as_a_plain_order(tmp_path: Path) -> None:
    """Out of the conditional orders, among the open plain ones; cancelled there it is finished here."""

    async def story(house: House) -> None:
        await house.done("POST", "v1/order", **MARKET)
        await house.done("POST", "v1/algoOrder", **STOP | {"clientAlgoId": "dry"})
        async with house.user_socket() as socket:
            house.minute(1_000)
            house.minute(1_000, 1_000, 940, 940, volume=0)
            events = await heard(socket)
            assert [
                ("ALGO_UPDATE", "TRIGGERING"),
                ("ALGO_UPDATE", "TRIGGERED"),
                ("ORDER_TRADE_UPDATE", "NEW", "NEW"),
            ] == [outline(event) for event in events]
            assert [] == await house.get("v1/openAlgoOrders")
            assert ["dry"] == [row["clientOrderId"] for row in await house.get("v1/openOrders")]
            await house.done("DELETE", "v1/order", symbol=BTC, origClientOrderId="dry")
            events = await heard(socket)
        assert [("ORDER_TRADE_UPDATE", "CANCELED", "CANCELED"), ("ALGO_UPDATE", "FINISHED")] == [
            outline(event) for event in events
        ]

    run(tmp_path, story)
