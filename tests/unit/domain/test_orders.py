"""Orders: the lattice of states, merging of reports, and what a row says about itself."""

from dataclasses import replace
from decimal import Decimal
from itertools import product

import pytest
from builders import make_order, make_report, make_stop

from trading_engine.domain.market import Side
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import (
    OrderRequest,
    OrderState,
    TradeSide,
    closing_side,
    merge,
    opening_side,
    resolve_state,
)

RANKED = list(OrderState)
TERMINAL = {OrderState.VOID, OrderState.REJECTED, OrderState.EXPIRED, OrderState.CANCELED, OrderState.FILLED}


def test_sides_open_and_close() -> None:
    """A long is bought and sold, a short sold and bought."""
    assert (TradeSide.BUY, TradeSide.SELL) == (opening_side(Side.LONG), closing_side(Side.LONG))
    assert (TradeSide.SELL, TradeSide.BUY) == (opening_side(Side.SHORT), closing_side(Side.SHORT))
    assert (1, -1) == (TradeSide.BUY.sign, TradeSide.SELL.sign)


@pytest.mark.parametrize("state", list(OrderState))
def test_a_state_says_whether_more_can_be_filled(state: OrderState) -> None:
    """Terminal states are the two proofs of absence and the three ends; unresolved are the two doubts."""
    assert (state in TERMINAL) is state.is_terminal
    assert (state in {OrderState.INTENT, OrderState.UNKNOWN}) is state.is_unresolved


@pytest.mark.parametrize(("known", "told"), list(product(OrderState, OrderState)))
def test_merging_takes_the_higher_state(known: OrderState, told: OrderState) -> None:
    """Without a quantity the lattice alone decides; nothing steps back."""
    order = make_order(state=known)
    expected = max(known, told, key=RANKED.index)
    assert expected is merge(order, make_report(order, told)).state


@pytest.mark.parametrize(
    ("told", "filled", "expected"),
    [
        (OrderState.ACKED, "0", OrderState.ACKED),
        (OrderState.ACKED, "4", OrderState.PARTIAL),
        (OrderState.ACKED, "10", OrderState.FILLED),
        (OrderState.CANCELED, "4", OrderState.CANCELED),
        (OrderState.VOID, "4", OrderState.PARTIAL),
        (OrderState.CANCELED, "10", OrderState.FILLED),
    ],
)
def test_a_quantity_is_evidence_too(told: OrderState, filled: str, expected: OrderState) -> None:
    """Something filled is at least PARTIAL, everything filled is FILLED, whatever the word was."""
    assert expected is resolve_state(told, Decimal(10), Decimal(filled))


def test_merging_keeps_the_most_of_everything() -> None:
    """Highest quantity, latest time, the id and the reason once they are known."""
    order = make_order(venue_order_id="v7", reason="late", reported_filled=Decimal(4), updated_ms=50)
    report = make_report(order, OrderState.ACKED, filled=Decimal(3), ts_ms=40, venue_order_id="", reason="")
    merged = merge(order, report)
    assert replace(order, state=OrderState.PARTIAL) == merged


def test_a_report_does_not_count_as_a_fill() -> None:
    """`reported_filled` rises, `filled` waits for the fills, and until then the row is not settled."""
    order = make_order()
    merged = merge(order, make_report(order, OrderState.FILLED, filled=Decimal(10)))
    assert (Decimal(10), Decimal(0)) == (merged.reported_filled, merged.filled)
    assert not merged.is_live
    assert not merged.is_settled
    assert replace(merged, filled=Decimal(10)).is_settled


def test_applied_fills_count_in_a_merge() -> None:
    """A report that lags behind the fills does not undo what they proved."""
    order = make_order(filled=Decimal(10), state=OrderState.FILLED)
    assert OrderState.FILLED is merge(order, make_report(order, OrderState.ACKED, filled=Decimal(2))).state


@pytest.mark.parametrize("state", list(OrderState))
def test_a_row_knows_whether_it_rests_at_the_venue(state: OrderState) -> None:
    """Confirmed means acknowledged and not yet at its end; live includes the doubts."""
    order = make_order(state=state)
    assert (state in {OrderState.ACKED, OrderState.PARTIAL}) is order.is_confirmed
    assert (state not in TERMINAL) is order.is_live


def test_the_rest_is_what_fills_have_left() -> None:
    """Ten less four."""
    assert Decimal(6) == make_order(filled=Decimal(4)).remaining


def test_a_row_becomes_the_request_it_stands_for() -> None:
    """Nothing is added on the way to the venue."""
    stop = make_stop()
    assert (
        OrderRequest(
            client_order_id="tetest000001s00001",
            symbol="BTCUSDT",
            side=TradeSide.SELL,
            type=OrderType.STOP_MARKET,
            quantity=Decimal(10),
            reduce_only=True,
            position_side=Side.LONG,
            trigger_price=Decimal(95),
        )
        == stop.to_request()
    )
