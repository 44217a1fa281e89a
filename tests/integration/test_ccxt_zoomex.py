"""An independent witness: the public client library ccxt trades at the local Zoomex.

Its `bybit` speaks the API that Zoomex V3 is made after. What differs is put right here: the prefix of the paths, the
private signature (which the library chooses by the path) and the capital keys of the open orders.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from builders import BTC, ETH, T0, make_candle, make_instrument

from trading_engine.domain.time import MINUTE_MS
from trading_engine.venue_servers.clock import MovedClock
from trading_engine.venue_servers.exchange import LocalExchange
from trading_engine.venue_servers.web import WebServer
from trading_engine.venue_servers.zoomex import ZoomexProtocol
from trading_engine.venues.embedded.account import Status
from trading_engine.venues.embedded.memory import Memory
from trading_engine.venues.embedded.terms import Terms
from trading_engine.venues.wire.secrets import Credentials

pytest.importorskip("ccxt", reason="the public client library ccxt is not installed")

import ccxt.async_support as library
from ccxt.base.errors import ExchangeError, InsufficientFunds, InvalidOrder, OrderNotFound

KEY, SECRET = "test-key", "test-secret"
PERP = "BTC/USDT:USDT"
Numbers = tuple[Decimal, ...]


class Client(library.bybit):  # type: ignore[misc, name-defined, unused-ignore]
    """ccxt's bybit at another address, with another prefix and clock."""

    server_clock: MovedClock

    def nonce(self) -> int:
        """The time of the server; each request is a tenth of a second after the one before."""
        self.server_clock.move(100)
        return self.server_clock.now_ms()

    def milliseconds(self) -> int:
        """The time of the server."""
        return self.server_clock.now_ms()

    def sign(
        self,
        path: str,
        api: Any = "public",
        method: str = "GET",
        params: Any = None,
        headers: Any = None,  # noqa: ARG002 - the library's signature
        body: Any = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        """The library's own signature for this API, the path put right afterwards: it is not part of what is signed."""
        signed: dict[str, Any] = super().sign(path, api, method, params or {})
        signed["url"] = signed["url"].replace("/v5/", "/cloud/trade/v3/")
        return signed

    def parse_order(self, order: Any, market: Any = None) -> Any:
        """Orders whose keys begin with a capital are read as the others."""
        return super().parse_order({key[0].lower() + key[1:]: value for key, value in order.items()}, market)


class Table:
    """The server, its exchange, the market driven by hand, and the library."""

    def __init__(self, exchange: LocalExchange, clock: MovedClock, client: Any) -> None:
        self.exchange = exchange
        self.clock = clock
        self.client = client
        self.open_ms = T0

    def minute(self, *closes: float, points: int = 4) -> None:
        """A minute from the first price to the last, or its beginning."""
        ticks = [round(close * 10) for close in closes]
        candle = make_candle(open_time_ms=self.open_ms)._replace(
            open=ticks[0], high=max(ticks), low=min(ticks), close=ticks[-1]
        )
        self.exchange.play(self.open_ms, [candle], [], points)
        if points == 4:
            self.open_ms += MINUTE_MS
            self.clock.move(max(self.open_ms - self.clock.now_ms(), 0))


@asynccontextmanager
async def laid(path: Path) -> AsyncIterator[Table]:
    clock = MovedClock(T0)
    terms = Terms(leverage_milli=10_000, slippage_ppm=0)
    instruments = [make_instrument(), make_instrument(ETH)]
    exchange = LocalExchange(Memory(path / "exchange.db"), instruments, terms, Decimal(10_000), clock)
    server = WebServer(ZoomexProtocol(exchange, Credentials(KEY, SECRET)))
    port = await server.start()
    options = {"fetchMarkets": {"types": ["linear"]}, "enableUnifiedMargin": False, "enableUnifiedAccount": True}
    client = Client({"apiKey": KEY, "secret": SECRET, "enableRateLimit": False, "options": options})
    client.server_clock = clock
    client.has["fetchCurrencies"] = False
    client.urls["api"] = dict.fromkeys(("spot", "futures", "v2", "public", "private"), f"http://127.0.0.1:{port}")
    try:
        yield Table(exchange, clock, client)
    finally:
        await client.close()
        await server.stop()
        exchange.close()


def run(path: Path, play: Callable[[Table], Awaitable[None]]) -> None:
    async def main() -> None:
        async with laid(path) as table:
            table.minute(100, points=1)
            await play(table)

    asyncio.run(main())


def numbers(row: Any, *names: str) -> Numbers:
    """Figures of a row of the library, which are floats."""
    return tuple(Decimal(str(row[name])) for name in names)


def test_markets_prices_and_candles_are_read(tmp_path: Path) -> None:
    """Precision and limits of the instruments, the exchange's candles and its price."""

    async def play(table: Table) -> None:
        table.minute(100, 103)
        table.minute(103, 104)
        table.minute(104, points=1)
        client, exchange = table.client, table.exchange
        markets = await client.load_markets()
        assert {PERP, "ETH/USDT:USDT"} == set(markets)
        market, instrument = markets[PERP], exchange.instruments[BTC]
        assert (instrument.tick, instrument.step) == numbers(market["precision"], "price", "amount")
        assert (instrument.min_quantity, instrument.max_quantity) == numbers(market["limits"]["amount"], "min", "max")
        assert (True, True, "USDT") == (market["swap"], market["linear"], market["settle"])
        assert table.clock.now_ms() == await client.fetch_time()
        candles = await client.fetch_ohlcv(PERP, "1m")
        closed = exchange.markets[BTC].closed
        assert [candle.open_time_ms for candle in closed] == [row[0] for row in candles[:-1]]
        assert [candle.close / 10 for candle in closed] == [row[4] for row in candles[:-1]]
        assert candles[1:2] == await client.fetch_ohlcv(PERP, "1m", since=T0 + MINUTE_MS, limit=1)
        ticker = await client.fetch_ticker(PERP)
        assert (exchange.last_price(BTC),) == numbers(ticker, "last")
        book = await client.fetch_order_book(PERP, 5)
        assert book["bids"][0][0] < ticker["last"] < book["asks"][0][0]
        assert 0 < len(await client.fetch_trades(PERP))
        [tier] = await client.fetch_market_leverage_tiers(PERP)
        assert (Decimal("0.005"),) == numbers(tier, "maintenanceMarginRate")
        assert (Decimal("0.0006"), Decimal("0.0002")) == numbers(await client.fetch_trading_fee(PERP), "taker", "maker")

    run(tmp_path, play)


def test_an_account_trades_and_the_library_reads_what_the_exchange_books(tmp_path: Path) -> None:
    """Market orders in and out: balance, position, own trades, order, history, ledger."""

    async def play(table: Table) -> None:
        client, exchange = table.client, table.exchange
        await client.set_leverage(5, PERP)
        assert Decimal(5) == exchange.leverage(BTC)
        with pytest.raises(ExchangeError, match="110043"):
            await client.set_leverage(5, PERP)
        placed = await client.create_order(PERP, "market", "buy", 0.5, None, {"clientOrderId": "ccxt-in"})
        balance = await client.fetch_balance()
        assert (exchange.wallet, exchange.available) == (
            Decimal(str(balance["info"]["result"]["list"][0]["totalWalletBalance"])),
            Decimal(str(balance["info"]["result"]["list"][0]["totalAvailableBalance"])),
        )
        assert (exchange.wallet,) == numbers(balance["USDT"], "total")
        [position] = await client.fetch_positions([PERP])
        [held] = exchange.positions()
        entry = Decimal(held.cost_e8).scaleb(-8) / Decimal("0.5")
        expected = (Decimal("0.5"), entry, Decimal(5))
        assert expected == numbers(position, "contracts", "entryPrice", "leverage")
        assert ("long", PERP) == (position["side"], position["symbol"])
        liquidation = exchange.instruments[BTC].ticks_to_price(held.liquidation)
        assert (liquidation,) == numbers(position, "liquidationPrice")
        order = await client.fetch_order(placed["id"], PERP, {"acknowledged": True})
        assert ("closed", "ccxt-in", "market") == (order["status"], order["clientOrderId"], order["type"])
        assert (Decimal("0.5"), Decimal(100)) == numbers(order, "filled", "average")
        table.minute(100, 110)
        table.minute(110, points=1)
        await client.create_order(PERP, "market", "sell", 0.5, None, {"reduceOnly": True})
        assert [] == exchange.positions()
        assert [] == await client.fetch_positions(None, {"settleCoin": "USDT"})
        trades = await client.fetch_my_trades(PERP)
        booked = exchange.trades()
        assert [row.ts_ms for row in booked] == [trade["timestamp"] for trade in trades]
        assert [placed["id"], "buy", "sell"] == [trades[0]["order"], *(trade["side"] for trade in trades)]
        assert [Decimal(row.fee_e8).scaleb(-8) for row in booked] == [
            numbers(trade["fee"], "cost")[0] for trade in trades
        ]
        assert [Decimal(row.price).scaleb(-1) for row in booked] == [numbers(trade, "price")[0] for trade in trades]
        closed = await client.fetch_closed_orders(PERP)
        assert [Decimal("0.5")] * 2 == [numbers(one, "filled")[0] for one in closed]
        ledger = await client.fetch_ledger("USDT")
        assert exchange.wallet == numbers(ledger[-1], "after")[0]
        [result] = await client.fetch_positions_history([PERP])
        assert "4.937" == result["info"]["closedPnl"]

    run(tmp_path, play)


def test_limit_and_conditional_orders_are_placed_found_and_cancelled(tmp_path: Path) -> None:
    """Open orders by symbol and id, an edit, a cancel, all cancelled, a stop that triggers."""

    async def play(table: Table) -> None:
        client, exchange = table.client, table.exchange
        limit = await client.create_order(PERP, "limit", "buy", 0.5, 99.5, {"clientOrderId": "ccxt-limit"})
        [found] = await client.fetch_open_orders(PERP)
        assert (limit["id"], "open", "limit", "ccxt-limit") == tuple(
            found[key] for key in ("id", "status", "type", "clientOrderId")
        )
        assert (Decimal("99.5"), Decimal("0.5"), Decimal(0)) == numbers(found, "price", "amount", "filled")
        await client.edit_order(limit["id"], PERP, "limit", "buy", 0.6, 99)
        resting = exchange.order(client_order_id="ccxt-limit")
        assert resting is not None
        assert (60, 990) == (resting.steps, resting.price)
        assert limit["id"] == (await client.fetch_open_order(limit["id"], PERP))["id"]
        await client.cancel_order(limit["id"], PERP)
        assert Status.CANCELED is resting.status
        with pytest.raises((OrderNotFound, InvalidOrder)):
            await client.cancel_order(limit["id"], PERP)
        [gone] = await client.fetch_canceled_orders(PERP)
        assert (limit["id"], "canceled") == (gone["id"], gone["status"])
        await client.create_order(PERP, "market", "buy", 0.5)
        stop = await client.create_order(
            PERP, "market", "sell", 0.5, None, {"stopLossPrice": 95, "reduceOnly": True, "clientOrderId": "ccxt-stop"}
        )
        above = {"triggerPrice": 120, "triggerDirection": "ascending"}
        await client.create_order(PERP, "market", "buy", 0.5, None, above)
        waiting = await client.fetch_open_orders(PERP, None, None, {"trigger": True})
        assert {95.0, 120.0} == {order["triggerPrice"] for order in waiting}
        assert {"market"} == {order["type"] for order in waiting}
        assert 3 == len([await client.create_order(PERP, "limit", "buy", 0.1, 90 + step) for step in range(3)])
        await client.cancel_all_orders(PERP, {"orderFilter": "Order"})
        assert 2 == len(exchange.orders(only_open=True))
        table.minute(100, 90)
        done = await client.fetch_order(stop["id"], PERP, {"acknowledged": True})
        assert ("closed", Decimal(95)) == (done["status"], *numbers(done, "average"))
        assert [] == exchange.positions()
        await client.cancel_all_orders(PERP)
        assert [] == exchange.orders(only_open=True)

    run(tmp_path, play)


def test_refusals_become_the_librarys_exceptions(tmp_path: Path) -> None:
    """Money, ids, a wrong key: the codes are those that the library knows."""

    async def play(table: Table) -> None:
        client = table.client
        with pytest.raises(InsufficientFunds):
            await client.create_order(PERP, "limit", "buy", 1_000, 101)
        with pytest.raises(InvalidOrder):
            await client.create_order(PERP, "market", "sell", 0.5, None, {"reduceOnly": True})
        await client.create_order(PERP, "limit", "buy", 0.5, 99, {"clientOrderId": "twice"})
        with pytest.raises(ExchangeError, match="110072"):
            await client.create_order(PERP, "limit", "buy", 0.5, 99, {"clientOrderId": "twice"})
        client.secret = "wrong"
        with pytest.raises(library.AuthenticationError):
            await client.fetch_balance()

    run(tmp_path, play)
