"""`db`: looking after the database.

What belongs here: one thin command for each operation of the store. What does not: the operations.
"""

from pathlib import Path
from typing import Annotated

import typer

from trading_engine.cli.arguments import StateOption, state_of
from trading_engine.cli.failure import USAGE, usage
from trading_engine.store import backup as backups
from trading_engine.store import schema_version
from trading_engine.store.read_models import Reader
from trading_engine.system.clock import SystemClock
from trading_engine.system.single_instance import InstanceLock
from trading_engine.system.state_dir import prepare

db_app = typer.Typer(
    rich_markup_mode="rich", add_completion=False, help="Migrate, check, back up and restore the database."
)


@db_app.callback(invoke_without_command=True)
def _db(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(USAGE)


@db_app.command()
def migrate(state: StateOption = None) -> None:
    """Create the database, or bring it to the schema of this version.

    A backup is made first. Refused (exit 3) while an engine runs on it.
    """
    directory = prepare(state_of(state))
    from trading_engine.store import migrate as migrations  # noqa: PLC0415 - loads the migration tool

    path = directory.database
    with InstanceLock(directory.lock):
        before = migrations.current(path) if path.exists() else None
        after = migrations.upgrade(path)
    if before == after:
        typer.echo(f"{path} is at schema {after} already")
    else:
        saved = f", was {before} (a backup is in {directory.backups})" if before else ""
        typer.echo(f"{path} is now at schema {after}{saved}")


@db_app.command()
def check(state: StateOption = None) -> None:
    """Check pages, keys and schema of the database; `audit` checks what it says.

    Exits with 78 where it is damaged or of another schema.
    """
    path = state_of(state).database
    Reader.open(path).close()
    backups.verify(path)
    typer.echo(f"{path} is sound, schema {schema_version.HEAD}")


@db_app.command()
def backup(
    state: StateOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="DIR", help="Folder for the copy. Default: backups/ of the state."),
    ] = None,
) -> None:
    """Make a verified copy of the database, also while the engine runs."""
    directory = state_of(state)
    target = backups.backup(directory.database, output or directory.backups, SystemClock().now_ms())
    typer.echo(f"{target} ({target.stat().st_size:,} bytes, verified)")


@db_app.command()
def restore(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A copy made by `db backup`.")],
    state: StateOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a database that is there; it is kept aside.")] = False,
) -> None:
    """Bring a backup back. The engine is LOCKED until `resume`.

    The exchange knows more than a backup: compare with `reconcile --plan` before
    you resume. Refused (exit 3) while an engine runs on the state directory.
    """
    if not file.is_file():
        raise usage(f"{file}: no such file; `db backup` makes copies, by default in backups/ of the state")
    backups.verify(file)
    directory = prepare(state_of(state))
    with InstanceLock(directory.lock):
        epoch = backups.restore(file, directory.database, SystemClock().now_ms(), force=force)
    typer.echo(f"{directory.database} restored from {file}, in the new epoch {epoch}")
    typer.echo("LOCKED: compare with `trading-engine reconcile --plan`, then `trading-engine resume`")
