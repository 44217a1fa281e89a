"""A venue that does not tell or answer: entries stop at once, a person is told when it lasts."""

from builders import Playbook

from trading_engine.core.effects import SetTimer
from trading_engine.core.gates import entry_gates
from trading_engine.domain.events import TimerKind
from trading_engine.domain.records import AlertRaised
from trading_engine.domain.severity import Severity

LIMIT_MS = 300_000


def gates(play: Playbook) -> tuple[str, ...]:
    return entry_gates(play.state, play.settings, "BTCUSDT", play.now)


def alerts(play: Playbook) -> list[AlertRaised]:
    return [record for record in play.journal if isinstance(record, AlertRaised) and record.key == "venue:reach"]


def lose(play: Playbook, milliseconds: int) -> None:
    """Five minutes of failing questions, or what is asked for."""
    for _ in range(milliseconds // 10_000):
        play.snapshot_failed()
        play.pass_time(10_000)


def test_an_outage_of_five_minutes_is_told_once_and_named_at_the_gate() -> None:
    """The gate has been shut from the first moment on."""
    play = Playbook()
    lose(play, LIMIT_MS - 10_000)
    assert [] == alerts(play)
    assert ("not reconciled with the venue yet",) == gates(play)
    lose(play, 60_000)
    (told,) = alerts(play)
    assert Severity.CRITICAL is told.severity
    assert "embedded is out of reach since 2025-01-01T00:00:00.000Z: no entries" == told.text
    assert "the venue is out of reach since 2025-01-01T00:00:00.000Z" in gates(play)


def test_the_end_of_an_outage_is_told_and_opens_the_gate() -> None:
    """With how long it lasted."""
    play = Playbook()
    lose(play, LIMIT_MS + 10_000)
    play.snapshot()
    assert "embedded answers again after 310 s; reconciled" == alerts(play)[-1].text
    assert () == gates(play)


def test_a_short_outage_is_told_to_nobody() -> None:
    """And the next one counts from its own beginning."""
    play = Playbook()
    lose(play, 200_000)
    play.snapshot()
    lose(play, 200_000)
    assert [] == alerts(play)
    play.snapshot()
    assert (0, False) == (play.state.market.lost_ms, play.state.market.is_outage)


def test_a_lost_stream_is_an_outage_although_questions_are_answered() -> None:
    """Snapshots alone do not open the gate, so a person must hear of it."""
    play = Playbook()
    play.stream_lost()
    assert [SetTimer(play.now + LIMIT_MS, TimerKind.OUTAGE)] == play.asked(SetTimer)
    play.snapshot()
    play.pass_time(LIMIT_MS)
    assert 1 == len(alerts(play))
    play.stream_restored()
    assert 1 == len(alerts(play))
    play.snapshot()
    assert 2 == len(alerts(play))


def test_the_alert_says_that_positions_keep_their_stops() -> None:
    """What a person wants to know first."""
    play = Playbook()
    play.opened()
    lose(play, LIMIT_MS + 10_000)
    assert alerts(play)[-1].text.endswith("positions keep the stops that rest there: BTCUSDT")
