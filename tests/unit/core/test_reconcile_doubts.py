"""What one look at the account does not prove: absences, differences, gaps, and silence of the stream."""

from dataclasses import replace

import pytest
from builders import BTC, ETH, Playbook, dec, held_at_venue, make_fill, make_report, make_settings

from trading_engine.core.effects import PlaceOrder, SetTimer, TakeSnapshot
from trading_engine.core.gates import entry_gates
from trading_engine.core.settings import EngineSettings
from trading_engine.core.state import Doubt
from trading_engine.domain.events import RunBegan, TimerKind
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.market import Side
from trading_engine.domain.orders import OrderState, TradeSide
from trading_engine.domain.records import AlertRaised, DifferenceFound, Fate, SymbolFrozen
from trading_engine.domain.reports import Balance, OrderLookup, VenuePosition

WINDOW_MS = 10_000 + 5_000 + 1_000  # send delay, receive window, margin
CERTAIN = make_settings(absence_is_proof=True)
FOREIGN = VenuePosition(ETH, Side.SHORT, dec(3), dec(100), dec(100), None, dec(1))
WAY_OUT = "; a transfer that the venue does not tell is booked by `trading-engine reconcile --apply --book-gap`"
GATE = "the venue holds another quantity than we do; looking again"


def id_of(placed: PlaceOrder) -> str:
    return placed.request.client_order_id


def gates(play: Playbook, symbol: str = BTC) -> tuple[str, ...]:
    return entry_gates(play.state, play.settings, symbol, play.now)


def look_again(play: Playbook) -> SetTimer:
    """A snapshot in two seconds."""
    return SetTimer(play.now + 2_000, TimerKind.RECONCILE)


# Absence


def test_a_snapshot_begun_before_the_window_was_over_proves_no_absence() -> None:
    """It counts when the venue was asked, not when the answer came."""
    play = Playbook()
    entry = play.enter()
    play.doubt(entry)
    play.wait(WINDOW_MS)
    began_ms = play.now
    play.wait(3_000)
    play.absent(entry, ts_ms=began_ms)
    assert OrderState.UNKNOWN is play.order(entry).state
    assert [SetTimer(play.now + 1_000, TimerKind.LOOKUP, id_of(entry))] == play.asked(SetTimer)
    play.absent(entry, ts_ms=began_ms + 1)
    assert (OrderState.VOID, PositionState.CLOSED) == (play.order(entry).state, play.position.state)


@pytest.mark.parametrize("is_acknowledged", [False, True])
def test_what_an_earlier_process_sent_is_absent_only_a_window_after_the_start(is_acknowledged: bool) -> None:
    """The clock was set an hour forward between two processes: what was sent a second ago looks old."""
    play = Playbook()
    entry = play.enter()
    if is_acknowledged:
        play.ack(entry)
    before = play.order(entry).state
    play.wait(3_600_000)
    play.on(RunBegan(play.now, "run-2", "1", "paper", "c0ffee"))
    play.absent(entry)
    assert before is play.order(entry).state
    play.wait(6_001)
    play.absent(entry)
    assert play.order(entry).state in (OrderState.VOID, OrderState.CANCELED)


def test_an_absence_is_asked_about_again_when_it_can_be_proven() -> None:
    """Not every two seconds until then; a stop that rests need not be asked after before."""
    play = Playbook()
    play.fill(play.enter())
    stop = play.place(Purpose.STOP)
    intended_ms = play.now
    play.absent(stop)
    asked = [timer for timer in play.asked(SetTimer) if timer.kind is TimerKind.LOOKUP]
    assert [SetTimer(intended_ms + WINDOW_MS + 1, TimerKind.LOOKUP, id_of(stop))] == asked
    assert OrderState.INTENT is play.order(stop).state


def test_an_order_that_should_fill_at_once_is_asked_after_before_its_absence_can_be_proven() -> None:
    """It may be accepted, filled and merely invisible yet; the pause grows with its age."""
    play = Playbook()
    entry = play.enter()
    for waited_ms, pause_ms in ((0, 1_000), (4_000, 2_000), (10_000, 2_001)):
        play.wait(waited_ms)
        play.absent(entry)
        assert [SetTimer(play.now + pause_ms, TimerKind.LOOKUP, id_of(entry))] == play.asked(SetTimer)


def test_an_absence_beside_a_position_that_nobody_explains_proves_nothing() -> None:
    """The venue holds ten that we know nothing of: perhaps the very order has filled, and its fill lags behind."""
    play = Playbook()
    entry = play.enter()
    play.doubt(entry)
    play.wait(WINDOW_MS + 1)
    held = held_at_venue(play.position, quantity=dec(10))
    play.absent(entry, positions=(held,))
    assert OrderState.UNKNOWN is play.order(entry).state
    assert SetTimer(play.now + 1_000, TimerKind.LOOKUP, id_of(entry)) in play.asked(SetTimer)
    play.wait(2_000)
    play.absent(entry, positions=(held,), fills=(play.make_fill(entry),))
    assert (OrderState.FILLED, PositionState.OPEN) == (play.order(entry).state, play.position.state)
    assert {} == play.book.frozen


def test_a_difference_on_one_symbol_leaves_the_absences_of_the_others_alone() -> None:
    """What ETH holds says nothing about an order on BTC."""
    play = Playbook()
    entry = play.enter()
    play.doubt(entry)
    play.wait(WINDOW_MS + 1)
    play.absent(entry, positions=(FOREIGN,))
    assert OrderState.VOID is play.order(entry).state


def test_an_order_whose_fill_the_same_snapshot_brings_is_not_absent() -> None:
    """Its look-up came first, its fill a moment later: it has ended, and nothing is left to conclude."""
    play = Playbook()
    entry = play.enter()
    play.doubt(entry)
    play.wait(WINDOW_MS + 1)
    fill = play.make_fill(entry)
    held = held_at_venue(play.position, quantity=dec(10))
    play.absent(entry, fills=(fill,), positions=(held,))
    assert (OrderState.FILLED, PositionState.OPEN) == (play.order(entry).state, play.position.state)
    assert [] == play.recorded(DifferenceFound)


def test_a_look_up_about_an_order_that_is_forgotten_is_dropped() -> None:
    """It ended while the account was read."""
    play = Playbook()
    play.stopped_out()
    play.snapshot(lookups=(OrderLookup("tetest000001e00001", None),))
    assert ((), ()) == (play.last.records, play.last.effects)


def test_in_process_one_snapshot_proves_an_absence_at_once() -> None:
    """Whatever the time, and whatever the positions."""
    play = Playbook(CERTAIN)
    entry = play.enter()
    play.doubt(entry)
    play.absent(entry)
    assert (OrderState.VOID, PositionState.CLOSED) == (play.order(entry).state, play.position.state)


# Positions

MISFITS = [
    (Side.LONG, "9", "venue holds 9, we hold 10"),
    (Side.SHORT, "10", "venue holds -10, we hold 10"),
    (Side.LONG, "0", "venue holds 0, we hold 10"),
]


@pytest.mark.parametrize("settings", [CERTAIN, make_settings()], ids=["in process", "over a wire"])
@pytest.mark.parametrize(("side", "quantity", "reason"), MISFITS)
def test_a_position_that_fills_do_not_explain_freezes_its_symbol(
    settings: EngineSettings, side: Side, quantity: str, reason: str
) -> None:
    """Smaller, turned round, or gone; our row stays as it is. Over a wire it has to show twice."""
    play = Playbook(settings)
    play.opened()
    theirs = held_at_venue(play.position, side=side, quantity=dec(quantity))
    play.snapshot(positions=(theirs,))
    if not settings.absence_is_proof:
        assert ((), {}) == (play.last.records, play.book.frozen)
        play.wait(2_000)
        play.snapshot(positions=(theirs,))
        assert {} == play.book.frozen, "a fill of the stop, which is not shown, may be told late"
        play.wait(58_000)
        play.snapshot(positions=(theirs,))
    assert [SymbolFrozen(BTC, reason)] == play.recorded(SymbolFrozen)
    assert [DifferenceFound("position", BTC, "", reason, "frozen")] == play.recorded(DifferenceFound)
    assert [f"BTCUSDT: {reason}; no entries until `trading-engine resume`"] == play.alerts()
    assert dec(10) == play.position.quantity
    assert {} == play.state.market.doubts


@pytest.mark.parametrize("settings", [CERTAIN, make_settings()], ids=["in process", "over a wire"])
def test_a_position_we_know_nothing_of_freezes_its_symbol(settings: EngineSettings) -> None:
    """The other symbols trade on."""
    play = Playbook(settings)
    theirs = (FOREIGN, replace(FOREIGN, symbol="DOGEUSDT"))
    play.snapshot(positions=theirs)
    if not settings.absence_is_proof:
        play.wait(2_000)
        play.snapshot(positions=theirs)
    assert [SymbolFrozen(ETH, "venue holds -3, we hold 0")] == play.recorded(SymbolFrozen)
    play.enter()


def test_a_difference_seen_once_shuts_the_gate_of_its_symbol_until_it_is_explained() -> None:
    """Nothing is written; the account is read again soon."""
    play = Playbook()
    play.snapshot(positions=(FOREIGN,))
    assert {ETH: Doubt(dec(-3), play.now)} == play.state.market.doubts
    assert ((), (look_again(play),)) == (play.last.records, play.last.effects)
    assert ((GATE,), ()) == (gates(play, ETH), gates(play, BTC))
    play.signal(symbol=ETH)
    assert [(ETH, Fate.GATED)] == play.fates()
    play.snapshot()
    assert ((), {}) == (play.last.effects, play.state.market.doubts)
    assert () == gates(play, ETH)


def test_a_difference_is_not_confirmed_in_the_same_breath() -> None:
    """Two snapshots within the venue's delay are one look."""
    play = Playbook(make_settings(visibility_delay_ms=1_500))
    play.snapshot(positions=(FOREIGN,))
    since_ms = play.now
    play.wait(3_499)
    play.snapshot(positions=(FOREIGN,))
    assert ({}, {ETH: Doubt(dec(-3), since_ms)}) == (play.book.frozen, play.state.market.doubts)
    assert look_again(play) in play.asked(SetTimer)
    play.wait(1)
    play.snapshot(positions=(FOREIGN,))
    assert ETH in play.book.frozen


def test_a_difference_that_changes_is_seen_for_the_first_time_again() -> None:
    """Something is going on; it is not stable yet."""
    play = Playbook()
    play.snapshot(positions=(FOREIGN,))
    play.wait(2_000)
    play.snapshot(positions=(replace(FOREIGN, quantity=dec(4)),))
    assert ({}, {ETH: Doubt(dec(-4), play.now)}) == (play.book.frozen, play.state.market.doubts)
    play.wait(2_000)
    play.snapshot(positions=(replace(FOREIGN, quantity=dec(4)),))
    assert {ETH: "venue holds -4, we hold 0"} == play.book.frozen


def test_a_difference_that_a_late_fill_explains_is_forgotten() -> None:
    """Positions were read before the fill was listed."""
    play = Playbook()
    position = play.opened()
    reduced = held_at_venue(position, quantity=dec(7))
    play.snapshot(positions=(reduced,))
    assert (GATE,) == gates(play)
    play.wait(2_000)
    sale = make_fill(trade_id="x", client_order_id="", side=TradeSide.SELL, quantity=dec(3), ts_ms=play.now)
    play.snapshot(positions=(reduced,), fills=(sale,))
    assert ({}, {}) == (play.book.frozen, play.state.market.doubts)
    assert dec(7) == play.position.quantity


@pytest.mark.parametrize("doubt", ["unanswered", "unknown", "acknowledged", "fill missing"])
def test_a_difference_beside_an_order_of_ours_in_doubt_freezes_nothing(doubt: str) -> None:
    """It may have filled; the symbol's gate stays shut until somebody knows."""
    play = Playbook()
    entry = play.enter()
    if doubt == "unknown":
        play.doubt(entry)
    elif doubt == "acknowledged":
        play.ack(entry)
    elif doubt == "fill missing":
        play.report(entry, OrderState.FILLED, filled=dec(10))
    held = held_at_venue(play.position, quantity=dec(10))
    for _ in range(5):
        play.snapshot(positions=(held,))
        play.wait(2_000)
    assert {} == play.book.frozen
    assert BTC in play.state.market.doubts
    assert GATE in gates(play)
    play.fill(entry)
    play.snapshot(positions=(held,))
    assert ({}, {}) == (play.book.frozen, play.state.market.doubts)


def test_orders_that_rest_at_the_venue_are_no_doubt() -> None:
    """Stop and target are acknowledged: they explain nothing."""
    play = Playbook()
    position = play.opened()
    theirs = held_at_venue(position, quantity=dec(9))
    resting = tuple(make_report(play.order(play.place(purpose))) for purpose in (Purpose.STOP, Purpose.TARGET))
    for _ in range(2):
        play.wait(2_000)
        play.snapshot(positions=(theirs,), open_orders=resting)
    assert BTC in play.book.frozen


def test_an_order_in_doubt_on_another_symbol_excuses_nothing() -> None:
    """One symbol's silence is not another's."""
    play = Playbook()
    play.doubt(play.enter())
    for _ in range(2):
        play.snapshot(positions=(FOREIGN,))
        play.wait(2_000)
    assert [ETH] == list(play.book.frozen)


# The wallet


def test_in_process_a_wallet_that_disagrees_is_told_when_it_begins_and_when_it_changes() -> None:
    """Not every five minutes; and not while it agrees."""
    play = Playbook(CERTAIN)
    short_of_one = Balance("USDT", dec(9_999), dec(9_999))
    play.snapshot(balance=short_of_one)
    assert [DifferenceFound("wallet", "", "10000", "9999", "told")] == play.recorded(DifferenceFound)
    assert [f"wallet holds 9999 USDT, the ledger adds up to 10000{WAY_OUT}"] == play.alerts()
    assert dec(-1) == play.state.market.wallet_gap
    play.snapshot(balance=short_of_one)
    assert () == play.last.records
    play.snapshot()
    assert ((), dec(0)) == (play.last.records, play.state.market.wallet_gap)
    play.snapshot(balance=short_of_one)
    assert 1 == len(play.alerts())


def test_over_a_wire_a_wallet_that_disagrees_is_told_when_two_looks_agree() -> None:
    """Balance and incomes are read one after the other; once told it is not told again before it has changed."""
    play = Playbook()
    short_of_one, short_of_two = (Balance("USDT", dec(amount), dec(amount)) for amount in (9_999, 9_998))
    play.snapshot(balance=short_of_one)
    assert ((), (look_again(play),)) == (play.last.records, play.last.effects)
    assert dec(-1) == play.state.market.wallet_gap
    play.snapshot(balance=short_of_one)
    assert [DifferenceFound("wallet", "", "10000", "9999", "told")] == play.recorded(DifferenceFound)
    assert [f"wallet holds 9999 USDT, the ledger adds up to 10000{WAY_OUT}"] == play.alerts()
    play.snapshot(balance=short_of_one)
    assert ((), ()) == (play.last.records, play.last.effects)
    play.snapshot(balance=short_of_two)
    assert ((), (look_again(play),)) == (play.last.records, play.last.effects)
    play.snapshot(balance=short_of_two)
    assert [f"wallet holds 9998 USDT, the ledger adds up to 10000{WAY_OUT}"] == play.alerts()


def test_a_gap_that_one_look_alone_has_shown_is_never_told() -> None:
    """The fee was booked before the balance was read; it agrees the next time."""
    play = Playbook()
    play.snapshot(balance=Balance("USDT", dec(9_999), dec(9_999)))
    for _ in range(2):
        play.snapshot()
        assert ((), ()) == (play.last.records, play.last.effects)


def test_a_gap_that_closed_for_good_is_told_anew_when_it_opens_again() -> None:
    """Agreement, too, has to show twice."""
    play = Playbook()
    told = []
    for gap in (1, 1, 0, 1, 1, 0, 0, 1, 1):
        play.snapshot(balance=Balance("USDT", dec(10_000 - gap), dec(10_000 - gap)))
        told.append(len(play.alerts()))
    assert [0, 1, 0, 0, 0, 0, 0, 0, 1] == told


# The stream


def test_a_lost_stream_shuts_the_gate() -> None:
    """Nobody tells what happens; exits are managed on."""
    play = Playbook()
    play.opened()
    play.stream_lost()
    assert ["venue:lost"] == [record.key for record in play.last.records if isinstance(record, AlertRaised)]
    assert (SetTimer(play.now + 300_000, TimerKind.OUTAGE),) == play.last.effects
    assert ("not reconciled with the venue yet",) == gates(play, ETH)
    play.signal(None, exit_side=Side.LONG)
    assert [Purpose.EXIT] == play.placed()


def test_a_snapshot_without_a_stream_does_not_open_the_gate() -> None:
    """It is true for the moment only; what it shows is taken in all the same."""
    play = Playbook()
    entry = play.enter()
    play.stream_lost()
    play.snapshot(fills=(play.make_fill(entry),), positions=(held_at_venue(play.position, quantity=dec(10)),))
    assert PositionState.OPEN is play.position.state
    assert (False, play.now) == (play.state.market.is_synced, play.state.market.reconciled_ms)


def test_a_restored_stream_calls_for_a_snapshot_which_opens_the_gate() -> None:
    """What happened in between is read."""
    play = Playbook()
    play.stream_lost()
    play.wait(30_000)
    play.stream_restored()
    assert ((), (TakeSnapshot(),)) == (play.last.records, play.last.effects)
    assert not play.state.market.is_synced
    play.wait(200)
    play.snapshot()
    assert play.state.market.is_synced
    assert () == gates(play)


def test_a_snapshot_begun_before_the_stream_came_back_does_not_open_the_gate() -> None:
    """Something may have happened after it was read and before the stream told again."""
    play = Playbook()
    play.stream_lost()
    began_ms = play.now
    play.wait(1)
    play.stream_restored()
    restored_ms = play.now
    play.wait(500)
    play.snapshot(ts_ms=began_ms)
    assert not play.state.market.is_synced
    play.snapshot(ts_ms=restored_ms)
    assert play.state.market.is_synced


def test_a_stream_that_was_restored_without_being_lost_asks_as_well() -> None:
    """The first connection of a process; the gate stays as it was until the snapshot."""
    play = Playbook(is_synced=False)
    play.stream_restored()
    assert [TakeSnapshot()] == play.asked(TakeSnapshot)
    assert not play.state.market.is_synced


def test_a_failed_snapshot_does_not_undo_a_restored_stream() -> None:
    """The next one that works opens the gate."""
    play = Playbook()
    play.stream_lost()
    play.stream_restored()
    play.snapshot_failed()
    assert not play.state.market.is_synced
    play.snapshot()
    assert play.state.market.is_synced


def test_fills_that_reports_have_named_are_fetched_after_a_snapshot_without_them() -> None:
    """The history lags behind the order."""
    play = Playbook()
    entry = play.enter()
    play.report(entry, OrderState.FILLED, filled=dec(10))
    play.snapshot()
    assert SetTimer(play.now + 1_000, TimerKind.FILLS) in play.last.effects
    play.snapshot(fills=(play.make_fill(entry),), positions=(held_at_venue(play.position, quantity=dec(10)),))
    assert TimerKind.FILLS not in {timer.kind for timer in play.asked(SetTimer)}


# A past that the venue has forgotten


SPAN = (1_735_000_000_000, 1_735_084_800_000)
FORGOTTEN = (
    "the venue does not tell any more what happened from 2024-12-24T00:26 to 2024-12-25T00:00,"
    " and the wallet has changed"
)


def test_nothing_happened_in_a_forgotten_past_where_the_wallet_agrees() -> None:
    """Said by the last digit: no fill and no funding leaves it as it was."""
    play = Playbook()
    play.snapshot(untold=SPAN)
    assert () == play.last.records
    assert play.state.market.untold is None
    assert () == gates(play)


def test_a_forgotten_past_in_which_the_wallet_changed_freezes_everything() -> None:
    """When two looks agree that it did; the second need not say again what is forgotten. `resume` releases."""
    play = Playbook()
    short_of_one = Balance("USDT", dec(9_999), dec(9_999))
    play.snapshot(balance=short_of_one, untold=SPAN)
    assert ({}, SPAN) == (play.book.frozen, play.state.market.untold)
    play.snapshot(balance=short_of_one)
    assert {BTC: FORGOTTEN, ETH: FORGOTTEN} == play.book.frozen
    play.resume()
    play.snapshot(balance=short_of_one)
    assert {} == play.book.frozen


def test_a_gap_that_one_look_alone_has_shown_freezes_nothing() -> None:
    """Balance and fills are read one after the other, here as everywhere."""
    play = Playbook()
    play.snapshot(balance=Balance("USDT", dec(9_999), dec(9_999)), untold=SPAN)
    play.snapshot()
    play.snapshot()
    assert ({}, None) == (play.book.frozen, play.state.market.untold)
