"""The engine's loop in small: a market of one symbol, scripted signals, a real pump, executor and exchange.

What belongs here: the parts that a replay driver turns, wired as the engine wires them, with crash points
around every commit. What does not: any expectation.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

from fakes.memory_store import MemoryStore

from trading_engine.core import on_timer
from trading_engine.core.effects import SetTimer
from trading_engine.core.settings import EngineSettings, LimitSettings
from trading_engine.core.state import Book, EngineState, Market
from trading_engine.domain.control import Level
from trading_engine.domain.events import (
    Event,
    RunBegan,
)
from trading_engine.domain.fills import Fill
from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.domain.market import Candle, FundingRate, Side, Signal
from trading_engine.domain.records import ControlChanged, Fate, SignalSeen
from trading_engine.marketdata.block import CandleBlock, join
from trading_engine.marketdata.replay import Batch
from trading_engine.ports import Commit
from trading_engine.runtime.brain import Brain
from trading_engine.runtime.clock import VirtualClock
from trading_engine.runtime.executor import Executor
from trading_engine.runtime.pump import Pump
from trading_engine.runtime.replay import Parts, ReplayDriver
from trading_engine.runtime.timers import Timers
from trading_engine.system.stop_file import StopFile
from trading_engine.venues.embedded.memory import Memory
from trading_engine.venues.embedded.terms import Terms
from trading_engine.venues.embedded.venue import EmbeddedVenue

BTC = "BTCUSDT"
START = 1_746_316_800_000
MINUTE = 60_000
INSTRUMENT = Instrument(
    symbol=BTC,
    tick=Decimal(1),
    step=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    max_quantity=Decimal(100),
    min_notional=Decimal(5),
    max_leverage=Decimal(50),
    tiers=(MarginTier(Decimal(10**9), Decimal("0.005"), Decimal(0), Decimal(50)),),
)
SETTINGS = EngineSettings("embedded", "paper", "USDT", {BTC: INSTRUMENT}, absence_is_proof=True)
LENIENT = replace(SETTINGS, limits=LimitSettings(cooldown_ms=0, consecutive_losses=100, shock_range_ppm=0))
TERMS = Terms(slippage_ppm=0, volume_share_ppm=1_000_000)
Shape = tuple[int, int, int, int]
FLAT: Shape = (1_000, 1_000, 1_000, 1_000)


def at(minute: int) -> int:
    """The instant so many minutes after the start."""
    return START + minute * MINUTE


@dataclass
class Tape:
    """A market of one symbol, written down candle by candle, a minute each."""

    shapes: Sequence[Shape]
    rates: tuple[FundingRate, ...] = ()
    volume: int = 1_000_000
    symbols: tuple[str, ...] = (BTC,)
    interval_ms: int = MINUTE
    first_ts: int = START

    @property
    def last_ts(self) -> int:
        """Open time of the last candle."""
        return at(len(self.shapes) - 1)

    def batches(self, from_ts: int = 0) -> Iterator[Batch]:
        """The candles from a time on."""
        for minute, shape in enumerate(self.shapes):
            if at(minute) >= from_ts:
                candle = Candle(BTC, at(minute), MINUTE, *shape, self.volume)
                yield Batch(at(minute), (candle,), ())

    def history(self, symbol: str, before_ts: int, count: int) -> CandleBlock:
        """None: the scripted brain needs no warm-up."""
        del symbol, before_ts, count
        return join([])

    def funding_between(self, after_ts: int, until_ts: int) -> tuple[FundingRate, ...]:
        """The settlements in (after_ts, until_ts]."""
        return tuple(rate for rate in self.rates if after_ts < rate.ts_ms <= until_ts)


class ScriptedBrain(Brain):
    """Has its signals written down by the minute whose candle they are on."""

    def __init__(self, script: dict[int, Signal], on_signal: Callable[[], None]) -> None:
        super().__init__({}, {}, MINUTE)
        self._script = {at(minute): signal for minute, signal in script.items()}
        self._on_signal = on_signal

    def signals(self, candles: Sequence[Candle]) -> tuple[Signal, ...]:
        """What is written down for this candle."""
        signal = self._script.get(candles[0].open_time_ms)
        if signal is None:
            return ()
        self._on_signal()
        return (signal,)


class ListeningPump(Pump):
    """A pump that also keeps what it was told."""

    heard: list[Event]

    def handle(self, event: Event) -> None:
        """Take in one event."""
        self.heard.append(event)
        super().handle(event)


class Died(BaseException):
    """Stands for the end of the process."""


@dataclass
class CrashPoints:
    """Counts the places that are reached; the `fatal`-th one is the last."""

    fatal: int = 0
    reached: list[str] = field(default_factory=list)

    def hit(self, name: str) -> None:
        """One place."""
        self.reached.append(name)
        if len(self.reached) == self.fatal:
            raise Died(name)


class DyingStore(MemoryStore):
    """A store with crash points around its commit, as the real one has."""

    def __init__(self) -> None:
        super().__init__()
        self.points = CrashPoints()

    def commit(self, commit: Commit) -> int:
        """Write, unless a crash comes first."""
        self.points.hit("engine.commit.before")
        last = super().commit(commit)
        self.points.hit("engine.commit.after")
        return last


def long_signal(minute: int, stop: int = 100, target: int = 0) -> Signal:
    """Buy on the close of a minute's candle at 1,000."""
    return Signal("s", BTC, Side.LONG, 0.5, 1_000, stop, target, at(minute))


@dataclass
class Rig:
    """One process: driver, engine and exchange on a folder and a store that may outlive it."""

    folder: Path
    tape: Tape
    script: dict[int, Signal] = field(default_factory=dict)
    store: DyingStore = field(default_factory=DyingStore)
    settings: EngineSettings = SETTINGS
    stop_level: Level = Level.NO_ENTRY
    speed: float | None = None
    should_stop: Callable[[], bool] = lambda: False
    on_signal: Callable[[], object] = lambda: None

    def __post_init__(self) -> None:
        self.stop_path = self.folder / "STOP"
        self.clock, self.timers = VirtualClock(), Timers()
        hit = self.store.points.hit
        memory = Memory(self.folder / "paper.db", hit)
        self.venue = EmbeddedVenue(memory, [INSTRUMENT], TERMS, Decimal(10_000), START)
        self.executor = Executor(self.venue, self.clock, self.timers, hit)
        loaded = self.store.load()
        seen = loaded.checkpoint
        market = Market({}, seen.cursor_ms, seen.decided_ms, seen.reconciled_ms) if seen else Market()
        book = loaded.book if loaded.book.epoch else Book(epoch="aaaa")
        self.pump = ListeningPump(
            EngineState(book, market),
            self.settings,
            self.store,
            "run",
            self.executor.dispatch,
            lambda _, __: None,
            self.venue.save_progress,
        )
        self.pump.heard = []
        self.executor.attach(self.pump)
        self.progress: list[tuple[int, int]] = []
        parts = Parts(
            self.tape,
            self.venue,
            ScriptedBrain(self.script, self._signalled),
            self.pump,
            self.executor,
            self.timers,
            self.clock,
            StopFile(self.stop_path),
            self.stop_level,
        )
        self.driver = ReplayDriver(
            parts, self.speed, self._is_over, lambda done, now_ms: self.progress.append((done, now_ms))
        )
        self.clock.advance_to(max(market.closed_ms, self.venue.progress.now_ms))

    def run(self, *timers: SetTimer) -> "Rig":
        """Recover and play to the end, as the engine does; releases the exchange's file in any case."""
        return self.run_through(self.driver.run, *timers)

    def run_through(self, play: Callable[[], Coroutine[object, object, None]], *timers: SetTimer) -> "Rig":
        """As `run`, with something else to play."""

        async def main() -> None:
            self.driver.catch_up()
            self.pump.handle(RunBegan(self.clock.now_ms(), "run", "0", "paper", "hash"))
            await self.executor.idle()
            boot = on_timer.boot_timers(self.pump.state.book, self.settings, self.clock.now_ms())
            for timer in (*boot, *timers):
                self.executor.dispatch(timer)
            await play()

        try:
            asyncio.run(main())
        finally:
            self.fills = self._fills()
            self.venue.close()
        return self

    def _signalled(self) -> None:
        self.on_signal()

    def _is_over(self) -> bool:
        return self.should_stop()

    def _fills(self) -> Sequence[Fill]:
        return asyncio.run(self.venue.fills_since(0))

    @property
    def trades(self) -> list[tuple[int, Decimal]]:
        """Minute and price of every fill."""
        return [((fill.ts_ms - START) // MINUTE, fill.price) for fill in self.fills]

    @property
    def fates(self) -> list[Fate]:
        """What became of the signals."""
        return [record.fate for record in self.records if isinstance(record, SignalSeen)]

    @property
    def levels(self) -> list[Level]:
        """Every change of the kill switch."""
        return [record.level for record in self.records if isinstance(record, ControlChanged)]

    @property
    def records(self) -> list[object]:
        """Everything that was written down."""
        return [record for commit in self.store.commits for record in commit.records]
