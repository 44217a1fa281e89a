"""Whether the log goes to systemd's journal, and how a line says how grave it is there.

What belongs here: the priorities of sd-daemon(3) and the question who reads a stream. What does not: the log's own
forms (logging).
"""

import os
from collections.abc import Mapping
from typing import TextIO

_ERROR = 3
# By loguru's and logging's numbers: what is at least so grave gets this priority.
_PRIORITIES = ((50, 2), (40, _ERROR), (30, 4), (25, 5), (20, 6))
_DEBUG = 7


def reads(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether the journal is at the other end of `stream`: $JOURNAL_STREAM names its device and inode."""
    named = environ.get("JOURNAL_STREAM", "")
    if not named:
        return False
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):  # closed, or no file at all
        return False
    return named == f"{found.st_dev}:{found.st_ino}"


def prefix(level: int) -> str:
    """What a line of this level begins with: `<3>` for an error."""
    return f"<{next((priority for least, priority in _PRIORITIES if level >= least), _DEBUG)}>"


def error_prefix(stream: TextIO, environ: Mapping[str, str]) -> str:
    """The prefix of an error where the journal reads `stream`, empty elsewhere."""
    return f"<{_ERROR}>" if reads(stream, environ) else ""
