"""What a fast backtest does without: most of its time would be importing it."""

import json
import subprocess
import sys

from trading_engine.backtest import tables
from trading_engine.core import state

HEAVY = (
    "asyncio",
    "loguru",
    "numba",
    "pyarrow",
    "rich",
    "sqlalchemy",
    "trading_engine.alerts",
    "trading_engine.backtest.full",
    "trading_engine.backtest.page",
    "trading_engine.core.step",
    "trading_engine.domain.events",
    "trading_engine.ports",
    "trading_engine.runtime.executor",
    "trading_engine.runtime.strategy_files",
    "trading_engine.store",
    "trading_engine.strategy.builtin.momentum",
)
ASK = f"""
import json, sys
import trading_engine.cli.backtest_command, trading_engine.cli.backtest_view
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))
"""


def test_the_command_starts_without_the_live_engine_the_page_and_the_terminal() -> None:
    """They are imported by the run that needs them: --engine full, --report, a table in a window."""
    asked = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    assert [] == json.loads(asked.stdout)


def test_the_loop_keeps_as_many_trades_and_highs_as_the_book_does() -> None:
    """Its tables know the numbers by themselves; the classes of the book are not loaded for them."""
    assert (state.KEPT_TRADES, state.KEPT_HIGHS) == (tables.KEPT_TRADES, tables.KEPT_HIGHS)
