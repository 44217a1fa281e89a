"""Orders and fills as JSON.

What belongs here: the shapes, with their oddities. What does not: which of them are asked for (trading), when they are
pushed (stream).
"""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

from trading_engine.domain import money
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.money import ZERO, text
from trading_engine.venue_servers.bingx.books import (
    Books,
    Shown,
    View,
    forced_id,
    price_digits,
    quantity_digits,
    trade_id,
)
from trading_engine.venues.embedded.account import Kind
from trading_engine.venues.embedded.matching import TradeRow

TYPES = {
    Kind.MARKET: "MARKET",
    Kind.LIMIT: "LIMIT",
    Kind.STOP: "STOP_MARKET",
    Kind.TARGET: "TAKE_PROFIT_MARKET",
}

_CHINA = timezone(timedelta(hours=8))
_NO_PROTECTION = {
    "type": "",
    "quantity": 0,
    "stopPrice": 0,
    "price": 0,
    "workingType": "",
    "stopGuaranteed": "false",
}


def side_word(sign: int) -> str:
    """BUY or SELL."""
    return "BUY" if sign > 0 else "SELL"


def leverage_text(leverage: Decimal) -> str:
    """10X."""
    return f"{text(leverage)}X"


class OrderShapes:
    """How orders and fills look on the wire."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def _instrument(self, view: View) -> Instrument:
        return self._books.exchange.instruments[view.order.symbol]

    def average(self, view: View) -> Decimal:
        """The average price of what was traded, rounded to the contract's digits; 0 for nothing."""
        instrument = self._instrument(view)
        if not view.filled:
            return ZERO
        value = self._books.value(self._books.fills(view.order))
        return round(value / instrument.steps_to_quantity(view.filled), price_digits(instrument))

    def placed(self, view: View) -> dict[str, object]:
        """The answer to a new order: numbers where the queries have texts."""
        order, instrument = view.order, self._instrument(view)
        price = float(instrument.ticks_to_price(order.price))
        is_market = order.kind is Kind.MARKET
        note = self._books.note(order)
        return {
            "symbol": self._books.wire(order.symbol),
            "orderId": view.order_id,
            "orderID": str(view.order_id),
            "side": side_word(order.sign),
            "positionSide": self._books.exchange.leg_of(order),
            "type": TYPES[order.kind],
            "clientOrderId": self._books.client_id(view),
            "workingType": note.working_type,
            "price": price if order.kind is Kind.LIMIT else 0,
            "quantity": float(instrument.steps_to_quantity(order.steps)),
            "stopPrice": price if view.is_waiting else 0,
            "timeInForce": note.time_in_force,
            "stopLoss": "",
            "takeProfit": "",
            "reduceOnly": order.reduce_only,
            "closePosition": "true" if note.closes_position else "",
            "status": self._books.shown(view) if is_market else Shown.NEW,
            "avgPrice": self._price(instrument, self.average(view)) if is_market else "",
            "executedQty": self._quantity(instrument, view.filled) if is_market else "",
        }

    def queried(self, view: View, *, is_listed: bool = False) -> dict[str, object]:
        """An order as queries show it; the list of open orders tells more of a conditional's flags than a query."""
        order, instrument = view.order, self._instrument(view)
        fills = self._books.fills(order) if view.filled else []
        hides = view.is_waiting and not is_listed
        note = self._books.note(order)
        price = instrument.ticks_to_price(order.price) or self.average(view)
        return {
            "symbol": self._books.wire(order.symbol),
            "orderId": view.order_id,
            "side": side_word(order.sign),
            "positionSide": self._books.exchange.leg_of(order),
            "type": TYPES[order.kind],
            "origQty": self._quantity(instrument, order.steps),
            "price": self._price(instrument, price),
            "executedQty": self._quantity(instrument, view.filled),
            "avgPrice": self._price(instrument, self.average(view)),
            "cumQuote": text(self._books.value(fills)),
            "stopPrice": self._price(instrument, instrument.ticks_to_price(order.price)) if _has_trigger(view) else "",
            "profit": text(money.from_e8(sum(row.gross_e8 for row in fills))) if fills else "",
            "commission": text(-money.from_e8(sum(row.fee_e8 for row in fills))) if fills else "",
            "status": self._books.shown(view),
            "time": self._books.placed_ms(view) // 1000 * 1000,
            "updateTime": order.updated_ms,
            "clientOrderId": self._books.client_id(view),
            "leverage": leverage_text(self._books.exchange.leverage(order.symbol)),
            "takeProfit": dict(_NO_PROTECTION),
            "stopLoss": dict(_NO_PROTECTION),
            "advanceAttr": 0,
            "positionID": self._books.episode(order.symbol).position_id if is_listed and view.is_waiting else 0,
            "takeProfitEntrustPrice": 0,
            "stopLossEntrustPrice": 0,
            "orderType": "",
            "workingType": note.working_type,
            "stopGuaranteed": "false",
            "triggerOrderId": view.origin_id,
            "reduceOnly": order.reduce_only and not hides,
            "closePosition": "" if hides else str(note.closes_position).lower(),
            "postOnly": note.time_in_force == "PostOnly",
            "onlyOnePosition": not self._books.exchange.is_hedge,
            "trailingStopRate": 0,
            "trailingStopDistance": 0,
        }

    def cancelled(self, view: View) -> dict[str, object]:
        """The answer to a cancel, which takes every conditional for a limit order."""
        shape = self.queried(view)
        shape["status"] = Shown.CANCELLED
        if view.is_waiting:
            shape |= {"type": "LIMIT", "stopPrice": ""}
        return shape

    # ── fills ───────────────────────────────────────────────────────────────

    def fill_of_order(self, row: TradeRow, *, in_coin: bool) -> dict[str, object]:
        """A row of allFillOrders, which has no trade id, and whole contracts unless coins are asked for."""
        instrument = self._books.exchange.instruments[row.symbol]
        quantity = instrument.steps_to_quantity(row.steps)
        price = instrument.ticks_to_price(row.price)
        view = self.view_of(row)
        return _filled_at(row.ts_ms) | {
            "volume": text(quantity if in_coin else Decimal(round(quantity))),
            "price": self._price(instrument, price),
            "amount": f"{price * quantity:.4f}",
            "commission": text(-money.from_e8(row.fee_e8)),
            "currency": self._books.exchange.asset,
            "orderId": _order_id_text(row, view),
            "triggerOrderId": str(view.origin_id if view else 0),
            "clientOrderID": self._books.client_id(view) if view else "",
            "symbol": self._books.wire(row.symbol),
            "side": side_word(row.sign),
            "positionSide": self._books.exchange.leg_of_trade(row),
            "type": TYPES[view.order.kind] if view else "LIQUIDATION",
            "onlyOnePosition": not self._books.exchange.is_hedge,
            "liquidatedPrice": "",
            "liquidatedMarginRatio": "",
        }

    def fill(self, row: TradeRow) -> dict[str, object]:
        """A row of fillHistory."""
        instrument = self._books.exchange.instruments[row.symbol]
        quantity = instrument.steps_to_quantity(row.steps)
        price = instrument.ticks_to_price(row.price)
        return {
            "tradeId": str(trade_id(row)),
            "orderId": _order_id_text(row, self.view_of(row)),
            "symbol": self._books.wire(row.symbol),
            "price": self._price(instrument, price),
            "volume": text(quantity),
            "qty": text(quantity),
            "quoteQty": text(price * quantity),
            "commission": text(-money.from_e8(row.fee_e8)),
            "commissionAsset": self._books.exchange.asset,
            "role": "maker" if row.is_maker else "taker",
            "side": side_word(row.sign).lower(),
            "positionSide": self._books.exchange.leg_of_trade(row).lower(),
        } | _filled_at(row.ts_ms)

    def forced(self, row: TradeRow) -> dict[str, object]:
        """A liquidation as an order."""
        instrument = self._books.exchange.instruments[row.symbol]
        price = self._price(instrument, instrument.ticks_to_price(row.price))
        quantity = self._quantity(instrument, row.steps)
        return {
            "symbol": self._books.wire(row.symbol),
            "orderId": forced_id(row),
            "side": side_word(row.sign),
            "positionSide": self._books.exchange.leg_of_trade(row),
            "type": "LIMIT",
            "origQty": quantity,
            "price": price,
            "executedQty": quantity,
            "avgPrice": price,
            "cumQuote": text(self._books.value([row])),
            "stopPrice": "",
            "profit": text(money.from_e8(row.gross_e8)),
            "commission": text(-money.from_e8(row.fee_e8)),
            "status": Shown.FILLED,
            "time": row.ts_ms // 1000 * 1000,
            "updateTime": row.ts_ms,
            "clientOrderId": "",
        }

    def view_of(self, row: TradeRow) -> View | None:
        """The order that a fill is shown under, None for a liquidation."""
        order = self._books.exchange.order(number=row.order_number)
        return None if order is None else next(self._books.views(order))

    def order_id(self, row: TradeRow) -> int:
        """The id of the order that a fill is shown under."""
        view = self.view_of(row)
        return forced_id(row) if view is None else view.order_id

    @staticmethod
    def _price(instrument: Instrument, price: Decimal) -> str:
        return f"{price:.{price_digits(instrument)}f}"

    @staticmethod
    def _quantity(instrument: Instrument, steps: int) -> str:
        return f"{instrument.steps_to_quantity(steps):.{quantity_digits(instrument)}f}"


def _order_id_text(row: TradeRow, view: View | None) -> str:
    return str(forced_id(row) if view is None else view.order_id)


def _has_trigger(view: View) -> bool:
    return view.is_waiting or view.is_child


def _filled_at(ts_ms: int) -> dict[str, object]:
    """Both are wall-clock time of UTC+8, though one says Z."""
    moment = datetime.fromtimestamp(ts_ms // 1000, UTC).astimezone(_CHINA)
    wall = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return {"filledTm": f"{wall}Z", "filledTime": f"{wall}.{ts_ms % 1000:03d}+0800"}
