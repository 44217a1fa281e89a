"""One line that shows how something goes on, for a person who watches.

What belongs here: writing over the same line of a terminal. What does not: what stands in it.
"""

import asyncio
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

_PAUSE_S = 0.5


class StatusLine:
    """A line on stderr; nothing where nobody watches. What is told meanwhile stands above it."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stderr
        self._is_watched = self._out.isatty()
        self._shown = ""

    def show(self, text: str) -> None:
        """Write over what stood there; as much of it as fits."""
        if self._is_watched:
            width = shutil.get_terminal_size().columns - 1
            self._shown = text[:width]
            self._write(f"\r\x1b[K{self._shown}")

    def tell(self, text: str) -> None:
        """A line that stays."""
        self._write(f"\r\x1b[K{text}\n{self._shown}" if self._is_watched else f"{text}\n")

    def clear(self) -> None:
        """Take it away."""
        if self._is_watched and self._shown:
            self._shown = ""
            self._write("\r\x1b[K")

    async def keep(self, text: Callable[[], str]) -> None:
        """Show it again and again until cancelled, then take it away."""
        try:
            while True:
                self.show(text())
                await asyncio.sleep(_PAUSE_S)
        finally:
            self.clear()

    def _write(self, text: str) -> None:
        with suppress(BrokenPipeError):
            self._out.write(text)
            self._out.flush()
