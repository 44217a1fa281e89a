"""Where a backtest keeps what it would otherwise make anew: the user's cache.

What belongs here: the folder, and that it is nobody else's. What does not: what lies in it (compiled,
marketdata.candle_cache). Everything in it may be deleted at any time.
"""

import os
from contextlib import suppress
from pathlib import Path

_OWNER_ONLY = 0o700
_FOR_OTHERS = 0o077


def place(name: str) -> Path:
    """The path of a folder in the cache, whether it is there or not; RuntimeError where nobody has a home."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "trading-engine" / name


def make(folder: Path) -> None:
    """Make a folder of the cache, for its owner alone; OSError where that cannot be."""
    folder.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
    for each in (folder.parent, folder):  # what is in it gets executed and believed
        if each.stat().st_mode & _FOR_OTHERS:
            each.chmod(_OWNER_ONLY)


def candle_folder() -> Path | None:
    """Where checked candles are kept; None where there is no such place."""
    with suppress(RuntimeError, OSError):
        folder = place("candles")
        make(folder)
        return folder
    return None
