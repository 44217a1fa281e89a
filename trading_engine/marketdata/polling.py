"""Closed candles by asking: after each minute every symbol's history, until the minute that has closed is there.

What belongs here: when to ask, and that each candle is handed on once, in order, whole minutes together. What does
not: streams, how a venue answers (venues).

The slowest feed there is and the hardest to break: no connection to lose, and a gap fills itself with the next
question. It is also what a stream is checked against.

It is used like `feed.LiveFeed`: `open` once, then `run`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from loguru import logger

from trading_engine.domain.errors import VenueUnavailable
from trading_engine.domain.market import Candle
from trading_engine.domain.time import MINUTE_MS, floor_to
from trading_engine.marketdata.feed import CandleHistory, Notice, NoticeKind, ignore
from trading_engine.ports import CandleSink, Clock

SETTLE_MS = 1_200  # venues close a candle a moment after its minute: late trades
RETRY_MS = 1_000
STALE_MS = MINUTE_MS + 30_000  # a symbol whose newest candle has closed so long ago is not fresh
PATIENCE_MS = 20_000  # a symbol without trades may have no candle: the others do not wait longer for it


class PollingFeed:
    """1-minute candles of several symbols, from `since_ms` (an opening time) on. Passes ports.MarketData."""

    def __init__(
        self,
        history: CandleHistory,
        symbols: Sequence[str],
        clock: Clock,
        since_ms: int,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_notice: Callable[[Notice], None] = ignore,
    ) -> None:
        self._history = history
        self._on_notice = on_notice
        self._symbols = tuple(symbols)
        self._clock = clock
        self._sleep = sleep
        self._sink: CandleSink | None = None
        self._next_ms = dict.fromkeys(symbols, floor_to(since_ms, MINUTE_MS))
        self._waiting: dict[int, dict[str, Candle]] = {}
        self._newest_ms = dict(self._next_ms)  # close of the newest candle that has come; the next may be passed over
        self._stale: set[str] = set()

    async def open(self, counts: Mapping[str, int]) -> dict[str, Sequence[Candle]]:
        """The last `counts[symbol]` closed candles for the warm-up; what is handed on later begins right after them.

        VenueUnavailable where history does not answer.
        """
        until_ms = floor_to(self._clock.now_ms(), MINUTE_MS)
        warm: dict[str, Sequence[Candle]] = {}
        for symbol in self._symbols:
            since_ms = until_ms - counts.get(symbol, 0) * MINUTE_MS
            found = await self._history.candles(symbol, MINUTE_MS, since_ms, until_ms) if since_ms < until_ms else ()
            warm[symbol] = found
            self._next_ms[symbol] = self._newest_ms[symbol] = found[-1].close_time_ms if found else until_ms
        return warm

    def subscribe(self, sink: CandleSink) -> None:
        """Give `sink` all candles of a minute together, oldest minute first."""
        self._sink = sink

    def data_age_ms(self) -> Mapping[str, int]:
        """By symbol, how long ago its newest candle has closed."""
        now_ms = self._clock.now_ms()
        return {symbol: now_ms - newest_ms for symbol, newest_ms in self._newest_ms.items()}

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            closed_ms = floor_to(self._clock.now_ms() - SETTLE_MS, MINUTE_MS)
            await self._ask(closed_ms)
            self._hand_on()
            self._tell_changes()
            await self._sleep(self._pause_ms(closed_ms) / 1000)

    async def _ask(self, closed_ms: int) -> None:
        """Read what has closed before `closed_ms`; a symbol that cannot be read is asked for again."""
        behind = [symbol for symbol in self._symbols if self._next_ms[symbol] < closed_ms]
        for answer in await asyncio.gather(*(self._read(symbol, closed_ms) for symbol in behind)):
            for candle in answer:
                if candle.open_time_ms >= self._next_ms[candle.symbol]:
                    self._waiting.setdefault(candle.open_time_ms, {})[candle.symbol] = candle
                    self._next_ms[candle.symbol] = self._newest_ms[candle.symbol] = candle.close_time_ms

    async def _read(self, symbol: str, closed_ms: int) -> Sequence[Candle]:
        try:
            return await self._history.candles(symbol, MINUTE_MS, self._next_ms[symbol], closed_ms)
        except VenueUnavailable as error:
            logger.warning("{}: candles cannot be read ({})", symbol, error)
            return ()

    def _hand_on(self) -> None:
        """Minutes for which nobody is waited any more, oldest first; one that is whole waits for older ones."""
        late_ms = self._clock.now_ms() - PATIENCE_MS
        for open_ms in sorted(self._waiting):
            found = self._waiting[open_ms]
            is_whole = all(next_ms > open_ms for next_ms in self._next_ms.values())
            if not is_whole and open_ms + MINUTE_MS > late_ms:
                return
            del self._waiting[open_ms]
            for symbol in self._symbols:  # what had no candle then will not get one afterwards
                self._next_ms[symbol] = max(self._next_ms[symbol], open_ms + MINUTE_MS)
            if self._sink is not None:
                self._sink(tuple(found[symbol] for symbol in self._symbols if symbol in found))

    def _tell_changes(self) -> None:
        for symbol, age_ms in self.data_age_ms().items():
            is_stale = age_ms >= STALE_MS
            if is_stale is not (symbol in self._stale):
                self._stale ^= {symbol}
                kind = NoticeKind.STALE if is_stale else NoticeKind.FRESH
                text = f"the newest candle closed {age_ms} ms ago"
                self._on_notice(Notice(kind, symbol, self._clock.now_ms(), text))

    def _pause_ms(self, closed_ms: int) -> int:
        if any(next_ms < closed_ms for next_ms in self._next_ms.values()):
            return RETRY_MS
        return max(closed_ms + MINUTE_MS + SETTLE_MS - self._clock.now_ms(), 1)
