"""Keys that docker takes and that are too weak: named without harm in Notary v1, and good for nothing there."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from securesystemslib.signer import Key, Signature, Signer

from keys.certificate import root_certificate
from keys.errors import KeyNotAccepted
from keys.notary import METHOD, NotaryKey, bare_key
from tests.simulator.forgery import Document
from tests.simulator.repository import APP
from tests.simulator.scene import GOOD, Scene, good_collection
from trustdata.envelope import Envelope
from trustdata.errors import MalformedMetadata, StrongKeysMissing, ThresholdNotMet
from trustdata.inspection import inspect
from trustdata.roles import RELEASES, ROOT, TARGETS, RoleName
from trustdata.verification.candidate_set import judge_upload
from trustdata.verification.checks import check_signatures
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

P224 = ec.generate_private_key(ec.SECP224R1())
WEAK = {"P-224": bare_key(P224.public_key()), "RSA 1024": bare_key(rsa.generate_private_key(65537, 1024).public_key())}
EVERY_WEAK = pytest.mark.parametrize("weak", WEAK.values(), ids=list(WEAK))
BOB = RoleName("targets/bob")


class WeakSigner(Signer):
    """Somebody with a P-224 key, as `notary` signs with it."""

    @property
    def public_key(self) -> NotaryKey:
        return WEAK["P-224"]

    def sign(self, payload: bytes) -> Signature:
        r, s = decode_dss_signature(P224.sign(payload, ec.ECDSA(SHA256())))
        return Signature(
            WEAK["P-224"].keyid, base64.b64encode(r.to_bytes(28) + s.to_bytes(28)).decode(), {METHOD: "ecdsa"}
        )

    @classmethod
    def from_priv_key_uri(cls, priv_key_uri: str, public_key: Key, secrets_handler: Any = None) -> WeakSigner:
        raise ValueError("a key of a test has no URI")


def scene() -> Scene:
    return good_collection(NOTARY)


def judge(made: Scene, *uploads: Envelope) -> tuple[RoleName, ...]:
    server = made.server
    by_role = {envelope.role: envelope for envelope in uploads}
    return judge_upload(gun=APP, stored=server.stored, uploads=by_role, at=server.at, wire=NOTARY).changed


def named_beside(weak: NotaryKey, role: str, *, alone: bool = False) -> Callable[[Document], object]:
    """Root names it for a role, beside the good keys or instead of them."""

    def change(document: Document) -> None:
        document["keys"][weak.keyid] = weak.to_dict()
        keyids = document["roles"][role]["keyids"]
        document["roles"][role]["keyids"] = [weak.keyid] if alone else [*keyids, weak.keyid]

    return change


def delegated(weak: NotaryKey, *, also_releases: bool = False) -> Callable[[Document], object]:
    """Targets delegate to Bob, who has nothing else."""

    def change(document: Document) -> None:
        delegations = document["delegations"]
        delegations["keys"][weak.keyid] = weak.to_dict()
        bob = {"name": BOB, "paths": [""], "keyids": [weak.keyid], "threshold": 1}
        delegations["roles"] = [role for role in delegations["roles"] if role["name"] != BOB] + [bob]
        if also_releases:
            [releases] = [role for role in delegations["roles"] if role["name"] == RELEASES]
            releases["keyids"] = [weak.keyid]

    return change


@EVERY_WEAK
def test_a_signer_with_a_weak_key_is_taken_and_shown(weak: NotaryKey) -> None:
    made = scene()
    targets = made.forger.successor(TARGETS, delegated(weak))
    assert judge(made, targets) == (TARGETS,)
    roles = {**made.server.stored, TARGETS: targets}
    assert (weak.keyid,) in [signer.keyids for signer in inspect(roles).signers]


@EVERY_WEAK
@pytest.mark.parametrize("role", ["targets", "snapshot", "timestamp"])
def test_root_may_name_one_beside_good_keys_and_not_instead_of_them(weak: NotaryKey, role: str) -> None:
    made = scene()
    assert judge(made, made.forger.successor(ROOT, named_beside(weak, role))) == (ROOT,)
    alone = made.forger.successor(ROOT, named_beside(weak, role, alone=True))
    with pytest.raises(MalformedMetadata, match="0 distinct keys") as caught:
        judge(made, alone)
    assert weak.keyid in caught.value.reason
    assert " distinct keys; " in caught.value.reason, "one reason after the other"


def test_a_root_key_in_a_weak_certificate_is_no_error_and_no_help() -> None:
    made = scene()
    weak = root_certificate(P224, gun=APP, at=made.server.at)
    root = made.forger.successor(ROOT, named_beside(weak, "root"))
    assert judge(made, root) == (ROOT,)


def test_what_a_weak_key_signs_is_not_trusted_and_the_key_is_named() -> None:
    made = scene()
    weak = WEAK["P-224"]
    targets = made.forger.successor(TARGETS, delegated(weak, also_releases=True))
    target = made.forger.target(GOOD)
    releases = made.forger.successor(RELEASES, lambda d: d["targets"].update({"9.9": target}), signers=[WeakSigner()])
    with pytest.raises(StrongKeysMissing) as caught:
        judge(made, targets, releases)
    assert f"key {weak.keyid[:12]} counts for nothing: curve secp224r1 is too weak" in str(caught.value)
    assert (caught.value.signed, caught.value.threshold) == ((), 1)
    assert caught.value.version == releases.version
    # An id without a key before it does not hide the weak one.
    targets.targets.get_delegated_role(RELEASES).keyids.insert(0, "ab" * 32)
    with pytest.raises(StrongKeysMissing) as again:
        check_signatures(targets.targets, TARGETS, releases)
    assert [said[:12] for said in again.value.weak] == [weak.keyid[:12]]


def test_ids_without_a_key_are_passed_over_in_what_is_said() -> None:
    made = scene()

    def without_keys(document: Document) -> None:
        [releases] = [role for role in document["delegations"]["roles"] if role["name"] == RELEASES]
        releases["keyids"] = ["ab" * 32]

    targets = made.forger.successor(TARGETS, without_keys)
    with pytest.raises(ThresholdNotMet) as caught:
        check_signatures(targets.targets, TARGETS, made.server.stored[RELEASES])
    assert type(caught.value) is ThresholdNotMet


def test_bytes_that_are_no_key_are_refused() -> None:
    made = scene()
    nothing = NotaryKey.of("ecdsa", base64.b64encode(b"no key").decode())
    with pytest.raises(MalformedMetadata, match="no key that can be read"):
        judge(made, made.forger.successor(TARGETS, delegated(nothing)))


def test_nothing_of_this_holds_in_tuf() -> None:
    with pytest.raises(KeyNotAccepted):
        TUF.encode_key(WEAK["P-224"])
    assert not TUF.upload_rules.may_name_weak_keys
