"""The user stream: its key, and what it says of what happens.

What belongs here: the listen key's life, which events a happening makes and in which order. What does not: sockets
(streams), what events look like (shapes).
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from trading_engine.venue_servers.binance import shapes
from trading_engine.venue_servers.binance.desk import Desk, Execution, is_conditional
from trading_engine.venue_servers.binance.errors import ApiError
from trading_engine.venue_servers.binance.params import Params
from trading_engine.venue_servers.binance.shapes import Json
from trading_engine.venues.embedded.account import ExchangeOrder
from trading_engine.venues.embedded.matching import IncomeRow, TradeRow

_KEY_LIVES_MS = 3_600_000
_FIRST = "TRADE_LITE"  # of what one request causes, this is told before all else

Send = Callable[[str, str, Json], None]


class UserStream:
    """One account's stream. `send` takes a listen key, the name of an event and the event."""

    def __init__(self, desk: Desk, send: Send, ended: Callable[[str], None]) -> None:
        self._desk = desk
        self._exchange = desk.exchange
        self._send = send
        self._ended = ended
        self._held: list[tuple[str, Json]] | None = None
        self._expires_ms = 0
        self.key = ""

    # ── the key ─────────────────────────────────────────────────────────────

    def start(self, _: Params) -> Json:
        """POST listenKey: the key there is, or a new one; lives for an hour from now."""
        self.key = self.key or secrets.token_hex(32)
        self._expires_ms = self._exchange.now_ms() + _KEY_LIVES_MS
        return {"listenKey": self.key}

    def keep(self, _: Params) -> Json:
        """PUT listenKey."""
        if not self.key:
            raise ApiError(-1125)
        self._expires_ms = self._exchange.now_ms() + _KEY_LIVES_MS
        return {"listenKey": self.key}

    def end(self, _: Params) -> Json:
        """DELETE listenKey: every connection on it is closed."""
        if not self.key:
            raise ApiError(-1125)
        ended, self.key = self.key, ""
        self._ended(ended)
        return {}

    def elapse(self, now_ms: int) -> None:
        """A key that nobody has kept is void: it is said once, and its connections stay open and silent."""
        if now_ms >= self._expires_ms:
            self.expire(now_ms)

    def expire(self, now_ms: int) -> None:
        """The key's end, whatever its hour."""
        if self.key:
            expired, self.key = self.key, ""
            event = {"e": "listenKeyExpired", "E": now_ms, "listenKey": expired}
            self._send(expired, "listenKeyExpired", event)

    # ── telling ─────────────────────────────────────────────────────────────

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep what happens until the end: the venue tells of an execution in short before it tells of its order."""
        self._held = []
        try:
            yield
        finally:
            events, self._held = self._held, None
            for name, event in sorted(events, key=lambda event: event[0] != _FIRST):
                self._emit(name, event)

    def _emit(self, name: str, event: Json) -> None:
        if self._held is not None:
            self._held.append((name, event))
        elif self.key:
            self._send(self.key, name, event)

    def _tell(self, name: str, ts_ms: int, body: Json) -> None:
        now_ms = self._exchange.now_ms()
        self._emit(name, {"e": name, "E": now_ms, "T": ts_ms, **body})

    # ── what happens ────────────────────────────────────────────────────────

    def on_order(self, order: ExchangeOrder) -> None:
        """An order was taken, or has ended without a last execution."""
        desk, at_ms = self._desk, max(order.updated_ms, order.created_ms)
        if is_conditional(order) and (order.status.is_open or not desk.is_plain(order)):
            status = desk.algo_status(order)
            if status == "REJECTED":
                self._tell("ALGO_UPDATE", at_ms, {"o": shapes.algo_event(desk, order, "TRIGGERING")})
            self._tell("ALGO_UPDATE", at_ms, {"o": shapes.algo_event(desk, order, status)})
            return
        status = desk.status(order)
        if status == "FILLED":
            return  # cut to the position: its last execution has told so
        kind = "NEW" if order.status.is_open else status
        self._tell("ORDER_TRADE_UPDATE", at_ms, {"o": shapes.order_event(desk, order, kind)})
        self._finish(order, at_ms)

    def on_trade(self, row: TradeRow) -> Execution:
        """An execution, and the trigger that it is the first sign of."""
        desk = self._desk
        order = self._exchange.order(number=row.order_number) if row.order_number else None
        is_first = order is not None and is_conditional(order) and not desk.has_triggered(order)
        execution = desk.book(row)
        at_ms = execution.ts_ms
        if order is not None and is_first:
            self._tell_trigger(order)
        self._tell("TRADE_LITE", at_ms, shapes.lite_event(desk, execution))
        if order is not None and is_first:
            self._tell("ORDER_TRADE_UPDATE", at_ms, {"o": shapes.born_event(desk, order)})
        position = self._exchange.account.positions[row.symbol]
        self._tell("ACCOUNT_UPDATE", at_ms, {"a": shapes.account_event(desk, "ORDER", position)})
        if order is None:
            self._tell("ORDER_TRADE_UPDATE", at_ms, {"o": shapes.liquidation_event(desk, execution)})
        else:
            self._tell("ORDER_TRADE_UPDATE", at_ms, {"o": shapes.order_event(desk, order, "TRADE", execution)})
            self._finish(order, at_ms)
        return execution

    def on_income(self, income: IncomeRow) -> None:
        """Funding, or a transfer."""
        reason = "FUNDING_FEE" if income.kind == "funding" else "DEPOSIT"
        position = self._exchange.account.positions.get(income.symbol)
        event = shapes.account_event(self._desk, reason, position, income)
        self._tell("ACCOUNT_UPDATE", income.ts_ms, {"a": event})

    def on_tick(self) -> None:
        """Conditional orders that have triggered and found nothing to trade with are told of now."""
        for order in tuple(self._exchange.account.orders.values()):
            is_new = is_conditional(order) and not self._desk.is_resting(order) and not self._desk.has_triggered(order)
            if is_new:
                self._desk.trigger(order, self._exchange.now_ms())
                self._tell_trigger(order)
                event = shapes.born_event(self._desk, order)
                self._tell("ORDER_TRADE_UPDATE", self._desk.trigger_ms(order), {"o": event})

    def on_leverage(self, symbol: str, leverage: int) -> None:
        """The leverage of a symbol was changed."""
        now_ms = self._exchange.now_ms()
        self._tell("ACCOUNT_CONFIG_UPDATE", now_ms, {"ac": {"s": symbol, "l": leverage}})

    def _tell_trigger(self, order: ExchangeOrder) -> None:
        at_ms = self._desk.trigger_ms(order)
        for status in ("TRIGGERING", "TRIGGERED"):
            self._tell("ALGO_UPDATE", at_ms, {"o": shapes.algo_event(self._desk, order, status)})

    def _finish(self, order: ExchangeOrder, at_ms: int) -> None:
        """A conditional order is finished when its plain order has ended."""
        if is_conditional(order) and not order.status.is_open:
            self._tell("ALGO_UPDATE", at_ms, {"o": shapes.algo_event(self._desk, order, "FINISHED")})
