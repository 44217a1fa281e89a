"""Copies of the database that can be trusted, and the way back.

What belongs here: backup, restore, and the file handling that survives a crash. What does not: when
backups are made and how many are kept (deployment), reconciliation after a restore (core).

Copying the file by hand is not a backup: rows committed to the write-ahead log would be missing.
"""

import os
import secrets
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from trading_engine.core.project import apply
from trading_engine.domain.control import Level
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.ids import EPOCH_LENGTH, base36
from trading_engine.domain.records import ControlChanged, Record, RunEnded, RunStarted
from trading_engine.ports import Commit
from trading_engine.store import engine
from trading_engine.store.read_models import Reader
from trading_engine.store.sql_store import SqlStore

RESTORED = "restored backup"

_OWNER_ONLY = 0o600
_COMPANIONS = ("-wal", "-shm", "-journal")


def backup(path: Path, target_dir: Path, now_ms: int) -> Path:
    """A checked copy of the database in `target_dir`, made while the engine may be writing; its path.

    Raises ConfigInvalid, leaving no copy behind, where the source is not ours or the copy is not sound.
    """
    engine.check_file(path)
    target_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = target_dir / f"{path.stem}-{_stamp(now_ms)}.db"
    if target.exists():
        raise ConfigInvalid(f"{target}: exists already; a backup never overwrites another")
    _copy(path, target)
    return target


def restore(backup_path: Path, path: Path, now_ms: int, *, new_epoch: str = "", force: bool = False) -> str:
    """Put a backup in the place of the database; the epoch it has now, drawn by chance where none is given.

    The venue knows more than the backup: the copy starts in LOCKED with a new epoch (order ids never repeat)
    and waits for an operator. Both are journaled. The engine must not be running. Refuses to replace a
    database unless `force`, and then keeps the old file as NAME.replaced-TIME beside the new one. Raises
    ConfigInvalid with everything as it was.
    """
    engine.check_file(backup_path)
    if path.exists() and not force:
        raise ConfigInvalid(f"{path}: exists; use --force to replace it (the old file is kept)")
    epoch = new_epoch or base36(secrets.randbelow(36**EPOCH_LENGTH), EPOCH_LENGTH)
    draft = path.with_name(f".{path.name}.restored")
    _discard(draft)
    try:
        _copy(backup_path, draft)
        _bring_up_to_date(draft, now_ms)
        _lock(draft, backup_path, epoch, now_ms)
        set_aside(path, now_ms)
        publish(draft, path)
    finally:
        _discard(draft)
    return epoch


def verify(path: Path) -> None:
    """ConfigInvalid unless `path` is a database of ours with every page, index and foreign key sound."""
    engine.check_file(path)
    with engine.damage_reported(path):
        connection = engine.open_raw(path, "ro")
        try:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
            orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
        finally:
            connection.close()
    if found != ["ok"] or orphans:
        finding = found[0] if found != ["ok"] else f"{len(orphans)} rows refer to missing rows"
        raise ConfigInvalid(f"{path}: is damaged ({finding}); restore a backup with `trading-engine db restore`")


def publish(draft: Path, path: Path) -> None:
    """Sync a finished file to disk and give it its name; a crash never leaves half a file under it."""
    _sync(draft)
    draft.replace(path)
    _sync(path.parent)


def set_aside(path: Path, now_ms: int) -> Path | None:
    """Rename a database together with its log, which must never meet another file; its name from now on.

    None where there is no database (a log without one is moved all the same).
    """
    kept = path.with_name(f"{path.name}.replaced-{_stamp(now_ms)}")
    had_file = path.exists()
    if had_file:
        path.replace(kept)
    for suffix in _COMPANIONS:
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.replace(kept.with_name(kept.name + suffix))
    return kept if had_file else None


def _copy(source_path: Path, target: Path) -> None:
    """Copy by SQLite's own means in one step (in small steps a busy writer would restart it for ever)."""
    draft = target.with_name(f".{target.name}.part")
    _discard(draft)
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _OWNER_ONLY))
        with engine.damage_reported(source_path):
            _copy_pages(source_path, draft)
        verify(draft)
        publish(draft, target)
    except OSError as error:
        raise ConfigInvalid(f"{target}: cannot be written ({error.strerror})") from error
    finally:
        _discard(draft)


def _copy_pages(source_path: Path, draft: Path) -> None:
    source = engine.open_raw(source_path, "ro")
    try:
        copy = sqlite3.connect(draft, isolation_level=None)
        try:
            source.backup(copy, pages=-1)
            copy.execute("PRAGMA journal_mode = DELETE")  # the copy is one file, complete in itself
        finally:
            copy.close()
    finally:
        source.close()


def _bring_up_to_date(draft: Path, now_ms: int) -> None:
    """Migrate a copy of an older schema; the tool is loaded only then."""
    from trading_engine.store import migrate, schema_version  # noqa: PLC0415 - see above

    if migrate.current(draft) != schema_version.HEAD:
        migrate.upgrade(draft, now_ms)


def _lock(draft: Path, origin: Path, new_epoch: str, now_ms: int) -> None:
    """Journal the new epoch and the lock, as a run of its own that begins and ends here."""
    with Reader.open(draft) as reader:
        last = reader.last_run()
    with SqlStore.open(draft) as store:
        loaded = store.load()
        checkpoint = loaded.checkpoint
        if last is None or checkpoint is None:
            raise ConfigInvalid(f"{origin}: nothing has run on this backup: there is nothing to restore")
        run_id = f"restore-{new_epoch}"
        records: tuple[Record, ...] = (
            RunStarted(run_id, last.version, last.mode, last.config_hash, new_epoch),
            ControlChanged(Level.LOCKED, RESTORED, "db restore", now_ms),
            RunEnded(run_id, RESTORED),
        )
        book = loaded.book
        for record in records:
            book = apply(book, record)
        store.commit(Commit(now_ms, run_id, records, book, checkpoint))
    connection = engine.open_raw(draft, "rw")
    try:
        connection.execute("PRAGMA journal_mode = DELETE")  # fold everything into the one file that is renamed
    finally:
        connection.close()


def _discard(draft: Path) -> None:
    for suffix in ("", *_COMPANIONS):
        draft.with_name(draft.name + suffix).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _stamp(now_ms: int) -> str:
    """An instant as part of a file name: 20250504T120000.250Z."""
    moment = datetime.fromtimestamp(now_ms // 1000, UTC)
    return f"{moment:%Y%m%dT%H%M%S}.{now_ms % 1000:03d}Z"
