"""Recorded frames, read back at any speed.

What belongs here: the file format of recorder, read with patience for files that a crash cut short. What does not:
what a frame means (venues).
"""

import asyncio
import contextlib
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from trading_engine.domain.errors import ConfigInvalid

_CHUNK_BYTES = 1 << 18
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_OR_ZLIB = 47
_EARLIEST_NS = 10**18  # 2001; what is smaller was written in coarser units
_COARSER = (10**3, 10**6, 10**9)
_SLACK_S = 0.001  # a wait that is shorter is not worth a turn of the loop


class RecordedFrame(NamedTuple):
    """A frame and when it came, ns since 1970."""

    receive_ns: int
    raw: bytes


def read_frames(paths: Iterable[Path]) -> Iterator[RecordedFrame]:
    """The frames of files, gzip or plain, in the order given.

    Receive times in micro- or milliseconds are understood. A last line without its end, and what follows a cut in
    the compression, is skipped: the writer has died there. ConfigInvalid for a file that cannot be read and for a
    line that is no frame.
    """
    for path in paths:
        for number, line in enumerate(_lines(path), 1):
            stamp, space, raw = line.partition(b" ")
            if not space or not stamp.isdigit() or not raw:
                raise ConfigInvalid(
                    f"{path}: line {number} is {line[:40]!r}; expected a receive time in ns, a space and a frame"
                )
            yield RecordedFrame(_nanoseconds(int(stamp)), raw)


async def play(
    frames: Iterable[RecordedFrame],
    sink: Callable[[RecordedFrame], None],
    speed: float | None = None,
    monotonic_s: Callable[[], float] | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> int:
    """Give all frames to `sink`, `speed` recorded seconds in a second, None for as fast as it goes; how many.

    Others get a turn at least every thousand frames. Frames that came out of order are not waited for twice.
    """
    now_s = monotonic_s or asyncio.get_running_loop().time
    begun_s = now_s()
    first_ns = -1
    count = 0
    for frame in frames:
        first_ns = frame.receive_ns if first_ns < 0 else first_ns
        if speed is not None:
            left_s = begun_s + (frame.receive_ns - first_ns) / 1e9 / speed - now_s()
            if left_s > _SLACK_S:
                await sleep(left_s)
        sink(frame)
        count += 1
        if count % 1_000 == 0:
            await sleep(0)
    return count


def _nanoseconds(stamp: int) -> int:
    if stamp >= _EARLIEST_NS:
        return stamp
    for factor in _COARSER:
        if stamp * factor >= _EARLIEST_NS:
            return stamp * factor
    return stamp


def _lines(path: Path) -> Iterator[bytes]:
    """Complete lines, without their ends."""
    rest = b""
    for chunk in _bytes(path):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines


def _bytes(path: Path) -> Iterator[bytes]:
    """What a file holds, unpacked, as far as it can be."""
    try:
        with path.open("rb") as file:
            head = file.read(_CHUNK_BYTES)
            if not head.startswith(_GZIP_MAGIC):
                while head:
                    yield head
                    head = file.read(_CHUNK_BYTES)
                return
            unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)
            while head:
                before = unpacker.copy()
                try:
                    unpacked = unpacker.decompress(head)
                except zlib.error:
                    yield _undamaged(before, head)
                    return  # no gzip from there: the writer has died, and the disk left something behind
                yield unpacked
                head = unpacker.unused_data
                if unpacker.eof:
                    unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)  # another member may follow
                head = head or file.read(_CHUNK_BYTES)
    except FileNotFoundError:
        raise ConfigInvalid(f"{path}: no such file; expected a recording of frames") from None
    except OSError as error:
        raise ConfigInvalid(f"{path}: cannot be read ({error.strerror}); expected a recording of frames") from error


def _undamaged(unpacker: "zlib._Decompress", chunk: bytes) -> bytes:
    """What can be unpacked of a chunk before the place where it is damaged."""
    unpacked = []
    with contextlib.suppress(zlib.error):
        for place in range(len(chunk)):
            unpacked.append(unpacker.decompress(chunk[place : place + 1]))  # noqa: PERF401 - what came before counts
    return b"".join(unpacked)
