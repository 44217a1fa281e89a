"""Payloads in the venue's shapes, decoded."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from unit.venues.bingx.bingx_server import NOW_MS, fill_row, order_row, position_row

from trading_engine.domain.errors import VenueUnavailable
from trading_engine.domain.fills import PnlKind
from trading_engine.domain.market import Side
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import OrderState, TradeSide
from trading_engine.venues.bingx import codec, facts
from trading_engine.venues.wire.settings import Hosts


def _decoded(row: dict[str, Any], kind: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(row), type=kind)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("60000.1", "60000.1"),
        (0.0005, "0.0005"),
        (54321.98, "54321.98"),
        (20, "20"),
        ("-0.0360", "-0.0360"),
        ("", None),
        (None, None),
    ],
)
def test_a_number_is_read_exactly_in_every_spelling(value: str | float | None, expected: str | None) -> None:
    """Text, JSON number, and nothing."""
    found = codec.number(value)
    assert expected == (None if found is None else str(found))


@pytest.mark.parametrize("value", ["many", "NaN", "Infinity", "1,5"])
def test_what_is_no_number_is_a_failed_read(value: str) -> None:
    """Never zero."""
    with pytest.raises(VenueUnavailable, match="number"):
        codec.number(value)


@pytest.mark.parametrize(
    ("value", "expected"), [(True, True), ("true", True), ("TRUE", True), (False, False), ("false", False), ("", False)]
)
def test_a_flag_may_be_a_word(value: bool | str, expected: bool) -> None:
    """The word "false" is not true."""
    assert expected is codec.flag(value)


def test_an_order_keeps_all_of_its_19_digits() -> None:
    """As a number and as text; both spellings of the client id, in lower case."""
    row = _decoded(order_row(clientOrderId=None, clientOrderID="TEabc"), codec.OrderRow)
    assert ("1900000000000000123", "teabc", "") == (row.venue_id, row.client_id, row.parent_id)
    assert "1900000000000000123" == _decoded(order_row(orderId="1900000000000000123"), codec.OrderRow).venue_id


def test_a_resting_stop_is_reported_whole() -> None:
    """Empty numbers are zero; the price of a stop is its trigger."""
    stop = order_row(
        type="STOP_MARKET",
        side="SELL",
        status="NEW",
        executedQty="0.0",
        price="58000.500",
        stopPrice="58000.5",
        reduceOnly=True,
    )
    report = codec.report_of(_decoded(stop, codec.OrderRow), "tex", is_hedge=False, now_ms=1)
    assert ("tex", "1900000000000000123", "BTCUSDT") == (report.client_order_id, report.venue_order_id, report.symbol)
    assert (OrderState.ACKED, Decimal(0), NOW_MS + 123) == (report.state, report.filled, report.ts_ms)
    assert (TradeSide.SELL, OrderType.STOP_MARKET, True) == (report.side, report.type, report.reduce_only)
    assert (None, Decimal("58000.5")) == (report.price, report.trigger_price)


@pytest.mark.parametrize(
    ("side", "position_side", "is_hedge", "expected"),
    [
        ("SELL", "LONG", True, True),
        ("BUY", "SHORT", True, True),
        ("BUY", "LONG", True, False),
        ("SELL", "LONG", False, False),
        ("SELL", "BOTH", True, False),
    ],
)
def test_in_hedge_mode_the_sides_say_what_reduces(
    side: str, position_side: str, is_hedge: bool, expected: bool
) -> None:
    """The flag is not set there."""
    row = _decoded(order_row(side=side, positionSide=position_side), codec.OrderRow)
    assert expected is codec.report_of(row, "", is_hedge=is_hedge, now_ms=1).reduce_only


@pytest.mark.parametrize(
    ("status", "filled", "expected"),
    [
        ("NEW", "0", OrderState.ACKED),
        ("PENDING", "0", OrderState.ACKED),
        ("WORKING", "0", OrderState.ACKED),
        ("PENDING", "0.1", OrderState.PARTIAL),
        ("PARTIALLY_FILLED", "0.1", OrderState.PARTIAL),
        ("PARTIALLYFILLED", "0.1", OrderState.PARTIAL),
        ("FILLED", "1", OrderState.FILLED),
        ("CANCELLED", "0.1", OrderState.CANCELED),
        ("CANCELED", "0", OrderState.CANCELED),
        ("EXPIRED", "0.1", OrderState.EXPIRED),
        ("FAILED", "0", OrderState.EXPIRED),
        ("RUNNING", "0", OrderState.ACKED),
    ],
)
def test_every_status_has_its_state(status: str, filled: str, expected: OrderState) -> None:
    """Both spellings of the word with one or two Ls; an unknown one is open."""
    assert expected is codec.state_of(status, Decimal(filled), is_conditional=False)


@pytest.mark.parametrize("status", ["CANCELLED", "CANCELED"])
def test_a_cancelled_order_keeps_what_it_filled(status: str) -> None:
    """Partly filled and then cancelled, or what was left of an order that must not rest."""
    row = _decoded(order_row(status=status, origQty="0.0012", executedQty="0.0005"), codec.OrderRow)
    report = codec.report_of(row, "teabcd000001e00000", is_hedge=False, now_ms=1)
    expected = (OrderState.CANCELED, Decimal("0.0005"), Decimal("0.0012"))
    assert expected == (report.state, report.filled, report.quantity)


def test_an_execution_is_dated_by_the_field_with_the_offset() -> None:
    """The other one says midnight UTC and means eight hours earlier."""
    row = _decoded(fill_row(241512), codec.FillRow)
    assert ("1900000000000000123-241512", NOW_MS) == (row.key, row.ts_ms)
    exact = _decoded(fill_row(1, filledTime="2026-01-01T08:00:00.357+0800"), codec.FillRow)
    assert NOW_MS + 357 == exact.ts_ms


@pytest.mark.parametrize("told", ["2026-01-01T08:00:00.000", "yesterday", ""])
def test_an_execution_without_a_sure_time_is_a_failed_read(told: str) -> None:
    """Eight hours are not guessed."""
    with pytest.raises(VenueUnavailable, match="time"):
        assert _decoded(fill_row(1, filledTime=told), codec.FillRow).ts_ms


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("FUNDING_FEE", PnlKind.FUNDING),
        ("TRANSFER", PnlKind.TRANSFER),
        ("INSURANCE_CLEAR", PnlKind.LIQUIDATION),
        ("REALIZED_PNL", None),
        ("TRADING_FEE", None),
        ("ADL", PnlKind.ADJUSTMENT),
        ("TRIAL_FUND", PnlKind.ADJUSTMENT),
        ("SYSTEM_DEDUCTION", PnlKind.ADJUSTMENT),
        ("GTD_PRICE", PnlKind.ADJUSTMENT),
        ("SOMETHING_NEW", PnlKind.ADJUSTMENT),
    ],
)
def test_every_income_has_its_kind(kind: str, expected: PnlKind | None) -> None:
    """What executions tell is skipped; what is not known is an adjustment, not a result."""
    assert expected == codec.income_kind(kind)


@pytest.mark.parametrize(
    ("side", "told", "expected"),
    [
        ("LONG", "0.0120", (Side.LONG, "0.0120")),
        ("SHORT", "0.0120", (Side.SHORT, "0.0120")),
        ("SHORT", "-0.0120", (Side.SHORT, "0.0120")),
        ("BOTH", "0.0120", (Side.LONG, "0.0120")),
        ("BOTH", "-0.0120", (Side.SHORT, "0.0120")),
    ],
)
def test_a_position_has_its_side_however_it_is_told(side: str, told: str, expected: tuple[Side, str]) -> None:
    """By name, or by sign where the name is BOTH; the locked part counts."""
    position = codec.position_of(_decoded(position_row(positionSide=side, positionAmt=told), codec.PositionRow))
    assert position is not None
    assert expected == (position.side, str(position.quantity))
    assert ("BTCUSDT", Decimal("60000.1"), Decimal("60091.8"), Decimal("54321.98"), Decimal(10)) == (
        position.symbol,
        position.entry_price,
        position.mark_price,
        position.liquidation_price,
        position.leverage,
    )


def test_a_position_without_a_liquidation_price_has_none() -> None:
    """Zero means that there is none; a position of zero is none."""
    covered = codec.position_of(_decoded(position_row(liquidationPrice=0), codec.PositionRow))
    assert covered is not None
    assert covered.liquidation_price is None
    assert codec.position_of(_decoded(position_row(positionAmt="0.000"), codec.PositionRow)) is None


@pytest.mark.parametrize("changes", [{"positionSide": "LONG", "positionAmt": "-1"}, {"positionSide": ""}])
def test_a_position_that_contradicts_itself_is_a_failed_read(changes: dict[str, str]) -> None:
    """No side is guessed."""
    with pytest.raises(VenueUnavailable, match="position"):
        codec.position_of(_decoded(position_row(**changes), codec.PositionRow))


@pytest.mark.parametrize(
    ("ours", "theirs"), [("BTCUSDT", "BTC-USDT"), ("1000PEPEUSDT", "1000PEPE-USDT"), ("MØTHUSDC", "MØTH-USDC")]
)
def test_symbols_are_spelled_both_ways(ours: str, theirs: str) -> None:
    """A hyphen before the quote."""
    assert (theirs, ours) == (facts.venue_symbol_of(ours), facts.symbol_of(theirs))


def test_hosts_are_known_as_real_or_play_money() -> None:
    """With the fall-backs of both; anything else is not known."""
    assert (False, True) == (facts.is_demo(facts.LIVE), facts.is_demo(facts.DEMO))
    assert facts.is_demo(Hosts("https://open-api-vst.bingx.pro", "", "")) is True
    assert facts.is_demo(Hosts("http://127.0.0.1:80", "", "")) is None
