"""A market recorded from a local venue server and played again: whoever listens sees what was to be seen then."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from trading_engine.cli.main import main
from trading_engine.domain.market import Candle
from trading_engine.domain.streams import DepthChange, MarketEvent
from trading_engine.marketdata.assembly import Patience
from trading_engine.marketdata.book import LocalBook
from trading_engine.marketdata.feed import FeedSettings, LiveFeed
from trading_engine.marketdata.recording import read_frames
from trading_engine.runtime.market_record import MarketRecording, RecordOptions
from trading_engine.system.clock import AdoptedClock, SystemClock
from trading_engine.venue_servers.playback.serve import PlaybackOptions, PlaybackServer
from trading_engine.venue_servers.serve import ServeOptions, VenueServer
from trading_engine.venues.binance.market import MarketDecoder
from trading_engine.venues.binance.market_stream import BinanceMarketStream, StreamSettings
from trading_engine.venues.binance.venue import BinanceVenue
from trading_engine.venues.wire.secrets import Credentials
from trading_engine.venues.wire.settings import AccountSettings, Hosts
from trading_engine.venues.wire.transport import Transport

BTC, ETH = "BTCUSDT", "ETHUSDT"
T0 = 1_735_689_600_000
MINUTE = 60_000
PACE = 120  # a minute in half a second
KEYS = Credentials("test-key", "test-secret")
PATIENCE_S = 60.0


def candles(path: Path, price: float) -> Path:
    """A market that goes up and down."""
    rows = ["ts,open,high,low,close,volume"]
    for minute in range(400):
        close = price * (1 + (0.001 if minute % 3 else -0.002))
        rows.append(
            f"{T0 + minute * MINUTE},{price:.1f},{max(price, close):.1f},{min(price, close):.1f},{close:.1f},50"
        )
        price = round(close, 1)
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


async def until(what: Callable[[], object]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not what():  # noqa: ASYNC110 - two servers and a disk tell nobody
            await asyncio.sleep(0.02)


async def serving(run: Callable[[asyncio.Event], Awaitable[None]]) -> "asyncio.Task[None]":
    """A server that listens."""
    ready = asyncio.Event()
    task = asyncio.ensure_future(run(ready))
    await asyncio.wait({task, asyncio.ensure_future(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    return task  # type: ignore[return-value]


async def ended(*tasks: "asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def record(folder: Path) -> tuple[list[Path], list[str], dict[str, dict[int, Candle]]]:
    """Some minutes of two symbols: the files, what was told, and the candles that the server closed meanwhile."""
    replay = {BTC: candles(folder / "btc.csv", 60_000.0), ETH: candles(folder / "eth.csv", 3_000.0)}
    server = VenueServer(ServeOptions("binance", 0, KEYS, replay, speed=PACE))
    serve = await serving(server.run)
    assert server.server is not None
    assert server.exchange is not None
    port, markets = server.server.port, server.exchange.markets
    told: list[str] = []
    urls = {"rest_url": f"http://127.0.0.1:{port}", "ws_url": f"ws://127.0.0.1:{port}"}
    recording = MarketRecording(RecordOptions("binance", (BTC, ETH), folder / "ticks", **urls), told.append)
    stop = asyncio.Event()
    running = asyncio.create_task(recording.run(stop))
    await until(lambda: running.done() or all(one.snapshots for one in recording.symbols.values()))
    before = len(markets[BTC].closed)
    await until(lambda: running.done() or len(markets[BTC].closed) >= before + 5)
    stop.set()
    await running
    await ended(serve)
    assert (0, 0, 0) == (recording.undecoded, recording.dropped, sum(one.holes for one in recording.symbols.values()))
    closed = {name: {one.open_time_ms: one for one in market.closed} for name, market in markets.items()}
    return [path for one in recording.symbols.values() for path in one.recorder.files], told, closed


async def replay(files: list[Path]) -> tuple[dict[str, dict[int, Candle]], dict[str, LocalBook], int]:
    """Candles that the venue calls final, books built from snapshot and changes, frames that were not understood."""
    server = PlaybackServer(PlaybackOptions("binance", files, 0, KEYS, speed=None))
    serve = await serving(server.run)
    transport, instruments = Transport(), server.recording.instruments
    settings = StreamSettings(f"ws://127.0.0.1:{server.port}", (BTC, ETH), ("kline_1m", "depth@100ms"))
    stream = BinanceMarketStream(transport, SystemClock(), instruments, settings, lambda _: None)
    seen: dict[str, dict[int, Candle]] = {BTC: {}, ETH: {}}
    books, decoder = {name: LocalBook(name) for name in seen}, MarketDecoder(instruments)
    for name, book in books.items():
        url = f"http://127.0.0.1:{server.port}/fapi/v1/depth?symbol={name}&limit=1000"
        book.restore(decoder.snapshot(name, (await transport.request("GET", url, {})).body))

    def hear(event: MarketEvent) -> None:
        if isinstance(event, DepthChange):
            books[event.symbol].apply(event)

    stream.listen(hear)
    stream.subscribe(
        lambda told: seen[told.candle.symbol].update({told.candle.open_time_ms: told.candle} if told.is_final else {}),
        lambda _: None,
    )
    listen = asyncio.create_task(stream.run())
    async with asyncio.timeout(PATIENCE_S):
        await serve
    await ended(listen)
    await transport.close()
    return seen, books, stream.undecoded


def test_a_recorded_market_is_seen_again_as_it_was(tmp_path: Path) -> None:
    """Every candle that closed while it was recorded, books without a gap, no frame that is not understood."""

    async def talk() -> None:
        files, told, closed = await record(tmp_path)
        assert 2 == len(files)
        assert [True, True] == [text.endswith("speaks") for text in told]
        frames = [frame.raw for frame in read_frames(files[:1])]
        assert any(raw.startswith(b'{"lastUpdateId"') for raw in frames)
        seen, books, undecoded = await replay(files)
        assert 0 == undecoded
        for name in (BTC, ETH):
            assert len(seen[name]) >= 4
            assert seen[name] == {open_ms: closed[name][open_ms] for open_ms in seen[name]}
            assert list(seen[name]) == list(range(min(seen[name]), max(seen[name]) + MINUTE, MINUTE))
            assert (True, 0) == (books[name].is_synced, books[name].restarts)

    asyncio.run(talk())


def trades(path: Path, minutes: int) -> Path:
    """A recording of trades alone: one each five seconds."""
    lines = []
    for number in range(minutes * 12 + 1):
        ts_ms = T0 + number * 5_000
        price = f"{60_000 + number % 7 - number % 3}.0"
        data = {"e": "trade", "E": ts_ms, "T": ts_ms, "s": BTC, "t": number + 1, "p": price, "q": "0.5", "X": "MARKET"}
        frame = json.dumps({"stream": "btcusdt@trade", "data": data | {"m": False}}, separators=(",", ":"))
        lines.append(f"{ts_ms * 1_000_000} {frame}\n")
    path.write_text("".join(lines), encoding="utf-8")
    return path


def test_a_live_feed_runs_on_a_recording_that_is_looped_and_copied(tmp_path: Path) -> None:
    """History before the begin, then candle after candle over the loop, for every copy; stream and REST agree."""
    notices: list[str] = []

    async def talk() -> None:
        pace = 240
        options = PlaybackOptions(
            "binance", [trades(tmp_path / "ticks", 2)], 0, KEYS, speed=pace, symbols_to=2, is_endless=True
        )
        server = PlaybackServer(options)
        serve = await serving(server.run)
        names, base = (BTC, "BTC2USDT"), f"127.0.0.1:{server.port}"
        transport = Transport()
        told = json.loads((await transport.request("GET", f"http://{base}/local-venue/clock", {})).body)
        clock = AdoptedClock(told["now_ms"], told["pace"])
        assert (pace, True) == (told["pace"], abs(told["now_ms"] - T0) < MINUTE)
        hosts = Hosts(f"http://{base}", f"ws://{base}/market", f"ws://{base}/private")
        venue = BinanceVenue(KEYS, AccountSettings("test", names, hosts, recv_window_ms=60_000), clock)
        settings = StreamSettings(f"ws://{base}", names)
        stream = BinanceMarketStream(transport, clock, server.recording.instruments, settings, lambda _: None)
        feed = LiveFeed(
            stream,
            venue,
            clock,
            FeedSettings(names, patience=Patience(check_ms=30_000, settle_ms=20_000, grace_ms=60_000)),
            lambda notice: notices.append(f"{notice.kind} {notice.symbol} {notice.text}"),
            lambda seconds: asyncio.sleep(seconds / pace),
        )
        seen: list[tuple[Candle, ...]] = []
        feed.subscribe(lambda batch: seen.append(tuple(batch)))
        warm = await feed.open(dict.fromkeys(names, 30))
        running = [asyncio.create_task(stream.run()), asyncio.create_task(feed.run())]
        await until(lambda: len(seen) >= 7 or any(task.done() for task in running))
        await ended(*running, serve)  # type: ignore[arg-type]
        await venue.close()
        await transport.close()
        assert all(len(warm[name]) == 30 for name in names)
        assert server.turn >= 2
        first_ms = warm[BTC][-1].close_time_ms
        assert [first_ms + n * MINUTE for n in range(7)] == [batch[0].open_time_ms for batch in seen[:7]]
        assert all(tuple(sorted(names, key=str)) == tuple(one.symbol for one in batch) for batch in seen)
        assert all(len({one[3:] for one in batch}) == 1 for batch in seen)
        for one, later in zip(seen, seen[2:], strict=False):  # a turn of two minutes
            assert one[0][3:] == later[0][3:]

    asyncio.run(talk())
    assert [] == [text for text in notices if text.startswith(("different", "lagging"))]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["record", "--venue", "nyse", "--symbol", BTC], 2, "--venue nyse: cannot be recorded (known: binance"),
        (["record", "--venue", "binance", "--symbol", "btc"], 2, "--symbol btc is not a symbol"),
        (["record", "--venue", "binance", "--symbol", BTC, "--duration", "5"], 2, "--duration 5 is not a length of"),
        (
            ["record", "--venue", "binance", "--symbol", BTC, "--topics", "trade, kline_5m,trades"],
            2,
            "--topics trades: binance has no such stream (known: aggTrade,",
        ),
        (["record", "--venue", "binance", "--symbol", BTC, "--ws-url", "ws://127.0.0.1:1"], 2, "go together"),
        (["replay", "none.gz", "--port", "9"], 78, "none.gz: no such file"),
        (["replay", "none.gz", "--port", "9", "--venue", "nyse"], 2, "recordings of it cannot be played"),
    ],
)
def test_mistakes_on_the_command_line_are_told_in_one_line(
    arguments: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is begun."""
    assert code == main(["data", *arguments])
    assert told in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line; so is a venue that does not answer."""
    (tmp_path / "file").write_text("in the way")
    here = ["--rest-url", "http://127.0.0.1:9", "--ws-url", "ws://127.0.0.1:9"]
    command = ["data", "record", "--venue", "binance", "--symbol", BTC, *here, "--out"]
    begun_s = time.monotonic()
    assert 2 == main([*command, str(tmp_path / "file")])
    assert "frames cannot be recorded there" in capsys.readouterr().err
    assert 1 == main([*command, str(tmp_path / "folder")])
    assert "nothing was recorded: binance GET /fapi/v1/exchangeInfo" in capsys.readouterr().err
    assert time.monotonic() - begun_s < PATIENCE_S
