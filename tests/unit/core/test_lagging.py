"""A history of fills that lags behind reports and positions: what is open is protected by the report's word."""

from dataclasses import replace

import pytest
from builders import BTC, ETH, Playbook, dec, held_at_venue, make_report

from trading_engine.core.effects import CancelOrder, PlaceOrder, SetTimer
from trading_engine.core.state import Book
from trading_engine.domain.control import Level
from trading_engine.domain.events import FillSeen, OrderReported, TimerKind
from trading_engine.domain.fills import Fill
from trading_engine.domain.ids import Purpose, next_epoch
from trading_engine.domain.lifecycle import CloseReason, PositionState
from trading_engine.domain.market import Side
from trading_engine.domain.orders import OrderState, TradeSide
from trading_engine.domain.records import DifferenceFound, EpochChanged

MINUTE_MS = 60_000


def reported() -> tuple[Playbook, PlaceOrder]:
    """An entry that the venue says has filled whole, and of which no read shows a fill."""
    play = Playbook()
    entry = play.enter()
    play.report(entry, OrderState.FILLED, filled=dec(10))
    play.fills_read()
    return play, entry


def told_in_part() -> tuple[Playbook, PlaceOrder]:
    """An entry of ten of which four are booked, behind a stop of their size."""
    play = Playbook()
    entry = play.enter()
    play.fill(entry, 4)
    play.ack(play.place(Purpose.STOP))
    return play, entry


def fills_timers(play: Playbook) -> list[int]:
    """When fills are read again, ms from now."""
    return [timer.at_ms - play.now for timer in play.asked(SetTimer) if timer.kind is TimerKind.FILLS]


# Protection


def test_an_entry_of_which_only_a_report_tells_gets_its_stop() -> None:
    """The position is open at the venue, whatever its history shows; the stop only reduces."""
    play, entry = reported()
    assert PositionState.PENDING is play.position.state
    assert [Purpose.STOP] == play.placed()
    stop = play.place(Purpose.STOP)
    assert (dec(10), dec(95)) == (stop.request.quantity, stop.request.trigger_price)
    play.ack(stop)
    play.fill(entry)
    assert PositionState.OPEN is play.position.state
    assert Purpose.STOP not in play.placed(), "the one that rests fits"
    assert 1 == len([order for order in play.stops() if order.is_live])


def test_a_stop_grows_with_what_reports_tell_of_an_entry_that_fills_in_parts() -> None:
    """The first part was told, the rest is only reported."""
    play, entry = told_in_part()
    play.wait(5_000)
    play.report(entry, OrderState.FILLED, filled=dec(10))
    play.fills_read()
    assert dec(10) == play.place(Purpose.STOP).request.quantity


def test_what_an_entry_filled_beyond_a_whole_exit_is_behind_a_stop_and_closed() -> None:
    """The exit closed what was known; the rest of the entry is only reported."""
    play, entry = told_in_part()
    play.signal(None, exit_side=Side.LONG)
    leave = play.place(Purpose.EXIT)
    play.wait(5_000)
    play.report(entry, OrderState.FILLED, filled=dec(10))
    play.fill(leave)
    assert (0, PositionState.CLOSING) == (play.position.quantity, play.position.state)
    play.fills_read()
    assert [Purpose.EXIT, Purpose.STOP] == play.placed()
    assert [6, 6] == [placed.request.quantity for placed in play.asked(PlaceOrder)]
    play.ack(play.place(Purpose.EXIT))
    assert [] == play.asked(CancelOrder), "nothing that is known is open, and yet it is at work"


def test_a_stop_for_a_report_that_is_not_acknowledged_is_sent_again() -> None:
    """As for any position."""
    play, _ = reported()
    play.reject(play.place(Purpose.STOP), "busy", "try later")
    assert [Purpose.STOP] == [play.order(placed).purpose for placed in play.pass_time(1_000)]


def test_a_report_whose_fills_are_just_being_read_changes_nothing() -> None:
    """Reports are told a moment before the fills every day."""
    play = Playbook()
    entry = play.enter()
    play.report(entry, OrderState.FILLED, filled=dec(10))
    assert [] == play.placed()
    play.fill(entry)
    assert [Purpose.STOP, Purpose.TARGET] == play.placed()


def test_a_history_that_lags_is_read_less_and_less_often() -> None:
    """From every second to every half minute; a report that says the same does not hurry it."""
    play, entry = reported()
    pauses = []
    for _ in range(12):
        (pause_ms,) = fills_timers(play)
        pauses.append(pause_ms)
        play.wait(pause_ms)
        play.on(OrderReported(play.now, make_report(play.order(entry), OrderState.FILLED, filled=dec(10))))
        assert [] == fills_timers(play)
        play.fills_read()
    assert sorted(pauses) == pauses
    assert (1_000, 30_000) == (pauses[0], pauses[-1])


# Closing what is only reported


def close_reported(play: Playbook, entry: PlaceOrder) -> PlaceOrder:
    """The exit of what a report has told, and then everything it waits for."""
    leave = play.place(Purpose.EXIT)
    assert dec(10) == leave.request.quantity
    assert PositionState.CLOSING is play.position.state
    play.ack(leave)
    play.fill(entry)
    assert [] == play.placed(), "the exit is at work on it"
    play.fill(leave)
    play.settle_cancels()
    assert (PositionState.CLOSED, 0) == (play.position.state, play.position.quantity)
    return leave


def test_the_kill_switch_closes_what_is_only_reported() -> None:
    """It is open at the venue; its fill may be half a minute away."""
    play, entry = reported()
    play.ack(play.place(Purpose.STOP))
    play.stop_file(Level.FLATTEN)
    close_reported(play, entry)
    assert CloseReason.KILL_SWITCH is play.position.close_reason


def test_what_is_reported_after_the_kill_switch_is_closed_as_well() -> None:
    """The cancel came too late."""
    play = Playbook()
    entry = play.enter()
    play.stop_file(Level.FLATTEN)
    play.report(entry, OrderState.FILLED, filled=dec(10))
    assert [] == play.placed()
    play.fills_read()
    close_reported(play, entry)


def test_what_is_only_reported_is_closed_where_its_stop_is_refused() -> None:
    """As any position."""
    play, entry = reported()
    play.reject(play.place(Purpose.STOP))
    close_reported(play, entry)
    assert CloseReason.RISK is play.position.close_reason


def test_what_is_only_reported_is_closed_where_its_stop_is_not_confirmed_in_time() -> None:
    """As any position."""
    play, entry = reported()
    play.doubt(play.place(Purpose.STOP))
    play.pass_time(play.settings.execution.stop_confirmation_ms)
    close_reported(play, entry)
    assert CloseReason.RISK is play.position.close_reason


def test_a_position_that_only_a_report_makes_larger_is_closed_where_its_stop_is_not_confirmed_in_time() -> None:
    """The stop that rests covers only what was told."""
    play, entry = told_in_part()
    play.report(entry, OrderState.FILLED, filled=dec(10))
    play.fills_read()
    play.doubt(play.place(Purpose.STOP))
    play.pass_time(play.settings.execution.stop_confirmation_ms)
    assert dec(10) == play.place(Purpose.EXIT).request.quantity


def test_what_an_entry_is_reported_to_have_filled_beyond_an_exit_gets_an_exit_of_its_own() -> None:
    """The first one would leave it to a stop, which may have been refused."""
    play, entry = told_in_part()
    play.signal(None, exit_side=Side.LONG)
    first = play.place(Purpose.EXIT)
    play.ack(first)
    play.fill(first, 1)
    play.report(entry, OrderState.FILLED, filled=dec(10))
    play.fills_read()
    second = play.place(Purpose.EXIT)
    assert (dec(4), dec(6)) == (first.request.quantity, second.request.quantity)
    play.ack(second)
    play.fill(entry)
    assert Purpose.EXIT not in play.placed()
    play.fill(first)
    play.fill(second)
    play.settle_cancels()
    assert PositionState.CLOSED is play.position.state


def test_the_last_stop_of_what_is_only_reported_is_not_cancelled_again() -> None:
    """Its position knows of no fill yet."""
    play, _ = reported()
    stop = play.place(Purpose.STOP)
    play.ack(stop)
    play.state = replace(play.state, book=cancel_requested(play.book, stop))
    play.timer(TimerKind.CANCEL, stop.request.client_order_id)
    assert [] == play.asked(CancelOrder)


def cancel_requested(book: Book, placed: PlaceOrder) -> Book:
    """The book where an order is on its way out."""
    order = book.orders[placed.request.client_order_id]
    return replace(book, orders={**book.orders, order.client_order_id: replace(order, cancel_requested=True)})


# What closes more than is known


def close_by_hand(play: Playbook, ts_ms: int) -> Fill:
    return play.make_foreign_fill(TradeSide.SELL, 10, 101, ts_ms=ts_ms)


def test_what_closes_a_position_waits_for_the_entry_that_a_read_does_not_show_yet() -> None:
    """The parts of a history come one by one: neither is the exit a stranger's, nor is the symbol frozen."""
    play = Playbook()
    entry = play.enter()
    play.ack(entry)
    opened = play.make_fill(entry, ts_ms=play.now + 1)
    closed = close_by_hand(play, play.now + 2)
    play.wait(2_000)
    play.fills_read(closed)
    assert ([], [1_000]) == (play.alerts(), fills_timers(play))
    play.fills_read(opened, closed)
    play.settle_cancels()
    assert PositionState.CLOSED is play.position.state
    assert {} == play.book.frozen


def test_a_stop_that_fills_before_its_entry_is_told_waits_as_well() -> None:
    """It stood for the report."""
    play, entry = reported()
    stop = play.place(Purpose.STOP)
    play.ack(stop)
    opened, closed = play.make_fill(entry, ts_ms=play.now + 1), play.make_fill(stop, price=95, ts_ms=play.now + 2)
    play.wait(2_000)
    play.fills_read(closed)
    assert PositionState.PENDING is play.position.state
    play.fills_read(opened, closed)
    play.settle_cancels()
    assert (PositionState.CLOSED, CloseReason.STOP) == (play.position.state, play.position.close_reason)


def test_what_no_entry_explains_for_a_minute_is_a_strangers() -> None:
    """No history lags for so long."""
    play = Playbook()
    play.ack(play.enter())
    closed = close_by_hand(play, play.now)
    play.wait(MINUTE_MS)
    play.fills_read(closed)
    assert BTC in play.book.frozen


# Fills that cannot be booked


def late(play: Playbook, side: Side) -> Fill:
    """A fill of an entry that was proven absent, beside a position that is open now."""
    first = play.enter()
    play.doubt(first)
    play.pass_time(30_000)
    for _ in range(4):
        play.wait(10_000)
        play.absent(first)
    assert PositionState.CLOSED is play.position.state
    play.opened(side=side)
    return play.make_fill(first, price=100)


def test_a_late_fill_beside_an_open_position_stays_in_mind_until_it_is_booked() -> None:
    """From its time on fills are read again, however long that position lasts."""
    play = Playbook()
    fill = late(play, Side.SHORT)
    play.on(FillSeen(play.now, fill))
    assert fill.ts_ms == play.state.market.unbooked_ms
    assert PositionState.OPEN is play.position.state, "it reduces what is held at the venue: the stop covers the rest"
    play.wait(120 * MINUTE_MS)
    play.fill(play.place(Purpose.STOP), price=105)
    play.settle_cancels()
    play.fills_read(fill)
    assert (PositionState.CLOSING, "P000001") == (play.position.state, play.position.residual_of)
    assert 0 == play.state.market.unbooked_ms


def test_a_late_fill_that_adds_to_an_open_position_has_it_closed() -> None:
    """Its stop does not cover what was added."""
    play = Playbook()
    fill = late(play, Side.LONG)
    play.on(FillSeen(play.now, fill))
    assert (PositionState.CLOSING, CloseReason.RISK) == (play.position.state, play.position.close_reason)


def test_fills_of_unknown_origin_stay_in_mind_until_an_operator_has_resumed() -> None:
    """Whatever was booked since."""
    play = Playbook()
    alien = play.make_foreign_fill(TradeSide.BUY, 3, client_order_id="tezzzz000009e00001", symbol=ETH)
    play.on(FillSeen(play.now, alien))
    assert Level.LOCKED is play.book.control.level
    play.wait(48 * 60 * MINUTE_MS)
    play.fills_read(alien)
    assert alien.ts_ms == play.state.market.unbooked_ms
    play.resume()
    play.fills_read(alien)
    assert 0 == play.state.market.unbooked_ms


def test_more_than_was_ordered_is_not_booked() -> None:
    """Another order by the same id: a person judges."""
    play = Playbook()
    entry = play.enter()
    play.fill(entry, 11)
    assert (Level.LOCKED, PositionState.PENDING) == (play.book.control.level, play.position.state)


@pytest.mark.parametrize("changes", [{"symbol": ETH}, {"filled": dec(11)}])
def test_a_report_about_another_order_of_the_same_id_is_not_taken_in(changes: dict[str, object]) -> None:
    """It locks, once."""
    play = Playbook()
    entry = play.enter()
    play.report(entry, OrderState.FILLED, **{"filled": dec(10), **changes})
    assert (Level.LOCKED, OrderState.INTENT) == (play.book.control.level, play.order(entry).state)
    assert ["another_order"] == [found.kind for found in play.recorded(DifferenceFound)]
    play.report(entry, OrderState.FILLED, **{"filled": dec(10), **changes})
    assert () == play.last.records


# Rows that were lost


def test_a_fill_of_a_row_that_was_lost_begins_another_epoch() -> None:
    """The ids that this database would give next are taken at the venue."""
    play = Playbook()
    before = play.book.epoch
    play.on(FillSeen(play.now, play.make_foreign_fill(TradeSide.BUY, 3, client_order_id=f"te{before}000007e00001")))
    (changed,) = play.recorded(EpochChanged)
    assert changed.epoch == play.book.epoch == next_epoch(before, play.now) != before
    play.on(FillSeen(play.now, play.make_foreign_fill(TradeSide.BUY, 3, client_order_id=f"te{before}000008e00001")))
    assert [] == play.recorded(EpochChanged)


@pytest.mark.parametrize("is_unexplained", [True, False])
def test_an_order_of_a_row_that_was_lost_begins_another_epoch(is_unexplained: bool) -> None:
    """Whether it guards something or not."""
    play = Playbook()
    before = play.book.epoch
    entry = play.enter()
    lost = replace(
        make_report(play.order(entry)), client_order_id=f"te{before}000007s00001", reduce_only=True, venue_order_id="9"
    )
    play.absent(entry)
    held = (held_at_venue(play.position, quantity=dec(3)),) if is_unexplained else ()
    play.snapshot(open_orders=(lost,), positions=held)
    assert before != play.book.epoch
