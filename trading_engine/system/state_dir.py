"""The directory that holds everything the engine must not lose.

What belongs here: which directory it is, what lies where in it, whether it can be written. What does not:
the files' contents (store, marketdata, runtime).
"""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trading_engine.domain.errors import ConfigInvalid

DEFAULT = Path("state")
_OWNER_ONLY = 0o700
_FOR_OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class StateDir:
    """An absolute path and the names in it."""

    root: Path

    @property
    def database(self) -> Path:
        """The engine's own database."""
        return self.root / "engine.db"

    @property
    def paper_database(self) -> Path:
        """The embedded exchange's memory; the engine reads it only through the venue port."""
        return self.root / "paper.db"

    @property
    def contracts(self) -> Path:
        """What the venue said of its contracts when paper last traded on its live market."""
        return self.root / "contracts.json"

    @property
    def arming(self) -> Path:
        """An operator's word that real money may be traded from here without a terminal."""
        return self.root / "arming.json"

    @property
    def lock(self) -> Path:
        """Held by the one engine that runs on this directory."""
        return self.root / "engine.lock"

    @property
    def control_socket(self) -> Path:
        """Where a running engine takes commands."""
        return self.root / "control.sock"

    @property
    def candles(self) -> Path:
        """The candle store."""
        return self.root / "candles"

    @property
    def backups(self) -> Path:
        """Copies of the database."""
        return self.root / "backups"

    @property
    def logs(self) -> Path:
        """Log files."""
        return self.root / "logs"


def resolve(argument: Path | None, environ: Mapping[str, str]) -> StateDir:
    """`--state`, else $STATE_DIRECTORY (systemd may list several, the first counts), else ./state.

    Touches nothing. The path is made absolute, so that a later change of directory means nothing.
    """
    from_systemd = environ.get("STATE_DIRECTORY", "").split(":")[0]
    chosen = argument or (Path(from_systemd) if from_systemd else DEFAULT)
    return StateDir(chosen.absolute())


def prepare(state: StateDir) -> StateDir:
    """Make the directory (only its owner may enter) where it is missing, and prove it can be written.

    Leaves no file. An existing directory keeps its permissions. Raises ConfigInvalid naming the path.
    """
    root = state.root
    try:
        root.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ConfigInvalid(_refusal(root, "it or a part of its path is a file, not a directory")) from None
    except OSError as error:
        raise ConfigInvalid(_refusal(root, f"it cannot be made: {error.strerror}")) from None
    if os.statvfs(root).f_flag & os.ST_RDONLY:
        raise ConfigInvalid(_refusal(root, "it is on a read-only file system"))
    if not os.access(root, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigInvalid(_refusal(root, "it may not be read and written by this user"))
    try:
        with tempfile.TemporaryFile(dir=root) as probe:
            probe.write(b"probe")
            probe.flush()
    except OSError as error:
        raise ConfigInvalid(_refusal(root, f"it cannot be written: {error.strerror}")) from None
    return state


def require_private(state: StateDir) -> None:
    """ConfigInvalid where others may enter the directory: it holds a socket that closes positions, and the books."""
    mode = state.root.stat().st_mode & 0o777
    if mode & _FOR_OTHERS:
        raise ConfigInvalid(
            f"state directory {state.root}: its mode {mode:04o} lets others in; with a real account nobody else may:"
            f" chmod 700 {state.root}"
        )


def _refusal(root: Path, reason: str) -> str:
    return f"state directory {root}: {reason}; give another with --state DIR or change its owner"
