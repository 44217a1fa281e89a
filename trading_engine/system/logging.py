"""The log: coloured text for a person on stderr, JSON lines for everything else, no secrets in either.

What belongs here: setting loguru up, its formats, and leading the libraries' own logging into it. What
does not: what is secret (redaction) and what is worth a line (everyone).

Redaction happens once, before any sink sees the record, so a sink added later cannot leak either.
"""

import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TextIO, cast

from loguru import logger

from trading_engine.domain import time
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.system import journald
from trading_engine.system.redaction import redact, redact_value, register_secret

if TYPE_CHECKING:
    from loguru import Record

__all__ = ["configure_logging", "register_secret"]

FILE_NAME = "engine.jsonl"
TRADES_NAME = "trades.jsonl"  # lines of the event "trade"
ERRORS_NAME = "errors.jsonl"  # warnings and worse

_BYTES_PER_MB = 1_000_000
_OWNER_ONLY = 0o600
_CONSOLE = (
    "<dim>{time:YYYY-MM-DD HH:mm:ss.SSS!UTC}</dim> <level>{level: <8}</level> {message}"
    "<dim>{_fields}</dim>\n{_traceback}"
)
# Chatty below WARNING, and what they say there includes addresses with tokens.
_QUIET = ("apprise", "asyncio", "charset_normalizer", "requests", "sqlalchemy", "transitions", "urllib3")


def configure_logging(
    level: str,
    *,
    log_dir: Path | None,
    rotation_mb: int = 50,
    keep: int = 5,
    console: TextIO | None = None,
    console_level: str | None = None,
    fields: Mapping[str, object] = MappingProxyType({}),
) -> None:
    """Replace all sinks by the console (stderr unless given) and, with `log_dir`, files of JSON lines.

    The files: everything, trades alone, and trouble alone, each rotated for itself.

    level         DEBUG, INFO, WARNING or ERROR
    rotation_mb   size at which the file is put aside, MB
    keep          files in all, the current one included
    console_level where the console is to say less (or more) than the file; `level` unless given;
                  tracebacks are for the file, the console has them at DEBUG only
    fields        what every line has in the journal

    A console that is systemd's journal gets JSON lines with its priorities, and no file is written: it keeps them.
    May be called again. Raises ConfigInvalid where the file cannot be written.
    """
    logger.remove()
    logger.configure(patcher=_redact_record, extra={})
    if journald.reads(console or sys.stderr, os.environ):
        logger.configure(patcher=_redact_record, extra=dict(fields))
        logger.add(console or sys.stderr, level=level, format=_journal_format, diagnose=False, backtrace=False)
        _intercept_stdlib(level)
        return
    # Tracebacks come redacted from the patcher; loguru's own, with values of variables, would leak.
    shown = console_level or level
    form = _console_format if shown == "DEBUG" else _console_format_in_short
    logger.add(console or sys.stderr, level=shown, format=form, diagnose=False, backtrace=False)
    if log_dir is not None:
        size = rotation_mb * _BYTES_PER_MB
        _add_file(level, log_dir / FILE_NAME, size, keep)
        _add_file(level, log_dir / TRADES_NAME, size, keep, _is_trade)
        _add_file(max(level, "WARNING", key=_weight), log_dir / ERRORS_NAME, size, keep)
    _intercept_stdlib(level)


def has_journal(environ: Mapping[str, str]) -> bool:
    """Whether systemd keeps what is written to the console: files would say everything twice."""
    return bool(environ.get("JOURNAL_STREAM"))


def _is_trade(record: "Record") -> bool:
    return record["extra"].get("event") == "trade"


def _weight(level: str) -> int:
    return logger.level(level).no


def _add_file(
    level: str, path: Path, rotation_bytes: int, keep: int, chosen: Callable[["Record"], bool] | None = None
) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        logger.add(
            path,
            level=level,
            filter=chosen,
            format=_json_format,
            delay=path.name != FILE_NAME,  # no file before there is something to say
            rotation=rotation_bytes,
            retention=keep - 1,  # loguru counts only those put aside
            encoding="utf-8",
            diagnose=False,
            backtrace=False,
            opener=_open_for_owner,
        )
    except OSError as error:
        raise ConfigInvalid(f"{path}: log file cannot be written ({error.strerror})") from None


def _open_for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, _OWNER_ONLY)


def _redact_record(record: "Record") -> None:
    """Take secrets out of message, fields and exception; the traceback becomes a text field."""
    record["message"] = redact(record["message"])
    fields = redact_value(record["extra"])
    record["extra"] = fields if isinstance(fields, dict) else {}
    exception = record["exception"]
    if exception is not None:
        if exception.type is not None:
            lines = traceback.format_exception(exception.type, exception.value, exception.traceback)
            record["extra"]["traceback"] = redact("".join(lines))
        record["exception"] = None


def _console_format(record: "Record") -> str:
    fields = {key: value for key, value in record["extra"].items() if key != "traceback"}
    rendered = cast("dict[str, object]", record)  # loguru formats from this dict
    rendered["_fields"] = "".join(f"  {key}={value}" for key, value in fields.items())
    rendered["_traceback"] = record["extra"].get("traceback", "")
    return _CONSOLE


def _console_format_in_short(record: "Record") -> str:
    text = _console_format(record)
    cast("dict[str, object]", record)["_traceback"] = ""
    return text


def _json_format(record: "Record") -> str:
    when = {"ts": time.iso(int(record["time"].timestamp() * 1_000))}
    return _with_line(record, when | _told(record))


def _journal_format(record: "Record") -> str:
    """Without the time, which the journal has already."""
    return _with_line(record, _told(record), journald.prefix(record["level"].no))


def _told(record: "Record") -> dict[str, object]:
    line: dict[str, object] = {
        "level": record["level"].name,
        "logger": record["name"],
        "message": record["message"],
    }
    return line | {key: value for key, value in record["extra"].items() if key not in {*line, "ts"}}


def _with_line(record: "Record", line: dict[str, object], prefix: str = "") -> str:
    rendered = cast("dict[str, object]", record)  # loguru formats from this dict
    rendered["_line"] = prefix + json.dumps(line, ensure_ascii=False)
    return "{_line}\n"


class _ToLoguru(logging.Handler):
    """Hands the records of stdlib loggers on, under their own names."""

    def emit(self, record: logging.LogRecord) -> None:
        """Never raises: a message whose arguments do not fit goes on without them."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - foreign __str__ and % may fail in any way
            message = str(record.msg)
        try:
            level: str | int = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno

        def name(target: "Record") -> None:
            target["name"] = record.name

        logger.patch(name).opt(exception=record.exc_info).log(level, message)


def _intercept_stdlib(level: str) -> None:
    root = logging.getLogger()
    root.handlers = [_ToLoguru()]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
