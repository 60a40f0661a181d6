"""What a server must refuse although it is well-formed: each case is an upload on top of a good collection.

Cases without `wire` are of TUF alone: `UploadRules` says why, and `test_notary_uploads` what Notary v1 does there.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.signer import CryptoSigner

from keys.notary import NotaryKey
from tests.simulator import keyring
from tests.simulator.forgery import Document, file_of, text_of
from tests.simulator.keyring import Keys
from tests.simulator.repository import APP
from tests.simulator.scene import EVIL, Scene, good_collection
from trustdata.errors import (
    DelegationOutOfScope,
    MalformedMetadata,
    MetadataExpired,
    MetadataMissing,
    PublishRefused,
    ReleaseConflict,
    ThresholdNotMet,
    TrustError,
    VersionConflict,
    VersionMismatch,
    WouldBreakRole,
)
from trustdata.model import DelegatedRole, Key
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification.candidate_set import Candidate, judge_upload
from trustdata.verification.second_opinion import check_second_opinion
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

ALICE, BOB = RoleName("targets/alice"), RoleName("targets/bob")
Change = Callable[[Document], object]


def _same(_: Document) -> None:
    """No change beyond the version."""


def _upload(scene: Scene, *parts: tuple[RoleName, Change] | tuple[RoleName, Change, tuple[str, ...]]) -> Candidate:
    """Judge the next versions of some roles; with names: signed by these keys."""
    uploads = {}
    for role, change, *names in parts:
        document = scene.forger.document(role)
        document["version"] += 1
        change(document)
        signers = scene.forger.signers(role, *names[0]) if names else scene.forger.signers_of(role)
        uploads[role] = scene.server.wire.parse(role, file_of(text_of(document), signers))
    server = scene.server
    return judge_upload(gun=APP, stored=server.stored, uploads=uploads, at=server.at, wire=server.wire)


@contextmanager
def _refused(kind: type[TrustError], text: str = "", role: str = "") -> Iterator[None]:
    with pytest.raises(kind) as caught:
        yield
    assert type(caught.value) is kind
    assert text in str(caught.value)
    if role:
        assert getattr(caught.value, "role", "") == role


def test_the_next_version_of_each_role_is_accepted_in_order(wire: WireFormat) -> None:
    scene = good_collection(wire)
    candidate = _upload(scene, (ALICE, _same), (RELEASES, _same), (TARGETS, _same), (ROOT, _same))
    assert candidate.changed == (ROOT, TARGETS, RELEASES, ALICE)
    assert candidate.root.version == 3
    assert candidate.targets.version == 5
    assert SNAPSHOT not in candidate.roles
    if wire is TUF:
        check_second_opinion(candidate.roles, candidate.changed)


def test_nothing() -> None:
    with _refused(PublishRefused, "no metadata"):
        judge_upload(gun=APP, stored={}, uploads={}, at=good_collection().server.at, wire=TUF)


@pytest.mark.parametrize("role", [SNAPSHOT, TIMESTAMP])
def test_online_roles(role: RoleName) -> None:
    with _refused(PublishRefused, "issued by the server", role):
        _upload(good_collection(), (role, _same))


def test_a_timestamp_in_notary_v1() -> None:
    """Its snapshot may come from the owner: see test_notary_uploads."""
    with _refused(PublishRefused, "issued by the server", TIMESTAMP):
        _upload(good_collection(NOTARY), (TIMESTAMP, _same))


@pytest.mark.parametrize("missing", [ROOT, TARGETS])
def test_a_first_upload_without_root_or_targets(wire: WireFormat, missing: RoleName) -> None:
    stored = good_collection(wire).server.stored
    other = TARGETS if missing == ROOT else ROOT
    with _refused(PublishRefused, "first upload", missing):
        judge_upload(gun=APP, stored={}, uploads={other: stored[other]}, at=good_collection(wire).server.at, wire=wire)


def _step(wire: WireFormat, role: RoleName, step: int) -> Candidate:
    """Upload the version that is `step` above the current one."""
    scene = good_collection(wire)
    return _upload(scene, (role, lambda d: d.update(version=scene.server.stored[role].version + step)))


@pytest.mark.parametrize(
    ("role", "step"),
    [(role, step) for role in (ROOT, TARGETS, RELEASES, ALICE) for step in (-1, 0) if (role, step) != (ALICE, -1)],
)
def test_a_version_that_is_not_the_next(wire: WireFormat, role: RoleName, step: int) -> None:
    """Alice's file is the first one."""
    with _refused(VersionConflict, "cannot follow", role):
        _step(wire, role, step)


@pytest.mark.parametrize("role", [ROOT, TARGETS, RELEASES, ALICE])
def test_a_version_is_left_out(role: RoleName) -> None:
    with _refused(VersionConflict, "cannot follow", role):
        _step(TUF, role, 2)


@pytest.mark.parametrize("role", [TARGETS, RELEASES, ALICE])
def test_a_version_is_left_out_in_notary_v1(role: RoleName) -> None:
    """Docker counts what it did not publish, too; only a root must be the next one."""
    assert _step(NOTARY, role, 2).changed == (role,)
    with _refused(VersionMismatch, "version 3 is expected", ROOT):
        _step(NOTARY, ROOT, 2)


def test_unsigned_and_strangers(wire: WireFormat) -> None:
    for role in (ROOT, TARGETS, RELEASES, ALICE):
        for names in ((), ("mallory",)):
            with _refused(ThresholdNotMet, "signatures", role):
                _upload(good_collection(wire), (role, _same, names))


@pytest.mark.parametrize("role", [ROOT, TARGETS, RELEASES, ALICE])
def test_expired_on_arrival(wire: WireFormat, role: RoleName) -> None:
    with _refused(MetadataExpired, "expired on 2026-11-01", role):
        _upload(good_collection(wire), (role, lambda d: d.update(expires="2026-11-01T12:00:00Z")))


def test_a_stored_role_may_be_expired(wire: WireFormat) -> None:
    scene = good_collection(wire)
    scene.forger.alter(ALICE, lambda d: d.update(version=2, expires="2026-10-01T00:00:00Z"))
    assert _upload(scene, (TARGETS, _same)).changed == (TARGETS,)


def test_root_without_consistent_snapshots() -> None:
    with _refused(MalformedMetadata, "consistent_snapshot: must be true", ROOT):
        _upload(good_collection(), (ROOT, lambda d: d.update(consistent_snapshot=False)))


def test_root_of_version_one_must_be_signed_by_itself(wire: WireFormat) -> None:
    scene = good_collection(wire)
    stored = scene.server.stored
    first = wire.parse(ROOT, scene.server.files["1.root.json"])
    targets = (
        scene.server.stored[TARGETS] if wire is NOTARY else TUF.parse(TARGETS, scene.server.files["1.targets.json"])
    )
    assert judge_upload(
        gun=APP, stored={}, uploads={ROOT: first, TARGETS: targets}, at=scene.server.at, wire=wire
    ).changed
    document = scene.forger.document(ROOT)
    document["version"] = 1
    unsigned = wire.parse(ROOT, file_of(text_of(document), []))
    with _refused(ThresholdNotMet, role=ROOT):
        judge_upload(gun=APP, stored={}, uploads={ROOT: unsigned, TARGETS: targets}, at=scene.server.at, wire=wire)
    assert stored[ROOT].version == 2


def _threshold(role: str, number: int) -> Change:
    return lambda d: d["roles"][role].update(threshold=number)


def test_thresholds_that_cannot_be_met(wire: WireFormat) -> None:
    with _refused(MalformedMetadata, "there are 1 distinct keys", ROOT):
        _upload(good_collection(wire), (ROOT, _threshold("snapshot", 2)))


def test_the_threshold_of_a_delegation_that_cannot_be_met() -> None:
    """Notary v1 lets an owner break a role: see test_notary_uploads."""
    with _refused(MalformedMetadata, "there are 1 distinct keys", TARGETS):
        _upload(good_collection(), (TARGETS, lambda d: d["delegations"]["roles"][2].update(threshold=2)))


def test_keys_that_are_not_there_or_not_accepted(wire: WireFormat) -> None:
    with _refused(MalformedMetadata, "not among the keys", ROOT):
        _upload(good_collection(wire), (ROOT, lambda d: d["roles"]["snapshot"]["keyids"].append("ab" * 32)))
    foreign: Key = CryptoSigner.generate_rsa(size=2048, scheme="rsa-pkcs1v15-sha256").public_key
    if wire is NOTARY:  # of weak keys, which may be named there: tests/attacks/test_weak_keys.py
        der = (
            ec.generate_private_key(ec.SECP256K1())
            .public_key()
            .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )
        foreign = NotaryKey.of("ecdsa", base64.b64encode(der).decode())

    def add_foreign(document: Document) -> None:
        document["keys"][foreign.keyid] = foreign.to_dict()
        document["roles"]["snapshot"]["keyids"].append(foreign.keyid)

    with _refused(MalformedMetadata, "is not accepted", ROOT):
        _upload(good_collection(wire), (ROOT, add_foreign))


def test_a_root_that_replaces_the_targets_key_needs_new_targets(wire: WireFormat) -> None:
    def replace(document: Document) -> None:
        new = Keys(wire=wire, gun=APP).key("new")
        document["keys"][new.keyid] = new.to_dict()
        document["roles"]["targets"]["keyids"] = [new.keyid]

    with _refused(WouldBreakRole, "would no longer verify", TARGETS):
        _upload(good_collection(wire), (ROOT, replace))
    assert _upload(good_collection(wire), (ROOT, replace), (TARGETS, _same, ("new",))).changed == (ROOT, TARGETS)


def test_a_removed_signer_whose_releases_stay() -> None:
    def without_alice(document: Document) -> None:
        releases = document["delegations"]["roles"][0]
        releases["keyids"].remove(keyring.keyid("alice"))

    with _refused(WouldBreakRole, "would no longer verify", RELEASES):
        _upload(good_collection(), (TARGETS, without_alice))
    assert _upload(good_collection(), (TARGETS, without_alice), (RELEASES, _same, ("targets",))).changed


def test_paths_that_no_longer_hold_what_is_stored() -> None:
    def narrow(document: Document) -> None:
        document["delegations"]["roles"][0]["paths"] = ["v*"]

    with _refused(WouldBreakRole, "outside the paths", RELEASES):
        _upload(good_collection(), (TARGETS, narrow))


def test_a_tag_out_of_scope() -> None:
    scene = good_collection()

    def narrow(document: Document) -> None:
        document["delegations"]["roles"][2]["paths"] = ["v*"]
        document["version"] += 1

    scene.forger.alter(TARGETS, narrow)
    scene.forger.put(BOB, scene.server.stored[ALICE].raw, version=1, reissue=False)
    document = scene.forger.document(ALICE)
    scene.server.stored.pop(BOB)
    bobs = TUF.parse(BOB, file_of(text_of(document), [keyring.signer("bob")]))
    with _refused(DelegationOutOfScope, "'1.0'", BOB):
        judge_upload(gun=APP, stored=scene.server.stored, uploads={BOB: bobs}, at=scene.server.at, wire=TUF)


def test_a_role_that_nobody_delegates_to(wire: WireFormat) -> None:
    scene = good_collection(wire)
    carol = RoleName("targets/carol")
    upload = wire.parse(carol, file_of(text_of({**scene.forger.document(ALICE), "version": 1}), []))
    with _refused(MetadataMissing, "nobody delegates", carol):
        judge_upload(gun=APP, stored=scene.server.stored, uploads={carol: upload}, at=scene.server.at, wire=wire)


def test_a_tag_in_both_releasing_roles() -> None:
    tag = {"1.0": {"hashes": {"sha256": EVIL}, "length": 1}}
    with _refused(ReleaseConflict, "neither is trusted"):
        _upload(good_collection(), (TARGETS, lambda d: d["targets"].update(tag)))


@pytest.mark.parametrize(
    ("name", "target", "text"),
    [
        ("no tag", {"hashes": {"sha256": EVIL}, "length": 1}, "not an OCI tag"),
        ("v1", {"hashes": {"sha512": EVIL * 2}, "length": 1}, "sha256 of the manifest"),
        ("v1", {"hashes": {"sha256": "abcd"}, "length": 1}, "sha256 of the manifest"),
    ],
)
def test_tags_that_no_client_could_use(name: str, target: Document, text: str) -> None:
    with _refused(MalformedMetadata, text, RELEASES):
        _upload(good_collection(), (RELEASES, lambda d: d["targets"].update({name: target})))


def test_a_skipped_root_and_one_by_new_keys_only(wire: WireFormat) -> None:
    scene = good_collection(wire)

    def mine(document: Document) -> None:
        mallory = scene.keys.root_key("mallory")
        document["keys"][mallory.keyid] = mallory.to_dict()
        document["roles"]["root"] = {"keyids": [mallory.keyid], "threshold": 1}

    for names in (("mallory",), ("root",)):
        with _refused(ThresholdNotMet, role=ROOT):
            _upload(scene, (ROOT, mine, names))
    assert _upload(scene, (ROOT, mine, ("root", "mallory"))).changed == (ROOT,)
    assert not issubclass(VersionMismatch, VersionConflict)


def test_succinct_roles() -> None:
    """Bins: delegated, in scope, with keys that can be used; and never more than a snapshot can list."""
    scene = good_collection()
    scene.server.stored = {role: e for role, e in scene.server.stored.items() if role in (ROOT, TARGETS)}

    def bins(bits: int, keyids: list[str]) -> Change:
        succinct = {"bit_length": bits, "keyids": keyids, "name_prefix": "bin", "threshold": 1}
        keys = {keyring.keyid("alice"): keyring.key("alice").to_dict()}
        return lambda d: d.update(delegations={"keys": keys, "succinct_roles": succinct})

    assert _upload(scene, (TARGETS, bins(2, [keyring.keyid("alice")]))).changed == (TARGETS,)
    with _refused(MalformedMetadata, "not among the keys", TARGETS):
        _upload(scene, (TARGETS, bins(2, ["ab" * 32])))
    with _refused(MalformedMetadata, "must be 14 or less", TARGETS):
        _upload(scene, (TARGETS, bins(15, [keyring.keyid("alice")])))
    scene.forger.alter(TARGETS, lambda d: (d.update(version=5), bins(2, [keyring.keyid("alice")])(d)), reissue=False)
    tag = {"1.0": {"hashes": {"sha256": EVIL}, "length": 1}}
    empty = {"_type": "targets", "spec_version": "1.0.31", "version": 1, "expires": "2030-01-01T00:00:00Z"}
    verdicts = []
    for index in range(4):
        role = RoleName(f"bin-{index}")
        upload = TUF.parse(role, file_of(text_of({**empty, "targets": tag}), [keyring.signer("alice")]))
        try:
            judge_upload(gun=APP, stored=scene.server.stored, uploads={role: upload}, at=scene.server.at, wire=TUF)
            verdicts.append("in")
        except DelegationOutOfScope:
            verdicts.append("out")
    assert sorted(verdicts) == ["in", "out", "out", "out"]


def test_the_second_opinion_counts() -> None:
    scene = good_collection()
    roles = dict(scene.server.stored)
    roles[RELEASES] = TUF.parse(RELEASES, file_of(text_of(scene.forger.document(RELEASES)), []))
    with _refused(PublishRefused, "python-tuf refuses it", RELEASES):
        check_second_opinion(roles, [RELEASES])
    roles[TARGETS] = TUF.parse(TARGETS, file_of(text_of(scene.forger.document(TARGETS)), []))
    with _refused(PublishRefused, "python-tuf refuses it", TARGETS):
        check_second_opinion(roles, [TARGETS])


def _delegating(*roles: RoleName) -> Change:
    """The document gives these roles to bob's key."""
    named = [DelegatedRole(r, [keyring.keyid("bob")], 1, terminating=False, paths=["*"]).to_dict() for r in roles]
    keys = {keyring.keyid("bob"): keyring.key("bob").to_dict()}
    return lambda d: d.update(delegations={"keys": keys, "roles": named})


@pytest.mark.parametrize("given_away", [RELEASES, ALICE, RoleName("targets/carol"), RoleName("targets/bob/more")])
def test_a_signer_gives_nothing_away(given_away: RoleName) -> None:
    """A thief of one signer's key could otherwise take names that are not his, and lock the owner out for ever."""
    with _refused(PublishRefused, "only targets does", role=ALICE):
        _upload(good_collection(), (ALICE, _delegating(given_away)))


@pytest.mark.parametrize(
    ("change", "path", "text"),
    [
        (lambda roles: roles.reverse(), "signed.delegations.roles[2]", "must be the first delegation"),
        (lambda roles: roles[0].update(terminating=False), "signed.delegations.roles[0].terminating", "must be true"),
        (lambda roles: roles[0].update(paths=["*", "v*"]), "signed.delegations.roles[0].paths", 'must be ["*"]'),
    ],
    ids=["not the first", "not terminating", "not for every tag"],
)
def test_releases_that_a_walking_client_would_not_end_at(
    change: Callable[[list[Document]], object], path: str, text: str
) -> None:
    scene = good_collection()
    with pytest.raises(MalformedMetadata, match=re.escape(text)) as caught:
        _upload(scene, (TARGETS, lambda d: change(d["delegations"]["roles"])), (RELEASES, _same))
    assert (caught.value.role, caught.value.path) == (TARGETS, path)


def test_more_paths_than_anybody_should_be_asked_to_match() -> None:
    def paths(number: int) -> Change:
        return lambda d: d["delegations"]["roles"][2].update(paths=[f"p{n}" for n in range(number)])

    assert _upload(good_collection(), (TARGETS, paths(64))).changed == (TARGETS,)
    with _refused(MalformedMetadata, "has more than 64 paths", TARGETS):
        _upload(good_collection(), (TARGETS, paths(65)))


def test_a_delegation_to_a_top_level_role(wire: WireFormat) -> None:
    """Both readers refuse it; whoever judges does not rely on that."""
    scene = good_collection(wire)
    targets = scene.forger.successor(TARGETS)
    delegations = targets.targets.delegations
    assert delegations is not None
    assert delegations.roles is not None
    delegations.roles["snapshot"] = DelegatedRole("snapshot", [], 1, terminating=False, paths=["*"])
    with _refused(PublishRefused, "is no delegation", SNAPSHOT):
        judge_upload(gun=APP, stored=scene.server.stored, uploads={TARGETS: targets}, at=scene.server.at, wire=wire)
