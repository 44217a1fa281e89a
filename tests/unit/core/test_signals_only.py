"""Where nothing is sent: all is judged as ever, the last gate is shut, and what is at the venue is left alone."""

from dataclasses import replace

import pytest
from builders import (
    BTC,
    ETH,
    Playbook,
    dec,
    make_order,
    make_report,
    make_settings,
    without_limits,
)

from trading_engine.core.effects import CancelOrder, PlaceOrder
from trading_engine.core.settings import ForeignPolicy, ForeignSettings, LimitSettings, SizingSettings
from trading_engine.domain.control import Level
from trading_engine.domain.events import RunBegan, TimerKind
from trading_engine.domain.market import Side
from trading_engine.domain.orders import OrderReport
from trading_engine.domain.records import Fate, OrderIntended, PositionOpened, SignalSeen
from trading_engine.domain.reports import VenuePosition


def watching(**changes: object) -> Playbook:
    """A play in which nothing is sent."""
    return Playbook(make_settings(signals_only=True, **changes))


def sent(play: Playbook) -> list[object]:
    """Everything that the play so far would have sent to the venue."""
    return [effect for effect in play.performed if isinstance(effect, PlaceOrder | CancelOrder)]


def test_an_entry_is_withheld_and_says_what_would_have_been_ordered() -> None:
    """Side, quantity, entry, stop, target and what binds: in words, and as the numbers beside those of the size."""
    play = watching()
    play.signal()
    assert [(BTC, Fate.WITHHELD)] == play.fates()
    would = "long entry of 10 near 100, stop 95, target 115"
    assert f"signals only: {would}; risk binds; balance 10000, stop 50 ticks away" == play.why()
    inputs = dict(play.recorded(SignalSeen)[-1].inputs)
    assert ("long", "10", "100", "95", "115") == tuple(
        inputs[name] for name in ("side", "quantity", "entry", "stop", "target")
    )
    assert "risk" == inputs["binding"]
    assert [f"signals only, nothing is sent: {BTC} {would} by trend"] == play.alerts()
    assert ([], [], []) == (sent(play), play.recorded(OrderIntended), play.recorded(PositionOpened))


def test_the_size_is_that_of_a_run_that_trades() -> None:
    """The same signal, with the gate and without it: every number that led to the size is the same."""
    told = []
    for signals_only in (True, False):
        play = Playbook(make_settings(signals_only=signals_only, sizing=SizingSettings(cap_ppm=50_000)))
        play.signal(Side.SHORT, target_ticks=0)
        told.append(dict(play.recorded(SignalSeen)[-1].inputs))
    withheld, taken = told
    assert {**taken, "side": "short", "quantity": "5", "entry": "100", "stop": "105", "target": ""} == withheld


def test_every_further_signal_is_withheld_as_well() -> None:
    """Nothing is held, so nothing says `held`."""
    play = watching()
    for _ in range(3):
        play.signal()
        assert [(BTC, Fate.WITHHELD)] == play.fates()
    assert [] == sent(play)


def test_what_would_have_been_gated_says_why_it_would_have_been() -> None:
    """The kill switch comes before the gate of this run."""
    play = watching()
    play.stop_file()
    play.signal()
    assert [(BTC, Fate.GATED)] == play.fates()
    assert "kill switch at NO_ENTRY" in play.why()


@pytest.mark.parametrize(
    ("limits", "balance", "why"),
    [
        (without_limits(position_ppm=1), 10_000, "position_size on BTCUSDT"),
        (LimitSettings(), 5, "below the venue's minimum"),
    ],
)
def test_what_would_have_been_refused_says_why_it_would_have_been(
    limits: LimitSettings, balance: int, why: str
) -> None:
    """Limits and sizes as well."""
    play = Playbook(make_settings(signals_only=True, limits=limits), balance)
    play.signal()
    assert [(BTC, Fate.REFUSED)] == play.fates()
    assert play.why().startswith(why)


def test_an_addition_to_a_position_is_withheld_as_well() -> None:
    """A run that sends nothing never begins with a position; should it have one, it is not made larger either."""
    sizing = SizingSettings(ladder=(500_000, 500_000))
    play = Playbook(make_settings(sizing=sizing, limits=without_limits()))
    play.opened()
    play.settings = replace(play.settings, signals_only=True)
    play.signal()
    assert [(BTC, Fate.WITHHELD)] == play.fates()
    assert [] == play.asked(PlaceOrder)


def test_a_start_says_so() -> None:
    """In the alert, which is also the log's line."""
    play = watching()
    play.on(RunBegan(play.now, "r1", "0.1.0", "live", "hash"))
    assert ["engine 0.1.0 started in live mode, signals only: nothing is sent to the venue"] == play.alerts()


@pytest.mark.parametrize("policy", list(ForeignPolicy))
def test_no_policy_acts_on_a_position_at_the_venue(policy: ForeignPolicy) -> None:
    """It is told and counted as exposure, whatever `reconciliation` says; no symbol is frozen."""
    play = watching(absence_is_proof=True, foreign=ForeignSettings(default=policy))
    held = VenuePosition(BTC, Side.LONG, dec(3), dec(100), dec(100), None, dec(2))
    play.snapshot(positions=(held,))
    assert [f"{BTC}: 3 at the venue is not ours; it is left alone and counted as exposure"] == play.alerts()
    assert ([], {}, {}) == (sent(play), dict(play.book.positions), dict(play.book.frozen))
    assert dec(3) == play.state.market.foreign[BTC].quantity


@pytest.mark.parametrize("name", ["tetest000009e00001", "teothr000001s00001", "web_1"])
def test_an_order_at_the_venue_is_left_alone_whoever_made_it(name: str) -> None:
    """Of this database's kind, of another engine's or a person's: nothing is cancelled, nothing is locked."""
    play = watching()
    play.snapshot(open_orders=(_shown(name),))
    assert ([], Level.RUN) == (sent(play), play.book.control.level)
    assert any("is not ours; it is left alone" in text for text in play.alerts())


def _shown(name: str) -> OrderReport:
    return make_report(make_order(client_order_id=name, quantity=dec(2), price=dec(90)), venue_order_id="v9")


def test_an_order_that_is_a_row_is_still_followed() -> None:
    """What the database knows is brought to what the venue shows, as ever."""
    play = Playbook()
    play.opened()
    stop = play.stops()[-1]
    play.settings = replace(play.settings, signals_only=True)
    play.snapshot(open_orders=(make_report(stop, venue_order_id="v1"),), positions=())
    assert "v1" == play.book.orders[stop.client_order_id].venue_order_id


def test_time_and_an_end_send_nothing() -> None:
    """Timers fire, the run ends; a flat book asks for nothing."""
    play = watching()
    play.signal(symbol=ETH)
    assert [] == play.pass_time(3_600_000)
    play.timer(TimerKind.RECONCILE)
    assert [] == sent(play)
