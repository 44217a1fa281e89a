"""Stop, resume, begin and end: what an operator or the process itself causes."""

from dataclasses import replace

import pytest
from builders import BTC, Playbook, dec, make_settings, make_signal

from trading_engine.core.effects import CancelOrder, TakeSnapshot
from trading_engine.core.project import apply
from trading_engine.core.settings import LimitSettings
from trading_engine.core.state import Book
from trading_engine.domain.control import Level
from trading_engine.domain.events import FillSeen, GapAccepted, RunBegan, RunEnding, RunFinished, SwitchRequested
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.market import Side
from trading_engine.domain.orders import OrderState
from trading_engine.domain.position import CloseReason
from trading_engine.domain.records import (
    AdjustmentBooked,
    ControlChanged,
    DifferenceFound,
    Fate,
    LimitsRebased,
    RunEnded,
    RunStarted,
    SignalSeen,
    StrategySwitched,
)
from trading_engine.domain.time import iso


def test_a_stop_file_forbids_entries_and_cancels_what_waits() -> None:
    """Within the step that sees it."""
    play = Playbook()
    entry = play.enter()
    play.stop_file()
    assert [ControlChanged(Level.NO_ENTRY, "STOP file", "stop file", play.now)] == play.recorded(ControlChanged)
    assert ["kill switch raised to NO_ENTRY: STOP file"] == play.alerts()
    assert [entry.request.client_order_id] == [cancel.client_order_id for cancel in play.asked(CancelOrder)]


def test_a_stop_file_may_flatten() -> None:
    """Every open position goes at market; its stop stays until it is flat."""
    play = Playbook()
    play.opened()
    play.stop_file(Level.FLATTEN)
    assert [Purpose.EXIT] == play.placed()
    assert (PositionState.CLOSING, CloseReason.KILL_SWITCH) == (play.position.state, play.position.close_reason)
    assert OrderState.ACKED is play.order(play.place(Purpose.STOP)).state


@pytest.mark.parametrize("level", [Level.NO_ENTRY, Level.FLATTEN])
def test_a_level_is_never_lowered_by_a_stop_file(level: Level) -> None:
    """Seen again or milder: nothing happens."""
    play = Playbook()
    play.stop_file(Level.FLATTEN)
    play.stop_file(level)
    assert ((), ()) == (play.last.records, play.last.effects)


def test_a_stricter_stop_file_raises_the_level() -> None:
    """From no entries to flatten."""
    play = Playbook()
    play.stop_file(Level.NO_ENTRY)
    play.stop_file(Level.FLATTEN)
    assert Level.FLATTEN is play.book.control.level


def test_a_resume_releases_everything_that_was_latched() -> None:
    """Level, frozen symbols, counted rejects; and the account is read again."""
    play = Playbook(make_settings(limits=LimitSettings(rejects_to_freeze=1)))
    play.reject(play.enter())
    play.stop_file()
    assert BTC in play.book.frozen
    play.resume()
    assert [
        ControlChanged(Level.RUN, "", "operator", play.now),
        LimitsRebased(play.now, "operator"),
    ] == list(play.last.records[:2])
    assert ["trading resumed by operator"] == play.alerts()
    assert [TakeSnapshot()] == play.asked(TakeSnapshot)
    assert (Level.RUN, {}, {}) == (play.book.control.level, play.book.frozen, play.book.rejects)


def test_a_run_begins_without_trust() -> None:
    """The gate is shut until a snapshot was reconciled."""
    play = Playbook()
    play.on(RunBegan(play.now, "r1", "0.1.0", "paper", "hash"))
    assert [RunStarted("r1", "0.1.0", "paper", "hash", "test")] == play.recorded(RunStarted)
    assert ["engine 0.1.0 started in paper mode"] == play.alerts()
    assert not play.state.market.is_synced
    assert [TakeSnapshot()] == play.asked(TakeSnapshot)


def test_a_run_that_ends_cancels_entries_and_keeps_positions() -> None:
    """The stop rests at the venue; the rest of a partly filled entry goes."""
    play = Playbook()
    entry = play.enter()
    play.ack(entry)
    play.fill(entry, 4)
    play.on(RunEnding(play.now, "SIGTERM", flatten=False))
    assert [entry.request.client_order_id] == [cancel.client_order_id for cancel in play.asked(CancelOrder)]
    assert PositionState.OPEN is play.position.state


def test_a_run_that_ends_may_flatten() -> None:
    """By configuration."""
    play = Playbook()
    play.opened()
    play.on(RunEnding(play.now, "SIGTERM", flatten=True))
    assert [Purpose.EXIT] == play.placed()
    assert CloseReason.OPERATOR is play.position.close_reason


def test_a_residual_position_has_no_entry_to_cancel() -> None:
    """It is on its way out already."""
    play = Playbook()
    position = play.stopped_out()
    late = play.make_fill(play.place(Purpose.ENTRY), 1)
    play.now += 1
    play.on(FillSeen(play.now, late))
    assert position.position_id == play.position.residual_of
    play.on(RunEnding(play.now, "SIGTERM", flatten=False))
    assert [] == play.asked(CancelOrder)
    play.stop_file(Level.FLATTEN)
    assert [] == play.placed()


def test_the_last_word_says_what_is_left() -> None:
    """Flat, or the positions that keep their stops."""
    play = Playbook()
    play.on(RunFinished(play.now, "r1", "SIGTERM"))
    assert ["engine stopped (SIGTERM); flat"] == play.alerts()
    assert [RunEnded("r1", "SIGTERM")] == play.recorded(RunEnded)
    play.opened()
    play.on(RunFinished(play.now, "r2", "SIGTERM"))
    assert ["engine stopped (SIGTERM); kept with their stops: BTCUSDT long"] == play.alerts()


def test_a_restart_keeps_the_kill_switch() -> None:
    """The level is part of the book."""
    play = Playbook()
    play.stop_file()
    play.state = replace(play.state, market=Playbook(is_synced=False).state.market)
    play.on(RunBegan(play.now, "r2", "0.1.0", "paper", "hash"))
    assert Level.NO_ENTRY is play.book.control.level


def test_a_gap_that_an_operator_accepts_is_booked_as_no_result() -> None:
    """Who and why are in the journal; ledger equals wallet from then on, and no limit counts it."""
    play = Playbook()
    play.on(GapAccepted(play.now, dec("10_002.5"), "alice", "a bonus"))
    (booked,) = play.recorded(AdjustmentBooked)
    assert (dec("2.5"), "USDT", "", "2025-01-01", "alice", "a bonus") == (
        booked.amount,
        booked.asset,
        booked.symbol,
        booked.day,
        booked.actor,
        booked.reason,
    )
    assert [DifferenceFound("wallet", "", "10000", "10002.5", "2.5 booked as an adjustment")] == play.recorded(
        DifferenceFound
    )
    ledger = play.book.ledger
    assert (dec("10002.5"), dec(0), 1) == (ledger.balance, ledger.performance, ledger.made_here)
    play.on(GapAccepted(play.now, dec("10_002.5"), "alice", "again"))
    assert () == play.last.records
    play.on(GapAccepted(play.now, dec("10_002"), "alice", "taken back"))
    assert [dec("-0.5")] == [record.amount for record in play.recorded(AdjustmentBooked)]
    assert 3 == len(play.book.seen)


# Strategies that an operator switches


def test_a_disabled_strategy_makes_no_entry_and_outranks_nobody() -> None:
    """Its signals are kept with the reason; the other strategy enters, although it is less sure."""
    play = Playbook()
    play.on(SwitchRequested(play.now, "trend", is_enabled=False, actor="alice"))
    since_ms = play.now
    assert [StrategySwitched("trend", False, "alice", since_ms)] == play.recorded(StrategySwitched)
    assert ["trend makes no entries any more, says alice"] == play.alerts()
    sure, other = make_signal(confidence=0.9), make_signal(strategy="other", confidence=0.1)
    play.candles((BTC, 100), signals=[sure, other])
    assert [Fate.GATED, Fate.TAKEN] == [fate for _, fate in play.fates()]
    assert f"trend is disabled since {iso(since_ms)}" == play.recorded(SignalSeen)[0].reason
    assert "other" == play.position.strategy


def test_the_exits_of_a_disabled_strategy_are_taken() -> None:
    """Only its entries are switched."""
    play = Playbook()
    play.opened()
    play.on(SwitchRequested(play.now, "trend", is_enabled=False, actor="alice"))
    play.signal(None, exit_side=Side.LONG)
    assert [(BTC, Fate.EXITED)] == play.fates()


def test_a_strategy_is_switched_once_and_survives_a_restart() -> None:
    """The same word again changes nothing; the journal alone gives the switch."""
    play = Playbook()
    play.on(SwitchRequested(play.now, "trend", is_enabled=True, actor="alice"))
    assert () == play.last.records
    for _ in range(2):
        play.on(SwitchRequested(play.now, "trend", is_enabled=False, actor="alice"))
    assert () == play.last.records
    rebuilt = Book("test")
    for record in play.journal:
        rebuilt = apply(rebuilt, record)
    assert {"trend": play.now} == rebuilt.disabled == play.book.disabled
    play.on(SwitchRequested(play.now, "trend", is_enabled=True, actor="bob"))
    assert (["trend may make entries again, says bob"], {}) == (play.alerts(), play.book.disabled)
