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
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trading_engine.core.project import prune
from trading_engine.core.state import Book
from trading_engine.domain.ids import EPOCH_LENGTH, base36, parse_client_order_id
from trading_engine.domain.market import Candle
from trading_engine.domain.orders import OrderRequest
from trading_engine.domain.records import Record
from trading_engine.ports import VenueEvent
from trading_engine.simulation.exchange import SimulatedExchange
from trading_engine.simulation.faults import Fault, Plan
from trading_engine.simulation.incarnation import Incarnation
from trading_engine.simulation.loop import VirtualLoop
from trading_engine.simulation.market import (
    MINUTE_MS,
    ScriptedBrain,
    SimulatedBrain,
    SimulatedMarket,
)
from trading_engine.simulation.network import Network
from trading_engine.simulation.oracles import Oracles, Violation
from trading_engine.simulation.scenario import (
    CALLS_PER_MINUTE,
    DEPOSIT,
    END_MS,
    MOST_STARTS,
    START_TICKS,
    WALL_MS,
    Scenario,
    settings_of,
)
from trading_engine.simulation.strangers import Stranger
from trading_engine.simulation.telling import words
from trading_engine.store import backup as backups
from trading_engine.store.audit import audit
from trading_engine.store.sql_store import SqlStore
from trading_engine.system.clock import SteadyClock
from trading_engine.venues.embedded.terms import Terms

Noted = tuple[int, str, str | Record]
"""(ms since the beginning, who, what): a record is put into words only where somebody reads them."""


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
    noted: list[Noted]

    @property
    def timeline(self) -> list[tuple[int, str, str]]:
        """(ms since the beginning, who, what) of everything that was noted."""
        return [(at_ms, who, what if isinstance(what, str) else words(what)) for at_ms, who, what in self.noted]


_NEVER_MS = 10**12
_NS_PER_MS = 1_000_000
CLOCK_ERRORS_MS = (-90_000, -4_000, -700, 0, 700, 4_000, 50_000, 90_000)


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
        self.noted: list[Noted] = []
        self.faults: Counter[str] = Counter()
        self.crash_points: Counter[str] = Counter()
        self.crashes = self.starts = 0
        self.alive: Incarnation | None = None
        self.demand: Literal["block", "flatten"] | None = None
        self.was_stopped = self.may_be_frozen = False
        self.last_book: Book | None = None
        self.is_quiet = False
        self.backup: Path | None = None
        self.must_restore = self.is_restored = False
        self._clock_error_ms = 0
        self.on_ready: Callable[[], None] | None = None

    # ── what network and incarnations ask of the world ──────────────────────

    def now_ms(self) -> int:
        """The wall clock."""
        return WALL_MS + round(self.loop.time() * 1000)

    def make_clock(self, not_before_ms: int) -> SteadyClock:
        """What a process of this world tells the time by: the machine's clock may be wrong, or be set."""
        return SteadyClock(
            lambda: (self.now_ms() + self._clock_error_ms) * _NS_PER_MS,
            lambda: round(self.loop.time() * 1e9),
            not_before_ms,
        )

    def note(self, who: str, what: str | Record) -> None:
        """One line of the timeline."""
        self.noted.append((self.now_ms() - WALL_MS, who, what))

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

    def on_refused(self, request: OrderRequest) -> None:
        """An entry was refused: three in a row freeze its symbol."""
        self.oracles.refused[request.symbol] += 1

    def freeze_process(self, lasts_ms: int) -> None:
        """The process does nothing for a while and the world goes on: what falls due meanwhile comes late."""
        self.oracles.disturb(lasts_ms)
        self.loop.pass_by(lasts_ms / 1000)

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
        facts, lag_ms = list(self.settings.instruments.values()), scenario.history_lag_ms
        self.exchange = SimulatedExchange(facts, terms, DEPOSIT, market, self.now_ms, lag_ms)
        self.oracles = Oracles(self.exchange, self.now_ms, max(len(scenario.ladder), 1), self.settings.exits.max_age_ms)
        self.exchange.on_accepted = self.oracles.on_accepted
        self.exchange.on_canceled = self.oracles.on_canceled
        self.network = Network(self, self.exchange, self.settings.execution.recv_window_ms)
        self.stranger = Stranger(self.exchange, self.rng, self.note)
        self.oracles.shared = self.stranger.touched
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
            if self.must_restore:
                self._restore()
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

    def _moment(self, fault: Fault) -> None:  # noqa: C901, PLR0912 - one branch a kind
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
            case Fault.CLOCK_SET:
                self._clock_error_ms = self.rng.choice(CLOCK_ERRORS_MS)
                self.note("machine", f"its clock is {self._clock_error_ms} ms ahead")
            case Fault.STOP_FILE:
                self.demand = self.rng.choice(("block", "flatten"))
                self.was_stopped = True
                self.network.later(3 * lasts_ms, self._remove_stop)
            case Fault.STRANGER:
                self.oracles.disturb(0)
                self.stranger.act()
            case Fault.STOP_CANCELED:
                self._cancel_a_stop()
            case Fault.BACKUP:
                self.backup = backups.backup(self.database, self.database.parent / "backups", self.now_ms())
            case Fault.RESTORE:
                self.must_restore = True
                if self.alive is not None:
                    self.alive.die("loop step")
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

    def _restore(self) -> None:
        """The backup takes the database's place; what it cannot know is beyond most judgements from here on."""
        assert self.backup is not None  # noqa: S101 - a backup comes before each restore
        self.must_restore = False
        self.is_restored = self.was_stopped = self.may_be_frozen = True
        epoch = base36(self.rng.randrange(36**EPOCH_LENGTH), EPOCH_LENGTH)
        backups.restore(self.backup, self.database, self.now_ms(), new_epoch=epoch, force=True)
        self.note("operator", "restored the backup")
        self.last_book = None
        self.oracles.calm_ms = self.now_ms() + _NEVER_MS
        self.oracles.stop_committed_ms = self.now_ms()
        self.network.later(30_000, self._resume)

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
            loaded = store.load()
        finally:
            store.close()
        book = loaded.book
        if self.last_book is not None and book != prune(self.last_book):
            self.oracles.breach("I14", "the database gives another book than memory had")
        if self.is_restored:
            self._audit()
            self._compare_verdicts()
            return
        foreign = (
            {} if loaded.checkpoint is None else {item.symbol: item.quantity for item in loaded.checkpoint.foreign}
        )
        self.oracles.settle(book, foreign, frozen_expected=self.may_be_frozen, level_expected=self.was_stopped)
        self._audit()
        self._compare_fills()
        self._compare_days()
        self._compare_verdicts()
        self._count_calls()

    def _audit(self) -> None:
        """I15: the rows prove themselves."""
        for check in audit(self.database):
            if not check.ok:
                self.oracles.breach("I15", f"audit: {check.name}: {check.detail}")

    def _compare_fills(self) -> None:
        """I10: each execution of the exchange is one row, and no row is invented."""
        with closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True)) as connection:
            rows = {name.rstrip("+") for (name,) in connection.execute("SELECT trade_id FROM fills")}
            keys = connection.execute("SELECT source_id FROM pnl WHERE kind = 'adjustment'").fetchall()
        trades = self.exchange.memory.trades
        every = {f"{row.number:09d}" for row in trades}
        ours = {f"{row.number:09d}" for row in trades if self._is_ours(row.client_order_id)}
        adjusted = {key.rpartition(":")[2].rstrip("+") for (key,) in keys} if self.stranger.touched else set()
        # A stranger's fill is a row here as far as it reduces our position; ours is none beyond that.
        if missing := ours - rows - adjusted:
            self.oracles.breach("I10", f"fills that are not in the database: {sorted(missing)[:5]}")
        if invented := rows - every:
            self.oracles.breach("I10", f"fills that the exchange does not know: {sorted(invented)[:5]}")

    def _is_ours(self, client_order_id: str) -> bool:
        return not self.stranger.touched or parse_client_order_id(client_order_id) is not None

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
            noted=self.noted,
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
