"""Rollback memory: the newest verified version of every role, kept apart from the cache (PRODUCT decision 9).

An entry remembers under which timestamp and snapshot keys it was seen. A verified root that took these keys away voids
it: that is the way back after a fast-forward attack (specification 5.3.11), and the only one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from trustdata.errors import MalformedMetadata
from trustdata.model import Root
from trustdata.roles import ONLINE, ROOT, SNAPSHOT, TIMESTAMP, RoleName

_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineKeys:
    """The key ids and thresholds of timestamp and snapshot, as one root has them."""

    timestamp: tuple[str, ...]
    timestamp_threshold: int
    snapshot: tuple[str, ...]
    snapshot_threshold: int

    @classmethod
    def of(cls, root: Root) -> OnlineKeys:
        timestamp, snapshot = root.roles[TIMESTAMP], root.roles[SNAPSHOT]
        return cls(
            timestamp=tuple(timestamp.keyids),
            timestamp_threshold=timestamp.threshold,
            snapshot=tuple(snapshot.keyids),
            snapshot_threshold=snapshot.threshold,
        )

    def keep_timestamp_of(self, older: OnlineKeys) -> bool:
        """Whether the older timestamp keys still meet the threshold."""
        return len(set(older.timestamp) & set(self.timestamp)) >= self.timestamp_threshold

    def keep_snapshot_of(self, older: OnlineKeys) -> bool:
        """Whether the older snapshot keys still meet the threshold."""
        return len(set(older.snapshot) & set(self.snapshot)) >= self.snapshot_threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRole:
    """The newest verified version of a role, and the root and keys under which it was seen."""

    version: int
    root_version: int
    keys: OnlineKeys

    def holds_under(self, role: str, keys: OnlineKeys) -> bool:
        """Whether the memory still counts under a root with these online keys."""
        if role == ROOT:
            return True  # a root chain never goes back
        if role in ONLINE:
            return keys.keep_timestamp_of(self.keys) and keys.keep_snapshot_of(self.keys)
        return keys.keep_snapshot_of(self.keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What one machine knows of one collection. `root_of_trust`: SHA-256 (hex) of root version 1.

    `refreshed`: reference time (UTC) of the last complete refresh, or None.
    """

    root_of_trust: str
    roles: Mapping[RoleName, SeenRole]
    refreshed: datetime | None = None

    def minimum_versions(self, keys: OnlineKeys) -> dict[RoleName, int]:
        """The lowest version of each role that may still be accepted under a root with these online keys."""
        return {role: seen.version for role, seen in self.roles.items() if seen.holds_under(role, keys)}


def observe(*, root_of_trust: str, root: Root, versions: Mapping[RoleName, int], refreshed: datetime | None) -> Memory:
    """What a refresh has verified. `versions`: root, timestamp, snapshot and every role that the snapshot lists."""
    keys = OnlineKeys.of(root)
    return Memory(
        root_of_trust=root_of_trust,
        roles={role: SeenRole(version=v, root_version=root.version, keys=keys) for role, v in versions.items()},
        refreshed=refreshed,
    )


def merge(one: Memory, other: Memory) -> Memory:
    """Two memories of one root of trust: an entry under keys replaced since loses, else the greater version wins.

    Raises: ValueError if the roots of trust differ (the caller decides which one counts).
    """
    if one.root_of_trust != other.root_of_trust:
        raise ValueError("memories of different roots of trust cannot be merged")
    roles: dict[RoleName, SeenRole] = dict(one.roles)
    for role, seen in other.roles.items():
        roles[role] = _newer(role, roles[role], seen) if role in roles else seen
    times = [t for t in (one.refreshed, other.refreshed) if t is not None]
    return Memory(root_of_trust=one.root_of_trust, roles=roles, refreshed=max(times) if times else None)


def _newer(role: RoleName, one: SeenRole, other: SeenRole) -> SeenRole:
    older, newer = sorted((one, other), key=lambda seen: seen.root_version)
    if older.root_version != newer.root_version and not older.holds_under(role, newer.keys):
        return newer
    if one.version == other.version:
        return newer
    return max(one, other, key=lambda seen: seen.version)


# --- as a document (seen.json)


def to_document(memory: Memory) -> dict[str, object]:
    """Plain values for JSON; the keys of a root version are written once."""
    eras: dict[str, object] = {}
    for seen in memory.roles.values():
        eras[str(seen.root_version)] = {
            "timestamp": list(seen.keys.timestamp),
            "timestamp_threshold": seen.keys.timestamp_threshold,
            "snapshot": list(seen.keys.snapshot),
            "snapshot_threshold": seen.keys.snapshot_threshold,
        }
    return {
        "root_of_trust": memory.root_of_trust,
        "refreshed": memory.refreshed.strftime(_TIME) if memory.refreshed else None,
        "keys": eras,
        "roles": {role: {"version": s.version, "root_version": s.root_version} for role, s in memory.roles.items()},
    }


def from_document(document: object, *, place: str) -> Memory:
    """The reverse of `to_document`. Raises: MalformedMetadata naming `place`."""
    try:
        return _read(document)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MalformedMetadata(
            role="rollback memory", path=place, reason=f"{type(error).__name__}: {error}"
        ) from error


def _read(document: object) -> Memory:
    if not isinstance(document, dict):
        raise TypeError("must be an object")
    eras = {int(version): _read_keys(keys) for version, keys in document["keys"].items()}
    roles: dict[RoleName, SeenRole] = {}
    for role, seen in document["roles"].items():
        root_version = _count(seen["root_version"])
        roles[RoleName(role)] = SeenRole(
            version=_count(seen["version"]), root_version=root_version, keys=eras[root_version]
        )
    refreshed = document["refreshed"]
    return Memory(
        root_of_trust=str(document["root_of_trust"]),
        roles=roles,
        refreshed=datetime.fromisoformat(refreshed).astimezone(UTC) if refreshed is not None else None,
    )


def _read_keys(keys: Mapping[str, object]) -> OnlineKeys:
    return OnlineKeys(
        timestamp=_texts(keys["timestamp"]),
        timestamp_threshold=_count(keys["timestamp_threshold"]),
        snapshot=_texts(keys["snapshot"]),
        snapshot_threshold=_count(keys["snapshot_threshold"]),
    )


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, Iterable) or isinstance(value, str):
        raise TypeError("key ids must be an array")
    return tuple(str(item) for item in value)


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("versions and thresholds must be integers of 1 or more")
    return value
