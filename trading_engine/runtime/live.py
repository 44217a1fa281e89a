"""One run on a real venue: open it, check the account, take in history, trade until told to stop.

What belongs here: the order of a live start and end. What does not: choosing and checking the venue (remote), driving
events (session), what any of them means (core).

A start without a reachable venue waits for it: positions keep their stops there meanwhile.
"""

import asyncio

from loguru import logger

from trading_engine import __version__
from trading_engine.config.model import Config
from trading_engine.config.show import config_hash
from trading_engine.core.settings import EngineSettings, ExecutionSettings
from trading_engine.domain.errors import VenueUnavailable
from trading_engine.domain.events import IncomeSeen
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.time import MINUTE_MS, floor_to
from trading_engine.ports import Loaded, RemoteVenue
from trading_engine.runtime import bootstrap, remote, startup, warm_up
from trading_engine.runtime.bootstrap import Finding, RunOptions
from trading_engine.runtime.brain import Brain
from trading_engine.runtime.control import ControlServer
from trading_engine.runtime.executor import Executor
from trading_engine.runtime.feeding import Feeding
from trading_engine.runtime.observe import Observer
from trading_engine.runtime.process import EXIT_DONE, SHUTDOWN_BUDGET_S, Process, initial_state, require
from trading_engine.runtime.pump import Pump
from trading_engine.runtime.service_report import Silence
from trading_engine.runtime.session import Identity, Parts, Session
from trading_engine.runtime.strategy_setup import filters_of, strategies_of
from trading_engine.runtime.timers import Timers
from trading_engine.store.sql_store import SqlStore
from trading_engine.system import crash_points
from trading_engine.system.clock import SteadyClock
from trading_engine.system.state_dir import StateDir

CLOCK_PERIOD_S = 3_600.0
CLOCK_RETRY_S = 60.0


def rehearse(config: Config, *, signals_only: bool = False) -> list[Finding]:
    """Ask the venue everything a start of this kind asks, change nothing, send no order; what was found.

    Raises ConfigInvalid for what would be refused, VenueUnavailable where the venue does not answer.
    """
    return asyncio.run(_rehearse(config, signals_only=signals_only))


async def _rehearse(config: Config, *, signals_only: bool) -> list[Finding]:
    clock = await remote.adopt_clock(config, 0) or SteadyClock()
    venue = remote.make_reader(config, clock)
    host = remote.hosts_of(config).rest_url
    try:
        await remote.open_venue(venue)
        off_ms = await venue.measure_clock()
        found = [clock_finding(config, f"reached at {host}", off_ms)]
        look = _look if signals_only else remote.check_account
        found += [Finding("warning", config.venue, text) for text in await look(venue, config)]
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


async def _look(venue: RemoteVenue, config: Config) -> list[str]:
    """As `remote.check_account`, for a run that sends nothing: it need not trade, and nothing of ours may be open."""
    await remote.require_flat(venue, config)
    return remote.check_readable(await venue.account_facts(), config)


def clock_finding(config: Config, reached: str, off_ms: int) -> Finding:
    """As a run judges the clock: told from a warning on, no entries beyond its limit."""
    told = f"{reached}; its clock is {off_ms:+} ms off"
    execution = ExecutionSettings()
    if abs(off_ms) > execution.clock_limit_ms:
        told += f": no entries beyond {execution.clock_limit_ms} ms; synchronise this machine's clock (`timedatectl`)"
        return Finding("error", config.venue, told)
    return Finding("warning" if abs(off_ms) > execution.clock_warning_ms else "ok", config.venue, told)


class LiveRun(Process):
    """The parts of one process on a real venue, and their order of life."""

    def __init__(self, options: RunOptions, config: Config, state: StateDir) -> None:
        super().__init__(options, config, state)
        self._session: Session | None = None
        self._pace = 1.0
        self._is_open = False
        self._executor: Executor  # made with the session

    async def main(self) -> int:
        """Start, recover, trade, end."""
        self._catch_signals()
        config = self._config
        store = SqlStore.open(self._state.database, venue=config.venue, account=config.account, hit=crash_points.hit)
        try:
            loaded = store.load()
            require(startup.other_money(store.modes(), config.mode))
            require(startup.switched_off(loaded.book, self._stop_file))
            if self._options.signals_only:
                require(startup.unprotected(startup.still_open(loaded.book, None)))
            if not remote.hosts_of(config).is_local:
                require(startup.written_in_the_future(loaded))
            remedy = startup.remedy_of(self._options, config)
            require(startup.left_behind(loaded.book, None, config.symbols, remedy))
            self._configure_logging()
            if note := remote.address_note(config):
                self._warn(note)
            worker = self._alert_worker(store)  # before the venue is reached: that it is not is worth an alert
            worker.start()
            self._reach_for(store, loaded)
            try:
                return await self._reach(store, loaded)
            finally:
                await worker.stop(SHUTDOWN_BUDGET_S / 4)
        finally:
            store.close()

    async def _reach(self, store: SqlStore, loaded: Loaded) -> int:
        """The venue, however long that takes, and the run on it."""
        config = self._config
        clock = await self._wait_for(lambda: remote.adopt_clock(config, loaded.last_ts_ms))
        if self._must_stop.is_set():
            return EXIT_DONE
        if clock is not None:
            require(startup.written_in_the_future(loaded, clock.told_ms))
            self._pace = clock.pace
        self._clock = own = clock or SteadyClock(not_before_ms=loaded.last_ts_ms)
        self._stepped_ms = lambda: own.stepped_ms
        make = remote.make_reader if self._options.signals_only else remote.make_venue
        venue = make(config, self._clock)
        try:
            return await self._on(venue, store, loaded)
        finally:
            await venue.close()

    def _stop(self, reason: str) -> None:
        super()._stop(reason)
        if self._session is not None:
            self._session.stop(reason)

    async def _on(self, venue: RemoteVenue, store: SqlStore, loaded: Loaded) -> int:
        opened = await self._wait_for(lambda: self._prepare(venue))
        if opened is None:
            return EXIT_DONE  # told to stop before the venue could be reached
        settings, brain, feeding = opened
        try:
            await self._trade(venue, store, loaded, settings, brain, feeding)
        finally:
            await feeding.close()
        return EXIT_DONE

    async def _trade(
        self,
        venue: RemoteVenue,
        store: SqlStore,
        loaded: Loaded,
        settings: EngineSettings,
        brain: Brain,
        feeding: Feeding,
    ) -> None:
        pump, session = self._wire(venue, store, loaded, settings, brain, feeding)
        if not loaded.book.ledger.bookings:
            await self._book_opening(venue, pump, settings)
        control = ControlServer(self._state.control_socket, self._command)
        await control.start()
        observer = Observer(self._config, self._state, store, pump, self._clock, session.handle, self._run_id)
        self._observe(observer, self._executor)
        observer.supervisor.start("market data", feeding.run, session.fail)
        venue.watch_clock(session.handle)
        observer.supervisor.start("clock", lambda: self._compare_clocks(venue), session.fail)
        observer.start(watches_disk=True)
        try:
            await session.run()
        finally:
            await observer.stop()
            await control.stop()

    async def _prepare(self, venue: RemoteVenue) -> tuple[EngineSettings, Brain, Feeding]:
        config = self._config
        if not self._is_open:  # what follows may have to be asked again; the stream stands
            await remote.open_venue(venue)
            self._is_open = True
        instruments = await self._arrange(venue)
        settings = self._settings(config, instruments, venue.capabilities)
        strategies = strategies_of(config, config.symbols)
        filters = filters_of(config, strategies)
        brain = Brain(strategies, instruments, MINUTE_MS, filters, settings.atr_periods, settings.levels)
        past = await warm_up.read_higher(venue, brain, config.symbols, floor_to(self._clock.now_ms(), MINUTE_MS))
        feeding = Feeding(config, venue, list(instruments.values()), self._clock, self._pace)
        try:
            base = await feeding.open(past.base_counts)
        except BaseException:
            await feeding.close()
            raise
        past.teach(brain, instruments, base)
        return settings, brain, feeding

    async def _arrange(self, venue: RemoteVenue) -> dict[str, Instrument]:
        """Check the account and set it up, or look at it only where nothing is sent; the facts of what is traded."""
        config = self._config
        look = _look if self._options.signals_only else remote.check_account
        for text in await look(venue, config):
            self._warn(text)
        instruments = {one.symbol: one for one in await venue.instruments()}
        if not self._options.signals_only:
            await remote.arrange_account(venue, config, config.symbols)
        return instruments

    def _wire(
        self,
        venue: RemoteVenue,
        store: SqlStore,
        loaded: Loaded,
        settings: EngineSettings,
        brain: Brain,
        feeding: Feeding,
    ) -> tuple[Pump, Session]:
        timers = Timers()
        executor = self._executor = Executor(venue, self._clock, timers, crash_points.hit)
        state = initial_state(loaded, self._epoch())
        dispatch = executor.dispatch
        pump = Pump(
            state, settings, store, self._run_id, dispatch, self._log_records, lambda: None, 1, self._stepped_ms
        )
        executor.attach(pump)
        level = bootstrap.stop_level(self._config)
        parts = Parts(venue, feeding, brain, pump, executor, timers, self._clock, self._stop_file, level)
        crashed_ms = store.unfinished_ms()
        hashed = config_hash(self._config)
        identity = Identity(self._run_id, __version__, self._config.mode, hashed, crashed_ms)
        flattens = self._config.on_shutdown == "flatten"
        is_watched = bool(self.manager)
        session = Session(parts, identity, pace=self._pace, flatten_on_stop=flattens, is_watched=is_watched)
        feeding.on_report = session.handle
        self._pump, self._session = pump, session
        self._silence = Silence(self._pace)
        instruments, capabilities = settings.instruments, venue.capabilities
        self._settings_of = lambda changed: self._settings(changed, instruments, capabilities)
        if self._stopping:
            session.stop(self._stopping)
        return pump, session

    async def _compare_clocks(self, venue: RemoteVenue) -> None:
        """Every hour; the session is told of each measurement, that of the opening included."""
        pause_s = CLOCK_PERIOD_S
        while True:
            await asyncio.sleep(pause_s / self._pace)
            try:
                await venue.measure_clock()
                pause_s = CLOCK_PERIOD_S
            except VenueUnavailable as error:
                logger.warning("{}'s clock could not be measured ({})", venue.name, error)
                pause_s = CLOCK_RETRY_S

    async def _book_opening(self, venue: RemoteVenue, pump: Pump, settings: EngineSettings) -> None:
        """The wallet as it is when the ledger begins: what made it so is not ours to count."""
        opening = await remote.read_opening(venue, settings.asset, self._clock)
        pump.handle(IncomeSeen(self._clock.now_ms(), opening))
