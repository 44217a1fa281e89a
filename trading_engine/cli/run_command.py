"""`run`: start the engine and say afterwards what came of it.

What belongs here: options of a run, the progress bar. What does not: the run itself (runtime), the summary's
content (summary).
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from msgspec import structs

from trading_engine.cli.arguments import (
    ConfigOption,
    FundingOption,
    ReplayOption,
    StateOption,
    check_seed,
    overrides,
    parse_pairs,
    parse_speed,
    state_of,
)
from trading_engine.cli.config_commands import EXIT_INVALID
from trading_engine.cli.failure import DONE
from trading_engine.domain.time import iso
from trading_engine.runtime.app import RunOptions
from trading_engine.runtime.app import rehearse as rehearse_run
from trading_engine.runtime.app import run as run_engine
from trading_engine.system.redaction import redact
from trading_engine.system.state_dir import StateDir

run_app = typer.Typer(rich_markup_mode="rich", add_completion=False)

Progress = Callable[[int, int, int], None]

_EXAMPLES = """\
Examples:

trading-engine run --config configs/demo.yaml

trading-engine run --config configs/paper.yaml --replay BTCUSDT=btc.parquet --speed 60

trading-engine run --config configs/binance.yaml --signals-only --state state/watching
"""


@run_app.command(epilog=_EXAMPLES)
def run(
    context: typer.Context,
    *,
    config: ConfigOption,
    mode: Annotated[
        str | None,
        typer.Option(metavar="MODE", help="paper, testnet or live. Replaces mode.", show_default=False),
    ] = None,
    state: StateOption = None,
    replay: ReplayOption = None,
    funding: FundingOption = None,
    speed: Annotated[
        str,
        typer.Option(
            metavar="max|FACTOR",
            help="max: virtual time, ends with the data. 60: a minute of market in a second.",
        ),
    ] = "max",
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Synthetic market to draw where no candles are given (default: demo.seed). On a new state it also"
            " sets the epoch that order ids begin with, so that equal runs give equal ids.",
            show_default=False,
        ),
    ] = None,
    symbol: Annotated[
        list[str] | None,
        typer.Option(metavar="S", help="Trade only this symbol. May be repeated.", show_default=False),
    ] = None,
    leverage: Annotated[str | None, typer.Option(metavar="X", help="Replaces leverage.", show_default=False)] = None,
    risk_pct: Annotated[
        str | None,
        typer.Option("--risk-pct", metavar="P", help="Replaces sizing.risk_pct, percent.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, print the plan, send nothing.")] = False,
    signals_only: Annotated[
        bool,
        typer.Option(
            "--signals-only",
            help="Run on in any mode, send nothing: write each signal down with what would have been ordered."
            " Needs no arming; refused (exit 3) while anything of ours is open.",
        ),
    ] = False,
) -> int:
    """Run the engine until the data ends or SIGTERM or SIGINT stops it.

    A second run on the same state directory continues after the last candle
    that was processed. Positions left open keep their resting stops.
    """
    directory = state_of(state)
    context.obj.log_file = directory.logs / "engine.jsonl"
    options = RunOptions(
        config_path=config,
        state_dir=directory.root,
        replay=parse_pairs("--replay", replay),
        funding=parse_pairs("--funding", funding),
        speed=parse_speed(speed),
        seed=check_seed(seed),
        overrides=overrides(mode=mode, symbols=symbol, leverage=leverage, risk_pct=risk_pct),
        dry_run=dry_run,
        signals_only=signals_only,
        debug=context.obj.debug,
    )
    return _rehearse(options, directory) if dry_run else _perform(options, directory)


def _rehearse(options: RunOptions, state: StateDir) -> int:
    """Check everything a run would, then print the plan."""
    from trading_engine.cli.findings import has_errors, print_findings  # noqa: PLC0415 - a run does without

    run_engine(options)
    found = rehearse_run(options)
    print_findings(found, f"dry run: would run on {state.root}; nothing was sent")
    return EXIT_INVALID if has_errors(found) else DONE


def _perform(options: RunOptions, state: StateDir) -> int:
    with _progress_bar(options.speed) as progress:
        code = run_engine(structs.replace(options, on_progress=progress, on_notice=_warn))
    if code == DONE:
        from trading_engine.cli.summary import print_summary  # noqa: PLC0415 - not before the run is over

        print_summary(state.root)
    return code


def _warn(text: str) -> None:
    """What a person should know at the start, above the progress bar."""
    sys.stderr.write(f"warning: {redact(text)}\n")
    sys.stderr.flush()


@contextmanager
def _progress_bar(speed: float | None) -> Iterator[Progress | None]:
    """A bar on stderr for a run in virtual time that somebody watches; otherwise nothing."""
    if speed is not None or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415 - a service does without
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (
        TextColumn("{task.fields[market]}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=Console(file=sys.stderr), transient=True)
    task = bar.add_task("", market="", total=None)

    def show(done: int, total: int, ts_ms: int) -> None:
        bar.start()  # not before: a market that is live has no end, and its log has the screen
        bar.update(task, completed=done, total=total, market=iso(ts_ms)[:16].replace("T", " "))

    try:
        yield show
    finally:
        bar.stop()
