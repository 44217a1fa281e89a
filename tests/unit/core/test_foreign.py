"""What is not ours: left alone, adopted or closed, by policy; its money never counts as a result."""

from dataclasses import replace
from decimal import Decimal

import pytest
from builders import (
    BTC,
    ETH,
    T0,
    Number,
    Playbook,
    dec,
    held_at_venue,
    make_income,
    make_instrument,
    make_open_position,
    make_order,
    make_report,
    make_settings,
    without_limits,
)

from trading_engine.core import foreign, risk
from trading_engine.core.effects import CancelOrder, FetchFills, PlaceOrder, TakeSnapshot
from trading_engine.core.settings import (
    EngineSettings,
    ExitPlan,
    ExitSettings,
    ForeignPolicy,
    ForeignSettings,
    PartialStep,
)
from trading_engine.core.state import ForeignHolding
from trading_engine.domain.control import Level
from trading_engine.domain.events import FillSeen, IncomeSeen
from trading_engine.domain.fills import Fill
from trading_engine.domain.ids import Purpose, emergency_order_id
from trading_engine.domain.lifecycle import CloseReason, PositionState
from trading_engine.domain.market import Side
from trading_engine.domain.orders import Order, OrderReport, OrderState, TradeSide
from trading_engine.domain.records import (
    AdjustmentBooked,
    CancelIntended,
    DifferenceFound,
    Fate,
    FillApplied,
    IncomeBooked,
    OrderIntended,
    PositionGrown,
    PositionOpened,
    SymbolFrozen,
)
from trading_engine.domain.reports import VenuePosition

LADDER = ExitSettings({"trend": ExitPlan(partials=(PartialStep(1_000, 300_000), PartialStep(2_000, 400_000)))})


def settings_with(policy: ForeignPolicy, **changes: object) -> EngineSettings:
    """In process, where one look is proof; BTC under the policy, ETH frozen as by default."""
    base = make_settings(absence_is_proof=True, foreign=ForeignSettings(symbols={BTC: policy}))
    return replace(base, **changes)  # type: ignore[arg-type]


def playing(policy: ForeignPolicy, **changes: object) -> Playbook:
    """A play under a policy for BTC."""
    return Playbook(settings_with(policy, **changes))


def at_venue(quantity: Number, price: Number = 100, mark: Number = 100, symbol: str = BTC) -> VenuePosition:
    """A net position as the venue shows it, signed."""
    signed = dec(quantity)
    side = Side.LONG if signed > 0 else Side.SHORT
    return VenuePosition(symbol, side, abs(signed), dec(price), dec(mark), None, dec(2))


def holding(quantity: Number, symbol: str = BTC) -> ForeignHolding:
    """What is remembered of the above."""
    return ForeignHolding(symbol, dec(quantity), dec(100), dec(2))


def foreign_order(**changes: object) -> OrderReport:
    """A limit order of a person for two coins at 90."""
    report = make_report(make_order(client_order_id="web_1", quantity=dec(2), price=dec(90)), venue_order_id="v9")
    return replace(report, **changes)  # type: ignore[arg-type]


def amounts(play: Playbook) -> list[Decimal]:
    """The adjustments that the last line has booked."""
    return [record.amount for record in play.recorded(AdjustmentBooked)]


# Which policy


def test_what_is_not_traded_is_ignored_and_what_is_traded_is_frozen() -> None:
    """Unless the settings say otherwise."""
    settings = settings_with(ForeignPolicy.ADOPT)
    assert [ForeignPolicy.ADOPT, ForeignPolicy.FREEZE, ForeignPolicy.IGNORE] == [
        settings.foreign_policy(symbol) for symbol in (BTC, ETH, "DOGEUSDT")
    ]


# Foreign money


def test_a_foreign_fill_is_booked_as_an_adjustment_once() -> None:
    """PnL less fee, without a position; balance and transfers move, no result and no limit does."""
    play = playing(ForeignPolicy.FREEZE)
    fill = play.make_foreign_fill(TradeSide.SELL, 2, 90, realized_pnl=dec(-400), fee=dec("0.5"))
    play.on(FillSeen(play.now, fill))
    reason = "fill foreign-1 is not ours: sell 2 at 90"
    expected = AdjustmentBooked(fill.key, dec("-400.5"), "USDT", BTC, play.now, "2025-01-01", "reconcile", reason)
    assert [expected] == play.recorded(AdjustmentBooked)
    ledger = play.book.ledger
    assert (dec("9599.5"), dec("9599.5"), dec(10_000)) == (ledger.balance, ledger.transfers, ledger.start_balance)
    assert (dec(0), dec(0)) == (ledger.performance, ledger.day("2025-01-01").realized)
    play.on(FillSeen(play.now, fill))
    assert () == play.last.records


def test_a_fill_of_our_order_beyond_our_position_is_named_as_such() -> None:
    """An order that only reduces has closed a stranger's coins: their money, by our order."""
    play = playing(ForeignPolicy.FLATTEN)
    play.snapshot(positions=(at_venue(4),))
    leave = play.place(Purpose.EXIT)
    play.fill(leave, 4)
    late = play.make_fill(leave, 2)
    play.fill_told(late)
    if not amounts(play):
        play.fills_read(late)
    assert [f"fill {late.trade_id} of {leave.request.client_order_id} goes beyond what is ours: sell 2 at 100"] == [
        record.reason for record in play.recorded(AdjustmentBooked)
    ]


def test_a_person_who_loses_trips_no_limit_of_ours() -> None:
    """Half of the account is gone by another hand: neither daily loss nor drawdown."""
    play = playing(ForeignPolicy.IGNORE)
    play.foreign_fill(TradeSide.SELL, 1, realized_pnl=dec(-5_000))
    judged = risk.time_limits(play.book, play.settings, (BTC,), play.now)
    assert [] == [item.limit for item in judged if item.verdict.tripped]


def test_a_fill_whose_result_the_venue_does_not_tell_costs_its_fee() -> None:
    """The rest shows up as a gap between ledger and wallet."""
    play = playing(ForeignPolicy.FREEZE)
    play.foreign_fill(TradeSide.BUY, 1, fee=dec(3))
    assert [dec(-3)] == amounts(play)


def test_funding_of_a_symbol_that_is_not_traded_is_an_adjustment() -> None:
    """Somebody else's position pays it; once. What cannot be told whose it is stays a result."""
    play = Playbook()
    income = make_income(-3, symbol="DOGEUSDT", income_id="f9")
    play.on(IncomeSeen(play.now, income))
    assert [dec(-3)] == amounts(play)
    play.on(IncomeSeen(play.now, income))
    assert () == play.last.records
    play.income(-3, symbol=ETH)
    assert [IncomeBooked] == [type(record) for record in play.last.records]


def test_a_stream_is_not_believed_about_foreign_fills_before_the_whole_story_is_read() -> None:
    """A liquidation may overtake the entry that it closes."""
    play = Playbook()
    entry = play.enter()
    gone = play.make_foreign_fill(TradeSide.SELL, 10, 60, is_liquidation=True, ts_ms=play.now + 1)
    play.on(FillSeen(play.now, gone))
    assert ([], [FetchFills()]) == (list(play.last.records), play.asked(FetchFills))
    play.fills_read(play.make_fill(entry), gone)
    assert ({}, dec(0)) == (play.book.frozen, play.position.quantity)
    assert CloseReason.LIQUIDATION is play.position.close_reason


# Our own position, reduced by others


def reduced(**changes: object) -> Playbook:
    """Ten coins with a ladder of three, four and three; a person has sold four at 101."""
    play = Playbook(make_settings(absence_is_proof=True, exits=LADDER))
    play.opened()
    play.foreign_fill(TradeSide.SELL, 4, 101, **changes)
    return play


def targets(play: Playbook) -> dict[tuple[Purpose, int], Decimal]:
    """What the live targets would still close, those to be cancelled left out."""
    rows = [row for row in play.book.orders.values() if row.is_live and not row.cancel_requested]
    wanted = (Purpose.PARTIAL, Purpose.TARGET)
    return {(row.purpose, row.leg): row.remaining for row in rows if row.purpose in wanted}


def settle(play: Playbook) -> None:
    """The venue confirms what was cancelled and what was placed."""
    play.settle_cancels()
    for row in list(play.book.orders.values()):
        if row.state is OrderState.INTENT:
            play.ack(play.place(row.purpose, row.leg))
    play.settle_cancels()


def test_a_position_that_a_person_reduced_stays_open_behind_a_smaller_stop() -> None:
    """The new stop is there before the old one goes, and comes no sooner than stops may follow each other."""
    play = reduced()
    position = play.position
    assert (PositionState.OPEN, dec(6), dec(4)) == (position.state, position.quantity, position.gross_pnl)
    assert ["BTCUSDT: a fill that is not ours of 4 at 101 reduced the position"] == play.alerts()
    play.pass_time(1_000)
    stop = play.place(Purpose.STOP).request
    assert (dec(6), dec(95)) == (stop.quantity, stop.trigger_price)
    settle(play)
    assert [dec(6)] == [stop.remaining for stop in play.stops() if stop.is_live]


def test_its_targets_are_shared_out_anew() -> None:
    """By their shares of what is left; each follows when the one it replaces has ended."""
    play = reduced()
    assert 3 == len([row for row in play.recorded(CancelIntended) if row.reason.endswith("from outside")])
    assert {} == targets(play)
    settle(play)
    ladder = {(Purpose.PARTIAL, 0): dec("1.8"), (Purpose.PARTIAL, 1): dec("2.4"), (Purpose.TARGET, 0): dec("1.8")}
    assert ladder == targets(play)
    settle(play)
    assert ladder == targets(play)


def test_a_restart_in_between_shares_them_out_alike() -> None:
    """All of it follows from rows."""
    play = reduced()
    play.settle_cancels()
    play.snapshot(open_orders=tuple(make_report(row) for row in play.book.orders.values() if row.is_live))
    assert dec(6) == sum(targets(play).values(), dec(0))


def test_a_part_that_was_taken_already_is_not_placed_again() -> None:
    """Three were closed at the first target, then four by a person: three are left to share."""
    play = Playbook(make_settings(absence_is_proof=True, exits=LADDER))
    play.opened()
    play.fill(play.place(Purpose.PARTIAL), price=105)
    play.foreign_fill(TradeSide.SELL, 4, 101)
    settle(play)
    assert {(Purpose.PARTIAL, 1): dec("2.4"), (Purpose.TARGET, 0): dec("0.6")} == targets(play)


def test_a_part_below_the_venue_s_minimum_is_left_to_the_stop() -> None:
    """No order is sent that would be refused."""
    play = Playbook(
        make_settings(absence_is_proof=True, exits=LADDER, instruments={BTC: make_instrument(min_quantity=dec(1))})
    )
    play.opened()
    play.fill(play.place(Purpose.PARTIAL), price=105)
    play.foreign_fill(TradeSide.SELL, "6.5", 101)
    settle(play)
    assert (dec("0.5"), {}) == (play.position.quantity, targets(play))


def test_a_refused_target_is_not_asked_for_again() -> None:
    """The stop holds; the venue is not asked in a loop."""
    play = reduced()
    play.settle_cancels()
    refused = play.place(Purpose.TARGET)
    play.reject(refused)
    assert [] == [row for row in play.recorded(OrderIntended) if row.order.purpose is Purpose.TARGET]
    assert (Purpose.TARGET, 0) not in targets(play)


def test_what_is_left_can_be_closed_from_outside_as_well() -> None:
    """Then it was an external close, whole."""
    play = reduced()
    play.foreign_fill(TradeSide.SELL, 6, 102)
    assert (PositionState.CLOSING, CloseReason.EXTERNAL) == (play.position.state, play.position.close_reason)
    settle(play)
    assert (PositionState.CLOSED, dec(16)) == (play.position.state, play.position.net_pnl)


@pytest.mark.parametrize(
    ("flags", "word", "reason"),
    [
        ({"is_liquidation": True}, "liquidation", CloseReason.LIQUIDATION),
        ({"is_adl": True}, "auto-deleveraging", CloseReason.ADL),
        ({"client_order_id": emergency_order_id(T0, 1)}, "the emergency close", CloseReason.EXTERNAL),
    ],
)
def test_who_closed_it_is_told_apart(flags: dict[str, object], word: str, reason: CloseReason) -> None:
    """A part leaves the rest open behind a stop that fits; the last part names the reason."""
    play = Playbook(make_settings(absence_is_proof=True))
    play.opened()
    play.foreign_fill(TradeSide.SELL, 4, 90, **flags)
    assert PositionState.OPEN is play.position.state
    assert f"BTCUSDT: {word} of 4 at 90 reduced the position" == play.alerts()[0]
    play.pass_time(1_000)
    assert dec(6) == play.place(Purpose.STOP).request.quantity
    play.foreign_fill(TradeSide.SELL, 6, 90, **flags)
    assert (PositionState.CLOSING, reason) == (play.position.state, play.position.close_reason)


@pytest.mark.parametrize(
    ("name", "level"), [(emergency_order_id(T0, 1), Level.NO_ENTRY), ("web1", Level.RUN)], ids=["emergency", "by hand"]
)
def test_an_emergency_close_that_is_seen_ends_entries(name: str, level: Level) -> None:
    """Somebody has closed everything past the engine: buying it back would undo that. A person's order does not."""
    play = Playbook(make_settings(absence_is_proof=True))
    play.opened()
    play.foreign_fill(TradeSide.SELL, 4, 90, client_order_id=name)
    assert level is play.book.control.level
    play.foreign_fill(TradeSide.SELL, 2, 90, client_order_id=name)
    raised = [text for text in play.alerts() if "kill switch" in text]
    assert [] == raised, "it is told once"


# freeze


def test_a_frozen_symbol_s_stranger_counts_as_exposure_too() -> None:
    """No entries there, and less room elsewhere."""
    play = playing(ForeignPolicy.FREEZE)
    play.snapshot(positions=(at_venue(3),))
    assert [SymbolFrozen(BTC, "venue holds 3, we hold 0")] == play.recorded(SymbolFrozen)
    assert {BTC: holding(3)} == dict(play.state.market.foreign)
    play.snapshot(positions=(at_venue(3, mark=110),))
    assert ((), dec(110)) == (play.last.records, play.state.market.foreign[BTC].price)
    play.snapshot(positions=())
    assert {} == play.state.market.foreign


def test_what_is_missing_of_ours_is_no_exposure_of_others() -> None:
    """Frozen, and not counted twice."""
    play = playing(ForeignPolicy.FREEZE)
    play.opened()
    play.snapshot(positions=(at_venue(6),))
    assert ([BTC], {}) == (list(play.book.frozen), play.state.market.foreign)


# ignore


def test_an_ignored_position_freezes_nothing_and_is_told_once() -> None:
    """Remembered with its price; a change is told again, its end as well."""
    play = playing(ForeignPolicy.IGNORE)
    play.snapshot(positions=(at_venue(3),))
    assert [DifferenceFound("position", BTC, "0", "3", "ignored: counted as exposure")] == play.recorded(
        DifferenceFound
    )
    assert ["BTCUSDT: 3 at the venue is not ours; it is left alone and counted as exposure"] == play.alerts()
    assert ({}, {BTC: holding(3)}) == (play.book.frozen, play.state.market.foreign)
    play.snapshot(positions=(at_venue(3),))
    assert () == play.last.records
    play.snapshot()
    assert (["BTCUSDT: all at the venue is ours"], {}) == (play.alerts(), play.state.market.foreign)


def test_our_own_position_goes_on_beside_an_ignored_one() -> None:
    """The net is the sum of both: entry, stop and books are ours alone."""
    play = playing(ForeignPolicy.IGNORE)
    play.snapshot(positions=(at_venue(3),))
    position = play.opened()
    assert (PositionState.OPEN, dec(10)) == (position.state, position.quantity)
    live = tuple(make_report(row) for row in play.book.orders.values() if row.is_live)
    play.snapshot(positions=(at_venue(13),), open_orders=live)
    assert ((), {}) == (play.last.records, play.book.frozen)


def test_the_venue_s_pnl_of_a_mixed_position_is_split() -> None:
    """Our arithmetic is our result, the rest belongs to whom the other coins belong; the sum is the wallet's."""
    play = playing(ForeignPolicy.IGNORE)
    play.opened()
    play.fill(play.place(Purpose.STOP), price=95, realized_pnl=dec(-40))
    (booked,) = play.recorded(FillApplied)
    assert (dec(-50), dec(-50), dec(10)) == (booked.gross, booked.own_gross, booked.adjustment)
    assert [] == play.recorded(DifferenceFound)
    ledger = play.book.ledger
    assert (dec(9_960), dec(-50), dec(10_010)) == (ledger.balance, ledger.performance, ledger.transfers)


def test_an_opening_fill_of_ours_may_close_a_stranger_s() -> None:
    """What the venue realises by it is not ours; what it does not tell is nothing."""
    play = playing(ForeignPolicy.IGNORE)
    entry = play.enter()
    play.fill(entry, 4, realized_pnl=dec(7))
    play.fill(entry, 6)
    assert (dec(7), dec(0)) == (play.book.ledger.transfers - 10_000, play.book.ledger.performance)


def test_a_foreign_fill_moves_what_is_ignored() -> None:
    """Bought two, sold three: short one."""
    play = playing(ForeignPolicy.IGNORE)
    play.foreign_fill(TradeSide.BUY, 2)
    assert [
        "BTCUSDT: a fill that is not ours (buy 2 at 100); it is left alone and counted as exposure"
    ] == play.alerts()
    play.foreign_fill(TradeSide.SELL, 2)
    assert {} == play.state.market.foreign
    play.foreign_fill(TradeSide.SELL, 1)
    assert dec(-1) == play.state.market.foreign[BTC].quantity
    play.snapshot(positions=(at_venue(-1),))
    assert () == play.last.records


def test_a_stranger_sells_their_own_coins_first() -> None:
    """Three of theirs, ten of ours, five sold: two of them were ours, and fee and PnL are split."""
    play = playing(ForeignPolicy.IGNORE)
    play.snapshot(positions=(at_venue(3),))
    play.opened()
    play.foreign_fill(TradeSide.SELL, 5, 110, fee=dec(5), realized_pnl=dec(60))
    assert (dec(8), PositionState.OPEN, {}) == (
        play.position.quantity,
        play.position.state,
        dict(play.state.market.foreign),
    )
    (ours,) = play.recorded(FillApplied)
    assert (dec(20), dec(2), dec(40), [dec(-3)]) == (ours.gross, ours.fill.fee, ours.adjustment, amounts(play))
    assert dec(10_055) == play.book.ledger.balance


def test_a_stranger_who_sells_less_than_they_hold_leaves_ours_alone() -> None:
    """And more than both hold turns them short."""
    play = playing(ForeignPolicy.IGNORE)
    play.snapshot(positions=(at_venue(3),))
    play.opened()
    play.foreign_fill(TradeSide.SELL, 2)
    assert (dec(10), dec(1)) == (play.position.quantity, play.state.market.foreign[BTC].quantity)
    play.foreign_fill(TradeSide.SELL, 15)
    assert (dec(0), dec(-4)) == (play.position.quantity, play.state.market.foreign[BTC].quantity)
    assert CloseReason.EXTERNAL is play.position.close_reason


def test_what_is_missing_of_ours_is_not_ignored() -> None:
    """A stranger's coins lie beside ours, never against them: something of ours is gone, and nobody knows how."""
    play = playing(ForeignPolicy.IGNORE)
    play.opened()
    play.snapshot(positions=(at_venue(6),))
    assert [SymbolFrozen(BTC, "venue holds 6, we hold 10")] == play.recorded(SymbolFrozen)


def test_nothing_is_entered_against_what_a_stranger_holds() -> None:
    """The two would net; on their side it may be entered."""
    play = playing(ForeignPolicy.IGNORE)
    play.snapshot(positions=(at_venue(-3),))
    play.signal()
    assert [(BTC, Fate.GATED)] == play.fates()
    assert "somebody else holds -3" in play.why()
    play.enter(Side.SHORT)


def test_strangers_count_for_leverage_number_and_margin() -> None:
    """Held or on order, traded here or not; what only reduces adds nothing."""
    play = playing(ForeignPolicy.IGNORE)
    orders = (foreign_order(), foreign_order(venue_order_id="v10", reduce_only=True))
    play.snapshot(positions=(at_venue(3), at_venue(-50, symbol="DOGEUSDT")), open_orders=orders)
    strangers = play.state.market.strangers
    assert [dec(5_000), dec(300), dec(180)] == [item.notional for item in strangers]
    found = risk.exposure(play.book, {}, strangers)
    assert (dec(5_480), dec(0), dec(2_830), 2) == (found.notional, found.risk, found.margin, found.positions)
    assert dec(7_170) == risk.available_margin(play.book, {}, strangers)
    play.snapshot(positions=(at_venue(3), at_venue(-50, symbol="DOGEUSDT")), open_orders=orders)
    assert () == play.last.records


def test_an_entry_is_refused_where_strangers_use_the_room() -> None:
    """Three positions are allowed, three symbols are held by others."""
    play = playing(ForeignPolicy.IGNORE, limits=without_limits(max_positions=3))
    others = tuple(at_venue(1, symbol=symbol) for symbol in ("DOGEUSDT", "XRPUSDT", "ADAUSDT"))
    play.snapshot(positions=others)
    play.signal()
    assert [(BTC, Fate.REFUSED)] == play.fates()
    assert "max_positions" in play.why()


# Foreign orders


def test_a_foreign_order_is_told_once_and_never_touched() -> None:
    """Under every policy but freeze it changes nothing; when it is gone it counts no more."""
    play = playing(ForeignPolicy.FLATTEN)
    play.snapshot(open_orders=(foreign_order(),))
    assert ["BTCUSDT: order v9 is not ours; it is left alone and counted as exposure"] == play.alerts()
    assert [DifferenceFound("foreign_order", BTC, "", "order v9", "left alone: counted as exposure")] == list(
        play.recorded(DifferenceFound)
    )
    assert ([], {}) == (play.asked(CancelOrder), play.book.frozen)
    play.snapshot(open_orders=(foreign_order(filled=dec(1)),))
    assert ((), dec(90)) == (play.last.records, play.state.market.strangers[0].notional)
    play.snapshot()
    assert () == play.state.market.strangers


def test_an_order_without_a_price_counts_at_the_mark() -> None:
    """Nothing where there is no mark either; its own id serves where the venue gives none."""
    play = playing(ForeignPolicy.IGNORE)
    order = foreign_order(price=None, venue_order_id="")
    play.snapshot(open_orders=(order,))
    assert (dec(0), [f"{BTC}:web_1"]) == (
        play.state.market.strangers[0].notional,
        list(play.state.market.foreign_orders),
    )
    play.close_at(50)
    play.snapshot(open_orders=(order, foreign_order(price=None, trigger_price=dec(70))))
    assert [dec(100), dec(140)] == [item.notional for item in play.state.market.strangers]


def test_an_emergency_order_of_ours_is_left_to_close_the_position() -> None:
    """It was sent without the database: no freeze, no alarm, said once."""
    play = playing(ForeignPolicy.FREEZE)
    order = foreign_order(client_order_id=emergency_order_id(T0, 1), reduce_only=True)
    play.snapshot(open_orders=(order,))
    assert ["emergency_order"] == [record.kind for record in play.recorded(DifferenceFound)]
    assert ([], {}) == (play.alerts(), play.book.frozen)
    play.snapshot(open_orders=(order,))
    assert () == play.last.records


# adopt


def test_a_position_that_nobody_owns_is_adopted_with_its_stop() -> None:
    """At the venue's entry price, without a booking; the stop counts from the mark and goes out with it."""
    play = playing(ForeignPolicy.ADOPT)
    before = play.book.ledger
    play.snapshot(positions=(at_venue(4, price="90.123", mark="100.05"),))
    position = play.position
    assert (foreign.ADOPTED, PositionState.OPEN, Side.LONG, dec(4)) == (
        position.strategy,
        position.state,
        position.side,
        position.quantity,
    )
    assert (dec("360.492"), dec("90.123"), dec(4), 0) == (
        position.cost,
        position.average_entry,
        position.adopted_quantity,
        position.fills,
    )
    assert (dec(98), None, dec(2)) == (position.stop_price, position.target_price, position.leverage)
    assert [Purpose.STOP] == play.placed()
    assert (dec(4), dec(98), True) == (
        play.place(Purpose.STOP).request.quantity,
        play.place(Purpose.STOP).request.trigger_price,
        play.place(Purpose.STOP).request.reduce_only,
    )
    kinds = [type(record) for record in play.last.records]
    assert kinds.index(PositionOpened) < kinds.index(OrderIntended)
    assert (before, {}, {}) == (play.book.ledger, play.book.frozen, play.state.market.foreign)
    assert ["BTCUSDT: long 4 from 90.123 is adopted, stop 98"] == play.alerts()
    play.snapshot(positions=(at_venue(4, price="90.123"),))
    assert [] == play.recorded(PositionOpened)


def test_an_adopted_position_ends_like_any_other() -> None:
    """Its stop closes it; the result counts from the venue's entry price."""
    play = playing(ForeignPolicy.ADOPT)
    play.snapshot(positions=(at_venue(-4),))
    assert dec(102) == play.position.stop_price
    play.ack(play.place(Purpose.STOP))
    play.fill(play.place(Purpose.STOP), price=102, realized_pnl=dec(-8))
    assert (PositionState.CLOSED, CloseReason.STOP, dec(-8)) == (
        play.position.state,
        play.position.close_reason,
        play.position.net_pnl,
    )
    assert [dec(-8)] == [trade.net for trade in play.book.ledger.closed]


def test_an_entry_price_is_no_more_exact_than_the_venue_tells_it() -> None:
    """A last digit is rounding, a cent is a difference; what was not adopted is exact."""
    adopted = make_open_position(adopted_quantity=dec(4))
    assert foreign.is_rounding(adopted, dec("-0.00000005"))
    assert not foreign.is_rounding(adopted, dec("0.00000006"))
    assert not foreign.is_rounding(make_open_position(), dec("0.00000001"))


@pytest.mark.parametrize(
    ("side", "mark", "ppm", "expected"),
    [
        (Side.LONG, "100.05", 20_000, "98"),
        (Side.SHORT, "100.05", 20_000, "102.1"),
        (Side.LONG, "100", 1, "99.9"),
        (Side.LONG, "0.1", 500_000, "0.1"),
    ],
)
def test_the_stop_of_an_adopted_position_lies_on_the_tick(side: Side, mark: str, ppm: int, expected: str) -> None:
    """A tick away at least, and never below one tick."""
    assert dec(expected) == foreign.adopted_stop(make_instrument(), side, dec(mark), ppm)


@pytest.mark.parametrize("policy", [ForeignPolicy.ADOPT, ForeignPolicy.FLATTEN])
def test_a_fill_of_a_stranger_is_looked_into_at_once(policy: ForeignPolicy) -> None:
    """The snapshot shows what it has opened."""
    play = playing(policy)
    play.foreign_fill(TradeSide.BUY, 4)
    assert [TakeSnapshot()] == play.asked(TakeSnapshot)
    word = "adopted" if policy is ForeignPolicy.ADOPT else "closed"
    assert [f"BTCUSDT: a fill that is not ours (buy 4 at 100); what it opened will be {word}"] == play.alerts()
    play.snapshot(positions=(at_venue(4),))
    assert dec(4) == play.position.adopted_quantity


@pytest.mark.parametrize("policy", [ForeignPolicy.ADOPT, ForeignPolicy.FLATTEN])
def test_over_a_wire_a_position_is_believed_at_the_second_look(policy: ForeignPolicy) -> None:
    """Fills may lag behind positions."""
    play = playing(policy, absence_is_proof=False)
    play.snapshot(positions=(at_venue(4),))
    assert ({}, True) == (play.book.positions, BTC in play.state.market.doubts)
    play.wait(2_000)
    play.snapshot(positions=(at_venue(4),))
    assert dec(4) == play.position.adopted_quantity


@pytest.mark.parametrize("policy", [ForeignPolicy.ADOPT, ForeignPolicy.FLATTEN])
def test_coins_beside_a_position_of_ours_freeze_the_symbol(policy: ForeignPolicy) -> None:
    """One position a symbol: they are taken up when ours is closed."""
    play = playing(policy)
    play.opened()
    play.snapshot(positions=(at_venue(12),))
    assert [SymbolFrozen(BTC, "venue holds 12, we hold 10")] == play.recorded(SymbolFrozen)
    play.fill(play.place(Purpose.STOP), price=95)
    play.settle_cancels()
    play.snapshot(positions=(at_venue(2),))
    assert dec(2) == play.position.adopted_quantity


@pytest.mark.parametrize("policy", [ForeignPolicy.ADOPT, ForeignPolicy.FLATTEN])
def test_a_locked_engine_takes_nothing_over(policy: ForeignPolicy) -> None:
    """After a restored backup everything looks foreign: only a person can judge."""
    play = playing(policy)
    play.stop_file(Level.LOCKED)
    play.snapshot(positions=(at_venue(4),))
    assert ({}, [BTC]) == (play.book.positions, list(play.book.frozen))


def test_at_flatten_an_adopted_position_is_closed_at_once() -> None:
    """It is ours now, and nothing of ours stays."""
    play = playing(ForeignPolicy.ADOPT)
    play.stop_file(Level.FLATTEN)
    play.snapshot(positions=(at_venue(4),))
    assert (PositionState.CLOSING, CloseReason.KILL_SWITCH) == (play.position.state, play.position.close_reason)
    assert [Purpose.STOP, Purpose.EXIT] == play.placed()


# flatten


def test_a_foreign_position_is_closed_through_a_row_of_ours() -> None:
    """Reduce-only, at the market, under one of our ids whose row is written first."""
    play = playing(ForeignPolicy.FLATTEN)
    play.snapshot(positions=(at_venue(4, price=90),))
    position = play.position
    assert (foreign.FOREIGN, foreign.FOREIGN, PositionState.CLOSING, dec(4)) == (
        position.strategy,
        position.residual_of,
        position.state,
        position.quantity,
    )
    assert [Purpose.EXIT] == play.placed()
    request = play.place(Purpose.EXIT).request
    assert (TradeSide.SELL, dec(4), True) == (request.side, request.quantity, request.reduce_only)
    assert ["BTCUSDT: long 4 that is not ours is closed at the market"] == play.alerts()


def test_what_a_foreign_position_had_made_is_not_our_result() -> None:
    """It counts from the mark at which we took it: slippage is ours, the rest is an adjustment."""
    play = playing(ForeignPolicy.FLATTEN)
    play.snapshot(positions=(at_venue(4, price=90),))
    play.fill(play.place(Purpose.EXIT), price=99, realized_pnl=dec(36), fee=dec(1))
    assert (PositionState.CLOSED, dec(-5)) == (play.position.state, play.position.net_pnl)
    ledger = play.book.ledger
    assert (dec(10_035), dec(-5)) == (ledger.balance, ledger.performance)


def test_a_person_may_close_it_meanwhile() -> None:
    """Then nothing is left for our order."""
    play = playing(ForeignPolicy.FLATTEN)
    play.snapshot(positions=(at_venue(4),))
    leave: Order = play.order(play.place(Purpose.EXIT))
    play.foreign_fill(TradeSide.SELL, 4)
    assert dec(0) == play.position.quantity
    play.settle_cancels()
    assert (PositionState.CLOSED, {}) == (play.positions[leave.position_id].state, play.book.positions)


def test_a_fill_is_told_by_its_words() -> None:
    """A stranger's fill that closes ours in part and theirs in part is two bookings with two keys."""
    play = playing(ForeignPolicy.IGNORE)
    play.snapshot(positions=(at_venue(1),))
    play.opened()
    fill: Fill = play.make_foreign_fill(TradeSide.SELL, 3)
    play.on(FillSeen(play.now, fill))
    keys = [record.fill.key for record in play.recorded(FillApplied)] + [r.key for r in play.recorded(AdjustmentBooked)]
    assert [fill.key, f"{fill.key}+"] == keys
    play.on(FillSeen(play.now, fill))
    assert () == play.last.records


def test_the_view_keeps_nothing_of_a_symbol_that_agrees_again() -> None:
    """Under a policy that does not ignore, only a standing difference counts."""
    play = playing(ForeignPolicy.FREEZE)
    play.snapshot(positions=(at_venue(3), held_at_venue(make_open_position(symbol=ETH, quantity=dec(1)))))
    assert {BTC, ETH} == set(play.state.market.foreign)
    play.snapshot(positions=(at_venue(3),))
    assert {BTC} == set(play.state.market.foreign)
    assert [] == play.asked(PlaceOrder)


@pytest.mark.parametrize(("policy", "value"), [(ForeignPolicy.ADOPT, dec(550)), (ForeignPolicy.FLATTEN, dec(580))])
def test_an_order_of_theirs_that_fills_in_parts_is_taken_over_whole(policy: ForeignPolicy, value: Decimal) -> None:
    """What comes later joins what was taken over, at the venue's price of the whole or at the mark."""
    play = playing(policy)
    play.snapshot(positions=(at_venue(3, price=100),))
    for placed in play.asked(PlaceOrder):
        play.ack(placed)
    play.snapshot(positions=(at_venue(5, price=110, mark=140),))
    assert [PositionGrown("P000001", dec(2), value - 300)] == play.recorded(PositionGrown)
    position = play.position
    assert (dec(5), dec(5), dec(5), value) == (
        position.quantity,
        position.entry_quantity,
        position.adopted_quantity,
        position.cost,
    )
    assert ["BTCUSDT: 2 more at the venue are taken over as well"] == play.alerts()
    assert {} == play.book.frozen
    play.snapshot(positions=(at_venue(4, price=110),))
    assert [BTC] == list(play.book.frozen)


def test_a_late_fill_of_an_exit_closes_what_is_there_now() -> None:
    """It only reduces: the position that followed is smaller by it, and no other is opened."""
    play = Playbook(make_settings(absence_is_proof=True, limits=without_limits()))
    play.stopped_out()
    late = play.make_fill(play.place(Purpose.STOP), 3, 94)
    play.opened()
    play.on(FillSeen(play.now, late))
    assert (dec("6.95"), PositionState.OPEN, "P000002") == (
        play.position.quantity,
        play.position.state,
        play.position.position_id,
    )
    assert ["BTCUSDT: a late fill of an order of ours of 3 at 94 reduced the position"] == play.alerts()


def test_an_opening_that_the_venue_pays_for_has_closed_a_stranger_s_coins() -> None:
    """Under every policy: ledger and wallet agree, and it is no result of ours."""
    play = playing(ForeignPolicy.FREEZE)
    play.fill(play.enter(), realized_pnl=dec(7))
    assert [dec(7)] == [record.adjustment for record in play.recorded(FillApplied)]
    assert (dec(10_007), dec(0)) == (play.book.ledger.balance, play.book.ledger.performance)


@pytest.mark.parametrize(("held", "expected"), [(12, OrderState.VOID), (8, OrderState.UNKNOWN)])
def test_strangers_coins_do_not_keep_an_order_in_doubt_for_ever(held: int, expected: OrderState) -> None:
    """A stop that is nowhere is concluded beside more coins; fewer could be its own doing."""
    play = Playbook()
    entry = play.enter()
    play.ack(entry)
    play.fill(entry)
    stop = play.place(Purpose.STOP)
    play.doubt(stop)
    play.wait(30_000)
    play.absent(stop, positions=(at_venue(held),))
    assert expected is play.order(stop).state


def test_an_entry_in_doubt_and_strangers_coins_do_not_wait_for_each_other_for_ever() -> None:
    """The coins could be its doing, and are not believed while it is in doubt: after a minute they are not its."""
    play = Playbook(make_settings(foreign=ForeignSettings(default=ForeignPolicy.IGNORE)))
    entry = play.enter()
    play.doubt(entry)
    play.wait(30_000)
    play.absent(entry, positions=(at_venue(3),))
    play.wait(59_999)
    play.absent(entry, positions=(at_venue(3),))
    assert OrderState.UNKNOWN is play.order(entry).state
    play.wait(1)
    play.absent(entry, positions=(at_venue(3),))
    assert (OrderState.VOID, PositionState.CLOSED) == (play.order(entry).state, play.position.state)
    assert dec(3) == play.state.market.foreign[BTC].quantity
