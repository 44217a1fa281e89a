"""A terminal that somebody looks at.

What belongs here: everything that needs rich, which takes its time to load, so that whoever writes into a pipe does
without. What does not: what is shown (table and whoever calls it).
"""

from rich.console import Console
from rich.text import Text

from trading_engine.cli.line import HANG, Line

_NARROWEST = 20  # a window below this is written beyond


class Window:
    """A rich console as `table.Out`: as wide as it is, in its colours.

    width   in place of its own; lines may then be longer, as nobody looks through a window
    """

    def __init__(self, console: Console | None = None, width: int | None = None) -> None:
        self.console = console or Console(
            highlight=False, markup=False, emoji=False, width=width, soft_wrap=width is not None
        )

    @property
    def width(self) -> int:
        """Letters on a line."""
        return self.console.width

    def write(self, line: Line) -> None:
        """One line, also where the window is narrower."""
        self.console.print(text_of(line), soft_wrap=True)

    def say(self, line: Line) -> None:
        """One line with a space in front; what is wider than the window goes on below, indented."""
        shown, width = text_of(line), self.width
        if self.console.soft_wrap or shown.cell_len < width or width < _NARROWEST:
            self.console.print(Text(" ").append_text(shown) if shown else "", soft_wrap=True)
            return
        for number, part in enumerate(shown.wrap(self.console, width - HANG)):
            part.rstrip()
            self.console.print(Text(" " * (HANG if number else 1)).append_text(part), soft_wrap=True)


def text_of(line: Line) -> Text:
    """A line as rich takes it."""
    text = Text()
    for cell in line.cells:
        text.append(cell.text, cell.style or None)
    return text
