"""Another collection of the same owner, shown in place of the one that was asked for: roots say whose they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata

from keys.record import replace
from tests.simulator import keyring
from tests.simulator.client import Client
from tests.simulator.forgery import Forger
from tests.simulator.owner import Owner
from tests.simulator.repository import APP, NOW
from tests.simulator.scene import EVIL, GOOD
from tests.simulator.siblings import DEV, first_root, pinned, siblings, unname
from trustcli.publish.preparation import Roles
from trustdata.editing import repository_editor as editor
from trustdata.editing.repository_editor import Contents
from trustdata.errors import (
    CertificateOfAnotherName,
    MalformedMetadata,
    PinsDisagree,
    RootNotNamed,
    RootNotPinned,
    RootOfAnotherName,
    ThresholdNotMet,
    TrustError,
)
from trustdata.gun import NAME_MEMBER
from trustdata.model import Root
from trustdata.roles import ROOT, TARGETS, TIMESTAMP
from trustdata.verification.candidate_set import judge_upload
from trustdata.verification.lock_entry import SourcedLock
from trustdata.verification.rollback_memory import from_document, merge, to_document
from trustdata.verification.trust_pinning import Pin, SourcedPin, fingerprint
from trustdata.verification.trusted_set import TrustedSet
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF


def refusal_of_another(wire: WireFormat) -> type[TrustError]:
    return CertificateOfAnotherName if wire.certifies_root_keys else RootOfAnotherName


# --- a root that names another collection


def test_a_pin_of_the_owner_s_key_is_not_enough_for_another_collection(wire: WireFormat) -> None:
    pair = siblings(wire)
    assert pinned(pair.app, pair.key).digest() == f"sha256:{GOOD}"
    client = pinned(pair.swapped, pair.key)
    with pytest.raises(refusal_of_another(wire), match=APP):
        client.digest()
    assert client.cache.roots() == []
    assert client.memory.known == {}


def test_it_is_refused_under_a_pin_of_its_own_fingerprint(wire: WireFormat) -> None:
    """Whoever has the fingerprints of two collections in the wrong lines notices it."""
    pair = siblings(wire)
    with pytest.raises(refusal_of_another(wire)):
        pinned(pair.swapped, first_root(pair.dev)).digest()


def test_it_is_not_trusted_on_first_use(wire: WireFormat) -> None:
    client = Client(siblings(wire).swapped, tofu=True)
    with pytest.raises(refusal_of_another(wire)):
        client.digest()
    assert client.recorded == []


def test_it_is_refused_without_any_pin(wire: WireFormat) -> None:
    """The fingerprint that a user is told to compare is never that of another collection."""
    with pytest.raises(refusal_of_another(wire)):
        Client(siblings(wire).swapped).digest()


def test_it_is_refused_under_a_lock_file(wire: WireFormat) -> None:
    pair = siblings(wire)
    client = Client(pair.swapped)
    client.lock = SourcedLock(entry=pinned(pair.dev, first_root(pair.dev)).lock_entry(), source="trust.lock")
    with pytest.raises(refusal_of_another(wire)):
        client.digest()


def test_the_refusal_names_both_collections() -> None:
    pair = siblings(TUF)
    with pytest.raises(RootOfAnotherName) as caught:
        pinned(pair.swapped, pair.key).digest()
    assert str(caught.value) == f"root version 1 belongs to {DEV}, not to {APP}"
    assert caught.value.details() == {"gun": APP, "role": "root", "version": 1, "named": DEV}


def test_the_next_root_of_another_collection_continues_no_chain(wire: WireFormat) -> None:
    """Both are signed by the one root key: the fingerprint of version 1 says nothing of what follows it.

    In Notary v1 it has another id in each collection, that of its certificate, so that its signature does not count.
    """
    pair = siblings(wire)
    Owner(pair.dev).renew(ROOT)
    raw = pair.app.files["2.root.json"] = pair.dev.files["2.root.json"]
    refused = ThresholdNotMet if wire.certifies_root_keys else RootOfAnotherName
    with pytest.raises(refused):
        pinned(pair.app, pair.fingerprint).digest()
    with pytest.raises(refused):
        judge_upload(gun=APP, stored=pair.app.stored, uploads={ROOT: wire.parse(ROOT, raw)}, at=pair.app.at, wire=wire)


def test_the_server_takes_no_collection_under_another_name(wire: WireFormat) -> None:
    pair = siblings(wire)
    first = {ROOT: pair.dev.files["1.root.json"], TARGETS: pair.dev.stored[TARGETS].raw}
    if wire is TUF:
        first[TARGETS] = pair.dev.files["1.targets.json"]
    uploads = {role: wire.parse(role, raw) for role, raw in first.items()}
    with pytest.raises(refusal_of_another(wire)):
        judge_upload(gun=APP, stored={}, uploads=uploads, at=pair.app.at, wire=wire)


# --- once a root names its collection


@pytest.mark.parametrize("change", [unname, lambda d: d.update({NAME_MEMBER: DEV})], ids=["dropped", "another"])
def test_a_name_stays(change: object) -> None:
    pair = siblings(TUF)
    client = pinned(pair.app, pair.fingerprint)
    assert client.digest() == f"sha256:{GOOD}"
    stored = dict(pair.app.stored)
    assert callable(change)
    raw = Forger(pair.app).next_root(change)
    with pytest.raises(RootOfAnotherName):
        client.digest()
    with pytest.raises(RootOfAnotherName):
        judge_upload(gun=APP, stored=stored, uploads={ROOT: TUF.parse(ROOT, raw)}, at=pair.app.at, wire=TUF)


def test_a_name_that_is_gone_is_named() -> None:
    pair = siblings(TUF)
    Forger(pair.app).next_root(unname)
    with pytest.raises(RootOfAnotherName, match=f"root version 2 no longer names {APP}, as an earlier one does"):
        pinned(pair.app, pair.fingerprint).digest()


def test_a_name_that_was_seen_stays_without_the_cache() -> None:
    """Memory knows that a root had it: the chain of another collection that lacks it continues no older root here."""
    pair = siblings(TUF, named=False)
    client = pinned(pair.app, pair.fingerprint)
    Owner(pair.app).renew(ROOT)
    assert client.digest() == f"sha256:{GOOD}"
    Forger(pair.dev).next_root(lambda _: None)
    client.server = pair.swapped
    client.server.files["1.root.json"] = pair.app.files["1.root.json"]
    client.cache = Client(pair.app).cache
    with pytest.raises(RootOfAnotherName, match="no longer names"):
        client.digest()
    (memory,) = client.memory.known.values()
    assert from_document(json.loads(json.dumps(to_document(memory))), place="seen.json").named
    assert merge(replace(memory, named=False), memory).named


@pytest.mark.parametrize("name", [5, "", None, [APP], "Registry.example.com/app", "a b", f"{APP}:1.0", "x" * 256])
def test_what_is_no_name_is_malformed(name: object) -> None:
    pair = siblings(TUF)
    Forger(pair.app).alter(ROOT, lambda d: d.update({NAME_MEMBER: name}))
    with pytest.raises(MalformedMetadata) as caught:
        pinned(pair.app, pair.key).digest()
    assert caught.value.path == f"signed.{NAME_MEMBER}"


# --- roots that do not say whose they are


def test_a_pin_by_key_does_not_decide_about_a_root_without_a_name(wire: WireFormat) -> None:
    """The attack itself: until roots had names, the other collection passed."""
    pair = siblings(wire, named=False)
    for server in (pair.app, pair.swapped):
        client = pinned(server, pair.key)
        with pytest.raises(RootNotNamed) as caught:
            client.digest()
        assert client.memory.known == {}
        assert caught.value.found == str(first_root(server))
        assert caught.value.pin == str(pair.key)


def test_a_pin_by_fingerprint_does(wire: WireFormat) -> None:
    pair = siblings(wire, named=False)
    assert pinned(pair.app, pair.fingerprint).digest() == f"sha256:{GOOD}"
    assert pinned(pair.app, pair.key, pair.fingerprint).digest() == f"sha256:{GOOD}", "the key agrees, and no more"
    with pytest.raises(PinsDisagree):
        pinned(pair.swapped, pair.key, pair.fingerprint).digest()
    client = Client(pair.app, tofu=True)
    assert client.digest() == f"sha256:{GOOD}"


def test_memory_gives_a_pin_by_key_no_weight(wire: WireFormat) -> None:
    """What is remembered may have been seen under this very pin."""
    pair = siblings(wire, named=False)
    client = pinned(pair.app, pair.fingerprint)
    client.digest()
    client.pins = [SourcedPin(pin=pair.key, source="pins.toml")]
    with pytest.raises(RootNotNamed):
        client.digest()


def test_a_lock_entry_beside_a_pin_by_key_gives_it_no_weight(wire: WireFormat) -> None:
    pair = siblings(wire, named=False)
    lock = SourcedLock(entry=pinned(pair.app, pair.fingerprint).lock_entry(), source="trust.lock")
    client = pinned(pair.app, pair.key)
    client.lock = lock
    with pytest.raises(RootNotNamed):
        client.digest()
    alone = Client(pair.app)
    alone.lock = lock
    assert alone.digest() == f"sha256:{GOOD}"
    assert alone.digest() == f"sha256:{GOOD}", "with memory, too"


def test_the_owner_s_next_root_names_the_collection() -> None:
    """Whichever command writes it; clients follow, and a pin by key decides from then on."""
    pair = siblings(TUF, named=False)
    regular = pinned(pair.app, pair.fingerprint)
    regular.digest()
    Owner(pair.app).renew(ROOT)
    assert pair.app.stored[ROOT].root.unrecognized_fields == {NAME_MEMBER: APP}
    assert regular.digest() == f"sha256:{GOOD}"
    assert pinned(pair.app, pair.key).digest() == f"sha256:{GOOD}"
    with pytest.raises(RootNotNamed):
        pinned(pair.swapped, pair.key).digest()


@pytest.mark.parametrize("edit", ["replace-root-key", "replace-online-key", "replace-targets-key", "renew"])
def test_every_edit_that_writes_a_root_names_it(edit: str) -> None:
    pair = siblings(TUF, named=False)
    owner = Owner(pair.app, "root", "targets", "new")
    new, terms = pair.app.keys.key("new"), owner.terms

    def change(roles: Roles) -> Contents:
        if edit == "replace-root-key":
            old = roles[ROOT].root.roles[ROOT].keyids
            return editor.replace_root_keys(roles, remove=old, add=[new], terms=terms)
        if edit == "replace-targets-key":
            return editor.replace_targets_key(roles, new, terms=terms)
        if edit == "replace-online-key":
            return editor.replace_online_keys(roles, {TIMESTAMP: pair.app.new_online_key(APP, TIMESTAMP)}, terms=terms)
        return editor.renew(roles, [ROOT], terms=terms)

    assert owner.prepare(change)[ROOT].root.unrecognized_fields == {NAME_MEMBER: APP}


def test_a_rotation_in_notary_v1_certifies_the_whole_name() -> None:
    """As `trust key rotate root` does it: a certificate of its own in place of the one for a pattern."""
    pair = siblings(NOTARY, named=False)
    key, old = pair.key, pair.app.stored[ROOT].root.roles[ROOT].keyids
    new = keyring.certificate("new", APP)
    Owner(pair.app, "root", "new").publish(
        lambda roles: editor.replace_root_keys(roles, remove=old, add=[new], terms=Owner(pair.app).terms)
    )
    assert pinned(pair.app, key).digest() == f"sha256:{GOOD}"


def test_one_certificate_for_a_pattern_among_the_root_keys_is_one_too_many() -> None:
    pair = siblings(NOTARY)
    add = [keyring.certificate("recovery", "registry.example.com/*")]
    Owner(pair.app).publish(
        lambda roles: editor.replace_root_keys(roles, remove=[], add=add, terms=Owner(pair.app).terms)
    )
    with pytest.raises(RootNotNamed):
        pinned(pair.app, pair.key).digest()
    assert pinned(pair.app, pair.fingerprint).digest() == f"sha256:{GOOD}"


def test_what_remains_between_two_collections_without_names(wire: WireFormat) -> None:
    """Named in the threat model: a later root of the one continues the chain of the other, whatever the pin."""
    pair = siblings(wire, named=False)
    if wire is TUF:
        Forger(pair.dev).next_root(lambda _: None)  # as earlier versions wrote it
    else:
        Owner(pair.dev).renew(ROOT)
    shown = pair.swapped
    shown.files["1.root.json"] = pair.app.files["1.root.json"]
    assert pinned(shown, pair.fingerprint).digest() == f"sha256:{EVIL}"


def test_the_fingerprint_of_a_root_with_a_name_ends_it_for_newcomers() -> None:
    """The first root lacks the name for ever; a pin of a later one that has it says which collection is meant."""
    pair = siblings(TUF, named=False)
    Forger(pair.dev).next_root(lambda _: None)  # as earlier versions wrote it
    Owner(pair.app).renew(ROOT)
    shown = pair.swapped
    shown.files["1.root.json"] = pair.app.files["1.root.json"]
    assert pinned(shown, pair.fingerprint).digest() == f"sha256:{EVIL}"
    named = fingerprint(pair.app.stored[ROOT])
    assert pinned(pair.app, named).digest() == f"sha256:{GOOD}"
    assert isinstance(pinned(shown, named).judge("1.0").refusal, RootNotPinned)


# --- others


def test_python_tuf_keeps_the_member_and_ignores_it() -> None:
    raw = siblings(TUF).app.files["1.root.json"]
    found = Metadata[Root].from_bytes(raw)
    found.signed.verify_delegate("root", found.signed_bytes, found.signatures)
    assert found.signed.unrecognized_fields == {NAME_MEMBER: APP}
    assert json.loads(found.to_bytes())["signed"][NAME_MEMBER] == APP


def test_a_client_of_repositories_without_names_looks_at_none(wire: WireFormat) -> None:
    root = siblings(wire).app.files["1.root.json"]
    assert TrustedSet(gun=DEV, root=root, wire=wire, at=NOW, unsafe_accept_any_name=True).is_named
    with pytest.raises(refusal_of_another(wire)):
        TrustedSet(gun=DEV, root=root, wire=wire, at=NOW)


def test_only_the_conformance_client_does_without_a_name() -> None:
    """It reads repositories that have none."""
    root = Path(__file__).parents[2]
    users = {
        path.relative_to(root).parts[0]
        for package in ("keys", "trustdata", "trustcli", "trustserver")
        for path in (root / package).rglob("*.py")
        if "unsafe_accept_any_name=True" in path.read_text()
    }
    assert users == set()


def test_pins_of_two_kinds_are_told_apart_in_the_refusal() -> None:
    pair = siblings(TUF, named=False)
    client = pinned(pair.app, pair.key, source="the policy")
    client.pins.append(SourcedPin(pin=Pin("key", pair.key.digest), source="pins.toml"))
    with pytest.raises(RootNotNamed, match=r"pinned by a key alone \(key:[0-9a-f]{64}, the policy\)"):
        client.digest()
