"""A limit trips once: a record with its numbers, an alert, and for the drawdown the emergency stop."""

from dataclasses import replace

import pytest
from builders import Playbook, make_settings, without_limits

from trading_engine.core.effects import CancelOrder
from trading_engine.core.settings import CooldownScope, LimitSettings
from trading_engine.domain.control import Level
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import CloseReason, PositionState
from trading_engine.domain.records import AlertRaised, ControlChanged, Fate, LimitTripped
from trading_engine.domain.severity import Severity
from trading_engine.domain.time import DAY_MS, HOUR_MS, iso

DRAWDOWN = without_limits(drawdown_ppm=100_000)


def test_the_daily_loss_is_told_once() -> None:
    """With value, threshold and end; a further loss on the same day says nothing."""
    play = Playbook()
    play.income(-500)
    until_ms = play.now + DAY_MS
    assert [LimitTripped("daily_loss", "", "500", "500", until_ms)] == play.recorded(LimitTripped)
    assert [f"no entries until {iso(until_ms)}: daily_loss: 500 of 500"] == play.alerts()
    assert [Severity.WARNING] == [alert.severity for alert in play.recorded(AlertRaised)]
    play.income(-1)
    assert [] == play.recorded(LimitTripped)


def test_the_next_day_begins_with_a_clean_slate() -> None:
    """And with its own starting balance: 5 % of 9,500."""
    play = Playbook(make_settings(limits=replace(LimitSettings(), drawdown_ppm=0)))
    play.income(-500)
    play.wait(DAY_MS)
    play.income(-474)
    assert [] == play.recorded(LimitTripped)
    play.income(-1)
    assert ["475"] == [trip.value for trip in play.recorded(LimitTripped)]


def test_a_loss_belongs_to_the_day_of_its_venue_time() -> None:
    """Told after midnight, booked before it: today is not charged."""
    play = Playbook()
    play.wait(DAY_MS + 1_000)
    play.income(-500, ts_ms=play.now - 2_000)
    assert [] == play.recorded(LimitTripped)
    play.signal()
    assert Fate.TAKEN is play.fates()[0][1]


def test_a_cooldown_is_recorded_but_not_on_the_phone() -> None:
    """It follows every loss."""
    play = Playbook()
    play.stopped_out()
    assert ["cooldown"] == [trip.limit for trip in play.recorded(LimitTripped)]
    assert not any("cooldown" in text for text in play.alerts())


def test_the_third_loss_in_a_row_trips_the_streak() -> None:
    """Then the count begins anew: the fourth loss, after the pause, is the first again."""
    play = Playbook(make_settings(limits=LimitSettings(cooldown_ms=0)))
    for _ in range(2):
        play.stopped_out()
        assert [] == play.recorded(LimitTripped)
    play.stopped_out()
    assert [LimitTripped("losing_streak", "", "3", "3", play.now + 12 * HOUR_MS)] == play.recorded(LimitTripped)
    play.wait(12 * HOUR_MS)
    play.stopped_out()
    assert [] == play.recorded(LimitTripped)


def test_a_drawdown_latches_and_keeps_positions() -> None:
    """No entries until an operator resumes; resting stops stay where they are."""
    play = Playbook(make_settings(limits=DRAWDOWN))
    play.opened()
    play.income(-1000)
    assert [LimitTripped("drawdown", "", "1000", "1000", 0)] == play.recorded(LimitTripped)
    assert [ControlChanged(Level.NO_ENTRY, "drawdown: 1000 of 1000", "risk", play.now)] == play.recorded(ControlChanged)
    assert ["no entries: drawdown: 1000 of 1000"] == play.alerts()
    assert [Severity.CRITICAL] == [alert.severity for alert in play.recorded(AlertRaised)]
    assert PositionState.OPEN is play.position.state
    play.wait(30 * DAY_MS)
    assert Level.NO_ENTRY is play.book.control.level


def test_a_drawdown_may_flatten() -> None:
    """By configuration: the position is closed for risk in the same step."""
    play = Playbook(make_settings(limits=replace(DRAWDOWN, flatten_on_drawdown=True)))
    play.opened()
    play.income(-1000)
    assert Level.FLATTEN is play.book.control.level
    assert (PositionState.CLOSING, CloseReason.RISK) == (play.position.state, play.position.close_reason)
    assert [Purpose.EXIT] == play.placed()


def test_a_drawdown_cancels_the_entry_that_waits() -> None:
    """An unfilled entry is not left to fill."""
    play = Playbook(make_settings(limits=DRAWDOWN))
    entry = play.enter()
    play.income(-1000)
    assert [entry.request.client_order_id] == [cancel.client_order_id for cancel in play.asked(CancelOrder)]


def test_a_flattening_drawdown_goes_beyond_a_stop_file_that_only_forbids_entries() -> None:
    """The higher level wins, whichever comes first."""
    play = Playbook(make_settings(limits=replace(DRAWDOWN, flatten_on_drawdown=True)))
    play.opened()
    play.stop_file(Level.NO_ENTRY)
    play.income(-1000)
    assert Level.FLATTEN is play.book.control.level
    assert PositionState.CLOSING is play.position.state


@pytest.mark.parametrize("level", [Level.NO_ENTRY, Level.FLATTEN])
def test_a_drawdown_under_a_raised_switch_changes_no_level(level: Level) -> None:
    """The trip is written down; the switch is where it should be."""
    play = Playbook(make_settings(limits=DRAWDOWN))
    play.stop_file(level)
    play.income(-1000)
    assert ["drawdown"] == [trip.limit for trip in play.recorded(LimitTripped)]
    assert [] == play.recorded(ControlChanged)
    assert "STOP file" == play.book.control.reason


def test_a_resume_rebases_peak_and_streak() -> None:
    """It does not trip again at once, only after another tenth of what is left."""
    play = Playbook(make_settings(limits=DRAWDOWN))
    play.income(-1000)
    play.resume()
    play.snapshot()
    assert Level.RUN is play.book.control.level
    play.signal()
    assert Fate.TAKEN is play.fates()[0][1]
    play.income(-899)
    assert [] == play.recorded(LimitTripped)
    play.income(-1)
    assert [LimitTripped("drawdown", "", "900", "900", 0)] == play.recorded(LimitTripped)


def test_a_limit_on_one_symbol_names_it() -> None:
    """The scope is part of what has tripped."""
    play = Playbook(make_settings(limits=LimitSettings(cooldown_scope=CooldownScope.SYMBOL)))
    play.stopped_out()
    assert [("cooldown", "BTCUSDT")] == [(trip.limit, trip.scope) for trip in play.recorded(LimitTripped)]
