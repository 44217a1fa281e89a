"""Copies of the database that can be trusted, and the way back.

What belongs here: backup, restore, and the file handling that survives a crash. What does not: when
backups are made and how many are kept (deployment), reconciliation after a restore (core).

Copying the file by hand is not a backup: rows committed to the write-ahead log would be missing.
"""

import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from trading_engine import sqlite_faults
from trading_engine.core.project import apply
from trading_engine.domain.control import Level
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.ids import EPOCH_LENGTH, base36
from trading_engine.domain.records import ControlChanged, Record, RunEnded, RunStarted
from trading_engine.ports import Commit
from trading_engine.store import engine, postgres
from trading_engine.store.read_models import Reader
from trading_engine.store.sql_store import SqlStore, StoreFailed

RESTORED = "restored backup"

_OWNER_ONLY = 0o600
_COMPANIONS = ("-wal", "-shm", "-journal")
_ATTEMPTS = 50  # to find a moment between two commits of an engine that runs as fast as it can
_PAUSE_S = 0.002


def backup(path: Path, target_dir: Path, now_ms: int, companion: Path | None = None) -> Path:
    """A checked copy of the database in `target_dir`, with one of the file that belongs to it; the first's path.

    companion   a second SQLite file, copied as well where it exists (`copy_beside`): the paper exchange's memory

    May be called while the engine writes: both copies are of one moment, or the second of the later one, so
    that the exchange never knows less than the ledger. Raises ConfigInvalid, leaving no copy behind, where
    the source is not ours or a copy is not sound.
    """
    engine.check_file(path)
    try:
        target_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigInvalid(f"{target_dir}: copies cannot be put there ({error.strerror})") from None
    target = target_dir / f"{path.stem}-{_stamp(now_ms)}.db"
    copies = [(path, target, verify)]
    if companion is not None and companion.exists():
        copies.append((companion, _beside(target, path, companion), _require_sound))
    for _, copy, _ in copies:
        if copy.exists():
            raise ConfigInvalid(f"{copy}: exists already; a backup never overwrites another")
    drafts = [_part_of(copy) for _, copy, _ in copies]
    try:
        with _one_moment([source for source, _, _ in copies]) as sources:
            for source, draft, (origin, copy, check) in zip(sources, drafts, copies, strict=True):
                _copy(source, origin, draft, copy, check)
        for draft, (_, copy, _) in zip(drafts, copies, strict=True):
            publish(draft, copy)
    finally:
        for draft in drafts:
            _discard(draft)
    return target


def restore(
    backup_path: Path,
    path: Path,
    now_ms: int,
    *,
    new_epoch: str = "",
    force: bool = False,
    companion: Path | None = None,
) -> str:
    """Put a backup in the place of the database; the epoch it has now, drawn by chance where none is given.

    The venue knows more than the backup: the copy starts in LOCKED with a new epoch (order ids never repeat)
    and waits for an operator. Both are journaled. With `companion`, the copy that `backup` made beside this
    one goes into its place as well, where there is one. The engine must not be running. Refuses to replace a
    file unless `force`, and then keeps the old one as NAME.replaced-TIME beside the new one. Raises
    ConfigInvalid with everything as it was. A kill leaves the old database or the new one; where the old log holds
    commits, which must meet no other file, it may leave none, which `store.engine.missing` tells of.
    """
    engine.check_file(backup_path)
    pairs = [(backup_path, path)]
    beside = None if companion is None else copy_beside(backup_path, path, companion)
    if companion is not None and beside is not None:
        pairs.append((beside, companion))
    if postgres.is_pointer(path):
        raise ConfigInvalid(
            f"{path}: names a PostgreSQL server: restore there (pg_restore), then `db restore --server`; a file is"
            " restored to another --state"
        )
    for _, replaced in pairs:
        if replaced.exists() and not force:
            raise ConfigInvalid(f"{replaced}: exists; use --force to replace it (the old file is kept)")
    epoch = new_epoch or base36(secrets.randbelow(36**EPOCH_LENGTH), EPOCH_LENGTH)
    drafts = [engine.draft_of_restore(replaced) for _, replaced in pairs]
    try:
        for (copy, replaced), draft, check in zip(pairs, drafts, (verify, _require_sound), strict=False):
            with _one_moment([copy]) as (source,):
                _copy(source, copy, draft, replaced, check)
        _bring_up_to_date(drafts[0], now_ms)
        with _refusal_told(path):
            _lock(drafts[0], backup_path, epoch)
        for draft, (_, replaced) in zip(drafts, pairs, strict=True):
            if not _link_aside(replaced, now_ms):
                set_aside(replaced, now_ms)
            publish(draft, replaced)
    finally:
        for draft in drafts:
            _discard(draft)
    return epoch


def copy_beside(backup_path: Path, path: Path, companion: Path) -> Path | None:
    """The copy of the companion that was made with this copy of the database, None where there is none."""
    if not backup_path.name.startswith(f"{path.stem}-"):
        return None
    found = _beside(backup_path, path, companion)
    return found if found.is_file() else None


def _beside(copy: Path, path: Path, companion: Path) -> Path:
    return copy.with_name(companion.stem + copy.name.removeprefix(path.stem))


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
        finding = _finding(found) if found != ["ok"] else f"{len(orphans)} rows refer to missing rows"
        raise _damaged(path, finding)


def _require_sound(path: Path) -> None:
    """ConfigInvalid unless every page and index of a SQLite file is sound."""
    with engine.damage_reported(path):
        connection = engine.open_raw(path, "ro")
        try:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
        finally:
            connection.close()
    if found != ["ok"]:
        raise _damaged(path, _finding(found))


def _finding(found: list[str]) -> str:
    return found[0].splitlines()[-1]


def _damaged(path: Path, finding: str) -> ConfigInvalid:
    return ConfigInvalid(f"{path}: is damaged ({finding}); restore a backup with `trading-engine db restore`")


def publish(draft: Path, path: Path) -> None:
    """Sync a finished file to disk and give it its name; a crash never leaves half a file under it."""
    _sync(draft)
    draft.replace(path)
    _sync(path.parent)


def set_aside(path: Path, now_ms: int) -> Path | None:
    """Rename a database together with its log, which must never meet another file; its name from now on.

    None where there is no database (a log without one is moved all the same).
    """
    kept = _kept(path, now_ms)
    had_file = path.exists()
    if had_file:
        path.replace(kept)
    for suffix in _COMPANIONS:
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.replace(kept.with_name(kept.name + suffix))
    return kept if had_file else None


def _link_aside(path: Path, now_ms: int) -> bool:
    """Give a database the name that `set_aside` would, and leave it its own for the one that replaces it.

    False, with nothing done, where its log holds something, or the file system knows no second name. A log that holds
    nothing, which whoever reads a database leaves, is removed.
    """
    log, index, journal = (path.with_name(path.name + suffix) for suffix in _COMPANIONS)
    if journal.exists() or (log.exists() and log.stat().st_size):
        return False
    try:
        _kept(path, now_ms).hardlink_to(path)
    except OSError:
        return False
    for companion in (log, index):
        companion.unlink(missing_ok=True)
    return True


def _kept(path: Path, now_ms: int) -> Path:
    return path.with_name(f"{path.name}{engine.REPLACED}{_stamp(now_ms)}")


@contextmanager
def _one_moment(paths: Sequence[Path]) -> Iterator[list[sqlite3.Connection]]:
    """Connections that each see one moment of their file; of two, the same one wherever a busy engine allows it."""
    with ExitStack() as stack:
        for path in paths:
            stack.enter_context(engine.damage_reported(path))
        for attempt in range(_ATTEMPTS):
            with ExitStack() as opened:
                sources = [_frozen(path, opened) for path in paths]
                if len(paths) == 1 or attempt == _ATTEMPTS - 1 or _commits(paths[0]) == _commits_in(sources[0]):
                    yield sources
                    return
            time.sleep(_PAUSE_S)


def _frozen(path: Path, opened: ExitStack) -> sqlite3.Connection:
    """A connection in a transaction that has begun to read."""
    connection = opened.enter_context(closing(engine.open_raw(path, "ro")))
    connection.execute("BEGIN")
    connection.execute("SELECT count(*) FROM sqlite_master")
    return connection


def _commits(path: Path) -> int:
    with closing(engine.open_raw(path, "ro")) as connection:
        return _commits_in(connection)


def _commits_in(connection: sqlite3.Connection) -> int:
    count: int = connection.execute("SELECT version FROM control").fetchone()[0]
    return count


def _part_of(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


def _copy(source: sqlite3.Connection, origin: Path, draft: Path, target: Path, check: Callable[[Path], None]) -> None:
    """Copy by SQLite's own means in one step (in small steps a busy writer would restart it for ever)."""
    _discard(draft)
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _OWNER_ONLY))
    except OSError as error:
        raise ConfigInvalid(f"{target}: cannot be written ({error.strerror})") from error
    with (
        engine.damage_reported(origin),
        _refusal_told(target),
        closing(sqlite3.connect(draft, isolation_level=None)) as copy,
    ):
        source.backup(copy, pages=-1)
        copy.execute("PRAGMA journal_mode = DELETE")  # the copy is one file, complete in itself
    try:
        check(draft)
    except ConfigInvalid as error:  # a damage of the copy is one of what was copied, and that is what people know
        raise ConfigInvalid(str(error).replace(str(draft), str(origin))) from error


@contextmanager
def _refusal_told(path: Path) -> Iterator[None]:
    """A disk that does not take what is to become `path` is no fault of the file that was copied, nor one of ours."""
    try:
        yield
    except (StoreFailed, SQLAlchemyError, sqlite3.Error) as error:
        failed = error.__cause__ if isinstance(error, StoreFailed) else error
        cause = getattr(failed, "orig", None) or failed
        if not sqlite_faults.is_refused(cause):
            raise
        raise ConfigInvalid(f"{path}: cannot be written ({cause}); {sqlite_faults.remedy(path, cause, '')}") from error


def _bring_up_to_date(draft: Path, now_ms: int) -> None:
    """Migrate a copy of an older schema; the tool is loaded only then."""
    from trading_engine.store import migrate, schema_version  # noqa: PLC0415 - see above

    if migrate.current(draft) != schema_version.HEAD:
        migrate.upgrade(draft, now_ms)


def lock_server(path: Path) -> str:
    """As `restore` ends, for a PostgreSQL server's database that was brought back by its own means; the new epoch.

    ConfigInvalid where `path` names no server, or nothing has run on its database.
    """
    if not postgres.is_pointer(path):
        raise ConfigInvalid(f"{path}: names no PostgreSQL server; a file is restored from a copy made by `db backup`")
    epoch = base36(secrets.randbelow(36**EPOCH_LENGTH), EPOCH_LENGTH)
    _journal_lock(path, path, epoch)
    return epoch


def _lock(draft: Path, origin: Path, new_epoch: str) -> None:
    """Journal the new epoch and the lock in a file that is about to be renamed."""
    _journal_lock(draft, origin, new_epoch)
    connection = engine.open_raw(draft, "rw")
    try:
        connection.execute("PRAGMA journal_mode = DELETE")  # fold everything into the one file that is renamed
    finally:
        connection.close()


def _journal_lock(draft: Path, origin: Path, new_epoch: str) -> None:
    """As a run of its own that begins and ends here, in the state's time.

    Like any word to an engine that is down: a replayed market, or a server that runs faster, is not at the machine's
    time, and a record of the future would keep the engine from starting.
    """
    with Reader.open(draft) as reader:
        last = reader.last_run()
    with SqlStore.open(draft) as store:
        loaded = store.load()
        checkpoint = loaded.checkpoint
        if last is None or checkpoint is None:
            raise ConfigInvalid(f"{origin}: nothing has run on this backup: there is nothing to restore")
        run_id, now_ms = f"restore-{new_epoch}", max(checkpoint.cursor_ms, loaded.last_ts_ms)
        records: tuple[Record, ...] = (
            RunStarted(run_id, last.version, last.mode, last.config_hash, new_epoch),
            ControlChanged(Level.LOCKED, RESTORED, "db restore", now_ms),
            RunEnded(run_id, RESTORED),
        )
        book = loaded.book
        for record in records:
            book = apply(book, record)
        store.commit(Commit(now_ms, run_id, records, book, checkpoint))


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
