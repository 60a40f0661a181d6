"""What is due, and whose duty it is."""

from __future__ import annotations

from datetime import timedelta

from tests.simulator.scene import good_collection
from trustdata.due import in_its_last_third, late_online_roles, offline_roles, within
from trustdata.lifetimes import TUF_LIFETIMES
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName

ALICE = RoleName("targets/alice")
SECOND = timedelta(seconds=1)


def test_within_a_span() -> None:
    """To the second, the first to expire first, and no role of the server's."""
    roles = good_collection().owner.read()
    expires = roles[TARGETS].expires
    due = offline_roles(roles, within(timedelta(days=30), at=expires - timedelta(days=30)))
    assert set(due) == {TARGETS, RELEASES, ALICE}
    assert [roles[role].expires for role in due] == sorted(roles[role].expires for role in due)
    earlier = offline_roles(roles, within(timedelta(days=30), at=expires - timedelta(days=30) - SECOND))
    assert TARGETS not in earlier
    assert offline_roles(roles, within(timedelta(), at=roles[ROOT].expires))[-1] == ROOT


def test_the_last_third() -> None:
    """Each role by its own lifetime."""
    roles = good_collection().owner.read()
    third = TUF_LIFETIMES.targets / 3
    at = roles[TARGETS].expires - third
    assert TARGETS not in offline_roles(roles, in_its_last_third(TUF_LIFETIMES, at=at))
    assert TARGETS in offline_roles(roles, in_its_last_third(TUF_LIFETIMES, at=at + SECOND))
    at = roles[ROOT].expires - TUF_LIFETIMES.root / 3
    assert ROOT not in offline_roles(roles, in_its_last_third(TUF_LIFETIMES, at=at))
    assert ROOT in offline_roles(roles, in_its_last_third(TUF_LIFETIMES, at=at + SECOND))


def test_a_server_that_is_late() -> None:
    """From an hour after half of the lifetime on: before, it may be about to renew, or being restarted."""
    roles = good_collection().owner.read()
    hour = timedelta(hours=1)
    late = roles[TIMESTAMP].expires - TUF_LIFETIMES.timestamp / 2 + hour
    assert late_online_roles(roles, TUF_LIFETIMES, at=late - SECOND) == ()
    assert late_online_roles(roles, TUF_LIFETIMES, at=late) == (TIMESTAMP,)
    late = roles[SNAPSHOT].expires - TUF_LIFETIMES.snapshot / 2 + hour
    assert late_online_roles(roles, TUF_LIFETIMES, at=late) == (SNAPSHOT, TIMESTAMP)
    assert late_online_roles({ROOT: roles[ROOT]}, TUF_LIFETIMES, at=late) == ()
