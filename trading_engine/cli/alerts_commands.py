"""`alerts`: whether a message would arrive.

What belongs here: the test command. What does not: sending (alerts).
"""

import os
from pathlib import Path

import typer

from trading_engine.alerts import Channel, send_test
from trading_engine.cli import table
from trading_engine.cli.arguments import ConfigOption
from trading_engine.cli.failure import DONE, FINDINGS, USAGE
from trading_engine.cli.line import Cell
from trading_engine.cli.text import count
from trading_engine.config import load_config

alerts_app = typer.Typer(rich_markup_mode="rich", add_completion=False, help="Send a test message to every channel.")


@alerts_app.callback(invoke_without_command=True)
def _alerts(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(USAGE)


@alerts_app.command()
def test(config: ConfigOption) -> int:
    """Send a test message to every channel of the configuration and say what came of it.

    Exits with 1 where a channel did not accept it.
    """
    settings = load_config(config, {}, os.environ, Path(".env")).alerts
    channels = [Channel(item.url.get_secret_value(), item.min_severity) for item in settings.channels]
    out = table.console()
    if not channels:
        table.say(out, f"{config}: alerts.channels is empty, so nobody is told", table.ATTENTION)
        return FINDINGS
    results = send_test(channels, timeout_s=settings.timeout_s)
    for result in results:
        verdict = Cell("accepted", table.GOOD) if result.ok else Cell(f"refused: {result.error}", table.BAD)
        table.say(out, table.line(result.url, verdict))
    accepted = sum(result.ok for result in results)
    table.say(out, f"{accepted} of {count(len(results), 'channel')} accepted the message")
    return DONE if accepted == len(results) else FINDINGS
