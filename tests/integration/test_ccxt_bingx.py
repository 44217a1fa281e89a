"""The local BingX server asked by ccxt, a client that knows the venue and not this project."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.domain.market import Candle, FundingRate
from trading_engine.venue_servers.bingx import BingxProtocol
from trading_engine.venue_servers.clock import MovedClock
from trading_engine.venue_servers.exchange import LocalExchange
from trading_engine.venue_servers.web import WebServer
from trading_engine.venues.embedded.memory import Memory
from trading_engine.venues.embedded.terms import Terms
from trading_engine.venues.wire.secrets import Credentials

ccxt = pytest.importorskip("ccxt")
pro = pytest.importorskip("ccxt.pro")

START_MS = 1_767_225_600_000
MINUTE_MS = 60_000
UTC_8_MS = 8 * 3_600_000  # the library believes the Z of `filledTm`, which is wall-clock time of UTC+8
SYMBOL = "BTC/USDT:USDT"
BTC = Instrument(
    "BTCUSDT",
    Decimal("0.1"),
    Decimal("0.001"),
    Decimal("0.001"),
    Decimal(100),
    Decimal(5),
    Decimal(125),
    (MarginTier(Decimal(10_000_000), Decimal("0.0038"), Decimal(0), Decimal(125)),),
)
TERMS = Terms(taker_fee_e8=50_000, maker_fee_e8=20_000, slippage_ppm=100, leverage_milli=10_000)


class World:
    """A server, its market, and ccxt pointed at it."""

    def __init__(self, path: Path) -> None:
        self.clock = MovedClock(START_MS)
        self.exchange = LocalExchange(Memory(path), [BTC], TERMS, Decimal(10_000), self.clock)
        protocol = BingxProtocol(self.exchange, Credentials("test-key", "test-secret"), ping_ms=50, is_paced=False)
        self.server = WebServer(protocol)
        self.client: Any

    def connect(self) -> None:
        """Point the library at this server."""
        self.client = pro.bingx({"apiKey": "test-key", "secret": "test-secret", "enableRateLimit": False})
        self.client.set_sandbox_mode(True)  # the demo has perpetual swaps only
        url = f"http://127.0.0.1:{self.server.port}"
        for section in self.client.urls["api"]:
            self.client.urls["api"][section] = f"{url}/openApi"
        self.client.urls["api"]["ws"] = {"linear": f"{url.replace('http', 'ws')}/swap-market"}
        self.client.options["defaultType"] = "swap"
        self.client.milliseconds = self.clock.now_ms

    def minute(self, number: int, points: int, *prices: int, rates: tuple[FundingRate, ...] = ()) -> None:
        """Let a minute pass up to a point; the prices are open, high, low and close in whole dollars."""
        first, high, low, last = (price * 10 for price in prices)
        open_ms = START_MS + number * MINUTE_MS
        self.clock.move(max(open_ms + points * MINUTE_MS // 4 - self.clock.now_ms(), 0))
        self.exchange.play(
            open_ms, [Candle("BTCUSDT", open_ms, MINUTE_MS, first, high, low, last, 8_000_000)], rates, points
        )


Scenario = Callable[[World], Awaitable[None]]
Play = Callable[[Scenario], None]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Run a scenario in which the first minute has just begun at 60000."""

    def run(scenario: Scenario) -> None:
        async def do() -> None:
            world = World(tmp_path / "exchange.sqlite")
            await world.server.start()
            world.connect()
            world.minute(0, 1, 60_000, 60_400, 59_000, 60_100)
            try:
                await scenario(world)
            finally:
                await world.client.close()
                await world.server.stop()
                world.exchange.close()

        asyncio.run(do())

    return run


def test_markets_and_settings_are_read_as_they_are(play: Play) -> None:
    """Ticks, steps, minimums, fees, tiers, modes, leverage."""

    async def scenario(world: World) -> None:
        client = world.client
        markets = await client.load_markets()
        assert [SYMBOL] == list(markets)
        market = markets[SYMBOL]
        assert (0.1, 0.001, 0.001, 5.0, True, True) == (
            market["precision"]["price"],
            market["precision"]["amount"],
            market["limits"]["amount"]["min"],
            market["limits"]["cost"]["min"],
            market["active"],
            market["linear"],
        )
        assert world.clock.now_ms() == await client.fetch_time()
        fee = await client.fetch_trading_fee(SYMBOL)
        assert (0.0005, 0.0002) == (fee["taker"], fee["maker"])
        (tier,) = await client.fetch_market_leverage_tiers(SYMBOL)
        assert (0.0038, 10_000_000) == (tier["maintenanceMarginRate"], tier["maxNotional"])
        assert (await client.fetch_position_mode())["hedged"] is False
        await client.set_position_mode(hedged=False)
        assert "isolated" == (await client.fetch_margin_mode(SYMBOL))["marginMode"]
        await client.set_margin_mode("isolated", SYMBOL)
        await client.set_leverage(20, SYMBOL, {"side": "BOTH"})
        assert 20 == (await client.fetch_leverage(SYMBOL))["longLeverage"]
        assert Decimal(20) == world.exchange.leverage("BTCUSDT")

    play(scenario)


def test_market_data_agrees_with_the_exchange(play: Play) -> None:
    """Candles in order, the book the right way round, prices, trades, funding."""

    async def scenario(world: World) -> None:
        client = world.client
        rate = FundingRate("BTCUSDT", START_MS + MINUTE_MS, Decimal("0.0001"))
        world.minute(0, 4, 60_000, 60_400, 59_000, 60_100)
        world.minute(1, 4, 60_100, 61_000, 60_000, 60_900, rates=(rate,))
        world.minute(2, 1, 60_900, 61_000, 60_000, 60_900)
        rows = await client.fetch_ohlcv(SYMBOL, "1m", since=START_MS, limit=10)
        candles = [*world.exchange.markets["BTCUSDT"].closed, world.exchange.markets["BTCUSDT"].building]
        assert rows == [
            [
                candle.open_time_ms,
                *(candle_price / 10 for candle_price in (candle.open, candle.high, candle.low, candle.close)),
                candle.volume / 1000,
            ]
            for candle in candles
            if candle is not None
        ]
        assert 1 == len(await client.fetch_ohlcv(SYMBOL, "5m"))
        book = await client.fetch_order_book(SYMBOL, 5)
        assert (60_899.9, 60_900.1, 5) == (book["bids"][0][0], book["asks"][0][0], len(book["bids"]))
        assert book["asks"] == sorted(book["asks"])
        assert 60_900 == (await client.fetch_ticker(SYMBOL))["last"]
        assert 60_900 == (await client.fetch_mark_price(SYMBOL))["markPrice"]
        assert 0.0001 == (await client.fetch_funding_rate(SYMBOL))["fundingRate"]
        (settled,) = await client.fetch_funding_rate_history(SYMBOL)
        assert (START_MS + MINUTE_MS, 0.0001) == (settled["timestamp"], settled["fundingRate"])
        assert 60_100 == (await client.fetch_trades(SYMBOL))[0]["price"]

    play(scenario)


def test_a_market_order_is_seen_in_order_position_balance_and_trades(play: Play) -> None:
    """Every figure is the exchange's."""

    async def scenario(world: World) -> None:
        client, exchange = world.client, world.exchange
        order = await client.create_order(SYMBOL, "market", "buy", 0.5, None, {"clientOrderId": "m1"})
        assert ("closed", 60_006.0, 0.5, "m1") == (
            order["status"],
            order["average"],
            order["filled"],
            order["clientOrderId"],
        )
        ours = exchange.order(client_order_id="m1")
        assert ours is not None
        found = await client.fetch_order(order["id"], SYMBOL)
        assert ("closed", float(exchange.filled_value(ours) / Decimal("0.5")), 0.5) == (
            found["status"],
            found["average"],
            found["filled"],
        )
        (trade,) = await client.fetch_my_trades(SYMBOL, START_MS, None, {"tradingUnit": "COIN"})
        (row,) = exchange.trades()
        assert (row.ts_ms, row.price / 10, row.steps / 1000, row.fee_e8 / 1e8, order["id"], "buy") == (
            trade["timestamp"] - UTC_8_MS,
            trade["price"],
            trade["amount"],
            trade["fee"]["cost"],
            trade["order"],
            trade["side"],
        )
        (held,) = await client.fetch_positions([SYMBOL])
        (ours_held,) = exchange.positions()
        assert ("long", 0.5, 60_006.0, 10, "isolated", float(exchange.unrealized(ours_held))) == (
            held["side"],
            held["contracts"],
            held["entryPrice"],
            held["leverage"],
            held["marginMode"],
            held["unrealizedPnl"],
        )
        balance = (await client.fetch_balance())["USDT"]
        assert (float(exchange.available), ours_held.margin_e8 / 1e8) == (balance["free"], balance["used"])
        world.clock.move(1_000)
        await client.create_order(SYMBOL, "market", "sell", 0.5, None, {"reduceOnly": True})
        assert [] == await client.fetch_positions([SYMBOL])
        closed = await client.fetch_closed_orders(SYMBOL)
        assert ["buy", "sell"] == [one["side"] for one in closed]

    play(scenario)


def test_limit_and_stop_orders_are_listed_queried_and_cancelled(play: Play) -> None:
    """One by one, by both ids, and all at once."""

    async def scenario(world: World) -> None:
        client = world.client
        limit = await client.create_order(SYMBOL, "limit", "buy", 0.01, 59_500.5, {"postOnly": True})
        assert "open" == limit["status"]
        await client.create_order(SYMBOL, "market", "buy", 0.1)
        stop = await client.create_order(SYMBOL, "market", "sell", 0.1, None, {"stopLossPrice": 59_000})
        target = await client.create_order(SYMBOL, "market", "sell", 0.1, None, {"takeProfitPrice": 61_000})
        opened = {order["id"]: order for order in await client.fetch_open_orders(SYMBOL)}
        assert {limit["id"], stop["id"], target["id"]} == set(opened)
        assert (59_000, 61_000) == (opened[stop["id"]]["stopLossPrice"], opened[target["id"]]["takeProfitPrice"])
        assert (59_500.5, 0.01, 0.0) == tuple(opened[limit["id"]][name] for name in ("price", "amount", "filled"))
        assert [order.number for order in world.exchange.orders(only_open=True)] == [1, 3, 4]
        gone = await client.cancel_order(stop["id"], SYMBOL)
        assert "canceled" == gone["status"]
        assert "canceled" == (await client.fetch_order(stop["id"], SYMBOL))["status"]
        with pytest.raises(ccxt.OrderNotFound):
            await client.fetch_order("1900000000000009900", SYMBOL)
        await client.cancel_all_orders(SYMBOL)
        assert [target["id"]] == [order["id"] for order in await client.fetch_open_orders(SYMBOL)]
        await client.cancel_orders([target["id"]], SYMBOL)
        assert [] == await client.fetch_open_orders(SYMBOL)
        named = await client.create_order(SYMBOL, "limit", "buy", 0.01, 59_000, {"clientOrderId": "c1"})
        await client.cancel_order(None, SYMBOL, {"clientOrderId": "c1"})
        canceled = await client.fetch_canceled_orders(SYMBOL)
        assert {limit["id"], stop["id"], target["id"], named["id"]} == {order["id"] for order in canceled}

    play(scenario)


def test_what_the_exchange_refuses_is_an_error_of_its_kind(play: Play) -> None:
    """The library knows the codes."""

    async def scenario(world: World) -> None:
        client = world.client
        with pytest.raises(ccxt.InsufficientFunds):
            await client.create_order(SYMBOL, "market", "buy", 50)
        with pytest.raises(ccxt.ExchangeError, match="110411"):
            await client.create_order(SYMBOL, "market", "sell", 0.1, None, {"stopLossPrice": 61_000})
        client.secret = "another"
        with pytest.raises(ccxt.AuthenticationError):
            await client.fetch_balance()

    play(scenario)


def test_the_streams_tell_candles_orders_positions_and_money(play: Play) -> None:
    """Over compressed frames, with the heartbeats answered."""

    async def scenario(world: World) -> None:
        client = world.client
        await client.load_markets()
        (first,) = await client.watch_ohlcv(SYMBOL, "1m")
        assert [START_MS, 60_000.0] == first[:2]
        assert 60_000 == (await client.watch_ticker(SYMBOL))["last"]
        assert 60_000.1 == (await client.watch_order_book(SYMBOL))["asks"][0][0]
        assert 60_000 == (await client.watch_trades(SYMBOL))[-1]["price"]
        client.options["watchBalance"] = {"fetchBalanceSnapshot": False, "awaitBalanceSnapshot": False}
        client.options["watchPositions"] = {"fetchPositionsSnapshot": False, "awaitPositionsSnapshot": False}
        watched = [
            asyncio.ensure_future(work)
            for work in (client.watch_orders(SYMBOL), client.watch_positions([SYMBOL]), client.watch_balance())
        ]
        await asyncio.sleep(0.3)
        await client.create_order(SYMBOL, "limit", "buy", 0.1, 59_500)
        (order,) = await watched[0]
        assert ("open", 59_500, 0.1, "buy") == tuple(order[name] for name in ("status", "price", "amount", "side"))
        watched.append(asyncio.ensure_future(client.watch_orders(SYMBOL)))
        await asyncio.sleep(0.1)
        world.minute(0, 4, 60_000, 60_400, 59_000, 60_100)
        (position,) = await watched[1]
        assert ("long", 0.1, 59_500) == tuple(position[name] for name in ("side", "contracts", "entryPrice"))
        assert float(world.exchange.wallet) == (await watched[2])["USDT"]["free"]
        filled = (await watched[3])[-1]
        assert (order["id"], "closed", 0.1) == (filled["id"], filled["status"], filled["filled"])

    play(scenario)
