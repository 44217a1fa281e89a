"""What a check has found, line by line.

What belongs here: showing findings. What does not: finding them (runtime.bootstrap).
"""

from collections.abc import Sequence
from typing import Protocol

from trading_engine.cli import table
from trading_engine.cli.failure import DONE, FINDINGS
from trading_engine.cli.table import Cell
from trading_engine.cli.text import count

_STYLES = {"ok": table.GOOD, "warning": table.ATTENTION, "error": table.BAD}


class Found(Protocol):
    """One finding; `level` is ok, warning or error."""

    @property
    def level(self) -> str:
        """How bad."""
        ...

    @property
    def subject(self) -> str:
        """The file, key or strategy it is about."""
        ...

    @property
    def text(self) -> str:
        """What was found."""
        ...


def print_findings(findings: Sequence[Found], conclusion: str) -> int:
    """Print each finding and a last line; 0, or 1 where one is an error."""
    out = table.console()
    for item in findings:
        line = table.line(Cell(f"{item.level:<8}", _STYLES.get(item.level, "")), f"{item.subject}: {item.text}")
        table.say(out, line)
    errors = sum(item.level == "error" for item in findings)
    warnings = sum(item.level == "warning" for item in findings)
    counted = f"{count(errors, 'error')}, {count(warnings, 'warning')}"
    table.say(out, f"{conclusion} · {counted}", table.BAD if errors else "")
    return FINDINGS if errors else DONE
