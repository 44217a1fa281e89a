"""${message}

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
"""

from alembic import op
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    """Expand only: what older code reads stays."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Kept for the newest revision only; older ones are undone by restoring a backup."""
    ${downgrades if downgrades else "pass"}
