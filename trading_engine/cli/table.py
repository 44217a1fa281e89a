"""Tables on a terminal.

What belongs here: columns, their alignment, and what gives way on a narrow terminal; where a pipe takes the place of
the terminal. What does not: what stands in them (read_commands, summary), terminals themselves (window).

Colour carries meaning only: green and red for money made and lost, yellow for attention, red for danger.
Without a terminal there is no colour and nothing gives way. On a narrow one columns move closer together, and
those that give way stand on a second line below their row: nothing is left out, nothing is wider than the
window.
"""

import os
import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple, Protocol

from trading_engine.cli import text as texts
from trading_engine.cli.line import HANG, Cell, Line, width_of

GOOD = "green"
BAD = "red"
ATTENTION = "yellow"
ASIDE = "dim"

_WIDE = 200
_GAPS = (2, 1)  # spaces between columns: what they have, and what they come down to
_TERMINAL = ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE")  # by which a pipe may be a terminal: rich knows how
_CONTROLS = dict.fromkeys(b"\a\b\v\f\r")  # what a text may not do to a terminal that the pipe ends at


class Out(Protocol):
    """Where lines go."""

    @property
    def width(self) -> int:
        """Letters on a line."""

    def write(self, line: Line) -> None:
        """One line, however long."""

    def say(self, line: Line) -> None:
        """One line with a space in front; what is wider than a window goes on below, indented."""


class Pipe:
    """Standard output where nobody looks at it through a window: no colour, lines of any length."""

    width = _WIDE

    def write(self, line: Line) -> None:
        """One line."""
        # At once, as a window does: what reads may be gone, the disk full, or this process in a minute.
        print(line.text.expandtabs().translate(_CONTROLS), flush=True)  # noqa: T201 - that is its use

    def say(self, line: Line) -> None:
        """One line with a space in front, unless it is empty."""
        self.write(Line(Cell(" ")).extend(line) if line.text else line)


class Column(NamedTuple):
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


def console() -> Out:
    """Standard output as it is now; wide where nobody looks at it through a window."""
    is_piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    if is_piped and os.environ.keys().isdisjoint(_TERMINAL):
        return Pipe()
    from trading_engine.cli.window import Window  # noqa: PLC0415 - most of what a pipe would wait for

    return Window(width=_WIDE if is_piped else None)


def show(
    out: Out, columns: Sequence[Column], rows: Sequence[Sequence[Cell | str]], *, has_heading: bool = True
) -> None:
    """Print the rows, below their headings where there are any, each line with one space in front."""
    body = _aligned(columns, [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows])
    heading = [Cell(column.heading, "bold") for column in columns]
    widths = [max(width_of(line[index].text) for line in [heading, *body]) for index in range(len(columns))]
    kept, gap = _that_fit(columns, widths, out.width - 1)
    if has_heading:
        out.say(_row(columns, heading, widths, kept, gap))
    for cells in body:
        out.say(_row(columns, cells, widths, kept, gap))
        below = _below(columns, cells, kept)
        if below.cells:
            out.say(Line(Cell(" " * (HANG - 1))).extend(below))


def _row(
    columns: Sequence[Column], cells: Sequence[Cell], widths: Sequence[int], kept: Sequence[int], gap: int
) -> Line:
    line = Line()
    for index in kept:
        cell = cells[index]
        rest = " " * (widths[index] - width_of(cell.text))
        line.append(rest if columns[index].is_number else "").append(*cell)
        line.append(" " * gap if columns[index].is_number else rest + " " * gap)
    return line.trim()


def _below(columns: Sequence[Column], cells: Sequence[Cell], kept: Sequence[int]) -> Line:
    """What gave way, each with its heading before it."""
    line = Line()
    for index, (column, cell) in enumerate(zip(columns, cells, strict=True)):
        shown = cell.text.strip()
        if index not in kept and shown not in ("", texts.DASH):
            line.append(" · " if line.cells else "").append(f"{column.heading.lower()} ".lstrip(), ASIDE)
            line.append(shown, cell.style)
    return line


def line(*parts: Cell | str) -> Line:
    """Parts of a line, each in its colour, a space between them."""
    made = Line()
    for index, part in enumerate(parts):
        cell = part if isinstance(part, Cell) else Cell(part)
        made.append(" " if index else "").append(*cell)
    return made


def say(out: Out, line: str | Line, style: str = "") -> None:
    """Print a line of its own, one space in front; one that is wider than the window goes on below, indented."""
    out.say(line if isinstance(line, Line) else Line(Cell(line, style)))


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
