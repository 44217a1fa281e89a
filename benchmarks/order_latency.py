"""From a closed candle on a websocket to the bytes of a signed order on another socket, stage by stage.

    python benchmarks/order_latency.py [--candles 300] [--runs 5] [--pause-ms 25] [--state DIR]

Two processes on this machine: a server that closes a candle again and again and answers orders (each ends unfilled,
so that the next candle finds a flat symbol), and the engine's own parts: stream, live feed, strategies, session, pump
with its durable commit, executor, adapter, aiohttp. Every candle gives a signal, whatever the strategies say of it;
they are evaluated all the same.

    arrive  from the server's send to the frame in our hands (the loop, aiohttp)
    decode  to the candle as the feed hands it on, without its cross-check over REST
    decide  strategies and core
    commit  SQLite, synced to the disk
    send    executor, signing, aiohttp, until the kernel has the bytes
    all     from the frame in our hands to there

The disk decides much of it: `sync` is one write of 4 kB and an fsync in the same folder, alone. Machines are noisy:
look at the medians of several runs. The second table is processor time, which a busy machine hardly changes: what is
between the two is waiting, for the disk or for a core.
"""

import argparse
import asyncio
import multiprocessing
import multiprocessing.connection
import os
import random
import re
import statistics
import sys
import tempfile
import time
from asyncio import selector_events
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from trading_engine.config.load import load_config
from trading_engine.core.settings import EngineSettings
from trading_engine.domain.events import IncomeSeen
from trading_engine.domain.fills import Income, PnlKind
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle, Side, Signal
from trading_engine.domain.records import Record
from trading_engine.marketdata.assembly import Patience
from trading_engine.marketdata.feed import FeedSettings, LiveFeed
from trading_engine.ports import Commit
from trading_engine.runtime import bootstrap, remote
from trading_engine.runtime.brain import Brain
from trading_engine.runtime.executor import Executor
from trading_engine.runtime.process import ensure_database, initial_state, stop_file_of
from trading_engine.runtime.pump import Pump
from trading_engine.runtime.session import Identity, Parts, Session
from trading_engine.runtime.strategy_setup import strategies_of
from trading_engine.runtime.timers import Timers
from trading_engine.store.sql_store import SqlStore
from trading_engine.system.logging import configure_logging
from trading_engine.system.state_dir import StateDir
from trading_engine.venue_servers.binance import BinanceProtocol
from trading_engine.venue_servers.clock import MovedClock
from trading_engine.venue_servers.exchange import LocalExchange
from trading_engine.venue_servers.web import Answer, Call, Connection, WebServer
from trading_engine.venues.binance.market_stream import BinanceMarketStream, StreamSettings
from trading_engine.venues.embedded.facts import known_instrument
from trading_engine.venues.embedded.memory import Memory
from trading_engine.venues.embedded.terms import Terms
from trading_engine.venues.wire.secrets import Credentials
from trading_engine.venues.wire.transport import Transport

BTC = "BTCUSDT"
MINUTE = 60_000
T0 = 1_735_689_600_000
KEY, SECRET = "local-key", "local-secret"  # of a server that lives for a minute on this machine
STAGES = ("arrive", "decode", "decide", "commit", "send", "all")
TARGETS_MS = {"p50": 5.0, "p99": 15.0}
_WARM_UP = 20
_ORDER = b"POST /fapi/v1/order"
_STAMP = re.compile(r"timestamp=(\d+)")
_SENT = re.compile(rb'"sent":(\d+)')
_CONFIG = """\
mode: testnet
venue: binance
account: benchmark
credentials: {{key: local-key, secret: local-secret}}
venues:
  binance: {{rest_url: "http://127.0.0.1:{port}", ws_url: "ws://127.0.0.1:{port}"}}
symbols: [BTCUSDT]
strategies: [{{name: trend_vwap}}, {{name: multi_timeframe_long}}]
risk: {{max_daily_loss_pct: 90, max_drawdown_pct: 90, max_consecutive_losses: 0, cooldown_minutes: 0}}
execution: {{reconcile_interval_s: 3600}}
kill_switch: {{file: "{folder}/STOP"}}
logging: {{file: true}}
"""


def btc() -> Instrument:
    """The symbol that is traded."""
    found = known_instrument(BTC)
    if found is None:
        raise RuntimeError("no facts of BTCUSDT")
    return found


# ── the venue ───────────────────────────────────────────────────────────────


class UnfilledOrders(BinanceProtocol):
    """The local venue; its orders end without a trade, its market stream closes a candle again and again."""

    pause_s = 0.025

    def answer(self, call: Call) -> Answer:
        """Answer an order as ended, everything else as ever, at the time that the call itself names."""
        clock, told = self.exchange.clock, _STAMP.search(f"{call.query}&{call.body.decode()}")
        if told is not None and isinstance(clock, MovedClock):
            clock.move(int(told[1]) - clock.now_ms())
        if (call.method, call.path) != ("POST", "/fapi/v1/order"):
            return super().answer(call)
        asked = dict(pair.split("=", 1) for pair in call.body.decode().split("&"))
        row = {
            "orderId": int(time.monotonic() * 1e6),
            "clientOrderId": asked["newClientOrderId"],
            "symbol": asked["symbol"],
            "status": "EXPIRED",
            "side": asked["side"],
            "type": asked["type"],
            "origQty": asked["quantity"],
            "executedQty": "0",
            "updateTime": self.exchange.now_ms(),
        }
        return Answer(msgspec.json.encode(row))

    def elapse(self) -> None:
        """Hours of market pass in seconds here; nothing is to expire."""

    async def converse(self, connection: Connection) -> None:
        """Close candles on the market's route."""
        if not connection.path.startswith("/market"):
            await super().converse(connection)
            return
        await connection.receive()
        rng, price, open_ms = random.Random(7), 60_000.0, T0  # noqa: S311 - a market, no secret
        while not connection.is_closed:
            close = round(price + rng.gauss(0, 20), 1)
            high, low = max(price, close) + 1, min(price, close) - 1
            kline = {
                "t": open_ms, "T": open_ms + MINUTE - 1, "s": BTC, "i": "1m", "o": f"{price:.1f}", "c": f"{close:.1f}",
                "h": f"{high:.1f}", "l": f"{low:.1f}", "v": "120.513", "n": 1431, "x": True,
            }  # fmt: skip
            event = {"e": "kline", "E": open_ms + MINUTE, "s": BTC, "k": kline, "sent": time.monotonic_ns()}
            frame = {"stream": "btcusdt@kline_1m", "data": event}
            await connection.reply(msgspec.json.encode(frame).decode())
            price, open_ms = close, open_ms + MINUTE
            await asyncio.sleep(self.pause_s)


def serve(folder: str, pause_ms: float, told: "multiprocessing.connection.Connection") -> None:
    """The venue's process."""

    async def main() -> None:
        exchange = LocalExchange(Memory(Path(folder) / "venue.db"), [btc()], Terms(), Decimal(10_000), MovedClock(T0))
        protocol = UnfilledOrders(exchange, Credentials(KEY, SECRET))
        protocol.pause_s = pause_ms / 1000
        server = WebServer(protocol)
        told.send(await server.start())
        await asyncio.sleep(3_600)

    asyncio.run(main())


# ── the engine, with a stopwatch ────────────────────────────────────────────


class Stopwatch:
    """Instants of the candle that is under way, in ns: of the machine's steady clock, and of this thread's own time.

    rows, worked   by stage, in ms: how long each took, and how long the processor was at work on it
    """

    def __init__(self) -> None:
        self.marks: dict[str, tuple[int, int]] = {}
        self.rows: list[dict[str, float]] = []
        self.worked: list[dict[str, float]] = []
        self.is_over = asyncio.Event()
        self.wanted = 0

    def frame(self, raw: bytes) -> None:
        """A frame is in our hands."""
        found = _SENT.search(raw)
        if found is not None:
            now = (time.monotonic_ns(), time.thread_time_ns())
            self.marks = {"sent": (int(found[1]), now[1]), "frame": now}

    def mark(self, name: str) -> None:
        """Something is done, for the first time since the candle came."""
        self.marks.setdefault(name, (time.monotonic_ns(), time.thread_time_ns()))

    def written(self) -> None:
        """The order has left."""
        self.mark("written")
        names = ("sent", "frame", "candle", "decided", "committed", "written")
        if all(name in self.marks for name in names):
            self.rows.append(_stages([self.marks[name][0] for name in names]))
            self.worked.append(_stages([self.marks[name][1] for name in names]))
        self.marks = {}
        if len(self.rows) >= self.wanted:
            self.is_over.set()


def _stages(at: Sequence[int]) -> dict[str, float]:
    """Instants in ns as lengths in ms."""
    lengths = [(later - earlier) / 1e6 for earlier, later in pairwise(at)]
    return dict(zip(STAGES, [*lengths, (at[-1] - at[1]) / 1e6], strict=True))


class MarketClock:
    """The market's time: a minute later with every candle."""

    def __init__(self) -> None:
        self.ms = T0

    def now_ms(self) -> int:
        """The close of the last candle."""
        return self.ms


class EverySignal:
    """The strategies at work, and a signal to buy on each candle whatever they say."""

    def __init__(self, brain: Brain) -> None:
        self._brain = brain

    def signals(self, candles: Sequence[Candle]) -> tuple[Signal, ...]:
        """One a candle."""
        self._brain.signals(candles)
        return tuple(
            Signal("trend_vwap", one.symbol, Side.LONG, 0.5, one.close, one.close // 100, 0, one.open_time_ms)
            for one in candles
        )


class TimedStore:
    """The real store; the first commit after a candle is the one that the order waits for."""

    def __init__(self, store: SqlStore, watch: Stopwatch) -> None:
        self._store = store
        self._watch = watch

    def commit(self, commit: Commit) -> None:
        """As the store does."""
        is_awaited = "candle" in self._watch.marks
        if is_awaited:
            self._watch.mark("decided")
        self._store.commit(commit)
        if is_awaited:
            self._watch.mark("committed")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def watch_writes(watch: Stopwatch) -> Callable[[], None]:
    """Note when the bytes of an order were handed to the kernel; call the answer to stop that."""
    transport: Any = vars(selector_events)["_SelectorSocketTransport"]
    write = transport.write

    def timed(self: Any, data: bytes) -> None:
        write(self, data)
        if bytes(data[: len(_ORDER)]) == _ORDER:
            watch.written()

    transport.write = timed

    def stop() -> None:
        transport.write = write

    return stop


async def trade(port: int, folder: Path, candles: int) -> Stopwatch:
    """One life of the engine."""
    watch, clock = Stopwatch(), MarketClock()
    watch.wanted = candles + _WARM_UP
    path = folder / "config.yaml"
    path.write_text(_CONFIG.format(port=port, folder=folder), encoding="utf-8")
    config = load_config(path, {}, {}, None)
    state = StateDir(folder / "state")
    state.root.mkdir()
    ensure_database(state)
    configure_logging("INFO", log_dir=state.logs, console_level="ERROR")
    store = SqlStore.open(state.database, venue="binance", account="benchmark")
    venue = remote.make_venue(config, clock)
    transport = Transport()
    stop = watch_writes(watch)
    tasks: list[asyncio.Task[None]] = []
    try:
        await venue.open()
        instruments = {one.symbol: one for one in await venue.instruments()}
        settings = bootstrap.engine_settings(config, instruments, venue.capabilities)
        session = _session(TimedStore(store, watch), settings, venue, clock, watch, config, instruments, transport)
        running, feed, stream = session
        await feed.open({})
        tasks = [asyncio.ensure_future(one) for one in (running.run(), feed.run(), stream.run())]
        over = asyncio.ensure_future(watch.is_over.wait())
        await asyncio.wait({*tasks, over}, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await venue.close()
        await transport.close()
        store.close()
    watch.rows, watch.worked = watch.rows[_WARM_UP:], watch.worked[_WARM_UP:]
    return watch


def _session(
    store: Any, settings: EngineSettings, venue: Any, clock: MarketClock, watch: Stopwatch, config: Any,
    instruments: Mapping[str, Instrument], transport: Transport,
) -> tuple[Session, LiveFeed, BinanceMarketStream]:  # fmt: skip
    """The parts as a live run puts them together."""

    def raw(frame: bytes) -> None:
        watch.frame(frame)
        if "frame" in watch.marks:
            clock.ms += MINUTE

    def note(_: int, __: tuple[Record, ...]) -> None:
        """What is logged of records is not on the way."""

    stream = BinanceMarketStream(
        transport,
        clock,
        list(instruments.values()),
        StreamSettings(remote.hosts_of(config).public_ws_url, (BTC,)),
        lambda _: None,
        raw,
    )
    feed = LiveFeed(stream, venue, clock, FeedSettings((BTC,), patience=Patience(check_every=0)))
    feed.subscribe(lambda _: watch.mark("candle"))
    timers = Timers()
    executor = Executor(venue, clock, timers, lambda _: None)
    pump = Pump(initial_state(store.load(), "aaaa"), settings, store, "run", executor.dispatch, note, lambda: None, 1)
    executor.attach(pump)
    opened_ms = T0 + 1  # after the deposit, which the venue's own history tells: it would be booked twice
    opening = Income("binance", "benchmark", "opening", PnlKind.TRANSFER, "", Decimal(10_000), "USDT", opened_ms)
    pump.handle(IncomeSeen(opened_ms, opening))
    brain = EverySignal(Brain(strategies_of(config, [BTC]), instruments, MINUTE))
    parts = Parts(venue, feed, brain, pump, executor, timers, clock, stop_file_of(config), bootstrap.stop_level(config))
    return Session(parts, Identity("run", "0", "testnet", "none")), feed, stream


# ── what is shown ───────────────────────────────────────────────────────────


def sync_alone(folder: Path, times: int = 100) -> list[float]:
    """How long one write of 4 kB and its fsync take, in ms."""
    taken = []
    with (folder / "probe").open("wb", buffering=0) as file:
        for _ in range(times):
            begun = time.perf_counter()
            file.write(bytes(4_096))
            os.fsync(file.fileno())
            taken.append((time.perf_counter() - begun) * 1_000)
    return taken


def p99(values: Sequence[float]) -> float:
    """The value that 99 of 100 do not exceed."""
    return statistics.quantiles(values, n=100)[98]


def show(title: str, runs: Sequence[Sequence[Mapping[str, float]]], syncs: Sequence[Sequence[float]]) -> None:
    """A line a run, p50 and p99 of each stage; then the medians of them."""
    columns = [*STAGES, *(["sync"] if syncs else [])]
    print(f"{title}\n {'RUN':<6}" + "".join(f"{column.upper():>8}{'p99':>7}" for column in columns))
    lines: list[list[float]] = []
    for number, rows in enumerate(runs):
        taken = [[row[stage] for row in rows] for stage in STAGES] + ([syncs[number]] if syncs else [])
        lines.append([measure(values) for values in taken for measure in (statistics.median, p99)])
        print(_line(str(number + 1), lines[-1]))
    print(_line("median", [statistics.median(values) for values in zip(*lines, strict=True)]))


def _line(name: str, values: Sequence[float]) -> str:
    halves = "".join(f"{half:>8.2f}{tail:>7.2f}" for half, tail in zip(values[::2], values[1::2], strict=True))
    return f" {name:<6}{halves}"


def judge(runs: Sequence[Sequence[Mapping[str, float]]]) -> None:
    """The targets."""
    every = [[row["all"] for row in rows] for rows in runs]
    reached = {
        "p50": statistics.median([statistics.median(values) for values in every]),
        "p99": statistics.median([p99(values) for values in every]),
    }
    told = ", ".join(f"{name} {reached[name]:.2f} ms (target < {TARGETS_MS[name]:g})" for name in TARGETS_MS)
    print(f"frame to order: {told}")


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candles", type=int, default=300)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--pause-ms", type=float, default=25)
    parser.add_argument("--state", type=Path, help="where the database lies (default: a temporary folder)")
    chosen = parser.parse_args()
    runs, syncs = [], []
    for _ in range(chosen.runs):
        with tempfile.TemporaryDirectory(prefix="order-latency-", dir=chosen.state) as name:
            receiver, sender = multiprocessing.Pipe(duplex=False)
            context = multiprocessing.get_context("spawn")
            server = context.Process(target=serve, args=(name, chosen.pause_ms, sender), daemon=True)
            server.start()
            try:
                runs.append(asyncio.run(trade(receiver.recv(), Path(name), chosen.candles)))
                syncs.append(sync_alone(Path(name)))
            finally:
                server.terminate()
                server.join()
    show("elapsed, ms: p50 and p99", [one.rows for one in runs], syncs)
    show("\nprocessor time, ms: p50 and p99", [one.worked for one in runs], [])
    judge([one.rows for one in runs])
    return 0


if __name__ == "__main__":
    sys.exit(main())
