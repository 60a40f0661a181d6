"""Pins by certification authority: the newest root must be vouched for, for this name, and as long as it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from keys.record import replace as record_replace
from tests.simulator.certified import AGAIN, CertifiedCollection, key_below, own_key, pin_of
from tests.simulator.client import Client
from tests.simulator.keyring import private
from tests.simulator.repository import APP, NOW
from tests.simulator.scene import GOOD, good_collection
from tests.support.issuers import CA, END, LEAF, Issuer, chain, days
from tests.support.loaded_modules import modules_loaded_by
from trustdata.digest import is_sha256_hex
from trustdata.envelope import Envelope
from trustdata.errors import LockDisagrees, PinsDisagree, RootNotCertified, RootNotPinned
from trustdata.judgement import Question
from trustdata.roles import RELEASES, ROOT
from trustdata.verification.certified_roots import MAX_JUDGED, root_certified_until
from trustdata.verification.lock_entry import LockEntry, SourcedLock, check_lock
from trustdata.verification.trust_pinning import AuthorityPin, Pin, SourcedPin, chain_holds, check_named, check_pins
from trustdata.wire.formats import wire_named
from trustdata.wire.notary import NOTARY

TOP, OTHER = Issuer.root(), Issuer.root("Another CA")
PIN = pin_of(TOP)


def refusal(collection: CertifiedCollection, *pins: Pin, at: datetime = NOW) -> RootNotCertified:
    judged = Client(collection.scene.server, pins=list(pins or (PIN,)), at=at).judge()
    assert isinstance(judged.refusal, RootNotCertified), judged
    assert judged.refusal.details() | {"reason": ""} == {
        "gun": APP,
        "pin": "ca:corp",
        "pin_source": "pins.toml",
        "version": judged.refusal.version,
        "reason": "",
    }
    return judged.refusal


def is_trusted(collection: CertifiedCollection, *pins: Pin, at: datetime = NOW) -> bool:
    return Client(collection.scene.server, pins=list(pins or (PIN,)), at=at).judge().digest == f"sha256:{GOOD}"


def roots(collection: CertifiedCollection) -> list[Envelope]:
    server = collection.scene.server
    return [NOTARY.parse(ROOT, server.files[f"{n}.root.json"]) for n in range(1, server.stored[ROOT].version + 1)]


# --- which root


def test_the_newest_root_must_be_vouched_for_whoever_has_vouched_for_the_others() -> None:
    collection = CertifiedCollection(root=key_below(TOP))
    assert is_trusted(collection)
    there = Client(collection.scene.server, pins=[PIN])
    assert there.judge().allowed
    collection.rotate(root=own_key())
    found = refusal(collection)
    assert (found.version, found.reason.endswith("was issued neither by that CA nor by one beside it")) == (4, True)
    assert str(found).startswith(
        f"{APP} is pinned to ca:corp (pins.toml), and no such CA vouches for its root version 4"
    )
    assert isinstance(there.judge().refusal, RootNotCertified), "what was verified before does not help"
    collection.rotate(root=key_below(*chain(2, TOP), TOP))
    assert is_trusted(collection)
    assert there.judge().allowed
    collection.rotate(root=key_below(OTHER))
    assert refusal(collection).version == 6
    assert is_trusted(collection, pin_of(OTHER, name="other"))
    assert is_trusted(collection, pin_of(TOP, OTHER))


def test_who_is_offline_is_asked_for_the_same() -> None:
    collection = CertifiedCollection(root=key_below(TOP, form=LEAF))
    client = Client(collection.scene.server, pins=[PIN])
    assert client.judge().allowed
    client.at = NOW + days(1)
    assert client.judge(max_age=days(9)).allowed
    client.pins = [SourcedPin(pin=pin_of(OTHER), source="policy.toml")]
    assert isinstance(client.judge(max_age=days(9)).refusal, RootNotCertified)


@pytest.mark.parametrize("form", ["tuf-1.0", "notary-v1"])
def test_a_collection_without_such_certificates_is_refused_in_words(form: str) -> None:
    scene = good_collection(wire_named(form))
    found = Client(scene.server, pins=[PIN]).judge().refusal
    assert isinstance(found, RootNotCertified)
    said = {
        "tuf-1.0": "its root keys have no certificates, as in every collection of TUF 1.0",
        "notary-v1": "its certificate was issued neither by that CA nor by one beside it",
    }
    assert said[form] in found.reason


# --- how many keys


def test_as_many_keys_as_the_root_itself_asks_for() -> None:
    mine, yours = key_below(TOP), key_below(TOP, owner="recovery")
    assert is_trusted(CertifiedCollection(root=mine, recovery=own_key("recovery")))
    both = CertifiedCollection(root=mine)
    both.rotate_to({"root": mine, "recovery": yours}, threshold=2)
    assert is_trusted(both)
    both.rotate_to({"root": mine, "recovery": own_key("recovery")}, threshold=2)
    assert refusal(both).reason.startswith("1 of the 2 root keys that it needs are certified; root key ")


def test_a_certified_key_that_has_not_signed_counts_for_nothing() -> None:
    collection = CertifiedCollection(root=key_below(TOP), recovery=own_key("recovery"))
    collection.rotate_to({"root": key_below(TOP), "recovery": own_key("recovery")}, silent=("root",))
    assert f"root key {own_key('recovery').keyid[:12]}" in refusal(collection).reason


def test_an_id_without_a_key_counts_for_nothing() -> None:
    """Its owner alone writes such a root: who judges it says what is wrong, and does not fail."""

    def name_another(document: dict[str, Any]) -> None:
        document["version"] += 1
        document["roles"]["root"]["keyids"].insert(0, "ab" * 32)

    collection, key = CertifiedCollection(root=key_below(TOP)), key_below(TOP)
    collection.rotate_to({"root": key})
    collection.scene.forger.alter(ROOT, name_another, signers=[NOTARY.signer(private("root"), key)])
    newest = roots(collection)[-1]
    assert set(newest.root.roles[ROOT].keyids) - newest.root.keys.keys() == {"ab" * 32}
    assert root_certified_until(newest, PIN.certificates, NOW) == END
    tuf = good_collection()
    tuf.forger.alter(ROOT, name_another)
    judged = Client(tuf.server, pins=[PIN]).judge()
    assert isinstance(judged.refusal, RootNotCertified), judged
    assert "as in every collection of TUF 1.0" in judged.refusal.reason


@pytest.mark.parametrize("last", [True, False])
def test_a_key_in_several_certificates_counts_once_and_by_any_of_them(*, last: bool) -> None:
    """As where a certificate was renewed, or a key came under the CA, and the root still names the one before."""
    early = key_below(TOP, form=replace(LEAF, end=NOW + days(9)))
    for other, until in ((own_key(), END), (early, END)):
        two = (
            {"root": other, f"root{AGAIN}": key_below(TOP)} if last else {f"root{AGAIN}": key_below(TOP), "root": other}
        )
        collection = CertifiedCollection(root=key_below(TOP))
        collection.rotate_to(two)
        newest = roots(collection)[-1]
        assert set(newest.root.roles[ROOT].keyids) <= set(newest.signatures)
        assert root_certified_until(newest, PIN.certificates, NOW) == until
        assert is_trusted(collection)
    twice = CertifiedCollection(root=key_below(TOP))
    twice.rotate_to({"root": early, f"root{AGAIN}": key_below(TOP), "recovery": own_key("recovery")}, threshold=2)
    assert refusal(twice).reason.startswith("1 of the 2 root keys that it needs are certified; root key ")


def test_no_more_keys_are_judged_than_cost_little() -> None:
    """Whoever serves a root says how many keys have signed it."""
    strangers = {f"stranger {number}": own_key(f"stranger {number}") for number in range(MAX_JUDGED)}
    collection = CertifiedCollection(**strangers, root=key_below(TOP))
    assert "was issued neither by" in refusal(collection).reason
    fewer = dict(list(strangers.items())[1:])
    assert is_trusted(CertifiedCollection(**fewer, root=key_below(TOP)))


# --- whose collection


def test_a_certificate_for_many_names_is_none_for_this_one() -> None:
    collection = CertifiedCollection(root=key_below(TOP, name=APP.rpartition("/")[0] + "/*"))
    assert "whatever else it fits would pass for this collection" in refusal(collection).reason
    first = Pin("sha256", roots(collection)[0].sha256)
    assert is_trusted(collection, PIN, first), "a fingerprint says which collection it is"


def test_the_name_is_judged_beside_the_authority() -> None:
    chain_ = roots(CertifiedCollection(root=key_below(TOP)))
    pinned = [SourcedPin(pin=PIN, source="policy.toml")]
    check_named(APP, pinned, chain_, names=lambda root: root is chain_[-1])
    with pytest.raises(RootNotCertified):
        check_named(APP, pinned, chain_, names=lambda root: root is not chain_[-1])


# --- with other pins


def test_every_pin_must_hold() -> None:
    collection = CertifiedCollection(root=key_below(TOP))
    first = Pin("sha256", roots(collection)[0].sha256)
    key = Pin("key", collection.scene.keys.root_keyid("root"))
    wrong = Pin("sha256", "ab" * 32)
    assert is_trusted(collection, PIN, first)
    assert is_trusted(collection, key, PIN)
    assert is_trusted(collection, PIN, pin_of(OTHER, TOP, name="both"))
    refusal(collection, PIN, pin_of(OTHER), first)
    for pins, error in (((PIN, wrong), RootNotPinned), ((first, PIN, wrong), PinsDisagree)):
        assert isinstance(Client(collection.scene.server, pins=list(pins)).judge().refusal, error)


def test_a_ca_that_vouches_leaves_the_lock_alone_with_another_root() -> None:
    chain_ = roots(CertifiedCollection(root=key_below(TOP)))
    other = LockEntry(format=NOTARY.name, root_version=2, root=Pin("sha256", "ab" * 32), minimum={})
    lock, pinned = SourcedLock(entry=other, source="trust.lock"), [SourcedPin(pin=PIN, source="policy.toml")]
    with pytest.raises(LockDisagrees) as caught:
        check_lock(APP, lock, pinned, chain_, at=NOW)
    assert (caught.value.known, caught.value.known_by) == (f"sha256:{chain_[1].sha256}", "policy.toml")
    check_lock(APP, lock, [SourcedPin(pin=pin_of(OTHER), source="policy.toml")], chain_, at=NOW)  # check_pins refuses


def test_authorities_are_told_apart_by_what_they_are() -> None:
    assert (str(PIN), PIN.kind) == ("ca:corp", "ca")
    assert PIN.identity == f"ca:corp:{PIN.digest}"
    assert pin_of(TOP, OTHER) != pin_of(OTHER)
    assert pin_of(TOP, OTHER).digest == pin_of(OTHER, TOP).digest
    assert len({PIN.identity, pin_of(OTHER).identity, pin_of(TOP, name="other").identity}) == 3
    assert len({pin_of(TOP).digest, pin_of(OTHER).digest, pin_of(TOP, OTHER).digest}) == 3
    assert all(is_sha256_hex(pin.digest) for pin in (pin_of(TOP), pin_of(TOP, OTHER), AuthorityPin.of("none", ())))
    assert Pin("key", "ab" * 32).identity == "key:" + "ab" * 32


# --- how long


def test_it_is_held_until_the_first_certificate_that_it_needs_ends() -> None:
    early = NOW + days(30)
    between = TOP.below("CA 0", replace(CA, end=early))
    collection = CertifiedCollection(root=key_below(between, TOP))
    chain_ = roots(collection)
    pinned = [SourcedPin(pin=PIN, source="policy.toml")]
    assert check_pins(APP, [SourcedPin(pin=Pin("sha256", chain_[0].sha256), source="")], chain_, at=NOW) is None
    lapse = check_pins(APP, [*pinned, SourcedPin(pin=pin_of(TOP, OTHER), source="")], chain_, at=early)
    assert lapse is not None
    assert lapse.after == early
    reason = "a certificate by which it vouched has ended, at 2026-12-01 12:00 UTC"
    named = {"gun": APP, "pin": "ca:corp", "pin_source": "policy.toml", "version": chain_[-1].version}
    assert (type(lapse.refusal), lapse.refusal.details()) == (RootNotCertified, {**named, "reason": reason})
    with pytest.raises(RootNotCertified, match="is valid from"):
        check_pins(APP, pinned, chain_, at=early + days(1))
    assert chain_holds(PIN, chain_, early)
    assert not chain_holds(PIN, chain_, early + days(1))
    assert not chain_holds(PIN, chain_), "nobody has said when"


def test_of_several_keys_those_count_that_are_vouched_for_longest() -> None:
    ends = {"root": END - days(9), "recovery": END - days(5), "third": END - days(1)}
    keys = {owner: key_below(TOP, owner=owner, form=replace(LEAF, end=end)) for owner, end in ends.items()}
    collection = CertifiedCollection(**keys)
    for threshold, owner in ((1, "third"), (2, "recovery"), (3, "root")):
        collection.rotate_to(keys, threshold=threshold)
        lapse = check_pins(APP, [SourcedPin(pin=PIN, source="")], roots(collection), at=NOW)
        assert lapse is not None
        assert lapse.after == ends[owner]


def test_what_is_in_memory_counts_no_longer_than_the_certificates() -> None:
    """A hook that stays answers from what it has verified; without its server for as long as a rule allows."""
    early = NOW + days(2)
    collection = CertifiedCollection(root=key_below(TOP, form=replace(LEAF, end=early)))
    client = Client(collection.scene.server, pins=[PIN])
    read = client.collection().read([RELEASES])
    question = Question(gun=APP, tag="1.0", digest=None)
    assert read.first_end() == early
    assert read.judge(question, early).digest == f"sha256:{GOOD}"
    late = read.judge(question, early + days(1)).refusal
    assert isinstance(late, RootNotCertified)
    assert "a certificate by which it vouched has ended" in late.reason
    offline = client.collection().read_offline([RELEASES])
    assert offline.first_end() == early
    assert read.same_files(offline)
    assert not read.same_files(record_replace(offline, lapse=None)), "then it would never be renewed"
    unpinned = Client(collection.scene.server, pins=[collection.scene.pin]).collection().read([RELEASES])
    assert unpinned.lapse is None
    assert unpinned.judge(question, early + days(1)).allowed


def test_verifying_without_such_a_pin_reads_no_certificates() -> None:
    loaded = modules_loaded_by("import trustdata.policy, trustcli.client.updater")
    assert "trustdata.verification.trust_pinning" in loaded
    assert not {"keys.authorities", "trustdata.verification.certified_roots", "cryptography.x509"} & loaded
    assert isinstance(PIN, AuthorityPin)


def test_a_collection_that_begins_with_a_later_root_needs_no_first_one() -> None:
    collection = CertifiedCollection(root=key_below(TOP))
    server = collection.scene.server
    for version in (1, 2):
        raw = server.files.pop(f"{version}.root.json")
        del server.files[f"root.{NOTARY.parse(ROOT, raw).sha256}.json"]
    server.files["root.json"] = server.stored[ROOT].raw
    there = Client(server, pins=[PIN])
    assert there.judge().allowed
    (memory,) = there.memory.known.values()
    assert memory.root_of_trust == server.stored[ROOT].sha256
