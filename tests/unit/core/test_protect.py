"""Stops, targets and exits follow the size of a position, in the right order."""

from dataclasses import replace

import pytest
from builders import (
    BTC,
    Playbook,
    dec,
    make_instrument,
    make_open_position,
    make_position,
    make_report,
    make_settings,
)

from trading_engine.core import protect
from trading_engine.core.draft import Draft
from trading_engine.core.effects import CancelOrder, LookUpOrder, PlaceOrder, SetTimer
from trading_engine.core.settings import EngineSettings, ExitPlan, ExitSettings, PartialStep
from trading_engine.core.state import Book, EngineState
from trading_engine.domain.events import OrderReported, TimerKind
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import CloseReason, PositionState
from trading_engine.domain.market import Side
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import OrderState
from trading_engine.domain.records import CancelIntended

LADDER = ExitPlan(partials=(PartialStep(2_000, 300_000), PartialStep(4_000, 400_000)))


def laddered(plan: ExitPlan = LADDER, **changes: object) -> EngineSettings:
    exits = replace(ExitSettings(plans={"trend": plan}), **changes)  # type: ignore[arg-type]
    return make_settings(exits=exits)


def cancelled_ids(play: Playbook) -> list[str]:
    return [cancel.client_order_id for cancel in play.asked(CancelOrder)]


def id_of(placed: PlaceOrder) -> str:
    return placed.request.client_order_id


def test_the_stop_covers_exactly_what_has_filled() -> None:
    """Four of ten: a stop for four, and no targets while more may come."""
    play = Playbook()
    entry = play.enter()
    play.ack(entry)
    play.fill(entry, 4)
    assert [Purpose.STOP] == play.placed()
    assert dec(4) == play.place(Purpose.STOP).request.quantity


def test_a_stop_is_replaced_by_placing_the_new_one_first() -> None:
    """The old one is cancelled when the new one is acknowledged, not before."""
    play = Playbook()
    entry = play.enter()
    play.fill(entry, 4)
    old = play.place(Purpose.STOP)
    play.ack(old)
    play.wait(1_000)
    play.fill(entry, 6)
    new = play.place(Purpose.STOP)
    assert [Purpose.STOP, Purpose.TARGET] == play.placed()
    assert (dec(10), []) == (new.request.quantity, cancelled_ids(play))
    play.ack(new)
    assert [id_of(old)] == cancelled_ids(play)
    assert [CancelIntended(id_of(old), "replaced")] == play.recorded(CancelIntended)


def test_a_cancel_is_intended_once() -> None:
    """Another report of the new stop does not repeat it."""
    play = Playbook()
    entry = play.enter()
    play.fill(entry, 4)
    play.ack(play.place(Purpose.STOP))
    play.wait(1_000)
    play.fill(entry, 6)
    play.ack(play.place(Purpose.STOP))
    assert 1 == len(cancelled_ids(play))
    play.wait(1)
    play.report(play.place(Purpose.STOP), OrderState.ACKED)
    assert [] == cancelled_ids(play)


def test_each_partial_fill_resizes_the_stop() -> None:
    """Generations count the replacements; ids never repeat."""
    play = Playbook()
    entry = play.enter()
    for quantity in (3, 3, 4):
        play.fill(entry, quantity)
        play.wait(1_000)
    assert [(dec(3), 1), (dec(6), 2), (dec(10), 3)] == [(stop.quantity, stop.generation) for stop in play.stops()]


def test_targets_wait_until_the_entry_is_over() -> None:
    """Cancelled after four of ten: the target is for four."""
    play = Playbook()
    entry = play.enter()
    play.ack(entry)
    play.fill(entry, 4)
    play.timer(TimerKind.ENTRY_DEADLINE, id_of(entry))
    assert [id_of(entry)] == cancelled_ids(play)
    play.cancelled(entry)
    assert [Purpose.TARGET] == play.placed()
    assert dec(4) == play.place(Purpose.TARGET).request.quantity
    assert (PositionState.OPEN, dec(4)) == (play.position.state, play.position.quantity)


def test_targets_wait_for_fills_that_the_venue_has_reported() -> None:
    """Cancelled with five filled, of which we know four."""
    play = Playbook()
    entry = play.enter()
    play.fill(entry, 4)
    play.report(entry, OrderState.CANCELED, filled=dec(5))
    assert [] == play.placed()
    play.wait(1_000)
    play.fill(entry, 1)
    assert [Purpose.STOP, Purpose.TARGET] == play.placed()
    assert dec(5) == play.place(Purpose.TARGET).request.quantity


def test_an_entry_that_ends_unfilled_is_abandoned() -> None:
    """From PENDING to CLOSED without a trade."""
    play = Playbook()
    entry = play.enter()
    play.ack(entry)
    play.cancelled(entry)
    assert (PositionState.CLOSED, CloseReason.ABANDONED) == (play.position.state, play.position.close_reason)
    assert () == play.book.ledger.closed


def test_a_cancelled_entry_with_an_unknown_fill_is_not_abandoned() -> None:
    """The venue names a quantity that we have not seen."""
    play = Playbook()
    entry = play.enter()
    play.report(entry, OrderState.CANCELED, filled=dec(1))
    assert PositionState.PENDING is play.position.state
    play.fill(entry, 1)
    assert PositionState.OPEN is play.position.state


def test_a_fill_beyond_its_own_stop_closes_at_market() -> None:
    """Bought at 94 with a stop at 95."""
    play = Playbook()
    entry = play.enter()
    play.fill(entry, 4, 94)
    assert (PositionState.CLOSING, CloseReason.STOP) == (play.position.state, play.position.close_reason)
    assert [Purpose.EXIT, Purpose.STOP] == play.placed()
    assert (OrderType.MARKET, dec(4)) == (
        play.place(Purpose.EXIT).request.type,
        play.place(Purpose.EXIT).request.quantity,
    )
    assert [id_of(entry)] == cancelled_ids(play)


def test_an_entry_that_goes_on_filling_while_closing_is_closed_as_well() -> None:
    """The exit was for four; the six that raced its cancel need another."""
    play = Playbook()
    entry = play.enter()
    play.fill(entry, 4, 94)
    play.fill(entry, 6, 94)
    first = play.place(Purpose.EXIT)
    play.wait(1_000)
    play.fill(first, 4, 94)
    assert [Purpose.EXIT, Purpose.STOP] == play.placed()
    assert dec(6) == play.place(Purpose.EXIT).request.quantity


@pytest.mark.parametrize(
    ("side", "levels"),
    [(Side.LONG, ["110.0", "120.0", "130.0"]), (Side.SHORT, ["90.0", "80.0", "70.0"])],
)
def test_partials_rest_at_their_multiples_and_the_rest_at_the_target(side: Side, levels: list[str]) -> None:
    """30 % at 2R, 40 % at 4R, the rest at 6R."""
    play = Playbook(laddered())
    play.opened(side, target_ticks=300)
    orders = [play.place(Purpose.PARTIAL, 0), play.place(Purpose.PARTIAL, 1), play.place(Purpose.TARGET)]
    assert [dec(3), dec(4), dec(3)] == [placed.request.quantity for placed in orders]
    assert [dec(level) for level in levels] == [placed.request.price for placed in orders]
    assert [True, True, True] == [placed.request.reduce_only for placed in orders]


def test_a_partial_that_fills_shrinks_the_stop_and_leaves_the_position_open() -> None:
    """Seven are left, and the stop is for seven."""
    play = Playbook(laddered())
    play.opened(target_ticks=300)
    play.wait(1_000)
    play.fill(play.place(Purpose.PARTIAL, 0), price=110)
    assert (PositionState.OPEN, dec(7)) == (play.position.state, play.position.quantity)
    assert [Purpose.STOP] == play.placed()
    assert dec(7) == play.place(Purpose.STOP).request.quantity


def test_partials_and_target_together_close_the_position() -> None:
    """3 × 10 + 4 × 20 + 3 × 30 = 200."""
    play = Playbook(laddered())
    play.opened(target_ticks=300)
    play.fill(play.place(Purpose.PARTIAL, 0), price=110)
    play.fill(play.place(Purpose.PARTIAL, 1), price=120)
    play.fill(play.place(Purpose.TARGET), price=130)
    play.settle_cancels()
    assert (PositionState.CLOSED, CloseReason.TARGET, dec(200)) == (
        play.position.state,
        play.position.close_reason,
        play.position.net_pnl,
    )


def test_a_level_at_or_beyond_the_target_folds_into_it() -> None:
    """The target at 3R swallows the partial at 4R."""
    play = Playbook(laddered())
    play.opened(target_ticks=150)
    assert dec(3) == play.place(Purpose.PARTIAL, 0).request.quantity
    assert dec(7) == play.place(Purpose.TARGET).request.quantity
    with pytest.raises(AssertionError, match="no partial order"):
        play.place(Purpose.PARTIAL, 1)


def test_parts_below_the_minimum_join_the_last() -> None:
    """A smallest order of 4 leaves no partial of 3."""
    settings = replace(laddered(), instruments={BTC: make_instrument(min_quantity=dec(4))})
    play = Playbook(settings)
    play.opened(target_ticks=300)
    assert dec(10) == play.place(Purpose.PARTIAL, 1).request.quantity + play.place(Purpose.TARGET).request.quantity
    assert dec(4) == play.place(Purpose.PARTIAL, 1).request.quantity


def test_without_a_target_the_rest_stays_for_the_trailing_stop() -> None:
    """Two partials rest, three coins have no target."""
    play = Playbook(laddered())
    play.opened(target_ticks=0)
    assert [Purpose.PARTIAL, Purpose.PARTIAL] == [
        order.purpose for order in play.book.orders.values() if order.purpose not in (Purpose.ENTRY, Purpose.STOP)
    ]


def test_partials_for_everything_close_without_a_target() -> None:
    """All of it at 2R: flat, and the reason is a target reached."""
    play = Playbook(laddered(ExitPlan(partials=(PartialStep(2_000, 1_000_000),))))
    play.opened(target_ticks=300)
    play.fill(play.place(Purpose.PARTIAL), price=110)
    play.settle_cancels()
    assert (PositionState.CLOSED, CloseReason.TARGET) == (play.position.state, play.position.close_reason)


def test_an_entry_at_its_stop_has_no_partials() -> None:
    """Without an R there are no multiples of it."""
    draft = Draft(EngineState(Book("test")), laddered(), 0)
    position = make_open_position(initial_stop=dec(100))
    assert [(Purpose.TARGET, 0, dec(10), dec(115))] == protect.planned_targets(draft, position)


def test_a_position_without_fills_has_no_targets_to_plan() -> None:
    """Nothing to take profit on."""
    assert [] == protect.planned_targets(Draft(EngineState(Book("test")), laddered(), 0), make_position())


def test_targets_may_be_triggered_market_orders() -> None:
    """By configuration: a trigger price instead of a limit."""
    play = Playbook(laddered(target_order=OrderType.TAKE_PROFIT_MARKET))
    play.opened()
    request = play.place(Purpose.TARGET).request
    assert (OrderType.TAKE_PROFIT_MARKET, None, dec(115)) == (request.type, request.price, request.trigger_price)


def test_a_target_that_never_left_is_placed_again() -> None:
    """VOID is proof of absence; the next generation takes its place."""
    play = Playbook()
    entry = play.enter()
    play.fill(entry)
    target = play.place(Purpose.TARGET)
    play.expire(target)
    assert [Purpose.TARGET] == play.placed()
    assert 2 == play.order(play.place(Purpose.TARGET)).generation


def test_one_leg_that_never_left_is_placed_again_alone() -> None:
    """The others stand."""
    play = Playbook(laddered())
    play.fill(play.enter(target_ticks=300))
    play.expire(play.place(Purpose.PARTIAL, 1))
    assert [Purpose.PARTIAL] == play.placed()
    assert (1, 2) == (
        play.order(play.place(Purpose.PARTIAL, 1)).leg,
        play.order(play.place(Purpose.PARTIAL, 1)).generation,
    )


def test_a_refused_target_is_not_asked_for_in_a_loop() -> None:
    """The stop protects; a person is told."""
    play = Playbook()
    entry = play.enter()
    play.fill(entry)
    play.reject(play.place(Purpose.TARGET))
    assert [] == play.placed()
    assert ["BTCUSDT: target order of P000001 was refused (-2019: margin is insufficient)"] == play.alerts()


def test_a_stop_that_a_person_cancels_is_placed_again() -> None:
    """No open position without one."""
    play = Playbook()
    play.opened()
    play.wait(1_000)
    play.cancelled(play.place(Purpose.STOP))
    assert [Purpose.STOP] == play.placed()
    assert SetTimer(play.now + 5_000, TimerKind.STOP_CONFIRMATION, "P000001") in play.asked(SetTimer)


def target_begun() -> Playbook:
    """A position with half of its target filled; the rest rests at its limit."""
    play = Playbook()
    play.opened()
    play.wait(1_000)
    play.fill(play.place(Purpose.TARGET), 5, 115)
    return play


def test_a_target_that_begins_to_fill_leaves_the_position_open() -> None:
    """A smaller stop; the rest may wait for its price for ever, so nothing that guards the position may end."""
    play = target_begun()
    assert PositionState.OPEN is play.position.state
    assert [Purpose.STOP] == play.placed()
    assert dec(5) == play.place(Purpose.STOP).request.quantity
    play.ack(play.place(Purpose.STOP))
    play.fill(play.place(Purpose.TARGET), 5, 115)
    assert (PositionState.CLOSING, CloseReason.TARGET) == (play.position.state, play.position.close_reason)


def test_a_position_whose_target_has_begun_leaves_on_a_signal() -> None:
    """At market, with what is left."""
    play = target_begun()
    play.ack(play.place(Purpose.STOP))
    play.signal(None, exit_side=Side.LONG)
    assert (PositionState.CLOSING, CloseReason.SIGNAL) == (play.position.state, play.position.close_reason)
    assert dec(5) == play.place(Purpose.EXIT).request.quantity


def test_a_position_whose_target_has_begun_is_closed_where_its_stop_is_never_confirmed() -> None:
    """The guard of every open position."""
    play = target_begun()
    play.report(play.place(Purpose.STOP), OrderState.CANCELED)
    play.on(OrderReported(play.now, make_report(play.stops()[0], OrderState.CANCELED, ts_ms=play.now)))
    for placed in play.pass_time(10_000):
        play.reject(placed, "busy", "try later")
    play.pass_time(10_000)
    assert (PositionState.CLOSING, CloseReason.RISK) == (play.position.state, play.position.close_reason)


def test_the_rest_of_a_stop_that_has_begun_is_asked_after() -> None:
    """The venue may have ended it unheard, and what was not filled would stand without a stop."""
    play = Playbook()
    play.opened()
    stop = play.place(Purpose.STOP)
    play.wait(60_000)
    play.fill(stop, 6, 95)
    play.pass_time(5_000)
    asked = [look.client_order_id for look in play.performed if isinstance(look, LookUpOrder)]
    assert stop.request.client_order_id in asked


def test_a_stop_that_fills_in_part_is_the_exit_until_it_ends() -> None:
    """It goes on by itself; where it ends early the rest goes at market."""
    play = Playbook()
    play.opened()
    stop = play.place(Purpose.STOP)
    play.fill(stop, 4, 95)
    assert [] == play.placed()
    play.wait(1_000)
    play.report(stop, OrderState.EXPIRED)
    assert [Purpose.EXIT, Purpose.STOP] == play.placed()
    assert dec(6) == play.place(Purpose.EXIT).request.quantity


def test_a_stop_reported_as_filled_is_not_replaced_before_its_fills_arrive() -> None:
    """The report overtakes the fill: no second stop, no second exit."""
    play = Playbook()
    play.opened()
    stop = play.place(Purpose.STOP)
    play.report(stop, OrderState.FILLED, filled=dec(10))
    assert [] == play.placed()
    play.fill(stop, price=95)
    assert [] == play.placed()
    play.settle_cancels()
    assert PositionState.CLOSED is play.position.state


def test_an_exit_reported_as_filled_is_not_repeated_before_its_fills_arrive() -> None:
    """Likewise for the market exit."""
    play = Playbook()
    play.opened()
    play.signal(None, exit_side=Side.LONG)
    leave = play.place(Purpose.EXIT)
    play.report(leave, OrderState.FILLED, filled=dec(10))
    assert [] == play.placed()
    play.fill(leave, price=101)
    play.settle_cancels()
    assert (PositionState.CLOSED, CloseReason.SIGNAL) == (play.position.state, play.position.close_reason)


def test_a_flat_position_closes_only_when_nothing_is_left_at_the_venue() -> None:
    """Stop and target: two cancels, two confirmations."""
    play = Playbook()
    play.opened()
    play.signal(None, exit_side=Side.LONG)
    play.fill(play.place(Purpose.EXIT))
    assert sorted(map(id_of, (play.place(Purpose.STOP), play.place(Purpose.TARGET)))) == sorted(cancelled_ids(play))
    play.cancelled(play.place(Purpose.STOP))
    assert PositionState.CLOSING is play.position.state
    play.cancelled(play.place(Purpose.TARGET))
    assert PositionState.CLOSED is play.position.state


def test_tending_twice_asks_for_nothing_twice() -> None:
    """Whatever stands as a row is not wanted any more."""
    play = Playbook(laddered())
    play.opened(target_ticks=300)
    play.snapshot()
    assert ([], []) == (play.placed(), cancelled_ids(play))


def test_a_position_that_has_closed_is_left_alone() -> None:
    """Also within the step that closed it."""
    play = Playbook()
    play.stopped_out()
    draft = Draft(EngineState(play.last.book), play.settings, play.now)
    protect.tend(draft, "P000001")
    protect.begin_close(draft, "P000001", CloseReason.RISK, "no reason")
    assert ([], []) == (draft.records, draft.effects)


def test_a_close_without_risk_has_no_multiple_in_its_alert() -> None:
    """Filled exactly at its stop: no R to divide by."""
    play = Playbook()
    play.fill(play.enter(), price=95)
    play.fill(play.place(Purpose.EXIT), price=96)
    play.settle_cancels()
    assert ["BTCUSDT long closed by stop: +10.00 USDT"] == play.alerts()
