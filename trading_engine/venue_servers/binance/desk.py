"""The exchange's orders and trades as this venue tells them apart: plain orders, conditional ones and their children.

What belongs here: ids, states and quantities of both kinds, what a client said of an order beyond what the exchange
keeps, the executions by order. What does not: JSON (shapes), requests (orders), who is told (streams).

A stop is one order at the exchange. Here it is a conditional order with an `algoId` until its trigger, and from then
on a plain market order as well, with an `orderId` of its own and the conditional order's client id.
"""

from dataclasses import dataclass
from decimal import Decimal

from trading_engine.domain import money
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.money import ZERO
from trading_engine.venue_servers.exchange import LocalExchange
from trading_engine.venues.embedded.account import ExchangeOrder, Kind, Status
from trading_engine.venues.embedded.matching import TradeRow

ORDER_IDS = 8_389_765_739_703_000_000  # beyond 2^53, as the venue's are: a client that reads a float fails
ALGO_IDS = 4_000_001_910_000_000
LIQUIDATION_IDS = 8_389_765_739_603_000_000
TRADE_IDS = 1_190_000_000
BURNED = "BNB"  # the coin in which fees are paid where that is switched on, …
_BURNED_PRICE = Decimal(600)  # … at this price …
_BURNED_SHARE = Decimal("0.9")  # … and a tenth cheaper
_UNFILLED_KEPT_MS = 3 * 86_400_000
_CLOSED_KEPT_MS = 90 * 86_400_000
_REJECTED = "nothing to reduce"  # the exchange's reason for an order that triggers without a position
_SHRUNK = "position is flat"  # its reason for ending what a reduce-only order has left


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client said of an order that changes nothing at the exchange, and is forgotten by a restart."""

    time_in_force: str = "GTC"
    working_type: str = "CONTRACT_PRICE"
    is_price_protected: bool = False
    good_till_ms: int = 0


@dataclass(frozen=True, slots=True)
class Execution:
    """A trade with the time it is shown with: never before its order, never before the trade before it."""

    row: TradeRow
    ts_ms: int

    @property
    def trade_id(self) -> int:
        """The venue's number of it."""
        return TRADE_IDS + self.row.number

    @property
    def order_id(self) -> int:
        """The plain order it belongs to; a liquidation has one that no client knows."""
        return ORDER_IDS + self.row.order_number if self.row.order_number else LIQUIDATION_IDS + self.row.number

    @property
    def client_order_id(self) -> str:
        """The order's client id, or the venue's word for a liquidation."""
        return f"autoclose-{self.ts_ms}" if self.row.is_liquidation else self.row.client_order_id


class Desk:
    """Everything a client may ask about orders."""

    def __init__(self, exchange: LocalExchange) -> None:
        self.exchange = exchange
        self.executions: list[Execution] = []
        self._by_order: dict[int, list[Execution]] = {}
        self._realized_e8: dict[str, int] = {}
        self._wishes: dict[str, Wish] = {}
        self._triggered_ms: dict[int, int] = {}
        self._made_ids = 0
        for row in exchange.trades():
            self.book(row)

    def instrument(self, order: ExchangeOrder) -> Instrument:
        """The contract of an order."""
        return self.exchange.instruments[order.symbol]

    # ── what is noted ───────────────────────────────────────────────────────

    def book(self, row: TradeRow) -> Execution:
        """Note an execution."""
        order = self.exchange.order(number=row.order_number) if row.order_number else None
        latest = self.executions[-1].ts_ms if self.executions else 0
        execution = Execution(row, max(row.ts_ms, latest, order.created_ms if order else 0))
        self.executions.append(execution)
        if order is not None:
            self._by_order.setdefault(order.number, []).append(execution)
            if is_conditional(order):
                self.trigger(order, execution.ts_ms)
        self._realized_e8[row.symbol] = self._realized_e8.get(row.symbol, 0) + row.gross_e8
        return execution

    def wish(self, client_order_id: str, wish: Wish) -> None:
        """Note what a client said of an order that is about to be submitted."""
        self._wishes[client_order_id] = wish

    def wish_of(self, order: ExchangeOrder) -> Wish:
        """What was said of it."""
        return self._wishes.get(order.client_order_id, Wish())

    def trigger(self, order: ExchangeOrder, ts_ms: int) -> bool:
        """Note that a conditional order has triggered; False where that was known."""
        if order.number in self._triggered_ms:
            return False
        self._triggered_ms[order.number] = ts_ms
        return True

    def new_id(self) -> str:
        """A client id for an order that came without one."""
        while True:
            self._made_ids += 1
            made = f"web_{self.exchange.now_ms():x}{self._made_ids:x}"
            if self.exchange.order(client_order_id=made) is None:
                return made

    # ── conditional orders ──────────────────────────────────────────────────

    def has_triggered(self, order: ExchangeOrder) -> bool:
        """Whether its trigger was noted."""
        return order.number in self._triggered_ms

    def trigger_ms(self, order: ExchangeOrder) -> int:
        """When it triggered, 0 where it has not."""
        at_ms = self._triggered_ms.get(order.number, 0)
        if not at_ms and (order.status is Status.WORKING or order.filled):
            at_ms = max(order.updated_ms, order.created_ms)
        return at_ms

    def is_resting(self, order: ExchangeOrder) -> bool:
        """A conditional order that waits for its trigger."""
        return is_conditional(order) and order.status.is_open and not self.trigger_ms(order)

    def closes_position(self, order: ExchangeOrder) -> bool:
        """Whether it was sent with `closePosition`: the exchange has it as reduce-only for as much as there may be."""
        instrument = self.instrument(order)
        most = instrument.quantity_to_steps(instrument.max_quantity)
        return is_conditional(order) and order.reduce_only and order.steps == most

    def dies_with_position(self, order: ExchangeOrder) -> bool:
        """Whether it is void once its position is closed."""
        return self.closes_position(order) or self.wish_of(order).time_in_force == "GTE_GTC"

    def algo_status(self, order: ExchangeOrder) -> str:
        """State of a conditional order."""
        if order.status is Status.EXPIRED and not order.filled and order.reason == _REJECTED:
            return "REJECTED"
        if self.trigger_ms(order):
            return "TRIGGERED" if order.status.is_open else "FINISHED"
        return "NEW" if order.status.is_open else order.status.upper()

    def algo_failure(self, order: ExchangeOrder) -> str:
        """Why a conditional order did not become a plain one, empty where it did."""
        return "ReduceOnly Order is rejected." if self.algo_status(order) == "REJECTED" else ""

    # ── plain orders ────────────────────────────────────────────────────────

    def is_plain(self, order: ExchangeOrder) -> bool:
        """Whether there is a plain order: a conditional one has it from its trigger on."""
        return not is_conditional(order) or (self.trigger_ms(order) > 0 and self.algo_status(order) != "REJECTED")

    def status(self, order: ExchangeOrder) -> str:
        """State of a plain order; a reduce-only market order that was cut to the position is filled."""
        if order.status.is_open:
            return "PARTIALLY_FILLED" if order.filled else "NEW"
        if order.status is Status.EXPIRED and self._is_cut(order):
            return "FILLED"
        return order.status.upper()

    def steps(self, order: ExchangeOrder) -> int:
        """Steps of a plain order: the venue cuts a reduce-only market order to the position."""
        if self._is_cut(order):
            return order.filled
        if order.reduce_only and order.kind is not Kind.LIMIT and order.status.is_open:
            position = self.exchange.account.positions.get(order.symbol)
            if position is not None and position.sign == -order.sign:
                return min(order.steps, order.filled + position.steps)
        return order.steps

    @staticmethod
    def _is_cut(order: ExchangeOrder) -> bool:
        return bool(order.filled) and order.kind is not Kind.LIMIT and order.reason == _SHRUNK

    def quantity(self, order: ExchangeOrder) -> Decimal:
        """Quantity of a plain order."""
        return self.instrument(order).steps_to_quantity(self.steps(order))

    def filled(self, order: ExchangeOrder) -> Decimal:
        """What it has traded."""
        return self.instrument(order).steps_to_quantity(order.filled)

    def filled_value(self, order: ExchangeOrder) -> Decimal:
        """Sum of price × quantity of what it has traded."""
        return sum((self.value(execution.row) for execution in self._by_order.get(order.number, ())), ZERO)

    def average_price(self, order: ExchangeOrder) -> Decimal:
        """Mean price of what it has traded, 0 for nothing."""
        return self.filled_value(order) / self.filled(order) if order.filled else ZERO

    def value(self, row: TradeRow) -> Decimal:
        """Price × quantity of one execution."""
        instrument = self.exchange.instruments[row.symbol]
        return instrument.ticks_to_price(row.price) * instrument.steps_to_quantity(row.steps)

    def commission(self, row: TradeRow) -> tuple[Decimal, str]:
        """The fee of an execution, and in which asset it was paid."""
        fee = money.from_e8(row.fee_e8)
        if not row.is_fee_burned:
            return fee, self.exchange.asset
        return money.ratio(fee * _BURNED_SHARE, _BURNED_PRICE), BURNED

    def realized_e8(self, symbol: str) -> int:
        """Gross PnL that a symbol has ever realised."""
        return self._realized_e8.get(symbol, 0)

    # ── finding ─────────────────────────────────────────────────────────────

    def plain_orders(self, symbol: str = "", *, only_open: bool = False) -> list[ExchangeOrder]:
        """Plain orders that can still be read, oldest first."""
        return [order for order in self.exchange.orders(symbol, only_open=only_open) if self._is_shown_plain(order)]

    def conditional_orders(self, symbol: str = "") -> list[ExchangeOrder]:
        """Conditional orders that can still be read, oldest first."""
        orders = self.exchange.orders(symbol)
        return [order for order in orders if is_conditional(order) and self._is_kept(order)]

    def resting_orders(self, symbol: str = "") -> list[ExchangeOrder]:
        """Conditional orders that wait for their trigger, oldest first."""
        return [order for order in self.exchange.orders(symbol, only_open=True) if self.is_resting(order)]

    def plain(self, symbol: str, order_id: int, client_order_id: str) -> ExchangeOrder | None:
        """A plain order by the venue's id, or where that is 0 by the client's."""
        number = order_id - ORDER_IDS
        if order_id:
            order = self.exchange.order(number=number) if number > 0 else None
        else:
            order = self.exchange.order(client_order_id=client_order_id)
        is_found = order is not None and order.symbol == symbol and self._is_shown_plain(order)
        return order if is_found else None

    def conditional(self, algo_id: int, client_algo_id: str) -> ExchangeOrder | None:
        """A conditional order by the venue's id, or where that is 0 by the client's."""
        if algo_id:
            order = self.exchange.order(number=algo_id - ALGO_IDS) if algo_id > ALGO_IDS else None
        else:
            order = self.exchange.order(client_order_id=client_algo_id)
        is_found = order is not None and is_conditional(order) and self._is_kept(order)
        return order if is_found else None

    def _is_shown_plain(self, order: ExchangeOrder) -> bool:
        return self.is_plain(order) and self._is_kept(order)

    def _is_kept(self, order: ExchangeOrder) -> bool:
        """The venue forgets orders that ended without a fill after three days, all others after ninety."""
        kept_ms = _CLOSED_KEPT_MS if order.filled else _UNFILLED_KEPT_MS
        return order.status.is_open or self.exchange.now_ms() - max(order.updated_ms, order.created_ms) <= kept_ms


def is_conditional(order: ExchangeOrder) -> bool:
    """Whether it came as a conditional order."""
    return order.kind in (Kind.STOP, Kind.TARGET)
