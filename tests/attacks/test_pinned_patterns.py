"""A pattern pinned to a root key: what its owner, or who got one of its collections, can show under other names."""

from __future__ import annotations

import json

import pytest

from keys.algorithms import bare_keyid
from tests.simulator import keyring
from tests.simulator.client import Client
from tests.simulator.forgery import Document, Forger, file_of, text_of
from tests.simulator.owner import Owner
from tests.simulator.repository import APP, RepositorySimulator
from tests.simulator.scene import EVIL, GOOD
from tests.simulator.siblings import DEV, PATTERN, first_root, found, found_with_pattern
from trustdata.errors import RootNotNamed
from trustdata.gun import NAME_MEMBER
from trustdata.roles import ROOT
from trustdata.verification.trust_pinning import Pin, SourcedPin
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

SOURCE = f"{PATTERN} in pins.toml"


def newcomer(server: RepositorySimulator, *pins: Pin) -> Client:
    """Who has pinned the pattern, and has seen nothing yet."""
    client = Client(server)
    client.pins = [SourcedPin(pin=pin, source=SOURCE, of_pattern=True) for pin in pins]
    return client


def shown_as_app(server: RepositorySimulator) -> RepositorySimulator:
    shown = server.copy()
    shown.gun = APP
    return shown


def with_a_tag(server: RepositorySimulator, digest: str) -> RepositorySimulator:
    Owner(server).sign("1.0", digest)
    return server


def test_who_took_over_a_collection_without_a_name_does_not_name_it_for_the_pinned_key() -> None:
    app = RepositorySimulator(gun=APP, wire=TUF)
    found(app, named=True)
    with_a_tag(app, GOOD)
    key = Pin("key", app.stored[ROOT].root.roles[ROOT].keyids[0])
    dev = RepositorySimulator(gun=DEV, wire=TUF)
    found(dev, named=False)
    with_a_tag(dev, EVIL)
    forger, mallory = Forger(dev), keyring.signer("mallory")

    def hand_over(root: Document) -> None:
        root["keys"].pop(root["roles"]["root"]["keyids"].pop())
        root["roles"]["root"]["keyids"] = [mallory.public_key.keyid]
        root["keys"][mallory.public_key.keyid] = mallory.public_key.to_dict()

    second = forger.successor(ROOT, hand_over, signers=[*forger.signers(ROOT, "root"), mallory])
    forger.put(ROOT, second.raw, version=2)
    third = forger.successor(ROOT, lambda root: root.update({NAME_MEMBER: str(APP)}), signers=[mallory])
    forger.put(ROOT, third.raw, version=3)

    assert newcomer(app, key).digest() == f"sha256:{GOOD}"
    with pytest.raises(RootNotNamed):
        newcomer(shown_as_app(dev), key).digest()


def test_nor_does_who_shares_certificates_for_a_pattern() -> None:
    app = RepositorySimulator(gun=APP, wire=NOTARY)
    found(app, named=True)
    with_a_tag(app, GOOD)
    root = app.stored[ROOT].root
    key = Pin("key", bare_keyid(root.keys[root.roles[ROOT].keyids[0]]))
    dev = RepositorySimulator(gun=DEV, wire=NOTARY)
    found_with_pattern(dev, "root", "recovery")
    with_a_tag(dev, EVIL)
    # From here on the other owner alone, and the server.
    forger, own, of_app = Forger(dev), keyring.certificate("recovery", PATTERN), keyring.certificate("recovery", APP)
    document = forger.document(ROOT)
    document["version"] += 1
    for keyid in document["roles"]["root"]["keyids"]:
        document["keys"].pop(keyid, None)
    document["keys"][of_app.keyid] = {
        "keytype": of_app.keytype,
        "keyval": {"private": None, "public": of_app.keyval["public"]},
    }
    document["roles"]["root"]["keyids"] = [of_app.keyid]
    signed = json.loads(file_of(text_of(document), [dev.wire.signer(keyring.private("recovery"))]))
    signatures = [{**signed["signatures"][0], "keyid": certificate.keyid} for certificate in (own, of_app)]
    raw = b'{"signatures":' + json.dumps(signatures, separators=(",", ":")).encode() + b',"signed":'
    forger.put(ROOT, raw + text_of(document) + b"}", version=2)

    assert newcomer(app, key).digest() == f"sha256:{GOOD}"
    with pytest.raises(RootNotNamed):
        newcomer(shown_as_app(dev), key).digest()


@pytest.mark.parametrize("wire", [TUF, NOTARY], ids=["tuf", "notary"])
def test_a_fingerprint_for_a_pattern_does_not_decide_whose_a_root_is(wire: object) -> None:
    """A fingerprint of one collection decides, also beside a key; one that is pinned for many names never does."""
    dev = RepositorySimulator(gun=DEV, wire=TUF if wire is TUF else NOTARY)
    found(dev, named=False)
    with_a_tag(dev, EVIL)
    key = Pin("key", dev.stored[ROOT].root.roles[ROOT].keyids[0])
    for pins in ([key, first_root(dev)], [first_root(dev)]):
        with pytest.raises(RootNotNamed):
            newcomer(shown_as_app(dev), *pins).digest()
    alone = newcomer(shown_as_app(dev), key)
    alone.pins.append(SourcedPin(pin=first_root(dev), source="pins.toml"))
    assert alone.digest() == f"sha256:{EVIL}", "somebody has said that this root is that of this name"


def test_an_owner_names_a_collection_while_the_root_key_is_replaced() -> None:
    """The root that names it is signed by the old key and the new one."""
    app = RepositorySimulator(gun=APP, wire=TUF)
    found(app, named=False)
    with_a_tag(app, GOOD)
    key = Pin("key", app.stored[ROOT].root.roles[ROOT].keyids[0])
    forger, successor = Forger(app), keyring.signer("successor")

    def replace(root: Document) -> None:
        root["keys"].pop(root["roles"]["root"]["keyids"].pop())
        root["roles"]["root"]["keyids"] = [successor.public_key.keyid]
        root["keys"][successor.public_key.keyid] = successor.public_key.to_dict()
        root[NAME_MEMBER] = str(APP)

    second = forger.successor(ROOT, replace, signers=[*forger.signers(ROOT, "root"), successor])
    forger.put(ROOT, second.raw, version=2)
    assert newcomer(app, key).digest() == f"sha256:{GOOD}"
