"""The executor: one attempt a submit, every answer an event, nothing sent that must not be sent any more."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from decimal import Decimal

import pytest
from fakes.memory_store import MemoryStore
from fakes.scripted_venue import ScriptedVenue

from trading_engine.core.effects import (
    CancelOrder,
    Effect,
    FetchFills,
    LookUpOrder,
    PlaceOrder,
    RenewStream,
    SetTimer,
    TakeSnapshot,
)
from trading_engine.core.risk import Approved
from trading_engine.core.settings import EngineSettings
from trading_engine.core.state import KEPT_KEYS_MS, Book, EngineState, Ledger
from trading_engine.domain.control import Control, Level
from trading_engine.domain.errors import RateLimited, VenueRejected
from trading_engine.domain.events import (
    CancelAnswered,
    Event,
    FillsRead,
    LookupFailed,
    OrderLookedUp,
    SnapshotFailed,
    SnapshotTaken,
    SubmitAnswered,
    SubmitExpired,
    TimerFired,
    TimerKind,
)
from trading_engine.domain.ids import Purpose
from trading_engine.domain.instrument import Instrument, MarginTier
from trading_engine.domain.market import Side
from trading_engine.domain.order_type import OrderType, TimeInForce
from trading_engine.domain.orders import Order, OrderRequest, OrderState, TradeSide
from trading_engine.domain.reports import Accepted, Rejected, Unknown
from trading_engine.runtime import executor as executor_module
from trading_engine.runtime.clock import VirtualClock
from trading_engine.runtime.executor import (
    FILLS_RETRY_MS,
    HISTORY_MARGIN_MS,
    KEY_RETRY_MS,
    SNAPSHOT_RETRY_MS,
    Executor,
    take_snapshot,
)
from trading_engine.runtime.pump import Pump
from trading_engine.runtime.timers import Timers

START = 1_746_316_800_000
HOUR = 3_600_000
DAY = 24 * HOUR


def _instrument(symbol: str) -> Instrument:
    return Instrument(
        symbol=symbol,
        tick=Decimal("0.1"),
        step=Decimal("0.001"),
        min_quantity=Decimal("0.001"),
        max_quantity=Decimal(100),
        min_notional=Decimal(5),
        max_leverage=Decimal(50),
        tiers=(MarginTier(Decimal(10**9), Decimal("0.005"), Decimal(0), Decimal(50)),),
    )


INSTRUMENTS = {symbol: _instrument(symbol) for symbol in ("BTCUSDT", "ETHUSDT")}
SETTINGS = EngineSettings("scripted", "test", "USDT", INSTRUMENTS)


class ListeningPump(Pump):
    """A pump that also keeps what it was told."""

    heard: list[Event]

    def handle(self, event: Event) -> None:
        """Take in one event."""
        self.heard.append(event)
        super().handle(event)


class Desk:
    """An executor between a scripted venue and a real pump."""

    def __init__(self, book: Book | None = None) -> None:
        self.venue = ScriptedVenue(list(INSTRUMENTS.values()), Decimal(1_000), START)
        self.clock = VirtualClock(START)
        self.timers = Timers()
        self.hits: list[str] = []
        self.executor = Executor(self.venue, self.clock, self.timers, self.hits.append)
        state = EngineState(book or Book(epoch="aaaa"))
        self.pump = ListeningPump(
            state, SETTINGS, MemoryStore(), "run", self.executor.dispatch, lambda _, __: None, lambda: None
        )
        self.pump.heard = []
        self.executor.attach(self.pump)

    def perform(self, *effects: Effect) -> list[Event]:
        """Dispatch effects, wait until all is quiet, and tell what was heard."""

        async def main() -> None:
            for effect in effects:
                self.executor.dispatch(effect)
            await self.executor.idle()

        asyncio.run(main())
        return self.pump.heard


@pytest.fixture
def desk() -> Desk:
    """With an empty book at RUN."""
    return Desk()


def _place(name: str, *, symbol: str = "BTCUSDT", reduce_only: bool = False, not_after_ms: int = START) -> PlaceOrder:
    request = OrderRequest(
        name, symbol, TradeSide.BUY, OrderType.MARKET, Decimal("0.01"), reduce_only, position_side=Side.LONG
    )
    return PlaceOrder(Approved(name, "test"), request, not_after_ms)


def _cancel(name: str, symbol: str = "BTCUSDT") -> CancelOrder:
    return CancelOrder(symbol, name, "")


# ── submits ─────────────────────────────────────────────────────────────────


def test_an_order_is_sent_once_and_its_answer_becomes_an_event(desk: Desk) -> None:
    """With the very request, between the crash points."""
    effect = _place("a")
    (event,) = desk.perform(effect)
    assert [effect.request] == desk.venue.requests
    assert isinstance(event, SubmitAnswered)
    assert isinstance(event.outcome, Accepted)
    assert ("a", START) == (event.client_order_id, event.ts_ms)
    assert ["send.before", "send.after"] == desk.hits


@pytest.mark.parametrize("outcome", [Rejected("margin", "too little"), Unknown("timed out")])
def test_an_answer_that_is_no_acceptance_is_not_tried_again(desk: Desk, outcome: Rejected | Unknown) -> None:
    """It is the core that decides what follows."""
    desk.venue.submits.append(outcome)
    assert [SubmitAnswered(START, "a", outcome)] == desk.perform(_place("a"))
    assert [("submit", "a")] == desk.venue.calls


def test_a_fault_in_the_adapter_is_an_unknown_outcome(desk: Desk) -> None:
    """The request may have left before it."""
    desk.venue.submits.append(KeyError("retCode"))
    assert [SubmitAnswered(START, "a", Unknown("KeyError in the adapter"))] == desk.perform(_place("a"))
    assert [("submit", "a")] == desk.venue.calls
    assert ["send.before", "send.after"] == desk.hits


@pytest.mark.parametrize("reduce_only", [False, True])
def test_an_intent_whose_window_is_over_is_never_sent(desk: Desk, reduce_only: bool) -> None:
    """Not even a protective one: the core has a proof of absence instead, and intends a new one."""
    desk.clock.advance_to(START + 1)
    assert [SubmitExpired(START + 1, "a")] == desk.perform(_place("a", reduce_only=reduce_only))
    assert [] == desk.venue.calls
    assert [] == desk.hits


def test_an_intent_is_sent_up_to_the_last_instant_of_its_window(desk: Desk) -> None:
    """`not_after` itself is in time."""
    desk.clock.advance_to(START + 5)
    (event,) = desk.perform(_place("a", not_after_ms=START + 5))
    assert isinstance(event, SubmitAnswered)


@pytest.mark.parametrize("level", [level for level in Level if level is not Level.RUN])
def test_no_entry_is_sent_once_the_kill_switch_is_raised(level: Level) -> None:
    """Although it was intended before; what reduces is sent at every level."""
    desk = Desk(Book(epoch="aaaa", control=Control(level)))
    heard = desk.perform(_place("entry"), _place("stop", reduce_only=True))
    assert SubmitExpired(START, "entry") == heard[0]
    assert [("submit", "stop")] == desk.venue.calls


# ── cancels and look-ups ────────────────────────────────────────────────────


def test_the_answer_to_a_cancel_becomes_an_event(desk: Desk) -> None:
    """Between its own crash points."""
    *_, event = desk.perform(_place("a"), _cancel("a"))
    assert isinstance(event, CancelAnswered)
    assert isinstance(event.outcome, Accepted)
    assert ["send.before", "send.after", "cancel.before", "cancel.after"] == desk.hits


def test_a_cancel_that_is_refused_or_breaks_is_told(desk: Desk) -> None:
    """Refused as it was, broken as unknown."""
    desk.venue.cancels.append(ZeroDivisionError())
    heard = desk.perform(_cancel("a"), _cancel("b"))
    assert [
        CancelAnswered(START, "a", Unknown("ZeroDivisionError in the adapter")),
        CancelAnswered(START, "b", Rejected("not_open", "b is not open")),
    ] == heard


def test_a_look_up_tells_the_report_or_that_there_is_none(desk: Desk) -> None:
    """None is an answer, too."""
    *_, known, unknown = desk.perform(_place("a"), LookUpOrder("BTCUSDT", "a"), LookUpOrder("BTCUSDT", "b"))
    assert isinstance(known, OrderLookedUp)
    assert known.lookup.report is not None
    assert OrderState.ACKED is known.lookup.report.state
    assert isinstance(unknown, OrderLookedUp)
    assert unknown.lookup.report is None


def test_a_look_up_that_fails_teaches_nothing(desk: Desk) -> None:
    """The reason is told, and the core asks again a little later."""
    desk.venue.failing["order"] = RateLimited("429", 1_000)
    assert [LookupFailed(START, "a", "429")] == desk.perform(LookUpOrder("BTCUSDT", "a"))
    retry = desk.timers.pop_due(START + HOUR)
    assert retry is not None
    assert (TimerKind.LOOKUP, "a") == (retry.kind, retry.key)


def test_a_timer_is_set_at_once_and_asks_no_venue(desk: Desk) -> None:
    """No task is made for it."""
    assert [] == desk.perform(SetTimer(START + 5, TimerKind.RECONCILE))
    assert TimerFired(START + 5, TimerKind.RECONCILE, "") == desk.timers.pop_due(START + 5)
    assert [] == desk.venue.calls


def test_a_stream_is_made_anew_once_however_often_it_is_asked_for(desk: Desk) -> None:
    """While the first is on its way; nothing is answered, the venue tells of the loss by itself."""
    desk.perform(RenewStream("silent"), RenewStream("silent"), RenewStream("silent"))
    assert [("renew_stream", "silent")] == desk.venue.calls


# ── snapshots ───────────────────────────────────────────────────────────────

READS = ("open_orders", "positions", "fills_since", "incomes_since", "balance")


def _order(name: str, state: OrderState, symbol: str = "BTCUSDT") -> Order:
    return Order(
        client_order_id=name,
        position_id="P000001",
        symbol=symbol,
        purpose=Purpose.ENTRY,
        leg=0,
        generation=0,
        type=OrderType.MARKET,
        side=TradeSide.BUY,
        position_side=Side.LONG,
        quantity=Decimal("0.01"),
        price=None,
        trigger_price=None,
        reduce_only=False,
        time_in_force=TimeInForce.GTC,
        created_ms=START,
        not_after_ms=START,
        state=state,
    )


def test_a_snapshot_reads_the_whole_account(desk: Desk) -> None:
    """And is reconciled: the deposit is booked."""
    (event,) = desk.perform(TakeSnapshot())
    assert isinstance(event, SnapshotTaken)
    assert Decimal(1_000) == event.snapshot.balance.wallet == desk.pump.state.book.ledger.balance
    assert READS == tuple(name for name, _ in desk.venue.calls)
    assert desk.pump.state.market.is_synced


@pytest.mark.parametrize("part", READS)
def test_a_snapshot_with_a_part_missing_is_none(desk: Desk, part: str) -> None:
    """Failure is never "nothing there"; it is tried again soon."""
    desk.perform(TakeSnapshot())
    desk.venue.fail(part)
    desk.pump.heard.clear()
    assert [SnapshotFailed(START, f"{part} timed out")] == desk.perform(TakeSnapshot())
    assert not desk.pump.state.market.is_synced
    assert TimerFired(START + SNAPSHOT_RETRY_MS, TimerKind.RECONCILE, "") == desk.timers.pop_due(START + HOUR)


def test_a_key_that_is_refused_is_no_end_but_told_and_asked_again_later(desk: Desk) -> None:
    """The engine goes on, entries blocked: positions keep their stops, and a new key may come."""
    desk.venue.failing["balance"] = VenueRejected("-2015", "invalid key")
    assert [SnapshotFailed(START, "-2015: invalid key", is_key=True)] == desk.perform(TakeSnapshot())
    assert desk.pump.state.market.key_refused is not None
    assert TimerFired(START + KEY_RETRY_MS, TimerKind.RECONCILE, "") == desk.timers.pop_due(START + HOUR)


def test_reads_of_one_order_and_of_fills_bear_a_refused_key_too(desk: Desk) -> None:
    """They are asked again; the look at the account tells of the key."""
    desk.venue.failing |= {name: VenueRejected("-2015", "invalid key") for name in ("order", "fills_since")}
    assert [LookupFailed(START, "a", "-2015: invalid key")] == desk.perform(LookUpOrder("BTCUSDT", "a"), FetchFills())
    assert TimerFired(START + FILLS_RETRY_MS, TimerKind.FILLS, "") == desk.timers.pop_due(START + HOUR)


def test_how_long_answers_took_is_told_and_goes_with_them(desk: Desk) -> None:
    """Orders, cancels and looks at the account, in milliseconds."""
    seen: list[tuple[str, int]] = []
    desk.executor.on_call = lambda kind, took_ms: seen.append((kind, took_ms))
    gate = desk.venue.gates["a"] = asyncio.Event()

    async def main() -> None:
        desk.executor.dispatch(_place("a", not_after_ms=START + HOUR))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        desk.clock.advance_to(START + 700)
        gate.set()
        await desk.executor.idle()

    asyncio.run(main())
    desk.perform(_cancel("a"), TakeSnapshot())
    answers = [event for event in desk.pump.heard if isinstance(event, SubmitAnswered)]
    assert [700] == [event.took_ms for event in answers]
    assert ("submit", 700) == seen[0]
    assert {"submit", "cancel", "snapshot"} == {kind for kind, _ in seen}


def test_a_snapshot_looks_up_the_live_orders_that_are_not_listed(desk: Desk) -> None:
    """Not those that are, and not those that have ended."""
    desk.perform(_place("listed"))
    rows = {
        "listed": _order("listed", OrderState.ACKED),
        "gone": _order("gone", OrderState.INTENT),
        "ended": _order("ended", OrderState.CANCELED),
    }
    snapshot = asyncio.run(take_snapshot(desk.venue, Book(epoch="aaaa", orders=rows), START))
    assert ["listed"] == [report.client_order_id for report in snapshot.open_orders]
    assert [("gone", None)] == [(lookup.client_order_id, lookup.report) for lookup in snapshot.lookups]


def test_a_failed_look_up_fails_the_snapshot(desk: Desk) -> None:
    """An order we could not ask about is not one the venue does not know."""
    desk.pump.state = replace(
        desk.pump.state, book=Book(epoch="aaaa", orders={"gone": _order("gone", OrderState.INTENT)})
    )
    desk.venue.fail("order")
    assert [SnapshotFailed(START, "order timed out")] == desk.perform(TakeSnapshot())


@pytest.mark.parametrize(("booked_ms", "since_ms"), [(START, START - HOUR), (5_000, 0)])
def test_a_snapshot_reads_an_hour_further_back_than_the_last_booking(desk: Desk, booked_ms: int, since_ms: int) -> None:
    """Fills may arrive late; what is known already is not booked twice. Time does not begin before zero."""
    book = Book(epoch="aaaa", ledger=Ledger(last_booked_ms=booked_ms))
    asyncio.run(take_snapshot(desk.venue, book, START))
    assert {("fills_since", str(since_ms)), ("incomes_since", str(since_ms))} <= set(desk.venue.calls)


def test_what_the_last_look_has_shown_long_ago_is_not_read_again(desk: Desk) -> None:
    """An account without trades does not make reads longer and longer; a day of overlap remains."""
    book = Book(epoch="aaaa", ledger=Ledger(last_booked_ms=START - 30 * DAY))
    snapshot = asyncio.run(take_snapshot(desk.venue, book, START, START - HOUR))
    assert ("fills_since", str(START - HOUR - DAY)) in desk.venue.calls
    assert snapshot.untold is None


@pytest.mark.parametrize(
    ("unbooked_ms", "since_ms"),
    [(0, START - HOUR), (START - 1, START - HOUR), (START - 2 * DAY, START - 2 * DAY), (1, START - KEPT_KEYS_MS)],
)
def test_fills_are_read_from_the_oldest_that_is_not_booked(desk: Desk, unbooked_ms: int, since_ms: int) -> None:
    """Not from before the keys that are kept: what was booked then would be booked once more."""
    book = Book(epoch="aaaa", ledger=Ledger(last_booked_ms=START))
    asyncio.run(take_snapshot(desk.venue, book, START, START, unbooked_ms))
    assert ("fills_since", str(since_ms)) in desk.venue.calls


def test_a_past_that_the_venue_does_not_tell_any_more_is_named_and_never_passed_over(desk: Desk) -> None:
    """After a week without the engine, at a venue that tells a week; a little less is asked for."""
    told_ms = START - 7 * DAY + HISTORY_MARGIN_MS
    desk.venue.capabilities = replace(desk.venue.capabilities, history_ms=7 * DAY)
    book = Book(epoch="aaaa", ledger=Ledger(last_booked_ms=START - 8 * DAY))
    snapshot = asyncio.run(take_snapshot(desk.venue, book, START, START - 8 * DAY))
    assert {("fills_since", str(told_ms)), ("incomes_since", str(told_ms))} <= set(desk.venue.calls)
    assert (START - 8 * DAY - HOUR, told_ms) == snapshot.untold
    assert asyncio.run(take_snapshot(desk.venue, book, START, START - HOUR)).untold is None


def test_positions_are_read_before_fills(desk: Desk) -> None:
    """A fill between the two reads is then booked, not missing."""
    asyncio.run(take_snapshot(desk.venue, Book(epoch="aaaa"), START))
    names = [name for name, _ in desk.venue.calls]
    assert names.index("positions") < names.index("fills_since")


def test_snapshots_that_wait_are_one(desk: Desk) -> None:
    """Three asked for at once: the first is taken, the others would see the same."""
    desk.perform(TakeSnapshot(), TakeSnapshot(), TakeSnapshot())
    assert 1 == len([name for name, _ in desk.venue.calls if name == "balance"])


# ── lanes ───────────────────────────────────────────────────────────────────

Talk = Callable[[Desk], Coroutine[object, object, None]]


def _talk(desk: Desk, talk: Talk) -> None:
    asyncio.run(talk(desk))


async def _breathe() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_submit_that_hangs_delays_neither_question_nor_cancel(desk: Desk) -> None:
    """A stream may have told of the order long before its answer comes."""

    async def talk(it: Desk) -> None:
        it.venue.gates["a"] = asyncio.Event()
        it.executor.dispatch(_place("a"))
        it.executor.dispatch(_cancel("a"))
        it.executor.dispatch(LookUpOrder("BTCUSDT", "a"))
        await _breathe()
        assert [("submit", "a"), ("cancel", "a"), ("order", "a")] == it.venue.calls
        assert not it.executor.is_idle
        it.venue.gates["a"].set()
        await it.executor.idle()
        assert it.executor.is_idle

    _talk(desk, talk)


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT"])
def test_orders_do_not_wait_for_each_other(desk: Desk, symbol: str) -> None:
    """A stop never waits for an entry that hangs, on the same symbol or another; nor does the account."""

    async def talk(it: Desk) -> None:
        it.venue.gates["a"] = asyncio.Event()
        it.executor.dispatch(_place("a"))
        it.executor.dispatch(_place("b", symbol=symbol, reduce_only=True))
        it.executor.dispatch(_cancel("c", symbol))
        it.executor.dispatch(TakeSnapshot())
        it.executor.dispatch(FetchFills())
        await _breathe()
        answered = {type(event) for event in it.pump.heard}
        assert {SubmitAnswered, CancelAnswered, SnapshotTaken, FillsRead} <= answered
        assert ["b"] == [event.client_order_id for event in it.pump.heard if isinstance(event, SubmitAnswered)]
        it.venue.gates["a"].set()
        await it.executor.idle()

    _talk(desk, talk)
    assert "a" in [event.client_order_id for event in desk.pump.heard if isinstance(event, SubmitAnswered)]


def test_fills_do_not_wait_for_a_snapshot(desk: Desk) -> None:
    """A position may wait for them to have its stop."""

    async def talk(it: Desk) -> None:
        it.venue.gates["balance"] = asyncio.Event()
        it.executor.dispatch(TakeSnapshot())
        it.executor.dispatch(FetchFills())
        await _breathe()
        assert [FillsRead(START, ())] == it.pump.heard
        it.venue.gates["balance"].set()
        await it.executor.idle()

    _talk(desk, talk)
    assert isinstance(desk.pump.heard[-1], SnapshotTaken)


def test_idle_waits_for_what_begins_meanwhile(desk: Desk) -> None:
    """An answer may call for more: a cancel that is not the final word is looked up."""

    async def talk(it: Desk) -> None:
        it.venue.gates["a"] = asyncio.Event()
        it.executor.dispatch(_place("a"))
        waiting = asyncio.create_task(it.executor.idle())
        await _breathe()
        it.executor.dispatch(_place("b", symbol="ETHUSDT"))
        it.venue.gates["a"].set()
        await waiting

    _talk(desk, talk)
    assert {"a", "b"} == {event.client_order_id for event in desk.pump.heard if isinstance(event, SubmitAnswered)}


def test_a_lane_that_emptied_is_begun_again(desk: Desk) -> None:
    """Later effects on the order are performed as the first were."""

    async def talk(it: Desk) -> None:
        for effect in (_place("a"), _cancel("a")):
            it.executor.dispatch(effect)
            await it.executor.idle()

    _talk(desk, talk)
    assert [("submit", "a"), ("cancel", "a")] == desk.venue.calls[:2]


def test_waiting_for_nothing_returns_at_once(desk: Desk) -> None:
    """The driver asks after every event."""
    assert [] == desk.perform()


def test_a_fault_surfaces_in_idle_and_nothing_more_is_sent(desk: Desk) -> None:
    """A read that breaks is our bug: the process must end, and not trade on meanwhile."""

    async def talk(it: Desk) -> None:
        it.venue.failing["order"] = KeyError("result")
        it.executor.dispatch(LookUpOrder("BTCUSDT", "a"))
        it.executor.dispatch(_cancel("a"))
        await _breathe()
        it.executor.dispatch(_place("b"))
        with pytest.raises(KeyError, match="result"):
            await it.executor.idle()
        it.executor.dispatch(_place("a"))
        with pytest.raises(KeyError, match="result"):
            await it.executor.idle()

    _talk(desk, talk)
    assert [("order", "a")] == desk.venue.calls


def test_a_fault_is_told_at_once(desk: Desk) -> None:
    """Whoever runs the engine does not have to wait until all is quiet; `idle` raises it in any case."""
    told: list[BaseException] = []
    desk.executor.on_failure = told.append

    async def talk(it: Desk) -> None:
        it.venue.gates["b"] = asyncio.Event()
        it.venue.failing["order"] = KeyError("result")
        it.executor.dispatch(_place("b"))
        it.executor.dispatch(LookUpOrder("BTCUSDT", "a"))
        await _breathe()
        assert ["'result'"] == [str(error) for error in told]
        it.venue.gates["b"].set()
        with pytest.raises(KeyError, match="result"):
            await it.executor.idle()

    _talk(desk, talk)


def test_a_commit_that_fails_surfaces_in_idle(desk: Desk) -> None:
    """An answer that cannot be written down ends the process, too."""
    store = MemoryStore()
    store.fail_next = OSError("disk full")
    desk.pump._store = store
    with pytest.raises(OSError, match="disk full"):
        desk.perform(TakeSnapshot())


# ── time ────────────────────────────────────────────────────────────────────


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time runs out after a hundredth of a second."""
    monkeypatch.setattr(executor_module, "CALL_TIMEOUT_S", 0.01)
    monkeypatch.setattr(executor_module, "READ_TIMEOUT_S", 0.01)


@pytest.mark.usefixtures("_short")
def test_a_submit_without_an_answer_in_time_is_an_unknown_outcome(desk: Desk) -> None:
    """It may have taken effect; it is not sent again, and the order's lane goes on."""

    async def talk(it: Desk) -> None:
        it.venue.gates["a"] = asyncio.Event()
        it.executor.dispatch(_place("a"))
        await it.executor.idle()

    _talk(desk, talk)
    assert [SubmitAnswered(START, "a", Unknown("no answer within 0.01 s"))] == desk.pump.heard
    assert [("submit", "a")] == desk.venue.calls
    assert ["send.before", "send.after"] == desk.hits


@pytest.mark.usefixtures("_short")
def test_a_cancel_without_an_answer_in_time_is_an_unknown_outcome(desk: Desk) -> None:
    """The order's state is asked for by the core."""

    async def talk(it: Desk) -> None:
        it.venue.gates["a"] = asyncio.Event()
        it.executor.dispatch(_cancel("a"))
        await it.executor.idle()

    _talk(desk, talk)
    assert [CancelAnswered(START, "a", Unknown("no answer within 0.01 s"))] == desk.pump.heard
    assert ["cancel.before", "cancel.after"] == desk.hits


@pytest.mark.usefixtures("_short")
def test_a_look_up_without_an_answer_in_time_teaches_nothing(desk: Desk) -> None:
    """As one that failed."""

    async def talk(it: Desk) -> None:
        it.venue.gates["order"] = asyncio.Event()
        it.executor.dispatch(LookUpOrder("BTCUSDT", "a"))
        await it.executor.idle()

    _talk(desk, talk)
    assert [LookupFailed(START, "a", "no answer within 0.01 s")] == desk.pump.heard


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize("part", READS)
def test_a_snapshot_of_which_a_part_does_not_come_in_time_has_failed(desk: Desk, part: str) -> None:
    """Each read has its own time, so that one that hangs does not hold the account's lane for ever."""

    async def talk(it: Desk) -> None:
        it.venue.gates[part] = asyncio.Event()
        it.executor.dispatch(TakeSnapshot())
        await it.executor.idle()

    _talk(desk, talk)
    assert [SnapshotFailed(START, "no answer within 0.01 s")] == desk.pump.heard
    assert TimerFired(START + SNAPSHOT_RETRY_MS, TimerKind.RECONCILE, "") == desk.timers.pop_due(START + HOUR)


@pytest.mark.usefixtures("_short")
def test_fills_that_do_not_come_in_time_are_asked_for_again(desk: Desk) -> None:
    """In a second."""

    async def talk(it: Desk) -> None:
        it.venue.gates["fills_since"] = asyncio.Event()
        it.executor.dispatch(FetchFills())
        await it.executor.idle()

    _talk(desk, talk)
    assert [] == desk.pump.heard
    assert TimerFired(START + FILLS_RETRY_MS, TimerKind.FILLS, "") == desk.timers.pop_due(START + HOUR)


# ── fills ───────────────────────────────────────────────────────────────────


def _hour_ago(fill_ms: int) -> Book:
    return Book(epoch="aaaa", ledger=Ledger(last_booked_ms=fill_ms))


def test_fills_are_read_from_an_hour_before_the_last_booking() -> None:
    """Those that are known already are not booked twice; what the venue tells becomes an event."""
    desk = Desk(_hour_ago(START))
    desk.perform(_place("a"))
    fill = desk.venue.fill("a", Decimal("0.01"), Decimal(50_000))
    desk.pump.heard.clear()
    assert [FillsRead(START, (fill,))] == desk.perform(FetchFills())
    assert ("fills_since", str(START - HOUR)) in desk.venue.calls


def test_fills_that_cannot_be_read_are_asked_for_again(desk: Desk) -> None:
    """Nothing was learned, and nothing is told."""
    desk.venue.fail("fills_since")
    assert [] == desk.perform(FetchFills())
    assert TimerFired(START + FILLS_RETRY_MS, TimerKind.FILLS, "") == desk.timers.pop_due(START + HOUR)


@pytest.mark.parametrize(
    ("effect", "read"),
    [(FetchFills(), "fills_since"), (LookUpOrder("BTCUSDT", "a"), "order")],
    ids=["fills", "look-up"],
)
def test_questions_that_wait_are_one(desk: Desk, effect: Effect, read: str) -> None:
    """As with snapshots; one that is being answered may come too early, so another is asked after it."""

    async def talk(it: Desk) -> None:
        it.venue.gates[read] = asyncio.Event()
        it.executor.dispatch(effect)
        await _breathe()
        for _ in range(3):
            it.executor.dispatch(effect)
        it.venue.gates[read].set()
        await it.executor.idle()

    _talk(desk, talk)
    assert 2 == len([name for name, _ in desk.venue.calls if name == read])


def test_submits_and_cancels_that_wait_are_never_merged(desk: Desk) -> None:
    """Each is an intent of its own."""
    desk.perform(_cancel("a"), _cancel("a"))
    assert [("cancel", "a"), ("cancel", "a")] == desk.venue.calls
