"""The embedded exchange behind the Venue port, in process.

What belongs here: translation between the port's values and the kernel's integers, the clockwork a driver
turns (`play`). What does not: matching (matching), durability (memory).

Nothing can be in flight in process: a reply is final, absence is proof, and calls never really wait.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from trading_engine.domain import money
from trading_engine.domain.events import FillSeen, IncomeSeen, OrderReported
from trading_engine.domain.fills import Fill, Income, PnlKind
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle, FundingRate, Side
from trading_engine.domain.order_type import OrderType, TimeInForce
from trading_engine.domain.orders import OrderReport, OrderRequest, OrderState, TradeSide
from trading_engine.domain.reports import Accepted, Balance, Outcome, Rejected, Unknown, VenuePosition
from trading_engine.ports import Capabilities, VenueEvent, VenueSink
from trading_engine.venues.embedded import facts
from trading_engine.venues.embedded.account import Account, ExchangeOrder, Kind, Progress, Status
from trading_engine.venues.embedded.matching import POINTS, Change, Happening, IncomeRow, Kernel, TradeRow
from trading_engine.venues.embedded.memory import AccountMemory
from trading_engine.venues.embedded.terms import Contract, Terms

CAPABILITIES = Capabilities(
    order_types=frozenset(OrderType),
    has_hedge_mode=False,
    has_attached_stops=False,
    can_amend_stop=False,
    separate_stop_space=False,
    absence_is_proof=facts.ABSENCE_IS_PROOF,
    visibility_delay_ms=facts.VISIBILITY_DELAY_MS,
    notes=("fills on closed candles: latency counts in whole candles, queue position is not modelled",),
)

_STATES = {
    Status.NEW: OrderState.ACKED,
    Status.WORKING: OrderState.ACKED,
    Status.FILLED: OrderState.FILLED,
    Status.CANCELED: OrderState.CANCELED,
    Status.EXPIRED: OrderState.EXPIRED,
}


class EmbeddedVenue:
    """One paper account.

    `opening_ms` dates the opening deposit of a new account; an existing memory keeps its own.
    """

    name = facts.NAME
    capabilities = CAPABILITIES

    def __init__(
        self,
        memory: AccountMemory,
        instruments: Sequence[Instrument],
        terms: Terms,
        deposit: Decimal,
        opening_ms: int,
        account: str = "paper",
    ) -> None:
        self.account = account
        self._memory = memory
        self._terms = terms
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        contracts = {symbol: Contract.of(instrument) for symbol, instrument in self._instruments.items()}
        self._asset = instruments[0].settle_asset
        loaded = memory.load()
        state = loaded or Account(progress=Progress(now_ms=opening_ms))
        self._kernel = Kernel(state, contracts, terms, self._write)
        self._sink: VenueSink | None = None
        if loaded is None:
            amount = money.to_e8(deposit)
            state.progress.wallet_e8 = amount
            opening = IncomeRow("opening", "transfer", "", amount, opening_ms)
            self._write(Change(incomes=[opening]))

    def _write(self, change: Change) -> None:
        self._memory.write(self._kernel.account, change)

    # ── the clockwork of a driver ───────────────────────────────────────────

    @property
    def progress(self) -> Progress:
        """How far the exchange has matched."""
        return self._kernel.account.progress

    @property
    def account_state(self) -> Account:
        """Everything the exchange holds now, for who judges it from outside."""
        return self._kernel.account

    def instrument(self, symbol: str) -> Instrument:
        """The facts of a symbol."""
        return self._instruments[symbol]

    def play(
        self, open_ms: int, candles: Sequence[Candle], settlements: Sequence[FundingRate], points: int = POINTS
    ) -> Iterator[VenueEvent]:
        """Match one batch of candles up to a number of points of its path, pausing after each happening."""
        for happening in self._kernel.play(open_ms, candles, settlements, points):
            yield self._event(happening)

    def settle(self, symbol: str, now_ms: int) -> Iterator[VenueEvent]:
        """Trade what can trade at the present price, for a driver whose time moves by itself."""
        for happening in self._kernel.settle(symbol, now_ms):
            yield self._event(happening)

    @property
    def kernel(self) -> Kernel:
        """The matching itself, for a server that shows more of an exchange than the port asks for."""
        return self._kernel

    def catch_up(self, open_ms: int, candles: Sequence[Candle], settlements: Sequence[FundingRate]) -> int:
        """Match candles that passed while nobody listened; how much happened. Reconciliation tells the rest."""
        return sum(1 for _ in self._kernel.play(open_ms, candles, settlements))

    def save_progress(self) -> None:
        """Make the present point durable although nothing happened: a restart has less to match again."""
        self._write(Change())

    def _event(self, happening: Happening) -> VenueEvent:
        if isinstance(happening, TradeRow):
            return FillSeen(happening.ts_ms, self._fill(happening))
        if isinstance(happening, IncomeRow):
            return IncomeSeen(happening.ts_ms, self._income(happening))
        return OrderReported(happening.updated_ms, self._report(happening))

    # ── the port ────────────────────────────────────────────────────────────

    def subscribe(self, sink: VenueSink) -> None:
        """In process the driver hands events on itself; the sink is kept for `emit`."""
        self._sink = sink

    async def renew_stream(self, why: str) -> None:
        """In process nothing stands between the exchange and its listener."""

    def emit(self, event: VenueEvent) -> None:
        """Pass an event on as a stream would."""
        if self._sink is not None:
            self._sink(event)

    async def submit(self, request: OrderRequest) -> Outcome:
        """Accept or refuse at once; an id that was used before is neither: it must be looked up."""
        if request.symbol not in self._instruments:
            return _unlisted(request.symbol)
        if request.type is OrderType.LIMIT and request.time_in_force is TimeInForce.IOC:
            return Rejected("time_in_force", "a limit order rests here until it fills or is cancelled")
        if self._memory.is_known(request.client_order_id):
            return Unknown("client order id was used before")
        try:
            order = self._order(request)
        except ValueError as error:
            return Rejected("precision", str(error))
        refusal = self._kernel.submit(order, post_only=request.time_in_force is TimeInForce.POST_ONLY)
        if refusal is not None:
            return Rejected(refusal.code, refusal.reason)
        return Accepted(self._report(order))

    def _order(self, request: OrderRequest) -> ExchangeOrder:
        instrument = self._instruments[request.symbol]
        price = request.price if request.type is OrderType.LIMIT else request.trigger_price
        if request.type is OrderType.MARKET:
            price = None
        elif price is None:
            raise ValueError(f"a {request.type} order needs a price")
        return ExchangeOrder(
            client_order_id=request.client_order_id,
            number=0,
            symbol=request.symbol,
            kind=Kind(request.type.value),
            sign=request.side.sign,
            steps=instrument.quantity_to_steps(request.quantity),
            price=0 if price is None else instrument.price_to_ticks(price),
            reduce_only=request.reduce_only,
            created_ms=0,
            updated_ms=0,
        )

    async def cancel(self, symbol: str, client_order_id: str, venue_order_id: str) -> Outcome:
        """Cancel at once; Rejected where the order is not open."""
        del symbol, venue_order_id
        order = self._kernel.cancel(client_order_id)
        if order is None:
            return Rejected("not_open", f"{client_order_id} is not open")
        return Accepted(self._report(order))

    async def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """The order in any state."""
        del symbol
        order = self._kernel.account.orders.get(client_order_id) or self._memory.order(client_order_id)
        return None if order is None else self._report(order)

    async def open_orders(self) -> Sequence[OrderReport]:
        """Every open order."""
        return [self._report(order) for order in self._kernel.account.orders.values()]

    async def fills_since(self, since_ms: int) -> Sequence[Fill]:
        """Executions at or after an instant."""
        return [self._fill(row) for row in self._memory.trades_since(since_ms)]

    async def incomes_since(self, since_ms: int) -> Sequence[Income]:
        """Funding and deposits at or after an instant."""
        return [self._income(row) for row in self._memory.incomes_since(since_ms)]

    async def positions(self) -> Sequence[VenuePosition]:
        """Every position with a quantity."""
        held = []
        for position in self._kernel.account.positions.values():
            if not position.sign:
                continue
            instrument = self._instruments[position.symbol]
            quantity = instrument.steps_to_quantity(position.steps)
            last = self._kernel.account.points[position.symbol].last
            liquidation = instrument.ticks_to_price(position.liquidation) if position.liquidation else None
            held.append(
                VenuePosition(
                    position.symbol,
                    Side.LONG if position.sign > 0 else Side.SHORT,
                    quantity,
                    money.ratio(money.from_e8(position.cost_e8), quantity),
                    instrument.ticks_to_price(last),
                    liquidation,
                    money.from_units(self._kernel.leverage_milli(position.symbol), Decimal("0.001")),
                )
            )
        return held

    async def balance(self) -> Balance:
        """The wallet."""
        return Balance(
            self._asset,
            money.from_e8(self._kernel.account.progress.wallet_e8),
            money.from_e8(self._kernel.available_e8()),
        )

    async def instruments(self) -> Sequence[Instrument]:
        """The configured instruments."""
        return list(self._instruments.values())

    async def set_leverage(self, symbol: str, leverage: Decimal) -> Outcome:
        """The account's leverage is fixed by its terms: anything else is refused."""
        if symbol not in self._instruments:
            return _unlisted(symbol)
        if leverage * 1000 != self._terms.leverage_milli:
            return Rejected("leverage", f"the paper account runs at {self._terms.leverage_milli / 1000:g}x")
        return Accepted(OrderReport("", "", symbol, OrderState.ACKED, money.ZERO, self.progress.now_ms))

    # ── translation ─────────────────────────────────────────────────────────

    def _report(self, order: ExchangeOrder) -> OrderReport:
        instrument = self._instruments[order.symbol]
        price = instrument.ticks_to_price(order.price) if order.price else None
        is_limit = order.kind is Kind.LIMIT
        return OrderReport(
            client_order_id=order.client_order_id,
            venue_order_id=f"{order.number:09d}",
            symbol=order.symbol,
            state=_STATES[order.status],
            filled=instrument.steps_to_quantity(order.filled),
            ts_ms=order.updated_ms,
            side=TradeSide.BUY if order.sign > 0 else TradeSide.SELL,
            type=OrderType(order.kind.value),
            quantity=instrument.steps_to_quantity(order.steps),
            price=price if is_limit else None,
            trigger_price=None if is_limit else price,
            reduce_only=order.reduce_only,
            reason=order.reason,
        )

    def _fill(self, row: TradeRow) -> Fill:
        instrument = self._instruments[row.symbol]
        return Fill(
            venue=self.name,
            account=self.account,
            trade_id=f"{row.number:09d}",
            client_order_id=row.client_order_id,
            venue_order_id=f"{row.order_number:09d}",
            symbol=row.symbol,
            side=TradeSide.BUY if row.sign > 0 else TradeSide.SELL,
            quantity=instrument.steps_to_quantity(row.steps),
            price=instrument.ticks_to_price(row.price),
            fee=money.from_e8(row.fee_e8),
            fee_asset=self._asset,
            ts_ms=row.ts_ms,
            realized_pnl=money.from_e8(row.gross_e8),
            is_maker=row.is_maker,
            is_liquidation=row.is_liquidation,
        )

    def _income(self, row: IncomeRow) -> Income:
        return Income(
            venue=self.name,
            account=self.account,
            income_id=row.income_id,
            kind=PnlKind(row.kind),
            symbol=row.symbol,
            amount=money.from_e8(row.amount_e8),
            asset=self._asset,
            ts_ms=row.ts_ms,
        )

    def close(self) -> None:
        """Release the memory's file."""
        self._memory.close()


def _unlisted(symbol: str) -> Rejected:
    return Rejected("symbol", f"{symbol} is not listed")
