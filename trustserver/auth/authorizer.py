"""Decide who sent a request and whether they may do what it asks: the port, and the words that it uses.

Its implementations: open_authorizer.py, token_authorizer.py, access_authorizer.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol, TypeAlias

from trustdata.gun import GUN
from trustdata.roles import RoleName
from trustserver.storage.exchange_port import ExchangedToken


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
    """Who sent a request. `name` is what logs and tombstones show.

    What follows says by what they have shown it, to be judged again before a change; it makes nobody another.
    `certificate`: theirs (DER). `bound_to`: what the credential that this server gave them stands and falls with.
    """

    name: str
    kind: SubjectKind
    certificate: bytes = field(default=b"", repr=False, compare=False)
    bound_to: str = field(default="", repr=False, compare=False)

    @property
    def authenticated(self) -> bool:
        """Whether the server knows who it is."""
        return self.kind is not SubjectKind.ANONYMOUS

    def __str__(self) -> str:
        """Return the name that rules and records have for the subject, such as `token:ci` or `anonymous`."""
        return f"{self.kind}:{self.name}" if self.authenticated else self.name


ANONYMOUS: Final = Subject(name="anonymous", kind=SubjectKind.ANONYMOUS)

BASIC_CHALLENGE: Final = 'Basic realm="trust server", charset="UTF-8"'
"""Asks for a name and a password (RFC 7617). An API token may stand in the place of the password."""


def stored_name(subject: Subject) -> str:
    """Return the name under which a subject is stored: as who publishes, begins or deletes a collection.

    It is `str(subject)`, but without the kind for users of registry tokens, whose names were stored before there were
    other kinds. One that could be taken for a subject of another kind has it too.
    """
    if subject.kind is not SubjectKind.REGISTRY_TOKEN or _looks_like_another(subject.name):
        return str(subject)
    return subject.name


def stored_as(text: str) -> str:
    """Return the name under which the subject is stored that rules and records name so (`str` of a `Subject`)."""
    kind, _, name = text.partition(":")
    if kind == SubjectKind.REGISTRY_TOKEN and name:
        return stored_name(Subject(name=name, kind=SubjectKind.REGISTRY_TOKEN))
    return text


def known_name(subject: Subject) -> str:
    """Return the name under which a subject is stored; empty if the server does not know who it is."""
    return stored_name(subject) if subject.authenticated else ""


def _looks_like_another(name: str) -> bool:
    return name == SubjectKind.ANONYMOUS or name.partition(":")[0] in set(SubjectKind)


class Action(StrEnum):
    """What a request does to a collection."""

    READ = "read"
    PUBLISH = "publish to"
    MANAGE_KEYS = "ask for new keys of"
    TAKE_OVER = "take over"
    DELETE = "delete"
    LIST = "list"


@dataclass(frozen=True, slots=True, kw_only=True)
class RightHeld:
    """Whether somebody has a right. `why`: in words."""

    allowed: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Who sent a request, and what they may do. `expires`: when their credential ends; None: at no set time.

    `rights`: every right that there is, by its name. `challenge`: for whoever is not known, the value of the
    WWW-Authenticate header that says how to log in; empty if that changes nothing.
    """

    subject: Subject
    expires: datetime | None = None
    rights: Mapping[str, RightHeld]
    challenge: str = ""


NO_ISSUERS: Final = "this server has no file of access rules, which would name its issuer"
Headers: TypeAlias = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """What is known of whoever sent a request before it is judged.

    `address`: what they are counted under; None if it is not known. `certificate`: the client certificate of their
    connection (DER), whose private key they have shown to have; None: they have shown none.
    """

    headers: Headers = ()
    address: str | None = None
    certificate: bytes | None = None


class Authorizer(Protocol):
    """Decides from what a request shows whether it is allowed. Its methods must not block the event loop.

    No address may keep the others waiting. What is awaited raises Overloaded if too many requests wait for their
    decision.
    """

    @property
    def reads_are_open(self) -> bool:
        """Whether everybody may read every collection now, so that reads need not ask the authorizer."""

    def start(self) -> None:
        """Begin to look for changes of what is known, if there is anything that changes."""

    def close(self) -> None:
        """End the threads that the authorizer has, if any."""

    def warnings(self) -> list[str]:
        """Return what is wrong with the rules on access although the server goes on, for its operator."""

    def look_again(self) -> None:
        """Look at once whether anything has changed, as at SIGHUP. Returns before that is known."""

    def may_read_now(self, sender: Sender, gun: GUN) -> bool:
        """Return whether it is known already that this request may read the collection. If not, ask `authorize`."""

    async def authorize(self, sender: Sender, action: Action, gun: GUN) -> Subject:
        """Return who sent the request, if they may do this to the collection. Raises: Forbidden, Overloaded."""

    def check_change(
        self, subject: Subject, action: Action, gun: GUN, *, changed: Collection[RoleName] = (), begins: bool = False
    ) -> None:
        """Check that an authorized subject may still do this, and all that it turned out to be.

        To be called before a change is stored, from any thread: rights may have been taken away meanwhile. `changed`:
        the roles that change. `begins`: the name has no collection. Raises: Forbidden.
        """

    async def authorize_catalog(self, sender: Sender, *, only: GUN | None = None) -> Subject:
        """Return who sent the request, if they may learn the names of all collections, and what becomes of them.

        `only`: what becomes of this one is all that is asked. Raises: Forbidden, Overloaded.
        """

    async def authorize_ping(self, sender: Sender) -> Subject:
        """Return who sent a `GET /v2/`, with which clients find out whether they need a token.

        Raises: Forbidden if they need one; its challenge says where to get it. Overloaded.
        """

    async def log_in(self, sender: Sender) -> str:
        """Return a token for the sender of the request, which says for some minutes who they are.

        Raises: Forbidden if the login is no good; NotThere if this server gives no tokens; Overloaded.
        """

    async def who_is(self, sender: Sender, name: GUN | None) -> Standing:
        """Return who sent the request, and what they may do to a collection of this name. None: to all of them.

        Raises: Forbidden if the credential is no good; Overloaded.
        """

    async def exchange(self, token: bytes, *, address: str | None = None) -> tuple[str, ExchangedToken]:
        """Return a token of this server for one of a CI job or service account, and what is known of it.

        Raises: TokenRefused; Overloaded, TooMany, NotStored.
        """
