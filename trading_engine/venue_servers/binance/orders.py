"""Requests about orders, plain and conditional, and what they have traded.

What belongs here: placing, cancelling, asking, and what passes with time (good-till dates, the countdown, orders
that die with their position). What does not: filters (filters), JSON (shapes), money and settings (account).
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal

import msgspec

from trading_engine.domain import money
from trading_engine.venue_servers.binance import filters, shapes
from trading_engine.venue_servers.binance.desk import ALGO_IDS, ORDER_IDS, Desk, Wish
from trading_engine.venue_servers.binance.errors import ApiError, of_refusal
from trading_engine.venue_servers.binance.filters import Wanted
from trading_engine.venue_servers.binance.params import Params
from trading_engine.venue_servers.binance.shapes import Json
from trading_engine.venues.embedded.account import ExchangeOrder, Kind
from trading_engine.venues.embedded.matching import Refusal

_MOST_CANCELLED = 10
_MOST_PLACED = 5
_CANCELLED_ALL = "The operation of cancel all open order is done."
GONE_WITH_POSITION = "the position it belonged to is closed"


class OrderRequests:
    """Each public method answers one request; `held` is open while an order is taken, so that its events keep order."""

    def __init__(self, desk: Desk, held: Callable[[], AbstractContextManager[None]]) -> None:
        self._desk = desk
        self._exchange = desk.exchange
        self._held = held
        self._countdowns: dict[str, int] = {}

    # ── plain orders ────────────────────────────────────────────────────────

    def place(self, params: Params) -> Json:
        """POST order."""
        wanted = filters.read_order(self._exchange, params)
        answer_type = params.text("newOrderRespType", "ACK")
        if answer_type not in ("ACK", "RESULT"):
            raise ApiError(-1130, "newOrderRespType")
        self._require_room(wanted.symbol)
        if wanted.time_in_force == "FOK":
            self._require_fillable(wanted)
        with self._held():
            order = self._submit(wanted)
            is_final = wanted.kind is Kind.MARKET or wanted.time_in_force in ("IOC", "FOK")
            if is_final and order.status.is_open:
                self._exchange.expire(order, "what could not be traded at once")
        is_short = answer_type == "ACK" or not is_final
        return shapes.placed_order(self._desk, order, is_acknowledged_only=is_short)

    def place_batch(self, params: Params) -> list[Json]:
        """POST batchOrders."""
        try:
            rows = msgspec.json.decode(params.need("batchOrders"), type=list[dict[str, str | int | float | bool]])
        except msgspec.MsgspecError as error:
            raise ApiError(-1130, "batchOrders") from error
        if not 1 <= len(rows) <= _MOST_PLACED:
            raise ApiError(-4082)
        answers = []
        for row in rows:
            texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in row.items()}
            answers.append(_answer_or_error(self.place, Params(texts)))
        return answers

    def amend(self, params: Params) -> Json:
        """PUT order: the exchange behind this server cannot change an order; always -1020 for an open one."""
        self._open_plain(params, -2013)
        raise ApiError(-1020)

    def cancel(self, params: Params) -> Json:
        """DELETE order."""
        order = self._open_plain(params, -2011)
        self._exchange.cancel(order)
        return shapes.placed_order(self._desk, order)

    def cancel_batch(self, params: Params) -> list[Json]:
        """DELETE batchOrders."""
        symbol = filters.require_symbol(self._exchange, params).symbol
        is_by_id = params.has("orderIdList")
        name, key = ("orderIdList", "orderId") if is_by_id else ("origClientOrderIdList", "origClientOrderId")
        try:
            ids = msgspec.json.decode(params.need(name), type=list[int | str])
        except msgspec.MsgspecError as error:
            raise ApiError(-1130, name) from error
        if not 1 <= len(ids) <= _MOST_CANCELLED:
            raise ApiError(-4032)
        one = [Params({"symbol": symbol, key: str(wanted)}) for wanted in ids]
        return [_answer_or_error(self.cancel, part) for part in one]

    def cancel_all(self, params: Params) -> Json:
        """DELETE allOpenOrders: plain orders only."""
        self._cancel_plain(filters.require_symbol(self._exchange, params).symbol)
        return {"code": 200, "msg": _CANCELLED_ALL}

    def query(self, params: Params) -> Json:
        """GET order."""
        return shapes.queried_order(self._desk, self._plain(params, -2013))

    def query_open(self, params: Params) -> Json:
        """GET openOrder."""
        return shapes.listed_order(self._desk, self._open_plain(params, -2013))

    def list_open(self, params: Params) -> list[Json]:
        """GET openOrders."""
        orders = self._desk.plain_orders(self._symbol(params), only_open=True)
        return [shapes.listed_order(self._desk, order) for order in orders]

    def list_all(self, params: Params) -> list[Json]:
        """GET allOrders: the newest of what was asked for, ascending."""
        symbol, limit = self._symbol(params), params.limit(500, 1_000)
        first_id = params.integer("orderId")
        orders = self._desk.plain_orders(symbol)
        if first_id:
            orders = [order for order in orders if ORDER_IDS + order.number >= first_id]
        else:
            start, end = params.window(self._exchange.now_ms())
            orders = [order for order in orders if start <= order.created_ms <= end]
        return [shapes.listed_order(self._desk, order) for order in orders[-limit:]]

    def list_trades(self, params: Params) -> list[Json]:
        """GET userTrades: the oldest of what was asked for, ascending."""
        symbol = filters.require_symbol(self._exchange, params).symbol
        limit = params.limit(500, 1_000)
        order_id, first_id = params.integer("orderId"), params.integer("fromId")
        if params.has("fromId") and (params.has("startTime") or params.has("endTime")):
            raise ApiError(-1128)
        start, end = params.window(self._exchange.now_ms())
        found = [
            execution
            for execution in self._desk.executions
            if execution.row.symbol == symbol
            and (not order_id or execution.order_id == order_id)
            and (execution.trade_id >= first_id if params.has("fromId") else start <= execution.ts_ms <= end)
        ]
        return [shapes.user_trade(self._desk, execution) for execution in found[:limit]]

    def list_forced(self, params: Params) -> list[Json]:
        """GET forceOrders: what the venue took over."""
        symbol, limit = self._symbol(params), params.limit(50, 100)
        start, end = params.window(self._exchange.now_ms())
        rows = []
        for execution in self._desk.executions:
            row = execution.row
            if row.is_liquidation and symbol in ("", row.symbol) and start <= execution.ts_ms <= end:
                trade = shapes.user_trade(self._desk, execution)
                rows.append(
                    {
                        "orderId": execution.order_id,
                        "symbol": row.symbol,
                        "status": "FILLED",
                        "clientOrderId": execution.client_order_id,
                        "price": trade["price"],
                        "avgPrice": trade["price"],
                        "origQty": trade["qty"],
                        "executedQty": trade["qty"],
                        "cumQuote": trade["quoteQty"],
                        "timeInForce": "IOC",
                        "type": "LIMIT",
                        "reduceOnly": False,
                        "closePosition": False,
                        "side": trade["side"],
                        "positionSide": self._exchange.leg_of_trade(row),
                        "stopPrice": "0",
                        "workingType": "CONTRACT_PRICE",
                        "origType": "LIMIT",
                        "time": execution.ts_ms,
                        "updateTime": execution.ts_ms,
                    }
                )
        return rows[-limit:]

    # ── conditional orders ──────────────────────────────────────────────────

    def place_algo(self, params: Params) -> Json:
        """POST algoOrder."""
        wanted = filters.read_algo_order(self._exchange, params)
        if len(self._desk.resting_orders()) >= filters.OPEN_ALGO_ORDERS:
            raise ApiError(-4045)
        position = self._exchange.account.positions.get(wanted.symbol)
        if wanted.time_in_force == "GTE_GTC" and (position is None or position.sign != -wanted.sign):
            raise ApiError(-4509)
        with self._held():
            order = self._submit(wanted)
        return shapes.placed_algo(self._desk, order)

    def cancel_algo(self, params: Params) -> Json:
        """DELETE algoOrder."""
        order = self._algo(params)
        if not self._desk.is_resting(order):
            raise ApiError(-2011)
        self._exchange.cancel(order)
        ids = {"algoId": ALGO_IDS + order.number, "clientAlgoId": order.client_order_id}
        return {**ids, "code": "200", "msg": "success"}

    def cancel_all_algos(self, params: Params) -> Json:
        """DELETE algoOpenOrders."""
        for order in self._desk.resting_orders(filters.require_symbol(self._exchange, params).symbol):
            self._exchange.cancel(order)
        return {"code": 200, "msg": _CANCELLED_ALL}

    def query_algo(self, params: Params) -> Json:
        """GET algoOrder."""
        return shapes.listed_algo(self._desk, self._algo(params))

    def list_open_algos(self, params: Params) -> list[Json]:
        """GET openAlgoOrders."""
        wanted = params.integer("algoId")
        orders = self._desk.resting_orders(self._symbol(params))
        return [shapes.open_algo(self._desk, order) for order in orders if wanted in (0, ALGO_IDS + order.number)]

    def list_all_algos(self, params: Params) -> list[Json]:
        """GET allAlgoOrders: newest first."""
        symbol = filters.require_symbol(self._exchange, params).symbol
        limit, first_id = params.limit(500, 1_000), params.integer("algoId")
        orders = self._desk.conditional_orders(symbol)
        if first_id:
            orders = [order for order in orders if ALGO_IDS + order.number >= first_id]
        else:
            start, end = params.window(self._exchange.now_ms())
            orders = [order for order in orders if start <= order.created_ms <= end]
        return [shapes.listed_algo(self._desk, order) for order in orders[::-1][:limit]]

    # ── what passes with time ───────────────────────────────────────────────

    def count_down(self, params: Params) -> Json:
        """POST countdownCancelAll."""
        symbol = filters.require_symbol(self._exchange, params).symbol
        params.need("countdownTime")
        countdown_ms = params.integer("countdownTime")
        self._countdowns.pop(symbol, None)
        if countdown_ms:
            self._countdowns[symbol] = self._exchange.now_ms() + countdown_ms
        return {"symbol": symbol, "countdownTime": str(countdown_ms)}

    def elapse(self, now_ms: int) -> None:
        """Carry out what has come due."""
        for symbol in [symbol for symbol, at_ms in self._countdowns.items() if at_ms <= now_ms]:
            del self._countdowns[symbol]
            self._cancel_plain(symbol)
        for order in tuple(self._exchange.account.orders.values()):
            if 0 < self._desk.wish_of(order).good_till_ms <= now_ms:
                self._exchange.expire(order, "its good-till date has come")

    def bury(self, symbol: str) -> None:
        """End the conditional orders that die with a position, where it is closed."""
        position = self._exchange.account.positions.get(symbol)
        for order in self._desk.resting_orders(symbol):
            if (position is None or not position.sign) and self._desk.dies_with_position(order):
                self._exchange.expire(order, GONE_WITH_POSITION)

    # ── helpers ─────────────────────────────────────────────────────────────

    def _submit(self, wanted: Wanted) -> ExchangeOrder:
        client_order_id = wanted.client_order_id or self._desk.new_id()
        if self._exchange.order(client_order_id=client_order_id) is not None:
            raise ApiError(-4116)
        wish = Wish(wanted.time_in_force, wanted.working_type, wanted.is_price_protected, wanted.good_till_ms)
        self._desk.wish(client_order_id, wish)
        taken = self._exchange.submit(
            wanted.symbol,
            wanted.kind,
            wanted.sign,
            wanted.quantity,
            wanted.price,
            client_order_id=client_order_id,
            reduce_only=wanted.is_reduce_only,
            post_only=wanted.time_in_force == "GTX",
        )
        if isinstance(taken, Refusal):
            raise of_refusal(taken, money.text(self._exchange.instruments[wanted.symbol].min_notional))
        return taken

    def _require_room(self, symbol: str) -> None:
        if len(self._desk.plain_orders(symbol, only_open=True)) >= filters.OPEN_ORDERS:
            raise ApiError(-2025)

    def _require_fillable(self, wanted: Wanted) -> None:
        point = self._exchange.account.points.get(wanted.symbol)
        instrument = self._exchange.instruments[wanted.symbol]
        last = self._exchange.last_price(wanted.symbol)
        there_is = instrument.steps_to_quantity(point.budget) if point else Decimal(0)
        if wanted.price is None or wanted.sign * last >= wanted.sign * wanted.price or there_is < wanted.quantity:
            raise ApiError(-5021)

    def _cancel_plain(self, symbol: str) -> None:
        for order in self._desk.plain_orders(symbol, only_open=True):
            self._exchange.cancel(order)

    def _symbol(self, params: Params) -> str:
        return filters.require_symbol(self._exchange, params).symbol if params.has("symbol") else ""

    def _plain(self, params: Params, missing: int) -> ExchangeOrder:
        symbol = filters.require_symbol(self._exchange, params).symbol
        order_id, client_order_id = params.integer("orderId"), params.text("origClientOrderId")
        if not order_id and not client_order_id:
            raise ApiError(-1102, "orderId")
        order = self._desk.plain(symbol, order_id, client_order_id)
        if order is None:
            raise ApiError(missing)
        return order

    def _open_plain(self, params: Params, missing: int) -> ExchangeOrder:
        order = self._plain(params, missing)
        if not order.status.is_open:
            raise ApiError(missing)
        return order

    def _algo(self, params: Params) -> ExchangeOrder:
        algo_id, client_algo_id = params.integer("algoId"), params.text("clientAlgoId")
        if not algo_id and not client_algo_id:
            raise ApiError(-1102, "algoId")
        order = self._desk.conditional(algo_id, client_algo_id)
        if order is None:
            raise ApiError(-2013)
        return order


def _answer_or_error(do: Callable[[Params], Json], part: Params) -> Json:
    """What a batch says of one of its parts."""
    try:
        return do(part)
    except ApiError as error:
        return error.body()
