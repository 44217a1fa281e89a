"""A venue whose every answer a test can write, and which otherwise keeps orders as a venue does.

What belongs here: orders, fills and incomes in memory, scripted outcomes, reads that fail, calls that wait.
What does not: matching; a test says what fills, and at which price.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from trading_engine.domain.errors import VenueUnavailable
from trading_engine.domain.events import FillSeen, OrderReported
from trading_engine.domain.fills import Fill, Income, PnlKind
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Side
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import OrderReport, OrderRequest, OrderState
from trading_engine.domain.reports import Accepted, Balance, Outcome, Rejected, Unknown, VenuePosition
from trading_engine.ports import Capabilities, VenueEvent, VenueSink

Answer = Outcome | Exception


class ScriptedVenue:
    """Accepts what it is sent and fills what it is told to, unless the script has another answer.

    submits     answers to the next submits, taken in order; an exception is raised
    cancels     likewise for cancels
    failing     names of reads that fail, with the exception they raise
    gates       client order id, or name of a read → event that a submit, a cancel or the read waits for
    calls       (method, client order id or empty) of every call, in the order in which they began
    """

    name = "scripted"
    account = "test"
    capabilities = Capabilities(
        order_types=frozenset(OrderType),
        has_hedge_mode=False,
        has_attached_stops=False,
        can_amend_stop=False,
        separate_stop_space=False,
        absence_is_proof=False,
        visibility_delay_ms=0,
    )

    def __init__(self, instruments: Sequence[Instrument], deposit: Decimal, now_ms: int) -> None:
        self.now_ms = now_ms
        self.submits: deque[Answer] = deque()
        self.cancels: deque[Answer] = deque()
        self.failing: dict[str, Exception] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.calls: list[tuple[str, str]] = []
        self.requests: list[OrderRequest] = []
        self.held: list[VenuePosition] = []
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self._orders: dict[str, OrderReport] = {}
        self._fills: list[Fill] = []
        self._incomes = [self._income("opening", PnlKind.TRANSFER, deposit)]
        self._sinks: list[VenueSink] = []

    # ── what a test does ────────────────────────────────────────────────────

    def fill_market_orders(self, symbol: str, price: Decimal) -> None:
        """Fill every open market order on a symbol whole."""
        for report in list(self._orders.values()):
            is_open = report.state is OrderState.ACKED
            if is_open and report.symbol == symbol and report.type is OrderType.MARKET:
                self.fill(report.client_order_id, report.quantity, price)

    def fill(self, client_order_id: str, quantity: Decimal, price: Decimal) -> Fill:
        """Fill a part of an open order and tell the subscribers."""
        order = self._orders[client_order_id]
        filled = order.filled + quantity
        state = OrderState.FILLED if filled == order.quantity else OrderState.PARTIAL
        self._orders[client_order_id] = replace(order, state=state, filled=filled, ts_ms=self.now_ms)
        fill = Fill(
            venue=self.name,
            account=self.account,
            trade_id=str(len(self._fills) + 1),
            client_order_id=client_order_id,
            venue_order_id=order.venue_order_id,
            symbol=order.symbol,
            side=order.side,
            quantity=quantity,
            price=price,
            fee=Decimal(0),
            fee_asset="USDT",
            ts_ms=self.now_ms,
        )
        self._fills.append(fill)
        self._tell(FillSeen(self.now_ms, fill))
        self._tell(OrderReported(self.now_ms, self._orders[client_order_id]))
        return fill

    def hold(self, symbol: str, side: Side, quantity: Decimal, price: Decimal) -> None:
        """Show a position."""
        self.held.append(VenuePosition(symbol, side, quantity, price, price, None, Decimal(1)))

    def _tell(self, event: VenueEvent) -> None:
        for sink in self._sinks:
            sink(event)

    def _income(self, income_id: str, kind: PnlKind, amount: Decimal) -> Income:
        return Income(self.name, self.account, income_id, kind, "", amount, "USDT", self.now_ms)

    # ── the port ────────────────────────────────────────────────────────────

    def subscribe(self, sink: VenueSink) -> None:
        """Tell `sink` of every fill."""
        self._sinks.append(sink)

    async def renew_stream(self, why: str) -> None:
        """Note that it was asked for."""
        self.calls.append(("renew_stream", why))

    async def submit(self, request: OrderRequest) -> Outcome:
        """The next scripted answer, else acceptance."""
        self.calls.append(("submit", request.client_order_id))
        self.requests.append(request)
        await self._pass_gate(request.client_order_id)
        if self.submits:
            return _give(self.submits.popleft())
        if request.symbol not in self._instruments:
            return Rejected("symbol", f"{request.symbol} is not listed")
        if request.client_order_id in self._orders:
            return Unknown("client order id was used before")
        report = OrderReport(
            client_order_id=request.client_order_id,
            venue_order_id=f"v{len(self._orders) + 1}",
            symbol=request.symbol,
            state=OrderState.ACKED,
            filled=Decimal(0),
            ts_ms=self.now_ms,
            side=request.side,
            type=request.type,
            quantity=request.quantity,
            price=request.price,
            trigger_price=request.trigger_price,
            reduce_only=request.reduce_only,
        )
        self._orders[request.client_order_id] = report
        return Accepted(report)

    async def cancel(self, symbol: str, client_order_id: str, venue_order_id: str) -> Outcome:
        """The next scripted answer, else the end of an open order."""
        del symbol, venue_order_id
        self.calls.append(("cancel", client_order_id))
        await self._pass_gate(client_order_id)
        if self.cancels:
            return _give(self.cancels.popleft())
        order = self._orders.get(client_order_id)
        if order is None or order.state.is_terminal:
            return Rejected("not_open", f"{client_order_id} is not open")
        self._orders[client_order_id] = replace(order, state=OrderState.CANCELED, ts_ms=self.now_ms)
        return Accepted(self._orders[client_order_id])

    async def _pass_gate(self, name: str) -> None:
        gate = self.gates.get(name)
        if gate is not None:
            await gate.wait()

    async def _read(self, name: str, client_order_id: str = "") -> None:
        self.calls.append((name, client_order_id))
        await self._pass_gate(name)
        if name in self.failing:
            raise self.failing[name]

    def fail(self, *names: str) -> None:
        """Let reads fail as they do when nothing is learned."""
        self.failing.update({name: VenueUnavailable(f"{name} timed out") for name in names})

    async def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """The order in any state."""
        del symbol
        await self._read("order", client_order_id)
        return self._orders.get(client_order_id)

    async def open_orders(self) -> Sequence[OrderReport]:
        """Every open order."""
        await self._read("open_orders")
        return [order for order in self._orders.values() if not order.state.is_terminal]

    async def fills_since(self, since_ms: int) -> Sequence[Fill]:
        """Fills at or after an instant."""
        await self._read("fills_since", str(since_ms))
        return [fill for fill in self._fills if fill.ts_ms >= since_ms]

    async def incomes_since(self, since_ms: int) -> Sequence[Income]:
        """The deposit."""
        await self._read("incomes_since", str(since_ms))
        return [income for income in self._incomes if income.ts_ms >= since_ms]

    async def positions(self) -> Sequence[VenuePosition]:
        """What the test says is held."""
        await self._read("positions")
        return list(self.held)

    async def balance(self) -> Balance:
        """The deposit."""
        await self._read("balance")
        wallet = sum((income.amount for income in self._incomes), Decimal(0))
        return Balance("USDT", wallet, wallet)

    async def instruments(self) -> Sequence[Instrument]:
        """The configured instruments."""
        await self._read("instruments")
        return list(self._instruments.values())

    async def set_leverage(self, symbol: str, leverage: Decimal) -> Outcome:
        """Any leverage of a listed symbol."""
        del leverage
        if symbol not in self._instruments:
            return Rejected("symbol", f"{symbol} is not listed")
        return Accepted(OrderReport("", "", symbol, OrderState.ACKED, Decimal(0), self.now_ms))


def _give(answer: Answer) -> Outcome:
    if isinstance(answer, Exception):
        raise answer
    return answer
