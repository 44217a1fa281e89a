"""The file that stops the engine without asking it.

What belongs here: reading what the file demands. What does not: how often it is read and what follows
(runtime, core).
"""

import os
import stat
from pathlib import Path
from typing import Literal

Demand = Literal["block", "flatten"]

_READ_BYTES = 256


class StopFile:
    """A path at which an operator may put a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Demand | None:
        """None without a file; "flatten" where its content says so, in any case; otherwise "block".

        Whatever exists but cannot be read blocks as well, for the file's presence is the message. Never
        raises and never waits (a pipe or a device is present, not read).
        """
        try:
            mode = os.lstat(self.path).st_mode
        except FileNotFoundError:
            return None
        except OSError:
            return "block"
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
            return "block"
        return "flatten" if self._word() == "flatten" else "block"

    def _word(self) -> str:
        """The content without case and surrounding space; empty where it cannot be read."""
        try:
            # Non-blocking, because a link may lead to a pipe that nobody writes to.
            handle = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                content = os.read(handle, _READ_BYTES)
            finally:
                os.close(handle)
        except OSError:
            return ""
        return content.decode("utf-8-sig", errors="replace").strip().casefold()
