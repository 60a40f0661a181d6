"""Alembic's entry: runs on the connection that storage/database.py gives it, inside its transaction."""

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
