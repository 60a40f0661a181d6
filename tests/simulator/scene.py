"""A good collection, as most attacks find it: two tags, two signers of whom one has signed, a root that was rotated.

root 2 (keys root, recovery; threshold 1) · targets 4 · targets/releases 3 · targets/alice 1 · bob: nothing yet

In Notary v1 the first signer moves no tags: targets/releases is at 2, and targets has 1.0 as OLD still.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from tests.simulator.client import Client
from tests.simulator.forgery import Forger
from tests.simulator.keyring import Keys
from tests.simulator.owner import Owner, digest_of
from tests.simulator.repository import APP, RepositorySimulator
from trustdata.roles import ROOT
from trustdata.verification.trust_pinning import Pin
from trustdata.wire import WireFormat
from trustdata.wire.formats import wire_named
from trustdata.wire.tuf import TUF

OLD = digest_of("old, with a hole in it")
GOOD = digest_of("good")
OTHER = digest_of("other")
NEWER = digest_of("newer")
EVIL = digest_of("evil")
APP_IMAGE = f"{APP}:1.0"
"""What most attacks are about: signed as GOOD."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """`past`: the same server before tag 1.0 moved from OLD to GOOD."""

    server: RepositorySimulator
    past: RepositorySimulator
    pin: Pin

    @property
    def keys(self) -> Keys:
        return self.server.keys

    @property
    def owner(self) -> Owner:
        return Owner(self.server)

    @property
    def forger(self) -> Forger:
        return Forger(self.server)

    def newcomer(self) -> Client:
        """A client that knows the pin and nothing else."""
        return Client(self.server, pins=[self.pin])

    def regular(self) -> Client:
        """A client that has seen the good state."""
        client = self.newcomer()
        assert client.digest("1.0") == f"sha256:{GOOD}"
        return client


@cache
def _built(form: str) -> Scene:
    server = RepositorySimulator(wire=wire_named(form))
    owner = Owner(server)
    pin = owner.initialise()
    owner.sign("1.0", OLD)
    owner.add_signer("alice")
    owner.renew(ROOT)
    Owner(server, "targets").sign("2.0", OTHER)
    past = server.copy()
    Owner(server, "alice").sign("1.0", GOOD)
    owner.add_signer("bob")
    return Scene(server=server, past=past, pin=pin)


def good_collection(wire: WireFormat = TUF) -> Scene:
    """A copy of the scene, for one test."""
    built = _built(wire.name)
    return Scene(server=built.server.copy(), past=built.past.copy(), pin=built.pin)
