"""Verdicts from rows: streaks, days, exposure, approvals."""

from dataclasses import replace

import pytest
from builders import (
    BTC,
    ETH,
    T0,
    Playbook,
    dec,
    make_book,
    make_instrument,
    make_open_position,
    make_order,
    make_position,
    make_settings,
    make_stop,
    without_limits,
)

from trading_engine.core import risk
from trading_engine.core.risk import Approved, Judged, Proposal
from trading_engine.core.settings import GroupLimit, LimitSettings
from trading_engine.core.state import ClosedTrade, DayFigures, ForeignHolding, Ledger
from trading_engine.domain.fills import PnlKind
from trading_engine.domain.market import Side
from trading_engine.domain.orders import OrderState
from trading_engine.domain.time import DAY_MS, HOUR_MS
from trading_engine.rules.limits import Verdict


def trades(*nets: int) -> tuple[ClosedTrade, ...]:
    return tuple(ClosedTrade(f"P{n:06d}", BTC, "trend", dec(net), T0 + n) for n, net in enumerate(nets, start=1))


def by_name(judged: list[Judged]) -> dict[str, Judged]:
    return {item.limit: item for item in judged}


@pytest.mark.parametrize(
    ("nets", "count", "tripped_by"),
    [
        ((), 0, None),
        ((-1, -1), 2, None),
        ((-1, -1, -1), 0, "P000003"),
        ((-1, -1, -1, -1), 1, "P000003"),
        ((-1, -1, 5, -1), 1, None),
        ((-1, 0, -1), 2, None),
        ((-1, -1, -1, 5, -1, -1, -1), 0, "P000007"),
    ],
)
def test_losses_in_a_row_are_counted_anew_after_three(
    nets: tuple[int, ...], count: int, tripped_by: str | None
) -> None:
    """A win starts anew as well; a result of zero changes nothing."""
    counted, last = risk.streak_of(trades(*nets), 0, 3)
    assert (count, tripped_by) == (counted, last.position_id if last else None)


def test_losses_before_a_resume_do_not_count() -> None:
    """The rebase is the new beginning."""
    assert (1, None) == risk.streak_of(trades(-1, -1, -1), T0 + 2, 3)


def test_a_streak_limit_of_zero_never_trips() -> None:
    """Off."""
    assert (4, None) == risk.streak_of(trades(-1, -1, -1, -1), 0, 0)


def test_the_streak_shows_what_tripped_it_and_how_far_the_next_one_is() -> None:
    """While paused the full count; afterwards the new one."""
    settings = make_settings()
    book = make_book(ledger=Ledger(balance=dec(9_000), start_balance=dec(10_000), closed=trades(-1, -1, -1, -1)))
    now_ms = T0 + 10
    streak = by_name(risk.time_limits(book, settings, (), now_ms))["losing_streak"]
    assert Verdict(True, 3, 3, T0 + 3 + 12 * HOUR_MS) == streak.verdict
    assert (("losses_in_row", "1"), ("tripped_by", "P000003")) == streak.computed_from
    later = by_name(risk.time_limits(book, settings, (), now_ms + 12 * HOUR_MS))["losing_streak"]
    assert Verdict(False, 1, 3, 0) == later.verdict


def test_a_trading_day_has_the_boundary_of_the_settings() -> None:
    """A loss at 01:00 belongs to the day before where the day begins at 02:00."""
    limits = without_limits(daily_loss_ppm=50_000, day_start_ms=2 * HOUR_MS)
    book = make_book(
        ledger=Ledger(
            balance=dec(9_400), start_balance=dec(10_000), days=(DayFigures("2024-12-31", realized=dec(-600)),)
        )
    )
    before = by_name(risk.time_limits(book, make_settings(limits=limits), (), T0 + HOUR_MS))["daily_loss"]
    assert Verdict(True, 600 * 10**8, 500 * 10**8, T0 + 2 * HOUR_MS) == before.verdict
    assert (("day", "2024-12-31"), ("realized", "-600"), ("balance_at_day_start", "10000")) == before.computed_from
    after = by_name(risk.time_limits(book, make_settings(limits=limits), (), T0 + 2 * HOUR_MS))["daily_loss"]
    assert Verdict(False, 0, 470 * 10**8, 0) == after.verdict


def test_a_daily_loss_may_be_an_amount_of_money() -> None:
    """The tighter of the two."""
    play = Playbook(make_settings(limits=LimitSettings(daily_loss_money_e8=100 * 10**8)))
    play.income(-100)
    daily = by_name(risk.time_limits(play.book, play.settings, (), play.now))["daily_loss"]
    assert "daily_loss: 100 of 100" == daily.reason


def test_the_drawdown_counts_from_the_peak_without_deposits() -> None:
    """Up 500, a deposit of 5,000, down 800: 800 below a peak of 10,500."""
    play = Playbook(make_settings(limits=without_limits(drawdown_ppm=100_000)))
    play.income(500)
    play.income(5_000, PnlKind.TRANSFER)
    play.income(-800)
    drawdown = by_name(risk.time_limits(play.book, play.settings, (), play.now))["drawdown"]
    assert (("realized_equity", "9700"), ("peak", "10500")) == drawdown.computed_from
    assert "drawdown: 800 of 1050" == drawdown.reason


@pytest.mark.parametrize(("days", "peak"), [(0, "10500"), (1, "9700"), (2, "9700"), (3, "10500")])
def test_the_peak_may_count_for_some_days_only(days: int, peak: str) -> None:
    """Up 500 and down 800 the day before yesterday, nothing yesterday, a loss today: the day begins at 9,700."""
    play = Playbook(make_settings(limits=without_limits(drawdown_ppm=500_000, drawdown_days=days)))
    play.income(500)
    play.income(-800)
    play.wait(2 * DAY_MS)
    play.income(-100)
    drawdown = by_name(risk.time_limits(play.book, play.settings, (), play.now))["drawdown"]
    shown = dict(drawdown.computed_from)
    assert ("9600", peak, str(days) if days else None) == (
        shown["realized_equity"],
        shown["peak"],
        shown.get("days"),
    )


def test_a_resume_forgets_the_highs_of_before() -> None:
    """The peak of the last days is what performance is then."""
    play = Playbook(make_settings(limits=without_limits(drawdown_ppm=500_000, drawdown_days=5)))
    play.income(500)
    play.income(-800)
    play.stop_file()
    play.resume()
    play.income(-100)
    drawdown = by_name(risk.time_limits(play.book, play.settings, (), play.now))["drawdown"]
    assert "9700" == dict(drawdown.computed_from)["peak"]


def test_the_cooldown_looks_at_the_last_loss_since_the_resume() -> None:
    """Older ones were forgiven."""
    ledger = Ledger(balance=dec(9_000), start_balance=dec(10_000), closed=trades(-1, -1, 5), rebased_ms=T0 + 1)
    settings = make_settings()
    cooldown = by_name(risk.time_limits(make_book(ledger=ledger), settings, (), T0 + 10))["cooldown"]
    assert (("last_loss_ms", str(T0 + 2)),) == cooldown.computed_from
    forgiven = Ledger(balance=dec(9_000), start_balance=dec(10_000), closed=trades(-1, -1, 5), rebased_ms=T0 + 2)
    cooldown = by_name(risk.time_limits(make_book(ledger=forgiven), settings, (), T0 + 10))["cooldown"]
    assert not cooldown.verdict.tripped


def test_pending_and_unknown_entries_count_as_filled() -> None:
    """Four filled, six to come."""
    entry = make_order(state=OrderState.UNKNOWN, filled=dec(4))
    position = make_open_position(quantity=dec(4), cost=dec(400), entry_quantity=dec(4), entry_value=dec(400))
    book = make_book(entry, make_stop(), position=position)
    assert dec(10) == risk.exposed_quantity(book, position)
    dead = make_order(state=OrderState.CANCELED, filled=dec(4))
    assert dec(4) == risk.exposed_quantity(make_book(dead, position=position), position)


def test_exposure_adds_up_over_positions() -> None:
    """One open with a mark, one pending at its reference price, on double leverage."""
    held = make_open_position(leverage=dec(2))
    pending = make_position(position_id="P000002", number=2, symbol=ETH, side=Side.SHORT, stop_price=dec(105))
    entry = make_order(client_order_id="tetest000002e00001", position_id="P000002", symbol=ETH)
    book = make_book(entry, positions=[held, pending], ledger=Ledger(balance=dec(10_000)))
    assert risk.Exposure(dec(2_020), dec(100), dec(1_500), 2) == risk.exposure(book, {BTC: dec(102)})


def test_a_stop_beyond_the_entry_is_no_negative_risk() -> None:
    """Locked-in profit does not make room for more."""
    book = make_book(position=make_open_position(stop_price=dec(103)))
    assert dec(0) == risk.exposure(book, {}).risk


def test_open_profit_is_not_spent_but_open_loss_is_missing() -> None:
    """10,000 less a margin of 1,000, and less 20 where the position has lost that."""
    book = make_book(position=make_open_position(), ledger=Ledger(balance=dec(10_000)))
    assert dec(9_000) == risk.available_margin(book, {BTC: dec(102)})
    assert dec(8_980) == risk.available_margin(book, {BTC: dec(98)})
    assert dec(0) == risk.unrealized(book, {})


@pytest.mark.parametrize(
    ("side", "leverage", "price"),
    [(Side.LONG, 10, "90.5"), (Side.SHORT, 10, "109.4"), (Side.LONG, 1, None), (Side.SHORT, 1, "199.0")],
)
def test_the_price_of_liquidation_is_rounded_towards_the_entry(side: Side, leverage: int, price: str | None) -> None:
    """At 100 with a maintenance of 0.5 %; a long on its own money cannot be liquidated."""
    position = make_open_position(side=side, leverage=dec(leverage))
    expected = None if price is None else dec(price)
    assert expected == risk.liquidation_price(position, make_instrument())


def test_a_position_without_size_has_no_liquidation() -> None:
    """Nothing to take over."""
    assert risk.liquidation_price(make_position(), make_instrument()) is None


def test_limits_without_a_proposal_show_what_is_used() -> None:
    """The lines of `risk`: no position size and no margin to judge."""
    book = make_book(position=make_open_position(), ledger=Ledger(balance=dec(10_000)))
    judged = by_name(risk.exposure_limits(book, {BTC: dec(102)}, make_settings(), None))
    assert ["portfolio_risk", "max_positions", "leverage"] == list(judged)
    assert "portfolio_risk: 50 of 501" == judged["portfolio_risk"].reason
    assert "max_positions: 1 of 3" == judged["max_positions"].reason
    assert "leverage: 0.102 of 5" == judged["leverage"].reason


def test_what_a_group_is_worth_is_bounded_and_the_tightest_is_named() -> None:
    """1,020 of Bitcoin and 500 of a stranger's Ether; a third group is none of the proposal's business."""
    book = make_book(position=make_open_position(), ledger=Ledger(balance=dec(10_000)))
    groups = (
        GroupLimit("wide", frozenset({BTC, ETH}), 300_000),
        GroupLimit("ether", frozenset({ETH}), 60_000),
        GroupLimit("bitcoin", frozenset({BTC}), 1),
    )
    settings = make_settings(limits=without_limits(groups=groups))
    strangers = (ForeignHolding(ETH, dec(5), dec(100), dec(1)),)
    shown = {
        item.scope: item.show(item.verdict.value)
        for item in risk.exposure_limits(book, {BTC: dec(102)}, settings, None, strangers)
    }
    assert ["1520", "500", "1020"] == [shown[name] for name in ("wide", "ether", "bitcoin")]
    proposal = Proposal(ETH, dec(1), dec(150), dec(145))
    refused = risk.approve_entry(book, {BTC: dec(102)}, settings, proposal, "id", strangers)
    assert isinstance(refused, Judged)
    assert "group_exposure on ether: 650 of 601.2" == refused.reason
    assert (("symbols", ETH), ("notional", "500")) == refused.computed_from
    both = replace(settings, limits=without_limits(groups=(replace(groups[0], share_ppm=60_000), groups[1])))
    refused = risk.approve_entry(book, {BTC: dec(102)}, both, proposal, "id", strangers)
    assert isinstance(refused, Judged)
    assert "wide" == refused.scope


def test_margin_is_checked_although_sizing_has_seen_to_it() -> None:
    """The last line of defence names required and available."""
    book = make_book(ledger=Ledger(balance=dec(100)))
    proposal = Proposal(BTC, dec(10), dec(100), dec(95))
    settings = make_settings(limits=without_limits())
    verdict = risk.approve_entry(book, {}, settings, proposal, "id")
    assert isinstance(verdict, Judged)
    assert "margin: 1001.2 of 100" == verdict.reason


def test_an_entry_within_every_limit_is_approved_by_name() -> None:
    """The approval is for this order only."""
    book = make_book(ledger=Ledger(balance=dec(10_000), start_balance=dec(10_000)))
    proposal = Proposal(BTC, dec(10), dec(100), dec(95))
    assert Approved("id", "within every limit") == risk.approve_entry(book, {}, make_settings(), proposal, "id")


def test_only_what_reduces_is_approved_without_a_limit() -> None:
    """An entry must not slip through the door for stops."""
    assert Approved("tetest000001s00001", "reduces exposure") == risk.approve_protective(make_stop())
    with pytest.raises(ValueError, match="tetest000001e00001 is not reduce-only"):
        risk.approve_protective(make_order())


def test_a_row_keeps_its_approval() -> None:
    """Sending it again is not a new decision."""
    assert Approved("tetest000001e00001", "approved when intended") == risk.approve_again(make_order())


def test_a_restart_changes_no_verdict() -> None:
    """The same rows in a new state give the same verdicts."""
    play = Playbook()
    play.stopped_out()
    again = Playbook(play.settings, is_synced=False)
    judged = risk.time_limits(play.book, play.settings, (BTC,), play.now + DAY_MS)
    again.state = play.state
    assert judged == risk.time_limits(again.book, again.settings, (BTC,), play.now + DAY_MS)
