"""Whether the venue can be heard: outages that last, and a stream that is open and says nothing."""

from dataclasses import replace

import pytest
from builders import Playbook, make_settings, without_limits

from trading_engine.core.effects import FetchFills, RenewStream, SetTimer
from trading_engine.domain.events import FillSeen, TimerKind
from trading_engine.domain.fills import Fill
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import CloseReason
from trading_engine.domain.records import AlertRaised
from trading_engine.domain.severity import Severity

LASTS_MS = 300_000
LAG_MS = 10_000


def told(play: Playbook) -> list[tuple[str, Severity]]:
    return [(alert.key, alert.severity) for alert in play.recorded(AlertRaised)]


def read_behind_the_stream(play: Playbook) -> Fill:
    """An entry whose fill is read half a minute after the stream began, and not told."""
    entry = play.enter()
    play.ack(entry)
    play.wait(30_000)
    fill = play.make_fill(entry)
    play.fills_read(fill)
    return fill


@pytest.mark.parametrize("way", ["stream", "reads"])
def test_a_venue_that_is_lost_is_told_of_once_and_again_when_it_lasts(way: str) -> None:
    """At once for the log, after five minutes for a person; not with every failed look."""
    play = Playbook()
    play.stream_lost() if way == "stream" else play.snapshot_failed()
    assert [("venue:lost", Severity.INFO)] == told(play)
    play.snapshot_failed()
    play.stream_lost()
    assert [] == told(play)
    play.wait(LASTS_MS)
    play.timer(TimerKind.OUTAGE)
    assert [("venue:down", Severity.WARNING)] == told(play)
    assert "for 5 min" in play.alerts()[0]
    play.timer(TimerKind.OUTAGE)
    assert [] == told(play)


def test_an_outage_with_an_open_position_is_critical() -> None:
    """Its stop rests at the venue, and nobody here can do anything."""
    play = Playbook()
    play.opened()
    play.snapshot_failed()
    play.wait(LASTS_MS)
    play.timer(TimerKind.OUTAGE)
    assert [("venue:down", Severity.CRITICAL)] == told(play)
    assert "1 position behind what rests there" in play.alerts()[0]


def test_the_end_of_an_outage_is_told_where_its_beginning_was() -> None:
    """To the same people; the next outage counts anew."""
    play = Playbook()
    play.stream_lost()
    play.wait(LASTS_MS)
    play.timer(TimerKind.OUTAGE)
    play.stream_restored()
    assert [] == told(play)
    play.snapshot()
    assert [("venue:up", Severity.WARNING)] == told(play)
    play.snapshot_failed()
    assert [("venue:lost", Severity.INFO)] == told(play)


def test_an_outage_that_passes_is_told_to_nobody() -> None:
    """Venues cut connections every day; the timer of the first finds the second too young."""
    play = Playbook()
    play.stream_lost()
    play.stream_restored()
    play.snapshot()
    assert [] == told(play)
    play.wait(LASTS_MS - 1_000)
    play.stream_lost()
    play.wait(1_000)
    play.timer(TimerKind.OUTAGE)
    assert [] == told(play)
    assert [SetTimer(play.now - 1_000 + LASTS_MS, TimerKind.OUTAGE)] == play.asked(SetTimer)


def test_a_look_at_the_account_without_a_stream_is_no_end_of_an_outage() -> None:
    """What happens next would still not be told."""
    play = Playbook()
    play.stream_lost()
    play.snapshot()
    play.wait(LASTS_MS)
    play.timer(TimerKind.OUTAGE)
    assert ["venue:down"] == [key for key, _ in told(play)]


def test_a_stream_that_does_not_tell_what_was_read_is_made_anew() -> None:
    """Ten seconds later, with an alert; once."""
    play = Playbook()
    read_behind_the_stream(play)
    assert SetTimer(play.now + LAG_MS, TimerKind.STREAM) in play.asked(SetTimer)
    play.wait(LAG_MS)
    play.timer(TimerKind.STREAM)
    assert [("stream:silent", Severity.WARNING)] == told(play)
    assert 1 == len(play.asked(RenewStream))
    play.timer(TimerKind.STREAM)
    assert ((), ()) == (play.last.records, play.last.effects)


def test_a_stream_that_tells_a_little_later_is_left_alone() -> None:
    """Reading and telling race every day; the fill is booked once."""
    play = Playbook()
    fill = read_behind_the_stream(play)
    play.wait(LAG_MS - 1)
    play.fill_told(fill)
    play.wait(1)
    play.timer(TimerKind.STREAM)
    assert ((), ()) == (play.last.records, play.last.effects)


def test_a_fill_that_is_read_late_gives_the_stream_its_own_time() -> None:
    """The timer of the first finds the second too young."""
    play = Playbook()
    first = read_behind_the_stream(play)
    play.wait(4_000)
    stop = play.place(Purpose.STOP)
    play.ack(stop)
    play.fills_read(play.make_fill(stop))
    play.fill_told(first)
    play.wait(LAG_MS - 4_000)
    play.timer(TimerKind.STREAM)
    assert [SetTimer(play.now + 4_000, TimerKind.STREAM)] == play.asked(SetTimer)


def test_a_fill_that_was_told_first_and_could_only_be_booked_once_it_was_read_is_no_silence() -> None:
    """A trade by hand, or an exit before its entry: the stream has done its part."""
    play = Playbook()
    entry = play.enter()
    play.ack(entry)
    play.wait(30_000)
    fill = replace(play.make_fill(entry), client_order_id="by-hand")
    play.on(FillSeen(play.now, fill))
    assert [FetchFills()] == play.asked(FetchFills)
    assert {fill.key} == play.state.market.told
    play.fills_read(fill)
    assert {} == play.state.market.unheard
    assert TimerKind.STREAM not in [timer.kind for timer in play.asked(SetTimer)]


def test_what_was_told_before_the_stream_broke_is_forgotten() -> None:
    """The one that comes after it begins anew."""
    play = Playbook()
    entry = play.enter()
    play.ack(entry)
    play.wait(30_000)
    play.on(FillSeen(play.now, replace(play.make_fill(entry), client_order_id="by-hand")))
    assert 1 == len(play.state.market.told)
    play.stream_lost()
    assert frozenset() == play.state.market.told


def test_what_happened_while_the_stream_was_away_is_not_expected_of_it() -> None:
    """It is read when it comes back."""
    play = Playbook()
    entry = play.enter()
    play.ack(entry)
    play.stream_lost()
    play.wait(30_000)
    fill = play.make_fill(entry)
    play.wait(1_000)
    play.stream_restored()
    play.snapshot(fills=(fill,), positions=())
    assert {} == play.state.market.unheard


def test_an_exchange_in_this_process_has_no_stream_to_wait_for() -> None:
    """What it says is handed on directly."""
    play = Playbook(make_settings(absence_is_proof=True))
    read_behind_the_stream(play)
    assert {} == play.state.market.unheard


def test_a_lost_stream_is_not_silent() -> None:
    """It is made anew already."""
    play = Playbook()
    read_behind_the_stream(play)
    play.stream_lost()
    play.wait(LAG_MS)
    play.timer(TimerKind.STREAM)
    assert [] == play.asked(RenewStream)


@pytest.mark.parametrize(("is_on", "lasts"), [(False, True), (True, False), (True, True)])
def test_positions_may_be_closed_when_a_venue_is_back(is_on: bool, lasts: bool) -> None:
    """After an outage that lasted, where so configured; a short one closes nothing."""
    play = Playbook(make_settings(limits=without_limits(flatten_after_outage=is_on)))
    play.opened()
    play.snapshot_failed()
    if lasts:
        play.wait(LASTS_MS)
        play.timer(TimerKind.OUTAGE)
    play.snapshot()
    is_closing = is_on and lasts
    assert ([Purpose.EXIT] if is_closing else []) == play.placed()
    assert (CloseReason.RISK if is_closing else None) is play.position.close_reason
