"""Markets that were too wild.

Revision 0004, after 0003.

What belongs here: `control.shocks`. No market of before was noticed.

The table is made anew, spelled out, as in 0002.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_WHOLE: sa.types.TypeEngine[int] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the table anew, with the new column; a server adds it."""
    if op.get_bind().dialect.name == "postgresql":
        _add("control", _text("shocks"), "{}")
        return
    op.execute("CREATE TEMPORARY TABLE kept_control AS SELECT * FROM control")
    op.execute("DROP TABLE control")
    _create_control()
    rows = op.get_bind().exec_driver_sql("PRAGMA table_info(kept_control)").all()
    columns = ", ".join(row[1] for row in rows)
    op.execute(f"INSERT INTO control ({columns}, shocks) SELECT {columns}, '{{}}' FROM kept_control")
    op.execute("DROP TABLE kept_control")


def _add(table: str, column: sa.Column[Any], value: str) -> None:
    """A server adds a column in place, and takes the default of the rows that are there away again."""
    column.server_default = sa.DefaultClause(value)
    op.add_column(table, column)
    op.alter_column(table, column.name, server_default=None)


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=False)


def _whole(name: str) -> sa.Column[Any]:
    return sa.Column(name, _WHOLE, nullable=False)


def _create_control() -> None:
    op.create_table(
        "control",
        sa.Column("id", _WHOLE, autoincrement=False, nullable=False),
        _text("venue"),
        _text("account"),
        _text("epoch"),
        _text("level"),
        _text("reason"),
        _whole("since_ms"),
        _whole("next_position"),
        _whole("rebased_booking"),
        _whole("rebased_ms"),
        _text("peak_at_rebase"),
        _text("frozen"),
        _text("rejects"),
        _text("shocks"),
        _text("checkpoint"),
        _whole("version"),
        sa.CheckConstraint("id = 1", name=op.f("ck_control_single")),
        sa.CheckConstraint(
            "level IN ('RUN', 'NO_ENTRY', 'FLATTEN', 'LOCKED')",
            name=op.f("ck_control_level"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_control")),
        sqlite_strict=True,
    )
