"""Add where a server-held key lives and which seal key it is sealed with, and the successor of the seal key."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the columns. All keys that are there live in the database, and are sealed with the one seal key."""
    op.add_column("online_key", sa.Column("place", sa.String(length=255), nullable=False, server_default=""))
    op.add_column("online_key", sa.Column("seal", sa.String(length=32), nullable=False, server_default=""))
    op.create_index("ix_online_key_seal", "online_key", ["seal", "id"])
    op.add_column("seal", sa.Column("next_mark", sa.String(length=64), nullable=False, server_default=""))
    op.add_column("seal", sa.Column("first_mark", sa.String(length=64), nullable=False, server_default=""))
    op.execute("UPDATE online_key SET seal = COALESCE((SELECT mark FROM seal), '')")
