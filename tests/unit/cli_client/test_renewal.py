"""The edit of `trust renew`, while others publish."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.simulator.keyring import Ring
from tests.simulator.owner import EVERY_KEY, Owner
from tests.simulator.repository import APP, RepositorySimulator
from tests.simulator.scene import GOOD, good_collection
from tests.simulator.session import SimulatedSession
from trustcli.commands.renew import RenewalEdit
from trustdata.due import within
from trustdata.roles import ONLINE, RELEASES, ROOT, TARGETS, RoleName

ALICE = RoleName("targets/alice")
LONG = timedelta(days=10_000)


def renewal(owner: Owner, *names: str) -> RenewalEdit:
    """Everything is due."""
    keys = Ring(*names) if names else owner.ring
    return RenewalEdit(owner.server.gun, keys, within(LONG, at=owner.at), owner.terms)


def old() -> RepositorySimulator:
    server = good_collection().server
    server.later(timedelta(days=2))
    return server


def test_what_somebody_else_renews_meanwhile_is_left() -> None:
    """Renewed once, not twice; the tag that came with it stays."""
    owner = Owner(old())
    edit, before = renewal(owner), owner.read()

    def meanwhile() -> None:
        owner.server.before_publish = None
        Owner(owner.server, "alice").sign("3.0", GOOD)

    owner.server.before_publish = meanwhile
    outcome = owner.publish(edit)
    assert set(outcome.uploads) == {ROOT, TARGETS}
    after = owner.read()
    assert {role: after[role].version - before[role].version for role in (ROOT, TARGETS, RELEASES, ALICE)} == {
        ROOT: 1,
        TARGETS: 1,
        RELEASES: 1,
        ALICE: 1,
    }
    assert "3.0" in after[RELEASES].targets.targets


def test_a_lost_reply_is_not_renewed_again() -> None:
    owner = Owner(old())
    edit, before = renewal(owner), owner.read()
    owner.publish(edit)
    assert edit(owner.read()) == {}, "all that was due has moved"
    assert owner.read()[ROOT].version == before[ROOT].version + 1


def test_what_the_keys_cannot_sign() -> None:
    owner = Owner(old(), "alice")
    edit = renewal(owner)
    assert set(edit(owner.read())) == {RELEASES, ALICE}
    assert {left.file.role for left in edit.unrenewed} == {ROOT, TARGETS}
    said = {left.file.role: str(edit.missing(left)) for left in edit.unrenewed}
    assert "who can renew it: root)" in said[ROOT]
    assert "who can renew it: repository)" in said[TARGETS]


@pytest.mark.parametrize(
    "command",
    [
        ("sign", f"{APP}:3.0"),
        ("renew", APP, "--all"),
        ("signer", "remove", "bob", APP),
        ("key", "rotate", "targets", APP),
    ],
    ids=" ".join,
)
def test_what_a_machine_has_signed_itself_it_knows(command: tuple[str, ...]) -> None:
    """By the hash of each file, so that it can renew it after it has expired (ADR 0041)."""
    scene = good_collection()
    client = scene.newcomer()
    before = {role: file.sha256 for role, file in scene.server.stored.items()}
    session = SimulatedSession(client, keys=EVERY_KEY, registry_digest=f"sha256:{GOOD}")
    assert session.ends(*command) == 0, session.stderr.getvalue()
    seen = client.memory.known[scene.server.gun].roles
    signed = [
        role for role, file in scene.server.stored.items() if role not in ONLINE and before.get(role) != file.sha256
    ]
    assert RELEASES in signed
    assert {role: seen[role].sha256 for role in signed} == {role: scene.server.stored[role].sha256 for role in signed}
