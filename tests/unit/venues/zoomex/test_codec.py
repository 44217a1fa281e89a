"""Rows and what they mean: statuses, types, numbers, times."""

import json
from decimal import Decimal

import pytest
from unit.venues.zoomex.scripted import capital, order_row

from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import OrderReport, OrderState, TradeSide
from trading_engine.venues.zoomex import codec, shapes

D = Decimal

STATUSES = [
    ("Created", OrderState.UNKNOWN),
    ("New", OrderState.ACKED),
    ("PartiallyFilled", OrderState.PARTIAL),
    ("Filled", OrderState.FILLED),
    ("Cancelled", OrderState.CANCELED),
    ("PartiallyFilledCanceled", OrderState.CANCELED),
    ("PendingCancel", OrderState.ACKED),
    ("Rejected", OrderState.REJECTED),
    ("Untriggered", OrderState.ACKED),
    ("Triggered", OrderState.ACKED),
    ("Active", OrderState.ACKED),
    ("Deactivated", OrderState.CANCELED),
]


def _report(**changes: object) -> OrderReport:
    (row,) = shapes.rows_of([order_row(**changes)], shapes.OrderRow)
    return codec.order_report(row)


@pytest.mark.parametrize(("status", "state"), STATUSES)
def test_each_status_is_a_state(status: str, state: OrderState) -> None:
    """As documented."""
    assert state is _report(orderStatus=status).state


@pytest.mark.parametrize("status", ["Cancelled", "PartiallyFilledCanceled", "Deactivated"])
def test_a_cancelled_order_keeps_what_it_filled(status: str) -> None:
    """A market order that went too far, or a cancel that came too late for a part."""
    report = _report(orderStatus=status, cumExecQty="0.004", leavesQty="0.000")
    assert (OrderState.CANCELED, D("0.004"), D("0.010")) == (report.state, report.filled, report.quantity)


def test_a_status_of_the_future_counts_as_open() -> None:
    """The order is there; what it does is told."""
    report = _report(orderStatus="Pondering")
    assert (OrderState.ACKED, "status Pondering is not documented") == (report.state, report.reason)


def test_keys_may_begin_with_a_capital() -> None:
    """One listing spells them so."""
    raw = json.dumps({"list": [capital(order_row())], "nextPageCursor": "a%3Db"}).encode()
    (row,), cursor = shapes.page(raw, shapes.OrderRow)
    assert (_report(), "a%3Db") == (codec.order_report(row), cursor)


def test_a_report_carries_what_the_row_says() -> None:
    """Unset prices are none, whatever their spelling."""
    expected = OrderReport(
        client_order_id="teabcd000001e00001",
        venue_order_id="c6f055d9-0000-4079-913d-e6523a9cfffa",
        symbol="BTCUSDT",
        state=OrderState.ACKED,
        filled=D(0),
        ts_ms=1_767_225_600_101,
        side=TradeSide.BUY,
        type=OrderType.LIMIT,
        quantity=D("0.010"),
        price=D("60000.50"),
    )
    assert expected == _report()


TYPES = [
    ({"orderType": "Market", "price": "0"}, OrderType.MARKET),
    ({"orderType": "Market", "triggerPrice": ""}, OrderType.MARKET),
    ({}, OrderType.LIMIT),
    ({"triggerPrice": "58500", "triggerDirection": 2, "side": "Sell"}, OrderType.STOP_MARKET),
    ({"triggerPrice": "58500", "triggerDirection": "2", "side": "Buy"}, OrderType.TAKE_PROFIT_MARKET),
    ({"triggerPrice": "61500", "triggerDirection": 1, "side": "Buy"}, OrderType.STOP_MARKET),
    ({"triggerPrice": "61500", "triggerDirection": 1, "side": "Sell"}, OrderType.TAKE_PROFIT_MARKET),
    ({"triggerPrice": "1", "stopOrderType": "TakeProfit"}, OrderType.TAKE_PROFIT_MARKET),
    ({"triggerPrice": "1", "stopOrderType": "PartialTakeProfit"}, OrderType.TAKE_PROFIT_MARKET),
    ({"triggerPrice": "1", "stopOrderType": "StopLoss"}, OrderType.STOP_MARKET),
    ({"triggerPrice": "1", "stopOrderType": "TrailingStop"}, OrderType.STOP_MARKET),
    ({"triggerPrice": "9", "lastPriceOnCreated": "8", "side": "Sell"}, OrderType.TAKE_PROFIT_MARKET),
    ({"triggerPrice": "7", "lastPriceOnCreated": "8", "side": "Sell"}, OrderType.STOP_MARKET),
    ({"triggerPrice": "7"}, OrderType.STOP_MARKET),
]


@pytest.mark.parametrize(("changes", "kind"), TYPES)
def test_a_trigger_tells_a_stop_from_a_target(changes: dict[str, object], kind: OrderType) -> None:
    """By its name, its direction, or the price at its creation; a stop in doubt."""
    assert kind is _report(**changes).type


REASONS = [
    ({"orderStatus": "Cancelled", "cancelType": "CancelByUser"}, "CancelByUser"),
    ({"orderStatus": "Cancelled", "rejectReason": "EC_PostOnlyWillTakeLiquidity"}, "EC_PostOnlyWillTakeLiquidity"),
    ({"orderStatus": "Cancelled"}, ""),
    ({"orderStatus": "Filled", "rejectReason": "EC_OrigClOrdIDDoesNotExist"}, ""),
    ({"orderStatus": "New", "cancelType": "UNKNOWN"}, ""),
]


@pytest.mark.parametrize(("changes", "reason"), REASONS)
def test_an_end_has_its_reason(changes: dict[str, object], reason: str) -> None:
    """What refused it, or who cancelled it."""
    assert reason == _report(**changes).reason


@pytest.mark.parametrize("changes", [{"cumExecQty": "0.001"}, {"updatedTime": "1767225609000"}])
def test_a_refusal_of_an_order_that_has_lived_is_its_end(changes: dict[str, object]) -> None:
    """It was filled in part, or stood for seconds."""
    assert OrderState.CANCELED is _report(orderStatus="Rejected", **changes).state


NUMBERS = [("1.50", D("1.50")), ("", None), (None, None), (3, D(3)), (0.1, D("0.1")), ("1E-7", D("1E-7"))]


@pytest.mark.parametrize(("value", "expected"), NUMBERS)
def test_numbers_are_exact_and_nothing_is_no_number(value: shapes.Number, expected: Decimal | None) -> None:
    """Empty text is not zero."""
    assert expected == shapes.number(value)


@pytest.mark.parametrize("value", ["x", "NaN", "Infinity", "UNKNOWN"])
def test_what_is_no_number_cannot_be_read(value: str) -> None:
    """It is not passed over."""
    with pytest.raises(shapes.Unreadable):
        shapes.number(value)


@pytest.mark.parametrize(
    ("value", "expected"), [("1767225700031", 1_767_225_700_031), ("1767225700031423699", 1_767_225_700_031), ("", 0)]
)
def test_times_in_nanoseconds_become_milliseconds(value: str, expected: int) -> None:
    """Some are, although documented otherwise."""
    assert expected == shapes.instant_ms(value)
