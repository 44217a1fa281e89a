"""What a backtest comes to, in figures.

What belongs here: one function from trades and equity to named figures, each with its meaning and source. What does
not: the formulas (figures), the trades (loop, full), how figures are shown (cli, page).

Percentages are in percent; losses and drawdowns are negative; money is in the settle asset. Equity is the balance with
the open PnL, known at every full hour: what happens within an hour is not seen. Ratios of returns use daily returns of
equity at UTC midnight, × √365, as markets never close, with no risk-free rate; the first and the last day count as
far as they go. A midnight without a candle has the equity of the last close before it.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from statistics import fmean, median, stdev
from typing import NamedTuple

import numpy as np
from msgspec import Struct, field

from trading_engine.backtest import figures
from trading_engine.backtest.equity import Curve, Sample
from trading_engine.backtest.figures import Bucket
from trading_engine.backtest.result import Outcome, Trade
from trading_engine.domain import money
from trading_engine.domain.money import ZERO
from trading_engine.domain.time import DAY_MS, HOUR_MS


class Group(Struct, frozen=True):
    """The closed trades of one symbol, strategy, side, close reason, hour of opening or month of closing."""

    trades: int
    won: int
    lost: int
    net_pnl: Decimal
    fees: Decimal
    funding: Decimal
    profit_factor: float | None
    avg_r: float | None


class Metrics(Struct, frozen=True):
    """The figures of one run; None where there is nothing to compute one from.

    What the account made:
    initial_balance          the deposit
    final_balance            what is booked at the end, open positions not counted
    unrealized_pnl           open PnL at the end; final_equity is balance and open PnL together
    total_pnl                final − initial balance; total_pnl_pct of the initial balance
    return_pct               final equity against the initial balance
    booked_open              part of total_pnl that belongs to positions still open: entry fees, partial exits, funding
    gross_pnl, fees, funding of closed trades: net = gross − fees + funding; a rebate is a negative fee
    cagr_pct                 yearly growth that leads to the same end, (final equity / initial)^(365 / days) − 1
    monthly_return_pct       change of equity by UTC month; the months compound to return_pct
    days                     length of the run
    buy_and_hold_pct         what holding the symbols in equal shares would have made (backtest.hold), and the
                             deepest fall on the way: buy_and_hold_drawdown_pct

    What it risked:
    max_drawdown             deepest fall of equity below its highest so far, money (Magdon-Ismail and Atiya 2004)
    max_drawdown_pct         deepest fall in percent of that high
    max_drawdown_hours       length of the latter: from the high until it is reached again, or to the end
    longest_drawdown_hours   longest time from a high until it was reached again, or to the end
    volatility_pct           standard deviation (n − 1) of daily returns × √365
    sharpe_ratio             mean / standard deviation (n − 1) of daily returns × √365 (Sharpe 1994)
    sharpe_error             one standard error of it, were the days independent (Lo 2002)
    sortino_ratio            the same with the downside deviation against 0 over all days (Sortino, van der Meer 1991)
    calmar_ratio             cagr_pct / −max_drawdown_pct, over the whole run (Young 1991, there over three years)
    exposure_pct             share of the time with a position open, also one that still is; symbols together count once
    turnover                 traded value of closed trades, both sides, in initial balances

    What its closed trades did:
    total_trades             won, lost and those that made exactly nothing
    win_rate                 won / all
    avg_win, avg_loss        mean net PnL of those won and those lost; largest_win, largest_loss the extremes
    profit_factor            won money / lost money, None without a loss
    expectancy               mean net PnL of a trade
    max_consecutive_wins     and _losses, in order of closing; a trade that made nothing ends both
    avg_trade_hours          mean time from first entry to last exit
    expectancy_r             mean R-multiple, net PnL by the money between entry and initial stop (Tharp 1998);
                             median_r, best_r and worst_r likewise, std_r with n − 1
    r_distribution           R-multiples in steps of half an R: from, to, trades
    open_positions           still open at the end, in none of the trade figures
    groups                   closed trades by symbol, strategy, side, close_reason, hour of opening, month of closing
    """

    initial_balance: Decimal
    final_balance: Decimal
    unrealized_pnl: Decimal
    final_equity: Decimal
    total_pnl: Decimal
    total_pnl_pct: float
    return_pct: float
    booked_open: Decimal
    gross_pnl: Decimal
    fees: Decimal
    funding: Decimal
    cagr_pct: float | None
    days: float
    buy_and_hold_pct: float | None
    buy_and_hold_drawdown_pct: float | None
    max_drawdown: Decimal
    max_drawdown_pct: float
    max_drawdown_hours: float
    longest_drawdown_hours: float
    volatility_pct: float | None
    sharpe_ratio: float | None
    sharpe_error: float | None
    sortino_ratio: float | None
    calmar_ratio: float | None
    exposure_pct: float
    turnover: float
    total_trades: int
    winning_trades: int
    losing_trades: int
    win_rate: float | None
    avg_win: Decimal | None
    avg_loss: Decimal | None
    largest_win: Decimal | None
    largest_loss: Decimal | None
    profit_factor: float | None
    expectancy: Decimal | None
    max_consecutive_wins: int
    max_consecutive_losses: int
    avg_trade_hours: float | None
    expectancy_r: float | None
    median_r: float | None
    std_r: float | None
    best_r: float | None
    worst_r: float | None
    open_positions: int
    r_distribution: tuple[Bucket, ...] = ()
    monthly_return_pct: dict[str, float] = field(default_factory=dict)
    groups: dict[str, dict[str, Group]] = field(default_factory=dict)


def measure(outcome: Outcome, first_ms: int, last_ms: int, held: Curve | None = None) -> Metrics:
    """The figures of a run over [first_ms, last_ms]; `held` is the value of simply holding, where that is known."""
    trades, points = outcome.trades, curve(outcome, first_ms, last_ms)
    results = [_Result(trade, trade.net_pnl, trade.r_multiple) for trade in trades]
    nets = [result.net for result in results]
    won, lost = [net for net in nets if net > 0], [net for net in nets if net < 0]
    exact = [result.multiple for result in results if result.multiple is not None]
    multiples = [float(one) for one in exact]
    equity, total = points[-1].equity, outcome.balance - outcome.deposit
    fall = figures.deepest_fall(points)
    returns = list(figures.period_returns(points, figures.day).values())
    cagr = figures.cagr_pct(outcome.deposit, equity, last_ms - first_ms)
    return Metrics(
        initial_balance=outcome.deposit,
        final_balance=outcome.balance,
        unrealized_pnl=outcome.unrealized,
        final_equity=equity,
        total_pnl=total,
        total_pnl_pct=_growth_pct(outcome.deposit, outcome.balance),
        return_pct=_growth_pct(outcome.deposit, equity),
        booked_open=total - sum(nets, ZERO),
        gross_pnl=sum((trade.gross_pnl for trade in trades), ZERO),
        fees=sum((trade.fees for trade in trades), ZERO),
        funding=sum((trade.funding for trade in trades), ZERO),
        cagr_pct=cagr,
        days=(last_ms - first_ms) / (24 * HOUR_MS),
        buy_and_hold_pct=_growth_pct(held[0].equity, held[-1].equity) if held else None,
        buy_and_hold_drawdown_pct=figures.deepest_fall(held).pct if held else None,
        max_drawdown=fall.money,
        max_drawdown_pct=fall.pct,
        max_drawdown_hours=fall.length_ms / HOUR_MS,
        longest_drawdown_hours=fall.longest_ms / HOUR_MS,
        volatility_pct=figures.volatility_pct(returns),
        sharpe_ratio=figures.sharpe(returns),
        sharpe_error=figures.sharpe_error(returns),
        sortino_ratio=figures.sortino(returns),
        calmar_ratio=cagr / -fall.pct if cagr is not None and fall.pct < 0 else None,
        exposure_pct=_exposed_ms(outcome, last_ms) / (last_ms - first_ms) * 100 if last_ms > first_ms else 0.0,
        turnover=float(sum((_value(trade) for trade in trades), ZERO) / outcome.deposit),
        total_trades=len(trades),
        winning_trades=len(won),
        losing_trades=len(lost),
        win_rate=len(won) / len(trades) * 100 if trades else None,
        avg_win=_mean(won),
        avg_loss=_mean(lost),
        largest_win=max(won, default=None),
        largest_loss=min(lost, default=None),
        profit_factor=_profit_factor(won, lost),
        expectancy=_mean(nets),
        max_consecutive_wins=figures.longest_run(nets, lambda net: net > 0),
        max_consecutive_losses=figures.longest_run(nets, lambda net: net < 0),
        avg_trade_hours=fmean(one.closed_ms - one.opened_ms for one in trades) / HOUR_MS if trades else None,
        expectancy_r=fmean(multiples) if multiples else None,
        median_r=median(multiples) if multiples else None,
        std_r=stdev(multiples) if len(multiples) > 1 else None,
        best_r=max(multiples, default=None),
        worst_r=min(multiples, default=None),
        open_positions=outcome.open_positions,
        r_distribution=figures.r_distribution(exact),
        monthly_return_pct={
            name: change * 100 for name, change in figures.period_returns(points, figures.month).items()
        },
        groups=_groups(results),
    )


def curve(outcome: Outcome, first_ms: int, last_ms: int) -> Curve:
    """The account at its beginning, at every full hour, and at the end; where candles are missing, at every midnight.

    A midnight without a candle has what the account held at the last close before it, which `Market.instants` names. A
    day without candles is a day on which nothing changed, not one that was never lived.
    """
    ends = Curve.of((Sample(first_ms, outcome.deposit, ZERO), Sample(last_ms, outcome.balance, outcome.unrealized)))
    inside = outcome.samples.rows((first_ms < outcome.samples.ts_ms) & (outcome.samples.ts_ms < last_ms))
    begin, end = ends.rows(slice(1)), ends.rows(slice(1, None))
    points = Curve.joined(begin, inside, end)
    midnights = (points.ts_ms[1:] - 1) // DAY_MS - points.ts_ms[:-1] // DAY_MS  # between each row and the next
    rows = np.repeat(np.arange(len(points)), np.append(midnights, 0) + 1)
    nth = np.arange(len(rows)) - np.searchsorted(rows, rows)  # 0 for the row itself, then midnight by midnight
    filled = points.rows(rows)
    ts_ms = np.where(nth > 0, (filled.ts_ms // DAY_MS + nth) * DAY_MS, filled.ts_ms)
    return Curve(ts_ms, filled.balance_e8, filled.unrealized_e8)


def _growth_pct(initial: Decimal, final: Decimal) -> float:
    return float((final / initial - 1) * 100)


def _mean(amounts: Sequence[Decimal]) -> Decimal | None:
    return money.ratio(sum(amounts, ZERO), Decimal(len(amounts))) if amounts else None


def _profit_factor(won: Sequence[Decimal], lost: Sequence[Decimal]) -> float | None:
    return float(sum(won, ZERO) / -sum(lost, ZERO)) if lost else None


def _value(trade: Trade) -> Decimal:
    return trade.entry_price * trade.quantity + trade.exit_value


def _exposed_ms(outcome: Outcome, last_ms: int) -> int:
    """Time with at least one position open, those among them that are open still."""
    total, until_ms = 0, 0
    closed = [(trade.opened_ms, trade.closed_ms) for trade in outcome.trades]
    for begin_ms, end_ms in sorted([*closed, *((since, last_ms) for since in outcome.open_since)]):
        total += max(end_ms - max(begin_ms, until_ms), 0)
        until_ms = max(until_ms, end_ms)
    return total


class _Result(NamedTuple):
    """A trade with what it came to, worked out once: every kind of group asks for it."""

    trade: Trade
    net: Decimal
    multiple: Decimal | None


def _groups(results: Sequence[_Result]) -> dict[str, dict[str, Group]]:
    keys: dict[str, Callable[[Trade], str]] = {
        "symbol": lambda trade: trade.symbol,
        "strategy": lambda trade: trade.strategy,
        "side": lambda trade: trade.side,
        "close_reason": lambda trade: str(trade.close_reason),
        "hour": lambda trade: f"{trade.opened_ms // HOUR_MS % 24:02d}",
        "month": lambda trade: figures.month(trade.closed_ms),
    }
    return {name: _grouped(results, key) for name, key in keys.items()}


def _grouped(results: Sequence[_Result], key: Callable[[Trade], str]) -> dict[str, Group]:
    kinds: dict[str, list[_Result]] = {}
    for result in results:
        kinds.setdefault(key(result.trade), []).append(result)
    return {name: _group(mine) for name, mine in sorted(kinds.items())}


def _group(results: Sequence[_Result]) -> Group:
    nets = [result.net for result in results]
    won, lost = [net for net in nets if net > 0], [net for net in nets if net < 0]
    multiples = [float(result.multiple) for result in results if result.multiple is not None]
    return Group(
        trades=len(results),
        won=len(won),
        lost=len(lost),
        net_pnl=sum(nets, ZERO),
        fees=sum((result.trade.fees for result in results), ZERO),
        funding=sum((result.trade.funding for result in results), ZERO),
        profit_factor=_profit_factor(won, lost),
        avg_r=fmean(multiples) if multiples else None,
    )
