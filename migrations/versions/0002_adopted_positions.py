"""Positions that were taken over, and fills by auto-deleveraging.

Revision 0002, after 0001.

What belongs here: `positions.adopted_quantity` and `fills.is_adl`. Rows of before have neither adopted
anything nor been deleveraged.

Both tables are made anew, spelled out: a column added in place needs a default for ever, and a renamed table
is quoted in the schema. The rows wait in a temporary table meanwhile.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_WHOLE: sa.types.TypeEngine[int] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make both tables anew, with the new column; a server adds it."""
    if op.get_bind().dialect.name == "postgresql":
        _add("positions", _money("adopted_quantity"), "0")
        _add("fills", _flag("is_adl"), "0")
        return
    _set_aside("positions")
    _create_positions()
    _bring_back("positions", "adopted_quantity", "'0'")
    _set_aside("fills")
    _create_fills()
    _bring_back("fills", "is_adl", "0")


def _add(table: str, column: sa.Column[Any], value: str) -> None:
    """A server adds a column in place, and takes the default of the rows that are there away again."""
    column.server_default = sa.DefaultClause(value)
    op.add_column(table, column)
    op.alter_column(table, column.name, server_default=None)


def _set_aside(table: str) -> None:
    op.execute(f"CREATE TEMPORARY TABLE kept_{table} AS SELECT * FROM {table}")
    op.execute(f"DROP TABLE {table}")


def _bring_back(table: str, added: str, value: str) -> None:
    rows = op.get_bind().exec_driver_sql(f"PRAGMA table_info(kept_{table})").all()
    columns = ", ".join(row[1] for row in rows)
    op.execute(f"INSERT INTO {table} ({columns}, {added}) SELECT {columns}, {value} FROM kept_{table} ORDER BY rowid")
    op.execute(f"DROP TABLE kept_{table}")


def _text(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _money(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _whole(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, _WHOLE, nullable=nullable)


def _flag(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _create_positions() -> None:
    op.create_table(
        "positions",
        _text("position_id"),
        _whole("number"),
        _text("symbol"),
        _text("side"),
        _text("strategy"),
        _text("state"),
        _money("intended_quantity"),
        _money("reference_price"),
        _money("initial_stop"),
        _money("stop_price"),
        _money("target_price", nullable=True),
        _money("leverage"),
        _whole("signal_ms"),
        _whole("created_ms"),
        _text("tag"),
        _money("quantity"),
        _money("cost"),
        _money("entry_quantity"),
        _money("entry_value"),
        _money("exit_quantity"),
        _money("exit_value"),
        _money("gross_pnl"),
        _money("fees"),
        _money("funding"),
        _whole("fills"),
        _whole("opened_ms"),
        _whole("closed_ms"),
        _text("close_reason", nullable=True),
        _flag("is_aged"),
        _text("residual_of"),
        _money("adopted_quantity"),
        _whole("version"),
        _whole("first_seq"),
        _whole("last_seq"),
        sa.UniqueConstraint("number", name=op.f("uq_positions_number")),
        sa.CheckConstraint("side IN ('long', 'short')", name=op.f("ck_positions_side")),
        sa.CheckConstraint(
            "state IN ('PENDING', 'OPEN', 'CLOSING', 'CLOSED')",
            name=op.f("ck_positions_state"),
        ),
        sa.PrimaryKeyConstraint("position_id", name=op.f("pk_positions")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_positions_closed_ms"), "positions", ["closed_ms"])
    op.create_index(
        op.f("uq_positions_live_symbol"),
        "positions",
        ["symbol"],
        unique=True,
        sqlite_where=sa.text("state <> 'CLOSED'"),
        postgresql_where=sa.text("state <> 'CLOSED'"),
    )


def _create_fills() -> None:
    op.create_table(
        "fills",
        sa.Column("seq", _WHOLE, autoincrement=False, nullable=False),
        _text("venue"),
        _text("account"),
        _text("trade_id"),
        _text("client_order_id"),
        _text("venue_order_id"),
        _text("position_id"),
        _text("symbol"),
        _text("side"),
        _money("quantity"),
        _money("price"),
        _money("fee"),
        _text("fee_asset"),
        _money("realized_pnl", nullable=True),
        _flag("is_maker"),
        _flag("is_liquidation"),
        _flag("is_adl"),
        _whole("ts"),
        sa.UniqueConstraint("venue", "account", "trade_id", name=op.f("uq_fills_venue_account_trade_id")),
        sa.CheckConstraint("side IN ('buy', 'sell')", name=op.f("ck_fills_side")),
        sa.ForeignKeyConstraint(
            ["position_id"], ["positions.position_id"], name=op.f("fk_fills_position_id")
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_fills")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_fills_position_id"), "fills", ["position_id"])
