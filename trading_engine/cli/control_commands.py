"""An operator's words to the engine: `pause`, `resume`, `close`, `cancel`, `reload`.

What belongs here: the commands, and asking twice before something is destroyed. What does not: reaching the engine
(running_engine), what a word does (core), what makes no sense (runtime.commands).
"""

import os
import re
from pathlib import Path
from typing import Annotated

import typer

from trading_engine.cli.arguments import ActorOption, StateOption, YesOption, ask, state_of, user
from trading_engine.cli.failure import REFUSED, CommandFailed, usage
from trading_engine.cli.running_engine import ask_engine, ask_engine_or, require_running
from trading_engine.domain.control import pause_key
from trading_engine.system.state_dir import StateDir
from trading_engine.system.stop_file import StopFile

pause_app = typer.Typer(rich_markup_mode="rich", add_completion=False)
resume_app = typer.Typer(rich_markup_mode="rich", add_completion=False)
close_app = typer.Typer(rich_markup_mode="rich", add_completion=False)
cancel_app = typer.Typer(rich_markup_mode="rich", add_completion=False)
reload_app = typer.Typer(rich_markup_mode="rich", add_completion=False)

DEFAULT_STOP_FILE = Path("STOP")
_SYMBOL = re.compile(r"[A-Z0-9]+")

_NameArgument = Annotated[
    str | None,
    typer.Argument(metavar="[SYMBOL|STRATEGY]", help="Only this symbol, or this strategy.", show_default=False),
]


@pause_app.command()
def pause(name: _NameArgument = None, *, state: StateOption = None, actor: ActorOption = None) -> None:
    """Make no entries until `resume`: on any symbol, on one, or by one strategy.

    Entries that have not filled are cancelled; positions are managed as ever, and
    keep their stops. A pause survives restarts, and its end counts no limit anew.
    Works while the engine is down.
    """
    named, directory, who = _given(name), state_of(state), actor or user()
    message = {"command": "pause", "name": named, "actor": who}
    typer.echo(ask_engine_or(lambda: _while_down(directory, named, who, is_paused=True), directory, message))


@resume_app.command()
def resume(
    name: _NameArgument = None,
    *,
    state: StateOption = None,
    actor: ActorOption = None,
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
    """Release the kill switch or a pause. Or, with a name, the pause of a symbol or strategy.

    A released kill switch, frozen symbol or running limit (drawdown, losing
    streak, cooldown) also lets peak and streak count anew; the end of a pause
    does not. Works while the engine is down. Refused (exit 3) as long as the
    STOP file is there.
    """
    named, directory, who = _given(name), state_of(state), actor or user()

    def while_down() -> str:
        if named:
            return _while_down(directory, named, who, is_paused=False)
        _refuse_if_stopped(config)
        from trading_engine.runtime import offline  # noqa: PLC0415 - a running engine needs none of it

        return offline.resume(directory.root, who)

    typer.echo(ask_engine_or(while_down, directory, {"command": "resume", "name": named, "actor": who}))


@close_app.command()
def close(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="As BTCUSDT.")],
    *,
    state: StateOption = None,
    actor: ActorOption = None,
    yes: YesOption = False,
) -> None:
    """Close the position on a symbol at the market; its stop stays until it is flat.

    An entry that has not filled is cancelled instead. A strategy may enter
    again with its next signal: `pause SYMBOL` before, where it shall not.
    """
    directory = _running(state)
    ask(f"close the position on {symbol} at the market?", yes=yes)
    typer.echo(ask_engine(directory, {"command": "close", "symbol": symbol, "actor": actor or user()}))


@cancel_app.command()
def cancel(
    order: Annotated[str, typer.Argument(metavar="ORDER", help="The client's or the venue's id, as `orders` shows.")],
    *,
    state: StateOption = None,
    actor: ActorOption = None,
    yes: YesOption = False,
) -> None:
    """Cancel an entry, a partial or a target.

    Stops and exits are refused: a position is never without its stop. A target
    that is cancelled is not placed again; the stop, the strategy and you are
    left.
    """
    directory = _running(state)
    ask(f"cancel the order {order}?", yes=yes)
    typer.echo(ask_engine(directory, {"command": "cancel", "order": order, "actor": actor or user()}))


@reload_app.command()
def reload(*, state: StateOption = None, actor: ActorOption = None) -> None:
    """Go on with the configuration as its file is now (the same as SIGHUP).

    It is checked as a whole first: a mistake changes nothing. risk, sizing,
    exits, execution and reconciliation may change; whatever else differs is
    named and refused (exit 3), for it needs a restart. With mode = live the
    changed configuration must have been armed.
    """
    typer.echo(ask_engine(_running(state), {"command": "reload", "actor": actor or user()}))


def _running(state: Path | None) -> StateDir:
    directory = state_of(state)
    require_running(directory, "start it, or name its state with --state DIR")
    return directory


def _given(name: str | None) -> str:
    """The name, empty where none was given. An empty one, as a script's variable may be, does not mean everything."""
    if name is not None and not name.strip():
        raise usage("the name is empty; without any it would be everything: leave it away if that is meant")
    return name or ""


def _while_down(directory: StateDir, name: str, actor: str, *, is_paused: bool) -> str:
    """Capitals are a symbol, anything else a strategy."""
    from trading_engine.runtime import offline  # noqa: PLC0415 - a running engine needs none of it

    is_symbol = not name or _SYMBOL.fullmatch(name) is not None
    if name:
        _require_known(directory, name, is_symbol=is_symbol)
    if is_symbol:
        return offline.pause(directory.root, name, is_paused=is_paused, actor=actor)
    return offline.switch(directory.root, name, is_enabled=not is_paused, actor=actor)


def _require_known(directory: StateDir, name: str, *, is_symbol: bool) -> None:
    """CommandFailed (exit 3) for a name that means nothing here: as if it were paused, and it is not."""
    from trading_engine.cli.strategy_command import strategy_names  # noqa: PLC0415 - loads the strategies
    from trading_engine.store.read_models import Reader  # noqa: PLC0415 - as above

    if not directory.database.exists():
        return  # said by whoever opens it
    with Reader.open(directory.database) as reader:
        view = reader.control()
    seen = view.checkpoint
    symbols = {*(item.symbol for item in seen.gates), *(symbol for symbol, _ in seen.marks)} if seen else set()
    strategies = strategy_names()
    is_off = (pause_key(name) if is_symbol else name) in view.disabled
    if is_off or name in (symbols or {name} if is_symbol else strategies):
        return
    known = ", ".join([*sorted(symbols), *strategies])
    raise CommandFailed(f"{name} is no symbol and no strategy of this state; it has {known}", REFUSED)


def _refuse_if_stopped(config: Path | None) -> None:
    path = DEFAULT_STOP_FILE.absolute()
    if config is not None:
        from trading_engine.config import load_config  # noqa: PLC0415 - most need no configuration

        path = load_config(config, {}, os.environ, Path(".env")).kill_switch.file.absolute()
    if StopFile(path).read() is not None:
        raise CommandFailed(f"{path} is still there; remove it, then resume", REFUSED)
