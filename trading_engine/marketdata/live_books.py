"""Local order books of a live market.

What belongs here: giving each book its snapshots and changes, asking for a snapshot when one is missing. What does
not: when a change joins (book), where snapshots come from (venues), figures computed from a book.

Some venues send a snapshot before the changes, some want it fetched. Either way a book that may have missed a change
is empty until the next snapshot, and a crossed one is never shown.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from trading_engine.domain.errors import RateLimited, VenueRejected, VenueUnavailable
from trading_engine.domain.streams import DepthChange, DepthLost, DepthSnapshot, MarketEvent, MarketSink
from trading_engine.marketdata.book import LocalBook, Verdict

_FIRST_PAUSE_MS = 500
_LONGEST_PAUSE_MS = 15_000


class BookStream(Protocol):
    """Who tells changes of books, and where the venue sends them, snapshots."""

    def listen(self, sink: MarketSink) -> None:
        """Give `sink` everything from now on, as it comes."""
        ...

    def renew_book(self, symbol: str) -> None:
        """Begin the book of a symbol anew."""
        ...


class BookHistory(Protocol):
    """Who can be asked for a snapshot."""

    async def depth(self, symbol: str) -> DepthSnapshot:
        """The book as it stands. VenueUnavailable where that cannot be told."""
        ...


class LiveBooks:
    """The books of some symbols, from now on; `run` until cancelled.

    history  asked for snapshots; None where the stream sends them
    """

    def __init__(
        self,
        stream: BookStream,
        symbols: Sequence[str],
        history: BookHistory | None = None,
        on_note: Callable[[str], None] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._stream = stream
        self._history = history
        self._on_note = on_note
        self._sleep = sleep
        self._books = {symbol: LocalBook(symbol) for symbol in symbols}
        self._wanted: dict[str, None] = {}
        self._is_wanted = asyncio.Event()
        self._is_failing = False
        stream.listen(self._take)

    def book(self, symbol: str) -> LocalBook:
        """The book of a symbol; it says itself whether it is in sync. KeyError for other symbols."""
        return self._books[symbol]

    async def run(self) -> None:
        """Fetch the snapshots that are missing, until cancelled; returns at once where the stream sends them."""
        if self._history is None:
            return
        pause_ms = _FIRST_PAUSE_MS
        while True:
            await self._is_wanted.wait()
            waits_ms = [await self._fetch(self._history, symbol) for symbol in tuple(self._wanted)]
            if not self._wanted:
                self._is_wanted.clear()
                pause_ms = _FIRST_PAUSE_MS
                continue
            await self._sleep(max(pause_ms, *waits_ms) / 1000)
            pause_ms = min(2 * pause_ms, _LONGEST_PAUSE_MS)

    def _take(self, event: MarketEvent) -> None:
        if not isinstance(event, DepthChange | DepthSnapshot | DepthLost):
            return
        book = self._books.get(event.symbol)
        if book is None:
            return
        if isinstance(event, DepthChange):
            self._judge(book, book.apply(event))
            return
        book.drop()
        self._wanted.pop(event.symbol, None)  # the first change that comes again asks for a snapshot
        if isinstance(event, DepthSnapshot):
            self._judge(book, book.restore(event))

    def _judge(self, book: LocalBook, verdict: Verdict) -> None:
        if verdict in (Verdict.APPLIED, Verdict.OLD):
            return
        if self._history is not None:
            self._wanted[book.symbol] = None
            self._is_wanted.set()
        elif verdict is not Verdict.WAITING:  # the stream's snapshot is on its way, or has to be asked for
            self._stream.renew_book(book.symbol)

    async def _fetch(self, history: BookHistory, symbol: str) -> int:
        """One attempt; how long the venue wants to be left alone, in ms."""
        book = self._books[symbol]
        try:
            snapshot = await history.depth(symbol)
        except (VenueUnavailable, VenueRejected) as error:
            if not self._is_failing and self._on_note is not None:
                self._on_note(f"{symbol}: no snapshot of the book ({error}); asked again")
            self._is_failing = True
            return error.retry_after_ms if isinstance(error, RateLimited) else 0
        self._is_failing = False
        if symbol not in self._wanted:  # the stream broke meanwhile: this snapshot would show what nobody keeps
            return 0
        if book.restore(snapshot) in (Verdict.APPLIED, Verdict.OLD):
            self._wanted.pop(symbol, None)
        return 0
