"""Run the migrations for Alembic, on the connection and in the transaction that storage/database.py has opened."""

from __future__ import annotations

from alembic import context

from trustserver.storage import tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.METADATA,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
