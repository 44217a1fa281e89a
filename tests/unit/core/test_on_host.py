"""The machine and the process around the core."""

import pytest
from builders import BTC, Playbook, make_settings

from trading_engine.core.gates import entry_gates
from trading_engine.core.settings import TellSettings
from trading_engine.domain.events import ComponentFailed, DiskMeasured, SubmitAnswered
from trading_engine.domain.records import AlertRaised
from trading_engine.domain.reports import Unknown
from trading_engine.domain.severity import Severity


def told(play: Playbook) -> list[tuple[str, Severity]]:
    return [(item.key, item.severity) for item in play.recorded(AlertRaised)]


def test_a_disk_that_fills_up_is_told_in_two_steps_and_shuts_the_gate_at_the_second() -> None:
    """Each step once, the way back as well."""
    play = Playbook()
    steps = [
        (2_000, []),
        (1_999, [("disk:low", Severity.WARNING)]),
        (1_000, []),
        (199, [("disk:full", Severity.CRITICAL)]),
        (150, []),
        (200, [("disk:low", Severity.WARNING)]),
        (5_000, [("disk:fine", Severity.INFO)]),
    ]
    for free_mb, expected in steps:
        play.on(DiskMeasured(play.now, free_mb))
        assert expected == told(play)
        gates = entry_gates(play.state, play.settings, BTC, play.now)
        assert (free_mb < 200) == any("on the disk" in text for text in gates)


def answered(play: Playbook, took_ms: int) -> list[tuple[str, Severity]]:
    play.on(SubmitAnswered(play.now, "nobody", Unknown("slow"), took_ms))
    return [item for item in told(play) if item[0].startswith("slow")]


def test_three_slow_answers_in_a_row_are_told_once_and_their_end() -> None:
    """One that is fast in between begins the count anew."""
    play = Playbook()
    assert [[], [], []] == [answered(play, took_ms) for took_ms in (3_000, 3_000, 2_999)]
    assert [[], []] == [answered(play, 3_000) for _ in range(2)]
    assert [("slow:calls", Severity.WARNING)] == answered(play, 4_000)
    assert [] == answered(play, 9_000)
    assert [("slow:over", Severity.INFO)] == answered(play, 20)
    assert [] == answered(play, 20)


def test_nobody_is_told_of_slow_answers_where_that_is_switched_off() -> None:
    """However slow."""
    play = Playbook(make_settings(tell=TellSettings(slow_call_ms=0)))
    assert [[], [], [], []] == [answered(play, 60_000) for _ in range(4)]


@pytest.mark.parametrize(
    ("is_over", "severity", "words"),
    [(False, Severity.WARNING, "for the 2. time"), (True, Severity.CRITICAL, "it stays down")],
)
def test_a_part_that_fails_is_told(is_over: bool, severity: Severity, words: str) -> None:
    """Loudly once it is not begun anew."""
    play = Playbook()
    play.on(ComponentFailed(play.now, "market data", "boom", 2, is_over))
    assert [("component:market data", severity)] == told(play)
    assert words in play.alerts()[0]
