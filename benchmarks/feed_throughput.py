"""Frames a second on one core: decode, book and candles; and what a live feed does to the event loop.

    python benchmarks/feed_throughput.py [--runs 5] [--seconds 8] [--rate 5000] [--recording FILE …]

The first table replays frames from memory: generated ones, or those of recordings (`<receive time> <raw JSON>`,
gzip). Its time is the processor's, so that a busy machine matters little. Of recordings it also says what is wrong
with them: frames that are not understood, changes out of sequence, best levels of the book that are not those of the
quote with the same number, candles that are not those of a naive count of the trades.

The second one sends frames over a websocket on this machine, from another process, to the real stream with a
recorder: at a rate, while a timer looks how late it is woken, and as fast as they are taken. The same timer in a loop
with nothing to do tells what is the machine's share; frames a second of processor time tell what one core could do.
"""

import argparse
import asyncio
import gc
import json
import multiprocessing
import multiprocessing.connection
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import partial
from pathlib import Path

from aiohttp import web

from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.domain.streams import CandleUpdate, DepthChange, DepthSnapshot, MarketEvent, Quote, Trade
from trading_engine.marketdata.book import LocalBook, Verdict
from trading_engine.marketdata.candle_builder import CandleTrades, CandleUpdates
from trading_engine.marketdata.recorder import Recorder, RecorderSettings
from trading_engine.marketdata.recording import read_frames
from trading_engine.system.clock import SystemClock
from trading_engine.venues.binance.market import Answered, MarketDecoder
from trading_engine.venues.binance.market_stream import BinanceMarketStream, StreamSettings
from trading_engine.venues.wire.transport import Transport

BTC = "BTCUSDT"
INSTRUMENT = Instrument(
    symbol=BTC,
    tick=Decimal("0.1"),
    step=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    max_quantity=Decimal(1_000),
    min_notional=Decimal(5),
    max_leverage=Decimal(100),
    tiers=(MarginTier(Decimal(10**9), Decimal("0.005"), Decimal(0), Decimal(100)),),
)
_T0 = 1_735_689_600_000
_PROBE_S = 0.001
_AT_ONCE = 100


class Chain:
    """Everything that is built from a frame."""

    def __init__(self, mid: int = 600_000) -> None:
        self.decoder = MarketDecoder([INSTRUMENT])
        self.book = LocalBook(BTC)
        levels = [(mid - n, 1) for n in range(1_000)], [(mid + 1 + n, 1) for n in range(1_000)]
        self.book.restore(DepthSnapshot(BTC, 0, 0, *levels))
        self.trades = CandleTrades(BTC)
        self.updates = CandleUpdates()
        self.candles = 0

    def frame(self, raw: bytes) -> None:
        """Decode and build."""
        if raw.startswith(b'{"lastUpdateId"'):
            self.book.restore(self.decoder.snapshot(BTC, raw))
            return
        event = self.decoder.decode(raw)
        if event is not None and not isinstance(event, Answered):
            self.event(event)

    def event(self, event: MarketEvent) -> None:
        """Build."""
        if isinstance(event, DepthChange):
            self.book.apply(event)
        elif isinstance(event, Trade):
            self.candles += len(self.trades.add(event).closed)
        elif isinstance(event, CandleUpdate):
            self.candles += len(self.updates.add(event).closed)


_Top = tuple[tuple[int, int] | None, tuple[int, int] | None]


def faults(frames: Sequence[bytes]) -> Counter[str]:
    """What is wrong with recorded frames, by kind; "compared" counts quotes whose change of the book was there too."""
    found: Counter[str] = Counter()
    chain = Chain()
    chain.book.drop()
    tops: dict[int, _Top] = {}
    quotes: dict[int, _Top] = {}
    rows: dict[int, list[int]] = {}
    built: dict[int, list[int]] = {}
    for raw in frames:
        try:
            if raw.startswith(b'{"lastUpdateId"'):
                chain.book.restore(chain.decoder.snapshot(BTC, raw))
                continue
            event = chain.decoder.decode(raw)
        except ValueError:
            found["decode"] += 1
            continue
        if isinstance(event, DepthChange):
            found["sequence"] += chain.book.apply(event) in (Verdict.GAP, Verdict.CROSSED)
            tops[event.last_id] = (chain.book.best_bid(), chain.book.best_ask())
        elif isinstance(event, Quote):
            quotes[event.update_id] = ((event.bid, event.bid_quantity), (event.ask, event.ask_quantity))
        elif isinstance(event, Trade):
            built |= {one.candle.open_time_ms: list(one.candle[3:]) for one in chain.trades.add(event).closed}
            if event.is_matched:
                row = rows.setdefault(event.ts_ms // 60_000 * 60_000, [event.price] * 4 + [0])
                row[1:] = max(row[1], event.price), min(row[2], event.price), event.price, row[4] + event.quantity
    shared = [number for number in tops.keys() & quotes.keys() if tops[number] != (None, None)]
    found["compared"] = len(shared)
    found["quotes"] = sum(tops[number] != quotes[number] for number in shared)
    found["candles"] = sum(rows.get(open_ms) != row for open_ms, row in built.items())
    return found


def generated(count: int, levels: int, depth_share: float) -> list[bytes]:
    """Quotes, trades and changes of the book in a mix like a busy symbol's, near a price of 60,000."""
    rng = random.Random(7)  # noqa: S311 - a market, no secret
    frames: list[bytes] = []
    last_id = trades = 0
    for number in range(count):
        ts_ms = _T0 + number * 3
        draw = rng.random()
        if draw < depth_share:
            last_id += 10
            sides = [
                [[f"{60_000 + sign * rng.paretovariate(1) / 2:.1f}0", f"{rng.random() * rng.randint(0, 3):.3f}"]
                 for _ in range(levels // 2)]
                for sign in (-1, 1)
            ]  # fmt: skip
            name = "depth@100ms"
            bids = [[min(price, "60000.00"), quantity] for price, quantity in sides[0]]
            asks = [[max(price, "60000.10"), quantity] for price, quantity in sides[1]]
            data = {"e": "depthUpdate", "E": ts_ms, "T": ts_ms, "s": BTC, "U": last_id - 8, "u": last_id,
                    "pu": last_id - 10, "b": bids, "a": asks}  # fmt: skip
        elif draw < depth_share + 0.2:
            trades += 1
            name = "trade"
            price = f"{60_000 + rng.randint(0, 1) / 10:.2f}"
            data = {"e": "trade", "E": ts_ms, "T": ts_ms, "s": BTC, "t": trades, "p": price, "q": "0.015",
                    "X": "MARKET", "m": True}  # fmt: skip
        else:
            name = "bookTicker"
            data = {"e": "bookTicker", "u": last_id, "s": BTC, "b": "60000.00", "B": f"{rng.random():.3f}",
                    "a": "60000.10", "A": f"{rng.random():.3f}", "T": ts_ms, "E": ts_ms}  # fmt: skip
        wrapped = {"stream": f"btcusdt@{name}", "data": data}
        frames.append(json.dumps(wrapped, separators=(",", ":")).encode())
    return frames


def chain_speed(frames: Sequence[bytes], runs: int) -> list[float]:
    """Frames a second of processor time, of several runs."""
    has_snapshot = any(raw.startswith(b'{"lastUpdateId"') for raw in frames[:1_000])
    speeds = []
    for _ in range(runs):
        chain = Chain()
        if has_snapshot:
            chain.book.drop()
        gc.collect()
        begun = time.process_time()
        for raw in frames:
            chain.frame(raw)
        speeds.append(len(frames) / (time.process_time() - begun))
    return speeds


def serve(frames: list[bytes], rate: int, told: "multiprocessing.connection.Connection") -> None:
    """A process that sends frames to whoever subscribes: at a rate, or with 0 as fast as they are taken."""

    async def talk(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        await ws.receive()
        begun, sent = time.monotonic(), 0
        with suppress(ConnectionError):  # the other side has what it wanted
            while not ws.closed:
                for _ in range(int((time.monotonic() - begun) * rate) - sent if rate else _AT_ONCE):
                    await ws.send_str(texts[sent % len(texts)])
                    sent += 1
                await asyncio.sleep(_PROBE_S if rate else 0)
        return ws

    async def main() -> None:
        app = web.Application()
        app.router.add_get("/public/stream", talk)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        told.send(runner.addresses[0][1])
        await asyncio.sleep(3_600)

    texts = [raw.decode() for raw in frames]
    asyncio.run(main())


async def lateness(seconds: float) -> list[float]:
    """How late a timer of 1 ms is woken, in ms, again and again."""
    loop, late_ms = asyncio.get_running_loop(), []
    begun = loop.time()
    while loop.time() - begun < seconds:
        asked = loop.time()
        await asyncio.sleep(_PROBE_S)
        late_ms.append((loop.time() - asked - _PROBE_S) * 1_000)
    return late_ms


async def live(port: int, seconds: float, folder: Path) -> tuple[float, list[float], float]:
    """Frames a second that came, how late a timer of 1 ms was woken (ms), and the share of a core that was used."""
    chain = Chain()
    recorder = Recorder(RecorderSettings(folder, "benchmark"), print)
    transport = Transport()
    topics = ("depth@100ms", "trade", "bookTicker")
    settings = StreamSettings(f"ws://127.0.0.1:{port}", (BTC,), topics)
    stream = BinanceMarketStream(
        transport, SystemClock(), [INSTRUMENT], settings, _ignore, lambda raw: recorder.take(time.time_ns(), raw)
    )
    stream.listen(chain.event)
    tasks = [asyncio.create_task(stream.run()), asyncio.create_task(recorder.run())]
    await asyncio.sleep(1)
    before, cpu, begun = recorder.taken, time.process_time(), time.monotonic()
    late_ms = await lateness(seconds)
    took = time.monotonic() - begun
    came, used = (recorder.taken - before) / took, (time.process_time() - cpu) / took
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await transport.close()
    return came, late_ms, used


def _ignore(text: str) -> None:
    del text


def recorded(path: Path) -> list[bytes]:
    """The frames of a recording."""
    return [frame.raw for frame in read_frames([path])]


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of all does not exceed."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def _delays(late: Sequence[float]) -> str:
    shares = (0.5, 0.99, 0.999)
    return " ".join(f"{value:>6.2f}" for value in (*(quantile(late, share) for share in shares), max(late)))


_FAULTS = {
    "decode": "not understood",
    "sequence": "out of sequence",
    "candles": "candles differ",
    "quotes": "best levels differ",
}


def print_chain(runs: int, recordings: Sequence[Path]) -> None:
    """The first table."""
    sources: list[tuple[str, Callable[[], list[bytes]]]] = [
        ("generated, 10 % depth of 20 levels", lambda: generated(50_000, 20, 0.1)),
        ("generated, depth of 20 levels only", lambda: generated(20_000, 20, 1)),
        ("generated, depth of 68 levels only", lambda: generated(10_000, 68, 1)),
    ]
    sources.extend((path.name[:40], partial(recorded, path)) for path in recordings)
    print(f"decode + book + candles, one core, processor time, {runs} runs")
    print(f" {'FRAMES':<42} {'COUNT':>8} {'BYTES':>6} {'MIN/s':>9} {'MEDIAN/s':>9} {'MAX/s':>9}")
    for name, load in sources:
        frames = load()
        speeds = chain_speed(frames, runs)
        size = sum(map(len, frames)) // len(frames)
        median = statistics.median(speeds)
        print(f" {name:<42} {len(frames):>8,} {size:>6} {min(speeds):>9,.0f} {median:>9,.0f} {max(speeds):>9,.0f}")
        if name[0] != "g":
            found = faults(frames)
            told = ", ".join(f"{found[kind]} {what}" for kind, what in _FAULTS.items())
            print(f"   {told} of {found['compared']:,} compared")


def print_live(runs: int, seconds: float, rate: int) -> None:
    """The second table."""
    told = f"{rate:,} frames/s asked for" if rate else "as fast as they are taken"
    print(f"\nover a websocket on this machine, {told}, recorded, {seconds:g} s a run")
    heading = f"   loop delay ms: {'P50':>6} {'P99':>6} {'P99.9':>6} {'MAX':>6}"
    print(f" {'RUN':<6} {'FRAMES/s':>9} {'CORE':>6} {'PER CORE/s':>10}{heading}")
    receiver, sender = multiprocessing.Pipe(duplex=False)
    frames = generated(int((rate or 10_000) * (seconds + 3)), 20, 0.1)
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(frames, rate, sender), daemon=True)
    server.start()
    try:
        port = receiver.recv()
        idle, p99, speeds = [], [], []
        for number in range(1, runs + 1):
            late = asyncio.run(lateness(seconds / 2))
            idle.append(quantile(late, 0.99))
            print(f" {'idle':<6} {0:>9} {'':>6} {'':>10} {'':>17} {_delays(late)}")
            with tempfile.TemporaryDirectory(prefix="feed-throughput-") as folder:
                came, late, used = asyncio.run(live(port, seconds, Path(folder)))
            p99.append(quantile(late, 0.99))
            speeds.append(came / used)
            print(f" {number:<6} {came:>9,.0f} {used:>6.0%} {came / used:>10,.0f} {'':>17} {_delays(late)}")
        shares = f"p99 {statistics.median(p99):.2f} ms, of an idle loop {statistics.median(idle):.2f} ms"
        print(f" medians: {statistics.median(speeds):,.0f} frames/s of one core; {shares}")
    finally:
        server.terminate()
        server.join()


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rate", type=int, default=5_000)
    parser.add_argument("--recording", type=Path, action="append", default=[])
    chosen = parser.parse_args()
    print_chain(chosen.runs, chosen.recording)
    for rate in (chosen.rate, 0):
        print_live(min(chosen.runs, 3), chosen.seconds, rate)
    return 0


if __name__ == "__main__":
    sys.exit(main())
