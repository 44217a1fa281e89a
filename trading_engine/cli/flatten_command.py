"""`flatten`: everything is closed, by the engine, or without it when nothing else works.

What belongs here: asking once more, showing each step. What does not: the steps (runtime.commands, runtime.repair).
"""

from pathlib import Path
from typing import Annotated

import typer

from trading_engine.cli.arguments import (
    AcknowledgeOption,
    ActorOption,
    StateOption,
    YesOption,
    ask,
    state_of,
    user,
)
from trading_engine.cli.config_commands import DEFAULT_CONFIG
from trading_engine.cli.failure import DONE, INTERNAL
from trading_engine.cli.running_engine import ask_engine, require_running

flatten_app = typer.Typer(rich_markup_mode="rich", add_completion=False)


@flatten_app.command()
def flatten(
    *,
    direct: Annotated[
        bool, typer.Option("--direct", help="Go to the exchange without the engine and its database.")
    ] = False,
    config: Annotated[
        Path, typer.Option("--config", metavar="FILE", help="With --direct: names exchange and symbols.")
    ] = DEFAULT_CONFIG,
    state: StateOption = None,
    actor: ActorOption = None,
    yes: YesOption = False,
    acknowledge: AcknowledgeOption = "",
) -> int:
    """Close every position and make no entries until `resume`.

    Without --direct the running engine does it: entries are cancelled,
    positions go at the market, stops stay until they are flat. The kill switch
    is at FLATTEN then, over restarts. The same as `echo flatten > STOP`.

    With --direct it is done here and now, for an emergency: engine.db is not
    opened, it may be damaged. Refused (exit 3) while an engine runs, also one
    of another state that trades with the same API key on this machine.

    At a venue entries are cancelled first, positions are closed at the market by
    orders that only reduce, and stops go when their position is gone. It goes on
    for two minutes until two looks show nothing, and says what is left where
    they do not. With mode = live it asks for the sentence that `run` asks for; a
    script names the account it means with --acknowledge.

    The paper exchange trades with the next candle, so a closing order is placed
    here, and the next start fills it and books an external close; until then
    the stops stay. To keep that start from entering anew, `touch STOP` first.
    Exits with 0 when the exchange is flat or every position has its closing
    order, with 70 otherwise.
    """
    directory = state_of(state)
    if not direct:
        require_running(directory, "`flatten --direct` goes to the exchange without it")
        ask("close every position and make no entries until `resume`?", yes=yes)
        typer.echo(ask_engine(directory, {"command": "flatten", "actor": actor or user()}))
        return DONE
    ask("close every position and cancel every order?", yes=yes)
    from trading_engine.runtime import repair  # noqa: PLC0415 - not for a running engine

    is_well = repair.flatten(directory.root, config, typer.echo, acknowledged=acknowledge)
    return DONE if is_well else INTERNAL
