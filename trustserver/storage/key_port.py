"""The interface of what is stored about server-held keys apart from their collections: how they are sealed, and offers.

Its implementation: key_rows.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from trustserver.storage.events import NewEvent
from trustserver.storage.ports import KeyRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class SealMarks:
    """Which seal keys the database knows, by their marks (KeySealer.mark); empty: none.

    `current`: the one that all keys were sealed with last. `following`: the one that a server accepts beside it, since
    its start. `first`: the first one that there was, by which the database is known to what lies beside it.
    """

    current: str
    following: str
    first: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedKey:
    """A stored key, with the number of its row."""

    number: int
    key: KeyRecord = field(repr=False)


class ServerKeyStore(Protocol):
    """The stored server-held keys. May be called from several threads; several programs may use it at one time.

    A method that writes does all of it or nothing, and what it wrote is on the disk when it returns. Every method
    raises NotStored if the database cannot be read or written.
    """

    def marks(self) -> SealMarks:
        """Return which seal keys the database knows."""

    def accept_next(self, mark: str) -> None:
        """Note which seal key the server accepts beside the current one; empty: none."""

    def seals(self) -> Mapping[str, int]:
        """Return how many keys are sealed with which seal key, by its mark."""

    def places(self) -> Mapping[str, int]:
        """Return how many keys live where (KeyRecord.place)."""

    def sealed_otherwise(self, mark: str, *, after: int, limit: int) -> tuple[NumberedKey, ...]:
        """Return the first keys with a number above `after` that are not sealed with this seal key."""

    def replace_sealed(self, keys: Sequence[tuple[NumberedKey, bytes]], *, mark: str, served: bool) -> int:
        """Store these keys as they are sealed now, with the seal key of `mark`. Return how many there still were.

        One that was deleted, or sealed by somebody else meanwhile, is left as it is. `served`: a server is running, and
        must accept the seal key. Raises: StartRefused, if it does not.
        """

    def finish(self, mark: str, *, event: NewEvent) -> bool:
        """Make this seal key the current one, if all keys are sealed with it. Return whether they are."""

    def add_offer(self, offer: KeyRecord, *, alive_since: datetime, of_role: int, most: int) -> None:
        """Store an OFFERED key for a name without data, and forget others.

        Those made before `alive_since`, all but the newest `of_role` of this name and role, and all but the newest
        `most` of all.
        """

    def close(self) -> None:
        """Close the connections to the database."""
