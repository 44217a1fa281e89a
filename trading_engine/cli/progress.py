"""A bar for work that takes longer than a second, for a person who watches.

What belongs here: the bar and lines above it. What does not: one line without an end in sight (status_line).
"""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_AFTER_S = 1.0


class Bar:
    """On stderr, from a second after its beginning on; where nobody watches, only what is told.

    what   stands in front of the bar; may be changed
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._begun_s = time.monotonic()
        self._is_watched = sys.stderr.isatty()
        self._shown: tuple[Progress, TaskID] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def show(self, done: int, total: int, aside: str = "") -> None:
        """How far it is; `aside` stands behind the bar."""
        is_early = self._shown is None and time.monotonic() - self._begun_s < _AFTER_S
        if not self._is_watched or is_early:
            return
        if self._shown is None:
            self._shown = self._begin()
        bar, task = self._shown
        bar.update(task, description=self.what, completed=done, total=total, aside=aside)

    def tell(self, text: str) -> None:
        """A line that stays, above the bar."""
        if self._shown is None:
            sys.stderr.write(f"{text}\n")
        else:
            self._shown[0].console.print(text, markup=False, highlight=False, soft_wrap=True)

    def clear(self) -> None:
        """Take it away."""
        if self._shown is not None:
            self._shown[0].stop()
            self._shown = None

    def _begin(self) -> "tuple[Progress, TaskID]":
        from rich.console import Console  # noqa: PLC0415 - scripts do without
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[aside]}", style="dim", markup=False),
        )
        bar = Progress(*columns, console=Console(file=sys.stderr), transient=True)
        bar.start()
        return bar, bar.add_task(self.what, total=None, aside="")
