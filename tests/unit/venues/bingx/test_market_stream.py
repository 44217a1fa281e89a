"""Names and frames of BingX's public streams, over a real socket to a server that acknowledges everything."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from builders import make_instrument

from trading_engine.domain.streams import CandleUpdate
from trading_engine.system.clock import SystemClock
from trading_engine.venues.bingx.market_stream import BingxMarketStream, StreamSettings
from trading_engine.venues.wire.transport import Transport

BTC = "BTCUSDT"


class Rig:
    """A server, the stream on it, and what both have heard."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.pongs = 0
        self.connections = 0
        self.notes: list[str] = []
        self.raw: list[bytes] = []
        self.updates: list[CandleUpdate] = []

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One connection: a heartbeat, and a candle for each subscription to candles."""
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        self.connections += 1
        await ws.send_bytes(gzip.compress(b"Ping"))
        async for message in ws:
            if message.data == "Pong":
                self.pongs += 1
                continue
            asked = json.loads(message.data)
            self.asked.append(asked)
            answer = {"id": asked["id"], "code": 0, "msg": "", "dataType": "", "data": None}
            await ws.send_bytes(gzip.compress(json.dumps(answer).encode()))
            row = {"c": "1.0", "o": "1.0", "h": "1.0", "l": "1.0", "v": "1", "T": 60_000}
            if asked["dataType"].endswith("@kline_1m"):
                push = {"code": 0, "dataType": asked["dataType"], "data": [row]}
                await ws.send_bytes(gzip.compress(json.dumps(push).encode()))
        return ws

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what a test expects, or fail."""
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110 - any condition, told by nobody
                await asyncio.sleep(0.005)


@asynccontextmanager
async def running(topics: tuple[str, ...], symbols: tuple[str, ...] = (BTC,)) -> AsyncIterator[Rig]:
    rig = Rig()
    app = web.Application()
    app.router.add_get("/swap-market", rig.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    transport = Transport()
    settings = StreamSettings(f"ws://127.0.0.1:{runner.addresses[0][1]}", symbols, topics)
    instruments = [make_instrument(symbol) for symbol in symbols]
    stream = BingxMarketStream(
        transport,
        SystemClock(),
        instruments,
        settings,
        rig.notes.append,
        rig.raw.append,
        sleep=lambda seconds: asyncio.sleep(min(seconds, 0.001)),
    )
    stream.subscribe(rig.updates.append, lambda _: None)
    task = asyncio.create_task(stream.run())
    try:
        yield rig
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.wait({task})
        await transport.close()
        await runner.cleanup()


def test_topics_have_the_venues_names_and_what_it_lacks_is_told() -> None:
    """A name of the venue's own is passed on; heartbeats are answered; recordings are text."""

    async def main() -> None:
        async with running(("kline_1m", "depth", "forceOrder", "depth5@500ms")) as rig:
            await rig.until(lambda: len(rig.asked) == 3 and rig.pongs == 1 and bool(rig.updates))
            names = ["BTC-USDT@kline_1m", "BTC-USDT@incrDepth", "BTC-USDT@depth5@500ms"]
            assert names == [asked["dataType"] for asked in rig.asked]
            assert ["sub"] * 3 == [asked["reqType"] for asked in rig.asked]
            assert 3 == len({asked["id"] for asked in rig.asked})
            assert "the venue has no stream for forceOrder" in rig.notes
            assert b"Ping" in rig.raw
            assert BTC == rig.updates[0].candle.symbol

    asyncio.run(main())


def test_more_topics_than_a_connection_may_have_are_spread() -> None:
    """Each connection asks for its own."""

    async def main() -> None:
        symbols = tuple(f"A{number}USDT" for number in range(160))
        async with running(("kline_1m",), symbols) as rig:
            await rig.until(lambda: len(rig.asked) == 160)
            assert 2 == rig.connections
            assert 160 == len({asked["dataType"] for asked in rig.asked})

    asyncio.run(main())
