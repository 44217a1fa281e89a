"""What people ask of the database."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from fakes.databases import fresh, meddle, told
from fakes.record_stories import EPOCH, Story, total

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.money import ZERO
from trading_engine.domain.orders import Order, OrderState
from trading_engine.store.read_models import Reader, TradeFilter
from trading_engine.store.sql_store import SqlStore


@pytest.fixture
def story_and_reader(tmp_path: Path) -> Iterator[tuple[Story, Reader]]:
    """A story and a reader of its database."""
    path, story = told(tmp_path, seed=7, commits=150)
    with Reader.open(path) as reader:
        yield story, reader


def test_a_state_without_database_says_so(tmp_path: Path) -> None:
    """One line, exit 78, nothing made."""
    with pytest.raises(ConfigInvalid, match=r"no database at .*: nothing has run on this state yet") as caught:
        Reader.open(tmp_path / "engine.db")
    assert 78 == caught.value.exit_code
    assert [] == list(tmp_path.iterdir())


def test_another_schema_is_refused(tmp_path: Path) -> None:
    """A reader does not guess at columns."""
    path = fresh(tmp_path)
    meddle(path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigInvalid, match="newer schema"):
        Reader.open(path)


def test_an_empty_database_has_empty_answers(tmp_path: Path) -> None:
    """Before the first commit nothing is invented."""
    with Reader.open(fresh(tmp_path)) as reader:
        assert (0,) * 8 == tuple(reader.status_counts())
        assert reader.last_run() is None
        assert reader.control().checkpoint is None
        assert [] == reader.trades() + reader.positions() + reader.orders() + reader.signals()
        assert ZERO == reader.ledger().balance


def test_counts_are_those_of_the_story(story_and_reader: tuple[Story, Reader]) -> None:
    """Live rows and all rows."""
    story, reader = story_and_reader
    counts = reader.status_counts()
    assert len(story.book.positions) == counts.open_positions
    assert story.book.next_position - 1 == counts.positions
    assert sum(order.is_live for order in story.book.orders.values()) == counts.live_orders
    assert len(reader.orders()) == counts.orders
    assert len(reader.journal()) == counts.journal


def test_control_tells_level_and_progress(story_and_reader: tuple[Story, Reader]) -> None:
    """As the last commit left them."""
    story, reader = story_and_reader
    view = reader.control()
    assert (story.book.control, EPOCH, story.book.frozen) == (view.control, view.epoch, view.frozen)
    assert view.checkpoint is not None
    assert story.now_ms == view.checkpoint.cursor_ms


def test_live_positions_are_the_book(story_and_reader: tuple[Story, Reader]) -> None:
    """Newest first; closed ones only where asked for."""
    story, reader = story_and_reader
    live = reader.positions()
    assert list(story.book.positions.values())[::-1] == [view.position for view in live]
    numbers = [view.position.number for view in reader.positions(include_closed=True)]
    assert list(range(story.book.next_position - 1, 0, -1)) == numbers


def test_a_stop_is_confirmed_when_acknowledged_stops_cover_the_position(tmp_path: Path) -> None:
    """An intended stop confirms nothing."""
    path = fresh(tmp_path)
    story = Story(7)
    seen = set()
    with SqlStore.open(path) as store, Reader.open(path) as reader:
        for commit in story.commits(80):
            store.commit(commit)
            for view in reader.positions():
                item = view.position
                stops = story_stops(commit.book.orders_of(item.position_id, Purpose.STOP))
                expected = item.quantity > 0 and stops >= item.quantity
                assert expected == view.is_stop_confirmed
                seen.add(expected)
    assert {True, False} == seen


def story_stops(orders: list[Order]) -> Decimal:
    """What acknowledged stops would still close."""
    return total([order.remaining for order in orders if order.is_confirmed])


def test_trades_are_the_closed_positions_newest_first(story_and_reader: tuple[Story, Reader]) -> None:
    """Net PnL includes what was booked after the close, as the ledger has it."""
    story, reader = story_and_reader
    trades = reader.trades()
    expected = {trade.position_id: trade.net for trade in story.book.ledger.closed}
    assert expected == {trade.position_id: trade.net_pnl for trade in trades}
    assert sorted((trade.closed_ms for trade in trades), reverse=True) == [item.closed_ms for item in trades]
    assert all(item.gross_pnl - item.fees + item.funding == item.net_pnl for item in trades)
    assert all(item.fills > 0 and item.entry_price for item in trades)
    dropped = [item for item in trades if item.close_reason == "external"]
    assert dropped, "closed without a fill that tells how"
    assert all(item.exit_price for item in trades if item not in dropped)


def test_trades_can_be_narrowed_down(story_and_reader: tuple[Story, Reader]) -> None:
    """By number, symbol, strategy, time; abandoned entries on request."""
    _, reader = story_and_reader
    trades = reader.trades()
    assert trades[:2] == reader.trades(TradeFilter(limit=2))
    symbol, strategy, since_ms = trades[0].symbol, trades[0].strategy, trades[3].closed_ms
    assert [item for item in trades if item.symbol == symbol] == reader.trades(TradeFilter(symbol=symbol))
    assert [item for item in trades if item.strategy == strategy] == reader.trades(TradeFilter(strategy=strategy))
    assert [item for item in trades if item.closed_ms >= since_ms] == reader.trades(TradeFilter(since_ms=since_ms))
    everything = reader.trades(TradeFilter(include_abandoned=True))
    closed = [view for view in reader.positions(include_closed=True) if view.position.state is PositionState.CLOSED]
    assert len(closed) == len(everything) > len(trades)


def test_lists_are_newest_first(story_and_reader: tuple[Story, Reader]) -> None:
    """And as long as asked for."""
    _, reader = story_and_reader
    numbers = [row.seq for row in reader.journal(5)]
    assert sorted(numbers, reverse=True) == numbers
    assert 5 == len(numbers)
    signals = reader.signals(3)
    assert signals[0].seq > signals[1].seq > signals[2].seq
    assert (("rsi", "31.5"), ("ema", "1e-7")) == signals[0].explanation
    assert reader.equity()[:1] == reader.equity(1)
    assert reader.events(2)[0].seq > reader.events(2)[1].seq
    orders = reader.orders(2)
    assert orders[0].created_ms >= orders[1].created_ms
    assert {"P000001"} == {row.correlation for row in reader.journal(correlation="P000001")}


def test_the_last_run_is_known(tmp_path: Path) -> None:
    """With its end once it has ended, whoever ran under that name before."""
    path = fresh(tmp_path)
    story = Story(1)
    first = story.begin()
    with SqlStore.open(path) as store, Reader.open(path) as reader:
        store.commit(first)
        last = reader.last_run()
        assert last is not None
        assert ("run-1", "paper", None) == (last.run_id, last.mode, last.ended_ms)
        store.commit(replace(first, records=first.records[:1]))
        assert 2 == len(reader.runs())


def test_a_reader_answers_while_the_writer_is_in_a_transaction(tmp_path: Path) -> None:
    """It sees the state before."""
    path, story = told(tmp_path)
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE control SET reason = 'half done'")
    with Reader.open(path) as reader:
        assert story.book.control == reader.control().control
    writer.execute("ROLLBACK")
    writer.close()


def test_unresolved_orders_are_counted(tmp_path: Path) -> None:
    """INTENT and UNKNOWN: the venue may or may not have them."""
    path, _ = told(tmp_path)
    meddle(path, "UPDATE orders SET state = 'CANCELED'", "UPDATE orders SET state = 'UNKNOWN' WHERE rowid <= 2")
    with Reader.open(path) as reader:
        unresolved = [order for order in reader.orders() if order.state is OrderState.UNKNOWN]
        assert 2 == len(unresolved) == reader.status_counts().unresolved_orders


def test_days_add_up_to_the_ledger(story_and_reader: tuple[Story, Reader]) -> None:
    """Each day begins with what the one before left; nothing of any booking is lost, nor any trade."""
    story, reader = story_and_reader
    days = reader.days()[::-1]
    ledger = story.book.ledger
    assert ledger.balance == days[-1].start_balance + days[-1].realized
    assert ledger.performance == total(day.realized for day in days)
    assert sorted({day.day for day in days}) == [day.day for day in days]
    made = [trade.net_pnl for trade in reader.trades() if trade.fills]
    assert (len(made), total(made)) == (sum(day.trades for day in days), total(day.won + day.lost for day in days))
    assert all(day.drawdown <= min(ZERO, day.realized) for day in days)
