"""A position that only the book holds is closed by an operator's word, and by nothing less than proof."""

from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest
from builders import BTC, ETH, Playbook, dec, held_at_venue, make_report, make_settings, make_snapshot, without_limits

from trading_engine.core import drop, invariants
from trading_engine.core.draft import Draft
from trading_engine.core.effects import PlaceOrder
from trading_engine.core.project import apply
from trading_engine.domain.events import DropRequested, GapAccepted
from trading_engine.domain.fills import GAP_MARK
from trading_engine.domain.ids import Purpose, emergency_order_id
from trading_engine.domain.lifecycle import CloseReason, PositionState
from trading_engine.domain.market import Side
from trading_engine.domain.orders import OrderReport, OrderState, TradeSide
from trading_engine.domain.records import (
    AdjustmentBooked,
    AlertRaised,
    EquitySampled,
    FillApplied,
    OrderUpdated,
    PositionAdvanced,
    PositionDropped,
)
from trading_engine.domain.reports import Balance, OrderLookup, VenueSnapshot
from trading_engine.domain.severity import Severity

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
MINUTE_MS = 60_000


def phantom() -> Playbook:
    """Ten coins, a stop and a target in the book, and ten days in which nobody heard anything."""
    play = Playbook(make_settings(limits=without_limits()))
    play.opened()
    play.wait(10 * DAY_MS)
    return play


def look(play: Playbook, **changes: object) -> VenueSnapshot:
    """The account is flat, and knows none of our orders."""
    lookups = tuple(OrderLookup(row.client_order_id, None) for row in play.book.orders.values() if row.is_live)
    return replace(make_snapshot(play.now, lookups=lookups), **changes)  # type: ignore[arg-type]


def two_looks(play: Playbook, **changes: object) -> tuple[VenueSnapshot, VenueSnapshot]:
    """A minute lies between them; `changes` are seen by the second."""
    first = look(play)
    play.wait(MINUTE_MS)
    return first, look(play, **changes)


def refuse(play: Playbook) -> None:
    """The venue says no to whatever is sent, and to what that leads to."""
    while waiting := [
        effect
        for effect in play.performed
        if isinstance(effect, PlaceOrder) and play.order(effect).state is OrderState.INTENT
    ]:
        for placed in waiting:
            play.reject(placed, "-2022", "ReduceOnly Order is rejected.")


def dropped(play: Playbook, looks: tuple[VenueSnapshot, ...], symbol: str = BTC) -> None:
    """The operator's word."""
    play.on(DropRequested(play.now, symbol, looks, "alice", "an outage"))


def refused(play: Playbook, looks: tuple[VenueSnapshot, ...], symbol: str = BTC) -> str:
    """Why it is refused; the word is spoken, and nothing happens."""
    said = "; ".join(drop.refusals(Draft(play.state, play.settings, play.now), symbol, looks))
    before = play.state
    dropped(play, looks, symbol)
    assert ((), ()) == (play.last.records, play.last.effects)
    assert before == play.state
    return said


def test_what_the_venue_does_not_hold_is_closed_with_what_is_known_of_it() -> None:
    """No order is sent, no result is made up, no row stays live: book, position and ledger agree."""
    play = phantom()
    wallet = play.book.ledger.balance
    looks = two_looks(play)
    dropped(play, looks)
    looked_ms = (looks[0].ts_ms, looks[1].ts_ms)
    assert [PositionDropped("P000001", dec(10), "alice", "an outage", play.now, looked_ms)] == play.recorded(
        PositionDropped
    )
    moves = [(move.source, move.target, move.close_reason) for move in play.recorded(PositionAdvanced)]
    assert [
        (PositionState.OPEN, PositionState.CLOSING, CloseReason.EXTERNAL),
        (PositionState.CLOSING, PositionState.CLOSED, CloseReason.EXTERNAL),
    ] == moves
    closed = play.positions["P000001"]
    assert (PositionState.CLOSED, CloseReason.EXTERNAL, play.now) == (
        closed.state,
        closed.close_reason,
        closed.closed_ms,
    )
    assert (dec(0), dec(0), dec(10), dec(0), dec(0)) == (
        closed.quantity,
        closed.cost,
        closed.entry_quantity,
        closed.exit_quantity,
        closed.gross_pnl,
    )
    assert wallet == play.book.ledger.balance
    assert [(OrderState.CANCELED, "gone at the venue")] * 2 == [
        (row.state, row.reason) for row in play.recorded(OrderUpdated)
    ]
    assert [] == play.recorded(FillApplied)
    assert () == play.last.effects
    assert ({}, {}) == (play.book.positions, play.book.orders)
    assert 1 == len(play.recorded(EquitySampled))
    (told,) = play.recorded(AlertRaised)
    assert (Severity.WARNING, "dropped:P000001") == (told.severity, told.key)
    assert "BTCUSDT long: 10 of P000001 dropped by alice (an outage)" in told.text


def test_the_symbol_is_traded_again_after_it() -> None:
    """The wallet's part is booked by its own word; a resume releases the symbol."""
    play = phantom()
    for _ in range(12):
        play.snapshot(positions=(), lookups=look(play).lookups)
        refuse(play)
        play.wait(10_000)
    assert [BTC] == list(play.book.frozen)
    dropped(play, two_looks(play))
    play.on(GapAccepted(play.now, dec(9_950), "alice", "an outage"))
    assert [dec(-50)] == [item.amount for item in play.recorded(AdjustmentBooked) if GAP_MARK in item.key]
    play.resume()
    play.snapshot()
    play.enter()
    assert "P000002" == play.position.position_id


def test_a_position_that_is_closing_already_ends_as_external() -> None:
    """Its exits were refused; the signal that began it is not how it ended."""
    play = phantom()
    play.signal(None, exit_side=Side.LONG)
    play.reject(play.place(Purpose.EXIT), "-2022", "ReduceOnly Order is rejected.")
    assert PositionState.CLOSING is play.position.state
    dropped(play, two_looks(play))
    closed = play.positions["P000001"]
    assert (PositionState.CLOSED, CloseReason.EXTERNAL) == (closed.state, closed.close_reason)


def test_an_order_that_was_never_answered_ends_as_never_taken() -> None:
    """An exit of before the outage; the venue's own word about another one counts more."""
    play = phantom()
    play.signal(None, exit_side=Side.LONG)
    leave, stop = play.place(Purpose.EXIT), play.place(Purpose.STOP)
    play.doubt(leave)
    first = look(play)
    play.wait(MINUTE_MS)
    told = make_report(play.order(stop), OrderState.FILLED, filled=dec(10))
    lookups = tuple(
        replace(item, report=told) if item.client_order_id == told.client_order_id else item
        for item in look(play).lookups
    )
    dropped(play, (first, look(play, lookups=lookups)))
    assert OrderState.VOID is play.order(leave).state
    assert (OrderState.FILLED, dec(10), dec(0)) == (
        play.order(stop).state,
        play.order(stop).reported_filled,
        play.order(stop).filled,
    )
    assert {} == play.book.positions


def test_in_process_the_second_look_may_follow_at_once() -> None:
    """The paper exchange stands still between the two."""
    play = Playbook(make_settings(limits=without_limits(), absence_is_proof=True))
    play.opened()
    dropped(play, (look(play), look(play)))
    assert {} == play.book.positions


def foreign(play: Playbook, client_order_id: str, symbol: str = BTC) -> OrderReport:
    """An open order of this id."""
    stop = play.order(play.place(Purpose.STOP))
    return make_report(replace(stop, client_order_id=client_order_id, symbol=symbol))


def test_what_the_venue_holds_is_never_dropped() -> None:
    """Not even where the first look was flat; the other leg and other symbols are looked at for what they are."""
    play = phantom()
    held = held_at_venue(play.position, quantity=dec(4))
    assert "BTCUSDT: the venue holds long 4; what it holds is closed (`flatten --direct`), not dropped" == refused(
        play, two_looks(play, positions=(held,))
    )
    first, second = two_looks(play)
    assert "the venue holds long 4" in refused(play, (replace(first, positions=(held,)), second))
    none_of_it = (replace(held, quantity=dec(0)), replace(held, symbol=ETH))
    dropped(play, two_looks(play, positions=none_of_it))
    assert {} == play.book.positions


@pytest.mark.parametrize("name", ["tetest000001s00001", "tezzzz000009s00001", emergency_order_id(1, 1)])
def test_an_order_of_ours_that_rests_at_the_venue_is_cancelled_first(name: str) -> None:
    """A row, one of a lost database, an emergency close: it would act on what is opened next."""
    play = phantom()
    said = refused(play, two_looks(play, open_orders=(foreign(play, name),)))
    assert said.startswith(f"BTCUSDT: order {name} of ours rests at the venue; cancel it")


def test_orders_of_strangers_and_of_other_symbols_do_not_matter() -> None:
    """They are left alone."""
    play = phantom()
    others = (foreign(play, "web1"), foreign(play, "tezzzz000009s00001", ETH))
    dropped(play, two_looks(play, open_orders=others))
    assert {} == play.book.positions


def test_a_fill_that_may_explain_it_is_booked_first() -> None:
    """One that closes, or one of its own orders; what is booked, older than the ledger, or elsewhere does not count."""
    play = phantom()
    closing = play.make_foreign_fill(TradeSide.SELL, 3)
    said = f"BTCUSDT: fill {closing.trade_id} is not booked yet; first `reconcile --apply` without --drop"
    assert said == refused(play, two_looks(play, fills=(closing,)))
    own = play.make_foreign_fill(TradeSide.BUY, 1, client_order_id=play.place(Purpose.ENTRY).request.client_order_id)
    assert f"fill {own.trade_id} is not booked yet" in refused(play, two_looks(play, fills=(own,)))
    booked = [record.fill for record in play.journal if isinstance(record, FillApplied)]
    harmless = (
        *booked,
        replace(closing, trade_id="old", ts_ms=1),
        replace(closing, trade_id="eth", symbol=ETH),
        play.make_foreign_fill(TradeSide.BUY, 1),
    )
    dropped(play, two_looks(play, fills=harmless))
    assert {} == play.book.positions


def test_nothing_is_dropped_where_nothing_is_held() -> None:
    """Neither a symbol without a position nor an entry that has not filled."""
    play = phantom()
    assert "ETHUSDT: no position is held here, so there is nothing to drop" == refused(play, two_looks(play), ETH)
    waiting = Playbook()
    waiting.enter()
    assert "BTCUSDT: no position is held here, so there is nothing to drop" == refused(waiting, two_looks(waiting))


def test_one_look_is_none() -> None:
    """Nor are two that lie closer together than a history may lag."""
    play = phantom()
    first = look(play)
    assert "it takes two looks at the venue, 60 s apart" in refused(play, ())
    assert "it takes two looks" in refused(play, (first,))
    play.wait(MINUTE_MS - 1)
    assert "it takes two looks" in refused(play, (first, look(play)))


def test_a_live_order_without_proof_of_its_end_keeps_the_position() -> None:
    """It was not asked after, it goes on, it is another order, or its absence is too young to be the truth."""
    play = phantom()
    stop = play.order(play.place(Purpose.STOP))
    said = f"BTCUSDT: stop order {stop.client_order_id} is ACKED, and the venue does not prove yet what became of it"
    others = tuple(item for item in look(play).lookups if item.client_order_id != stop.client_order_id)
    reports = [
        make_report(stop),
        make_report(stop, OrderState.CANCELED, symbol=ETH),
        make_report(stop, OrderState.FILLED, filled=dec(11)),
    ]
    answers = [others, *((*others, OrderLookup(stop.client_order_id, report)) for report in reports)]
    for lookups in answers:
        assert refused(play, two_looks(play, lookups=lookups)).startswith(said)
    play.state = replace(play.state, market=replace(play.state.market, began_ms=play.now + MINUTE_MS))
    assert refused(play, two_looks(play)).startswith(said), "an earlier process may have sent it just now"


def test_a_drop_of_less_than_all_would_contradict_itself() -> None:
    """The record says how much; a book that does not hold just that is noticed by the check after every step."""
    play = phantom()
    record = PositionDropped("P000001", dec(4), "alice", "a mistake", play.now)
    with pytest.raises(Exception, match="fills do not add up"):
        invariants.check(apply(play.book, record))


# Exits of a phantom


def told_in_a_day(play: Playbook) -> tuple[Counter[Severity], int]:
    """What a day of refused exits tells, and how many were tried."""
    told: Counter[Severity] = Counter()
    tried = 0
    until_ms = play.now + DAY_MS
    while play.now < until_ms:
        play.snapshot(positions=(), lookups=look(play).lookups, balance=Balance("USDT", dec(10_000), dec(10_000)))
        for placed in [*play.asked(PlaceOrder), *play.pass_time(5 * MINUTE_MS)]:
            if play.order(placed).state is OrderState.INTENT:
                play.reject(placed, "-2022", "ReduceOnly Order is rejected.")
                tried += play.order(placed).purpose is Purpose.EXIT
                told.update(
                    record.severity for record in play.recorded(AlertRaised) if record.key == "rejected:P000001:exit"
                )
    return told, tried


def test_a_position_that_cannot_be_closed_is_told_each_hour_and_tried_less_and_less() -> None:
    """A row for each attempt stays in memory, and a phone that never stops is not looked at any more."""
    play = phantom()
    told, tried = told_in_a_day(play)
    assert 20 <= told[Severity.CRITICAL] <= 26, told
    assert 50 <= tried <= 75
    text = next(record.text for record in reversed(play.journal) if isinstance(record, AlertRaised))
    assert "if the venue holds none of it: `trading-engine reconcile --plan`" in text
    assert PositionState.CLOSING is play.position.state
    dropped(play, two_looks(play))
    assert PositionState.CLOSED is play.position.state
    assert Decimal(0) == play.position.quantity
