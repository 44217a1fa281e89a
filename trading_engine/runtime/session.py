"""Driving the engine in real time: venue events, closed candles, timers and the STOP file as they come.

What belongs here: the life of a live session from recovery to its orderly end. What does not: what any event
means (core), how candles are made (market data), virtual time (replay).

Everything that arrives is handed to the pump at once and synchronously. Nothing here waits for the venue: a
start without a reachable venue keeps the entry gate shut, looks again, and manages what it can.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from trading_engine.core import on_timer
from trading_engine.domain.control import Level
from trading_engine.domain.events import CandlesClosed, Event, RunBegan, RunEnding, RunFinished, StopRequested
from trading_engine.domain.market import Candle, Signal
from trading_engine.ports import Clock, MarketData, Venue
from trading_engine.runtime.executor import Executor
from trading_engine.runtime.pump import Pump
from trading_engine.runtime.timers import Timers

SHUTDOWN_BUDGET_S = 20.0
FLATTEN_BUDGET_S = 60.0
STOP_POLL_S = 0.5
PROOF_S = 2.0  # so often a session that is watched shows that it could decide
OVERDUE_S = 10.0  # a timer that has waited so long is one that nobody fires any more


class Signals(Protocol):
    """What closed candles say to the strategies."""

    def signals(self, candles: Sequence[Candle]) -> tuple[Signal, ...]:
        """The signals on candles that closed at one instant."""
        ...


class StopDemand(Protocol):
    """The kill-switch file."""

    @property
    def path(self) -> object:
        """Where it lies, for messages."""
        ...

    def read(self) -> str | None:
        """Its content where it is there, None otherwise."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What a session turns."""

    venue: Venue
    market_data: MarketData
    brain: Signals
    pump: Pump
    executor: Executor
    timers: Timers
    clock: Clock
    stop_file: StopDemand
    stop_level: Level


@dataclass(frozen=True, slots=True)
class Identity:
    """What a run says of itself in its first record, and when the one before began if that never said its end."""

    run_id: str
    version: str
    mode: str
    config_hash: str
    crashed_ms: int = 0


class Session:
    """One live run. `run` returns after `stop`, and raises what a handler or a commit has raised.

    stop_poll_s      how often the STOP file is looked at
    pace             how many seconds of the session's clock pass in a real one
    flatten_on_stop  close every position before leaving
    is_watched       somebody looks at the pump's turns, so a quiet market makes some too
    """

    def __init__(
        self,
        parts: Parts,
        identity: Identity,
        *,
        stop_poll_s: float = STOP_POLL_S,
        pace: float = 1.0,
        flatten_on_stop: bool = False,
        is_watched: bool = False,
    ) -> None:
        self._parts = parts
        self._identity = identity
        self._stop_poll_s = stop_poll_s
        self._pace = pace
        self._flatten = flatten_on_stop
        self._is_watched = is_watched
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[str] = self._loop.create_future()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_ms = 0
        self._poll: asyncio.TimerHandle | None = None
        self._proof: asyncio.TimerHandle | None = None
        self._is_leaving = False
        self._is_over = False

    def stop(self, reason: str) -> None:
        """Ask for an orderly end; again has no effect."""
        if not self._over.done():
            self._over.set_result(reason)

    def fail(self, error: BaseException) -> None:
        """End at once with `error`: what could not be decided or committed is not traded on."""
        if not self._over.done():
            self._over.set_exception(error)

    async def run(self) -> None:
        """Recover, trade until told to stop, leave in order."""
        parts = self._parts
        parts.executor.on_failure = self.fail
        parts.timers.on_set = self._on_timer_set
        parts.venue.subscribe(self.handle)
        parts.market_data.subscribe(self._on_candles)
        try:
            self._recover()
            reason = await self._over
            await self._leave(reason)
        finally:
            parts.timers.on_set = None
            parts.executor.on_failure = None
            self._is_over = True
            for handle in (self._alarm, self._poll, self._proof):
                if handle is not None:
                    handle.cancel()

    def handle(self, event: Event) -> None:
        """Decide, commit and act on one event; a failure ends the session, after which nothing is heard."""
        if self._is_over:
            return
        self._guarded(lambda: self._parts.pump.handle(event))

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - callbacks have nobody to raise to
            self.fail(error)

    def _recover(self) -> None:
        """Reconciliation first, entries last: the gate stays shut until a snapshot was taken in."""
        self._look_for_stop()
        now_ms = self._parts.clock.now_ms()
        identity = self._identity
        run = (identity.run_id, identity.version, identity.mode, identity.config_hash, identity.crashed_ms)
        self.handle(RunBegan(now_ms, *run))
        pump = self._parts.pump
        for timer in on_timer.boot_timers(pump.state.book, pump.settings, now_ms):
            self._parts.executor.dispatch(timer)
        if self._is_watched:
            self._prove()

    def _prove(self) -> None:
        """A sign of life from the pump itself, unless timers are not fired any more."""
        parts = self._parts
        due_ms, now_ms = parts.timers.next_ms, parts.clock.now_ms()
        if due_ms is None or now_ms - due_ms < OVERDUE_S * 1000 * max(self._pace, 1.0):
            self._guarded(lambda: parts.pump.prove(now_ms))
        self._proof = self._loop.call_later(PROOF_S, self._prove)

    def _on_candles(self, candles: Sequence[Candle]) -> None:
        self._guarded(lambda: self._decide(tuple(candles)))

    def _decide(self, candles: tuple[Candle, ...]) -> None:
        signals = self._parts.brain.signals(candles)
        if signals:
            self._check_stop()
        now_ms = self._parts.clock.now_ms()
        self._parts.pump.handle(CandlesClosed(now_ms, candles, signals, is_catch_up=self._is_leaving))

    def _on_timer_set(self, at_ms: int) -> None:
        if self._alarm is None or at_ms < self._alarm_ms:
            self._arm(at_ms)

    def _arm(self, at_ms: int) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        wait_s = max(at_ms - self._parts.clock.now_ms(), 0) / 1000 / self._pace
        self._alarm_ms = at_ms
        self._alarm = self._loop.call_later(wait_s, self._guarded, self._fire)

    def _fire(self) -> None:
        """Hand on every timer that is due, then sleep until the next."""
        self._alarm = None
        parts = self._parts
        while (timer := parts.timers.pop_due(parts.clock.now_ms())) is not None:
            # As of now: after a sleep of the machine its own time would date orders into the past.
            parts.pump.handle(replace(timer, ts_ms=parts.clock.now_ms()))
        next_ms = parts.timers.next_ms
        if next_ms is not None:
            self._on_timer_set(next_ms)

    def _look_for_stop(self) -> None:
        self._guarded(self._check_stop)
        self._poll = self._loop.call_later(self._stop_poll_s, self._look_for_stop)

    def _check_stop(self) -> None:
        """Raise the kill switch where the file demands it."""
        demand = self._parts.stop_file.read()
        if demand is None:
            return
        level = Level.FLATTEN if demand == "flatten" else self._parts.stop_level
        if level.rank > self._parts.pump.state.book.control.level.rank:
            reason = f"{self._parts.stop_file.path} is there"
            self._parts.pump.handle(StopRequested(self._parts.clock.now_ms(), level, reason))

    async def _leave(self, reason: str) -> None:
        """Entries are cancelled, calls in flight end or become unknown, positions keep their stops or are closed."""
        parts = self._parts
        self._is_leaving = True
        self._over = self._loop.create_future()
        parts.pump.handle(RunEnding(parts.clock.now_ms(), reason, self._flatten))
        await self._idle(SHUTDOWN_BUDGET_S)
        if self._flatten:
            await self._flat(FLATTEN_BUDGET_S)
        self._raise_failure()
        parts.pump.handle(RunFinished(parts.clock.now_ms(), self._identity.run_id, reason))

    async def _idle(self, budget_s: float) -> None:
        """Wait for calls in flight; what has no answer in time is a row that the next start asks after."""
        idle = asyncio.ensure_future(self._parts.executor.idle())
        ends: set[asyncio.Future[Any]] = {idle, self._over}
        await asyncio.wait(ends, timeout=budget_s, return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()
        await asyncio.wait({idle})
        self._raise_failure()
        if not idle.cancelled():
            idle.result()

    async def _flat(self, budget_s: float) -> None:
        until = self._loop.time() + budget_s
        while self._parts.pump.state.book.positions and self._loop.time() < until:
            await asyncio.wait({self._over}, timeout=STOP_POLL_S)
            self._raise_failure()

    def _raise_failure(self) -> None:
        if self._over.done():
            self._over.result()
