"""Tables on a terminal.

What belongs here: columns, their alignment, and what gives way on a narrow terminal. What does not: what
stands in them (read_commands, summary).

Colour carries meaning only: green and red for money made and lost, yellow for attention, red for danger.
Without a terminal there is no colour and nothing gives way.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from trading_engine.cli import text as texts

GOOD = "green"
BAD = "red"
ATTENTION = "yellow"
ASIDE = "dim"

_WIDE = 200
_GAP = 2


class Cell(NamedTuple):
    """A text and its colour, empty for none."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A heading and how what stands below it lines up.

    is_number   right-aligned, decimal points below each other
    gives_way   0: always shown; otherwise left out on a narrow terminal, the highest first
    """

    heading: str
    is_number: bool = False
    gives_way: int = 0


def pnl(value: Decimal | None) -> Cell:
    """Money made or lost, signed and coloured."""
    return Cell(texts.signed(value), "" if not value else GOOD if value > 0 else BAD)


def console() -> Console:
    """Standard output as it is now; wide where nobody looks at it through a window."""
    is_piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(highlight=False, markup=False, emoji=False, width=_WIDE if is_piped else None)


def show(
    out: Console, columns: Sequence[Column], rows: Sequence[Sequence[Cell | str]], *, has_heading: bool = True
) -> None:
    """Print the rows, below their headings where there are any, each line with one space in front."""
    body = _aligned(columns, [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows])
    heading = [Cell(column.heading, "bold") for column in columns]
    widths = [max(cell_len(line[index].text) for line in [heading, *body]) for index in range(len(columns))]
    kept = _that_fit(columns, widths, out.width - 1)
    for cells in [heading, *body] if has_heading else body:
        text = Text()
        for index in kept:
            cell = cells[index]
            gap = " " * (widths[index] - cell_len(cell.text))
            text.append(gap if columns[index].is_number else "").append(cell.text, cell.style or None)
            text.append(" " * _GAP if columns[index].is_number else gap + " " * _GAP)
        text.rstrip()
        say(out, text)


def line(*parts: Cell | str) -> Text:
    """Parts of a line, each in its colour, a space between them."""
    text = Text()
    for index, part in enumerate(parts):
        cell = part if isinstance(part, Cell) else Cell(part)
        text.append(" " if index else "").append(cell.text, cell.style or None)
    return text


def say(out: Console, line: str | Text, style: str = "") -> None:
    """Print a line of its own, one space in front, never broken by us."""
    shown = line if isinstance(line, Text) else Text(line, style=style)
    out.print(Text(" ").append_text(shown) if shown else "", soft_wrap=True)


def _aligned(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> list[list[Cell]]:
    result = [list(row) for row in rows]
    for index, column in enumerate(columns):
        if column.is_number:
            for row, text in zip(result, texts.align_points([row[index].text for row in rows]), strict=True):
                row[index] = Cell(text, row[index].style)
    return result


def _that_fit(columns: Sequence[Column], widths: Sequence[int], width: int) -> list[int]:
    """The columns that are shown: all, or without those that give way until the rest fits."""
    kept = list(range(len(columns)))
    while sum(widths[index] + _GAP for index in kept) - _GAP > width:
        droppable = [index for index in kept if columns[index].gives_way]
        if not droppable:
            break
        kept.remove(max(droppable, key=lambda index: columns[index].gives_way))
    return kept
