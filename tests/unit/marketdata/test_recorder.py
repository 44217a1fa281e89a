"""Frames on disk: as they came, through rotation, crashes and disks that fail."""

import asyncio
import errno
import gzip
import os
from pathlib import Path

import pytest

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.marketdata.recorder import Recorder, RecorderSettings
from trading_engine.marketdata.recording import RecordedFrame, play, read_frames

HOUR_NS = 3_600_000_000_000
T0_NS = 1_735_689_600_000_000_000  # 2025-01-01T00:00Z
SECOND_NS = 1_000_000_000


def frames(count: int, step_ns: int = SECOND_NS, start: int = 0) -> list[RecordedFrame]:
    return [RecordedFrame(T0_NS + n * step_ns, b'{"n":%d}' % n) for n in range(start, start + count)]


def make_recorder(folder: Path, told: list[str] | None = None, **changes: int) -> Recorder:
    return Recorder(RecorderSettings(folder, "demo_btcusdt", **changes), (told if told is not None else []).append)


def record(recorder: Recorder, taken: list[RecordedFrame]) -> None:
    for frame in taken:
        recorder.take(frame.receive_ns, frame.raw)


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_what_was_taken_is_read_back(tmp_path: Path) -> None:
    """Times and bytes, in order; the file is plain gzip with a line for each frame."""
    recorder = make_recorder(tmp_path)
    record(recorder, frames(100))
    recorder.close()
    assert frames(100) == list(read_frames(files(tmp_path)))
    assert ["demo_btcusdt_20250101T0000.jsonl.gz"] == [path.name for path in files(tmp_path)]
    with gzip.open(files(tmp_path)[0]) as file:
        assert b'1735689600000000000 {"n":0}\n' == file.readline()
    assert (100, 0) == (recorder.taken, recorder.dropped)


def test_line_ends_inside_a_frame_become_spaces(tmp_path: Path) -> None:
    """In JSON they mean the same, and a frame stays a line."""
    recorder = make_recorder(tmp_path)
    recorder.take(T0_NS, b'{\r\n"a": 1\n}')
    recorder.close()
    assert [b'{  "a": 1 }'] == [frame.raw for frame in read_frames(files(tmp_path))]


def test_each_hour_and_each_full_file_is_followed_by_a_new_one(tmp_path: Path) -> None:
    """Names sort in time; nothing is lost between them."""
    recorder = make_recorder(tmp_path / "hours")
    record(recorder, frames(4, HOUR_NS // 2))
    recorder.close()
    names = [path.name for path in files(tmp_path / "hours")]
    assert ["demo_btcusdt_20250101T0000.jsonl.gz", "demo_btcusdt_20250101T0100.jsonl.gz"] == names
    assert frames(4, HOUR_NS // 2) == list(read_frames(files(tmp_path / "hours")))
    small = make_recorder(tmp_path / "sizes", most_bytes=50)
    for frame in frames(6):
        record(small, [frame])
        small.flush()
    small.close()
    assert 1 < len(files(tmp_path / "sizes"))
    assert frames(6) == sorted(read_frames(files(tmp_path / "sizes")))


def test_what_was_flushed_survives_the_death_of_the_writer(tmp_path: Path) -> None:
    """The file is never ended; a reader gets everything up to the last flush."""
    recorder = make_recorder(tmp_path)
    record(recorder, frames(50))
    recorder.flush()
    record(recorder, frames(10, start=50))
    left = tmp_path / "left.gz"
    left.write_bytes(files(tmp_path)[0].read_bytes())
    assert frames(50) == list(read_frames([left]))
    left.write_bytes(left.read_bytes() + bytes(4_096))  # as a machine without power leaves it
    assert frames(50) == list(read_frames([left]))
    recorder.close()


@pytest.mark.parametrize("cut", [1, 2, 5, 9, 20, 60])
def test_a_file_that_was_cut_short_is_read_to_its_last_whole_line(tmp_path: Path, cut: int) -> None:
    """No error, no half a frame."""
    recorder = make_recorder(tmp_path)
    record(recorder, frames(200))
    recorder.close()
    path = files(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:-cut])
    left = list(read_frames([path]))
    assert left == frames(len(left))
    assert len(left) > 0


def test_a_new_writer_never_touches_an_old_file(tmp_path: Path) -> None:
    """A restart within the hour begins a file of its own."""
    for start in (0, 10):
        recorder = make_recorder(tmp_path)
        record(recorder, frames(10, start=start))
        recorder.close()
    assert 2 == len(files(tmp_path))
    assert frames(20) == sorted(read_frames(files(tmp_path)))


def test_a_disk_that_fails_is_told_once_and_tried_again(tmp_path: Path) -> None:
    """Frames wait; once the disk is back they are written."""
    told: list[str] = []
    folder = tmp_path / "records"
    folder.write_text("in the way")
    recorder = make_recorder(folder, told)
    record(recorder, frames(5))
    recorder.flush()
    recorder.flush()
    assert 1 == len(told)
    assert "frames cannot be recorded" in told[0]
    folder.unlink()
    recorder.flush()
    recorder.close()
    assert frames(5) == list(read_frames(files(folder)))


def test_a_full_disk_leaves_no_pile_of_empty_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt begins a new file, and none that never held anything stays; what was written before does."""
    told: list[str] = []
    recorder = make_recorder(tmp_path, told)
    record(recorder, frames(3))
    recorder.flush()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        record(recorder, frames(3, start=3))
        for _ in range(4):
            recorder.flush()
        assert (1, True, 1) == (len(told), recorder.is_failing, len(files(tmp_path)))
    recorder.close()
    assert files(tmp_path) == sorted(recorder.files)
    assert (2, False) == (len(recorder.files), recorder.is_failing)
    assert frames(6) == sorted({*read_frames(files(tmp_path))})


def test_frames_that_find_no_room_are_dropped_and_counted(tmp_path: Path) -> None:
    """Memory is bounded, whatever the disk does; what was written makes room."""
    recorder = make_recorder(tmp_path, waiting_bytes=20)
    record(recorder, frames(10))
    assert (3, 7) == (recorder.taken, recorder.dropped)
    recorder.close()
    recorder.take(T0_NS, b"{}")
    assert 4 == recorder.taken


def test_run_flushes_in_the_background_and_closes_at_the_end(tmp_path: Path) -> None:
    """Nothing is asked of the loop but to wait for a thread."""

    async def main() -> None:
        recorder = make_recorder(tmp_path, flush_ms=5)
        running = asyncio.create_task(recorder.run())
        record(recorder, frames(10))
        while len(list(read_frames(files(tmp_path)))) < 10:  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.005)
        record(recorder, frames(10, start=10))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())
    assert frames(20) == list(read_frames(files(tmp_path)))


def test_plain_files_and_coarser_times_are_understood(tmp_path: Path) -> None:
    """Micro- and milliseconds become nanoseconds; a last line without its end is skipped."""
    path = tmp_path / "plain.jsonl"
    path.write_bytes(b"1735689600000000 {}\n1735689600001 []\n1735689600 {}\n17356896000")
    times = [frame.receive_ns - T0_NS for frame in read_frames([path])]
    assert [0, 1_000_000, 0] == times


@pytest.mark.parametrize("line", [b"{}", b"yesterday {}", b"1735689600000 "])
def test_a_line_that_is_no_frame_is_named(tmp_path: Path, line: bytes) -> None:
    """File, number of the line, what was expected."""
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b"1735689600000000000 {}\n" + line + b"\n")
    with pytest.raises(ConfigInvalid, match=r"bad\.jsonl: line 2 is .*; expected a receive time"):
        list(read_frames([path]))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """In one line."""
    with pytest.raises(ConfigInvalid, match=r"none\.gz: no such file; expected a recording"):
        list(read_frames([tmp_path / "none.gz"]))
    with pytest.raises(ConfigInvalid, match="cannot be read"):
        list(read_frames([tmp_path]))


def test_a_recording_is_played_at_its_own_speed_or_any_other() -> None:
    """Ten recorded seconds take five at twice the speed, none at full speed."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    def now() -> float:
        return sum(waits)

    taken: list[RecordedFrame] = []
    assert 11 == asyncio.run(play(frames(11), taken.append, 2.0, now, sleep))
    assert frames(11) == taken
    assert pytest.approx(5) == sum(waits)
    waits.clear()
    assert 2_500 == asyncio.run(play(frames(2_500), taken.append, None, now, sleep))
    assert [0, 0] == waits
