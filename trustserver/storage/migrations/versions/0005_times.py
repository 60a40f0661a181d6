"""Add an index that holds when each version was stored: in its row, that stands behind the whole of its file."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the index."""
    op.create_index("ix_file_stored_at", "file", ["collection_id", "role", "version", "stored_at"], unique=False)
