"""One engine on one venue's local server: the real adapter, session, pump and database, real sockets, made-up time.

What belongs here: putting the parts together, a market that a story moves, and reading what became of everything.
What does not: what goes wrong (faults), any expectation.
"""

import asyncio
import gc
import sqlite3
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from fakes import databases
from fakes.socket_loop import SocketLoop

from trading_engine.core import gates
from trading_engine.core.settings import EngineSettings, ExecutionSettings
from trading_engine.core.state import Book, EngineState
from trading_engine.domain.control import Level
from trading_engine.domain.errors import VenueUnavailable
from trading_engine.domain.events import IncomeSeen
from trading_engine.domain.ids import Purpose, parse_client_order_id
from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.domain.market import Candle, Side, Signal
from trading_engine.domain.orders import Order, OrderState
from trading_engine.domain.position import Position
from trading_engine.ports import CandleSink, RemoteVenue
from trading_engine.runtime.executor import Executor
from trading_engine.runtime.pump import Pump
from trading_engine.runtime.remote import read_opening
from trading_engine.runtime.session import Identity, Parts, Session
from trading_engine.runtime.timers import Timers
from trading_engine.store import audit
from trading_engine.store.sql_store import SqlStore
from trading_engine.venue_servers.binance import BinanceProtocol
from trading_engine.venue_servers.bingx import BingxProtocol
from trading_engine.venue_servers.clock import PacedClock
from trading_engine.venue_servers.exchange import LocalExchange
from trading_engine.venue_servers.faults import Faults, Rule
from trading_engine.venue_servers.web import VenueProtocol, WebServer
from trading_engine.venue_servers.zoomex import ZoomexProtocol
from trading_engine.venues.binance.venue import BinanceVenue
from trading_engine.venues.bingx.venue import BingxVenue
from trading_engine.venues.embedded.account import ExchangeOrder
from trading_engine.venues.embedded.memory import Memory
from trading_engine.venues.embedded.terms import Terms
from trading_engine.venues.wire.secrets import Credentials
from trading_engine.venues.wire.settings import AccountSettings, Hosts
from trading_engine.venues.zoomex.venue import ZoomexVenue

BTC = "BTCUSDT"
START = 1_746_316_800_000  # when the first minute opens
MINUTE = 60_000
BEGIN = START + 50_000  # when everything begins: ten seconds before the first candle closes
PRICE = 500_000  # ticks
STOP_TICKS = 5_000
VOLUME = 1_000_000
OUTAGE_MS = 60_000
DEPOSIT = Decimal(10_000)
TERMS = Terms(volume_share_ppm=100_000)
KEYS = Credentials("test-key-0123456789abcdef", "test-secret-0123456789abcdef")
INSTRUMENT = Instrument(
    symbol=BTC,
    tick=Decimal("0.1"),
    step=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    max_quantity=Decimal(5),
    min_notional=Decimal(20),
    max_leverage=Decimal(50),
    tiers=(MarginTier(Decimal(10_000_000), Decimal("0.005"), Decimal(0), Decimal(50)),),
)
_PATHS = {"binance": ("/market", "/private"), "bingx": ("/swap-market", "/swap-market"), "zoomex": ("", "")}
_VENUES = {"binance": BinanceVenue, "bingx": BingxVenue, "zoomex": ZoomexVenue}
_PROTOCOLS: Mapping[str, Callable[[LocalExchange, Credentials], VenueProtocol]] = {
    "binance": BinanceProtocol,
    "bingx": BingxProtocol,
    "zoomex": ZoomexProtocol,
}


class MachineClock:
    """The clock of the engine's machine: the loop's time, and as wrong as a story makes it."""

    def __init__(self) -> None:
        self.wrong_by_ms = 0

    def now_ms(self) -> int:
        """The present instant, as this machine has it."""
        return BEGIN + round(asyncio.get_running_loop().time() * 1000) + self.wrong_by_ms


@dataclass(slots=True)
class Minute:
    """Where one minute's price goes, in ticks."""

    low: int
    close: int
    volume: int = VOLUME


@dataclass
class Feed:
    """Market data and strategies in one: closed candles, and an entry on the next of them where one is wanted."""

    wanted: int = 0
    sinks: list[CandleSink] = field(default_factory=list)

    def subscribe(self, sink: CandleSink) -> None:
        """Tell `sink` of every candle."""
        self.sinks.append(sink)

    def signals(self, candles: Sequence[Candle]) -> tuple[Signal, ...]:
        """Buy, with a stop and no target."""
        if not self.wanted:
            return ()
        self.wanted -= 1
        last = candles[-1]
        return (Signal("forced", BTC, Side.LONG, 0.5, last.close, STOP_TICKS, 0, last.open_time_ms),)


class NoStopFile:
    """A kill-switch file that is never there."""

    path = "STOP"

    def read(self) -> str | None:
        """Nothing."""
        return None


class VenueRig:
    """Made inside a running loop; `begin` first, `end` last.

    venue   binance, bingx or zoomex
    rules   what goes wrong at the server, as in a fault file; times count from the server's start
    guard   what stands between the engine and the adapter, if anything
    changes to the engine's settings
    """

    def __init__(
        self,
        folder: Path,
        venue: str,
        rules: Sequence[Rule] = (),
        guard: Callable[[RemoteVenue], RemoteVenue] | None = None,
        **changes: object,
    ) -> None:
        self.folder, self.name, self.guard, self.changes = folder, venue, guard, changes
        self.database = databases.fresh(folder)
        self.clock = MachineClock()
        self.exchange = LocalExchange(Memory(folder / "venue.db"), [INSTRUMENT], TERMS, DEPOSIT, PacedClock(BEGIN, 1.0))
        self.faults = Faults(rules)
        self.server = WebServer(_PROTOCOLS[venue](self.exchange, KEYS), self.faults)
        self.feed = Feed()
        self.minutes: deque[Minute] = deque()
        self.close = PRICE
        self.doubts: list[tuple[str, ...]] = []  # why there was no entry, at each commit while an order was UNKNOWN
        self._tasks: list[asyncio.Task[None]] = []

    # ── life ────────────────────────────────────────────────────────────────

    async def begin(self) -> None:
        """Start market, server and engine; returns once the engine is in step with the venue."""
        self._tasks.append(asyncio.ensure_future(self._live()))
        await asyncio.sleep(0)
        port = await self.server.start()
        public, private = _PATHS[self.name]
        hosts = Hosts(f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}{public}", f"ws://127.0.0.1:{port}{private}")
        made = _VENUES[self.name](KEYS, AccountSettings("test", (BTC,), hosts), self.clock)
        self.venue: RemoteVenue = made if self.guard is None else self.guard(made)
        await self._open()
        self.store = SqlStore.open(self.database, venue=self.name, account="test")
        settings = EngineSettings(
            self.name,
            "test",
            "USDT",
            {one.symbol: one for one in await self.venue.instruments()},
            visibility_delay_ms=self.venue.capabilities.visibility_delay_ms,
            execution=ExecutionSettings(outage_alert_ms=OUTAGE_MS),
        )
        settings = replace(settings, **self.changes)  # type: ignore[arg-type]
        timers = Timers()
        executor = Executor(self.venue, self.clock, timers, lambda _: None)
        state = EngineState(Book(epoch="aaaa"))
        self.pump = Pump(state, settings, self.store, "run", executor.dispatch, self._look_at_doubts, lambda: None)
        executor.attach(self.pump)
        parts = Parts(
            self.venue, self.feed, self.feed, self.pump, executor, timers, self.clock, NoStopFile(), Level.NO_ENTRY
        )
        self.session = Session(parts, Identity("run-1", "0.1", "live", "hash"))
        await asyncio.sleep(1)
        opening = await read_opening(self.venue, "USDT", self.clock)
        self.pump.handle(IncomeSeen(self.clock.now_ms(), opening))
        self._tasks.append(asyncio.ensure_future(self.session.run()))
        await self.until(lambda: self.pump.state.market.is_synced)

    async def _open(self) -> None:
        """As a start does: again and again where the venue is not there."""
        for _ in range(100):
            try:
                return await self.venue.open()
            except VenueUnavailable:
                await asyncio.sleep(5)
        raise AssertionError("the venue never opened")

    async def end(self) -> None:
        """Leave in order and close everything."""
        self.session.stop("end of the story")
        await self._tasks[-1]
        self._tasks[0].cancel()
        await self.venue.close()
        await self.server.stop()
        self.store.close()

    def shut(self) -> None:
        """Release what is left, whatever has happened."""
        for task in self._tasks:
            task.cancel()
        self.exchange.close()

    async def _live(self) -> None:
        """Minutes as the story has them, and the last price where it has none."""
        open_ms = START
        while True:
            shape = self.minutes.popleft() if self.minutes else Minute(self.close, self.close)
            high = max(self.close, shape.close)
            candle = Candle(BTC, open_ms, MINUTE, self.close, high, shape.low, shape.close, shape.volume)
            self.close = shape.close
            await self.exchange.live(open_ms, [candle], [])
            open_ms += MINUTE
            asyncio.get_running_loop().call_later(0.2, self._tell, candle)

    def _look_at_doubts(self, _: int, __: object) -> None:
        if any(order.state is OrderState.UNKNOWN for order in self.orders):
            self.doubts.append(self.gates())

    def _tell(self, candle: Candle) -> None:
        for sink in self.feed.sinks:
            sink((candle,))

    # ── the story ───────────────────────────────────────────────────────────

    async def until(self, holds: Callable[[], Any], within_s: float = 900) -> None:
        """Let time pass until something holds; AssertionError where it never does."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SocketLoop)
        seen = loop.create_future()

        def watch() -> bool:
            if seen.done():
                return True
            if any(task.done() for task in self._tasks) or holds():
                seen.set_result(None)
            return seen.done()

        loop.watches.append(watch)
        try:
            async with asyncio.timeout(within_s):
                await seen
        except TimeoutError:
            raise AssertionError(f"not within {within_s} s\n{self.told()}") from None
        for task in self._tasks:
            if task.done():
                task.result()

    async def later(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    async def enter(self) -> None:
        """A signal on the next candle; returns once it was decided."""
        self.feed.wanted = 1
        await self.until(lambda: not self.feed.wanted)

    async def protected(self) -> None:
        """Until the position is open behind its stop."""
        await self.until(lambda: self.position is not None and self.is_covered)

    async def flat(self) -> None:
        """Until neither side holds a position or an order."""
        await self.until(lambda: not self.pump.state.book.positions and not self.open_orders and not self.held)

    # ── what there is ───────────────────────────────────────────────────────

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return asyncio.get_running_loop().time()

    @property
    def position(self) -> Position | None:
        """The engine's position."""
        return self.pump.state.book.position_on(BTC)

    @property
    def orders(self) -> list[Order]:
        """The engine's live rows."""
        return list(self.pump.state.book.orders.values())

    @property
    def held(self) -> Decimal:
        """What the exchange holds, signed."""
        return sum(
            (INSTRUMENT.steps_to_quantity(one.steps) * one.sign for one in self.exchange.positions()), Decimal(0)
        )

    @property
    def open_orders(self) -> list[ExchangeOrder]:
        """What rests at the exchange."""
        return self.exchange.orders(only_open=True)

    @property
    def calls(self) -> int:
        """How many have arrived at the server."""
        return sum(count for site, count in self.faults.visits.items() if not site.startswith(("stream", "trigger")))

    @property
    def is_covered(self) -> bool:
        """Reduce-only stops at the exchange cover exactly what it holds."""
        stops = [order for order in self.open_orders if purpose_of(order) is Purpose.STOP and order.reduce_only]
        return bool(self.held) and INSTRUMENT.steps_to_quantity(sum(one.remaining for one in stops)) >= self.held

    @property
    def entries(self) -> list[ExchangeOrder]:
        """Every entry that the exchange has ever taken."""
        return [order for order in self.exchange.orders() if purpose_of(order) is Purpose.ENTRY]

    @property
    def alerts(self) -> list[str]:
        """The keys in the outbox, in their order."""
        return [str(key) for (key,) in self.rows("SELECT key FROM alert_outbox ORDER BY id")]

    @property
    def audit_failures(self) -> list[str]:
        """What the audit complains about."""
        return [
            f"{check.name}: {check.detail}"
            for check in audit.audit(self.database, self.exchange.wallet)
            if not check.ok
        ]

    def gates(self) -> tuple[str, ...]:
        """Why there is no entry now."""
        return gates.entry_gates(self.pump.state, self.pump.settings, BTC, self.clock.now_ms())

    def rows(self, query: str) -> list[Any]:
        """What the engine's database holds."""
        with closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute(query).fetchall()

    def told(self) -> str:
        """Everything, for a failure's message."""
        book = self.pump.state.book
        lines = [f"{self.seconds:.2f} s, held {self.held}, wallet {self.exchange.wallet}, ledger {book.ledger.balance}"]
        lines += [f"  at the exchange: {order}" for order in self.exchange.orders()]
        lines += [f"  position: {one}" for one in book.positions.values()]
        lines += [f"  order: {one.client_order_id} {one.state} {one.reason}" for one in self.orders]
        lines += [f"  alert: {row}" for row in self.rows("SELECT ts, severity, key, text FROM alert_outbox")]
        lines += [f"  fault: {met}" for met in self.faults.met.items()]
        return "\n".join(lines)


def purpose_of(order: ExchangeOrder) -> Purpose | None:
    """What an order is for, by its id."""
    key = parse_client_order_id(order.client_order_id)
    return None if key is None else key.purpose


def lived(story: Callable[[], Coroutine[object, object, None]]) -> None:
    """Run a story on a loop with made-up time; what nobody has handled fails it."""
    loop = SocketLoop()
    errors: list[str] = []
    loop.set_exception_handler(lambda _, context: errors.append(str(context.get("exception") or context["message"])))
    try:
        loop.run_until_complete(story())
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        for _ in range(5):
            loop.run_until_complete(asyncio.sleep(0))
        gc.collect()
        loop.close()
    assert [] == errors
