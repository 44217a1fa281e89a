"""`strategy`: which strategies there are, what they can be told, beginning one, and proving one honest.

What belongs here: the commands and what they print. What does not: loading, writing and checking (runtime).
"""

import inspect
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from trading_engine.cli import shapes, table
from trading_engine.cli.arguments import ActorOption, JsonOption, StateOption, parse_pairs, state_of, user
from trading_engine.cli.failure import DONE, FINDINGS
from trading_engine.cli.findings import has_errors, print_findings
from trading_engine.cli.line import Cell
from trading_engine.cli.running_engine import ask_engine_or
from trading_engine.cli.table import Column
from trading_engine.cli.text import DASH, count, duration
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.time import interval_name
from trading_engine.runtime import strategy_check, strategy_files, strategy_template
from trading_engine.strategy.api import Strategy
from trading_engine.strategy.registry import BUILT_IN
from trading_engine.strategy.settings import described

strategy_app = typer.Typer(rich_markup_mode="rich", add_completion=False, no_args_is_help=True)

_EPILOG = """\
Examples:

trading-engine strategy show momentum

trading-engine strategy new my_breakout

trading-engine strategy disable momentum

trading-engine strategy check my_breakout --data BTCUSDT=btc.parquet
"""

_FolderOption = Annotated[
    Path, typer.Option("--folder", metavar="DIR", help="Where strategies of your own lie (strategy_folder).")
]
_FOLDER = Path("strategies")

_LIST = (Column("NAME"), Column("CANDLES"), Column("HISTORY"), Column("FROM", gives_way=1), Column("WHAT", gives_way=2))
_SETTINGS = (Column("SETTING"), Column("DEFAULT"), Column("FROM"), Column("TO"))


@dataclass(frozen=True, slots=True)
class _Known:
    """A strategy as it is listed; `wrong` where its file cannot be used."""

    name: str
    source: str
    kind: type[Any] | None
    strategy: Strategy | None
    wrong: str = ""


@strategy_app.callback()
def strategy() -> None:
    """Strategies: built in, or a Python file of your own each."""


@strategy_app.command(name="list")
def list_strategies(*, folder: _FolderOption = _FOLDER, as_json: JsonOption = False) -> int:
    """List the built-in strategies and those in the folder; exit 1 where a file cannot be used."""
    known = [_known(name, folder) for name in strategy_names(folder)]
    if as_json:
        typer.echo(shapes.dump({"strategies": [_as_json(item) for item in known]}))
    else:
        out = table.console()
        table.show(out, _LIST, [_row(item) for item in known])
        for item in known:
            if item.wrong:
                table.say(out, item.wrong, table.BAD)
        own = sum(item.source != "built in" for item in known)
        table.say(out, f"{count(len(known), 'strategy', 'strategies')}, {own} of {folder}/")
    return FINDINGS if any(item.wrong for item in known) else DONE


@strategy_app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A built-in strategy or a file of the folder.")],
    *,
    folder: _FolderOption = _FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Show the rules of a strategy, its settings and the candles it needs."""
    strategy_files.require_known(name, folder)
    item = _known(name, folder)
    if item.kind is None or item.strategy is None:
        raise ConfigInvalid(item.wrong)
    if as_json:
        typer.echo(shapes.dump(_as_json(item)))
        return
    out = table.console()
    for line in (f"{name} ({item.source})", "", *_docstring(item.kind).splitlines(), ""):
        table.say(out, line)
    rows = [(one.name, _plain(one.default), _plain(one.lowest), _plain(one.highest)) for one in described(item.kind)]
    if rows:
        table.show(out, _SETTINGS, rows)
    table.say(out, f"needs {' and '.join(_windows(item.strategy))}; first signal after {_history(item.strategy)}")


@strategy_app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As my_breakout.")], *, folder: _FolderOption = _FOLDER
) -> None:
    """Begin a strategy of your own: a commented file that runs as it is."""
    path = strategy_template.write(folder, name)
    typer.echo(f"{path} is written; `strategy check {name}` checks it, `- name: {name}` under strategies: trades it")


@strategy_app.command(epilog=_EPILOG)
def check(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A built-in strategy or a file of the folder.")],
    *,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            metavar="SYMBOL=FILE",
            help="Recorded candles to check it on; a synthetic market where none are given.",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="With the settings, folder and instruments of this configuration.",
            show_default=False,
        ),
    ] = None,
    folder: _FolderOption = _FOLDER,
    most: Annotated[
        int, typer.Option("--windows", metavar="N", min=1, help="Most candles whose live window is compared.")
    ] = 2_000,
) -> int:
    """Prove that a strategy does not look ahead and says the same live as over the whole history.

    Runs it on prefixes of the data, which must give the same rows, and on the
    windows that a live engine has, whose last row must be the same. Names the
    first candle that differs and exits with 1.
    """
    options = strategy_check.CheckOptions(name, folder, config, parse_pairs("--data", data), most)
    found = strategy_check.run(options, os.environ)
    is_honest = not has_errors(found)
    print_findings(found, f"{name} {'passes' if is_honest else 'does not pass'}")
    return DONE if is_honest else FINDINGS


@strategy_app.command()
def enable(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A strategy of the engine's configuration.")],
    *,
    state: StateOption = None,
    actor: ActorOption = None,
    folder: _FolderOption = _FOLDER,
) -> None:
    """Let a strategy that was disabled make entries again, now or from the next start on."""
    typer.echo(_switch(name, state, actor, folder, is_enabled=True))


@strategy_app.command()
def disable(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A strategy of the engine's configuration.")],
    *,
    state: StateOption = None,
    actor: ActorOption = None,
    folder: _FolderOption = _FOLDER,
) -> None:
    """Keep a strategy from making entries, over restarts, until it is enabled.

    Its open positions stay behind their stops and are left as it says. Works
    while the engine is down.
    """
    typer.echo(_switch(name, state, actor, folder, is_enabled=False))


def _switch(name: str, state: Path | None, actor: str | None, folder: Path, *, is_enabled: bool) -> str:
    directory, who = state_of(state), actor or user()

    def while_down() -> str:
        strategy_files.require_known(name, folder)
        from trading_engine.runtime import offline  # noqa: PLC0415 - a running engine needs none of it

        return offline.switch(directory.root, name, is_enabled=is_enabled, actor=who)

    message = {"command": "strategy", "name": name, "enabled": is_enabled, "actor": who}
    return ask_engine_or(while_down, directory, message)


def strategy_names(folder: Path = _FOLDER) -> list[str]:
    """Those built in, and those of the folder."""
    return list(strategy_files.known_names(folder))


def _known(name: str, folder: Path) -> _Known:
    if name in BUILT_IN and name not in strategy_files.names_in(folder):
        return _Known(name, "built in", BUILT_IN[name], BUILT_IN[name]())
    path = strategy_files.file_of(folder, name)
    try:
        return _Known(name, str(path), strategy_files.load_kind(path), strategy_files.create(path, {}))
    except ConfigInvalid as error:
        return _Known(name, str(path), None, None, str(error))


def _row(item: _Known) -> list[Cell | str]:
    if item.kind is None or item.strategy is None:
        return [item.name, DASH, DASH, item.source, Cell("cannot be used", table.BAD)]
    candles = interval_name(item.strategy.primary_interval_ms)
    return [item.name, candles, _history(item.strategy), item.source, _docstring(item.kind).splitlines()[0]]


def _docstring(kind: type[Any]) -> str:
    return inspect.cleandoc(kind.__doc__ or "") or DASH


def _windows(strategy: Strategy) -> Iterator[str]:
    for interval_ms, candles in sorted(strategy.intervals.items()):
        yield f"{candles:,} candles of {interval_name(interval_ms)}"


def _history(strategy: Strategy) -> str:
    """The market time that passes before the first signal."""
    return duration(strategy.warm_up * strategy.primary_interval_ms)


def _as_json(item: _Known) -> dict[str, object]:
    found: dict[str, object] = {"name": item.name, "source": item.source, "error": item.wrong or None}
    if item.kind is None or item.strategy is None:
        return found
    settings = [
        {"name": one.name, "default": one.default, "lowest": one.lowest, "highest": one.highest}
        for one in described(item.kind)
    ]
    return {
        **found,
        "description": _docstring(item.kind),
        "interval": interval_name(item.strategy.primary_interval_ms),
        "windows": {interval_name(interval_ms): many for interval_ms, many in sorted(item.strategy.intervals.items())},
        "warm_up": item.strategy.warm_up,
        "settings": settings,
    }


def _plain(value: object) -> str:
    if value is None:
        return DASH
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
