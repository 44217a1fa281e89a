"""What the venue's JSON looks like: orders, executions, account rows and the events of the user stream.

What belongs here: names, types and number formats of the venue. What does not: which rows are asked for (orders,
account, market), who is told (streams). Numbers are strings, in answers with more zeros than in events, as there.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from trading_engine.domain import money
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.money import ZERO
from trading_engine.venue_servers.binance.desk import ALGO_IDS, ORDER_IDS, Desk, Execution, is_conditional
from trading_engine.venue_servers.exchange import LocalExchange
from trading_engine.venues.embedded.account import ExchangeOrder, ExchangePosition, Kind, Status
from trading_engine.venues.embedded.matching import IncomeRow

Json = dict[str, Any]

_TYPES: Mapping[Kind, str] = {
    Kind.MARKET: "MARKET",
    Kind.LIMIT: "LIMIT",
    Kind.STOP: "STOP_MARKET",
    Kind.TARGET: "TAKE_PROFIT_MARKET",
}


def decimals(unit: Decimal) -> int:
    """Digits behind the point that a tick or a step needs."""
    exponent = unit.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def fixed(value: Decimal, places: int = 8) -> str:
    """A number with so many digits behind the point."""
    return f"{value:.{places}f}"


def padded_price(instrument: Instrument, price: Decimal) -> str:
    """A price as answers have it, with more zeros than the tick asks for."""
    return fixed(price, decimals(instrument.tick) + 2)


def side(sign: int) -> str:
    """BUY or SELL."""
    return "BUY" if sign > 0 else "SELL"


def order_type(kind: Kind) -> str:
    """The venue's word for a kind."""
    return _TYPES[kind]


# ── orders in answers ───────────────────────────────────────────────────────


def _limit_price(desk: Desk, order: ExchangeOrder) -> Decimal:
    return desk.instrument(order).ticks_to_price(order.price) if order.kind is Kind.LIMIT else ZERO


def _plain_base(desk: Desk, order: ExchangeOrder) -> Json:
    """What all answers about a plain order have in common."""
    kind = "LIMIT" if order.kind is Kind.LIMIT else "MARKET"
    wish, instrument = desk.wish_of(order), desk.instrument(order)
    return {
        "orderId": ORDER_IDS + order.number,
        "symbol": order.symbol,
        "status": desk.status(order),
        "clientOrderId": order.client_order_id,
        "price": padded_price(instrument, _limit_price(desk, order)),
        "origQty": money.text(desk.quantity(order)),
        "executedQty": money.text(desk.filled(order)),
        "timeInForce": "GTC" if is_conditional(order) else wish.time_in_force,
        "type": kind,
        "reduceOnly": order.reduce_only and not desk.exchange.is_hedge,
        "closePosition": False,
        "side": side(order.sign),
        "positionSide": desk.exchange.leg_of(order),
        "stopPrice": padded_price(instrument, ZERO),
        "workingType": wish.working_type,
        "priceProtect": False,
        "origType": kind,
        "priceMatch": "NONE",
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "goodTillDate": wish.good_till_ms,
        "updateTime": max(order.updated_ms, order.created_ms),
    }


def placed_order(desk: Desk, order: ExchangeOrder, *, is_acknowledged_only: bool = False) -> Json:
    """The answer to placing and cancelling: no mean price, no time; an ACK tells nothing of what followed."""
    row = _plain_base(desk, order)
    row["cumQty"] = row["executedQty"]
    if is_acknowledged_only:
        row |= {"status": "NEW", "executedQty": "0", "cumQty": "0", "updateTime": order.created_ms}
    return row


def queried_order(desk: Desk, order: ExchangeOrder) -> Json:
    """The answer to a query."""
    instrument = desk.instrument(order)
    return _plain_base(desk, order) | {
        "avgPrice": fixed(desk.average_price(order), decimals(instrument.tick) + 3),
        "cumQuote": fixed(desk.filled_value(order), 7),
        "time": desk.trigger_ms(order) or order.created_ms,
    }


def listed_order(desk: Desk, order: ExchangeOrder) -> Json:
    """A row of a list."""
    return queried_order(desk, order) | {"cumBase": "0", "pair": order.symbol}


def placed_algo(desk: Desk, order: ExchangeOrder) -> Json:
    """The answer to placing a conditional order."""
    wish, instrument = desk.wish_of(order), desk.instrument(order)
    closes = desk.closes_position(order)
    quantity = ZERO if closes else instrument.steps_to_quantity(order.steps)
    return {
        "algoId": ALGO_IDS + order.number,
        "clientAlgoId": order.client_order_id,
        "algoType": "CONDITIONAL",
        "orderType": order_type(order.kind),
        "symbol": order.symbol,
        "side": side(order.sign),
        "positionSide": desk.exchange.leg_of(order),
        "timeInForce": wish.time_in_force,
        "quantity": money.text(quantity),
        "algoStatus": desk.algo_status(order),
        "triggerPrice": padded_price(instrument, instrument.ticks_to_price(order.price)),
        "price": padded_price(instrument, ZERO),
        "icebergQuantity": None,
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "workingType": wish.working_type,
        "priceMatch": "NONE",
        "closePosition": closes,
        "priceProtect": wish.is_price_protected,
        "reduceOnly": order.reduce_only and not desk.exchange.is_hedge,
        "createTime": order.created_ms,
        "updateTime": max(order.updated_ms, order.created_ms),
        "triggerTime": desk.trigger_ms(order),
        "goodTillDate": 0,
    }


def open_algo(desk: Desk, order: ExchangeOrder) -> Json:
    """A row of the open conditional orders."""
    return placed_algo(desk, order) | {"actualOrderId": "", "actualQty": "0.0", "isActivated": False}


def listed_algo(desk: Desk, order: ExchangeOrder) -> Json:
    """A row of all conditional orders."""
    row = placed_algo(desk, order)
    has_child = desk.is_plain(order)
    row |= {
        "actualOrderId": str(ORDER_IDS + order.number) if has_child else "",
        "actualPrice": fixed(desk.average_price(order), decimals(desk.instrument(order).tick) + 3),
        "tpOrderType": "",
        "isActivated": False,
    }
    if has_child:
        row |= {"actualQty": money.text(desk.filled(order)), "actualType": "MARKET"}
    return row


def user_trade(desk: Desk, execution: Execution) -> Json:
    """A row of `userTrades`."""
    row = execution.row
    instrument = desk.exchange.instruments[row.symbol]
    fee, fee_asset = desk.commission(row)
    return {
        "symbol": row.symbol,
        "id": execution.trade_id,
        "orderId": execution.order_id,
        "pair": row.symbol,
        "side": side(row.sign),
        "price": padded_price(instrument, instrument.ticks_to_price(row.price)),
        "qty": money.text(instrument.steps_to_quantity(row.steps)),
        "realizedPnl": fixed(money.from_e8(row.gross_e8)),
        "quoteQty": fixed(desk.value(row), 7),
        "commission": fixed(fee),
        "commissionAsset": fee_asset,
        "time": execution.ts_ms,
        "buyer": row.sign > 0,
        "maker": row.is_maker,
        "positionSide": desk.exchange.leg_of_trade(row),
        "baseQty": "0",
        "marginAsset": desk.exchange.asset,
    }


# ── positions ───────────────────────────────────────────────────────────────


def amount(exchange: LocalExchange, position: ExchangePosition) -> Decimal:
    """Signed quantity."""
    return exchange.instruments[position.symbol].steps_to_quantity(position.steps) * position.sign


def entry_price(exchange: LocalExchange, position: ExchangePosition) -> Decimal:
    """Mean entry, 0 for a flat position."""
    if not position.sign:
        return ZERO
    return money.ratio(money.from_e8(position.cost_e8), abs(amount(exchange, position)))


def break_even_price(exchange: LocalExchange, position: ExchangePosition) -> Decimal:
    """Where the position can be closed without loss, the fees of both ways paid."""
    fee = money.from_e8(exchange.terms.taker_fee_e8)
    return money.round_money(entry_price(exchange, position) * (1 + 2 * fee * position.sign))


def unrealized(exchange: LocalExchange, position: ExchangePosition) -> Decimal:
    """Open PnL, 0 for a flat position."""
    return exchange.unrealized(position) if position.sign else ZERO


# ── events of the user stream ───────────────────────────────────────────────


def order_event(desk: Desk, order: ExchangeOrder, execution_type: str, execution: Execution | None = None) -> Json:
    """`ORDER_TRADE_UPDATE`, of an order's state or of one execution."""
    row = None if execution is None else execution.row
    fee, fee_asset = (ZERO, desk.exchange.asset) if row is None else desk.commission(row)
    instrument = desk.instrument(order)
    status = desk.status(order)
    if row is not None and status not in ("FILLED", "PARTIALLY_FILLED"):
        status = "PARTIALLY_FILLED"  # what ends the rest of it is told by an event of its own
    kind = "LIMIT" if order.kind is Kind.LIMIT else "MARKET"
    wish = desk.wish_of(order)
    return {
        "s": order.symbol,
        "c": order.client_order_id,
        "S": side(order.sign),
        "o": kind,
        "f": "GTC" if is_conditional(order) else wish.time_in_force,
        "q": money.text(desk.quantity(order)),
        "p": money.text(_limit_price(desk, order)),
        "ap": money.text(desk.average_price(order).quantize(money.MONEY_QUANTUM)),
        "sp": "0",
        "x": execution_type,
        "X": "NEW" if execution_type == "NEW" else status,
        "i": ORDER_IDS + order.number,
        "l": money.text(instrument.steps_to_quantity(row.steps if row else 0)),
        "z": money.text(desk.filled(order)),
        "L": money.text(instrument.ticks_to_price(row.price if row else 0)),
        "n": money.text(fee),
        "N": fee_asset,
        "T": execution.ts_ms if execution else max(order.updated_ms, order.created_ms),
        "t": execution.trade_id if execution else 0,
        "b": "0",
        "a": "0",
        "m": bool(row and row.is_maker),
        "R": order.reduce_only and not desk.exchange.is_hedge,
        "wt": wish.working_type,
        "ot": kind,
        "ps": desk.exchange.leg_of(order),
        "cp": False,
        "rp": money.text(money.from_e8(row.gross_e8 if row else 0)),
        "pP": False,
        "si": 0,
        "ss": 0,
        "V": "EXPIRE_MAKER",
        "pm": "NONE",
        "gtd": wish.good_till_ms,
        "er": _expiry(order) if execution_type == "EXPIRED" else "0",
    }


def born_event(desk: Desk, order: ExchangeOrder) -> Json:
    """`ORDER_TRADE_UPDATE` of the plain order that a trigger makes, told when its first execution may be known."""
    return order_event(desk, order, "NEW") | {"ap": "0", "z": "0", "T": desk.trigger_ms(order)}


def _expiry(order: ExchangeOrder) -> str:
    """Why the venue ended it: 9 no more to trade against, 2 an IOC's rest, 4 it would reverse, 5 liquidation."""
    if "liquidated" in order.reason:
        return "5"
    if order.reduce_only and order.reason.startswith(("position", "nothing")):
        return "4"
    return "2" if order.kind is Kind.LIMIT else "9"


def liquidation_event(desk: Desk, execution: Execution) -> Json:
    """`ORDER_TRADE_UPDATE` of an order that the venue itself made to take a position over."""
    row = execution.row
    stand_in = ExchangeOrder(
        execution.client_order_id,
        execution.order_id - ORDER_IDS,
        row.symbol,
        Kind.LIMIT,
        row.sign,
        row.steps,
        row.price,
        reduce_only=True,
        created_ms=execution.ts_ms,
        updated_ms=execution.ts_ms,
        status=Status.FILLED,
        filled=row.steps,
    )
    price = money.text(desk.instrument(stand_in).ticks_to_price(row.price))
    return order_event(desk, stand_in, "CALCULATED", execution) | {"f": "IOC", "ap": price}


def lite_event(desk: Desk, execution: Execution) -> Json:
    """`TRADE_LITE`, without its head."""
    row = execution.row
    instrument = desk.exchange.instruments[row.symbol]
    order = desk.exchange.order(number=row.order_number) if row.order_number else None
    steps = desk.steps(order) if order else row.steps
    return {
        "s": row.symbol,
        "q": money.text(instrument.steps_to_quantity(steps)),
        "p": padded_price(instrument, _limit_price(desk, order) if order else ZERO),
        "m": row.is_maker,
        "c": execution.client_order_id,
        "S": side(row.sign),
        "L": padded_price(instrument, instrument.ticks_to_price(row.price)),
        "l": money.text(instrument.steps_to_quantity(row.steps)),
        "t": execution.trade_id,
        "i": execution.order_id,
    }


def algo_event(desk: Desk, order: ExchangeOrder, status: str) -> Json:
    """`ALGO_UPDATE`; what became of the plain order is told once there is one."""
    wish, instrument = desk.wish_of(order), desk.instrument(order)
    closes = desk.closes_position(order)
    row = {
        "caid": order.client_order_id,
        "aid": ALGO_IDS + order.number,
        "at": "CONDITIONAL",
        "o": order_type(order.kind),
        "s": order.symbol,
        "S": side(order.sign),
        "ps": desk.exchange.leg_of(order),
        "f": wish.time_in_force,
        "q": money.text(ZERO if closes else instrument.steps_to_quantity(order.steps)),
        "X": status,
        "ai": str(ORDER_IDS + order.number) if status in ("TRIGGERED", "FINISHED") else "",
        "tp": money.text(instrument.ticks_to_price(order.price)),
        "p": "0",
        "V": "EXPIRE_MAKER",
        "wt": wish.working_type,
        "pm": "NONE",
        "cp": closes,
        "pP": wish.is_price_protected,
        "R": order.reduce_only and not desk.exchange.is_hedge,
        "tt": 0 if status == "NEW" else desk.trigger_ms(order),
        "gtd": 0,
        "ia": False,
    }
    if status == "FINISHED":
        price = desk.average_price(order).quantize(money.MONEY_QUANTUM)
        row |= {"ap": money.text(price), "aq": money.text(desk.filled(order)), "act": "MARKET"}
    failure = desk.algo_failure(order)
    return row | {"rm": failure} if failure else row


def position_event(desk: Desk, position: ExchangePosition) -> Json:
    """A position in `ACCOUNT_UPDATE`."""
    exchange = desk.exchange
    return {
        "s": position.symbol,
        "pa": money.text(amount(exchange, position)),
        "ep": money.text(entry_price(exchange, position)),
        "cr": money.text(money.from_e8(desk.realized_e8(position.symbol))),
        "up": money.text(unrealized(exchange, position)),
        "mt": "isolated",
        "iw": money.text(money.from_e8(position.margin_e8)),
        "ps": exchange.leg(position.sign),
        "ma": exchange.asset,
        "bep": money.text(break_even_price(exchange, position)),
    }


def cross_wallet(exchange: LocalExchange) -> Decimal:
    """The part of the wallet that is not in an isolated position."""
    return exchange.wallet - sum((money.from_e8(held.margin_e8) for held in exchange.positions()), ZERO)


def account_event(desk: Desk, reason: str, position: ExchangePosition | None, income: IncomeRow | None = None) -> Json:
    """What `ACCOUNT_UPDATE` has under `a`."""
    exchange = desk.exchange
    balance = {
        "a": exchange.asset,
        "wb": money.text(exchange.wallet),
        "cw": money.text(cross_wallet(exchange)),
        "bc": money.text(money.from_e8(income.amount_e8)) if income else "0",
    }
    row: Json = {"B": [balance], "P": [] if position is None else [position_event(desk, position)], "m": reason}
    if reason == "FUNDING_FEE" and position is not None:
        row["S"] = position.symbol
    return row
