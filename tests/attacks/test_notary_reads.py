"""What a reader of Notary v1 must notice besides the catalogue: whose collection it is, and what was dropped."""

from __future__ import annotations

from datetime import timedelta

import pytest

from keys.certificate import LIFETIME, root_certificate
from tests.simulator import keyring
from tests.simulator.attacks.moves import root_is, set_member
from tests.simulator.client import Client
from tests.simulator.forgery import Document
from tests.simulator.owner import EVERY_KEY, Owner
from tests.simulator.owner_commands import expire_role
from tests.simulator.repository import APP, NOW, RepositorySimulator
from tests.simulator.scene import GOOD, OLD, OTHER, good_collection
from trustdata.errors import (
    CertificateOfAnotherName,
    MalformedMetadata,
    MetadataExpired,
    NotSigned,
    PolicyRefused,
    RootNotPinned,
    ThresholdNotMet,
    VersionRollback,
)
from trustdata.gun import parse_gun
from trustdata.roles import RELEASES, ROOT, TARGETS, RoleName
from trustdata.verification.lock_entry import SourcedLock
from trustdata.verification.trust_pinning import Pin, fingerprint
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

ALICE = RoleName("targets/alice")


def test_the_collection_of_another_name() -> None:
    """Somebody else's good collection under this name: trust on first use does not take it, nor does a pin of it."""
    server = RepositorySimulator(wire=NOTARY, gun=parse_gun("registry.example.com/team/other"))
    pin = Owner(server).initialise()
    Owner(server).sign("1.0", GOOD)
    assert Client(server, tofu=True).digest() == f"sha256:{GOOD}"
    server.gun = APP
    for client in (Client(server, tofu=True), Client(server, pins=[pin])):
        assert isinstance(client.judge().refusal, CertificateOfAnotherName)
        assert client.recorded == []


def test_a_certificate_s_validity_is_the_server_s_business() -> None:
    """Go's clients only warn of it when they read; what ends for us is the root itself."""
    scene = good_collection(NOTARY)
    long_ago = root_certificate(keyring.private("root"), gun=APP, at=NOW - LIFETIME - timedelta(days=1))
    new = NOTARY.signer(keyring.private("root"), long_ago)
    root_is(scene, long_ago, [*scene.forger.signers(ROOT, "root"), new])
    assert scene.newcomer().digest() == f"sha256:{GOOD}"


@pytest.mark.parametrize("wire", FORMATS.values(), ids=list(FORMATS))
def test_a_pin_of_the_same_keys_in_the_other_format_is_another_root(wire: WireFormat) -> None:
    other = TUF if wire is NOTARY else NOTARY
    pin = fingerprint(other.parse(ROOT, good_collection(other).server.files["1.root.json"]))
    refusal = Client(good_collection(wire).server, pins=[pin]).judge().refusal
    assert isinstance(refusal, RootNotPinned)
    keyid = good_collection(other).keys.root_keyid("root")
    assert isinstance(Client(good_collection(wire).server, pins=[Pin("key", keyid)]).judge().refusal, RootNotPinned)


@pytest.mark.parametrize("wire", FORMATS.values(), ids=list(FORMATS))
def test_the_root_of_the_other_format_is_no_root(wire: WireFormat) -> None:
    other = good_collection(TUF if wire is NOTARY else NOTARY)
    scene = good_collection(wire)
    scene.server.files["1.root.json"] = other.server.files["1.root.json"]
    assert isinstance(scene.newcomer().judge().refusal, MalformedMetadata)


def test_a_removed_role_that_the_owner_s_snapshot_drops_is_not_missed() -> None:
    """Nobody delegates to it any more: that it was seen before says nothing."""
    scene = good_collection(NOTARY)
    client = scene.regular()
    assert client.judge("1.0", None, "alice").allowed
    owner = Owner(scene.server, *EVERY_KEY)
    owner.remove_signer("alice")
    scene.forger.list_in_snapshot(ALICE, None)
    assert client.digest("1.0") == f"sha256:{GOOD}"


def test_one_that_is_delegated_still_is_missed_by_whoever_needs_it() -> None:
    scene = good_collection(NOTARY)
    client = scene.regular()
    assert client.judge("1.0", None, "alice").allowed
    scene.forger.list_in_snapshot(ALICE, None)
    assert client.judge("1.0").allowed, "nobody asked about alice"
    refusal = client.judge("1.0", None, "alice").refusal
    assert isinstance(refusal, VersionRollback)
    assert refusal.role == "targets/alice"


def test_a_locked_role_that_is_dropped_is_missed() -> None:
    """The project's lock knows it, where this machine has seen nothing yet."""
    scene = good_collection(NOTARY)
    known = scene.regular()
    entry = known.lock_entry()
    newcomer = scene.newcomer()
    newcomer.lock = SourcedLock(entry=entry, source="trust.lock")
    assert newcomer.judge("1.0").allowed
    scene.forger.list_in_snapshot(RELEASES, None)
    late = scene.newcomer()
    late.lock = SourcedLock(entry=entry, source="trust.lock")
    refusal = late.judge("1.0").refusal
    assert isinstance(refusal, VersionRollback)
    assert refusal.source == "locked in trust.lock"


def test_a_lock_holds_every_published_role_and_leaves_out_what_nobody_vouches_for() -> None:
    scene = good_collection(NOTARY)
    assert scene.regular().lock_entry().minimum == {
        "timestamp": 7,
        "snapshot": 7,
        "targets": 4,
        "targets/releases": 2,
        "targets/alice": 1,
    }
    locked = scene.newcomer()
    locked.lock = SourcedLock(entry=scene.regular().lock_entry(), source="trust.lock")
    scene.forger.alter(ALICE, lambda d: d.update(version=2), signers=scene.forger.signers(ALICE, "mallory"))
    assert "targets/alice" not in scene.regular().lock_entry().minimum
    with pytest.raises(ThresholdNotMet):
        locked.lock_entry()
    scene.forger.alter(RELEASES, lambda d: d.update(version=3), signers=scene.forger.signers(RELEASES, "mallory"))
    with pytest.raises(ThresholdNotMet):
        scene.newcomer().lock_entry()


def test_a_lock_is_written_without_a_signer_s_role_that_has_expired() -> None:
    scene = good_collection(NOTARY)
    locked = scene.newcomer()
    locked.lock = SourcedLock(entry=scene.regular().lock_entry(), source="trust.lock")
    expire_role(scene, ALICE)
    entry = scene.newcomer().lock_entry()
    assert ALICE not in entry.minimum
    assert entry.minimum[RELEASES] == 2
    with pytest.raises(MetadataExpired):
        locked.lock_entry()
    expire_role(scene, RELEASES)
    with pytest.raises(MetadataExpired):
        scene.newcomer().lock_entry()


def test_what_the_releases_say_beyond_their_paths_is_not_heard() -> None:
    """As docker reads: what targets says of the tag counts, and where it says nothing the tag is not signed."""
    scene = good_collection(NOTARY)
    set_member(scene, TARGETS, lambda d: d["delegations"]["roles"][0].update(paths=["1."]))
    assert scene.newcomer().digest("1.0") == f"sha256:{GOOD}"
    assert isinstance(scene.newcomer().judge("2.0").refusal, NotSigned)
    assert isinstance(scene.newcomer().judge(None, f"sha256:{OTHER}").refusal, NotSigned)
    set_member(scene, TARGETS, lambda d: d["delegations"]["roles"][0].update(paths=[]))
    assert scene.newcomer().digest("1.0") == f"sha256:{OLD}"
    set_member(scene, TARGETS, lambda d: d["delegations"]["roles"][0].update(paths=["v", ""]))
    assert scene.newcomer().digest("2.0") == f"sha256:{OTHER}"


def test_an_owner_is_not_shown_what_was_there_before_the_releases() -> None:
    """Neither to look at nor to edit: he would sign the old digest again."""
    scene = good_collection(NOTARY)
    client = scene.regular()
    scene.forger.list_in_snapshot(RELEASES, None)
    roles = client.collection().owner_roles()
    fault = roles.faults[RELEASES]
    assert isinstance(fault, VersionRollback)
    assert (fault.role, roles.unvouched[RELEASES]) == (RELEASES, fault)
    assert RELEASES not in roles
    assert roles.released() == {}
    assert roles.find_released("1.0") is None


def test_an_asterisk_is_no_pattern_in_notary_v1() -> None:
    """A signer whose path is `*` may list no tag, so nothing counts that the signer's role says."""
    scene = good_collection(NOTARY)

    def narrow(document: Document) -> None:
        document["version"] += 1
        for role in document["delegations"]["roles"]:
            if role["name"] == "targets/alice":
                role["paths"] = ["*"]

    assert scene.newcomer().judge("1.0", None, "alice").allowed
    scene.forger.alter(TARGETS, narrow)
    assert scene.newcomer().judge("1.0").allowed
    refusal = scene.newcomer().judge("1.0", None, "alice").refusal
    assert isinstance(refusal, PolicyRefused)
