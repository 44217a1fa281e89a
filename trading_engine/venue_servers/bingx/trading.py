"""Orders: placing, cancelling, asking for them.

What belongs here: what is accepted and what is refused with which code. What does not: how an order looks (orders),
when it trades (the exchange).
"""

import json
import re
from collections.abc import Callable
from decimal import Decimal

from trading_engine.domain.instrument import Instrument
from trading_engine.domain.time import DAY_MS, SECOND_MS
from trading_engine.venue_servers.bingx.books import CONDITIONAL, UNNAMED, Books, Note, View, has_triggered
from trading_engine.venue_servers.bingx.orders import TYPES, OrderShapes
from trading_engine.venue_servers.bingx.words import INVALID, Params, Plain, Refused
from trading_engine.venues.embedded.account import ExchangeOrder, Kind, Status
from trading_engine.venues.embedded.matching import Refusal

LONGEST_SPAN_MS = 7 * DAY_MS
TOGETHER = 5

_KINDS = {word: kind for kind, word in TYPES.items()}
_ELSEWHERE = ("STOP", "TAKE_PROFIT", "TRIGGER_LIMIT", "TRIGGER_MARKET", "TRAILING_STOP_MARKET", "TRAILING_TP_SL")
_IN_FORCE = ("GTC", "IOC", "FOK", "PostOnly")
_TRIGGERS = ("MARK_PRICE", "CONTRACT_PRICE")
_NAME = re.compile(r"[a-z0-9]{1,40}", re.ASCII)
_DIGITS = 18
_NOT_THERE = "order not exist"

_ORDERS, _MOST_ORDERS = 500, 1_000
_FORCED, _MOST_FORCED = 50, 100
_PAGE, _LARGEST_PAGE = 50, 1_000
_MOST_FILLS = 512
_FILLS_KEPT_MS = 30 * DAY_MS

_WRONG_SIDE = {
    (Kind.STOP, -1): (110411, "Stop Loss price should be lower than the current price"),
    (Kind.STOP, 1): (110412, "Stop Loss price should be higher than the current price"),
    (Kind.TARGET, -1): (110413, "Take Profit price should be higher than the current price"),
    (Kind.TARGET, 1): (110414, "Take Profit price should be lower than the current price"),
}
_REFUSALS = {
    "tick": (110400, "the price has more decimals than the contract allows"),
    "step": (110425, "the quantity has more decimals than the contract allows"),
    "price": (101211, "the price is below the minimum"),
    "would_take": (101215, "PostOnly order would be filled immediately"),
    "notional": (101202, "the order is below the minimum order value"),
    "margin": (101204, "Insufficient margin"),
    "no_market": (101415, "the trading pair is suspended"),
}


class Trading:
    """The answers about orders and fills."""

    def __init__(self, books: Books, shapes: OrderShapes) -> None:
        self._books = books
        self._exchange = books.exchange
        self._shapes = shapes
        self._cancel_asked_ms: dict[int, int] = {}

    # ── placing ─────────────────────────────────────────────────────────────

    def place(self, params: Params) -> object:
        """Take an order."""
        return {"order": self._shapes.placed(View(self._take(params)))}

    def place_many(self, params: Params) -> object:
        """Take up to five; where one is refused the answer is an error, and the others stand all the same."""
        legs = _rows(params, "batchOrders")
        if not 1 <= len(legs) <= TOGETHER:
            raise Refused(INVALID, f"Invalid parameters, err: batchOrders: 1 to {TOGETHER} orders")
        placed, refused = [], []
        for leg in legs:
            if not isinstance(leg, dict):
                raise Refused(INVALID, "Invalid parameters, err: batchOrders: an order is an object")
            try:
                placed.append(self._take(Params({str(name): _word(value) for name, value in leg.items()})))
            except Refused as refusal:
                refused.append(refusal)
        data = {"orders": [self._shapes.placed(View(order)) for order in placed]}
        if not refused:
            return data
        return Plain({"code": refused[0].code, "msg": ";".join(one.text for one in refused), "data": data})

    def _take(self, params: Params) -> ExchangeOrder:
        instrument = self._books.asked(params)
        kind = self._kind(params)
        sign = 1 if params.choice("side", ("BUY", "SELL")) == "BUY" else -1
        reduces = self._reduces(params, kind, sign)
        for name in ("stopLoss", "takeProfit"):
            if params.text(name):
                raise Refused(110400, f"{name} cannot be attached here, place it as an order of its own")
        note = self._note(params, kind)
        quantity = self._quantity(params, kind)
        name = self._name(params)
        if note.closes_position:
            self._require_first(instrument, kind)
        self._books.notes[self._exchange.account.progress.orders + 1] = note  # the stream tells of it at once
        answer = self._exchange.submit(
            instrument.symbol,
            kind,
            sign,
            quantity,
            self._price(params, kind),
            client_order_id=name,
            reduce_only=reduces,
            post_only=note.time_in_force == "PostOnly",
            immediate_or_cancel=note.time_in_force == "IOC",
        )
        if isinstance(answer, Refusal):
            raise self._refused(answer, instrument, kind, sign, quantity)
        return answer

    def _reduces(self, params: Params, kind: Kind, sign: int) -> bool:
        """Whether an order only reduces: by its flag and kind in one-way mode, by its two sides in hedge mode."""
        leg = params.text("positionSide")
        if not self._exchange.is_hedge:
            if leg != "BOTH":
                raise Refused(INVALID, "In the One-way mode, the 'PositionSide' field can only be set to BOTH.")
            return params.switch("reduceOnly") or kind in CONDITIONAL
        if leg not in ("", "LONG", "SHORT"):  # one that is left out counts as LONG
            raise Refused(INVALID, "In the Hedge mode, the 'PositionSide' field can only be set to LONG or SHORT.")
        if params.text("reduceOnly"):
            raise Refused(INVALID, "In the Hedge mode, the 'ReduceOnly' field can not be filled.")
        reduces = (leg == "SHORT") == (sign > 0)
        if kind in CONDITIONAL and not reduces:
            raise Refused(109420, "position not exist")
        return reduces

    @staticmethod
    def _kind(params: Params) -> Kind:
        word = params.needed("type")
        if word in _ELSEWHERE:
            raise Refused(110400, f"order type {word} is not available for this account")
        return _KINDS[params.choice("type", tuple(_KINDS))]

    @staticmethod
    def _note(params: Params, kind: Kind) -> Note:
        in_force = params.choice("timeInForce", _IN_FORCE, "GTC")
        if in_force == "FOK":
            raise Refused(110400, "timeInForce FOK is not available for this account")
        if in_force == "PostOnly" and kind is not Kind.LIMIT:
            raise Refused(INVALID, "Invalid parameters, err: timeInForce: PostOnly is for limit orders")
        closes = params.switch("closePosition")
        if closes and kind not in CONDITIONAL:
            raise Refused(INVALID, "Invalid parameters, err: closePosition is for STOP_MARKET and TAKE_PROFIT_MARKET")
        return Note(params.choice("workingType", _TRIGGERS, "MARK_PRICE"), in_force, closes)

    @staticmethod
    def _quantity(params: Params, kind: Kind) -> Decimal:
        quantity = params.decimal("quantity")
        if quantity is not None:
            return quantity
        if kind in CONDITIONAL:
            raise Refused(INVALID, "Invalid parameters, err: parameter quantity or stopPrice is must")
        raise Refused(INVALID, "Invalid parameters, err: parameter quantity is must")

    @staticmethod
    def _price(params: Params, kind: Kind) -> Decimal | None:
        if kind is Kind.MARKET:
            return None
        name = "price" if kind is Kind.LIMIT else "stopPrice"
        price = params.decimal(name)
        if price is None:
            text = "price is must" if kind is Kind.LIMIT else "quantity or stopPrice is must"
            raise Refused(INVALID, f"Invalid parameters, err: parameter {text}")
        return price

    def _name(self, params: Params) -> str:
        """The client order id in lower case, or one that nobody else can use; Refused for one that was used before."""
        name = params.text("clientOrderId", "clientOrderID").lower()
        if not name:
            return f"{UNNAMED}{self._exchange.account.progress.orders + 1}"
        if not _NAME.fullmatch(name):
            raise Refused(INVALID, "Invalid parameters, err: clientOrderId: 1 to 40 letters and digits")
        before = self._exchange.order(client_order_id=name)
        if before is None:
            return name
        if self._exchange.now_ms() - before.created_ms < SECOND_MS:
            raise Refused(109201, "The same order number is only allowed to be submitted once within 1 second")
        raise Refused(self._books.habits.duplicate_code, "clientOrderID cannot be repeated, unique check failed")

    def _require_first(self, instrument: Instrument, kind: Kind) -> None:
        """Refused where the position has a stop, or a target, for the whole of it."""
        for order in self._exchange.orders(instrument.symbol, only_open=True):
            if order.kind is kind and self._books.note(order).closes_position:
                what = "Stop Loss" if kind is Kind.STOP else "Take Profit"
                raise Refused(110406 if kind is Kind.STOP else 110407, f"{what} order of the position already exists")

    @staticmethod
    def _refused(refusal: Refusal, instrument: Instrument, kind: Kind, sign: int, quantity: Decimal) -> Refused:
        """The venue's code for what the exchange does not take."""
        if refusal.code == "would_trigger":
            return Refused(*_WRONG_SIDE[kind, sign])
        if refusal.code == "reduce_only":
            if kind in CONDITIONAL:
                return Refused(109420, "position not exist")
            return Refused(101290, "Reduce Only order can only decrease your position")
        if refusal.code != "quantity":
            return Refused(*_REFUSALS.get(refusal.code, (110400, refusal.reason)))
        if quantity > instrument.max_quantity:
            return Refused(101419, f"the order size is above the maximum of {instrument.max_quantity}")
        code = 101485 if kind in CONDITIONAL else 110422
        return Refused(code, f"the order size is below the minimum of {instrument.min_quantity}")

    # ── cancelling ──────────────────────────────────────────────────────────

    def cancel(self, params: Params) -> object:
        """Take one order off the book."""
        instrument = self._books.asked(params)
        return {"order": self._shapes.cancelled(self._cancel(self._books.find(params), instrument))}

    def _cancel(self, view: View | None, instrument: Instrument) -> View:
        if view is None or view.order.symbol != instrument.symbol:
            raise Refused(INVALID, _NOT_THERE)
        now_ms = self._exchange.now_ms()
        asked_ms, self._cancel_asked_ms[view.order_id] = self._cancel_asked_ms.get(view.order_id, 0), now_ms
        if now_ms - asked_ms < SECOND_MS:
            raise Refused(109201, "The same order number is only allowed to be submitted once within 1 second")
        if not view.is_open:
            is_done = view.order.status is Status.FILLED and not view.is_waiting
            raise Refused(109422 if is_done else INVALID, "order is already filled" if is_done else _NOT_THERE)
        self._exchange.cancel(view.order)
        return view

    def cancel_many(self, params: Params) -> object:
        """Take several off the book; each goes its own way."""
        instrument = self._books.asked(params)
        by_id = bool(params.text("orderIdList"))
        names = [_word(name) for name in _rows(params, "orderIdList" if by_id else "clientOrderIdList")]
        gone: list[object] = []
        failed: list[object] = []
        for name in names:
            try:
                view = self._books.find(Params({"orderId" if by_id else "clientOrderId": name}))
                gone.append(self._shapes.cancelled(self._cancel(view, instrument)))
            except Refused as refusal:
                failed.append(
                    {
                        "orderId": int(name) if by_id and name.isdecimal() else 0,
                        "clientOrderId": "" if by_id else name,
                        "errorCode": refusal.code,
                        "errorMessage": refusal.text,
                    }
                )
        return {"success": gone or None, "failed": failed or None}

    def cancel_all(self, params: Params) -> object:
        """Take all orders, or all of a type, off the book."""
        symbol = self._books.asked_symbol(params)
        kind = _KINDS[params.choice("type", tuple(_KINDS))] if params.text("type") else None
        keeps = kind is None and self._books.habits.cancel_all_keeps_stops
        gone = []
        for view in self._open(symbol):
            if kind in (None, view.order.kind) and not (keeps and view.is_waiting):
                self._exchange.cancel(view.order)
                gone.append(self._shapes.cancelled(view))
        return {"success": gone or None, "failed": None}

    def close_all(self, params: Params) -> object:
        """Close every position at the market; the ids of the orders that do it."""
        symbol = self._books.asked_symbol(params)
        closing = []
        for held in self._exchange.positions():
            if symbol in ("", held.symbol):
                instrument = self._exchange.instruments[held.symbol]
                answer = self._exchange.submit(
                    held.symbol,
                    Kind.MARKET,
                    -held.sign,
                    instrument.steps_to_quantity(held.steps),
                    client_order_id=self._name(Params({})),
                    reduce_only=True,
                )
                if isinstance(answer, ExchangeOrder):
                    closing.append(View(answer).order_id)
        return {"success": closing or None, "failed": None}

    # ── asking ──────────────────────────────────────────────────────────────

    def _all(self, symbol: str = "", *, only_open: bool = False) -> list[View]:
        orders = self._exchange.orders(symbol, only_open=only_open)
        return [view for order in orders for view in self._books.views(order)]

    def _open(self, symbol: str) -> list[View]:
        return [view for view in self._all(symbol, only_open=True) if view.is_open]

    def open_orders(self, params: Params) -> object:
        """Limit orders and conditionals in one list."""
        kind = params.text("type")
        views = [view for view in self._open(self._books.asked_symbol(params)) if kind in ("", TYPES[view.order.kind])]
        return {"orders": [self._shapes.queried(view, is_listed=True) for view in views]}

    def order(self, params: Params) -> object:
        """One order in any state."""
        return {"order": self._shapes.queried(self._found(params))}

    def open_order(self, params: Params) -> object:
        """One order while it is open."""
        view = self._found(params)
        if not view.is_open:
            raise Refused(109421, _NOT_THERE)
        return {"order": self._shapes.queried(view)}

    def _found(self, params: Params) -> View:
        instrument = self._books.asked(params)
        view = self._books.find(params)
        if view is None or view.order.symbol != instrument.symbol:
            raise Refused(109421, _NOT_THERE)
        return view

    def finished_orders(self, params: Params) -> object:
        """Orders that are over, newest first, within seven days."""
        return self._history(params, lambda view: not view.is_open and not _lives_on(view))

    def full_orders(self, params: Params) -> object:
        """All orders, newest first, within seven days."""
        return self._history(params, lambda _view: True)

    def _history(self, params: Params, is_wanted: Callable[[View], bool]) -> object:
        begin_ms, end_ms = self._span(params, "startTime", "endTime", LONGEST_SPAN_MS)
        after, count = params.integer("orderId", 0), _limited(params, "limit", _ORDERS, _MOST_ORDERS)
        views = [
            view
            for view in self._all(self._books.asked_symbol(params))
            if is_wanted(view) and view.order_id >= after and begin_ms <= self._books.placed_ms(view) <= end_ms
        ]
        views.sort(key=lambda view: (self._books.placed_ms(view), view.order_id), reverse=True)
        return {"orders": [self._shapes.queried(view) for view in views[:count]]}

    def forced_orders(self, params: Params) -> object:
        """Liquidations, newest first."""
        begin_ms, end_ms = self._span(params, "startTime", "endTime", LONGEST_SPAN_MS)
        count = _limited(params, "limit", _FORCED, _MOST_FORCED)
        rows = self._exchange.trades(begin_ms, self._books.asked_symbol(params))
        forced = [row for row in rows if row.is_liquidation and row.ts_ms <= end_ms]
        if params.text("autoCloseType") == "ADL":
            forced = []
        return {"orders": [self._shapes.forced(row) for row in reversed(forced[-count:])]}

    def _span(self, params: Params, begin: str, end: str, longest_ms: int) -> tuple[int, int]:
        """The instants asked for; seven days back where nothing is said."""
        end_ms = params.integer(end, self._exchange.now_ms())
        begin_ms = params.integer(begin, end_ms - longest_ms)
        if end_ms - begin_ms > longest_ms:
            days = "seven" if longest_ms == LONGEST_SPAN_MS else "thirty"
            raise Refused(INVALID, f"the query range is more than {days} days")
        return begin_ms, end_ms

    # ── fills ───────────────────────────────────────────────────────────────

    def fills_of_orders(self, params: Params) -> object:
        """Fills of up to thirty days, without their ids."""
        params.needed("startTs")
        params.needed("endTs")
        begin_ms, end_ms = self._span(params, "startTs", "endTs", _FILLS_KEPT_MS)
        order_id, in_coin = params.integer("orderId", 0), params.text("tradingUnit") == "COIN"
        rows = [
            row
            for row in self._exchange.trades(begin_ms, self._books.asked_symbol(params))
            if row.ts_ms <= end_ms and order_id in (0, self._shapes.order_id(row))
        ]
        return {"fill_orders": [self._shapes.fill_of_order(row, in_coin=in_coin) for row in rows[-_MOST_FILLS:]]}

    def fills(self, params: Params) -> object:
        """Fills after one instant up to another, oldest first, by pages."""
        params.needed("startTs")
        params.needed("endTs")
        begin_ms, end_ms = self._span(params, "startTs", "endTs", LONGEST_SPAN_MS)
        symbol = self._books.asked_symbol(params)
        begin_ms = max(begin_ms, self._exchange.now_ms() - LONGEST_SPAN_MS)
        order_id, last_fill = params.integer("orderId", 0), params.integer("lastFillId", 0)
        size, page = _limited(params, "pageSize", _PAGE, _LARGEST_PAGE), max(params.integer("pageIndex", 1), 1)
        rows = [
            shape
            for row in self._exchange.trades(begin_ms + 1, symbol)
            if row.ts_ms <= end_ms and order_id in (0, self._shapes.order_id(row))
            if int(str((shape := self._shapes.fill(row))["tradeId"])) > last_fill
        ]
        return {"fill_history_orders": rows[(page - 1) * size : page * size], "total": len(rows)}


def _lives_on(view: View) -> bool:
    """A conditional whose child still trades is not over."""
    return view.is_waiting and has_triggered(view.order) and view.order.status.is_open


def _limited(params: Params, name: str, default: int, most: int) -> int:
    count = params.integer(name, default)
    if not 1 <= count <= most:
        raise Refused(INVALID, f"Invalid parameters, err: {name}: {count} must be between 1 and {most}")
    return count


def _rows(params: Params, name: str) -> list[object]:
    """A JSON list; Refused where it is none."""
    try:
        rows: object = json.loads(params.needed(name), parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise Refused(INVALID, f"Invalid parameters, err: {name} is not JSON") from error
    if not isinstance(rows, list):
        raise Refused(INVALID, f"Invalid parameters, err: {name} is no list")
    return rows


def _word(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}" if abs(value.adjusted()) < _DIGITS else str(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
