"""`arm`: an operator's word for a service that trades real money without a terminal.

What belongs here: asking, and showing what was said. What does not: the record (runtime.arming).
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from trading_engine.cli import shapes
from trading_engine.cli.arguments import JsonOption, StateOption, state_of, user
from trading_engine.cli.failure import DONE, REFUSED, CommandFailed, usage
from trading_engine.config.model import Config
from trading_engine.domain.time import iso
from trading_engine.system.state_dir import StateDir

arm_app = typer.Typer(rich_markup_mode="rich", add_completion=False)

_EPILOG = """\
Examples:

trading-engine arm --config configs/live.yaml --state state/live

trading-engine arm --show --config configs/live.yaml --state state/live

trading-engine arm --revoke --state state/live
"""


@arm_app.command(epilog=_EPILOG)
def arm(
    *,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="The configuration that may trade.", show_default=False),
    ] = None,
    state: StateOption = None,
    show: Annotated[
        bool, typer.Option("--show", help="Show the record, and with --config whether it still counts (exit 3).")
    ] = False,
    revoke: Annotated[bool, typer.Option("--revoke", help="Take it back; a running engine runs on.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Let a service trade real money with this configuration, as it is now.

    Asks for the sentence that `run` asks for on a terminal, and writes a record
    bound to the configuration's hash, its venue and its account. With mode = live
    and no terminal (systemd) `run` starts with a matching record only. A changed
    configuration must be armed again; a rotated key need not.
    """
    directory = state_of(state)
    if show and revoke:
        raise usage("--show and --revoke exclude each other")
    if show:
        return _show(directory, config, as_json=as_json)
    if revoke:
        return _revoke(directory)
    if config is None:
        raise usage("arm needs --config FILE (or --show, or --revoke)")
    return _arm(directory, config)


def _arm(state: StateDir, path: Path) -> int:
    from trading_engine.runtime import arming  # noqa: PLC0415 - loads the venues; showing does without
    from trading_engine.runtime.acknowledgement import acknowledge, is_real_money  # noqa: PLC0415
    from trading_engine.system.clock import SystemClock  # noqa: PLC0415
    from trading_engine.system.state_dir import prepare  # noqa: PLC0415

    config = _load(path)
    if not is_real_money(config):
        where = "its venue is a server on this machine" if config.mode == "live" else f"mode = {config.mode}"
        typer.echo(f"{path}: {where}, which needs no arming; nothing was written")
        return DONE
    acknowledge(config, "lets a service trade")
    made = arming.arm(prepare(state), config, user(), SystemClock().now_ms())
    typer.echo(f"armed: {made.venue}/{made.account} with {path} (hash {made.config_hash}), by {made.actor}")
    return DONE


def _show(state: StateDir, path: Path | None, *, as_json: bool) -> int:
    from trading_engine.runtime import arming  # noqa: PLC0415 - as above

    made = arming.read(state)
    why = "" if path is None else _refusal(state, path)
    if as_json:
        typer.echo(shapes.dump(_as_json(made, why, is_asked=path is not None)))
    elif made is None:
        typer.echo(f"nothing is armed in {state.root}")
    else:
        typer.echo(
            f"{made.venue}/{made.account} was armed by {made.actor} at {iso(made.armed_ms)}, hash {made.config_hash}"
        )
        if path is not None and not why:
            typer.echo(f"{path} may start without a terminal")
    if why:
        raise CommandFailed(why, REFUSED)
    return DONE


def _refusal(state: StateDir, path: Path) -> str:
    from trading_engine.runtime import arming  # noqa: PLC0415 - as above
    from trading_engine.runtime.acknowledgement import is_real_money  # noqa: PLC0415 - as above

    config = _load(path)
    return arming.refusal(state, config, path) if is_real_money(config) else ""


def _as_json(made: object, why: str, *, is_asked: bool) -> dict[str, object]:
    from trading_engine.runtime.arming import Arming  # noqa: PLC0415 - as above

    if not isinstance(made, Arming):
        return {"armed": False, "matches": False if is_asked and why else None}
    return {
        "armed": True,
        "venue": made.venue,
        "account": made.account,
        "config_hash": made.config_hash,
        "actor": made.actor,
        "armed_at": shapes.time(made.armed_ms),
        "matches": not why if is_asked else None,
    }


def _revoke(state: StateDir) -> int:
    from trading_engine.runtime import arming  # noqa: PLC0415 - as above

    typer.echo("disarmed" if arming.revoke(state) else f"nothing is armed in {state.root}")
    return DONE


def _load(path: Path) -> Config:
    from trading_engine.config import load_config  # noqa: PLC0415 - as above

    return load_config(path, {}, os.environ, Path(".env"))
