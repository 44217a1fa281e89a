"""Under systemd a line says how grave it is, and the journal keeps the time and the file."""

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
from loguru import logger

from trading_engine.system import journald
from trading_engine.system.logging import configure_logging


@pytest.fixture
def stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TextIO]:
    """A stream that the environment says is the journal's."""
    with (tmp_path / "journal").open("w+", encoding="utf-8") as opened:
        found = os.fstat(opened.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        yield opened
        logger.remove()
        logger.configure(patcher=lambda _: None)


def test_a_line_carries_its_priority_and_no_time(stream: TextIO, tmp_path: Path) -> None:
    """One JSON object a line, also with a traceback and a tag in the text; no file beside it."""
    configure_logging("DEBUG", log_dir=tmp_path / "logs", console=stream, fields={"run_id": "r1"})
    logger.debug("a")
    logger.info("b <6> {x}")
    logger.warning("c")
    logger.critical("d")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logger.exception("e")
    stream.seek(0)
    lines = stream.read().splitlines()
    assert ["<7>", "<6>", "<4>", "<2>", "<3>"] == [line[:3] for line in lines]
    told = [json.loads(line[3:]) for line in lines]
    assert {"level": "INFO", "logger": __name__, "message": "b <6> {x}", "run_id": "r1"} == told[1]
    assert "two\nlines" in told[4]["traceback"]
    assert not (tmp_path / "logs").exists()


def test_another_stream_than_the_named_one_is_no_journal(stream: TextIO) -> None:
    """A redirected stderr keeps its form; so does one that is no file."""
    assert journald.reads(stream, os.environ)
    assert "<3>" == journald.error_prefix(stream, os.environ)
    assert "" == journald.error_prefix(stream, {})
    assert not journald.reads(io.StringIO(), os.environ)
    with open(os.devnull, encoding="utf-8") as other:  # noqa: PTH123 - the stream itself is meant
        assert not journald.reads(other, os.environ)
