"""The stop file counts in every state it can be in."""

import os
from pathlib import Path

import pytest

from trading_engine.system.stop_file import StopFile


def test_no_file_demands_nothing(tmp_path: Path) -> None:
    """Neither where the folder exists nor where it does not."""
    assert StopFile(tmp_path / "STOP").read() is None
    assert StopFile(tmp_path / "none" / "STOP").read() is None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "block"),
        (b"flatten", "flatten"),
        (b"  FLATTEN \r\n\n", "flatten"),
        (b"\xef\xbb\xbfFlatten\n", "flatten"),
        (b"flatten now", "block"),
        (b"stop", "block"),
        (b"\xff\xfe\x00\x80", "block"),
        (b"x" * 100_000, "block"),
    ],
)
def test_the_content_tells_flatten_from_block(tmp_path: Path, content: bytes, expected: str) -> None:
    """Only the one word closes positions; everything else stops entries."""
    path = tmp_path / "STOP"
    path.write_bytes(content)
    assert expected == StopFile(path).read()


def test_what_cannot_be_read_blocks(tmp_path: Path) -> None:
    """A folder, a link to nowhere, a pipe and a path through a file are all taken for a stop."""
    folder, link, pipe, file = (tmp_path / name for name in ("folder", "link", "pipe", "file"))
    folder.mkdir()
    link.symlink_to(tmp_path / "nowhere")
    os.mkfifo(pipe)
    file.touch()
    linked_pipe = tmp_path / "linked_pipe"
    linked_pipe.symlink_to(pipe)
    for path in (folder, link, pipe, linked_pipe, file / "STOP"):
        assert "block" == StopFile(path).read()


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    """Operators link files."""
    (tmp_path / "real").write_text("flatten", encoding="utf-8")
    (tmp_path / "STOP").symlink_to(tmp_path / "real")
    assert "flatten" == StopFile(tmp_path / "STOP").read()


def test_removing_the_file_ends_the_demand(tmp_path: Path) -> None:
    """The file says what holds now; what stays latched is decided elsewhere."""
    path = tmp_path / "STOP"
    path.touch()
    stop = StopFile(path)
    assert "block" == stop.read()
    path.unlink()
    assert stop.read() is None
