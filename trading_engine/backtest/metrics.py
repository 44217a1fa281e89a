"""What a backtest comes to, in figures.

What belongs here: one function from trades and equity to named figures, each with its formula. What does not: the
trades (loop, full), how figures are shown (cli, report).

Percentages are in percent; losses and drawdowns are negative; money is in the settle asset. Ratios of returns use
daily returns of the equity at UTC midnight, × √365, with no risk-free rate, as markets never close (Sharpe 1994;
Sortino and van der Meer 1991, with the downside against zero).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import groupby, pairwise
from statistics import fmean, stdev

from trading_engine.backtest.result import Outcome, Sample, Trade
from trading_engine.domain import money
from trading_engine.domain.money import ZERO
from trading_engine.domain.time import DAY_MS, HOUR_MS, iso

DAYS_A_YEAR = 365


@dataclass(frozen=True, slots=True)
class Metrics:
    """The figures of one run; None where there is nothing to compute one from.

    total_pnl_pct            of the initial balance
    cagr_pct                 yearly growth that gives the same end: (final / initial)^(365 / days) − 1
    sharpe_ratio             mean / standard deviation (n − 1) of daily returns × √365
    sortino_ratio            mean / root mean square of the negative daily returns × √365
    calmar_ratio             cagr_pct / −max_drawdown_pct
    max_drawdown             deepest fall of hourly equity below its peak so far, money; max_drawdown_pct of that peak
    max_drawdown_hours       longest time below a peak
    profit_factor            won money / lost money
    expectancy               mean net PnL of a trade; expectancy_r the same in R
    exposure_pct             share of the time with a position (symbols together count once)
    turnover                 traded value, both sides, in initial balances
    """

    initial_balance: Decimal
    final_balance: Decimal
    total_pnl: Decimal
    total_pnl_pct: float
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
    expectancy_r: float | None
    max_drawdown: Decimal
    max_drawdown_pct: float
    max_drawdown_hours: float
    max_consecutive_wins: int
    max_consecutive_losses: int
    cagr_pct: float | None
    sharpe_ratio: float | None
    sortino_ratio: float | None
    calmar_ratio: float | None
    exposure_pct: float
    turnover: float
    gross_pnl: Decimal
    fees: Decimal
    funding: Decimal
    open_positions: int
    groups: dict[str, dict[str, "Group"]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Group:
    """The trades of one symbol, strategy, side, hour or month."""

    trades: int
    won: int
    net_pnl: Decimal


def measure(outcome: Outcome, first_ms: int, last_ms: int) -> Metrics:
    """The figures of a run over [first_ms, last_ms]."""
    trades = outcome.trades
    nets = [trade.net_pnl for trade in trades]
    won, lost = [net for net in nets if net > 0], [net for net in nets if net < 0]
    multiples = [float(trade.r_multiple) for trade in trades if trade.r_multiple is not None]
    equity = outcome.balance + outcome.unrealized
    fall = _deepest_fall(outcome, first_ms, last_ms)
    returns = _daily_returns(outcome, first_ms, last_ms)
    cagr = _cagr(outcome.deposit, equity, last_ms - first_ms)
    return Metrics(
        initial_balance=outcome.deposit,
        final_balance=outcome.balance,
        total_pnl=outcome.balance - outcome.deposit,
        total_pnl_pct=float((outcome.balance / outcome.deposit - 1) * 100),
        total_trades=len(trades),
        winning_trades=len(won),
        losing_trades=len(lost),
        win_rate=len(won) / len(trades) * 100 if trades else None,
        avg_win=_mean(won),
        avg_loss=_mean(lost),
        largest_win=max(won, default=None),
        largest_loss=min(lost, default=None),
        profit_factor=float(sum(won) / -sum(lost)) if lost else None,
        expectancy=_mean(nets),
        expectancy_r=math.fsum(multiples) / len(multiples) if multiples else None,
        max_drawdown=fall.money,
        max_drawdown_pct=fall.pct,
        max_drawdown_hours=fall.longest_ms / HOUR_MS,
        max_consecutive_wins=_longest(nets, lambda net: net > 0),
        max_consecutive_losses=_longest(nets, lambda net: net < 0),
        cagr_pct=cagr,
        sharpe_ratio=_sharpe(returns),
        sortino_ratio=_sortino(returns),
        calmar_ratio=cagr / -fall.pct if cagr is not None and fall.pct < 0 else None,
        exposure_pct=_exposed_ms(trades) / (last_ms - first_ms) * 100 if last_ms > first_ms else 0.0,
        turnover=float(sum((_value(trade) for trade in trades), ZERO) / outcome.deposit),
        gross_pnl=sum((trade.gross_pnl for trade in trades), ZERO),
        fees=sum((trade.fees for trade in trades), ZERO),
        funding=sum((trade.funding for trade in trades), ZERO),
        open_positions=outcome.open_positions,
        groups=_groups(trades),
    )


def _mean(amounts: Sequence[Decimal]) -> Decimal | None:
    return money.ratio(sum(amounts, ZERO), Decimal(len(amounts))) if amounts else None


def _value(trade: Trade) -> Decimal:
    return trade.entry_price * trade.quantity + trade.exit_value


def _longest(nets: Sequence[Decimal], belongs: Callable[[Decimal], bool]) -> int:
    return max((len(list(run)) for is_one, run in groupby(nets, belongs) if is_one), default=0)


@dataclass(frozen=True, slots=True)
class _Fall:
    money: Decimal
    pct: float
    longest_ms: int


def curve(outcome: Outcome, first_ms: int, last_ms: int) -> list[Sample]:
    """The account at its beginning, at every full hour, and at the end."""
    begin = Sample(first_ms, outcome.deposit, ZERO)
    inside = [sample for sample in outcome.samples if first_ms < sample.ts_ms < last_ms]
    return [begin, *inside, Sample(last_ms, outcome.balance, outcome.unrealized)]


def _deepest_fall(outcome: Outcome, first_ms: int, last_ms: int) -> _Fall:
    peak, peak_ms = outcome.deposit, first_ms
    worst, worst_pct, longest = ZERO, 0.0, 0
    for sample in curve(outcome, first_ms, last_ms):
        if sample.equity >= peak:
            peak, peak_ms = sample.equity, sample.ts_ms
            continue
        worst = min(worst, sample.equity - peak)
        worst_pct = min(worst_pct, float((sample.equity / peak - 1) * 100))
        longest = max(longest, sample.ts_ms - peak_ms)
    return _Fall(worst, worst_pct, longest)


def _daily_returns(outcome: Outcome, first_ms: int, last_ms: int) -> list[float]:
    """Relative changes of equity from one UTC midnight to the next, the first and last day as far as they go."""
    at_midnight: dict[int, Decimal] = {}
    for sample in curve(outcome, first_ms, last_ms):
        at_midnight[(sample.ts_ms - 1) // DAY_MS] = sample.equity
    values = [float(at_midnight[day]) for day in sorted(at_midnight)]
    return [later / earlier - 1 for earlier, later in pairwise(values) if earlier > 0]


def _sharpe(returns: Sequence[float]) -> float | None:
    if len(returns) < 2:
        return None
    deviation = stdev(returns)
    return fmean(returns) / deviation * math.sqrt(DAYS_A_YEAR) if deviation > 0 else None


def _sortino(returns: Sequence[float]) -> float | None:
    if not returns:
        return None
    downside = math.sqrt(math.fsum(min(one, 0.0) ** 2 for one in returns) / len(returns))
    return fmean(returns) / downside * math.sqrt(DAYS_A_YEAR) if downside > 0 else None


def _cagr(initial: Decimal, final: Decimal, span_ms: int) -> float | None:
    if span_ms < DAY_MS or final <= 0:
        return None
    try:
        return (math.pow(float(final / initial), DAYS_A_YEAR * DAY_MS / span_ms) - 1) * 100
    except OverflowError:
        return None


def _exposed_ms(trades: Sequence[Trade]) -> int:
    """Time with at least one closed trade's position open."""
    total, until_ms = 0, 0
    for trade in sorted(trades, key=lambda one: one.opened_ms):
        total += max(trade.closed_ms - max(trade.opened_ms, until_ms), 0)
        until_ms = max(until_ms, trade.closed_ms)
    return total


def _groups(trades: Sequence[Trade]) -> dict[str, dict[str, Group]]:
    keys: dict[str, Callable[[Trade], str]] = {
        "symbol": lambda trade: trade.symbol,
        "strategy": lambda trade: trade.strategy,
        "side": lambda trade: trade.side,
        "close_reason": lambda trade: str(trade.close_reason),
        "hour": lambda trade: iso(trade.opened_ms)[11:13],
        "month": lambda trade: iso(trade.closed_ms)[:7],
    }
    return {name: _grouped(trades, key) for name, key in keys.items()}


def _grouped(trades: Sequence[Trade], key: Callable[[Trade], str]) -> dict[str, Group]:
    nets: dict[str, list[Decimal]] = {}
    for trade in trades:
        nets.setdefault(key(trade), []).append(trade.net_pnl)
    return {
        name: Group(len(mine), sum(1 for net in mine if net > 0), sum(mine, ZERO))
        for name, mine in sorted(nets.items())
    }
