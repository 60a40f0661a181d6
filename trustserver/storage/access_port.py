"""The port to the credentials that the server has given out: API tokens and passwords."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from trustserver.storage.events import Actor


class CredentialKind(StrEnum):
    """What a credential is. Each kind has names of its own."""

    TOKEN = "token"  # noqa: S105 - a kind, no secret
    USER = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCredential:
    """One credential. `secret`: what its secret is checked by, never the secret itself. Times are whole seconds, UTC.

    `expires`: None: never. `ended`: when it was revoked or removed; None if it was not. `rights`, `names`, `roles`: the
    rights that it brings along, in the words of access rules; none if rules alone decide.
    """

    kind: CredentialKind
    name: str
    secret: str = field(repr=False)
    created: datetime
    expires: datetime | None = None
    ended: datetime | None = None
    rights: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()

    def is_valid(self, at: datetime) -> bool:
        """Return whether it counts at this time."""
        return self.ended is None and (self.expires is None or at < self.expires)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountingRules:
    """The access rules that count: how many. `sha256`: of their file, in hex; empty: there is none."""

    sha256: str = ""
    count: int = 0


class AccessStore(Protocol):
    """Keeps credentials. What has ended stays, so that a name is never taken for another one's. Raises: NotStored.

    Each change that somebody makes is in the record of changes, in the same transaction. `by`: who makes it.
    """

    def changes(self) -> int:
        """Return a number that every change moves, at little cost."""

    def credentials(self) -> list[StoredCredential]:
        """Return every credential that can be read, also those that have ended, sorted by kind and name."""

    def unreadable(self) -> list[str]:
        """Return kind and name of the credentials that cannot be read: none of them counts.

        A newer program has written them, or somebody by hand.
        """

    def add(self, credential: StoredCredential, *, by: Actor) -> bool:
        """Store a new credential. Return False, and store nothing, if there is or was one of this kind and name."""

    def put(self, credentials: Sequence[StoredCredential], *, by: Actor) -> None:
        """Store credentials, each in the place of one of its kind and name, if there is one: all or none of them."""

    def end(self, kind: CredentialKind, name: str, at: datetime, *, by: Actor) -> bool:
        """End a credential. Return False if there is none that has not ended."""

    def change_secret(self, kind: CredentialKind, name: str, *, before: str, after: str) -> None:
        """Change what the secret of a credential is checked by, if that is still `before`.

        The secret is the same, so that nobody's access changes: this is not recorded.
        """

    def note_rules(self, rules: CountingRules, at: datetime, *, by: Actor) -> bool:
        """Record which rules count. Return False, and record nothing, if these were recorded last."""

    def close(self) -> None:
        """Close the connections to the database."""
