"""The endpoints below /order: create, amend, cancel, cancel-all, open orders, history.

What belongs here: their parameters, what the venue refuses and with which code. What does not: rows (rows), matching.

Not served, and refused with 10001: FOK, limit orders behind a trigger, take-profit and stop-loss attached to an
order, slippage tolerances. A server that silently ignored them would promise protection it does not give.
"""

import re
from collections import deque
from collections.abc import Callable, Mapping
from decimal import Decimal

from trading_engine.domain import money
from trading_engine.venue_servers.exchange import LocalExchange
from trading_engine.venue_servers.zoomex.market import highest_price
from trading_engine.venue_servers.zoomex.rows import (
    CONDITIONAL,
    NO_LINK,
    WOULD_TAKE,
    Rows,
    Traits,
    is_waiting,
    pascal,
    status,
)
from trading_engine.venue_servers.zoomex.words import (
    BAD_PARAMETER,
    DAY_MS,
    AccountKind,
    Json,
    Keyed,
    Params,
    Refused,
    invalid,
    order_id,
    order_number,
    page,
)
from trading_engine.venues.embedded.account import ExchangeOrder, Kind, Status
from trading_engine.venues.embedded.matching import Refusal

MOST_ACTIVE = 500
MOST_CONDITIONAL = 10
CLOSED_KEPT = 500

_LINK_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")
_TRIGGERS = ("LastPrice", "IndexPrice", "MarkPrice")
_FILTERS = ("Order", "StopOrder")
_UNSERVED = (
    "takeProfit",
    "stopLoss",
    "tpLimitPrice",
    "slLimitPrice",
    "slippageToleranceType",
    "slippageTolerance",
)
_SHORT = 2  # the position index of shorts in hedge mode
_CODES: Mapping[str, tuple[int, str]] = {
    "symbol": (BAD_PARAMETER, "params error: symbol invalid"),
    "duplicate": (110072, "OrderLinkedID is duplicate"),
    "step": (BAD_PARAMETER, "params error: qty invalid, it does not lie on qtyStep"),
    "tick": (BAD_PARAMETER, "params error: price invalid, it does not lie on tickSize"),
    "price": (110003, "Order price exceeds the allowable range."),
    "notional": (110094, "Order notional Value below the lower limit"),
    "margin": (110007, "Available balance is insufficient"),
    "other_side": (BAD_PARAMETER, "this local server holds one side of a symbol at a time"),
    "reduce_only": (110017, "current position is zero, cannot fix reduce-only order qty"),
    "no_market": (110066, "Trading is currently not allowed."),
    "filled": (110064, "The modified contract quantity cannot be less than or equal to the filled quantity."),
}


class Orders:
    """Private endpoints of orders. `history_lag_ms` is how late a closed order appears in the history."""

    def __init__(self, exchange: LocalExchange, rows: Rows, kind: AccountKind, history_lag_ms: int) -> None:
        self._exchange = exchange
        self._rows = rows
        self._kind = kind
        self._history_lag_ms = history_lag_ms
        self._just_closed: deque[int] = deque(maxlen=CLOSED_KEPT)  # gone once the server is started anew
        self.endpoints: Mapping[tuple[str, str], Callable[[Params], Json]] = {
            ("POST", "/order/create"): self._create,
            ("POST", "/order/amend"): self._amend,
            ("POST", "/order/cancel"): self._cancel,
            ("POST", "/order/cancel-all"): self._cancel_all,
            ("GET", "/order/realtime"): self._realtime,
            ("GET", "/order/history"): self._history,
        }

    def hear_closed(self, order: ExchangeOrder) -> None:
        """Remember that an order is over: the list of open orders shows it for a while."""
        self._just_closed.append(order.number)

    # ── create ──────────────────────────────────────────────────────────────

    def _create(self, params: Params) -> Json:
        symbol = self.symbol(params)
        sign = 1 if params.choice("side", ("Buy", "Sell")) == "Buy" else -1
        is_limit = params.choice("orderType", ("Market", "Limit")) == "Limit"
        for name in ("side", "orderType"):
            params.needed(name)
        self._refuse_unserved(params)
        reduces_by_index = self._reduces(params, sign)
        in_force = params.choice("timeInForce", ("GTC", "IOC", "FOK", "PostOnly"), "GTC") if is_limit else "IOC"
        if in_force == "FOK":
            raise Refused(BAD_PARAMETER, "timeInForce FOK is not served by this local server")
        quantity = params.decimal("qty")
        if quantity is None:
            raise invalid("qty")
        close_on_trigger = params.flag("closeOnTrigger")
        reduce_only = params.flag("reduceOnly") or close_on_trigger
        if self._exchange.is_hedge:
            if reduce_only and not reduces_by_index:
                raise Refused(*_CODES["reduce_only"])
            reduce_only = reduces_by_index
        trigger = params.decimal("triggerPrice")
        self._check_count(symbol, is_conditional=trigger is not None, reduce_only=reduce_only)
        kind, price = self._kind_and_price(params, sign, trigger, is_limit=is_limit)
        self._check_price(symbol, price)
        number = self._exchange.account.progress.orders + 1
        trigger_by = params.choice("triggerBy", _TRIGGERS, "LastPrice")
        last = self._exchange.last_price(symbol)
        self._rows.traits[number] = Traits(in_force, trigger_by, close_on_trigger, money.text(last))
        order = self._exchange.submit(
            symbol,
            kind,
            sign,
            quantity,
            price,
            client_order_id=self._link_id(params) or f"{NO_LINK}{number}",
            reduce_only=reduce_only,
            post_only=in_force == "PostOnly",
            immediate_or_cancel=in_force == "IOC" and kind not in CONDITIONAL,
            late_refusals=(WOULD_TAKE,),
        )
        if isinstance(order, Refusal):
            del self._rows.traits[number]
            raise self._refused(order, symbol, quantity, kind, sign)
        return self._acknowledged(order)

    def _reduces(self, params: Params, sign: int) -> bool:
        """Whether the order's side closes the position that its index names; an index of the other mode is refused."""
        index = params.integer("positionIdx", 0)
        if index not in (0, 1, 2):
            raise invalid("positionIdx")
        if (index > 0) != self._exchange.is_hedge:
            raise Refused(BAD_PARAMETER, "params error: position idx not match position mode")
        return index > 0 and (index == _SHORT) == (sign > 0)

    def _acknowledged(self, order: ExchangeOrder) -> Json:
        """Ids and nothing else: what becomes of the order is told by the stream and by queries."""
        return {"orderId": order_id(order.number), "orderLinkId": self._rows.link_id(order.client_order_id)}

    @staticmethod
    def _refuse_unserved(params: Params) -> None:
        for name in _UNSERVED:
            if params.has(name) and params.text(name).strip("0."):
                raise Refused(BAD_PARAMETER, f"{name} is not served by this local server")

    @staticmethod
    def _link_id(params: Params) -> str:
        text = params.text("orderLinkId")
        if text and not _LINK_ID.fullmatch(text):
            raise invalid("orderLinkId")
        return text

    @staticmethod
    def _kind_and_price(
        params: Params, sign: int, trigger: Decimal | None, *, is_limit: bool
    ) -> tuple[Kind, Decimal | None]:
        """A trigger that the price comes to against the order's side is a stop, from the other side a target."""
        if trigger is not None:
            if is_limit:
                raise Refused(BAD_PARAMETER, "conditional limit orders are not served by this local server")
            direction = params.integer("triggerDirection", 0)
            if direction not in (1, 2):
                raise invalid("triggerDirection")
            return Kind.STOP if (direction == 1) == (sign > 0) else Kind.TARGET, trigger
        if not is_limit:
            return Kind.MARKET, None
        price = params.decimal("price")
        if price is None:
            raise invalid("price")
        return Kind.LIMIT, price

    def _check_count(self, symbol: str, *, is_conditional: bool, reduce_only: bool) -> None:
        """So many orders a symbol; what reduces passes at the limit."""
        waiting = [is_waiting(order) for order in self._exchange.orders(symbol, only_open=True)]
        if reduce_only:
            return
        if is_conditional and sum(waiting) >= MOST_CONDITIONAL:
            raise Refused(110009, "The number of stop orders exceeds the maximum allowable limit.")
        if not is_conditional and len(waiting) - sum(waiting) >= MOST_ACTIVE:
            raise Refused(110020, "Not allowed to have more than 500 active orders.")

    def _check_price(self, symbol: str, price: Decimal | None) -> None:
        if price is not None and price > highest_price(self._exchange.instruments[symbol]):
            raise Refused(*_CODES["price"])

    def _refused(self, refusal: Refusal, symbol: str, quantity: Decimal, kind: Kind, sign: int) -> Refused:
        """What the venue says to what the exchange refuses."""
        if refusal.code == "quantity":
            bound = "maximum" if quantity > self._exchange.instruments[symbol].max_quantity else "minimum"
            return Refused(BAD_PARAMETER, f"The number of contracts exceeds {bound} limit allowed: qty invalid")
        if refusal.code == "would_trigger":
            if (kind is Kind.STOP) == (sign > 0):
                return Refused(110092, "expect Rising, but trigger_price is not above the current price")
            return Refused(110093, "expect Falling, but trigger_price is not below the current price")
        return Refused(*_CODES[refusal.code])

    # ── amend and cancel ────────────────────────────────────────────────────

    def _amend(self, params: Params) -> Json:
        symbol = self.symbol(params)
        self._refuse_unserved(params)
        order = self._open_order(params, symbol)
        is_conditional = order.kind in CONDITIONAL
        if params.has("price" if is_conditional else "triggerPrice") or order.kind is Kind.MARKET:
            raise Refused(BAD_PARAMETER, f"the order is {status(order)} and has no such price")
        price = params.decimal("triggerPrice" if is_conditional else "price")
        quantity = params.decimal("qty")
        if price is None and quantity is None:
            raise Refused(BAD_PARAMETER, "order not modified")
        self._check_price(symbol, price)
        refusal = self._exchange.amend(order, quantity, price)
        if refusal is not None:
            raise self._refused(refusal, symbol, quantity or Decimal(0), order.kind, order.sign)
        return self._acknowledged(order)

    def _cancel(self, params: Params) -> Json:
        order = self._open_order(params, self.symbol(params))
        self._exchange.cancel(order)
        return self._acknowledged(order)

    def _open_order(self, params: Params, symbol: str) -> ExchangeOrder:
        """The order that is named; Refused for one that is unknown (110001) or over (110008, 110010)."""
        if not params.has("orderId") and not params.has("orderLinkId"):
            raise Refused(BAD_PARAMETER, "params error: orderId or orderLinkId is required")
        order = self._named(params)
        if order is None or order.symbol != symbol:
            raise Refused(110001, "Order does not exist")
        if order.status is Status.FILLED:
            raise Refused(110008, "The order has been completed or cancelled.")
        if not order.status.is_open:
            raise Refused(110010, "The order has been cancelled")
        return order

    def _named(self, params: Params) -> ExchangeOrder | None:
        """The order with this id, which goes before the link id."""
        if params.has("orderId"):
            return self._exchange.order(number=order_number(params.text("orderId")))
        return self._exchange.order(client_order_id=params.text("orderLinkId"))

    def _cancel_all(self, params: Params) -> Json:
        check_category(params)
        order_filter = params.choice("orderFilter", _FILTERS)
        params.choice("stopOrderType", ("Stop",))
        found = [
            order
            for order in self._in_scope(params, only_open=True)
            if not order_filter or is_waiting(order) == (order_filter == "StopOrder")
        ]
        gone = found[:MOST_ACTIVE]
        for order in gone:
            self._exchange.cancel(order)
        return {"list": [self._acknowledged(order) for order in gone], "success": "1"}

    def _in_scope(self, params: Params, *, only_open: bool) -> list[ExchangeOrder]:
        """Orders of the symbol, else of the base coin, else of the settle coin; one of them must be given."""
        if params.has("symbol"):
            return self._exchange.orders(self.symbol(params), only_open=only_open)
        orders = self._exchange.orders(only_open=only_open)
        if params.has("baseCoin"):
            listed = f"{params.text('baseCoin')}{self._exchange.asset}"
            return [order for order in orders if order.symbol == listed]
        if params.has("settleCoin"):
            return orders if params.text("settleCoin") == self._exchange.asset else []
        raise Refused(BAD_PARAMETER, "Missing some parameters that must be filled in, symbol or settleCoin or baseCoin")

    # ── lists ───────────────────────────────────────────────────────────────

    def _realtime(self, params: Params) -> Json:
        """Open orders, or those that were closed since the server began; by id both. Newest first."""
        check_category(params)
        order_filter = params.choice("orderFilter", _FILTERS)
        if params.has("orderId") or params.has("orderLinkId"):
            named = self._named(params)
            found = [named] if named is not None and self._is_shown(named) else []
        elif params.integer("openOnly", 0):
            found = [order for order in self._in_scope(params, only_open=False) if order.number in self._just_closed]
        else:
            found = self._in_scope(params, only_open=True)
        answer = self._page(found, order_filter, params)
        rows = answer["list"]
        assert isinstance(rows, list)  # noqa: S101 - what `page` makes
        return {**answer, "list": [pascal(row) for row in rows]}

    def _is_shown(self, order: ExchangeOrder) -> bool:
        return order.status.is_open or order.number in self._just_closed

    def _history(self, params: Params) -> Json:
        """Closed orders; those that never traded are forgotten after a day on a unified account, else a week."""
        check_category(params)
        now_ms = self._exchange.now_ms()
        start, end = params.window(now_ms, one_is_enough=False)
        order_filter, wanted = params.choice("orderFilter", _FILTERS), params.text("orderStatus")
        if params.has("orderId") or params.has("orderLinkId"):
            named = self._named(params)
            found = [] if named is None else [named]
        else:
            found = self._exchange.orders(self.symbol(params) if params.has("symbol") else "")
        kept_ms = DAY_MS if self._kind is AccountKind.UNIFIED else 7 * DAY_MS
        shown = [
            order
            for order in found
            if not order.status.is_open
            and start <= order.created_ms <= end
            and order.updated_ms + self._history_lag_ms <= now_ms
            and (order.filled or order.updated_ms >= now_ms - kept_ms)
            and (not wanted or status(order) == wanted)
        ]
        return self._page(shown, order_filter, params)

    def _page(self, orders: list[ExchangeOrder], order_filter: str, params: Params) -> Json:
        rows = [
            Keyed(order.number, self._rows.order(order))
            for order in sorted(orders, key=lambda order: -order.number)
            if not order_filter or (order.kind in CONDITIONAL) == (order_filter == "StopOrder")
        ]
        return page(rows, params, 20, 50)

    def symbol(self, params: Params) -> str:
        """The listed symbol that is named; Refused 10001."""
        check_category(params)
        symbol = params.needed("symbol")
        if symbol not in self._exchange.instruments:
            raise Refused(*_CODES["symbol"])
        return symbol


def check_category(params: Params) -> None:
    """Only USDT perpetuals are served; Refused 10001."""
    if params.text("category") != "linear":
        raise Refused(BAD_PARAMETER, "params error: Category is invalid")
