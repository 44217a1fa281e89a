"""Runs the revisions on the connection and inside the transaction that `trading_engine.store.migrate` opened.

What belongs here: handing both to the migration tool. What does not: opening a database (store.migrate).
"""

from alembic import context

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.store.tables import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise ConfigInvalid(
        "migrations run on a connection that the program opens; use `trading-engine db migrate`", exit_code=2
    )

context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=True,  # SQLite can alter little in place
    transactional_ddl=True,  # and its DDL is transactional once BEGIN is real
)
with context.begin_transaction():
    context.run_migrations()
