"""A stolen key is taken out of everything in one edit, with the tags that nobody has chosen to keep: both formats."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable

import pytest

from keys.algorithms import key_fingerprint
from tests.simulator import keyring
from tests.simulator.client import Client
from tests.simulator.forgery import Document
from tests.simulator.owner import Owner, digest_of, tag_edit
from tests.simulator.repository import RepositorySimulator
from tests.simulator.scene import EVIL, GOOD, NEWER, OLD, OTHER, Scene, good_collection
from trustdata.compromise import Compromise, examine
from trustdata.denied import MAX_DENIED, deny_list
from trustdata.editing.altered_entries import contradicted
from trustdata.editing.key_removal import NOTHING_TO_CORRECT, Corrections, KeyRemoval, Replacements
from trustdata.editing.owner_roles import OwnerRoles
from trustdata.editing.repository_editor import Contents, add_signer, public_keys, set_tags, signers_of
from trustdata.errors import DigestDenied, PublishRefused
from trustdata.model import Key
from trustdata.roles import ONLINE, RELEASES, ROOT, TARGETS, TIMESTAMP, RoleName
from trustdata.sought_key import SoughtKey
from trustdata.verification.target_lookup import read_target
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

pytestmark = pytest.mark.parametrize("wire", [TUF, NOTARY], ids=["tuf", "notary"])
ALICE, BOB = RoleName("targets/alice"), RoleName("targets/bob")
CLEAN = ("root", "recovery", "targets", "bob", "new-root", "new-targets")
"""The keys of the owner without alice's."""


def accused(*names: str) -> list[SoughtKey]:
    return [SoughtKey(fingerprint=key_fingerprint(keyring.key(name))) for name in names]


def remove(
    scene: Scene,
    *keys: SoughtKey,
    root: Key | None = None,
    targets: Key | None = None,
    online: Iterable[RoleName] = (),
    revoked: Iterable[str] = (),
    corrections: Corrections = NOTHING_TO_CORRECT,
    held: tuple[str, ...] = CLEAN,
) -> KeyRemoval:
    """Publish the removal through the production publisher, and check that nothing names the keys."""
    owner = Owner(scene.server, *held)
    new = {role: scene.server.new_online_key(scene.server.gun, role) for role in online}
    made: list[KeyRemoval] = []

    def edit(read: OwnerRoles) -> Contents:
        keyids = {keyid for key in keys for keyid in key.among(public_keys(read, {}))}
        made.append(KeyRemoval(read, keyids, owner.terms))
        return made[-1].contents(Replacements(root=root, targets=targets, online=new), revoked, corrections)

    before = {role: file.version for role, file in owner.read().items()}
    result = owner.publish(edit)
    after = owner.read()
    assert not after.faults
    for key in keys:
        assert examine(after, key, known={}, at=owner.at).powers == ()
    for role in result.uploads:
        assert after[role].version == before[role] + 1
    return made[-1]


def test_a_signer_goes_with_its_tags(wire: WireFormat) -> None:
    scene = good_collection(wire)
    removal = remove(scene, *accused("alice"), revoked=["1.0"])
    assert removal.removed_signers == [ALICE]
    assert list(signers_of(scene.owner.read())) == [BOB]
    client = scene.newcomer()
    assert not client.judge("1.0").allowed  # in Notary v1 an older image lay beneath
    assert client.digest("2.0") == f"sha256:{OTHER}"


def test_what_was_chosen_stays(wire: WireFormat) -> None:
    scene = good_collection(wire)
    remove(scene, *accused("alice"))
    assert scene.newcomer().digest("1.0") == f"sha256:{GOOD}"
    assert scene.owner.read()[RELEASES].signatures.keys() == {scene.keys.keyid("targets")}


def test_a_signer_with_another_key_that_verifies_stays(wire: WireFormat) -> None:
    """A second key beside the first one, as in a replacement that is under way."""
    scene = good_collection(wire)
    Owner(scene.server, "targets").publish(
        lambda roles: add_signer(roles, "alice", [scene.keys.key("alice-2")], terms=scene.owner.terms)
    )
    lost_first = remove(scene, *accused("alice"), held=(*CLEAN, "alice-2"))
    assert lost_first.removed_signers == [ALICE]  # alice's last file has the signature of the stolen key alone

    scene = good_collection(wire)
    Owner(scene.server, "targets").publish(
        lambda roles: add_signer(roles, "alice", [scene.keys.key("alice-2")], terms=scene.owner.terms)
    )
    Owner(scene.server, "alice-2").sign("1.0", NEWER)
    kept = remove(scene, *accused("alice"))
    assert kept.removed_signers == []
    assert signers_of(scene.owner.read())[ALICE] == (scene.keys.keyid("alice-2"),)
    Owner(scene.server, "alice-2").sign("1.1", NEWER)


def test_a_signer_who_has_signed_nothing_stays_if_a_key_is_left(wire: WireFormat) -> None:
    scene = good_collection(wire)
    Owner(scene.server, "targets").publish(
        lambda roles: add_signer(roles, "bob", [scene.keys.key("bob-2")], terms=scene.owner.terms)
    )
    assert remove(scene, *accused("bob"), held=(*CLEAN, "alice")).removed_signers == []
    assert remove(scene, *accused("bob-2"), held=(*CLEAN, "alice")).removed_signers == [BOB]


def test_the_repository_key_is_replaced(wire: WireFormat) -> None:
    scene = good_collection(wire)
    remove(scene, *accused("targets"), targets=scene.keys.key("new-targets"), revoked=["2.0"])
    assert scene.newcomer().digest("1.0") == f"sha256:{GOOD}"
    assert not scene.newcomer().judge("2.0").allowed
    assert list(signers_of(scene.owner.read())) == [ALICE, BOB]


def test_a_collection_without_signers(wire: WireFormat) -> None:
    server = RepositorySimulator(wire=wire)
    owner = Owner(server)
    pin = owner.initialise()
    owner.sign("1.0", GOOD)
    owner.sign("2.0", EVIL)
    scene = Scene(server=server, past=server, pin=pin)
    remove(scene, *accused("targets"), targets=scene.keys.key("new-targets"), revoked=["2.0"])
    assert scene.newcomer().digest("1.0") == f"sha256:{GOOD}"
    assert not scene.newcomer().judge("2.0").allowed


def test_a_root_key_is_replaced_and_clients_follow(wire: WireFormat) -> None:
    scene = good_collection(wire)
    regular = scene.regular()
    remove(scene, *accused("root"), root=scene.keys.root_key("new-root"))
    assert regular.digest("1.0") == f"sha256:{GOOD}"
    assert scene.newcomer().digest("1.0") == f"sha256:{GOOD}"


def test_the_servers_keys_are_replaced_and_a_fast_forward_is_healed(wire: WireFormat) -> None:
    scene = good_collection(wire)
    regular = scene.regular()
    keys = [SoughtKey(fingerprint=key_fingerprint(scene.server.online[role].public_key)) for role in ONLINE]
    scene.forger.alter(TIMESTAMP, lambda d: d.update(version=d["version"] + 1_000_000), reissue=False)
    assert regular.digest("1.0") == f"sha256:{GOOD}"
    remove(scene, *keys, online=ONLINE)
    assert regular.digest("1.0") == f"sha256:{GOOD}"


def test_one_key_in_every_role_goes_in_one_publish(wire: WireFormat) -> None:
    scene = good_collection(wire)
    Owner(scene.server, "targets").publish(
        lambda roles: add_signer(roles, "carol", [scene.keys.key("targets")], terms=scene.owner.terms)
    )
    revision = scene.server.revision
    removal = remove(
        scene,
        *accused("root", "targets", "alice"),
        root=scene.keys.root_key("new-root"),
        targets=scene.keys.key("new-targets"),
        online=ONLINE,
        revoked=["1.0", "2.0"],
        held=("root", "recovery", "bob", "new-root", "new-targets"),
    )
    assert scene.server.revision == revision + 1
    assert removal.removed_signers == [ALICE, RoleName("targets/carol")]
    assert not any(scene.newcomer().judge(tag).allowed for tag in ("1.0", "2.0"))


@pytest.mark.parametrize(("name", "place"), [("root", "root"), ("targets", "targets")])
def test_a_replacement_that_is_missing_is_refused(wire: WireFormat, name: str, place: str) -> None:
    scene = good_collection(wire)
    with pytest.raises(PublishRefused, match=f"{place} would still name the key"):
        remove(scene, *accused(name))


def test_releases_that_would_have_too_few_keys_are_refused(wire: WireFormat) -> None:
    scene = good_collection(wire)

    def three(document: Document) -> None:
        document["version"] += 1
        for role in document["delegations"]["roles"]:
            if role["name"] == RELEASES:
                role["threshold"] = 3

    scene.forger.alter(TARGETS, three)
    roles = scene.owner.read()
    keyids = accused("alice")[0].among(public_keys(roles, {}))
    with pytest.raises(PublishRefused, match="3 keys are needed, 2 would be left"):
        KeyRemoval(roles, keyids, scene.owner.terms).contents(Replacements(online={}), [])


def test_releases_without_a_file_get_none(wire: WireFormat) -> None:
    """In Notary v1 nobody may have signed the releases yet."""
    server = RepositorySimulator(wire=wire)
    owner = Owner(server)
    pin = owner.initialise()
    owner.add_signer("alice")
    assert (RELEASES in owner.read()) == (wire is TUF)
    scene = Scene(server=server, past=server, pin=pin)
    remove(scene, *accused("alice"))
    assert (RELEASES in owner.read()) == (wire is TUF)


def test_delegations_without_releases_keep_their_shape(wire: WireFormat) -> None:
    """A collection of another program: signers, and no role that releases."""
    scene = good_collection(wire)

    def without_releases(document: Document) -> None:
        document["version"] += 1
        document["delegations"]["roles"] = [r for r in document["delegations"]["roles"] if r["name"] != RELEASES]

    scene.forger.alter(TARGETS, without_releases)
    roles = scene.owner.read()
    keyids = accused("alice")[0].among(public_keys(roles, {}))
    changed = KeyRemoval(roles, keyids, scene.owner.terms).contents(Replacements(online={}), [])
    assert set(changed) == {TARGETS}
    assert ROOT not in changed


# --- what the thief has written beside the digests that stay


def corrections(scene: Scene, *names: str, verified: Client | None = None) -> Corrections:
    """What the removal puts right: as `trust key compromised --remove` takes it from what was found."""
    found = look(scene, *names, verified=verified)
    return Corrections(altered=found.altered, denied=found.undenied)


def look(scene: Scene, *names: str, verified: Client | None = None) -> Compromise:
    known = verified.collection().verified_files() if verified else {}
    (key,) = accused(*names)
    return examine(scene.owner.read(), key, known=known, at=scene.server.at)


def verifying(scene: Scene) -> Client:
    client = scene.newcomer()
    client.collection().owner_roles()
    return client


def in_releases(scene: Scene, tag: str, digest: str, *children: str) -> None:
    """The thief of alice's key writes into the releases alone."""
    edit = tag_edit(tag, digest, *children)
    Owner(scene.server, "alice").publish(lambda r: set_tags(r, [edit], into=[RELEASES], terms=scene.owner.terms))


def test_platforms_that_the_thief_has_added_go(wire: WireFormat) -> None:
    """The digest of the index is the same; the platform runs by its own. Bob, who vouches, has not listed it."""
    scene = good_collection(wire)
    Owner(scene.server, "bob").sign("3.0", NEWER, GOOD)
    in_releases(scene, "3.0", NEWER, GOOD, EVIL)
    Owner(scene.server, "bob").sign("4.0", OTHER)  # the releases have the signature of an honest key again
    assert scene.newcomer().judge(None, f"sha256:{EVIL}").allowed
    remove(scene, *accused("alice"), revoked=["1.0", "2.0"], corrections=corrections(scene, "alice"))
    client = scene.newcomer()
    assert not client.judge(None, f"sha256:{EVIL}").allowed
    assert client.judge(None, f"sha256:{GOOD}").allowed
    assert client.digest("3.0") == f"sha256:{NEWER}"


def test_platforms_come_back_as_they_were_verified_here(wire: WireFormat) -> None:
    scene = good_collection(wire)
    Owner(scene.server, "alice").sign("3.0", NEWER, GOOD)
    verified = verifying(scene)
    in_releases(scene, "3.0", NEWER, EVIL)
    found = look(scene, "alice", verified=verified)
    assert [(each.tag, each.proven) for each in found.altered] == [("3.0", True)]
    remove(scene, *accused("alice"), corrections=corrections(scene, "alice", verified=verified))
    assert not scene.newcomer().judge(None, f"sha256:{EVIL}").allowed
    assert scene.newcomer().judge(None, f"sha256:{GOOD}").allowed


def test_platforms_that_nobody_has_proven_go_but_those_that_stop_the_index(wire: WireFormat) -> None:
    scene = good_collection(wire)
    scene.owner.deny(OLD)
    in_releases(scene, "3.0", NEWER, EVIL, OLD)
    (altered,) = look(scene, "alice").altered
    assert (altered.tag, altered.role, altered.proven) == ("3.0", RELEASES, False)
    remove(scene, *accused("alice"), corrections=corrections(scene, "alice"))
    assert not scene.newcomer().judge(None, f"sha256:{EVIL}").allowed
    assert isinstance(scene.newcomer().judge("3.0").refusal, DigestDenied)


def test_what_is_revoked_needs_no_platforms(wire: WireFormat) -> None:
    scene = good_collection(wire)
    in_releases(scene, "3.0", NEWER, EVIL)
    remove(scene, *accused("alice"), revoked=["3.0"], corrections=corrections(scene, "alice"))
    assert not scene.newcomer().judge("3.0").allowed


def test_a_signer_vouches_for_no_platform_beyond_the_own_paths(wire: WireFormat) -> None:
    """The owner has narrowed bob since he signed. An entry that is no image is nothing to put right."""
    scene = good_collection(wire)
    Owner(scene.server, "bob").sign("3.0", NEWER, GOOD)
    narrow = {"paths": ["b*"]} if wire is TUF else {"paths": ["b"]}

    def narrowed(document: Document) -> None:
        document["version"] += 1
        for role in document["delegations"]["roles"]:
            role.update(narrow if role["name"] == BOB else {})

    scene.forger.alter(TARGETS, narrowed)
    unusable = {"hashes": {"sha512": "ab" * 64 if wire is TUF else b64encode(b"a" * 64).decode()}, "length": 1}
    scene.forger.alter(RELEASES, lambda d: d["targets"].update({"9.0": unusable}))
    (altered,) = look(scene, "alice").altered
    assert (altered.tag, altered.proven) == ("3.0", False)
    assert "oci" not in (altered.entry.custom or {})


def test_what_others_wrote_is_left_alone(wire: WireFormat) -> None:
    """Files that the key cannot have written, and images without platforms."""
    scene = good_collection(wire)
    Owner(scene.server, "bob").sign("3.0", NEWER, GOOD)
    assert look(scene, "alice").altered == ()
    assert look(scene, "root").altered == ()


def test_signers_who_stay_say_what_stands_beside_their_digests(wire: WireFormat) -> None:
    """Not who leaves, nor who lists another digest, nor what is no image."""
    scene = good_collection(wire)
    assert list(contradicted(scene.owner.read().sound(), ALICE)) == []
    Owner(scene.server, "bob").sign("3.0", NEWER, GOOD)
    assert list(contradicted(scene.owner.read().sound(), ALICE)) == []
    in_releases(scene, "3.0", NEWER, EVIL)
    in_releases(scene, "1.0", GOOD, EVIL)
    (altered,) = contradicted(scene.owner.read().sound(), ALICE)
    assert (altered.role, altered.tag, read_target(ALICE, "3.0", altered.entry).children) == (RELEASES, "3.0", (GOOD,))
    (own,) = contradicted(scene.owner.read().sound(), BOB)
    assert own.tag == "1.0", "alice says that it has no platforms"
    in_releases(scene, "3.0", OTHER)
    assert list(contradicted(scene.owner.read().sound(), ALICE)) == []
    unusable = {"hashes": {"sha512": "ab" * 64 if wire is TUF else b64encode(b"a" * 64).decode()}, "length": 1}
    scene.forger.alter(RELEASES, lambda d: d["targets"].update({"3.0": unusable}))
    assert list(contradicted(scene.owner.read().sound(), ALICE)) == []
    without = {role: file for role, file in scene.owner.read().sound().items() if role != RELEASES}
    assert list(contradicted(without, ALICE)) == []


def test_what_was_denied_stays_denied(wire: WireFormat) -> None:
    """The thief of the repository key has taken it off the list. In Notary v1 the list is not ours to write."""
    scene = good_collection(wire)
    scene.owner.deny(EVIL, reason="stolen")
    verified = verifying(scene)

    def clear(document: Document) -> None:
        document["version"] += 1
        document["x-content-trust-denied"] = {f"sha256:{digest_of(str(n))}": {} for n in range(MAX_DENIED)}

    scene.forger.alter(TARGETS, clear)
    found = look(scene, "targets", verified=verified)
    assert found.undenied == {f"sha256:{EVIL}": "stolen"}
    assert look(scene, "alice", verified=verified).undenied == {}, "alice's key cannot have done it"
    assert look(scene, "targets").undenied == {}, "nothing was verified here"
    remove(
        scene,
        *accused("targets"),
        targets=scene.keys.key("new-targets"),
        corrections=corrections(scene, "targets", verified=verified),
    )
    denied = deny_list("", scene.owner.read()[TARGETS].targets)
    assert len(denied) == MAX_DENIED
    assert (f"sha256:{EVIL}" in denied) == wire.keeps_members


def test_what_lies_beneath_what_stays_goes(wire: WireFormat) -> None:
    """In Notary v1 `notary` answers from `targets` first; in TUF 1.0 nothing lies beneath."""
    scene = good_collection(wire)
    beneath = Corrections(beneath={(TARGETS, "1.0"), (TARGETS, "none"), (ALICE, "1.0")})
    remove(scene, *accused("targets"), targets=scene.keys.key("new-targets"), corrections=beneath)
    roles = scene.owner.read()
    assert "1.0" not in roles[TARGETS].targets.targets
    assert "1.0" in roles[ALICE].targets.targets, "who does not sign again cannot be corrected"
    assert scene.newcomer().digest("1.0") == f"sha256:{GOOD}"
