"""One position from signal to close, line by line, and what a step promises whatever the event."""

from dataclasses import replace

import pytest
from builders import BTC, Playbook, dec, make_fill, make_settings

from trading_engine.core.effects import CancelOrder, PlaceOrder, SetTimer
from trading_engine.core.state import EngineState
from trading_engine.core.step import step
from trading_engine.domain.errors import InvariantBroken
from trading_engine.domain.events import FillSeen, RunBegan, RunFinished, TimerKind
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import CloseReason, PositionState, Trigger
from trading_engine.domain.market import Side
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import OrderState, TradeSide
from trading_engine.domain.records import (
    AlertRaised,
    CancelIntended,
    EquitySampled,
    Fate,
    FillApplied,
    LimitTripped,
    OrderIntended,
    OrderUpdated,
    PositionAdvanced,
    PositionOpened,
    SignalSeen,
)


def kinds(play: Playbook) -> list[type]:
    return [type(record) for record in play.last.records]


def test_a_position_lives_from_signal_to_stop() -> None:
    """Signal, entry, acknowledgement, fill, stop, target, stop hit, closed: every record and every effect."""
    play = Playbook()

    play.signal()
    assert [SignalSeen, PositionOpened, OrderIntended, AlertRaised] == kinds(play)
    assert [(BTC, Fate.TAKEN)] == play.fates()
    entry = play.place(Purpose.ENTRY)
    assert (TradeSide.BUY, OrderType.MARKET, dec(10)) == (
        entry.request.side,
        entry.request.type,
        entry.request.quantity,
    )
    assert entry.not_after_ms == play.now + 10_000
    (deadline,) = play.asked(SetTimer)
    assert SetTimer(play.now + 60_000, TimerKind.ENTRY_DEADLINE, entry.request.client_order_id) == deadline

    play.ack(entry)
    assert [OrderUpdated] == kinds(play)
    assert [SetTimer(play.now + 1_000, TimerKind.LOOKUP, entry.request.client_order_id)] == play.asked(SetTimer)
    assert OrderState.ACKED is play.order(entry).state
    assert PositionState.PENDING is play.position.state

    play.fill(entry, price="100.2", fee=dec("0.6"))
    assert [FillApplied, PositionAdvanced, AlertRaised, OrderIntended, OrderIntended] == kinds(play)
    assert PositionState.OPEN is play.position.state
    assert [Purpose.STOP, Purpose.TARGET] == play.placed()
    stop, target = play.place(Purpose.STOP).request, play.place(Purpose.TARGET).request
    assert (OrderType.STOP_MARKET, TradeSide.SELL, dec(10), dec(95), True) == (
        stop.type,
        stop.side,
        stop.quantity,
        stop.trigger_price,
        stop.reduce_only,
    )
    assert (OrderType.LIMIT, TradeSide.SELL, dec(10), dec(115), True) == (
        target.type,
        target.side,
        target.quantity,
        target.price,
        target.reduce_only,
    )
    assert [
        SetTimer(play.now + 2_000, TimerKind.PROTECT, "P000001"),
        SetTimer(play.now + 5_000, TimerKind.STOP_CONFIRMATION, "P000001"),
    ] == play.asked(SetTimer)

    play.ack(play.place(Purpose.STOP))
    play.ack(play.place(Purpose.TARGET))
    play.fill(play.place(Purpose.STOP), price="94.9", fee=dec("0.57"))
    assert [FillApplied, PositionAdvanced, CancelIntended] == kinds(play)
    assert PositionState.CLOSING is play.position.state
    assert [play.place(Purpose.TARGET).request.client_order_id] == [
        cancel.client_order_id for cancel in play.asked(CancelOrder)
    ]

    play.cancelled(play.place(Purpose.TARGET))
    assert [OrderUpdated, PositionAdvanced, AlertRaised, EquitySampled, LimitTripped] == kinds(play)
    assert PositionState.CLOSED is play.position.state
    assert CloseReason.STOP is play.position.close_reason
    assert dec("-53.0") == play.position.gross_pnl
    assert dec("-54.17") == play.position.net_pnl
    assert dec("9945.83") == play.book.ledger.balance
    assert ["BTCUSDT long closed by stop: -54.17 USDT, -1.04 R"] == play.alerts()


def test_in_process_a_position_needs_no_timer_but_its_deadlines() -> None:
    """Entry and stop have theirs; nothing is asked after, nothing is waited for."""
    play = Playbook(make_settings(absence_is_proof=True))
    play.stopped_out()
    timers = [effect for effect in play.performed if isinstance(effect, SetTimer)]
    assert [TimerKind.ENTRY_DEADLINE, TimerKind.STOP_CONFIRMATION] == [timer.kind for timer in timers]
    assert PositionState.CLOSED is play.position.state


def test_the_moves_name_their_trigger_and_cause() -> None:
    """The chain is never skipped, and the journal says why each link was made."""
    play = Playbook()
    play.stopped_out()
    moves = [record for record in play.journal if isinstance(record, PositionAdvanced)]
    assert [Trigger.FIRST_FILL, Trigger.BEGIN_CLOSE, Trigger.FLAT] == [move.trigger for move in moves]
    assert ["fill 1", "fill 2", "flat and no order left"] == [move.cause for move in moves]
    assert [None, CloseReason.STOP, None] == [move.close_reason for move in moves]


def test_a_short_is_the_mirror_image() -> None:
    """Sold at 100, stop above, target below, bought back with a profit."""
    play = Playbook()
    position = play.opened(Side.SHORT)
    stop, target = play.place(Purpose.STOP).request, play.place(Purpose.TARGET).request
    assert (TradeSide.BUY, dec(105)) == (stop.side, stop.trigger_price)
    assert (TradeSide.BUY, dec(85)) == (target.side, target.price)
    play.fill(play.place(Purpose.TARGET), price=85)
    play.settle_cancels()
    assert (PositionState.CLOSED, CloseReason.TARGET, dec(150)) == (
        play.position.state,
        play.position.close_reason,
        play.position.net_pnl,
    )
    assert position.position_id == play.position.position_id


def test_a_closed_position_leaves_the_state_but_not_the_step_that_closed_it() -> None:
    """The store writes its last form; memory forgets it."""
    play = Playbook()
    play.stopped_out()
    assert PositionState.CLOSED is play.last.book.positions["P000001"].state
    assert {} == play.book.positions
    assert {} == play.book.orders


def test_a_step_that_would_contradict_itself_is_dropped() -> None:
    """Two live positions on one symbol: the exception leaves the state as it was."""
    play = Playbook()
    play.enter()
    twin = replace(play.position, position_id="P000002", number=2)
    positions = {**play.book.positions, twin.position_id: twin}
    play.state = before = replace(play.state, book=replace(play.book, positions=positions))
    with pytest.raises(InvariantBroken, match="two live positions on one symbol"):
        play.income(1)
    assert before is play.state


def test_an_event_that_says_nothing_new_changes_nothing() -> None:
    """No records, no effects, the same state."""
    play = Playbook()
    before = play.state
    play.timer(TimerKind.LOOKUP, "tetest000009e00001")
    assert ((), ()) == (play.last.records, play.last.effects)
    assert before == play.state


def test_events_of_a_process_reach_their_handlers() -> None:
    """The first and the last event of a run."""
    play = Playbook()
    assert play.on(RunBegan(play.now, "r1", "0.1.0", "paper", "hash")).records
    assert play.on(RunFinished(play.now, "r1", "done")).records


def test_events_of_a_wire_reach_their_handlers() -> None:
    """The stream goes and comes back, and what it missed is read."""
    play = Playbook()
    entry = play.enter()
    assert not play.stream_lost().state.market.is_connected
    assert play.stream_restored().state.market.is_connected
    assert play.fills_read(play.make_fill(entry)).records


def test_a_step_does_not_touch_the_state_it_was_given() -> None:
    """The old state is as it was, mappings included."""
    play = Playbook()
    entry = play.enter()
    state = play.state
    copied = EngineState(
        replace(
            state.book,
            positions=dict(state.book.positions),
            orders=dict(state.book.orders),
            seen=dict(state.book.seen),
        ),
        replace(state.market, marks=dict(state.market.marks)),
    )
    result = step(state, FillSeen(play.now, make_fill(client_order_id=entry.request.client_order_id)), play.settings)
    assert result.state != state
    assert copied == state


def test_nothing_is_placed_without_an_approval() -> None:
    """Every order that leaves carries the risk manager's word for exactly that order."""
    play = Playbook()
    play.stopped_out()
    for effect in play.performed:
        if isinstance(effect, PlaceOrder):
            assert effect.approved.client_order_id == effect.request.client_order_id
