"""Random but lawful lives of an account, as the commits a store is given.

The core is not involved: records are made up by chance within what `core.project.apply` accepts, so that a
store meets every kind of record in many orders. Equal seeds give equal stories.
"""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from random import Random

from trading_engine.core.project import apply, prune
from trading_engine.core.state import Book
from trading_engine.domain import money
from trading_engine.domain.control import Level
from trading_engine.domain.fills import GAP_MARK, PART_MARK, Fill, Income, PnlKind
from trading_engine.domain.ids import OrderKey, Purpose, derive_client_order_id, position_id
from trading_engine.domain.lifecycle import CloseReason, PositionState, Trigger
from trading_engine.domain.market import Side, Signal
from trading_engine.domain.order_type import OrderType, TimeInForce
from trading_engine.domain.orders import Order, OrderState, closing_side, opening_side
from trading_engine.domain.position import Position, gross_of
from trading_engine.domain.records import (
    AdjustmentBooked,
    AlertRaised,
    CancelIntended,
    ConfigChanged,
    ControlChanged,
    DayClosed,
    DifferenceFound,
    EntriesPaused,
    EquitySampled,
    Fate,
    FillApplied,
    IncomeBooked,
    LimitsRebased,
    LimitTripped,
    MarketShocked,
    OrderIntended,
    OrderUpdated,
    PositionAdvanced,
    PositionAged,
    PositionDropped,
    PositionOpened,
    Record,
    RunEnded,
    RunStarted,
    SignalSeen,
    StopMoved,
    StrategySwitched,
    SymbolFrozen,
)
from trading_engine.domain.severity import Severity
from trading_engine.domain.time import DAY_MS, HOUR_MS, day_of
from trading_engine.ports import Checkpoint, Commit, GateStatus, LimitStatus
from trading_engine.rules import turbulence

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
STRATEGIES = ("trend", "breakout")
START_MS = 1_735_689_600_000
EPOCH = "ab12"

VENUE, ACCOUNT, ASSET = "paper", "main", "USDT"


class Story:
    """Tells one commit after the other; `book` is what the engine would hold between them."""

    def __init__(self, seed: int, *, longest_pause_ms: int = 6 * HOUR_MS) -> None:
        self._random = Random(seed)
        self._pause_ms = longest_pause_ms
        self._run_id = f"run-{seed}"
        self._trades = 0
        self.now_ms = START_MS
        self.book = Book(epoch="")
        self._draft = self.book
        self._records: list[Record] = []
        self._closed: list[Position] = []

    def begin(self) -> Commit:
        """The first commit: the run and its opening balance."""
        self._add(RunStarted(self._run_id, "0.1.0", "paper", "c0ffee", EPOCH))
        self._income(PnlKind.TRANSFER, "", "", Decimal(10_000))
        return self._finish()

    def next(self) -> Commit:
        """A later commit of one to four happenings."""
        self.now_ms += self._random.randrange(1, self._pause_ms)
        for _ in range(self._random.randrange(1, 5)):
            self._random.choice(self._happenings())()
        return self._finish()

    def commits(self, count: int) -> list[Commit]:
        """The first `count` commits."""
        return [self.begin(), *(self.next() for _ in range(count - 1))]

    def _happenings(self) -> list[Callable[[], None]]:
        life = [self._open, self._fill_entry, self._reduce, self._close, self._abandon, self._touch]
        return [*life, *life, self._drop, self._update_order, self._book_income, self._note, self._control]

    def _add(self, record: Record) -> None:
        self._records.append(record)
        self._draft = apply(self._draft, record)

    def _finish(self) -> Commit:
        commit = Commit(self.now_ms, self._run_id, tuple(self._records), self._draft, self._checkpoint())
        self._closed += [item for item in self._draft.positions.values() if item.state is PositionState.CLOSED]
        self.book = self._draft = prune(self._draft)
        self._records = []
        return commit

    def _checkpoint(self) -> Checkpoint:
        gates = tuple(GateStatus(symbol, ok=False, reasons=("cooldown", "spread")) for symbol in SYMBOLS)
        limit = LimitStatus(
            "daily_loss", "account", "1.2", "3", "40", tripped=False, resets_at_ms=0, computed_from=(("pnl", "-1"),)
        )
        measured = (("BTCUSDT", turbulence.measured(turbulence.calm(), self.now_ms, 12, 10, 11)),)
        marks = (("BTCUSDT", "61240.1"),)
        return Checkpoint(self.now_ms, marks, self.now_ms, 0, gates, (limit,), "-0.5", turbulence=measured)

    def _price(self) -> Decimal:
        return Decimal(self._random.randrange(1_000, 9_000_000)) / 100

    def _quantity(self) -> Decimal:
        return Decimal(self._random.randrange(1, 5_000)) / 1_000

    def _pick(self, *states: PositionState) -> Position | None:
        found = [item for item in self._draft.positions.values() if item.state in states]
        return self._random.choice(found) if found else None

    def _open(self) -> None:
        symbol = self._random.choice(SYMBOLS)
        strategy = self._random.choice(STRATEGIES)
        side = self._random.choice(list(Side))
        held = self._draft.position_on(symbol)
        signal = self._signal(strategy, symbol, side)
        if held is not None:
            self._add(SignalSeen(signal, Fate.HELD, "held", held.position_id))
            return
        number = self._draft.next_position
        price = self._price()
        position = Position(
            position_id=position_id(number),
            number=number,
            symbol=symbol,
            side=side,
            strategy=strategy,
            state=PositionState.PENDING,
            intended_quantity=self._quantity(),
            reference_price=price,
            initial_stop=price * Decimal("0.97"),
            stop_price=price * Decimal("0.97"),
            target_price=self._random.choice([None, price * 2]),
            leverage=Decimal(5),
            signal_ms=signal.candle_ts_ms,
            created_ms=self.now_ms,
            tag="a tag",
        )
        self._add(PositionOpened(position))
        self._intend(position, Purpose.ENTRY, position.intended_quantity)
        self._add(SignalSeen(signal, Fate.TAKEN, "sized", position.position_id))

    def _signal(self, strategy: str, symbol: str, side: Side) -> Signal:
        self._trades += 1
        return Signal(
            strategy=strategy,
            symbol=symbol,
            side=side,
            confidence=self._random.random(),
            close_ticks=100,
            stop_ticks=3,
            target_ticks=0,
            candle_ts_ms=self.now_ms * 1000 + self._trades,
            exit_side=self._random.choice([None, Side.LONG]),
            explanation=(("rsi", "31.5"), ("ema", "1e-7")),
        )

    def _intend(self, position: Position, purpose: Purpose, quantity: Decimal) -> Order:
        mine = self._draft.orders_of(position.position_id, purpose)
        key = OrderKey(EPOCH, position.number, purpose, 0, len(mine))
        is_entry = purpose is Purpose.ENTRY
        order = Order(
            client_order_id=derive_client_order_id(key),
            position_id=position.position_id,
            symbol=position.symbol,
            purpose=purpose,
            leg=0,
            generation=len(mine),
            type=OrderType.STOP_MARKET if purpose is Purpose.STOP else OrderType.MARKET,
            side=opening_side(position.side) if is_entry else closing_side(position.side),
            position_side=position.side,
            quantity=quantity,
            price=None,
            trigger_price=position.stop_price if purpose is Purpose.STOP else None,
            reduce_only=not is_entry,
            time_in_force=TimeInForce.GTC,
            created_ms=self.now_ms,
            not_after_ms=self.now_ms + 5_000,
        )
        self._add(OrderIntended(order))
        return order

    def _fill(self, position: Position, order: Order | None, quantity: Decimal, *, opening: bool) -> None:
        self._trades += 1
        fill = Fill(
            venue=VENUE,
            account=ACCOUNT,
            trade_id=f"t{self._trades}",
            client_order_id=order.client_order_id if order else "",
            venue_order_id="v1",
            symbol=position.symbol,
            side=opening_side(position.side) if opening else closing_side(position.side),
            quantity=quantity,
            price=self._price(),
            fee=self._random.choice([Decimal(0), Decimal("0.02400012"), Decimal("-0.001")]),
            fee_asset=ASSET if self._trades % 4 else "BNB",
            ts_ms=self.now_ms + self._random.randrange(100),
            realized_pnl=None,
            is_maker=self._random.random() < 0.5,
            is_liquidation=not opening and order is None and self._random.random() < 0.5,
        )
        own = gross_of(position, fill)
        gross = own if opening or self._random.random() < 0.8 else own + Decimal("0.00000001")
        strangers = gross - own if position.number % 2 else Decimal(0)
        self._add(FillApplied(fill, position.position_id, gross, own, day_of(fill.ts_ms), strangers, ASSET))

    def _fill_entry(self) -> None:
        position = self._pick(PositionState.PENDING, PositionState.OPEN)
        entry = self._draft.entry_of(position.position_id) if position else None
        if position is None or entry is None or not entry.is_live or not entry.remaining:
            return
        quantity = entry.remaining if self._random.random() < 0.6 else entry.remaining / 2
        self._fill(position, entry, quantity, opening=True)
        if position.state is PositionState.PENDING:
            self._advance(position, PositionState.OPEN, Trigger.FIRST_FILL)
            stop = self._intend(position, Purpose.STOP, position.intended_quantity)
            if self._random.random() < 0.7:
                self._update(stop, OrderState.ACKED)

    def _reduce(self) -> None:
        position = self._pick(PositionState.OPEN)
        if position is not None and position.quantity:
            exit_order = self._intend(position, Purpose.EXIT, position.quantity / 2)
            self._fill(position, exit_order, position.quantity / 2, opening=False)

    def _close(self) -> None:
        position = self._pick(PositionState.OPEN, PositionState.CLOSING)
        if position is None:
            return
        if position.state is PositionState.OPEN:
            reason = self._random.choice([CloseReason.STOP, CloseReason.SIGNAL, CloseReason.LIQUIDATION])
            self._advance(position, PositionState.CLOSING, Trigger.BEGIN_CLOSE, reason)
            if self._random.random() < 0.4:
                return
        stops = self._draft.orders_of(position.position_id, Purpose.STOP)
        order = stops[-1] if stops and stops[-1].remaining >= position.quantity else None
        if position.quantity:
            self._fill(position, order, position.quantity, opening=False)
        self._end(position)

    def _end(self, position: Position, reason: CloseReason | None = None) -> None:
        for left in self._draft.orders_of(position.position_id):
            if left.is_live:
                self._add(CancelIntended(left.client_order_id, "position closed"))
                self._update(left, OrderState.CANCELED)
        self._advance(position, PositionState.CLOSED, Trigger.FLAT, reason)

    def _drop(self) -> None:
        position = self._pick(PositionState.OPEN, PositionState.CLOSING)
        if position is None or not position.quantity:
            return
        looks = (self.now_ms - 60_000, self.now_ms)
        self._add(PositionDropped(position.position_id, position.quantity, "operator", "an outage", self.now_ms, looks))
        if position.state is PositionState.OPEN:
            self._advance(position, PositionState.CLOSING, Trigger.BEGIN_CLOSE)
        self._end(position, CloseReason.EXTERNAL)

    def _abandon(self) -> None:
        position = self._pick(PositionState.PENDING)
        if position is None or self._random.random() < 0.5:
            return
        entry = self._draft.entry_of(position.position_id)
        if entry is not None and entry.is_live:
            state = self._random.choice([OrderState.VOID, OrderState.REJECTED])
            self._update(entry, state)
        self._advance(position, PositionState.CLOSED, Trigger.ABANDON, CloseReason.ABANDONED)

    def _advance(
        self, position: Position, target: PositionState, trigger: Trigger, reason: CloseReason | None = None
    ) -> None:
        source = self._draft.positions[position.position_id].state
        self._add(PositionAdvanced(position.position_id, source, target, trigger, "told", reason))

    def _touch(self) -> None:
        position = self._pick(PositionState.OPEN, PositionState.CLOSING)
        if position is None:
            return
        if self._random.random() < 0.5:
            self._add(StopMoved(position.position_id, position.stop_price + Decimal("0.01"), "trailed"))
        else:
            self._add(PositionAged(position.position_id))

    def _update(self, order: Order, state: OrderState) -> None:
        self._add(OrderUpdated(order.client_order_id, state, order.filled, "v1", "said so", self.now_ms))

    def _update_order(self) -> None:
        found = [order for order in self._draft.orders.values() if order.is_live and not order.filled]
        if found:
            states = [OrderState.UNKNOWN, OrderState.ACKED, OrderState.REJECTED]
            self._update(self._random.choice(found), self._random.choice(states))

    def _book_income(self) -> None:
        kind = self._random.choice(list(PnlKind))
        amount = Decimal(self._random.randrange(-500, 500)) / 100_000_000
        pending = PositionState.PENDING
        live = [item.position_id for item in self._draft.positions.values() if item.state is not pending]
        closed = [item.position_id for item in self._closed[-3:]]
        owner = "" if kind is PnlKind.TRANSFER else self._random.choice(["", *live, *closed])
        self._income(kind, owner, SYMBOLS[0], amount)

    def _income(self, kind: PnlKind, owner: str, symbol: str, amount: Decimal) -> None:
        self._trades += 1
        at_ms = self.now_ms - self._random.choice([0, 0, DAY_MS])
        income = Income(VENUE, ACCOUNT, f"i{self._trades}", kind, symbol, amount, ASSET, at_ms)
        if kind is PnlKind.ADJUSTMENT and self._trades % 2:
            mark = PART_MARK if self._trades % 3 else f"{GAP_MARK}1"
            key = f"{income.key}{mark}"
            self._add(AdjustmentBooked(key, amount, ASSET, symbol, at_ms, day_of(at_ms), "operator", "a bonus"))
        else:
            self._add(IncomeBooked(income, owner, day_of(at_ms)))

    def _note(self) -> None:
        ledger = self._draft.ledger
        notes: list[Record] = [
            AlertRaised(Severity.WARNING, "key", "text “quoted” \n line"),
            EquitySampled(self.now_ms, ledger.balance, Decimal("-1.50")),
            DayClosed(day_of(self.now_ms), Decimal(1), Decimal(2), Decimal(3), Decimal(4), 5, 6),
            DifferenceFound("pnl", SYMBOLS[0], "1", "", "booked"),
            LimitTripped("daily_loss", "account", "3.1", "3", self.now_ms),
            SymbolFrozen(self._random.choice(SYMBOLS), "odd"),
            EntriesPaused(self._random.choice(["", *SYMBOLS]), self._random.random() < 0.5, "operator", self.now_ms),
            ConfigChanged("0123456789abcdef", ("risk.max_positions",), "operator"),
            RunEnded(self._run_id, "end of data"),
        ]
        note = self._random.choice(notes)
        self._add(note)
        if isinstance(note, SymbolFrozen):
            self._add(MarketShocked(note.symbol, "range", "12 %", "10 %", self.now_ms))

    def _control(self) -> None:
        level = self._random.choice(list(Level))
        self._add(ControlChanged(level, "because", "operator", self.now_ms))
        if level is Level.RUN:
            self._add(LimitsRebased(self.now_ms, "operator"))
        for strategy in STRATEGIES[:1] if level is Level.LOCKED else ():
            self._add(StrategySwitched(strategy, strategy in self._draft.disabled, "operator", self.now_ms))


def without_old_keys(book: Book, kept: Book) -> Book:
    """`book` with only those dedup keys that `kept` has too: how far back they reach is the store's choice."""
    return replace(book, seen={key: at for key, at in book.seen.items() if key in kept.seen})


def total(amounts: list[Decimal]) -> Decimal:
    """Exact sum."""
    result = Decimal(0)
    for amount in amounts:
        result = money.add(result, amount)
    return result
