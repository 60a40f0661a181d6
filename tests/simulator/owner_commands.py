"""Owners who run the real commands on a simulated server whose snapshot and timestamp keys an attacker has."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from tests.simulator.client import Client
from tests.simulator.forgery import Document
from tests.simulator.owner import EVERY_KEY
from tests.simulator.scene import EVIL, NEWER, Scene
from tests.simulator.session import SimulatedSession
from trustdata.editing import repository_editor as editor
from trustdata.roles import RELEASES, TARGETS, RoleName

ALICE: Final = RoleName("targets/alice")
LATER: Final = timedelta(days=2000)
"""After every offline role but a Notary root has expired."""


def forge(scene: Scene, *signers: str, role: RoleName = RELEASES) -> str:
    """List a next version with the attacker's digest under 1.0; return `ROLE@sha256:HEX`. What is stored stays."""
    stored = scene.server.stored[role]

    def change(document: Document) -> None:
        document["version"] += 1
        document["targets"]["1.0"] = scene.forger.target(EVIL)

    scene.forger.alter(role, change, signers=scene.forger.signers(role, *signers))
    forged = scene.server.stored[role].sha256
    scene.server.stored[role] = stored
    return f"{role}@sha256:{forged}"


def owner(client: Client, *, keys: tuple[str, ...] = EVERY_KEY, as_json: bool = False) -> SimulatedSession:
    """One invocation of an owner who has the keys; the registry has NEWER under every tag."""
    return SimulatedSession(client, keys=keys, as_json=as_json, registry_digest=f"sha256:{NEWER}")


def refuses(scene: Scene, client: Client, *command: str) -> SimulatedSession:
    """Run a command that must end with "not trusted" and send nothing."""
    before = scene.server.revision
    session = owner(client)
    assert session.ends(*command) == 4, session.stderr.getvalue()
    assert scene.server.revision == before
    return session


def does(client: Client, *command: str) -> SimulatedSession:
    session = owner(client)
    assert session.ends(*command) == 0, session.stderr.getvalue()
    return session


def nobody_runs_evil(scene: Scene) -> None:
    for client in (scene.newcomer(), Client(scene.server, pins=[scene.pin])):
        for tag in ("1.0", "2.0", "3.0", None):
            for digest in (None, f"sha256:{EVIL}"):
                assert client.judge(tag, digest).digest != f"sha256:{EVIL}"


def orphaned(scene: Scene) -> None:
    """What docker's removal leaves: alice is no key of the releases any more, and had signed them last."""
    removal = editor.remove_signer(scene.server.gun, scene.owner.read(), "alice", terms=scene.owner.terms)
    scene.owner.publish(lambda _: {TARGETS: removal[TARGETS]})


def everything_expires(scene: Scene) -> None:
    """Two thousand days later the server is still there, and no owner was."""
    scene.server.later(LATER)
    scene.server.issue()


def expire_role(scene: Scene, role: RoleName) -> str:
    """Let one stored role have expired, signed by its own keys."""
    scene.forger.alter(role, lambda d: d.update(version=d["version"] + 1, expires="2026-10-01T00:00:00Z"))
    return f"{role}@sha256:{scene.server.stored[role].sha256}"


def listed_releases(scene: Scene) -> bytes:
    """The releases file that the server lists now."""
    client = scene.newcomer()
    roles = client.collection().refresh(for_owner=True)
    return roles.load_unverified(RELEASES).raw
