"""One engine process of a simulated world: from its start to its end, whichever way it ends.

What belongs here: wiring the real runtime to what the world fakes, and the ways to die. What does not: what goes
on around it (world).
"""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from trading_engine.core import trips
from trading_engine.core.project import prune
from trading_engine.core.state import Book, EngineState
from trading_engine.domain.control import Level
from trading_engine.domain.events import ResumeRequested
from trading_engine.domain.ids import EPOCH_LENGTH, Purpose, base36, parse_client_order_id
from trading_engine.domain.records import ControlChanged, OrderIntended, Record
from trading_engine.ports import Commit, Loaded
from trading_engine.runtime import pump as pumps
from trading_engine.runtime import session as sessions
from trading_engine.runtime.executor import Executor
from trading_engine.runtime.timers import Timers
from trading_engine.simulation.exchange import SimulatedExchange
from trading_engine.simulation.faults import Fault
from trading_engine.simulation.network import NetworkFeed, NetworkVenue, ProcessDeath
from trading_engine.store.sql_store import AFTER_COMMIT, SqlStore, StoreFailed
from trading_engine.system.clock import SteadyClock

if TYPE_CHECKING:
    from trading_engine.simulation.world import World

STOP_POLL_S = 5.0


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
        if fault is Fault.COMMIT_SLOW:
            owner.world.freeze_process(owner.world.rng.choice((300, 2_000, 7_000)))
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

    def __init__(self, world: "World", until_ms: int) -> None:
        self.world = world
        self._until_ms = until_ms
        self.is_dead = False
        self.feed = NetworkFeed(world.network, world)
        self._venue: NetworkVenue | None = None
        self._clock: SteadyClock | None = None
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
        self._end()
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
        timers, clock = Timers(), world.make_clock(loaded.last_ts_ms)
        self._clock = clock
        venue = self._venue = NetworkVenue(world.network, world, clock)
        executor = Executor(venue, clock, timers, self.hit)
        self._pump = pumps.Pump(
            EngineState(book),
            world.settings,
            store,
            f"run-{world.starts}",
            executor.dispatch,
            self._told,
            lambda: None,
            stepped_ms=lambda: clock.stepped_ms,
        )
        executor.attach(self._pump)
        parts = sessions.Parts(venue, self.feed, world.brain, self._pump, executor, timers, clock, self, Level.NO_ENTRY)
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
            self.world.note("record", record)

    def _end(self) -> None:
        """From here on this process does nothing and hears nothing."""
        self.is_dead = self.feed.is_dead = True
        if self._venue is not None:
            self._venue.is_dead = True

    # ── ways to end ─────────────────────────────────────────────────────────

    def hit(self, name: str) -> None:
        """A crash point was reached."""
        self.fence()
        if name == AFTER_COMMIT and self.pending is not None:
            self._on_committed(self.pending)
        self.world.crash_points[name] += 0
        if self.world.fault(f"die.{name}") is Fault.DEATH:
            self.world.crash_points[name] += 1
            self._end()
            raise ProcessDeath(name)

    def die(self, where: str) -> None:
        """The process is killed from outside."""
        if self.is_dead or self._session is None:
            return
        self.world.crash_points[where] += 1
        self._end()
        self._session.fail(ProcessDeath(where))

    def terminate(self) -> None:
        """SIGTERM."""
        if self._session is not None and not self.is_dead:
            self._session.stop("SIGTERM")

    def resume(self) -> None:
        """An operator resumes over the control socket."""
        if self._session is not None and self._clock is not None and not self.is_dead:
            self._session.handle(ResumeRequested(self._clock.now_ms(), "operator"))

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
        world.oracles.on_committed(commit.book)
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


_SIMULATED = "(simulated)"
