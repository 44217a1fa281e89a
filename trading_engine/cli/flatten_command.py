"""`flatten --direct`: the way out when nothing else works.

What belongs here: asking once more, showing each step. What does not: the steps (runtime.repair).
"""

from pathlib import Path
from typing import Annotated

import typer

from trading_engine.cli.arguments import AcknowledgeOption, StateOption, ask, state_of
from trading_engine.cli.config_commands import DEFAULT_CONFIG
from trading_engine.cli.failure import DONE, INTERNAL, usage

flatten_app = typer.Typer(rich_markup_mode="rich", add_completion=False)


@flatten_app.command()
def flatten(
    *,
    direct: Annotated[
        bool, typer.Option("--direct", help="Go to the exchange without the engine and its database. Required.")
    ] = False,
    config: Annotated[
        Path, typer.Option("--config", metavar="FILE", help="Configuration that names exchange and symbols.")
    ] = DEFAULT_CONFIG,
    state: StateOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    acknowledge: AcknowledgeOption = "",
) -> int:
    """Close every position of the configured symbols and cancel every order, at once.

    For an emergency: engine.db is not opened, it may be damaged. Refused (exit 3)
    while an engine runs: `echo flatten > STOP` tells that one.

    At a venue entries are cancelled first, positions are closed at the market by
    orders that only reduce, and stops go when their position is gone. It goes on
    for two minutes until two looks show nothing, and says what is left where
    they do not. With mode = live it asks for the sentence that `run` asks for; a
    script names the account it means with --acknowledge.

    The paper exchange trades with the next candle, so a closing order is placed
    here, and the next start fills it and books an external close; until then the
    stops stay. To keep that start from entering anew, `touch STOP` first. Exits with 0 when the exchange is
    flat or every position has its closing order, with 70 otherwise.
    """
    if not direct:
        raise usage("flatten needs --direct; a running engine is told with `echo flatten > STOP`")
    ask("close every position and cancel every order?", yes=yes)
    from trading_engine.runtime import repair  # noqa: PLC0415 - not for a usage error

    is_well = repair.flatten(state_of(state).root, config, typer.echo, acknowledged=acknowledge)
    return DONE if is_well else INTERNAL
