"""A promise counts in its own plan and nowhere else; a genuine signature counts as ever."""

from __future__ import annotations

import pytest
from securesystemslib.exceptions import UnverifiedSignatureError

from keys.errors import SigningFailed
from tests.simulator.keyring import key, signer
from tests.simulator.scene import good_collection
from trustdata.editing import repository_editor as editor
from trustdata.editing.promises import Promises
from trustdata.editing.signing import sign
from trustdata.errors import ThresholdNotMet
from trustdata.model import Key, Signature
from trustdata.roles import RELEASES, ROOT, TARGETS
from trustdata.verification import checks
from trustdata.wire.tuf import TUF

OURS = Promises(b"0123456789abcdef")
OTHERS = Promises(b"fedcba9876543210")


def promised_key(name: str, promises: Promises = OURS) -> Key:
    """The key as the promised wire reads it."""
    roles = good_collection().owner.read()
    return promises.wire(TUF).parse(ROOT, roles[ROOT].raw).root.keys[key(name).keyid]


def refuses(one: Key, signature: Signature, payload: bytes) -> bool:
    try:
        one.verify_signature(signature, payload)
    except UnverifiedSignatureError:
        return True
    return False


def test_whose_what_and_where() -> None:
    root, payload = promised_key("root"), b"payload"
    promise = OURS.signer(key("root")).sign(payload)
    assert promise.keyid == key("root").keyid
    assert not refuses(root, promise, payload)
    assert refuses(root, promise, b"another payload")
    assert refuses(root, OTHERS.signer(key("root")).sign(payload), payload), "promised in another plan"
    assert refuses(root, OURS.signer(key("recovery")).sign(payload), payload), "promised by another key"
    renamed = Signature(root.keyid, OURS.signer(key("recovery")).sign(payload).signature)
    assert refuses(root, renamed, payload)
    assert refuses(key("root"), promise, payload), "no promise outside of the plan"


def test_genuine_signatures() -> None:
    root, payload = promised_key("root"), b"payload"
    genuine = signer("root").sign(payload)
    assert not refuses(root, genuine, payload)
    assert refuses(root, genuine, b"another payload")
    assert refuses(root, signer("recovery").sign(payload), payload)


def test_what_is_written_is_the_key_itself() -> None:
    assert promised_key("root").to_dict() == key("root").to_dict()
    assert promised_key("root").keyid == key("root").keyid
    with pytest.raises(TypeError):
        type(promised_key("root")).from_dict("id", {})


def test_a_role_signed_with_promises() -> None:
    """It verifies as the plan reads it; for everybody else it has no signature."""
    owner = good_collection().owner
    wire = OURS.wire(TUF)
    roles = {role: wire.parse(role, envelope.raw) for role, envelope in owner.read().items()}
    renewed = editor.renew(roles, [TARGETS, RELEASES], terms=owner.terms)
    targets = sign(renewed[TARGETS], [OURS.signer(key("targets"))], role=TARGETS, wire=wire)
    releases = sign(renewed[RELEASES], [OURS.signer(key("alice"))], role=RELEASES, wire=wire)
    assert checks.check_signatures(roles[ROOT].root, ROOT, targets) == (key("targets").keyid,)
    assert checks.check_signatures(targets.targets, TARGETS, releases) == (key("alice").keyid,)
    for reader in (TUF, OTHERS.wire(TUF)):
        root = reader.parse(ROOT, roles[ROOT].raw)
        with pytest.raises(ThresholdNotMet):
            checks.check_signatures(root.root, ROOT, reader.parse(TARGETS, targets.raw))


def test_the_format_is_the_same() -> None:
    wire = OURS.wire(TUF)
    for name in (
        "name",
        "lists_versions",
        "snapshot_lists_root",
        "first_root_may_be_later",
        "releases_are_terminating",
    ):
        assert getattr(wire, name) == getattr(TUF, name)
    assert wire.delegations_nest == TUF.delegations_nest
    assert wire.filename(ROOT, version=3) == "3.root.json"


def test_a_promise_has_no_private_key() -> None:
    with pytest.raises(SigningFailed):
        type(OURS.signer(key("root"))).from_priv_key_uri("file:key.pem", key("root"))


def test_a_secret_that_can_be_guessed() -> None:
    with pytest.raises(ValueError, match="guessed"):
        Promises(b"short")
