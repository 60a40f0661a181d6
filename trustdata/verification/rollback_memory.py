"""Rollback memory: the newest verified version of every role, stored apart from the cache (docs/adr/0032).

Each entry also stores the timestamp and snapshot keys of the root under which the version was verified, and the hash of
the file if it was read: an owner may sign again what was verified here (docs/adr/0041). A verified root that replaces
these keys makes the entry void. This is the only way to recover from a fast-forward attack (TUF specification 1.0,
section 5.3.11).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from keys.algorithms import key_fingerprint
from keys.errors import KeyNotAccepted
from keys.record import record, replace
from keys.rfc3339 import to_rfc3339
from trustdata.digest import is_sha256_hex
from trustdata.errors import MalformedMetadata
from trustdata.gun import NAME_MEMBER
from trustdata.model import Root
from trustdata.roles import ONLINE, ROOT, SNAPSHOT, TIMESTAMP, RoleName

_NO_HASHES: Final[Mapping[RoleName, str]] = MappingProxyType({})


@record
class OnlineKeys:
    """The key ids and thresholds of timestamp and snapshot in one root.

    `fingerprints`: of the public keys, by key id: one key in two encodings has two ids. Keys without one are compared
    by their ids; entries that older versions have stored have none.
    """

    timestamp: tuple[str, ...]
    timestamp_threshold: int
    snapshot: tuple[str, ...]
    snapshot_threshold: int
    fingerprints: Mapping[str, str] = MappingProxyType({})

    @classmethod
    def of(cls, root: Root) -> OnlineKeys:
        timestamp, snapshot = root.roles[TIMESTAMP], root.roles[SNAPSHOT]
        return cls(
            timestamp=tuple(timestamp.keyids),
            timestamp_threshold=timestamp.threshold,
            snapshot=tuple(snapshot.keyids),
            snapshot_threshold=snapshot.threshold,
            fingerprints=_fingerprints(root),
        )

    @classmethod
    def of_newest(cls, chain: Iterable[Root]) -> OnlineKeys:
        """Return the online keys of the last root of a chain; `fingerprints` are of the online keys of all its roots.

        So keys of entries that have no fingerprints are recognised in another encoding, too.
        """
        roots = tuple(chain)
        known = {keyid: key for root in roots for keyid, key in _fingerprints(root).items()}
        return replace(cls.of(roots[-1]), fingerprints=known)

    def keep_timestamp_of(self, older: OnlineKeys) -> bool:
        """Return whether enough of the older timestamp keys are still valid to meet the threshold."""
        return self._common(older, self.timestamp, older.timestamp) >= self.timestamp_threshold

    def keep_snapshot_of(self, older: OnlineKeys) -> bool:
        """Return whether enough of the older snapshot keys are still valid to meet the threshold."""
        return self._common(older, self.snapshot, older.snapshot) >= self.snapshot_threshold

    def _common(self, older: OnlineKeys, newer_ids: Iterable[str], older_ids: Iterable[str]) -> int:
        """Return how many public keys two lists of key ids have in common."""
        known = {**older.fingerprints, **self.fingerprints}
        newer_keys, older_keys = ({known.get(keyid, keyid) for keyid in ids} for ids in (newer_ids, older_ids))
        return len(newer_keys & older_keys)


def _fingerprints(root: Root) -> dict[str, str]:
    """Return the fingerprints of the online keys of a root, by key id; a key that is not accepted has none."""
    found: dict[str, str] = {}
    for keyid in (*root.roles[TIMESTAMP].keyids, *root.roles[SNAPSHOT].keyids):
        with suppress(KeyError, KeyNotAccepted):
            found[keyid] = key_fingerprint(root.keys[keyid])
    return found


@record
class SeenRole:
    """The newest verified version of a role, with the root version and the online keys at that time.

    `sha256`: of the file in hex, if it was read and verified here and had not expired; else "". In TUF 1.0 the version
    alone says only what a snapshot listed.
    """

    version: int
    root_version: int
    keys: OnlineKeys
    sha256: str = ""

    def holds_under(self, role: str, keys: OnlineKeys) -> bool:
        """Return whether the entry is still valid under a root with these online keys."""
        if role == ROOT:
            return True  # the root chain itself prevents a rollback
        if role in ONLINE:
            return keys.keep_timestamp_of(self.keys) and keys.keep_snapshot_of(self.keys)
        return keys.keep_snapshot_of(self.keys)


@record
class Memory:
    """The rollback memory of one machine for one collection.

    `root_of_trust`: the SHA-256 (hex) of root version 1, or in Notary v1 of the root with which the chain began here.
    `refreshed`: the reference time (UTC) of the last complete refresh, or None. `named`: whether a root named the
    collection (TUF 1.0), so that every later one must.
    """

    root_of_trust: str
    roles: Mapping[RoleName, SeenRole]
    refreshed: datetime | None = None
    named: bool = False

    def minimum_versions(self, keys: OnlineKeys) -> dict[RoleName, int]:
        """Return the lowest version of each role that is accepted under a root with these online keys."""
        return {role: seen.version for role, seen in self.roles.items() if seen.holds_under(role, keys)}


def observe(
    *,
    root_of_trust: str,
    root: Root,
    versions: Mapping[RoleName, int],
    refreshed: datetime | None,
    hashes: Mapping[RoleName, str] = _NO_HASHES,
) -> Memory:
    """Make the memory of a refresh.

    `versions`: of root, timestamp, snapshot and every role that the snapshot lists. `hashes`: the SHA-256 (hex) of each
    offline file that was verified and had not expired.
    """
    keys = OnlineKeys.of(root)
    return Memory(
        root_of_trust=root_of_trust,
        roles={
            role: SeenRole(version=version, root_version=root.version, keys=keys, sha256=hashes.get(role, ""))
            for role, version in versions.items()
        },
        refreshed=refreshed,
        named=NAME_MEMBER in root.unrecognized_fields,
    )


def merge(first: Memory, second: Memory) -> Memory:
    """Merge two memories of one root of trust.

    An entry is dropped if the newer root of the two has replaced its online keys; otherwise the higher version is kept.

    Raises: ValueError if the roots of trust differ; the caller must then choose one of the two.
    """
    if first.root_of_trust != second.root_of_trust:
        raise ValueError("memories of different roots of trust cannot be merged")
    roles: dict[RoleName, SeenRole] = dict(first.roles)
    for role, seen in second.roles.items():
        roles[role] = _newer(role, roles[role], seen) if role in roles else seen
    times = [t for t in (first.refreshed, second.refreshed) if t is not None]
    return Memory(
        root_of_trust=first.root_of_trust,
        roles=roles,
        refreshed=max(times) if times else None,
        named=first.named or second.named,
    )


def _newer(role: RoleName, first: SeenRole, second: SeenRole) -> SeenRole:
    older, newer = sorted((first, second), key=lambda seen: seen.root_version)
    if older.root_version != newer.root_version and not older.holds_under(role, newer.keys):
        return newer
    if first.version == second.version:
        # A hash is not lost when the file is not read the next time. Of two hashes, either was verified here.
        return replace(newer, sha256=max(first.sha256, second.sha256))
    return max(first, second, key=lambda seen: seen.version)


# --- as a document (seen.json)


def to_document(memory: Memory) -> dict[str, object]:
    """Return the memory as plain values for JSON. The online keys of each root version are written once."""
    keys_by_root_version: dict[str, object] = {}
    for seen in memory.roles.values():
        keys_by_root_version[str(seen.root_version)] = {
            "timestamp": list(seen.keys.timestamp),
            "timestamp_threshold": seen.keys.timestamp_threshold,
            "snapshot": list(seen.keys.snapshot),
            "snapshot_threshold": seen.keys.snapshot_threshold,
            "fingerprints": dict(seen.keys.fingerprints),
        }
    return {
        "root_of_trust": memory.root_of_trust,
        "refreshed": to_rfc3339(memory.refreshed) if memory.refreshed else None,
        "named": memory.named,
        "keys": keys_by_root_version,
        "roles": {role: _seen_document(seen) for role, seen in memory.roles.items()},
    }


def _seen_document(seen: SeenRole) -> dict[str, object]:
    """Return one entry for JSON. Programs that do not know `sha256` ignore it, and drop it when they write."""
    document: dict[str, object] = {"version": seen.version, "root_version": seen.root_version}
    if seen.sha256:
        document["sha256"] = seen.sha256
    return document


def from_document(document: object, *, place: str) -> Memory:
    """Read what `to_document` returns. Raises: MalformedMetadata, which names the file `place`."""
    try:
        return _read(document)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MalformedMetadata(
            role="rollback memory", path=place, reason=f"{type(error).__name__}: {error}"
        ) from error


def _read(document: object) -> Memory:
    if not isinstance(document, dict):
        raise TypeError("must be an object")
    keys_by_root_version = {int(version): _read_keys(keys) for version, keys in document["keys"].items()}
    roles: dict[RoleName, SeenRole] = {}
    for role, seen in document["roles"].items():
        root_version = _count(seen["root_version"])
        roles[RoleName(role)] = SeenRole(
            version=_count(seen["version"]),
            root_version=root_version,
            keys=keys_by_root_version[root_version],
            sha256=_sha256(seen["sha256"]) if "sha256" in seen else "",
        )
    refreshed = document["refreshed"]
    return Memory(
        root_of_trust=str(document["root_of_trust"]),
        roles=roles,
        refreshed=datetime.fromisoformat(refreshed).astimezone(UTC) if refreshed is not None else None,
        named=_flag(document.get("named", False)),  # older versions have stored none
    )


def _read_keys(keys: Mapping[str, object]) -> OnlineKeys:
    return OnlineKeys(
        timestamp=_texts(keys["timestamp"]),
        timestamp_threshold=_count(keys["timestamp_threshold"]),
        snapshot=_texts(keys["snapshot"]),
        snapshot_threshold=_count(keys["snapshot_threshold"]),
        fingerprints=_fingerprint_map(keys.get("fingerprints", {})),
    )


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("named must be true or false")
    return value


def _fingerprint_map(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise TypeError("fingerprints must be texts by key id")
    return dict(value)


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, Iterable) or isinstance(value, str):
        raise TypeError("key ids must be an array")
    return tuple(str(item) for item in value)


def _sha256(value: object) -> str:
    if not isinstance(value, str) or not is_sha256_hex(value):
        raise ValueError("sha256 must be 64 hex digits in lower case")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("versions and thresholds must be integers of 1 or more")
    return value
