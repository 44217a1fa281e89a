"""One paper run on the live market of a venue: public data, no key, orders filled by the embedded exchange.

What belongs here: reaching the market, matching what was missed, handing candles to the driver as they come. What
does not: the order of a start and an end (paper), the order of things at an instant (replay), candles (feeding).

The exchange matches whole candles, as on recorded ones, so the engine's time stands at the close of the last one. A
start lets the exchange match what passed meanwhile before the engine reconciles, as if it had never been down.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from loguru import logger

from trading_engine.config.model import Config
from trading_engine.core.settings import ExecutionSettings
from trading_engine.domain.events import FeedReported
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle, FundingRate
from trading_engine.domain.time import MINUTE_MS, floor_to, iso
from trading_engine.marketdata.replay import Batch
from trading_engine.ports import Clock, Loaded, PublicMarket
from trading_engine.runtime import bootstrap, contracts, remote, rule_settings, startup, warm_up
from trading_engine.runtime.bootstrap import Finding, RunOptions
from trading_engine.runtime.brain import Brain
from trading_engine.runtime.configured import idle_slippage
from trading_engine.runtime.feeding import Feeding
from trading_engine.runtime.paper import Ground, PaperRun
from trading_engine.runtime.process import require
from trading_engine.runtime.pump import Pump
from trading_engine.runtime.replay import POLL_S, Arrival, ReplayDriver
from trading_engine.runtime.service_report import Silence
from trading_engine.runtime.settlements import Settlements
from trading_engine.runtime.startup import Paper
from trading_engine.runtime.strategy_setup import Filters, filters_of, strategies_of
from trading_engine.runtime.warm_up import Past
from trading_engine.strategy.api import Strategy
from trading_engine.system.clock import SteadyClock
from trading_engine.system.state_dir import StateDir
from trading_engine.venues.embedded.facts import known_instrument
from trading_engine.venues.embedded.venue import EmbeddedVenue

_CHUNK_MS = 1_000 * MINUTE_MS  # missed candles are matched in parts of so much time
_SETTLED_MS = 3_000  # so long after a minute's end every venue's history has it


def rehearse(config: Config) -> list[Finding]:
    """Ask the venue everything a start asks; what was found. Raises ConfigInvalid and VenueUnavailable as a start."""
    return asyncio.run(_rehearse(config))


async def _rehearse(config: Config) -> list[Finding]:
    clock = await remote.adopt_clock(config, 0) or SteadyClock()
    market = remote.make_public(config, clock)
    host = remote.hosts_of(config).rest_url
    try:
        ahead_ms = await market.measure_clock()
        found = [Finding("ok", config.venue, f"reached at {host} without a key; its clock is {ahead_ms:+} ms off")]
        for one in (await _instruments(market, config)).values():
            until_ms = floor_to(clock.now_ms(), MINUTE_MS)
            candles = await market.candles(one, MINUTE_MS, until_ms - 10 * MINUTE_MS, until_ms)
            text = f"tick {one.tick}, step {one.step}, at least {one.min_notional} {one.settle_asset}"
            newest = f"candles until {iso(candles[-1].close_time_ms)}" if candles else "no candles in ten minutes"
            found.append(Finding("ok" if candles else "warning", one.symbol, f"{text}; {newest}"))
        return found
    finally:
        await market.close()


async def _instruments(market: PublicMarket, config: Config) -> Mapping[str, Instrument]:
    """The contracts as the venue tells them; what it tells accounts only is what is built in, or assumed."""
    found = {}
    for told in await market.listed():
        known = known_instrument(told.symbol)
        if known is not None and not market.tells_tiers:
            told = replace(told, max_leverage=known.max_leverage, tiers=known.tiers)  # noqa: PLW2901 - as it counts
        found[told.symbol] = bootstrap.instrument_of(config, told.symbol, told)
    return found


class _History:
    """A public market that is asked by symbol, as feeds do."""

    def __init__(self, market: PublicMarket, instruments: Mapping[str, Instrument]) -> None:
        self._market = market
        self._instruments = instruments

    async def candles(self, symbol: str, interval_ms: int, since_ms: int, until_ms: int) -> Sequence[Candle]:
        """Closed candles, oldest first."""
        return await self._market.candles(self._instruments[symbol], interval_ms, since_ms, until_ms)


class _LiveMarket:
    """What the driver asks of a market, where nothing is known before it has come."""

    interval_ms = MINUTE_MS

    def __init__(self, settlements: Settlements) -> None:
        self._settlements = settlements

    def batches(self, from_ts: int = 0) -> Iterator[Batch]:
        """None: they arrive."""
        del from_ts
        return iter(())

    def funding_between(self, after_ts: int, until_ts: int) -> tuple[FundingRate, ...]:
        """What has come due; one that was told late is charged late, the exchange knows which it has had."""
        del after_ts
        return self._settlements.take(until_ts)


class LivePaperRun(PaperRun):
    """The parts of one process that trades on paper at a venue's market."""

    def __init__(self, options: RunOptions, config: Config, state: StateDir) -> None:
        super().__init__(options, config, state)
        self._present: Clock = SteadyClock()  # the market's time; the engine's stands at the last close
        self._pace = 1.0
        self._market: PublicMarket | None = None
        self._feeding: Feeding | None = None
        self._instruments: Mapping[str, Instrument] = {}
        self._past = Past({}, {})
        self._minutes: Mapping[str, Sequence[Candle]] = {}
        self._begin_ms = 0
        self._settlements: Settlements  # made with the market
        self._arriving: asyncio.Queue[Sequence[Candle]] = asyncio.Queue()
        self._failure: BaseException | None = None

    async def main(self) -> int:
        """Start, recover, play until told to stop."""
        try:
            return await super().main()
        finally:
            for part in (self._feeding, self._market):
                if part is not None:
                    await part.close()

    @property
    def _is_quiet(self) -> bool:
        return False

    @property
    def _is_live_market(self) -> bool:
        return True

    @property
    def _symbols(self) -> Collection[str]:
        return self._config.symbols

    # ── the beginning ───────────────────────────────────────────────────────

    async def _stand(self, loaded: Loaded, paper: Paper | None) -> Ground | None:
        config = self._config
        if not remote.hosts_of(config).is_local:
            require(startup.written_in_the_future(loaded))
        for text in (
            remote.address_note(config),
            *bootstrap.simplified(config),
            *idle_slippage(config),
            *startup.of_the_balance(config, loaded),
        ):
            if text:
                self._warn(text)
        clock = await self._wait_for(lambda: remote.adopt_clock(config, loaded.last_ts_ms))
        if self._must_stop.is_set():
            return None
        if clock is not None:
            require(startup.written_in_the_future(loaded, clock.told_ms))
        self._present = clock or SteadyClock(not_before_ms=loaded.last_ts_ms)
        self._pace = clock.pace if clock is not None else 1.0
        strategies = strategies_of(config, config.symbols)
        filters = filters_of(config, strategies)
        market = self._market = remote.make_public(config, self._present)
        feeding = await self._wait_for(lambda: self._reach(market, strategies, filters))
        if feeding is None:
            return None
        told = contracts.kept(self._state)
        require(contracts.changed(told, self._instruments, startup.still_open(loaded.book, paper)))
        contracts.keep(self._state, self._instruments)
        settlements = Settlements(market, config.symbols, self._begin_ms - 1, self._sleep)
        feeding.listen(settlements.on_market)
        feeding.subscribe(self._arriving.put_nowait)
        self._settlements = settlements
        listed = startup.listed(config, self._instruments, paper, told)
        settings = self._settings(config, self._instruments)
        terms = bootstrap.terms_of(config)
        return Ground(settings, terms, strategies, filters, listed, _LiveMarket(settlements), self._begin_ms)

    async def _reach(
        self, market: PublicMarket, strategies: Mapping[str, Sequence[Strategy]], filters: Filters
    ) -> Feeding:
        """Everything that may have to be asked for again: contracts, and the candles before the first to come."""
        await market.measure_clock()
        self._instruments = await _instruments(market, self._config)
        into_ms = self._present.now_ms() % MINUTE_MS
        if into_ms < _SETTLED_MS:  # history would lack the minute that has just ended
            await self._sleep((_SETTLED_MS - into_ms) / 1000)
        if self._feeding is not None:  # asked before, in vain
            await self._feeding.close()
        history = _History(market, self._instruments)
        feeding = Feeding(self._config, history, list(self._instruments.values()), self._present, self._pace)
        self._feeding = feeding
        begin_ms = floor_to(self._present.now_ms(), MINUTE_MS)
        # For what it wants to know; _wire makes its own.
        brain = Brain(strategies, self._instruments, MINUTE_MS, filters, rule_settings.atr_periods(self._config))
        self._past = await warm_up.read_higher(history, brain, self._instruments, begin_ms)
        self._minutes = await feeding.open(self._past.base_counts)
        ends_ms = [candles[-1].close_time_ms for candles in self._minutes.values() if candles]
        self._begin_ms = max(ends_ms, default=begin_ms)
        return feeding

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._pace)

    def _warm_up(self, brain: Brain, closed_ms: int) -> None:
        del closed_ms
        self._past.teach(brain, self._instruments, self._minutes)
        self._past, self._minutes = Past({}, {}), {}

    # ── what was missed ─────────────────────────────────────────────────────

    async def _catch_up(self, driver: ReplayDriver, venue: EmbeddedVenue) -> None:
        """Match the candles that passed while nobody listened, where anything could have happened in them."""
        del driver
        account = venue.account_state
        since_ms = max(venue.progress.open_ms, 0)
        is_idle = not account.orders and not any(held.sign for held in account.positions.values())
        if not since_ms or is_idle or since_ms >= self._begin_ms:
            return
        happened = 0
        minutes = (self._begin_ms - since_ms) // MINUTE_MS
        logger.info("matching the {} minutes since {}", minutes, iso(since_ms))
        while since_ms < self._begin_ms:
            until_ms = min(since_ms + _CHUNK_MS, self._begin_ms)
            missed = await self._wait_for(lambda: self._missed(venue.progress.funded_ms, since_ms, until_ms))  # noqa: B023 - awaited here
            if missed is None:
                return
            happened += sum(venue.catch_up(open_ms, *missed[open_ms]) for open_ms in sorted(missed))
            since_ms = until_ms
        logger.info("{} minutes matched, {} fills, fundings and expired orders", minutes, happened)

    async def _missed(
        self, funded_ms: int, since_ms: int, until_ms: int
    ) -> dict[int, tuple[list[Candle], list[FundingRate]]]:
        """By open time, what is to be matched together."""
        market = self._market
        assert market is not None  # noqa: S101 - _stand has made it
        batches: dict[int, tuple[list[Candle], list[FundingRate]]] = {}
        rates: list[FundingRate] = []
        for symbol in sorted(self._instruments):
            for candle in await market.candles(self._instruments[symbol], MINUTE_MS, since_ms, until_ms):
                batches.setdefault(candle.open_time_ms, ([], []))[0].append(candle)
            rates += await market.settlements(symbol, max(funded_ms + 1, since_ms - MINUTE_MS), until_ms)
        opens = sorted(batches)
        for rate in sorted(rates, key=lambda rate: (rate.ts_ms, rate.symbol)):
            open_ms = next((open_ms for open_ms in opens if open_ms >= rate.ts_ms), None)
            if open_ms is not None:
                batches[open_ms][1].append(rate)
        return batches

    # ── what comes ──────────────────────────────────────────────────────────

    async def _play(self, driver: ReplayDriver, pump: Pump) -> None:
        feeding = self._feeding
        assert feeding is not None  # noqa: S101 - _stand has made it
        feeding.on_report = lambda report: self._on_report(pump, report)
        self._silence = Silence(self._pace)
        assert self._observer is not None  # noqa: S101 - made with the run
        self._observer.supervisor.start("market data", feeding.run, self._fail)
        await driver.follow(self._arrive)

    def _fail(self, error: BaseException) -> None:
        self._failure = error

    def _on_report(self, pump: Pump, report: FeedReported) -> None:
        """As of the engine's time, which the market is ahead of."""
        pump.handle(replace(report, ts_ms=self._clock.now_ms()))

    async def _arrive(self) -> Arrival | None:
        if self._failure is not None:
            raise self._failure  # a feed that is given up would be a market without candles
        try:
            async with asyncio.timeout(POLL_S):
                candles = tuple(await self._arriving.get())
        except TimeoutError:
            return None
        open_ms = candles[0].open_time_ms
        logger.debug("candles of {}: {}", iso(open_ms), ", ".join(candle.symbol for candle in candles))
        await self._settlements.collect(open_ms)
        age_ms = self._present.now_ms() - candles[0].close_time_ms
        is_late = age_ms > ExecutionSettings().max_signal_age_ms
        return Arrival(Batch(open_ms, candles, ()), is_late)

    async def _close_all(self, driver: ReplayDriver, pump: Pump) -> None:
        del pump
        await driver.settle_exits()
