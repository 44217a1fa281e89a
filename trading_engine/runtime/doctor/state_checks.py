"""What a doctor finds in the state directory: who may read it, who holds it, whether the database is sound.

What belongs here: looking at files, read-only. What does not: the machine (machine), what the rows add up to (audit).
"""

import os
from pathlib import Path

from trading_engine.domain.control import Level
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.time import MINUTE_MS, iso
from trading_engine.runtime.doctor.machine import ERROR, OK, WARNING, Ailment
from trading_engine.store import engine
from trading_engine.store.read_models import Reader
from trading_engine.system.single_instance import PID_UNKNOWN, holder
from trading_engine.system.state_dir import StateDir
from trading_engine.system.stop_file import StopFile

_FOR_OTHERS = 0o077
_LONG_LOG = 64_000_000
_MANY_ALERTS = 50
_MOST_AHEAD_MS = 10 * MINUTE_MS


def state(directory: StateDir, now_ms: int) -> list[Ailment]:
    """Folder, lock and database."""
    root = directory.root
    if not root.exists():
        return [Ailment(OK, "state", f"{root} does not exist yet; the first run makes it")]
    if not root.is_dir():
        return [Ailment(ERROR, "state", f"{root} is a file, not a directory", "name another with --state DIR")]
    found = [_writable(root), *_permissions(directory)]
    try:
        pid = holder(directory.lock)
    except ConfigInvalid as error:
        return [*found, Ailment(ERROR, "lock", str(error), f"chown -R $USER {root}")]
    found.append(_lock(directory, pid))
    if directory.database.exists() or engine.lost(directory.database):
        found += _database(directory, pid, now_ms)
    else:
        found.append(Ailment(OK, "database", "none yet; the first run makes it"))
    return found


def _writable(root: Path) -> Ailment:
    if os.statvfs(root).f_flag & os.ST_RDONLY:
        return Ailment(
            ERROR, "state", f"{root} is on a read-only file system", "remount it, or name another with --state"
        )
    if not os.access(root, os.R_OK | os.W_OK | os.X_OK):
        remedy = f"run as its owner, or chown -R $USER {root}"
        return Ailment(ERROR, "state", f"{root} cannot be written by this user", remedy)
    return Ailment(OK, "state", f"{root} can be written")


def _permissions(directory: StateDir) -> list[Ailment]:
    """Nobody but the owner reads positions and balances, or reaches the control socket."""
    open_ones = []
    for path in (directory.root, directory.database, directory.paper_database, directory.control_socket):
        try:
            mode = path.lstat().st_mode & 0o777
        except OSError:
            continue
        if mode & _FOR_OTHERS and path != directory.root and not directory.root.stat().st_mode & _FOR_OTHERS:
            continue  # the folder keeps everybody out
        if mode & _FOR_OTHERS:
            open_ones.append((path, mode))
    if not open_ones:
        return [Ailment(OK, "permissions", "only the owner can read the state")]
    told = ", ".join(f"{path.name} {mode:04o}" for path, mode in open_ones)
    return [Ailment(WARNING, "permissions", f"others can read the state: {told}", f"chmod -R go= {directory.root}")]


def _lock(directory: StateDir, pid: int | None) -> Ailment:
    if pid is not None:
        who = f"process {pid}" if pid != PID_UNKNOWN else "a process"
        return Ailment(OK, "lock", f"{who} runs on this state")
    try:
        left = directory.lock.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        left = ""
    if left:
        text = f"left by process {left}, which is gone without a word (a crash or a kill); the lock itself is free"
        return Ailment(OK, "lock", text, "nothing to do: the next start takes it, and compares with the venue")
    return Ailment(OK, "lock", "free: no engine runs on this state")


def _database(directory: StateDir, pid: int | None, now_ms: int) -> list[Ailment]:
    path = directory.database
    try:
        with Reader.open(path) as reader:
            with engine.create_reader(path).connect() as connection, connection.begin(), engine.damage_reported(path):
                engine.require_sound(connection, path)
            return _rows(reader, path, pid, now_ms)
    except ConfigInvalid as error:
        text = str(error).removeprefix(f"{path}: ")
        what, _, remedy = text.rpartition("; ")
        return [
            Ailment(
                ERROR, "database", what or text, remedy if what else "restore a backup: `trading-engine db restore`"
            )
        ]


def _rows(reader: Reader, path: Path, pid: int | None, now_ms: int) -> list[Ailment]:
    counts, view, run = reader.status_counts(), reader.control(), reader.last_run()
    found = [Ailment(OK, "database", f"sound, {counts.journal:,} records, {counts.positions:,} positions")]
    control = view.control
    if control.level is not Level.RUN:
        remedy = "find the cause, then `trading-engine resume`"
        found.append(Ailment(WARNING, "kill switch", f"at {control.level}: {control.reason}", remedy))
    newest = reader.journal(1)
    if newest and newest[0].ts_ms - now_ms > _MOST_AHEAD_MS:
        text = f"the last record was written at {iso(newest[0].ts_ms)}, which is in the future"
        found.append(Ailment(ERROR, "clock", text, "set the clock right (timedatectl), or restore a backup"))
    if pid is None and counts.open_positions:
        text = f"{counts.open_positions} open while no engine runs; their stops rest at the venue"
        found.append(Ailment(WARNING, "positions", text, "start the engine, or `trading-engine flatten --direct`"))
    if pid is None and run is not None and run.ended_ms is None:
        text = f"the last run (since {iso(run.started_ms)}) ended without a word"
        found.append(Ailment(WARNING, "last run", text, f"read {path.parent / 'logs'}; `trading-engine audit`"))
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size > _LONG_LOG:
        text = f"its log has {log.stat().st_size // 1_000_000} MB: a reader holds it open"
        found.append(Ailment(WARNING, "database", text, "end programs that read engine.db for long"))
    if counts.unsent_alerts > _MANY_ALERTS:
        text = f"{counts.unsent_alerts} wait to be sent"
        found.append(Ailment(WARNING, "alerts", text, "`trading-engine alerts test --config FILE` says why"))
    return found


def stop_file(path: Path) -> Ailment:
    """The kill-switch file."""
    if StopFile(path.absolute()).read() is None:
        return Ailment(OK, "stop file", f"{path} is not there")
    remedy = f"rm {path}, then `trading-engine resume`"
    return Ailment(WARNING, "stop file", f"{path} is there: no entries, and no start while flat", remedy)
