"""Applying records: each kind changes what it names and nothing else."""

from dataclasses import replace
from decimal import Decimal

import pytest
from builders import (
    BTC,
    ETH,
    T0,
    Playbook,
    dec,
    make_book,
    make_fill,
    make_income,
    make_open_position,
    make_order,
    make_position,
    make_signal,
    make_stop,
)

from trading_engine.core import project
from trading_engine.core.project import apply, prune, with_high
from trading_engine.core.state import KEPT_DAYS, KEPT_KEYS_MS, KEPT_TRADES, Book, ClosedTrade, Ledger
from trading_engine.domain.control import Control, Level
from trading_engine.domain.fills import GAP_MARK, PnlKind
from trading_engine.domain.lifecycle import CloseReason, PositionState, Trigger
from trading_engine.domain.orders import OrderState, TradeSide
from trading_engine.domain.records import (
    AdjustmentBooked,
    AlertRaised,
    CancelIntended,
    ControlChanged,
    DifferenceFound,
    EquitySampled,
    Fate,
    FillApplied,
    IncomeBooked,
    LimitsRebased,
    OrderIntended,
    OrderUpdated,
    PositionAdvanced,
    PositionAged,
    PositionDropped,
    PositionOpened,
    RunEnded,
    RunStarted,
    SignalSeen,
    StopMoved,
    SymbolFrozen,
)
from trading_engine.domain.severity import Severity

DAY = "2025-01-01"


def test_records_that_only_inform_leave_the_book_alone() -> None:
    """Alerts, samples, differences, the end of a run."""
    book = make_book()
    for record in (
        AlertRaised(Severity.INFO, "k", "t"),
        EquitySampled(T0, dec(1), dec(0)),
        DifferenceFound("k", BTC, "a", "b", "c"),
        RunEnded("r1", "done"),
    ):
        assert book is apply(book, record)


def test_a_run_brings_its_epoch() -> None:
    """A rebuild from the journal learns it there."""
    assert "abcd" == apply(Book(""), RunStarted("r1", "0.1.0", "paper", "hash", "abcd")).epoch


def test_a_signal_is_remembered_by_its_candle() -> None:
    """By strategy and symbol."""
    book = apply(make_book(), SignalSeen(make_signal(), Fate.TAKEN, ""))
    assert {("trend", BTC): T0} == book.signal_ms


def test_a_position_takes_its_number() -> None:
    """The next one is higher, whatever the order of the rows."""
    book = apply(make_book(), PositionOpened(make_position(number=7, position_id="P000007")))
    assert 8 == book.next_position
    assert 8 == apply(book, PositionOpened(make_position(number=3, position_id="P000003"))).next_position


def test_a_move_keeps_the_first_reason() -> None:
    """A later move without one does not erase it; every change counts a version."""
    book = make_book(position=make_open_position())
    closing = PositionAdvanced(
        "P000001",
        PositionState.OPEN,
        PositionState.CLOSING,
        Trigger.BEGIN_CLOSE,
        "stop",
        CloseReason.STOP,
    )
    book = apply(book, closing)
    flat = PositionAdvanced("P000001", PositionState.CLOSING, PositionState.CLOSED, Trigger.FLAT, "flat")
    position = apply(book, flat).positions["P000001"]
    assert (PositionState.CLOSED, CloseReason.STOP, 3) == (position.state, position.close_reason, position.version)


def test_a_dropped_position_keeps_what_its_fills_have_told() -> None:
    """Nothing is open any more; no exit is made up, and the row dates its end by the drop."""
    book = make_book(position=make_open_position(fees=dec(1), closed_ms=T0 + 5))
    position = apply(book, PositionDropped("P000001", dec(10), "alice", "an outage", T0 + 9)).positions["P000001"]
    assert (dec(0), dec(0), T0 + 9, 2) == (position.quantity, position.cost, position.closed_ms, position.version)
    assert (dec(10), dec(0), dec(-1)) == (position.entry_quantity, position.exit_quantity, position.net_pnl)
    early = apply(book, PositionDropped("P000001", dec(10), "alice", "an outage", T0)).positions["P000001"]
    assert T0 + 5 == early.closed_ms, "an exit that was told is not undone"


def test_a_closed_trade_enters_the_ledger_if_it_traded() -> None:
    """An abandoned entry is no trade."""
    flat = PositionAdvanced("P000001", PositionState.CLOSING, PositionState.CLOSED, Trigger.FLAT, "flat")
    traded = make_open_position(state=PositionState.CLOSING, gross_pnl=dec(5), closed_ms=T0 + 9)
    book = apply(make_book(position=traded), flat)
    assert (ClosedTrade("P000001", BTC, "trend", dec(5), T0 + 9),) == book.ledger.closed
    assert () == apply(make_book(position=make_position()), flat).ledger.closed


def test_stop_age_and_cancel_change_one_field() -> None:
    """Of one row."""
    book = make_book(make_stop(), position=make_open_position())
    moved = apply(book, StopMoved("P000001", dec(97), "")).positions["P000001"]
    assert replace(make_open_position(), stop_price=dec(97), version=2) == moved
    aged = apply(book, PositionAged("P000001")).positions["P000001"]
    assert replace(make_open_position(), is_aged=True, version=2) == aged
    cancelled = apply(book, CancelIntended("tetest000001s00001", "")).orders["tetest000001s00001"]
    assert replace(make_stop(), cancel_requested=True) == cancelled


def test_an_order_row_takes_what_was_learned() -> None:
    """The merged values, as they are."""
    book = apply(make_book(), OrderIntended(make_order()))
    update = OrderUpdated("tetest000001e00001", OrderState.PARTIAL, dec(4), "v1", "why", T0 + 3)
    order = apply(book, update).orders["tetest000001e00001"]
    assert (OrderState.PARTIAL, dec(4), "v1", "why", T0 + 3) == (
        order.state,
        order.reported_filled,
        order.venue_order_id,
        order.reason,
        order.updated_ms,
    )


def test_refused_entries_are_counted_by_symbol() -> None:
    """Refused stops are not."""
    book = make_book(make_order(), make_stop(), position=make_position())
    book = apply(book, OrderUpdated("tetest000001s00001", OrderState.REJECTED, dec(0), "", "", T0))
    assert {} == book.rejects
    book = apply(book, OrderUpdated("tetest000001e00001", OrderState.REJECTED, dec(0), "", "", T0))
    assert {BTC: 1} == book.rejects


@pytest.mark.parametrize(
    ("settle_asset", "paid"), [("USDT", "0"), ("BNB", "0.24"), ("", "0.24")], ids=["other", "same", "before"]
)
def test_only_a_fee_in_the_settle_asset_touches_position_and_ledger(settle_asset: str, paid: str) -> None:
    """Records from before there was a settle asset in them lead to what they led to."""
    book = make_book(make_order(), position=make_position())
    fill = make_fill(fee=dec("0.24"), fee_asset="BNB")
    book = apply(book, FillApplied(fill, "P000001", dec(0), dec(0), DAY, asset=settle_asset))
    day = book.ledger.day(DAY)
    fees = (book.positions["P000001"].fees, day.fees, -day.realized, -book.ledger.balance)
    assert (dec(paid),) * 4 == fees


def test_a_fill_changes_position_order_and_ledger_together() -> None:
    """Fee and PnL of the day; the count of refusals is forgotten."""
    book = make_book(make_order(), position=make_position(), rejects={BTC: 2, ETH: 1})
    fill = make_fill(quantity=dec(4), fee=dec("0.24"))
    book = apply(book, FillApplied(fill, "P000001", dec(0), dec(0), DAY))
    assert dec(4) == book.positions["P000001"].quantity
    order = book.orders["tetest000001e00001"]
    assert (OrderState.PARTIAL, dec(4), dec(400)) == (order.state, order.filled, order.filled_value)
    assert {fill.key: fill.ts_ms} == book.seen
    assert {ETH: 1} == book.rejects
    day = book.ledger.day(DAY)
    assert (dec("-0.24"), dec("-0.24"), dec("0.24"), 1) == (
        book.ledger.balance,
        day.realized,
        day.fees,
        book.ledger.bookings,
    )


def test_only_an_entry_that_fills_ends_the_row_of_refusals() -> None:
    """A stop that fills says nothing about entries."""
    book = make_book(make_stop(), position=make_open_position(), rejects={BTC: 2})
    fill = make_fill(client_order_id="tetest000001s00001", side=TradeSide.SELL)
    assert {BTC: 2} == apply(book, FillApplied(fill, "P000001", dec(0), dec(0), DAY)).rejects


def test_a_late_fill_leaves_the_row_of_its_old_order_alone() -> None:
    """The residual position is charged, as if the old rows were gone, which in memory they are."""
    old = make_order(state=OrderState.FILLED, filled=dec(10))
    residual = make_position(position_id="P000002", number=2, state=PositionState.CLOSING)
    book = make_book(old, positions=[make_position(state=PositionState.CLOSED), residual], rejects={BTC: 1})
    book = apply(book, FillApplied(make_fill(), "P000002", dec(0), dec(0), DAY))
    assert old == book.orders["tetest000001e00001"]
    assert {BTC: 1} == book.rejects
    assert dec(10) == book.positions["P000002"].quantity


def test_income_lands_on_the_position_that_holds_it() -> None:
    """And in the day's funding."""
    book = apply(make_book(position=make_open_position()), IncomeBooked(make_income(-2), "P000001", DAY))
    assert dec(-2) == book.positions["P000001"].funding
    assert (dec(-2), dec(-2)) == (book.ledger.day(DAY).realized, book.ledger.day(DAY).funding)


def test_late_income_lands_in_the_result_of_the_closed_trade() -> None:
    """Whether the closed row is still in the book (a rebuild) or not (memory)."""
    trade = ClosedTrade("P000001", BTC, "trend", dec(-50), T0)
    other = ClosedTrade("P000002", BTC, "trend", dec(7), T0)
    ledger = Ledger(closed=(trade, other))
    record = IncomeBooked(make_income(-2), "P000001", DAY)
    expected = (replace(trade, net=dec(-52)), other)
    assert expected == apply(make_book(ledger=ledger), record).ledger.closed
    closed = make_position(state=PositionState.CLOSED)
    rebuilt = apply(make_book(position=closed, ledger=ledger), record)
    assert expected == rebuilt.ledger.closed
    assert dec(-2) == rebuilt.positions["P000001"].funding


def test_other_income_counts_as_result_but_not_as_funding() -> None:
    """A clearance fee."""
    book = apply(make_book(), IncomeBooked(make_income(-2, PnlKind.LIQUIDATION), "", DAY))
    assert (dec(-2), dec(0)) == (book.ledger.day(DAY).realized, book.ledger.day(DAY).funding)


@pytest.mark.parametrize("is_income", [False, True])
def test_an_adjustment_is_no_result_and_no_start(is_income: bool) -> None:
    """Money that others have made or lost: it changes the balance like a transfer, and comes once."""
    income = make_income(-2, PnlKind.ADJUSTMENT)
    adjusted = AdjustmentBooked(income.key, dec(-2), "USDT", BTC, T0, DAY, "reconcile", "not ours")
    ledger = (book := apply(make_book(), IncomeBooked(income, "", DAY) if is_income else adjusted)).ledger
    assert (dec(-2), dec(-2), dec(0), dec(0)) == (
        ledger.balance,
        ledger.transfers,
        ledger.start_balance,
        ledger.performance,
    )
    assert (dec(0), 1, 0) == (ledger.day(DAY).realized, ledger.bookings, ledger.made_here)
    assert {income.key: T0} == dict(book.seen)


def test_bookings_without_an_event_at_the_venue_are_counted_apart() -> None:
    """What is left of a fill that was cut, and a gap that an operator accepted."""
    gap = AdjustmentBooked(f"embedded:paper{GAP_MARK}1", dec(3), "USDT", "", T0, DAY, "operator", "bonus")
    rest = AdjustmentBooked("embedded:paper:7+", dec(0), "USDT", BTC, T0, DAY, "reconcile", "not ours")
    ledger = apply(apply(make_book(), gap), rest).ledger
    assert (2, 2) == (ledger.bookings, ledger.made_here)


def test_the_first_transfer_is_the_start_and_no_transfer_is_a_result() -> None:
    """Deposit, deposit, withdrawal."""
    book = make_book()
    for at, amount in enumerate((1_000, 500, -200)):
        income = make_income(amount, PnlKind.TRANSFER, income_id=str(at), ts_ms=T0 + at)
        book = apply(book, IncomeBooked(income, "", DAY))
    ledger = book.ledger
    assert (dec(1_300), dec(1_300), dec(1_000), dec(0), 3, T0 + 2) == (
        ledger.balance,
        ledger.transfers,
        ledger.start_balance,
        ledger.peak,
        ledger.bookings,
        ledger.last_booked_ms,
    )
    assert () == ledger.days


def test_the_peak_is_the_highest_performance() -> None:
    """Up 10, down 30, up 15."""
    book = make_book()
    for at, amount in enumerate((10, -30, 15)):
        book = apply(book, IncomeBooked(make_income(amount, income_id=str(at)), "", DAY))
    assert (dec(10), dec(-5)) == (book.ledger.peak, book.ledger.performance)


def test_a_rebase_starts_peak_and_streak_anew_and_releases_symbols() -> None:
    """From the present performance and booking."""
    ledger = Ledger(balance=dec(900), transfers=dec(1_000), bookings=5, peak=dec(50))
    book = make_book(ledger=ledger, frozen={BTC: "why"}, rejects={BTC: 3})
    book = apply(book, LimitsRebased(T0 + 1, "operator"))
    assert (dec(-100), 5, T0 + 1) == (book.ledger.peak, book.ledger.rebased_booking, book.ledger.rebased_ms)
    assert ({}, {}) == (book.frozen, book.rejects)


def test_control_and_freezes_are_kept_with_their_reason() -> None:
    """As they were recorded."""
    book = apply(make_book(), ControlChanged(Level.FLATTEN, "file", "stop file", T0))
    assert Control(Level.FLATTEN, "file", T0) == book.control
    assert {BTC: "why"} == apply(make_book(), SymbolFrozen(BTC, "why")).frozen


def test_only_recent_days_are_kept() -> None:
    """By name; a booking older than all of them is summed and forgotten."""
    book = make_book()
    for day in range(1, 8):
        record = IncomeBooked(make_income(1, income_id=str(day)), "", f"2025-01-0{day}")
        book = apply(book, record)
    names = [figures.day for figures in book.ledger.days]
    assert [f"2025-01-0{day}" for day in range(8 - KEPT_DAYS, 8)] == names
    late = apply(book, IncomeBooked(make_income(1, income_id="late"), "", "2024-12-31"))
    assert names == [figures.day for figures in late.ledger.days]
    assert dec(8) == late.ledger.balance


def test_only_recent_trades_are_kept_in_the_order_they_closed() -> None:
    """Venue time decides, not the order in which they were booked."""
    ledger = Ledger(
        closed=tuple(ClosedTrade(f"P{n:06d}", BTC, "trend", dec(1), T0 + n) for n in range(1, KEPT_TRADES + 1))
    )
    position = make_open_position(position_id="P000900", number=900, state=PositionState.CLOSING, closed_ms=T0 + 5)
    flat = PositionAdvanced("P000900", PositionState.CLOSING, PositionState.CLOSED, Trigger.FLAT, "flat")
    closed = apply(make_book(position=position, ledger=ledger), flat).ledger.closed
    assert KEPT_TRADES == len(closed)
    assert ["P000002", "P000003", "P000004", "P000005", "P000900", "P000006"] == [
        trade.position_id for trade in closed[:6]
    ]


def test_keys_of_old_fills_are_forgotten_when_there_are_many() -> None:
    """Older than any venue repeats them."""
    many = {f"k{n}": T0 for n in range(project._MANY_KEYS)}
    book = make_book(position=make_position(), seen={**many, "recent": T0 + 10})
    fill = make_fill(ts_ms=T0 + KEPT_KEYS_MS + 10)
    book = apply(book, FillApplied(fill, "P000001", dec(0), dec(0), DAY))
    assert {"recent", fill.key} == set(book.seen)
    few = dict(list(many.items())[1:])
    book = apply(make_book(position=make_position(), seen=few), FillApplied(fill, "P000001", dec(0), dec(0), DAY))
    assert {*few, fill.key} == set(book.seen)


def test_pruning_forgets_closed_positions_and_their_orders() -> None:
    """And leaves a book without any as it is."""
    live = make_position(position_id="P000002", number=2)
    entry = make_order(client_order_id="tetest000002e00001", position_id="P000002")
    closed = make_position(state=PositionState.CLOSED)
    book = make_book(make_order(), entry, positions=[closed, live])
    pruned = prune(book)
    assert (["P000002"], [entry]) == (list(pruned.positions), list(pruned.orders.values()))
    assert pruned is prune(pruned)


def test_the_journal_rebuilds_the_book() -> None:
    """A trade, a late fill, late funding: applied from nothing, pruned at the end, equal."""
    play = Playbook()
    closed = play.stopped_out()
    play.income(-3, ts_ms=closed.closed_ms)
    late = make_fill(
        trade_id="late", client_order_id="tetest000001e00001", side=TradeSide.BUY, quantity=dec(1), ts_ms=play.now
    )
    play.snapshot(fills=(late,))
    rebuilt = Book("test")
    for record in play.journal:
        rebuilt = apply(rebuilt, record)
    assert play.book == prune(rebuilt)


@pytest.mark.parametrize(
    ("highs", "day", "high", "expected"),
    [
        ([], "d2", 5, [("d2", 5)]),
        ([("d1", 9)], "d2", 5, [("d1", 9), ("d2", 5)]),
        ([("d1", 9), ("d2", 5)], "d3", 5, [("d1", 9), ("d3", 5)]),
        ([("d1", 9), ("d2", 5)], "d2", 7, [("d1", 9), ("d2", 7)]),
        ([("d1", 9), ("d2", 5)], "d2", 3, [("d1", 9), ("d2", 5)]),
        ([("d1", 9), ("d2", 5)], "d1", 10, [("d2", 10)]),
    ],
)
def test_only_days_above_all_later_ones_are_kept(
    highs: list[tuple[str, int]], day: str, high: int, expected: list[tuple[str, int]]
) -> None:
    """A booking that comes late counts for the last day."""
    before = tuple((name, dec(value)) for name, value in highs)
    assert tuple((name, dec(value)) for name, value in expected) == with_high(before, day, dec(high))


def test_days_without_end_that_only_fall_are_forgotten_at_last() -> None:
    """The newest four hundred are enough for a year."""
    highs: tuple[tuple[str, Decimal], ...] = ()
    for day in range(500):
        highs = with_high(highs, f"d{day:03d}", dec(-day))
    assert (400, "d100", "d499") == (len(highs), highs[0][0], highs[-1][0])
