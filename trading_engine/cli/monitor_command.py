"""`monitor`: the engine at a glance, again and again, in a terminal.

What belongs here: options, the loop, the end of the log. What does not: what is shown (monitor_view), queries (store).

It reads the database as `status` does, in short transactions through a connection that cannot write, and asks the
engine nothing: a terminal that is left open for weeks costs the engine nothing.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from trading_engine.cli import table
from trading_engine.cli.arguments import StateOption, state_of
from trading_engine.cli.failure import usage
from trading_engine.cli.monitor_view import LogLine, Picture, render
from trading_engine.cli.views import Overview, reading
from trading_engine.cli.window import Window
from trading_engine.store.read_models import TradeFilter
from trading_engine.system.logging import FILE_NAME
from trading_engine.system.state_dir import StateDir

monitor_app = typer.Typer(rich_markup_mode="rich", add_completion=False)

_SIGNALS = 8
_TRADES = 8
_LOG_LINES = 30
_TAIL_BYTES = 64_000
_SHORTEST_S = 0.5
_LONGEST_S = 86_400.0


@monitor_app.command()
def monitor(
    *,
    state: StateOption = None,
    every: Annotated[float, typer.Option(metavar="SECONDS", help="How often it is drawn anew.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Draw once and end.", show_default=False)] = False,
) -> None:
    """Show positions, orders, limits, gates, the last signals and the log, live. Ctrl-C ends it.

    Reads only; the engine is not asked and does not notice. Works while it is
    down.

    Examples: trading-engine monitor; trading-engine monitor --once
    """
    if not _SHORTEST_S <= every <= _LONGEST_S:
        raise usage(f"--every {every:g} is not from {_SHORTEST_S:g} s (nothing changes so fast) to {_LONGEST_S:g} s")
    directory = state_of(state)
    picture = take(directory)  # a state that cannot be read is told before the screen is cleared
    if once or not Console().is_terminal:
        out = table.console()
        console = out.console if isinstance(out, Window) else Console(width=out.width, soft_wrap=True)
        console.print(render(picture, out.width, None))
        return
    _watch(directory, picture, every)


def _watch(directory: StateDir, picture: Picture, every_s: float) -> None:
    out = Console(highlight=False, markup=False, emoji=False)
    try:
        with Live(console=out, screen=True, auto_refresh=False) as live:
            while True:
                live.update(render(picture, out.width, out.height), refresh=True)
                time.sleep(every_s)
                picture = take(directory)
    except KeyboardInterrupt:
        return


def take(directory: StateDir) -> Picture:
    """Everything that is shown, as of now; each question is a transaction of its own."""
    with reading(directory) as reader:
        overview = Overview.of(reader, directory)
        orders = [order for order in reader.orders(50) if order.is_live] if overview.counts.live_orders else []
        signals = reader.signals(_SIGNALS)
        trades = reader.trades(TradeFilter(limit=_TRADES))
        alerts = reader.alerts(_SIGNALS)
    return Picture(overview, tuple(orders), tuple(signals), tuple(trades), tuple(alerts), tuple(_tail(directory.logs)))


def _tail(folder: Path) -> Iterator[LogLine]:
    """The last lines of the log, the newest last; none where there is no file."""
    try:
        with (folder / FILE_NAME).open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(file.tell() - _TAIL_BYTES, 0))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines[-_LOG_LINES:]:
        try:
            row = json.loads(line)
            yield LogLine(str(row["ts"]), str(row["level"]), str(row["message"]))
        except (ValueError, KeyError, TypeError):
            continue  # the first line may be cut, and another program's is none of ours
