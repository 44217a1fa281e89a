"""${message}

Revision ${up_revision}, after ${down_revision or "nothing"}, of ${create_date}.

There is no way down: going back means restoring the backup that an upgrade makes.
It runs on a file and on a PostgreSQL server: `op.batch_alter_table(NAME, table_kwargs={"sqlite_strict": True})` rebuilds
the table of the one and alters that of the other. What differs is asked of `op.get_bind().dialect.name`.
A table that is rebuilt here loses its triggers: make them again in this revision.
"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    """Expand the schema; contract only in a later release."""
    ${upgrades if upgrades else "pass"}
