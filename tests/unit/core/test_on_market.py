"""A candle closes: marks and samples, trailing and age, exits by signal, then entries."""

from dataclasses import replace

import pytest
from builders import BTC, ETH, T0, Playbook, dec, make_candle, make_settings, make_signal

from trading_engine.core.effects import CancelOrder, LookUpOrder
from trading_engine.core.settings import EngineSettings, ExitPlan, ExitSettings, LimitSettings
from trading_engine.domain.events import CandlesClosed
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import CloseReason, PositionState
from trading_engine.domain.market import Side
from trading_engine.domain.records import (
    DayClosed,
    EquitySampled,
    Fate,
    PositionAged,
    SignalSeen,
    StopMoved,
)
from trading_engine.domain.time import DAY_MS, HOUR_MS, MINUTE_MS
from trading_engine.rules.exits import Follow, TrailStep

TRAIL = ExitPlan(trailing=(TrailStep(1_000, 0), TrailStep(2_000, 1_000)))


def with_exits(**changes: object) -> EngineSettings:
    return make_settings(exits=replace(ExitSettings(), **changes))  # type: ignore[arg-type]


# What is noted


def test_a_close_becomes_the_mark_of_its_symbol() -> None:
    """The other marks stay."""
    play = Playbook()
    play.candles((BTC, 101), (ETH, 50))
    play.candles((BTC, 102))
    assert {BTC: dec(102), ETH: dec(50)} == play.state.market.marks
    assert (T0 + 2 * MINUTE_MS, 0) == (play.state.market.closed_ms, play.state.market.decided_ms)


def test_a_signal_marks_the_instant_of_the_decision() -> None:
    """What `status` calls the last decision."""
    play = Playbook()
    play.signal()
    assert play.now == play.state.market.decided_ms


def test_an_instant_without_candles_moves_the_clock_only() -> None:
    """Nothing to mark."""
    play = Playbook()
    play.on(CandlesClosed(T0 + 5, ()))
    assert (T0 + 5, {}) == (play.state.market.closed_ms, play.state.market.marks)


def test_candles_of_a_symbol_that_fell_behind_do_not_turn_the_time_back() -> None:
    """They come after those of the others: no day ends twice, no hour is sampled twice."""
    play = Playbook()
    play.wait(DAY_MS - MINUTE_MS)
    play.candles((BTC, 101))
    play.candles((BTC, 102))
    late = make_candle(50, ETH, T0 + DAY_MS - MINUTE_MS)
    play.on(CandlesClosed(play.now + 1_000, (late,)))
    assert (T0 + DAY_MS + MINUTE_MS, ()) == (play.state.market.closed_ms, play.last.records)
    assert {BTC: dec(102), ETH: dec(50)} == play.state.market.marks


def test_a_signal_on_a_candle_that_came_late_is_stale_by_its_own_close() -> None:
    """Not by the close of the other symbols' newest candle."""
    play = Playbook()
    play.candles((BTC, 101))
    play.candles((BTC, 102))
    signal = make_signal(symbol=ETH, candle_ts_ms=T0)
    play.on(CandlesClosed(play.now + 1_000, (make_candle(100, ETH, T0),), (signal,)))
    assert [(ETH, Fate.STALE)] == play.fates()


def test_the_equity_is_sampled_at_the_full_hour() -> None:
    """Balance and open PnL at the marks."""
    play = Playbook()
    play.opened()
    play.wait(57 * MINUTE_MS)
    play.close_at(101)
    assert [] == play.recorded(EquitySampled)
    play.close_at(102)
    assert [EquitySampled(T0 + HOUR_MS, dec(10_000), dec(20))] == play.recorded(EquitySampled)
    play.close_at(103)
    assert [] == play.recorded(EquitySampled)


def test_nothing_is_sampled_before_the_first_booking() -> None:
    """An account without a ledger has no curve."""
    play = Playbook(balance=0)
    play.close_at(100)
    play.wait(2 * HOUR_MS)
    play.close_at(100)
    assert () == play.last.records


def test_a_day_is_closed_with_its_figures() -> None:
    """A loss of 50, a draw, a win of 149.25 (half a percent of 9,950 buys 9.95 coins), fees and funding."""
    play = Playbook(make_settings(limits=LimitSettings(cooldown_ms=0)))
    play.stopped_out()
    play.stopped_out(price=100)
    play.opened()
    play.fill(play.place(Purpose.TARGET), price=115, fee=dec("1.5"))
    play.settle_cancels()
    play.income("-0.5")
    play.wait(DAY_MS)
    play.close_at(100)
    assert [
        DayClosed("2025-01-01", dec(10_000), dec("97.25"), dec("1.5"), dec("-0.5"), trades=3, wins=1)
    ] == play.recorded(DayClosed)


# Trailing


@pytest.mark.parametrize(
    ("side", "closes", "stops"),
    [
        (Side.LONG, ["104.9", "105", "103", "110", "101"], ["95", "100", "100", "105", "105"]),
        (Side.SHORT, ["95.1", "95", "97", "90", "99"], ["105", "100", "100", "95", "95"]),
    ],
)
def test_the_stop_follows_the_price_and_never_goes_back(side: Side, closes: list[str], stops: list[str]) -> None:
    """Break-even at 1R, plus 1R at 2R."""
    play = Playbook(with_exits(plans={"trend": TRAIL}))
    play.opened(side)
    seen = []
    for close in closes:
        play.close_at(close)
        seen.append(play.position.stop_price)
    assert [dec(stop) for stop in stops] == seen


@pytest.mark.parametrize(
    ("follow", "closes", "stops"),
    [
        (Follow(20_000, 0, 0, 0), ["101", "104", "102"], ["99", "102", "102"]),
        (Follow(0, 1_500, 0, 0), ["101", "104", "102"], ["98", "101", "101"]),
        (Follow(20_000, 1_500, 0, 1_000), ["104", "105", "101"], ["95", "102.9", "102.9"]),
    ],
)
def test_the_stop_follows_the_close_at_a_distance(follow: Follow, closes: list[str], stops: list[str]) -> None:
    """Two per cent, one and a half ranges of 2.0, the nearer of both from 1R on."""
    play = Playbook(with_exits(plans={"trend": ExitPlan(follow=follow)}))
    play.opened(atr_mticks=20_000)
    assert dec(2) == play.position.atr
    seen = []
    for close in closes:
        play.close_at(close)
        seen.append(play.position.stop_price)
    assert [dec(stop) for stop in stops] == seen


def test_without_a_range_at_the_signal_nothing_follows_it() -> None:
    """A distance is never guessed."""
    play = Playbook(with_exits(plans={"trend": ExitPlan(follow=Follow(0, 1_500, 0, 0))}))
    play.opened()
    play.close_at(110)
    assert () == play.last.records


def test_a_moved_stop_is_placed_before_the_old_one_is_cancelled() -> None:
    """The reason names how far the price has come."""
    play = Playbook(with_exits(plans={"trend": TRAIL}))
    play.opened()
    old = play.place(Purpose.STOP)
    play.close_at("106")
    assert [StopMoved("P000001", dec(100), "close at 1.20 R")] == play.recorded(StopMoved)
    assert [Purpose.STOP] == play.placed()
    assert dec(100) == play.place(Purpose.STOP).request.trigger_price
    assert [] == play.asked(CancelOrder)
    play.ack(play.place(Purpose.STOP))
    assert [old.request.client_order_id] == [cancel.client_order_id for cancel in play.asked(CancelOrder)]
    play.settle_cancels()
    play.fill(play.place(Purpose.STOP), price=100)
    assert CloseReason.TRAILING is play.position.close_reason


def test_another_symbol_s_candle_moves_no_stop() -> None:
    """Each position looks at its own."""
    play = Playbook(with_exits(plans={"trend": TRAIL}))
    play.opened()
    play.candles((ETH, 110))
    assert () == play.last.records


def test_a_pending_or_closing_position_is_not_trailed() -> None:
    """Only what is open."""
    play = Playbook(with_exits(plans={"trend": TRAIL}))
    entry = play.enter()
    play.close_at(110)
    assert [] == play.recorded(StopMoved)
    play.fill(entry, price=94)
    play.close_at(110)
    assert [] == play.recorded(StopMoved)


def test_only_a_stop_that_may_still_fill_is_asked_after() -> None:
    """A close beyond the stop: what was cancelled before is not looked up."""
    play = Playbook(with_exits(plans={"trend": TRAIL}))
    play.opened()
    play.close_at(106)
    moved = play.place(Purpose.STOP)
    play.ack(moved)
    play.settle_cancels()
    play.close_at(99)
    assert [LookUpOrder(BTC, moved.request.client_order_id)] == play.asked(LookUpOrder)


# Age


def test_an_old_position_is_told_about_once() -> None:
    """After 24 hours, and it stays."""
    play = Playbook()
    play.opened()
    play.wait(DAY_MS)
    play.close_at(100)
    assert [PositionAged("P000001")] == play.recorded(PositionAged)
    assert ["BTCUSDT long P000001 has been open for 24 h"] == play.alerts()
    play.close_at(100)
    assert [] == play.alerts()
    assert PositionState.OPEN is play.position.state


def test_the_stop_of_an_old_position_may_be_tightened() -> None:
    """Half an R of 5 behind each close from then on; told once, and never away from the price."""
    play = Playbook(with_exits(tighten_milli=500))
    play.opened()
    play.close_at(103)
    assert dec(95) == play.position.stop_price
    play.wait(DAY_MS)
    play.close_at(101)
    told = "BTCUSDT long P000001 has been open for 24 h; its stop follows the close at 0.5 R from now on"
    assert [told] == play.alerts()
    assert dec("98.5") == play.position.stop_price
    play.close_at(102)
    assert ([], dec("99.5")) == (play.alerts(), play.position.stop_price)
    play.close_at(100)
    assert dec("99.5") == play.position.stop_price


def test_an_old_position_may_be_closed() -> None:
    """By configuration."""
    play = Playbook(with_exits(close_on_max_age=True))
    play.opened()
    play.wait(DAY_MS)
    play.close_at(100)
    assert [Purpose.EXIT] == play.placed()
    assert CloseReason.TIME is play.position.close_reason


def test_the_time_exit_may_be_off() -> None:
    """A greatest age of zero."""
    play = Playbook(with_exits(max_age_ms=0))
    play.opened()
    play.wait(30 * DAY_MS)
    play.close_at(100)
    assert [] == play.recorded(PositionAged)


# Exits by signal


def test_a_strategy_closes_its_own_position() -> None:
    """An exit signal of the same strategy for the side that is held."""
    play = Playbook()
    play.opened()
    play.signal(None, exit_side=Side.LONG, tag="cross back")
    assert [(BTC, Fate.EXITED)] == play.fates()
    assert [Purpose.EXIT] == play.placed()
    assert CloseReason.SIGNAL is play.position.close_reason


@pytest.mark.parametrize(
    "changes", [{"strategy": "other", "exit_side": Side.LONG}, {"exit_side": Side.SHORT}, {"exit_side": None}]
)
def test_no_other_exit_signal_closes_it(changes: dict[str, object]) -> None:
    """Another strategy, another side, or nothing said; also where opposite signals close."""
    play = Playbook(with_exits(exit_on_opposite=True))
    play.opened()
    play.signal(None, **changes)
    assert [(BTC, Fate.NOTHING_TO_CLOSE)] == play.fates()
    assert PositionState.OPEN is play.position.state


@pytest.mark.parametrize(("is_on", "fate"), [(True, Fate.EXITED), (False, Fate.HELD)])
def test_an_opposite_signal_closes_if_so_configured_and_never_reverses(is_on: bool, fate: Fate) -> None:
    """One step, one direction: no short is opened."""
    play = Playbook(with_exits(exit_on_opposite=is_on))
    play.opened()
    play.signal(Side.SHORT)
    assert [(BTC, fate)] == play.fates()
    assert ([Purpose.EXIT] if is_on else []) == play.placed()


def test_an_opposite_signal_that_a_filter_refuses_closes_nothing() -> None:
    """Its early exit still does."""
    play = Playbook(with_exits(exit_on_opposite=True))
    play.opened()
    play.signal(Side.SHORT, refusals=("volume: thin",))
    assert [(BTC, Fate.FILTERED)] == play.fates()
    assert PositionState.OPEN is play.position.state
    play.now += MINUTE_MS
    play.signal(Side.SHORT, refusals=("volume: thin",), exit_side=Side.LONG)
    assert (BTC, Fate.EXITED) == play.fates()[-1]


def test_an_opposite_signal_of_another_strategy_is_held() -> None:
    """Only its own strategy closes a position."""
    play = Playbook(with_exits(exit_on_opposite=True))
    play.opened()
    play.signal(Side.SHORT, strategy="other")
    assert [(BTC, Fate.HELD)] == play.fates()


def test_an_exit_signal_on_a_pending_position_finds_nothing_to_close() -> None:
    """There is no exposure yet."""
    play = Playbook()
    play.enter()
    play.signal(None, exit_side=Side.LONG)
    assert [(BTC, Fate.NOTHING_TO_CLOSE)] == play.fates()


def test_exits_work_on_candles_of_the_past() -> None:
    """Catching up gives exits, no entries."""
    play = Playbook()
    play.opened()
    exit_signal = make_signal(None, exit_side=Side.LONG, candle_ts_ms=play.now)
    entry_signal = make_signal(symbol=ETH, candle_ts_ms=play.now)
    play.candles((BTC, 100), (ETH, 100), signals=[exit_signal, entry_signal], is_catch_up=True)
    assert [(BTC, Fate.EXITED), (ETH, Fate.STALE)] == play.fates()


def test_a_candle_delivered_again_is_not_decided_twice() -> None:
    """The book remembers the last candle of each strategy and symbol."""
    play = Playbook()
    signal = make_signal(confidence=0.1)
    play.candles((BTC, 100), signals=[signal])
    assert 1 == len(play.recorded(SignalSeen))
    play.candles((BTC, 100), signals=[signal])
    assert [] == play.recorded(SignalSeen)
    play.candles((BTC, 100), signals=[replace(signal, candle_ts_ms=signal.candle_ts_ms + MINUTE_MS)])
    assert 1 == len(play.recorded(SignalSeen))
