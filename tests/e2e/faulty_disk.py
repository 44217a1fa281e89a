"""A disk that fails on purpose under a real engine: the Nth write or sync of one database, from there on or once.

    python tests/e2e/faulty_disk.py --file engine.db --operation write --error enospc --at 12 -- run --config …

What belongs here: a layer between SQLite and its files that counts and refuses, and the command line that
runs on top of it. What does not: what must hold afterwards (test_storage, storage_sweep).

The layer is a copy of SQLite's own file system interface ("VFS") with another `xOpen`. Files named FILE,
FILE-wal and FILE-journal get functions that count a call and then either pass it on or return what SQLite
itself makes of EIO and ENOSPC. Nothing is written by a call that fails. Everything above is the real thing.
A failed sync is the same result for both errors: SQLite does not tell them apart there.

Exits with the code of the command, with 77 where this Python hides SQLite's functions (linked statically).
"""

import argparse
import ctypes
import importlib
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
UNREACHABLE = 77
OPERATIONS = ("write", "sync", "truncate")
ERRORS = ("eio", "enospc")
COMPANIONS = ("", "-wal", "-journal")

_NAME = b"faulty"
_OK = 0
_IOERR = 10
_FULL = 13
_CODES = {
    ("write", "eio"): _IOERR | 3 << 8,  # SQLITE_IOERR_WRITE
    ("write", "enospc"): _FULL,
    ("sync", "eio"): _IOERR | 4 << 8,  # SQLITE_IOERR_FSYNC
    ("sync", "enospc"): _IOERR | 4 << 8,
    ("truncate", "eio"): _IOERR | 6 << 8,  # SQLITE_IOERR_TRUNCATE
    ("truncate", "enospc"): _IOERR | 6 << 8,
}

_Pointer = ctypes.c_void_p
_OPEN = ctypes.CFUNCTYPE(ctypes.c_int, _Pointer, _Pointer, _Pointer, ctypes.c_int, _Pointer)
_WRITE = ctypes.CFUNCTYPE(ctypes.c_int, _Pointer, _Pointer, ctypes.c_int, ctypes.c_int64)
_SYNC = ctypes.CFUNCTYPE(ctypes.c_int, _Pointer, ctypes.c_int)
_TRUNCATE = ctypes.CFUNCTYPE(ctypes.c_int, _Pointer, ctypes.c_int64)
_FUNCTIONS = {"write": ("xWrite", _WRITE), "sync": ("xSync", _SYNC), "truncate": ("xTruncate", _TRUNCATE)}


class _Methods(ctypes.Structure):
    """`sqlite3_io_methods`, version 3."""

    _fields_ = (
        ("iVersion", ctypes.c_int),
        *((name, _Pointer) for name in ("xClose", "xRead", "xWrite", "xTruncate", "xSync", "rest")),
        ("more", _Pointer * 12),
    )


class _File(ctypes.Structure):
    """The public part of `sqlite3_file`."""

    _fields_ = (("pMethods", ctypes.POINTER(_Methods)),)


class _Vfs(ctypes.Structure):
    """`sqlite3_vfs`, version 3."""

    _fields_ = (
        ("iVersion", ctypes.c_int),
        ("szOsFile", ctypes.c_int),
        ("mxPathname", ctypes.c_int),
        ("pNext", _Pointer),
        ("zName", ctypes.c_char_p),
        ("pAppData", _Pointer),
        ("xOpen", _Pointer),
        ("more", _Pointer * 15),
    )


class Unreachable(Exception):
    """SQLite's functions cannot be called from outside of this Python's own module."""


@dataclass(slots=True)
class Fault:
    """What fails and when; counts as it goes.

    at     the call that fails first, from 1; 0 for never
    once   only that call fails: the cause goes by itself
    """

    file: str
    operation: str
    error: str
    at: int
    once: bool = False
    seen: int = 0
    refused: int = 0

    def concerns(self, path: str) -> bool:
        """Whether a file is one of those that fail."""
        return Path(path).name in {self.file + companion for companion in COMPANIONS}

    def strikes(self) -> bool:
        """Count a call; whether it fails."""
        self.seen += 1
        is_hit = self.at > 0 and (self.seen == self.at if self.once else self.seen >= self.at)
        self.refused += is_hit
        return is_hit


class _Layer:
    """The VFS in between; SQLite keeps pointers into it, so it lives as long as the process."""

    def __init__(self, library: ctypes.CDLL, fault: Fault) -> None:
        self._fault = fault
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        library.sqlite3_vfs_find.argtypes = (ctypes.c_char_p,)
        library.sqlite3_vfs_register.argtypes = (ctypes.POINTER(_Vfs), ctypes.c_int)
        self._below = library.sqlite3_vfs_find(None)
        self._open_below = _OPEN(self._below.contents.xOpen)
        self._on_open = _OPEN(self._open)
        self._kept: list[Any] = []
        self._methods: dict[int, _Methods] = {}
        self._vfs = _copy_of(self._below.contents)
        self._vfs.zName = _NAME
        self._vfs.pNext = None
        self._vfs.xOpen = ctypes.cast(self._on_open, _Pointer)
        library.sqlite3_vfs_register(ctypes.byref(self._vfs), 1)

    def _open(self, vfs: int, name: int | None, file: int, flags: int, out_flags: int | None) -> int:
        del vfs  # the layer below is to find its own
        code: int = self._open_below(ctypes.cast(self._below, _Pointer), name, file, flags, out_flags)
        if code == _OK and name and self._fault.concerns(os.fsdecode(ctypes.string_at(name))):
            opened = ctypes.cast(file, ctypes.POINTER(_File)).contents
            below = ctypes.addressof(opened.pMethods.contents)
            if below not in self._methods:
                self._methods[below] = self._failing(opened.pMethods.contents)
            opened.pMethods = ctypes.pointer(self._methods[below])
        return code

    def _failing(self, below: _Methods) -> _Methods:
        """The methods of a file with one that counts and fails in its place."""
        field, kind = _FUNCTIONS[self._fault.operation]
        pass_on: Callable[..., int] = kind(getattr(below, field))
        refusal = _CODES[self._fault.operation, self._fault.error]
        strikes = self._fault.strikes

        def counted(*arguments: Any) -> int:
            return refusal if strikes() else pass_on(*arguments)

        function = kind(counted)
        self._kept += [pass_on, function]
        methods = _copy_of(below)
        setattr(methods, field, ctypes.cast(function, _Pointer))
        return methods


_armed: list[_Layer] = []


def _copy_of(structure: Any) -> Any:
    return type(structure).from_buffer_copy(structure)


def arm(fault: Fault) -> None:
    """From now on SQLite's files in this process fail as `fault` says. Raises Unreachable."""
    if sqlite3.sqlite_version_info < (3, 8):
        raise Unreachable("SQLite is too old: its tables of functions have another form")
    module = importlib.import_module("_sqlite3")
    library = ctypes.CDLL(getattr(module, "__file__", None))
    try:
        layer = _Layer(library, fault)
    except AttributeError as error:
        raise Unreachable(f"SQLite's functions cannot be reached from outside ({error})") from error
    _armed.append(layer)
    try:
        with closing(sqlite3.connect(f"file::memory:?vfs={_NAME.decode()}", uri=True)):
            return
    except sqlite3.OperationalError as error:  # another copy of the library answered
        raise Unreachable(f"the functions found belong to another copy of SQLite ({error})") from error


def perform(fault: Fault, arguments: Sequence[str]) -> int:
    """Run one command of the engine's command line on the failing disk; its exit code. Raises Unreachable."""
    arm(fault)
    command_line = importlib.import_module("trading_engine.cli.main")
    code: int = command_line.main(list(arguments))
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, fail, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", required=True, help="name of the database")
    parser.add_argument("--operation", choices=OPERATIONS, default="write")
    parser.add_argument("--error", choices=ERRORS, default="eio")
    parser.add_argument("--at", type=int, required=True, help="the call that fails first; 0: only count")
    parser.add_argument("--once", action="store_true", help="only that call fails")
    parser.add_argument("--count-file", type=Path, help="where to write how many calls were seen and refused")
    parser.add_argument("command", nargs="+", help="-- and the engine's arguments")
    chosen = parser.parse_args(argv)
    sys.path.insert(0, str(ROOT))
    os.environ["PYTHONPATH"] = str(ROOT)  # for what the command starts itself
    fault = Fault(chosen.file, chosen.operation, chosen.error, chosen.at, chosen.once)
    try:
        return perform(fault, chosen.command)
    except Unreachable as error:
        print(f"cannot make the disk fail: {error}", file=sys.stderr)
        return UNREACHABLE
    finally:
        if chosen.count_file is not None:
            chosen.count_file.write_text(json.dumps({"seen": fault.seen, "refused": fault.refused}), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
