"""A public client library that knows nothing of this project trades on the local server of Binance USDⓈ-M.

It proves that the server speaks as the venue does: what the library reads agrees with the exchange behind the server.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from builders import BTC, ETH, make_instrument

from trading_engine.domain.market import Candle
from trading_engine.venue_servers.binance import BinanceProtocol
from trading_engine.venue_servers.clock import PacedClock
from trading_engine.venue_servers.exchange import LocalExchange
from trading_engine.venue_servers.web import WebServer
from trading_engine.venues.embedded.account import ExchangeOrder, Kind
from trading_engine.venues.embedded.memory import Memory
from trading_engine.venues.embedded.terms import Terms
from trading_engine.venues.wire.secrets import Credentials

pytest.importorskip("ccxt")
from ccxt import async_support as ccxt
from ccxt.base import errors

MINUTE = 60_000
SYMBOL = "BTC/USDT:USDT"
Client = Any  # the library is not typed


class Market:
    """An exchange whose price is moved by hand, at the present time."""

    def __init__(self, path: Path) -> None:
        now = int(time.time() * 1000)
        self.open_ms = now // MINUTE * MINUTE - 4 * MINUTE
        self.exchange = LocalExchange(
            Memory(path),
            [make_instrument(), make_instrument(ETH)],
            Terms(slippage_ppm=0, volume_share_ppm=1_000_000, leverage_milli=10_000),
            Decimal(10_000),
            PacedClock(now),
        )

    def minute(self, opened: int, high: int, low: int, close: int, points: int = 4) -> None:
        """Play a minute of BTC, in ticks of 0.1."""
        candle = Candle(BTC, self.open_ms, MINUTE, opened, high, low, close, 100_000)
        self.exchange.play(self.open_ms, [candle, candle._replace(symbol=ETH)], [], points)
        self.open_ms += MINUTE if points == 4 else 0

    def order(self, row: dict[str, Any]) -> ExchangeOrder:
        """The exchange's own order that the library calls by this client id."""
        order = self.exchange.order(client_order_id=row["clientOrderId"])
        assert order is not None
        return order


def trade(tmp_path: Path, story: Callable[[Client, Market], Awaitable[None]]) -> None:
    """Tell a story with the library connected to a server whose market stands at 100."""

    async def tell() -> None:
        market = Market(tmp_path / "exchange.db")
        server = WebServer(BinanceProtocol(market.exchange, Credentials("test-key", "test-secret")))
        port = await server.start()
        client = ccxt.binanceusdm(
            {
                "apiKey": "test-key",
                "secret": "test-secret",
                "enableRateLimit": False,
                "options": {"fetchCurrencies": False, "adjustForTimeDifference": True},
            }
        )
        for name in client.urls["api"]:
            version = {"V2": "v2", "V3": "v3"}.get(name[-2:], "v1")
            if name.startswith(("fapiPublic", "fapiPrivate")):
                client.urls["api"][name] = f"http://127.0.0.1:{port}/fapi/{version}"
        for _ in range(4):
            market.minute(1_000, 1_005, 995, 1_000)
        market.minute(1_000, 1_000, 1_000, 1_000, points=1)
        try:
            await client.load_markets()
            await story(client, market)
        finally:
            await client.close()
            await server.stop()
            market.exchange.close()

    asyncio.run(tell())


def test_markets_and_candles_are_those_of_the_exchange(tmp_path: Path) -> None:
    """Tick, step, minimums and leverage as listed; candles, book and prices as played."""

    async def story(client: Client, market: Market) -> None:
        listed = client.market(SYMBOL)
        assert (BTC, True, 0.1, 0.01, 5.0) == (
            listed["id"],
            listed["linear"],
            listed["precision"]["price"],
            listed["precision"]["amount"],
            listed["limits"]["cost"]["min"],
        )
        rows = await client.fetch_ohlcv(SYMBOL, "1m")
        closed = market.exchange.markets[BTC].closed
        assert [(row.open_time_ms, row.close / 10) for row in closed] == [(row[0], row[4]) for row in rows[:-1]]
        book = await client.fetch_order_book(SYMBOL, 5)
        assert (99.9, 100.1) == (book["bids"][0][0], book["asks"][0][0])
        assert 100.0 == (await client.fetch_ticker(SYMBOL))["last"]
        funding = await client.fetch_funding_rate(SYMBOL)
        assert 100.0 == funding["markPrice"]
        tiers = await client.fetch_leverage_tiers([SYMBOL])
        assert 50 == tiers[SYMBOL][0]["maxLeverage"]
        assert 0.0006 == (await client.fetch_trading_fee(SYMBOL))["taker"]

    trade(tmp_path, story)


def test_a_limit_order_is_placed_read_and_cancelled(tmp_path: Path) -> None:
    """The library sees the order where and as long as the exchange has it."""

    async def story(client: Client, market: Market) -> None:
        placed = await client.create_order(SYMBOL, "limit", "buy", 1, 99, {"clientOrderId": "te-limit"})
        order = market.order(placed)
        assert (Kind.LIMIT, 990, 100) == (order.kind, order.price, order.steps)
        read = await client.fetch_order(placed["id"], SYMBOL)
        assert ("open", 99.0, 1.0, 0.0) == tuple(read[name] for name in ("status", "price", "amount", "filled"))
        assert [placed["id"]] == [row["id"] for row in await client.fetch_open_orders(SYMBOL)]
        assert "canceled" == (await client.cancel_order(placed["id"], SYMBOL))["status"]
        assert not order.status.is_open
        assert [] == await client.fetch_open_orders(SYMBOL)
        with pytest.raises(errors.ExchangeError, match="-2011"):
            await client.cancel_order(placed["id"], SYMBOL)
        assert ["canceled"] == [row["status"] for row in await client.fetch_orders(SYMBOL)]
        with pytest.raises(errors.ExchangeError, match="-5022"):
            await client.create_order(SYMBOL, "limit", "buy", 1, 101, {"postOnly": True})
        await client.create_order(SYMBOL, "limit", "buy", 1, 99, {"clientOrderId": "twice"})
        with pytest.raises(errors.ExchangeError, match="-4116"):
            await client.create_order(SYMBOL, "limit", "buy", 1, 99, {"clientOrderId": "twice"})
        await client.cancel_all_orders(SYMBOL)
        assert [] == market.exchange.orders(only_open=True)

    trade(tmp_path, story)


def test_a_market_order_makes_the_position_that_the_exchange_holds(tmp_path: Path) -> None:
    """Order, trades, position and balance as the library reads them agree with the exchange."""

    async def story(client: Client, market: Market) -> None:
        await client.set_leverage(5, SYMBOL)
        assert Decimal(5) == market.exchange.leverage(BTC)
        placed = await client.create_order(SYMBOL, "market", "buy", 2, None, {"clientOrderId": "te-market"})
        read = await client.fetch_order(placed["id"], SYMBOL)
        assert ("closed", 100.0, 2.0) == tuple(read[name] for name in ("status", "average", "filled"))
        rows = await client.fetch_my_trades(SYMBOL)
        own = market.exchange.trades(symbol=BTC)
        assert [(row.price / 10, row.steps / 100, row.fee_e8 / 1e8) for row in own] == [
            (row["price"], row["amount"], row["fee"]["cost"]) for row in rows
        ]
        assert [placed["id"]] == [row["order"] for row in rows]
        market.minute(1_000, 1_010, 1_000, 1_010)
        held = market.exchange.positions()[0]
        position = (await client.fetch_positions([SYMBOL]))[0]
        assert ("long", 2.0, 100.0, 2.0, "isolated") == tuple(
            position[name] for name in ("side", "contracts", "entryPrice", "unrealizedPnl", "marginMode")
        )
        assert held.liquidation / 10 == position["liquidationPrice"]
        balance = await client.fetch_balance()
        assert float(market.exchange.wallet + market.exchange.unrealized(held)) == balance["USDT"]["total"]
        assert float(market.exchange.available) == balance["USDT"]["free"]
        with pytest.raises(errors.ExchangeError, match="-2019"):
            await client.create_order(SYMBOL, "market", "buy", 999)
        await client.create_order(SYMBOL, "market", "sell", 2, None, {"reduceOnly": True})
        assert [] == market.exchange.positions() == await client.fetch_positions([SYMBOL])

    trade(tmp_path, story)


def test_a_stop_is_conditional_until_it_triggers_and_a_closed_order_after(tmp_path: Path) -> None:
    """The library finds it among conditional orders only, then its child among the plain ones."""

    async def story(client: Client, market: Market) -> None:
        await client.create_order(SYMBOL, "market", "buy", 1)
        extra = {"stopLossPrice": 95, "reduceOnly": True, "clientOrderId": "te-stop"}
        placed = await client.create_order(SYMBOL, "market", "sell", 1, None, extra)
        order = market.order(placed)
        assert (Kind.STOP, 950, True) == (order.kind, order.price, order.reduce_only)
        assert [] == await client.fetch_open_orders(SYMBOL)
        conditional = await client.fetch_open_orders(SYMBOL, params={"trigger": True})
        assert [(placed["id"], 95.0)] == [(row["id"], row["triggerPrice"]) for row in conditional]
        assert placed["id"] == (await client.fetch_order(placed["id"], SYMBOL, {"trigger": True}))["id"]
        second = await client.create_order(
            SYMBOL, "market", "sell", 1, None, {"takeProfitPrice": 110, "reduceOnly": True}
        )
        await client.cancel_order(second["id"], SYMBOL, {"trigger": True})
        assert not market.order(second).status.is_open
        market.minute(1_000, 1_000, 940, 940)
        assert [] == await client.fetch_open_orders(SYMBOL, params={"trigger": True})
        child = (await client.fetch_orders(SYMBOL))[-1]
        assert ("te-stop", "closed", 95.0) == tuple(child[name] for name in ("clientOrderId", "status", "average"))
        assert [] == await client.fetch_positions([SYMBOL])
        with pytest.raises(errors.ExchangeError, match="-2021"):
            await client.create_order(SYMBOL, "market", "buy", 1, None, {"stopLossPrice": 90})

    trade(tmp_path, story)


def test_modes_and_history_are_read_as_the_exchange_has_them(tmp_path: Path) -> None:
    """One-way mode, isolated margin, the leverage, and what was paid."""

    async def story(client: Client, market: Market) -> None:
        assert (await client.fetch_position_mode(SYMBOL))["hedged"] is False
        with pytest.raises(errors.ExchangeError, match="-4059"):
            await client.set_position_mode(False)
        leverages = await client.fetch_leverages([SYMBOL])
        assert 10 == leverages[SYMBOL]["longLeverage"]
        assert "isolated" == (await client.fetch_margin_modes([SYMBOL]))[SYMBOL]["marginMode"]
        ledger = await client.fetch_ledger("USDT")
        assert [10_000.0] == [row["amount"] for row in ledger]
        assert [] == await client.fetch_funding_history(SYMBOL)
        assert abs(market.exchange.now_ms() - await client.fetch_time()) < 1_000

    trade(tmp_path, story)
