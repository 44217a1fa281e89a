"""One engine on one state directory.

What belongs here: taking, holding and asking for the lock. What does not: where it lies (state_dir).

The kernel drops the lock with the process, however it ends, so there is no stale lock to clear. The file
stays: unlinking it would let two processes each hold a lock on a file of the same name.
"""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from trading_engine.domain.errors import ConfigInvalid

PID_UNKNOWN = -1
_REFUSED = 3
_REMEDY = "check its owner and permissions"
_PID_BYTES = 32
# `holder` takes the lock for an instant; a starting engine must not be refused because of that.
_ATTEMPTS = 10
_PAUSE_S = 0.02


class AlreadyRunning(ConfigInvalid):
    """Another engine holds the lock (exit 3)."""

    def __init__(self, path: Path, pid: int) -> None:
        who = f"process {pid}" if pid != PID_UNKNOWN else "another process"
        super().__init__(
            f"{path}: held by {who}, so an engine runs on this state directory already; "
            "stop it first or give another directory with --state DIR",
            exit_code=_REFUSED,
        )
        self.pid = pid


class InstanceLock:
    """The lock of a state directory, as a context manager.

    Entering raises AlreadyRunning at once where another process (or another InstanceLock) holds it, and
    ConfigInvalid where the file cannot be made.

    writes_nothing   for an emergency: it works on a full or read-only disk, and nobody learns who holds it
    """

    def __init__(
        self, path: Path, sleep: Callable[[float], None] = time.sleep, *, writes_nothing: bool = False
    ) -> None:
        self._path = path
        self._sleep = sleep
        self._writes = not writes_nothing
        self._handle: int | None = None

    def __enter__(self) -> Self:
        """Take the lock and write this process's number into the file."""
        try:
            handle = self._open()
        except OSError as error:
            raise ConfigInvalid(f"{self._path}: lock file cannot be opened ({error.strerror}); {_REMEDY}") from None
        try:
            self._lock(handle)
            if self._writes:
                os.ftruncate(handle, 0)
                os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            os.close(handle)
            raise
        self._handle = handle
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the lock back; the file stays, empty."""
        if self._handle is not None:
            if self._writes:
                os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = None

    def _open(self) -> int:
        if not self._writes and self._path.exists():
            return os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _lock(self, handle: int) -> None:
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._sleep(_PAUSE_S)
            if _try_lock(handle, fcntl.LOCK_EX):
                return
        raise AlreadyRunning(self._path, _written_pid(handle))


def holder(path: Path) -> int | None:
    """Number of the process that holds the lock, or None where none does.

    PID_UNKNOWN where it is held but the number is not written yet. Leaves nothing behind.
    Raises ConfigInvalid where the file may not be read, for that answers nothing.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigInvalid(f"{path}: lock file cannot be read ({error.strerror}); {_REMEDY}") from None
    try:
        return None if _try_lock(handle, fcntl.LOCK_SH) else _written_pid(handle)
    finally:
        os.close(handle)


def _try_lock(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _written_pid(handle: int) -> int:
    text = os.pread(handle, _PID_BYTES, 0).strip()
    return int(text) if text.isdigit() else PID_UNKNOWN
