"""Recorded streams of a real venue through decoding, book and candles, against what the venue itself says.

Recordings lie beside the repository, in `shared/data/ws`; without them these tests are skipped.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from builders import make_instrument

from trading_engine.domain.market import Candle
from trading_engine.domain.streams import DepthChange, MarketEvent, MarkPrice, Quote, Trade
from trading_engine.marketdata.book import LocalBook, Verdict
from trading_engine.marketdata.candle_builder import Built, CandleTrades
from trading_engine.marketdata.recording import RecordedFrame, read_frames
from trading_engine.system.clock import SystemClock
from trading_engine.venue_servers.playback.serve import PlaybackOptions, PlaybackServer
from trading_engine.venues.binance.market import MarketDecoder
from trading_engine.venues.binance.market_stream import BinanceMarketStream, StreamSettings
from trading_engine.venues.wire.secrets import Credentials
from trading_engine.venues.wire.transport import Transport

BTC = "BTCUSDT"
FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "ws"
RECORDINGS = sorted(FOLDER.glob("*.jsonl.gz")) if FOLDER.is_dir() else []
MINUTE = 60_000
PLAYED = 20_000  # frames that are played over a socket: a minute or two

Top = tuple[tuple[int, int] | None, tuple[int, int] | None]


class Replayed(NamedTuple):
    """What one recording has given."""

    frames: list[RecordedFrame]
    verdicts: Counter[Verdict]
    tops: dict[int, Top]  # best levels of the book after each change, by its id
    quotes: dict[int, Top]
    candles: list[Built]
    events: Counter[str]
    book: LocalBook
    trades: CandleTrades


@cache
def replay(path: Path) -> Replayed:
    """Decode every frame and build everything from it; a frame that is not understood raises."""
    decoder = MarketDecoder([make_instrument(BTC, tick=Decimal("0.1"), step=Decimal("0.001"))])
    result = Replayed([], Counter(), {}, {}, [], Counter(), LocalBook(BTC), CandleTrades(BTC))
    for frame in read_frames([path]):
        result.frames.append(frame)
        if frame.raw.startswith(b'{"lastUpdateId"'):
            result.verdicts[result.book.restore(decoder.snapshot(BTC, frame.raw))] += 1
            continue
        event = decoder.decode(frame.raw)
        assert event is not None
        result.events[type(event).__name__] += 1
        take(result, event)  # type: ignore[arg-type]
    return result


def take(result: Replayed, event: MarketEvent) -> None:
    if isinstance(event, DepthChange):
        verdict = result.book.apply(event)
        result.verdicts[verdict] += 1
        if verdict is Verdict.APPLIED:
            result.tops[event.last_id] = (result.book.best_bid(), result.book.best_ask())
    elif isinstance(event, Quote):
        result.quotes[event.update_id] = ((event.bid, event.bid_quantity), (event.ask, event.ask_quantity))
    elif isinstance(event, Trade):
        result.candles.extend(result.trades.add(event).closed)


def naive_candles(frames: Iterable[RecordedFrame]) -> list[Candle]:
    """Candles by minute from the raw JSON of trades, with exact decimals; the last minute is not complete."""
    minutes: dict[int, list[tuple[Decimal, Decimal]]] = {}
    for frame in frames:
        data = json.loads(frame.raw).get("data", {})
        if data.get("e") == "trade" and data["X"] == "MARKET":
            minutes.setdefault(data["T"] // MINUTE, []).append((Decimal(data["p"]), Decimal(data["q"])))
    result = []
    for minute in sorted(minutes)[:-1]:
        prices = [int(price * 10) for price, _ in minutes[minute]]
        volume = int(sum(quantity for _, quantity in minutes[minute]) * 1_000)
        values = (prices[0], max(prices), min(prices), prices[-1], volume)
        result.append(Candle(BTC, minute * MINUTE, MINUTE, *values))
    return result


@pytest.fixture(scope="module", params=RECORDINGS or [None], ids=lambda path: path.name if path else "none")
def replayed(request: pytest.FixtureRequest) -> Replayed:
    """Each recording once."""
    if request.param is None:
        pytest.skip(f"no recordings in {FOLDER}")
    return replay(request.param)


@pytest.mark.xdist_group("recordings")
def test_every_frame_is_understood_and_no_change_is_out_of_sequence(replayed: Replayed) -> None:
    """From the snapshot on each change continues the one before, and bids never meet asks."""
    assert len(replayed.frames) > 50_000
    assert {"DepthChange", "Quote", "Trade"} <= set(replayed.events)
    assert {Verdict.APPLIED, Verdict.WAITING, Verdict.OLD} >= set(replayed.verdicts)
    assert replayed.verdicts[Verdict.OLD] <= 1
    assert (True, 0) == (replayed.book.is_synced, replayed.book.restarts)
    assert all(bid is not None and ask is not None and bid[0] < ask[0] for bid, ask in replayed.tops.values())


@pytest.mark.xdist_group("recordings")
def test_the_best_levels_are_those_that_the_venue_tells(replayed: Replayed) -> None:
    """Wherever a quote has the id of a change, price and quantity agree on both sides."""
    shared = replayed.tops.keys() & replayed.quotes.keys()
    assert len(shared) > 500
    assert [] == [number for number in shared if replayed.tops[number] != replayed.quotes[number]]


@pytest.mark.xdist_group("recordings")
def test_candles_are_those_of_a_naive_count(replayed: Replayed) -> None:
    """Tick by tick; no trade is missing or late, and only the minute joined midway is not whole."""
    assert naive_candles(replayed.frames) == [built.candle for built in replayed.candles]
    assert (0, 0) == (replayed.trades.late, replayed.trades.lost)
    assert [False] + [True] * (len(replayed.candles) - 1) == [built.is_whole for built in replayed.candles]


@pytest.mark.xdist_group("recordings")
def test_receive_times_are_nanoseconds_of_the_day(replayed: Replayed) -> None:
    """Whatever unit was recorded, frames come within seconds of the venue's own time."""
    decoder = MarketDecoder([make_instrument(BTC, tick=Decimal("0.1"), step=Decimal("0.001"))])
    for frame in replayed.frames[100:200]:
        event = decoder.decode(frame.raw)
        assert isinstance(event, DepthChange | Quote | Trade | MarkPrice)
        assert abs(frame.receive_ns / 1e6 - event.ts_ms) < 5_000


async def played_again(path: Path, result: Replayed) -> tuple[list[Candle], int]:
    """Play a recording on a port, as fast as it is taken; candles that were called final, and frames not understood."""
    server = PlaybackServer(PlaybackOptions("binance", [path], 0, Credentials("test-key", "test-secret"), speed=None))
    ready, finals = asyncio.Event(), []
    at_work: set[str] = set()

    def on_note(told: str) -> None:
        address, _, what = told.rpartition(": ")
        (at_work.add if what == "speaks" else at_work.discard)(address)

    serve = asyncio.create_task(server.run(ready))
    await ready.wait()
    transport, instruments = Transport(), server.recording.instruments
    topics = ("kline_1m", "trade", "bookTicker", "depth@100ms")
    settings = StreamSettings(f"ws://127.0.0.1:{server.port}", (BTC,), topics)
    stream = BinanceMarketStream(transport, SystemClock(), instruments, settings, on_note)
    url = f"http://127.0.0.1:{server.port}/fapi/v1/depth?symbol={BTC}&limit=1000"
    body = (await transport.request("GET", url, {})).body
    result.book.restore(MarketDecoder(instruments).snapshot(BTC, body))
    stream.listen(lambda event: take(result, event))
    stream.subscribe(lambda told: finals.append(told.candle) if told.is_final else None, lambda _: None)
    listen = asyncio.create_task(stream.run())
    async with asyncio.timeout(120):
        await serve
        while at_work:  # noqa: ASYNC110 - what was sent last may not have been handled yet
            await asyncio.sleep(0.02)
    listen.cancel()
    await asyncio.gather(listen, return_exceptions=True)
    await transport.close()
    return finals, stream.undecoded


@pytest.mark.xdist_group("recordings")
@pytest.mark.parametrize("path", RECORDINGS or [None], ids=lambda path: path.name if path else "none")
def test_a_recording_that_is_served_again_says_the_same(path: Path | None, tmp_path: Path) -> None:
    """Over a socket too: all is understood, the book is in sequence and agrees with the quotes, candles are whole."""
    if path is None:
        pytest.skip(f"no recordings in {FOLDER}")
    frames = [frame for _, frame in zip(range(PLAYED), read_frames([path]), strict=False)]
    part = tmp_path / "part.jsonl"
    part.write_bytes(b"".join(b"%d %b\n" % frame for frame in frames))
    result = Replayed(frames, Counter(), {}, {}, [], Counter(), LocalBook(BTC), CandleTrades(BTC))
    finals, undecoded = asyncio.run(played_again(part, result))
    assert (0, 0, 0) == (undecoded, result.trades.late, result.trades.lost)
    assert {Verdict.APPLIED, Verdict.OLD} >= set(result.verdicts)
    shared = result.tops.keys() & result.quotes.keys()
    assert len(shared) > 50
    assert [] == [number for number in shared if result.tops[number] != result.quotes[number]]
    assert naive_candles(frames) == [built.candle for built in result.candles] == finals
