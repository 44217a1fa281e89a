"""An order request as the call that places it, checked before a byte leaves.

What belongs here: parameters and the venue's grid. What does not: sending and verdicts (rest, venue).

Market and limit orders are placed plainly; stops and targets live in a space of their own ("algo"), under the same
client id. In hedge mode the position side says what an order does and `reduceOnly` may not be sent.
"""

import re
from dataclasses import dataclass
from decimal import Decimal

from trading_engine.domain import money
from trading_engine.domain.market import Side
from trading_engine.domain.order_type import OrderType, TimeInForce
from trading_engine.domain.orders import OrderRequest
from trading_engine.domain.reports import Rejected
from trading_engine.ports import PositionMode
from trading_engine.venues.binance import limits
from trading_engine.venues.binance.codec import Listing
from trading_engine.venues.wire.settings import AccountSettings

Params = tuple[tuple[str, str], ...]

CONDITIONAL = frozenset({OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET})
_CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
_TIMES_IN_FORCE = {TimeInForce.GTC: "GTC", TimeInForce.IOC: "IOC", TimeInForce.POST_ONLY: "GTX"}
_WORKING_TYPES = {"last": "CONTRACT_PRICE", "mark": "MARK_PRICE"}


@dataclass(frozen=True, slots=True)
class Placement:
    """The call that places an order."""

    endpoint: limits.Endpoint
    params: Params


def placement(request: OrderRequest, settings: AccountSettings, listing: Listing) -> Placement | Rejected:
    """The call, or the refusal that the venue would give with a cost."""
    if _CLIENT_ID.fullmatch(request.client_order_id) is None:
        return Rejected("client_order_id", f"{request.client_order_id!r} is not 1 to 36 of A-Z a-z 0-9 . : / _ -")
    try:
        _check(request, listing)
    except ValueError as error:
        return Rejected("precision", f"{request.symbol}: {error}")
    params = _conditional(request, settings) if request.type in CONDITIONAL else _plain(request, settings)
    endpoint = limits.PLACE_ALGO if request.type in CONDITIONAL else limits.PLACE_ORDER
    return Placement(endpoint, params)


def _plain(request: OrderRequest, settings: AccountSettings) -> Params:
    is_limit = request.type is OrderType.LIMIT
    params = [("symbol", request.symbol), ("side", request.side.upper())]
    params += _position_side(request, settings)
    params.append(("type", "LIMIT" if is_limit else "MARKET"))
    if is_limit:
        params.append(("timeInForce", _TIMES_IN_FORCE[request.time_in_force]))
    params.append(("quantity", money.text(request.quantity)))
    if is_limit and request.price is not None:
        params.append(("price", money.text(request.price)))
    params += _reduce_only(request, settings)
    # RESULT tells the end of an order that does not rest, instead of NEW for everything.
    params += [("newClientOrderId", request.client_order_id), ("newOrderRespType", "RESULT")]
    return tuple(params)


def _conditional(request: OrderRequest, settings: AccountSettings) -> Params:
    params = [("algoType", "CONDITIONAL"), ("symbol", request.symbol), ("side", request.side.upper())]
    params += _position_side(request, settings)
    params += [
        ("type", request.type.upper()),
        ("quantity", money.text(request.quantity)),
        ("triggerPrice", money.text(request.trigger_price or money.ZERO)),
    ]
    params += _reduce_only(request, settings)
    params += [
        ("workingType", _WORKING_TYPES[settings.trigger_by]),
        ("clientAlgoId", request.client_order_id),
    ]
    return tuple(params)


def _position_side(request: OrderRequest, settings: AccountSettings) -> list[tuple[str, str]]:
    if settings.position_mode is PositionMode.ONE_WAY:
        return []
    return [("positionSide", "LONG" if request.position_side is Side.LONG else "SHORT")]


def _reduce_only(request: OrderRequest, settings: AccountSettings) -> list[tuple[str, str]]:
    is_sent = request.reduce_only and settings.position_mode is PositionMode.ONE_WAY
    return [("reduceOnly", "true")] if is_sent else []


def _check(request: OrderRequest, listing: Listing) -> None:
    """ValueError where quantity or price leave the venue's grid, or the order is too small to open."""
    instrument = listing.instrument
    money.exact_units(request.quantity, instrument.step)
    least, most = instrument.min_quantity, instrument.max_quantity
    if request.type is not OrderType.LIMIT:
        money.exact_units(request.quantity, listing.market_step)
        least, most = listing.market_min, listing.market_max
    if not least <= request.quantity <= most or request.quantity <= 0:
        raise ValueError(f"quantity {money.text(request.quantity)} is not within {least} and {most}")
    price = _price(request)
    if price is None:
        return
    money.exact_units(price, instrument.tick)
    value = money.multiply(price, request.quantity)
    if value < instrument.min_notional and not request.reduce_only:
        raise ValueError(f"value {money.text(value)} is below the least of {instrument.min_notional}")


def _price(request: OrderRequest) -> Decimal | None:
    """The price an order names; a market order's value is the venue's to judge, at its mark price."""
    if request.type is OrderType.MARKET:
        return None
    price = request.price if request.type is OrderType.LIMIT else request.trigger_price
    if price is None or price <= 0:
        raise ValueError(f"a {request.type} order needs a positive price")
    return price
