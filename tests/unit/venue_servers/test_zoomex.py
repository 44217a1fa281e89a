"""The local Zoomex over real sockets, asked by a small client that was written from the venue's own pages."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from builders import BTC, ETH, T0, make_candle, make_instrument
from yarl import URL

from trading_engine.domain.market import FundingRate
from trading_engine.domain.time import MINUTE_MS
from trading_engine.venue_servers.clock import MovedClock
from trading_engine.venue_servers.exchange import LocalExchange
from trading_engine.venue_servers.web import WebServer
from trading_engine.venue_servers.zoomex import AccountKind, ZoomexProtocol
from trading_engine.venues.embedded.memory import Memory
from trading_engine.venues.embedded.terms import Terms
from trading_engine.venues.wire.secrets import Credentials

KEY, SECRET = "zxTestKey00000001", "zxTestSecret-0123456789abcdef"
PREFIX = "/cloud/trade/v3"
TERMS = Terms(leverage_milli=10_000, slippage_ppm=0)
OPEN, ORDERS, HISTORY = "/order/realtime", "/order/create", "/order/history"


def sign(text: str) -> str:
    return hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()


class Game:
    """A server, its market driven by hand, and a signed client."""

    def __init__(self, exchange: LocalExchange, clock: MovedClock, server: WebServer, http: Any) -> None:
        self.exchange = exchange
        self.clock = clock
        self.server = server
        self.http: aiohttp.ClientSession = http
        self.open_ms = T0

    @property
    def base(self) -> str:
        """Where the server listens."""
        return f"http://127.0.0.1:{self.server.port}"

    def minute(self, *closes: float, points: int = 4, volume: int = 1_000) -> None:
        """A minute from the first price to the last, or its beginning."""
        ticks = [round(close * 10) for close in closes]
        candle = make_candle(open_time_ms=self.open_ms)._replace(
            open=ticks[0], high=max(ticks), low=min(ticks), close=ticks[-1], volume=volume
        )
        self.exchange.play(self.open_ms, [candle], [], points)
        if points == 4:
            self.open_ms += MINUTE_MS
            self.clock.move(MINUTE_MS)

    async def call(
        self, method: str, path: str, query: str = "", body: str = "", **headers: str
    ) -> tuple[int, str, dict[str, str]]:
        """Status, body and headers of the answer."""
        url = URL(f"{self.base}{path}{'?' if query else ''}{query}", encoded=True)
        async with self.http.request(method, url, data=body.encode() or None, headers=headers) as response:
            return response.status, await response.text(), dict(response.headers)

    async def signed(self, method: str, path: str, text: str, **headers: str) -> tuple[int, str, dict[str, str]]:
        """A call with all headers; `headers` replace them (underscores for dashes)."""
        stamp = headers.pop("X_BAPI_TIMESTAMP", str(self.clock.now_ms()))
        standard = {
            "X-BAPI-API-KEY": KEY,
            "X-BAPI-TIMESTAMP": stamp,
            "X-BAPI-RECV-WINDOW": "5000",
            "X-BAPI-SIGN": sign(f"{stamp}{KEY}5000{text}"),
            "X-BAPI-SIGN-TYPE": "2",
        }
        standard |= {name.replace("_", "-"): value for name, value in headers.items()}
        is_get = method == "GET"
        return await self.call(method, PREFIX + path, text if is_get else "", "" if is_get else text, **standard)

    async def ask(self, method: str, path: str, text: str) -> dict[str, Any]:
        """A signed call a tenth of a second after the one before."""
        self.clock.move(100)
        status, answer, _ = await self.signed(method, path, text)
        assert 200 == status, answer
        decoded: dict[str, Any] = json.loads(answer)
        return decoded

    async def get(self, path: str, **params: object) -> dict[str, Any]:
        """The result of a signed query that succeeds."""
        query = "&".join(f"{name}={value}" for name, value in {"category": "linear", **params}.items())
        answer = await self.ask("GET", path, query)
        assert 0 == answer["retCode"], answer
        result: dict[str, Any] = answer["result"]
        return result

    async def rows(self, path: str, **params: object) -> list[dict[str, Any]]:
        """The list in that result."""
        listed: list[dict[str, Any]] = (await self.get(path, **params))["list"]
        return listed

    async def post(self, path: str, **body: object) -> dict[str, Any]:
        """The whole answer to a signed command."""
        text = json.dumps({"category": "linear", "symbol": BTC, **body}, separators=(",", ":"))
        return await self.ask("POST", path, text)

    async def order(self, side: str, qty: str, price: str = "", **more: object) -> dict[str, Any]:
        """Send a limit order, or a market order where there is no price."""
        kind = {"orderType": "Limit", "price": price} if price else {"orderType": "Market"}
        return await self.post(ORDERS, side=side, qty=qty, **kind, **more)

    async def code(self, side: str, qty: str, price: str = "", **more: object) -> int:
        """The return code of an order."""
        code: int = (await self.order(side, qty, price, **more))["retCode"]
        return code


class Ear:
    """A websocket and what came on it."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws

    async def say(self, **message: object) -> dict[str, Any]:
        """Send, and hear the next frame."""
        await self.ws.send_str(json.dumps(message))
        return await self.hear()

    async def hear(self) -> dict[str, Any]:
        """The next frame."""
        frame: dict[str, Any] = json.loads(await asyncio.wait_for(self.ws.receive_str(), 5))
        return frame

    async def topics(self, count: int) -> list[tuple[str, str]]:
        """Topic and status or size of the next frames."""
        told = []
        for _ in range(count):
            frame = await self.hear()
            row = frame["data"][0]
            told.append((frame["topic"], row.get("orderStatus") or row.get("execQty") or row.get("size") or "-"))
        return told


@asynccontextmanager
async def playing(path: Path, **options: Any) -> AsyncIterator[Game]:
    clock = MovedClock(T0)
    memory = Memory(path / "exchange.db")
    exchange = LocalExchange(memory, [make_instrument(), make_instrument(ETH)], TERMS, Decimal(10_000), clock)
    server = WebServer(ZoomexProtocol(exchange, Credentials(KEY, SECRET), **options))
    await server.start()
    try:
        async with aiohttp.ClientSession() as http:
            yield Game(exchange, clock, server, http)
    finally:
        await server.stop()
        exchange.close()


@asynccontextmanager
async def listening(game: Game, path: str) -> AsyncIterator[Ear]:
    async with game.http.ws_connect(f"{game.base}{path}") as ws:
        yield Ear(ws)


async def private(ear: Ear, *topics: str) -> None:
    """Authenticate as the pages say, and subscribe."""
    expires = T0 + 10_000_000
    assert (await ear.say(op="auth", args=[KEY, expires, sign(f"GET/realtime{expires}")], req_id="a"))["success"]
    assert (await ear.say(op="subscribe", args=list(topics), req_id="s"))["success"]


def run(path: Path, play: Callable[[Game], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        async with playing(path, **options) as game:
            game.minute(100, points=1)
            await play(game)

    asyncio.run(main())


def test_the_published_vectors_are_what_this_client_signs() -> None:
    """The client below stands on the venue's own rule, not on the server's."""
    query = "category=linear&symbol=BTCUSDT&orderLinkId=bot-7f3a-entry-01"
    expected = "83783d7fb6791b41e68d1ec26fe3afff42e6b882403515dca867a55b33a0b618"
    assert expected == sign(f"1767225600000{KEY}5000{query}")
    assert "258d478cb143f43c75c6886ecc7e05e0f63a0cb51e29644366f98120cfe4720e" == sign("GET/realtime1767225610000")


def test_who_may_not_call_is_told_why(tmp_path: Path) -> None:
    """Headers 401, key 10003, time 10002 (a second ahead is too much), signature 10004."""

    async def play(game: Game) -> None:
        status, text, headers = await game.call("GET", f"{PREFIX}/position/list", "category=linear")
        assert (401, "Unauthorized", "text/plain") == (status, text, headers["Content-Type"].partition(";")[0])
        now = game.clock.now_ms()
        cases = [
            ({"X_BAPI_API_KEY": "other"}, 10003),
            ({"X_BAPI_SIGN": "0" * 64}, 10004),
            ({"X_BAPI_TIMESTAMP": str(now - 5_001)}, 10002),
            ({"X_BAPI_TIMESTAMP": str(now + 1_000)}, 10002),
            ({"X_BAPI_TIMESTAMP": str(now - 5_000)}, 0),
            ({"X_BAPI_TIMESTAMP": str(now + 999)}, 0),
        ]
        for changed, code in cases:
            status, text, _ = await game.signed("GET", "/position/list", f"category=linear&symbol={BTC}", **changed)
            assert (200, code) == (status, json.loads(text)["retCode"])
            assert SECRET not in text

    run(tmp_path, play)


def test_a_key_may_call_an_endpoint_ten_times_a_second(tmp_path: Path) -> None:
    """The eleventh is answered 10006, with the instant at which there is room again; other endpoints are free."""

    async def play(game: Game) -> None:
        query = f"category=linear&symbol={BTC}"
        left = [(await game.signed("GET", "/position/list", query))[2]["X-Bapi-Limit-Status"] for _ in range(10)]
        assert [str(number) for number in range(9, -1, -1)] == left
        game.clock.move(400)
        status, text, headers = await game.signed("GET", "/position/list", query)
        assert (200, 10006, "Too many visits!") == (status, *(json.loads(text)[key] for key in ("retCode", "retMsg")))
        assert ("10", "0") == (headers["X-Bapi-Limit"], headers["X-Bapi-Limit-Status"])
        assert str(T0 + 1_000) == headers["X-Bapi-Limit-Reset-Timestamp"]
        assert 0 == json.loads((await game.signed("GET", OPEN, query))[1])["retCode"]
        game.clock.move(600)
        assert 0 == json.loads((await game.signed("GET", "/position/list", query))[1])["retCode"]

    run(tmp_path, play)


def test_an_address_that_calls_too_often_is_shut_out_for_ten_minutes(tmp_path: Path) -> None:
    """HTTP 403 in plain text, for public calls as well; it lifts by itself."""

    async def play(game: Game) -> None:
        for _ in range(5):
            assert 200 == (await game.call("GET", f"{PREFIX}/market/time"))[0]
        assert (403, "access too frequent") == (await game.call("GET", f"{PREFIX}/market/time"))[:2]
        game.clock.move(599_999)
        assert 403 == (await game.call("GET", f"{PREFIX}/market/time"))[0]
        game.clock.move(1)
        assert 200 == (await game.call("GET", f"{PREFIX}/market/time"))[0]

    run(tmp_path, play, per_address=5)


def test_what_the_venue_says_in_plain_text_is_plain_text(tmp_path: Path) -> None:
    """Unknown paths, symbols and categories, a GET with a body, a body that is not JSON."""

    async def play(game: Game) -> None:
        async def answered(method: str, path: str, query: str = "", body: str = "") -> tuple[int, str]:
            status, _, headers = await game.call(method, PREFIX + path, query, body)
            return status, headers["Content-Type"].partition(";")[0]

        assert (404, "text/plain") == await answered("GET", "/market/nothing")
        assert (400, "text/plain") == await answered("GET", "/market/tickers", "category=linear&symbol=XYZUSDT")
        assert (400, "text/plain") == await answered("GET", "/market/orderbook", "category=linear&symbol=XYZUSDT")
        assert (400, "text/plain") == await answered("GET", "/market/tickers", "symbol=BTCUSDT")
        assert (403, "text/plain") == await answered("GET", "/market/time", "", "{}")
        assert (400, "text/plain") == await answered("GET", ORDERS)
        assert (200, "application/json") == await answered("GET", "/market/orderbook", "category=linear")
        status, text, _ = await game.signed("POST", ORDERS, "qty=1")
        assert (400, "Bad request: the body is not JSON") == (status, text)

    run(tmp_path, play)


def test_market_data_comes_as_the_pages_have_it(tmp_path: Path) -> None:
    """Time, instruments, candles newest first, ticker, book, funding, risk limits."""

    async def play(game: Game) -> None:
        game.minute(100, 103)
        rate = FundingRate(BTC, game.open_ms, Decimal("0.0001"))
        game.exchange.play(game.open_ms, [make_candle(104, BTC, game.open_ms)], [rate], 1)

        async def read(path: str, query: str = "") -> dict[str, Any]:
            status, text, headers = await game.call("GET", PREFIX + path, query)
            assert (200, "OK", {}) == (status, *(json.loads(text)[key] for key in ("retMsg", "retExtInfo")))
            assert "X-Bapi-Limit" not in headers
            result: dict[str, Any] = json.loads(text)["result"]
            return result

        assert str(game.clock.now_ms() * 1_000_000) == (await read("/market/time"))["timeNano"]
        first = await read("/market/instruments-info", "category=linear&limit=1")
        assert [BTC] == [row["symbol"] for row in first["list"]]
        second = await read("/market/instruments-info", f"category=linear&limit=1&cursor={first['nextPageCursor']}")
        assert ([ETH], "") == ([row["symbol"] for row in second["list"]], second["nextPageCursor"])
        row = first["list"][0]
        assert ("0.01", "5") == (row["lotSizeFilter"]["qtyStep"], row["lotSizeFilter"]["minNotionalValue"])
        assert ("0.1", "50.00", 480) == (
            row["priceFilter"]["tickSize"],
            row["leverageFilter"]["maxLeverage"],
            row["fundingInterval"],
        )
        query = f"category=linear&symbol={BTC}"
        candles = (await read("/market/kline", f"{query}&interval=1"))["list"]
        assert [str(T0 + MINUTE_MS), "104.0", "104.0", "104.0", "104.0"] == candles[0][:5]
        assert [str(T0), "100.0", "103.0", "100.0", "103.0", "10.00", "1030.000"] == candles[1]
        assert [candles[1]] == (await read("/market/kline", f"{query}&interval=1&end={T0}"))["list"]
        joined = (await read("/market/kline", f"{query}&interval=5"))["list"]
        assert [[str(T0), "100.0", "104.0", "100.0", "104.0"]] == [line[:5] for line in joined]
        assert 5 == len((await read("/market/mark-price-kline", f"{query}&interval=1"))["list"][0])
        ticker = (await read("/market/tickers", query))["list"][0]
        assert ("104.0", "104.0", "100.0") == (ticker["lastPrice"], ticker["markPrice"], ticker["prevPrice24h"])
        book = await read("/market/orderbook", f"{query}&limit=2")
        assert (["103.9", "103.8"], ["104.1", "104.2"]) == tuple([level[0] for level in book[side]] for side in "ba")
        funding = (await read("/market/funding/history", query))["list"]
        assert [{"symbol": BTC, "fundingRate": "0.0001", "fundingRateTimestamp": str(rate.ts_ms)}] == funding
        assert "0.005" == (await read("/market/risk-limit", query))["list"][0]["maintenanceMargin"]
        assert [str(T0 + MINUTE_MS)] == [
            line[0] for line in (await read("/market/kline", f"{query}&interval=1&start={T0 + 1}"))["list"]
        ]

    run(tmp_path, play)


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ({"side": "Buy", "qty": "0.005"}, 10001),  # off the step
        ({"side": "Buy", "qty": "1000.01"}, 10001),  # above the largest
        ({"side": "Buy", "qty": "0.01"}, 110094),  # worth 1
        ({"side": "Buy", "qty": "1", "price": "99.95"}, 10001),  # off the tick
        ({"side": "Sell", "qty": "1", "price": "2000000.1"}, 110003),
        ({"side": "Buy", "qty": "1000"}, 110007),  # no money
        ({"side": "Sell", "qty": "1", "reduceOnly": True}, 110017),
        ({"side": "Buy", "qty": "1", "positionIdx": 1}, 10001),
        ({"side": "Buy", "qty": "1", "symbol": "XYZUSDT"}, 10001),
        ({"side": "Buy", "qty": "1", "symbol": ETH}, 110066),  # has no price yet
        ({"side": "Buy", "qty": "1", "category": "inverse"}, 10001),
        ({"side": "Buy", "qty": 1}, 10001),  # a number where text is expected
        ({"side": "Long", "qty": "1"}, 10001),
        ({"side": "Buy", "qty": "1", "orderLinkId": "x" * 37}, 10001),
        ({"side": "Buy", "qty": "1", "orderLinkId": "a.b"}, 10001),
        ({"side": "Buy", "qty": "1", "triggerPrice": "99", "triggerDirection": 1}, 110092),
        ({"side": "Sell", "qty": "1", "triggerPrice": "101", "triggerDirection": 2}, 110093),
        ({"side": "Sell", "qty": "1", "triggerPrice": "99"}, 10001),  # no direction
        ({"side": "Buy", "qty": "1", "stopLoss": "90"}, 10001),  # not served
        ({"side": "Buy", "qty": "1", "price": "99", "timeInForce": "FOK"}, 10001),  # not served
    ],
)
def test_a_bad_order_is_refused_with_its_code(tmp_path: Path, order: dict[str, Any], code: int) -> None:
    """One case a filter; nothing of it is left behind."""

    async def play(game: Game) -> None:
        answer = await game.order(**order)
        assert (code, None, None) == (answer["retCode"], answer["result"], answer["retExtInfo"])
        assert [] == game.exchange.orders()

    run(tmp_path, play)


def test_a_limit_order_rests_is_found_by_both_ids_and_is_cancelled_once(tmp_path: Path) -> None:
    """Created, listed with capital keys, cancelled; then it is history, and the venue says what is wrong."""

    async def play(game: Game) -> None:
        answer = await game.order("Buy", "0.50", "99.5", orderLinkId="mine-1")
        assert {"orderId", "orderLinkId"} == set(answer["result"])
        number = answer["result"]["orderId"]
        [row] = await game.rows(OPEN, symbol=BTC)
        assert (number, "mine-1", "New", "0.50", "99.5") == tuple(
            row[key] for key in ("OrderId", "OrderLinkId", "OrderStatus", "Qty", "Price")
        )
        assert ("", "0.00", "GTC", 0, False, "UNKNOWN") == tuple(
            row[key] for key in ("AvgPrice", "CumExecQty", "TimeInForce", "PositionIdx", "ReduceOnly", "StopOrderType")
        )
        assert [row] == await game.rows(OPEN, orderId=number)
        assert [row] == await game.rows(OPEN, orderLinkId="mine-1")
        assert [] == await game.rows(OPEN, orderLinkId="nobody")
        assert [] == await game.rows(HISTORY)
        assert 110072 == await game.code("Buy", "0.50", "99.5", orderLinkId="mine-1")
        assert 110001 == (await game.post("/order/cancel", orderId="unknown"))["retCode"]
        assert answer["result"] == (await game.post("/order/cancel", orderId=number))["result"]
        assert 110010 == (await game.post("/order/cancel", orderLinkId="mine-1"))["retCode"]
        assert [] == await game.rows(OPEN, settleCoin="USDT")
        [shown] = await game.rows(OPEN, orderLinkId="mine-1")  # by id a closed order is still shown
        assert ("Cancelled", "CancelByUser") == (shown["OrderStatus"], shown["CancelType"])
        [past] = await game.rows(HISTORY, symbol=BTC)
        assert (number, "Cancelled") == (past["orderId"], past["orderStatus"])
        game.clock.move(25 * 3_600_000)
        assert [] == await game.rows(HISTORY, symbol=BTC)  # never traded: forgotten after a day

    run(tmp_path, play)


def test_a_post_only_order_that_would_take_is_accepted_and_then_cancelled(tmp_path: Path) -> None:
    """The acknowledgement says nothing of it; an immediate-or-cancel order without a counterpart goes likewise."""

    async def play(game: Game) -> None:
        assert 0 == await game.code("Buy", "0.50", "101", timeInForce="PostOnly", orderLinkId="p")
        assert 0 == await game.code("Buy", "0.50", "99", timeInForce="IOC", orderLinkId="i")
        ioc, post = await game.rows(HISTORY)
        assert ("Cancelled", "EC_PostOnlyWillTakeLiquidity", "PostOnly") == tuple(
            post[key] for key in ("orderStatus", "rejectReason", "timeInForce")
        )
        assert ("Cancelled", "EC_NoImmediateQtyToFill", "0.00") == tuple(
            ioc[key] for key in ("orderStatus", "rejectReason", "cumExecQty")
        )

    run(tmp_path, play)


def test_a_market_order_trades_and_every_list_agrees(tmp_path: Path) -> None:
    """Fills, fees, position, wallet and, once it is closed, the closed PnL after all fees."""

    async def play(game: Game) -> None:
        assert 0 == await game.code("Buy", "0.50", orderLinkId="in")
        [bought] = await game.rows("/execution/list", symbol=BTC)
        assert "orderLinkId" not in bought
        assert ("100.0", "0.50", "50", "0.03", "0.0006", "Trade", False) == tuple(
            bought[key] for key in ("execPrice", "execQty", "execValue", "execFee", "feeRate", "execType", "isMaker")
        )
        [row] = await game.rows("/position/list", settleCoin="USDT")
        assert ("Buy", "0.50", "100", "10", 0) == tuple(
            row[key] for key in ("side", "size", "avgPrice", "leverage", "positionIdx")
        )
        [held] = await game.rows("/account/wallet-balance", accountType="UNIFIED")
        assert ("9999.97", "9994.97", "5") == tuple(
            held[key] for key in ("totalWalletBalance", "totalAvailableBalance", "totalInitialMargin")
        )
        game.minute(100, 110)
        game.minute(110, points=1)
        [row] = await game.rows("/position/list", symbol=BTC)
        assert ("5", "110.0") == (row["unrealisedPnl"], row["markPrice"])
        assert 0 == await game.code("Sell", "0.50", reduceOnly=True, orderLinkId="out")
        [closed] = await game.rows("/position/closed-pnl", symbol=BTC)
        assert ("Sell", "0.50", "100", "110", "4.937", "1") == tuple(
            closed[key] for key in ("side", "closedSize", "avgEntryPrice", "avgExitPrice", "closedPnl", "fillCount")
        )
        assert 19 == len(closed["createdTime"])
        [flat] = await game.rows("/position/list", symbol=BTC)
        assert ("", "0", "4.937") == (flat["side"], flat["size"], flat["cumRealisedPnl"])
        assert [] == await game.rows("/position/list", settleCoin="USDT")
        changes = await game.rows("/account/transaction-log")
        assert ["TRADE", "TRADE", "TRANSFER_IN"] == [row["type"] for row in changes]
        assert "10004.937" == changes[0]["cashBalance"]
        assert Decimal("10004.937") == game.exchange.wallet
        [done, _] = await game.rows(HISTORY, symbol=BTC)
        assert ("out", "Filled", "110", "0.50", "55", "0.00") == tuple(
            done[key] for key in ("orderLinkId", "orderStatus", "avgPrice", "cumExecQty", "cumExecValue", "leavesQty")
        )

    run(tmp_path, play)


def test_what_a_market_order_finds_no_volume_for_is_cancelled(tmp_path: Path) -> None:
    """A market order is immediate-or-cancel: Cancelled with a filled part."""

    async def play(game: Game) -> None:
        assert 0 == await game.code("Buy", "1.50")  # a candle of 10 coins gives a tenth of it
        [row] = await game.rows(HISTORY)
        assert ("Cancelled", "1.00", "EC_NoImmediateQtyToFill", "") == tuple(
            row[key] for key in ("orderStatus", "cumExecQty", "rejectReason", "orderLinkId")
        )

    run(tmp_path, play)


def test_a_stop_waits_triggers_and_fills_under_the_same_id(tmp_path: Path) -> None:
    """Untriggered among the stop orders, Filled in the history, Deactivated when it is cancelled before."""

    async def play(game: Game) -> None:
        await game.order("Buy", "0.50")
        stop: dict[str, Any] = {
            "triggerDirection": 2,
            "triggerBy": "MarkPrice",
            "reduceOnly": True,
            "closeOnTrigger": True,
        }
        answer = await game.order("Sell", "0.50", triggerPrice="95", orderLinkId="stop", **stop)
        await game.order("Sell", "0.50", triggerPrice="94", orderLinkId="spare", **stop)
        assert [] == await game.rows(OPEN, symbol=BTC, orderFilter="Order")
        _, row = await game.rows(OPEN, symbol=BTC, orderFilter="StopOrder")
        assert ("Untriggered", "95.0", 2, "MarkPrice", "Stop", "Market", True, True) == tuple(
            row[key]
            for key in (
                "OrderStatus",
                "TriggerPrice",
                "TriggerDirection",
                "TriggerBy",
                "StopOrderType",
                "OrderType",
                "ReduceOnly",
                "CloseOnTrigger",
            )
        )
        assert 0 == (await game.post("/order/cancel", orderLinkId="spare"))["retCode"]
        game.minute(100, 90)
        gone, done, _ = await game.rows(HISTORY)
        assert ("spare", "Deactivated") == (gone["orderLinkId"], gone["orderStatus"])
        assert (answer["result"]["orderId"], "Filled", "95") == tuple(
            done[key] for key in ("orderId", "orderStatus", "avgPrice")
        )
        assert [] == game.exchange.positions()

    run(tmp_path, play)


def test_ten_conditional_orders_a_symbol_are_the_most_but_for_those_that_reduce(tmp_path: Path) -> None:
    """The eleventh is refused with 110009."""

    async def play(game: Game) -> None:
        await game.order("Buy", "0.50")
        stop: dict[str, Any] = {"triggerPrice": "120", "triggerDirection": 1}
        assert [0] * 10 == [await game.code("Buy", "0.10", **stop) for _ in range(10)]
        assert 110009 == await game.code("Buy", "0.10", **stop)
        assert 0 == await game.code("Sell", "0.10", reduceOnly=True, **stop)

    run(tmp_path, play)


@pytest.mark.parametrize(
    ("order_filter", "left"), [("Order", ["s"]), ("StopOrder", ["l"]), ("", []), ("tpslOrder", None)]
)
def test_cancel_all_takes_what_its_filter_names(tmp_path: Path, order_filter: str, left: list[str] | None) -> None:
    """Without a filter protective stops go as well; an unknown filter is refused."""

    async def play(game: Game) -> None:
        await game.order("Buy", "0.50", "99", orderLinkId="l")
        await game.order("Buy", "0.50", orderLinkId="s", triggerPrice="105", triggerDirection=1)
        more = {"orderFilter": order_filter} if order_filter else {}
        answer = await game.post("/order/cancel-all", **more)
        if left is None:
            assert 10001 == answer["retCode"]
            return
        assert "1" == answer["result"]["success"]
        assert left == [order.client_order_id for order in game.exchange.orders(only_open=True)]
        assert {"l", "s"} - set(left) == {row["orderLinkId"] for row in answer["result"]["list"]}

    run(tmp_path, play)


def test_an_amended_order_has_the_new_price_and_total(tmp_path: Path) -> None:
    """Both change; beyond the price it trades; no total below what is filled, no order that is over."""

    async def play(game: Game) -> None:
        await game.post("/position/set-leverage", buyLeverage="5", sellLeverage="5")
        await game.order("Buy", "0.50", "99", orderLinkId="a")
        assert 0 == (await game.post("/order/amend", orderLinkId="a", qty="2.00", price="98"))["retCode"]
        [row] = await game.rows(OPEN, symbol=BTC)
        assert ("2.00", "98.0") == (row["Qty"], row["Price"])
        assert 10001 == (await game.post("/order/amend", orderLinkId="a"))["retCode"]
        assert 110007 == (await game.post("/order/amend", orderLinkId="a", qty="900"))["retCode"]
        assert 0 == (await game.post("/order/amend", orderLinkId="a", price="100.5"))["retCode"]
        [row] = await game.rows(OPEN, symbol=BTC)
        assert ("PartiallyFilled", "1.00") == (row["OrderStatus"], row["CumExecQty"])
        assert 110064 == (await game.post("/order/amend", orderLinkId="a", qty="1.00"))["retCode"]
        assert 110001 == (await game.post("/order/amend", orderLinkId="b", qty="1.00"))["retCode"]

    run(tmp_path, play)


def test_pages_are_followed_with_the_cursor_as_it_came(tmp_path: Path) -> None:
    """Newest first, nothing twice; a cursor that was escaped again is refused."""

    async def play(game: Game) -> None:
        for number in range(5):
            await game.order("Buy", "0.10", "99", orderLinkId=f"o{number}")
        seen, cursor = [], ""
        while True:
            result = await game.get(OPEN, symbol=BTC, limit=2, **({"cursor": cursor} if cursor else {}))
            seen += [row["OrderLinkId"] for row in result["list"]]
            if not result["nextPageCursor"]:
                break
            cursor = result["nextPageCursor"]
            assert "%3D" in cursor
        assert ["o4", "o3", "o2", "o1", "o0"] == seen
        query = f"category=linear&symbol={BTC}&cursor={cursor.replace('%', '%25')}"
        assert 10001 == (await game.ask("GET", OPEN, query))["retCode"]

    run(tmp_path, play)


def test_lists_of_the_past_take_seven_days_at_most(tmp_path: Path) -> None:
    """The history wants both ends or none; executions make seven days of one."""

    async def play(game: Game) -> None:
        await game.order("Buy", "0.50")
        week = 7 * 86_400_000
        assert 10001 == (await game.ask("GET", HISTORY, f"category=linear&startTime={T0}"))["retCode"]
        query = f"category=linear&startTime={T0}&endTime={T0 + week + 1}"
        assert 10001 == (await game.ask("GET", HISTORY, query))["retCode"]
        assert 10001 == (await game.ask("GET", "/execution/list", query))["retCode"]
        assert 1 == len(await game.rows("/execution/list", startTime=T0))
        assert [] == await game.rows("/execution/list", endTime=T0 - 1)
        game.clock.move(week + 1_000)
        assert [] == await game.rows("/execution/list")

    run(tmp_path, play)


def test_leverage_and_modes_answer_with_the_venues_codes(tmp_path: Path) -> None:
    """Unchanged 110043, 110025; above the tier 110013; hedge mode 110029, with orders 110028, held 110024."""

    async def play(game: Game) -> None:
        async def leverage(value: str, sell: str = "") -> int:
            answer = await game.post("/position/set-leverage", buyLeverage=value, sellLeverage=sell or value)
            code: int = answer["retCode"]
            return code

        async def mode(number: int) -> int:
            code: int = (await game.post("/position/switch-mode", mode=number))["retCode"]
            return code

        assert [0, 110043, 110013, 10001, 10001] == [
            await leverage("5"),
            await leverage("5.00"),
            await leverage("51"),
            await leverage("0.5"),
            await leverage("5", "6"),
        ]
        assert Decimal(5) == game.exchange.leverage(BTC)
        assert [110025, 0, 110025, 10001, 0] == [await mode(number) for number in (0, 3, 3, 1, 0)]
        await game.order("Buy", "0.50", "99")
        assert 110028 == await mode(3)
        await game.order("Buy", "0.50")
        assert 110024 == await mode(3)
        isolated = {"tradeMode": 1, "buyLeverage": "5", "sellLeverage": "5"}
        assert 10008 == (await game.post("/position/switch-isolated", **isolated))["retCode"]
        [fee] = await game.rows("/account/fee-rate", symbol=BTC)
        assert {"symbol": BTC, "takerFeeRate": "0.0006", "makerFeeRate": "0.0002"} == fee
        assert KEY == (await game.get("/user/query-api"))["apiKey"]

    run(tmp_path, play)


def test_in_hedge_mode_an_index_names_the_position(tmp_path: Path) -> None:
    """One of the other mode is refused; both sides of a symbol are rows; what closes does so without a flag."""

    async def play(game: Game) -> None:
        async def order(side: str, index: int, **more: object) -> int:
            answer = await game.post(
                "/order/create", symbol=BTC, side=side, orderType="Market", qty="0.50", positionIdx=index, **more
            )
            code: int = answer["retCode"]
            return code

        assert 10001 == await order("Buy", 1)
        assert 0 == (await game.post("/position/switch-mode", mode=3))["retCode"]
        assert 10001 == await order("Buy", 0)
        assert 110017 == await order("Buy", 1, reduceOnly=True)
        assert 110017 == await order("Buy", 2)
        assert 0 == await order("Sell", 2)
        assert 10001 == await order("Buy", 1), "one side of a symbol at a time"
        rows = await game.rows("/position/list", symbol=BTC)
        assert {(1, "", "0"), (2, "Sell", "0.50")} == {(row["positionIdx"], row["side"], row["size"]) for row in rows}
        assert 0 == await order("Buy", 2)
        assert [] == await game.rows("/position/list", settleCoin="USDT")
        history = await game.rows("/order/history", symbol=BTC)
        assert {2} == {row["positionIdx"] for row in history}

    run(tmp_path, play)


def test_a_classic_account_speaks_its_own_dialect(tmp_path: Path) -> None:
    """CONTRACT wallet with free money on the coin, isolated positions, `None` for flat; undocumented paths if asked."""

    async def play(game: Game) -> None:
        assert 10001 == (await game.ask("GET", "/account/wallet-balance", "accountType=UNIFIED"))["retCode"]
        [held] = await game.rows("/account/wallet-balance", accountType="CONTRACT", coin="USDT")
        assert ("", "10000") == (held["totalEquity"], held["coin"][0]["availableToWithdraw"])
        [row] = await game.rows("/position/list", symbol=BTC)
        assert ("None", 1) == (row["side"], row["tradeMode"])
        isolated = {"tradeMode": 1, "buyLeverage": "5", "sellLeverage": "5"}
        assert 110026 == (await game.post("/position/switch-isolated", **isolated))["retCode"]
        assert 110073 == (await game.post("/position/switch-isolated", **isolated | {"tradeMode": 0}))["retCode"]
        assert 404 == (await game.signed("GET", "/user/query-api", ""))[0]

    run(tmp_path, play, kind=AccountKind.CLASSIC, with_undocumented=False)


def test_the_private_stream_tells_events_in_their_order(tmp_path: Path) -> None:
    """New, execution, Filled, position; a stop says Triggered before it fills; the entry price has another name."""

    async def play(game: Game) -> None:
        async with listening(game, "/v3/private") as ear:
            await private(ear, "order", "execution", "position")
            await game.order("Buy", "0.50", orderLinkId="in")
            assert [
                ("order", "New"),
                ("position", "0"),
                ("execution", "0.50"),
                ("order", "Filled"),
                ("position", "0.50"),
            ] == await ear.topics(5)
            await game.order("Sell", "0.50", triggerPrice="95", triggerDirection=2, reduceOnly=True)
            assert [("order", "Untriggered"), ("position", "0.50")] == await ear.topics(2)
            game.minute(100, 90)
            told = await ear.topics(4)
            assert [("order", "Triggered"), ("execution", "0.50"), ("order", "Filled")] == told[:3]
            game.minute(90, points=1)
            await game.order("Buy", "0.50", "80", orderLinkId="rest")
            await game.post("/order/cancel", orderLinkId="rest")
            frames = [await ear.hear() for _ in range(4)]
            assert ["New", "Cancelled"] == [frame["data"][0]["orderStatus"] for frame in frames[::2]]
            assert {"id", "topic", "creationTime", "data"} == set(frames[0])
            assert {"entryPrice", "category"} <= set(frames[1]["data"][0])

    run(tmp_path, play)


def test_a_stop_that_finds_too_little_volume_ends_cancelled_with_a_filled_part(tmp_path: Path) -> None:
    """What a triggered market order cannot have at once is not waited for."""

    async def play(game: Game) -> None:
        await game.post("/position/set-leverage", buyLeverage="2", sellLeverage="2")
        await game.order("Buy", "0.80")
        await game.order("Sell", "0.80", triggerPrice="95", triggerDirection=2, reduceOnly=True)
        game.minute(100, 99)
        game.minute(99, 90, volume=200)
        row, _ = await game.rows(HISTORY)
        assert ("Cancelled", "EC_NoImmediateQtyToFill", "0.20") == tuple(
            row[key] for key in ("orderStatus", "rejectReason", "cumExecQty")
        )
        assert ["0.60"] == [held["size"] for held in await game.rows("/position/list", settleCoin="USDT")]

    run(tmp_path, play)


def test_funding_is_an_execution_of_its_own_kind(tmp_path: Path) -> None:
    """What is paid is a positive fee; it is in the log and in the realised PnL."""

    async def play(game: Game) -> None:
        await game.order("Buy", "0.50")
        game.minute(100)
        async with listening(game, "/v3/private") as ear:
            await private(ear, "execution.linear", "wallet")
            rate = FundingRate(BTC, game.open_ms, Decimal("0.001"))
            game.exchange.play(game.open_ms, [make_candle(100, BTC, game.open_ms)], [rate], 1)
            frame, wallet = await ear.hear(), await ear.hear()
        assert ("execution.linear", "Funding") == (frame["topic"], frame["data"][0]["execType"])
        assert "9999.92" == wallet["data"][0]["coin"][0]["walletBalance"]
        [row] = await game.rows("/execution/list", execType="Funding")
        assert "0.05" == row["execFee"]
        [log] = await game.rows("/account/transaction-log", type="SETTLEMENT")
        assert ("-0.05", "9999.92") == (log["funding"], log["cashBalance"])

    run(tmp_path, play)


def test_a_stranger_hears_nothing_of_the_account(tmp_path: Path) -> None:
    """A wrong signature, key or expiry is refused and the socket closed; topics before auth are refused."""

    async def play(game: Game) -> None:
        good = T0 + 10_000
        cases = [
            [KEY, good, "0" * 64],
            ["other", good, sign(f"GET/realtime{good}")],
            [KEY, T0, sign(f"GET/realtime{T0}")],
            [KEY],
        ]
        for args in cases:
            async with listening(game, "/v3/private") as ear:
                answer = await ear.say(op="auth", args=args)
                assert (False, "auth") == (answer["success"], answer["op"])
                assert (await ear.ws.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        async with listening(game, "/v3/private") as ear:
            assert not (await ear.say(op="subscribe", args=["order"]))["success"]
            pong = await ear.say(op="ping", req_id="7")
            assert ("pong", "7", [str(game.clock.now_ms())]) == (pong["op"], pong["req_id"], pong["args"])
            await private(ear, "order")
            assert not (await ear.say(op="subscribe", args=["order.linear", "nonsense"]))["success"]
        async with listening(game, "/v3/public/linear") as ear:
            assert aiohttp.WSMsgType.CLOSE == (await ear.ws.receive()).type

    run(tmp_path, play)


def test_the_public_stream_shows_a_minute_as_it_passes(tmp_path: Path) -> None:
    """Book and ticker as snapshot and delta, trades, and a candle that is confirmed once it is over."""

    async def play(game: Game) -> None:
        async with listening(game, "/v5/public/linear") as ear:
            ack = await ear.say(op="subscribe", req_id="x", args=[f"orderbook.50.{BTC}", f"tickers.{BTC}"])
            assert (True, "", "x", "subscribe") == tuple(ack[key] for key in ("success", "ret_msg", "req_id", "op"))
            book, ticker = await ear.hear(), await ear.hear()
            assert ("snapshot", "snapshot") == (book["type"], ticker["type"])
            assert 0 < float(ticker["data"]["lastPrice"])
            await ear.say(op="subscribe", args=[f"kline.1.{BTC}", f"publicTrade.{BTC}"])
            game.minute(100, 101)
            told = {frame["topic"].partition(".")[0]: frame for frame in [await ear.hear() for _ in range(4)]}
            bar = told["kline"]["data"][0]
            assert (True, T0, T0 + MINUTE_MS - 1, "101.0") == (bar["confirm"], bar["start"], bar["end"], bar["close"])
            assert ("delta", book["data"]["u"] + 1) == (told["orderbook"]["type"], told["orderbook"]["data"]["u"])
            assert ["100.1", "0"] in told["orderbook"]["data"]["a"]
            assert "101.0" == told["tickers"]["data"]["lastPrice"]
            assert "fundingRate" not in told["tickers"]["data"]
            assert ("101.0", "Buy") == (told["publicTrade"]["data"][0]["p"], told["publicTrade"]["data"][0]["S"])
            game.minute(101, 105, points=1)
            bar = next(frame for frame in [await ear.hear() for _ in range(4)] if frame["topic"].startswith("kline"))
            assert (False, "101.0") == (bar["data"][0]["confirm"], bar["data"][0]["high"])

    run(tmp_path, play)


def test_everybody_hears_of_a_liquidation(tmp_path: Path) -> None:
    """With the side of the position that is gone."""

    async def play(game: Game) -> None:
        await game.order("Buy", "0.50")
        game.minute(100, 100)
        async with listening(game, "/v5/public/linear") as ear:
            assert (await ear.say(op="subscribe", args=[f"allLiquidation.{BTC}"]))["success"]
            game.minute(100, 80)
            told = await ear.hear()
        assert (f"allLiquidation.{BTC}", "snapshot") == (told["topic"], told["type"])
        [row] = told["data"]
        assert (BTC, "Buy", "0.50") == tuple(row[key] for key in ("s", "S", "v"))
        assert [] == await game.rows("/position/list", settleCoin="USDT")

    run(tmp_path, play)


def test_one_bad_topic_fails_its_whole_frame_and_not_the_socket(tmp_path: Path) -> None:
    """Nor do words that are no JSON; a second subscription to a topic is refused; unsubscribing works."""

    async def play(game: Game) -> None:
        async with listening(game, "/v5/public/linear") as ear:
            bad = await ear.say(op="subscribe", args=[f"publicTrade.{BTC}", "orderbook.500.BTCUSDT"])
            assert "error:handler not found,topic:orderbook.500.BTCUSDT" == bad["ret_msg"]
            await ear.ws.send_str("hello")
            assert not (await ear.hear())["success"]
            assert (await ear.say(op="subscribe", args=[f"publicTrade.{BTC}"]))["success"]
            again = await ear.say(op="subscribe", args=[f"publicTrade.{BTC}"])
            assert f"error:already subscribed,topic:publicTrade.{BTC}" == again["ret_msg"]
            assert (await ear.say(op="unsubscribe", args=[f"publicTrade.{BTC}"]))["success"]
            game.minute(100, 101)
            pong = await ear.say(op="ping", req_id="9")
            assert (True, "pong", "9", "ping") == tuple(pong[key] for key in ("success", "ret_msg", "req_id", "op"))

    run(tmp_path, play)


def test_a_public_socket_on_which_nothing_is_said_is_closed(tmp_path: Path) -> None:
    """A ping keeps it open for as long again."""

    async def play(game: Game) -> None:
        async with listening(game, "/v5/public/linear") as ear:
            for _ in range(3):
                await asyncio.sleep(0.12)
                assert (await ear.say(op="ping"))["success"]
            message = await asyncio.wait_for(ear.ws.receive(), 5)
            assert message.type is aiohttp.WSMsgType.CLOSE

    run(tmp_path, play, idle_s=0.3)


def test_a_server_that_is_started_anew_knows_orders_by_the_same_ids(tmp_path: Path) -> None:
    """Orders, executions and balances are what they were; the closed ones among the open orders are gone."""
    kept: dict[str, Any] = {}

    async def before(game: Game) -> None:
        await game.order("Buy", "0.50", orderLinkId="in")
        kept["stop"] = (
            await game.order("Sell", "0.50", triggerPrice="95", triggerDirection=2, reduceOnly=True, orderLinkId="s")
        )["result"]
        kept["filled"] = await game.rows("/execution/list")
        kept["wallet"] = await game.rows("/account/wallet-balance", accountType="UNIFIED")
        kept["position"] = await game.rows("/position/list", symbol=BTC)
        assert 1 == len(await game.rows(OPEN, orderLinkId="in"))

    async def after(game: Game) -> None:
        game.clock.move(10_000)
        [row] = await game.rows(OPEN, symbol=BTC)
        assert kept["stop"] == {"orderId": row["OrderId"], "orderLinkId": row["OrderLinkId"]}
        assert kept["filled"] == await game.rows("/execution/list")
        assert kept["wallet"] == await game.rows("/account/wallet-balance", accountType="UNIFIED")
        assert kept["position"] == await game.rows("/position/list", symbol=BTC)
        assert [] == await game.rows(OPEN, orderLinkId="in")
        assert 1 == len(await game.rows(HISTORY, orderLinkId="in"))
        assert 110072 == await game.code("Buy", "0.50", orderLinkId="in")
        assert 0 == (await game.post("/order/cancel", orderId=kept["stop"]["orderId"]))["retCode"]

    run(tmp_path, before)
    run(tmp_path, after)


def test_the_history_may_lag_behind(tmp_path: Path) -> None:
    """A closed order appears after the time that the server was told."""

    async def play(game: Game) -> None:
        await game.order("Buy", "0.50", orderLinkId="in")
        assert [] == await game.rows(HISTORY, orderLinkId="in")
        game.clock.move(20_000)
        assert 1 == len(await game.rows(HISTORY, orderLinkId="in"))

    run(tmp_path, play, history_lag_ms=20_000)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X_BAPI_TIMESTAMP", "9" * 5_000),
        ("X_BAPI_TIMESTAMP", "now"),
        ("X_BAPI_SIGN", "\xff"),
        ("X_BAPI_RECV_WINDOW", "9" * 5_000),
    ],
)
def test_headers_that_make_no_sense_are_refused(tmp_path: Path, name: str, value: str) -> None:
    """With a code of their own, never with a failure of the server."""

    async def play(game: Game) -> None:
        status, text, _ = await game.signed("GET", "/position/list", f"category=linear&symbol={BTC}", **{name: value})
        assert 200 == status
        assert json.loads(text)["retCode"] in (10002, 10004)

    run(tmp_path, play)


@pytest.mark.parametrize("query", ["start=999999999999999", "interval=7", "limit=0", "limit=x", "end=0", "cursor=%ff"])
def test_queries_that_make_no_sense_are_answered(tmp_path: Path, query: str) -> None:
    """With an empty list or 10001."""

    async def play(game: Game) -> None:
        interval = "" if query.startswith("interval") else "&interval=M"
        path = f"{PREFIX}/market/kline"
        status, text, _ = await game.call("GET", path, f"category=linear&symbol={BTC}{interval}&{query}")
        assert 200 == status
        answer = json.loads(text)
        assert 10001 == answer["retCode"] or len(answer["result"]["list"]) <= 1

    run(tmp_path, play)
