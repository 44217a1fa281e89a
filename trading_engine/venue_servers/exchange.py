"""One account at an exchange whose minutes pass by themselves, with everything the venues' protocols show of it.

What belongs here: the exchange behind all protocols: time, orders by both ids, history, settings, market figures,
and who is told what happens. What does not: any protocol's words (binance, bingx, zoomex), matching (embedded).

The matching is the one of paper trading (`venues.embedded`): one net position a symbol, isolated margin. In hedge mode
orders and positions carry a side and what closes is told by it, but a symbol holds one side at a time: opening the
other beside it is refused.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Protocol

from trading_engine.domain import money
from trading_engine.domain.instrument import Instrument
from trading_engine.domain.market import Candle, FundingRate
from trading_engine.domain.money import ZERO
from trading_engine.rules import fills
from trading_engine.venue_servers.clock import ServerClock
from trading_engine.venues.embedded.account import (
    Account,
    ExchangeOrder,
    ExchangePosition,
    Kind,
    MarketPoint,
    Progress,
    Status,
)
from trading_engine.venues.embedded.matching import DONE, POINTS, Change, IncomeRow, Kernel, Refusal, TradeRow
from trading_engine.venues.embedded.memory import AccountMemory
from trading_engine.venues.embedded.terms import Contract, Terms

MINUTE_MS = 60_000
CANDLES_KEPT = 3_000
NOT_AT_ONCE = "not filled at once"  # why what is left of an immediate-or-cancel order goes
NO_TAKERS = "found nobody to trade with"  # why an order goes that has triggered in vain
_OWN_IDS = "srv"


class ServerMemory(AccountMemory, Protocol):
    """What a server needs of the exchange's memory beyond paper trading: all orders there have been."""

    def every_order(self) -> list[ExchangeOrder]:
        """Oldest first."""
        ...


@dataclass(slots=True)
class Terminal:
    """What somebody who asks sees of a symbol's market.

    closed      closed candles of a minute, oldest first
    building    the candle of this minute as far as it has come, None before the first
    funding     past settlements, oldest first
    next_rate   the rate that will be paid at the next settlement, and when
    """

    closed: list[Candle] = field(default_factory=list)
    building: Candle | None = None
    funding: list[FundingRate] = field(default_factory=list)
    next_rate: FundingRate | None = None


@dataclass(frozen=True, slots=True)
class Ticked:
    """The price of a symbol has moved: its candle as far as it has come, and whether that is its end."""

    candle: Candle
    is_closed: bool


@dataclass(frozen=True, slots=True)
class Holdup:
    """An order that has triggered trades nothing before an instant; or never, the exchange ends it."""

    until_ms: int
    is_ended: bool


Happening = ExchangeOrder | TradeRow | IncomeRow | Ticked
Listener = Callable[[Happening], None]


class LocalExchange:
    """The exchange. A market drives `play` or `live`; requests come in between, at the clock's present instant.

    trades_at_once   a marketable order trades when it arrives, as at a venue; otherwise with the next price
    """

    def __init__(
        self,
        memory: ServerMemory,
        instruments: Sequence[Instrument],
        terms: Terms,
        deposit: Decimal,
        clock: ServerClock,
        *,
        trades_at_once: bool = True,
    ) -> None:
        self.clock = clock
        self._trades_at_once = trades_at_once
        self.hold_up: Callable[[str], Holdup | None] | None = None  # asked once for each order that triggers
        self._holdups: dict[str, Holdup | None] = {}
        self.terms = terms
        self.instruments = {instrument.symbol: instrument for instrument in instruments}
        self.asset = instruments[0].settle_asset
        self.markets = {symbol: Terminal() for symbol in self.instruments}
        self._memory = memory
        self._listeners: list[Listener] = []
        loaded = memory.load()
        self.account = loaded or Account(progress=Progress(now_ms=clock.now_ms()))
        contracts = {symbol: Contract.of(instrument) for symbol, instrument in self.instruments.items()}
        self._kernel = Kernel(self.account, contracts, terms, self._write, self._is_held_up)
        self._orders: dict[str, ExchangeOrder] = {}
        self._by_number: dict[int, ExchangeOrder] = {}
        self._client_ids = 0
        if loaded is None:
            self.account.progress.wallet_e8 = money.to_e8(deposit)
            opening = IncomeRow("opening", "transfer", "", money.to_e8(deposit), clock.now_ms())
            self._write(Change(incomes=[opening]))
        for order in memory.every_order():
            self._remember(self.account.orders.get(order.client_order_id, order))

    def _write(self, change: Change) -> None:
        self._memory.write(self.account, change)
        for order in change.orders:
            self._remember(order)

    def _remember(self, order: ExchangeOrder) -> None:
        self._orders[order.client_order_id] = order
        self._by_number[order.number] = order

    # ── who listens ─────────────────────────────────────────────────────────

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener` everything that happens from now on; call the answer to stop it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _tell(self, happenings: Iterable[Happening]) -> None:
        for happening in happenings:
            for listener in tuple(self._listeners):
                listener(happening)

    # ── time and the market ─────────────────────────────────────────────────

    def now_ms(self) -> int:
        """The exchange's clock."""
        return self.clock.now_ms()

    def play(
        self, open_ms: int, candles: Sequence[Candle], settlements: Sequence[FundingRate], points: int = POINTS
    ) -> None:
        """Let a minute pass up to a number of points of its path; calls for one minute go on where the last stopped."""
        for rate in settlements:
            known = self.markets[rate.symbol].funding
            if not known or known[-1].ts_ms < rate.ts_ms:
                known.append(rate)
        progress = self.account.progress
        if progress.open_ms == open_ms:  # orders came in between: nothing happens before them
            progress.now_ms = max(progress.now_ms, min(self.now_ms(), open_ms + MINUTE_MS))
        is_old = (open_ms, DONE) <= (progress.open_ms, progress.stage)  # matched before a restart
        self._tell(self._kernel.play(open_ms, candles, settlements, points))
        is_over = points == POINTS
        for candle in candles:
            if (
                is_over and self._trades_at_once and not is_old
            ):  # what comes before the next minute trades against this one's volume
                point = self.account.points[candle.symbol]
                point.budget = fills.available_steps(candle.volume, self.terms.volume_share_ppm)
            market = self.markets[candle.symbol]
            shown = candle if is_over else self._so_far(candle, points)
            market.building = None if is_over else shown
            if is_over and (not market.closed or market.closed[-1].open_time_ms < candle.open_time_ms):
                market.closed.append(candle)
                del market.closed[:-CANDLES_KEPT]
            self._tell([Ticked(shown, is_over)])
        self._end_held_up()

    def _is_held_up(self, order: ExchangeOrder) -> bool:
        """Whether a stop or target whose price has come trades nothing for now."""
        if self.hold_up is None or order.kind not in (Kind.STOP, Kind.TARGET):
            return False
        if order.client_order_id not in self._holdups:
            self._holdups[order.client_order_id] = self.hold_up(order.symbol)
        holdup = self._holdups[order.client_order_id]
        return holdup is not None and (holdup.is_ended or self.now_ms() < holdup.until_ms)

    def _end_held_up(self) -> None:
        for order in tuple(self.account.orders.values()):
            holdup = self._holdups.get(order.client_order_id)
            if holdup is not None and holdup.is_ended:
                self.expire(order, NO_TAKERS)

    async def live(self, open_ms: int, candles: Sequence[Candle], settlements: Sequence[FundingRate]) -> None:
        """Let a minute, or what is left of it, pass at the pace of the clock; returns at its end."""
        for point in range(points_passed(self.now_ms() - open_ms), POINTS):
            self.play(open_ms, candles, settlements, point)
            await self.clock.sleep_until(open_ms + point * MINUTE_MS // POINTS)
        # Half a minute would be silent now; clients take that for a stream that has died.
        shown = [self.markets[candle.symbol].building for candle in candles]
        self._tell([Ticked(candle, is_closed=False) for candle in shown if candle is not None])
        await self.clock.sleep_until(open_ms + MINUTE_MS)
        self.play(open_ms, candles, settlements)

    def _so_far(self, candle: Candle, points: int) -> Candle:
        """The candle with what its path has shown: no client sees a high or a close that is yet to come."""
        last = self.last_ticks(candle.symbol) or candle.open
        before = self.markets[candle.symbol].building
        if before is not None and before.open_time_ms != candle.open_time_ms:
            before = None
        high = max(candle.open, last, before.high if before else 0)
        low = min(candle.open, last, before.low if before else last)
        volume = candle.volume * points // POINTS
        return candle._replace(high=high, low=low, close=last, volume=volume)

    def last_ticks(self, symbol: str) -> int:
        """The last price in ticks, 0 before the first."""
        return self.account.points.get(symbol, MarketPoint(symbol)).last

    def last_price(self, symbol: str) -> Decimal:
        """The last price, which is the mark price as well; 0 before the first."""
        return self.instruments[symbol].ticks_to_price(self.last_ticks(symbol))

    # ── orders ──────────────────────────────────────────────────────────────

    def submit(
        self,
        symbol: str,
        kind: Kind,
        sign: int,
        quantity: Decimal,
        price: Decimal | None = None,
        *,
        client_order_id: str = "",
        reduce_only: bool = False,
        post_only: bool = False,
        immediate_or_cancel: bool = False,
        late_refusals: Collection[str] = (),
    ) -> ExchangeOrder | Refusal:
        """Take an order, tell of it, and trade what can trade at the present price.

        `price` is the limit or the trigger. Refusal codes beside the kernel's: "symbol", "tick", "step", "duplicate",
        "other_side". What is refused for one of `late_refusals` is taken and cancelled at once, with the code as its
        reason.
        """
        unfit = self._unfit(symbol, sign, client_order_id, reduce_only=reduce_only)
        if unfit is not None:
            return unfit
        instrument = self.instruments[symbol]
        try:
            steps = instrument.quantity_to_steps(quantity)
        except ValueError as error:
            return Refusal("step", str(error))
        try:
            ticks = 0 if price is None else instrument.price_to_ticks(price)
        except ValueError as error:
            return Refusal("tick", str(error))
        order = ExchangeOrder(client_order_id or self._new_id(), 0, symbol, kind, sign, steps, ticks, reduce_only, 0, 0)
        self.account.progress.now_ms = self.now_ms()
        refusal = self._kernel.submit(order, post_only=post_only)
        if refusal is not None:
            return self._bury(order, refusal.code) if refusal.code in late_refusals else refusal
        self._tell([order])
        if self._trades_at_once:
            self._tell(self._kernel.settle(symbol, self.now_ms()))
        if immediate_or_cancel and order.status.is_open:
            self.cancel(order, NOT_AT_ONCE)
        return order

    def _unfit(self, symbol: str, sign: int, client_order_id: str, *, reduce_only: bool) -> Refusal | None:
        if symbol not in self.instruments:
            return Refusal("symbol", f"{symbol} is not listed")
        if self.is_hedge and not reduce_only and self._has_other_side(symbol, sign):
            return Refusal("other_side", f"this local server holds one side of {symbol} at a time")
        if client_order_id in self._orders:
            return Refusal("duplicate", f"{client_order_id} was used before")
        return None

    def _has_other_side(self, symbol: str, sign: int) -> bool:
        held = self.account.positions.get(symbol)
        if held is not None and held.sign == -sign:
            return True
        resting = self.orders(symbol, only_open=True)
        return any(order.sign == -sign and not order.reduce_only for order in resting)

    def _bury(self, order: ExchangeOrder, reason: str) -> ExchangeOrder:
        """An order that was taken and never came to the book."""
        progress = self.account.progress
        progress.orders += 1
        order.number, order.status, order.reason = progress.orders, Status.CANCELED, reason
        order.created_ms = order.updated_ms = progress.now_ms
        self._write(Change(orders=[order]))
        self._tell([order])
        return order

    def amend(
        self, order: ExchangeOrder, quantity: Decimal | None = None, price: Decimal | None = None
    ) -> Refusal | None:
        """Give an open order another total quantity, limit or trigger, or say why not.

        Refusal codes beside those of `submit`: "closed", and "filled" where no quantity would be left.
        """
        instrument = self.instruments[order.symbol]
        try:
            steps = order.steps if quantity is None else instrument.quantity_to_steps(quantity)
        except ValueError as error:
            return Refusal("step", str(error))
        try:
            ticks = order.price if price is None else instrument.price_to_ticks(price)
        except ValueError as error:
            return Refusal("tick", str(error))
        if not order.status.is_open:
            return Refusal("closed", f"the order is {order.status}")
        if steps <= order.filled:
            return Refusal("filled", f"{order.filled} steps are filled")
        refusal = self._refusal_beside(order, replace(order, steps=steps, price=ticks))
        if refusal is not None:
            return refusal
        self.account.progress.now_ms = order.updated_ms = self.now_ms()
        order.steps, order.price = steps, ticks
        if order.kind is Kind.LIMIT and order.sign * self.last_ticks(order.symbol) < order.sign * ticks:
            order.status = Status.WORKING  # as a new limit beyond the price
        self._write(Change(orders=[order]))
        self._tell([order])
        self._tell(self._kernel.settle(order.symbol, self.now_ms()))
        return None

    def _refusal_beside(self, order: ExchangeOrder, changed: ExchangeOrder) -> Refusal | None:
        """Whether `changed` would be accepted in the place of `order`, whose margin it may use."""
        book = self.account.orders
        self.account.orders = {key: one for key, one in book.items() if one is not order}
        try:
            return self._kernel.refusal(changed, post_only=False)
        finally:
            self.account.orders = book

    def _new_id(self) -> str:
        self._client_ids += 1
        return f"{_OWN_IDS}{self.now_ms():x}{self._client_ids:x}"

    def cancel(self, order: ExchangeOrder, reason: str = "") -> bool:
        """Take an order off the book, for another reason than a client's request if one is given; False if not open."""
        self.account.progress.now_ms = self.now_ms()
        gone = self._kernel.cancel(order.client_order_id)
        if gone is None:
            return False
        if reason:
            gone.reason = reason
            self._write(Change(orders=[gone]))
        self._tell([gone])
        return True

    def expire(self, order: ExchangeOrder, reason: str) -> bool:
        """End an order as the exchange itself does, not on its owner's word; False where it is not open."""
        self.account.progress.now_ms = self.now_ms()
        gone = self._kernel.cancel(order.client_order_id)
        if gone is None:
            return False
        gone.status, gone.reason = Status.EXPIRED, reason
        self._write(Change(orders=[gone]))
        self._tell([gone])
        return True

    def order(self, *, client_order_id: str = "", number: int = 0) -> ExchangeOrder | None:
        """The order with this client id, or this number, in any state."""
        return self._orders.get(client_order_id) if client_order_id else self._by_number.get(number)

    def orders(self, symbol: str = "", *, only_open: bool = False) -> list[ExchangeOrder]:
        """Orders of a symbol, or of all, oldest first."""
        return [
            order
            for order in self._orders.values()
            if (not symbol or order.symbol == symbol) and (order.status.is_open or not only_open)
        ]

    def filled_value(self, order: ExchangeOrder) -> Decimal:
        """Sum of price × quantity of what an order has traded."""
        instrument = self.instruments[order.symbol]
        total = ZERO
        for row in self._memory.trades_since(order.created_ms):
            if row.order_number == order.number:
                total += instrument.ticks_to_price(row.price) * instrument.steps_to_quantity(row.steps)
        return total

    # ── the position mode ───────────────────────────────────────────────────

    @property
    def is_hedge(self) -> bool:
        """Orders and positions carry a side."""
        return self.account.progress.is_hedge

    def set_hedge(self, *, wanted: bool) -> Refusal | None:
        """Change the mode, or say why not: "positions" or "orders" while there are any."""
        if wanted == self.is_hedge:
            return None
        if self.positions():
            return Refusal("positions", "there are positions")
        if self.orders(only_open=True):
            return Refusal("orders", "there are open orders")
        self.account.progress.is_hedge = wanted
        self._write(Change())
        return None

    def leg(self, sign: int, *, reduces: bool = False) -> str:
        """What the side of a position is called that an order of this sign opens, or closes: BOTH in one-way mode."""
        if not self.is_hedge:
            return "BOTH"
        return "SHORT" if (sign < 0) is not reduces else "LONG"

    def leg_of(self, order: ExchangeOrder) -> str:
        """The side of the position that an order belongs to."""
        return self.leg(order.sign, reduces=order.reduce_only)

    def leg_of_trade(self, row: TradeRow) -> str:
        """The side of the position that an execution has changed; what the exchange itself does closes."""
        order = self.order(number=row.order_number) if row.order_number else None
        return self.leg(row.sign, reduces=order is None or order.reduce_only)

    # ── what fees are paid in ───────────────────────────────────────────────

    @property
    def burns_fees(self) -> bool:
        """Fees of what is traded from now on are paid in a coin that is not in the wallet."""
        return self.account.progress.burns_fees

    def set_fee_burn(self, *, wanted: bool) -> None:
        """Take fees from the wallet, or not."""
        self.account.progress.burns_fees = wanted
        self._write(Change())

    # ── the account ─────────────────────────────────────────────────────────

    def positions(self) -> list[ExchangePosition]:
        """Every position with a quantity."""
        return [position for position in self.account.positions.values() if position.sign]

    def trades(self, since_ms: int = 0, symbol: str = "") -> list[TradeRow]:
        """Executions at or after an instant, oldest first."""
        return [row for row in self._memory.trades_since(since_ms) if not symbol or row.symbol == symbol]

    def incomes(self, since_ms: int = 0) -> list[IncomeRow]:
        """Funding and transfers at or after an instant, oldest first."""
        return self._memory.incomes_since(since_ms)

    @property
    def wallet(self) -> Decimal:
        """Settled money."""
        return money.from_e8(self.account.progress.wallet_e8)

    @property
    def available(self) -> Decimal:
        """What new orders may use."""
        return money.from_e8(self._kernel.available_e8())

    def unrealized(self, position: ExchangePosition) -> Decimal:
        """Open PnL of a position at the last price."""
        instrument = self.instruments[position.symbol]
        value = self.last_price(position.symbol) * instrument.steps_to_quantity(position.steps)
        return (value - money.from_e8(position.cost_e8)) * position.sign

    def leverage(self, symbol: str) -> Decimal:
        """Leverage of new positions on a symbol."""
        return money.from_units(self._kernel.leverage_milli(symbol), Decimal("0.001"))

    def set_leverage(self, symbol: str, leverage: Decimal) -> Refusal | None:
        """Change it, or say why not."""
        return self._kernel.set_leverage(symbol, int(leverage * 1_000))

    def close(self) -> None:
        """Release the memory."""
        self._memory.close()


def points_passed(passed_ms: int) -> int:
    """How many points of a minute's path have come when so much of it has passed; its last comes with its end."""
    return min(max(passed_ms, 0) * POINTS // MINUTE_MS + 1, POINTS - 1)
