"""What the process has measured of itself and of the venue: latency, slippage, memory, processor.

Revision 0006, after 0005.

What belongs here: the table `measurements`. Nothing depends on it; before it nothing was kept.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_WHOLE: sa.types.TypeEngine[int] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_FRACTION: sa.types.TypeEngine[float] = sa.Double().with_variant(sa.REAL(), "sqlite")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "measurements",
        sa.Column("id", _WHOLE, autoincrement=True, nullable=False),
        sa.Column("ts", _WHOLE, nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("samples", _WHOLE, nullable=False),
        sa.Column("mean", _FRACTION, nullable=False),
        sa.Column("p99", _FRACTION, nullable=False),
        sa.Column("most", _FRACTION, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_measurements")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_measurements_name_ts"), "measurements", ["name", "ts"])
