"""The commands by name, each imported when it is used.

What belongs here: the table of commands and the group that looks them up. What does not: any command.
"""

import gc
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

RUN = "Trade"
LOOK = "Look (works while the engine is down as well)"
ACT = "Act"
STUDY = "Study the past"
CARE = "Set up and look after"


class Entry(NamedTuple):
    """One command: where its `typer.Typer` lies, and how the overview lists it."""

    module: str
    attribute: str
    panel: str
    summary: str


def _entry(module: str, attribute: str, panel: str, summary: str) -> Entry:
    return Entry(f"trading_engine.cli.{module}", attribute, panel, summary)


COMMANDS: dict[str, Entry] = {
    "run": _entry("run_command", "run_app", RUN, "Run the engine: on paper, on a testnet, with real money."),
    "validate": _entry("config_commands", "validate_app", RUN, "Check configuration, strategies and data files."),
    "status": _entry("read_commands", "status_app", LOOK, "Is it running, what is it worth, may it trade?"),
    "positions": _entry("read_commands", "positions_app", LOOK, "Open positions with stop, target, PnL and R."),
    "trades": _entry("read_commands", "trades_app", LOOK, "Closed positions with what they made and why they ended."),
    "days": _entry("days_command", "days_app", LOOK, "Trading days: PnL, fees, profit factor, drawdown, Sharpe."),
    "orders": _entry("read_commands", "orders_app", LOOK, "Orders and what is known about each."),
    "signals": _entry("signals_command", "signals_app", LOOK, "Signals, what became of each, and its size."),
    "risk": _entry("read_commands", "risk_app", LOOK, "Each limit: used, left, when it resets, computed from what."),
    "health": _entry("health_command", "health_app", LOOK, "Checks, parts and their restarts, latency, memory."),
    "monitor": _entry("monitor_command", "monitor_app", LOOK, "Everything at once, live, in this terminal."),
    "audit": _entry("audit_command", "audit_app", LOOK, "Prove that journal, positions, fills and wallet agree."),
    "reconcile": _entry("reconcile_command", "reconcile_app", LOOK, "Where state and exchange differ, and mending it."),
    "pause": _entry("control_commands", "pause_app", ACT, "Make no entries: at all, on a symbol, by a strategy."),
    "close": _entry("control_commands", "close_app", ACT, "Close the position on a symbol at the market."),
    "cancel": _entry("control_commands", "cancel_app", ACT, "Cancel an entry or a target."),
    "flatten": _entry("flatten_command", "flatten_app", ACT, "Close everything; --direct: without the engine."),
    "reload": _entry("control_commands", "reload_app", ACT, "Go on with a changed configuration."),
    "arm": _entry("arm_command", "arm_app", ACT, "Let a service trade real money with a configuration."),
    "resume": _entry("control_commands", "resume_app", ACT, "Release the kill switch or a pause."),
    "backtest": _entry(
        "backtest_command", "backtest_app", STUDY, "What strategies would have made of recorded candles."
    ),
    "compare": _entry(
        "compare_command", "compare_app", STUDY, "A run beside the backtest of its span, trade by trade."
    ),
    "doctor": _entry("doctor_command", "doctor_app", CARE, "Is this machine fit? What to do where it is not."),
    "config": _entry("config_commands", "config_app", CARE, "Show a configuration, or describe every key."),
    "data": _entry("data_commands", "data_app", CARE, "Keep candles on disk; record markets and play them again."),
    "db": _entry("db_commands", "db_app", CARE, "Migrate, check, back up and restore the database."),
    "strategy": _entry("strategy_command", "strategy_app", CARE, "List, show, begin and check strategies."),
    "simulate": _entry("simulate_command", "simulate_app", CARE, "Prove the engine in worlds where everything fails."),
    "soak": _entry("soak_command", "soak_app", CARE, "Weeks of a market, restarts, reconnects: memory, handles, disk."),
    "exchange": _entry("exchange_command", "exchange_app", CARE, "Serve a venue's own protocol on this machine."),
    "alerts": _entry("alerts_commands", "alerts_app", CARE, "Send a test message to every channel."),
}


class LazyGroup(TyperGroup):
    """Lists every command from the table and imports only the one that is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, entry in COMMANDS.items():
            self.add_command(TyperCommand(name=name, help=entry.summary, rich_help_panel=entry.panel))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The real command instead of the line that stands for it in the overview."""
        name, listed, rest = super().resolve_command(ctx, args)
        if name is None:
            return name, listed, rest
        command = load(name)
        if getattr(ctx.obj, "owns_process", False):
            gc.freeze()  # what is here by now stays
            gc.enable()
        return name, command, rest


def load(name: str) -> Any:
    """Import a command of the table."""
    entry = COMMANDS[name]
    app: typer.Typer = getattr(import_module(entry.module), entry.attribute)
    command = typer.main.get_command(app)
    command.name = name
    return command
