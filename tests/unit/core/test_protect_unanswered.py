"""Stops and exits at a venue that answers late, never, or takes orders away again: not too often, never too few."""

from itertools import pairwise

import pytest
from builders import BTC, Playbook, dec, held_at_venue, make_settings

from trading_engine.core.effects import CancelOrder, PlaceOrder, SetTimer
from trading_engine.core.settings import ExecutionSettings
from trading_engine.domain.events import TimerKind
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import CloseReason, PositionState
from trading_engine.domain.market import Side
from trading_engine.domain.orders import OrderState
from trading_engine.domain.records import CancelIntended

PATIENT = make_settings(execution=ExecutionSettings(stop_confirmation_ms=10_000_000))
CERTAIN = make_settings(absence_is_proof=True)


def id_of(placed: PlaceOrder) -> str:
    return placed.request.client_order_id


def cancelled_ids(play: Playbook) -> list[str]:
    return [cancel.client_order_id for cancel in play.asked(CancelOrder)]


def protect_at(play: Playbook) -> list[int]:
    """When the last line wants to look at the protection again."""
    return [timer.at_ms for timer in play.asked(SetTimer) if timer.kind is TimerKind.PROTECT]


def leave_by_signal(play: Playbook) -> PlaceOrder:
    """The market exit of a position that has stop and target."""
    play.opened()
    play.signal(None, exit_side=Side.LONG)
    return play.place(Purpose.EXIT)


# The time between two stops


def test_an_entry_that_fills_in_slices_has_one_stop_a_second() -> None:
    """The first slice is protected at once, the others together when the second is over."""
    play = Playbook()
    entry = play.enter()
    play.fill(entry, 4)
    first_ms = play.now
    assert [Purpose.STOP] == play.placed()
    for quantity in (2, 4):
        play.wait(200)
        play.fill(entry, quantity)
        assert Purpose.STOP not in play.placed()
        assert [first_ms + 1_000] == protect_at(play)
    assert [Purpose.TARGET] == play.placed(), "a target waits for no stop"
    assert [] == play.pass_time(599)
    (stop,) = play.pass_time(1)
    assert (Purpose.STOP, dec(10), dec(95)) == (
        play.order(stop).purpose,
        stop.request.quantity,
        stop.request.trigger_price,
    )
    assert [dec(4), dec(10)] == [row.quantity for row in play.stops()]


def test_the_time_between_two_stops_is_configured() -> None:
    """Three seconds instead of one."""
    play = Playbook(make_settings(execution=ExecutionSettings(stop_spacing_ms=3_000)))
    entry = play.enter()
    play.fill(entry, 4)
    first_ms = play.now
    play.ack(play.place(Purpose.STOP))
    play.fill(entry, 6)
    assert [first_ms + 3_000] == protect_at(play)


def test_a_venue_that_takes_every_stop_away_is_not_flooded() -> None:
    """One a second, each with an id of its own; the position is never given up."""
    play = Playbook(PATIENT)
    play.opened()
    play.wait(1_000)
    for _ in range(5):
        play.cancelled(play.place(Purpose.STOP))
        play.pass_time(1_000)
        play.ack(play.place(Purpose.STOP))
    assert 6 == len(play.stops())
    created = [row.created_ms for row in play.stops()]
    assert all(later - earlier >= 1_000 for earlier, later in pairwise(created))
    assert PositionState.OPEN is play.position.state


def test_in_process_a_stop_follows_every_fill_and_every_move_at_once() -> None:
    """Nobody is flooded there, and a replay lets time pass by candles: a pause would leave one without its stop."""
    play = Playbook(CERTAIN)
    entry = play.enter()
    play.fill(entry, 4)
    play.ack(play.place(Purpose.STOP))
    play.fill(entry, 6)
    assert Purpose.STOP in play.placed()
    assert dec(10) == play.place(Purpose.STOP).request.quantity


# Stops without an answer


def test_a_stop_without_an_answer_is_sent_again_under_a_new_id() -> None:
    """After two seconds: the same stop, the next generation; the first may still arrive and is left alone."""
    play = Playbook()
    play.fill(play.enter())
    first = play.place(Purpose.STOP)
    assert [play.now + 2_000] == protect_at(play)
    assert [] == play.pass_time(1_999)
    (second,) = play.pass_time(1)
    assert id_of(first) != id_of(second)
    assert (first.request.quantity, first.request.trigger_price, True) == (
        second.request.quantity,
        second.request.trigger_price,
        second.request.reduce_only,
    )
    assert [1, 2] == [row.generation for row in play.stops()]
    assert not any(row.cancel_requested for row in play.stops())


@pytest.mark.parametrize("is_unknown", [False, True])
def test_the_patience_with_a_silent_venue_doubles_up_to_five_minutes(is_unknown: bool) -> None:
    """Unanswered or answered with doubt is the same: nobody knows."""
    play = Playbook(PATIENT)
    play.fill(play.enter())
    while len(play.stops()) < 11:
        if is_unknown:
            play.doubt(play.place(Purpose.STOP))
        play.pass_time(1_000)
    created = [row.created_ms for row in play.stops()]
    waits = [later - earlier for earlier, later in pairwise(created)]
    assert [2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000, 300_000] == waits


def test_the_patience_with_a_silent_venue_is_configured() -> None:
    """Half a second instead of two."""
    play = Playbook(make_settings(execution=ExecutionSettings(resend_ms=500)))
    play.fill(play.enter())
    assert [play.now + 500] == protect_at(play)
    assert [Purpose.STOP] == [play.order(placed).purpose for placed in play.pass_time(500)]


@pytest.mark.parametrize("answered", [0, 1])
def test_the_extra_stops_go_when_one_is_acknowledged(answered: int) -> None:
    """Whichever it is; and once is enough."""
    play = Playbook(PATIENT)
    play.fill(play.enter())
    first = play.place(Purpose.STOP)
    (second,) = play.pass_time(2_000)
    kept, extra = (first, second) if answered == 0 else (second, first)
    play.ack(kept)
    assert [CancelIntended(id_of(extra), "replaced")] == play.recorded(CancelIntended)
    assert [id_of(extra)] == cancelled_ids(play)
    play.ack(extra)
    assert ([], []) == (cancelled_ids(play), play.placed())
    play.cancelled(extra)
    assert ([], []) == (cancelled_ids(play), play.placed())
    assert [] == [item for item in play.pass_time(60_000) if play.order(item).purpose is Purpose.STOP]


def test_of_two_acknowledged_stops_the_newest_stays() -> None:
    """Both were found by one snapshot; never none of them."""
    play = Playbook(PATIENT)
    play.fill(play.enter())
    first = play.place(Purpose.STOP)
    (second,) = play.pass_time(2_000)
    play.look_up(second, OrderState.ACKED)
    play.look_up(first, OrderState.ACKED)
    assert {id_of(first): True, id_of(second): False} == {
        row.client_order_id: row.cancel_requested for row in play.stops()
    }


def test_a_stop_of_the_wrong_size_is_not_waited_for() -> None:
    """The new size has its stop although the old one was never answered."""
    play = Playbook()
    entry = play.enter()
    play.fill(entry, 4)
    play.wait(1_000)
    play.fill(entry, 6)
    assert [Purpose.STOP, Purpose.TARGET] == play.placed()
    assert dec(10) == play.place(Purpose.STOP).request.quantity


def test_a_stop_reported_as_filled_is_waited_for_however_long_its_fill_takes() -> None:
    """It has done its work; another one, or an exit beside it, would sell what is not there."""
    play = Playbook()
    play.opened()
    play.report(play.place(Purpose.STOP), OrderState.FILLED, filled=dec(10))
    assert [] == play.pass_time(60_000)
    assert dec(10) == play.position.quantity


def test_in_process_a_stop_is_never_sent_twice() -> None:
    """There is no wire on which it could be lost; silence means that its turn has not come."""
    play = Playbook(CERTAIN)
    play.fill(play.enter())
    assert [] == play.pass_time(4_999)
    play.ack(play.place(Purpose.TARGET))
    assert [] == play.placed()
    assert 1 == len(play.stops())


# Exits without an answer


@pytest.mark.parametrize("is_unknown", [False, True])
def test_an_exit_without_an_answer_is_sent_again_under_a_new_id(is_unknown: bool) -> None:
    """Both are reduce-only: together they close no more than is open. The wait doubles."""
    play = Playbook()
    first = leave_by_signal(play)
    if is_unknown:
        play.doubt(first)
    assert [] == play.pass_time(1_999)
    (second,) = play.pass_time(1)
    assert (Purpose.EXIT, 2, dec(10), True) == (
        play.order(second).purpose,
        play.order(second).generation,
        second.request.quantity,
        second.request.reduce_only,
    )
    if is_unknown:
        play.doubt(second)
    assert [] == play.pass_time(3_999)
    (third,) = play.pass_time(1)
    assert 3 == play.order(third).generation


def test_a_venue_that_was_heard_again_is_asked_at_once() -> None:
    """What came before does not count against it: the doubling is for a venue that is silent."""
    play = Playbook()
    leave_by_signal(play)
    for wait_ms in (2_000, 4_000):
        play.pass_time(wait_ms)
    assert [] == play.pass_time(7_000), "the fourth is due 8 s after the third"
    rests = tuple(held_at_venue(position) for position in play.book.positions.values())
    placed = [play.order(item) for item in play.snapshot(positions=rests).effects if isinstance(item, PlaceOrder)]
    assert [(Purpose.EXIT, 4)] == [(order.purpose, order.generation) for order in placed]


def test_an_exit_that_is_sent_again_is_for_what_is_still_open() -> None:
    """Four were sold meanwhile, by the first one after all."""
    play = Playbook()
    first = leave_by_signal(play)
    play.pass_time(2_000)
    play.fill(first, 4)
    play.cancelled(first)
    placed = play.pass_time(10_000)
    exits = [item for item in placed if play.order(item).purpose is Purpose.EXIT]
    assert dec(6) == exits[0].request.quantity


def test_an_acknowledged_exit_is_waited_for() -> None:
    """It is asked after, and not repeated."""
    play = Playbook()
    leave = leave_by_signal(play)
    play.ack(leave)
    assert [] == play.pass_time(60_000)


def test_the_second_exit_goes_when_the_first_has_closed_the_position() -> None:
    """Nothing is left at the venue before the position counts as closed."""
    play = Playbook()
    first = leave_by_signal(play)
    (second,) = play.pass_time(2_000)
    play.fill(first)
    assert id_of(second) in cancelled_ids(play)
    assert PositionState.CLOSING is play.position.state
    play.settle_cancels()
    assert (PositionState.CLOSED, CloseReason.SIGNAL) == (play.position.state, play.position.close_reason)


def test_in_process_an_exit_is_never_sent_twice() -> None:
    """As a stop."""
    play = Playbook(CERTAIN)
    leave_by_signal(play)
    assert [] == play.pass_time(60_000)


# What is never sent again


def test_an_entry_or_a_target_without_an_answer_is_never_sent_again() -> None:
    """A second entry could open twice as much, and a target is no protection."""
    play = Playbook()
    entry = play.enter()
    assert [] == play.pass_time(59_999)
    play.fill(entry)
    play.ack(play.place(Purpose.STOP))
    target = play.place(Purpose.TARGET)
    assert [] == play.pass_time(600_000)
    assert (OrderState.INTENT, 1) == (play.order(target).state, play.order(target).generation)
    assert {BTC} == {order.symbol for order in play.orders.values()}


# Flat, and yet not over


def test_a_flat_position_waits_for_the_fills_that_its_entry_has_reported() -> None:
    """Ten were bought, four are known and have been stopped out: the other six are sold when they are told."""
    play = Playbook()
    entry = play.enter()
    play.fill(entry, 4)
    stop = play.place(Purpose.STOP)
    play.ack(stop)
    play.report(entry, OrderState.FILLED, filled=dec(10))
    rest = play.make_fill(entry, 6, 100, ts_ms=play.now)
    play.wait(1_000)
    play.fill(stop, 4, 95)
    play.settle_cancels()
    assert (PositionState.CLOSING, dec(0)) == (play.position.state, play.position.quantity)
    play.fills_read(rest)
    assert dec(6) == play.position.quantity
    leave = play.place(Purpose.EXIT)
    assert (Purpose.EXIT in play.placed(), dec(6)) == (True, leave.request.quantity)
    play.fill(leave, 6, 95)
    play.settle_cancels()
    assert (PositionState.CLOSED, dec(-50)) == (play.position.state, play.position.net_pnl)


def test_an_exit_is_sent_again_in_time_although_a_stop_is_waited_for_as_well() -> None:
    """Nobody answers: the exit's own two seconds do not become the longer patience with the third stop."""
    play = Playbook()
    play.fill(play.enter())
    play.pass_time(5_000)
    assert (PositionState.CLOSING, CloseReason.RISK) == (play.position.state, play.position.close_reason)
    leave = play.order(play.place(Purpose.EXIT))
    placed = [play.order(item) for item in play.pass_time(2_000)]
    exits = [order for order in placed if order.purpose is Purpose.EXIT]
    assert [leave.created_ms + 2_000] == [order.created_ms for order in exits]


def test_an_exit_that_cannot_even_be_sent_is_not_sent_every_two_seconds() -> None:
    """Where no connection is to be had: the waits grow, and no more than half a minute follows each failure."""
    play = Playbook()
    leave = leave_by_signal(play)
    attempts = [leave]
    for _ in range(600):
        attempts += [item for item in play.pass_time(1_000) if play.order(item).purpose is Purpose.EXIT]
        for item in attempts:
            row = play.order(item)
            if row.state is OrderState.INTENT and play.now - row.created_ms >= 2_500:
                play.reject(item, "not_sent", "no connection within 2000 ms")
    created = [play.order(item).created_ms for item in attempts]
    waits = [later - earlier for earlier, later in pairwise(created)]
    assert [2_000, 13_000, 23_000] == waits[:3]
    assert {33_000} == set(waits[3:]), "3 s until it is known to have failed, 30 s"
