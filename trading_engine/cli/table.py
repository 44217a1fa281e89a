"""Tables on a terminal.

What belongs here: columns, their alignment, and what gives way on a narrow terminal. What does not: what
stands in them (read_commands, summary).

Colour carries meaning only: green and red for money made and lost, yellow for attention, red for danger.
Without a terminal there is no colour and nothing gives way. On a narrow one columns move closer together, and
those that give way stand on a second line below their row: nothing is left out, nothing is wider than the
window.
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
_GAPS = (2, 1)  # spaces between columns: what they have, and what they come down to
_HANG = 3  # spaces in front of what goes on below
_NARROWEST = 20  # a window below this is written beyond


class Cell(NamedTuple):
    """A text and its colour, empty for none."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A heading and how what stands below it lines up.

    is_number   right-aligned, decimal points below each other
    gives_way   which goes to a second line first on a narrow terminal: the highest; 0 after all others, from the
                right, and the first column never
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
    width = _WIDE if is_piped else None
    return Console(highlight=False, markup=False, emoji=False, width=width, soft_wrap=is_piped)


def show(
    out: Console, columns: Sequence[Column], rows: Sequence[Sequence[Cell | str]], *, has_heading: bool = True
) -> None:
    """Print the rows, below their headings where there are any, each line with one space in front."""
    body = _aligned(columns, [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows])
    heading = [Cell(column.heading, "bold") for column in columns]
    widths = [max(cell_len(line[index].text) for line in [heading, *body]) for index in range(len(columns))]
    kept, gap = _that_fit(columns, widths, out.width - 1)
    if has_heading:
        say(out, _row(columns, heading, widths, kept, gap))
    for cells in body:
        say(out, _row(columns, cells, widths, kept, gap))
        below = _below(columns, cells, kept)
        if below:
            say(out, Text(" " * (_HANG - 1)).append_text(below))


def _row(
    columns: Sequence[Column], cells: Sequence[Cell], widths: Sequence[int], kept: Sequence[int], gap: int
) -> Text:
    text = Text()
    for index in kept:
        cell = cells[index]
        rest = " " * (widths[index] - cell_len(cell.text))
        text.append(rest if columns[index].is_number else "").append(cell.text, cell.style or None)
        text.append(" " * gap if columns[index].is_number else rest + " " * gap)
    text.rstrip()
    return text


def _below(columns: Sequence[Column], cells: Sequence[Cell], kept: Sequence[int]) -> Text:
    """What gave way, each with its heading before it."""
    text = Text()
    for index, (column, cell) in enumerate(zip(columns, cells, strict=True)):
        shown = cell.text.strip()
        if index not in kept and shown not in ("", texts.DASH):
            text.append(" · " if text else "").append(f"{column.heading.lower()} ".lstrip(), ASIDE)
            text.append(shown, cell.style or None)
    return text


def line(*parts: Cell | str) -> Text:
    """Parts of a line, each in its colour, a space between them."""
    text = Text()
    for index, part in enumerate(parts):
        cell = part if isinstance(part, Cell) else Cell(part)
        text.append(" " if index else "").append(cell.text, cell.style or None)
    return text


def say(out: Console, line: str | Text, style: str = "") -> None:
    """Print a line of its own, one space in front; one that is wider than the window goes on below, indented."""
    shown = line if isinstance(line, Text) else Text(line, style=style)
    if out.soft_wrap or shown.cell_len < out.width or out.width < _NARROWEST:
        out.print(Text(" ").append_text(shown) if shown else "", soft_wrap=True)
        return
    for number, part in enumerate(shown.wrap(out, out.width - _HANG)):
        part.rstrip()
        out.print(Text(" " * (_HANG if number else 1)).append_text(part), soft_wrap=True)


def _aligned(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> list[list[Cell]]:
    result = [list(row) for row in rows]
    for index, column in enumerate(columns):
        if column.is_number:
            for row, text in zip(result, texts.align_points([row[index].text for row in rows]), strict=True):
                row[index] = Cell(text, row[index].style)
    return result


def _that_fit(columns: Sequence[Column], widths: Sequence[int], width: int) -> tuple[list[int], int]:
    """The columns that stand in a row, and the gap between them."""
    kept = list(range(len(columns)))
    while True:
        for gap in _GAPS:
            if sum(widths[index] + gap for index in kept) - gap <= width:
                return kept, gap
        if len(kept) == 1:
            return kept, _GAPS[-1]
        kept.remove(max(kept[1:], key=lambda index: (columns[index].gives_way, index)))
