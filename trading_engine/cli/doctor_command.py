"""`doctor`: is this machine, and this state, fit for an engine that nobody watches?

What belongs here: options and the display. What does not: the questions (runtime.doctor).
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from trading_engine.cli import shapes, table
from trading_engine.cli.arguments import JsonOption, StateOption, state_of
from trading_engine.cli.failure import DONE, FINDINGS
from trading_engine.cli.line import Cell
from trading_engine.cli.text import count
from trading_engine.runtime import app
from trading_engine.runtime.doctor import Ailment, examine

doctor_app = typer.Typer(rich_markup_mode="rich", add_completion=False)

_STYLES = {"ok": table.GOOD, "warning": table.ATTENTION, "error": table.BAD}


@doctor_app.command()
def doctor(
    *,
    state: StateOption = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="Also look at keys, venue and alerts.", show_default=False),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the venue.", show_default=False)] = False,
    as_json: JsonOption = False,
) -> int:
    """Look for whatever could keep an engine from running for months, and say what to do about it.

    Python, packages, SQLite, clock, disk and its flushes, permissions, lock,
    database, STOP file, keys, the venue, alerts, systemd. Nothing is changed
    and no order is sent. Exits with 1 where an error was found.

    Examples: trading-engine doctor; trading-engine doctor --config live.yaml
    """
    found = examine(state_of(state), config, os.environ, ask_venue=None if offline else app.rehearse)
    errors = sum(item.level == "error" for item in found)
    warnings = sum(item.level == "warning" for item in found)
    if as_json:
        rows = [
            {"level": item.level, "subject": item.subject, "text": item.text, "remedy": item.remedy} for item in found
        ]
        typer.echo(shapes.dump({"ok": not errors, "errors": errors, "warnings": warnings, "findings": rows}))
    else:
        _show(found, errors, warnings)
    return FINDINGS if errors else DONE


def _show(found: list[Ailment], errors: int, warnings: int) -> None:
    out = table.console()
    for item in found:
        level = Cell(f"{item.level:<8}", _STYLES[item.level])
        table.say(out, table.line(level, Cell(f"{item.subject}:"), item.text))
        if item.remedy and item.level != "ok":
            table.say(out, table.line(Cell("        →", table.ASIDE), item.remedy))
    verdict = "not fit" if errors else "fit, with an eye on it" if warnings else "fit"
    style = table.BAD if errors else table.ATTENTION if warnings else table.GOOD
    table.say(out, f"{verdict} · {count(errors, 'error')}, {count(warnings, 'warning')}", style)
