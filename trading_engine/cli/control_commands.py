"""`resume`: an operator's word to the engine, whether it runs or not.

What belongs here: finding out who is to be told, and the answer. What does not: what resuming does (core).
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from trading_engine.cli.arguments import StateOption, state_of, user
from trading_engine.cli.failure import NOT_RUNNING, REFUSED, CommandFailed
from trading_engine.system.single_instance import holder
from trading_engine.system.state_dir import StateDir
from trading_engine.system.stop_file import StopFile

resume_app = typer.Typer(rich_markup_mode="rich", add_completion=False)

DEFAULT_STOP_FILE = Path("STOP")


@resume_app.command()
def resume(
    *,
    state: StateOption = None,
    actor: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Who resumes, for the journal. Default: the user's name.", show_default=False
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="Where kill_switch.file is not ./STOP: the configuration that names it.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Release the kill switch; the drawdown's peak and the losing streak count anew.

    Also releases frozen symbols and a running pause (losing streak, cooldown); with
    none of them it changes nothing. Works while the engine is down. Refused (exit 3)
    as long as the STOP file is there.
    """
    directory = state_of(state)
    who = actor or user()
    if holder(directory.lock) is not None:
        typer.echo(ask_engine(directory, {"command": "resume", "actor": who}))
        return
    _refuse_if_stopped(config)
    from trading_engine.runtime import offline  # noqa: PLC0415 - a running engine needs none of it

    typer.echo(offline.resume(directory.root, who))


def ask_engine(directory: StateDir, message: Mapping[str, object]) -> str:
    """Its answer to a command; CommandFailed where it does not answer (exit 4) or refuses (exit 3)."""
    from trading_engine.runtime.control import EngineNotRunning, request  # noqa: PLC0415 - as above

    try:
        answer = request(directory.root, message)
    except EngineNotRunning as error:
        raise CommandFailed(f"{error}; it may be starting or stopping: try again", NOT_RUNNING) from error
    said = str(answer.get("message", ""))
    if not answer.get("ok"):
        raise CommandFailed(said, REFUSED)
    return said


def _refuse_if_stopped(config: Path | None) -> None:
    path = DEFAULT_STOP_FILE.absolute()
    if config is not None:
        from trading_engine.config import load_config  # noqa: PLC0415 - most need no configuration

        path = load_config(config, {}, os.environ, Path(".env")).kill_switch.file.absolute()
    if StopFile(path).read() is not None:
        raise CommandFailed(f"{path} is still there; remove it, then resume", REFUSED)
