"""What a person is told of trades, days and strategies: slippage, parts, stuck positions, summaries, degradation."""

from dataclasses import replace
from decimal import Decimal

import pytest
from builders import BTC, T0, Playbook, dec, make_order, make_position, make_settings, make_stop, without_limits

from trading_engine.core.settings import ExitPlan, ExitSettings, Expected, PartialStep, SizingSettings, TellSettings
from trading_engine.core.slippage import cost_ppm, meant_price
from trading_engine.domain.control import Level
from trading_engine.domain.events import RunBegan
from trading_engine.domain.ids import Purpose
from trading_engine.domain.lifecycle import PositionState
from trading_engine.domain.market import Side
from trading_engine.domain.order_type import OrderType
from trading_engine.domain.orders import OrderState, TradeSide
from trading_engine.domain.records import AlertRaised
from trading_engine.domain.severity import Severity
from trading_engine.domain.time import DAY_MS, HOUR_MS, MINUTE_MS


def told(play: Playbook, kind: str) -> list[tuple[Severity, str]]:
    return [(item.severity, item.text) for item in play.recorded(AlertRaised) if item.key.startswith(kind)]


# ── runs ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("is_held", "severity"), [(False, Severity.WARNING), (True, Severity.CRITICAL)])
def test_a_run_that_ended_without_a_word_is_told_by_the_next(is_held: bool, severity: Severity) -> None:
    """With what it left."""
    play = Playbook()
    if is_held:
        play.opened()
    play.on(RunBegan(play.now, "run-2", "1", "live", "hash", crashed_ms=T0))
    ((found, text),) = told(play, "run:crashed")
    assert severity is found
    assert ("it left BTCUSDT long" if is_held else "it was flat") in text


def test_an_order_that_vanished_at_the_venue_is_told() -> None:
    """It was acknowledged and is not known any more."""
    play = Playbook()
    play.opened()
    stop = play.place(Purpose.STOP)
    play.wait(DAY_MS)
    play.absent(stop)
    assert Severity.WARNING is told(play, "gone")[0][0]


# ── slippage ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("price", "count"), [("100.5", 0), ("100.6", 1), ("99", 0)])
def test_an_entry_that_fills_much_worse_than_its_signal_is_told(price: str, count: int) -> None:
    """Half a percent is the limit; better is never told."""
    play = Playbook()
    entry = play.enter()
    play.ack(entry)
    play.fill(entry, price=price)
    assert count == len(told(play, "slippage"))


def test_a_stop_is_measured_against_its_trigger() -> None:
    """A gap through the stop."""
    play = Playbook()
    play.opened()
    play.fill(play.place(Purpose.STOP), price=90)
    ((severity, text),) = told(play, "slippage")
    assert Severity.WARNING is severity
    assert "stop of P000001 filled at 90, 5.26 % worse than 95" in text


def test_slippage_may_be_switched_off() -> None:
    """Then nothing is abnormal."""
    play = Playbook(make_settings(tell=TellSettings(slippage_ppm=0)))
    entry = play.enter()
    play.fill(entry, price=110)
    assert [] == told(play, "slippage")


def test_what_a_fill_is_measured_against() -> None:
    """Entries the signal's close, stops their trigger; a later rung, a target and an exit nothing."""
    position = make_position()
    limit = make_stop(purpose=Purpose.TARGET, type=OrderType.LIMIT, price=dec(115), trigger_price=None)
    assert [dec(100), None, dec(95), None] == [
        meant_price(position, order) for order in (make_order(), make_order(generation=2), make_stop(), limit)
    ]


@pytest.mark.parametrize(("side", "cost"), [(TradeSide.BUY, 10_000), (TradeSide.SELL, -10_000)])
def test_a_higher_price_costs_a_buyer_and_serves_a_seller(side: TradeSide, cost: int) -> None:
    """In parts per million."""
    assert cost == cost_ppm(dec(100), dec(101), side)


# ── parts of a profit ───────────────────────────────────────────────────────


def test_a_part_of_the_profit_is_told_once_it_is_taken_whole() -> None:
    """With what the position has made so far, and what is left."""
    plans = {"trend": ExitPlan(partials=(PartialStep(2_000, 300_000),))}
    play = Playbook(make_settings(exits=ExitSettings(plans=plans)))
    play.opened()
    part = play.place(Purpose.PARTIAL)
    play.fill(part, 1, 110)
    assert [] == told(play, "partial")
    play.fill(part, 2, 110)
    assert [
        (
            Severity.INFO,
            "BTCUSDT long: 3 closed for a part of the profit, +30.00 USDT, +0.60 R so far; 7 left, stop 95",
        )
    ] == told(play, "partial")


def test_a_part_without_risk_has_no_r() -> None:
    """A position that filled at its stop price has no R to count in."""
    plans = {"trend": ExitPlan(partials=(PartialStep(2_000, 300_000),))}
    play = Playbook(make_settings(exits=ExitSettings(plans=plans)))
    play.opened()
    part = play.place(Purpose.PARTIAL)
    at_stop = replace(play.position, initial_stop=dec(100))
    play.state = replace(play.state, book=replace(play.book, positions={at_stop.position_id: at_stop}))
    play.fill(part, 3, 110)
    assert "R so far" not in told(play, "partial")[0][1]


# ── stuck ───────────────────────────────────────────────────────────────────


def test_a_position_that_has_been_closing_for_five_minutes_is_told_once() -> None:
    """Counted from its first exit; forgotten when it is gone."""
    play = Playbook()
    play.opened()
    play.stop_file(Level.FLATTEN)
    for _ in range(4):
        play.close_at(100)
        assert [] == told(play, "stuck")
    play.close_at(100)
    ((severity, text),) = told(play, "stuck")
    play.close_at(100)
    assert [] == told(play, "stuck")
    assert Severity.CRITICAL is severity
    assert "P000001 is stuck: closing since 5 min, 10 open" in text
    play.fill(play.place(Purpose.EXIT), price=100)
    play.settle_cancels()
    play.close_at(100)
    assert frozenset() == play.state.market.stuck


def test_an_entry_that_neither_fills_nor_ends_is_told() -> None:
    """Five minutes after its deadline."""
    play = Playbook()
    play.enter()
    play.wait(5 * MINUTE_MS)
    play.close_at(100)
    assert "its entry has neither filled nor ended" in told(play, "stuck")[0][1]


def test_a_target_that_has_begun_is_not_stuck() -> None:
    """The position is open; and where it is switched off nothing is told at all."""
    play = Playbook(make_settings(tell=TellSettings(stuck_ms=0)))
    play.enter()
    play.wait(HOUR_MS)
    play.close_at(100)
    assert [] == told(play, "stuck")
    waiting = Playbook()
    waiting.opened()
    waiting.fill(waiting.place(Purpose.TARGET), 3, 115)
    assert PositionState.OPEN is waiting.position.state
    waiting.wait(HOUR_MS)
    waiting.close_at(114)
    assert [] == told(waiting, "stuck")


# ── summaries ───────────────────────────────────────────────────────────────


def test_a_day_is_summed_up_when_it_has_ended() -> None:
    """Result, trades, costs, and where the account stands."""
    play = Playbook(make_settings(tell=TellSettings(daily=True)))
    play.stopped_out()
    play.wait(DAY_MS)
    play.close_at(100)
    assert [
        (
            Severity.INFO,
            "2025-01-01: -50.00 USDT (-0.50 %), 1 trade, 0 won, fees 0.00, funding +0.00; balance 9950.00, flat,"
            " drawdown 0.50 %",
        )
    ] == told(play, "summary:day")


def test_a_summary_names_open_positions_and_a_raised_kill_switch() -> None:
    """They are what a person has to know first."""
    play = Playbook(make_settings(tell=TellSettings(daily=True)))
    play.opened()
    play.stop_file()
    play.wait(DAY_MS)
    play.close_at(101)
    ((_, text),) = told(play, "summary:day")
    assert "0 trades, 0 won" in text
    assert text.endswith("open +10.00 (BTCUSDT long), drawdown 0.00 %, kill switch at NO_ENTRY: STOP file")


def test_hours_are_told_where_they_are_wanted() -> None:
    """Off unless asked for."""
    for hourly, count in ((False, 0), (True, 1)):
        play = Playbook(make_settings(tell=TellSettings(hourly=hourly)))
        play.close_at(100)
        play.wait(HOUR_MS)
        play.close_at(100)
        assert count == len(told(play, "summary:hour"))


def test_an_empty_account_has_no_percent() -> None:
    """Nothing to divide by."""
    play = Playbook(make_settings(tell=TellSettings(daily=True)), balance=0)
    play.income(1, symbol=BTC)
    play.close_at(100)
    play.wait(DAY_MS)
    play.close_at(100)
    ((_, text),) = told(play, "summary:day")
    assert text.startswith("2025-01-01: +1.00 USDT, 0 trades")


# ── degradation ─────────────────────────────────────────────────────────────


def _trades(play: Playbook, outcomes: str) -> list[str]:
    """Win 15 or lose 5 a coin, one after the other; what was told of the strategy."""
    seen: list[str] = []
    for outcome in outcomes:
        play.opened(Side.LONG)
        won = outcome == "w"
        play.fill(play.place(Purpose.TARGET if won else Purpose.STOP), price=115 if won else 95)
        seen += [text for _, text in told(play, "degraded")]
        play.settle_cancels()
        seen += [text for _, text in told(play, "degraded")]
        play.wait(MINUTE_MS)
    return seen


def _compared(expected: Expected, least: int = 4) -> Playbook:
    tell = TellSettings(least_trades=least, expected={"trend": expected}, slippage_ppm=0)
    sizing = SizingSettings(cap_money_e8=1_000 * 10**8)
    return Playbook(make_settings(tell=tell, limits=without_limits(), sizing=sizing))


def test_a_win_rate_far_below_the_backtest_is_told_once_until_it_recovers() -> None:
    """Two deviations of a binomial; before enough trades nothing is said."""
    play = _compared(Expected(win_rate_ppm=700_000))
    assert [] == _trades(play, "lll")
    assert ["trend falls short of its backtest over 4 trades: 0% won, 70% expected"] == _trades(play, "l")
    assert [] == _trades(play, "l")
    assert [] == _trades(play, "wwwwwwww")
    assert frozenset() == play.state.market.degraded
    assert 1 == len(_trades(play, "llllllllllllllll"))


@pytest.mark.parametrize(
    ("expected", "outcomes", "is_told"),
    [
        (Expected(profit_factor_milli=1_500), "wlll", False),  # gains equal losses, and more than half is left
        (Expected(profit_factor_milli=1_500), "wllll", True),
        (Expected(profit_factor_milli=2_500), "wlll", True),
        (Expected(profit_factor_milli=900), "wllll", False),
        (Expected(profit_factor_milli=1_500), "wwww", False),
        (Expected(profit_factor_milli=1_500), "wwll", False),
        (Expected(), "llll", False),
    ],
)
def test_a_profit_factor_far_below_the_backtest_is_told(expected: Expected, outcomes: str, is_told: bool) -> None:
    """Below half of what was promised, or losing where a gain was promised."""
    assert is_told == bool(_trades(_compared(expected), outcomes))


def test_a_strategy_without_a_promise_is_not_compared() -> None:
    """Nothing is known of it."""
    tell = TellSettings(least_trades=1, expected={"other": Expected(900_000)})
    play = Playbook(make_settings(tell=tell, limits=without_limits()))
    assert [] == _trades(play, "llll")
    assert Decimal(0) < play.book.ledger.balance
    assert OrderState.FILLED in {order.state for order in play.orders.values()}
