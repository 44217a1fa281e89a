"""The first schema: every table, the append-only guards of the journal, the one row of `control`.

Revision ID: 0001
Revises:
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE alert_outbox (
        id INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        ts INTEGER NOT NULL,
        severity TEXT NOT NULL,
        "key" TEXT NOT NULL,
        text TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        next_try_ms INTEGER NOT NULL,
        last_error TEXT NOT NULL,
        sent_at INTEGER,
        CONSTRAINT pk_alert_outbox PRIMARY KEY (id)
    )
     STRICT
    """,
    """
    CREATE INDEX ix_alert_outbox_unsent ON alert_outbox (id) WHERE sent_at IS NULL
    """,
    """
    CREATE TABLE control (
        id INTEGER NOT NULL,
        venue TEXT NOT NULL,
        account TEXT NOT NULL,
        epoch TEXT NOT NULL,
        level TEXT NOT NULL,
        reason TEXT NOT NULL,
        since_ms INTEGER NOT NULL,
        next_position INTEGER NOT NULL,
        rebased_booking INTEGER NOT NULL,
        rebased_ms INTEGER NOT NULL,
        peak_at_rebase TEXT NOT NULL,
        frozen TEXT NOT NULL,
        rejects TEXT NOT NULL,
        checkpoint TEXT NOT NULL,
        version INTEGER NOT NULL,
        CONSTRAINT pk_control PRIMARY KEY (id),
        CONSTRAINT ck_control_single CHECK (id = 1),
        CONSTRAINT ck_control_level CHECK (level IN ('RUN', 'NO_ENTRY', 'FLATTEN', 'LOCKED'))
    )
     STRICT
    """,
    """
    CREATE TABLE daily_metrics (
        day TEXT NOT NULL,
        start_balance TEXT NOT NULL,
        realized TEXT NOT NULL,
        fees TEXT NOT NULL,
        funding TEXT NOT NULL,
        trades INTEGER NOT NULL,
        wins INTEGER NOT NULL,
        CONSTRAINT pk_daily_metrics PRIMARY KEY (day)
    )
     STRICT
    """,
    """
    CREATE TABLE equity (
        seq INTEGER NOT NULL,
        ts INTEGER NOT NULL,
        balance TEXT NOT NULL,
        unrealized TEXT NOT NULL,
        equity TEXT NOT NULL,
        CONSTRAINT pk_equity PRIMARY KEY (seq)
    )
     STRICT
    """,
    """
    CREATE INDEX ix_equity_ts ON equity (ts)
    """,
    """
    CREATE TABLE journal (
        seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        ts INTEGER NOT NULL,
        run_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        version INTEGER NOT NULL,
        correlation TEXT NOT NULL,
        causation INTEGER,
        payload TEXT NOT NULL
    )
     STRICT
    """,
    """
    CREATE INDEX ix_journal_correlation ON journal (correlation)
    """,
    """
    CREATE TABLE positions (
        position_id TEXT NOT NULL,
        number INTEGER NOT NULL,
        symbol TEXT NOT NULL,
        side TEXT NOT NULL,
        strategy TEXT NOT NULL,
        state TEXT NOT NULL,
        intended_quantity TEXT NOT NULL,
        reference_price TEXT NOT NULL,
        initial_stop TEXT NOT NULL,
        stop_price TEXT NOT NULL,
        target_price TEXT,
        leverage TEXT NOT NULL,
        signal_ms INTEGER NOT NULL,
        created_ms INTEGER NOT NULL,
        tag TEXT NOT NULL,
        quantity TEXT NOT NULL,
        cost TEXT NOT NULL,
        entry_quantity TEXT NOT NULL,
        entry_value TEXT NOT NULL,
        exit_quantity TEXT NOT NULL,
        exit_value TEXT NOT NULL,
        gross_pnl TEXT NOT NULL,
        fees TEXT NOT NULL,
        funding TEXT NOT NULL,
        fills INTEGER NOT NULL,
        opened_ms INTEGER NOT NULL,
        closed_ms INTEGER NOT NULL,
        close_reason TEXT,
        is_aged INTEGER NOT NULL,
        residual_of TEXT NOT NULL,
        version INTEGER NOT NULL,
        first_seq INTEGER NOT NULL,
        last_seq INTEGER NOT NULL,
        CONSTRAINT pk_positions PRIMARY KEY (position_id),
        CONSTRAINT uq_positions_number UNIQUE (number),
        CONSTRAINT ck_positions_side CHECK (side IN ('long', 'short')),
        CONSTRAINT ck_positions_state CHECK (state IN ('PENDING', 'OPEN', 'CLOSING', 'CLOSED'))
    )
     STRICT
    """,
    """
    CREATE INDEX ix_positions_closed_ms ON positions (closed_ms)
    """,
    """
    CREATE UNIQUE INDEX uq_positions_live_symbol ON positions (symbol) WHERE state <> 'CLOSED'
    """,
    """
    CREATE TABLE runs (
        seq INTEGER NOT NULL,
        run_id TEXT NOT NULL,
        version TEXT NOT NULL,
        mode TEXT NOT NULL,
        config_hash TEXT NOT NULL,
        started INTEGER NOT NULL,
        ended INTEGER,
        how TEXT,
        CONSTRAINT pk_runs PRIMARY KEY (seq)
    )
     STRICT
    """,
    """
    CREATE TABLE signals (
        seq INTEGER NOT NULL,
        strategy TEXT NOT NULL,
        symbol TEXT NOT NULL,
        candle_ts INTEGER NOT NULL,
        side TEXT,
        exit_side TEXT,
        confidence REAL NOT NULL,
        tag TEXT NOT NULL,
        fate TEXT NOT NULL,
        reason TEXT NOT NULL,
        position_id TEXT NOT NULL,
        explanation TEXT NOT NULL,
        CONSTRAINT pk_signals PRIMARY KEY (seq),
        CONSTRAINT uq_signals_strategy_symbol_candle_ts UNIQUE (strategy, symbol, candle_ts)
    )
     STRICT
    """,
    """
    CREATE TABLE system_events (
        seq INTEGER NOT NULL,
        ts INTEGER NOT NULL,
        kind TEXT NOT NULL,
        symbol TEXT NOT NULL,
        text TEXT NOT NULL,
        CONSTRAINT pk_system_events PRIMARY KEY (seq)
    )
     STRICT
    """,
    """
    CREATE TABLE fills (
        seq INTEGER NOT NULL,
        venue TEXT NOT NULL,
        account TEXT NOT NULL,
        trade_id TEXT NOT NULL,
        client_order_id TEXT NOT NULL,
        venue_order_id TEXT NOT NULL,
        position_id TEXT NOT NULL,
        symbol TEXT NOT NULL,
        side TEXT NOT NULL,
        quantity TEXT NOT NULL,
        price TEXT NOT NULL,
        fee TEXT NOT NULL,
        fee_asset TEXT NOT NULL,
        realized_pnl TEXT,
        is_maker INTEGER NOT NULL,
        is_liquidation INTEGER NOT NULL,
        ts INTEGER NOT NULL,
        CONSTRAINT pk_fills PRIMARY KEY (seq),
        CONSTRAINT uq_fills_venue_account_trade_id UNIQUE (venue, account, trade_id),
        CONSTRAINT ck_fills_side CHECK (side IN ('buy', 'sell')),
        CONSTRAINT fk_fills_position_id FOREIGN KEY(position_id) REFERENCES positions (position_id)
    )
     STRICT
    """,
    """
    CREATE INDEX ix_fills_position_id ON fills (position_id)
    """,
    """
    CREATE TABLE orders (
        client_order_id TEXT NOT NULL,
        position_id TEXT NOT NULL,
        symbol TEXT NOT NULL,
        purpose TEXT NOT NULL,
        leg INTEGER NOT NULL,
        generation INTEGER NOT NULL,
        type TEXT NOT NULL,
        side TEXT NOT NULL,
        position_side TEXT NOT NULL,
        quantity TEXT NOT NULL,
        price TEXT,
        trigger_price TEXT,
        reduce_only INTEGER NOT NULL,
        time_in_force TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        not_after_ms INTEGER NOT NULL,
        state TEXT NOT NULL,
        filled TEXT NOT NULL,
        reported_filled TEXT NOT NULL,
        filled_value TEXT NOT NULL,
        venue_order_id TEXT NOT NULL,
        reason TEXT NOT NULL,
        cancel_requested INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL,
        first_seq INTEGER NOT NULL,
        last_seq INTEGER NOT NULL,
        CONSTRAINT pk_orders PRIMARY KEY (client_order_id),
        CONSTRAINT uq_orders_position_id_purpose_leg_generation UNIQUE (position_id, purpose, leg, generation),
        CONSTRAINT ck_orders_purpose CHECK (purpose IN ('entry', 'stop', 'target', 'partial', 'exit')),
        CONSTRAINT ck_orders_side CHECK (side IN ('buy', 'sell')),
        CONSTRAINT ck_orders_state CHECK (state IN ('INTENT', 'UNKNOWN', 'VOID', 'REJECTED', 'ACKED', 'PARTIAL', 'EXPIRED', 'CANCELED', 'FILLED')),
        CONSTRAINT fk_orders_position_id FOREIGN KEY(position_id) REFERENCES positions (position_id)
    )
     STRICT
    """,
    """
    CREATE INDEX ix_orders_created_ms ON orders (created_ms)
    """,
    """
    CREATE TABLE pnl (
        id INTEGER NOT NULL,
        booking INTEGER NOT NULL,
        source TEXT NOT NULL,
        kind TEXT NOT NULL,
        amount TEXT NOT NULL,
        asset TEXT NOT NULL,
        symbol TEXT NOT NULL,
        position_id TEXT,
        ts INTEGER NOT NULL,
        day TEXT NOT NULL,
        source_id TEXT NOT NULL,
        seq INTEGER NOT NULL,
        CONSTRAINT pk_pnl PRIMARY KEY (id),
        CONSTRAINT uq_pnl_kind_source_id UNIQUE (kind, source_id),
        CONSTRAINT ck_pnl_kind CHECK (kind IN ('trade', 'fee', 'funding', 'liquidation', 'adjustment', 'transfer')),
        CONSTRAINT ck_pnl_source CHECK (source IN ('fill', 'income')),
        CONSTRAINT fk_pnl_position_id FOREIGN KEY(position_id) REFERENCES positions (position_id)
    )
     STRICT
    """,
    """
    CREATE INDEX ix_pnl_booking ON pnl (booking)
    """,
    """
    CREATE INDEX ix_pnl_position_id ON pnl (position_id)
    """,
    """
    CREATE TRIGGER journal_is_never_changed BEFORE UPDATE ON journal
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END
    """,
    """
    CREATE TRIGGER journal_is_never_deleted BEFORE DELETE ON journal
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END
    """,
    """
    INSERT INTO control (id, venue, account, epoch, level, reason, since_ms, next_position, rebased_booking,
        rebased_ms, peak_at_rebase, frozen, rejects, checkpoint, version)
    VALUES (1, '', '', '', 'RUN', '', 0, 1, 0, 0, '0', '{}', '{}', '', 0)
    """,
)


def upgrade() -> None:
    """Create everything."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """There is nothing before the first schema; restore a backup instead."""
    raise NotImplementedError("the first schema cannot be undone; restore a backup")
