"""Whatever happens, in whatever order: the core stays deterministic, protected, within its limits, and exact."""

from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

from builders import BTC, ETH, Number, Playbook, dec, make_instrument, make_settings, make_signal, without_limits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading_engine.core.effects import CancelOrder, FetchFills, PlaceOrder, SetTimer
from trading_engine.core.project import apply, prune
from trading_engine.core.settings import (
    EngineSettings,
    ExitPlan,
    ExitSettings,
    LimitSettings,
    PartialStep,
    SizingSettings,
)
from trading_engine.core.state import Book
from trading_engine.core.step import StepResult, step
from trading_engine.domain.control import Level
from trading_engine.domain.events import Event, FillSeen, OrderReported, TimerKind
from trading_engine.domain.fills import PnlKind
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.market import Side
from trading_engine.domain.orders import Order, OrderState, TradeSide
from trading_engine.domain.records import (
    Fate,
    FillApplied,
    IncomeBooked,
    OrderIntended,
    PositionOpened,
    SignalSeen,
    StopMoved,
)
from trading_engine.domain.time import HOUR_MS, MINUTE_MS
from trading_engine.rules.exits import TrailStep

PLAN = ExitPlan(
    partials=(PartialStep(2_000, 300_000), PartialStep(4_000, 400_000)),
    trailing=(TrailStep(1_000, 0), TrailStep(3_000, 1_000)),
)
STEP = Decimal("0.01")
ANSWERS = ["trade", "trade", "trade", "ack", "ack", "cancelled", "reject", "doubt", "look_up", "expire"]
ASIDES = [
    "candle",
    "signal",
    "signal",
    "income",
    "snapshot",
    "timer",
    "old_news",
    "late_fill",
    "stranger",
    "operator",
    "stream",
    "history",
]
LOOSE = without_limits(drawdown_ppm=300_000, cooldown_ms=60_000, rejects_to_freeze=3)


def busy_settings(*, is_certain: bool, grows: bool = False) -> EngineSettings:
    """Ladders, loose limits, so that much happens; positions that grow with further signals, where so asked."""
    exits = ExitSettings(plans={"trend": PLAN}, max_age_ms=HOUR_MS, close_on_max_age=True, exit_on_opposite=True)
    sizing = SizingSettings(ladder=(250_000, 350_000, 400_000) if grows else ())
    return make_settings(exits=exits, limits=LOOSE, sizing=sizing, absence_is_proof=is_certain)


def sent_by(play: Playbook, order: Order) -> PlaceOrder:
    """The effect that sent an order."""
    return next(
        effect
        for effect in play.performed
        if isinstance(effect, PlaceOrder) and effect.request.client_order_id == order.client_order_id
    )


class World(Playbook):
    """A playbook that checks every line and lets chance choose the next one."""

    def on(self, event: Event) -> None:  # type: ignore[override]
        """One event, twice on the same state: equal results, and the state as it was."""
        before = self.state
        kept = deepcopy(before)
        again = step(before, event, self.settings)
        super().on(event)
        assert again == self.last
        assert kept == before
        self.check_protection()

    def check_protection(self) -> None:
        """Every open position has an order row for a stop of exactly its size at its level, or the time for the
        next one is near and somebody will come back for it; since when it has been bare is known.
        """
        for position in self.book.positions.values():
            if position.state is not PositionState.OPEN:
                continue
            stops = self.book.orders_of(position.position_id, Purpose.STOP)
            if not any(
                stop.remaining == position.quantity and stop.trigger_price == position.stop_price
                for stop in stops
                if not stop.is_settled and not stop.cancel_requested
            ):
                next_ms = stops[-1].created_ms + self.settings.execution.stop_spacing_ms
                assert self.now <= next_ms
                assert next_ms == self.timers[TimerKind.PROTECT, position.position_id]
            covered = sum(stop.remaining for stop in stops if stop.is_confirmed)
            assert (covered < position.quantity) is (position.position_id in self.state.market.uncovered)

    def line(self, draw: st.DataObject) -> None:
        """One line of the play, more often than not about an order that is live."""
        self.pass_time(draw.draw(st.sampled_from([1, 500, 6_000, 20_000])))
        live = [order for order in self.book.orders.values() if order.is_live]
        if live and draw.draw(st.integers(0, 9)) < 6:
            self.answer(draw.draw(st.sampled_from(live)), draw)
        else:
            verb = draw.draw(st.sampled_from(ASIDES))
            getattr(self, f"hear_{verb}")(draw)

    def answer(self, order: Order, draw: st.DataObject) -> None:
        """The venue says something about an order, or trades a part of it."""
        verb = draw.draw(st.sampled_from(ANSWERS))
        if verb == "trade":
            self.trade(order, draw)
        elif verb == "look_up":
            self.look_up(sent_by(self, order), draw.draw(st.sampled_from([None, OrderState.ACKED])))
        else:
            getattr(self, verb)(sent_by(self, order))

    def trade(self, order: Order, draw: st.DataObject) -> None:
        """A part of an order fills, never more than a venue would let it."""
        held = self.book.positions[order.position_id].quantity
        most = min(order.remaining, held) if order.reduce_only else order.remaining
        steps = int(most / STEP)
        if steps:
            quantity = draw.draw(st.sampled_from([steps, max(1, steps // 3)])) * STEP
            near = order.price or order.trigger_price or dec(100)
            price = near + draw.draw(st.integers(-20, 20)) / dec(10)
            fee = draw.draw(st.sampled_from(["0", "0.01", "-0.005"]))
            self.fill(sent_by(self, order), quantity, price, fee=dec(fee))

    def candles(self, *closes: tuple[str, Number], **more: object) -> StepResult:
        """The minute goes by, timers fire, and then it ends."""
        self.pass_time(MINUTE_MS - 1 - self.now % MINUTE_MS)
        return super().candles(*closes, **more)  # type: ignore[arg-type]

    def hear_candle(self, draw: st.DataObject) -> None:
        """The market moves."""
        self.candles((BTC, draw.draw(st.integers(900, 1_200)) / dec(10)), (ETH, 100))

    def hear_signal(self, draw: st.DataObject) -> None:
        """A strategy speaks: in, out, or both."""
        side = draw.draw(st.sampled_from([Side.LONG, Side.SHORT, None]))
        leave = draw.draw(st.sampled_from([Side.LONG, Side.SHORT, None]))
        symbol = draw.draw(st.sampled_from([BTC, ETH]))
        stop_ticks = draw.draw(st.integers(25, 100)) if side else 0
        self.signal(side, symbol=symbol, exit_side=leave, stop_ticks=stop_ticks)

    def hear_income(self, draw: st.DataObject) -> None:
        """The wallet changes, a little while ago."""
        kind = draw.draw(st.sampled_from([PnlKind.FUNDING, PnlKind.TRANSFER, PnlKind.ADJUSTMENT]))
        self.income(draw.draw(st.integers(-300, 100)), kind, ts_ms=self.now - draw.draw(st.integers(0, 30_000)))

    def hear_snapshot(self, draw: st.DataObject) -> None:
        """The account is read; it may miss an order, and may show what nobody can explain."""
        live = [sent_by(self, order) for order in self.book.orders.values() if order.is_live]
        missed = [placed for placed in live if draw.draw(st.booleans())]
        began_ms = self.now - draw.draw(st.sampled_from([0, 0, 15_000]))
        if draw.draw(st.integers(0, 9)):
            self.absent(*missed, ts_ms=began_ms)
        else:
            self.absent(*missed, ts_ms=began_ms, positions=())

    def hear_stream(self, draw: st.DataObject) -> None:
        """It goes, or comes back."""
        if draw.draw(st.booleans()):
            self.stream_lost()
        else:
            self.stream_restored()

    def hear_history(self, draw: st.DataObject) -> None:
        """The executions are read once more: nothing new."""
        del draw
        self.fills_read(*(record.fill for record in self.journal if isinstance(record, FillApplied)))
        assert () == self.last.records

    def hear_timer(self, draw: st.DataObject) -> None:
        """Any timer that was ever set fires."""
        timers = [effect for effect in self.performed if isinstance(effect, SetTimer)]
        if timers:
            timer = draw.draw(st.sampled_from(timers))
            self.timer(timer.kind, timer.key)

    def hear_old_news(self, draw: st.DataObject) -> None:
        """A fill is told again."""
        seen = [record.fill for record in self.journal if isinstance(record, FillApplied)]
        if seen:
            self.on(FillSeen(self.now, draw.draw(st.sampled_from(seen))))
            assert () == self.last.records

    def hear_late_fill(self, draw: st.DataObject) -> None:
        """An order fills whose position has closed."""
        gone = [order for key, order in self.orders.items() if key not in self.book.orders]
        if gone and draw.draw(st.booleans()):
            self.fill(sent_by(self, draw.draw(st.sampled_from(gone))), 1, 100)

    def hear_stranger(self, draw: st.DataObject) -> None:
        """Somebody else trades on the account."""
        self.foreign_fill(draw.draw(st.sampled_from(TradeSide)), 1, 100)

    def hear_operator(self, draw: st.DataObject) -> None:
        """Stop, or resume."""
        level = draw.draw(st.sampled_from([Level.NO_ENTRY, Level.FLATTEN, None, None, None]))
        if level is None:
            self.resume()
        else:
            self.stop_file(level)


def check_history(world: World) -> None:
    """What must hold of everything that was written."""
    rebuilt = Book("test")
    stops: dict[str, Decimal] = {}
    sides: dict[str, Side] = {}
    balance = Decimal(0)
    for record in world.journal:
        rebuilt = apply(rebuilt, record)
        if isinstance(record, PositionOpened):
            stops[record.position.position_id] = record.position.stop_price
            sides[record.position.position_id] = record.position.side
        elif isinstance(record, StopMoved):
            moved = record.stop_price - stops[record.position_id]
            assert moved * sides[record.position_id].sign > 0
            stops[record.position_id] = record.stop_price
        elif isinstance(record, FillApplied):
            balance += record.gross - record.fill.fee
        elif isinstance(record, IncomeBooked):
            balance += record.income.amount
    assert world.book == prune(rebuilt)
    assert balance == world.book.ledger.balance
    if not world.settings.absence_is_proof:
        sent = [effect.request.client_order_id for effect in world.performed if isinstance(effect, PlaceOrder)]
        assert len(sent) == len(set(sent))
    intended = [record.order.client_order_id for record in world.journal if isinstance(record, OrderIntended)]
    assert len(intended) == len(set(intended))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data(), st.booleans(), st.booleans())
def test_whatever_happens_the_core_keeps_its_promises(draw: st.DataObject, is_certain: bool, grows: bool) -> None:
    """Deterministic, never touching its input, every open position protected, every stop moving forward only,
    and the journal alone gives the book again.
    """
    world = World(busy_settings(is_certain=is_certain, grows=grows), balance=10_000)
    for _ in range(draw.draw(st.integers(1, 40))):
        world.line(draw)
    check_history(world)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data(), st.booleans(), st.booleans())
def test_whatever_happens_a_core_that_sends_nothing_sends_nothing(
    draw: st.DataObject, is_certain: bool, grows: bool
) -> None:
    """Signals, strangers, operators, timers, streams: no order is intended, none is placed, none is cancelled."""
    world = World(replace(busy_settings(is_certain=is_certain, grows=grows), signals_only=True), balance=10_000)
    world.signal()
    for _ in range(draw.draw(st.integers(1, 40))):
        world.line(draw)
    check_history(world)
    assert [] == [effect for effect in world.performed if isinstance(effect, PlaceOrder | CancelOrder)]
    assert not world.book.orders
    assert not world.book.positions
    assert Fate.WITHHELD in [record.fate for record in world.journal if isinstance(record, SignalSeen)]


@st.composite
def cuts(draw: st.DrawFn) -> list[Decimal]:
    """Ten coins in up to four parts."""
    edges = sorted({0, 1_000, *draw(st.lists(st.integers(1, 999), max_size=3))})
    return [Decimal(high - low) / 100 for low, high in pairwise(edges)]


def told(play: Playbook, placed: PlaceOrder, parts: list[Decimal], price: int) -> list[Event]:
    """Every fill of an order, and what the venue says about it meanwhile."""
    events: list[Event] = []
    total = Decimal(0)
    base = play._report(placed, OrderState.ACKED)
    events.append(OrderReported(play.now, base))
    for at, part in enumerate(parts):
        total += part
        state = OrderState.FILLED if total == 10 else OrderState.PARTIAL
        fill = play.make_fill(placed, part, price, play.now + at, fee=Decimal("0.01"))
        events.append(FillSeen(play.now, fill))
        events.append(OrderReported(play.now, replace(base, state=state, filled=total, ts_ms=play.now + at)))
    return events


@settings(max_examples=100, deadline=None)
@given(st.data(), cuts(), cuts(), st.booleans())
def test_fills_and_reports_give_the_same_book_in_any_order(
    draw: st.DataObject, opening: list[Decimal], closing: list[Decimal], is_certain: bool
) -> None:
    """Shuffled and repeated: the same position, entry, ledger and keys as told in order and once."""
    books = []
    for is_shuffled in (False, True):
        play = Playbook(make_settings(absence_is_proof=is_certain))
        for placed_by, parts, price in ((Purpose.ENTRY, opening, 100), (Purpose.STOP, closing, 95)):
            if placed_by is Purpose.ENTRY:
                play.enter()
            events = told(play, play.place(placed_by), parts, price)
            if is_shuffled:
                repeated = draw.draw(st.lists(st.sampled_from(events), max_size=3))
                events = draw.draw(st.permutations([*events, *repeated]))
            for event in events:
                play.on(event)
            play.pass_time(1_000)
            for order in [row for row in play.book.orders.values() if row.state is OrderState.INTENT]:
                play.ack(sent_by(play, order))
            play.settle_cancels()
            play.wait(1_000)
        books.append((play.position, play.book.ledger, play.book.seen, play.order(play.place(Purpose.ENTRY))))
    assert books[0] == books[1]
    assert PositionState.CLOSED is books[0][0].state


@settings(max_examples=60, deadline=None)
@given(st.data(), cuts())
def test_a_sale_told_before_its_purchase_gives_the_same_book_once_the_history_is_read(
    draw: st.DataObject, opening: list[Decimal]
) -> None:
    """It waits; what the stream told out of order the history puts right."""
    books = []
    for is_shuffled in (False, True):
        play = Playbook()
        entry = play.enter()
        play.fill(entry, "0.01", ts_ms=play.now)
        bought = [play.make_fill(entry, part, 101, play.now + at) for at, part in enumerate(_less(opening), start=1)]
        sold = play.make_foreign_fill(TradeSide.SELL, 10, 99, ts_ms=play.now + 10)
        fills = [*bought, sold]
        for fill in draw.draw(st.permutations(fills)) if is_shuffled else fills:
            play.on(FillSeen(play.now, fill))
            if play.asked(FetchFills):
                play.fills_read(*reversed(fills))
        books.append((play.position.gross_pnl, play.book.ledger, play.book.seen))
    assert books[0] == books[1]
    assert (Decimal(0), {}) == (play.position.quantity, play.book.frozen)


def _less(parts: list[Decimal]) -> list[Decimal]:
    """The parts without the hundredth that was told at first."""
    first, *others = parts
    return [part for part in (first - Decimal("0.01"), *others) if part]


@settings(max_examples=200, deadline=None)
@given(
    balance=st.decimals(10, 10_000_000, places=8),
    risk_ppm=st.integers(100, 50_000),
    close_ticks=st.integers(2, 1_000_000),
    stop_ticks=st.integers(1, 2_000_000),
    side=st.sampled_from(Side),
    tick=st.sampled_from(["0.1", "0.00001", "5"]),
    step_size=st.sampled_from(["0.001", "1", "1000"]),
)
def test_the_risk_at_the_stop_never_exceeds_its_share(
    balance: Decimal, risk_ppm: int, close_ticks: int, stop_ticks: int, side: Side, tick: str, step_size: str
) -> None:
    """Rounding only ever lowers it; quantity on the step, both levels on the tick."""
    instrument = make_instrument(
        tick=dec(tick), step=dec(step_size), min_quantity=dec(step_size), max_quantity=dec(10**12), min_notional=dec(0)
    )
    sizing = SizingSettings(risk_ppm=risk_ppm, cap_ppm=9_000_000)
    config = make_settings(instruments={BTC: instrument}, sizing=sizing, limits=without_limits())
    play = Playbook(config, balance=balance)
    signal = make_signal(side, close_ticks=close_ticks, stop_ticks=stop_ticks, target_ticks=0, candle_ts_ms=play.now)
    play.candles(signals=[signal])
    for position in play.book.positions.values():
        at_stop = position.intended_quantity * abs(position.reference_price - position.initial_stop)
        assert at_stop <= balance * risk_ppm / 1_000_000
        assert instrument.quantity_to_steps(position.intended_quantity) > 0
        assert instrument.price_to_ticks(position.initial_stop) >= 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 48 * HOUR_MS), st.integers(-200, 200)), max_size=12), st.integers(0, 12))
def test_a_restart_at_any_point_changes_no_verdict(flows: list[tuple[int, int]], at: int) -> None:
    """Limits come from rows: a state that is rebuilt from the journal half-way ends where the other does."""
    config = make_settings(limits=LimitSettings(cooldown_ms=0))
    steady, restarted = Playbook(config), Playbook(config)
    for number, (pause_ms, amount) in enumerate(flows):
        if number == at:
            rebuilt = Book("test")
            for record in restarted.journal:
                rebuilt = apply(rebuilt, record)
            restarted.state = replace(restarted.state, book=prune(rebuilt))
        for play in (steady, restarted):
            play.wait(pause_ms)
            play.income(amount)
        assert steady.last.records == restarted.last.records
    assert steady.book == restarted.book
