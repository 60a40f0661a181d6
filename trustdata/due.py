"""What runs out, and whose duty it is (PRODUCT decision 13): owners sign offline roles, the server the online ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from trustdata.envelope import Envelope
from trustdata.expiry import Lifetimes, half_life
from trustdata.roles import ONLINE, RoleName

LAST_PART: Final = 3
"""A role is due in the last third of its life: 8 months for root, 4 for targets and delegations, by default."""

Due = Callable[[Envelope], bool]


def within(span: timedelta, *, at: datetime) -> Due:
    """Whatever has expired, or will in this span from `at`."""
    return lambda envelope: envelope.expires <= at + span


def in_its_last_third(lifetimes: Lifetimes, *, at: datetime) -> Due:
    """Whatever has expired, or has less than a third of its life left."""
    return lambda envelope: envelope.expires < at + lifetimes.of(envelope.role) / LAST_PART


def offline_roles(roles: Mapping[RoleName, Envelope], due: Due) -> tuple[RoleName, ...]:
    """Of the verified `roles`, those of the owners that are due; the first to expire first."""
    found = [role for role, envelope in roles.items() if role not in ONLINE and due(envelope)]
    return tuple(sorted(found, key=lambda role: (roles[role].expires, role)))


def late_online_roles(
    roles: Mapping[RoleName, Envelope], lifetimes: Lifetimes, *, at: datetime
) -> tuple[RoleName, ...]:
    """The online roles that the server should have signed again by now: past half of their life."""
    return tuple(role for role in ONLINE if role in roles and half_life(roles[role].expires, lifetimes.of(role)) <= at)
