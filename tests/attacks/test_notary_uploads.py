"""What `UploadRules` lets a publisher of Notary v1 do that one of TUF may not, and what stays refused there too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from keys.certificate import LEEWAY, root_certificate
from keys.notary import NotaryKey
from tests.simulator import keyring
from tests.simulator.forgery import Document, file_of, text_of
from tests.simulator.keyring import Ring
from tests.simulator.owner import EVERY_KEY, Owner
from tests.simulator.repository import APP, RepositorySimulator
from tests.simulator.scene import EVIL, GOOD, NEWER, Scene, good_collection
from trustcli.publish.preparation import prepare
from trustdata.editing import repository_editor as editor
from trustdata.editing.derived_roles import next_snapshot
from trustdata.editing.signing import sign
from trustdata.envelope import Envelope
from trustdata.errors import (
    CertificateOfAnotherName,
    MalformedMetadata,
    MetadataExpired,
    MetadataMissing,
    PublishRefused,
    ThresholdNotMet,
    VersionConflict,
    WouldBreakRole,
)
from trustdata.gun import parse_gun
from trustdata.model import Signer
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification.candidate_set import Candidate, judge_upload
from trustdata.wire.notary import NOTARY

ALICE, BOB = RoleName("targets/alice"), RoleName("targets/bob")
Change = Callable[[Document], object]


def _scene() -> Scene:
    return good_collection(NOTARY)


def _judge(scene: Scene, uploads: Mapping[RoleName, Envelope], *, at: datetime | None = None) -> Candidate:
    server = scene.server
    return judge_upload(gun=APP, stored=server.stored, uploads=uploads, at=at or server.at, wire=NOTARY)


def _next(scene: Scene, role: RoleName, change: Change = lambda _: None, *signers: Signer) -> Envelope:
    """The next version of a role, changed; without signers signed by the honest ones."""
    document = scene.forger.document(role)
    document["version"] += 1
    change(document)
    return NOTARY.parse(role, file_of(text_of(document), signers or scene.forger.signers_of(role)))


# --- empty, versions, names


def test_an_empty_upload_asks_for_a_new_snapshot() -> None:
    candidate = _judge(_scene(), {})
    assert candidate.changed == ()
    assert candidate.snapshot is None
    with pytest.raises(PublishRefused, match="first upload"):
        judge_upload(gun=APP, stored={}, uploads={}, at=_scene().server.at, wire=NOTARY)


def test_the_first_targets_may_have_any_version() -> None:
    scene = _scene()
    stored = scene.server.stored
    first = {ROOT: NOTARY.parse(ROOT, scene.server.files["1.root.json"]), TARGETS: _undelegated(scene, 7)}
    assert judge_upload(gun=APP, stored={}, uploads=first, at=scene.server.at, wire=NOTARY).changed == (ROOT, TARGETS)
    assert stored[TARGETS].version == 4


def _undelegated(scene: Scene, version: int) -> Envelope:
    return _next(scene, TARGETS, lambda d: (d.update(version=version), d.pop("delegations")))


@pytest.mark.parametrize("name", ["no tag", "v/1", "ü", "x" * 300])
def test_any_name_is_a_target(name: str) -> None:
    scene = _scene()
    target = scene.forger.target(GOOD)
    assert _judge(scene, {RELEASES: _next(scene, RELEASES, lambda d: d["targets"].update({name: target}))}).changed


def test_a_tag_may_stand_in_targets_and_in_releases() -> None:
    scene = _scene()
    target = scene.forger.target(EVIL)
    upload = _next(scene, TARGETS, lambda d: d["targets"].update({"1.0": target}))
    assert _judge(scene, {TARGETS: upload}).changed == (TARGETS,)


def test_a_root_without_consistent_snapshots_is_what_docker_writes() -> None:
    scene = _scene()
    assert scene.forger.document(ROOT)["consistent_snapshot"] is False
    for promise in (True, False):
        root = _next(scene, ROOT, lambda d, p=promise: d.update(consistent_snapshot=p))  # type: ignore[misc]
        assert _judge(scene, {ROOT: root}).changed == (ROOT,)


# --- roles that break


def _without_alice(document: Document) -> None:
    releases = document["delegations"]["roles"][0]
    releases["keyids"].remove(keyring.Keys(wire=NOTARY, gun=APP).keyid("alice"))


def test_a_stored_delegation_may_break_but_not_an_uploaded_one() -> None:
    scene = _scene()
    targets = _next(scene, TARGETS, _without_alice)
    assert _judge(scene, {TARGETS: targets}).changed == (TARGETS,)
    hers = _next(scene, RELEASES, lambda _: None, scene.keys.signer("alice"))
    with pytest.raises(ThresholdNotMet):
        _judge(scene, {TARGETS: targets, RELEASES: hers})


def test_stored_targets_may_not_break() -> None:
    """A role of its own key cannot be read by anybody until its owner signs it anew."""
    scene = _scene()
    new = scene.keys.key("new")

    def replaced(document: Document) -> None:
        document["keys"][new.keyid] = new.to_dict()
        document["roles"]["targets"]["keyids"] = [new.keyid]

    root = _next(scene, ROOT, replaced)
    with pytest.raises(WouldBreakRole, match="would no longer verify"):
        _judge(scene, {ROOT: root})
    mine = _next(scene, TARGETS, lambda _: None, scene.keys.signer("new"))
    assert _judge(scene, {ROOT: root, TARGETS: mine}).changed == (ROOT, TARGETS)


def test_paths_that_no_longer_hold_what_is_stored_or_uploaded() -> None:
    scene = _scene()
    narrow = _next(scene, TARGETS, lambda d: d["delegations"]["roles"][0].update(paths=["v"]))
    assert _judge(scene, {TARGETS: narrow, RELEASES: _next(scene, RELEASES)}).changed == (TARGETS, RELEASES)


@pytest.mark.parametrize(
    "change",
    [
        lambda role: role.update(keyids=[]),
        lambda role: role.update(keyids=["ab" * 32]),
        lambda role: role.update(threshold=9),
        lambda role: role.update(paths=[f"p{n}" for n in range(1000)]),
    ],
    ids=["no key", "a key that is not there", "a threshold that cannot be met", "a thousand paths"],
)
def test_a_delegation_may_be_without_use(change: Callable[[Document], object]) -> None:
    """`notary delegation purge` takes the last key away; nobody's signature counts then."""
    scene = _scene()
    targets = _next(scene, TARGETS, lambda d: change(d["delegations"]["roles"][2]))
    assert _judge(scene, {TARGETS: targets}).changed == (TARGETS,)


def test_but_not_with_a_key_that_nobody_accepts() -> None:
    scene = _scene()
    broken = NotaryKey.of("ecdsa", "AAAA")

    def change(document: Document) -> None:
        document["delegations"]["keys"][broken.keyid] = broken.to_dict()
        document["delegations"]["roles"][2]["keyids"] = [broken.keyid]

    with pytest.raises(MalformedMetadata, match="no key that can be read"):
        _judge(scene, {TARGETS: _next(scene, TARGETS, change)})


def test_a_top_level_role_may_not_be_without_use() -> None:
    scene = _scene()
    for name in ("snapshot", "timestamp", "targets", "root"):
        with pytest.raises((MalformedMetadata, CertificateOfAnotherName), match=r"not among the keys|cannot be read"):
            _judge(scene, {ROOT: _next(scene, ROOT, lambda d, n=name: d["roles"][n]["keyids"].append("ab" * 32))})  # type: ignore[misc]
        with pytest.raises((MalformedMetadata, ThresholdNotMet), match=r"distinct keys|2 of 3 signatures"):
            _judge(scene, {ROOT: _next(scene, ROOT, lambda d, n=name: d["roles"][n].update(threshold=3))})  # type: ignore[misc]


# --- nested delegations


def _delegating(scene: Scene, name: str, signer: str) -> Change:
    key = scene.keys.key(signer)
    role = {"keyids": [key.keyid], "name": name, "paths": [""], "threshold": 1}
    return lambda d: d.update(delegations={"keys": {key.keyid: key.to_dict()}, "roles": [role]})


def _nested(scene: Scene, *signers: Signer, name: str = "targets/alice/team") -> Envelope:
    document = {**scene.forger.document(ALICE), "version": 1, "delegations": {"keys": {}, "roles": []}}
    return NOTARY.parse(RoleName(name), file_of(text_of(document), signers))


def test_delegations_nest() -> None:
    scene = _scene()
    above = _next(scene, ALICE, _delegating(scene, "targets/alice/team", "carol"))
    below = _nested(scene, scene.keys.signer("carol"))
    assert _judge(scene, {below.role: below, ALICE: above}).changed == (ALICE, below.role)
    with pytest.raises(ThresholdNotMet):
        _judge(scene, {below.role: _nested(scene, scene.keys.signer("alice")), ALICE: above})
    with pytest.raises(MetadataMissing, match="nobody delegates"):
        _judge(scene, {below.role: below})


@pytest.mark.parametrize("given_away", ["targets/releases", "targets/bob", "targets/carol", "targets/bob/more"])
def test_a_signer_gives_nothing_away_that_is_not_below_him(given_away: str) -> None:
    scene = _scene()
    with pytest.raises(MalformedMetadata, match="the path of a role is its place"):
        _next(scene, ALICE, _delegating(scene, given_away, "bob"))


# --- root's certificates


def _root_with(scene: Scene, certificate: NotaryKey, *, at: datetime | None = None) -> Candidate:
    """The next root, whose only root key is the owner's in this certificate."""

    def named(document: Document) -> None:
        document["keys"][certificate.keyid] = certificate.to_dict()
        document["roles"]["root"] = {"keyids": [certificate.keyid], "threshold": 1}
        document["expires"] = "2199-01-01T00:00:00Z"

    new = NOTARY.signer(keyring.private("root"), certificate)
    root = _next(scene, ROOT, named, scene.keys.root_signer("root"), new)
    return _judge(scene, {ROOT: root}, at=at)


@pytest.mark.parametrize("name", [str(APP), "registry.example.com/team/*", "*"])
def test_a_root_certificate_for_the_collection(name: str) -> None:
    certificate = root_certificate(keyring.private("root"), gun=name, at=keyring.CERTIFIED)
    assert _root_with(_scene(), certificate).changed == (ROOT,)


@pytest.mark.parametrize("name", [f"{APP}2", str(APP)[:-1], "registry.example.com/other/*", f"*{APP}", f"{APP}/*"])
def test_a_root_certificate_for_another(name: str) -> None:
    scene = _scene()
    certificate = root_certificate(keyring.private("root"), gun=name, at=keyring.CERTIFIED)
    with pytest.raises(CertificateOfAnotherName, match="is a certificate for"):
        _root_with(scene, certificate)


def test_a_root_certificate_is_valid_when_it_is_uploaded() -> None:
    """As in the Go programs, the owner's clock may be a day ahead."""
    scene = _scene()
    certificate = root_certificate(keyring.private("root"), gun=APP, at=scene.server.at)
    for at in (scene.server.at - LEEWAY, scene.server.at, scene.server.at + timedelta(days=3650)):
        assert _root_with(scene, certificate, at=at).changed == (ROOT,)
    for at in (scene.server.at - LEEWAY - timedelta(seconds=1), scene.server.at + timedelta(days=3650, seconds=1)):
        with pytest.raises(CertificateOfAnotherName, match="to 2036-10-29 only"):
            _root_with(scene, certificate, at=at)


def test_a_root_key_without_certificate() -> None:
    scene = _scene()
    with pytest.raises(CertificateOfAnotherName, match="is no certificate"):
        _root_with(scene, NotaryKey.of(*_bare(scene)))


def _bare(scene: Scene) -> tuple[str, str]:
    key = scene.keys.key("root")
    return key.keytype, key.keyval["public"]


def test_the_collection_s_name_is_what_counts_not_the_stored_root_s() -> None:
    scene = _scene()
    other = parse_gun("registry.example.com/team/other")
    with pytest.raises(CertificateOfAnotherName):
        judge_upload(
            gun=other,
            stored=scene.server.stored,
            uploads={ROOT: _next(scene, ROOT)},
            at=scene.server.at,
            wire=NOTARY,
        )


# --- a snapshot of the owner's


def _holding() -> Scene:
    """The same collection, after the owner has taken over the snapshot's key."""
    scene = _scene()
    scene.server.owner_holds_snapshot = True
    new = scene.keys.key("snapshot of the owner")
    _owner(scene).publish(lambda roles: editor.replace_online_keys(roles, {SNAPSHOT: new}, terms=scene.owner.terms))
    return scene


def _owner(scene: Scene) -> Owner:
    return Owner(scene.server, *EVERY_KEY, "snapshot of the owner")


def _snapshot(
    scene: Scene,
    uploads: Mapping[RoleName, Envelope],
    change: Change = lambda _: None,
    *,
    signer: str = "snapshot of the owner",
) -> Envelope:
    """The owner's snapshot over the uploads, changed."""
    stored = scene.server.stored
    content = next_snapshot(
        previous=stored[SNAPSHOT],
        changed=uploads.values(),
        at=scene.server.at,
        lifetime=timedelta(days=1095),
        wire=NOTARY,
    )
    honest = sign(content, [], role=SNAPSHOT, wire=NOTARY)
    holder = replace(scene, server=scene.server.copy())
    holder.server.stored[SNAPSHOT] = honest
    document = holder.forger.document(SNAPSHOT)
    change(document)
    return NOTARY.parse(SNAPSHOT, file_of(text_of(document), [scene.keys.signer(signer)]))


def test_an_owner_s_snapshot_over_what_he_uploads() -> None:
    scene = _holding()
    uploads = {TARGETS: _next(scene, TARGETS)}
    snapshot = _snapshot(scene, uploads)
    candidate = _judge(scene, {**uploads, SNAPSHOT: snapshot})
    assert candidate.snapshot is snapshot
    assert candidate.changed == (TARGETS,)
    assert SNAPSHOT not in candidate.roles


def test_an_owner_s_snapshot_alone() -> None:
    scene = _holding()
    assert _judge(scene, {SNAPSHOT: _snapshot(scene, {})}).changed == ()


def test_who_signs_it() -> None:
    scene = _holding()
    for stranger in ("snapshot", "targets", "mallory"):
        with pytest.raises(ThresholdNotMet):
            _judge(scene, {SNAPSHOT: _snapshot(scene, {}, signer=stranger)})
    server_held = _scene()
    with pytest.raises(ThresholdNotMet):
        _judge(server_held, {SNAPSHOT: _snapshot(server_held, {})})


def test_a_snapshot_goes_on_and_has_not_expired() -> None:
    scene = _holding()
    now = scene.server.stored[SNAPSHOT].version
    with pytest.raises(VersionConflict):
        _judge(scene, {SNAPSHOT: _snapshot(scene, {}, lambda d: d.update(version=now))})
    later = _snapshot(scene, {}, lambda d: d.update(version=now + 5))
    assert _judge(scene, {SNAPSHOT: later}).snapshot is later
    with pytest.raises(MetadataExpired):
        _judge(scene, {SNAPSHOT: _snapshot(scene, {}, lambda d: d.update(expires="2026-11-01T12:00:00Z"))})


@pytest.mark.parametrize("role", [ROOT, TARGETS, RELEASES, ALICE])
@pytest.mark.parametrize("member", ["length", "sha256", "sha512"])
def test_it_lists_what_is_there(role: RoleName, member: str) -> None:
    scene = _holding()

    def lie(document: Document) -> None:
        entry = document["meta"][role]
        if member == "length":
            entry["length"] += 1
        else:
            entry["hashes"][member] = scene.server.written_hash("ab" * (32 if member == "sha256" else 64))

    with pytest.raises(PublishRefused, match=f"lists another {role}: "):
        _judge(scene, {SNAPSHOT: _snapshot(scene, {}, lie)})


def test_it_lists_the_old_file_of_what_is_uploaded() -> None:
    scene = _holding()
    for role in (ROOT, TARGETS, RELEASES):
        with pytest.raises(PublishRefused, match=f"lists another {role}"):
            _judge(scene, {role: _next(scene, role), SNAPSHOT: _snapshot(scene, {})})


def test_it_lists_all_that_is_uploaded_but_may_drop_what_is_not() -> None:
    scene = _holding()
    with pytest.raises(PublishRefused, match="does not list targets/alice"):
        _judge(
            scene,
            {ALICE: _next(scene, ALICE), SNAPSHOT: _snapshot(scene, {}, lambda d: d["meta"].pop("targets/alice"))},
        )
    assert _judge(scene, {SNAPSHOT: _snapshot(scene, {}, lambda d: d["meta"].pop("targets/alice"))}).snapshot


def test_a_timestamp_is_never_a_publisher_s() -> None:
    with pytest.raises(PublishRefused, match="issued by the server"):
        _judge(_scene(), {TIMESTAMP: _scene().server.stored[TIMESTAMP]})


def test_who_holds_its_key_sends_it_along() -> None:
    """Our own publisher: root and every role listed, one version on, read by everybody."""
    scene = _holding()
    before = scene.server.stored[SNAPSHOT].version
    outcome = _owner(scene).sign("1.0", NEWER)
    mine = outcome.uploads[SNAPSHOT]
    assert mine.version == before + 1
    assert set(mine.snapshot.meta) == {
        "root.json",
        "targets.json",
        "targets/releases.json",
        "targets/alice.json",
        "targets/bob.json",
    }
    assert scene.server.stored[SNAPSHOT].raw == mine.raw
    assert scene.newcomer().digest("1.0") == f"sha256:{NEWER}"


def test_who_does_not_hold_its_key_sends_none() -> None:
    scene = _holding()
    roles = scene.owner.read()
    uploads = prepare(
        APP,
        roles,
        editor.renew(roles, [TARGETS], terms=scene.owner.terms),
        keys=Ring("targets"),
        wire=NOTARY,
        at=scene.server.at,
    )
    assert set(uploads) == {TARGETS}


def test_a_new_collection_with_a_snapshot_key_of_one_s_own() -> None:
    server = RepositorySimulator(wire=NOTARY)
    server.owner_holds_snapshot = True
    owner = Owner(server, "root", "targets", "snapshot")
    contents = editor.new_collection(
        root_keys=[server.keys.root_key("root")],
        threshold=1,
        targets_key=server.keys.key("targets"),
        snapshot_key=server.keys.key("snapshot"),
        timestamp_key=server.online_key(APP, TIMESTAMP),
        terms=owner.terms,
    )
    outcome = owner.publish(lambda _: contents)
    assert set(outcome.uploads) == {ROOT, TARGETS, SNAPSHOT}
    assert outcome.uploads[SNAPSHOT].version == 1
    owner.sign("1.0", GOOD)
    assert Owner(server).read()[TARGETS].version == 2


def test_a_snapshot_that_came_without_root_or_targets() -> None:
    """The reader refuses such a file; whoever judges does not rely on that."""
    for role in (ROOT, TARGETS):
        scene = _holding()
        snapshot = _snapshot(scene, {})
        del snapshot.snapshot.meta[f"{role}.json"]
        with pytest.raises(PublishRefused, match=f"does not list {role}"):
            _judge(scene, {SNAPSHOT: snapshot})


@pytest.mark.parametrize("role", [SNAPSHOT, TIMESTAMP])
def test_one_key_bare_and_in_a_certificate_is_one(role: RoleName) -> None:
    """Of a role that is signed only afterwards: a threshold of two would lock everybody out."""
    scene = _scene()
    certificate = keyring.certificate(role, APP)

    def twice(document: Document) -> None:
        document["keys"][certificate.keyid] = certificate.to_dict()
        document["roles"][role]["keyids"].append(certificate.keyid)
        document["roles"][role]["threshold"] = 2

    with pytest.raises(MalformedMetadata, match="2 signatures are asked for, but there are 1 distinct keys"):
        _judge(scene, {ROOT: _next(scene, ROOT, twice)})
