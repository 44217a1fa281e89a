"""Raw frames on disk, as they came: to replay a market, and to look at what a venue really said.

What belongs here: the file format, rotation, what survives a crash. What does not: where frames come from, reading
(recording).

A file is gzip; a line is `<receive time, ns since 1970> <raw JSON>`. `take` only remembers; `flush` compresses,
writes and syncs, in a thread where `run` calls it. What was flushed survives the death of the process and of the
machine; what was taken since is lost, a second's worth by default. A file that was cut short by a crash is never
written to again: the next start begins a new one, and a reader skips the line that was cut.

A disk that fails never hurts the caller: the failure is told, frames wait up to a bound, then they are dropped and
counted.
"""

import asyncio
import contextlib
import os
import threading
import zlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from trading_engine.domain.time import HOUR_MS, iso

_NS_PER_MS = 1_000_000
_GZIP = 31  # zlib's name for gzip with the largest window


@dataclass(frozen=True, slots=True)
class RecorderSettings:
    """Where and how is recorded.

    name         begins the names of files: `binance-um_btcusdt` gives `binance-um_btcusdt_20250101T0000.jsonl.gz`
    most_bytes   a file of that size (compressed) is followed by a new one; so is one at each full hour
    flush_ms     what is lost at the most when the process or the machine dies
    waiting_bytes  so much waits for a disk that does not answer, then frames are dropped
    """

    folder: Path
    name: str
    most_bytes: int = 256 << 20
    flush_ms: int = 1_000
    waiting_bytes: int = 64 << 20
    level: int = 6


class Recorder:
    """`take` frames from one thread; `flush` and `close` from any.

    taken, dropped  frames; a frame is counted in one of the two
    files           those that hold something, in the order in which they were begun
    """

    def __init__(self, settings: RecorderSettings, on_error: Callable[[str], None]) -> None:
        self._settings = settings
        self._on_error = on_error
        # Two threads: `take` appends and counts in, `flush` pops and counts out; nothing is assigned by both.
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._bytes_in = 0
        self._bytes_out = 0
        self._lock = threading.Lock()
        self._file: _File | None = None
        self._is_failing = False
        self.taken = 0
        self.dropped = 0
        self.files: list[Path] = []

    @property
    def is_failing(self) -> bool:
        """The last attempt to write has failed."""
        return self._is_failing

    def take(self, receive_ns: int, frame: bytes) -> None:
        """Remember a frame for the next flush. Some 100 ns: no file is touched."""
        if self._bytes_in - self._bytes_out >= self._settings.waiting_bytes:
            self.dropped += 1
            return
        self.taken += 1
        self._bytes_in += len(frame)
        self._waiting.append((receive_ns, frame))

    def flush(self) -> None:
        """Write and sync what was taken. A failing disk is told once, and tried again with a new file next time."""
        with self._lock:
            waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
            try:
                self._write(waiting)
            except OSError as error:
                # What the failed file holds already is then there twice, never missing.
                self._waiting.extendleft(reversed(waiting))
                self._abandon(error)
                return
            self._bytes_out += sum(len(frame) for _, frame in waiting)
            self._is_failing = self._is_failing and not waiting

    async def run(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Flush again and again until cancelled; then close."""
        try:
            while True:
                await sleep(self._settings.flush_ms / 1_000)
                await asyncio.to_thread(self.flush)
        finally:
            self.close()

    def close(self) -> None:
        """Flush and end the file; again has no effect."""
        self.flush()
        with self._lock:
            try:
                if self._file is not None:
                    self._file.end()
            except OSError as error:
                self._abandon(error)
            self._file = None

    def _write(self, waiting: list[tuple[int, bytes]]) -> None:
        for receive_ns, frame in waiting:
            hour = receive_ns // _NS_PER_MS // HOUR_MS
            file = self._file
            if file is None or file.hour != hour or file.size >= self._settings.most_bytes:
                if file is not None:
                    file.end()
                    self._note(file)
                file = self._file = _File(self._settings, hour)
            if b"\n" in frame or b"\r" in frame:  # in JSON they can only be space between values
                frame = frame.replace(b"\n", b" ").replace(b"\r", b" ")  # noqa: PLW2901
            file.write(b"%d %b\n" % (receive_ns, frame))
        if self._file is not None and waiting:
            self._file.sync()
            self._note(self._file)

    def _note(self, file: "_File") -> None:
        if file.path not in self.files[-1:]:
            self.files.append(file.path)

    def _abandon(self, error: OSError) -> None:
        if self._file is not None:
            self._file.abandon()
            self._file = None
        if not self._is_failing:
            self._is_failing = True
            self._on_error(f"{self._settings.folder}: frames cannot be recorded ({error.strerror or error})")


class _File:
    """One file being written. Made exclusively: nothing that is there is ever touched."""

    def __init__(self, settings: RecorderSettings, hour: int) -> None:
        self.hour = hour
        self.size = 0
        settings.folder.mkdir(parents=True, exist_ok=True)
        self._file, self.path = _create(settings.folder, settings.name, hour)
        self._is_empty = True
        self._packer = zlib.compressobj(settings.level, zlib.DEFLATED, _GZIP)
        try:
            _sync_folder(settings.folder)
        except OSError:
            self.abandon()
            raise

    def write(self, line: bytes) -> None:
        self._put(self._packer.compress(line))

    def sync(self) -> None:
        self._put(self._packer.flush(zlib.Z_SYNC_FLUSH))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._is_empty = False

    def end(self) -> None:
        try:
            self._put(self._packer.flush(zlib.Z_FINISH))
            self._file.flush()
            os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def abandon(self) -> None:
        """Leave it as it is; nothing is left of a file that never held anything: a full disk makes no pile of them."""
        with contextlib.suppress(OSError):  # what failed before fails again
            self._file.close()
        if self._is_empty:
            with contextlib.suppress(OSError):
                self.path.unlink()

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self.size += len(data)


def _create(folder: Path, name: str, hour: int) -> tuple[BinaryIO, Path]:
    stamp = iso(hour * HOUR_MS)[:16].replace("-", "").replace(":", "")
    number = 0
    while True:
        part = f"-{number}" if number else ""
        path = folder / f"{name}_{stamp}{part}.jsonl.gz"
        try:
            return path.open("xb"), path
        except FileExistsError:
            number += 1


def _sync_folder(folder: Path) -> None:
    """The name of a new file must survive as well as its content."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
