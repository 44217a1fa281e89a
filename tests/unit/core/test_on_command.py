"""Stop, resume, begin and end: what an operator or the process itself causes."""

from dataclasses import replace

import pytest
from builders import BTC, ETH, Playbook, dec, make_settings, make_signal

from trading_engine.core.effects import CancelOrder, TakeSnapshot
from trading_engine.core.project import apply
from trading_engine.core.settings import LimitSettings
from trading_engine.core.state import Book
from trading_engine.domain.control import Level
from trading_engine.domain.events import (
    CancelRequested,
    CloseRequested,
    ConfigReloaded,
    FillSeen,
    GapAccepted,
    PauseRequested,
    RunBegan,
    RunEnding,
    RunFinished,
    StopRequested,
    SwitchRequested,
)
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import CloseReason, PositionState
from trading_engine.domain.market import Side
from trading_engine.domain.orders import OrderState
from trading_engine.domain.records import (
    AdjustmentBooked,
    CancelIntended,
    ConfigChanged,
    ControlChanged,
    DifferenceFound,
    EntriesPaused,
    Fate,
    LimitsRebased,
    PositionAdvanced,
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


# Pauses


@pytest.mark.parametrize(
    ("symbol", "told"), [("", "no entries, says alice"), (BTC, "no entries on BTCUSDT, says alice")]
)
def test_a_pause_cancels_what_waits_and_allows_no_entries_until_it_is_lifted(symbol: str, told: str) -> None:
    """The same word again changes nothing; its end counts no limit anew."""
    play = Playbook()
    entry = play.enter()
    play.on(PauseRequested(play.now, symbol, is_paused=True, actor="alice"))
    assert [EntriesPaused(symbol, True, "alice", play.now)] == play.recorded(EntriesPaused)
    assert [told] == play.alerts()
    assert [entry.request.client_order_id] == [cancel.client_order_id for cancel in play.asked(CancelOrder)]
    play.on(PauseRequested(play.now, symbol, is_paused=True, actor="bob"))
    assert ((), ()) == (play.last.records, play.last.effects)
    play.cancelled(entry)
    play.signal()
    assert [(BTC, Fate.GATED)] == play.fates()
    play.on(PauseRequested(play.now, symbol, is_paused=False, actor="bob"))
    assert [] == play.recorded(LimitsRebased)
    assert {} == play.book.disabled
    play.signal()
    assert [(BTC, Fate.TAKEN)] == play.fates()


def test_a_pause_of_a_symbol_leaves_others_alone() -> None:
    """Their entries wait on, and are made."""
    play = Playbook()
    entry = play.enter()
    play.on(PauseRequested(play.now, ETH, is_paused=True, actor="alice"))
    assert [] == play.asked(CancelOrder)
    play.fill(entry)
    play.signal(symbol=ETH)
    assert [(ETH, Fate.GATED)] == play.fates()
    assert f"ETHUSDT paused by an operator since {iso(play.book.paused_since(ETH))}" in play.why()


def test_a_pause_keeps_positions_behind_their_stops_and_residuals_on_their_way_out() -> None:
    """Exits are never paused."""
    play = Playbook()
    play.opened()
    play.on(PauseRequested(play.now, "", is_paused=True, actor="alice"))
    assert [] == play.asked(CancelOrder)
    play.signal(None, exit_side=Side.LONG)
    assert [(BTC, Fate.EXITED)] == play.fates()
    play = Playbook()
    play.stopped_out()
    late = play.make_fill(play.place(Purpose.ENTRY), 1)
    play.on(FillSeen(play.now, late))
    play.on(PauseRequested(play.now, "", is_paused=True, actor="alice"))
    assert [] == play.asked(CancelOrder)


def test_a_resume_ends_a_general_pause_and_no_other() -> None:
    """A symbol that was paused by name is resumed by name."""
    play = Playbook()
    for symbol in ("", BTC):
        play.on(PauseRequested(play.now, symbol, is_paused=True, actor="alice"))
    play.resume()
    assert [EntriesPaused("", False, "operator", play.now)] == play.recorded(EntriesPaused)
    assert ["symbol:BTCUSDT"] == list(play.book.disabled)


# Closing and cancelling by hand


def test_an_operator_closes_a_position_whose_stop_stays_until_it_is_flat() -> None:
    """At the market, for a reason of its own; the rest of a partly filled entry goes."""
    play = Playbook()
    entry = play.enter()
    play.ack(entry)
    play.fill(entry, 4)
    play.ack(play.place(Purpose.STOP))
    play.on(CloseRequested(play.now, BTC, "alice"))
    assert [Purpose.EXIT] == play.placed()
    assert [entry.request.client_order_id] == [cancel.client_order_id for cancel in play.asked(CancelOrder)]
    assert (PositionState.CLOSING, CloseReason.OPERATOR) == (play.position.state, play.position.close_reason)
    assert "closed by alice" == play.recorded(PositionAdvanced)[0].cause
    stop = play.place(Purpose.STOP)
    play.cancelled(entry)
    play.fill(play.place(Purpose.EXIT), 3)
    assert OrderState.ACKED is play.order(stop).state
    assert not play.order(stop).cancel_requested
    play.fill(play.place(Purpose.EXIT))
    assert play.order(stop).cancel_requested


def test_an_entry_that_waits_is_cancelled_by_a_close() -> None:
    """There is nothing to close yet."""
    play = Playbook()
    entry = play.enter()
    play.on(CloseRequested(play.now, BTC, "alice"))
    assert [entry.request.client_order_id] == [cancel.client_order_id for cancel in play.asked(CancelOrder)]
    assert PositionState.PENDING is play.position.state


def test_a_close_of_nothing_does_nothing_and_one_of_a_residual_goes_on() -> None:
    """Neither breaks anything."""
    play = Playbook()
    play.on(CloseRequested(play.now, BTC, "alice"))
    assert ((), ()) == (play.last.records, play.last.effects)
    play.stopped_out()
    late = play.make_fill(play.place(Purpose.ENTRY), 1)
    play.on(FillSeen(play.now, late))
    play.on(CloseRequested(play.now, BTC, "alice"))
    assert PositionState.CLOSING is play.position.state


def test_an_entry_is_cancelled_by_hand_and_a_stop_is_not() -> None:
    """Nor is an order that nobody knows."""
    play = Playbook()
    entry = play.enter()
    play.ack(entry)
    play.on(CancelRequested(play.now, entry.request.client_order_id, "alice"))
    assert [CancelIntended(entry.request.client_order_id, "cancelled by alice")] == play.recorded(CancelIntended)
    play.fill(entry, 4)
    stop = play.place(Purpose.STOP).request.client_order_id
    for name in (stop, "nobody-knows"):
        play.on(CancelRequested(play.now, name, "alice"))
        assert ((), ()) == (play.last.records, play.last.effects)


def test_an_operator_may_flatten_by_name() -> None:
    """As the STOP file does, and the journal says who it was."""
    play = Playbook()
    play.on(StopRequested(play.now, Level.FLATTEN, "flatten by alice", "alice"))
    assert [ControlChanged(Level.FLATTEN, "flatten by alice", "alice", play.now)] == play.recorded(ControlChanged)


def test_a_changed_configuration_is_in_the_journal() -> None:
    """Its hash, what differs, and who wanted it."""
    play = Playbook()
    play.on(ConfigReloaded(play.now, "abc", ("risk.max_positions",), "alice"))
    assert [ConfigChanged("abc", ("risk.max_positions",), "alice")] == play.recorded(ConfigChanged)
    assert ["configuration changed by alice: risk.max_positions"] == play.alerts()
