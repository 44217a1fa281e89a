"""Recorded files as one tape, played once or again and again.

What belongs here: the order of frames of several files, where a tape begins and ends. What does not: what a frame
says (binance_frames), the format of files (marketdata.recording), when a frame is sent (serve).

A tape that is played again and again ends after a whole number of minutes, so that the candles of each turn are
those of the one before, and the same times of each turn lie so many minutes apart.
"""

import heapq
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.time import MINUTE_MS
from trading_engine.marketdata.recording import read_frames

_NS_PER_MS = 1_000_000


class TapeFrame(NamedTuple):
    """A frame, when it came (ms since 1970, as the recorder's clock had it), and the number of its file."""

    receive_ms: int
    file: int
    raw: bytes


class Tape:
    """Frames of files merged by time. ConfigInvalid for files that cannot be read or hold no frame.

    turn_ms  the length of a turn of a tape that is played again and again, a multiple of a minute; 0 for once
    """

    def __init__(self, paths: Sequence[Path], *, is_endless: bool = False) -> None:
        self.paths = tuple(paths)
        first_ms = last_ms = -1
        self.frame_count = 0
        for frame in self._merged():
            first_ms = frame.receive_ms if first_ms < 0 else first_ms
            last_ms = max(last_ms, frame.receive_ms)
            self.frame_count += 1
        names = ", ".join(str(path) for path in paths)
        if first_ms < 0:
            raise ConfigInvalid(f"{names}: holds no frame; expected a recording made by `data record`")
        self.first_ms = first_ms
        self.length_ms = last_ms - first_ms + 1
        self.turn_ms = self.length_ms // MINUTE_MS * MINUTE_MS if is_endless else 0
        if is_endless and not self.turn_ms:
            raise ConfigInvalid(
                f"{names}: {self.length_ms / 1000:.1f} s long; --loop needs at least a minute", exit_code=2
            )

    def frames(self) -> Iterator[TapeFrame]:
        """One turn, oldest first."""
        end_ms = self.first_ms + (self.turn_ms or self.length_ms)
        for frame in self._merged():
            if frame.receive_ms < end_ms:
                yield frame

    def _merged(self) -> Iterator[TapeFrame]:
        files = [_read(number, path) for number, path in enumerate(self.paths)]
        return files[0] if len(files) == 1 else heapq.merge(*files, key=lambda frame: frame.receive_ms)


def _read(number: int, path: Path) -> Iterator[TapeFrame]:
    for frame in read_frames([path]):
        yield TapeFrame(frame.receive_ns // _NS_PER_MS, number, frame.raw)
