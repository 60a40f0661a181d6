"""Rows of the database as the values that go through the ports, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy.engine import Row

from trustdata.gun import GUN
from trustdata.roles import RoleName
from trustserver.storage.instants import from_optional_seconds, from_seconds, to_seconds
from trustserver.storage.ports import KeyRecord, KeyState, Status, StoredCollection, StoredFile, Tombstone


def stored_collection(
    gun: GUN, row: Row[Any] | None, files: Iterable[Row[*tuple[Any, ...]]], keys: Iterable[Row[Any]]
) -> StoredCollection:
    """Return what is stored under a name, from its rows. `row`: None for a name that was never used."""
    held = tuple(map(key_record, keys))
    if row is None:
        return StoredCollection(gun=gun, status=Status.ABSENT, keys=held)
    return StoredCollection(
        gun=gun,
        status=Status(row.status),
        format=row.format,
        revision=row.revision,
        files={RoleName(file.role): stored_file(file) for file in files},
        keys=held,
        tombstone=tombstone_of(row),
        renew_at=from_optional_seconds(row.renew_at),
    )


def stored_file(row: Row[*tuple[Any, ...]]) -> StoredFile:
    """Return the version of a role that a row holds."""
    return StoredFile(
        role=RoleName(row.role),
        version=row.version,
        raw=row.raw,
        sha256=row.sha256,
        expires=from_seconds(row.expires),
        stored_at=from_optional_seconds(row.stored_at),
    )


def key_record(row: Row[Any]) -> KeyRecord:
    """Return the key that a row holds."""
    return KeyRecord(
        gun=GUN(row.gun),
        role=RoleName(row.role),
        keyid=row.keyid,
        public=row.public,
        sealed=row.sealed,
        state=KeyState(row.state),
        created=from_seconds(row.created),
        place=row.place,
        seal=row.seal,
    )


def key_values(key: KeyRecord) -> dict[str, object]:
    """Return the values of the row of a key."""
    return {
        "gun": key.gun,
        "role": key.role,
        "keyid": key.keyid,
        "public": key.public,
        "sealed": key.sealed,
        "state": key.state,
        "created": to_seconds(key.created),
        "place": key.place,
        "seal": key.seal,
    }


def tombstone_of(row: Row[Any]) -> Tombstone | None:
    """Return the tombstone in the row of a name; None if there is none."""
    if row.deleted_at is None:
        return None
    return Tombstone(
        root_sha256=row.deleted_root,
        versions=json.loads(row.deleted_versions),
        deleted_at=from_seconds(row.deleted_at),
        subject=row.deleted_by,
    )
