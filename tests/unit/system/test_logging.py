"""The log has two forms, rotates, takes in the libraries, and gives no secret away in any of them."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.system.logging import configure_logging, has_journal, register_secret

SECRET = "hunter2-S3cr3t-value"


@pytest.fixture(autouse=True)
def _logging_put_back() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers, root.level
    yield
    logger.remove()
    logger.configure(patcher=lambda _: None)
    root.handlers, level = before
    root.setLevel(level)


def _lines(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "engine.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_is_readable_on_the_console_and_complete_in_the_file(tmp_path: Path) -> None:
    """UTC time, level, message and fields."""
    console = io.StringIO()
    configure_logging("INFO", log_dir=tmp_path / "logs", console=console)
    logger.bind(position_id="P000001", r=1.5).info("opened {braces} and <b>")
    logger.debug("not told")
    (line,) = _lines(tmp_path / "logs")
    assert {
        "ts": line["ts"],
        "level": "INFO",
        "logger": __name__,
        "message": "opened {braces} and <b>",
        "position_id": "P000001",
        "r": 1.5,
    } == line
    assert line["ts"].endswith("Z")
    assert console.getvalue().endswith("INFO     opened {braces} and <b>  position_id=P000001  r=1.5\n")
    assert 0o600 == (tmp_path / "logs" / "engine.jsonl").stat().st_mode & 0o777


def test_a_field_cannot_pose_as_another(tmp_path: Path) -> None:
    """What the logger itself says about a line cannot be overwritten."""
    configure_logging("INFO", log_dir=tmp_path, console=io.StringIO())
    logger.bind(level="DEBUG", message="x").info("true")
    assert ("INFO", "true") == (_lines(tmp_path)[0]["level"], _lines(tmp_path)[0]["message"])


def test_no_sink_sees_a_secret(tmp_path: Path) -> None:
    """By name in an address, by value in an exception, in fields and below, from a library, at DEBUG."""
    console, late = io.StringIO(), io.StringIO()
    configure_logging("DEBUG", log_dir=tmp_path, console=console)
    logger.add(late, level="DEBUG", format="{message} {extra} {exception}", diagnose=True, backtrace=True)
    register_secret(SECRET)
    unknown = "Q7" * 20
    logger.debug(f"GET https://fapi.binance.com/fapi/v1/order?signature={unknown}&listenKey={unknown}")
    logger.debug(f"body {SECRET}")
    logger.bind(headers={"X-MBX-APIKEY": unknown, "deep": [{"token": unknown}]}, note=SECRET).info("sent")
    with logger.contextualize(secret=unknown):
        logger.info("context")
    try:
        try:
            raise KeyError(SECRET)
        except KeyError as error:
            raise ValueError(f"https://user:{unknown}@host refused, api_key={unknown}") from error
    except ValueError:
        local_variable = SECRET
        logger.exception(f"request failed {local_variable}")
        logging.getLogger("some.library").exception("failed with %s", SECRET)
    logging.getLogger("some.library").debug("token=%s", unknown)
    logging.getLogger("some.library").warning("%d", SECRET)
    written = (tmp_path / "engine.jsonl").read_text(encoding="utf-8")
    for text in (console.getvalue(), late.getvalue(), written):
        assert SECRET not in text
        assert "S3cr3t" not in text
        assert unknown not in text
        assert "***" in text
    assert "ValueError" in console.getvalue()
    assert "Traceback (most recent call last)" in _lines(tmp_path)[4]["traceback"]


def test_libraries_log_into_the_same_place_under_their_names(tmp_path: Path) -> None:
    """Chatty ones only from warnings on; a message with wrong arguments is kept without them."""
    configure_logging("DEBUG", log_dir=tmp_path, console=io.StringIO())
    logging.getLogger("alembic.runtime").info("upgrade %s", "head")
    logging.getLogger("urllib3.connectionpool").debug("POST /secret/path")
    logging.getLogger("apprise").warning("refused")
    logging.getLogger("some.library").log(33, "own level")
    logging.getLogger("some.library").warning("%d things", "many")
    assert [
        ("alembic.runtime", "INFO", "upgrade head"),
        ("apprise", "WARNING", "refused"),
        ("some.library", "Level 33", "own level"),
        ("some.library", "WARNING", "%d things"),
    ] == [(line["logger"], line["level"], line["message"]) for line in _lines(tmp_path)]


def test_setting_up_again_replaces_everything(tmp_path: Path) -> None:
    """A reload doubles no line."""
    first, second = io.StringIO(), io.StringIO()
    configure_logging("INFO", log_dir=None, console=first)
    configure_logging("WARNING", log_dir=tmp_path, console=second)
    logger.info("not told")
    logger.warning("told")
    assert "" == first.getvalue()
    assert 1 == second.getvalue().count("told")
    assert 1 == len(_lines(tmp_path))


@pytest.mark.parametrize("keep", [1, 3])
def test_the_file_is_rotated_by_size_and_only_so_many_are_kept(tmp_path: Path, keep: int) -> None:
    """The current file counts."""
    configure_logging("INFO", log_dir=tmp_path, rotation_mb=1, keep=keep, console=io.StringIO())
    for _ in range(5):
        logger.info("x" * 700_000)
    files = list(tmp_path.iterdir())
    assert keep == len(files)
    assert all(path.stat().st_size < 1_000_000 for path in files)
    assert all(0o600 == path.stat().st_mode & 0o777 for path in files)


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The refusal has the path."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigInvalid, match=f"{tmp_path}/file/engine.jsonl: log file cannot be written"):
        configure_logging("INFO", log_dir=tmp_path / "file", console=io.StringIO())


def test_trades_and_trouble_have_files_of_their_own(tmp_path: Path) -> None:
    """Everything is in the first; the others are made when there is something to say."""
    configure_logging("INFO", log_dir=tmp_path, console=io.StringIO())
    logger.info("hello")
    assert ["engine.jsonl"] == sorted(path.name for path in tmp_path.iterdir())
    logger.bind(event="trade").info("sold")
    logger.bind(event="signal").info("seen")
    logger.warning("late")
    logger.remove()  # closes the files
    told = {
        path.name: [json.loads(line)["message"] for line in path.read_text(encoding="utf-8").splitlines()]
        for path in tmp_path.iterdir()
    }
    assert {
        "engine.jsonl": ["hello", "sold", "seen", "late"],
        "trades.jsonl": ["sold"],
        "errors.jsonl": ["late"],
    } == told


def test_under_systemd_the_journal_has_the_log() -> None:
    """It says so itself by a variable of the environment."""
    assert [True, False, False] == [
        has_journal(each) for each in ({"JOURNAL_STREAM": "8:1"}, {"JOURNAL_STREAM": ""}, {})
    ]
