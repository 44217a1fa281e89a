"""What an operator does about a SQLite file that cannot be used.

What belongs here: telling a file that may not be opened, and a disk that takes nothing, from damage. What does not:
opening files, the rest of the message (store, the embedded exchange).
"""

import os
import sqlite3
from pathlib import Path

_COMPANIONS = ("-wal", "-shm", "-journal")
_PRIMARY = 0xFF  # of an extended result code
_BARRED = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM})
_REFUSED = frozenset(
    {
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_IOERR_DIR_FSYNC,
        sqlite3.SQLITE_IOERR_TRUNCATE,
        sqlite3.SQLITE_IOERR_SHMOPEN,
        sqlite3.SQLITE_IOERR_SHMSIZE,
        sqlite3.SQLITE_IOERR_SHMMAP,
    }
)


def remedy(path: Path, cause: object, otherwise: str) -> str:
    """What to do about `path`, by what SQLite says of it; `otherwise` where that is no matter of access or room."""
    code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_OK)
    if code & _PRIMARY in _BARRED:
        return f"check owner and permissions of {_barred(path)}"
    if is_refused(cause):
        return f"the disk takes no more: make room in {path.parent}, or lift the limit on the size of files"
    return otherwise


def is_refused(cause: object) -> bool:
    """Whether the disk did not take what was written: it is full, fails, or a limit is reached."""
    code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_OK)
    return code == sqlite3.SQLITE_FULL or code in _REFUSED


def _barred(path: Path) -> str:
    """The database, the first of the files beside it, or the directory, that this user may not read or else write."""
    files = [path, *(path.with_name(path.name + suffix) for suffix in _COMPANIONS)]
    for needed in (os.R_OK, os.R_OK | os.W_OK):
        for file in files:
            if file.exists() and not (file.is_file() and os.access(file, needed)):
                return str(file)
    if not os.access(path.parent, os.R_OK | os.W_OK | os.X_OK):
        return str(path.parent)
    return f"{path} and of what lies beside it"
