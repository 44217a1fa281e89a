"""Questions to the book and its ledger."""

from builders import BTC, ETH, dec, make_book, make_open_position, make_order, make_position, make_stop

from trading_engine.core.state import DayFigures, Ledger
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import PositionState


def test_the_one_position_on_a_symbol_is_found() -> None:
    """A closed one does not count, another symbol neither."""
    closed = make_position(position_id="P000001", state=PositionState.CLOSED)
    held = make_open_position(position_id="P000002", number=2)
    other = make_position(position_id="P000003", number=3, symbol=ETH)
    assert held is make_book(positions=[closed, other, held]).position_on(BTC)
    assert make_book(positions=[closed, other]).position_on(BTC) is None


def test_orders_are_found_by_position_and_purpose() -> None:
    """In the order in which they were intended."""
    entry, stop = make_order(), make_stop()
    foreign = make_order(client_order_id="tetest000002e00001", position_id="P000002")
    book = make_book(entry, stop, foreign)
    assert [entry, stop] == book.orders_of("P000001")
    assert [stop] == book.orders_of("P000001", Purpose.STOP)
    assert entry is book.entry_of("P000001")
    assert make_book(stop).entry_of("P000001") is None


def test_a_day_without_bookings_is_a_day_of_zeros() -> None:
    """No special case for whoever asks."""
    figures = DayFigures("2025-01-01", realized=dec(-5))
    ledger = Ledger(days=(figures,))
    assert figures is ledger.day("2025-01-01")
    assert DayFigures("2025-01-02") == ledger.day("2025-01-02")


def test_the_balance_at_the_start_of_a_day_leaves_out_what_came_after() -> None:
    """1,000 now, after −5 on the first and +10 on the second day."""
    days = (DayFigures("2025-01-01", realized=dec(-5)), DayFigures("2025-01-02", realized=dec(10)))
    ledger = Ledger(balance=dec(1000), days=days)
    assert dec(995) == ledger.balance_at_start_of("2025-01-01")
    assert dec(990) == ledger.balance_at_start_of("2025-01-02")
    assert dec(1000) == ledger.balance_at_start_of("2025-01-03")


def test_performance_leaves_out_deposits() -> None:
    """What trading has made."""
    assert dec(-40) == Ledger(balance=dec(960), transfers=dec(1000)).performance
