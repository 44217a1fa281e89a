"""A live session in small: the real session, pump, executor and timers between a scripted venue and made-up time.

What belongs here: fakes of what a session turns (market data, strategies, STOP file, clock) and the loop they
run on, where waiting takes no time. What does not: any expectation.
"""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Sequence
from decimal import Decimal
from typing import Literal

from fakes.memory_store import MemoryStore
from fakes.scripted_venue import ScriptedVenue

from trading_engine.core.settings import EngineSettings
from trading_engine.core.state import Book, EngineState
from trading_engine.domain.control import Level
from trading_engine.domain.events import Event
from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.domain.market import Candle, Side, Signal
from trading_engine.domain.records import Record
from trading_engine.ports import CandleSink
from trading_engine.runtime.executor import Executor
from trading_engine.runtime.pump import Pump
from trading_engine.runtime.session import Identity, Parts, Session
from trading_engine.runtime.timers import Timers
from trading_engine.simulation.loop import VirtualLoop

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
SETTINGS = EngineSettings("scripted", "test", "USDT", {BTC: INSTRUMENT})


class LoopClock:
    """The running loop's time, as if it had begun at START."""

    def now_ms(self) -> int:
        """The present instant."""
        return START + round(asyncio.get_running_loop().time() * 1000)


class Feed:
    """Market data that closes the candles a test hands to it."""

    def __init__(self) -> None:
        self._sinks: list[CandleSink] = []

    def subscribe(self, sink: CandleSink) -> None:
        """Tell `sink` of every candle."""
        self._sinks.append(sink)

    def close(self, price: int, open_ms: int = START) -> None:
        """Let a candle close at `price`."""
        candle = Candle(BTC, open_ms, MINUTE, price, price, price, price, 1_000)
        for sink in self._sinks:
            sink((candle,))


class Script:
    """Strategies that say once what is written in `next`, or break where `fault` is set."""

    def __init__(self) -> None:
        self.next: tuple[Signal, ...] = ()
        self.fault: Exception | None = None

    def signals(self, candles: Sequence[Candle]) -> tuple[Signal, ...]:
        """What is written."""
        del candles
        if self.fault is not None:
            raise self.fault
        said, self.next = self.next, ()
        return said


class StopNote:
    """A STOP file without a file."""

    path = "STOP"

    def __init__(self) -> None:
        self.demand: Literal["block", "flatten"] | None = None
        self.looks = 0
        self.fault: Exception | None = None

    def read(self) -> str | None:
        """What it demands."""
        self.looks += 1
        if self.fault is not None:
            raise self.fault
        return self.demand


class ListeningPump(Pump):
    """A pump that also keeps what it was told."""

    heard: list[Event]

    def handle(self, event: Event) -> None:
        """Take in one event."""
        self.heard.append(event)
        super().handle(event)


def long_signal(open_ms: int = START) -> Signal:
    """Buy at 1,000 with a stop at 900."""
    return Signal("s", BTC, Side.LONG, 0.5, 1_000, 100, 0, open_ms)


class LiveRig:
    """One process. Made inside a running loop."""

    def __init__(
        self,
        book: Book | None = None,
        *,
        stop_poll_s: float = 0.5,
        flatten_on_stop: bool = False,
        is_watched: bool = False,
    ) -> None:
        self.clock = LoopClock()
        self.venue = ScriptedVenue([INSTRUMENT], Decimal(10_000), START)
        self.feed, self.script, self.stop_file = Feed(), Script(), StopNote()
        self.store, self.timers = MemoryStore(), Timers()
        self.executor = Executor(self.venue, self.clock, self.timers, lambda _: None)
        state = EngineState(book or Book(epoch="aaaa"))
        self.pump = ListeningPump(
            state, SETTINGS, self.store, "run", self.executor.dispatch, lambda _, __: None, lambda: None
        )
        self.pump.heard = []
        self.executor.attach(self.pump)
        parts = Parts(
            self.venue,
            self.feed,
            self.script,
            self.pump,
            self.executor,
            self.timers,
            self.clock,
            self.stop_file,
            Level.NO_ENTRY,
        )
        identity = Identity("run-1", "0.1", "live", "hash")
        self.session = Session(
            parts, identity, stop_poll_s=stop_poll_s, flatten_on_stop=flatten_on_stop, is_watched=is_watched
        )
        self._run: asyncio.Task[None] | None = None

    @property
    def seconds(self) -> float:
        """How long the loop has been running."""
        return (self.clock.now_ms() - START) / 1000

    @property
    def heard(self) -> list[type]:
        """The kinds of events, in the order in which they came."""
        return [type(event) for event in self.pump.heard]

    @property
    def records(self) -> list[Record]:
        """Everything that was written down."""
        return [record for commit in self.store.commits for record in commit.records]

    async def begin(self, wait_s: float = 0.1) -> None:
        """Start the session, and let it recover."""
        self._run = asyncio.ensure_future(self.session.run())
        await asyncio.sleep(wait_s)

    async def end(self, reason: str = "SIGTERM") -> None:
        """Ask for the end and wait for it; raises what the session raises."""
        self.session.stop(reason)
        await self.ended()

    async def ended(self) -> None:
        """Wait for the end; raises what the session raises."""
        assert self._run is not None
        await self._run

    async def enter(self, *, fills: bool = True) -> str:
        """A signal that is taken; the id of its entry, filled and protected unless told otherwise."""
        self.script.next = (long_signal(),)
        self.feed.close(1_000)
        await asyncio.sleep(0.1)
        entry = self.venue.requests[-1].client_order_id
        if fills:
            self.venue.fill_market_orders(BTC, Decimal(1_000))
            await asyncio.sleep(0.1)
        return entry


def live(talk: Callable[[], Coroutine[object, object, None]]) -> None:
    """Run `talk` on a loop without waiting; an error that nobody handles or retrieves fails the test."""
    loop = VirtualLoop()
    errors: list[str] = []
    loop.set_exception_handler(lambda _, context: errors.append(str(context.get("exception") or context["message"])))
    asyncio.set_event_loop(None)
    try:
        loop.run_until_complete(talk())
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        for _ in range(3):
            loop.run_until_complete(asyncio.sleep(0))
        gc.collect()
        loop.close()
    assert [] == errors
