"""The market stream of each venue against its local server, over real sockets: candles, books, and what goes wrong."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from builders import BTC, ETH, T0, make_instrument

from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle
from trading_engine.domain.streams import (
    CandleUpdate,
    DepthChange,
    DepthLost,
    DepthSnapshot,
    MarketEvent,
    MarkPrice,
    Quote,
    Trade,
)
from trading_engine.domain.time import MINUTE_MS
from trading_engine.marketdata.candle_builder import Built, CandleUpdates
from trading_engine.marketdata.live_books import LiveBooks
from trading_engine.system.clock import SystemClock
from trading_engine.venue_servers.binance import BinanceProtocol
from trading_engine.venue_servers.bingx import BingxProtocol
from trading_engine.venue_servers.clock import MovedClock
from trading_engine.venue_servers.exchange import LocalExchange
from trading_engine.venue_servers.faults import Faults, Mishap, Rule
from trading_engine.venue_servers.web import WebServer
from trading_engine.venue_servers.zoomex import ZoomexProtocol
from trading_engine.venues.binance.market_stream import BinanceMarketStream, StreamSettings
from trading_engine.venues.binance.venue import BinanceVenue
from trading_engine.venues.bingx.market_stream import BingxMarketStream
from trading_engine.venues.bingx.venue import BingxVenue
from trading_engine.venues.embedded.memory import Memory
from trading_engine.venues.embedded.terms import Terms
from trading_engine.venues.wire.secrets import Credentials
from trading_engine.venues.wire.settings import AccountSettings, Hosts
from trading_engine.venues.wire.socket import Patience
from trading_engine.venues.wire.transport import Transport
from trading_engine.venues.zoomex.market_stream import ZoomexMarketStream
from trading_engine.venues.zoomex.venue import ZoomexVenue

SYMBOLS = (BTC, ETH)
INSTRUMENTS = (make_instrument(BTC), make_instrument(ETH))
KEYS = Credentials("test-key", "test-secret")
EVERYTHING = ("kline_1m", "trade", "markPrice", "bookTicker", "depth")
CANDLES_AND_BOOK = ("kline_1m", "depth")
FAST = Patience(silence_ms=1_500, connect_ms=5_000, first_ms=10, longest_ms=50)
LEVELS = 50
TURN_S = 0.02  # between two prices
WAIT_S = 45


@dataclass(frozen=True)
class Side:
    """A venue and its server: `book` is its book over REST, `bids` and `asks` where it stands in the answer."""

    name: str
    protocol: Callable[..., Any]
    venue: Callable[..., Any]
    stream: Callable[..., Any]
    path: str
    book: str
    inside: str
    bids: str
    asks: str
    refusal: str


SIDES = [
    Side(
        "binance",
        BinanceProtocol,
        BinanceVenue,
        BinanceMarketStream,
        "/market",
        "/fapi/v1/depth?symbol={}&limit=50",
        "",
        "bids",
        "asks",
        "@nonsense said nothing",  # every subscription is acknowledged there
    ),
    Side(
        "bingx",
        partial(BingxProtocol, ping_ms=100, is_paced=False),
        BingxVenue,
        BingxMarketStream,
        "/swap-market",
        "/openApi/swap/v2/quote/depth?symbol={}&limit=50",
        "data",
        "bidsCoin",
        "asksCoin",
        "refused a subscription to BTC-USDT@nonsense: 80015",
    ),
    Side(
        "zoomex",
        ZoomexProtocol,
        ZoomexVenue,
        ZoomexMarketStream,
        "",
        "/cloud/trade/v3/market/orderbook?category=linear&symbol={}&limit=50",
        "result",
        "b",
        "a",
        "refused a subscription to nonsense.BTCUSDT: error:handler not found",
    ),
]


class Market:
    """A server whose prices move, a stream that listens to it, and what the stream has told."""

    def __init__(self, side: Side, folder: Path, rules: Sequence[Rule]) -> None:
        self.side = side
        self.clock = MovedClock(T0)
        memory = Memory(folder / "venue.db")
        self.exchange = LocalExchange(memory, INSTRUMENTS, Terms(), Decimal(10_000), self.clock)
        self.server = WebServer(side.protocol(self.exchange, KEYS), Faults(rules))
        self.transport = Transport()
        self.notes: list[str] = []
        self.events: list[MarketEvent] = []
        self.breaks: list[str] = []
        self.closed: dict[str, list[Built]] = {symbol: [] for symbol in SYMBOLS}
        self._builders = {symbol: CandleUpdates() for symbol in SYMBOLS}
        self._turn = 0
        self.venue: Any
        self.stream: Any
        self.books: LiveBooks

    async def open(self, topics: tuple[str, ...], silence_ms: int) -> None:
        """Begin to serve, and make the stream as an engine would."""
        self.move()
        port = await self.server.start()
        ws_url = f"ws://127.0.0.1:{port}{self.side.path}"
        hosts = Hosts(f"http://127.0.0.1:{port}", ws_url, ws_url)
        self.venue = self.side.venue(KEYS, AccountSettings("test", SYMBOLS, hosts), self.clock)
        await self.venue.measure_clock()
        instruments = await self.venue.instruments()
        settings = StreamSettings(hosts.public_ws_url, SYMBOLS, topics, silence_ms, FAST)
        self.stream = self.side.stream(self.transport, SystemClock(), instruments, settings, self.notes.append)
        self.stream.subscribe(self._update, self._break)
        self.books = LiveBooks(self.stream, SYMBOLS, self.venue if self.side.name == "binance" else None)
        self.stream.listen(self._event)
        self.base = hosts.rest_url

    async def close(self) -> None:
        """Release sockets and file."""
        await self.venue.close()
        await self.transport.close()
        await self.server.stop()
        self.exchange.close()

    def _update(self, update: CandleUpdate) -> None:
        symbol = update.candle.symbol
        self.closed[symbol].extend(self._builders[symbol].add(update).closed)

    def _break(self, symbol: str) -> None:
        self.breaks.append(symbol)
        self._builders[symbol].interrupt()

    def _event(self, event: MarketEvent) -> None:
        self.events.append(event)
        if isinstance(event, DepthChange | DepthSnapshot):
            book = self.books.book(event.symbol)
            bid, ask = book.best_bid(), book.best_ask()
            assert bid is None or ask is None or bid[0] < ask[0], "a crossed book was shown"

    def move(self) -> None:
        """Let the prices move to the next of four points of their minute."""
        number, point = divmod(self._turn, 4)
        open_ms = T0 + number * MINUTE_MS
        self._turn += 1
        self.clock.move(open_ms + (point + 1) * MINUTE_MS // 4 - self.clock.now_ms())
        middle = 500_000 + (number * 37) % 91
        candles = [
            Candle(BTC, open_ms, MINUTE_MS, middle, middle + 9, middle - 7, middle + 3, 4_000 + number),
            Candle(ETH, open_ms, MINUTE_MS, middle // 2, middle // 2 + 5, middle // 2 - 3, middle // 2, 8_000),
        ]
        self.exchange.play(open_ms, candles, [], point + 1)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the market go on until something holds."""
        async with asyncio.timeout(WAIT_S):
            while not condition():
                self.move()
                await asyncio.sleep(TURN_S)

    def is_well(self) -> bool:
        """Candles and books of both symbols are there."""
        return all(self.stream.is_speaking(symbol) and self.books.book(symbol).is_synced for symbol in SYMBOLS)

    def lost_books(self) -> set[str]:
        """Symbols whose book was said to have missed something."""
        return {event.symbol for event in self.events if isinstance(event, DepthLost)}

    async def server_book(self, instrument: Instrument) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """The server's book over REST in ticks and steps, the best first."""
        symbol = instrument.symbol if self.side.name != "bingx" else instrument.symbol.replace("USDT", "-USDT")
        reply = await self.transport.request("GET", self.base + self.side.book.format(symbol), {})
        told = msgspec.json.decode(reply.body)
        told = told[self.side.inside] if self.side.inside else told
        bids, asks = (
            sorted(
                (instrument.price_to_ticks(Decimal(price)), instrument.quantity_to_steps(Decimal(quantity)))
                for price, quantity in told[side]
            )
            for side in (self.side.bids, self.side.asks)
        )
        return bids[::-1], asks

    async def has_the_servers_books(self) -> bool:
        """Both books are what the server shows, once everything that was said has arrived."""
        for instrument in INSTRUMENTS:
            book = self.books.book(instrument.symbol)
            async with asyncio.timeout(WAIT_S):
                while (book.bids(LEVELS), book.asks(LEVELS)) != await self.server_book(instrument):  # noqa: ASYNC110 - the server tells nobody
                    await asyncio.sleep(TURN_S)
        return True


@asynccontextmanager
async def opened(
    side: Side,
    folder: Path,
    topics: tuple[str, ...] = CANDLES_AND_BOOK,
    silence_ms: int = 30_000,
    rules: Sequence[Rule] = (),
) -> AsyncIterator[Market]:
    market = Market(side, folder, rules)
    await market.open(topics, silence_ms)
    tasks = [asyncio.create_task(market.stream.run()), asyncio.create_task(market.books.run())]
    try:
        yield market
        assert not tasks[0].done(), tasks[0].exception()
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await market.close()


every_venue = pytest.mark.parametrize("side", SIDES, ids=lambda side: side.name)


@every_venue
def test_everything_arrives_and_is_what_the_venue_has_on_record(side: Side, tmp_path: Path) -> None:
    """Candles equal those of REST, the book that of the server; trades, quotes and marks come with them."""

    async def main() -> None:
        async with opened(side, tmp_path, EVERYTHING) as market:
            await market.until(market.is_well)
            await market.until(lambda: all(len(market.closed[symbol]) >= 6 for symbol in SYMBOLS))
            assert await market.has_the_servers_books()
            for symbol in SYMBOLS:
                built = market.closed[symbol][1:4]  # the first may have been joined midway
                until_ms = built[-1].candle.close_time_ms
                recorded = await market.venue.candles(symbol, MINUTE_MS, built[0].candle.open_time_ms, until_ms)
                assert list(recorded) == [one.candle for one in built]
                assert all(one.is_whole for one in built)
            kinds = {type(event) for event in market.events}
            assert {Trade, Quote, MarkPrice, DepthChange} <= kinds
            assert (side.name != "binance") is (DepthSnapshot in kinds)
            assert 0 == market.stream.undecoded
            assert [0, 0] == [market.books.book(symbol).restarts for symbol in SYMBOLS]

    asyncio.run(main())


@every_venue
def test_a_stream_that_falls_silent_is_made_to_speak_again(side: Side, tmp_path: Path) -> None:
    """Candles and books are told to have broken, and are right again afterwards."""

    async def main() -> None:
        visits = (60, 61) if side.name == "binance" else (60,)  # it has a connection for each route
        silent = Rule(site="stream.market", fault=Mishap.SILENT, visits=visits)
        async with opened(side, tmp_path, silence_ms=800, rules=[silent]) as market:
            await market.until(market.is_well)
            await market.until(lambda: bool(market.breaks))
            await market.until(lambda: bool(market.lost_books()))
            await market.until(market.is_well)
            assert await market.has_the_servers_books()
            assert any("speaks" in note for note in market.notes)

    asyncio.run(main())


@every_venue
def test_after_a_cut_connection_everything_is_subscribed_again(side: Side, tmp_path: Path) -> None:
    """As venues cut connections once a day; meanwhile nothing counts as fresh and no book is shown."""

    async def main() -> None:
        async with opened(side, tmp_path) as market:
            await market.until(market.is_well)
            await market.server.disconnect_all()
            await market.until(lambda: set(SYMBOLS) <= set(market.breaks))
            await market.until(lambda: set(SYMBOLS) == market.lost_books())
            await market.until(market.is_well)
            assert await market.has_the_servers_books()

    asyncio.run(main())


@every_venue
def test_a_topic_that_the_venue_does_not_have_is_told(side: Side, tmp_path: Path) -> None:
    """The others go on."""

    async def main() -> None:
        async with opened(side, tmp_path, ("kline_1m", "depth", "nonsense"), silence_ms=700) as market:
            await market.until(lambda: any(side.refusal in note for note in market.notes))
            await market.until(market.is_well)

    asyncio.run(main())
