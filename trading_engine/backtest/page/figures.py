"""The figures of a run in words: what each is called, how it is written and what it means.

What belongs here: one row a figure. What does not: computing them (metrics).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from trading_engine.backtest.metrics import Metrics
from trading_engine.backtest.page import words


class Figure(NamedTuple):
    """One figure: the field of `Metrics`, its name, its writing, its meaning; `is_result` colours it."""

    field: str
    label: str
    write: Callable[[Any], str]
    meaning: str
    is_result: bool = False

    def value(self, metrics: Metrics) -> Any:
        """The figure itself."""
        return getattr(metrics, self.field)

    def text(self, metrics: Metrics) -> str:
        """The figure as it is read."""
        return self.write(self.value(metrics))


def _days(value: float) -> str:
    return f"{value:,.1f}"


_ROWS = (
    Figure("return_pct", "Return", words.percent, "final equity against the initial balance", is_result=True),
    Figure(
        "buy_and_hold_pct",
        "Buy and hold",
        words.percent,
        "the symbols in equal shares, bought at the first open and kept; no leverage, fees or funding",
        is_result=True,
    ),
    Figure(
        "max_drawdown_pct",
        "Max drawdown",
        words.percent,
        "deepest fall of hourly equity below its highest so far",
        is_result=True,
    ),
    Figure("sharpe_ratio", "Sharpe", words.ratio, "mean / deviation of daily returns × √365, no risk-free rate"),
    Figure("win_rate", "Win rate", words.share, "closed trades that made money after costs"),
    Figure("profit_factor", "Profit factor", words.ratio, "won money / lost money"),
    Figure("expectancy", "Expectancy", words.signed, "mean net PnL of a trade", is_result=True),
    Figure(
        "expectancy_r",
        "Mean R",
        words.multiple,
        "mean net PnL in multiples of the money between entry and initial stop",
        is_result=True,
    ),
    Figure("cagr_pct", "CAGR", words.percent, "yearly growth that would lead to the same end", is_result=True),
    Figure("sortino_ratio", "Sortino", words.ratio, "as Sharpe, with falls alone as the risk"),
    Figure("calmar_ratio", "Calmar", words.ratio, "CAGR / max drawdown"),
    Figure("exposure_pct", "Exposure", words.share, "share of the time with a position open"),
    Figure("initial_balance", "Initial balance", words.amount, "the deposit"),
    Figure("final_balance", "Final balance", words.amount, "what is booked at the end, open positions not counted"),
    Figure("unrealized_pnl", "Open PnL", words.signed, "of positions still open, at the last close", is_result=True),
    Figure("final_equity", "Final equity", words.amount, "final balance and open PnL together"),
    Figure("total_pnl", "Booked PnL", words.signed, "final − initial balance", is_result=True),
    Figure("total_pnl_pct", "Booked return", words.percent, "booked PnL of the initial balance", is_result=True),
    Figure(
        "booked_open",
        "Booked by open positions",
        words.signed,
        "entry fees, partial exits and funding of positions that are still open; part of booked PnL",
        is_result=True,
    ),
    Figure("gross_pnl", "Gross PnL", words.signed, "of closed trades, before fees and funding", is_result=True),
    Figure("fees", "Fees", words.amount, "paid by closed trades; a negative one is a rebate"),
    Figure("funding", "Funding", words.signed, "received (+) or paid (−) by closed trades", is_result=True),
    Figure("turnover", "Turnover", words.ratio, "traded value of closed trades, both sides, in initial balances"),
    Figure("days", "Days", _days, "length of the run"),
    Figure("max_drawdown", "Max drawdown, money", words.signed, "deepest fall of equity in money", is_result=True),
    Figure("max_drawdown_hours", "Its length", words.hours, "from the high until it was reached again, or to the end"),
    Figure(
        "longest_drawdown_hours",
        "Longest drawdown",
        words.hours,
        "longest time from a high until it was reached again, or to the end",
    ),
    Figure(
        "buy_and_hold_drawdown_pct",
        "Max drawdown of holding",
        words.percent,
        "deepest fall of the buy-and-hold line",
        is_result=True,
    ),
    Figure("sharpe_error", "Error of Sharpe", words.ratio, "one standard error, were the days independent"),
    Figure("volatility_pct", "Volatility", words.share, "deviation of daily returns × √365"),
    Figure("total_trades", "Closed trades", "{:,}".format, "positions that were opened and closed"),
    Figure("winning_trades", "Won", "{:,}".format, "closed trades with a positive net PnL"),
    Figure("losing_trades", "Lost", "{:,}".format, "closed trades with a negative net PnL"),
    Figure("open_positions", "Still open", "{:,}".format, "positions open at the end, in none of the trade figures"),
    Figure("avg_win", "Average win", words.signed, "mean net PnL of those won", is_result=True),
    Figure("avg_loss", "Average loss", words.signed, "mean net PnL of those lost", is_result=True),
    Figure("largest_win", "Largest win", words.signed, "best net PnL", is_result=True),
    Figure("largest_loss", "Largest loss", words.signed, "worst net PnL", is_result=True),
    Figure("max_consecutive_wins", "Wins in a row", "{:,}".format, "longest series, in order of closing"),
    Figure("max_consecutive_losses", "Losses in a row", "{:,}".format, "longest series, in order of closing"),
    Figure("avg_trade_hours", "Mean time in a trade", words.hours, "from first entry to last exit"),
    Figure("median_r", "Median R", words.multiple, "half of the trades did better", is_result=True),
    Figure("std_r", "Deviation of R", words.ratio, "standard deviation of R-multiples"),
    Figure("best_r", "Best R", words.multiple, "largest R-multiple", is_result=True),
    Figure(
        "worst_r", "Worst R", words.multiple, "smallest R-multiple; below −1 R costs, gaps and slippage", is_result=True
    ),
)
HEADLINE = _ROWS[:12]
ALL = _ROWS
