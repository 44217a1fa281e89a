"""Timers: each looks whether its reason still stands."""

import pytest
from builders import (
    BTC,
    Playbook,
    dec,
    make_book,
    make_open_position,
    make_order,
    make_position,
    make_settings,
    make_stop,
)

from trading_engine.core.effects import CancelOrder, FetchFills, LookUpOrder, SetTimer, TakeSnapshot
from trading_engine.core.on_timer import boot_timers
from trading_engine.core.state import EngineState, Market
from trading_engine.domain.events import TimerKind
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import CloseReason, PositionState
from trading_engine.domain.orders import OrderState

NOW = 1_000_000
RECONCILE = SetTimer(NOW + 300_000, TimerKind.RECONCILE)


def test_the_entry_deadline_cancels_what_has_not_filled() -> None:
    """Once; a second firing finds the cancel under way."""
    play = Playbook()
    entry = play.enter()
    key = entry.request.client_order_id
    play.timer(TimerKind.ENTRY_DEADLINE, key)
    assert [CancelOrder(BTC, key, "")] == play.asked(CancelOrder)
    play.timer(TimerKind.ENTRY_DEADLINE, key)
    assert [] == play.asked(CancelOrder)


def test_the_entry_deadline_of_a_filled_entry_means_nothing() -> None:
    """Nor that of a forgotten one."""
    play = Playbook()
    play.opened()
    play.timer(TimerKind.ENTRY_DEADLINE, play.place(Purpose.ENTRY).request.client_order_id)
    assert [] == play.asked(CancelOrder)
    play.timer(TimerKind.ENTRY_DEADLINE, "tetest000009e00001")
    assert () == play.last.records


@pytest.mark.parametrize("is_certain", [False, True])
def test_a_stop_that_is_not_confirmed_in_time_closes_the_position(is_certain: bool) -> None:
    """An alarm, and out at market: five seconds after the fill, and not a moment before."""
    play = Playbook(make_settings(absence_is_proof=is_certain))
    play.fill(play.enter())
    filled_ms = play.now
    confirm_by = SetTimer(filled_ms + 5_000, TimerKind.STOP_CONFIRMATION, "P000001")
    assert confirm_by in play.asked(SetTimer)
    play.wait(4_999)
    play.timer(TimerKind.STOP_CONFIRMATION, "P000001")
    assert ((), (confirm_by,)) == (play.last.records, play.last.effects), "early: looked at again in time"
    play.wait(1)
    play.timer(TimerKind.STOP_CONFIRMATION, "P000001")
    assert ["BTCUSDT: stop of P000001 is not confirmed in time; closing the position"] == play.alerts()
    assert (PositionState.CLOSING, CloseReason.RISK) == (play.position.state, play.position.close_reason)
    assert Purpose.EXIT in play.placed()


def test_the_time_without_a_stop_is_counted_from_when_the_cover_was_lost() -> None:
    """Confirmed for four, then six more fill: their five seconds begin with their fill."""
    play = Playbook()
    entry = play.enter()
    play.fill(entry, 4)
    assert {"P000001": play.now} == play.state.market.uncovered
    play.ack(play.place(Purpose.STOP))
    assert {} == play.state.market.uncovered
    play.wait(4_000)
    play.fill(entry, 6)
    lost_ms = play.now
    assert {"P000001": lost_ms} == play.state.market.uncovered
    play.wait(1_000)
    play.timer(TimerKind.STOP_CONFIRMATION, "P000001")
    assert [SetTimer(lost_ms + 5_000, TimerKind.STOP_CONFIRMATION, "P000001")] == play.asked(SetTimer)
    assert PositionState.OPEN is play.position.state


def test_new_stops_do_not_begin_the_time_without_one_anew() -> None:
    """Each try is another order; the position has been bare since the first."""
    play = Playbook()
    play.fill(play.enter())
    filled_ms = play.now
    play.wait(3_000)
    play.cancelled(play.place(Purpose.STOP))
    assert [Purpose.STOP] == play.placed()
    assert {"P000001": filled_ms} == play.state.market.uncovered
    play.wait(2_000)
    play.timer(TimerKind.STOP_CONFIRMATION, "P000001")
    assert (PositionState.CLOSING, CloseReason.RISK) == (play.position.state, play.position.close_reason)


def test_a_position_that_closes_is_not_watched_for_its_stop_any_more() -> None:
    """Its exit is what counts now."""
    play = Playbook()
    play.fill(play.enter())
    play.signal(None, exit_side=play.position.side)
    assert PositionState.CLOSING is play.position.state
    assert {} == play.state.market.uncovered
    play.timer(TimerKind.STOP_CONFIRMATION, "P000001")
    assert ((), ()) == (play.last.records, play.last.effects)


def test_a_confirmed_stop_satisfies_its_timer() -> None:
    """So does a position that is closing or gone."""
    play = Playbook()
    play.opened()
    play.timer(TimerKind.STOP_CONFIRMATION, "P000001")
    assert () == play.last.records
    play.timer(TimerKind.STOP_CONFIRMATION, "P000009")
    assert () == play.last.records
    play.fill(play.place(Purpose.STOP), price=95)
    play.timer(TimerKind.STOP_CONFIRMATION, "P000001")
    assert () == play.last.records


def test_a_retry_for_a_position_that_is_gone_means_nothing() -> None:
    """Closed meanwhile."""
    play = Playbook()
    play.stopped_out()
    play.timer(TimerKind.RETRY_EXIT, "P000001")
    assert ((), ()) == (play.last.records, play.last.effects)


def test_a_look_up_is_asked_for_while_the_order_is_live() -> None:
    """Not after it has ended."""
    play = Playbook()
    play.doubt(play.enter())
    key = play.place(Purpose.ENTRY).request.client_order_id
    play.timer(TimerKind.LOOKUP, key)
    assert [LookUpOrder(BTC, key)] == play.asked(LookUpOrder)
    play.fill(play.place(Purpose.ENTRY))
    play.timer(TimerKind.LOOKUP, key)
    assert [] == play.asked(LookUpOrder)


def test_a_look_at_the_protection_of_a_position_that_is_gone_means_nothing() -> None:
    """Closed meanwhile."""
    play = Playbook()
    play.stopped_out()
    play.timer(TimerKind.PROTECT, "P000001")
    assert ((), ()) == (play.last.records, play.last.effects)


def test_a_look_at_the_protection_places_what_is_missing() -> None:
    """The stop that could not be placed at once."""
    play = Playbook()
    entry = play.enter()
    play.fill(entry, 4)
    play.fill(entry, 6)
    play.wait(1_000)
    play.timer(TimerKind.PROTECT, "P000001")
    assert [Purpose.STOP] == play.placed()
    assert dec(10) == play.place(Purpose.STOP).request.quantity


def test_fills_that_were_named_are_fetched_when_their_time_has_come() -> None:
    """One question for all of them."""
    play = Playbook()
    play.timer(TimerKind.FILLS)
    assert ((), (FetchFills(),)) == (play.last.records, play.last.effects)


def test_a_cancel_is_repeated_while_its_order_rests() -> None:
    """Not before it was intended, not after the order has ended, not for a forgotten one."""
    play = Playbook()
    entry = play.enter()
    play.ack(entry)
    key = entry.request.client_order_id
    play.timer(TimerKind.CANCEL, key)
    assert () == play.last.effects
    play.timer(TimerKind.ENTRY_DEADLINE, key)
    play.timer(TimerKind.CANCEL, key)
    assert ((), (CancelOrder(BTC, key, f"v-{key}"),)) == (play.last.records, play.last.effects)
    play.fill(entry)
    play.timer(TimerKind.CANCEL, key)
    assert () == play.last.effects
    play.timer(TimerKind.CANCEL, "tetest000009e00001")
    assert () == play.last.effects


def test_reconciliation_comes_round_by_itself() -> None:
    """A snapshot now, the next in five minutes."""
    play = Playbook()
    play.timer(TimerKind.RECONCILE)
    assert (TakeSnapshot(), SetTimer(play.now + 300_000, TimerKind.RECONCILE)) == play.last.effects


def test_an_empty_book_boots_with_reconciliation_only() -> None:
    """The one timer that always runs."""
    assert (RECONCILE,) == boot_timers(make_book(), make_settings(), NOW)


def test_a_live_entry_boots_with_its_deadline() -> None:
    """At its own time, even if that has passed; not where its cancel was intended, not for a filled one."""
    entry = make_order(created_ms=NOW - 90_000)
    deadline = SetTimer(NOW - 30_000, TimerKind.ENTRY_DEADLINE, entry.client_order_id)
    in_process = make_settings(absence_is_proof=True)
    assert (RECONCILE, deadline) == boot_timers(make_book(entry, position=make_position()), in_process, NOW)
    for done in (make_order(cancel_requested=True), make_order(state=OrderState.CANCELED)):
        assert (RECONCILE,) == boot_timers(make_book(done, position=make_position()), in_process, NOW)


def test_what_should_fill_at_once_is_asked_after_soon_after_a_start() -> None:
    """Over a wire a fill's message may be lost; a market order that has ended is asked after no more."""
    entry = make_order(created_ms=NOW - 1_000)
    look = SetTimer(NOW + 1_000, TimerKind.LOOKUP, entry.client_order_id)
    assert look in boot_timers(make_book(entry, position=make_position()), make_settings(), NOW)
    done = make_order(state=OrderState.CANCELED)
    assert (RECONCILE,) == boot_timers(make_book(done, position=make_position()), make_settings(), NOW)


def test_an_open_position_boots_with_a_look_at_its_protection() -> None:
    """Soon, in case no snapshot comes before; what the market view of the last process knew of it is gone."""
    entry = make_order(state=OrderState.FILLED, filled=dec(10))
    look = SetTimer(NOW + 2_000, TimerKind.PROTECT, "P000001")
    for stop in (make_stop(), make_stop(state=OrderState.ACKED)):
        book = make_book(entry, stop, position=make_open_position())
        assert (RECONCILE, look) == boot_timers(book, make_settings(), NOW)


def test_an_unprotected_position_gets_its_confirmation_after_a_boot() -> None:
    """Five seconds from the look, whatever the last process had counted; a protected one needs none."""
    play = Playbook()
    play.fill(play.enter())
    play.wait(60_000)
    play.state = EngineState(play.book, Market())
    play.timer(TimerKind.PROTECT, "P000001")
    assert SetTimer(play.now + 5_000, TimerKind.STOP_CONFIRMATION, "P000001") in play.asked(SetTimer)
    play.ack(play.place(Purpose.STOP))
    play.ack(play.place(Purpose.TARGET))
    play.state = EngineState(play.book, Market())
    play.timer(TimerKind.PROTECT, "P000001")
    assert ((), ()) == (play.last.records, play.last.effects)


def test_a_closing_position_boots_with_its_retry() -> None:
    """Whatever stands in the way of its exit is looked at again."""
    closing = make_open_position(state=PositionState.CLOSING)
    retry = SetTimer(NOW + 5_000, TimerKind.RETRY_EXIT, "P000001")
    assert (RECONCILE, retry) == boot_timers(make_book(position=closing), make_settings(), NOW)
