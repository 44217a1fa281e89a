"""A venue that turns orders away before it looks at them: busy, over its limits, or at odds with our clock."""

from itertools import pairwise

import pytest
from builders import BTC, Playbook, dec

from trading_engine.core.effects import FetchFills, LookUpOrder, PlaceOrder
from trading_engine.domain.events import SubmitAnswered
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import CloseReason, PositionState
from trading_engine.domain.market import Side
from trading_engine.domain.orders import OrderState
from trading_engine.domain.records import AlertRaised
from trading_engine.domain.reports import Rejected


def told(play: Playbook) -> list[str]:
    return [alert.key.split(":")[0] for alert in play.recorded(AlertRaised)]


def filled(play: Playbook) -> PlaceOrder:
    """An entry that has filled; its stop is on the way."""
    entry = play.enter()
    play.ack(entry)
    play.fill(entry)
    return play.place(Purpose.STOP)


def turned_away(play: Playbook, placed: PlaceOrder, wait_ms: int = 0, code: str = "rate_limited") -> None:
    outcome = Rejected(code, "not looked at", wait_ms)
    play.on(SubmitAnswered(play.now, placed.request.client_order_id, outcome))


@pytest.mark.parametrize("code", ["busy", "clock", "not_sent", "rate_limited"])
def test_a_stop_that_was_not_looked_at_is_sent_again_instead_of_closing(code: str) -> None:
    """Under a new id, a second later; acknowledged, all is well."""
    play = Playbook()
    first = filled(play)
    turned_away(play, first, code=code)
    assert PositionState.OPEN is play.position.state
    assert ["rejected"] == told(play)
    (again,) = play.pass_time(1_000)
    assert again.request.client_order_id != first.request.client_order_id
    play.ack(again)
    assert [] == play.pass_time(10_000)
    assert PositionState.OPEN is play.position.state


def test_a_stop_that_the_venue_has_refused_closes_the_position() -> None:
    """It would refuse the next one as well."""
    play = Playbook()
    play.reject(filled(play))
    assert [Purpose.EXIT] == play.placed()


def test_nothing_is_sent_before_the_venue_wants_to_hear_of_us() -> None:
    """The stop leaves when the wait is over."""
    play = Playbook()
    turned_away(play, filled(play), wait_ms=3_000)
    assert [] == play.pass_time(2_999)
    assert [OrderState.INTENT] == [play.order(placed).state for placed in play.pass_time(1)]


def test_an_entry_without_budget_holds_no_stop_back() -> None:
    """What protects has a reserve of its own."""
    play = Playbook()
    turned_away(play, play.enter(), wait_ms=60_000)
    stop = filled(play)
    turned_away(play, stop, wait_ms=0)
    assert 1 == len(play.pass_time(1_000))


def test_a_position_that_waits_too_long_for_its_stop_is_closed_when_the_venue_listens_again() -> None:
    """The exit is refused as well, and tried again when the wait is over, not minutes later; the stop with it."""
    play = Playbook()
    turned_away(play, filled(play), wait_ms=60_000)
    (exit_order,) = play.pass_time(5_000)
    assert PositionState.CLOSING is play.position.state
    turned_away(play, exit_order, wait_ms=55_000)
    assert [] == play.pass_time(54_999)
    sent = [order.request.type for order in play.pass_time(1)]
    assert ["market", "stop_market"] == sorted(sent)


def test_a_venue_that_stays_busy_is_not_flooded_and_not_left_alone() -> None:
    """Half a minute at most between two exits, and the first waits are short."""
    play = Playbook()
    stop = filled(play)
    turned_away(play, stop, code="busy")
    times: list[int] = []
    begun_ms = play.now
    while play.now < begun_ms + 600_000:
        for placed in play.pass_time(100):
            turned_away(play, placed, code="busy")
            if placed.request.type == "market":
                times.append(play.now)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert 5_000 <= min(pauses)
    assert max(pauses) <= 30_100
    stops = [order for order in play.orders.values() if order.purpose is Purpose.STOP]
    assert len(stops) < 40


def test_an_order_that_the_stream_has_told_of_is_not_in_doubt_when_its_answer_is_lost() -> None:
    """Nobody is told that the outcome is unknown."""
    play = Playbook()
    entry = play.enter()
    play.fill(entry)
    play.doubt(entry)
    assert [] == told(play)


def test_two_closes_beyond_the_stop_close_the_position_at_market() -> None:
    """After the first the venue is asked; a stop that has not filled a minute later will not."""
    play = Playbook()
    play.opened()
    stop = play.position.stop_price
    play.close_at(stop - 1)
    assert [] == told(play)
    assert {Purpose.STOP} == {play.orders[look.client_order_id].purpose for look in play.asked(LookUpOrder)}
    assert [FetchFills()] == play.asked(FetchFills)
    play.close_at(stop - 1)
    assert ["unfilled"] == told(play)
    assert [Purpose.EXIT] == play.placed()
    assert CloseReason.STOP is play.position.close_reason


def test_only_stops_that_live_are_asked_after_beyond_the_stop() -> None:
    """One that was taken away and replaced has nothing to tell."""
    play = Playbook()
    play.opened()
    gone = play.place(Purpose.STOP)
    play.cancelled(gone)
    play.pass_time(1_000)
    live = play.place(Purpose.STOP)
    play.ack(live)
    assert live != gone
    play.close_at(play.position.stop_price - 1)
    assert [live.request.client_order_id] == [look.client_order_id for look in play.asked(LookUpOrder)]


def test_a_close_beyond_the_stop_that_does_not_last_closes_nothing() -> None:
    """Stops may follow another price than candles; what counts is two in a row."""
    play = Playbook()
    play.opened()
    stop = play.position.stop_price
    for price in (stop - 1, stop + 1, stop - 1, stop):
        play.close_at(price)
        assert [] == play.placed()
    assert PositionState.OPEN is play.position.state
    assert {} == play.state.market.beyond


def test_the_same_candle_twice_is_one_close() -> None:
    """Feeds repeat themselves."""
    play = Playbook()
    play.opened()
    for _ in range(2):
        play.now -= 60_000 * (play.now % 60_000 == 0 and bool(play.state.market.beyond))
        play.candles((BTC, dec(play.position.stop_price) - 1))
    assert PositionState.OPEN is play.position.state


def test_a_short_is_watched_the_other_way_round() -> None:
    """Above its stop."""
    play = Playbook()
    play.opened(Side.SHORT)
    for _ in range(2):
        play.close_at(play.position.stop_price + 1)
    assert ["unfilled"] == told(play)
