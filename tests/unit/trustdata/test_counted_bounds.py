"""How many signatures, keys, delegations and paths a file may have, and what a refusal costs at most."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from securesystemslib.signer import CryptoSigner, SSlibKey

from keys.notary import NotaryKey
from tests.simulator.forgery import Document, file_of, text_of
from tests.simulator.repository import APP
from tests.simulator.scene import Scene, good_collection
from trustdata.errors import DelegationOutOfScope, MalformedMetadata, PublishRefused, ThresholdNotMet, TrustError
from trustdata.limits import MAX_DELEGATIONS, MAX_KEYS, MAX_PATHS, MAX_PATHS_LENGTH, MAX_ROLE_KEYS, MAX_SIGNATURES
from trustdata.model import DelegatedRole, Delegations, Root, Targets
from trustdata.roles import RELEASES, ROOT, TARGETS, RoleName
from trustdata.verification import delegations
from trustdata.verification.candidate_set import judge_upload
from trustdata.verification.delegations import check_scope, delegates_alike
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

ALICE = RoleName("targets/alice")


@contextmanager
def refused(kind: type[TrustError], text: str = "", /, **fields: object) -> Iterator[None]:
    """Demand this class, the text in its sentence, and these fields among others."""
    with pytest.raises(kind) as caught:
        yield
    assert text in str(caught.value)
    assert fields.items() <= caught.value.details().items()


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the keys that have verified a signature, one entry for each try."""
    tried: list[str] = []

    def counting(kind: type[Any]) -> None:
        verify = kind.verify_signature

        def verify_signature(self: Any, *arguments: Any) -> None:
            tried.append(self.keyid)
            verify(self, *arguments)

        monkeypatch.setattr(kind, "verify_signature", verify_signature)

    for kind in (SSlibKey, NotaryKey):
        counting(kind)
    return tried


def _signature(wire: WireFormat, number: int) -> Document:
    keyid = f"{number:064x}"
    return {"keyid": keyid, "sig": "00"} if wire is TUF else {"keyid": keyid, "sig": "AAAA", "method": "ecdsa"}


def _with_signatures(scene: Scene, role: RoleName, count: int) -> bytes:
    signed = scene.forger.document(role)
    signatures = [_signature(scene.server.wire, number) for number in range(count)]
    return json.dumps({"signed": signed, "signatures": signatures}).encode()


@pytest.mark.parametrize("wire", [TUF, NOTARY])
def test_signatures_are_counted_before_any_is_verified(verified: list[str], wire: WireFormat) -> None:
    scene = good_collection(wire)
    verified.clear()
    wire.parse(ROOT, _with_signatures(scene, ROOT, MAX_SIGNATURES))
    with refused(MalformedMetadata, f"has more than {MAX_SIGNATURES} entries", role=ROOT, path="signatures"):
        wire.parse(ROOT, _with_signatures(scene, ROOT, MAX_SIGNATURES + 1))
    assert verified == []


@pytest.mark.parametrize("wire", [TUF, NOTARY])
def test_who_has_no_key_of_a_role_costs_no_verification(verified: list[str], wire: WireFormat) -> None:
    scene = good_collection(wire)
    upload = scene.forger.successor(TARGETS, signers=scene.forger.signers(TARGETS, "mallory", "alice"))
    verified.clear()
    with refused(ThresholdNotMet, role=TARGETS):
        judge_upload(gun=APP, stored=scene.server.stored, uploads={TARGETS: upload}, at=scene.server.at, wire=wire)
    assert verified == []


@pytest.mark.parametrize("wire", [TUF, NOTARY])
def test_nothing_of_an_unsigned_file_is_looked_at(monkeypatch: pytest.MonkeyPatch, wire: WireFormat) -> None:
    """Neither its keys nor its names: a file of 5 MB may have thousands of both."""
    scene = good_collection(wire)
    upload = scene.forger.successor(TARGETS, signers=[])
    looked: list[object] = []
    monkeypatch.setattr("trustdata.verification.candidate_set._check_delegations", lambda *a: looked.append(a))
    monkeypatch.setattr("trustdata.verification.candidate_set._check_target_entries", lambda *a: looked.append(a))
    with refused(ThresholdNotMet, role=TARGETS):
        judge_upload(gun=APP, stored=scene.server.stored, uploads={TARGETS: upload}, at=scene.server.at, wire=wire)
    assert looked == []


def _keyids(count: int) -> list[str]:
    return [f"{number:064x}" for number in range(count)]


def _delegation(wire: WireFormat, name: str, **members: object) -> Document:
    entry: Document = {"name": name, "keyids": [], "threshold": 1, "paths": ["*"], **members}
    return entry if wire is NOTARY else {"terminating": False, **entry}


@pytest.mark.parametrize("wire", [TUF, NOTARY])
@pytest.mark.parametrize(
    ("most", "place", "entry"),
    [
        (MAX_ROLE_KEYS, "keyids", lambda count: {"keyids": _keyids(count)}),
        (MAX_PATHS, "paths", lambda count: {"paths": [f"{n}" for n in range(count)]}),
    ],
)
def test_entries_of_a_delegation(*, wire: WireFormat, most: int, place: str, entry: Callable[[int], Document]) -> None:
    forger = good_collection(wire).forger

    def with_entry(count: int) -> Callable[[Document], object]:
        roles = [_delegation(wire, "targets/alice", **entry(count))]
        return lambda document: document.update(delegations={"keys": {}, "roles": roles})

    forger.successor(TARGETS, with_entry(most), signers=[])
    path = f"signed.delegations.roles[0].{place}"
    with refused(MalformedMetadata, f"has more than {most} entries", path=path):
        forger.successor(TARGETS, with_entry(most + 1), signers=[])


def test_long_patterns() -> None:
    forger = good_collection(TUF).forger

    def with_paths(*lengths: int) -> Callable[[Document], object]:
        roles = [_delegation(TUF, "targets/alice", paths=["x" * length for length in lengths])]
        return lambda document: document.update(delegations={"keys": {}, "roles": roles})

    forger.successor(TARGETS, with_paths(1, MAX_PATHS_LENGTH - 1), signers=[])
    with refused(MalformedMetadata, f"hold more than {MAX_PATHS_LENGTH} characters"):
        forger.successor(TARGETS, with_paths(2, MAX_PATHS_LENGTH - 1), signers=[])


@pytest.mark.parametrize("wire", [TUF, NOTARY])
def test_how_many_roles_a_file_names(wire: WireFormat) -> None:
    forger = good_collection(wire).forger

    def with_roles(count: int) -> Callable[[Document], object]:
        roles = [_delegation(wire, f"targets/{number}") for number in range(count)]
        return lambda document: document.update(delegations={"keys": {}, "roles": roles})

    forger.successor(TARGETS, with_roles(MAX_DELEGATIONS), signers=[])
    with refused(MalformedMetadata, f"has more than {MAX_DELEGATIONS} entries", path="signed.delegations.roles"):
        forger.successor(TARGETS, with_roles(MAX_DELEGATIONS + 1), signers=[])


@pytest.mark.parametrize("wire", [TUF, NOTARY])
def test_how_many_keys_a_file_has(wire: WireFormat) -> None:
    forger = good_collection(wire).forger
    keys: Document = {keyid: {} for keyid in _keyids(MAX_KEYS + 1)}
    change = {"delegations": {"keys": keys, "roles": []}}
    with refused(MalformedMetadata, f"has more than {MAX_KEYS} entries", path="signed.delegations.keys"):
        forger.successor(TARGETS, lambda document: document.update(change), signers=[])


def test_one_key_of_many_roles_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = good_collection(NOTARY)
    read: list[str] = []
    decode = NotaryKey.read

    def reading(key: NotaryKey) -> Any:
        read.append(key.keyid)
        return decode(key)

    alice = scene.keys.key("alice")
    roles = [_delegation(NOTARY, f"targets/{number}", keyids=[alice.keyid]) for number in range(50)]
    upload = scene.forger.successor(
        TARGETS, lambda d: d.update(delegations={"keys": {alice.keyid: alice.to_dict()}, "roles": roles})
    )
    monkeypatch.setattr(NotaryKey, "read", reading)
    judge_upload(gun=APP, stored=scene.server.stored, uploads={TARGETS: upload}, at=scene.server.at, wire=NOTARY)
    assert read.count(alice.keyid) == 1


def _listing(count: int, *paths: str) -> tuple[Targets, Any]:
    delegator = Targets()
    role = DelegatedRole(ALICE, [], 1, terminating=False, paths=list(paths))
    delegator.delegations = Delegations({}, {ALICE: role})
    scene = good_collection(TUF)
    document = scene.forger.document(ALICE)
    document["targets"] = {f"v{number}": scene.forger.target("ab" * 32) for number in range(count)}
    return delegator, TUF.parse(ALICE, file_of(text_of(document), []))


def test_comparisons_of_tags_and_paths_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delegations, "MAX_COMPARISONS", 12)
    check_scope(*_listing(4, "a*", "b*", "v*"))
    with refused(PublishRefused, "lists 5 targets, each to be compared with 3 paths: more than 12", role=ALICE):
        check_scope(*_listing(5, "a*", "b*", "v*"))


def test_of_a_role_that_is_not_delegated_each_target_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delegations, "MAX_COMPARISONS", 4)
    for delegator in (Targets(), Targets(delegations=Delegations({}, {}))):
        with refused(DelegationOutOfScope, role=ALICE, target="v0"):
            check_scope(delegator, _listing(4)[1])
        with refused(PublishRefused, "lists 5 targets, each to be compared with 1 paths", role=ALICE):
            check_scope(delegator, _listing(5)[1])


def test_patterns_that_would_backtrack_end() -> None:
    """Exponential time, were each `*` a `.*` that gives back what it took."""
    delegator, file = _listing(3, *["*a" * 60 + "b"] * 20, "v*")
    check_scope(delegator, file)
    assert delegations.may_list(delegator, ALICE, "a" * 120 + "v") is False


def test_when_two_delegations_are_alike() -> None:
    key, other = (CryptoSigner(ec.generate_private_key(ec.SECP256R1())).public_key for _ in range(2))

    def delegating(
        *keys: Any, listed: tuple[Any, ...] = (), threshold: int = 1, paths: tuple[str, ...] = ("*",)
    ) -> Any:
        role = DelegatedRole(ALICE, [k.keyid for k in keys], threshold, terminating=False, paths=list(paths))
        targets = Targets()
        targets.delegations = Delegations({k.keyid: k for k in listed or keys}, {ALICE: role})
        return targets

    assert delegates_alike(delegating(key), delegating(key), ALICE)
    assert delegates_alike(delegating(key), delegating(key, listed=(key, other)), ALICE), "a key of others"
    for different in (
        delegating(other),
        delegating(key, other),
        delegating(key, threshold=2),
        delegating(key, paths=("v*",)),
        delegating(key, listed=(other,)),
        Targets(),
    ):
        assert not delegates_alike(delegating(key), different, ALICE)
        assert not delegates_alike(different, delegating(key), ALICE)
    root, next_root = Root(), Root()
    assert not delegates_alike(root, next_root, ALICE)
    assert delegates_alike(root, next_root, TARGETS)
    next_root.add_key(key, "targets")
    assert not delegates_alike(root, next_root, TARGETS)
    assert not delegates_alike(delegating(key), delegating(key), RELEASES)
