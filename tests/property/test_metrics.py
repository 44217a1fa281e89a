"""What must hold for the figures of any run."""

from decimal import Decimal
from itertools import pairwise
from math import prod

import pytest
from fakes.backtest_bench import MINUTE_MS, START_MS
from fakes.report_bench import ZERO, outcome, trade
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from trading_engine.backtest.equity import Curve, Sample
from trading_engine.backtest.figures import deepest_fall
from trading_engine.backtest.metrics import Metrics, measure
from trading_engine.backtest.result import Outcome, Trade
from trading_engine.domain.time import DAY_MS, HOUR_MS

BRIEFLY = settings(max_examples=20)
DAYS = 40
LAST_MS = START_MS + DAYS * DAY_MS
CENTS = st.decimals(-900, 900, places=2)
STREAKS = ("max_consecutive_wins", "max_consecutive_losses")
MONEY = (
    "initial_balance", "final_balance", "unrealized_pnl", "final_equity", "total_pnl", "booked_open", "gross_pnl",
    "fees", "funding", "max_drawdown", "avg_win", "avg_loss", "largest_win", "largest_loss", "expectancy",
)  # fmt: skip


@st.composite
def traded(draw: st.DrawFn) -> Trade:
    """A closed trade of one of a few kinds."""
    opened = draw(st.integers(0, DAYS * 1440 - 100))
    return trade(
        draw(st.integers(1, 999)),
        str(draw(CENTS)),
        opened,
        draw(st.integers(0, 90)),
        symbol=draw(st.sampled_from(["AAAUSDT", "BBBUSDT"])),
        side=draw(st.sampled_from(["long", "short"])),
        initial_stop=draw(st.sampled_from([Decimal(90), Decimal(100), Decimal(140)])),
        fees=draw(st.decimals(-1, 5, places=4)),
        funding=draw(st.decimals(-5, 5, places=4)),
    )


@st.composite
def runs(draw: st.DrawFn, least: str = "-500") -> Outcome:
    """Trades and an equity curve that need not come from them: figures do not ask."""
    trades = draw(st.lists(traded(), max_size=12))
    hours = sorted(draw(st.sets(st.integers(1, DAYS * 24 - 1), max_size=30)))
    worth = st.decimals(Decimal(least), 3000, places=2)
    samples = [Sample(START_MS + hour * HOUR_MS, draw(worth), draw(CENTS) if least < "0" else ZERO) for hour in hours]
    return outcome(trades, samples, balance=draw(worth))


def figures(made: Outcome) -> Metrics:
    """The figures over forty days."""
    return measure(made, START_MS, LAST_MS)


def scaled(made: Outcome, factor: Decimal) -> Outcome:
    """The same run with so many times the money, by quantities."""
    trades = [
        structs.replace(
            one,
            quantity=one.quantity * factor,
            exit_value=one.exit_value * factor,
            gross_pnl=one.gross_pnl * factor,
            fees=one.fees * factor,
            funding=one.funding * factor,
        )
        for one in made.trades
    ]
    samples = [Sample(one.ts_ms, one.balance * factor, one.unrealized * factor) for one in made.samples]
    return structs.replace(
        made,
        deposit=made.deposit * factor,
        trades=tuple(trades),
        samples=Curve.of(samples),
        balance=made.balance * factor,
        unrealized=made.unrealized * factor,
    )


@BRIEFLY
@given(runs(), st.randoms())
def test_the_order_of_trades_matters_to_series_alone(made: Outcome, random: object) -> None:
    """Shuffled trades give the same figures, but for how many were won or lost in a row."""
    shuffled = list(made.trades)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    mine, theirs = figures(made), figures(structs.replace(made, trades=tuple(shuffled)))
    for name in Metrics.__struct_fields__:
        if name not in STREAKS:
            expected = getattr(mine, name)
            assert _near(expected) == getattr(theirs, name), name


def _near(value: object) -> object:
    return pytest.approx(value, rel=1e-9, abs=1e-9) if isinstance(value, float) else value


@BRIEFLY
@given(runs(), st.sampled_from([Decimal("0.01"), Decimal(10), Decimal(1000)]))
def test_a_larger_account_makes_the_same_figures_and_more_money(made: Outcome, factor: Decimal) -> None:
    """Ratios and percentages stay, amounts grow with the account."""
    mine, theirs = figures(made), figures(scaled(made, factor))
    for name in Metrics.__struct_fields__:
        small, large = getattr(mine, name), getattr(theirs, name)
        if name in MONEY:
            assert (None if small is None else pytest.approx(small * factor, abs=Decimal("0.00001"))) == large, name
        elif name != "groups":
            assert _near(small) == large, name


@BRIEFLY
@given(runs())
def test_drawdowns_are_never_positive_and_lengths_fit_into_the_run(made: Outcome) -> None:
    """Losses are negative, and the deepest fall is no longer than the longest."""
    metrics = figures(made)
    assert metrics.max_drawdown <= 0
    assert metrics.max_drawdown_pct <= 0
    assert 0 <= metrics.max_drawdown_hours <= metrics.longest_drawdown_hours <= DAYS * 24
    assert (metrics.max_drawdown < 0) == (metrics.longest_drawdown_hours > 0)


@BRIEFLY
@given(runs())
def test_a_drawdown_is_the_worst_of_all_pairs(made: Outcome) -> None:
    """The deepest fall in money is the least of later − earlier over all pairs of points."""
    points = [made.deposit, *(one.equity for one in made.samples), made.balance]
    falls = [later - earlier for at, earlier in enumerate(points) for later in points[at + 1 :]]
    assert min(falls, default=ZERO) == figures(made).max_drawdown or min(falls) > 0


@BRIEFLY
@given(runs(least="1"))
def test_months_compound_to_the_whole(made: Outcome) -> None:
    """Monthly returns multiply to the return of the run."""
    metrics = figures(made)
    grown = prod(1 + one / 100 for one in metrics.monthly_return_pct.values())
    assert pytest.approx(1 + metrics.return_pct / 100, rel=1e-9) == grown


@BRIEFLY
@given(runs())
def test_parts_add_up_to_the_whole(made: Outcome) -> None:
    """Won, lost and even trades; every group; R-multiples; booked money."""
    metrics, count = figures(made), len(made.trades)
    even = sum(1 for one in made.trades if one.net_pnl == 0)
    assert count == metrics.winning_trades + metrics.losing_trades + even
    for kinds in metrics.groups.values():
        assert count == sum(one.trades for one in kinds.values())
        assert sum(one.net_pnl for one in made.trades) == sum(one.net_pnl for one in kinds.values())
    assert sum(1 for one in made.trades if one.r_multiple is not None) == sum(
        one.trades for one in metrics.r_distribution
    )
    booked = metrics.gross_pnl - metrics.fees + metrics.funding + metrics.booked_open
    assert metrics.total_pnl == booked
    for mine, later in pairwise(metrics.r_distribution):
        assert mine.to_r == later.from_r


@BRIEFLY
@given(st.lists(st.decimals("-5", "-0.01", places=2), min_size=1, max_size=8))
def test_a_run_that_only_loses_has_nothing_won(nets: list[Decimal]) -> None:
    """No win rate, no profit factor but 0, a series as long as the run."""
    metrics = figures(outcome([trade(at, str(net), at * 60) for at, net in enumerate(nets)]))
    told = (metrics.win_rate, metrics.profit_factor, metrics.avg_win, metrics.max_consecutive_losses)
    assert (0.0, 0.0, None, len(nets)) == told
    assert metrics.expectancy is not None
    assert metrics.expectancy < 0


@BRIEFLY
@given(traded())
def test_one_trade_is_its_own_mean(one: Trade) -> None:
    """Expectancy, best and worst are the trade itself, and there is no deviation."""
    metrics = figures(outcome([one]))
    assert one.net_pnl == metrics.expectancy
    assert metrics.best_r == metrics.worst_r == metrics.median_r == metrics.expectancy_r
    assert metrics.std_r is None
    assert pytest.approx((one.closed_ms - one.opened_ms) / (DAYS * DAY_MS) * 100) == metrics.exposure_pct


@BRIEFLY
@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 90)), max_size=10))
def test_exposure_counts_each_minute_once(spans: list[tuple[int, int]]) -> None:
    """The same as counting minutes in a set."""
    trades = [trade(at, "1", opened, minutes) for at, (opened, minutes) in enumerate(spans)]
    covered = {minute for opened, minutes in spans for minute in range(opened, opened + minutes)}
    metrics = figures(outcome(trades))
    assert pytest.approx(len(covered) * MINUTE_MS / (DAYS * DAY_MS) * 100) == metrics.exposure_pct


@BRIEFLY
@given(st.lists(st.integers(-2, 12), min_size=1, max_size=40))
def test_falls_are_those_that_a_walk_along_the_curve_meets(values: list[int]) -> None:
    """Hour by hour, with the last high in mind; few different values, so that highs are met again."""
    worth = [5, *values]
    curve = Curve.of(Sample(START_MS + at * HOUR_MS, Decimal(one), ZERO) for at, one in enumerate(worth))
    high, lost, deepest, lengths = 0, 0, (0.0, 0), {0: 0}
    for at, one in enumerate(worth):
        if one < worth[high] or lengths.get(high):
            lengths[high] = at - high
        change = one / worth[high] - 1
        if change < deepest[0]:
            deepest = (change, high)
        lost = min(lost, one - worth[high])
        high = at if one >= worth[high] else high
    fall = deepest_fall(curve)
    assert (Decimal(lost), pytest.approx(deepest[0] * 100)) == (fall.money, fall.pct)
    length = lengths[deepest[1]] if deepest[0] else 0
    assert (length, max(lengths.values())) == (fall.length_ms / HOUR_MS, fall.longest_ms / HOUR_MS)
