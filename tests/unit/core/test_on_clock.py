"""A clock that differs from the venue's: told once, and above half the receive window it shuts the gate."""

import pytest
from builders import BTC, Playbook, make_settings

from trading_engine.core.gates import entry_gates
from trading_engine.core.settings import ExecutionSettings
from trading_engine.domain.events import ClockMeasured
from trading_engine.domain.records import AlertRaised
from trading_engine.domain.severity import Severity


def measure(play: Playbook, *offsets_ms: int, error_ms: int = 0) -> list[tuple[Severity, str]]:
    """The alerts that measurements raise, one after the other."""
    told = []
    for offset_ms in offsets_ms:
        records = play.on(ClockMeasured(play.now, offset_ms, error_ms)).records
        told += [(item.severity, item.key) for item in records if isinstance(item, AlertRaised)]
    return told


def gates(play: Playbook) -> tuple[str, ...]:
    return entry_gates(play.state, play.settings, BTC, play.now)


@pytest.mark.parametrize("offset_ms", [0, 250, -250])
def test_a_small_difference_is_nothing_to_tell(offset_ms: int) -> None:
    """Nothing is written down either."""
    play = Playbook()
    assert () == play.on(ClockMeasured(play.now, offset_ms, 0)).records
    assert () == gates(play)


def test_a_larger_difference_is_told_once_an_episode() -> None:
    """However often it is measured, and again after it was right in between."""
    play = Playbook()
    off, fine = (Severity.WARNING, "clock:off"), (Severity.INFO, "clock:fine")
    assert [off, fine, off] == measure(play, 251, 300, -900, 10, 0, -400)
    assert () == gates(play)


@pytest.mark.parametrize(("offset_ms", "where"), [(2_501, "behind"), (-2_501, "ahead of")])
def test_more_than_half_the_receive_window_shuts_the_gate_until_it_is_back(offset_ms: int, where: str) -> None:
    """In either direction; exits are not gated at all."""
    play = Playbook()
    assert [(Severity.CRITICAL, "clock:blocked")] == measure(play, offset_ms)
    text = f"the machine's clock is 2501 ms {where} the venue's: no entries above 2500 ms; set it right (timedatectl)"
    assert [text] == play.alerts()
    assert [] == measure(play, offset_ms)
    assert ("the clock is 2501 ms off the venue's, at most 2500 are allowed",) == gates(play)
    play.signal()
    assert [] == play.placed()
    assert [(Severity.INFO, "clock:released")] == measure(play, 2_500)
    assert () == gates(play)
    assert [(Severity.INFO, "clock:fine")] == measure(play, 0)


def test_the_window_of_the_settings_counts() -> None:
    """A shorter window leaves less."""
    play = Playbook(settings=make_settings(execution=ExecutionSettings(recv_window_ms=2_000)))
    assert [(Severity.CRITICAL, "clock:blocked")] == measure(play, 1_001)
    assert [(Severity.INFO, "clock:released")] == measure(play, 0)


def test_only_what_is_certain_of_a_difference_counts() -> None:
    """A slow answer says little about the clock."""
    play = Playbook()
    assert [] == measure(play, 2_000, -2_000, 4, error_ms=1_800)
    assert [(Severity.WARNING, "clock:off")] == measure(play, 2_000, error_ms=1_700)
