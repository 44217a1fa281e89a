"""A request of ours in BingX's words, what is refused before it is sent, and what an acknowledgement says.

What belongs here: pure translation of one order. What does not: sending it (venue), reading rows (codec).
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from trading_engine.domain import money
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.order_type import OrderType, TimeInForce
from trading_engine.domain.orders import OrderReport, OrderRequest, opening_side
from trading_engine.domain.reports import Rejected
from trading_engine.venues.bingx import codec, facts
from trading_engine.venues.bingx.codec import OrderRow

_TIMES = {TimeInForce.GTC: "GTC", TimeInForce.IOC: "IOC", TimeInForce.POST_ONLY: "PostOnly"}
_TRIGGERED = (OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET)
_LONGEST_ID = 40


def params_of(request: OrderRequest, trigger_by: str, *, is_hedge: bool) -> Mapping[str, str]:
    """The parameters of an order, without timestamp and signature.

    One-way: the position side is BOTH and reduceOnly is told. Hedge: reduceOnly is forbidden, the sides tell it.
    """
    params = {
        "symbol": facts.venue_symbol_of(request.symbol),
        "side": request.side.value.upper(),
        "positionSide": request.position_side.value.upper() if is_hedge else "BOTH",
        "type": request.type.value.upper(),
        "quantity": money.text(request.quantity),
        "clientOrderId": request.client_order_id,
    }
    if request.type is OrderType.LIMIT and request.price is not None:
        params |= {"price": money.text(request.price), "timeInForce": _TIMES[request.time_in_force]}
    if request.type in _TRIGGERED and request.trigger_price is not None:
        working = "MARK_PRICE" if trigger_by == "mark" else "CONTRACT_PRICE"
        params |= {"stopPrice": money.text(request.trigger_price), "workingType": working}
    if request.reduce_only and not is_hedge:
        params["reduceOnly"] = "true"
    return params


def refusal_of(request: OrderRequest, instrument: Instrument | None, *, is_hedge: bool) -> Rejected | None:
    """Why an order is not even sent, None where it may be.

    What only reduces may be smaller than the minimums: the rest of a position must stay closable.
    """
    if instrument is None:
        return Rejected("symbol", f"{request.symbol} is not among the instruments that were read")
    client_id = request.client_order_id
    if not (client_id.isascii() and client_id.isalnum() and client_id == client_id.lower()):
        return Rejected("client_order_id", f"{client_id!r} is not lower-case letters and digits")
    if len(client_id) > _LONGEST_ID:
        return Rejected("client_order_id", f"{client_id!r} is longer than {_LONGEST_ID} characters")
    if is_hedge and request.reduce_only and request.side is opening_side(request.position_side):
        return Rejected("reduce_only", f"{request.side} on the {request.position_side} side would open, not reduce")
    reason = _imprecision(request, instrument)
    return None if reason is None else Rejected("precision", reason)


def _imprecision(request: OrderRequest, instrument: Instrument) -> str | None:
    price = _price_of(request)
    if price is None and request.type is not OrderType.MARKET:
        return f"a {request.type} order needs a price"
    quantity = request.quantity
    if quantity <= 0 or (price is not None and price <= 0):
        return "quantity and price must be above zero"
    try:
        instrument.quantity_to_steps(quantity)
        if price is not None:
            instrument.price_to_ticks(price)
    except ValueError as error:
        return str(error)
    return _out_of_bounds(request, price, instrument)


def _out_of_bounds(request: OrderRequest, price: Decimal | None, instrument: Instrument) -> str | None:
    quantity = request.quantity
    if quantity > instrument.max_quantity:
        return f"quantity {money.text(quantity)} is above the largest, {money.text(instrument.max_quantity)}"
    if request.reduce_only:
        return None
    if quantity < instrument.min_quantity:
        return f"quantity {money.text(quantity)} is below the smallest, {money.text(instrument.min_quantity)}"
    if price is not None and money.multiply(price, quantity) < instrument.min_notional:
        value, least = money.text(money.multiply(price, quantity)), money.text(instrument.min_notional)
        return f"value {value} is below the smallest, {least}"
    return None


def _price_of(request: OrderRequest) -> Decimal | None:
    if request.type is OrderType.LIMIT:
        return request.price
    return request.trigger_price if request.type in _TRIGGERED else None


def acknowledged(request: OrderRequest, row: OrderRow, now_ms: int) -> OrderReport:
    """What an accepted order is: as it was asked for, with id, state and cumulative fill as answered."""
    is_conditional = request.type in _TRIGGERED
    executed = codec.amount(row.executed_qty)
    is_whole = row.status.upper() == "FILLED" and not is_conditional
    filled = request.quantity if is_whole and not executed else executed
    return OrderReport(
        client_order_id=request.client_order_id,
        venue_order_id=row.venue_id,
        symbol=request.symbol,
        state=codec.state_of(row.status, filled, is_conditional=is_conditional),
        filled=filled,
        ts_ms=now_ms,
        side=request.side,
        type=request.type,
        quantity=request.quantity,
        price=request.price if request.type is OrderType.LIMIT else None,
        trigger_price=request.trigger_price if is_conditional else None,
        reduce_only=request.reduce_only,
        reason=row.status.lower() if row.status.upper() in ("FAILED", "EXPIRED") else "",
    )


def with_fate(report: OrderReport, child: OrderReport) -> OrderReport:
    """A triggered order with state and fill of the order that it became."""
    return replace(
        report,
        state=child.state,
        filled=child.filled,
        ts_ms=max(report.ts_ms, child.ts_ms),
        reason=child.reason or report.reason,
    )
