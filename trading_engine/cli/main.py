"""The entry point: global options, and the one place that turns errors into exit codes.

What belongs here: what holds for every command. What does not: any command (lazy names them).
"""

import atexit
import gc
import io
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from trading_engine import __version__
from trading_engine.cli import failure
from trading_engine.cli.failure import CommandFailed
from trading_engine.cli.lazy import LazyGroup
from trading_engine.domain.errors import ConfigInvalid, InvariantBroken, TradingEngineError
from trading_engine.system.journald import error_prefix

NAME = "trading-engine"
_DEBUG = "--debug"
# Options that take several values: `--replay BTCUSDT=a.csv ETHUSDT=b.csv` is what people type.
_PAIRS = ("--replay", "--funding", "--data")
_STOPPABLE = "run"  # the command that ends in order on a signal
_PAIR = re.compile(r"[A-Za-z0-9_-]+=.+")

_EXAMPLES = """\
Examples:

trading-engine run --config configs/demo.yaml --speed max

trading-engine run --config configs/paper.yaml --replay BTCUSDT=btc.parquet

trading-engine status

trading-engine trades --symbol BTCUSDT --since 2025-01-01 --json

State lies in ./state unless --state DIR or $STATE_DIRECTORY says otherwise.
Exit codes: 0 done, 1 findings, 2 usage, 3 refused for safety, 4 engine not
running, 70 internal fault, 78 invalid configuration or database,
130 interrupted, 141 output not read to its end.
"""


@dataclass(slots=True)
class Invocation:
    """What commands share: whether tracebacks are wanted, and the log that a fault is explained in.

    owns_process   nobody else's objects are in this process: what its start makes need not be looked through again
    """

    debug: bool
    log_file: Path | None = None
    owns_process: bool = False


app = typer.Typer(
    cls=LazyGroup,
    name=NAME,
    epilog=_EXAMPLES,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{NAME} {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    *,
    debug: Annotated[
        bool, typer.Option(_DEBUG, help="Log more, and show the traceback of an error. Works in any place.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Trade crypto perpetual futures with an engine that survives crashes.

    Every order is written down before it is sent; after a restart the engine
    rebuilds the truth from its database and the exchange.
    """
    del debug, version
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. Reads `sys.argv` where no arguments are given."""
    _write_any_letter()
    arguments = list(sys.argv[1:] if argv is None else argv)
    invocation = Invocation(debug=_DEBUG in arguments, owns_process=argv is None)
    _start_lightly(invocation)
    arguments = list(_repeated(argument for argument in arguments if argument != _DEBUG))
    command = typer.main.get_command(app)
    try:
        with _stoppable(arguments):
            done = command.main(args=arguments, prog_name=NAME, standalone_mode=False, obj=invocation)
    except SystemExit as ended:
        if not isinstance(ended.__context__, BrokenPipeError):
            raise
        return _unread()
    except _Stopped as stopped:
        _say(f"{NAME}: stopped by {stopped}")
        return failure.DONE
    except Exception as error:  # noqa: BLE001 - the one place where every error becomes an exit code
        return _explain(error, invocation)
    finally:
        gc.enable()
    return done if isinstance(done, int) else failure.DONE


def _unread() -> int:
    """The exit code where `| head` has seen enough; Typer's own would be that of findings."""
    with suppress(OSError, ValueError):  # a stream that is no file has nothing to flush at the end either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return failure.READER_GONE


class _Stopped(BaseException):
    """SIGTERM or SIGINT outside of the engine's own loop: before it has begun, or after it has ended."""


@contextmanager
def _stoppable(arguments: Sequence[str]) -> Iterator[None]:
    """While `run` starts and sums up, a signal is an orderly end like any later one; other commands just die."""
    if arguments[:1] != [_STOPPABLE] or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _frame: object) -> None:
        raise _Stopped(signal.Signals(number).name)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _start_lightly(invocation: Invocation) -> None:
    """Leave out what takes time at the start and at the end and is of use to nobody.

    Numpy starts a thread a core for linear algebra, pydantic looks through all installed packages for plugins; what the
    environment says about either goes first. Looking for garbage among what imports have made takes a tenth of a short
    command, and as much again when the process ends.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    if invocation.owns_process:
        gc.disable()  # until the command is loaded
        atexit.register(gc.freeze)


def _write_any_letter() -> None:
    """A terminal that knows no minus sign shows a question mark instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _repeated(arguments: Iterator[str]) -> Iterator[str]:
    """The arguments with an option that takes pairs written before each of its pairs."""
    option, is_first = "", False
    for argument in arguments:
        if argument in _PAIRS:
            option, is_first = argument, True
        elif option and not is_first and _PAIR.fullmatch(argument):
            yield option
        elif not is_first:
            option = ""
        else:
            is_first = False
        yield argument


def _explain(error: Exception, invocation: Invocation) -> int:
    """Say on stderr what went wrong; the exit code of it."""
    if invocation.debug and not isinstance(error, typer.Exit | typer.Abort):
        _say(_redacted("".join(traceback.format_exception(error))).rstrip())
    match error:
        case typer.Exit():
            return error.exit_code
        case typer.Abort():
            _say("aborted")
            return failure.INTERRUPTED
        case typer.TyperException():
            return _usage_error(error)
        case ConfigInvalid() | CommandFailed():
            _say_lines(str(error))
            return error.exit_code
        case InvariantBroken():
            _say(f"error: internal fault, stopped before it costs money: {_one_line(error)}{_hint(invocation)}")
        case TradingEngineError():
            _say_lines(str(error))
        case _:
            what = f"{type(error).__name__}: {_one_line(error)}"
            _say(f"error: internal fault: {what}{_hint(invocation)}")
    _log(error, invocation)
    return failure.INTERNAL


def _usage_error(error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else NAME
    _say(f"error: {error.format_message()}")
    _say(f"see `{path} --help`")
    return failure.USAGE


def _say_lines(text: str) -> None:
    """One `error:` for each mistake."""
    for line in _redacted(text).splitlines():
        _say(f"error: {line}")


def _one_line(error: Exception) -> str:
    return " ".join(_redacted(str(error)).split())


def _redacted(text: str) -> str:
    from trading_engine.system.redaction import redact  # noqa: PLC0415 - patterns that only an error needs compiled

    return redact(text)


def _hint(invocation: Invocation) -> str:
    path = invocation.log_file
    log = f"the log is at {path}; " if path is not None and path.exists() else ""
    return f" ({log}--debug shows the traceback)"


def _log(error: Exception, invocation: Invocation) -> None:
    """Leave the traceback in the log file, where the command has one; the console has had its line."""
    path = invocation.log_file
    if path is None or not path.exists():
        return
    from loguru import logger  # noqa: PLC0415 - only a command that ran the engine has a log

    from trading_engine.system.logging import configure_logging  # noqa: PLC0415

    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        configure_logging("ERROR", log_dir=path.parent, console=nowhere)
        logger.opt(exception=error).error("the process ends by an internal fault")
        logger.remove()


def _say(text: str) -> None:
    """To stderr; a reader that has gone away is no reason for another error."""
    try:
        sys.stderr.write(f"{error_prefix(sys.stderr, os.environ)}{text}\n")
        sys.stderr.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
