"""Orders: sent, confirmed, cancelled, looked up, listed.

What belongs here: the bodies of orders, the check of their precision, and finding orders again. What does not: what
they do to a position, executions (executions).

The venue acknowledges an order before it has looked at it, and may refuse it a moment later. An order counts as
accepted when it was seen at the venue, by the stream or by a query; until then nothing is proven.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

from trading_engine.domain import money
from trading_engine.domain.errors import VenueUnavailable
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Side
from trading_engine.domain.order_type import OrderType, TimeInForce
from trading_engine.domain.orders import OrderReport, OrderRequest, OrderState, TradeSide
from trading_engine.domain.reports import Accepted, Outcome, Rejected, Unknown
from trading_engine.ports import PositionMode
from trading_engine.venues.wire.outcome import Meaning
from trading_engine.venues.wire.settings import AccountSettings
from trading_engine.venues.zoomex import codec, facts, shapes
from trading_engine.venues.zoomex.errors import Told
from trading_engine.venues.zoomex.rest import Declined, Query, Rest, Written
from trading_engine.venues.zoomex.seen import Seen

_CLIENT_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")
_SIDES = {TradeSide.BUY: "Buy", TradeSide.SELL: "Sell"}
_FORCES = {TimeInForce.GTC: "GTC", TimeInForce.IOC: "IOC", TimeInForce.POST_ONLY: "PostOnly"}
_TRIGGERS = {"last": "LastPrice", "mark": "MarkPrice"}
_CONFIRM_PAUSES_MS = (100, 150, 300, 600)
_CANCEL_PAUSES_MS = (100, 300, 600)
_CONDITIONAL = (OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET)
_FILTERS: tuple[Query, ...] = (
    (("orderFilter", "StopOrder"),),
    (),
)  # in this order: a triggered stop moves to the other


def check(request: OrderRequest, instrument: Instrument) -> None:
    """ValueError, with the reason, for a request that the venue would refuse for its numbers."""
    instrument.quantity_to_steps(request.quantity)
    if request.quantity < instrument.min_quantity:
        raise ValueError(f"{request.quantity} is below the smallest order of {instrument.min_quantity}")
    if request.quantity > instrument.max_quantity:
        raise ValueError(f"{request.quantity} is above the largest order of {instrument.max_quantity}")
    price = _price_of(request)
    if price is None:
        return
    if price <= 0:
        raise ValueError(f"{price} is no price")
    instrument.price_to_ticks(price)
    if not request.reduce_only and price * request.quantity < instrument.min_notional:
        raise ValueError(f"{price * request.quantity} is below the smallest notional of {instrument.min_notional}")


def _price_of(request: OrderRequest) -> Decimal | None:
    """The price that a type needs; None for a market order, ValueError where it is missing."""
    if request.type is OrderType.MARKET:
        return None
    price = request.price if request.type is OrderType.LIMIT else request.trigger_price
    if price is None:
        raise ValueError(f"a {request.type} order needs a price")
    return price


def body_of(request: OrderRequest, mode: PositionMode, trigger_by: str) -> dict[str, object]:
    """The body of an order in the venue's words. `trigger_by` is "last" or "mark"."""
    body: dict[str, object] = {
        "category": facts.CATEGORY,
        "symbol": request.symbol,
        "side": _SIDES[request.side],
        "orderType": "Limit" if request.type is OrderType.LIMIT else "Market",
        "qty": money.text(request.quantity),
    }
    if request.type is OrderType.LIMIT and request.price is not None:
        body["price"] = money.text(request.price)
        body["timeInForce"] = _FORCES[request.time_in_force]
    else:
        body["timeInForce"] = "IOC"  # a market order is always one
    if request.type in _CONDITIONAL and request.trigger_price is not None:
        rises = codec.stop_direction(request.side)
        body["triggerPrice"] = money.text(request.trigger_price)
        body["triggerDirection"] = rises if request.type is OrderType.STOP_MARKET else 3 - rises
        body["triggerBy"] = _TRIGGERS[trigger_by]
    body["positionIdx"] = position_index(request.position_side, mode)
    body["reduceOnly"] = request.reduce_only
    body["orderLinkId"] = request.client_order_id
    return body


def position_index(side: Side, mode: PositionMode) -> int:
    """Names the position an order belongs to, not the order's own side."""
    if mode is PositionMode.ONE_WAY:
        return 0
    return 1 if side is Side.LONG else 2


class Orders:
    """The orders of one account. `mode` and `instruments` are kept up to date by the venue."""

    def __init__(self, rest: Rest, settings: AccountSettings, seen: Seen) -> None:
        self._rest = rest
        self._settings = settings
        self._seen = seen
        self.mode = settings.position_mode
        self.instruments: Mapping[str, Instrument] = {}
        self.is_streaming = False
        self._waiting: dict[str, asyncio.Future[OrderReport]] = {}

    # ── sending ─────────────────────────────────────────────────────────────

    async def submit(self, request: OrderRequest) -> Outcome:
        """Send once; the verdict comes with the sight of the order. Never raises but for a cancellation."""
        instrument = self.instruments.get(request.symbol)
        if instrument is None:
            return Rejected("symbol", f"the facts of {request.symbol} were not read from {facts.NAME}")
        if not _CLIENT_ID.fullmatch(request.client_order_id):
            return Rejected("client_order_id", "a client order id has 1 to 36 letters, digits, dashes or underscores")
        try:
            check(request, instrument)
        except (ValueError, ArithmeticError) as error:
            return Rejected("precision", str(error))
        # Registered before the first byte: the stream may tell of the order before the acknowledgement is here.
        heard: asyncio.Future[OrderReport] = asyncio.get_running_loop().create_future()
        self._waiting[request.client_order_id] = heard
        try:
            body = body_of(request, self.mode, self._settings.trigger_by)
            written = await self._rest.write(facts.CREATE, body, is_protective=request.reduce_only)
            if not isinstance(written, Told):
                return written
            try:
                ids = shapes.decode(written.result, shapes.Ids)
            except shapes.Unreadable as error:
                return Unknown(str(error))
            self._seen.learn(ids.order_id, request.client_order_id)
            return await self._confirmed(request, ids.order_id, written.time_ms, heard)
        finally:
            self._waiting.pop(request.client_order_id, None)

    def notice(self, report: OrderReport) -> None:
        """The stream tells about an order: who waits for it is told, unless it proves nothing yet."""
        heard = self._waiting.get(report.client_order_id)
        if heard is not None and not heard.done() and _is_proof(report):
            heard.set_result(report)

    async def _confirmed(
        self, request: OrderRequest, venue_order_id: str, ts_ms: int, heard: asyncio.Future[OrderReport]
    ) -> Outcome:
        """What became of an acknowledged order within a moment, by the stream or by asking."""
        for pause_ms in _CONFIRM_PAUSES_MS:
            seen = await self._sight(request, pause_ms, heard)
            if seen is None:
                continue
            if seen.state is OrderState.REJECTED:
                return Rejected("rejected", seen.reason or "refused after it was taken, without a reason")
            if seen.state in (OrderState.CANCELED, OrderState.EXPIRED) and not seen.filled:
                return Accepted(seen)
            return Accepted(_acknowledged(request, venue_order_id or seen.venue_order_id, seen.ts_ms or ts_ms))
        return Unknown(f"{facts.NAME} took the request as {venue_order_id}, but does not show the order yet")

    async def _sight(
        self, request: OrderRequest, pause_ms: int, heard: asyncio.Future[OrderReport]
    ) -> OrderReport | None:
        """The order as the stream told it within a pause, or as a query shows it now; None for no proof."""
        first = pause_ms == _CONFIRM_PAUSES_MS[0]
        if self.is_streaming or not first:  # without a stream the first question needs no pause
            await asyncio.wait((heard,), timeout=pause_ms / 1000)
        if heard.done():
            return heard.result()
        try:
            filters = _FILTERS if request.type in _CONDITIONAL else _FILTERS[-1:]
            found = await self._find(facts.REALTIME, request.symbol, request.client_order_id, filters)
        except VenueUnavailable:
            return None
        return found if found is not None and _is_proof(found) else None

    async def cancel(self, symbol: str, client_order_id: str, venue_order_id: str) -> Outcome:
        """Ask for a cancel, by our id where there is one. Accepted only says that the request was taken."""
        name = ("orderLinkId", client_order_id) if client_order_id else ("orderId", venue_order_id)
        body = {"category": facts.CATEGORY, "symbol": symbol, name[0]: name[1]}
        written = await self._rest.write(facts.CANCEL, body, is_protective=True)
        if not isinstance(written, Told):
            return written
        try:
            ids = shapes.decode(written.result, shapes.Ids)
        except shapes.Unreadable as error:
            return Unknown(str(error))
        # UNKNOWN adds nothing to what is known: neither that it stands nor that it has ended.
        report = OrderReport(client_order_id, ids.order_id, symbol, OrderState.UNKNOWN, money.ZERO, written.time_ms)
        return Accepted(report)

    async def cancel_all(self, symbol: str) -> list[OrderReport]:
        """Cancel everything on a symbol, stops included, and list what is left. Raises where the list fails.

        Whether a cancel was taken is not asked: the list tells.
        """
        left: list[OrderReport] = []
        for pause_ms in _CANCEL_PAUSES_MS:
            body = {"category": facts.CATEGORY, "symbol": symbol}
            written: Written = await self._rest.write(facts.CANCEL_ALL, body, is_protective=True)
            left = await self.open_orders((("symbol", symbol),))
            if not left:
                return left
            if isinstance(written, Rejected):
                break
            await asyncio.sleep(pause_ms / 1000)
        return left and await self.open_orders((("symbol", symbol),))

    # ── finding ─────────────────────────────────────────────────────────────

    async def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """The order with this client id: among open and recent ones first, then in the history, stops included.

        None only when every listing was read and shows none. Raises VenueUnavailable.
        """
        for path in (facts.REALTIME, facts.HISTORY):
            found = await self._find(path, symbol, client_order_id, _FILTERS)
            if found is not None:
                return found
        return None

    async def _find(self, path: str, symbol: str, client_order_id: str, filters: Sequence[Query]) -> OrderReport | None:
        query = (("category", facts.CATEGORY), ("symbol", symbol), ("orderLinkId", client_order_id))
        for more in filters:
            rows = await self._rows(path, (*query, *more))
            reports = [self._seen.report(row) for row in rows if row.order_link_id == client_order_id]
            if reports:  # a triggered stop may show with its child: the one that tells most
                return max(reports, key=lambda item: (item.filled, item.state.is_terminal, item.ts_ms))
        return None

    async def by_venue_id(self, symbol: str, venue_order_id: str) -> str | None:
        """The client id of an order of the venue, empty where it has none, None where no listing shows it."""
        known = self._seen.client_order_id(venue_order_id)
        if known is not None:
            return known
        query = (("category", facts.CATEGORY), ("symbol", symbol), ("orderId", venue_order_id))
        for path, more in ((path, more) for path in (facts.REALTIME, facts.HISTORY) for more in reversed(_FILTERS)):
            for row in await self._rows(path, (*query, *more)):
                self._seen.report(row)
                if row.order_id == venue_order_id:
                    self._seen.learn(row.order_id, row.order_link_id or "")
                    return row.order_link_id or ""
        return None

    async def open_orders(self, scope: Query = ()) -> list[OrderReport]:
        """Every open order of the account, or of one symbol, in every order space. Raises VenueUnavailable."""
        base = (("category", facts.CATEGORY), *(scope or (("settleCoin", self._settings.asset),)), ("openOnly", 0))
        found: dict[str, OrderReport] = {}
        for more in _FILTERS:
            for row in await self._rest.rows(facts.REALTIME, (*base, *more), facts.ORDERS_PER_PAGE, shapes.OrderRow):
                found[row.order_id] = self._seen.report(row)
        return [report for report in found.values() if not report.state.is_terminal]

    async def _rows(self, path: str, query: Query) -> Sequence[shapes.OrderRow]:
        """Rows of one order; "no such order" is an empty listing."""
        try:
            return await self._rest.rows(path, query, facts.ORDERS_PER_PAGE, shapes.OrderRow)
        except Declined as error:
            if error.meaning is Meaning.NOT_FOUND:
                return ()
            raise


def _is_proof(report: OrderReport) -> bool:
    """It shows that the order stands, or how it ended."""
    return not report.state.is_unresolved


def _acknowledged(request: OrderRequest, venue_order_id: str, ts_ms: int) -> OrderReport:
    """An acknowledgement carries no fill, whatever was seen: fills come by themselves."""
    return OrderReport(
        client_order_id=request.client_order_id,
        venue_order_id=venue_order_id,
        symbol=request.symbol,
        state=OrderState.ACKED,
        filled=money.ZERO,
        ts_ms=ts_ms,
        side=request.side,
        type=request.type,
        quantity=request.quantity,
        price=request.price,
        trigger_price=request.trigger_price,
        reduce_only=request.reduce_only,
    )
