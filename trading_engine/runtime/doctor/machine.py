"""What a doctor asks of the machine: Python, packages, disk, clock, systemd, the flushes of the disk.

What belongs here: findings about the machine alone, and the questions as a value, so that tests can answer them. What
does not: the engine's state (state_checks), the venue (examine).
"""

import importlib.metadata
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

OK, WARNING, ERROR = "ok", "warning", "error"
UNIT = "trading-engine"

_PYTHONS = ((3, 11), (3, 14))
_PACKAGES = (
    *("aiohttp", "alembic", "apprise", "loguru", "msgspec", "numpy", "pyarrow", "pydantic", "PyYAML", "rich"),
    *("SQLAlchemy", "TA-Lib", "transitions", "typer"),
)
_SAFE_SQLITE = (3, 51, 3)
_HONEST_US = 50.0
_COMMITS = 20
_SLOW_MS = 100.0
_BYTES_PER_MB = 1_000_000
_FEW_INODES = 10_000


class Ailment(NamedTuple):
    """One finding; level is ok, warning or error, `remedy` is empty where there is nothing to do."""

    level: str
    subject: str
    text: str
    remedy: str = ""


def _run(command: Sequence[str]) -> str | None:
    """What a command prints, None where it does not exist or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)  # noqa: S603 - fixed words
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _is_systemd() -> bool:
    return Path("/run/systemd/system").is_dir()


def _free(path: Path) -> tuple[int, int]:
    """Bytes and file entries that are free."""
    return shutil.disk_usage(path).free, os.statvfs(path).f_favail


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit_us(folder: Path) -> float:
    """The median time of a synced commit of one row in a file of its own, microseconds."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".doctor.") as scratch:
        path = Path(scratch) / "probe.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("CREATE TABLE probe (value INTEGER)")
            took = []
            for value in range(_COMMITS):
                begun = time.perf_counter()
                connection.execute("INSERT INTO probe VALUES (?)", (value,))
                took.append((time.perf_counter() - begun) * 1_000_000)
    return statistics.median(took)


@dataclass(frozen=True, slots=True)
class Machine:
    """The questions; each default asks this machine.

    run      what a command prints, None where it fails
    now_ms   the wall clock
    version  how a package is installed, None where it is not
    """

    python: tuple[int, int] = (sys.version_info[0], sys.version_info[1])
    sqlite: tuple[int, ...] = sqlite3.sqlite_version_info
    disk: Callable[[Path], tuple[int, int]] = _free
    run: Callable[[Sequence[str]], str | None] = _run
    is_systemd: Callable[[], bool] = _is_systemd
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    version: Callable[[str], str | None] = _version
    commit_us: Callable[[Path], float] = _commit_us


def software(machine: Machine) -> list[Ailment]:
    """Python, packages, SQLite."""
    found = [_python(machine.python)]
    missing = [name for name in _PACKAGES if machine.version(name) is None]
    if missing:
        remedy = "run ./run.sh once: it installs what requirements.lock names"
        found.append(Ailment(ERROR, "packages", f"missing: {', '.join(missing)}", remedy))
    else:
        found.append(Ailment(OK, "packages", f"{len(_PACKAGES)} of {len(_PACKAGES)} installed"))
    version = ".".join(map(str, machine.sqlite))
    if machine.sqlite < _SAFE_SQLITE:
        text = f"{version}: before 3.51.3 two writers of one file could damage it; the engine has one"
        found.append(Ailment(OK, "sqlite", text, "let no other program write to engine.db (no Litestream)"))
    else:
        found.append(Ailment(OK, "sqlite", version))
    return found


def _python(version: tuple[int, int]) -> Ailment:
    told = ".".join(map(str, version))
    if _PYTHONS[0] <= version < _PYTHONS[1]:
        return Ailment(OK, "python", told)
    return Ailment(ERROR, "python", f"{told} is not 3.11, 3.12 or 3.13", "PYTHON=/path/to/python3.12 ./run.sh")


def disk(machine: Machine, root: Path, low_mb: int) -> list[Ailment]:
    """Free space and file entries where the state lies, and whether its flushes are real."""
    folder = next(path for path in (root, *root.parents) if path.is_dir())
    free, entries = machine.disk(folder)
    free_mb = free // _BYTES_PER_MB
    remedy = f"free space on the disk of {folder}: old backups ({root / 'backups'}), logs, candles"
    if free_mb < low_mb // 10:
        found = [Ailment(ERROR, "disk", f"{free_mb:,} MB free: entries are blocked below {low_mb // 10:,} MB", remedy)]
    elif free_mb < low_mb:
        found = [Ailment(WARNING, "disk", f"{free_mb:,} MB free, less than {low_mb:,}", remedy)]
    else:
        found = [Ailment(OK, "disk", f"{free_mb:,} MB free")]
    if 0 < entries < _FEW_INODES:
        found.append(Ailment(WARNING, "disk", f"{entries:,} file entries (inodes) free", remedy))
    if not os.access(folder, os.W_OK) or free_mb < 1:
        return found
    try:
        return [*found, _flushes(machine.commit_us(folder))]
    except (OSError, sqlite3.Error) as error:
        return [*found, Ailment(ERROR, "flushes", f"a probe in {folder} could not be written ({error})", remedy)]


def _flushes(took_us: float) -> Ailment:
    told = f"a synced commit takes {took_us / 1000:.2f} ms"
    if took_us < _HONEST_US:
        remedy = (
            "a power cut may lose orders that were sent: use a disk with a real flush, no write-back cache, no tmpfs"
        )
        return Ailment(WARNING, "flushes", f"{told}: faster than any disk, so flushes are not real", remedy)
    if took_us > _SLOW_MS * 1000:
        return Ailment(
            WARNING, "flushes", f"{told}: each decision waits for it", "use a faster disk, or a quieter machine"
        )
    return Ailment(OK, "flushes", told)


def clock(machine: Machine) -> Ailment:
    """Whether somebody keeps the clock right."""
    answer = machine.run(["timedatectl", "show", "--property=NTPSynchronized", "--value"])
    if answer == "yes":
        return Ailment(OK, "clock", "kept right by NTP")
    remedy = "timedatectl set-ntp true (or install chrony)"
    if answer == "no":
        return Ailment(WARNING, "clock", "nobody keeps it right: NTP is not synchronized", remedy)
    return Ailment(OK, "clock", "whether NTP keeps it right is not known here (no timedatectl)")


def systemd(machine: Machine) -> Ailment:
    """How the service stands, where systemd runs this machine."""
    if not machine.is_systemd():
        return Ailment(OK, "systemd", "not in charge here; `./run.sh run …` starts the engine")
    asked = "--property=LoadState,ActiveState,Result,NRestarts"
    answer = machine.run(["systemctl", "show", UNIT, asked]) or ""
    shown = dict(line.split("=", 1) for line in answer.splitlines() if "=" in line)
    if shown.get("LoadState") != "loaded":
        return Ailment(WARNING, "systemd", f"{UNIT}.service is not installed", "deploy/install.sh installs it")
    state, restarts = shown.get("ActiveState", ""), shown.get("NRestarts", "0")
    if state == "failed":
        remedy = f"journalctl -u {UNIT} -n 100; after mending: systemctl reset-failed {UNIT}, then start it"
        return Ailment(ERROR, "systemd", f"{UNIT}.service has failed ({shown.get('Result', '')})", remedy)
    if restarts not in ("", "0"):
        remedy = f"journalctl -u {UNIT} says why it had to be restarted"
        return Ailment(WARNING, "systemd", f"{UNIT}.service is {state}, restarted {restarts} times", remedy)
    return Ailment(OK, "systemd", f"{UNIT}.service is {state}")
