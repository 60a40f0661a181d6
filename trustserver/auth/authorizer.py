"""Decide who sent a request and whether they may do what it asks.

The authorizer in this file lets everybody do everything; the one that checks tokens is in token_authorizer.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, TypeAlias

from trustdata.gun import GUN


class SubjectKind(StrEnum):
    """How a subject was authenticated. Two of different kinds are two subjects, even if they have one name."""

    ANONYMOUS = "anonymous"
    REGISTRY_TOKEN = "registry-token"  # noqa: S105 - a kind, no secret
    API_TOKEN = "token"  # noqa: S105
    PASSWORD = "user"  # noqa: S105
    CERTIFICATE = "certificate"
    WORKLOAD = "ci"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Who sent a request. `name` is what logs and tombstones show."""

    name: str
    kind: SubjectKind

    @property
    def authenticated(self) -> bool:
        """Whether the server knows who it is."""
        return self.kind is not SubjectKind.ANONYMOUS

    def __str__(self) -> str:
        """Return the name that rules and records have for the subject, such as `token:ci` or `anonymous`."""
        return f"{self.kind}:{self.name}" if self.authenticated else self.name


ANONYMOUS: Final = Subject(name="anonymous", kind=SubjectKind.ANONYMOUS)


def known_name(subject: Subject) -> str:
    """Return the name of a subject; empty if the server does not know who it is."""
    return subject.name if subject.authenticated else ""


class Action(StrEnum):
    """What a request does to a collection."""

    READ = "read"
    PUBLISH = "publish to"
    MANAGE_KEYS = "ask for new keys of"
    TAKE_OVER = "take over"
    DELETE = "delete"
    LIST = "list"


Headers: TypeAlias = Iterable[tuple[bytes, bytes]]


class Authorizer(Protocol):
    """Decides from the headers of a request whether it is allowed. Its methods must not block the event loop.

    `reads_are_open`: whether everybody may read every collection, so that reads need not ask the authorizer. `address`:
    the client's address, if it is known; no address may keep the others waiting. All but `may_read_now` raise
    Overloaded if too many requests wait for their decision.
    """

    reads_are_open: bool

    def close(self) -> None:
        """End the threads that the authorizer has, if any."""

    def may_read_now(self, headers: Headers, gun: GUN) -> bool:
        """Return whether it is known already that this request may read the collection. If not, ask `authorize`."""

    async def authorize(self, headers: Headers, action: Action, gun: GUN, *, address: str | None = None) -> Subject:
        """Return who sent the request, if they may do this to the collection. Raises: Forbidden, Overloaded."""

    async def authorize_catalog(self, headers: Headers, *, address: str | None = None) -> Subject:
        """Return who sent the request, if they may learn the names of all collections. Raises: Forbidden, Overloaded.

        For `GET /v2/_trust/changefeed`.
        """

    async def authorize_ping(self, headers: Headers, *, address: str | None = None) -> Subject:
        """Return who sent a `GET /v2/`, with which clients find out whether they need a token.

        Raises: Forbidden if they need one; its challenge says where to get it. Overloaded.
        """


class OpenAuthorizer:
    """Lets everybody do everything. Used on loopback addresses, or with --insecure-open."""

    reads_are_open = True

    def close(self) -> None:
        """There is nothing to end."""

    def may_read_now(self, headers: Headers, gun: GUN) -> bool:
        del headers, gun
        return True

    async def authorize(self, headers: Headers, action: Action, gun: GUN, *, address: str | None = None) -> Subject:
        del headers, action, gun, address
        return ANONYMOUS

    async def authorize_catalog(self, headers: Headers, *, address: str | None = None) -> Subject:
        del headers, address
        return ANONYMOUS

    async def authorize_ping(self, headers: Headers, *, address: str | None = None) -> Subject:
        del headers, address
        return ANONYMOUS
