"""Add the salts of offered keys and who began a collection; drop the keys that were stored for names without data."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the table, the column and its index. Whoever was given one of the dropped keys must ask for a new one."""
    op.create_table(
        "offer_salt",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.add_column("collection", sa.Column("created_by", sa.String(length=255), nullable=False, server_default=""))
    op.create_index("ix_collection_created_by", "collection", ["created_by"], unique=False)
    op.execute("DELETE FROM online_key WHERE state = 'offered'")
