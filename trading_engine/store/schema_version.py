"""Which schema the code expects, known without loading the migration tool.

What belongs here: the released revisions, oldest first, and the comparison with a database. What does
not: how one gets from one to the next (migrate).
"""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from trading_engine.domain.errors import ConfigInvalid

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006")
HEAD = REVISIONS[-1]


def revision_of(connection: Connection) -> str | None:
    """The revision a database is at, None where it has none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def require_head(connection: Connection, path: Path) -> None:
    """ConfigInvalid with what to do, unless the database is at exactly the schema of this code."""
    found = revision_of(connection)
    if found == HEAD:
        return
    if found is None or found in REVISIONS:
        raise ConfigInvalid(
            f"{path}: database schema {found or 'none'} is older than {HEAD}, which this version needs; "
            "run `trading-engine db migrate`"
        )
    raise ConfigInvalid(
        f"{path}: database is of a newer schema ({found}; this version knows {HEAD}); "
        "run the version that wrote it, or restore a backup of before the upgrade"
    )
