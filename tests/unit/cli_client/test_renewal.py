"""The edit of `trust renew`, while others publish."""

from __future__ import annotations

from datetime import timedelta

from tests.simulator.keyring import Ring
from tests.simulator.owner import Owner
from tests.simulator.repository import RepositorySimulator
from tests.simulator.scene import GOOD, good_collection
from trustcli.commands.renew import RenewalEdit
from trustdata.due import within
from trustdata.roles import RELEASES, ROOT, TARGETS, RoleName

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
