"""The first schema.

Revision 0001, after nothing.

What belongs here: the schema as it was released, spelled out, so that it stays what it was when the code
moves on. What does not: the types and tables of the present code (store.tables). There is no way down:
going back means restoring the backup that an upgrade makes.

Money is text. A table that is rebuilt by a later revision loses its triggers: make them again there.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_WHOLE: sa.types.TypeEngine[int] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_FRACTION: sa.types.TypeEngine[float] = sa.Double().with_variant(sa.REAL(), "sqlite")

_APPEND_ONLY = ("UPDATE", "DELETE")
_SERVER_GUARDS = (
    "CREATE FUNCTION journal_is_append_only() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN RAISE EXCEPTION 'the journal is append-only'; END $$",
    "CREATE TRIGGER journal_no_change BEFORE UPDATE OR DELETE ON journal FOR EACH ROW"
    " EXECUTE FUNCTION journal_is_append_only()",
    "CREATE TRIGGER journal_no_truncate BEFORE TRUNCATE ON journal EXECUTE FUNCTION journal_is_append_only()",
)


def upgrade() -> None:
    """Make every table, the guards of the journal and the one row of `control`."""
    _create_alert_outbox()
    _create_control()
    _create_daily_metrics()
    _create_equity()
    _create_journal()
    _create_positions()
    _create_runs()
    _create_signals()
    _create_system_events()
    _create_fills()
    _create_orders()
    _create_pnl()
    _guard_journal()
    _first_control()


def _text(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _money(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _whole(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, _WHOLE, nullable=nullable)


def _flag(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _key(name: str, *, counts: bool = False) -> sa.Column[Any]:
    return sa.Column(name, _WHOLE, autoincrement=counts, nullable=False)


def _guard_journal() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for statement in _SERVER_GUARDS:
            op.execute(statement)
        return
    for action in _APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER journal_no_{action.lower()} BEFORE {action} ON journal "
            "BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
        )


def _first_control() -> None:
    op.execute(
        "INSERT INTO control (id, venue, account, epoch, level, reason, since_ms, next_position,"
        " rebased_booking, rebased_ms, peak_at_rebase, frozen, rejects, checkpoint, version)"
        " VALUES (1, '', '', '', 'RUN', '', 0, 1, 0, 0, '0', '{}', '{}', '', 0)"
    )


def _create_alert_outbox() -> None:
    op.create_table(
        "alert_outbox",
        _key("id", counts=True),
        _whole("seq"),
        _whole("ts"),
        _text("severity"),
        _text("key"),
        _text("text"),
        _whole("attempts"),
        _whole("next_try_ms"),
        _text("last_error"),
        _whole("sent_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_outbox")),
        sqlite_strict=True,
    )
    op.create_index(
        op.f("ix_alert_outbox_unsent"),
        "alert_outbox",
        ["id"],
        sqlite_where=sa.text("sent_at IS NULL"),
        postgresql_where=sa.text("sent_at IS NULL"),
    )


def _create_control() -> None:
    op.create_table(
        "control",
        _key("id"),
        _text("venue"),
        _text("account"),
        _text("epoch"),
        _text("level"),
        _text("reason"),
        _whole("since_ms"),
        _whole("next_position"),
        _whole("rebased_booking"),
        _whole("rebased_ms"),
        _money("peak_at_rebase"),
        _text("frozen"),
        _text("rejects"),
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


def _create_daily_metrics() -> None:
    op.create_table(
        "daily_metrics",
        _text("day"),
        _money("start_balance"),
        _money("realized"),
        _money("fees"),
        _money("funding"),
        _whole("trades"),
        _whole("wins"),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_daily_metrics")),
        sqlite_strict=True,
    )


def _create_equity() -> None:
    op.create_table(
        "equity",
        _key("seq"),
        _whole("ts"),
        _money("balance"),
        _money("unrealized"),
        _money("equity"),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_equity")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_equity_ts"), "equity", ["ts"])


def _create_journal() -> None:
    op.create_table(
        "journal",
        _key("seq", counts=True),
        _whole("ts"),
        _text("run_id"),
        _text("kind"),
        _whole("version"),
        _text("correlation"),
        _whole("causation", nullable=True),
        _text("payload"),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_journal")),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_journal_correlation"), "journal", ["correlation"])


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


def _create_runs() -> None:
    op.create_table(
        "runs",
        _key("seq"),
        _text("run_id"),
        _text("version"),
        _text("mode"),
        _text("config_hash"),
        _whole("started"),
        _whole("ended", nullable=True),
        _text("how", nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_runs")),
        sqlite_strict=True,
    )


def _create_signals() -> None:
    op.create_table(
        "signals",
        _key("seq"),
        _text("strategy"),
        _text("symbol"),
        _whole("candle_ts"),
        _text("side", nullable=True),
        _text("exit_side", nullable=True),
        sa.Column("confidence", _FRACTION, nullable=False),
        _text("tag"),
        _text("fate"),
        _text("reason"),
        _text("position_id"),
        _text("explanation"),
        sa.UniqueConstraint(
            "strategy", "symbol", "candle_ts", name=op.f("uq_signals_strategy_symbol_candle_ts")
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_signals")),
        sqlite_strict=True,
    )


def _create_system_events() -> None:
    op.create_table(
        "system_events",
        _key("seq"),
        _whole("ts"),
        _text("kind"),
        _text("symbol"),
        _text("text"),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_system_events")),
        sqlite_strict=True,
    )


def _create_fills() -> None:
    op.create_table(
        "fills",
        _key("seq"),
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


def _create_orders() -> None:
    op.create_table(
        "orders",
        _text("client_order_id"),
        _text("position_id"),
        _text("symbol"),
        _text("purpose"),
        _whole("leg"),
        _whole("generation"),
        _text("type"),
        _text("side"),
        _text("position_side"),
        _money("quantity"),
        _money("price", nullable=True),
        _money("trigger_price", nullable=True),
        _flag("reduce_only"),
        _text("time_in_force"),
        _whole("created_ms"),
        _whole("not_after_ms"),
        _text("state"),
        _money("filled"),
        _money("reported_filled"),
        _money("filled_value"),
        _text("venue_order_id"),
        _text("reason"),
        _flag("cancel_requested"),
        _whole("updated_ms"),
        _whole("first_seq"),
        _whole("last_seq"),
        sa.UniqueConstraint(
            "position_id",
            "purpose",
            "leg",
            "generation",
            name=op.f("uq_orders_position_id_purpose_leg_generation"),
        ),
        sa.CheckConstraint(
            "purpose IN ('entry', 'stop', 'target', 'partial', 'exit')",
            name=op.f("ck_orders_purpose"),
        ),
        sa.CheckConstraint("side IN ('buy', 'sell')", name=op.f("ck_orders_side")),
        sa.CheckConstraint(
            "state IN ('INTENT', 'UNKNOWN', 'VOID', 'REJECTED',"
            " 'ACKED', 'PARTIAL', 'EXPIRED', 'CANCELED', 'FILLED')",
            name=op.f("ck_orders_state"),
        ),
        sa.ForeignKeyConstraint(
            ["position_id"], ["positions.position_id"], name=op.f("fk_orders_position_id")
        ),
        sa.PrimaryKeyConstraint("client_order_id", name=op.f("pk_orders")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_orders_created_ms"), "orders", ["created_ms"])


def _create_pnl() -> None:
    op.create_table(
        "pnl",
        _key("id", counts=True),
        _whole("booking"),
        _text("source"),
        _text("kind"),
        _money("amount"),
        _text("asset"),
        _text("symbol"),
        _text("position_id", nullable=True),
        _whole("ts"),
        _text("day"),
        _text("source_id"),
        _whole("seq"),
        sa.UniqueConstraint("kind", "source_id", name=op.f("uq_pnl_kind_source_id")),
        sa.CheckConstraint(
            "kind IN ('trade', 'fee', 'funding', 'liquidation', 'adjustment', 'transfer')",
            name=op.f("ck_pnl_kind"),
        ),
        sa.CheckConstraint("source IN ('fill', 'income')", name=op.f("ck_pnl_source")),
        sa.ForeignKeyConstraint(["position_id"], ["positions.position_id"], name=op.f("fk_pnl_position_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pnl")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_pnl_booking"), "pnl", ["booking"])
    op.create_index(op.f("ix_pnl_position_id"), "pnl", ["position_id"])
