"""The matching kernel: candles in, fills out, one at a time.

What belongs here: walking a candle, which order trades next and for how much, validation of a new order,
funding, liquidation. What does not: where the rows are kept (memory), the port's types (venue).

A batch of candles is played in stages: funding for positions held before it, then for each of the four
points of the candles' paths every symbol in turn. After each visible change (fill, expiry, funding) the
change is made durable and the generator pauses, so that an order placed in answer already takes part in
the rest of the candle. Stages are numbered: a restart goes on at the very point where the last durable
change happened.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from trading_engine.domain.market import Candle, FundingRate
from trading_engine.domain.money import MONEY_QUANTUM, exact_units
from trading_engine.rules import fills, margin
from trading_engine.rules.sizing import notional_e8
from trading_engine.venues.embedded.account import (
    Account,
    ExchangeOrder,
    ExchangePosition,
    Kind,
    MarketPoint,
    Status,
    trade,
)
from trading_engine.venues.embedded.terms import Contract, Terms

DONE = 1_000_000
POINTS = 4


@dataclass(frozen=True, slots=True)
class TradeRow:
    """One execution as the exchange books it; `order` is empty for a liquidation.

    is_fee_burned   the fee was paid in a coin that is not in the wallet; `fee_e8` is what it would have been
    """

    number: int
    client_order_id: str
    order_number: int
    symbol: str
    sign: int
    steps: int
    price: int
    fee_e8: int
    gross_e8: int
    ts_ms: int
    is_maker: bool
    is_liquidation: bool
    is_fee_burned: bool = False


@dataclass(frozen=True, slots=True)
class IncomeRow:
    """A wallet change that is not a trade: funding, the opening deposit."""

    income_id: str
    kind: str
    symbol: str
    amount_e8: int
    ts_ms: int


@dataclass(slots=True)
class Change:
    """What one visible change touched: rows to make durable together with the progress."""

    orders: list[ExchangeOrder] = field(default_factory=list)
    symbols: list[str] = field(default_factory=list)
    trades: list[TradeRow] = field(default_factory=list)
    incomes: list[IncomeRow] = field(default_factory=list)


Happening = TradeRow | IncomeRow | ExchangeOrder
Durable = Callable[[Change], None]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an order is not accepted."""

    code: str
    reason: str


class Kernel:
    """One account's exchange. Pure but for `durable`, which is called before anything becomes visible.

    is_held_up   whether an order finds nobody to trade with although its price is there
    """

    def __init__(
        self,
        account: Account,
        contracts: dict[str, Contract],
        terms: Terms,
        durable: Durable,
        is_held_up: Callable[[ExchangeOrder], bool] = lambda _: False,
    ) -> None:
        self.account = account
        self._contracts = contracts
        self._terms = terms
        self._durable = durable
        self._is_held_up = is_held_up

    # ── time ────────────────────────────────────────────────────────────────

    def play(
        self, open_ms: int, candles: Sequence[Candle], settlements: Sequence[FundingRate], points: int = POINTS
    ) -> Iterator[Happening]:
        """Match one batch up to a number of points of its path; what happens is yielded after it was made durable.

        A batch that was played before is skipped, one that was begun goes on where it stopped.
        """
        progress = self.account.progress
        if (open_ms, DONE) <= (progress.open_ms, progress.stage):
            return
        if progress.open_ms != open_ms:
            progress.open_ms, progress.stage, progress.now_ms = open_ms, 0, max(progress.now_ms, open_ms)
        if progress.stage == 0:
            yield from self._fund(settlements)
            progress.funded_ms = max(progress.funded_ms, open_ms)
            progress.stage = 1
            if points == POINTS and self._is_idle():
                self._pass_by(candles)
                return
            self._renew(candles)
        stage = 1
        for point in range(points):
            for candle in candles:
                if stage >= progress.stage:
                    progress.stage = stage
                    progress.now_ms = max(progress.now_ms, open_ms + point * candle.interval_ms // POINTS)
                    yield from self._walk(candle, point)
                stage += 1
        if points < POINTS:
            progress.stage = max(progress.stage, stage)
        else:
            self._finish_batch(candles)

    def settle(self, symbol: str, now_ms: int) -> Iterator[Happening]:
        """Trade what can trade at the present price: what a live exchange does the moment an order arrives.

        Whoever asks does not wait for another candle, so neither do orders that are under way.
        """
        self.account.progress.now_ms = now_ms
        last = self._point(symbol).last
        if last:
            yield from self._segment(symbol, last, 0)

    def _is_idle(self) -> bool:
        return not self.account.orders and not any(held.sign for held in self.account.positions.values())

    def _pass_by(self, candles: Sequence[Candle]) -> None:
        """Nothing of ours is in the market: only the price moves."""
        for candle in candles:
            point = self._point(candle.symbol)
            point.last, point.budget, point.path_sign = candle.close, 0, 0
        self._finish_batch(candles)

    def _renew(self, candles: Sequence[Candle]) -> None:
        """New volume, no path yet: once a batch, so that a restart inside it does not give the volume twice."""
        for candle in candles:
            point = self._point(candle.symbol)
            point.budget = fills.available_steps(candle.volume, self._terms.volume_share_ppm)
            point.path_sign = 0

    def _finish_batch(self, candles: Sequence[Candle]) -> None:
        progress = self.account.progress
        progress.stage = DONE
        for candle in candles:
            point = self._point(candle.symbol)
            point.range, point.volume = candle.high - candle.low, candle.volume
        if candles:
            progress.now_ms = max(progress.now_ms, progress.open_ms + candles[0].interval_ms)

    def _fund(self, settlements: Sequence[FundingRate]) -> Iterator[Happening]:
        progress = self.account.progress
        for rate in settlements:
            position = self.account.positions.get(rate.symbol)
            point = self._point(rate.symbol)
            if position is None or not position.sign or rate.ts_ms <= point.funded_ms:
                continue
            contract = self._contracts[rate.symbol]
            value = notional_e8(point.last, position.steps, contract.value_e8)
            amount = fills.funding_e8(value, exact_units(rate.rate, MONEY_QUANTUM), position.sign)
            income = IncomeRow(f"F-{rate.symbol}-{rate.ts_ms}", "funding", rate.symbol, amount, rate.ts_ms)
            progress.wallet_e8 += amount
            point.funded_ms = rate.ts_ms
            self._durable(Change(symbols=[rate.symbol], incomes=[income]))
            yield income

    def _walk(self, candle: Candle, point_index: int) -> Iterator[Happening]:
        """Move one symbol's price to the next point of its candle, trading what lies on the way."""
        point = self._point(candle.symbol)
        position = self.account.positions.get(candle.symbol)
        orders = [order for order in self.account.orders.values() if order.symbol == candle.symbol]
        is_idle = not orders and (position is None or not position.sign)
        latency_ms = self._terms.latency_candles * candle.interval_ms
        if point_index == 0:
            point.last = candle.open
            if not is_idle:
                yield from self._segment(candle.symbol, candle.open, latency_ms)
            return
        if point.path_sign == 0:
            point.path_sign = self._path_sign(position, orders)
        path = fills.adverse_path(point.path_sign, candle.open, candle.high, candle.low, candle.close)
        if is_idle:
            point.last = path[point_index]
        else:
            yield from self._segment(candle.symbol, path[point_index], latency_ms)

    @staticmethod
    def _path_sign(position: ExchangePosition | None, orders: Sequence[ExchangeOrder]) -> int:
        """The exposure that the candle hurts first; a resting entry is met as late as possible."""
        if position is not None and position.sign:
            return position.sign
        entries = [order for order in orders if not order.reduce_only]
        if not entries:
            return 1
        return -entries[0].sign if entries[0].kind is Kind.LIMIT else entries[0].sign

    def _segment(self, symbol: str, end: int, latency_ms: int) -> Iterator[Happening]:
        """Trade everything that has arrived on the way from the present price to `end`, nearest first."""
        point = self._point(symbol)
        starved: set[str] = set()
        while True:
            act = self._next(symbol, point.last, end, starved | self._under_way(symbol, latency_ms))
            if act is None:
                point.last = end
                return
            at, order = act
            point.last = at
            if order is None:
                yield from self._liquidate(symbol, at)
            elif not self._wanted(order):
                order.status, order.reason = Status.EXPIRED, "nothing to reduce"
                yield self._close(order)
            elif point.budget <= 0 or self._is_held_up(order):
                self._starve(order)
                starved.add(order.client_order_id)
            else:
                yield from self._fill(order, at)

    def _starve(self, order: ExchangeOrder) -> None:
        """An order that triggered waits for volume; durably, for the price may be elsewhere after a restart."""
        if order.kind is not Kind.LIMIT and order.status is Status.NEW:
            order.status = Status.WORKING
            self._durable(Change(orders=[order]))

    def _under_way(self, symbol: str, latency_ms: int) -> set[str]:
        """Orders at the market that were decided less than `latency_ms` ago; what rests is at the exchange already."""
        if not latency_ms:
            return set()
        since_ms = self.account.progress.now_ms - latency_ms
        return {
            order.client_order_id
            for order in self.account.orders.values()
            if order.symbol == symbol and order.kind is Kind.MARKET and order.created_ms > since_ms
        }

    def _next(self, symbol: str, start: int, end: int, idle: set[str]) -> tuple[int, ExchangeOrder | None] | None:
        """What acts first between `start` and `end`: (price, order), order None for the liquidation.

        Nearest to the start; at one price the liquidation, then what trades at the market before what rests at
        its limit (worst first), then the older order.
        """
        acts: list[tuple[int, int, int, ExchangeOrder | None]] = []
        position = self.account.positions.get(symbol)
        if (
            position is not None
            and position.liquidation
            and fills.crosses_stop(-position.sign, start, end, position.liquidation)
        ):
            at = fills.stop_base_ticks(-position.sign, start, position.liquidation)
            acts.append((at, 0, 0, None))
        for order in self.account.orders.values():
            if order.symbol == symbol and order.client_order_id not in idle:
                at = _acts_at(order, start, end)
                if at:
                    acts.append((at, 1 if order.kind is not Kind.LIMIT else 2, order.number, order))
        if not acts:
            return None
        first = min(acts, key=lambda act: (abs(act[0] - start), act[1], act[2]))
        return first[0], first[3]

    def _wanted(self, order: ExchangeOrder) -> int:
        """Steps the order may still trade: a reduce-only order never more than the position."""
        if not order.reduce_only:
            return order.remaining
        position = self.account.positions.get(order.symbol)
        if position is None or position.sign != -order.sign:
            return 0
        return min(order.remaining, position.steps)

    def _fill(self, order: ExchangeOrder, at: int) -> Iterator[Happening]:
        point = self._point(order.symbol)
        steps = min(self._wanted(order), point.budget)
        is_maker = order.kind is Kind.LIMIT and not _takes(order, at)
        price = order.price if is_maker else self._slipped(order.sign, at, steps, point)
        if order.kind is Kind.LIMIT and order.sign * price > order.sign * order.price:
            price = order.price  # slippage never carries a limit order beyond its limit
        point.budget -= steps
        order.filled += steps
        order.updated_ms = self.account.progress.now_ms
        order.status = Status.FILLED if not order.remaining else Status.WORKING
        if order.kind is Kind.LIMIT and order.remaining:
            order.status = Status.NEW  # what is left of it rests
        yield from self._book(order, order.symbol, order.sign, steps, price, is_maker=is_maker)

    def _slipped(self, sign: int, at: int, steps: int, point: MarketPoint) -> int:
        terms = self._terms
        impact_e8 = fills.impact_e8(terms.impact_ppm, steps, point.volume)
        return fills.slipped(sign, at, terms.slippage_ppm, point.range, terms.slippage_range_ppm, impact_e8)

    def _liquidate(self, symbol: str, at: int) -> Iterator[Happening]:
        """The position is taken over whole; its reduce-only orders are void afterwards."""
        position = self.account.positions[symbol]
        yield from self._book(None, symbol, -position.sign, position.steps, at, is_maker=False)

    def _book(
        self, order: ExchangeOrder | None, symbol: str, sign: int, steps: int, price: int, *, is_maker: bool
    ) -> Iterator[Happening]:
        """One execution and the orders it voids: all rows change together, durably, before anyone sees it."""
        progress = self.account.progress
        contract = self._contracts[symbol]
        position = self.account.positions.setdefault(symbol, ExchangePosition(symbol))
        rate = self._terms.maker_fee_e8 if is_maker else self._terms.taker_fee_e8
        fee = fills.fee_e8(notional_e8(price, steps, contract.value_e8), rate)
        gross = trade(position, contract, self.leverage_milli(symbol), sign, steps, price)
        progress.wallet_e8 += gross if progress.burns_fees else gross - fee
        progress.trades += 1
        row = TradeRow(
            number=progress.trades,
            client_order_id=order.client_order_id if order else "",
            order_number=order.number if order else 0,
            symbol=symbol,
            sign=sign,
            steps=steps,
            price=price,
            fee_e8=fee,
            gross_e8=gross,
            ts_ms=progress.now_ms,
            is_maker=is_maker,
            is_liquidation=order is None,
            is_fee_burned=progress.burns_fees,
        )
        voided = self._voided(order, symbol)
        changed = voided if order is None or order in voided else [order]
        for gone in (one for one in changed if not one.status.is_open):
            del self.account.orders[gone.client_order_id]
        self._durable(Change(orders=changed, symbols=[symbol], trades=[row]))
        yield row
        yield from voided

    def _voided(self, order: ExchangeOrder | None, symbol: str) -> list[ExchangeOrder]:
        """The reduce-only orders that a trade ends: all after a liquidation, else what it leaves of its own order."""
        if order is None:
            reason = "position was liquidated"
            voided = [one for one in self.account.orders.values() if one.symbol == symbol and one.reduce_only]
        else:
            reason = "position is flat"
            voided = [order] if order.reduce_only and order.remaining and not self._wanted(order) else []
        for one in voided:
            one.status, one.reason, one.updated_ms = Status.EXPIRED, reason, self.account.progress.now_ms
        return voided

    def _close(self, order: ExchangeOrder) -> ExchangeOrder:
        """An order leaves the book without trading."""
        order.updated_ms = self.account.progress.now_ms
        del self.account.orders[order.client_order_id]
        self._durable(Change(orders=[order], symbols=[order.symbol]))
        return order

    def _point(self, symbol: str) -> MarketPoint:
        return self.account.points.setdefault(symbol, MarketPoint(symbol))

    # ── orders ──────────────────────────────────────────────────────────────

    def submit(self, order: ExchangeOrder, *, post_only: bool) -> Refusal | None:
        """Accept an order durably, or say why not; its number and times are set here."""
        refusal = self.refusal(order, post_only=post_only)
        if refusal is not None:
            return refusal
        progress = self.account.progress
        progress.orders += 1
        order.number = progress.orders
        order.created_ms = order.updated_ms = progress.now_ms
        last = self._point(order.symbol).last
        if order.kind is Kind.MARKET or (order.kind is Kind.LIMIT and order.sign * last < order.sign * order.price):
            order.status = Status.WORKING  # a limit beyond the price takes at once, if the price is still there
        self.account.orders[order.client_order_id] = order
        self._durable(Change(orders=[order]))
        return None

    def cancel(self, client_order_id: str) -> ExchangeOrder | None:
        """Take an open order off the book durably; None where it is not open."""
        order = self.account.orders.get(client_order_id)
        if order is None:
            return None
        order.status, order.reason = Status.CANCELED, "cancelled on request"
        return self._close(order)

    def refusal(self, order: ExchangeOrder, *, post_only: bool) -> Refusal | None:  # noqa: PLR0911 - one a filter
        """Why an order would not be accepted at this moment, None where it would."""
        contract = self._contracts[order.symbol]
        last = self._point(order.symbol).last
        if not last:
            return Refusal("no_market", f"{order.symbol} has no price yet")
        if not contract.min_steps <= order.steps <= contract.max_steps:
            return Refusal("quantity", f"{order.steps} steps, allowed {contract.min_steps} to {contract.max_steps}")
        if order.kind is not Kind.MARKET and order.price < 1:
            return Refusal("price", f"{order.price} ticks")
        if order.kind is Kind.STOP and order.sign * last >= order.sign * order.price:
            return Refusal("would_trigger", f"stop at {order.price}, price at {last} ticks")
        if order.kind is Kind.TARGET and order.sign * last <= order.sign * order.price:
            return Refusal("would_trigger", f"target at {order.price}, price at {last} ticks")
        if post_only and order.sign * order.price >= order.sign * last:
            return Refusal("would_take", f"limit at {order.price}, price at {last} ticks")
        if order.reduce_only:
            return None if self._wanted(order) else Refusal("reduce_only", "no position to reduce")
        price = order.price or last
        value = notional_e8(price, order.steps, contract.value_e8)
        if value < contract.min_notional_e8:
            return Refusal("notional", f"{value} is below {contract.min_notional_e8} (1e-8)")
        required = margin.initial_margin_e8(value, self.leverage_milli(order.symbol))
        required += fills.fee_e8(value, self._terms.taker_fee_e8)
        if required > self.available_e8():
            return Refusal("margin", f"needs {required}, available {self.available_e8()} (1e-8)")
        return None

    def leverage_milli(self, symbol: str) -> int:
        """The leverage of new positions on a symbol, in thousandths."""
        return self.account.progress.leverage_milli.get(symbol, self._terms.leverage_milli)

    def set_leverage(self, symbol: str, leverage_milli: int) -> Refusal | None:
        """Change it durably, or say why not: what is open was opened under the old one."""
        position = self.account.positions.get(symbol)
        highest = int(self._contracts[symbol].instrument.max_leverage * 1_000)
        if not 1_000 <= leverage_milli <= highest:
            return Refusal("leverage", f"{leverage_milli / 1000:g}x, allowed 1x to {highest / 1000:g}x")
        if position is not None and position.sign and leverage_milli != self.leverage_milli(symbol):
            return Refusal("leverage", f"{symbol} is held at {self.leverage_milli(symbol) / 1000:g}x")
        self.account.progress.leverage_milli[symbol] = leverage_milli
        self._durable(Change())
        return None

    def available_e8(self) -> int:
        """Wallet less margin of positions and open entries, less open losses."""
        free = self.account.progress.wallet_e8
        for position in self.account.positions.values():
            free -= position.margin_e8
            if position.sign:
                contract = self._contracts[position.symbol]
                value = notional_e8(self._point(position.symbol).last, position.steps, contract.value_e8)
                free += min(0, position.sign * (value - position.cost_e8))
        for order in self.account.orders.values():
            if not order.reduce_only:
                contract = self._contracts[order.symbol]
                price = order.price or self._point(order.symbol).last
                value = notional_e8(price, order.remaining, contract.value_e8)
                free -= margin.initial_margin_e8(value, self.leverage_milli(order.symbol))
        return free


def _takes(order: ExchangeOrder, at: int) -> bool:
    """Whether a limit order that was beyond the price when it came finds the price there: it pays as a taker."""
    return order.status is Status.WORKING and order.sign * at < order.sign * order.price


def _acts_at(order: ExchangeOrder, start: int, end: int) -> int:
    """The price on the way from `start` to `end` at which the order acts, 0 where it does not."""
    if order.status is Status.WORKING and (order.kind is not Kind.LIMIT or _takes(order, start)):
        return start
    if order.kind is Kind.STOP:
        crossed = fills.crosses_stop(order.sign, start, end, order.price)
        return fills.stop_base_ticks(order.sign, start, order.price) if crossed else 0
    if order.kind is Kind.TARGET:
        crossed = fills.crosses_target(order.sign, start, end, order.price)
        return fills.stop_base_ticks(-order.sign, start, order.price) if crossed else 0
    if fills.limit_trades(order.sign, start, end, order.price):
        return start if order.sign * start < order.sign * order.price else order.price
    return 0
