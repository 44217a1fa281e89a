"""Bringing a database to the schema of this code. The only module that loads the migration tool.

What belongs here: running the revisions of `migrations/` safely. What does not: the schema itself
(tables, migrations). The engine's process never imports this: it starts `python -m
trading_engine.store.migrate PATH` for a new file and otherwise refuses a schema that is not its own.

A new file is built under another name and renamed when it is complete, so a kill at any moment leaves
nothing or everything. An existing file is backed up first and changed in one transaction, foreign keys
off (rebuilding a parent table would delete its children), keys checked before the commit.

The database of a PostgreSQL server is changed in one transaction as well, by the one writer that it lets in; a
backup of it is the server's business.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from trading_engine import sqlite_faults
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.store import backup as backups
from trading_engine.store import engine, postgres, schema_version

INSIDE_MIGRATION = "migrate.inside"
BEFORE_PUBLISH = "migrate.before_publish"

_OWNER_ONLY = 0o600
_USAGE = 2


def _no_hit(name: str) -> None:
    del name


def scripts_dir() -> Path:
    """Where the revisions are: beside the package; ConfigInvalid where an installation lacks them."""
    found = Path(__file__).resolve().parents[2] / "migrations"
    if not (found / "env.py").is_file():
        raise ConfigInvalid(f"{found}: the migrations are not there; run from a complete release directory")
    return found


def head(scripts: Path | None = None) -> str:
    """The newest revision that the scripts lead to."""
    newest = ScriptDirectory(str(scripts or scripts_dir())).get_current_head()
    if newest is None:
        raise ConfigInvalid(f"{scripts or scripts_dir()}: there is no revision")
    return newest


def current(path: Path) -> str | None:
    """The revision a database file is at, None where it has none; ConfigInvalid where it is not ours."""
    engine.check_file(path)
    with engine.damage_reported(path):
        engine.roll_back_unfinished(path)
        with engine.create_reader(path).connect() as connection, connection.begin():
            return schema_version.revision_of(connection)


def upgrade(
    path: Path,
    now_ms: int | None = None,
    *,
    scripts: Path | None = None,
    hit: Callable[[str], None] = _no_hit,
) -> str:
    """Bring `path` to the newest schema, making it where it is missing; the revision it is at then.

    now_ms    for the name of the backup in `backups/` beside it; the system's clock where it is None
    scripts   another directory of revisions
    hit       told the names of the crash points

    Raises ConfigInvalid, with the database as it was, for a foreign, damaged or newer one and for a revision that
    fails; on a server also where it has lost its tables, or an engine writes there (exit 3).
    """
    directory = scripts or scripts_dir()
    newest = head(directory)
    stamp_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    if not path.exists() or path.stat().st_size == 0:
        _build(path, directory, stamp_ms, hit)
        return newest
    found = current(path)
    if found != newest:
        _require_known(path, found, directory)
        if not postgres.is_pointer(path):
            backups.backup(path, path.parent / "backups", stamp_ms)
        _change(path, directory, hit)
    return newest


def main(argv: Sequence[str]) -> int:
    """`python -m trading_engine.store.migrate PATH`: upgrade, say so in one line; the exit code."""
    if len(argv) != 1:
        print("usage: python -m trading_engine.store.migrate DATABASE", file=sys.stderr)  # noqa: T201 - a program
        return _USAGE
    try:
        revision = upgrade(Path(argv[0]))
    except ConfigInvalid as error:
        print(error, file=sys.stderr)  # noqa: T201 - a program
        return error.exit_code
    print(f"{argv[0]}: schema {revision}")  # noqa: T201 - a program
    return 0


def _require_known(path: Path, found: str | None, directory: Path) -> None:
    if found is None and postgres.is_pointer(path):  # a new schema there would pass for a new ledger
        raise ConfigInvalid(
            f"{path}: the server's database holds no tables of this program; bring it back by the server's own means,"
            " or attach another one to a new --state"
        )
    known = {script.revision for script in ScriptDirectory(str(directory)).walk_revisions()}
    if found is not None and found not in known:
        raise ConfigInvalid(
            f"{path}: database is of a newer schema ({found}; this version knows {head(directory)}); "
            "run the version that wrote it"
        )


def _build(path: Path, directory: Path, now_ms: int, hit: Callable[[str], None]) -> None:
    """Make a complete database under another name, then give it the right one."""
    draft = path.with_name(f".{path.name}.new")
    _discard(draft)
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _OWNER_ONLY))
    except OSError as error:
        raise ConfigInvalid(f"{path}: cannot be created ({error.strerror}); check the directory") from error
    try:
        _change(draft, directory, hit)
    except ConfigInvalid as error:
        _discard(draft)
        raise ConfigInvalid(str(error).replace(str(draft), str(path))) from error
    hit(BEFORE_PUBLISH)
    backups.set_aside(path, now_ms)  # the log of a database that is gone must not meet the new one
    backups.publish(draft, path)


def _discard(draft: Path) -> None:
    for leftover in (draft, draft.with_name(f"{draft.name}-journal")):
        leftover.unlink(missing_ok=True)


def _change(path: Path, directory: Path, hit: Callable[[str], None]) -> None:
    """Run the missing revisions in one transaction."""
    with engine.damage_reported(path), engine.create_migrator(path).connect() as connection:
        try:
            with connection.begin():
                _run_revisions(connection, directory)
                _require_parents(connection, path)
                hit(INSIDE_MIGRATION)
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            remedy = sqlite_faults.remedy(path, cause, "")
            said = f"{path}: the migration failed ({' '.join(str(cause).split())}); nothing was changed"
            raise ConfigInvalid(f"{said}; {remedy}" if remedy else said) from error


def _require_parents(connection: Connection, path: Path) -> None:
    if connection.dialect.name != "sqlite":
        return  # the keys of a server cannot be switched off
    orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if orphans:
        raise ConfigInvalid(
            f"{path}: the migration would leave {len(orphans)} rows that refer to missing rows, "
            f"the first in {orphans[0][0]}; nothing was changed"
        )


def _run_revisions(connection: Connection, directory: Path) -> None:
    config = Config()
    # Config values are interpolated: a percent sign in the path must be doubled.
    config.set_main_option("script_location", str(directory).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
