"""Which entries of tags a digest or a signer stands for, in both formats."""

from __future__ import annotations

from base64 import b64encode

import pytest

from tests.simulator.forgery import Document
from tests.simulator.owner import Owner, digest_of
from tests.simulator.repository import RepositorySimulator
from tests.simulator.scene import EVIL, GOOD, OLD, OTHER, good_collection
from trustdata.editing.entry_choice import EntryChoice
from trustdata.roles import RELEASES, TARGETS, RoleName
from trustdata.verification.target_lookup import Target
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

pytestmark = pytest.mark.parametrize("wire", [TUF, NOTARY], ids=["tuf", "notary"])
ALICE, BOB = RoleName("targets/alice"), RoleName("targets/bob")


def test_a_digest_is_found_in_every_role_that_lists_it(wire: WireFormat) -> None:
    roles = good_collection(wire).owner.read()
    assert EntryChoice(digests=frozenset({GOOD})).entries(roles) == {
        ALICE: {"1.0": GOOD},
        RELEASES: {"1.0": GOOD},
    }
    beneath = {TARGETS: {"1.0": OLD}} if wire is NOTARY else {}
    assert EntryChoice(digests=frozenset({OLD})).entries(roles) == beneath
    assert EntryChoice(digests=frozenset({EVIL})).entries(roles) == {}


def test_an_index_is_found_by_its_platform(wire: WireFormat) -> None:
    server = RepositorySimulator(wire=wire)
    owner = Owner(server)
    owner.initialise()
    platform = digest_of("a platform")
    owner.sign("1.0", GOOD, platform)
    owner.sign("2.0", OTHER)
    choice = EntryChoice(digests=frozenset({platform}))
    assert choice.entries(owner.read()) == {TARGETS: {"1.0": GOOD}}
    assert choice.is_met(Target(tag="1.0", digest=GOOD, length=1, role=TARGETS, children=(platform,)))
    assert not choice.is_met(Target(tag="1.0", digest=GOOD, length=1, role=TARGETS))


def test_of_a_signer_all_that_it_lists_and_nothing_that_others_list_otherwise(wire: WireFormat) -> None:
    scene = good_collection(wire)
    choice = EntryChoice(signer=ALICE)
    assert choice.entries(scene.owner.read()) == {ALICE: {"1.0": GOOD}, RELEASES: {"1.0": GOOD}}
    Owner(scene.server, "bob").sign("1.0", OTHER)
    assert choice.entries(scene.owner.read()) == {ALICE: {"1.0": GOOD}}
    assert EntryChoice(signer=BOB).entries(scene.owner.read()) == {BOB: {"1.0": OTHER}, RELEASES: {"1.0": OTHER}}
    assert EntryChoice(signer=RoleName("targets/carol")).entries(scene.owner.read()) == {}


def test_an_entry_that_is_no_images_is_only_its_signers(wire: WireFormat) -> None:
    scene = good_collection(wire)

    def without_sha256(document: Document) -> None:
        document["version"] += 1
        document["targets"]["1.0"]["hashes"] = {"sha512": "ab" * 64 if wire is TUF else b64encode(b"a" * 64).decode()}

    scene.forger.alter(ALICE, without_sha256)
    roles = scene.owner.read()
    assert EntryChoice(signer=ALICE).entries(roles) == {ALICE: {"1.0": ""}}
    assert EntryChoice(digests=frozenset({GOOD})).entries(roles) == {RELEASES: {"1.0": GOOD}}


def test_it_says_what_is_chosen(wire: WireFormat) -> None:
    del wire
    assert str(EntryChoice(signer=ALICE)) == "what alice has signed"
    assert str(EntryChoice(digests=frozenset({"b" * 64, "a" * 64}))) == f"sha256:{'a' * 64}, sha256:{'b' * 64}"
