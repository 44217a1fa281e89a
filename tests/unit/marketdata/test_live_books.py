"""Local books of a live market: where their snapshots come from, and when they are given up."""

import asyncio
from collections.abc import Callable

import pytest

from trading_engine.domain.errors import RateLimited, VenueUnavailable
from trading_engine.domain.streams import DepthChange, DepthLost, DepthSnapshot, MarketSink, Quote
from trading_engine.marketdata.live_books import LiveBooks

BTC, ETH = "BTCUSDT", "ETHUSDT"


class Stream:
    """Says what a test wants."""

    def __init__(self) -> None:
        self.say: MarketSink
        self.renewed: list[str] = []

    def listen(self, sink: MarketSink) -> None:
        """One listener."""
        self.say = sink

    def renew_book(self, symbol: str) -> None:
        """Noted."""
        self.renewed.append(symbol)


class History:
    """Answers with what was put into it, one after the other; waits while there is nothing."""

    def __init__(self, *answers: DepthSnapshot | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def depth(self, symbol: str) -> DepthSnapshot:
        """The next answer."""
        self.asked.append(symbol)
        while not self.answers:  # noqa: ASYNC110 - the test fills it
            await asyncio.sleep(0)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def snapshot(last_id: int, symbol: str = BTC, ask: int = 101) -> DepthSnapshot:
    return DepthSnapshot(symbol, last_id, last_id, [(100, 5)], [(ask, 7)])


def change(previous_id: int, last_id: int, bid: tuple[int, int] = (99, 1), symbol: str = BTC) -> DepthChange:
    return DepthChange(symbol, previous_id + 1, last_id, previous_id, last_id, [bid], [])


def test_a_stream_that_sends_snapshots_needs_nobody_else() -> None:
    """Each snapshot begins the book anew, whatever its number."""
    stream = Stream()
    books = LiveBooks(stream, [BTC])
    stream.say(snapshot(7))
    stream.say(change(7, 8))
    assert (8, [(100, 5), (99, 1)]) == (books.book(BTC).last_id, books.book(BTC).bids(5))
    stream.say(snapshot(1))
    assert (1, [(100, 5)]) == (books.book(BTC).last_id, books.book(BTC).bids(5))
    stream.say(snapshot(9, ETH))
    stream.say(Quote(BTC, 1, 1, 1, 1, 2, 1))
    asyncio.run(books.run())  # nothing to do
    assert [] == stream.renewed


@pytest.mark.parametrize("event", [change(9, 10), change(7, 8, (105, 1))], ids=["gap", "crossed"])
def test_an_impossible_book_is_begun_anew_by_the_stream(event: DepthChange) -> None:
    """It is empty meanwhile."""
    stream = Stream()
    books = LiveBooks(stream, [BTC])
    stream.say(snapshot(7))
    stream.say(event)
    assert ([BTC], None) == (stream.renewed, books.book(BTC).best_bid())


def test_a_stream_that_has_lost_something_leaves_an_empty_book() -> None:
    """Changes wait for the snapshot that follows, and nobody has to ask for it."""
    stream = Stream()
    books = LiveBooks(stream, [BTC])
    stream.say(snapshot(7))
    stream.say(DepthLost(BTC))
    stream.say(change(7, 8))
    assert not books.book(BTC).is_synced
    assert [] == stream.renewed


def played(history: History, play: Callable[[Stream, LiveBooks], object]) -> tuple[LiveBooks, list[float], list[str]]:
    """Books with a history, after a scene: also how long was waited, and what was noted."""
    slept: list[float] = []
    notes: list[str] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(0)

    async def main() -> LiveBooks:
        stream = Stream()
        books = LiveBooks(stream, [BTC, ETH], history, notes.append, sleep)
        task = asyncio.create_task(books.run())
        play(stream, books)
        for _ in range(50):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        return books

    return asyncio.run(main()), slept, notes


def test_a_snapshot_is_fetched_with_the_first_change() -> None:
    """Of each symbol for itself; what came before it is left out."""
    history = History(snapshot(7))
    books, slept, _ = played(history, lambda stream, _: [stream.say(change(n, n + 1)) for n in (5, 6, 7, 8)])
    assert ([BTC], []) == (history.asked, slept)
    assert (9, True) == (books.book(BTC).last_id, books.book(BTC).is_synced)
    assert not books.book(ETH).is_synced


def test_a_snapshot_that_is_too_old_or_cannot_be_had_is_asked_for_again() -> None:
    """With pauses that grow, or as long as the venue wants; a failure is told once."""
    failures = VenueUnavailable("down"), RateLimited("slower", 4_000)
    history = History(snapshot(3), *failures, snapshot(8))
    books, slept, notes = played(history, lambda stream, _: stream.say(change(7, 8)))
    assert [BTC] * 4 == history.asked
    assert [0.5, 1.0, 4.0] == slept
    assert ["BTCUSDT: no snapshot of the book (down); asked again"] == notes
    assert books.book(BTC).is_synced


def test_a_snapshot_from_before_a_loss_is_not_shown() -> None:
    """Nobody keeps it up to date; the next change asks for another one."""
    history = History()

    def play(stream: Stream, _: LiveBooks) -> None:
        stream.say(change(7, 8))
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: loop.call_soon(stream.say, DepthLost(BTC)))
        loop.call_soon(lambda: loop.call_soon(lambda: loop.call_soon(history.answers.append, snapshot(8))))

    books, _, _ = played(history, play)
    assert ([BTC], False) == (history.asked, books.book(BTC).is_synced)
