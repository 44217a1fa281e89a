"""One seed: a market, an exchange, a faulty network, and one engine incarnation after another.

What belongs here: the order of a simulated life: trouble, then quiet, then judgement. What does not: what is
judged (oracles), what goes wrong (faults) and how (network).

The engine is the real one: the runtime's session, executor and pump, the core, the SQL store on a real file.
Only clock, network, STOP file and signals are made up.
"""

import asyncio
import hashlib
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Literal

from trading_engine.core import trips
from trading_engine.core.project import prune
from trading_engine.core.settings import (
    EngineSettings,
    ExecutionSettings,
    ExitPlan,
    ExitSettings,
    LimitSettings,
    PartialStep,
    SizingSettings,
)
from trading_engine.core.state import Book, EngineState
from trading_engine.domain.control import Level
from trading_engine.domain.events import ResumeRequested
from trading_engine.domain.ids import EPOCH_LENGTH, Purpose, base36, parse_client_order_id
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle
from trading_engine.domain.orders import OrderRequest
from trading_engine.domain.records import ControlChanged, OrderIntended, Record
from trading_engine.ports import Commit, Loaded, VenueEvent
from trading_engine.rules.exits import TrailStep
from trading_engine.runtime import pump as pumps
from trading_engine.runtime import session as sessions
from trading_engine.runtime.executor import Executor
from trading_engine.runtime.timers import Timers
from trading_engine.simulation.exchange import VISIBILITY_DELAY_MS, SimulatedExchange
from trading_engine.simulation.faults import MIDNIGHT_MS, Fault, Plan
from trading_engine.simulation.loop import VirtualLoop
from trading_engine.simulation.market import (
    MINUTE_MS,
    STRATEGY,
    ScriptedBrain,
    SimulatedBrain,
    SimulatedMarket,
    Weather,
)
from trading_engine.simulation.network import Network, NetworkFeed, NetworkVenue, ProcessDeath
from trading_engine.simulation.oracles import Oracles, Violation
from trading_engine.store.audit import audit
from trading_engine.store.sql_store import AFTER_COMMIT, SqlStore, StoreFailed
from trading_engine.venues.embedded.account import Terms
from trading_engine.venues.embedded.facts import known_instrument

WALL_MS = 1_735_689_600_000 - MIDNIGHT_MS  # virtual time zero: midnight falls into every seed
END_MS = 25_000  # a simulation ends between two points of a candle, with nothing on the way
STOP_POLL_S = 5.0
SYMBOLS = ("BTCUSDT", "SOLUSDT")
START_TICKS = {"BTCUSDT": 500_000, "SOLUSDT": 15_000}
DEPOSIT = Decimal(10_000)
MOST_STARTS = 400
CALLS_PER_MINUTE = 400


WIDE_LIMITS = LimitSettings(daily_loss_ppm=500_000, drawdown_ppm=500_000, consecutive_losses=0, cooldown_ms=30_000)
TIGHT_LIMITS = LimitSettings(
    daily_loss_ppm=4_000,
    drawdown_ppm=8_000,
    flatten_on_drawdown=True,
    consecutive_losses=3,
    streak_pause_ms=10 * MINUTE_MS,
    cooldown_ms=3 * MINUTE_MS,
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a world is made of besides its faults.

    troubled_ms, quiet_ms  how long things go wrong, and how long the engine then has to put itself in order
    script                 minutes of one entry and one exit, None for signals by chance
    """

    seed: int
    symbols: tuple[str, ...] = SYMBOLS
    troubled_ms: int = 55 * MINUTE_MS
    quiet_ms: int = 6 * MINUTE_MS
    script: tuple[int, int] | None = None
    leverage: Decimal = Decimal(5)
    weather: Weather = field(default_factory=Weather)
    limits: LimitSettings = field(default_factory=lambda: WIDE_LIMITS)


@dataclass(slots=True)
class Result:
    """What one seed has shown."""

    seed: int
    violations: list[Violation]
    simulated_ms: int
    crashes: int
    crash_points: Counter[str]
    faults: Counter[str]
    trades: int
    starts: int
    journal_hash: str
    timeline: list[tuple[int, str, str]]


def settings_of(scenario: Scenario) -> EngineSettings:
    """The engine's settings in a simulated world: everything that acts on orders is on."""
    instruments: dict[str, Instrument] = {}
    for symbol in scenario.symbols:
        instrument = known_instrument(symbol)
        assert instrument is not None  # noqa: S101 - both are built in
        instruments[symbol] = instrument
    plan = ExitPlan(
        (PartialStep(700, 300_000), PartialStep(1_400, 400_000)), (TrailStep(1_000, 0), TrailStep(2_000, 1_000))
    )
    return EngineSettings(
        venue="embedded",
        account="simulated",
        asset="USDT",
        instruments=instruments,
        leverage=scenario.leverage,
        absence_is_proof=False,
        visibility_delay_ms=VISIBILITY_DELAY_MS,
        sizing=SizingSettings(risk_ppm=5_000, cap_ppm=300_000),
        exits=ExitSettings({STRATEGY: plan}, exit_on_opposite=True, max_age_ms=20 * MINUTE_MS, close_on_max_age=True),
        limits=scenario.limits,
        execution=ExecutionSettings(reconcile_interval_ms=MINUTE_MS),
    )


class World:
    """Runs one scenario under one plan. `folder` must be empty; `template` is a database without rows.

    `on_ready` is called when exchange and network stand and no engine runs yet: the place for what only one
    scenario needs.
    """

    def __init__(self, scenario: Scenario, plan: Plan, folder: Path, template: Path) -> None:
        self.scenario = scenario
        self.plan = plan
        self.rng = random.Random(f"world:{scenario.seed}")  # noqa: S311 - a game
        self.settings = settings_of(scenario)
        self.database = folder / "engine.db"
        shutil.copyfile(template, self.database)
        self.loop = VirtualLoop()
        self.timeline: list[tuple[int, str, str]] = []
        self.faults: Counter[str] = Counter()
        self.crash_points: Counter[str] = Counter()
        self.crashes = self.starts = 0
        self.alive: Incarnation | None = None
        self.demand: Literal["block", "flatten"] | None = None
        self.was_stopped = self.may_be_frozen = False
        self.last_book: Book | None = None
        self.is_quiet = False
        self.on_ready: Callable[[], None] | None = None

    # ── what network and incarnations ask of the world ──────────────────────

    def now_ms(self) -> int:
        """The wall clock."""
        return WALL_MS + round(self.loop.time() * 1000)

    def note(self, who: str, text: str) -> None:
        """One line of the timeline."""
        self.timeline.append((self.now_ms() - WALL_MS, who, text))

    def fault(self, site: str, lasts_ms: int = 0) -> Fault | None:
        """The fault of this visit; one that happens is counted, told, and gives the engine time anew."""
        fault = self.plan.at(site)
        if fault is not None:
            self.faults[fault.value] += 1
            self.note("fault", f"{fault} at {site}")
            self.oracles.disturb(lasts_ms)
        return fault

    def on_sent(self, request: OrderRequest) -> None:
        """A request has left the process."""
        trigger = f" trigger {request.trigger_price}" if request.trigger_price else ""
        self.note("send", f"{request.client_order_id} {request.type} {request.side} {request.quantity}{trigger}")
        self.oracles.on_sent(request)

    # ── a life ──────────────────────────────────────────────────────────────

    def run(self) -> Result:
        """Live through trouble and quiet; the result."""
        asyncio.set_event_loop(None)
        errors: list[str] = []
        self.loop.set_exception_handler(lambda _loop, context: errors.append(str(context.get("exception") or context)))
        try:
            self.loop.run_until_complete(self._live())
        finally:
            self._close_loop()
        for error in errors:
            self.oracles.breach("I13", f"an error nobody handled: {error}")
        return self._result()

    def _close_loop(self) -> None:
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    async def _live(self) -> None:
        scenario = self.scenario
        market = SimulatedMarket(scenario.seed, self.settings.instruments, START_TICKS, scenario.weather)
        terms = Terms(leverage_milli=int(scenario.leverage * 1000))
        self.exchange = SimulatedExchange(list(self.settings.instruments.values()), terms, DEPOSIT, market, self.now_ms)
        self.oracles = Oracles(self.exchange, self.now_ms)
        self.exchange.on_accepted = self.oracles.on_accepted
        self.exchange.on_canceled = self.oracles.on_canceled
        self.network = Network(self, self.exchange, self.settings.execution.recv_window_ms)
        self.brain: ScriptedBrain | SimulatedBrain = SimulatedBrain(scenario.seed, scenario.weather)
        if scenario.script is not None:
            self.brain = ScriptedBrain(WALL_MS, *scenario.script)
        self.exchange.on_candles = self._on_candles
        on_event = self.exchange.on_event

        def watched(event: VenueEvent) -> None:
            on_event(event)
            self.loop.call_soon(self.oracles.look)

        self.exchange.on_event = watched
        if self.on_ready is not None:
            self.on_ready()
        clockwork = asyncio.ensure_future(self.exchange.run())
        for at_ms, fault in self.plan.moments(scenario.troubled_ms):
            self.network.later(at_ms, lambda fault=fault: self._moment(fault))  # type: ignore[misc]
        self.network.later(scenario.troubled_ms, self._begin_quiet)
        until_ms = self.now_ms() + scenario.troubled_ms + scenario.quiet_ms + END_MS
        while self.now_ms() < until_ms and self.starts < MOST_STARTS and not self.oracles.violations:
            incarnation = Incarnation(self, until_ms)
            await incarnation.live()
            self.oracles.disturb(0)
            if self.now_ms() < until_ms:
                pause_ms = self.rng.choice((50, 1_000, 8_000, 40_000)) if not self.is_quiet else 1_000
                self.oracles.disturb(pause_ms)
                await asyncio.sleep(pause_ms / 1000)
        clockwork.cancel()
        self._judge()

    def _on_candles(self, candles: tuple[Candle, ...]) -> None:
        self.oracles.look()
        if self.alive is not None:
            self.alive.feed.send(candles)

    def _begin_quiet(self) -> None:
        """Nothing goes wrong from now on, and nothing new is begun."""
        self.note("world", "quiet from here")
        self.plan.end()
        self.is_quiet = True
        self.brain.is_silent = True
        self.demand = None
        self.oracles.disturb(0)

    def _moment(self, fault: Fault) -> None:
        if self.is_quiet:
            return
        self.faults[fault.value] += 1
        self.note("fault", f"{fault}")
        lasts_ms = self.rng.choice((2_000, 15_000, 90_000, 90_000))
        match fault:
            case Fault.DISCONNECT:
                self.oracles.disturb(lasts_ms)
                self.network.disconnect(lasts_ms)
            case Fault.OUTAGE:
                self.oracles.disturb(lasts_ms)
                self.network.unreachable_until_ms = self.now_ms() + lasts_ms
                self.network.disconnect(lasts_ms)
            case Fault.DEATH:
                if self.alive is not None:
                    self.alive.die("loop step")
            case Fault.TERMINATE:
                if self.alive is not None:
                    self.alive.terminate()
            case Fault.STOP_FILE:
                self.demand = self.rng.choice(("block", "flatten"))
                self.was_stopped = True
                self.network.later(3 * lasts_ms, self._remove_stop)
            case Fault.STOP_CANCELED:
                self._cancel_a_stop()
            case _:
                raise ValueError(f"{fault} is not a moment")

    def _remove_stop(self) -> None:
        self.demand = None
        self.network.later(5_000, self._resume)

    def _resume(self) -> None:
        self.oracles.stop_committed_ms = None
        if self.alive is not None:
            self.note("operator", "resume")
            self.alive.resume()

    def _cancel_a_stop(self) -> None:
        """Somebody else cancels an order of ours."""
        orders = [order for order in self.exchange.venue.account_state.orders.values() if order.reduce_only]
        if orders:
            self.oracles.disturb(0)
            victim = self.rng.choice(orders)
            self.exchange.cancel(victim.symbol, victim.client_order_id)

    # ── judgement ───────────────────────────────────────────────────────────

    def _judge(self) -> None:
        self.oracles.look()
        if self.oracles.violations:
            return
        if self.starts >= MOST_STARTS:
            self.oracles.breach("I12", f"{self.starts} starts: the engine does not come up")
            return
        store = SqlStore.open(self.database, read_only=True)
        try:
            book = store.load().book
        finally:
            store.close()
        if self.last_book is not None and book != prune(self.last_book):
            self.oracles.breach("I14", "the database gives another book than memory had")
        self.oracles.settle(book, frozen_expected=self.may_be_frozen, level_expected=self.was_stopped)
        for check in audit(self.database):
            if not check.ok:
                self.oracles.breach("I15", f"audit: {check.name}: {check.detail}")
        self._compare_fills()
        self._compare_days()
        self._compare_verdicts()
        self._count_calls()

    def _compare_fills(self) -> None:
        """I10: each execution of the exchange is one row, and no row is invented."""
        with closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True)) as connection:
            rows = Counter(name.rstrip("+") for (name,) in connection.execute("SELECT trade_id FROM fills"))
        trades = Counter(f"{row.number:09d}" for row in self.exchange.memory.trades)
        if set(rows) != set(trades):
            self.oracles.breach("I10", f"fills differ: {sorted(set(rows) ^ set(trades))[:5]}")

    def _count_calls(self) -> None:
        """I18: the venue is never asked more than its budget allows."""
        calls, first = self.network.calls, 0
        for at, call_ms in enumerate(calls):
            while calls[first] <= call_ms - MINUTE_MS:
                first += 1
            if at - first + 1 > CALLS_PER_MINUTE:
                self.oracles.breach("I18", f"{at - first + 1} calls within a minute")
                return

    def _compare_verdicts(self) -> None:
        """I2: what counts as refused or never sent was never taken by the exchange."""
        with closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True)) as connection:
            dead = connection.execute("SELECT client_order_id FROM orders WHERE state IN ('REJECTED', 'VOID')")
            wrong = [name for (name,) in dead if name in self.exchange.memory.orders]
        if wrong:
            self.oracles.breach("I2", f"taken for dead, but accepted: {wrong[:3]}")

    def _compare_days(self) -> None:
        """I16: money belongs to the day on which the venue says it moved."""
        with closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True)) as connection:
            wrong = connection.execute(
                "SELECT source_id, ts, day FROM pnl WHERE day <> strftime('%Y-%m-%d', ts / 1000, 'unixepoch')"
            ).fetchall()
        if wrong:
            self.oracles.breach("I16", f"booked to the wrong day: {wrong[:3]}")

    def _result(self) -> Result:
        return Result(
            seed=self.scenario.seed,
            violations=self.oracles.violations,
            simulated_ms=self.now_ms() - WALL_MS,
            crashes=self.crashes,
            crash_points=self.crash_points,
            faults=self.faults,
            trades=len(self.exchange.memory.trades),
            starts=self.starts,
            journal_hash=journal_hash(self.database),
            timeline=self.timeline,
        )


def journal_hash(database: Path) -> str:
    """One number for everything that was written down."""
    digest = hashlib.sha256()
    connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)
    try:
        for row in connection.execute("SELECT * FROM journal ORDER BY seq"):
            digest.update(repr(row).encode())
    finally:
        connection.close()
    return digest.hexdigest()


class FencedStore:
    """The real store in the hands of one incarnation: it may fail, and a dead hand writes nothing."""

    def __init__(self, store: SqlStore, owner: "Incarnation") -> None:
        self._store = store
        self._owner = owner

    def load(self) -> Loaded:
        """The live book and the last checkpoint."""
        return self._store.load()

    def commit(self, commit: Commit) -> int:
        """Write, unless the disk or death comes between."""
        owner = self._owner
        owner.fence()
        fault = owner.world.fault("commit")
        if fault is Fault.COMMIT_FAILS:
            raise StoreFailed(f"disk I/O error {_SIMULATED}")
        owner.pending = commit
        seq = self._store.commit(commit)
        if fault is Fault.COMMIT_UNSURE:
            raise StoreFailed(f"disk I/O error after the write {_SIMULATED}")
        return seq

    def close(self) -> None:
        """Release the file."""
        self._store.close()


class Incarnation:
    """One process: from its start to its end, whichever way it ends."""

    def __init__(self, world: World, until_ms: int) -> None:
        self.world = world
        self._until_ms = until_ms
        self.is_dead = False
        self.venue = NetworkVenue(world.network, world)
        self.feed = NetworkFeed(world.network, world)
        self._session: sessions.Session | None = None
        self._pump: pumps.Pump | None = None
        self.path = "./STOP"
        self.pending: Commit | None = None

    # ── being one ───────────────────────────────────────────────────────────

    async def live(self) -> None:
        """Start, run, end; nothing of it survives."""
        world = self.world
        world.starts += 1
        world.note("engine", f"start {world.starts}")
        bystanders = asyncio.all_tasks()
        store: SqlStore | None = None
        how = "stopped"
        try:
            store = SqlStore.open(world.database, venue="embedded", account="simulated", hit=self.hit)
            world.alive = self
            await self._run(FencedStore(store, self))
        except ProcessDeath as death:
            world.crashes += 1
            how = f"died ({death})"
        except StoreFailed as error:
            how = f"failed: {error}"
            if _SIMULATED not in how:
                world.oracles.breach("I13", how)
        except Exception as error:  # noqa: BLE001 - an engine that fails by itself is a finding
            how = f"failed: {type(error).__name__}: {error}"
            world.oracles.breach("I13", how)
        self.is_dead = self.venue.is_dead = self.feed.is_dead = True
        world.alive = None
        world.network.listener = None
        world.note("engine", how)
        world.note("holds", _holdings(world.exchange))
        world.note("rows", _rows(world.last_book))
        await self._bury(asyncio.all_tasks() - bystanders)
        if store is not None:
            store.close()

    async def _bury(self, tasks: set["asyncio.Task[object]"]) -> None:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, store: FencedStore) -> None:
        world = self.world
        loaded = store.load()
        if world.last_book is not None and loaded.book != prune(world.last_book):
            world.oracles.breach("I14", "a restart gives another book than memory had")
        epoch = base36(world.scenario.seed % 36**EPOCH_LENGTH, EPOCH_LENGTH)
        book = loaded.book if loaded.book.epoch else replace(loaded.book, epoch=epoch)
        timers = Timers()
        executor = Executor(self.venue, world, timers, self.hit)
        self._pump = pumps.Pump(
            EngineState(book), world.settings, store, f"run-{world.starts}", executor.dispatch, self._told, lambda: None
        )
        executor.attach(self._pump)
        parts = sessions.Parts(
            self.venue, self.feed, world.brain, self._pump, executor, timers, world, self, Level.NO_ENTRY
        )
        identity = sessions.Identity(f"run-{world.starts}", "simulated", "paper", "0")
        self._session = sessions.Session(parts, identity, stop_poll_s=STOP_POLL_S)
        world.network.later(self._until_ms - world.now_ms(), self._end_of_world)
        world.oracles.disturb(0)
        await self._session.run()

    def _end_of_world(self) -> None:
        if self._session is not None and not self.is_dead:
            self._session.stop("end of simulation")

    def _told(self, ts_ms: int, records: tuple[Record, ...]) -> None:
        del ts_ms
        for record in records:
            self.world.note("record", _brief(record))

    # ── ways to end ─────────────────────────────────────────────────────────

    def hit(self, name: str) -> None:
        """A crash point was reached."""
        self.fence()
        if name == AFTER_COMMIT and self.pending is not None:
            self._on_committed(self.pending)
        self.world.crash_points[name] += 0
        if self.world.fault(f"die.{name}") is Fault.DEATH:
            self.world.crash_points[name] += 1
            self.is_dead = self.venue.is_dead = self.feed.is_dead = True
            raise ProcessDeath(name)

    def die(self, where: str) -> None:
        """The process is killed from outside."""
        if self.is_dead or self._session is None:
            return
        self.world.crash_points[where] += 1
        self.is_dead = self.venue.is_dead = self.feed.is_dead = True
        self._session.fail(ProcessDeath(where))

    def terminate(self) -> None:
        """SIGTERM."""
        if self._session is not None and not self.is_dead:
            self._session.stop("SIGTERM")

    def resume(self) -> None:
        """An operator resumes over the control socket."""
        if self._session is not None and not self.is_dead:
            self._session.handle(ResumeRequested(self.world.now_ms(), "operator"))

    def read(self) -> Literal["block", "flatten"] | None:
        """The STOP file's content."""
        return self.world.demand

    def fence(self) -> None:
        """A dead process does nothing."""
        if self.is_dead:
            raise ProcessDeath("fenced")

    def _on_committed(self, commit: Commit) -> None:
        """Rows exist from here on."""
        world = self.world
        world.last_book = commit.book
        for record in commit.records:
            if isinstance(record, OrderIntended):
                world.oracles.rows.add(record.order.client_order_id)
                if record.order.purpose is Purpose.ENTRY:
                    self._judge_entry(commit, record.order.symbol)
            elif isinstance(record, ControlChanged):
                is_raised = record.level is not Level.RUN
                world.oracles.stop_committed_ms = world.now_ms() if is_raised else None
                world.oracles.must_be_flat = record.level is Level.FLATTEN
                world.was_stopped = True

    def _judge_entry(self, commit: Commit, symbol: str) -> None:
        """I17: no entry is intended while a limit of the rows forbids it."""
        world = self.world
        forbidden = trips.tripped(commit.book, world.settings, commit.ts_ms)
        hit = sorted(limit for limit, scope in forbidden if scope in ("", symbol))
        if hit:
            world.oracles.breach("I17", f"an entry on {symbol} although {', '.join(hit)} has tripped")


def _holdings(exchange: SimulatedExchange) -> str:
    """What the exchange has, in a line."""
    account = exchange.venue.account_state
    held = [
        f"{symbol} {exchange.venue.instrument(symbol).steps_to_quantity(one.steps) * one.sign}"
        for symbol, one in account.positions.items()
        if one.sign
    ]
    orders = [_purpose(order_id) for order_id in account.orders]
    return f"{', '.join(held) or 'flat'}; orders: {', '.join(orders) or 'none'}"


def _rows(book: Book | None) -> str:
    """What the database has, in a line."""
    if book is None or not book.positions:
        return "no position"
    states = [f"{one.symbol} {one.state} {one.quantity * one.side.sign}" for one in book.positions.values()]
    orders = [f"{_purpose(one.client_order_id)} {one.state}" for one in book.orders.values() if one.is_live]
    return f"{', '.join(states)}; orders: {', '.join(orders) or 'none live'}"


def _purpose(order_id: str) -> str:
    key = parse_client_order_id(order_id)
    return (
        "foreign"
        if key is None
        else f"{key.purpose}{key.leg + 1 if key.purpose is Purpose.PARTIAL else ''} {key.generation}"
    )


def _brief(record: Record) -> str:
    text = repr(record)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


_LONGEST = 260
_SIMULATED = "(simulated)"
