"""A line of text in parts, each in its colour.

What belongs here: what a line is, before anybody knows whether it goes to a terminal. What does not: columns (table),
windows and what they do with colour (window).
"""

import unicodedata
from typing import NamedTuple

HANG = 3  # spaces in front of what goes on below a line
_WIDTHLESS = ("Mn", "Me", "Cf")


class Cell(NamedTuple):
    """A text and its colour, empty for none."""

    text: str
    style: str = ""


class Line:
    """Cells one behind the other; built up part by part."""

    __slots__ = ("cells",)

    def __init__(self, *cells: Cell) -> None:
        self.cells = list(cells)

    @property
    def text(self) -> str:
        """Without colour."""
        return "".join(cell.text for cell in self.cells)

    def append(self, text: str, style: str = "") -> "Line":
        """One part more; the line itself."""
        if text:
            self.cells.append(Cell(text, style))
        return self

    def extend(self, other: "Line") -> "Line":
        """The parts of another line behind its own; the line itself."""
        self.cells += other.cells
        return self

    def trim(self) -> "Line":
        """Without blanks at its end; the line itself."""
        while self.cells:
            last = self.cells.pop()
            if rest := last.text.rstrip():
                self.cells.append(Cell(rest, last.style))
                break
        return self


def width_of(text: str) -> int:
    """Places that a text takes on a terminal: East Asian letters and most pictures two, accents and joiners none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.category(letter) in _WIDTHLESS else 2 if unicodedata.east_asian_width(letter) in "FW" else 1
        for letter in text
    )
