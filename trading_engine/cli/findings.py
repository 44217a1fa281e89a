"""What a check has found, line by line.

What belongs here: showing findings. What does not: finding them (runtime.bootstrap).
"""

from collections.abc import Sequence
from typing import Protocol

from trading_engine.cli import table
from trading_engine.cli.line import Cell
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


def has_errors(findings: Sequence[Found]) -> bool:
    """Whether one of them forbids a run."""
    return any(item.level == "error" for item in findings)


def print_findings(findings: Sequence[Found], conclusion: str) -> None:
    """Print each finding, and a last line that counts what is not ok."""
    out = table.console()
    for item in findings:
        level = Cell(f"{item.level:<8}", _STYLES.get(item.level, ""))
        table.say(out, table.line(level, f"{item.subject}: {item.text}"))
    errors = sum(item.level == "error" for item in findings)
    warnings = sum(item.level == "warning" for item in findings)
    counted = f"{count(errors, 'error')}, {count(warnings, 'warning')}"
    table.say(out, f"{conclusion} · {counted}", table.BAD if errors else "")
