"""The local order book: in sequence or not at all."""

from trading_engine.domain.streams import DepthChange, DepthSnapshot, Levels
from trading_engine.marketdata.book import LocalBook, Verdict

BTC = "BTCUSDT"


def change(previous: int, last: int, bids: Levels = (), asks: Levels = ()) -> DepthChange:
    return DepthChange(BTC, previous + 3, last, previous, last, bids, asks)


def snapshot(last: int, bids: Levels = ((100, 5), (99, 6)), asks: Levels = ((101, 7), (103, 8))) -> DepthSnapshot:
    return DepthSnapshot(BTC, last, last, bids, asks)


def synced(last: int = 50) -> LocalBook:
    book = LocalBook(BTC)
    assert Verdict.APPLIED is book.restore(snapshot(last))
    return book


def test_without_a_snapshot_there_is_no_book() -> None:
    """Changes wait, and no level is shown."""
    book = LocalBook(BTC)
    assert Verdict.WAITING is book.apply(change(10, 20, [(100, 1)]))
    assert (None, None, [], []) == (book.best_bid(), book.best_ask(), book.bids(5), book.asks(5))
    assert not book.is_synced


def test_levels_come_best_first() -> None:
    """Bids from the highest, asks from the lowest, as many as there are."""
    book = synced()
    assert ((100, 5), (101, 7)) == (book.best_bid(), book.best_ask())
    assert ([(100, 5), (99, 6)], [(101, 7)]) == (book.bids(10), book.asks(1))
    assert [] == book.bids(0)


def test_a_change_sets_removes_and_adds_levels() -> None:
    """Quantities are absolute, zero removes, and removing what is not there is normal."""
    book = synced(50)
    verdict = book.apply(change(50, 60, [(100, 0), (98, 2), (97, 0)], [(101, 9), (102, 1)]))
    assert Verdict.APPLIED is verdict
    assert [(99, 6), (98, 2)] == book.bids(5)
    assert [(101, 9), (102, 1), (103, 8)] == book.asks(5)
    assert (60, 60) == (book.last_id, book.ts_ms)


def test_what_waited_is_applied_from_the_snapshot_on() -> None:
    """Older changes are dropped, the one that covers the snapshot's id is the first to count."""
    book = LocalBook(BTC)
    book.apply(change(10, 20, [(100, 1)]))
    book.apply(change(20, 30, [(100, 2)]))
    book.apply(change(30, 40, [(100, 3)]))
    assert Verdict.APPLIED is book.restore(snapshot(25))
    assert ((100, 3), 40) == (book.best_bid(), book.last_id)


def test_the_first_change_may_come_after_the_snapshot_and_reach_back_behind_it() -> None:
    """Nothing waited, and the change covers the snapshot's id."""
    book = synced(50)
    assert Verdict.OLD is book.apply(change(40, 49, [(100, 1)]))
    assert Verdict.APPLIED is book.apply(change(45, 55, [(100, 9)]))
    assert (100, 9) == book.best_bid()


def test_a_snapshot_between_two_changes_continues_with_the_second() -> None:
    """Its id lies after the one and before the first id of the other: nothing of this symbol happened between."""
    book = LocalBook(BTC)
    book.apply(change(10, 20, [(100, 1)]))
    book.apply(change(20, 30, [(100, 2)]))  # its first id is 23
    assert Verdict.APPLIED is book.restore(snapshot(21))
    assert (100, 2) == book.best_bid()


def test_a_snapshot_older_than_what_waited_is_refused() -> None:
    """There is a hole between them; the changes wait for a newer one."""
    book = LocalBook(BTC)
    book.apply(change(60, 70, [(100, 1)]))
    book.apply(change(70, 80, [(100, 2)]))
    assert Verdict.GAP is book.restore(snapshot(50))
    assert not book.is_synced
    assert Verdict.APPLIED is book.restore(snapshot(65))
    assert (100, 2) == book.best_bid()


def test_a_gap_ends_the_book() -> None:
    """A missed change empties it; the change that showed the gap waits for the next snapshot."""
    book = synced(50)
    assert Verdict.APPLIED is book.apply(change(50, 60))
    assert Verdict.GAP is book.apply(change(61, 70, [(100, 9)]))
    assert (None, 1) == (book.best_bid(), book.restarts)
    assert Verdict.APPLIED is book.restore(snapshot(65))
    assert (100, 9) == book.best_bid()


def test_a_change_that_overlaps_is_no_sequence() -> None:
    """After the first change each must begin exactly where the last one ended."""
    book = synced(50)
    book.apply(change(50, 60))
    assert Verdict.GAP is book.apply(change(55, 65))


def test_what_is_told_twice_changes_nothing() -> None:
    """A change whose ids are behind is old."""
    book = synced(50)
    book.apply(change(50, 60, [(100, 9)]))
    assert Verdict.OLD is book.apply(change(50, 60, [(100, 1)]))
    assert (100, 9) == book.best_bid()


def test_a_crossed_book_is_given_up() -> None:
    """Bids that meet asks prove that something was missed."""
    book = synced(50)
    assert Verdict.CROSSED is book.apply(change(50, 60, [(101, 1)]))
    assert (False, 1) == (book.is_synced, book.restarts)


def test_a_snapshot_behind_the_book_is_not_taken() -> None:
    """A late answer does not turn the clock back."""
    book = synced(50)
    book.apply(change(50, 60, [(100, 9)]))
    assert Verdict.OLD is book.restore(snapshot(55))
    assert (100, 9) == book.best_bid()


def test_a_dropped_book_begins_anew() -> None:
    """After an interruption nothing of before counts."""
    book = synced(50)
    book.drop()
    assert (False, None, []) == (book.is_synced, book.best_bid(), book.asks(3))


def test_only_so_many_changes_wait() -> None:
    """A snapshot that never comes costs bounded memory; the hole shows when it does."""
    book = LocalBook(BTC, most_waiting=2)
    for last in (20, 30, 40):
        book.apply(change(last - 10, last))
    assert Verdict.GAP is book.restore(snapshot(15))
    assert Verdict.APPLIED is book.restore(snapshot(35))
