"""What the venue books: fills and incomes, once each, to whom they belong, late, foreign or too large."""

from dataclasses import replace

import pytest
from builders import BTC, ETH, Playbook, dec, make_fill, make_settings

from trading_engine.core.booking import split_fill
from trading_engine.core.effects import FetchFills, PlaceOrder, SetTimer
from trading_engine.core.settings import LimitSettings
from trading_engine.domain.control import Level
from trading_engine.domain.events import FillSeen, FillsRead, TimerKind
from trading_engine.domain.fills import PnlKind
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import CloseReason, PositionState
from trading_engine.domain.market import Side
from trading_engine.domain.orders import OrderState, TradeSide
from trading_engine.domain.records import (
    AdjustmentBooked,
    DifferenceFound,
    FillApplied,
    IncomeBooked,
    PositionOpened,
    SymbolFrozen,
)

CERTAIN = make_settings(absence_is_proof=True)


def unprotected(play: Playbook) -> None:
    """A position of ten that is CLOSING while the venue has refused every order of ours."""
    play.fill(play.enter())
    play.reject(play.place(Purpose.TARGET))
    play.reject(play.place(Purpose.STOP))
    play.reject(play.place(Purpose.EXIT))


def test_a_fill_counts_once_however_often_it_is_told() -> None:
    """By its trade id."""
    play = Playbook()
    entry = play.enter()
    fill = play.make_fill(entry, 4)
    play.on(FillSeen(play.now, fill))
    play.on(FillSeen(play.now + 1, fill))
    assert ((), ()) == (play.last.records, play.last.effects)
    assert dec(4) == play.position.quantity


def test_the_venue_s_pnl_is_booked_and_a_difference_is_told() -> None:
    """The venue pays out by its own arithmetic."""
    play = Playbook()
    play.opened()
    play.fill(play.place(Purpose.TARGET), price=115, realized_pnl=dec("149.99"))
    (applied,) = play.recorded(FillApplied)
    assert (dec("149.99"), dec(150)) == (applied.gross, applied.own_gross)
    (difference,) = play.recorded(DifferenceFound)
    assert ("pnl", "the venue's figure is booked") == (difference.kind, difference.action)
    assert ["BTCUSDT: the venue books 149.99 for trade 2, our arithmetic gives 150"] == play.alerts()
    assert dec("10149.99") == play.book.ledger.balance


def test_a_pnl_that_agrees_is_no_difference() -> None:
    """And an opening fill realises nothing, whatever the venue says."""
    play = Playbook()
    entry = play.enter()
    play.fill(entry, realized_pnl=dec(7))
    assert [] == play.recorded(DifferenceFound)
    play.fill(play.place(Purpose.STOP), price=95, realized_pnl=dec(-50))
    assert [] == play.recorded(DifferenceFound)


def test_a_stop_that_was_moved_closes_as_trailing() -> None:
    """Told apart by where its trigger stood."""
    play = Playbook()
    play.opened()
    stop = play.place(Purpose.STOP)
    moved = replace(play.book.positions["P000001"], initial_stop=dec(94))
    play.state = replace(play.state, book=replace(play.book, positions={"P000001": moved}))
    play.fill(stop, price=95)
    assert CloseReason.TRAILING is play.position.close_reason


def test_a_liquidation_closes_the_position() -> None:
    """A fill without our id, marked by the venue."""
    play = Playbook()
    play.opened()
    play.foreign_fill(TradeSide.SELL, 10, 60, is_liquidation=True)
    assert (PositionState.CLOSING, CloseReason.LIQUIDATION) == (play.position.state, play.position.close_reason)
    assert ["BTCUSDT: liquidation of 10 at 60 reduced the position"] == play.alerts()[:1]
    play.settle_cancels()
    assert (PositionState.CLOSED, dec(-400)) == (play.position.state, play.position.net_pnl)


def test_a_person_who_sells_our_position_has_closed_it() -> None:
    """Whole: an external close; what a part of it leads to is told in test_foreign."""
    play = Playbook()
    play.opened()
    play.foreign_fill(TradeSide.SELL, 10, 101)
    assert (PositionState.CLOSING, CloseReason.EXTERNAL) == (play.position.state, play.position.close_reason)
    assert [] == play.placed()
    assert {} == play.book.frozen


@pytest.mark.parametrize("has_position", [False, True])
def test_a_foreign_fill_that_explains_nothing_freezes_the_symbol(has_position: bool) -> None:
    """Bought by somebody: not ours, not touched, said once; its money is booked each time."""
    play = Playbook()
    if has_position:
        play.opened()
    play.fill_told(play.make_foreign_fill(TradeSide.BUY, 1))
    assert [BTC] == [frozen.symbol for frozen in play.recorded(SymbolFrozen)]
    assert ["BTCUSDT: a fill that is not ours; no entries until `trading-engine resume`"] == play.alerts()
    play.fill_told(play.make_foreign_fill(TradeSide.BUY, 1))
    assert [AdjustmentBooked] == [type(record) for record in play.last.records]


def test_a_foreign_fill_on_a_symbol_we_do_not_trade_is_nobody_s_business() -> None:
    """Only its money is booked."""
    play = Playbook()
    play.fill_told(play.make_foreign_fill(TradeSide.BUY, 1, symbol="DOGEUSDT", fee=dec("0.5")))
    assert [dec("-0.5")] == [record.amount for record in play.recorded(AdjustmentBooked)]
    assert 1 == len(play.last.records)


def test_a_late_fill_of_a_closed_position_is_sold_at_once() -> None:
    """A residual position in CLOSING, with an alarm; the old one is never reopened."""
    play = Playbook()
    old = play.stopped_out()
    late = play.make_fill(play.place(Purpose.ENTRY), 2, 101)
    play.on(FillSeen(play.now, late))
    residual = play.position
    assert ("P000002", "P000001", PositionState.CLOSING, dec(2)) == (
        residual.position_id,
        residual.residual_of,
        residual.state,
        residual.quantity,
    )
    assert [PositionOpened] == [type(record) for record in play.recorded(PositionOpened)]
    assert ["BTCUSDT: late fill 3 of P000001; closing what it opened"] == play.alerts()
    assert [Purpose.EXIT] == play.placed()
    assert (TradeSide.SELL, dec(2), True) == (
        play.place(Purpose.EXIT).request.side,
        play.place(Purpose.EXIT).request.quantity,
        play.place(Purpose.EXIT).request.reduce_only,
    )
    play.fill(play.place(Purpose.EXIT), price=100)
    assert (PositionState.CLOSED, dec(-2)) == (play.position.state, play.position.net_pnl)
    assert old == play.positions["P000001"]


def test_a_late_fill_in_the_step_that_closed_the_position_is_late_too() -> None:
    """One snapshot brings both: the fill that closed it and one that came after."""
    play = Playbook()
    play.opened()
    play.cancelled(play.place(Purpose.TARGET))
    closing = play.make_fill(play.place(Purpose.STOP), price=95)
    late = play.make_fill(play.place(Purpose.ENTRY), 1, 96, ts_ms=play.now + 1)
    play.snapshot(fills=(closing, late), positions=())
    assert PositionState.CLOSED is play.positions["P000001"].state
    assert ("P000002", PositionState.CLOSING, dec(1)) == (
        play.position.position_id,
        play.position.state,
        play.position.quantity,
    )


def test_a_late_fill_beside_an_open_position_freezes_and_waits() -> None:
    """One position a symbol: it is told, and taken up when it is told again after the close."""
    play = Playbook(make_settings(limits=LimitSettings(cooldown_ms=0)))
    play.stopped_out()
    late = play.make_fill(play.place(Purpose.ENTRY), 2, 101)
    play.opened()
    play.on(FillSeen(play.now, late))
    assert [SymbolFrozen(BTC, "late fill 3 beside an open position")] == play.recorded(SymbolFrozen)
    assert ["BTCUSDT: late fill 3 of P000001; closing what it opened once the open position is closed"] == play.alerts()
    play.on(FillSeen(play.now, late))
    assert () == play.last.records
    play.fill(play.place(Purpose.STOP), price=95)
    play.settle_cancels()
    play.snapshot(fills=(late,), positions=())
    assert ("P000001", PositionState.CLOSING) == (play.position.residual_of, play.position.state)


@pytest.mark.parametrize("client_order_id", ["teothe000001e00001", "tetest000002e00001"])
def test_a_fill_of_an_order_this_database_never_made_locks_the_engine(client_order_id: str) -> None:
    """Another epoch, or a position yet to come: a restored backup, a lost file, a second instance. Said once."""
    play = Playbook()
    play.stopped_out()
    fill = make_fill(trade_id="x", client_order_id=client_order_id, ts_ms=play.now)
    play.on(FillSeen(play.now, fill))
    assert [DifferenceFound("unknown_origin", BTC, "", client_order_id, "locked")] == play.recorded(DifferenceFound)
    reason = f"fill x is of order {client_order_id}, which this database never made"
    assert (Level.LOCKED, reason) == (play.book.control.level, play.book.control.reason)
    assert [f"kill switch raised to LOCKED: {reason}"] == play.alerts()
    assert {} == play.book.positions
    play.on(FillSeen(play.now, fill))
    assert () == play.last.records


def test_what_a_lost_database_did_before_an_operator_resumed_is_a_stranger_s() -> None:
    """It is booked as an adjustment instead of locking again at every look; what it does after that locks."""
    play = Playbook()
    play.stopped_out()
    past = make_fill(trade_id="x", client_order_id="teothe000001e00001", ts_ms=play.now)
    play.on(FillSeen(play.now, past))
    play.resume()
    play.on(FillsRead(play.now, (past,)))
    assert Level.RUN is play.book.control.level
    assert ["x"] == [record.key.rpartition(":")[2] for record in play.recorded(AdjustmentBooked)]
    fresh = replace(past, trade_id="y", ts_ms=play.now + 1)
    play.on(FillsRead(play.now + 1, (past, fresh)))
    assert Level.LOCKED is play.book.control.level


def restored(play: Playbook) -> None:
    """The database is a backup from now on: LOCKED, and of a new epoch."""
    play.stop_file(Level.LOCKED)
    play.state = replace(play.state, book=replace(play.book, epoch="copy"))


def test_an_exit_that_a_restored_backup_lacks_closes_the_position_that_it_holds() -> None:
    """Also while it is LOCKED: stops and exits of a position that is gone would be sent for nothing."""
    play = Playbook()
    play.opened()
    restored(play)
    ours = make_fill(
        trade_id="x", client_order_id="tetest000001x00001", side=TradeSide.SELL, quantity=dec(10), ts_ms=play.now
    )
    play.snapshot(fills=(ours,), positions=())
    assert ["x"] == [record.fill.trade_id for record in play.recorded(FillApplied)]
    assert (dec(0), CloseReason.EXTERNAL) == (play.position.quantity, play.position.close_reason)
    assert Level.LOCKED is play.book.control.level
    assert [] == play.asked(PlaceOrder)


@pytest.mark.parametrize("client_order_id", ["teothe000001x00001", "tetest000002x00001", "tetest000001e00002"])
def test_what_may_not_be_of_the_position_that_a_backup_holds_waits_for_a_person(client_order_id: str) -> None:
    """An exit of another epoch or of another position, and an entry: nothing is booked while it is LOCKED."""
    play = Playbook()
    play.opened()
    restored(play)
    other = make_fill(client_order_id=client_order_id, side=TradeSide.SELL, quantity=dec(10), ts_ms=play.now)
    play.on(FillsRead(play.now, (other,)))
    assert () == play.last.records
    assert dec(10) == play.position.quantity


def test_a_fill_larger_than_the_position_is_cut() -> None:
    """Fee by share to 1e-8, the remainder to the second part, which has a key of its own."""
    fill = make_fill(quantity=dec(3), fee=dec("0.1"), realized_pnl=dec(9))
    first, second = split_fill(fill, dec(1))
    assert (dec(1), dec("0.03333333"), dec(9), "1") == (
        first.quantity,
        first.fee,
        first.realized_pnl,
        first.trade_id,
    )
    assert (dec(2), dec("0.06666667"), None, "1+") == (
        second.quantity,
        second.fee,
        second.realized_pnl,
        second.trade_id,
    )


def test_a_fill_of_which_nothing_belongs_keeps_its_key() -> None:
    """So that it is recognised when it is told again."""
    first, second = split_fill(make_fill(), dec(0))
    assert (dec(0), dec(10), "1") == (first.quantity, second.quantity, second.trade_id)


# More than is open


def test_a_stream_that_tells_more_than_is_open_is_not_believed_before_the_whole_story_is_read() -> None:
    """The sale of nine overtook a part of the entry: nothing is booked, the fills are fetched and told in order."""
    play = Playbook()
    entry = play.enter()
    play.fill(entry, 4)
    rest = play.make_fill(entry, 6, 101, ts_ms=play.now + 1)
    sale = play.make_foreign_fill(TradeSide.SELL, 9, 99, ts_ms=play.now + 2)
    play.wait(5)
    play.on(FillSeen(play.now, sale))
    assert [] == play.recorded(FillApplied)
    assert [FetchFills()] == play.asked(FetchFills)
    assert (PositionState.OPEN, dec(4), {}) == (play.position.state, play.position.quantity, play.book.frozen)
    play.fills_read(sale, rest)
    assert [rest.trade_id, sale.trade_id] == [record.fill.trade_id for record in play.recorded(FillApplied)]
    assert (dec(1), {}) == (play.position.quantity, play.book.frozen)


def test_a_fill_of_ours_that_is_more_than_is_open_waits_as_well() -> None:
    """A person sold six, and the stop for ten fills whole: whether four is all there is, the history tells."""
    play = Playbook()
    play.opened()
    stop = play.place(Purpose.STOP)
    play.foreign_fill(TradeSide.SELL, 6, 101)
    sold = play.make_fill(stop, 10, 95)
    play.on(FillSeen(play.now, sold))
    assert ([], [FetchFills()]) == (play.recorded(FillApplied), play.asked(FetchFills))
    assert dec(4) == play.position.quantity


def test_in_process_the_stream_is_the_whole_story() -> None:
    """It never tells an exit before its entry."""
    play = Playbook(CERTAIN)
    play.opened()
    play.foreign_fill(TradeSide.SELL, 11, 101)
    assert [] == play.asked(FetchFills)
    assert dec(0) == play.position.quantity


def test_fills_are_booked_in_the_order_they_happened() -> None:
    """However they were read; those of one instant as they were given; what is known already not again."""
    play = Playbook()
    entry = play.enter()
    fills = [play.make_fill(entry, 2, 100, ts_ms=play.now + at) for at in (0, 1, 1, 2)]
    play.fills_read(fills[3], fills[1], fills[0], fills[2])
    assert ["1", "2", "3", "4"] == [record.fill.trade_id for record in play.recorded(FillApplied)]
    assert (dec(8), play.now) == (play.position.quantity, play.position.opened_ms)
    play.fills_read(*fills)
    assert ((), ()) == (play.last.records, play.last.effects)


def test_fills_that_were_named_and_not_read_are_asked_for_again() -> None:
    """The venue's history lags behind its reports."""
    play = Playbook()
    entry = play.enter()
    play.report(entry, OrderState.FILLED, filled=dec(10))
    play.fills_read(play.make_fill(entry, 4))
    again = SetTimer(play.now + 1_000, TimerKind.FILLS)
    assert again in play.asked(SetTimer)
    play.fills_read()
    assert ((), (again,)) == (play.last.records, play.last.effects)
    play.fills_read(play.make_fill(entry, 6))
    assert TimerKind.FILLS not in {timer.kind for timer in play.asked(SetTimer)}
    assert dec(10) == play.position.quantity


@pytest.mark.parametrize("is_certain", [False, True])
def test_an_excess_beside_orders_that_still_rest_freezes_the_symbol(is_certain: bool) -> None:
    """More was sold than we hold: what belongs is booked, the rest is a person's matter."""
    play = Playbook(make_settings(absence_is_proof=is_certain))
    play.opened()
    play.fill_told(play.make_foreign_fill(TradeSide.SELL, 11, 101))
    assert dec(0) == play.position.quantity
    assert BTC in play.book.frozen


@pytest.mark.parametrize("is_certain", [False, True])
def test_an_excess_of_a_stranger_is_never_touched(is_certain: bool) -> None:
    """Nothing of ours is left at the venue: our part closes, theirs is not bought back."""
    play = Playbook(make_settings(absence_is_proof=is_certain))
    unprotected(play)
    play.fill_told(play.make_foreign_fill(TradeSide.SELL, 11, 101))
    assert (PositionState.CLOSED, dec(10)) == (play.position.state, play.position.net_pnl)
    assert ({}, []) == (play.book.positions, play.placed())
    assert BTC in play.book.frozen


@pytest.mark.parametrize("is_certain", [False, True])
def test_an_excess_of_ours_was_a_stranger_s(is_certain: bool) -> None:
    """An exit for ten, thought cancelled, fills whole after a person sold four: it only reduces, so nothing is open."""
    play = Playbook(make_settings(absence_is_proof=is_certain))
    unprotected(play)
    play.wait(5_000)
    play.timer(TimerKind.RETRY_EXIT, "P000001")
    leave = play.place(Purpose.EXIT)
    play.foreign_fill(TradeSide.SELL, 4)
    play.cancelled(leave)
    play.reject(play.place(Purpose.EXIT))
    play.fill_told(play.make_fill(leave, 10))
    assert (PositionState.CLOSED, dec(10)) == (
        play.positions["P000001"].state,
        play.positions["P000001"].exit_quantity,
    )
    assert ({}, []) == (play.book.positions, play.placed())
    assert (1, [BTC]) == (len(play.recorded(AdjustmentBooked)), list(play.book.frozen))


@pytest.mark.parametrize("is_certain", [False, True])
def test_an_excess_of_ours_does_not_keep_a_flat_position_closing_for_ever(is_certain: bool) -> None:
    """Stop and exit have both filled whole (a stranger's coins were there too): the position ends all the same."""
    play = Playbook(make_settings(absence_is_proof=is_certain))
    play.opened()
    play.signal(None, exit_side=Side.LONG)
    leave = play.place(Purpose.EXIT)
    play.ack(leave)
    play.fill(play.place(Purpose.STOP), price=95)
    second = play.make_fill(leave, 10, 95)
    play.on(FillSeen(play.now, second))
    play.report(leave, OrderState.FILLED, filled=dec(10))
    play.settle_cancels()
    play.snapshot(fills=(second,), positions=())
    assert PositionState.CLOSED is play.positions["P000001"].state


# Income


def test_funding_belongs_to_the_position_held_before_it() -> None:
    """One millisecond decides."""
    play = Playbook()
    play.opened()
    opened_ms = play.position.opened_ms
    play.wait(1_000)
    play.income(-3, ts_ms=opened_ms + 1)
    assert dec(-3) == play.position.funding
    play.income(-5, ts_ms=opened_ms)
    assert dec(-3) == play.position.funding
    assert ["", "P000001"] == [
        record.position_id for record in reversed(play.journal) if isinstance(record, IncomeBooked)
    ][:2]


def test_funding_at_the_very_instant_of_the_close_belongs_to_the_position() -> None:
    """It was held before; told late, it lands in the trade's result."""
    play = Playbook()
    closed = play.stopped_out()
    play.income(-3, ts_ms=closed.closed_ms)
    assert [IncomeBooked] == [type(record) for record in play.recorded(IncomeBooked)]
    assert "P000001" == play.recorded(IncomeBooked)[0].position_id
    assert dec(-53) == play.book.ledger.closed[0].net
    play.income(-3, ts_ms=closed.closed_ms + 1)
    assert "" == play.recorded(IncomeBooked)[0].position_id


def test_funding_of_a_symbol_never_traded_belongs_to_nobody() -> None:
    """Booked all the same."""
    play = Playbook()
    play.stopped_out()
    play.income(-3, symbol=ETH)
    assert "" == play.recorded(IncomeBooked)[0].position_id
    assert dec(9_947) == play.book.ledger.balance


def test_an_income_counts_once() -> None:
    """By its kind and id."""
    play = Playbook()
    play.income(-3, income_id="f1")
    play.income(-3, income_id="f1")
    assert () == play.last.records


def test_a_transfer_changes_the_balance_but_no_result() -> None:
    """No position owns it, no day counts it."""
    play = Playbook()
    play.opened()
    play.wait(1)
    play.income(500, PnlKind.TRANSFER)
    ledger = play.book.ledger
    assert (dec(10_500), dec(10_500), dec(0)) == (ledger.balance, ledger.transfers, ledger.performance)
    assert (dec(10_000), dec(0)) == (ledger.start_balance, ledger.day("2025-01-01").realized)
    assert dec(0) == play.position.funding


def test_money_of_another_asset_s_wallet_is_not_booked() -> None:
    """Five BNB moved to the account are not five USDT: the ledger stays the wallet, and entries stay possible."""
    play = Playbook()
    before = play.book
    for kind, symbol in ((PnlKind.TRANSFER, ""), (PnlKind.FUNDING, BTC), (PnlKind.ADJUSTMENT, "DOGEUSDT")):
        assert () == play.income(5, kind, symbol=symbol, asset="BNB").records
    assert before == play.book
