"""Work that is begun before its result is needed, beside what goes on meanwhile.

What belongs here: one function in a thread of its own. What does not: what is done there; it pays where that waits for
the disk or leaves the interpreter's lock alone, as hashing and loading libraries do.
"""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """A function that has been called already; `result` waits for it, and raises what it has raised."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._found: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def result(self) -> T:
        """What it came to."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._found[0]

    def _run(self) -> None:
        try:
            self._found.append(self._work())
        except BaseException as error:  # noqa: BLE001 - whoever asks for the result gets it
            self._error = error
