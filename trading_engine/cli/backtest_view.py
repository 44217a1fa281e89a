"""A backtest in the terminal: figures, groups of trades, parity.

What belongs here: the tables and lines below `backtest`. What does not: its JSON (backtest_command), the figures.
"""

from decimal import Decimal

from trading_engine.backtest.job import Finished
from trading_engine.cli import table, text
from trading_engine.cli.groups_table import show_groups
from trading_engine.cli.line import Cell
from trading_engine.cli.table import Column, Out
from trading_engine.cli.text import DASH, count
from trading_engine.domain import money
from trading_engine.domain.time import HOUR_MS

_FIGURES = (Column(""), Column("", is_number=True), Column(""))
_DIFFERENCES = (Column("POSITION"), Column("FIELD"), Column("FAST"), Column("FULL"))
_SHOWN = 20


def show(done: Finished) -> None:
    """Span and figures, trades by strategy and symbol, what the comparison of the engines says, times and hashes."""
    out = table.console()
    run = done.run
    market, gaps = run.market, sum(gap.missing for gaps in done.gaps.values() for gap in gaps)
    missing = f", {count(gaps, 'candle')} missing" if gaps else ""
    table.say(
        out,
        f"{', '.join(market.symbols)}: {text.moment(market.first_ms)} to {text.moment(market.last_ms)} UTC,"
        f" {count(market.rows, 'candle')}{missing}",
    )
    _show_figures(out, done)
    if run.outcome.trades:
        table.say(out, "")
        show_groups(out, run.outcome.trades)
    table.say(out, "")
    _show_parity(out, done)
    timing = done.timing
    table.say(
        out,
        f"{run.outcome.engine} engine · data {timing.load_s:.2f} s, strategies {timing.indicators_s:.2f} s,"
        f" compiler {timing.compile_s:.2f} s, run {timing.run_s:.3f} s, figures {timing.result_s:.2f} s"
        f" · data {run.dataset_hash[:12]}, config {run.config_hash}, code {run.code_version}",
        table.ASIDE,
    )


def _show_figures(out: Out, done: Finished) -> None:
    told = done.run.metrics
    costs = f"gross {text.signed(told.gross_pnl)}, fees {text.amount(told.fees)}, funding {text.signed(told.funding)}"
    longest = text.duration(int(told.longest_drawdown_hours * HOUR_MS))
    ratios = f"Sortino {_ratio(told.sortino_ratio)}, Calmar {_ratio(told.calmar_ratio)}"
    state = f"equity {text.amount(told.final_equity)}, {_open(told.open_positions)}"
    rows: list[list[Cell | str]] = [
        ["start balance", text.amount(told.initial_balance), ""],
        ["final balance", text.amount(told.final_balance), state],
        ["net PnL", table.pnl(told.total_pnl), costs],
        ["return", _percent(told.return_pct), f"a year at this pace {_percent(told.cagr_pct).text}"],
        ["buy and hold", _percent(told.buy_and_hold_pct), f"drawdown {_percent(told.buy_and_hold_drawdown_pct).text}"],
        ["max drawdown", _percent(told.max_drawdown_pct), f"longest {longest}"],
        ["Sharpe", _ratio(told.sharpe_ratio), ratios],
        ["trades", text.number(Decimal(told.total_trades)), _won(done)],
        [
            "exposure",
            _percent(told.exposure_pct, is_signed=False),
            f"turnover {told.turnover:,.1f} × the start balance",
        ],
    ]
    if told.open_positions:
        booked = f"booked so far {text.signed(told.booked_open)}, open PnL {text.signed(told.unrealized_pnl)}"
        rows.insert(3, ["open positions", text.number(Decimal(told.open_positions)), booked])
    rows.insert(-1, ["signals", text.number(Decimal(done.signals)), _fates(done)])
    if done.run.ambiguous:
        which = "ended in a candle with both their stop and their target; the worse was taken"
        rows.append(["ambiguous", text.number(Decimal(len(done.run.ambiguous))), which])
    table.show(out, _FIGURES, rows, has_heading=False)


def _fates(done: Finished) -> str:
    """What became of the signals for an entry: told by the full engine, or as many as have become positions."""
    if done.fates:
        return ", ".join(f"{many:,} {fate}" for fate, many in done.fates.items())
    made = done.run.metrics.total_trades + done.run.metrics.open_positions
    return f"for an entry; {made:,} became positions" if done.signals else ""


def _open(many: int) -> str:
    return f"{count(many, 'position')} open" if many else "flat"


def _percent(value: float | None, *, is_signed: bool = True) -> Cell:
    if value is None:
        return Cell(DASH)
    exact = money.from_float(value)
    told = text.percent(exact, 2)
    if not is_signed:
        return Cell(told)
    return Cell(("+" if value > 0 else "") + told, table.GOOD if value > 0 else table.BAD if value < 0 else "")


def _ratio(value: float | None) -> str:
    return DASH if value is None else text.signed(money.from_float(value))


def _won(done: Finished) -> str:
    told = done.run.metrics
    if told.win_rate is None:
        return "none closed"
    parts = [f"{told.winning_trades} won, {told.losing_trades} lost", f"win rate {told.win_rate:.1f} %"]
    if told.profit_factor is not None:
        parts.append(f"profit factor {told.profit_factor:.2f}")
    return ", ".join(parts)


def _show_parity(out: Out, done: Finished) -> None:
    parity = done.parity
    if parity is None:
        return
    if done.handed_over:
        table.say(out, "nothing was compared: only the full engine ran", table.ATTENTION)
    elif not parity.differences:
        table.say(out, f"both engines agree on all of {count(parity.compared, 'trade')} and the equity", table.GOOD)
    else:
        rows = [[one.position or DASH, one.field, one.fast, one.full] for one in parity.differences[:_SHOWN]]
        table.show(out, _DIFFERENCES, rows)
        more = len(parity.differences) - len(rows)
        told = (
            f"{count(len(parity.differences), 'difference')} between the engines{f', {more} not shown' if more else ''}"
        )
        table.say(out, told, table.BAD)
