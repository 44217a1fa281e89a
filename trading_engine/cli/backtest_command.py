"""`backtest`: what the configured strategies would have made of recorded candles.

What belongs here: the command and what it shows. What does not: the engines and their figures (backtest).
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from trading_engine.backtest.compiled import is_cached
from trading_engine.backtest.job import Engine, Finished, Job, run_job
from trading_engine.backtest.report import JSON_NAME, PAGE_NAME, write_csv, write_json, write_report
from trading_engine.backtest.result import Trade
from trading_engine.backtest.shape import result_shape
from trading_engine.cli import shapes, table, text
from trading_engine.cli.arguments import ConfigOption, FundingOption, JsonOption, overrides, parse_pairs, parse_time
from trading_engine.cli.failure import DONE, FINDINGS, usage
from trading_engine.cli.table import Cell, Column
from trading_engine.cli.text import DASH, count
from trading_engine.domain import money
from trading_engine.domain.money import ZERO
from trading_engine.domain.time import HOUR_MS
from trading_engine.marketdata.candle_store.name import DEFAULT_FOLDER

backtest_app = typer.Typer(rich_markup_mode="rich", add_completion=False)

_EPILOG = """\
Examples:

trading-engine backtest --config configs/paper.yaml --data BTCUSDT=btc.parquet

trading-engine backtest --config configs/paper.yaml --data BTCUSDT=btc.parquet ETHUSDT=eth.parquet
--funding BTCUSDT=funding.parquet --from 2025-05-10 --to 2025-06-10

trading-engine backtest --config configs/paper.yaml --data BTCUSDT=btc.parquet --engine both

trading-engine backtest --config configs/binance.yaml --report

What lies before --from warms the strategies up. --engine both compares every
trade of the two engines; a difference is exit code 1.
"""
_FIGURES = (Column(""), Column("", is_number=True), Column(""))
_GROUPS = (
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
_DIFFERENCES = (Column("POSITION"), Column("FIELD"), Column("FAST"), Column("FULL"))
_SHOWN = 20
_FOLDER = Path("backtest")


_DataOption = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="SYMBOL=FILE",
        help="Recorded candles (Parquet or CSV: ts open high low close volume). Once for each symbol; without any,"
        " all symbols of the configuration from the candle store.",
        show_default=False,
    ),
]
_StoreOption = Annotated[Path, typer.Option("--store", metavar="DIR", help="The candle store (see `data`).")]
_VenueOption = Annotated[
    str,
    typer.Option("--venue", metavar="NAME", help="Whose stored candles; the configuration's.", show_default=False),
]
_StrategyOption = Annotated[
    str, typer.Option("--strategy", metavar="NAME", help="Only this one of the configuration's.", show_default=False)
]
_FromOption = Annotated[
    str, typer.Option("--from", metavar="DATE", help="First candle to trade on (UTC).", show_default=False)
]
_ToOption = Annotated[
    str, typer.Option("--to", metavar="DATE", help="Trade on candles that end by then (UTC).", show_default=False)
]
_EngineOption = Annotated[
    Engine, typer.Option("--engine", help="fast: compiled arrays; full: the live code; both: compared.")
]
_LeverageOption = Annotated[
    str | None, typer.Option("--leverage", metavar="X", help="Instead of the configuration's.", show_default=False)
]
_RiskOption = Annotated[
    str | None, typer.Option("--risk-pct", metavar="PCT", help="Instead of the configuration's.", show_default=False)
]
_OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output", metavar="DIR", help="Write result.json, trades.csv and equity.csv there.", show_default=False
    ),
]
_ReportOption = Annotated[
    bool, typer.Option("--report", help="Write report.html, a page for the browser; into --output or ./backtest.")
]


@backtest_app.command(epilog=_EPILOG)
def backtest(
    *,
    config: ConfigOption,
    data: _DataOption = None,
    funding: FundingOption = None,
    store: _StoreOption = DEFAULT_FOLDER,
    venue: _VenueOption = "",
    strategy: _StrategyOption = "",
    from_time: _FromOption = "",
    to_time: _ToOption = "",
    engine: _EngineOption = Engine.FAST,
    leverage: _LeverageOption = None,
    risk_pct: _RiskOption = None,
    output: _OutputOption = None,
    report: _ReportOption = False,
    as_json: JsonOption = False,
) -> int:
    """Trade recorded candles with the configured strategies, costs and limits.

    The rules are those of the live engine: the same decisions, sizes, stops and
    limits, filled by the embedded exchange of paper trading.
    """
    changes = overrides(mode=None, symbols=None, leverage=leverage, risk_pct=risk_pct)
    files, rates = parse_pairs("--data", data), parse_pairs("--funding", funding)
    job = Job(config, files, rates, store, venue, strategy, *_span(from_time, to_time), engine, changes)
    if engine is not Engine.FULL and not is_cached():
        typer.echo("note: the fast engine is compiled, once for this version; that takes about a minute", err=True)
    with _bar() as progress:
        done = run_job(job, os.environ, progress)
    for remark in done.run.remarks:
        typer.echo(f"note: {remark}", err=True)
    if as_json:
        typer.echo(shapes.dump(_shape(done)))
    else:
        _show(done)
    written = _write(done, output, with_page=report)  # last: a full disk takes nothing of what was waited for
    if written is not None and not as_json:
        typer.echo(f"written: {written}")
    return FINDINGS if done.parity and done.parity.differences else DONE


def _write(done: Finished, output: Path | None, *, with_page: bool) -> Path | None:
    """Write the files that are asked for; the one to open."""
    if output is not None:
        write_json(output / JSON_NAME, done.run)
        write_csv(output, done.run)
    if with_page:
        page = (output or _FOLDER) / PAGE_NAME
        write_report(page, done.run)
        return page
    return None if output is None else output / JSON_NAME


def _span(from_time: str, to_time: str) -> tuple[int, int]:
    first = parse_time("--from", from_time) if from_time else 0
    last = parse_time("--to", to_time) if to_time else 1 << 60
    if first >= last:
        raise usage(f"--from {from_time} is not before --to {to_time}")
    return first, last


def _shape(done: Finished) -> dict[str, object]:
    """The result, and what belongs to this run of it alone."""
    shape = result_shape(done.run) | {
        "missing_candles": {symbol: sum(gap.missing for gap in gaps) for symbol, gaps in done.gaps.items()},
        "handed_over": done.handed_over or None,
        "signals": {"entries": done.signals, "fates": dict(done.fates) or None},
        "timing": {name: round(seconds, 6) for name, seconds in asdict(done.timing).items()},
    }
    if done.parity is not None:
        differences = [asdict(one) for one in done.parity.differences]
        shape["parity"] = {"compared": done.parity.compared, "differences": differences}
    return shape


def _show(done: Finished) -> None:
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
        _show_groups(out, run.outcome.trades)
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


def _show_figures(out: Console, done: Finished) -> None:
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


def _show_groups(out: Console, trades: Sequence[Trade]) -> None:
    groups: dict[tuple[str, str], list[Trade]] = {}
    for trade in trades:
        groups.setdefault((trade.strategy, trade.symbol), []).append(trade)
    rows = [_group_row(*key, groups[key]) for key in sorted(groups)]
    if len(rows) > 1:
        rows.append(_group_row("all", "", trades))
    table.show(out, _GROUPS, rows)


def _group_row(strategy: str, symbol: str, trades: Sequence[Trade]) -> list[Cell | str]:
    won = sum(trade.net_pnl > 0 for trade in trades)
    multiples = [trade.r_multiple for trade in trades if trade.r_multiple is not None]
    return [
        strategy,
        symbol,
        text.number(Decimal(len(trades))),
        text.number(Decimal(won)),
        f"{won / len(trades) * 100:.1f}",
        text.amount(sum((trade.fees for trade in trades), ZERO)),
        text.signed(sum((trade.funding for trade in trades), ZERO)),
        table.pnl(sum((trade.net_pnl for trade in trades), ZERO)),
        table.pnl(money.ratio(sum(multiples, ZERO), Decimal(len(multiples))) if multiples else None),
    ]


def _show_parity(out: Console, done: Finished) -> None:
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


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None] | None]:
    """How far the full engine is, on stderr where somebody watches; nothing unless it runs, also in another's place."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415 - as in simulate

    columns = (SpinnerColumn(), TextColumn("full engine: {task.description}"), TimeElapsedColumn())
    bar = Progress(*columns, console=Console(file=sys.stderr), transient=True)

    def show(done: int, now_ms: int) -> None:
        if not bar.tasks:
            bar.add_task("…", total=None)
            bar.start()
        bar.update(bar.tasks[0].id, description=f"{done:,} candles, {text.moment(now_ms)}")

    try:
        yield show
    finally:
        bar.stop()
