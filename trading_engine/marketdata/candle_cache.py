"""Checked candle files as they were read: a file that has not changed is not parsed and audited again.

What belongs here: keeping the integers of a file with the report on it, and finding them again. What does not: reading
and judging files (candle_file), where the folder lies (whoever calls).

An entry is named by a hash of the file's bytes, of the instrument's units and of the code that reads; whatever changes
one of them makes another entry, never a wrong one. It begins with a digest of itself and is not believed where that
does not match. Nothing here is a reason to fail: an entry that cannot be read or written is done without.

    SHA-256 of the rest · length of the report · report as JSON · padding · six columns of 64-bit integers

Entries are replaced and deleted by name, never written to, so that a process may keep one mapped into its memory.
"""

import hashlib
import json
import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trading_engine.domain.instrument import Instrument
from trading_engine.marketdata import block, candle_file, columns
from trading_engine.marketdata.block import Units
from trading_engine.marketdata.candle_file import DataReport, Gap, load_candles

MOST_BYTES = 2 << 30  # eighty years of one symbol's minutes
MOST_ENTRIES = 1_000
_SUFFIX = ".candles"
_DIGEST_BYTES, _LENGTH_BYTES, _ALIGNED = 32, 4, 64
_COLUMN = np.dtype("<i8")


def _loader() -> str:
    """Of everything that decides what a file's bytes become."""
    told = hashlib.sha256()
    for path in (__file__, candle_file.__file__, columns.__file__, block.__file__):
        told.update(Path(path).read_bytes())
    return told.hexdigest()


# Taken when the code is loaded, as for machine code: sources may be replaced under a process that still runs.
_LOADER = _loader()


class Held(NamedTuple):
    """A file's candles in memory, and what it holds."""

    report: DataReport
    units: Units


def read_candles(symbol: str, path: Path, instrument: Instrument, folder: Path | None) -> Held:
    """Every candle of a file, checked as by `open_candles`, whose errors it raises.

    folder   where entries are kept; None for reading the file in any case
    """
    name = "" if folder is None else _name(path, instrument)
    if folder is None or not name:
        return _read(symbol, path, instrument)
    entry = folder / f"{name}{_SUFFIX}"
    if (known := _kept(entry)) is not None:
        return known
    fresh = _read(symbol, path, instrument)
    if _name(path, instrument) == name:  # not another file meanwhile
        with suppress(OSError):
            _keep(entry, fresh)
            _make_room(folder)
    return fresh


def _read(symbol: str, path: Path, instrument: Instrument) -> Held:
    file, whole = load_candles(symbol, path, instrument)
    return Held(file.report, Units._make(whole[: len(Units._fields)]))


def _name(path: Path, instrument: Instrument) -> str:
    """What an entry is called; empty where the file cannot be read, which its reader explains."""
    try:
        with path.open("rb") as file:
            told = hashlib.file_digest(file, "sha256")
    except OSError:
        return ""
    told.update(f" {instrument.tick} {instrument.step} {_LOADER}".encode())
    return told.hexdigest()


def _kept(entry: Path) -> Held | None:
    """What an entry holds; None where there is none, or none to be believed."""
    with suppress(OSError, ValueError, KeyError, TypeError), entry.open("rb") as file:
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if hashlib.sha256(memoryview(memory)[_DIGEST_BYTES:]).digest() != memory[:_DIGEST_BYTES]:
            return None
        os.utime(file.fileno())  # the one that was of use longest ago goes first
        return _mapped(memory)
    return None


def _mapped(memory: mmap.mmap) -> Held:
    begin = _DIGEST_BYTES + _LENGTH_BYTES
    end = begin + int.from_bytes(memory[_DIGEST_BYTES:begin], "little")
    rows, first, last, interval_ms, gaps, off_tick = json.loads(memory[begin:end])
    report = DataReport(rows, first, last, interval_ms, tuple(Gap(*gap) for gap in gaps), off_tick)
    table = np.frombuffer(memory, _COLUMN, offset=_padded(end)).reshape(len(Units._fields), rows)
    return Held(report, Units._make(table))


def _padded(length: int) -> int:
    return -(-length // _ALIGNED) * _ALIGNED


def _parts(held: Held) -> Iterator[bytes | memoryview]:
    """Everything behind the digest."""
    report = json.dumps(held.report).encode()
    head = len(report).to_bytes(_LENGTH_BYTES, "little") + report
    length = _DIGEST_BYTES + len(head)
    yield head + bytes(_padded(length) - length)
    for column in held.units:
        yield np.ascontiguousarray(column, _COLUMN).data


def _keep(entry: Path, held: Held) -> None:
    told = hashlib.sha256()
    for part in _parts(held):
        told.update(part)
    draft = entry.with_suffix(f".{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(told.digest())
            for part in _parts(held):
                file.write(part)
        draft.replace(entry)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def _make_room(folder: Path) -> None:
    """Delete what was of use longest ago until the rest is within bounds; what a dead process left is among it."""
    files = sorted(((each.stat().st_mtime_ns, each) for each in folder.iterdir()), reverse=True)
    total = 0
    for place, (_, each) in enumerate(files):
        total += each.stat().st_size
        if total > MOST_BYTES or place >= MOST_ENTRIES:
            each.unlink(missing_ok=True)
