"""Two collections of one owner with one root key, as `trust init` makes them, and a server that swaps them."""

from __future__ import annotations

from dataclasses import dataclass

from tests.simulator import keyring
from tests.simulator.client import Client
from tests.simulator.forgery import Document, Forger
from tests.simulator.owner import Owner
from tests.simulator.repository import APP, RepositorySimulator
from tests.simulator.scene import EVIL, GOOD
from trustdata.editing import repository_editor as editor
from trustdata.gun import NAME_MEMBER, parse_gun
from trustdata.roles import ROOT, SNAPSHOT, TIMESTAMP
from trustdata.verification.trust_pinning import Pin, SourcedPin, fingerprint
from trustdata.wire import WireFormat

DEV = parse_gun("registry.example.com/team/dev")
PATTERN = "registry.example.com/team/*"


@dataclass(frozen=True, kw_only=True)
class Siblings:
    """`app` has 1.0 as GOOD, `dev` has it as EVIL: a build that must not run in production."""

    app: RepositorySimulator
    dev: RepositorySimulator

    @property
    def swapped(self) -> RepositorySimulator:
        """A server that shows `dev` to those who ask for `app`."""
        shown = self.dev.copy()
        shown.gun = APP
        return shown

    @property
    def fingerprint(self) -> Pin:
        return first_root(self.app)

    @property
    def key(self) -> Pin:
        """The pin of the root key; in TUF 1.0, and in certificates for a pattern, the other collection has it too."""
        return Pin("key", self.app.stored[ROOT].root.roles[ROOT].keyids[0])


def first_root(server: RepositorySimulator) -> Pin:
    """The fingerprint of root version 1."""
    return fingerprint(server.wire.parse(ROOT, server.files["1.root.json"]))


def siblings(wire: WireFormat, *, named: bool = True) -> Siblings:
    """Both collections. `named=False`: their roots do not say whose they are, as those of earlier versions."""
    app, dev = RepositorySimulator(gun=APP, wire=wire), RepositorySimulator(gun=DEV, wire=wire)
    for server, digest in ((app, GOOD), (dev, EVIL)):
        found(server, named=named)
        Owner(server).sign("1.0", digest)
    return Siblings(app=app, dev=dev)


def found(server: RepositorySimulator, *, named: bool) -> None:
    """Make the collection, with one root key."""
    owner = Owner(server)
    if named or not server.wire.certifies_root_keys:
        owner.initialise("root")
        if not named:
            Forger(server).alter(ROOT, unname)
        return
    found_with_pattern(server, "root")


def found_with_pattern(server: RepositorySimulator, *people: str) -> None:
    """Make a collection of Notary v1 whose root has certificates for PATTERN, one of each of these people's keys."""
    owner = Owner(server)
    contents = editor.new_collection(
        root_keys=[keyring.certificate(person, PATTERN) for person in people],
        threshold=1,
        targets_key=server.keys.key("targets"),
        snapshot_key=server.online_key(server.gun, SNAPSHOT),
        timestamp_key=server.online_key(server.gun, TIMESTAMP),
        terms=owner.terms,
    )
    owner.publish(lambda _: contents)


def unname(document: Document) -> None:
    """Take the name out of a root."""
    del document[NAME_MEMBER]


def pinned(server: RepositorySimulator, *pins: Pin, source: str = "pins.toml") -> Client:
    """A machine with these pins and nothing else."""
    client = Client(server)
    client.pins = [SourcedPin(pin=pin, source=source) for pin in pins]
    return client
