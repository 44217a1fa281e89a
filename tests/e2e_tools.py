"""What the end-to-end tests share: the engine as a process, its state as a reader sees it, a staged market.

What belongs here: starting, asking and waiting; configurations and candle files made for a test. What does
not: what must hold (the tests). Everything goes through the command line, the STOP file or a read-only
look at the database, as it would for an operator.
"""

import csv
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import yaml

from trading_engine.cli.main import main
from trading_engine.domain.time import MINUTE_MS

ROOT = Path(__file__).resolve().parents[1]
SYMBOL = "SOLUSDT"
START_MS = 1_746_316_800_000  # 2025-05-04 00:00 UTC
LEAD = 65  # quiet minutes before the first act: by its breakout the strategy below has warmed up
ACT = 20  # candles of an act
BREAKOUT = 12  # the candle of an act that breaks out; an entry fills at the open of the one after it
PATIENCE_S = 60.0  # for whatever must happen; nothing here should take a tenth of it

STRATEGY: Mapping[str, Any] = {
    "name": "multi_timeframe_long",
    "settings": {
        "atr_period": 3,
        "breakout_bars": 5,
        "volume_period": 5,
        "trend_fast": 2,
        "trend_slow": 3,
        "stop_atr": 3,
        "target_atr": 6,
    },
}
# Limits that no staged market reaches; a test sets those it is about.
NO_LIMITS: Mapping[str, Any] = {
    "max_daily_loss_pct": 90,
    "max_drawdown_pct": 90,
    "max_consecutive_losses": 0,
    "cooldown_minutes": 0,
}

T = TypeVar("T")


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class Entry(NamedTuple):
    """A record of the journal."""

    seq: int
    ts_ms: int
    kind: str
    body: dict[str, Any]


# The engine as a process


def start(arguments: Sequence[str | Path], **environment: str) -> subprocess.Popen[str]:
    """The command line in a process of its own; `environment` comes on top of this one's."""
    return subprocess.Popen(
        [sys.executable, "-m", "trading_engine", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end_of(process: subprocess.Popen[str]) -> Done:
    """Wait until it ends by itself."""
    out, err = process.communicate(timeout=2 * PATIENCE_S)
    return Done(process.returncode, out, err)


def call(*arguments: str | Path, **environment: str) -> Done:
    """Run a command to its end."""
    return end_of(start(arguments, **environment))


@contextmanager
def running(arguments: Sequence[str | Path], **environment: str) -> Iterator[subprocess.Popen[str]]:
    """An engine that never outlives its test."""
    process = start(arguments, **environment)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def send(process: subprocess.Popen[str], number: signal.Signals) -> Done:
    """Send a signal and wait for the end."""
    process.send_signal(number)
    return end_of(process)


def eventually(look: Callable[[], T], process: subprocess.Popen[str], pause_s: float = 0.02) -> T:
    """What `look` returns as soon as that is true; fails after PATIENCE_S or when the process has ended."""
    until = time.monotonic() + PATIENCE_S
    while True:
        found = look()
        if found:
            return found
        assert process.poll() is None, f"ended with {process.returncode}: {process.communicate()}"
        assert time.monotonic() < until, f"not seen within {PATIENCE_S:g} s: {look}"
        time.sleep(pause_s)


# Its state as a reader sees it


def read(*arguments: str | Path) -> Done:
    """A command that only reads, inside this process: the same code, and most of these tests would be its start."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return Done(code, out.getvalue(), err.getvalue())


def ask(command: str, state: Path, *options: str) -> Any:
    """The JSON of a read command."""
    done = read(command, "--json", "--state", state, *options)
    assert (0, "") == (done.code, done.err)
    return json.loads(done.out)


def audit_failures(state: Path) -> list[str]:
    """Names of the checks of `audit` that fail; the exit code says the same."""
    done = read("audit", "--json", "--state", state)
    found = json.loads(done.out)
    failures = [f"{check['name']}: {check['detail']}" for check in found["checks"] if not check["ok"]]
    assert (bool(failures), int(bool(failures))) == (not found["ok"], done.code)
    return failures


def query(state: Path, statement: str) -> list[tuple[Any, ...]]:
    """Rows of the engine's database, read-only; none where there is no database or no schema yet."""
    path = state / "engine.db"
    if not path.exists():
        return []
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as connection:
            return connection.execute(statement).fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):  # the schema is being made
            return []
        raise


def journal(state: Path, *kinds: str) -> list[Entry]:
    """Records in order, of some kinds or of all."""
    rows = query(state, "SELECT seq, ts, kind, payload FROM journal ORDER BY seq")
    return [Entry(seq, ts, kind, json.loads(body)) for seq, ts, kind, body in rows if not kinds or kind in kinds]


def entries(state: Path) -> list[Entry]:
    """The entry orders that were intended."""
    return [item for item in journal(state, "OrderIntended") if item.body["order"]["purpose"] == "entry"]


def moves(state: Path, target: str) -> list[Entry]:
    """The moves of positions to a state of their life."""
    return [item for item in journal(state, "PositionAdvanced") if item.body["target"] == target]


def files_of(folder: Path) -> dict[str, bytes] | None:
    """Everything below a folder with its content, None where there is no folder.

    Without what SQLite keeps beside a database: an index that any reader may make, and an empty log.
    """
    if not folder.exists():
        return None
    found = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    kept = {path: text for path, text in found.items() if not path.name.endswith("-shm")}
    return {str(path.relative_to(folder)): text for path, text in kept.items() if text or path.suffix != ".db-wal"}


# Configurations and markets


def write_config(folder: Path, **changes: Any) -> Path:
    """A configuration for the staged market, with sections replaced; its STOP file is `folder`/STOP."""
    values: dict[str, Any] = {
        "mode": "paper",
        "account": "staged",
        "symbols": [SYMBOL],
        "strategies": [dict(STRATEGY)],
        "sizing": {"risk_pct": 1, "max_position_pct": 30},
        "risk": dict(NO_LIMITS),
        "kill_switch": {"file": str(folder / "STOP")},
        "paper": {"balance": 10_000},
        **changes,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


def write_market(path: Path, acts: str, start_ms: int = START_MS) -> Path:
    """Candles as CSV, staged for STRATEGY: LEAD quiet minutes, then ACT minutes for each letter.

    l   a breakout, then a fall through the stop: a loss
    w   a breakout, then a rise through the target: a win
    h   a breakout, then nothing: the position is held
    -   nothing: what is open stays open
    v   a fall through the stop of what is open, without a breakout
    """
    closes, volumes = _staged(acts)
    rows = len(closes)
    opens = np.concatenate(([100.0], closes[:-1]))
    wicks = 0.01
    columns = (opens, np.maximum(opens, closes) + wicks, np.minimum(opens, closes) - wicks, closes, volumes)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ts", "open", "high", "low", "close", "volume"])
        for row in range(rows):
            writer.writerow([start_ms + row * MINUTE_MS, *(f"{column[row]:.2f}" for column in columns)])
    return path


def _staged(acts: str) -> tuple["np.ndarray[Any, np.dtype[np.float64]]", "np.ndarray[Any, np.dtype[np.float64]]"]:
    quiet, flat, breakout = 1.0003, 1.0, 1.004
    after = {"l": 0.99, "w": 1.015, "h": flat}
    changes = np.full(LEAD + ACT * len(acts), quiet)
    volumes = np.full(len(changes), 5_000.0)
    for number, act in enumerate(acts):
        begin = LEAD + number * ACT
        if act in after:
            changes[begin + BREAKOUT : begin + BREAKOUT + 2] = breakout, after[act]
            volumes[begin + BREAKOUT] *= 10
        if act == "v":
            changes[begin + BREAKOUT] = 0.985
        if act == "-":
            changes[begin : begin + ACT] = flat
        if act == "h":
            changes[begin + BREAKOUT + 1 : begin + ACT] = flat
    return np.round(100.0 * np.cumprod(changes), 2), volumes
