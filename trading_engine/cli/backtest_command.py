"""`backtest`: what the configured strategies would have made of recorded candles.

What belongs here: the command and its JSON. What does not: what a person is shown (backtest_view), the engines and
their figures (backtest).
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from msgspec import structs

from trading_engine.backtest.ahead import Ahead
from trading_engine.backtest.job import Engine, Finished, Job, run_job
from trading_engine.backtest.report import JSON_NAME, PAGE_NAME, remove_report, write_csv, write_json, write_report
from trading_engine.backtest.shape import result_shape
from trading_engine.cli.arguments import ConfigOption, FundingOption, JsonOption, overrides, parse_pairs, parse_time
from trading_engine.cli.failure import DONE, FINDINGS, usage
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.marketdata.candle_store.name import DEFAULT_FOLDER
from trading_engine.system.garbage import rare_collection

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
What was read of --data is kept for the next run in ~/.cache/trading-engine,
at most 2 GiB of it; the folder may be deleted at any time.
"""
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
    _require_folder(output, with_page=report)
    job = Job(config, files, rates, store, venue, strategy, *_span(from_time, to_time), engine, changes)
    table = None if as_json else Ahead(lambda: import_module("trading_engine.cli.backtest_view"))
    with rare_collection(), _bar() as progress:
        done = run_job(job, os.environ, progress, _tell_of_compiling)
    written, failed = None, None
    try:
        written = _write(done, output, with_page=report)  # first: who reads what is printed may go away
    except ConfigInvalid as error:
        failed = error  # a full disk takes nothing of what was waited for
    for remark in done.run.remarks:
        typer.echo(f"note: {remark}", err=True)
    if table is None:
        typer.echo(_indented(_shape(done)))
    else:
        table.result().show(done)
    if failed is not None:
        raise failed
    if written is not None and not as_json:
        typer.echo(f"written: {written}")
    return FINDINGS if done.parity and done.parity.differences else DONE


def _tell_of_compiling() -> None:
    typer.echo("note: the fast engine is compiled, once for this version; that takes about a minute", err=True)


def _indented(shape: dict[str, object]) -> str:
    """As `shapes.dump` gives it, which takes half a second for a year: Python indents by itself, a line at a time."""
    return msgspec.json.format(json.dumps(shape, ensure_ascii=False, allow_nan=False), indent=2)


def _require_folder(output: Path | None, *, with_page: bool) -> None:
    """A usage error where no file can be made in the folder; better now than after minutes. Nothing is made yet."""
    if output is None and not with_page:
        return
    folder = (output or _FOLDER).absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists() or path.is_symlink())
    if not there.is_dir():
        raise usage(f"--output {output or _FOLDER}: {there} is not a folder; name one, or one that can be made")
    if not os.access(there, os.W_OK | os.X_OK):
        raise usage(f"--output {output or _FOLDER}: {there} cannot be written to; name another place")


def _write(done: Finished, output: Path | None, *, with_page: bool) -> Path | None:
    """Write the files that are asked for; the one to open."""
    if output is not None:
        write_json(output / JSON_NAME, done.run)
        write_csv(output, done.run)
        if not with_page and remove_report(output / PAGE_NAME):
            typer.echo(f"note: {output / PAGE_NAME} is removed: it was of an earlier run", err=True)
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
        "timing": {name: round(seconds, 6) for name, seconds in structs.asdict(done.timing).items()},
    }
    if done.parity is not None:
        differences = [structs.asdict(one) for one in done.parity.differences]
        shape["parity"] = {"compared": done.parity.compared, "differences": differences}
    return shape


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None] | None]:
    """How far the full engine is, on stderr where somebody watches; nothing unless it runs, also in another's place."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415 - as in simulate
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415 - as in simulate

    from trading_engine.cli import text  # noqa: PLC0415

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
