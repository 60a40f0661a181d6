"""The port to the tokens that were given in exchange for tokens of CI platforms and Kubernetes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangedToken:
    """A short-lived token. `secret`: what it is known by, never the token itself. Times are whole seconds, UTC.

    `workload`: whom it names. `definition`: as what that workload was defined then. `shown`: what stands for the token
    that was shown for it, and for no other one.
    `kept_until`: when neither of the two counts any more.
    """

    secret: str = field(repr=False)
    workload: str
    definition: str
    shown: bytes
    created: datetime
    expires: datetime
    kept_until: datetime


class ExchangeStore(Protocol):
    """Keeps exchanged tokens for as long as they, or what was shown for them, could be used. Raises: NotStored."""

    def exchange(self, token: ExchangedToken, *, most: int, most_of_one: int) -> bool:
        """Store a token. Return False, and store nothing, if what was shown for it was shown before.

        Those that are of no use at its creation are dropped. Raises: TooMany if there are `most` then, or `most_of_one`
        of its workload; NotStored.
        """

    def exchanged(self) -> list[ExchangedToken]:
        """Return all that are kept."""

    def close(self) -> None:
        """Close the connections to the database."""
