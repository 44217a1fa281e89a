"""Driving the engine with recorded or synthetic candles in virtual time.

What belongs here: the order of things at every instant, resuming where a killed process stopped, pacing.
What does not: matching (venues.embedded), decisions (core).

For every batch of candles: the exchange matches it, pausing after each fill until the engine has decided,
committed and acted; timers that have come due fire; where there is a signal the STOP file is looked at
(and every few milliseconds besides); then the closed candles are decided on. Time moves on only when
nothing is in flight.

Candles of a live market are played in the same way as they arrive (`follow`): time then stands at the close of the
last one.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, Protocol

from trading_engine.domain.control import Level
from trading_engine.domain.events import CandlesClosed, StopRequested
from trading_engine.domain.market import FundingRate
from trading_engine.marketdata.replay import Batch
from trading_engine.runtime.brain import Brain
from trading_engine.runtime.clock import VirtualClock
from trading_engine.runtime.executor import Executor
from trading_engine.runtime.pump import Pump
from trading_engine.runtime.timers import Timers
from trading_engine.system.stop_file import StopFile
from trading_engine.venues.embedded.venue import EmbeddedVenue

BREATH_S = 0.02  # how long the loop may be busy before control socket and alerts get a turn
POLL_S = 0.2  # how often the STOP file is looked at while waiting for the next candle


class PlayedMarket(Protocol):
    """What the driver asks of a market; a `CandleSource` is one."""

    @property
    def interval_ms(self) -> int:
        """Length of every candle."""

    def batches(self, from_ts: int = 0) -> Iterator[Batch]:
        """Yield the candles that are known and open at `from_ts` or later, an instant at a time."""

    def funding_between(self, after_ts: int, until_ts: int) -> tuple[FundingRate, ...]:
        """The settlements in (after_ts, until_ts] of all symbols, by time and symbol."""


class Arrival(NamedTuple):
    """Candles that have just come; late ones are too old to be entered on."""

    batch: Batch
    is_late: bool


@dataclass(slots=True)
class Parts:
    """What the driver turns."""

    source: PlayedMarket
    venue: EmbeddedVenue
    brain: Brain
    pump: Pump
    executor: Executor
    timers: Timers
    clock: VirtualClock
    stop_file: StopFile
    stop_level: Level


class ReplayDriver:
    """Plays a source to its end or until `should_stop` says so.

    speed   None: as fast as it goes; otherwise how many market seconds pass in one real second
    """

    def __init__(
        self,
        parts: Parts,
        speed: float | None,
        should_stop: Callable[[], bool],
        on_progress: Callable[[int, int], None],
    ) -> None:
        self._parts = parts
        self._speed = speed
        self._should_stop = should_stop
        self._on_progress = on_progress
        progress = parts.venue.progress
        self._passed_ms = progress.open_ms
        self._breath_at = 0.0
        self._candles = 0

    @property
    def resume_ms(self) -> int:
        """Open time from which candles are still to be decided on."""
        return self._parts.pump.state.market.closed_ms

    def catch_up(self) -> None:
        """Bring the exchange to where the engine already was: nothing happened in between, or it would know."""
        parts = self._parts
        closed_ms = parts.pump.state.market.closed_ms
        if not closed_ms:
            return
        for batch in parts.source.batches(max(parts.venue.progress.open_ms, 0)):
            if batch.open_time_ms + parts.source.interval_ms > closed_ms:
                return
            parts.venue.catch_up(batch.open_time_ms, batch.candles, self._settlements(batch))

    async def run(self) -> None:
        """Play what is left."""
        for batch in self._parts.source.batches(self.resume_ms):
            if self._speed is not None:
                await self._wait_for(batch)
            if self._should_stop():
                return
            await self._play(batch)
            await self._breathe()

    async def follow(self, arrive: Callable[[], Awaitable[Arrival | None]]) -> None:
        """Play candles as they come until told to stop; `arrive` gives None after a moment without any."""
        parts = self._parts
        while not self._should_stop():
            arrival = await arrive()
            if arrival is None:
                self.look_for_stop()
                await parts.executor.idle()
                parts.pump.prove(parts.clock.now_ms())
                continue
            await self._play(arrival.batch, exits_only=arrival.is_late)
            parts.pump.save_progress(parts.clock.now_ms())

    async def settle_exits(self) -> None:
        """Trade what may trade at the present price, for a market whose next candle is not waited for."""
        parts = self._parts
        for symbol in sorted({position.symbol for position in parts.pump.state.book.positions.values()}):
            for event in parts.venue.settle(symbol, parts.clock.now_ms()):
                parts.pump.handle(event)
                await parts.executor.idle()

    async def play_exits(self, is_done: Callable[[], bool], most: int) -> None:
        """Play up to `most` candles at once and without entries until `is_done`: what closes at the market needs one.

        A market order trades at the next price, so a run that is to end flat cannot end on this candle.
        """
        for batch in islice(self._parts.source.batches(self.resume_ms), most):
            if is_done():
                return
            await self._play(batch, exits_only=True)

    async def _play(self, batch: Batch, *, exits_only: bool = False) -> None:
        parts = self._parts
        if parts.timers.is_due(batch.open_time_ms):
            await self._fire_timers(batch.open_time_ms)
        for event in parts.venue.play(batch.open_time_ms, batch.candles, self._settlements(batch)):
            parts.clock.advance_to(event.ts_ms)
            parts.pump.handle(event)
            await parts.executor.idle()
        closed_ms = batch.open_time_ms + parts.source.interval_ms
        if parts.timers.is_due(closed_ms - 1):  # those due at the close itself come after its candles
            await self._fire_timers(closed_ms - 1)
        parts.clock.advance_to(closed_ms)
        signals = parts.brain.signals(batch.candles)
        if signals:
            self.look_for_stop()
        is_catch_up = exits_only or batch.open_time_ms < self._passed_ms
        parts.pump.handle(CandlesClosed(closed_ms, batch.candles, signals, is_catch_up))
        if not parts.executor.is_idle:
            await parts.executor.idle()
        self._candles += len(batch.candles)

    def _settlements(self, batch: Batch) -> tuple[FundingRate, ...]:
        funded_ms = self._parts.venue.progress.funded_ms
        after_ms = funded_ms if funded_ms >= 0 else batch.open_time_ms - 1
        return self._parts.source.funding_between(after_ms, batch.open_time_ms)

    async def _fire_timers(self, until_ms: int) -> None:
        parts = self._parts
        while (timer := parts.timers.pop_due(until_ms)) is not None:
            parts.clock.advance_to(timer.ts_ms)
            parts.pump.handle(timer)
            await parts.executor.idle()

    def look_for_stop(self) -> None:
        """Raise the kill switch where the STOP file demands it: before each decision, and while waiting."""
        demand = self._parts.stop_file.read()
        if demand is None:
            return
        level = Level.FLATTEN if demand == "flatten" else self._parts.stop_level
        if self._parts.pump.state.book.control.level in (Level.FLATTEN, Level.LOCKED, level):
            return
        now_ms = self._parts.clock.now_ms()
        self._parts.pump.handle(StopRequested(now_ms, level, f"{self._parts.stop_file.path} is there"))

    async def _breathe(self) -> None:
        now = time.monotonic()
        if now >= self._breath_at:
            self._on_progress(self._candles, self._parts.clock.now_ms())
            self.look_for_stop()
            await self._parts.executor.idle()
            await asyncio.sleep(0)
            self._breath_at = time.monotonic() + BREATH_S

    async def _wait_for(self, batch: Batch) -> None:
        """Let real time pass until the batch has closed at this speed; the STOP file is seen meanwhile."""
        assert self._speed is not None  # noqa: S101 - the caller asks only then
        left = self._parts.source.interval_ms / 1000 / self._speed
        until = time.monotonic() + left
        del batch
        self._parts.pump.save_progress(self._parts.clock.now_ms())
        while (left := until - time.monotonic()) > 0 and not self._should_stop():
            await asyncio.sleep(min(left, POLL_S))
            self.look_for_stop()
            await self._parts.executor.idle()
            self._parts.pump.prove(self._parts.clock.now_ms())
