"""Streams over real sockets to a server in this process that says what a test wants."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from builders import make_instrument

from trading_engine.domain.streams import CandleUpdate, MarketEvent, Quote
from trading_engine.system.clock import SystemClock
from trading_engine.venues.binance.market_stream import BinanceMarketStream, StreamSettings
from trading_engine.venues.wire.socket import Patience
from trading_engine.venues.wire.transport import Transport

BTC, ETH = "BTCUSDT", "ETHUSDT"
FAST = Patience(silence_ms=2_000, connect_ms=2_000, first_ms=10, longest_ms=50)


def kline(symbol: str, open_ms: int = 60_000) -> dict[str, object]:
    candle = {"t": open_ms, "i": "1m", "o": "1.0", "h": "1.0", "l": "1.0", "c": "1.0", "v": "1", "x": False}
    return {"e": "kline", "E": open_ms + 1, "s": symbol, "k": candle}


def quote(symbol: str) -> dict[str, object]:
    return {"e": "bookTicker", "u": 1, "s": symbol, "b": "1.0", "B": "1.00", "a": "1.1", "A": "1.00", "T": 1}


class Server:
    """Acknowledges everything; speaks on `/market` and `/public` for every stream that is not muted."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, list[str]]] = []
        self.muted: set[str] = set()
        self.junk: list[str] = []
        self.connections: list[web.WebSocketResponse] = []
        self.port = 0

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One connection, until it ends."""
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        self.connections.append(ws)
        subscribed: set[str] = set()
        talking = asyncio.create_task(self._talk(ws, subscribed))
        try:
            async for message in ws:
                asked = json.loads(message.data)
                self.requests.append((request.path, asked["method"], asked["params"]))
                change = subscribed.update if asked["method"] == "SUBSCRIBE" else subscribed.difference_update
                change(asked["params"])
                await ws.send_json({"result": None, "id": asked["id"]})
        finally:
            talking.cancel()
            await asyncio.wait({talking})
        return ws

    async def _talk(self, ws: web.WebSocketResponse, subscribed: set[str]) -> None:
        while True:
            for text in self.junk:
                await ws.send_str(text)
            for stream in sorted(subscribed - self.muted):
                name, _, topic = stream.partition("@")
                data = kline(name.upper()) if topic.startswith("kline") else quote(name.upper())
                await ws.send_str(json.dumps({"stream": stream, "data": data}, separators=(",", ":")))
            await asyncio.sleep(0.01)


class Rig:
    """A stream on such a server, and what it has told."""

    def __init__(self, server: Server, stream: BinanceMarketStream, notes: list[str]) -> None:
        self.server, self.stream, self.notes = server, stream, notes
        self.updates: list[CandleUpdate] = []
        self.breaks: list[str] = []
        self.events: list[MarketEvent] = []
        stream.subscribe(self.updates.append, self.breaks.append)
        stream.listen(self.events.append)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what a test expects, or fail."""
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - any condition, told by nobody
                await asyncio.sleep(0.005)


@asynccontextmanager
async def running(
    topics: tuple[str, ...] = ("kline_1m",),
    symbols: tuple[str, ...] = (BTC, ETH),
    silence_ms: int = 60_000,
    muted: tuple[str, ...] = (),
    raw: list[bytes] | None = None,
    patience: Patience = FAST,
) -> AsyncIterator[Rig]:
    server = Server()
    server.muted = set(muted)
    app = web.Application()
    app.router.add_get("/market/stream", server.serve)
    app.router.add_get("/public/stream", server.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    transport = Transport()
    notes: list[str] = []
    settings = StreamSettings(f"ws://127.0.0.1:{port}/market", symbols, topics, silence_ms, patience)
    instruments = [make_instrument(symbol) for symbol in symbols]
    stream = BinanceMarketStream(
        transport, SystemClock(), instruments, settings, notes.append, raw.append if raw is not None else None
    )
    rig = Rig(server, stream, notes)
    task = asyncio.create_task(stream.run())
    try:
        yield rig
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.wait({task})
        await transport.close()
        await runner.cleanup()


def test_each_topic_is_subscribed_on_its_route() -> None:
    """Books and quotes on one, candles on the other; the wrong one would be silent."""

    async def main() -> None:
        async with running(("kline_1m", "bookTicker", "depth@100ms")) as rig:
            await rig.until(lambda: len(rig.server.requests) == 2 and bool(rig.events) and bool(rig.updates))
            asked = {path: params for path, _, params in rig.server.requests}
            assert ["btcusdt@kline_1m", "ethusdt@kline_1m"] == asked["/market/stream"]
            assert 4 == len(asked["/public/stream"])
            assert isinstance(rig.events[0], Quote)

    asyncio.run(main())


def test_a_stream_speaks_when_its_data_has_come() -> None:
    """Not when the subscription was acknowledged, and not for another symbol's data."""

    async def main() -> None:
        raw: list[bytes] = []
        async with running(muted=("ethusdt@kline_1m",), raw=raw) as rig:
            assert not rig.stream.is_speaking(BTC)
            await rig.until(lambda: rig.stream.is_speaking(BTC))
            assert rig.stream.data_age_ms(BTC) < 1_000
            assert (False, True) == (rig.stream.is_speaking(ETH), rig.stream.data_age_ms(ETH) > 10**12)
            assert not rig.stream.is_speaking("XRPUSDT")
            assert b'{"result": null, "id": 1}' in raw

    asyncio.run(main())


def test_after_a_lost_connection_everything_is_subscribed_again() -> None:
    """The break is told for each stream that had spoken, and data proves the new subscription."""

    async def main() -> None:
        async with running() as rig:
            await rig.until(lambda: rig.stream.is_speaking(BTC) and rig.stream.is_speaking(ETH))
            await rig.server.connections[0].close()
            await rig.until(lambda: len(rig.server.requests) == 2 and rig.stream.is_speaking(ETH))
            assert [BTC, ETH] == sorted(rig.breaks)
            assert any("closed by the venue" in note for note in rig.notes)

    asyncio.run(main())


def test_a_connection_that_only_acknowledges_is_cut() -> None:
    """As on the wrong route: an answer to each subscription, and then nothing."""

    async def main() -> None:
        patience = Patience(silence_ms=400, connect_ms=2_000, first_ms=10, longest_ms=20)
        async with running(muted=("btcusdt@kline_1m", "ethusdt@kline_1m"), patience=patience) as rig:
            await rig.until(lambda: len(rig.server.connections) >= 3)
            assert not rig.stream.is_speaking(BTC)
            rig.server.muted.clear()
            await rig.until(lambda: rig.stream.is_speaking(BTC))

    asyncio.run(main())


def test_one_silent_stream_is_subscribed_again_and_then_its_connection_renewed() -> None:
    """The others go on meanwhile; each step is told."""

    async def main() -> None:
        async with running(silence_ms=100, muted=("ethusdt@kline_1m",)) as rig:
            await rig.until(lambda: len(rig.server.requests) >= 3)
            methods = [(method, params) for _, method, params in rig.server.requests[1:3]]
            assert [("UNSUBSCRIBE", ["ethusdt@kline_1m"]), ("SUBSCRIBE", ["ethusdt@kline_1m"])] == methods
            assert ETH in rig.breaks
            await rig.until(lambda: len(rig.server.connections) == 2)
            await rig.until(lambda: any("subscribed again" in note for note in rig.notes))
            rig.server.muted.clear()
            await rig.until(lambda: rig.stream.is_speaking(ETH))

    asyncio.run(main())


def test_rare_streams_may_be_silent() -> None:
    """No liquidation is no fault."""

    async def main() -> None:
        topics = ("kline_1m", "forceOrder")
        async with running(topics, (BTC,), silence_ms=50, muted=("btcusdt@forceOrder",)) as rig:
            await rig.until(lambda: rig.stream.is_speaking(BTC))
            await asyncio.sleep(0.3)
            assert 1 == len(rig.server.requests)

    asyncio.run(main())


def test_what_is_not_understood_is_counted_and_told_ever_more_seldom() -> None:
    """It stops nothing; a refusal is told as well."""

    async def main() -> None:
        async with running() as rig:
            rig.server.junk = ["nonsense", '{"code":2,"msg":"Invalid request","id":9}']
            await rig.until(lambda: rig.stream.undecoded >= 20)
            assert rig.stream.is_speaking(BTC)
            assert sum("not understood" in note for note in rig.notes) <= 6
            assert any("refused a subscription: 2: Invalid request" in note for note in rig.notes)

    asyncio.run(main())


def test_many_streams_are_subscribed_in_frames_with_pauses() -> None:
    """The venue cuts a connection that sends more than ten frames a second."""

    async def main() -> None:
        symbols = tuple(f"A{number}USDT" for number in range(150))
        async with running(symbols=symbols) as rig:
            began = asyncio.get_running_loop().time()
            await rig.until(lambda: len(rig.server.requests) == 2)
            assert [100, 50] == [len(params) for _, _, params in rig.server.requests]
            assert asyncio.get_running_loop().time() - began > 0.1

    asyncio.run(main())
