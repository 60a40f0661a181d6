"""A collection whose tags are signed by different people: what some rules allow and others do not."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from tests.simulator.owner import Owner, digest_of, tag_edit
from tests.simulator.repository import RepositorySimulator
from tests.simulator.scene import EVIL, GOOD, Scene
from trustdata.editing import repository_editor as editor
from trustdata.roles import RELEASES, RoleName, signer_role
from trustdata.wire import WireFormat
from trustdata.wire.formats import wire_named
from trustdata.wire.tuf import TUF

ALICE, BOB = signer_role("alice"), signer_role("bob")
INDEX: Final = digest_of("index")
PLATFORM: Final = digest_of("platform")
TAGS: Final[Mapping[str, Mapping[RoleName, str]]] = {
    "signed": {ALICE: GOOD, BOB: GOOD, RELEASES: GOOD},
    "multi": {ALICE: GOOD},
    "big": {RELEASES: GOOD},
    "evil": {ALICE: GOOD, BOB: EVIL},
}
"""What each role says about each tag; the cases of `docs/reference/policy.md`. `index` is signed by all, too."""


@cache
def _built(form: str) -> Scene:
    server = RepositorySimulator(wire=wire_named(form))
    owner = Owner(server)
    pin = owner.initialise()
    owner.add_signer("alice")
    owner.add_signer("bob")
    past = server.copy()
    for tag, roles in TAGS.items():
        for role, digest in roles.items():
            _list(owner, tag, role, digest)
    for role in (ALICE, BOB, RELEASES):
        _list(owner, "index", role, INDEX, PLATFORM)
    return Scene(server=server, past=past, pin=pin)


def _list(owner: Owner, tag: str, role: RoleName, digest: str, *children: str) -> None:
    edit = tag_edit(tag, digest, *children)
    owner.publish(lambda roles: editor.set_tags(roles, [edit], into=[role], terms=owner.terms))


def signed_by(wire: WireFormat = TUF) -> Scene:
    """A copy of the collection, for one test."""
    built = _built(wire.name)
    return Scene(server=built.server.copy(), past=built.past.copy(), pin=built.pin)
