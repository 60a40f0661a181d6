"""What a machine remembers of a refresh, what voids it, how two memories become one, and how it is written down."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keys.algorithms import key_fingerprint
from keys.record import replace
from tests.simulator import keyring
from tests.simulator.scene import Scene, good_collection
from tests.support.refusal import refused
from trustdata.envelope import Envelope
from trustdata.errors import FileNewer, MalformedMetadata, MemoryDamaged
from trustdata.gun import NAME_MEMBER
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification.lock_entry import LockEntry, SourcedLock
from trustdata.verification.memory_document import KIND, read_collections, read_memory, write_collections
from trustdata.verification.minimum_versions import MinimumVersion, lowest_accepted
from trustdata.verification.rollback_memory import (
    Memory,
    OnlineKeys,
    SeenRole,
    from_document,
    merge,
    observe,
    to_document,
)
from trustdata.verification.trust_pinning import Pin
from trustdata.wire import WireFormat

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
AA, BB = "aa" * 32, "bb" * 32


def online(
    timestamp: str = "t", snapshot: str = "s", *, thresholds: tuple[int, int] = (1, 1), **same: str
) -> OnlineKeys:
    """Keys by letters: `online("tu")` has two timestamp keys. `same`: the public key behind a key id."""
    return OnlineKeys(
        timestamp=tuple(timestamp),
        timestamp_threshold=thresholds[0],
        snapshot=tuple(snapshot),
        snapshot_threshold=thresholds[1],
        fingerprints=same,
    )


def seen(version: int = 1, root_version: int = 1, keys: OnlineKeys | None = None, sha256: str = "") -> SeenRole:
    return SeenRole(version=version, root_version=root_version, keys=keys or online(), sha256=sha256)


def memory(**roles: SeenRole) -> Memory:
    return Memory(root_of_trust=AA, roles={RoleName(role): entry for role, entry in roles.items()})


# --- online keys


def _next_root(scene: Scene, change: Callable[[Any], object]) -> Envelope:
    return scene.forger.successor(ROOT, change)


def test_the_online_keys_of_a_root(wire: WireFormat) -> None:
    scene = good_collection(wire)

    def more(document: Any) -> None:
        for role, names, threshold in ((TIMESTAMP, ("a", "b"), 1), (SNAPSHOT, ("c", "d", "e"), 2)):
            keys = [scene.keys.key(name) for name in names]
            document["keys"] |= {key.keyid: key.to_dict() for key in keys}
            document["roles"][role] = {"keyids": [key.keyid for key in keys], "threshold": threshold}

    keys = {name: scene.keys.key(name) for name in "abcde"}
    assert OnlineKeys.of(_next_root(scene, more).root) == OnlineKeys(
        timestamp=tuple(keys[name].keyid for name in "ab"),
        timestamp_threshold=1,
        snapshot=tuple(keys[name].keyid for name in "cde"),
        snapshot_threshold=2,
        fingerprints={key.keyid: key_fingerprint(key) for key in keys.values()},
    )


def test_keys_without_fingerprint_hide_no_other() -> None:
    scene = good_collection()
    weak = keyring.weak_rsa_signer().public_key

    def first(document: Any) -> None:
        document["keys"][weak.keyid] = weak.to_dict()
        document["roles"]["timestamp"]["keyids"][:0] = ["ab" * 32, weak.keyid]

    keys = OnlineKeys.of(_next_root(scene, first).root)
    assert keys.timestamp[:2] == ("ab" * 32, weak.keyid)
    assert set(keys.fingerprints) == {keys.timestamp[2], *keys.snapshot}


def test_the_newest_keys_know_those_of_all_roots() -> None:
    scene = good_collection()
    old = scene.server.stored[ROOT].root
    scene.owner.replace_online_key(TIMESTAMP)
    new = scene.server.stored[ROOT].root
    both = OnlineKeys.of_newest([old, new])
    assert (both.timestamp, both.snapshot) == (OnlineKeys.of(new).timestamp, OnlineKeys.of(new).snapshot)
    assert both.fingerprints == {**OnlineKeys.of(old).fingerprints, **OnlineKeys.of(new).fingerprints}


@pytest.mark.parametrize(
    ("now", "then", "timestamp", "snapshot"),
    [
        (online(), online(), True, True),
        (online("u"), online(), False, True),
        (online("t", "r"), online(), True, False),
        (online("ut"), online(), True, True),
        (online("tu", "sr", thresholds=(2, 2)), online(), False, False),
        (online("tu", "sr", thresholds=(2, 2)), online("vtu", "rs"), True, True),
        (online("t", thresholds=(1, 2)), online(thresholds=(2, 1)), True, False),
        (online("u", u="key"), online("t", t="key"), True, True),
        (online("u", u="key", t="key"), online("t"), True, True),
        (online("u"), online("t", t="key", u="key"), True, True),
        (online("tu", "s", thresholds=(2, 1), t="key", u="key"), online("tu"), False, True),
        (online("s", "t"), online("t", "s"), False, False),
    ],
)
def test_which_keys_are_still_valid(now: OnlineKeys, then: OnlineKeys, *, timestamp: bool, snapshot: bool) -> None:
    assert now.keep_timestamp_of(then) is timestamp
    assert now.keep_snapshot_of(then) is snapshot
    entry = seen(keys=then)
    holds = {role: entry.holds_under(role, now) for role in (ROOT, TIMESTAMP, SNAPSHOT, TARGETS, RELEASES)}
    assert holds == {
        ROOT: True,
        TIMESTAMP: timestamp and snapshot,
        SNAPSHOT: timestamp and snapshot,
        TARGETS: snapshot,
        RELEASES: snapshot,
    }
    kept = memory(**{role: seen(5, keys=then) for role in holds}).minimum_versions(now)
    assert kept == {role: 5 for role, held in holds.items() if held}


# --- a refresh


def test_what_is_remembered_of_a_refresh() -> None:
    scene = good_collection()
    root = scene.server.stored[ROOT].root
    found = observe(
        root_of_trust=AA, root=root, versions={ROOT: 2, TARGETS: 4}, refreshed=AT, hashes={TARGETS: BB, RELEASES: AA}
    )
    keys = OnlineKeys.of(root)
    assert found == Memory(
        root_of_trust=AA,
        roles={ROOT: seen(2, 2, keys), TARGETS: seen(4, 2, keys, BB)},
        refreshed=AT,
        named=True,
    )
    unnamed = _next_root(scene, lambda d: d.pop(NAME_MEMBER)).root
    without = observe(root_of_trust=AA, root=unnamed, versions={ROOT: 3}, refreshed=None)
    assert without == Memory(root_of_trust=AA, roles={ROOT: seen(3, 3, keys)}, refreshed=None, named=False)


# --- two memories


@pytest.mark.parametrize(
    ("one", "other", "kept"),
    [
        (seen(3), seen(4), seen(4)),
        (seen(5, 1), seen(4, 2), seen(5, 1)),
        (seen(5, 1), seen(4, 2, online("t", "r")), seen(4, 2, online("t", "r"))),
        (seen(5, 1), seen(4, 2, online("u", "s")), seen(5, 1)),
        (seen(3, 1, sha256=AA), seen(3, 1, sha256=BB), seen(3, 1, sha256=BB)),
        (seen(3, 1, sha256=AA), seen(3, 2), seen(3, 2, sha256=AA)),
        (seen(3, 1, sha256=AA), seen(4, 2), seen(4, 2)),
        (seen(3, 1, sha256=AA), seen(3, 2, online("t", "r")), seen(3, 2, online("t", "r"))),
        (seen(3, 2, online("t", "r")), seen(4, 2, online()), seen(4, 2, online())),
    ],
)
def test_of_two_entries_one_is_kept(one: SeenRole, other: SeenRole, kept: SeenRole) -> None:
    assert merge(memory(targets=one), memory(targets=other)).roles == {TARGETS: kept}
    assert merge(memory(targets=other), memory(targets=one)).roles == {TARGETS: kept}


@pytest.mark.parametrize(
    ("replaced", "voided"),
    [(online("u", "s"), {TIMESTAMP, SNAPSHOT}), (online("t", "r"), {TIMESTAMP, SNAPSHOT, TARGETS, RELEASES})],
)
def test_what_a_newer_root_voids_depends_on_the_role(replaced: OnlineKeys, voided: set[RoleName]) -> None:
    older, newer = seen(5, 1), seen(4, 2, replaced)
    for role in (ROOT, TIMESTAMP, SNAPSHOT, TARGETS, RELEASES):
        kept = merge(memory(**{role: older}), memory(**{role: newer})).roles[role]
        assert kept == (newer if role in voided else older)


def test_roles_that_only_one_has_and_the_rest_of_two_memories() -> None:
    one, other = memory(targets=seen(1), root=seen(9)), memory(timestamp=seen(2), targets=seen(3))
    assert merge(one, other) == memory(targets=seen(3), root=seen(9), timestamp=seen(2))
    later = AT + timedelta(seconds=1)
    for times, newest in (((AT, later), later), ((None, AT), AT), ((None, None), None)):
        for first, second in (times, times[::-1]):
            assert merge(replace(one, refreshed=first), replace(other, refreshed=second)).refreshed == newest
    for named, also in ((True, False), (False, True), (True, True), (False, False)):
        assert merge(replace(one, named=named), replace(other, named=also)).named is (named or also)
    with pytest.raises(ValueError, match="different roots of trust"):
        merge(one, replace(other, root_of_trust=BB))


# --- the lowest accepted versions


def test_the_higher_one_of_memory_and_lock_counts() -> None:
    scene = good_collection()
    chain = [scene.server.stored[ROOT]]
    keys = OnlineKeys.of(chain[0].root)
    known = memory(targets=seen(4, 2, keys), timestamp=seen(7, 2, keys), snapshot=seen(6, 2, keys))
    minimum = {TIMESTAMP: 8, SNAPSHOT: 6, TARGETS: 3, RELEASES: 2}
    entry = LockEntry(format="tuf-1.0", root_version=2, root=Pin("sha256", chain[0].sha256), minimum=minimum)
    lock = SourcedLock(entry=entry, source="trust.lock")
    by_memory, by_lock = "seen before", "locked in trust.lock"
    assert lowest_accepted(memory=known, lock=lock, chain=chain) == {
        ROOT: MinimumVersion(version=2, source=by_lock),
        TIMESTAMP: MinimumVersion(version=8, source=by_lock),
        SNAPSHOT: MinimumVersion(version=6, source=by_memory),
        TARGETS: MinimumVersion(version=4, source=by_memory),
        RELEASES: MinimumVersion(version=2, source=by_lock),
    }
    assert lowest_accepted(memory=known, lock=None, chain=chain) == {
        role: MinimumVersion(version=entry.version, source=by_memory) for role, entry in known.roles.items()
    }
    assert lowest_accepted(memory=None, lock=None, chain=chain) == {}


# --- as a document


WRITTEN: dict[str, Any] = {
    "root_of_trust": AA,
    "refreshed": "2026-01-02T03:04:05Z",
    "named": True,
    "keys": {
        "1": {
            "timestamp": ["t", "u"],
            "timestamp_threshold": 2,
            "snapshot": ["s"],
            "snapshot_threshold": 1,
            "fingerprints": {"t": "T"},
        },
        "2": {
            "timestamp": ["v"],
            "timestamp_threshold": 1,
            "snapshot": ["s"],
            "snapshot_threshold": 1,
            "fingerprints": {},
        },
    },
    "roles": {
        "targets": {"version": 4, "root_version": 1, "sha256": BB},
        "snapshot": {"version": 7, "root_version": 2},
    },
}
READ = Memory(
    root_of_trust=AA,
    roles={
        TARGETS: seen(4, 1, online("tu", "s", thresholds=(2, 1), t="T"), BB),
        SNAPSHOT: seen(7, 2, online("v", "s")),
    },
    refreshed=AT,
    named=True,
)


def test_written_and_read() -> None:
    assert to_document(READ) == WRITTEN
    assert from_document(WRITTEN, place="seen.json") == READ
    empty = Memory(root_of_trust=AA, roles={})
    assert to_document(empty) == {"root_of_trust": AA, "refreshed": None, "named": False, "keys": {}, "roles": {}}
    assert from_document(to_document(empty), place="seen.json") == empty


def test_what_older_versions_have_stored() -> None:
    document = json.loads(json.dumps(WRITTEN))
    del document["named"], document["keys"]["1"]["fingerprints"], document["roles"]["targets"]["sha256"]
    read = from_document(document, place="seen.json")
    assert not read.named
    assert read.roles[TARGETS] == seen(4, 1, online("tu", "s", thresholds=(2, 1)))


def test_times_of_other_zones_are_read_in_utc() -> None:
    read = from_document({**WRITTEN, "refreshed": "2026-01-02T05:04:05+02:00"}, place="seen.json")
    assert read.refreshed == AT
    assert read.refreshed.tzinfo is UTC


def _put(*path: str, value: object) -> Callable[[Any], None]:
    def damage(document: Any) -> None:
        *folders, last = path
        for folder in folders:
            document = document[folder]
        document[last] = value

    return damage


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_put("roles", "targets", "version", value=0), "integers of 1 or more"),
        (_put("roles", "targets", "version", value=True), "integers of 1 or more"),
        (_put("roles", "targets", "version", value="4"), "integers of 1 or more"),
        (_put("roles", "targets", "root_version", value=0), "integers of 1 or more"),
        (_put("roles", "targets", "root_version", value=3), "KeyError"),
        (_put("roles", "targets", "sha256", value=BB.upper()), "64 hex digits"),
        (_put("roles", "targets", "sha256", value=BB + "0"), "64 hex digits"),
        (_put("roles", "targets", "sha256", value=None), "64 hex digits"),
        (_put("keys", "1", "timestamp", value="tu"), "must be an array"),
        (_put("keys", "1", "snapshot", value=7), "must be an array"),
        (_put("keys", "1", "timestamp_threshold", value=0), "integers of 1 or more"),
        (_put("keys", "2", "snapshot_threshold", value=True), "integers of 1 or more"),
        (_put("keys", "1", "fingerprints", value=[]), "texts by key id"),
        (_put("keys", "1", "fingerprints", value={"t": "T", "u": 1}), "texts by key id"),
        (_put("named", value="true"), "must be true or false"),
        (_put("named", value=1), "must be true or false"),
        (_put("refreshed", value=7), "TypeError"),
        (_put("keys", value=[]), "AttributeError"),
    ],
)
def test_damage(damage: Callable[[Any], None], reason: str) -> None:
    document = json.loads(json.dumps(WRITTEN))
    damage(document)
    with refused(MalformedMetadata, reason, role="rollback memory", path="seen.json"):
        from_document(document, place="seen.json")
    with refused(MemoryDamaged, reason, path="seen.json"):
        read_memory(document, path="seen.json")


@pytest.mark.parametrize("member", ["root_of_trust", "refreshed", "keys", "roles"])
def test_a_member_that_is_missing(member: str) -> None:
    document = {name: value for name, value in WRITTEN.items() if name != member}
    with refused(MalformedMetadata, f"KeyError: '{member}'", role="rollback memory", path="seen.json"):
        from_document(document, place="seen.json")


def test_what_is_no_object() -> None:
    with refused(MalformedMetadata, "must be an object", role="rollback memory", path="seen.json"):
        from_document([], place="seen.json")


# --- the file of all collections


def test_the_whole_file() -> None:
    raw = write_collections({"a/b": WRITTEN})
    assert (
        raw
        == json.dumps({"format": KIND.stated, "collections": {"a/b": WRITTEN}}, separators=(",", ":")).encode() + b"\n"
    )
    assert read_collections(raw, path="seen.json") == {"a/b": WRITTEN}
    assert read_memory(WRITTEN, path="seen.json") == READ


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"format":"content-trust-seen-1","collections":{},"collections":{}}', "is not JSON"),
        (b"[]", "is no rollback memory"),
        (b'{"format":"content-trust-seen-1"}', "is no rollback memory"),
        (b'{"format":"content-trust-seen-1","collections":{},"more":1}', "is no rollback memory"),
        (b'{"format":"content-trust-seen-1","collections":[]}', "is no rollback memory"),
        (b'{"format":"content-trust-seen-x","collections":{}}', "is not of format content-trust-seen-1"),
    ],
)
def test_a_damaged_file(raw: bytes, reason: str) -> None:
    with refused(MemoryDamaged, reason, path="seen.json"):
        read_collections(raw, path="seen.json")


def test_a_file_of_a_newer_version_is_not_damaged() -> None:
    """Whatever else stands in it: another program has written it, and still needs it."""
    for raw in (b'{"format":"content-trust-seen-2"}', b'{"format":"content-trust-seen-2","more":1}'):
        with refused(FileNewer, path="seen.json", what="a rollback memory", version=2, known=1):
            read_collections(raw, path="seen.json")
