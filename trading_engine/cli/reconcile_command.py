"""`reconcile --plan`: what reconciliation would find and do.

What belongs here: showing the plan. What does not: making it (runtime.offline), acting on it (the engine).
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from trading_engine.cli import shapes, table
from trading_engine.cli.arguments import JsonOption, StateOption, state_of
from trading_engine.cli.config_commands import DEFAULT_CONFIG
from trading_engine.cli.failure import usage
from trading_engine.cli.table import Column
from trading_engine.cli.text import DASH, count

reconcile_app = typer.Typer(rich_markup_mode="rich", add_completion=False)

_COLUMNS = (Column("KIND"), Column("SYMBOL"), Column("HERE"), Column("EXCHANGE"), Column("ACTION"))


@reconcile_app.command()
def reconcile(
    *,
    config: Annotated[
        Path, typer.Option("--config", metavar="FILE", help="Configuration the engine runs with.")
    ] = DEFAULT_CONFIG,
    state: StateOption = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print differences and actions without acting. Required.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print where this state and the exchange differ, and what the engine would do about it."""
    if not plan:
        raise usage(
            "reconcile needs --plan: a running engine reconciles by itself, at its start, after every "
            "reconnect and every execution.reconcile_interval_s"
        )
    from trading_engine.runtime import offline  # noqa: PLC0415 - not for a usage error

    differences = [asdict(item) for item in offline.plan(state_of(state).root, config)]
    if as_json:
        typer.echo(shapes.dump({"differences": differences}))
        return
    out = table.console()
    keys = ("kind", "symbol", "local", "venue", "action")
    if differences:
        table.show(out, _COLUMNS, [[item[key] or DASH for key in keys] for item in differences])
    table.say(out, f"{count(len(differences), 'difference')}" if differences else "state and exchange agree")
