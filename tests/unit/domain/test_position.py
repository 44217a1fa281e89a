"""Positions: what fills add up to, exactly."""

from dataclasses import replace
from decimal import Decimal

import pytest
from builders import dec, make_fill, make_open_position, make_position

from trading_engine.domain.fills import Fill
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.market import Side
from trading_engine.domain.orders import TradeSide
from trading_engine.domain.position import Position, apply_fill, gross_of


def sold(quantity: str, price: str, **changes: object) -> Fill:
    return make_fill(side=TradeSide.SELL, quantity=dec(quantity), price=dec(price), **changes)


def book(position: Position, fill: Fill) -> Position:
    return apply_fill(position, fill, gross_of(position, fill))


def test_opening_fills_add_up_to_cost_and_average() -> None:
    """Two purchases at different prices; the first one dates the position."""
    position = book(make_position(), make_fill(quantity=dec(4), price=dec(100), fee=dec("0.24"), ts_ms=5))
    position = book(position, make_fill(quantity=dec(6), price=dec(101), fee=dec("0.36"), ts_ms=9))
    assert (dec(10), dec(1006)) == (position.quantity, position.cost)
    assert (dec(10), dec(1006)) == (position.entry_quantity, position.entry_value)
    assert dec("100.6") == position.average_entry
    assert dec("0.60") == position.fees
    assert (2, 5, 3) == (position.fills, position.opened_ms, position.version)


@pytest.mark.parametrize(
    ("side", "opening", "closing", "exit_price", "gross"),
    [
        (Side.LONG, TradeSide.BUY, TradeSide.SELL, "115", "150"),
        (Side.LONG, TradeSide.BUY, TradeSide.SELL, "95", "-50"),
        (Side.SHORT, TradeSide.SELL, TradeSide.BUY, "85", "150"),
        (Side.SHORT, TradeSide.SELL, TradeSide.BUY, "105", "-50"),
    ],
)
def test_a_round_trip_earns_the_difference(
    side: Side, opening: TradeSide, closing: TradeSide, exit_price: str, gross: str
) -> None:
    """Ten coins, either direction, profit and loss."""
    position = book(make_position(side=side), make_fill(side=opening))
    position = book(position, make_fill(side=closing, price=dec(exit_price), ts_ms=77))
    assert dec(gross) == position.gross_pnl
    assert (dec(0), dec(0)) == (position.quantity, position.cost)
    assert dec(exit_price) == position.average_exit
    assert (77, 2, 3) == (position.closed_ms, position.fills, position.version)


def test_the_last_part_takes_the_remainder_of_the_cost() -> None:
    """A cost of 100 over three thirds: 33.33333333 twice, then what is left."""
    position = book(make_position(), make_fill(quantity=dec(3), price=dec(1)))
    position = replace(position, cost=dec(100), entry_value=dec(100))
    costs = []
    for _ in range(3):
        after = book(position, sold("1", "40"))
        costs.append(position.cost - after.cost)
        position = after
    assert [dec("33.33333333"), dec("33.33333334"), dec("33.33333333")] == costs
    assert dec(20) == position.gross_pnl


def test_an_opening_fill_realises_nothing() -> None:
    """Its gross is zero, whatever the price."""
    assert dec(0) == gross_of(make_open_position(), make_fill(price=dec(500)))


def test_what_the_venue_books_is_what_counts() -> None:
    """The gross that is given is added, not ours."""
    assert dec(149) == apply_fill(make_open_position(), sold("10", "115"), dec(149)).gross_pnl


def test_more_than_is_open_cannot_be_closed() -> None:
    """The caller splits such a fill first."""
    with pytest.raises(ValueError, match="P000001: a fill of 11 exceeds the open 10"):
        gross_of(make_open_position(), sold("11", "100"))


def test_the_earliest_fill_dates_the_position() -> None:
    """Whichever is told first."""
    position = book(make_position(), make_fill(quantity=dec(4), ts_ms=9))
    assert 5 == book(position, make_fill(quantity=dec(6), ts_ms=5)).opened_ms


def test_a_late_fill_does_not_turn_back_the_clock() -> None:
    """`closed_ms` is the latest of the reducing fills."""
    position = book(make_open_position(), sold("5", "100", ts_ms=90))
    assert 90 == book(position, sold("5", "100", ts_ms=80)).closed_ms


def test_net_is_gross_less_fees_plus_funding() -> None:
    """Signed funding, positive fees."""
    assert dec("93.5") == make_position(gross_pnl=dec(100), fees=dec(5), funding=dec("-1.5")).net_pnl


def test_before_the_first_fill_there_is_no_average_and_no_risk() -> None:
    """None and zero instead of a division by zero."""
    position = make_position()
    assert position.average_entry is None
    assert position.average_exit is None
    assert dec(0) == position.risk_per_unit
    assert position.r_multiple(dec(10)) is None


def test_profit_is_measured_in_what_was_at_risk() -> None:
    """R is 5 a coin, 50 in all."""
    position = make_open_position()
    assert dec(5) == position.risk_per_unit
    assert dec("1.5") == position.r_multiple(dec(75))


def test_an_entry_at_its_own_stop_has_no_multiple() -> None:
    """Nothing at risk is not a divisor."""
    assert make_open_position(initial_stop=dec(100)).r_multiple(dec(75)) is None


@pytest.mark.parametrize(("side", "open_pnl"), [(Side.LONG, "30"), (Side.SHORT, "-30")])
def test_open_pnl_is_value_against_cost(side: Side, open_pnl: str) -> None:
    """Ten coins from 100 to 103."""
    assert dec(open_pnl) == make_open_position(side=side).unrealized(dec(103))


def test_a_stop_that_was_moved_is_trailed() -> None:
    """Compared with where it stood at the decision."""
    assert not make_position().is_trailed
    assert make_position(stop_price=dec(96)).is_trailed


def test_a_position_begins_pending_and_empty() -> None:
    """The defaults are those of an intent."""
    position = make_position()
    assert (PositionState.PENDING, Decimal(0), 0, None) == (
        position.state,
        position.quantity,
        position.fills,
        position.close_reason,
    )
