"""One run on a real venue: open it, check the account, take in history, trade until told to stop.

What belongs here: the order of a live start and end. What does not: choosing and checking the venue (remote), driving
events (session), what any of them means (core).

A start without a reachable venue waits for it: positions keep their stops there meanwhile.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import TypeVar

import numpy as np
from loguru import logger

from trading_engine import __version__
from trading_engine.config.model import Config
from trading_engine.config.show import config_hash
from trading_engine.core.settings import EngineSettings
from trading_engine.domain.errors import ConfigInvalid, VenueUnavailable
from trading_engine.domain.events import IncomeSeen
from trading_engine.domain.fills import Income, PnlKind
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.time import MINUTE_MS, floor_to
from trading_engine.marketdata.block import from_units
from trading_engine.marketdata.polling import PollingFeed
from trading_engine.ports import Loaded, RemoteVenue
from trading_engine.runtime import bootstrap, remote, startup
from trading_engine.runtime.bootstrap import Finding, RunOptions
from trading_engine.runtime.brain import Brain
from trading_engine.runtime.control import ControlServer
from trading_engine.runtime.executor import Executor
from trading_engine.runtime.process import EXIT_DONE, EXIT_REFUSED, SHUTDOWN_BUDGET_S, Process, initial_state, require
from trading_engine.runtime.pump import Pump
from trading_engine.runtime.session import Identity, Parts, Session
from trading_engine.runtime.timers import Timers
from trading_engine.store.sql_store import SqlStore
from trading_engine.strategy.api import Strategy
from trading_engine.strategy.evaluate import base_candles_needed
from trading_engine.system import crash_points
from trading_engine.system.clock import SteadyClock
from trading_engine.system.state_dir import StateDir

T = TypeVar("T")

OPENING_ID = "opening"
RETRY_OPEN_S = 5.0
MOST_AHEAD_MS = 10 * MINUTE_MS


ACKNOWLEDGEMENT = "I UNDERSTAND THE RISKS"


def refuse_leftovers(options: RunOptions) -> None:
    """Options that only recorded or synthetic candles have a use for."""
    for name, given in (("--replay", options.replay), ("--funding", options.funding), ("--seed", options.seed)):
        if given:
            raise ConfigInvalid(f"{name}: has no effect on a real venue; it goes with mode = paper", exit_code=2)
    if options.speed is not None:
        raise ConfigInvalid("--speed: a real venue has its own time; it goes with mode = paper", exit_code=2)


def acknowledge(config: Config) -> None:
    """Real money is traded only after somebody has typed that they know it; ConfigInvalid (exit 3) otherwise."""
    if config.mode != "live" or remote.hosts_of(config).is_local:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigInvalid(
            f"mode = live trades real money: start it from a terminal and type {ACKNOWLEDGEMENT}",
            exit_code=EXIT_REFUSED,
        )
    sys.stderr.write(
        f"This trades REAL MONEY on {config.venue}, account {config.account}, symbols {', '.join(config.symbols)}.\n"
        f"Type {ACKNOWLEDGEMENT} to go on: "
    )
    sys.stderr.flush()
    if sys.stdin.readline().strip() != ACKNOWLEDGEMENT:
        raise ConfigInvalid("not acknowledged; nothing was started", exit_code=EXIT_REFUSED)


def rehearse(config: Config) -> list[Finding]:
    """Ask the venue everything a start asks, change nothing, send no order; what was found.

    Raises ConfigInvalid for what would be refused, VenueUnavailable where the venue does not answer.
    """
    return asyncio.run(_rehearse(config))


async def _rehearse(config: Config) -> list[Finding]:
    clock = await remote.adopt_clock(config, 0) or SteadyClock()
    venue = remote.make_venue(config, clock)
    host = remote.hosts_of(config).rest_url
    try:
        await remote.open_venue(venue)
        found = [Finding("ok", config.venue, f"reached at {host}; its clock is {await venue.measure_clock():+} ms off")]
        found += [Finding("warning", config.venue, text) for text in await remote.check_account(venue, config)]
        balance = await venue.balance()
        wallet = f"{balance.wallet.normalize():f} {balance.asset}, {balance.available.normalize():f} available"
        found.append(Finding("ok" if balance.wallet > 0 else "error", "wallet", wallet))
        for one in await venue.instruments():
            rates = await venue.fee_rates(one.symbol)
            text = f"tick {one.tick}, step {one.step}, at least {one.min_notional} {one.settle_asset}"
            found.append(Finding("ok", one.symbol, f"{text}; fees {rates.maker:%} maker, {rates.taker:%} taker"))
        for held in await venue.positions():
            text = f"the account holds {held.side} {held.quantity}"
            found.append(Finding("warning", held.symbol, f"{text}; what is not ours follows `reconciliation`"))
        orders = await venue.open_orders()
        if orders:
            found.append(Finding("warning", "orders", f"{len(orders)} are open at the venue"))
        return found
    finally:
        await venue.close()


class LiveRun(Process):
    """The parts of one process on a real venue, and their order of life."""

    def __init__(self, options: RunOptions, config: Config, state: StateDir) -> None:
        super().__init__(options, config, state)
        self._session: Session | None = None
        self._must_stop = asyncio.Event()
        self._pace = 1.0
        self._is_open = False

    async def main(self) -> int:
        """Start, recover, trade, end."""
        self._catch_signals()
        config = self._config
        store = SqlStore.open(self._state.database, venue=config.venue, account=config.account, hit=crash_points.hit)
        try:
            loaded = store.load()
            require(startup.switched_off(loaded.book, self._stop_file))
            require(_written_in_the_future(loaded))
            self._configure_logging()
            if note := remote.address_note(config):
                self._warn(note)
            clock = await self._wait_for(lambda: remote.adopt_clock(config, loaded.last_ts_ms))
            if self._must_stop.is_set():
                return EXIT_DONE
            if clock is not None:
                self._pace = clock.pace
            self._clock = clock or SteadyClock(not_before_ms=loaded.last_ts_ms)
            venue = remote.make_venue(config, self._clock)
            try:
                return await self._on(venue, store, loaded)
            finally:
                await venue.close()
        finally:
            store.close()

    def _stop(self, reason: str) -> None:
        super()._stop(reason)
        self._must_stop.set()
        if self._session is not None:
            self._session.stop(reason)

    async def _on(self, venue: RemoteVenue, store: SqlStore, loaded: Loaded) -> int:
        opened = await self._wait_for(lambda: self._prepare(venue))
        if opened is None:
            return EXIT_DONE  # told to stop before the venue could be reached
        settings, brain = opened
        pump, session, feed = self._wire(venue, store, loaded, settings, brain)
        if not loaded.book.ledger.bookings:
            await self._book_opening(venue, pump, settings)
        worker = self._alert_worker(store)
        control = ControlServer(self._state.control_socket, self._command)
        await control.start()
        worker.start()
        asking = asyncio.create_task(feed.run(), name="candles")
        asking.add_done_callback(lambda task: _failed(task, session))
        try:
            await session.run()
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await control.stop()
            await worker.stop(SHUTDOWN_BUDGET_S / 4)
        return EXIT_DONE

    async def _wait_for(self, question: Callable[[], Awaitable[T]]) -> T | None:
        """The answer of a venue that may not be reachable yet; None where told to stop before."""
        while not self._must_stop.is_set():
            try:
                return await question()
            except VenueUnavailable as error:
                logger.warning("{} cannot be reached ({}); trying again soon", self._config.venue, error)
            try:
                async with asyncio.timeout(RETRY_OPEN_S):
                    await self._must_stop.wait()
            except TimeoutError:
                continue
        return None

    async def _prepare(self, venue: RemoteVenue) -> tuple[EngineSettings, Brain]:
        config = self._config
        if not self._is_open:  # what follows may have to be asked again; the stream stands
            await remote.open_venue(venue)
            self._is_open = True
        for text in await remote.check_account(venue, config):
            self._warn(text)
        instruments = {one.symbol: one for one in await venue.instruments()}
        await remote.arrange_account(venue, config, config.symbols)
        settings = bootstrap.engine_settings(config, instruments, venue.capabilities)
        strategies = bootstrap.strategies_of(config, config.symbols)
        brain = Brain(strategies, instruments, MINUTE_MS)
        for symbol, chosen in strategies.items():
            await self._warm_up(venue, brain, instruments[symbol], chosen)
        return settings, brain

    async def _warm_up(
        self, venue: RemoteVenue, brain: Brain, instrument: Instrument, chosen: Sequence[Strategy]
    ) -> None:
        """Take in the candles before this minute that the strategies' windows hold; no signals."""
        until_ms = floor_to(self._clock.now_ms(), MINUTE_MS)
        count = base_candles_needed(chosen, MINUTE_MS)
        since_ms = until_ms - (count + 1) * MINUTE_MS
        candles = await venue.candles(instrument.symbol, MINUTE_MS, since_ms, until_ms)
        if not candles:
            return
        columns = [np.array(column, dtype=np.int64) for column in zip(*[item[3:] for item in candles], strict=True)]
        ts = np.array([candle.open_time_ms for candle in candles], dtype=np.int64)
        brain.take_history(instrument.symbol, from_units(instrument, ts, columns[:4], columns[4]))

    def _wire(
        self, venue: RemoteVenue, store: SqlStore, loaded: Loaded, settings: EngineSettings, brain: Brain
    ) -> tuple[Pump, Session, PollingFeed]:
        timers = Timers()
        executor = Executor(venue, self._clock, timers, crash_points.hit)
        state = initial_state(loaded, self._epoch())
        dispatch = executor.dispatch
        pump = Pump(state, settings, store, self._run_id, dispatch, self._log_records, lambda: None, 1)
        executor.attach(pump)
        now_ms = floor_to(self._clock.now_ms(), MINUTE_MS)
        feed = PollingFeed(venue, self._config.symbols, self._clock, now_ms, self._sleep)
        level = bootstrap.stop_level(self._config)
        parts = Parts(venue, feed, brain, pump, executor, timers, self._clock, self._stop_file, level)
        identity = Identity(self._run_id, __version__, self._config.mode, config_hash(self._config))
        flattens = self._config.on_shutdown == "flatten"
        session = Session(parts, identity, pace=self._pace, flatten_on_stop=flattens)
        self._pump, self._session = pump, session
        if self._stopping:
            session.stop(self._stopping)
        return pump, session, feed

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._pace)

    async def _book_opening(self, venue: RemoteVenue, pump: Pump, settings: EngineSettings) -> None:
        """The wallet as it is when the ledger begins: what made it so is not ours to count."""
        now_ms = self._clock.now_ms()
        wallet = (await venue.balance()).wallet
        if wallet <= Decimal(0):
            raise ConfigInvalid(
                f"{venue.name}: the wallet holds {wallet} {settings.asset}; there is nothing to trade with"
            )
        opening = Income(venue.name, venue.account, OPENING_ID, PnlKind.TRANSFER, "", wallet, settings.asset, now_ms)
        pump.handle(IncomeSeen(now_ms, opening))


def _written_in_the_future(loaded: Loaded) -> str:
    """Why a clock must be put right first, empty where it is."""
    ahead_ms = loaded.last_ts_ms - SteadyClock().now_ms()
    if ahead_ms <= MOST_AHEAD_MS:
        return ""
    return (
        f"the last record was written {ahead_ms // MINUTE_MS} minutes in the future: the machine's clock is behind, or"
        " was ahead; set it right (timedatectl), or restore a backup"
    )


def _failed(task: "asyncio.Task[None]", session: Session) -> None:
    """A feed that has failed by itself ends the run: candles would be missed in silence."""
    if not task.cancelled() and (error := task.exception()) is not None:
        session.fail(error)
