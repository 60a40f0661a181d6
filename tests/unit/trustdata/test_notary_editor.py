"""Edits of collections in Notary v1: what its clients expect to stay, to go, or to be where it always was."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest

from keys.certificate import root_certificate
from keys.notary import NotaryKey
from tests.simulator import keyring
from tests.simulator.attacks.moves import set_member
from tests.simulator.keyring import Ring
from tests.simulator.owner import EVERY_KEY, Owner, digest_of
from tests.simulator.repository import APP, NOW, RepositorySimulator
from tests.simulator.scene import GOOD, NEWER, OLD, OTHER, Scene, good_collection
from trustcli.publish.preparation import Roles, prepare
from trustdata.editing import repository_editor as editor
from trustdata.editing.derived_roles import next_snapshot, next_timestamp
from trustdata.editing.owner_roles import OwnerRoles
from trustdata.editing.promises import Promises
from trustdata.editing.repository_editor import EditTerms
from trustdata.errors import PublishRefused, ThresholdNotMet
from trustdata.inspection import inspect
from trustdata.lifetimes import NOTARY_LIFETIMES
from trustdata.model import DelegatedRole, Root, Targets, UnversionedMeta
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification import checks
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

ALICE = RoleName("targets/alice")
KEYS = keyring.Keys(wire=NOTARY, gun=APP)


def _scene() -> Scene:
    return good_collection(NOTARY)


def _new() -> Owner:
    owner = Owner(RepositorySimulator(wire=NOTARY))
    owner.initialise()
    return owner


def _root(roles: Roles) -> Root:
    return roles[ROOT].root


def _delegated(targets: object) -> dict[str, DelegatedRole]:
    assert isinstance(targets, Targets)
    assert targets.delegations is not None
    return dict(targets.delegations.roles or {})


# --- a new collection, and its lifetimes


def test_a_new_collection_is_docker_s() -> None:
    roles = _new().read()
    root = _root(roles)
    assert root.consistent_snapshot is False
    assert {key.keytype for keyid, key in root.keys.items() if keyid in root.roles[ROOT].keyids} == {"ecdsa-x509"}
    for role in (TARGETS, SNAPSHOT, TIMESTAMP):
        assert {root.keys[keyid].keytype for keyid in root.roles[role].keyids} == {"ecdsa"}
    assert b'"delegations":{"keys":{},"roles":[]}' in roles[TARGETS].raw


def test_lifetimes_are_the_clients() -> None:
    assert EditTerms.of(NOTARY, at=NOW).lifetimes is NOTARY_LIFETIMES
    days = {role: (e.expires - NOW).days for role, e in _new().server.stored.items()}
    assert days == {ROOT: 3650, TARGETS: 1095, SNAPSHOT: 1095, TIMESTAMP: 14}


# --- tags and signers


def test_the_first_signer_moves_no_tag() -> None:
    owner = _new()
    owner.sign("1.0", GOOD)
    outcome = owner.add_signer("alice")
    assert set(outcome.uploads) == {TARGETS}
    roles = owner.read()
    assert list(roles[TARGETS].targets.targets) == ["1.0"]
    assert RELEASES not in roles
    delegated = _delegated(roles[TARGETS].content)
    assert list(delegated) == [RELEASES, ALICE]
    assert [role.paths for role in delegated.values()] == [[""], [""]]
    assert [role.terminating for role in delegated.values()] == [False, False]
    assert delegated[RELEASES].keyids == [KEYS.keyid("targets"), KEYS.keyid("alice")]


def test_a_signer_s_first_tag_makes_both_files() -> None:
    owner = _new()
    owner.add_signer("alice")
    outcome = Owner(owner.server, "alice").sign("1.0", GOOD)
    assert {role: envelope.version for role, envelope in outcome.uploads.items()} == {ALICE: 1, RELEASES: 1}
    (tag,) = inspect(owner.read()).tags
    assert (tag.tag, tag.digest, tag.signers) == ("1.0", GOOD, ("alice",))


def test_the_repository_key_releases_where_docker_left_it_out() -> None:
    """In a collection of `notary delegation add` the releases may not have it: the next signer brings it in."""
    scene = _scene()

    def without(document: dict[str, object]) -> None:
        roles = document["delegations"]["roles"]  # type: ignore[index]
        roles[0]["keyids"].remove(KEYS.keyid("targets"))

    set_member(scene, TARGETS, without)
    assert KEYS.keyid("targets") not in _delegated(scene.owner.read()[TARGETS].content)[RELEASES].keyids
    scene.owner.add_signer("carol")
    roles = scene.owner.read()
    assert KEYS.keyid("targets") in _delegated(roles[TARGETS].content)[RELEASES].keyids
    delegations = roles[TARGETS].targets.delegations
    assert delegations is not None
    assert KEYS.keyid("targets") in delegations.keys


def test_a_signer_who_has_released_nothing_yet_is_removed() -> None:
    owner = _new()
    owner.add_signer("alice")
    outcome = owner.remove_signer("alice")
    assert set(outcome.uploads) == {TARGETS}
    delegated = _delegated(owner.read()[TARGETS].content)
    assert list(delegated) == [RELEASES]
    assert delegated[RELEASES].keyids == [KEYS.keyid("targets")]


def test_a_removed_signer_s_releases_are_signed_anew() -> None:
    scene = _scene()
    outcome = scene.owner.remove_signer("alice")
    assert set(outcome.uploads) == {TARGETS, RELEASES}
    roles = scene.owner.read()
    assert roles[RELEASES].version == 3
    assert checks.check_signatures(roles[TARGETS].targets, TARGETS, roles[RELEASES]) == (KEYS.keyid("targets"),)
    assert scene.newcomer().digest("1.0") == f"sha256:{GOOD}"


def test_a_delegation_without_releases_is_removed_too() -> None:
    """`notary delegation add` makes no targets/releases."""
    owner = _new()
    carol = KEYS.key("carol")

    def delegate(roles: Roles) -> editor.Contents:
        contents = editor.add_signer(roles, "carol", [carol], terms=owner.terms)
        targets = contents[TARGETS]
        assert isinstance(targets, Targets)
        assert targets.delegations is not None
        targets.delegations.roles = {n: r for n, r in (targets.delegations.roles or {}).items() if n != RELEASES}
        return contents

    owner.publish(delegate)
    assert list(_delegated(owner.read()[TARGETS].content)) == ["targets/carol"]
    owner.remove_signer("carol")
    assert _delegated(owner.read()[TARGETS].content) == {}


def test_nested_delegations_are_signed_by_whom_their_own_parent_names() -> None:
    scene = _scene()
    team = RoleName("targets/alice/team")
    carol = KEYS.key("carol")

    def nest(document: dict[str, object]) -> None:
        role = {"keyids": [carol.keyid], "name": team, "paths": [""], "threshold": 1}
        document["delegations"] = {"keys": {carol.keyid: carol.to_dict()}, "roles": [role]}

    set_member(scene, ALICE, nest)
    roles = scene.owner.read()
    contents = editor.renew(roles, [team], terms=scene.owner.terms)
    assert contents[team].version == 1
    assert editor.signing_keys(roles, contents, team) == [((carol.keyid,), 1)]
    with pytest.raises(PublishRefused, match="nobody delegates to it"):
        editor.signing_keys(roles, {RoleName("targets/bob/team"): contents[team]}, RoleName("targets/bob/team"))
    Owner(scene.server, "carol").publish(lambda now: editor.renew(now, [team], terms=scene.owner.terms))
    assert scene.owner.read()[team].version == 1


def test_a_tag_s_children_stand_in_custom_that_docker_can_sign_again() -> None:
    scene = _scene()
    scene.owner.sign("multi", digest_of("index"), digest_of("arm"))
    assert scene.newcomer().judge("multi", f"sha256:{digest_of('arm')}").allowed
    scene.owner.renew(RELEASES)
    assert scene.newcomer().judge("multi", f"sha256:{digest_of('arm')}").allowed


def test_revoked_in_the_releases_it_is_what_targets_says_again() -> None:
    """Docker's own rule; who wants it gone takes it out of both, as we do with every key that we hold."""
    scene = _scene()
    Owner(scene.server, "alice").revoke("1.0")
    assert scene.newcomer().digest("1.0") == f"sha256:{OLD}"
    scene.owner.revoke("1.0")
    assert not scene.newcomer().judge("1.0").allowed
    assert scene.newcomer().digest("2.0") == f"sha256:{OTHER}"


# --- roots


def test_former_root_certificates_stay_and_other_replaced_keys_go() -> None:
    scene = _scene()
    before = _root(scene.owner.read())
    owner = Owner(scene.server, *EVERY_KEY, "root 2", "targets 2")
    owner.publish(
        lambda roles: editor.replace_root_keys(
            roles, remove=[KEYS.root_keyid("root")], add=[KEYS.root_key("root 2")], terms=owner.terms
        )
    )
    between = _root(scene.owner.read())
    assert set(between.keys) == set(before.keys) | {KEYS.root_keyid("root 2")}
    assert KEYS.root_keyid("root") not in between.roles[ROOT].keyids
    owner.publish(lambda roles: editor.replace_targets_key(roles, KEYS.key("targets 2"), terms=owner.terms))
    owner.replace_online_key(SNAPSHOT)
    after = _root(scene.owner.read())
    certificates = {keyid for keyid, key in after.keys.items() if key.keytype.endswith("-x509")}
    assert certificates == {KEYS.root_keyid(name) for name in ("root", "recovery", "root 2")}
    used = {keyid for name in (TARGETS, SNAPSHOT, TIMESTAMP) for keyid in after.roles[name].keyids}
    assert set(after.keys) == certificates | used
    assert scene.newcomer().digest("1.0") == f"sha256:{GOOD}"


def test_a_new_repository_key_takes_the_old_one_s_place_in_the_releases() -> None:
    for released in (True, False):
        owner = _new()
        owner.sign("0.1", GOOD)
        owner.add_signer("alice")
        if released:
            Owner(owner.server, "alice").sign("1.0", GOOD)
        new = Owner(owner.server, *EVERY_KEY, "targets 2")
        outcome = new.publish(
            lambda roles, n=new: editor.replace_targets_key(roles, KEYS.key("targets 2"), terms=n.terms)  # type: ignore[misc]
        )
        assert set(outcome.uploads) == {ROOT, TARGETS, *({RELEASES} if released else ())}
        releasers = _delegated(owner.read()[TARGETS].content)[RELEASES].keyids
        assert releasers == [KEYS.keyid("targets 2"), KEYS.keyid("alice")]


def test_a_new_repository_key_of_a_collection_without_signers() -> None:
    owner = _new()
    owner.sign("1.0", GOOD)
    new = Owner(owner.server, *EVERY_KEY, "targets 2")
    new.publish(lambda roles: editor.replace_targets_key(roles, KEYS.key("targets 2"), terms=new.terms))
    new.sign("1.0", NEWER)
    assert owner.read()[TARGETS].targets.targets["1.0"].hashes == {"sha256": NEWER}


# --- snapshot and timestamp


def test_entries_have_both_hashes_and_no_version_and_root_is_listed() -> None:
    roles = _scene().server.stored
    snapshot = next_snapshot(
        previous=roles[SNAPSHOT], changed=[roles[ROOT], roles[TARGETS]], at=NOW, lifetime=timedelta(days=1), wire=NOTARY
    )
    assert set(snapshot.meta) == {"root.json", "targets.json", "targets/releases.json", "targets/alice.json"}
    for role in (ROOT, TARGETS):
        meta = snapshot.meta[f"{role}.json"]
        raw = roles[role].raw
        assert isinstance(meta, UnversionedMeta)
        assert meta.version == 0
        assert meta.length == len(raw)
        assert meta.hashes == {"sha256": hashlib.sha256(raw).hexdigest(), "sha512": hashlib.sha512(raw).hexdigest()}
    timestamp = next_timestamp(
        previous=None, snapshot=roles[SNAPSHOT], at=NOW, lifetime=timedelta(days=1), wire=NOTARY, least=9
    )
    assert timestamp.version == 9
    assert isinstance(timestamp.snapshot_meta, UnversionedMeta)
    assert b'"meta":{"snapshot":{"hashes":{"sha256":' in NOTARY.payload(timestamp)


def test_tuf_s_lists_no_root_and_versions() -> None:
    roles = good_collection().server.stored
    snapshot = next_snapshot(
        previous=None, changed=[roles[ROOT], roles[TARGETS]], at=NOW, lifetime=timedelta(days=1), wire=TUF, least=7
    )
    assert {name: meta.version for name, meta in snapshot.meta.items()} == {"targets.json": 4}
    assert snapshot.version == 7


def test_a_snapshot_keeps_the_entry_of_a_removed_role() -> None:
    scene = _scene()
    scene.owner.remove_signer("alice")
    assert "targets/alice.json" in scene.server.stored[SNAPSHOT].snapshot.meta


# --- plans: promises instead of signatures


def test_promises_stand_in_notary_s_files_and_count_for_this_plan_alone() -> None:
    scene = _scene()
    promises, others = Promises(b"0" * 16), Promises(b"1" * 16)
    wire = promises.wire(NOTARY)
    terms = EditTerms.of(wire, at=NOW)
    roles = OwnerRoles({role: wire.parse(role, envelope.raw) for role, envelope in scene.owner.read().items()})
    contents = editor.renew(roles, [ROOT, TARGETS], terms=terms)
    ring = _Promising(promises, *EVERY_KEY)
    uploads = prepare(APP, roles, contents, keys=ring, wire=wire, at=NOW)
    root = uploads[ROOT]
    assert set(root.signatures) == {KEYS.root_keyid("root"), KEYS.root_keyid("recovery")}
    assert {s.unrecognized_fields["method"] for s in root.signatures.values()} == {"promised"}
    for reader in (NOTARY, others.wire(NOTARY)):
        old = reader.parse(ROOT, roles[ROOT].raw)
        with pytest.raises(ThresholdNotMet):
            checks.check_root_step(old, reader.parse(ROOT, root.raw))
    key = root.root.keys[KEYS.root_keyid("root")]
    assert getattr(key, "canonical_keyid") == KEYS.keyid("root")  # noqa: B009 - it is a wrapped key
    checks.check_root_belongs(APP, root, None, wire=wire, at=NOW)


class _Promising(Ring):
    def __init__(self, promises: Promises, *names: str) -> None:
        super().__init__(*names)
        self.signer = promises.signer  # type: ignore[method-assign]


def test_the_wire_of_a_plan_is_notary_s_in_every_fact() -> None:
    wire = Promises(b"0" * 16).wire(NOTARY)
    facts = [name for name in vars(type(NOTARY)) if not name.startswith("_") and name != "parse"]
    assert len(facts) > 15
    for name in facts:
        assert getattr(wire, name) == getattr(NOTARY, name), name


# --- what is shown


def test_a_signer_s_key_is_shown_by_the_bare_key_s_id_and_root_by_its_own() -> None:
    scene = _scene()
    certificate = root_certificate(keyring.private("carol"), gun="carol", at=NOW)
    scene.owner.publish(lambda roles: editor.add_signer(roles, "carol", [certificate], terms=scene.owner.terms))
    found = inspect(scene.owner.read())
    assert {s.name: s.keyids for s in found.signers}["carol"] == (KEYS.keyid("carol"),)
    assert found.root.keyids == (KEYS.root_keyid("root"), KEYS.root_keyid("recovery"))
    assert found.repository.keyids == (KEYS.keyid("targets"),)


def test_a_signer_s_key_that_cannot_be_read_is_shown_by_its_id_and_one_that_is_not_there_not_at_all() -> None:
    scene = _scene()
    broken = NotaryKey.of("ecdsa-x509", "AAAA")

    def change(document: dict[str, object]) -> None:
        delegations: dict[str, object] = document["delegations"]  # type: ignore[assignment]
        delegations["keys"] |= {broken.keyid: broken.to_dict()}  # type: ignore[operator]
        delegations["roles"][1]["keyids"] += [broken.keyid, "ab" * 32]  # type: ignore[index]

    set_member(scene, TARGETS, change)
    found = inspect(scene.owner.read())
    assert {s.name: s.keyids for s in found.signers}["alice"] == (KEYS.keyid("alice"), broken.keyid)
