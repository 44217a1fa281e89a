"""Our clock has taken the machine's over at once: what waits for a span to pass begins anew."""

from builders import Playbook

from trading_engine.core.effects import TakeSnapshot
from trading_engine.domain.events import ClockStepped, TimerKind
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.orders import OrderState

STEP_MS = 90_000


def stepped(play: Playbook) -> None:
    play.wait(STEP_MS)
    play.on(ClockStepped(play.now))


def test_an_order_that_a_list_does_not_show_yet_is_not_gone_because_the_clock_was_set() -> None:
    """It was acknowledged a moment ago, and the list may lag behind by a second."""
    play = Playbook()
    play.fill(play.enter())
    stop = play.place(Purpose.STOP)
    play.ack(stop)
    stepped(play)
    assert [TakeSnapshot()] == play.asked(TakeSnapshot)
    play.wait(500)
    play.absent(stop)
    assert OrderState.ACKED is play.order(stop).state


def test_a_stop_has_its_time_to_be_confirmed_although_the_clock_was_set() -> None:
    """The position is not closed for want of it."""
    play = Playbook()
    play.fill(play.enter())
    stepped(play)
    play.timer(TimerKind.STOP_CONFIRMATION, "P000001")
    assert PositionState.OPEN is play.position.state
    play.wait(5_000)
    play.timer(TimerKind.STOP_CONFIRMATION, "P000001")
    assert PositionState.CLOSING is play.position.state
