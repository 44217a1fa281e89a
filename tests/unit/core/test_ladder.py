"""A position that further signals of its strategy make larger."""

from dataclasses import replace

import pytest
from builders import BTC, Playbook, dec, make_settings, make_signal, without_limits

from trading_engine.core.effects import CancelOrder, PlaceOrder
from trading_engine.core.settings import EngineSettings, ExitPlan, ExitSettings, PartialStep, SizingSettings
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.market import Side
from trading_engine.domain.orders import OrderState
from trading_engine.domain.position import Position
from trading_engine.domain.records import Fate, SignalSeen
from trading_engine.domain.time import MINUTE_MS

LADDER = SizingSettings(ladder=(250_000, 350_000, 400_000))


def settings(**changes: object) -> EngineSettings:
    return make_settings(sizing=LADDER, limits=without_limits(max_positions=1), **changes)


def add(play: Playbook, price: str = "100") -> PlaceOrder:
    """A further signal at this close that is taken; its entry."""
    play.signal(close_ticks=int(dec(price) * 10))
    assert [(BTC, Fate.ADDED)] == play.fates()
    return play.place(Purpose.ENTRY)


def filled(play: Playbook, entry: PlaceOrder, price: str = "100") -> None:
    """The entry fills whole; what follows is confirmed, what is replaced is gone."""
    play.ack(entry)
    play.fill(entry, price=price)
    settle(play)


def settle(play: Playbook) -> None:
    """Every order that was sent is there, and every cancel is confirmed, until nothing follows from it any more."""
    for _ in range(6):
        play.wait(2_000)
        for order in [row for row in play.book.orders.values() if row.state is OrderState.INTENT]:
            play.ack(
                next(
                    e
                    for e in play.performed
                    if isinstance(e, PlaceOrder) and e.request.client_order_id == order.client_order_id
                )
            )
        play.settle_cancels()
        play.pass_time(1_000)


def resting(play: Playbook, purpose: Purpose) -> list[tuple[str, str]]:
    """Quantity and price of what is at the venue."""
    rows = [row for row in play.book.orders_of(play.position.position_id, purpose) if row.is_live]
    return [(f"{row.remaining:f}", f"{row.trigger_price or row.price}") for row in rows]


def test_each_signal_takes_its_share_of_a_size() -> None:
    """A quarter of 10, then 35 % and 40 % of what is sized by the distance to the stop that is there."""
    play = Playbook(settings())
    play.opened()
    assert dec("2.5") == play.position.quantity
    second = add(play)
    assert dec("3.5") == second.request.quantity
    assert "risk binds; balance 10000, stop 50 ticks away" == play.recorded(SignalSeen)[-1].reason
    filled(play, second)
    third = add(play, "102.5")
    assert dec("2.66") == third.request.quantity  # 40 % of 50 at a distance of 7.5
    filled(play, third, "102.5")
    assert (dec("8.66"), dec(95)) == (play.position.quantity, play.position.stop_price)
    play.signal()
    assert [(BTC, Fate.HELD)] == play.fates()


def test_stop_and_target_follow_the_larger_position() -> None:
    """The stop covers the whole as soon as it fills; the old target goes before the new one comes."""
    play = Playbook(settings())
    play.opened()
    assert ([("2.50", "95.0")], [("2.50", "115.0")]) == (resting(play, Purpose.STOP), resting(play, Purpose.TARGET))
    old = play.place(Purpose.TARGET)
    entry = add(play)
    play.ack(entry)
    play.fill(entry, price=104)
    assert [Purpose.STOP] == play.placed()
    assert [old.request.client_order_id] == [cancel.client_order_id for cancel in play.asked(CancelOrder)]
    settle(play)
    assert ["6.00"] == [quantity for quantity, _ in resting(play, Purpose.STOP)]
    assert ["6.00"] == [quantity for quantity, _ in resting(play, Purpose.TARGET)]


def test_partials_are_laid_out_anew_for_the_whole() -> None:
    """At 1R of the new average; what a partial has taken already is not taken again, the rest is the target's."""
    plan = ExitPlan(partials=(PartialStep(1_000, 400_000),))
    play = Playbook(settings(exits=ExitSettings(plans={"trend": plan})))
    play.opened()
    assert [("1.00", "105.0")] == resting(play, Purpose.PARTIAL)
    filled(play, add(play))
    assert [("2.40", "105.0")] == resting(play, Purpose.PARTIAL)
    assert ["3.60"] == [quantity for quantity, _ in resting(play, Purpose.TARGET)]
    play.fill(play.place(Purpose.PARTIAL), price=105)
    settle(play)
    filled(play, add(play))
    assert (dec("7.60"), []) == (play.position.quantity, resting(play, Purpose.PARTIAL))
    assert ["7.60"] == [quantity for quantity, _ in resting(play, Purpose.TARGET)]


@pytest.mark.parametrize(
    "change",
    [{"side": Side.SHORT, "close_ticks": 1_000}, {"strategy": "other"}, {"close_ticks": 950}, {"close_ticks": 940}],
)
def test_nothing_else_is_added(change: dict[str, object]) -> None:
    """The other side, another strategy, a price at or beyond the stop."""
    play = Playbook(settings())
    play.opened()
    signal = replace(make_signal(candle_ts_ms=play.now // MINUTE_MS * MINUTE_MS), **change)  # type: ignore[arg-type]
    play.candles((BTC, "100"), signals=[signal])
    assert [(BTC, Fate.HELD)] == play.fates()


def test_an_entry_that_is_not_done_is_not_followed_by_another() -> None:
    """Nor one of a position that is pending or closing."""
    play = Playbook(settings())
    first = play.enter()
    play.signal()
    assert [(BTC, Fate.HELD)] == play.fates()
    play.ack(first)
    play.fill(first, 1)
    play.signal()
    assert [(BTC, Fate.HELD)] == play.fates()


def test_a_further_entry_that_comes_to_nothing_leaves_all_as_it_was() -> None:
    """Refused by the venue: stop and target stand, and the rung can be tried again."""
    play = Playbook(settings())
    play.opened()
    play.reject(add(play))
    assert ([], []) == (play.placed(), play.asked(CancelOrder))
    assert PositionState.OPEN is play.position.state
    assert dec("3.5") == add(play).request.quantity


def test_the_limits_judge_the_position_as_a_whole() -> None:
    """250 are there: 350 more are 600 of an equity of 10,000, above five per cent."""
    play = Playbook(make_settings(sizing=LADDER, limits=without_limits(position_ppm=50_000, refuses_liquidation=True)))
    play.opened()
    play.signal()
    assert [(BTC, Fate.REFUSED)] == play.fates()
    assert "position_size on BTCUSDT: 600 of 500" == play.why()


def test_a_share_below_the_minimum_is_refused() -> None:
    """A quarter of what 40 in the account buy."""
    play = Playbook(settings(), balance=40)
    play.signal()
    assert [(BTC, Fate.REFUSED)] == play.fates()


def test_a_position_that_was_taken_over_is_not_added_to() -> None:
    """It has no entry of ours."""
    play = Playbook(settings())
    play.opened()
    orders = {key: row for key, row in play.book.orders.items() if row.purpose is not Purpose.ENTRY}
    play.state = replace(play.state, book=replace(play.book, orders=orders))
    play.signal()
    assert [(BTC, Fate.HELD)] == play.fates()


def _end(play: Playbook) -> Position:
    play.fill(play.place(Purpose.STOP), play.position.quantity, price=95)
    play.settle_cancels()
    return play.position


def test_a_laddered_position_ends_like_any_other() -> None:
    """Its money is that of its fills."""
    play = Playbook(settings())
    play.opened()
    filled(play, add(play, "102"), "102")
    position = _end(play)
    assert PositionState.CLOSED is position.state
    assert -dec("2.5") * 5 - (position.entry_quantity - dec("2.5")) * 7 == position.gross_pnl
