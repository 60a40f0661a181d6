"""What a stolen key means in a collection, in both formats: its powers, its claims, and who else vouches for them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from datetime import timedelta
from functools import partial

import pytest

from keys.algorithms import key_fingerprint
from tests.simulator import keyring
from tests.simulator.client import Client
from tests.simulator.forgery import Document
from tests.simulator.owner import Owner
from tests.simulator.repository import RepositorySimulator
from tests.simulator.scene import EVIL, GOOD, NEWER, OLD, OTHER, Scene, good_collection
from trustdata.compromise import Claim, Compromise, Exposure, Power, examine, exposures
from trustdata.editing.owner_roles import OwnerDecisions, file_reference
from trustdata.envelope import Envelope
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.sought_key import SoughtKey
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

pytestmark = pytest.mark.parametrize("wire", [TUF, NOTARY], ids=["tuf", "notary"])
ALICE, BOB = RoleName("targets/alice"), RoleName("targets/bob")
_BASE64 = b64encode(b"a" * 64).decode()
"""A hash as Notary v1 writes it."""


def stolen(name: str) -> SoughtKey:
    return SoughtKey(fingerprint=key_fingerprint(keyring.key(name)))


def online(scene: Scene, role: RoleName) -> SoughtKey:
    return SoughtKey(fingerprint=key_fingerprint(scene.server.online[role].public_key))


def found(scene: Scene, key: SoughtKey, known: Mapping[RoleName, Envelope] | None = None) -> Compromise:
    return examine(scene.owner.read(), key, known=known or {}, at=scene.server.at)


def known(client: Client) -> dict[RoleName, Envelope]:
    client.collection().owner_roles()
    return client.collection().verified_files()


def threats(compromise: Compromise) -> dict[str, set[str]]:
    told: dict[str, set[str]] = {}
    for exposure in compromise.exposures:
        told.setdefault(exposure.client, set()).add(exposure.threat)
    return told


def claims(compromise: Compromise) -> dict[tuple[str, str], Claim]:
    return {(claim.tag, claim.digest): claim for claim in compromise.claims}


def test_a_key_that_nothing_names_means_nothing(wire: WireFormat) -> None:
    scene = good_collection(wire)
    nothing = Compromise(powers=(), exposures=(), claims=(), unproven=(), changes=None)
    assert found(scene, stolen("mallory")) == nothing
    assert nothing.holders == ()


def test_a_key_is_found_by_the_digits_of_its_id(wire: WireFormat) -> None:
    scene = good_collection(wire)
    by_id = SoughtKey(digits=scene.keys.keyid("alice")[:12])
    assert found(scene, by_id) == found(scene, stolen("alice"))


def test_a_signers_key(wire: WireFormat) -> None:
    scene = good_collection(wire)
    alice = found(scene, stolen("alice"))
    assert alice.holders == ("alice",)
    assert {(p.role, p.delegator, p.threshold, p.signed, p.alone) for p in alice.powers} == {
        (RELEASES, TARGETS, 1, True, True),
        (ALICE, TARGETS, 1, True, True),
    }
    assert {p.role: p.keys for p in alice.powers} == {RELEASES: 3, ALICE: 1}
    clients = ["trust", "docker", "notary"] if wire is NOTARY else ["trust", "python-tuf"]
    assert threats(alice) == {client: {"any-tag", "as-signer"} for client in clients}


def test_what_nobody_else_vouches_for(wire: WireFormat) -> None:
    """Whoever signs the releases signs all that stands there: no voucher for a single tag."""
    scene = good_collection(wire)
    Owner(scene.server, "bob").sign("3.0", NEWER)
    by_tag = claims(found(scene, stolen("alice")))
    one = by_tag["1.0", GOOD]
    assert one.signed_in == (ALICE,)
    assert one.others == ()
    assert (one.alone, one.released) == (True, True)
    assert by_tag.keys() == {("1.0", GOOD), ("2.0", OTHER)}  # the second is in nobody's own role


def test_another_signer_who_lists_the_same_digest_vouches_for_it(wire: WireFormat) -> None:
    scene = good_collection(wire)
    Owner(scene.server, "bob").sign("1.0", GOOD)
    one = claims(found(scene, stolen("alice")))["1.0", GOOD]
    assert one.others == ("bob",)
    assert not one.alone
    Owner(scene.server, "bob").sign("1.0", NEWER)
    both = claims(found(scene, stolen("alice")))
    assert both["1.0", GOOD].released is False
    assert ("1.0", NEWER) not in both


def test_in_notary_the_repository_key_vouches_for_what_targets_lists(wire: WireFormat) -> None:
    scene = good_collection(wire)
    Owner(scene.server, "alice").sign("1.0", OLD)
    one = claims(found(scene, stolen("alice")))["1.0", OLD]
    assert one.others == (("repository",) if wire is NOTARY else ())


def test_a_role_of_two_signatures_vouches_only_without_the_key(wire: WireFormat) -> None:
    scene = good_collection(wire)

    def two_of_two(document: Document) -> None:
        document["version"] += 1
        for role in document["delegations"]["roles"]:
            if role["name"] == ALICE:
                role["keyids"].append(scene.keys.keyid("bob"))
                role["threshold"] = 2

    scene.forger.alter(TARGETS, two_of_two)
    listed = {"1.0": scene.forger.target(GOOD)}
    scene.forger.alter(
        ALICE,
        lambda d: d.update(version=d["version"] + 1, targets=listed),
        signers=scene.forger.signers(ALICE, "alice", "bob"),
    )
    alice = found(scene, stolen("alice"))
    power = next(power for power in alice.powers if power.role == ALICE)
    assert (power.threshold, power.alone, power.signed) == (2, False, True)
    assert claims(alice)["1.0", GOOD].others == ()
    assert "with-others" in threats(alice)["trust"]
    assert "as-signer" not in threats(alice)["trust"]


def test_what_each_client_accepts_today(wire: WireFormat) -> None:
    """`notary` reads `targets` first and then every delegation, whether it releases or not."""
    scene = good_collection(wire)
    one = claims(found(scene, stolen("alice")))["1.0", GOOD]
    assert one.clients == (("trust", "docker") if wire is NOTARY else ("trust", "python-tuf"))
    scene.forger.alter(
        ALICE,
        lambda d: d.update(
            version=d["version"] + 1, targets={"9.0": scene.forger.target(EVIL), "1.0": scene.forger.target(GOOD)}
        ),
    )
    nine = claims(found(scene, stolen("alice")))["9.0", EVIL]
    assert nine.released is False
    assert nine.clients == (("notary",) if wire is NOTARY else ())
    if wire is NOTARY:
        scene.forger.alter(ALICE, lambda d: d["targets"].update({"9.0": {"hashes": {"sha512": _BASE64}, "length": 1}}))
    late = examine(
        scene.owner.read(), stolen("alice"), known={}, at=scene.server.stored[TIMESTAMP].expires + timedelta(1)
    )
    assert {claim.clients for claim in late.claims} == {()}


def test_an_expired_release_is_accepted_by_nobody(wire: WireFormat) -> None:
    scene = good_collection(wire)
    for role in (RELEASES, ALICE):
        scene.forger.alter(
            role,
            lambda d: d.update(version=d["version"] + 1, expires="2026-10-01T00:00:00Z"),
            signers=scene.forger.signers(role, "alice"),
        )
    one = claims(found(scene, stolen("alice")))["1.0", GOOD]
    assert one.clients == ()


def test_the_repository_key_claims_every_tag_that_it_can_release(wire: WireFormat) -> None:
    scene = good_collection(wire)
    Owner(scene.server, "bob").sign("3.0", NEWER)
    repository = found(scene, stolen("targets"))
    assert repository.holders == ("repository",)
    assert threats(repository)["trust"] == {"any-tag"}
    by_tag = claims(repository)
    assert by_tag["2.0", OTHER].alone
    assert ("3.0", NEWER) not in by_tag  # bob vouches for it
    if wire is NOTARY:
        assert by_tag["1.0", OLD].signed_in == (TARGETS,)
        assert by_tag["1.0", OLD].clients == ("notary",)


def test_the_root_key_and_the_servers_keys(wire: WireFormat) -> None:
    scene = good_collection(wire)
    for name in ("root", "recovery"):
        root = found(scene, stolen(name))
        assert root.holders == ("root",)
        assert root.claims == ()
        assert threats(root)["trust"] == {"owns-collection"}
    assert threats(found(scene, online(scene, TIMESTAMP)))["trust"] == {"withholds"}
    assert threats(found(scene, online(scene, SNAPSHOT)))["trust"] == {"with-others"}
    assert found(scene, online(scene, SNAPSHOT)).holders == ("server",)


def test_both_keys_of_the_server_together(wire: WireFormat) -> None:
    del wire
    powers = [
        Power(role=role, delegator=ROOT, threshold=1, keys=1, signed=True, version=1) for role in (SNAPSHOT, TIMESTAMP)
    ]
    (exposure,) = exposures(powers, ["trust"])
    assert exposure == Exposure(client="trust", threat="old-states", text=exposure.text)


# --- compared with what this machine has verified


def test_a_tag_is_as_it_was_or_new_or_moved(wire: WireFormat) -> None:
    scene = good_collection(wire)
    before = known(scene.regular())
    assert before.keys() >= {ROOT, TARGETS, RELEASES}
    Owner(scene.server, "alice").sign("9.0", EVIL)
    Owner(scene.server, "alice").sign("1.0", EVIL)
    alice = found(scene, stolen("alice"), before)
    by_tag = claims(alice)
    assert (by_tag["1.0", EVIL].since, by_tag["1.0", EVIL].before) == ("moved", GOOD)
    assert (by_tag["9.0", EVIL].since, by_tag["9.0", EVIL].before) == ("new", "")
    assert alice.changes is not None
    assert {change.tag for change in alice.changes.tags if change.role == RELEASES} == {"1.0", "9.0"}
    Owner(scene.server, "alice").sign("1.0", GOOD)
    assert claims(found(scene, stolen("alice"), before))["1.0", GOOD].since == "as-verified-here"


def test_nothing_is_known_where_nothing_was_verified(wire: WireFormat) -> None:
    scene = good_collection(wire)
    alice = found(scene, stolen("alice"))
    assert alice.changes is None
    assert {claim.since for claim in alice.claims} == {"not-known-here"}
    top_only = {role: file for role, file in known(scene.regular()).items() if role in (ROOT, TARGETS)}
    assert claims(found(scene, stolen("alice"), top_only))["1.0", GOOD].since == "not-known-here"


def test_keys_that_a_file_of_the_thief_may_name_are_unproven(wire: WireFormat) -> None:
    scene = good_collection(wire)
    before = known(scene.regular())
    assert found(scene, stolen("root"), before).unproven == ()
    assert [file.role for file in found(scene, stolen("root")).unproven] == [ROOT]
    assert [file.role for file in found(scene, stolen("targets")).unproven] == [TARGETS]
    assert found(scene, stolen("targets"), before).unproven == ()
    Owner(scene.server, "targets").renew(TARGETS)
    assert found(scene, stolen("targets"), before).unproven == ()  # the keys are those that were verified here
    Owner(scene.server, "targets").add_signer("mallory")
    (file,) = found(scene, stolen("targets"), before).unproven
    assert file.role == TARGETS
    assert found(scene, stolen("alice"), before).unproven == ()


def test_targets_without_delegations_names_no_key(wire: WireFormat) -> None:
    server = RepositorySimulator(wire=wire)
    owner = Owner(server)
    owner.initialise()
    owner.sign("1.0", GOOD)
    repository = examine(owner.read(), stolen("targets"), known={}, at=server.at)
    assert repository.unproven == ()
    assert claims(repository)["1.0", GOOD].alone


def test_releases_that_contradict_targets_release_nothing(wire: WireFormat) -> None:
    scene = good_collection(wire)
    scene.forger.alter(
        TARGETS, lambda d: d.update(version=d["version"] + 1, targets={"1.0": scene.forger.target(OTHER)})
    )
    one = claims(found(scene, stolen("alice")))["1.0", GOOD]
    assert one.released is (wire is NOTARY)


def test_an_entry_that_is_no_image_is_nobodys_claim(wire: WireFormat) -> None:
    scene = good_collection(wire)
    unusable = {"hashes": {"sha512": "ab" * 64 if wire is TUF else _BASE64}, "length": 1}
    listed = {ALICE: {"9.0": unusable}, TARGETS: {"8.0": unusable} if wire is NOTARY else {}}
    for role, targets in listed.items():
        version = scene.server.stored[role].version + 1
        scene.forger.alter(role, partial(_write, version=version, targets=targets))
    assert "9.0" not in {claim.tag for claim in found(scene, stolen("alice")).claims}


def _write(document: Document, **members: object) -> None:
    document.update(members)


def test_roles_that_clients_refuse_vouch_for_nothing(wire: WireFormat) -> None:
    scene = good_collection(wire)
    Owner(scene.server, "bob").sign("1.0", GOOD)
    scene.forger.alter(BOB, lambda d: d.update(version=d["version"] + 1), signers=scene.forger.signers(BOB, "mallory"))
    assert claims(found(scene, stolen("alice")))["1.0", GOOD].others == ()


def test_a_file_that_its_owner_accepts_unsigned_has_no_signature_of_the_key(wire: WireFormat) -> None:
    scene = good_collection(wire)
    Owner(scene.server, "bob").sign("3.0", NEWER)
    scene.forger.alter(BOB, lambda d: d.update(version=d["version"] + 1), signers=scene.forger.signers(BOB, "mallory"))
    decisions = OwnerDecisions(accept_unsigned=frozenset({file_reference(scene.server.stored[BOB])}))
    roles = scene.newcomer().collection().owner_roles(decisions)
    bob = examine(roles, stolen("bob"), known={}, at=scene.server.at)
    assert {power.role: power.signed for power in bob.powers} == {RELEASES: True, BOB: False}


def test_a_role_that_nobody_has_signed_has_no_version(wire: WireFormat) -> None:
    powers = found(good_collection(wire), stolen("bob")).powers
    assert {power.role: (power.version is None, power.signed) for power in powers} == {
        RELEASES: (False, False),
        BOB: (True, False),
    }
