"""Snapshots: what the venue shows against what we hold."""

from dataclasses import replace

import pytest
from builders import (
    BTC,
    Playbook,
    dec,
    held_at_venue,
    make_fill,
    make_income,
    make_order,
    make_report,
    make_settings,
)

from trading_engine.core.effects import CancelOrder, PlaceOrder, SetTimer
from trading_engine.domain.control import Level
from trading_engine.domain.events import TimerKind
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import CloseReason, PositionState
from trading_engine.domain.market import Side
from trading_engine.domain.orders import OrderState, TradeSide
from trading_engine.domain.records import (
    AlertRaised,
    ControlChanged,
    DifferenceFound,
    FillApplied,
    IncomeBooked,
    SymbolFrozen,
)
from trading_engine.domain.reports import OrderLookup, VenuePosition


def id_of(placed: PlaceOrder) -> str:
    return placed.request.client_order_id


def test_a_snapshot_that_agrees_opens_the_gate_and_writes_nothing() -> None:
    """The time is kept for `status`."""
    play = Playbook(is_synced=False)
    play.snapshot()
    assert ((), ()) == (play.last.records, play.last.effects)
    assert (True, play.now) == (play.state.market.is_synced, play.state.market.reconciled_ms)


def test_a_failed_snapshot_shuts_the_gate_and_changes_nothing_else() -> None:
    """Failure is not "flat". It is said, the first time."""
    play = Playbook()
    play.opened()
    book = play.book
    play.snapshot_failed()
    assert not play.state.market.is_synced
    assert book is play.book
    assert ["venue:lost"] == [record.key for record in play.last.records if isinstance(record, AlertRaised)]
    assert 1 == len(play.last.records)
    play.snapshot_failed()
    assert ((), ()) == (play.last.records, play.last.effects)


def test_an_order_found_at_the_venue_is_merged() -> None:
    """An INTENT of which we never heard again."""
    play = Playbook()
    entry = play.enter()
    play.snapshot(open_orders=(make_report(play.order(entry)),))
    assert OrderState.ACKED is play.order(entry).state


def test_an_order_that_should_be_gone_is_cancelled_again() -> None:
    """The cancel was lost."""
    play = Playbook()
    entry = play.enter()
    play.stop_file()
    play.snapshot(open_orders=(make_report(play.order(entry)),))
    assert [CancelOrder(BTC, id_of(entry), f"v-{id_of(entry)}")] == play.asked(CancelOrder)


def _replaced_by_one_that_is_gone(play: Playbook) -> tuple[PlaceOrder, PlaceOrder]:
    """A stop that should be cancelled, and the one that took its place and was then cancelled unheard."""
    entry = play.enter()
    play.fill(entry, 4)
    old = play.place(Purpose.STOP)
    play.ack(old)
    play.wait(1_000)
    play.fill(entry, 6)
    new = play.place(Purpose.STOP)
    play.ack(new)
    assert [id_of(old)] == [cancel.client_order_id for cancel in play.asked(CancelOrder)]
    return old, new


@pytest.mark.parametrize("is_known", [True, False], ids=["told to be gone", "not shown any more"])
def test_a_replaced_stop_stays_while_what_replaced_it_is_gone(is_known: bool) -> None:
    """Its cancel was never sent, and it is all that stands by now; it goes when another one covers the position."""
    play = Playbook(make_settings(absence_is_proof=False))
    old, new = _replaced_by_one_that_is_gone(play)
    report = replace(make_report(play.order(new)), state=OrderState.CANCELED)
    lookups = (OrderLookup(id_of(new), report),) if is_known else ()
    play.snapshot(open_orders=(make_report(play.order(old)),), lookups=lookups)
    assert [] == play.asked(CancelOrder)
    again = SetTimer(play.now + 2_000, TimerKind.CANCEL, id_of(old))
    assert again in play.asked(SetTimer)
    if not is_known:
        play.cancelled(new)
    play.pass_time(5_000)
    third = play.place(Purpose.STOP)
    assert id_of(third) not in (id_of(old), id_of(new))
    assert 1 == sum(cancel.client_order_id == id_of(old) for cancel in _cancels(play))
    play.ack(third)
    play.pass_time(2_000)
    assert 2 == sum(cancel.client_order_id == id_of(old) for cancel in _cancels(play))


def _cancels(play: Playbook) -> list[CancelOrder]:
    return [effect for effect in play.performed if isinstance(effect, CancelOrder)]


def test_a_replaced_stop_goes_where_what_replaced_it_is_shown() -> None:
    """Once, by the snapshot that shows both."""
    play = Playbook()
    old, new = _replaced_by_one_that_is_gone(play)
    play.snapshot(open_orders=(make_report(play.order(old)), make_report(play.order(new))))
    assert [id_of(old)] == [cancel.client_order_id for cancel in play.asked(CancelOrder)]


def test_an_order_missing_from_the_list_is_decided_by_its_look_up() -> None:
    """Absent and in the window: not yet. Found filled: merged, and its fills are fetched."""
    play = Playbook()
    entry = play.enter()
    play.snapshot(lookups=(OrderLookup(id_of(entry), None),))
    assert OrderState.INTENT is play.order(entry).state
    assert [TimerKind.LOOKUP] == [timer.kind for timer in play.asked(SetTimer)]
    filled = make_report(play.order(entry), OrderState.FILLED, filled=dec(10))
    play.snapshot(lookups=(OrderLookup(id_of(entry), filled),))
    assert OrderState.FILLED is play.order(entry).state
    assert SetTimer(play.now + 1_000, TimerKind.FILLS) in play.asked(SetTimer)
    assert [Purpose.STOP] == play.placed(), "the history of fills lags behind the report, which is enough for a stop"
    assert PositionState.PENDING is play.position.state


def test_missing_fills_are_booked_in_the_order_they_happened() -> None:
    """Entry and stop out while we were away, given in reverse: one life, told in order."""
    play = Playbook()
    entry = play.enter()
    play.fill(entry, 4)
    stop = play.place(Purpose.STOP)
    first = play.make_fill(entry, 6, 101, ts_ms=play.now + 1)
    second = play.make_fill(stop, 4, 95, ts_ms=play.now + 2)
    play.snapshot(fills=(second, first), positions=(held(play, 6),))
    assert [first.trade_id, second.trade_id] == [record.fill.trade_id for record in play.recorded(FillApplied)]
    assert (PositionState.CLOSING, dec(6)) == (play.position.state, play.position.quantity)
    assert {} == play.book.frozen


def held(play: Playbook, quantity: int) -> VenuePosition:
    return held_at_venue(play.position, quantity=dec(quantity))


def test_income_of_an_instant_comes_before_its_fills() -> None:
    """Funding is due for what was held before."""
    play = Playbook()
    play.opened()
    at_ms = play.now + 1_000
    close = play.make_fill(play.place(Purpose.STOP), price=95, ts_ms=at_ms)
    funding = make_income(-2, income_id="f1", ts_ms=at_ms)
    play.snapshot(fills=(close,), incomes=(funding,), positions=())
    assert [IncomeBooked, FillApplied] == [
        type(record) for record in play.last.records if isinstance(record, IncomeBooked | FillApplied)
    ]
    assert "P000001" == play.recorded(IncomeBooked)[0].position_id


def test_fills_seen_before_are_not_booked_again() -> None:
    """The snapshot overlaps with the stream."""
    play = Playbook()
    entry = play.enter()
    fill = play.make_fill(entry)
    play.snapshot(fills=(fill,), positions=(VenuePosition(BTC, Side.LONG, dec(10), dec(100), dec(100), None, dec(1)),))
    assert PositionState.OPEN is play.position.state
    play.snapshot(fills=(fill,))
    assert () == play.last.records


def test_an_orphan_of_ours_is_cancelled() -> None:
    """Our epoch, no row: written down, told, cancelled."""
    play = Playbook()
    orphan = make_report(make_order(client_order_id="tetest000007s00001"))
    play.snapshot(open_orders=(orphan,))
    assert [DifferenceFound("orphan_order", BTC, "none", "tetest000007s00001", "cancelled")] == play.recorded(
        DifferenceFound
    )
    assert ["BTCUSDT: orphan order tetest000007s00001 is cancelled"] == play.alerts()
    assert [CancelOrder(BTC, "tetest000007s00001", "v-tetest000007s00001")] == play.asked(CancelOrder)


def test_an_orphan_that_guards_what_we_do_not_hold_is_left_where_it_is() -> None:
    """Its row was lost with the disk; it may be all that stands between that position and the market."""
    play = Playbook()
    orphan = make_report(make_order(client_order_id="tetest000007s00001", reduce_only=True))
    held = VenuePosition(BTC, Side.LONG, dec(10), dec(100), dec(100), None, dec(1))
    play.snapshot(open_orders=(orphan,), positions=(held,))
    assert [] == play.asked(CancelOrder)
    assert {BTC: "order tetest000007s00001 guards what we do not hold"} == play.book.frozen


def test_an_orphan_of_a_closed_position_is_cancelled_although_quantities_differ() -> None:
    """A list read a moment ago may show it still, and positions may lag behind just then: nothing was lost."""
    play = Playbook()
    play.stopped_out()
    orphan = make_report(make_order(client_order_id="tetest000001s00001", reduce_only=True))
    held = VenuePosition(BTC, Side.LONG, dec(10), dec(100), dec(100), None, dec(1))
    play.snapshot(open_orders=(orphan,), positions=(held,))
    assert ["tetest000001s00001"] == [cancel.client_order_id for cancel in play.asked(CancelOrder)]
    assert {} == play.book.frozen


def test_an_order_of_another_database_locks_the_engine() -> None:
    """A restored backup or a second instance: only a person can judge."""
    play = Playbook()
    entry = play.enter()
    other = make_report(make_order(client_order_id="teothe000001s00001"))
    play.snapshot(open_orders=(other,))
    assert Level.LOCKED is play.book.control.level
    assert [DifferenceFound("other_epoch", BTC, "none", "teothe000001s00001", "locked")] == play.recorded(
        DifferenceFound
    )
    assert "order teothe000001s00001 is of another database" in play.recorded(ControlChanged)[0].reason
    assert [id_of(entry)] == [cancel.client_order_id for cancel in play.asked(CancelOrder)]
    play.stop_file(Level.FLATTEN)
    assert Level.LOCKED is play.book.control.level
    play.snapshot(open_orders=(other,))
    assert () == play.last.records
    play.snapshot(open_orders=(other,))
    assert [] == play.recorded(DifferenceFound), "said once, not at every comparison"


def test_a_foreign_order_freezes_its_symbol_and_is_not_touched() -> None:
    """Once; on a symbol that we do not trade it is told and nothing more."""
    play = Playbook()
    foreign = make_report(make_order(client_order_id="web_1"), venue_order_id="v9")
    elsewhere = replace(foreign, symbol="DOGEUSDT")
    play.snapshot(open_orders=(foreign, elsewhere))
    assert [SymbolFrozen(BTC, "order v9 is not ours")] == play.recorded(SymbolFrozen)
    assert [
        "BTCUSDT: order v9 is not ours; no entries until `trading-engine resume`",
        "DOGEUSDT: order v9 is not ours; it is left alone and counted as exposure",
    ] == play.alerts()
    assert [] == play.asked(CancelOrder)
    play.snapshot(open_orders=(foreign, elsewhere))
    assert () == play.last.records


def test_both_sides_of_a_hedged_account_are_netted() -> None:
    """Long 12 and short 2 are 10."""
    play = Playbook()
    position = play.opened()
    long_side = held_at_venue(position, quantity=dec(12))
    play.snapshot(positions=(long_side, replace(long_side, side=Side.SHORT, quantity=dec(2))))
    assert () == play.last.records


def test_a_snapshot_repairs_what_a_position_lacks() -> None:
    """After a restart in the middle: a void stop is placed again."""
    play = Playbook()
    play.fill(play.enter())
    stop = play.place(Purpose.STOP)
    play.wait(16_001)
    play.absent(stop)
    assert OrderState.VOID is play.order(stop).state
    assert [Purpose.STOP] == play.placed()


def test_a_snapshot_takes_up_an_exit_that_was_left_lying() -> None:
    """Refused a while ago, its timer lost with the process."""
    play = Playbook()
    play.opened()
    play.signal(None, exit_side=Side.LONG)
    play.reject(play.place(Purpose.EXIT))
    play.wait(5_000)
    play.snapshot()
    assert Purpose.EXIT is play.order(play.asked(PlaceOrder)[0]).purpose


def test_a_position_closed_by_a_person_while_we_were_away_is_closed_by_the_fill() -> None:
    """The history explains it; nothing is frozen."""
    play = Playbook()
    play.opened()
    theirs = make_fill(trade_id="x", client_order_id="", side=TradeSide.SELL, price=dec(103), ts_ms=play.now)
    play.snapshot(fills=(theirs,), positions=())
    assert (PositionState.CLOSING, CloseReason.EXTERNAL) == (play.position.state, play.position.close_reason)
    assert {} == play.book.frozen
