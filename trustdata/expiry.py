"""Lifetimes and the question whether something has expired. Time is always an argument, in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from trustdata.roles import ROOT, SNAPSHOT, TIMESTAMP


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long what is signed now stays valid, by role. A year has 365 days."""

    root: timedelta
    targets: timedelta
    snapshot: timedelta
    timestamp: timedelta

    def of(self, role: str) -> timedelta:
        """The lifetime of a role; delegations live as long as `targets`."""
        return {ROOT: self.root, SNAPSHOT: self.snapshot, TIMESTAMP: self.timestamp}.get(role, self.targets)  # type: ignore[call-overload, no-any-return]


TUF_LIFETIMES: Final = Lifetimes(
    root=timedelta(days=730), targets=timedelta(days=365), snapshot=timedelta(days=14), timestamp=timedelta(days=3)
)
NOTARY_LIFETIMES: Final = Lifetimes(
    root=timedelta(days=3650), targets=timedelta(days=1095), snapshot=timedelta(days=1095), timestamp=timedelta(days=14)
)


def expires_at(at: datetime, lifetime: timedelta) -> datetime:
    """`at` plus the lifetime, in whole seconds (TUF writes no fractions)."""
    return (at + lifetime).astimezone(UTC).replace(microsecond=0)


def half_life(expires: datetime, lifetime: timedelta) -> datetime:
    """The instant at which something with this lifetime should be signed again."""
    return expires - lifetime / 2
