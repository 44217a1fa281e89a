"""`db`: looking after the database.

What belongs here: one thin command for each operation of the store. What does not: the operations.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from trading_engine.cli.arguments import StateOption, state_of
from trading_engine.cli.failure import USAGE, usage
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.store import backup as backups
from trading_engine.store import engine, postgres, retention, schema_version
from trading_engine.store.read_models import Reader
from trading_engine.system.clock import SystemClock
from trading_engine.system.single_instance import InstanceLock
from trading_engine.system.state_dir import prepare
from trading_engine.venues.embedded.memory import SCHEMA_VERSION as MEMORY_SCHEMA
from trading_engine.venues.embedded.memory import Memory

db_app = typer.Typer(
    rich_markup_mode="rich", add_completion=False, help="Migrate, check, back up and restore the database."
)


_LOCKED = "LOCKED: compare with `trading-engine reconcile --plan`, then `trading-engine resume`"


@db_app.callback(invoke_without_command=True)
def _db(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(USAGE)


@db_app.command()
def migrate(state: StateOption = None) -> None:
    """Create the database, or bring it to the schema of this version.

    A backup is made first, but not of a database on a PostgreSQL server: pg_dump
    it before. Refused (exit 3) while an engine runs on it.
    """
    directory = prepare(state_of(state))
    from trading_engine.store import migrate as migrations  # noqa: PLC0415 - loads the migration tool

    path = directory.database
    with InstanceLock(directory.lock):
        if engine.lost(path):
            raise engine.missing(path)
        before = migrations.current(path) if path.exists() else None
        after = migrations.upgrade(path)
    if before == after:
        typer.echo(f"{path} is at schema {after} already")
    else:
        where = "no backup was made: that is the server's business" if postgres.is_pointer(path) else ""
        saved = f", was {before} ({where or f'a backup is in {directory.backups}'})" if before else ""
        typer.echo(f"{path} is now at schema {after}{saved}")


@db_app.command(epilog="Example: TRADING_DATABASE=postgresql://engine@db/engine trading-engine db attach --state s")
def attach(
    state: StateOption = None,
    variable: Annotated[
        str, typer.Option("--from", metavar="NAME", help="The environment variable that holds the URL.")
    ] = "TRADING_DATABASE",
) -> None:
    """Keep the state's database on a PostgreSQL server: make the schema there, and note the address here.

    The URL (postgresql://USER:PASSWORD@HOST/NAME) comes from the environment,
    because arguments can be read by everybody on the machine. It is kept in
    engine.db, readable by you alone; from then on every command works as with a
    file. Only for a new --state.
    """
    url = os.environ.get(variable, "")
    if not url:
        raise usage(f"${variable} is empty; put the URL of the server's database there")
    directory = prepare(state_of(state))
    with InstanceLock(directory.lock):
        revision = postgres.attach(directory.database, url, f"${variable}")
    older = "" if revision == schema_version.HEAD else "; bring it on with `trading-engine db migrate`"
    typer.echo(f"{directory.database} names the server's database, schema {revision}{older}")


@db_app.command()
def check(state: StateOption = None) -> None:
    """Check pages, keys and schema of the databases; `audit` checks what they say.

    Looks at engine.db and, where there is a paper account, at paper.db. Exits
    with 78 where one is damaged or of another schema. The pages of a PostgreSQL
    server are its own business.
    """
    directory = state_of(state)
    path, paper = directory.database, directory.paper_database
    Reader.open(path).close()
    if postgres.is_pointer(path):
        typer.echo(f"{path} names a PostgreSQL server, whose database has schema {schema_version.HEAD}")
    else:
        backups.verify(path)
        typer.echo(f"{path} is sound, schema {schema_version.HEAD}")
    if paper.exists():
        _check_paper(paper)
        typer.echo(f"{paper} is sound, schema {MEMORY_SCHEMA}")


def _check_paper(path: Path) -> None:
    memory = Memory(path, read_only=True)
    try:
        if memory.load() is None:
            raise ConfigInvalid(f"{path}: holds no account; `trading-engine db restore` brings a backup back")
    finally:
        memory.close()


@db_app.command()
def backup(
    state: StateOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="DIR", help="Folder for the copy. Default: backups/ of the state."),
    ] = None,
    thin_out: Annotated[
        bool,
        typer.Option(
            "--thin-out", help="Then remove old copies there: all of 2 days stay, one a day of 30, one a month of 12."
        ),
    ] = False,
) -> None:
    """Make verified copies of engine.db and paper.db, also while the engine runs.

    Both are of one moment; `db restore` takes the first and finds the second
    beside it.
    """
    directory = state_of(state)
    path, paper = directory.database, directory.paper_database
    now_ms = SystemClock().now_ms()
    made = backups.backup(path, output or directory.backups, now_ms, paper)
    for copy in (made, backups.copy_beside(made, path, paper)):
        if copy is not None:
            typer.echo(f"{copy} ({copy.stat().st_size:,} bytes, verified)")
    if thin_out and (gone := retention.thin_out(made.parent, now_ms)):
        typer.echo(f"{len(gone)} old copies removed, up to {gone[-1].name}")


@db_app.command()
def restore(
    *,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A copy made by `db backup`.", show_default=False)
    ] = None,
    state: StateOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a database that is there; it is kept aside.")] = False,
    server: Annotated[
        bool,
        typer.Option(
            "--server", help="Without FILE: a PostgreSQL server's database was brought back by its own means."
        ),
    ] = False,
) -> None:
    """Bring a backup back. The engine is LOCKED until `resume`.

    The paper account of the same moment comes back with it, where `db backup`
    has left it beside FILE. Compare with `reconcile --plan` before you resume.
    Refused (exit 3) while an engine runs on the state directory.

    With --server only what follows a restore is done: the lock, and a new
    epoch, so that no order id is used twice.
    """
    if server is (file is not None):
        raise usage("db restore needs FILE, or --server")
    if file is None:
        directory = state_of(state)
        with InstanceLock(directory.lock):
            epoch = backups.lock_server(directory.database)
        typer.echo(f"{directory.database}: the server's database goes on in the new epoch {epoch}")
        typer.echo(_LOCKED)
        return
    if not file.is_file():
        raise usage(f"{file}: no such file; `db backup` makes copies, by default in backups/ of the state")
    backups.verify(file)
    directory = prepare(state_of(state))
    with InstanceLock(directory.lock):
        beside = backups.copy_beside(file, directory.database, directory.paper_database)
        epoch = backups.restore(
            file, directory.database, SystemClock().now_ms(), force=force, companion=directory.paper_database
        )
    typer.echo(f"{directory.database} restored from {file}, in the new epoch {epoch}")
    if beside is not None:
        typer.echo(f"{directory.paper_database} restored from {beside}")
    elif directory.paper_database.exists():
        typer.echo(f"{directory.paper_database} stays as it is: there is no copy of it beside {file}")
    typer.echo(_LOCKED)
