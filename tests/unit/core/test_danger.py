"""A price that comes near to where the venue takes a position over."""

from dataclasses import replace

import pytest
from builders import BTC, Playbook, dec, make_settings, without_limits

from trading_engine.core.settings import ExitPlan, ExitSettings, PartialStep, SizingSettings
from trading_engine.domain.ids import Purpose
from trading_engine.domain.market import Side
from trading_engine.domain.records import AlertRaised, Fate
from trading_engine.domain.severity import Severity

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
