"""Closed candles of a live market, each once, in order, without holes.

What belongs here: listening to a stream, asking history for what it lacks, freshness, warm-up, handing on. What
does not: sockets and frames (venues), what may leave when (assembly), when a candle is closed (candle_builder).

The stream is believed only as far as history agrees: each closed candle is compared with REST before it leaves,
unless REST does not answer in time; what the stream may have missed comes from REST alone. An open connection
counts for nothing: a symbol is fresh while its own data is young and its candles are not behind.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from trading_engine.domain.errors import RateLimited, VenueRejected, VenueUnavailable
from trading_engine.domain.market import Candle
from trading_engine.domain.streams import CandleUpdate
from trading_engine.domain.time import DAY_MS, MINUTE_MS, floor_to, iso
from trading_engine.marketdata.assembly import Assembly, Difference, Patience, Span
from trading_engine.marketdata.candle_builder import CandleUpdates
from trading_engine.ports import CandleSink, Clock

_ASKED_AT_ONCE = 4
_AGAIN_MS = 500  # between two questions about the same candles
_LONGEST_PAUSE_MS = 15_000
_WARM_UP_TRIES = 4


class MarketStream(Protocol):
    """Updates of forming candles, as a venue pushes them; each symbol is a stream of its own."""

    def subscribe(self, on_update: Callable[[CandleUpdate], None], on_break: Callable[[str], None]) -> None:
        """Tell updates from now on, and the symbol of a stream that broke: something may be missed from there."""
        ...

    def is_speaking(self, symbol: str) -> bool:
        """Data of this stream has come over the present connection."""
        ...

    def data_age_ms(self, symbol: str) -> int:
        """Time since the last data of this stream; very large before the first."""
        ...


class CandleHistory(Protocol):
    """What a venue has on record; `ports.RemoteVenue` is one."""

    async def candles(self, symbol: str, interval_ms: int, since_ms: int, until_ms: int) -> Sequence[Candle]:
        """Closed candles that open in [since_ms, until_ms), oldest first. VenueUnavailable where it cannot tell."""
        ...


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """What a feed is told.

    stale_ms  a symbol without data for so long is not fresh
    turn_ms   how often it is looked whether something is due; a closed candle is noticed at once
    """

    symbols: tuple[str, ...]
    interval_ms: int = MINUTE_MS
    stale_ms: int = 30_000
    turn_ms: int = 250
    patience: Patience = field(default_factory=Patience)


class NoticeKind(StrEnum):
    """What an operator may want to know about a feed."""

    GAP = "gap"  # candles are missing and asked for
    FILLED = "filled"  # they have come
    DIFFERENT = "different"  # stream and REST disagree; told once until they agree again
    ALIKE = "alike"
    HISTORY_DOWN = "history_down"
    HISTORY_UP = "history_up"
    LAGGING = "lagging"  # the others go on without this symbol
    CAUGHT_UP = "caught_up"
    STALE = "stale"
    FRESH = "fresh"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something worth telling about one symbol."""

    kind: NoticeKind
    symbol: str
    ts_ms: int
    text: str


@dataclass(frozen=True, slots=True)
class Freshness:
    """How a symbol stands: the age of its data, and the close of the last candle that was handed on.

    `closed_ms` never goes back, also where a feed is opened again and history has forgotten a minute meanwhile.
    """

    symbol: str
    is_fresh: bool
    data_age_ms: int
    closed_ms: int


def ignore(notice: Notice) -> None:
    """For who does not want to know."""
    del notice


class LiveFeed:
    """`open` once, then `run` until cancelled. What a sink raises ends `run`.

    clock, sleep  the time and how to wait, made up in tests
    """

    def __init__(
        self,
        stream: MarketStream,
        history: CandleHistory,
        clock: Clock,
        settings: FeedSettings,
        on_notice: Callable[[Notice], None] = ignore,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._settings = settings
        self._sleep = sleep
        self._on_notice = on_notice
        self._sinks: list[CandleSink] = []
        self._updates = {symbol: CandleUpdates(settings.interval_ms) for symbol in settings.symbols}
        self._assembly: Assembly | None = None
        self._questions = _Questions(history, settings.interval_ms)
        self._has_news = asyncio.Event()
        self._fresh: dict[str, bool] = {}
        self._closed_ms: dict[str, int] = {}
        self._lagging: frozenset[str] = frozenset()
        self._gaps: set[str] = set()
        self._different: set[str] = set()
        self._started_ms = 0

    def subscribe(self, sink: CandleSink) -> None:
        """Give `sink` all candles that close at one instant together, each once, oldest first.

        A symbol that the others could not wait for follows later, its instants for themselves.
        """
        self._sinks.append(sink)

    async def open(self, counts: Mapping[str, int]) -> dict[str, Sequence[Candle]]:
        """Listen, and fetch the last `counts[symbol]` closed candles for the warm-up; they are not handed on.

        What is handed on later begins right after them. VenueUnavailable where history does not answer.
        """
        self._started_ms = self._clock.now_ms()
        self._stream.subscribe(self._on_update, self._on_break)
        interval_ms = self._settings.interval_ms
        until_ms = floor_to(self._started_ms, interval_ms)
        warm: dict[str, Sequence[Candle]] = {}
        first_ms: dict[str, int] = {}
        for symbol in self._settings.symbols:
            count = counts.get(symbol, 0)
            since_ms = until_ms - count * interval_ms
            warm[symbol] = await self._recall(symbol, since_ms, until_ms) if count else ()
            first_ms[symbol] = warm[symbol][-1].close_time_ms if warm[symbol] else until_ms
            first_ms[symbol] = max(first_ms[symbol], self._closed_ms.get(symbol, 0))  # opened before: never again
        self._assembly = Assembly(interval_ms, first_ms, self._settings.patience)
        return warm

    async def run(self) -> None:
        """Hand candles on until cancelled."""
        assembly = self._assembly
        if assembly is None:
            raise RuntimeError("the feed was not opened")
        self._questions.forget()  # run before, and cancelled or failed in the middle of them
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._has_news.clear()
                self._ask(assembly, tasks)
                self._hand_on(assembly)
                self._tell_changes(assembly)
                await self._pause()

    def freshness(self) -> tuple[Freshness, ...]:
        """How every symbol stands."""
        return tuple(self._freshness(symbol) for symbol in self._settings.symbols)

    def is_fresh(self, symbol: str) -> bool:
        """Whether decisions on a symbol stand on present data."""
        return self._freshness(symbol).is_fresh

    def _freshness(self, symbol: str) -> Freshness:
        age_ms = self._stream.data_age_ms(symbol)
        closed_ms = self._assembly.next_ms(symbol) if self._assembly is not None else 0
        closed_ms = self._closed_ms[symbol] = max(closed_ms, self._closed_ms.get(symbol, 0))
        due_ms = closed_ms + self._settings.interval_ms + self._settings.patience.grace_ms
        is_behind = self._assembly is None or self._clock.now_ms() >= due_ms
        is_young = self._stream.is_speaking(symbol) and age_ms < self._settings.stale_ms
        return Freshness(symbol, is_young and not is_behind, age_ms, closed_ms)

    def _on_update(self, update: CandleUpdate) -> None:
        candle, interval_ms = update.candle, self._settings.interval_ms
        updates = self._updates.get(candle.symbol)
        is_bogus = candle.open_time_ms > self._clock.now_ms() + interval_ms or candle.interval_ms != interval_ms
        if updates is None or is_bogus:
            return
        closed = updates.add(update).closed
        if closed and self._assembly is not None:
            for built in closed:
                self._assembly.see(built.candle, is_whole=built.is_whole)
            self._has_news.set()

    def _on_break(self, symbol: str) -> None:
        if symbol in self._updates:
            self._updates[symbol].interrupt()

    async def _recall(self, symbol: str, since_ms: int, until_ms: int) -> Sequence[Candle]:
        pause_ms = 1_000
        for _ in range(_WARM_UP_TRIES - 1):
            try:
                return await self._questions.ask(symbol, since_ms, until_ms)
            except RateLimited as error:
                await self._sleep(error.retry_after_ms / 1000)
            except VenueUnavailable:
                await self._sleep(pause_ms / 1000)
                pause_ms *= 2
        return await self._questions.ask(symbol, since_ms, until_ms)

    def _ask(self, assembly: Assembly, tasks: asyncio.TaskGroup) -> None:
        now_ms = self._clock.now_ms()
        for symbol in self._settings.symbols:
            span = assembly.wanted(symbol, now_ms)
            if span is None or not self._questions.may_ask(symbol, now_ms):
                continue
            if span.is_gap and symbol not in self._gaps:
                self._gaps.add(symbol)
                count = (span.until_ms - span.from_ms) // self._settings.interval_ms
                self._tell(NoticeKind.GAP, symbol, f"{count} candles from {iso(span.from_ms)} are asked for")
            self._questions.begin(symbol)
            tasks.create_task(self._fill(assembly, symbol, span))

    async def _fill(self, assembly: Assembly, symbol: str, span: Span) -> None:
        questions = self._questions
        try:
            # One more than is needed: only history that reaches beyond a candle proves that it has none.
            candles = await questions.ask(symbol, span.from_ms, span.until_ms + self._settings.interval_ms)
        except (VenueUnavailable, VenueRejected) as error:
            if questions.failed(symbol, self._clock.now_ms(), error):
                self._tell(NoticeKind.HISTORY_DOWN, symbol, str(error))
            return
        now_ms = self._clock.now_ms()
        if questions.answered(symbol, now_ms):
            self._tell(NoticeKind.HISTORY_UP, symbol, "history answers again")
        differences = assembly.take_history(symbol, span, candles, now_ms)
        self._tell_differences(symbol, differences, is_check=not span.is_gap)
        if symbol in self._gaps and assembly.wanted(symbol, now_ms) is None:
            self._gaps.remove(symbol)
            self._tell(NoticeKind.FILLED, symbol, f"complete until {iso(span.until_ms)}")
        self._has_news.set()

    def _hand_on(self, assembly: Assembly) -> None:
        for batch in assembly.release(self._clock.now_ms()):
            for sink in self._sinks:
                sink(batch)

    def _tell_differences(self, symbol: str, differences: Iterable[Difference], *, is_check: bool) -> None:
        different = tuple(differences)
        if not different:
            if is_check and symbol in self._different:
                self._different.remove(symbol)
                self._tell(NoticeKind.ALIKE, symbol, "the stream says what REST says")
            return
        if symbol not in self._different:
            self._different.add(symbol)
            seen, rest = different[0]
            text = f"candle of {iso(seen.open_time_ms)}: the stream said {seen[3:]}, REST says {rest and rest[3:]}"
            self._tell(NoticeKind.DIFFERENT, symbol, f"{text} (ticks and steps); REST counts")

    def _tell_changes(self, assembly: Assembly) -> None:
        lagging = frozenset(assembly.laggards)
        for symbol in sorted(lagging - self._lagging):
            self._tell(NoticeKind.LAGGING, symbol, f"no candle of {iso(assembly.next_ms(symbol))} is to be had")
        for symbol in sorted(self._lagging - lagging):
            self._tell(NoticeKind.CAUGHT_UP, symbol, f"complete until {iso(assembly.next_ms(symbol))}")
        self._lagging = lagging
        is_young = self._clock.now_ms() - self._started_ms < self._settings.stale_ms
        for state in self.freshness():
            was_fresh = self._fresh.get(state.symbol)
            if was_fresh is state.is_fresh or (was_fresh is None and is_young and not state.is_fresh):
                continue  # a feed that has just begun is not stale yet
            self._fresh[state.symbol] = state.is_fresh
            if not state.is_fresh:
                self._tell(NoticeKind.STALE, state.symbol, f"{_age(state)}, candles until {iso(state.closed_ms)}")
            elif was_fresh is not None:
                self._tell(NoticeKind.FRESH, state.symbol, "data is young again")

    def _tell(self, kind: NoticeKind, symbol: str, text: str) -> None:
        self._on_notice(Notice(kind, symbol, self._clock.now_ms(), text))

    async def _pause(self) -> None:
        """Until something has happened, or a turn has passed."""
        news = asyncio.ensure_future(self._has_news.wait())
        turn = asyncio.ensure_future(self._sleep(self._settings.turn_ms / 1000))
        try:
            await asyncio.wait({news, turn}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
            turn.cancel()


def _age(state: Freshness) -> str:
    """How old the data is, in words; older than the feed's epoch means that none has come."""
    return "no data yet" if state.data_age_ms > DAY_MS else f"the last data is {state.data_age_ms} ms old"


class _Questions:
    """One question a symbol at a time, a few at once, with pauses that grow while nobody answers."""

    def __init__(self, history: CandleHistory, interval_ms: int) -> None:
        self._history = history
        self._interval_ms = interval_ms
        self._gate = asyncio.Semaphore(_ASKED_AT_ONCE)
        self._open: set[str] = set()
        self._not_before: dict[str, int] = {}
        self._pause_ms: dict[str, int] = {}

    async def ask(self, symbol: str, since_ms: int, until_ms: int) -> Sequence[Candle]:
        async with self._gate:
            return await self._history.candles(symbol, self._interval_ms, since_ms, until_ms)

    def may_ask(self, symbol: str, now_ms: int) -> bool:
        return symbol not in self._open and now_ms >= self._not_before.get(symbol, 0)

    def begin(self, symbol: str) -> None:
        self._open.add(symbol)

    def forget(self) -> None:
        self._open.clear()

    def failed(self, symbol: str, now_ms: int, error: Exception) -> bool:
        """Wait before the next question; True for the first failure in a row."""
        self._open.discard(symbol)
        is_first = symbol not in self._pause_ms
        pause_ms = min(2 * self._pause_ms.get(symbol, _AGAIN_MS), _LONGEST_PAUSE_MS)
        self._pause_ms[symbol] = pause_ms
        if isinstance(error, RateLimited):
            pause_ms = max(pause_ms, error.retry_after_ms)
        self._not_before[symbol] = now_ms + pause_ms
        return is_first

    def answered(self, symbol: str, now_ms: int) -> bool:
        """True for the first answer after failures."""
        self._open.discard(symbol)
        self._not_before[symbol] = now_ms + _AGAIN_MS
        return self._pause_ms.pop(symbol, None) is not None
