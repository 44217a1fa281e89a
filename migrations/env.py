"""What Alembic runs: one connection, handed in by `trading_engine.store.migrate`, in one transaction.

What belongs here: Alembic's own set-up. What does not: pragmas, backups and checks (store.migrate).
"""

from alembic import context

from trading_engine.store.tables import metadata


def run() -> None:
    """Upgrade on the connection that the caller prepared; DDL is transactional because BEGIN is real."""
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        transactional_ddl=True,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
