"""Add which access rules were recorded last."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the column: no rules are recorded yet."""
    op.add_column("credential_changes", sa.Column("rules", sa.String(length=64), nullable=False, server_default=""))
