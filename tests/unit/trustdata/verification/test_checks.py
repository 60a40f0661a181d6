"""Each rule by itself: at its boundary, with everything that its error says, and behind an entry that is skipped."""

from __future__ import annotations

import dataclasses
import hashlib
from datetime import timedelta
from typing import Any

import pytest

from keys.certificate import LEEWAY
from keys.notary import NotaryKey
from keys.rfc3339 import to_rfc3339
from tests.simulator.forgery import Document
from tests.simulator.keyring import CERTIFIED, certificate
from tests.simulator.repository import APP, NOW
from tests.simulator.scene import Scene, good_collection
from tests.support.refusal import refused
from trustdata.envelope import Envelope
from trustdata.errors import (
    CertificateNotValidNow,
    CertificateOfAnotherName,
    ContentMismatch,
    LivesTooLong,
    MetadataExpired,
    MetadataMissing,
    RootOfAnotherName,
    ThresholdNotMet,
    VersionMismatch,
    VersionRollback,
)
from trustdata.gun import NAME_MEMBER, parse_gun
from trustdata.lifetimes import UNLIMITED_LIFE, MaxLife
from trustdata.model import MetaFile, Snapshot, UnversionedMeta
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification import checks
from trustdata.verification.minimum_versions import MinimumVersion, check_minimum_versions
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY

ALICE = RoleName("targets/alice")
ANOTHER = parse_gun("registry.example.com/team/other")
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
CONTENT = b"content"
SHA256, SHA512 = hashlib.sha256(CONTENT).hexdigest(), hashlib.sha512(CONTENT).hexdigest()


# --- signatures


def test_the_keys_that_have_signed(wire: WireFormat) -> None:
    scene = good_collection(wire)
    targets, releases = scene.server.stored[TARGETS].targets, scene.server.stored[RELEASES]
    assert checks.check_signatures(targets, TARGETS, releases) == (scene.keys.keyid("alice"),)
    both = scene.forger.successor(RELEASES, signers=scene.forger.signers(RELEASES, "mallory", "alice", "targets"))
    assert set(checks.check_signatures(targets, TARGETS, both)) == {scene.keys.keyid(n) for n in ("targets", "alice")}


def test_too_few_signatures(wire: WireFormat) -> None:
    scene = good_collection(wire)
    named = [scene.keys.root_keyid(name) for name in ("root", "recovery")]

    def two(document: Document) -> None:
        document["roles"]["root"]["threshold"] = 2

    new = scene.forger.successor(ROOT, two, signers=scene.forger.signers(ROOT, "mallory", "recovery"))
    keyids = new.root.roles[ROOT].keyids
    assert sorted(keyids) == sorted(named)
    with refused(
        ThresholdNotMet,
        role=ROOT,
        version=3,
        delegator="the next root",
        threshold=2,
        signed=[named[1]],
        unsigned=[named[0]],
    ):
        checks.check_signatures(new.root, "the next root", new)


def test_a_role_that_is_not_delegated(wire: WireFormat) -> None:
    scene = good_collection(wire)
    root = scene.server.stored[ROOT].root
    assert checks.is_delegator_of(root, TARGETS)
    assert not checks.is_delegator_of(root, ALICE)
    with refused(MetadataMissing, "root does not delegate to it", role=ALICE):
        checks.check_signatures(root, ROOT, scene.server.stored[ALICE])


def test_a_key_id_without_key_counts_for_nothing_and_hides_no_other(wire: WireFormat) -> None:
    scene = good_collection(wire)
    targets, releases = scene.server.stored[TARGETS].targets, scene.server.stored[RELEASES]
    (keyid,) = checks.check_signatures(targets, TARGETS, releases)
    missing = "ab" * 32
    role = targets.get_delegated_role(RELEASES)
    role.keyids.insert(0, missing)
    try:
        twice = dataclasses.replace(
            releases, signatures={missing: releases.signatures[keyid], keyid: releases.signatures[keyid]}
        )
        assert checks.check_signatures(targets, TARGETS, twice) == (keyid,)
    finally:
        role.keyids.remove(missing)


# --- roots


@pytest.mark.parametrize("step", [0, 2])
def test_a_root_that_is_not_the_next(wire: WireFormat, step: int) -> None:
    scene = good_collection(wire)
    old = scene.server.stored[ROOT]
    new = scene.forger.successor(ROOT, lambda d: d.update(version=old.version + step))
    with refused(VersionMismatch, role=ROOT, offered=2 + step, expected=3):
        checks.check_root_step(old, new)


@pytest.mark.parametrize(("names", "delegator"), [(["mallory"], "root version 2"), (["root"], "root version 3")])
def test_a_root_by_one_side_only(wire: WireFormat, names: list[str], delegator: str) -> None:
    scene = good_collection(wire)
    mallory = scene.keys.root_key("mallory")

    def mine(document: Document) -> None:
        document["keys"][mallory.keyid] = mallory.to_dict()
        document["roles"]["root"] = {"keyids": [mallory.keyid], "threshold": 1}

    old = scene.server.stored[ROOT]
    new = scene.forger.successor(ROOT, mine, signers=scene.forger.signers(ROOT, *names))
    unsigned = old.root.roles[ROOT].keyids if delegator == "root version 2" else [mallory.keyid]
    with refused(
        ThresholdNotMet, role=ROOT, version=3, delegator=delegator, threshold=1, signed=[], unsigned=list(unsigned)
    ):
        checks.check_root_step(old, new)


def _named(scene: Scene, name: str | None) -> Envelope:
    """The next TUF root, which names this collection, or none."""
    return scene.forger.successor(ROOT, lambda d: d.pop(NAME_MEMBER) if name is None else d.update({NAME_MEMBER: name}))


@pytest.mark.parametrize(
    ("before", "now", "named"),
    [(None, ANOTHER, ANOTHER), (APP, ANOTHER, ANOTHER), (APP, None, ""), ("", ANOTHER, ANOTHER)],
)
def test_a_tuf_root_of_another_name(before: str | None, now: str | None, named: str) -> None:
    """`before`: the name in the root that it follows; "": that root names nothing; None: there is none."""
    scene = good_collection()
    wire, new = scene.server.wire, _named(scene, now)
    old = None if before is None else _named(scene, before or None)
    with refused(RootOfAnotherName, gun=APP, role=ROOT, version=3, named=named):
        checks.check_root_belongs(APP, new, old, wire=wire)
    with refused(RootOfAnotherName, gun=APP, role=ROOT, version=3, named=""):
        checks.check_still_named(APP, _named(scene, None))


def test_tuf_roots_that_may_be_ours() -> None:
    scene = good_collection()
    wire, named, unnamed = scene.server.wire, _named(scene, APP), _named(scene, None)
    for new, old in ((named, None), (named, named), (named, unnamed), (unnamed, None), (unnamed, unnamed)):
        checks.check_root_belongs(APP, new, old, wire=wire)
    assert [checks.named_collection(root.root) for root in (named, unnamed)] == [APP, None]
    assert [checks.root_names(APP, root.root, wire=wire) for root in (named, unnamed)] == [True, False]
    assert not checks.root_names(ANOTHER, named.root, wire=wire)


def _certified(scene: Scene, *keys: NotaryKey) -> Envelope:
    """The next Notary v1 root, which has these root keys besides that of its owner."""

    def change(document: Document) -> None:
        document["keys"] |= {key.keyid: key.to_dict() for key in keys}
        document["roles"]["root"]["keyids"] = [scene.keys.root_keyid("root"), *(key.keyid for key in keys)]

    return scene.forger.successor(ROOT, change)


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        (certificate("recovery", ANOTHER), f"is a certificate for '{ANOTHER}'"),
        (NotaryKey.of("ecdsa-x509", "AAAA"), "cannot be read"),
        (NotaryKey.of("ecdsa", certificate("recovery", APP).keyval["public"]), "is no certificate"),
    ],
    ids=["another name", "unreadable", "no certificate"],
)
def test_a_notary_root_with_one_key_that_is_not_for_this_name(key: NotaryKey, fault: str) -> None:
    root = _certified(good_collection(NOTARY), certificate("recovery", APP), key)
    with refused(CertificateOfAnotherName, fault, gun=APP, keyid=key.keyid):
        checks.check_root_belongs(APP, root, None, wire=NOTARY, at=NOW)


def test_a_root_key_id_without_key_is_no_certificate() -> None:
    scene = good_collection(NOTARY)
    root = scene.forger.successor(ROOT, lambda d: d["roles"]["root"]["keyids"].append("ab" * 32))
    with refused(CertificateOfAnotherName, "cannot be read", gun=APP, keyid="ab" * 32):
        checks.check_root_belongs(APP, root, None, wire=NOTARY)


def test_certificates_are_judged_at_the_given_time_only() -> None:
    scene = good_collection(NOTARY)
    root = scene.server.stored[ROOT]
    checks.check_root_belongs(APP, root, None, wire=NOTARY)
    checks.check_root_belongs(APP, root, None, wire=NOTARY, at=NOW)
    checks.check_root_belongs(APP, root, None, wire=NOTARY, at=CERTIFIED - LEEWAY)
    early, keyid = CERTIFIED - LEEWAY - SECOND, root.root.roles[ROOT].keyids[0]
    with refused(CertificateNotValidNow, "valid from", gun=APP, keyid=keyid, at=to_rfc3339(early)):
        checks.check_root_belongs(APP, root, None, wire=NOTARY, at=early)


def test_a_notary_root_names_its_collection_with_every_certificate() -> None:
    scene = good_collection(NOTARY)
    stored = scene.server.stored[ROOT].root
    assert checks.root_names(APP, stored, wire=NOTARY)
    assert not checks.root_names(ANOTHER, stored, wire=NOTARY)
    wildcard = _certified(scene, certificate("recovery", "registry.example.com/team/*"))
    checks.check_root_belongs(APP, wildcard, None, wire=NOTARY)
    assert not checks.root_names(APP, wildcard.root, wire=NOTARY)


# --- times


@pytest.mark.parametrize("role", [ROOT, TIMESTAMP, SNAPSHOT, TARGETS, ALICE])
def test_expiry(wire: WireFormat, role: RoleName) -> None:
    file = good_collection(wire).server.stored[role]
    checks.check_not_expired(file, file.expires - SECOND)
    for at in (file.expires, file.expires + SECOND):
        with refused(
            MetadataExpired, role=role, version=file.version, expires=f"{file.expires:%FT%TZ}", at=f"{at:%FT%TZ}"
        ):
            checks.check_not_expired(file, at)


@pytest.mark.parametrize("role", [SNAPSHOT, TIMESTAMP])
def test_a_life_that_is_too_long(wire: WireFormat, role: RoleName) -> None:
    file = good_collection(wire).server.stored[role]
    limits = MaxLife(snapshot=10 * DAY, timestamp=3 * DAY)
    limit = limits.of(role)
    assert limit is not None
    checks.check_life(file, file.expires - limit, limits)
    at = file.expires - limit - SECOND
    with refused(
        LivesTooLong,
        role=role,
        version=file.version,
        expires=f"{file.expires:%FT%TZ}",
        at=f"{at:%FT%TZ}",
        limit=limit.days * 86400,
    ):
        checks.check_life(file, at, limits)
    checks.check_life(file, at, UNLIMITED_LIFE)


def test_offline_roles_live_as_long_as_their_owner_wants(wire: WireFormat) -> None:
    stored = good_collection(wire).server.stored
    for role in (ROOT, TARGETS, ALICE):
        limits = MaxLife(snapshot=SECOND, timestamp=SECOND)
        checks.check_life(stored[role], NOW, limits)
        assert limits.of(role) is None


# --- versions


def test_a_version_that_is_older_than_a_known_one() -> None:
    checks.check_not_older(TARGETS, 3, 3, "seen before")
    checks.check_not_older(TARGETS, 4, 3, "seen before")
    with refused(VersionRollback, role=TARGETS, offered=2, known=3, source="seen before"):
        checks.check_not_older(TARGETS, 2, 3, "seen before")


@pytest.mark.parametrize("expected", [3, 5])
def test_another_version_than_the_parent_names(wire: WireFormat, expected: int) -> None:
    targets = good_collection(wire).server.stored[TARGETS]
    checks.check_version(targets, 4)
    with refused(VersionMismatch, role=TARGETS, offered=4, expected=expected):
        checks.check_version(targets, expected)


def _meta(**versions: int) -> dict[str, MetaFile]:
    return {f"{name}.json": MetaFile(version) for name, version in versions.items()}


@pytest.mark.parametrize(
    ("old", "new", "role", "offered", "known"),
    [
        (_meta(alice=1), {}, "alice", 0, 1),
        (_meta(targets=4), _meta(targets=3), TARGETS, 3, 4),
        (_meta(targets=4, alice=2), _meta(targets=4, alice=1), "alice", 1, 2),
        ({"bob.json": UnversionedMeta(length=1, hashes={"sha256": SHA256}), **_meta(alice=2)}, {}, "alice", 0, 2),
    ],
    ids=["dropped", "older", "the second one", "behind an entry without version"],
)
def test_what_a_snapshot_drops(
    old: dict[str, MetaFile], new: dict[str, MetaFile], role: str, offered: int, known: int
) -> None:
    checks.check_nothing_dropped(Snapshot(meta=old), Snapshot(meta={**new, **old}))
    with refused(VersionRollback, role=role, offered=offered, known=known, source="listed by the snapshot before"):
        checks.check_nothing_dropped(Snapshot(meta=old), Snapshot(meta=new))


@pytest.mark.parametrize("versions", [{TARGETS: 2}, {}])
def test_minimum_versions(versions: dict[RoleName, int]) -> None:
    minimums = {TARGETS: MinimumVersion(version=3, source="locked in trust.lock")}
    check_minimum_versions({TARGETS: 3}, minimums, [ALICE, TARGETS])
    check_minimum_versions(versions, minimums, [ALICE])
    offered = versions.get(TARGETS, 0)
    with refused(VersionRollback, role=TARGETS, offered=offered, known=3, source="locked in trust.lock"):
        check_minimum_versions(versions, minimums, [ALICE, TARGETS])


def test_a_role_that_is_gone_is_older_than_its_first_version() -> None:
    with refused(VersionRollback, role=TARGETS, offered=0, known=1, source="seen before"):
        check_minimum_versions({}, {TARGETS: MinimumVersion(version=1, source="seen before")}, [TARGETS])


# --- content


@pytest.mark.parametrize(
    ("meta", "fields"),
    [
        (MetaFile(1, 8), {"what": "length", "expected": "8", "found": "7"}),
        (MetaFile(1, 6, {"sha256": SHA256}), {"what": "length", "expected": "6", "found": "7"}),
        (MetaFile(1, None, {"sha256": "ab"}), {"what": "sha256", "expected": "ab", "found": SHA256}),
        (MetaFile(1, 7, {"sha256": SHA256, "sha512": "ab"}), {"what": "sha512", "expected": "ab", "found": SHA512}),
        (
            MetaFile(1, 7, {"sha256": SHA256, "md5": "ab"}),
            {"what": "hash algorithm", "expected": "sha256, sha384, sha512", "found": "md5"},
        ),
    ],
    ids=["longer", "shorter", "first hash", "second hash", "unknown hash"],
)
def test_other_content_than_the_parent_lists(meta: MetaFile, fields: dict[str, Any]) -> None:
    for right in (MetaFile(1), MetaFile(1, 7, {"sha512": SHA512, "sha256": SHA256})):
        checks.check_content(ALICE, CONTENT, right)
    with refused(ContentMismatch, role=ALICE, **fields):
        checks.check_content(ALICE, CONTENT, meta)
