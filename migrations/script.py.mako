"""${message}

Revision ${up_revision}, after ${down_revision or "nothing"}, of ${create_date}.

There is no way down: going back means restoring the backup that an upgrade makes.
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
