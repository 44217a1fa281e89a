"""`soak`: weeks of a market in a short time, with restarts and reconnects, and what the process takes.

What belongs here: options and the display. What does not: the run (simulation.soak).
"""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from trading_engine.cli import shapes, table, text
from trading_engine.cli.arguments import JsonOption
from trading_engine.cli.failure import DONE, FINDINGS
from trading_engine.cli.line import Cell
from trading_engine.cli.table import Column
from trading_engine.simulation.soak import SYMBOLS, Life, Plan, Verdict, soak

soak_app = typer.Typer(rich_markup_mode="rich", add_completion=False)

_LIVES = (
    Column("LIFE", is_number=True),
    Column("DAY", is_number=True),
    Column("ENDED"),
    Column("SECONDS", is_number=True),
    Column("PEAK MB", is_number=True),
    Column("HANDLES", is_number=True),
    Column("DATABASE MB", is_number=True),
)


@soak_app.command("soak")
def run_soak(
    *,
    days: Annotated[float, typer.Option(metavar="D", min=0.5, help="Days of the market.")] = 30.0,
    symbols: Annotated[int, typer.Option(metavar="N", min=1, max=len(SYMBOLS), help="How many symbols.")] = 6,
    restarts: Annotated[int, typer.Option(metavar="N", min=0, help="How often the process is ended.")] = 20,
    wire_minutes: Annotated[
        float, typer.Option("--wire-minutes", metavar="M", min=0, help="Minutes on a venue whose connections break.")
    ] = 5.0,
    seed: Annotated[int, typer.Option(metavar="N", help="Which market.")] = 7,
    folder: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep all here. Default: gone at the end.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Run real engine processes through weeks of a market and look at what they take.

    Ended by SIGKILL and SIGTERM in turn they go on where they were; then one
    trades at a local venue whose connections keep breaking. Memory, handles,
    database, log rotation and the audit are judged; exits with 1 where
    something is not well. Takes minutes.

    Examples: trading-engine soak; trading-engine soak --days 3 --symbols 2
    --restarts 4 --wire-minutes 0
    """
    with tempfile.TemporaryDirectory(prefix="trading-engine-soak.") as scratch:
        chosen = folder if folder is not None else Path(scratch) / "soak"
        verdict = soak(
            Plan(chosen, days, symbols, restarts, seed, wire_minutes), lambda line: typer.echo(line, err=True)
        )
    if as_json:
        typer.echo(shapes.dump(_row(verdict)))
    else:
        _show(verdict)
    return FINDINGS if verdict.failures else DONE


def _row(verdict: Verdict) -> shapes.Row:
    lives = [{"ended": life.ended, "seconds": round(life.seconds, 1), **_taken(life)} for life in verdict.lives]
    wire = verdict.wire
    return {
        "ok": not verdict.failures,
        "days": round(verdict.days, 2),
        "symbols": verdict.symbols,
        "lives": lives,
        "memory_slope_mb": round(verdict.slope_mb, 2),
        "memory_noise_mb": round(verdict.noise_mb, 2),
        "database_mb": [list(item) for item in verdict.db_mb],
        "logs_rotated": verdict.logs_rotated,
        "trades": verdict.trades,
        "wire": None if wire is None else {"ended": wire.ended, **_taken(wire)},
        "reconnects": verdict.reconnects,
        "failures": list(verdict.failures),
    }


def _taken(life: Life) -> shapes.Row:
    return {"peak_mb": round(life.peak_mb, 1), "handles": life.handles}


def _show(verdict: Verdict) -> None:
    out = table.console()
    rows: list[list[Cell | str]] = [
        [
            str(number),
            f"{day:.1f}",
            life.ended,
            f"{life.seconds:.0f}",
            f"{life.peak_mb:.1f}",
            str(life.handles),
            f"{size:.1f}",
        ]
        for number, (life, (day, size)) in enumerate(zip(verdict.lives, verdict.db_mb, strict=True), 1)
    ]
    table.show(out, _LIVES, rows)
    sums = f"{verdict.days:.1f} days, {text.count(verdict.symbols, 'symbol')}, {text.count(verdict.trades, 'trade')}"
    slope = f"memory {verdict.slope_mb:+.1f} MB over all lives (noise {verdict.noise_mb:.1f} MB)"
    table.say(out, f"{sums} · {slope} · {text.count(verdict.logs_rotated, 'log')} put aside")
    if verdict.wire is not None:
        wire = verdict.wire
        taken = f"peak {wire.peak_mb:.1f} MB, {wire.handles} handles, {verdict.reconnects} reconnects"
        table.say(out, f"on the wire: {wire.ended}, {taken}")
    for failure in verdict.failures:
        table.say(out, failure, table.BAD)
    table.say(out, "not well" if verdict.failures else "all is well", table.BAD if verdict.failures else table.GOOD)
