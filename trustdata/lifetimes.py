"""Lifetimes of signed files, and the times that follow from them. All times are arguments, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from keys.record import record
from trustdata.duration import parse_duration
from trustdata.roles import ROOT, SNAPSHOT, TIMESTAMP


@record
class Lifetimes:
    """How long a newly signed file stays valid, for each role. A year has 365 days (docs/adr/0031)."""

    root: timedelta
    targets: timedelta
    snapshot: timedelta
    timestamp: timedelta

    def of(self, role: str) -> timedelta:
        """Return the lifetime of a role. A delegation has the lifetime of `targets`."""
        return {ROOT: self.root, SNAPSHOT: self.snapshot, TIMESTAMP: self.timestamp}.get(role, self.targets)  # type: ignore[call-overload, no-any-return]


@record
class MaxLife:
    """How long after now an online role may expire at most, for clients to accept it (docs/adr/0047)."""

    snapshot: timedelta
    timestamp: timedelta

    def of(self, role: str) -> timedelta | None:
        """Return the limit of a role; None for the roles that owners sign, which have none."""
        return {SNAPSHOT: self.snapshot, TIMESTAMP: self.timestamp}.get(role)  # type: ignore[call-overload, no-any-return]

    @classmethod
    def parse(cls, value: object) -> MaxLife:
        """Return the limit that a setting names for both roles, such as `400d`. Raises: ValueError."""
        span = parse_duration(value) if isinstance(value, str) else timedelta()
        if not span:
            raise ValueError('must be a time such as "400d"')
        return cls(snapshot=span, timestamp=span)


TUF_LIFETIMES: Final = Lifetimes(
    root=timedelta(days=730), targets=timedelta(days=365), snapshot=timedelta(days=14), timestamp=timedelta(days=3)
)
NOTARY_LIFETIMES: Final = Lifetimes(
    root=timedelta(days=3650), targets=timedelta(days=1095), snapshot=timedelta(days=1095), timestamp=timedelta(days=14)
)

TUF_MAX_LIFE: Final = MaxLife(snapshot=timedelta(days=45), timestamp=timedelta(days=45))
NOTARY_MAX_LIFE: Final = MaxLife(snapshot=timedelta(days=4 * 365), timestamp=timedelta(days=60))
UNLIMITED_LIFE: Final = MaxLife(snapshot=timedelta.max, timestamp=timedelta.max)
"""For those who must see what clients refuse: the operator's checks, imports, and other people's repositories."""
CLOCK_SKEW: Final = timedelta(minutes=1)
"""How far two honest clocks, or one clock before and after a small correction, may be apart."""


def expires_at(at: datetime, lifetime: timedelta) -> datetime:
    """Return `at` plus the lifetime, in whole seconds, because TUF writes no fractions."""
    return (at + lifetime).astimezone(UTC).replace(microsecond=0)


def renewal_due(expires: datetime, lifetime: timedelta) -> datetime:
    """Return the time at which a file with this expiry and lifetime should be signed again: half of its life."""
    return expires - lifetime / 2


def outlives(expires: datetime, lifetime: timedelta, *, at: datetime) -> bool:
    """Return whether a file expires later than one that is signed now: it was signed by a clock that was ahead."""
    return expires - at > lifetime + CLOCK_SKEW
