"""What a raised level does, also to what happens after it was raised."""

from builders import ETH, Playbook

from trading_engine.core.effects import CancelOrder
from trading_engine.domain.control import Level
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import CloseReason, PositionState


def test_every_position_is_closed_and_every_entry_cancelled() -> None:
    """One open, one pending."""
    play = Playbook()
    play.opened()
    entry = play.enter(symbol=ETH)
    play.stop_file(Level.FLATTEN)
    assert [Purpose.EXIT] == play.placed()
    assert [entry.request.client_order_id] == [cancel.client_order_id for cancel in play.asked(CancelOrder)]


def test_an_entry_that_fills_after_a_flatten_is_closed_at_once() -> None:
    """Its cancel came too late; the order to be flat still stands."""
    play = Playbook()
    entry = play.enter()
    play.stop_file(Level.FLATTEN)
    play.fill(entry)
    assert (PositionState.CLOSING, CloseReason.KILL_SWITCH) == (play.position.state, play.position.close_reason)
    assert [Purpose.EXIT, Purpose.STOP] == play.placed()


def test_an_entry_that_fills_after_a_mere_stop_is_kept_and_protected() -> None:
    """No entries means no new ones; this one has happened."""
    play = Playbook()
    entry = play.enter()
    play.stop_file(Level.NO_ENTRY)
    play.fill(entry)
    assert PositionState.OPEN is play.position.state
    assert [Purpose.STOP, Purpose.TARGET] == play.placed()


def test_a_position_whose_target_has_begun_to_fill_is_closed_like_any_other() -> None:
    """Half of the target has filled, the rest rests at its limit: flatten takes the market."""
    play = Playbook()
    play.opened()
    target = play.place(Purpose.TARGET)
    play.fill(target, 5, 115)
    assert PositionState.OPEN is play.position.state
    assert Purpose.EXIT not in play.placed()
    play.stop_file(Level.FLATTEN)
    assert [Purpose.EXIT] == play.placed()
    leave = play.place(Purpose.EXIT)
    assert 5 == leave.request.quantity
    assert CloseReason.KILL_SWITCH is play.position.close_reason
    play.fill(leave, price=114)
    assert target.request.client_order_id in [cancel.client_order_id for cancel in play.asked(CancelOrder)]
