"""A PostgreSQL server of our own for tests: made in a folder, listening on a socket there, gone with the tests.

What belongs here: finding the programs, starting and ending it, empty databases. What does not: any expectation.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

_FOLDERS = ("/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt/postgresql")
_NUMBERS = count(1)
_PATIENCE_S = 60


def programs() -> Path | None:
    """Where `initdb` and `postgres` are, None where no server is installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    places = [path for folder in _FOLDERS for path in sorted(Path(folder).glob("*/bin"), reverse=True)]
    return next((path for path in places if (path / "initdb").exists()), None)


def _as_nobody() -> dict[str, int]:
    """A server refuses to run as root: then it runs as whoever owns nothing."""
    if os.geteuid() != 0:
        return {}
    names = [entry.pw_name for entry in pwd.getpwall()]
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": user.pw_uid, "group": user.pw_gid}


@contextmanager
def server() -> Iterator[str]:
    """The URL of a running server, without the name of a database; trusts whoever reaches its socket."""
    where, who = programs(), _as_nobody()
    assert where is not None
    folder = Path(tempfile.mkdtemp(prefix="te-pg."))
    try:
        if who:
            os.chown(folder, who["user"], who["group"])
        data = folder / "data"
        options = ["--username=engine", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        _run([str(where / "initdb"), f"--pgdata={data}", *options], who)
        command = [str(where / "postgres"), "-D", str(data), "-k", str(folder), "-c", "listen_addresses="]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **who) as process:
            try:
                _await(where, folder, who)
                yield f"postgresql://engine@/{{}}?host={folder}"
            finally:
                process.send_signal(signal.SIGINT)  # at once: SIGTERM waits for every client to leave
                process.wait(_PATIENCE_S)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def new_database(url: str) -> str:
    """The URL of an empty database of its own."""
    name = f"engine_{os.getpid()}_{next(_NUMBERS)}"
    engine = create_engine(
        url.format("postgres").replace("postgresql:", "postgresql+psycopg:"),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
    )
    with engine.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    return url.format(name)


def _run(command: list[str], who: dict[str, int]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", timeout=_PATIENCE_S, **who)
    assert not done.returncode, done.stderr


def _await(where: Path, folder: Path, who: dict[str, int]) -> None:
    until_s = time.monotonic() + _PATIENCE_S
    command = [str(where / "pg_isready"), "-h", str(folder), "-q"]
    while subprocess.run(command, check=False, cwd="/", **who).returncode:
        assert time.monotonic() < until_s, "the server does not start"
        time.sleep(0.05)
