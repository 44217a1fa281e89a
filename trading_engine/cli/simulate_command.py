"""`simulate`: live through thousands of faulty worlds and say what broke.

What belongs here: the command and what it shows. What does not: the simulation.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Annotated

import typer

from trading_engine.cli import shapes, table
from trading_engine.cli.arguments import JsonOption
from trading_engine.cli.failure import DONE, FINDINGS, usage
from trading_engine.cli.line import Cell
from trading_engine.cli.table import Column
from trading_engine.cli.text import count
from trading_engine.simulation import runner, sequences
from trading_engine.simulation.runner import Hunt, Report

simulate_app = typer.Typer(rich_markup_mode="rich", add_completion=False)

_SHOWN = 3
_EPILOG = """\
Examples:

trading-engine simulate --seeds 1..300

trading-engine simulate --seeds 1..10000 --jobs 4 --json

trading-engine simulate --seeds 17 --timeline

trading-engine simulate --sequences 2

trading-engine simulate --mutants
"""


@simulate_app.command(epilog=_EPILOG)
def simulate(
    *,
    seeds: Annotated[
        str, typer.Option(metavar="A..B", help="One world a seed; a single number is one world.")
    ] = "1..100",
    profile: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What goes wrong: everything, network, crashes, storage, stops, midnight, restore, clock, strangers"
            " or calm.",
        ),
    ] = "everything",
    jobs: Annotated[int, typer.Option(metavar="N", min=1, help="Processes to use.")] = os.cpu_count() or 1,
    show_timeline: Annotated[
        bool, typer.Option("--timeline", help="Print everything that happens in one seed.")
    ] = False,
    sequences_of: Annotated[
        int,
        typer.Option(
            "--sequences", metavar="N", min=0, max=3, help="Every sequence of up to N faults over a short story."
        ),
    ] = 0,
    sample: Annotated[
        int, typer.Option(metavar="N", min=0, help="With --sequences: only N of them, spread by chance. 0 for all.")
    ] = 0,
    mutants: Annotated[
        bool, typer.Option("--mutants", help="Break the engine on purpose; each break must be noticed.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Run the engine in worlds where network, venue, disk and process fail, and check every promise.

    Nothing is read from or written to a state directory. Equal seeds give equal
    journals. Exit code 1 where a promise was broken or a mutant survived.
    """
    if mutants:
        return _hunt(jobs, as_json=as_json)
    if sequences_of:
        chosen = list(sequences.sequences(sequences_of))
        if sample:
            chosen = Random(0).sample(chosen, min(sample, len(chosen)))  # noqa: S311 - the same sample every time
        with _bar("sequences") as progress:
            return _report(runner.enumerate_sequences(chosen, jobs, progress), "sequence", as_json=as_json)
    first, last = _span(seeds)
    if show_timeline:
        for text in runner.timeline(first, profile):
            typer.echo(text)
        return DONE
    with _bar("seeds") as progress:
        report = runner.simulate(range(first, last + 1), profile, jobs, progress)
    return _report(report, "seed", as_json=as_json)


def _span(text: str) -> tuple[int, int]:
    first, dots, last = text.partition("..")
    if not first.isdecimal() or (dots and not last.isdecimal()):
        raise usage(f"--seeds {text}: expected a number, or two like 1..300")
    span = int(first), int(last or first)
    if span[0] > span[1]:
        raise usage(f"--seeds {text}: the first is greater than the last")
    return span


def _report(report: Report, noun: str, *, as_json: bool) -> int:
    if as_json:
        typer.echo(shapes.dump(_shape(report)))
    else:
        _show(report, noun)
    return FINDINGS if report.failures else DONE


def _shape(report: Report) -> dict[str, object]:
    return {
        "seeds": report.seeds,
        "violations": [
            {"seed": item.name, "invariant": item.invariant, "text": item.text, "timeline": item.timeline}
            for item in report.failures
        ],
        "simulated_hours": round(report.simulated_hours, 2),
        "trades": report.trades,
        "starts": report.starts,
        "crashes": report.crashes,
        "crash_points": dict(sorted(report.crash_points.items())),
        "faults": dict(sorted(report.faults.items())),
        "seconds": round(report.seconds, 1),
        "seeds_per_s": round(report.seeds_per_s, 2),
        "journal_hash": report.journal_hash,
    }


def _show(report: Report, noun: str) -> None:
    out = table.console()
    for failure in report.failures[:_SHOWN]:
        table.say(out, f"{noun} {failure.name}: {failure.invariant}: {failure.text}", table.BAD)
        for text in failure.timeline:
            table.say(out, text, table.ASIDE)
    columns = (
        Column("DIED AT"),
        Column("TIMES", is_number=True),
        Column("WENT WRONG"),
        Column("TIMES", is_number=True),
    )
    died = [(name, str(times)) for name, times in sorted(report.crash_points.items()) if times]
    wrong = [(name, str(times)) for name, times in sorted(report.faults.items())]
    length = max(len(died), len(wrong))
    died += [("", "")] * (length - len(died))
    wrong += [("", "")] * (length - len(wrong))
    if length:
        table.show(out, columns, [(*left, *right) for left, right in zip(died, wrong, strict=True)])
        table.say(out, "")
    hours = f"{report.simulated_hours:,.0f} simulated hours"
    table.say(
        out, f"{count(report.seeds, noun)}, {hours}, {count(report.trades, 'fill')}, {count(report.starts, 'start')}"
    )
    table.say(out, f"{report.seeds_per_s:.1f} {noun}s/s · journals {report.journal_hash[:16]}")
    broken = len(report.failures)
    if broken:
        table.say(out, f"{count(broken, 'broken promise')}; see docs/invariants.md for the numbers", table.BAD)
    else:
        table.say(out, "every promise was kept", table.GOOD)


def _hunt(jobs: int, *, as_json: bool) -> int:
    with _bar("mutants") as progress:
        found = runner.hunt(jobs, on_progress=progress)
    if as_json:
        rows = [
            {"name": one.name, "found": one.found, "seeds_to_find": one.seeds_to_find, "invariant": one.invariant}
            for one in found
        ]
        typer.echo(shapes.dump({"mutants": rows}))
    else:
        _show_hunt(found)
    return DONE if all(one.found for one in found) else FINDINGS


def _show_hunt(found: list[Hunt]) -> None:
    out = table.console()
    columns = (Column("MUTANT"), Column("NOTICED"), Column("SEEDS", is_number=True), Column("BY"))
    rows: list[list[Cell | str]] = [
        [
            one.name,
            Cell("yes", table.GOOD) if one.found else Cell("SURVIVED", table.BAD),
            str(one.seeds_to_find),
            one.invariant,
        ]
        for one in found
    ]
    table.show(out, columns, rows)
    alive = sum(1 for one in found if not one.found)
    table.say(
        out,
        f"{count(alive, 'mutant')} survived" if alive else "every mutant was noticed",
        table.BAD if alive else table.GOOD,
    )


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on stderr where somebody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415 - scripts do without
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield show
