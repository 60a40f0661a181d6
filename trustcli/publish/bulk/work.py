"""What a bulk run does in one collection: what a work is given, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from trustcli.console.failure_table import Failure
from trustcli.errors import PlanChanged
from trustcli.publish.bulk.confirmed import Essence, essence_of_publish
from trustcli.publish.publisher import Check
from trustdata.editing.owner_roles import OwnerRoles
from trustdata.gun import GUN


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a command has done in one collection.

    `changed`: False if there was nothing to do. `lines`: the result, for standard output. `note`: for standard error.
    `row`: members of the collection's row in JSON. `failures`: what could not be done besides. `next`: what somebody
    has to do now, if something is left to do.
    """

    changed: bool = True
    lines: tuple[str, ...] = ()
    note: str = ""
    row: Mapping[str, Any] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    next: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What was about to be sent for one collection, as fingerprints of keys.

    `made`: new keys by what they are for, such as a role. `before`: the keys that they take the place of.
    """

    made: Mapping[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()


class Record(Protocol):
    """Where a run writes down what it is about to do. Every method may raise MemoryUnwritable or FileExposed."""

    @property
    def since(self) -> datetime | None:
        """When the run began (UTC, whole seconds), also if it was interrupted since; None if nothing is recorded."""

    def begun(self, gun: GUN) -> Begun | None:
        """Return what an interrupted run was about to send for the collection; None if it has not got that far."""

    def begin(self, gun: GUN, begun: Begun) -> None:
        """Write down what is about to be sent. Durable on return."""

    def shared(self, slot: str) -> str:
        """Return the fingerprint of a new key of all collections, by what it is for; empty if none was made."""

    def share(self, slot: str, fingerprint: str) -> None:
        """Write down a new key of all collections. Durable on return."""


class NoRecord:
    """The `Record` of a command for one collection, whose edit needs none."""

    since: datetime | None = None

    def begun(self, gun: GUN) -> Begun | None:
        """Return None."""
        del gun
        return None

    def begin(self, gun: GUN, begun: Begun) -> None:
        """Write nothing."""

    def shared(self, slot: str) -> str:
        """Return an empty text."""
        del slot
        return ""

    def share(self, slot: str, fingerprint: str) -> None:
        """Write nothing."""


class Step:
    """What a work is given for one collection. `planned`: what its plan does; None if none was made."""

    def __init__(self, gun: GUN, record: Record, planned: Essence | None) -> None:
        self._gun = gun
        self._record = record
        self._planned = planned

    @property
    def begun(self) -> Begun | None:
        """What an interrupted run was about to send here."""
        return self._record.begun(self._gun)

    @property
    def since(self) -> datetime | None:
        """When the run began (UTC, whole seconds), also if it was interrupted since; None if nothing is recorded."""
        return self._record.since

    def begin(self, begun: Begun) -> None:
        """Write down what is about to be sent. Durable on return. Raises: MemoryUnwritable, FileExposed."""
        self._record.begin(self._gun, begun)

    def shared(self, slot: str) -> str:
        """Return the fingerprint of a new key of all collections; empty if none was made."""
        return self._record.shared(slot)

    def share(self, slot: str, fingerprint: str) -> None:
        """Write down a new key of all collections. Durable on return. Raises: MemoryUnwritable, FileExposed."""
        self._record.share(slot, fingerprint)

    def check(self, before: OwnerRoles, after: OwnerRoles) -> None:
        """Check that what would be sent is what was planned, as the last check of a publish. Raises: PlanChanged."""
        if self._planned is None:
            return
        found = essence_of_publish(before, after)
        if found != self._planned:
            planned, now = _only(self._planned, found), _only(found, self._planned)
            raise PlanChanged(gun=self._gun, planned=planned, found=now)

    def checked(self, check: Check) -> Check:
        """Return a check that demands both: the given one, and that nothing else is sent than was planned."""

        def both(before: OwnerRoles, after: OwnerRoles) -> None:
            check(before, after)
            self.check(before, after)

        return both


def _only(one: Essence, other: Essence) -> str:
    return "; ".join(sentence for sentence in one if sentence not in other) or "nothing more"


CarryOut = Callable[[GUN, Step], Done]
"""A function that does one collection. It raises TrustError, KeysError or UsageError."""
