"""Every refusal of an upload by its class and all its fields: its publisher's program acts on them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from keys.certificate import LEEWAY
from keys.notary import NotaryKey
from keys.rfc3339 import to_rfc3339
from tests.simulator import keyring
from tests.simulator.forgery import Document
from tests.simulator.repository import APP, NOW
from tests.simulator.scene import EVIL, GOOD, Scene, good_collection
from tests.support.refusal import refused
from trustdata.envelope import Envelope
from trustdata.errors import (
    CertificateNotValidNow,
    DelegationOutOfScope,
    LivesTooLong,
    MalformedMetadata,
    MetadataExpired,
    MetadataMissing,
    PublishRefused,
    ReleaseConflict,
    RootOfAnotherName,
    ThresholdNotMet,
    VersionConflict,
    WouldBreakRole,
)
from trustdata.gun import NAME_MEMBER
from trustdata.model import DelegatedRole, Delegator
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification import checks
from trustdata.verification.candidate_set import Candidate, judge_upload
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

ALICE, BOB = RoleName("targets/alice"), RoleName("targets/bob")
UNKNOWN = "ab" * 32
Change = Callable[[Document], object]


def judge(scene: Scene, *uploads: Envelope, stored: dict[RoleName, Envelope] | None = None) -> Candidate:
    server = scene.server
    return judge_upload(
        gun=APP,
        stored=server.stored if stored is None else stored,
        uploads={upload.role: upload for upload in uploads},
        at=server.at,
        wire=server.wire,
    )


# --- which roles, which versions


def test_an_upload_of_nothing() -> None:
    with refused(PublishRefused, "holds no metadata", role="upload"):
        judge(good_collection())


@pytest.mark.parametrize(("sent", "missing"), [(TARGETS, ROOT), (ROOT, TARGETS)])
def test_a_first_upload_that_is_not_whole(wire: WireFormat, sent: RoleName, missing: RoleName) -> None:
    scene = good_collection(wire)
    with refused(PublishRefused, "is missing", role=missing):
        judge(scene, scene.server.stored[sent], stored={})


@pytest.mark.parametrize(("form", "role"), [(TUF, SNAPSHOT), (TUF, TIMESTAMP), (NOTARY, TIMESTAMP)])
def test_a_role_that_only_the_server_issues(form: WireFormat, role: RoleName) -> None:
    scene = good_collection(form)
    with refused(PublishRefused, "is issued by the server", role=role):
        judge(scene, scene.forger.successor(TARGETS), scene.forger.successor(role))


@pytest.mark.parametrize(
    ("role", "version", "stored"), [(TARGETS, 3, 4), (TARGETS, 4, 4), (TARGETS, 6, 4), (ROOT, 4, 2), (BOB, 2, 0)]
)
def test_a_version_that_does_not_follow(role: RoleName, version: int, stored: int) -> None:
    scene = good_collection()
    if role == BOB:
        scene.server.stored[BOB] = TUF.parse(BOB, scene.forger.raw(ALICE))
    upload = scene.forger.successor(role, lambda d: d.update(version=version))
    scene.server.stored.pop(BOB, None)
    with refused(VersionConflict, role=role, offered=version, stored=stored):
        judge(scene, scene.forger.successor(ALICE), upload)


@pytest.mark.parametrize("version", [3, 4])
def test_an_old_version_in_notary_v1(version: int) -> None:
    scene = good_collection(NOTARY)
    with refused(VersionConflict, role=TARGETS, offered=version, stored=4):
        judge(scene, scene.forger.successor(TARGETS, lambda d: d.update(version=version)))


# --- root


def test_a_root_by_strangers(wire: WireFormat) -> None:
    scene = good_collection(wire)
    keyids = list(scene.server.stored[ROOT].root.roles[ROOT].keyids)
    fields: dict[str, Any] = {"role": ROOT, "threshold": 1, "signed": [], "unsigned": keyids}
    with refused(ThresholdNotMet, version=3, delegator="root version 2", **fields):
        judge(scene, scene.forger.successor(ROOT, signers=[]))
    first = scene.forger.successor(ROOT, lambda d: d.update(version=1), signers=[])
    targets = scene.forger.successor(TARGETS, lambda d: d.update(version=1))
    with refused(ThresholdNotMet, version=1, delegator="root version 1", **fields):
        judge(scene, first, targets, stored={})


def test_a_root_of_another_name_and_one_without() -> None:
    scene = good_collection()
    for change, named in (
        (lambda d: d.update({NAME_MEMBER: "a.example/b"}), "a.example/b"),
        (lambda d: d.pop(NAME_MEMBER), ""),
    ):
        with refused(RootOfAnotherName, gun=APP, role=ROOT, version=3, named=named):
            judge(scene, scene.forger.successor(ROOT, change))


def test_a_root_certificate_is_valid_at_the_time_of_the_upload() -> None:
    scene = good_collection(NOTARY)
    root = scene.forger.successor(ROOT)
    scene.server.at = keyring.CERTIFIED - LEEWAY
    assert judge(scene, root).changed == (ROOT,)
    scene.server.at -= timedelta(seconds=1)
    keyid = root.root.roles[ROOT].keyids[0]
    with refused(CertificateNotValidNow, "valid from", gun=APP, keyid=keyid, at=to_rfc3339(scene.server.at)):
        judge(scene, root)


def test_a_root_without_consistent_snapshots() -> None:
    scene = good_collection()
    with refused(MalformedMetadata, "must be true", role=ROOT, path="signed.consistent_snapshot"):
        judge(scene, scene.forger.successor(ROOT, lambda d: d.update(consistent_snapshot=False)))


def _unreadable(wire: WireFormat) -> tuple[str, Document]:
    """A key that parses, and that nobody accepts."""
    if wire is NOTARY:
        key = NotaryKey.of("ecdsa", "AAAA")
        return key.keyid, key.to_dict()
    weak = keyring.weak_rsa_signer().public_key
    return weak.keyid, weak.to_dict()


@pytest.mark.parametrize("name", [TARGETS, SNAPSHOT, TIMESTAMP])
def test_a_role_of_root_that_could_never_be_verified(wire: WireFormat, name: RoleName) -> None:
    scene = good_collection(wire)
    weak, key = _unreadable(wire)

    def refuse(change: Change, member: str, text: str) -> None:
        with refused(MalformedMetadata, text, role=ROOT, path=f"signed.roles.{name}.{member}"):
            judge(
                scene, scene.forger.successor(ROOT, lambda d: (d["keys"].update({weak: key}), change(d["roles"][name])))
            )

    refuse(lambda role: role["keyids"].append(UNKNOWN), "keyids", f"key {UNKNOWN} is not among the keys")
    not_accepted = "no key that can be read" if wire is NOTARY else "is not accepted"
    refuse(lambda role: role["keyids"].append(weak), "keyids", not_accepted)
    refuse(lambda role: role.update(threshold=2), "threshold", "2 signatures are asked for, but there are 1 distinct")


def test_a_threshold_that_distinct_keys_meet(wire: WireFormat) -> None:
    scene = good_collection(wire)
    second = scene.keys.key("second")

    def two(document: Document) -> None:
        document["keys"][second.keyid] = second.to_dict()
        document["roles"]["snapshot"]["keyids"].append(second.keyid)
        document["roles"]["snapshot"]["threshold"] = 2

    assert judge(scene, scene.forger.successor(ROOT, two)).changed == (ROOT,)


# --- delegations


@pytest.mark.parametrize(
    ("change", "member", "text"),
    [
        (lambda role: role["keyids"].append(UNKNOWN), ".keyids", f"key {UNKNOWN} is not among the keys"),
        (lambda role: role.update(threshold=2), ".threshold", "2 signatures are asked for, but there are 1 distinct"),
        (lambda role: role.update(paths=[f"p{n}" for n in range(65)]), "", "has more than 64 paths"),
        (
            lambda role: (role.pop("paths"), role.update(path_hash_prefixes=[f"{n:02x}" for n in range(65)])),
            "",
            "has more than 64 paths",
        ),
    ],
    ids=["unknown key", "threshold", "paths", "hash prefixes"],
)
def test_a_delegation_that_nobody_could_use(change: Change, member: str, text: str) -> None:
    """Bob's, which is the last one."""
    scene = good_collection()
    upload = scene.forger.successor(TARGETS, lambda d: change(d["delegations"]["roles"][2]))
    with refused(MalformedMetadata, text, role=TARGETS, path=f"signed.delegations.roles[2]{member}"):
        judge(scene, upload)


def test_as_many_paths_as_may_be() -> None:
    scene = good_collection()
    for paths in ({"paths": [f"p{n}" for n in range(64)]}, {"path_hash_prefixes": [f"{n:02x}" for n in range(64)]}):
        upload = scene.forger.successor(
            TARGETS,
            lambda d, p=paths: (d["delegations"]["roles"][2].pop("paths"), d["delegations"]["roles"][2].update(p)),  # type: ignore[misc]
        )
        assert judge(scene, upload).changed == (TARGETS,)


def test_a_key_that_nobody_accepts_behind_one_that_is_not_there() -> None:
    """Notary v1 lets a delegation lack keys; those that it has must still be readable."""
    scene = good_collection(NOTARY)
    weak, key = _unreadable(NOTARY)

    def named(*keyids: str) -> Envelope:
        def change(document: Document) -> None:
            document["delegations"]["keys"][weak] = key
            document["delegations"]["roles"][2]["keyids"] = list(keyids)

        return scene.forger.successor(TARGETS, change)

    assert judge(scene, named(UNKNOWN)).changed == (TARGETS,)
    with refused(MalformedMetadata, role=TARGETS, path="signed.delegations.roles[2].keyids"):
        judge(scene, named(UNKNOWN, weak))


def test_bins_whose_key_is_not_there() -> None:
    scene = good_collection()
    bins = {"bit_length": 2, "keyids": [UNKNOWN], "name_prefix": "bin", "threshold": 1}
    upload = scene.forger.successor(TARGETS, lambda d: d.update(delegations={"keys": {}, "succinct_roles": bins}))
    with refused(
        MalformedMetadata, "is not among the keys", role=TARGETS, path="signed.delegations.succinct_roles.keyids"
    ):
        judge(scene, upload)


def test_a_signer_who_delegates() -> None:
    scene = good_collection()
    key = keyring.key("bob")
    role = DelegatedRole("targets/alice/more", [key.keyid], 1, terminating=False, paths=["*"]).to_dict()
    upload = scene.forger.successor(
        ALICE, lambda d: d.update(delegations={"keys": {key.keyid: key.to_dict()}, "roles": [role]})
    )
    with refused(PublishRefused, "only targets does", role=ALICE):
        judge(scene, upload)


def test_a_delegation_to_a_top_level_role(wire: WireFormat) -> None:
    scene = good_collection(wire)
    targets = scene.forger.successor(TARGETS)
    delegations = targets.targets.delegations
    assert delegations is not None
    assert delegations.roles is not None
    delegations.roles[SNAPSHOT] = DelegatedRole(SNAPSHOT, [], 1, terminating=False, paths=["*"])
    with refused(PublishRefused, "is no delegation", role=SNAPSHOT):
        judge(scene, targets)


@pytest.mark.parametrize(
    ("change", "member"),
    [
        (lambda roles: roles.reverse(), "[2]"),
        (lambda roles: roles[0].update(terminating=False), "[0].terminating"),
        (lambda roles: roles[0].update(paths=["v*"]), "[0].paths"),
    ],
)
def test_releases_at_which_a_search_would_not_end(change: Callable[[list[Document]], object], member: str) -> None:
    scene = good_collection()
    targets = scene.forger.successor(TARGETS, lambda d: change(d["delegations"]["roles"]))
    scene.server.stored.pop(RELEASES)
    with refused(MalformedMetadata, role=TARGETS, path=f"signed.delegations.roles{member}"):
        judge(scene, targets)


def test_targets_without_delegations(wire: WireFormat) -> None:
    scene = good_collection(wire)
    for role in (RELEASES, ALICE):
        del scene.server.stored[role]
    upload = scene.forger.successor(TARGETS, lambda d: d.pop("delegations"))
    assert judge(scene, upload).changed == (TARGETS,)


# --- targets


@pytest.mark.parametrize(
    ("name", "hashes", "path", "text"),
    [
        ("no tag", {"sha256": EVIL}, "signed.targets", "'no tag' is no valid tag"),
        ("v1", {"sha512": EVIL * 2}, "signed.targets.v1.hashes", "must hold the sha256"),
        ("v1", {"sha256": EVIL[2:]}, "signed.targets.v1.hashes", "must hold the sha256"),
    ],
)
def test_a_target_that_no_client_could_use(name: str, hashes: Document, path: str, text: str) -> None:
    """It stands behind one that is right."""
    scene = good_collection()
    targets = {"1.0": {"hashes": {"sha256": GOOD}, "length": 1}, name: {"hashes": hashes, "length": 1}}
    with refused(MalformedMetadata, text, role=ALICE, path=path):
        judge(scene, scene.forger.successor(ALICE, lambda d: d.update(targets=targets)))


def test_one_tag_in_both_releasing_roles() -> None:
    scene = good_collection()
    tag = {"1.0": {"hashes": {"sha256": EVIL}, "length": 1}}
    upload = scene.forger.successor(TARGETS, lambda d: d["targets"].update(tag))
    with refused(ReleaseConflict, target="1.0", roles=[TARGETS, RELEASES], digests=[EVIL, GOOD]):
        judge(scene, upload)


def test_a_tag_of_targets_that_the_releases_alone_are_given() -> None:
    scene = good_collection()
    scene.forger.alter(TARGETS, lambda d: d["targets"].update({"2.0": scene.forger.target(GOOD)}))
    upload = scene.forger.successor(RELEASES, lambda d: d["targets"].update({"2.0": scene.forger.target(EVIL)}))
    with refused(ReleaseConflict, target="2.0", roles=[TARGETS, RELEASES], digests=[GOOD, EVIL]):
        judge(scene, upload)


# --- the state that it would make


def test_a_role_by_a_stranger(wire: WireFormat) -> None:
    scene = good_collection(wire)
    for role, delegator in ((TARGETS, ROOT), (ALICE, TARGETS)):
        upload = scene.forger.successor(role, signers=scene.forger.signers(role, "mallory"))
        with refused(
            ThresholdNotMet,
            role=role,
            version=upload.version,
            delegator=delegator,
            threshold=1,
            signed=[],
            unsigned=[scene.keys.keyid(role.removeprefix("targets/"))],
        ):
            judge(scene, upload)


def test_an_upload_that_has_expired(wire: WireFormat) -> None:
    scene = good_collection(wire)
    for role in (ROOT, TARGETS, ALICE):
        upload = scene.forger.successor(role, lambda d: d.update(expires=f"{NOW:%FT%TZ}"))
        with refused(MetadataExpired, role=role, version=upload.version, expires=f"{NOW:%FT%TZ}", at=f"{NOW:%FT%TZ}"):
            judge(scene, upload)


def test_an_upload_to_which_nobody_delegates(wire: WireFormat) -> None:
    scene = good_collection(wire)
    carol = RoleName("targets/carol")
    upload = wire.parse(carol, scene.forger.raw(ALICE))
    with refused(MetadataMissing, "nobody delegates to it", role=carol):
        judge(scene, scene.forger.successor(ALICE), upload)


def test_an_upload_below_a_role_that_is_not_there() -> None:
    scene = good_collection(NOTARY)
    below = RoleName("targets/carol/more")
    with refused(MetadataMissing, "nobody delegates to it", role=below):
        judge(scene, scene.forger.successor(ALICE), NOTARY.parse(below, scene.forger.raw(ALICE)))


def test_a_root_that_gives_stored_targets_one_more_key(wire: WireFormat) -> None:
    """The delegation differs, so the stored role is judged again: by its signatures, for root delegates no paths."""
    scene = good_collection(wire)
    second = scene.keys.key("second")

    def added(document: Document) -> None:
        document["keys"][second.keyid] = second.to_dict()
        document["roles"]["targets"]["keyids"].append(second.keyid)

    assert judge(scene, scene.forger.successor(ROOT, added)).changed == (ROOT,)


def test_stored_roles_are_judged_again_only_if_they_are_delegated_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = good_collection()
    judged: list[RoleName] = []
    check = checks.check_signatures

    def checking(delegator: Delegator, named: str, envelope: Envelope) -> None:
        judged.append(envelope.role)
        check(delegator, named, envelope)

    monkeypatch.setattr(checks, "check_signatures", checking)
    judge(scene, scene.forger.successor(TARGETS))
    assert judged == [TARGETS]
    judged.clear()
    judge(scene, scene.forger.successor(TARGETS, lambda d: d["delegations"]["roles"][1].update(paths=["*", "v*"])))
    assert judged == [TARGETS, ALICE]


def test_a_tag_that_leaves_the_paths_of_its_role() -> None:
    scene = good_collection()
    narrow = scene.forger.successor(TARGETS, lambda d: d["delegations"]["roles"][1].update(paths=["v*"]))
    with refused(WouldBreakRole, "the stored role would no longer verify: ", role=ALICE):
        judge(scene, narrow)
    with refused(DelegationOutOfScope, role=ALICE, target="1.0"):
        judge(scene, narrow, scene.forger.successor(ALICE))


# --- the snapshot of an owner (Notary v1)


def _snapshot(scene: Scene, change: Change = lambda _: None, *uploads: Envelope) -> Envelope:
    """The next snapshot, which lists the uploads, and is then changed."""

    def written(document: Document) -> None:
        for upload in uploads:
            entry = scene.server.written(scene.server.meta(upload.version, upload.raw))
            document["meta"][scene.forger.listed(upload.role)] = entry
        change(document)

    return scene.forger.successor(SNAPSHOT, written)


def test_a_snapshot_by_a_stranger_or_without_effect() -> None:
    scene = good_collection(NOTARY)
    keyid = scene.server.online[SNAPSHOT].public_key.keyid
    stranger = scene.forger.successor(SNAPSHOT, signers=scene.forger.signers(SNAPSHOT, "mallory"))
    with refused(ThresholdNotMet, role=SNAPSHOT, version=8, delegator=ROOT, threshold=1, signed=[], unsigned=[keyid]):
        judge(scene, stranger)
    expired = _snapshot(scene, lambda d: d.update(expires=f"{NOW:%FT%TZ}"))
    with refused(MetadataExpired, role=SNAPSHOT, version=8, expires=f"{NOW:%FT%TZ}", at=f"{NOW:%FT%TZ}"):
        judge(scene, expired)
    limit = timedelta(days=4 * 365)
    end, too_late = NOW + limit, NOW + limit + timedelta(seconds=1)
    assert judge(scene, _snapshot(scene, lambda d: d.update(expires=f"{end:%FT%TZ}"))).snapshot is not None
    with refused(
        LivesTooLong,
        role=SNAPSHOT,
        version=8,
        expires=f"{too_late:%FT%TZ}",
        at=f"{NOW:%FT%TZ}",
        limit=limit.days * 86400,
    ):
        judge(scene, _snapshot(scene, lambda d: d.update(expires=f"{too_late:%FT%TZ}")))


@pytest.mark.parametrize("role", [ROOT, TARGETS])
def test_a_snapshot_without_a_role_that_it_must_list(role: RoleName) -> None:
    scene = good_collection(NOTARY)
    snapshot = _snapshot(scene)
    del snapshot.snapshot.meta[f"{role}.json"]  # which the reader refuses, too
    with refused(PublishRefused, f"does not list {role}", role=SNAPSHOT):
        judge(scene, snapshot)


def test_a_snapshot_that_does_not_list_what_comes_with_it() -> None:
    scene = good_collection(NOTARY)
    upload = scene.forger.successor(ALICE)
    with refused(PublishRefused, f"does not list {ALICE}", role=SNAPSHOT):
        judge(scene, upload, _snapshot(scene, lambda d: d["meta"].pop(ALICE)))
    with refused(PublishRefused, f"lists another {ALICE}: ", role=SNAPSHOT):
        judge(scene, upload, _snapshot(scene))
    assert judge(scene, upload, _snapshot(scene, lambda _: None, upload)).changed == (ALICE,)


@pytest.mark.parametrize(("removed", "other"), [(RELEASES, ALICE), (ALICE, RELEASES)])
def test_a_snapshot_that_lists_another_file_behind_one_that_its_owner_has_removed(
    removed: RoleName, other: RoleName
) -> None:
    """Whichever of the two comes first."""
    scene = good_collection(NOTARY)
    root = scene.server.written(scene.server.meta(2, scene.forger.raw(ROOT)))
    assert judge(scene, _snapshot(scene, lambda d: d["meta"].pop(removed))).snapshot is not None
    wrong = _snapshot(scene, lambda d: (d["meta"].pop(removed), d["meta"].update({other: root})))
    with refused(PublishRefused, f"lists another {other}: ", role=SNAPSHOT):
        judge(scene, wrong)
