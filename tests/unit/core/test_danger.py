"""What a closed candle says of danger: too wild a market, too near a liquidation."""

from dataclasses import replace

import pytest
from builders import BTC, ETH, Playbook, dec, held_at_venue, make_settings, without_limits

from trading_engine.core.project import apply
from trading_engine.core.settings import ExitPlan, ExitSettings, PartialStep, SizingSettings
from trading_engine.core.state import Book
from trading_engine.domain.events import CandlesClosed
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import CloseReason
from trading_engine.domain.market import Candle, Side
from trading_engine.domain.records import AlertRaised, Fate, LimitTripped, MarketShocked
from trading_engine.domain.severity import Severity
from trading_engine.domain.time import HOUR_MS, MINUTE_MS, iso

TEN_FOLD = make_settings(leverage=dec(10), limits=without_limits(liquidation_near_ppm=50_000))


@pytest.mark.parametrize(
    ("side", "far", "near", "told"),
    [
        (Side.LONG, "96", "95.2", "4.9 % from liquidation at 90.5; its stop is at 85"),
        (Side.SHORT, "104", "104.6", "4.6 % from liquidation at 109.4; its stop is at 115"),
    ],
)
def test_it_is_told_each_time_it_comes_near(side: Side, far: str, near: str, told: str) -> None:
    """Within five per cent, once; and again after it has been further away."""
    play = Playbook(TEN_FOLD)
    play.opened(side, stop_ticks=150)
    alerts = []
    for close in (far, near, near, far, near):
        play.close_at(close)
        alerts.append(play.alerts())
    text = f"BTCUSDT {side} P000001 is {told}"
    assert [[], [text], [], [], [text]] == alerts
    (alert,) = play.recorded(AlertRaised)
    assert (Severity.CRITICAL, "liquidation:P000001") == (alert.severity, alert.key)


def test_the_price_of_liquidation_follows_the_position() -> None:
    """It is made anew when a part of the position has gone; one of a closed position is forgotten."""
    exits = ExitSettings(plans={"trend": ExitPlan(partials=(PartialStep(500, 300_000),))})
    play = Playbook(replace(TEN_FOLD, exits=exits))
    play.opened(stop_ticks=150)
    play.close_at(96)
    before = play.state.market.dangers["P000001"]
    play.fill(play.place(Purpose.PARTIAL), price="107.5")
    play.close_at(96)
    after = play.state.market.dangers["P000001"]
    assert (play.position.quantity, True) == (after.quantity, after.quantity < before.quantity)
    play.fill(play.place(Purpose.STOP), after.quantity, price=85)
    play.settle_cancels()
    play.opened(stop_ticks=150)
    play.close_at(96)
    assert ["P000002"] == list(play.state.market.dangers)


@pytest.mark.parametrize(
    ("changes", "ticks"),
    [
        ({"liquidation_price": dec("93.27")}, 932),
        ({"liquidation_price": None}, 905),
        ({"liquidation_price": dec("93.27"), "quantity": dec(1)}, 905),
        ({"liquidation_price": dec("93.27"), "side": Side.SHORT}, 905),
    ],
)
def test_the_venue_knows_better_where_it_liquidates(changes: dict[str, object], ticks: int) -> None:
    """Its word counts for the position as it is; without one it is estimated."""
    play = Playbook(TEN_FOLD)
    position = play.opened(stop_ticks=150)
    play.close_at(100)
    play.snapshot(positions=(held_at_venue(position, **changes),))
    assert ticks == play.state.market.dangers["P000001"].liquidation_ticks
    before = play.state.market.dangers
    play.snapshot(positions=(held_at_venue(position, **changes),))
    assert before is play.state.market.dangers
    play.close_at("97.5")
    assert (ticks == 932) is bool(play.alerts())


def test_a_stranger_s_position_is_nobody_s_danger() -> None:
    """There is none of ours on the symbol, or nobody wants to know."""
    for settings in (TEN_FOLD, make_settings(limits=without_limits())):
        play = Playbook(settings)
        position = play.opened(stop_ticks=150)
        told = held_at_venue(position, liquidation_price=dec(93))
        play.snapshot(positions=(told, replace(told, symbol=ETH)))
        assert (["P000001"] if settings is TEN_FOLD else []) == list(play.state.market.dangers)


def test_nothing_is_told_where_nobody_wants_to_know() -> None:
    """Switched off."""
    play = Playbook(make_settings(leverage=dec(10), limits=without_limits()))
    play.opened(stop_ticks=150)
    play.close_at("91")
    assert ([], {}) == (play.alerts(), play.state.market.dangers)


@pytest.mark.parametrize(
    ("side", "stop_ticks", "fate"),
    [
        (Side.LONG, 90, Fate.TAKEN),
        (Side.LONG, 95, Fate.REFUSED),
        (Side.SHORT, 90, Fate.TAKEN),
        (Side.SHORT, 95, Fate.REFUSED),
    ],
)
def test_an_entry_whose_stop_lies_beyond_its_liquidation_is_refused(side: Side, stop_ticks: int, fate: Fate) -> None:
    """At ten times the liquidation is 9.5 away, at most; the reason gives both distances."""
    limits = without_limits(refuses_liquidation=True)
    play = Playbook(make_settings(leverage=dec(10), limits=limits, sizing=SizingSettings(cap_ppm=400_000)))
    play.signal(side, stop_ticks=stop_ticks)
    assert [(BTC, fate)] == play.fates()
    if fate is Fate.REFUSED:
        away = 95 if side is Side.LONG else 94
        assert f"liquidation on BTCUSDT: the stop is 95 ticks away, it {away}" == play.why()


# Too wild a market


SHOCKS = without_limits(shock_range_ppm=100_000)
PAUSE_MS = 30 * MINUTE_MS


def wide_candle(play: Playbook, high: int = 1_110, symbol: str = BTC) -> None:
    """A minute from 100.0 up to `high` and back."""
    open_ms = play.now // MINUTE_MS * MINUTE_MS
    play.now = open_ms + MINUTE_MS
    play.on(CandlesClosed(play.now, (Candle(symbol, open_ms, MINUTE_MS, 1_000, high, 1_000, 1_000, 9),)))


def test_a_candle_that_is_too_wide_pauses_its_symbol() -> None:
    """Although it has recovered; told once, with the measure. The other symbols trade on."""
    play = Playbook(make_settings(limits=SHOCKS))
    wide_candle(play, 1_100)
    assert () == play.last.records
    wide_candle(play)
    shocked_ms = play.now
    assert [MarketShocked(BTC, "range", "11.00 %", "10 %", shocked_ms)] == play.recorded(MarketShocked)
    assert ["BTCUSDT: range 11.00 %, above 10 %; no entries for 30 min"] == play.alerts()
    assert [("volatility", BTC)] == [(trip.limit, trip.scope) for trip in play.recorded(LimitTripped)]
    play.signal()
    assert [(BTC, Fate.GATED)] == play.fates()
    assert f"volatility on BTCUSDT: 29 min left of 30 until {iso(shocked_ms + PAUSE_MS)}" == play.why()
    play.signal(symbol=ETH)
    assert [(ETH, Fate.TAKEN)] == play.fates()


def test_the_pause_counts_from_the_last_wide_candle_and_is_told_once() -> None:
    """A second one during the pause prolongs it; one after it is news."""
    play = Playbook(make_settings(limits=SHOCKS))
    wide_candle(play)
    play.wait(20 * MINUTE_MS)
    wide_candle(play)
    assert (1, []) == (len(play.recorded(MarketShocked)), play.alerts())
    play.wait(PAUSE_MS - 2 * MINUTE_MS)
    play.signal()
    assert [(BTC, Fate.GATED)] == play.fates()
    play.signal()
    assert [(BTC, Fate.TAKEN)] == play.fates()
    wide_candle(play)
    assert 1 == len(play.alerts())


def test_a_restart_forgets_no_shock_and_a_resume_does() -> None:
    """It is in the book; an operator may know better."""
    play = Playbook(make_settings(limits=SHOCKS))
    wide_candle(play)
    rebuilt = Book("test")
    for record in play.journal:
        rebuilt = apply(rebuilt, record)
    assert {BTC: play.now} == rebuilt.shocks == play.book.shocks
    play.resume()
    play.snapshot()
    play.signal()
    assert [(BTC, Fate.TAKEN)] == play.fates()


@pytest.mark.parametrize(("is_on", "placed"), [(False, []), (True, [Purpose.EXIT])])
def test_a_position_may_be_closed_at_a_shock(is_on: bool, placed: list[Purpose]) -> None:
    """Where so configured; its trailing and age are not looked at any more."""
    play = Playbook(make_settings(limits=replace(SHOCKS, flatten_on_shock=is_on)))
    play.opened()
    wide_candle(play)
    assert placed == play.placed()
    assert (CloseReason.RISK if is_on else None) is play.position.close_reason


def test_an_average_range_far_above_its_usual_value_is_a_shock_too() -> None:
    """After a day of candles a tick wide, one of a hundred ticks; what was measured survives in the market view."""
    play = Playbook(make_settings(limits=without_limits(shock_atr_milli=3_000)))
    for _ in range(25):
        play.wait(HOUR_MS - MINUTE_MS)
        wide_candle(play, 1_001)
    assert ([], 1_000) == (play.alerts(), play.state.market.turbulence[BTC].usual_mticks)
    wide_candle(play, 1_100)
    assert ["BTCUSDT: average range 8.07 × usual, above 3 ×; no entries for 30 min"] == play.alerts()
