"""The full engine: the live step, pump and executor on the embedded exchange, in virtual time and in memory.

What belongs here: wiring them for one run, and what they leave. What does not: any decision, any file.

It is the paper engine without its databases: what it trades is what paper trading trades on the same candles.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from trading_engine import __version__
from trading_engine.backtest.booked import decision_of, trade_of
from trading_engine.backtest.equity import Curve, Sample
from trading_engine.backtest.market import Market
from trading_engine.backtest.result import Outcome, Trade
from trading_engine.backtest.signals import Spoken
from trading_engine.core.effects import Effect
from trading_engine.core.project import prune
from trading_engine.core.risk import unrealized
from trading_engine.core.settings import EngineSettings
from trading_engine.core.state import Book, EngineState
from trading_engine.domain import money
from trading_engine.domain.control import Level
from trading_engine.domain.events import CandlesClosed, Event, RunBegan
from trading_engine.domain.lifecycle import CloseReason, PositionState
from trading_engine.domain.market import Candle, FundingRate, Signal
from trading_engine.domain.records import ControlChanged, Fate, Record, SignalSeen
from trading_engine.marketdata.replay import CandleSource
from trading_engine.ports import Commit, Loaded
from trading_engine.runtime.brain import Brain
from trading_engine.runtime.clock import VirtualClock
from trading_engine.runtime.executor import Executor
from trading_engine.runtime.pump import Pump
from trading_engine.runtime.replay import Parts, ReplayDriver
from trading_engine.runtime.timers import Timers
from trading_engine.system.stop_file import StopFile
from trading_engine.venues.embedded.terms import Terms
from trading_engine.venues.embedded.venue import EmbeddedVenue
from trading_engine.venues.embedded.volatile import VolatileMemory

EPOCH = "bt00"
_UNFILLED = "never filled"
OnProgress = Callable[[int, int], None]


class _Heard(Brain):
    """Signals that were made once for the whole history."""

    def __init__(self, heard: Mapping[int, Sequence[Signal]]) -> None:
        super().__init__({}, {}, 1)
        self._heard = heard

    def signals(self, candles: Sequence[Candle]) -> tuple[Signal, ...]:
        """What was said on the close of these candles."""
        return tuple(self._heard.get(candles[0].close_time_ms, ()))


class _Notebook:
    """The store of a run in memory: it keeps the trades and the equity curve, and forgets the rest."""

    def __init__(self, instants: Collection[int]) -> None:
        self.trades: list[Trade] = []
        self.samples: list[Sample] = []
        self.fates: Counter[str] = Counter()
        self.stopped_ms = 0
        self._instants = instants
        self._book = Book(epoch="")

    def load(self) -> Loaded:
        """Every run is new."""
        return Loaded(self._book, None, 0)

    def commit(self, commit: Commit) -> int:
        """Write down what has closed."""
        for position in commit.book.positions.values():
            if position.state is not PositionState.CLOSED:
                continue
            if position.close_reason is CloseReason.ABANDONED:
                self.fates[str(Fate.TAKEN)] -= 1
                self.fates[_UNFILLED] += 1
            else:
                self.trades.append(trade_of(position))
        for record in commit.records:
            if isinstance(record, ControlChanged):  # nobody but the drawdown limit moves it here
                self.stopped_ms = self.stopped_ms or record.since_ms
            elif isinstance(record, SignalSeen) and record.signal.side is not None:
                self.fates[_fate(record)] += 1
        self._book = prune(commit.book)
        return 0

    def look(self, ts_ms: int, book: Book, marks: Mapping[str, Decimal]) -> None:
        """Write down what the account holds on a close, where that is one of the instants."""
        if ts_ms in self._instants:
            self.samples.append(Sample(ts_ms, book.ledger.balance, money.round_money(unrealized(book, marks))))

    def close(self) -> None:
        """Nothing to release."""


class _Watched(Pump):
    """The live pump, whose account is looked at after each close."""

    def __init__(
        self, state: EngineState, settings: EngineSettings, notebook: _Notebook, dispatch: Callable[[Effect], None]
    ) -> None:
        super().__init__(state, settings, notebook, EPOCH, dispatch, _no_record, _nothing)
        self._notebook = notebook

    def handle(self, event: Event) -> None:
        """Take in one event, then look."""
        super().handle(event)
        if isinstance(event, CandlesClosed):
            self._notebook.look(event.ts_ms, self.state.book, self.state.market.marks)


def run_full(
    market: Market,
    rates: Sequence[FundingRate],
    spoken: Spoken,
    settings: EngineSettings,
    terms: Terms,
    deposit: Decimal,
    on_progress: OnProgress | None = None,
) -> Outcome:
    """Trade the whole of a market on the signals heard at each close."""
    brain, notebook = _Heard(spoken.signals(market)), _Notebook(frozenset(market.instants().tolist()))
    return asyncio.run(
        _run(
            market.source(rates, settings.instruments),
            brain,
            notebook,
            settings,
            terms,
            deposit,
            on_progress or _nobody,
        )
    )


async def _run(
    source: CandleSource,
    brain: Brain,
    notebook: _Notebook,
    settings: EngineSettings,
    terms: Terms,
    deposit: Decimal,
    on_progress: OnProgress,
) -> Outcome:
    instruments = [settings.instruments[symbol] for symbol in source.symbols]
    venue = EmbeddedVenue(VolatileMemory(), instruments, terms, deposit, source.first_ts, settings.account)
    clock, timers = VirtualClock(), Timers()
    executor = Executor(venue, clock, timers, _no_hit)
    state = EngineState(Book(epoch=EPOCH))
    pump = _Watched(state, settings, notebook, executor.dispatch)
    executor.attach(pump)
    clock.advance_to(source.first_ts)
    never = StopFile(Path("/nonexistent/STOP"))
    parts = Parts(source, venue, brain, pump, executor, timers, clock, never, Level.NO_ENTRY)
    pump.handle(RunBegan(clock.now_ms(), EPOCH, __version__, "backtest", ""))
    await executor.idle()
    await ReplayDriver(parts, None, lambda: False, on_progress).run()
    book = pump.state.book
    held = [one for one in book.positions.values() if one.state is not PositionState.PENDING]
    return Outcome(
        engine="full",
        deposit=deposit,
        trades=tuple(sorted(notebook.trades, key=lambda trade: (trade.closed_ms, trade.position_id))),
        samples=Curve.of(notebook.samples),
        balance=book.ledger.balance,
        unrealized=money.round_money(unrealized(book, pump.state.market.marks)),
        open_positions=len(held),
        still_open=frozenset(decision_of(one) for one in held),
        open_since=tuple(one.opened_ms for one in held),
        stopped_ms=notebook.stopped_ms,
        fates={fate: many for fate, many in notebook.fates.most_common() if many},
    )


def _fate(seen: SignalSeen) -> str:
    """With the head of the reason where an entry was forbidden: the limit or the bound that it met."""
    head = re.split(r":| \(", seen.reason, maxsplit=1)[0]
    return f"{seen.fate} ({head})" if seen.fate in (Fate.GATED, Fate.REFUSED) else str(seen.fate)


def _no_hit(name: str) -> None:
    del name


def _no_record(ts_ms: int, records: tuple[Record, ...]) -> None:
    del ts_ms, records


def _nothing() -> None:
    return


def _nobody(done: int, now_ms: int) -> None:
    del done, now_ms
