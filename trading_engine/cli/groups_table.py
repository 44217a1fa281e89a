"""Closed trades by strategy and symbol, as a table.

What belongs here: that one table, of a run as of a backtest. What does not: the sums (tally).
"""

from collections.abc import Sequence
from decimal import Decimal

from trading_engine.cli import table, text
from trading_engine.cli.line import Cell
from trading_engine.cli.table import Column, Out
from trading_engine.cli.tally import Tally, Trade, by_group, tally
from trading_engine.cli.text import DASH

_COLUMNS = (
    Column("STRATEGY"),
    Column("SYMBOL"),
    Column("TRADES", is_number=True),
    Column("WON", is_number=True),
    Column("WON %", is_number=True),
    Column("FEES", is_number=True, gives_way=1),
    Column("FUNDING", is_number=True, gives_way=2),
    Column("NET PNL", is_number=True),
    Column("MEAN R", is_number=True),
)


def show_groups(out: Out, trades: Sequence[Trade]) -> None:
    """A line for each group, and one for all where there are several."""
    rows = [_row(strategy, symbol, group) for strategy, symbol, group in by_group(trades)]
    if len(rows) > 1:
        rows.append(_row("all", "", tally(trades)))
    table.show(out, _COLUMNS, rows)


def _row(strategy: str, symbol: str, sums: Tally) -> list[Cell | str]:
    return [
        strategy,
        symbol,
        text.number(Decimal(sums.trades)),
        text.number(Decimal(sums.wins)),
        DASH if sums.win_rate_pct is None else text.percent(sums.win_rate_pct).removesuffix(" %"),
        text.amount(sums.fees),
        text.signed(sums.funding),
        table.pnl(sums.net),
        table.pnl(sums.mean_r),
    ]
