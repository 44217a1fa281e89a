"""What an order must look like before the exchange is asked: the symbol's filters and the rules of the parameters.

What belongs here: reading an order's parameters in the venue's order of refusals. What does not: margin, triggers,
positions (the exchange), what the answer looks like (shapes).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from trading_engine.domain import money
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.money import ZERO
from trading_engine.venue_servers.binance.errors import ApiError
from trading_engine.venue_servers.binance.params import Params
from trading_engine.venue_servers.binance.shapes import decimals
from trading_engine.venue_servers.exchange import LocalExchange
from trading_engine.venues.embedded.account import Kind

OPEN_ORDERS = 200  # of a symbol
OPEN_ALGO_ORDERS = 200  # of the account
PRICE_UP = Decimal("1.15")
PRICE_DOWN = Decimal("0.85")
_HIGHEST_TICKS = 10_000_000
_LATEST_MS = 253_402_300_799_000
_SOONEST_MS = 600_000
_CLIENT_ID = re.compile(r"[\.A-Z\:/a-z0-9_-]{1,36}")
_TIMES_IN_FORCE = ("GTC", "IOC", "FOK", "GTX", "GTD")
_ALGO_TIMES = ("GTC", "GTE_GTC")
_WORKING_TYPES = ("CONTRACT_PRICE", "MARK_PRICE")
_ALGO_KINDS: Mapping[str, Kind] = {"STOP_MARKET": Kind.STOP, "TAKE_PROFIT_MARKET": Kind.TARGET}
_UNMATCHED = ("STOP", "TAKE_PROFIT", "TRAILING_STOP_MARKET")


@dataclass(frozen=True, slots=True)
class Wanted:
    """An order as it was asked for, read and within the filters."""

    symbol: str
    kind: Kind
    sign: int
    quantity: Decimal
    price: Decimal | None
    time_in_force: str
    client_order_id: str
    is_reduce_only: bool
    working_type: str = "CONTRACT_PRICE"
    is_price_protected: bool = False
    good_till_ms: int = 0


def highest_price(instrument: Instrument) -> Decimal:
    """Where PRICE_FILTER ends."""
    return instrument.ticks_to_price(_HIGHEST_TICKS)


def price_precision(instrument: Instrument) -> int:
    """`pricePrecision`: at this venue finer than the tick."""
    return decimals(instrument.tick) + 1


def require_symbol(exchange: LocalExchange, params: Params) -> Instrument:
    """The instrument of `symbol`; -1121 for none."""
    instrument = exchange.instruments.get(params.need("symbol"))
    if instrument is None:
        raise ApiError(-1121)
    return instrument


def read_order(exchange: LocalExchange, params: Params) -> Wanted:
    """A plain order; ApiError with the venue's code for what is wrong first."""
    instrument = require_symbol(exchange, params)
    sign, is_reduce_only = _side(exchange, params)
    kind_name = params.need("type")
    if kind_name in _ALGO_KINDS or kind_name in _UNMATCHED:
        raise ApiError(-4120)
    if kind_name not in ("LIMIT", "MARKET"):
        raise ApiError(-1116)
    kind = Kind(kind_name.lower())
    client_order_id = _client_id(params, "newClientOrderId")
    time_in_force = _time_in_force(params, kind)
    quantity = _quantity(instrument, params)
    price = _limit_price(exchange, instrument, params, sign) if kind is Kind.LIMIT else None
    if kind is Kind.MARKET and params.has("price"):
        raise ApiError(-1106, "price")
    _require_notional(exchange, instrument, quantity, price, is_reduce_only=is_reduce_only)
    good_till_ms = _good_till(params, exchange.now_ms()) if time_in_force == "GTD" else 0
    return Wanted(
        symbol=instrument.symbol,
        kind=kind,
        sign=sign,
        quantity=quantity,
        price=price,
        time_in_force=time_in_force,
        client_order_id=client_order_id,
        is_reduce_only=is_reduce_only,
        good_till_ms=good_till_ms,
    )


def read_algo_order(exchange: LocalExchange, params: Params) -> Wanted:
    """A conditional order; ApiError with the venue's code for what is wrong first."""
    if params.need("algoType") != "CONDITIONAL":
        raise ApiError(-1130, "algoType")
    instrument = require_symbol(exchange, params)
    sign, is_reduce_only = _side(exchange, params)
    kind_name = params.need("type")
    if kind_name in _UNMATCHED:
        raise ApiError(-1020)
    if kind_name not in _ALGO_KINDS:
        raise ApiError(-1116)
    client_order_id = _client_id(params, "clientAlgoId")
    closes = params.flag("closePosition")
    if closes and exchange.is_hedge and not is_reduce_only:
        raise ApiError(-1130, "closePosition")
    if closes and params.has("quantity"):
        raise ApiError(-4137)
    if closes and params.flag("reduceOnly"):
        raise ApiError(-4138)
    time_in_force = _one_of(params, "timeInForce", _ALGO_TIMES)
    quantity = instrument.max_quantity if closes else _quantity(instrument, params)
    trigger = _price(instrument, params, "triggerPrice")
    _require_notional(exchange, instrument, quantity, trigger, is_reduce_only=is_reduce_only or closes)
    return Wanted(
        symbol=instrument.symbol,
        kind=_ALGO_KINDS[kind_name],
        sign=sign,
        quantity=quantity,
        price=trigger,
        time_in_force="GTE_GTC" if closes else time_in_force,
        client_order_id=client_order_id,
        is_reduce_only=is_reduce_only or closes,
        working_type=_one_of(params, "workingType", _WORKING_TYPES),
        is_price_protected=params.flag("priceProtect"),
    )


def _side(exchange: LocalExchange, params: Params) -> tuple[int, bool]:
    """The sign of an order, and whether it only reduces: one-way mode has a flag for that, hedge mode two sides."""
    side = params.need("side")
    if side not in ("BUY", "SELL"):
        raise ApiError(-1117)
    leg = params.text("positionSide", "BOTH")
    if leg not in (("LONG", "SHORT") if exchange.is_hedge else ("BOTH",)):
        raise ApiError(-4061)
    if exchange.is_hedge and params.has("reduceOnly"):
        raise ApiError(-1106, "reduceOnly")
    sign = 1 if side == "BUY" else -1
    return sign, (leg == "SHORT") == (sign > 0) if exchange.is_hedge else params.flag("reduceOnly")


def _client_id(params: Params, name: str) -> str:
    """What the client calls it, empty where it does not; -4015 for what the venue cannot take."""
    client_id = params.text(name)
    if client_id and not _CLIENT_ID.fullmatch(client_id):
        raise ApiError(-4015)
    return client_id


def _one_of(params: Params, name: str, values: tuple[str, ...]) -> str:
    """One of the values, the first where none was sent; -1130 for any other."""
    value = params.text(name, values[0])
    if value not in values:
        raise ApiError(-1130, name)
    return value


def _time_in_force(params: Params, kind: Kind) -> str:
    if kind is Kind.MARKET:
        if params.has("timeInForce"):
            raise ApiError(-1106, "timeInForce")
        return "GTC"
    value = params.need("timeInForce")
    if value not in _TIMES_IN_FORCE:
        raise ApiError(-1115)
    return value


def _good_till(params: Params, now_ms: int) -> int:
    params.need("goodTillDate")
    at_ms = params.integer("goodTillDate")
    if not now_ms + _SOONEST_MS < at_ms < _LATEST_MS:
        raise ApiError(-5040)
    return at_ms // 1000 * 1000


def _quantity(instrument: Instrument, params: Params) -> Decimal:
    """LOT_SIZE and the number's precision."""
    quantity = params.decimal("quantity")
    if quantity <= 0:
        raise ApiError(-4003)
    if decimals(quantity) > decimals(instrument.step):
        raise ApiError(-1111)
    if quantity < instrument.min_quantity:
        raise ApiError(-4004)
    if quantity > instrument.max_quantity:
        raise ApiError(-4005)
    if (quantity - instrument.min_quantity) % instrument.step:
        raise ApiError(-4023)
    return quantity


def _price(instrument: Instrument, params: Params, name: str) -> Decimal:
    """PRICE_FILTER and the number's precision."""
    price = params.decimal(name)
    if price <= 0:
        raise ApiError(-4001)
    if decimals(price) > price_precision(instrument):
        raise ApiError(-1111)
    if price < instrument.tick:
        raise ApiError(-4013)
    if price > highest_price(instrument):
        raise ApiError(-4002)
    if price % instrument.tick:
        raise ApiError(-4014)
    return price


def _limit_price(exchange: LocalExchange, instrument: Instrument, params: Params, sign: int) -> Decimal:
    """PRICE_FILTER and PERCENT_PRICE: far on the wrong side of the market is refused, far on the other is not."""
    if params.has("priceMatch") and params.text("priceMatch") != "NONE":
        raise ApiError(-1020)
    price = _price(instrument, params, "price")
    mark = exchange.last_price(instrument.symbol)
    if mark and sign > 0 and price > mark * PRICE_UP:
        raise ApiError(-4016, money.text(mark * PRICE_UP))
    if mark and sign < 0 and price < mark * PRICE_DOWN:
        raise ApiError(-4024, money.text(mark * PRICE_DOWN))
    return price


def _require_notional(
    exchange: LocalExchange, instrument: Instrument, quantity: Decimal, price: Decimal | None, *, is_reduce_only: bool
) -> None:
    value = quantity * (exchange.last_price(instrument.symbol) if price is None else price)
    if not is_reduce_only and ZERO < value < instrument.min_notional:
        raise ApiError(-4164, money.text(instrument.min_notional))
