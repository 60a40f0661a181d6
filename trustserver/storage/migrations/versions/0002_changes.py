"""Add the change feed, the time when a file was stored, and an index for files by hash."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the table, the column and the indexes."""
    op.create_table(
        "change",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("gun", sa.String(length=255), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("category", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_change_gun_id", "change", ["gun", "id"], unique=False)
    op.add_column("file", sa.Column("stored_at", sa.BigInteger(), nullable=True))
    op.create_index("ix_file_sha256", "file", ["collection_id", "role", "sha256"], unique=False)
