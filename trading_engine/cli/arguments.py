"""Arguments that several commands share, and reading their values.

What belongs here: option types with their help, and parsing of what typer does not know. What does not:
what a command does with them.
"""

import getpass
import math
import os
import re
import sys
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer

from trading_engine.cli.failure import usage
from trading_engine.domain.time import parse_iso
from trading_engine.system.state_dir import StateDir, resolve

StateOption = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="DIR",
        help="State directory: database, lock, logs. Default: $STATE_DIRECTORY, else ./state.",
        show_default=False,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print JSON of a stable shape instead of a table.", show_default=False)
]
ConfigOption = Annotated[
    Path, typer.Option("--config", metavar="FILE", help="Configuration file (YAML).", show_default=False)
]
ActorOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Who says so, for the journal. Default: the user's name.", show_default=False),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
ReplayOption = Annotated[
    list[str] | None,
    typer.Option(
        "--replay",
        metavar="SYMBOL=FILE",
        help="Recorded candles (Parquet or CSV: ts open high low close volume). Once for each symbol.",
        show_default=False,
    ),
]
FundingOption = Annotated[
    list[str] | None,
    typer.Option(
        "--funding",
        metavar="SYMBOL=FILE",
        help="Recorded funding rates (Parquet or CSV: ts rate) of a symbol that has candles.",
        show_default=False,
    ),
]

MODES = ("paper", "testnet", "live")
LARGEST_SEED = 2**63 - 1

AcknowledgeOption = Annotated[
    str,
    typer.Option(
        "--acknowledge",
        metavar="VENUE/ACCOUNT",
        help="For scripts: real money of this account is meant. Stands for the sentence typed on a terminal.",
        show_default=False,
    ),
]

_SYMBOL = re.compile(r"[A-Z0-9]+")
_DURATION = re.compile(r"(?P<number>[0-9]+(\.[0-9]+)?)(?P<unit>[smhd])")
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def state_of(argument: Path | None) -> StateDir:
    """The state directory that `--state`, the environment or the default names."""
    return resolve(argument, os.environ)


def parse_pairs(option: str, pairs: Iterable[str] | None) -> dict[str, Path]:
    """`SYMBOL=FILE` arguments as a mapping; a usage error names the first that is none or comes twice."""
    files: dict[str, Path] = {}
    for pair in pairs or ():
        symbol, separator, name = pair.partition("=")
        if not (separator and name and _SYMBOL.fullmatch(symbol)):
            raise usage(f"{option} {pair} is not SYMBOL=FILE (as {option} BTCUSDT=btcusdt.parquet)")
        if symbol in files:
            raise usage(f"{option} names {symbol} twice ({files[symbol]} and {name}); keep one")
        files[symbol] = Path(name)
    return files


def check_symbols(option: str, symbols: Iterable[str]) -> tuple[str, ...]:
    """Symbols in capitals, each once; a usage error for what is none."""
    found: list[str] = []
    for symbol in symbols:
        if not _SYMBOL.fullmatch(symbol):
            raise usage(f"{option} {symbol} is not a symbol (as {option} BTCUSDT)")
        if symbol not in found:
            found.append(symbol)
    return tuple(found)


def parse_speed(text: str) -> float | None:
    """`max` as None, otherwise how many market seconds pass in a real one; a usage error for anything else."""
    if text.strip().lower() == "max":
        return None
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not (math.isfinite(factor) and factor > 0):
        raise usage(f"--speed {text} is neither max nor a factor above 0 (60: a minute of market in a second)")
    return factor


def parse_duration(option: str, text: str) -> float:
    """`90s`, `5m`, `2h` or `1d` in seconds; a usage error for anything else."""
    found = _DURATION.fullmatch(text.strip().lower())
    seconds = float(found["number"]) * _UNITS_S[found["unit"]] if found else 0.0
    if not (math.isfinite(seconds) and seconds > 0):
        raise usage(f"{option} {text} is not a length of time (as 90s, 5m, 2h or 1d)")
    return seconds


def parse_time(option: str, text: str) -> int:
    """A date or time as milliseconds; a usage error says which forms are read."""
    try:
        return parse_iso(text)
    except (ValueError, OverflowError):
        raise usage(f"{option} {text} is not a date or time (as 2025-05-04 or 2025-05-04T13:30, UTC)") from None


def user() -> str:
    """The name that the journal keeps for who gave a command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def require_answer(*, yes: bool) -> None:
    """A usage error where a question would have nobody to answer it."""
    if not yes and not sys.stdin.isatty():
        raise usage("nobody can be asked here (no terminal); give --yes")


def ask(question: str, *, yes: bool) -> None:
    """Go on after a yes on a terminal, or with `--yes`."""
    require_answer(yes=yes)
    if not yes:
        typer.confirm(question, abort=True, err=True)


def check_seed(seed: int | None) -> int | None:
    """The seed as it is; a usage error for one that no market is drawn from."""
    if seed is not None and not 0 <= seed <= LARGEST_SEED:
        raise usage(f"--seed {seed} is not a whole number from 0 to {LARGEST_SEED}")
    return seed


def overrides(
    *, mode: str | None, symbols: Iterable[str] | None, leverage: str | None, risk_pct: str | None
) -> Mapping[str, object]:
    """Options that replace values of the configuration, by their dotted keys."""
    if mode is not None and mode not in MODES:
        raise usage(f"--mode {mode}: there is no such mode (known: {', '.join(MODES)})")
    given: dict[str, object] = {}
    if mode is not None:
        given["mode"] = mode
    if symbols:
        given["symbols"] = list(symbols)
    if leverage is not None:
        given["leverage"] = _number("--leverage", leverage)
    if risk_pct is not None:
        given["sizing.risk_pct"] = _number("--risk-pct", risk_pct)
    return given


def _number(option: str, text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite():
        raise usage(f"{option} {text} is not a number")
    return number
