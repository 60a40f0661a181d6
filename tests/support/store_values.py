"""Small files and publications for a store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from trustdata.gun import GUN
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustserver.storage.ports import Publication, StoredFile, Tombstone

AT = datetime(2026, 11, 1, tzinfo=UTC)
APP = GUN("registry.example.com/app")
OTHER = GUN("registry.example.com/other")


def file(role: RoleName, version: int, *, content: str = "", expires: datetime = AT + timedelta(days=3)) -> StoredFile:
    raw = f"{role} {version} {content}".encode()
    return StoredFile(role=role, version=version, raw=raw, sha256=sha256(raw).hexdigest(), expires=expires)


def publication(version: int, **changes: Any) -> Publication:
    values: dict[str, Any] = {
        "gun": APP,
        "format": "tuf-1.0",
        "base": version - 1,
        "files": tuple(file(role, version) for role in (ROOT, TARGETS, SNAPSHOT, TIMESTAMP)),
        "promoted_keys": (),
        "renew_at": AT,
    }
    return Publication(**{**values, **changes})


def tombstone() -> Tombstone:
    return Tombstone(root_sha256="ab" * 32, versions={"root": 1}, deleted_at=AT, subject="alice")
