"""Timers: each looks whether its reason still stands."""

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

from trading_engine.core.effects import CancelOrder, LookUpOrder, SetTimer, TakeSnapshot
from trading_engine.core.on_timer import boot_timers
from trading_engine.domain.events import TimerKind
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.orders import OrderState
from trading_engine.domain.position import CloseReason

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


def test_a_stop_that_is_not_confirmed_in_time_closes_the_position() -> None:
    """An alarm, and out at market."""
    play = Playbook()
    play.fill(play.enter())
    play.timer(TimerKind.STOP_CONFIRMATION, "P000001")
    assert ["BTCUSDT: stop of P000001 is not confirmed in time; closing the position"] == play.alerts()
    assert (PositionState.CLOSING, CloseReason.RISK) == (play.position.state, play.position.close_reason)
    assert [Purpose.EXIT] == play.placed()


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
    assert (RECONCILE, deadline) == boot_timers(make_book(entry, position=make_position()), make_settings(), NOW)
    for done in (make_order(cancel_requested=True), make_order(state=OrderState.CANCELED)):
        assert (RECONCILE,) == boot_timers(make_book(done, position=make_position()), make_settings(), NOW)


def test_an_unprotected_position_boots_with_its_confirmation() -> None:
    """A protected one needs none."""
    entry = make_order(state=OrderState.FILLED, filled=dec(10))
    confirmation = SetTimer(NOW + 5_000, TimerKind.STOP_CONFIRMATION, "P000001")
    book = make_book(entry, make_stop(), position=make_open_position())
    assert (RECONCILE, confirmation) == boot_timers(book, make_settings(), NOW)
    book = make_book(entry, make_stop(state=OrderState.ACKED), position=make_open_position())
    assert (RECONCILE,) == boot_timers(book, make_settings(), NOW)


def test_a_closing_position_boots_with_its_retry() -> None:
    """Whatever stands in the way of its exit is looked at again."""
    closing = make_open_position(state=PositionState.CLOSING)
    retry = SetTimer(NOW + 5_000, TimerKind.RETRY_EXIT, "P000001")
    assert (RECONCILE, retry) == boot_timers(make_book(position=closing), make_settings(), NOW)
