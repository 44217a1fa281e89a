"""Zoomex V3 as a `VenueProtocol`: which endpoint, in which envelope, and who is told what happens.

What belongs here: routing, the order of the checks, the account's events. What does not: any endpoint or topic.
"""

from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

import msgspec

from trading_engine.venue_servers.exchange import NOT_AT_ONCE, Happening, LocalExchange, Ticked
from trading_engine.venue_servers.web import Answer, Call, Connection
from trading_engine.venue_servers.zoomex.account import AccountDesk
from trading_engine.venue_servers.zoomex.gate import Gate
from trading_engine.venue_servers.zoomex.ledger import Ledger
from trading_engine.venue_servers.zoomex.market import Market
from trading_engine.venue_servers.zoomex.orders import Orders
from trading_engine.venue_servers.zoomex.public import Public
from trading_engine.venue_servers.zoomex.rows import CONDITIONAL, Rows
from trading_engine.venue_servers.zoomex.streams import (
    PRIVATE_PATH,
    PUBLIC_PATH,
    PrivateSession,
    PublicSession,
)
from trading_engine.venue_servers.zoomex.words import (
    PREFIX,
    AccountKind,
    Json,
    Params,
    Plain,
    Refused,
    envelope,
)
from trading_engine.venues.embedded.account import ExchangeOrder
from trading_engine.venues.embedded.matching import IncomeRow, TradeRow
from trading_engine.venues.wire.secrets import Credentials

Endpoint = Callable[[Params], Json]

_TEXT = "text/plain"
_NOT_FOUND = Answer(b"404 page not found", 404, content_type=_TEXT)


class ZoomexProtocol:
    """One account at a local Zoomex.

    kind                unified (the wallet is asked for as UNIFIED) or classic (CONTRACT)
    per_second          calls of one private endpoint in a second
    per_address         calls of one address in five seconds
    idle_s              real seconds of the server's silence after which a public websocket is closed, 0 for never
    history_lag_ms      how late a closed order appears in the history
    with_undocumented   serve the transaction log and the key's information, which Zoomex's public pages do not have
    """

    name = "zoomex"

    def __init__(
        self,
        exchange: LocalExchange,
        credentials: Credentials,
        *,
        kind: AccountKind = AccountKind.UNIFIED,
        per_second: int = 10,
        per_address: int = 600,
        idle_s: float = 10.0,
        history_lag_ms: int = 0,
        with_undocumented: bool = True,
    ) -> None:
        self.exchange = exchange
        self._gate = Gate(credentials, per_second, per_address)
        self._ledger = Ledger.of(exchange)
        self._rows = Rows(exchange, self._ledger, kind)
        self._market = Market(exchange)
        self._orders = Orders(exchange, self._rows, kind, history_lag_ms)
        self._desk = AccountDesk(
            exchange, self._rows, self._ledger, kind, credentials.key, with_undocumented=with_undocumented
        )
        self._public: Mapping[str, Endpoint] = Public(exchange, self._market).endpoints
        self._private: Mapping[tuple[str, str], Endpoint] = {**self._orders.endpoints, **self._desk.endpoints}
        self._idle_s = idle_s
        self._listeners: set[PrivateSession] = set()
        self._watchers: set[PublicSession] = set()
        self._sessions = 0
        exchange.subscribe(self._hear)

    # ── calls ───────────────────────────────────────────────────────────────

    def answer(self, call: Call) -> Answer:
        """Carry a call out and answer it."""
        now_ms = self.exchange.now_ms()
        try:
            self._gate.admit_address(call.peer, now_ms)
            if not call.path.startswith(PREFIX):
                return _NOT_FOUND
            if call.method == "GET" and call.body:
                raise Plain(403, "Forbidden: GET with a body")
            return self._route(call, call.path.removeprefix(PREFIX), now_ms)
        except Plain as plain:
            return Answer(plain.text.encode(), plain.status, content_type=_TEXT)
        except Refused as refused:
            return Answer(envelope(now_ms, None, refused.code, refused.text))

    def _route(self, call: Call, path: str, now_ms: int) -> Answer:
        public, private = self._public.get(path), self._private.get((call.method, path))
        if public is not None and call.method == "GET":
            return Answer(envelope(now_ms, public(Params(_query(call)))))
        if private is not None:
            return self._answer_signed(call, path, private, now_ms)
        if public is not None or any(path == known for _, known in self._private):
            raise Plain(400, "Bad request")
        return _NOT_FOUND

    def _answer_signed(self, call: Call, path: str, endpoint: Endpoint, now_ms: int) -> Answer:
        """Who calls, how often, and only then what for."""
        self._gate.authenticate(call, now_ms)
        is_within, headers = self._gate.admit_call(path, now_ms)
        if not is_within:
            return Answer(envelope(now_ms, {}, 10006, "Too many visits!"), headers=headers)
        try:
            params = Params(_query(call) if call.method == "GET" else _body(call))
            return Answer(envelope(now_ms, endpoint(params)), headers=headers)
        except Refused as refused:
            return Answer(envelope(now_ms, None, refused.code, refused.text), headers=headers)

    # ── websockets ──────────────────────────────────────────────────────────

    async def converse(self, connection: Connection) -> None:
        """Serve one websocket until it is closed; a path that is none is closed at once."""
        self._sessions += 1
        if connection.path == PUBLIC_PATH:
            watcher = PublicSession(connection, self._sessions, self.exchange, self._market, self._idle_s)
            self._watchers.add(watcher)
            try:
                await watcher.serve()
            finally:
                self._watchers.discard(watcher)
        elif connection.path == PRIVATE_PATH:
            listener = PrivateSession(connection, self._sessions, self._gate, self.exchange.now_ms)
            self._listeners.add(listener)
            try:
                await listener.serve()
            finally:
                self._listeners.discard(listener)
        else:
            await connection.close()

    def expire_keys(self) -> None:
        """There are no listen keys here: whoever has signed in is shown out, and must sign in anew."""
        for listener in tuple(self._listeners):
            listener.leave()

    # ── what happens ────────────────────────────────────────────────────────

    def _hear(self, happening: Happening) -> None:
        if isinstance(happening, Ticked):
            trade = self._market.hear(happening)
            for watcher in tuple(self._watchers):
                watcher.hear(happening, trade)
        elif isinstance(happening, TradeRow):
            self._hear_trade(happening)
        elif isinstance(happening, IncomeRow):
            self._hear_income(happening)
        else:
            self._hear_order(happening)

    def _hear_order(self, order: ExchangeOrder) -> None:
        """An order has come, was changed, or has gone: its margin moves with it."""
        if not order.status.is_open:
            self._orders.hear_closed(order)
        self._tell("order", {"category": "linear", **self._rows.order(order)})
        self._tell_account(order.symbol)

    def _hear_trade(self, row: TradeRow) -> None:
        if row.is_liquidation:
            for watcher in tuple(self._watchers):
                watcher.hear_liquidation(row)
        order = self.exchange.order(number=row.order_number)
        execution = self._ledger.book(row, self.exchange)
        if order is not None and order.kind in CONDITIONAL and order.filled == row.steps:
            self._tell_triggered(order)
        link = self._rows.link_id(row.client_order_id)
        self._tell("execution", {"category": "linear", **self._rows.execution(execution), "orderLinkId": link})
        if order is not None:
            if not order.status.is_open:
                self._orders.hear_closed(order)
            self._tell("order", {"category": "linear", **self._rows.order(order)})
        self._tell_account(row.symbol)
        if order is not None and order.kind in CONDITIONAL and order.status.is_open:
            self.exchange.cancel(order, NOT_AT_ONCE)  # what a triggered market order finds no volume for goes

    def _tell_triggered(self, order: ExchangeOrder) -> None:
        """The state between waiting and trading, which the exchange passes through without a word."""
        whole = self._rows.order(order)
        before = {"orderStatus": "Triggered", "leavesQty": whole["qty"], "cumExecQty": "0", "cumExecValue": "0"}
        unfilled = {"cumExecFee": "0", "avgPrice": ""}
        self._tell("order", {"category": "linear", **whole, **before, **unfilled})

    def _hear_income(self, income: IncomeRow) -> None:
        self._ledger.receive(income)
        if income.kind == "funding":
            self._tell("execution", {"category": "linear", **self._rows.funding(income), "orderLinkId": ""})
            self._tell_account(income.symbol)

    def _tell_account(self, symbol: str) -> None:
        if not self._listeners:
            return
        row = self._rows.position(symbol)
        row["entryPrice"] = row.pop("avgPrice")
        self._tell("position", {"category": "linear", **row})
        self._tell("wallet", self._rows.wallet())

    def _tell(self, topic: str, row: Json) -> None:
        for listener in tuple(self._listeners):
            listener.tell(topic, row)


def _query(call: Call) -> Mapping[str, object]:
    return dict(parse_qsl(call.query, keep_blank_values=True))


def _body(call: Call) -> Mapping[str, object]:
    try:
        body = msgspec.json.decode(call.body)
    except msgspec.DecodeError as error:
        raise Plain(400, "Bad request: the body is not JSON") from error
    if not isinstance(body, dict):
        raise Plain(400, "Bad request: the body is not a JSON object")
    return body
