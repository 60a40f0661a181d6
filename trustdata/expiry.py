"""Lifetimes of signed files, and the times that follow from them. All times are arguments, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from keys.record import record
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


TUF_LIFETIMES: Final = Lifetimes(
    root=timedelta(days=730), targets=timedelta(days=365), snapshot=timedelta(days=14), timestamp=timedelta(days=3)
)
NOTARY_LIFETIMES: Final = Lifetimes(
    root=timedelta(days=3650), targets=timedelta(days=1095), snapshot=timedelta(days=1095), timestamp=timedelta(days=14)
)


def expires_at(at: datetime, lifetime: timedelta) -> datetime:
    """Return `at` plus the lifetime, in whole seconds, because TUF writes no fractions."""
    return (at + lifetime).astimezone(UTC).replace(microsecond=0)


def half_life(expires: datetime, lifetime: timedelta) -> datetime:
    """Return the time at which a file with this expiry and lifetime should be signed again: half of its life."""
    return expires - lifetime / 2
