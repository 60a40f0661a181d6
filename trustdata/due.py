"""Find the roles that must be signed again soon, and define how soon is soon, for every command.

The owners renew the offline roles, the server renews the online roles (docs/adr/0035).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from trustdata.envelope import Envelope
from trustdata.lifetimes import Lifetimes, renewal_due
from trustdata.roles import ONLINE, RoleName

LOOK_AHEAD: Final = timedelta(days=90)
"""How long before they expire the roles of owners are listed, if nobody says how far to look ahead."""
SOON: Final = timedelta(days=30)
"""How long before it expires a role of the owners is odd to an auditor."""
URGENT: Final = timedelta(days=14)
"""How long before it expires a role of the owners is a fault that nobody has renewed, and no longer a note."""
SERVER_GRACE: Final = timedelta(hours=1)
"""How long after half of a role's life the server may take to renew it: it looks each minute, and may be restarted."""
_PARTS_OF_LIFE: Final = 3
"""Owners should renew in the last third of a life: in TUF 1.0 8 months for root, 4 for targets and delegations."""

Due = Callable[[Envelope], bool]
"""A test whether a file must be signed again soon."""


def within(span: timedelta, *, at: datetime) -> Due:
    """Return a test for files that have expired at `at` or will expire within `span` after it."""
    return lambda envelope: envelope.expires <= at + span


def in_its_last_third(lifetimes: Lifetimes, *, at: datetime) -> Due:
    """Return a test for files that have expired at `at` or have less than a third of their lifetime left."""
    return lambda envelope: envelope.expires < at + lifetimes.of(envelope.role) / _PARTS_OF_LIFE


def offline_roles(roles: Mapping[RoleName, Envelope], due: Due) -> tuple[RoleName, ...]:
    """Return the offline roles that are due, in the order of their expiry. `roles`: verified."""
    due_roles = [role for role, envelope in roles.items() if role not in ONLINE and due(envelope)]
    return tuple(sorted(due_roles, key=lambda role: (roles[role].expires, role)))


def late_online_roles(
    roles: Mapping[RoleName, Envelope], lifetimes: Lifetimes, *, at: datetime
) -> tuple[RoleName, ...]:
    """Return the online roles that the server should have signed again: they are past half of their life, and grace."""
    return tuple(
        role
        for role in ONLINE
        if role in roles and renewal_due(roles[role].expires, lifetimes.of(role)) + SERVER_GRACE <= at
    )
