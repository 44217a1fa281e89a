"""Values and a dialogue partner for tests: small instruments, signals, and a `Playbook` that holds a state.

What belongs here: builders with round defaults, shared by several test modules. What does not: assertions
about behaviour, files, sockets, clocks.

The round numbers, used everywhere: a balance of 10,000, an entry at 100 with its stop at 95 and its target
at 115. Half a percent of the balance at risk over a distance of 5 buys 10 coins, so R is 5 a coin and 50 in all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TypeVar

from trading_engine.core.effects import Effect, FetchFills, PlaceOrder, SetTimer
from trading_engine.core.settings import EngineSettings, LimitSettings
from trading_engine.core.state import Book, EngineState
from trading_engine.core.step import StepResult, step
from trading_engine.domain.control import Level
from trading_engine.domain.events import (
    CancelAnswered,
    CandlesClosed,
    Event,
    FillSeen,
    FillsRead,
    IncomeSeen,
    LookupFailed,
    OrderLookedUp,
    OrderReported,
    ResumeRequested,
    SnapshotFailed,
    SnapshotTaken,
    StopRequested,
    StreamLost,
    StreamRestored,
    SubmitAnswered,
    SubmitExpired,
    TimerFired,
    TimerKind,
)
from trading_engine.domain.fills import Fill, Income, PnlKind
from trading_engine.domain.ids import Purpose, parse_client_order_id
from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.market import Candle, Side, Signal
from trading_engine.domain.order_type import OrderType, TimeInForce
from trading_engine.domain.orders import Order, OrderReport, OrderState, TradeSide
from trading_engine.domain.position import Position
from trading_engine.domain.records import AlertRaised, Fate, Record, SignalSeen
from trading_engine.domain.reports import (
    Accepted,
    Balance,
    OrderLookup,
    Rejected,
    Unknown,
    VenuePosition,
    VenueSnapshot,
)
from trading_engine.domain.time import MINUTE_MS

T0 = 1_735_689_600_000  # 2025-01-01T00:00:00Z
VENUE = "embedded"
ACCOUNT = "paper"
BTC = "BTCUSDT"
ETH = "ETHUSDT"

Number = str | int | Decimal
Known = TypeVar("Known")


def dec(value: Number) -> Decimal:
    """A decimal from what is easy to write."""
    return Decimal(value)


def make_instrument(symbol: str = BTC, **changes: object) -> Instrument:
    """A contract with a tick of 0.1, a step of 0.01 and a smallest order of 0.01 coins worth at least 5."""
    base = Instrument(
        symbol=symbol,
        tick=dec("0.1"),
        step=dec("0.01"),
        min_quantity=dec("0.01"),
        max_quantity=dec(1000),
        min_notional=dec(5),
        max_leverage=dec(50),
        tiers=(MarginTier(dec(1_000_000), dec("0.005"), dec(0), dec(50)),),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def make_settings(**changes: object) -> EngineSettings:
    """Two symbols at a venue behind a wire; every limit at its default. `absence_is_proof` brings it in process."""
    base = EngineSettings(
        venue=VENUE,
        account=ACCOUNT,
        asset="USDT",
        instruments={symbol: make_instrument(symbol) for symbol in (BTC, ETH)},
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def without_limits(**changes: object) -> LimitSettings:
    """Every limit switched off, except those given."""
    base = LimitSettings(
        daily_loss_ppm=0,
        drawdown_ppm=0,
        consecutive_losses=0,
        cooldown_ms=0,
        portfolio_risk_ppm=0,
        max_positions=0,
        position_ppm=0,
        min_balance_ppm=0,
        max_leverage_milli=0,
        refuses_liquidation=False,
        liquidation_near_ppm=0,
        shock_range_ppm=0,
        errors_to_block=0,
        rejects_to_freeze=0,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def make_signal(side: Side | None = Side.LONG, **changes: object) -> Signal:
    """A signal at a close of 100 with its stop 5 and its target 15 away."""
    base = Signal(
        strategy="trend",
        symbol=BTC,
        side=side,
        confidence=0.5,
        close_ticks=1_000,
        stop_ticks=50 if side else 0,
        target_ticks=150 if side else 0,
        candle_ts_ms=T0,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def make_candle(close: Number = 100, symbol: str = BTC, open_time_ms: int = T0) -> Candle:
    """A minute that stood still at `close`; prices lie on the tick of 0.1."""
    ticks = int(dec(close) * 10)
    return Candle(symbol, open_time_ms, MINUTE_MS, ticks, ticks, ticks, ticks, 1_000)


def make_order(**changes: object) -> Order:
    """A market entry of 10 coins that was intended at T0."""
    base = Order(
        client_order_id="tetest000001e00001",
        position_id="P000001",
        symbol=BTC,
        purpose=Purpose.ENTRY,
        leg=0,
        generation=1,
        type=OrderType.MARKET,
        side=TradeSide.BUY,
        position_side=Side.LONG,
        quantity=dec(10),
        price=None,
        trigger_price=None,
        reduce_only=False,
        time_in_force=TimeInForce.GTC,
        created_ms=T0,
        not_after_ms=T0 + 10_000,
        updated_ms=T0,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def make_stop(**changes: object) -> Order:
    """The stop of the entry above."""
    base = make_order(
        client_order_id="tetest000001s00001",
        purpose=Purpose.STOP,
        type=OrderType.STOP_MARKET,
        side=TradeSide.SELL,
        trigger_price=dec(95),
        reduce_only=True,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def make_position(**changes: object) -> Position:
    """A long position that was just intended: 10 coins near 100, stop 95, target 115."""
    base = Position(
        position_id="P000001",
        number=1,
        symbol=BTC,
        side=Side.LONG,
        strategy="trend",
        state=PositionState.PENDING,
        intended_quantity=dec(10),
        reference_price=dec(100),
        initial_stop=dec(95),
        stop_price=dec(95),
        target_price=dec(115),
        leverage=dec(1),
        signal_ms=T0,
        created_ms=T0,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def make_open_position(**changes: object) -> Position:
    """The position above after its entry has filled at 100."""
    filled = make_position(
        state=PositionState.OPEN,
        quantity=dec(10),
        cost=dec(1000),
        entry_quantity=dec(10),
        entry_value=dec(1000),
        fills=1,
        opened_ms=T0 + 1,
    )
    return replace(filled, **changes)  # type: ignore[arg-type]


def make_fill(**changes: object) -> Fill:
    """A purchase of 10 coins at 100 without a fee, by the entry above."""
    base = Fill(
        venue=VENUE,
        account=ACCOUNT,
        trade_id="1",
        client_order_id="tetest000001e00001",
        venue_order_id="v1",
        symbol=BTC,
        side=TradeSide.BUY,
        quantity=dec(10),
        price=dec(100),
        fee=dec(0),
        fee_asset="USDT",
        ts_ms=T0 + 1,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def make_income(amount: Number = "-1", kind: PnlKind = PnlKind.FUNDING, **changes: object) -> Income:
    """A funding payment of 1 on BTC."""
    base = Income(VENUE, ACCOUNT, "1", kind, BTC, dec(amount), "USDT", T0)
    return replace(base, **changes)  # type: ignore[arg-type]


def make_report(order: Order, state: OrderState = OrderState.ACKED, **changes: object) -> OrderReport:
    """What a venue would say about `order`; `filled` is what was applied so far."""
    base = OrderReport(
        client_order_id=order.client_order_id,
        venue_order_id=f"v-{order.client_order_id}",
        symbol=order.symbol,
        state=state,
        filled=order.filled,
        ts_ms=order.updated_ms,
        side=order.side,
        type=order.type,
        quantity=order.quantity,
        price=order.price,
        trigger_price=order.trigger_price,
        reduce_only=order.reduce_only,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def make_snapshot(ts_ms: int = T0, **changes: object) -> VenueSnapshot:
    """An account in which nothing is going on."""
    base = VenueSnapshot(ts_ms, (), (), (), (), (), Balance("USDT", dec(10_000), dec(10_000)))
    return replace(base, **changes)  # type: ignore[arg-type]


def held_at_venue(position: Position, **changes: object) -> VenuePosition:
    """The venue's view of a position of ours."""
    entry = position.average_entry or position.reference_price
    base = VenuePosition(position.symbol, position.side, position.quantity, entry, entry, None, position.leverage)
    return replace(base, **changes)  # type: ignore[arg-type]


def make_book(
    *orders: Order, position: Position | None = None, positions: Iterable[Position] = (), **changes: object
) -> Book:
    """A book of the epoch `test` with these rows."""
    rows = [position] if position is not None else list(positions)
    base = Book(
        "test",
        next_position=1 + max((row.number for row in rows), default=0),
        positions={row.position_id: row for row in rows},
        orders={order.client_order_id: order for order in orders},
    )
    return replace(base, **changes)  # type: ignore[arg-type]


class Playbook:
    """A core at work and the world around it, played line by line.

    Every line is one event: `step` is run, its state adopted, its records and effects kept. `last` is the
    result of the latest line; `journal` holds all records, `performed` all effects, `orders` and
    `positions` the latest form of every row that ever was, `timers` what is still to fire.
    """

    def __init__(
        self, settings: EngineSettings | None = None, balance: Number = 10_000, *, is_synced: bool = True
    ) -> None:
        self.settings = settings or make_settings()
        self.state = EngineState(Book("test"))
        self.now = T0
        self.journal: list[Record] = []
        self.performed: list[Effect] = []
        self.orders: dict[str, Order] = {}
        self.positions: dict[str, Position] = {}
        self.timers: dict[tuple[TimerKind, str], int] = {}
        self.last = StepResult(self.state, self.state.book, (), ())
        self._trades = 0
        self._incomes = 0
        if dec(balance):
            self.income(balance, PnlKind.TRANSFER, symbol="")
        if is_synced:
            self.snapshot()

    def on(self, event: Event) -> StepResult:
        """Let one event happen."""
        self.last = step(self.state, event, self.settings)
        self.state = self.last.state
        self.journal.extend(self.last.records)
        self.performed.extend(self.last.effects)
        self.timers.update({(item.kind, item.key): item.at_ms for item in self.asked(SetTimer)})
        self.orders.update(self.last.book.orders)
        self.positions.update(self.last.book.positions)
        return self.last

    # What is asked of the play

    @property
    def book(self) -> Book:
        """The durable state."""
        return self.state.book

    @property
    def position(self) -> Position:
        """The newest position, live or not."""
        return self.positions[max(self.positions)]

    def recorded(self, kind: type[Known]) -> list[Known]:
        """The records of one kind that the last line has written."""
        return [record for record in self.last.records if isinstance(record, kind)]

    def asked(self, kind: type[Known]) -> list[Known]:
        """The effects of one kind that the last line asks for."""
        return [effect for effect in self.last.effects if isinstance(effect, kind)]

    def alerts(self) -> list[str]:
        """What the last line tells a person."""
        return [alert.text for alert in self.recorded(AlertRaised)]

    def fates(self) -> list[tuple[str, Fate]]:
        """(symbol, fate) of the signals of the last line."""
        return [(seen.signal.symbol, seen.fate) for seen in self.recorded(SignalSeen)]

    def why(self) -> str:
        """The reason of the last signal's fate."""
        return self.recorded(SignalSeen)[-1].reason

    def placed(self) -> list[Purpose]:
        """The purposes of the orders that the last line sends, in order."""
        keys = [parse_client_order_id(effect.request.client_order_id) for effect in self.asked(PlaceOrder)]
        return [key.purpose for key in keys if key is not None]

    def place(self, purpose: Purpose, leg: int = 0) -> PlaceOrder:
        """The last order of this purpose that was sent."""
        for effect in reversed(self.performed):
            if isinstance(effect, PlaceOrder):
                key = parse_client_order_id(effect.request.client_order_id)
                if key is not None and key.purpose is purpose and key.leg == leg:
                    return effect
        raise AssertionError(f"no {purpose} order was placed")

    def order(self, placed: PlaceOrder) -> Order:
        """The row of an order that was sent, as it stands now."""
        return self.orders[placed.request.client_order_id]

    def stops(self) -> list[Order]:
        """The stop orders of the newest position, in the order in which they were intended."""
        return self.book.orders_of(self.position.position_id, Purpose.STOP)

    # What happens

    def wait(self, milliseconds: int) -> None:
        """Let time pass without an event."""
        self.now += milliseconds

    def pass_time(self, milliseconds: int) -> list[PlaceOrder]:
        """Let time pass; timers that come due fire, the earliest first. What was placed meanwhile."""
        until, before = self.now + milliseconds, len(self.performed)
        while due := sorted((at_ms, kind, key) for (kind, key), at_ms in self.timers.items() if at_ms <= until):
            at_ms, kind, key = due[0]
            self.now = max(self.now, at_ms)
            self.timer(kind, key)
        self.now = until
        return [effect for effect in self.performed[before:] if isinstance(effect, PlaceOrder)]

    def candles(
        self,
        *closes: tuple[str, Number],
        signals: Sequence[Signal] = (),
        is_catch_up: bool = False,
        delay_ms: int = 0,
    ) -> StepResult:
        """The minute ends with these closes and signals; the engine hears of it `delay_ms` later."""
        open_ms = self.now // MINUTE_MS * MINUTE_MS
        self.now = open_ms + MINUTE_MS + delay_ms
        made = tuple(make_candle(close, symbol, open_ms) for symbol, close in closes)
        return self.on(CandlesClosed(self.now, made, tuple(signals), is_catch_up))

    def close_at(self, price: Number) -> StepResult:
        """The minute ends at `price` without a signal."""
        return self.candles((BTC, price))

    def signal(self, side: Side | None = Side.LONG, **changes: object) -> StepResult:
        """The minute ends at 100 with this signal."""
        signal = make_signal(side, candle_ts_ms=self.now // MINUTE_MS * MINUTE_MS)
        signal = replace(signal, **changes)  # type: ignore[arg-type]
        return self.candles((signal.symbol, dec(signal.close_ticks) / 10), signals=[signal])

    def enter(self, side: Side = Side.LONG, **changes: object) -> PlaceOrder:
        """A signal that is taken; its entry."""
        self.signal(side, **changes)
        (entry,) = self.asked(PlaceOrder)
        return entry

    def ack(self, placed: PlaceOrder) -> StepResult:
        """The venue has the order."""
        return self._answer(placed, Accepted(self._report(placed, OrderState.ACKED)))

    def reject(self, placed: PlaceOrder, code: str = "-2019", reason: str = "margin is insufficient") -> StepResult:
        """The venue refuses the order with proof."""
        return self._answer(placed, Rejected(code, reason))

    def doubt(self, placed: PlaceOrder, why: str = "timeout") -> StepResult:
        """Nobody knows whether the venue has the order."""
        return self._answer(placed, Unknown(why))

    def expire(self, placed: PlaceOrder) -> StepResult:
        """The order was held back because its send window was over."""
        return self.on(SubmitExpired(self.now, placed.request.client_order_id))

    def fill(
        self,
        placed: PlaceOrder,
        quantity: Number | None = None,
        price: Number = 100,
        ts_ms: int | None = None,
        **changes: object,
    ) -> StepResult:
        """The order trades; without a quantity all that is left of it."""
        return self.on(FillSeen(self.now, self.make_fill(placed, quantity, price, ts_ms, **changes)))

    def make_fill(
        self,
        placed: PlaceOrder,
        quantity: Number | None = None,
        price: Number = 100,
        ts_ms: int | None = None,
        **changes: object,
    ) -> Fill:
        """An execution of the order with a trade id of its own."""
        self._trades += 1
        order = self.order(placed)
        base = make_fill(
            trade_id=str(self._trades),
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            side=order.side,
            quantity=order.remaining if quantity is None else dec(quantity),
            price=dec(price),
            ts_ms=self.now if ts_ms is None else ts_ms,
        )
        return replace(base, **changes)  # type: ignore[arg-type]

    def foreign_fill(self, side: TradeSide, quantity: Number, price: Number = 100, **changes: object) -> StepResult:
        """An execution that no order of ours explains."""
        return self.on(FillSeen(self.now, self.make_foreign_fill(side, quantity, price, **changes)))

    def make_foreign_fill(self, side: TradeSide, quantity: Number, price: Number = 100, **changes: object) -> Fill:
        """Somebody else's execution with a trade id of its own."""
        self._trades += 1
        fill = make_fill(
            trade_id=f"foreign-{self._trades}",
            client_order_id="",
            side=side,
            quantity=dec(quantity),
            price=dec(price),
            ts_ms=self.now,
        )
        return replace(fill, **changes)  # type: ignore[arg-type]

    def report(self, placed: PlaceOrder, state: OrderState, **changes: object) -> StepResult:
        """The user stream tells about the order."""
        return self.on(OrderReported(self.now, replace(self._report(placed, state), **changes)))  # type: ignore[arg-type]

    def cancelled(self, placed: PlaceOrder) -> StepResult:
        """The order is gone at the venue; what was filled stays filled."""
        return self.report(placed, OrderState.CANCELED)

    def cancel_answered(self, placed: PlaceOrder, state: OrderState | None) -> StepResult:
        """A cancel was answered, by a report or (None) by "no such order"."""
        outcome = Rejected("-2011", "unknown order") if state is None else Accepted(self._report(placed, state))
        return self.on(CancelAnswered(self.now, placed.request.client_order_id, outcome))

    def look_up(self, placed: PlaceOrder, state: OrderState | None) -> StepResult:
        """A query is answered: the order in this state, or no such order."""
        report = None if state is None else self._report(placed, state)
        return self.on(OrderLookedUp(self.now, OrderLookup(placed.request.client_order_id, report)))

    def look_up_failed(self, placed: PlaceOrder) -> StepResult:
        """A query came to nothing."""
        return self.on(LookupFailed(self.now, placed.request.client_order_id, "timeout"))

    def income(self, amount: Number, kind: PnlKind = PnlKind.FUNDING, **changes: object) -> StepResult:
        """The wallet changes by something that is not a fill."""
        self._incomes += 1
        income = make_income(amount, kind, income_id=str(self._incomes), ts_ms=self.now)
        return self.on(IncomeSeen(self.now, replace(income, **changes)))  # type: ignore[arg-type]

    def snapshot(self, **changes: object) -> StepResult:
        """The account was read whole; it shows our positions and our balance unless others are given."""
        held = tuple(held_at_venue(position) for position in self.book.positions.values() if position.quantity)
        balance = self.book.ledger.balance
        snapshot = make_snapshot(self.now, positions=held, balance=Balance(self.settings.asset, balance, balance))
        return self.on(SnapshotTaken(self.now, replace(snapshot, **changes)))  # type: ignore[arg-type]

    def snapshot_failed(self) -> StepResult:
        """The account could not be read."""
        return self.on(SnapshotFailed(self.now, "timeout"))

    def absent(self, *placed: PlaceOrder, **changes: object) -> StepResult:
        """The account was read whole, and the venue knows none of these orders."""
        return self.snapshot(
            lookups=tuple(OrderLookup(item.request.client_order_id, None) for item in placed), **changes
        )

    def stream_lost(self) -> StepResult:
        """The venue stops telling."""
        return self.on(StreamLost(self.now, "connection reset"))

    def stream_restored(self) -> StepResult:
        """The venue tells again."""
        return self.on(StreamRestored(self.now))

    def fills_read(self, *fills: Fill) -> StepResult:
        """The executions since the watermark were read."""
        return self.on(FillsRead(self.now, fills))

    def fill_told(self, fill: Fill) -> StepResult:
        """The stream tells of a fill; where the engine asks for the whole story, it gets this one."""
        self.on(FillSeen(self.now, fill))
        return self.fills_read(fill) if self.asked(FetchFills) else self.last

    def timer(self, kind: TimerKind, key: str = "") -> StepResult:
        """A timer fires."""
        self.timers.pop((kind, key), None)
        return self.on(TimerFired(self.now, kind, key))

    def stop_file(self, level: Level = Level.NO_ENTRY) -> StepResult:
        """The kill-switch file is found."""
        return self.on(StopRequested(self.now, level, "STOP file"))

    def resume(self) -> StepResult:
        """The operator resumes."""
        return self.on(ResumeRequested(self.now, "operator"))

    # Whole scenes

    def opened(self, side: Side = Side.LONG, price: Number = 100, **changes: object) -> Position:
        """A position whose entry has filled whole, with its stop and targets confirmed."""
        entry = self.enter(side, **changes)
        self.ack(entry)
        self.fill(entry, price=price)
        for placed in self.asked(PlaceOrder):
            self.ack(placed)
        return self.position

    def stopped_out(self, price: Number = 95, **changes: object) -> Position:
        """A position that was opened and has lost at its stop."""
        self.opened(**changes)  # type: ignore[arg-type]
        self.fill(self.place(Purpose.STOP), price=price)
        self.settle_cancels()
        return self.position

    def settle_cancels(self) -> None:
        """The venue confirms every cancel that was asked for."""
        for order in list(self.book.orders.values()):
            if order.cancel_requested and order.is_live:
                self.on(OrderReported(self.now, make_report(order, OrderState.CANCELED, ts_ms=self.now)))

    def _answer(self, placed: PlaceOrder, outcome: Accepted | Rejected | Unknown) -> StepResult:
        return self.on(SubmitAnswered(self.now, placed.request.client_order_id, outcome))

    def _report(self, placed: PlaceOrder, state: OrderState) -> OrderReport:
        return make_report(self.order(placed), state, ts_ms=self.now)
