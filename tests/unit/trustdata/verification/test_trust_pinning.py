"""Pins: how they are written, which chain holds them, and what is said where one is not held."""

from __future__ import annotations

import base64
from functools import partial

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from tests.simulator.repository import APP, NOW
from tests.simulator.scene import Scene, good_collection
from tests.support.refusal import refused
from trustdata.envelope import Envelope
from trustdata.errors import InvalidName, PinsDisagree, RootNotNamed, RootNotPinned, Unpinned
from trustdata.roles import ROOT
from trustdata.verification.trust_pinning import (
    Pin,
    SourcedPin,
    chain_holds,
    check_named,
    check_pins,
    fingerprint,
    parse_pin,
    parse_policy_pin,
)
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

HEX = "0123456789abcdef" * 4
DIGITS = "each with 64 hexadecimal digits, none a capital"
IN_A_POLICY = "sha256:HEX of a root file, key:HEX of a root key, cert:HEX of its certificate (ca:NAME of a [[ca]])"
STRANGER, ANOTHER = Pin("sha256", "ab" * 32), Pin("key", "cd" * 32)


def chain_of(scene: Scene) -> list[Envelope]:
    return [scene.server.wire.parse(ROOT, scene.server.files[f"{version}.root.json"]) for version in (1, 2)]


def pins(*found: Pin) -> list[SourcedPin]:
    return [SourcedPin(pin=pin, source=f"source {number}") for number, pin in enumerate(found)]


@pytest.mark.parametrize("kind", ["sha256", "key"])
def test_written_and_read(kind: str) -> None:
    pin = parse_pin(f"{kind}:{HEX}")
    assert (pin.kind, pin.digest, str(pin)) == (kind, HEX, f"{kind}:{HEX}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEX,
        "sha256:",
        f"sha512:{HEX}",
        f"key:{HEX.upper()}",
        f"key:{HEX[1:]}",
        f"key:{HEX}0",
        f" key:{HEX}",
        f"key:{HEX}\n",
    ],
)
def test_what_is_no_pin(text: str) -> None:
    with refused(InvalidName, "must be sha256:HEX", kind="pin", name=text.replace("\n", "\\n")):
        parse_pin(text)


def test_which_pins_a_chain_holds(wire: WireFormat) -> None:
    scene = good_collection(wire)
    chain = chain_of(scene)
    first, second = chain
    root, recovery = (scene.keys.root_keyid(name) for name in ("root", "recovery"))
    assert fingerprint(first) == Pin("sha256", first.sha256)
    held = [Pin("sha256", first.sha256), Pin("sha256", second.sha256), Pin("key", root)]
    assert [chain_holds(pin, chain) for pin in held] == [True, True, True]
    stranger = scene.keys.root_keyid("mallory")
    not_held = [STRANGER, ANOTHER, Pin("sha256", root), Pin("key", first.sha256), Pin("key", stranger)]
    assert [chain_holds(pin, chain) for pin in not_held] == [False] * 5
    assert not chain_holds(held[0], [second])
    assert not chain_holds(held[2], [second]), "a key must have signed version 1"
    signed_by_root = scene.forger.successor(
        ROOT, lambda d: d.update(version=1), signers=scene.forger.signers(ROOT, "root")
    )
    assert [chain_holds(Pin("key", key), [signed_by_root]) for key in (root, recovery)] == [True, False]


def test_a_pin_of_a_key_is_held_only_by_a_root_key(wire: WireFormat) -> None:
    """Whoever signs besides the root keys is no root key."""
    scene = good_collection(wire)
    signers = scene.forger.signers(ROOT, "root", "mallory")
    chain = [scene.forger.successor(ROOT, lambda d: d.update(version=1), signers=signers)]
    assert scene.keys.root_keyid("mallory") in chain[0].signatures
    assert not chain_holds(Pin("key", scene.keys.root_keyid("mallory")), chain)


def test_pins_of_a_chain(wire: WireFormat) -> None:
    scene = good_collection(wire)
    chain = chain_of(scene)
    found = str(fingerprint(chain[0]))
    held, also_held = fingerprint(chain[1]), Pin("key", scene.keys.root_keyid("root"))
    check_pins(APP, pins(held), chain, at=NOW)
    check_pins(APP, pins(held, also_held), chain, at=NOW)
    with refused(Unpinned, gun=APP, found=found):
        check_pins(APP, [], chain, at=NOW)
    with refused(RootNotPinned, gun=APP, pin=str(STRANGER), pin_source="source 0", found=found):
        check_pins(APP, pins(STRANGER, ANOTHER), chain, at=NOW)
    for known, pin, other in (
        (pins(held, STRANGER, ANOTHER), (str(held), "source 0"), (str(STRANGER), "source 1")),
        (pins(ANOTHER, STRANGER, also_held), (str(also_held), "source 2"), (str(ANOTHER), "source 0")),
    ):
        with refused(PinsDisagree, gun=APP, pin=pin[0], pin_source=pin[1], other=other[0], other_source=other[1]):
            check_pins(APP, known, chain, at=NOW)


def _always(answer: bool, _: Envelope) -> bool:  # noqa: FBT001
    return answer


def test_keys_alone_vouch_for_a_root_that_names_its_collection() -> None:
    scene = good_collection()
    chain = chain_of(scene)
    key, root = Pin("key", scene.keys.root_keyid("root")), fingerprint(chain[0])
    for known, named in (((key,), True), ((key, root), False), ((root, key), False), ((root,), False), ((), False)):
        check_named(APP, pins(*known), chain, names=partial(_always, named))
    with refused(RootNotNamed, gun=APP, pin=str(key), pin_source="source 0", found=str(root)):
        check_named(APP, pins(key, ANOTHER), chain, names=lambda _: False)
    for recorded in (True, False):
        with pytest.raises(RootNotNamed) as caught:
            check_named(APP, [SourcedPin(pin=key, source="pins.toml", recorded=recorded)], chain, names=lambda _: False)
        assert caught.value.pin_recorded is recorded


def test_a_name_that_the_newest_root_no_longer_has_is_none() -> None:
    chain = chain_of(good_collection())
    key = Pin("key", chain[0].root.roles[ROOT].keyids[0])
    check_named(APP, pins(key), chain, names=lambda root: root in chain)
    with refused(RootNotNamed, gun=APP, pin=str(key), pin_source="source 0", found=str(fingerprint(chain[0]))):
        check_named(APP, pins(key), chain, names=lambda root: root is chain[0])


def test_the_fingerprint_of_a_root_that_names_its_collection_is_enough_for_a_pattern_of_names() -> None:
    """No key need vouch for the name: it stands in the pinned file itself."""
    chain = chain_of(good_collection())
    pinned = SourcedPin(pin=fingerprint(chain[0]), source="policy.toml", of_pattern=True)
    check_named(APP, [pinned], chain, names=lambda root: root is not None)
    with pytest.raises(RootNotNamed, match="pinned only by a root for a pattern of names") as caught:
        check_named(APP, [pinned], chain, names=lambda _: False)
    assert (caught.value.pin, caught.value.pin_source) == (str(pinned.pin), "policy.toml")


def fingerprint_of(pem: bytes) -> str:
    return x509.load_pem_x509_certificate(pem).fingerprint(SHA256()).hex()


def test_a_policy_may_pin_the_certificate_of_a_root_key() -> None:
    scene = good_collection(NOTARY)
    chain = chain_of(scene)
    pinned = {
        keyid: Pin("cert", fingerprint_of(base64.b64decode(key.keyval["public"])))
        for keyid, key in chain[0].root.keys.items()
        if key.keytype.endswith("x509")
    }
    assert len(pinned) == 2
    for keyid, pin in pinned.items():
        assert chain_holds(pin, chain) == (keyid in chain[0].signatures)
        assert parse_policy_pin(str(pin)) == pin
        assert not chain_holds(pin, chain[1:])
        assert not chain_holds(pin, chain_of(good_collection(TUF)))


def test_what_a_policy_may_pin() -> None:
    for text in (f"sha256:{'a' * 64}", f"key:{'a' * 64}", f"cert:{'a' * 64}"):
        assert str(parse_policy_pin(text)) == text
    for text in (f"ca:{'a' * 64}", "cert:ab", f"cert:{'A' * 64}"):
        with refused(InvalidName, f"must be {IN_A_POLICY}, {DIGITS}", kind="pin", name=text):
            parse_policy_pin(text)


def test_outside_a_policy_there_is_less_to_pin() -> None:
    """Whoever writes the pin of a CA there reads where it belongs; nobody else reads of CAs."""
    for text, more in ((f"cert:{'a' * 64}", ""), ("ca", ""), ("ca:corp", "; a CA is pinned in a policy alone")):
        with pytest.raises(InvalidName) as caught:
            parse_pin(text)
        said = f"must be sha256:HEX of a root file or key:HEX of a root key, {DIGITS}{more}"
        assert caught.value.details() == {"kind": "pin", "name": text, "reason": said}
