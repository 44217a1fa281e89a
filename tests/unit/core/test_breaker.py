"""Questions to the venue that are not answered, one after the other."""

from collections.abc import Callable

import pytest
from builders import Playbook, make_settings, without_limits

from trading_engine.core.effects import SetTimer
from trading_engine.core.gates import entry_gates
from trading_engine.domain.events import LookupFailed, TimerKind
from trading_engine.domain.ids import Purpose
from trading_engine.domain.orders import OrderState
from trading_engine.domain.records import AlertRaised
from trading_engine.domain.reports import PASSING_CODES
from trading_engine.domain.severity import Severity

COOL_OFF_MS = 60_000
SETTINGS = make_settings(limits=without_limits(errors_to_block=5))


def reasons(play: Playbook) -> tuple[str, ...]:
    return tuple(text for text in entry_gates(play.state, play.settings, "BTCUSDT", play.now) if "errors" in text)


def failing(play: Playbook, times: int) -> None:
    """An order cannot be looked up so often."""
    for _ in range(times):
        play.on(LookupFailed(play.now, "any", "timeout"))


def test_five_errors_in_a_row_block_entries_until_an_answer_after_the_cool_off() -> None:
    """Told when it begins and when it ends; an answer comes because it is asked for."""
    play = Playbook(SETTINGS)
    failing(play, 4)
    assert () == reasons(play)
    failing(play, 1)
    (shut,) = reasons(play)
    assert shut.endswith("the last one: an order cannot be looked up (timeout)")
    assert SetTimer(play.now + COOL_OFF_MS, TimerKind.RECONCILE) in play.asked(SetTimer)
    told = [(alert.key, alert.severity) for alert in play.recorded(AlertRaised)]
    assert [("errors:blocked", Severity.WARNING)] == told
    failing(play, 3)
    assert [] == play.recorded(AlertRaised)
    play.wait(COOL_OFF_MS - 1)
    play.snapshot()
    assert 1 == len(reasons(play))
    play.wait(1)
    play.snapshot()
    assert () == reasons(play)
    assert ["embedded answers again: entries are possible"] == play.alerts()


def test_an_answer_in_between_begins_the_count_anew() -> None:
    """Only errors without one between them count."""
    play = Playbook(SETTINGS)
    failing(play, 4)
    play.snapshot()
    failing(play, 4)
    assert () == reasons(play)


def test_errors_of_an_outage_are_the_outage_s() -> None:
    """The gate is shut by it, and it is told once."""
    play = Playbook(SETTINGS)
    play.snapshot_failed()
    failing(play, 50)
    assert ((), 0) == (reasons(play), play.state.market.errors.count)


def test_the_breaker_can_be_switched_off() -> None:
    """Nothing blocks, however often."""
    play = Playbook(make_settings(limits=without_limits()))
    failing(play, 50)
    assert () == reasons(play)


@pytest.mark.parametrize(
    ("happens", "errors"),
    [
        (lambda play, entry: play.doubt(entry), 3),
        (lambda play, entry: play.reject(entry), 0),
        (lambda play, entry: play.reject(entry, "-1003", "busy"), 0),
        (lambda play, entry: play.ack(entry), 0),
        (lambda play, entry: play.look_up_failed(entry), 3),
        (lambda play, entry: play.look_up(entry, OrderState.ACKED), 0),
        (lambda play, entry: play.cancel_answered(entry, OrderState.CANCELED), 0),
        (lambda play, entry: play.cancel_answered(entry, None), 0),
    ],
)
def test_what_is_an_answer_and_what_is_an_error(happens: Callable[..., object], errors: int) -> None:
    """A refusal is an answer; what is not known is none."""
    play = Playbook(SETTINGS)
    entry = play.enter()
    failing(play, 2)
    happens(play, entry)
    assert errors == play.state.market.errors.count


def test_an_order_turned_down_before_it_was_looked_at_is_an_error() -> None:
    """The venue was busy: it has answered nothing."""
    play = Playbook(SETTINGS)
    entry = play.enter()
    play.reject(entry, min(PASSING_CODES), "too many requests")
    assert 1 == play.state.market.errors.count
    assert Purpose.ENTRY is play.order(entry).purpose
