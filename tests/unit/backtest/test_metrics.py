"""Figures of runs that were worked out by hand."""

from decimal import Decimal
from statistics import fmean, stdev

import numpy as np
import pytest
from fakes.backtest_bench import MINUTE_MS, START_MS
from fakes.report_bench import DEPOSIT, hourly, of_equity, outcome, trade
from msgspec import structs

from trading_engine.backtest.equity import Curve, Sample
from trading_engine.backtest.figures import Bucket, day, deepest_fall, period_returns, r_distribution
from trading_engine.backtest.hold import buy_and_hold
from trading_engine.backtest.metrics import Metrics, curve, measure
from trading_engine.backtest.result import Outcome
from trading_engine.domain.time import DAY_MS, HOUR_MS

DAY_LATER = START_MS + DAY_MS
TWO_WON = (trade(1, "20", 0), trade(2, "-10", 60), trade(3, "-5", 120), trade(4, "15", 180))


def measured(made: Outcome, days: float = 1) -> Metrics:
    """The figures of so many days."""
    return measure(made, START_MS, START_MS + int(days * DAY_MS))


def test_four_trades_worked_out_by_hand() -> None:
    """+20, −10, −5 and +15 at a risk of 10 each, on 1,000."""
    metrics = measured(outcome(TWO_WON))
    assert (4, 2, 2, 50.0) == (
        metrics.total_trades,
        metrics.winning_trades,
        metrics.losing_trades,
        metrics.win_rate,
    )
    assert (Decimal("17.5"), Decimal("-7.5")) == (metrics.avg_win, metrics.avg_loss)
    assert (Decimal(20), Decimal(-10)) == (metrics.largest_win, metrics.largest_loss)
    assert pytest.approx(35 / 15) == metrics.profit_factor
    assert (Decimal(5), pytest.approx(0.5)) == (metrics.expectancy, metrics.expectancy_r)
    assert (1, 2) == (metrics.max_consecutive_wins, metrics.max_consecutive_losses)
    assert (Decimal(1020), Decimal(20), pytest.approx(2.0)) == (
        metrics.final_balance,
        metrics.total_pnl,
        metrics.total_pnl_pct,
    )
    assert (2.0, -1.0, 0.5) == (metrics.best_r, metrics.worst_r, metrics.median_r)


def test_turnover_counts_both_sides_and_exposure_counts_time_once() -> None:
    """In at 100 and out at 120: 0.22 of the deposit; two trades that overlap for half an hour fill 90 minutes."""
    made = outcome([trade(1, "20", 0, 60), trade(2, "0", 30, 60, symbol="BBBUSDT")])
    metrics = measured(made)
    assert pytest.approx(0.42) == metrics.turnover
    assert pytest.approx(90 / 1440 * 100) == metrics.exposure_pct
    assert 1.0 == metrics.avg_trade_hours


def test_days_without_candles_are_days_of_no_change() -> None:
    """+1 % on the first of ten days, then a hole, +1 % in the last hour: ten returns, two of them not 0."""
    late = START_MS + 10 * DAY_MS - HOUR_MS
    samples = (Sample(START_MS + HOUR_MS, Decimal(1_010), Decimal(0)), Sample(late, Decimal(1_010), Decimal(0)))
    made = outcome(samples=samples, balance=Decimal("1020.1"))
    returns = [0.01, *[0.0] * 8, 0.01]
    assert pytest.approx(fmean(returns) / stdev(returns) * 365**0.5) == measured(made, 10).sharpe_ratio
    points = list(curve(made, START_MS, START_MS + 10 * DAY_MS))
    assert list(range(START_MS + DAY_MS, late, DAY_MS)) == [point.ts_ms for point in points[2:-2]]
    assert {Decimal(1_010)} == {point.equity for point in points[1:-1]}


def test_a_position_that_is_still_open_counts_as_exposure() -> None:
    """Opened at noon and held to the end: half of the day, and the half hour of a trade before it."""
    made = structs.replace(outcome([trade(1, "1", 0, 30)]), open_positions=1, open_since=(START_MS + 720 * 60_000,))
    assert pytest.approx((30 + 720) / 1440 * 100) == measured(made).exposure_pct


def test_fees_and_funding_come_off_the_gross_result() -> None:
    """10 gross, 1 in fees, 2 of funding paid: 7 net, 0.7 R."""
    made = outcome([trade(1, "10", fees=Decimal(1), funding=Decimal(-2))])
    metrics = measured(made)
    told = (metrics.gross_pnl, metrics.fees, metrics.funding, metrics.total_pnl)
    assert (Decimal(10), Decimal(1), Decimal(-2), Decimal(7)) == told
    assert pytest.approx(0.7) == metrics.expectancy_r


def test_a_trade_that_made_nothing_is_neither_won_nor_lost_and_ends_a_series() -> None:
    """Won, nothing, won."""
    metrics = measured(outcome([trade(1, "5"), trade(2, "0", 60), trade(3, "5", 120)]))
    assert (2, 0, 1, 0) == (
        metrics.winning_trades,
        metrics.losing_trades,
        metrics.max_consecutive_wins,
        metrics.max_consecutive_losses,
    )
    assert (pytest.approx(200 / 3), None, None) == (metrics.win_rate, metrics.profit_factor, metrics.avg_loss)


def test_an_empty_run_has_no_ratios() -> None:
    """Nothing happened: money as it was, nothing to divide."""
    metrics = measured(outcome(), days=30)
    assert (DEPOSIT, Decimal(0), 0.0, 0.0) == (
        metrics.final_equity,
        metrics.total_pnl,
        metrics.return_pct,
        metrics.max_drawdown_pct,
    )
    nothing = (
        metrics.win_rate,
        metrics.profit_factor,
        metrics.expectancy,
        metrics.expectancy_r,
        metrics.sharpe_ratio,
        metrics.sharpe_error,
        metrics.sortino_ratio,
        metrics.calmar_ratio,
        metrics.avg_trade_hours,
        metrics.buy_and_hold_pct,
    )
    assert [None] * 10 == list(nothing)
    assert () == metrics.r_distribution
    assert all({} == kinds for kinds in metrics.groups.values())


def test_what_is_open_is_told_apart_from_what_is_booked() -> None:
    """A closed trade made 10; an open position has paid 2 in fees and stands at −30."""
    made = outcome([trade(1, "10")], balance=Decimal(1008), unrealized=Decimal(-30), open_positions=1)
    metrics = measured(made)
    assert (Decimal(1008), Decimal(978)) == (metrics.final_balance, metrics.final_equity)
    assert (Decimal(8), Decimal(-2)) == (metrics.total_pnl, metrics.booked_open)
    assert (pytest.approx(0.8), pytest.approx(-2.2)) == (metrics.total_pnl_pct, metrics.return_pct)
    assert (1, 1) == (metrics.total_trades, metrics.open_positions)


@pytest.mark.parametrize(
    ("name", "values", "money", "pct", "hours", "longest"),
    [
        ("never below", [100, 110, 110, 120], "0", 0.0, 0, 0),
        ("falls and recovers", [100, 80, 90, 100, 130], "-20", -20.0, 3, 3),
        ("two falls, the second deeper", [100, 90, 100, 200, 120, 130], "-80", -40.0, 2, 2),
        ("the longest is not the deepest", [100, 50, 100, 99, 98, 97, 100], "-50", -50.0, 2, 4),
        ("deepest in money, not in percent", [100, 50, 1000, 900], "-100", -50.0, 2, 2),
        ("two of one depth: the first", [100, 80, 90, 100, 80], "-20", -20.0, 3, 3),
        ("below the deposit from the start", [100, 90, 95], "-10", -10.0, 2, 2),
        ("more than everything is lost", [100, -20, -10], "-120", -120.0, 2, 2),
    ],
)
def test_drawdowns_worked_out_by_hand(
    name: str, values: list[int], money: str, pct: float, hours: int, longest: int
) -> None:
    """Deepest in money, deepest in percent with its length, and the longest."""
    fall = deepest_fall(Curve.of(Sample(HOUR_MS * at, Decimal(value), Decimal(0)) for at, value in enumerate(values)))
    told = (fall.money, round(fall.pct, 9), fall.length_ms / HOUR_MS, fall.longest_ms / HOUR_MS)
    assert (Decimal(money), pct, hours, longest) == told, name


def test_falls_that_floats_cannot_tell_apart_are_told_apart() -> None:
    """Of the largest accounts: the second is deeper by 1e-17; and one of 4e-8 on 900 million is one."""
    worth = ("900000000", "810000000.0", "900000000.00000001", "900000001", "810000000.89999999", *["810000000.9"] * 3)
    fall = deepest_fall(Curve.of(Sample(HOUR_MS * at, Decimal(one), Decimal(0)) for at, one in enumerate(worth)))
    assert (Decimal("-90000000.10000001"), 4 * HOUR_MS) == (fall.money, fall.length_ms)
    worth = ("900000000", "899999999.99999996", "899999999.99999996", "900000000")
    fall = deepest_fall(Curve.of(Sample(HOUR_MS * at, Decimal(one), Decimal(0)) for at, one in enumerate(worth)))
    assert (pytest.approx(-4.44444e-15, rel=1e-4, abs=0), 3 * HOUR_MS) == (fall.pct, fall.length_ms)


def test_a_lost_account_still_has_figures() -> None:
    """The deposit is gone on the second day: no growth to extrapolate, a fall of all there was."""
    metrics = measured(of_equity([1000, 600, -5, -5]), days=3)
    assert (None, None) == (metrics.cagr_pct, metrics.calmar_ratio)
    assert (pytest.approx(-100.5), pytest.approx(-100.5)) == (metrics.return_pct, metrics.max_drawdown_pct)
    assert metrics.sharpe_ratio is not None
    assert metrics.sharpe_ratio < 0


def test_growth_is_extrapolated_to_a_year() -> None:
    """+10 % in 36.5 days is 1.1 to the tenth in a year; over a year it is itself."""
    assert pytest.approx((1.1**10 - 1) * 100) == measured(of_equity([1000, 1100]), days=36.5).cagr_pct
    assert pytest.approx(10.0) == measured(of_equity([1000, 1100]), days=365).cagr_pct
    assert measured(of_equity([1000, 1100]), days=0.5).cagr_pct is None


def test_daily_returns_run_from_midnight_to_midnight() -> None:
    """A run that begins at noon: half a day, a day, half a day; hours between midnights change nothing."""
    noon = START_MS + 12 * HOUR_MS
    values = [("1000", noon), ("1050", noon + 6 * HOUR_MS), ("1100", noon + 12 * HOUR_MS), ("990", noon + 36 * HOUR_MS)]
    samples = [Sample(ts, Decimal(value), Decimal(0)) for value, ts in values[1:]]
    made = outcome(samples=samples, balance=Decimal(1089))
    metrics = measure(made, noon, noon + 48 * HOUR_MS)
    returns = [0.1, -0.1, 0.1]
    mean = sum(returns) / 3
    deviation = (sum((one - mean) ** 2 for one in returns) / 2) ** 0.5
    assert pytest.approx(mean / deviation * 365**0.5) == metrics.sharpe_ratio
    assert pytest.approx(mean / (0.01 / 3) ** 0.5 * 365**0.5) == metrics.sortino_ratio
    assert pytest.approx(deviation * 365**0.5 * 100) == metrics.volatility_pct


def test_the_error_of_a_sharpe_ratio_is_that_of_its_days() -> None:
    """Lo 2002 for s = 0.1 a day over 100 days: √((1 + 0.005) / 100) a day."""
    returns = [0.001 + 0.01 * (-1) ** day for day in range(100)]
    equity = [1000.0]
    for one in returns:
        equity.append(equity[-1] * (1 + one))
    metrics = measured(of_equity([f"{value:.8f}" for value in equity]), days=100)
    daily = 0.001 / (0.01 * (100 / 99) ** 0.5)
    assert pytest.approx(daily * 365**0.5, rel=1e-6) == metrics.sharpe_ratio
    assert pytest.approx(((1 + daily**2 / 2) / 100 * 365) ** 0.5, rel=1e-6) == metrics.sharpe_error


def test_returns_of_months_are_cut_at_midnight_utc() -> None:
    """The value at 1 June 00:00 ends May."""
    june = START_MS + 28 * DAY_MS
    samples = [Sample(june, Decimal(1100), Decimal(0)), Sample(june + HOUR_MS, Decimal(1210), Decimal(0))]
    metrics = measure(outcome(samples=samples, balance=Decimal(1045)), START_MS, june + 5 * DAY_MS)
    expected = {"2025-05": pytest.approx(10.0), "2025-06": pytest.approx(-5.0)}
    assert expected == metrics.monthly_return_pct


def test_what_begins_with_nothing_has_no_return() -> None:
    """A day that begins with a debt: what it made is no part of what there was."""
    values = [Decimal(100), Decimal(-5), Decimal(10), Decimal(11)]
    points = [Sample(START_MS + at * DAY_MS, value, Decimal(0)) for at, value in enumerate(values)]
    expected = {"2025-05-04": pytest.approx(-1.05), "2025-05-06": pytest.approx(0.1)}
    assert expected == period_returns(Curve.of(points), day)


@pytest.mark.parametrize(
    ("multiples", "expected"),
    [
        ([], []),
        (["0"], [(0.0, 0.5, 1)]),
        (["-1", "-0.99", "-0.5"], [(-1.0, -0.5, 2), (-0.5, 0.0, 1)]),
        (["-0.00000001", "0.99", "1"], [(-0.5, 0.0, 1), (0.0, 0.5, 0), (0.5, 1.0, 1), (1.0, 1.5, 1)]),
        (["-5.01", "-5"], [(None, -5.0, 1), (-5.0, -4.5, 1)]),
        (["20", "999"], [(20.0, None, 2)]),
    ],
)
def test_r_multiples_fall_into_steps_of_half_an_r(multiples: list[str], expected: list[tuple[object, ...]]) -> None:
    """A step holds its lower end, not its upper one; there are no holes, and the ends are open."""
    assert [Bucket(*one) for one in expected] == list(r_distribution([Decimal(one) for one in multiples]))  # type: ignore[arg-type]


def test_groups_add_up_trades_of_a_kind() -> None:
    """By symbol, side and hour of opening; the month is that of closing."""
    late = trade(3, "7", 27 * 1440 + 1430, 60, symbol="BBBUSDT", side="short", strategy="beta")
    groups = measured(outcome([trade(1, "20", 0), trade(2, "-10", 60, fees=Decimal(1)), late]), days=40).groups
    assert {"AAAUSDT": (2, 1, 1, Decimal(9)), "BBBUSDT": (1, 1, 0, Decimal(7))} == {
        name: (one.trades, one.won, one.lost, one.net_pnl) for name, one in groups["symbol"].items()
    }
    assert ["00", "01", "23"] == list(groups["hour"])
    assert {"2025-05": 2, "2025-06": 1} == {name: one.trades for name, one in groups["month"].items()}
    assert pytest.approx(20 / 11) == groups["strategy"]["alpha"].profit_factor
    assert (None, pytest.approx(0.7)) == (groups["side"]["short"].profit_factor, groups["side"]["short"].avg_r)


def test_holding_is_worth_what_the_price_says() -> None:
    """1,000 bought at 1,000.0: the line is the price; before a symbol's first candle its share is cash."""
    market = hourly([10_000, 11_000, 9_000, 9_500])
    instants = [START_MS, START_MS + HOUR_MS, START_MS + HOUR_MS + MINUTE_MS, START_MS + 2 * HOUR_MS, market.last_ms]
    line = buy_and_hold(market, DEPOSIT, np.array(instants))
    assert [1000, 1100, 1100, 900, 950] == [sample.equity for sample in line]
    metrics = measure(outcome(), START_MS, market.last_ms, line)
    assert (pytest.approx(-5.0), pytest.approx(-200 / 11)) == (
        metrics.buy_and_hold_pct,
        metrics.buy_and_hold_drawdown_pct,
    )


def test_the_curve_begins_with_the_deposit_and_ends_with_everything() -> None:
    """The beginning, what lies between, and the end with its open PnL."""
    made = of_equity([1000, 1010, 1020])
    assert [1000, 1010, 1020] == [sample.equity for sample in curve(made, START_MS, START_MS + 2 * DAY_MS)]
