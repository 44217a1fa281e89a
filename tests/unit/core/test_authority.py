"""Whether the venue takes our key."""

from builders import BTC, Playbook

from trading_engine.core.gates import entry_gates
from trading_engine.domain.events import SnapshotFailed
from trading_engine.domain.ids import Purpose
from trading_engine.domain.orders import OrderState
from trading_engine.domain.records import AlertRaised
from trading_engine.domain.reports import KEY_CODE
from trading_engine.domain.severity import Severity


def refused(play: Playbook) -> tuple[str, ...]:
    return tuple(text for text in entry_gates(play.state, play.settings, BTC, play.now) if "the key" in text)


def told(play: Playbook) -> list[tuple[str, Severity]]:
    return [(item.key, item.severity) for item in play.recorded(AlertRaised) if item.key.startswith("key:")]


def test_an_order_that_is_refused_for_its_key_blocks_all_entries_until_one_is_taken() -> None:
    """Told once; that the account can be read proves nothing about trading."""
    play = Playbook()
    entry = play.enter()
    play.reject(entry, KEY_CODE, "-2015: no permission")
    assert [("key:refused", Severity.CRITICAL)] == told(play)
    assert 1 == len(refused(play))
    play.snapshot()
    assert 1 == len(refused(play))
    play.reject(entry, KEY_CODE, "-2015: no permission")
    assert [] == told(play)
    play.ack(entry)
    assert [("key:accepted", Severity.INFO)] == told(play)
    assert () == refused(play)


def test_a_read_that_is_refused_for_the_key_is_over_with_the_next_whole_look() -> None:
    """The positions that cannot be managed are counted."""
    play = Playbook()
    play.opened()
    play.on(SnapshotFailed(play.now, "-2014: bad key", is_key=True))
    assert [("key:refused", Severity.CRITICAL)] == told(play)
    assert any("1 open position cannot be managed" in text for text in play.alerts())
    play.on(SnapshotFailed(play.now, "-2014: bad key", is_key=True))
    assert [] == told(play)
    play.snapshot()
    assert [("key:accepted", Severity.INFO)] == told(play)


def test_a_refused_read_becomes_a_refused_order_but_not_the_reverse() -> None:
    """The graver of the two stays: a look at the account does not end it, an operator does."""
    play = Playbook()
    play.opened()
    play.on(SnapshotFailed(play.now, "-2014: bad key", is_key=True))
    play.reject(play.place(Purpose.STOP), KEY_CODE, "-2015: no permission")
    play.on(SnapshotFailed(play.now, "-2014: bad key", is_key=True))
    play.snapshot()
    assert 1 == len(refused(play))
    play.resume()
    assert () == refused(play)


def test_a_cancel_that_is_taken_proves_the_key_too() -> None:
    """Any request that changes something does."""
    play = Playbook()
    entry = play.enter()
    play.reject(entry, KEY_CODE, "bad key")
    play.cancel_answered(entry, OrderState.CANCELED)
    assert () == refused(play)
