"""A list of collections as JSON, for the operator's command and for GET /api/v1/collections."""

from __future__ import annotations

from collections.abc import Mapping

from keys.rfc3339 import to_rfc3339
from trustserver.storage.ports import Overview


def overview_row(overview: Overview) -> Mapping[str, object]:
    """Return what documents say of one name. Times: RFC 3339, UTC. `deleted`: null, or what its tombstone says."""
    summary = overview.summary
    stone = summary.tombstone
    return {
        "gun": summary.gun,
        "format": summary.format,
        "status": str(summary.status),
        "revision": summary.revision,
        "tags": overview.tags,
        "bytes": overview.size,
        "published_at": to_rfc3339(overview.published_at) if overview.published_at else None,
        "published_by": overview.published_by or None,
        "expires": to_rfc3339(overview.expires) if overview.expires else None,
        "expires_role": overview.expires_role or None,
        "owner_expires": to_rfc3339(overview.owner_expires) if overview.owner_expires else None,
        "owner_expires_role": overview.owner_expires_role or None,
        "deleted": None
        if stone is None
        else {"at": to_rfc3339(stone.deleted_at), "by": stone.subject, "root": f"sha256:{stone.root_sha256}"},
    }
