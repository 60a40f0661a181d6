"""Errors that only the server raises. Errors that both programs know are in trustdata/errors.py.

The first word after each name says who must act.

TrustError
├── StartRefused           the operator: settings, data or keys with which the server must not start
│   ├── ServerRunning          another server works on this folder or database; says which
│   └── DatabaseOlder          the database is older than what was published: restored from a backup?
├── NotSound               the operator: stored data that no client would accept (`trust-server check`)
├── DiskFull               the operator: no space for what was to be stored; nothing was changed (a NotStored)
├── ServerKeysUnavailable  the operator: the token with the server's keys fails, so nothing is signed
├── ClockJumped            the operator: the server's clock has jumped forward, so nothing is signed with it
├── RevisionMoved          nobody: the collection changed between reading and writing; the server checks again
├── BadRequest             the caller: the form of a request, with the place named
│   ├── NoFileName             a part of an upload without the name of its role
│   ├── UnknownRole            a part of an upload for what is no role of Notary v1
│   └── BadParameters          the query of the change feed
├── NotThere               the caller: no such file, key or page
│   └── NoSuchRoute            no route of the API has this path and method
├── HeadTooLarge           the caller: a request whose line or headers are longer than any client's
├── EncodingRefused        the caller: a Content-Encoding on an upload
├── RequestTooSlow         the caller or the network: the body did not arrive in time
├── Forbidden              the caller: not allowed
├── TokenRefused           the caller, or its token server: a token that is forged, for another service, or expired
├── OriginRefused          a browser: web pages may not change anything on this server
├── TooMany                the caller, or the operator: a number of things that are kept has reached its limit
├── Overloaded             nobody: too many requests of one kind at one time; send the request again
├── Stopping               nobody: the server is about to stop; send the request again
└── GoneCollection         nobody: the collection was deleted; carries what its tombstone says
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from trustdata.counting import counted
from trustdata.errors import NoTrustData, NotStored, TrustError, shown


@dataclass(eq=False, kw_only=True)
class StartRefused(TrustError):
    """The server must not start. `what` is the setting or file; `reason` says why, and mostly what to do."""

    code: ClassVar[str] = "start-refused"
    what: str
    reason: str

    def __str__(self) -> str:
        return f"{self.what}: {self.reason}"


@dataclass(eq=False, kw_only=True)
class ServerRunning(StartRefused):
    """Another server has locked this data folder or database.

    `pid`: its process id; 0 if its lock file does not say. `since`: RFC 3339, UTC. `visible`: whether a process with
    that id can be seen from here; it cannot if it runs in another container.
    """

    code: ClassVar[str] = "server-running"
    reason: str = "another trust-server works on it"
    pid: int = 0
    host: str = ""
    since: str = ""
    listen: str = ""
    visible: bool = True

    def __str__(self) -> str:
        what = f"{self.what}: {self.reason}"
        if not self.pid:
            return f"{what}; its lock file does not say which: look for it on every host that shares this"
        unseen = "" if self.visible else " (not seen from here: in a container, or ended while another one started)"
        who = f"process {self.pid}{unseen} on {shown(self.host)} since {shown(self.since)}, {shown(self.listen)}"
        return f"{what}: {who}; stop that one, or use another folder and another database"


@dataclass(eq=False, kw_only=True)
class DatabaseOlder(StartRefused):
    """The database is older than what this server published: probably restored from a backup.

    `count`: how many collections are older than what was published. `example`: the name of one of them.
    """

    code: ClassVar[str] = "database-older"
    reason: str = "is older than what this server has published"
    count: int
    example: str

    def __str__(self) -> str:
        return (
            f"{self.what}: {self.reason} ({counted(self.count, 'collection')}, such as {shown(self.example, 300)}): "
            "restored from a backup? Clients refuse its older versions. trust-server check says more; "
            "if it was restored on purpose: trust-server check --accept-restore"
        )


@dataclass(eq=False, kw_only=True)
class NotSound(TrustError):
    """A stored collection is incomplete or unusable, as `trust-server check` found it."""

    code: ClassVar[str] = "not-sound"
    reason: str

    def __str__(self) -> str:
        return shown(self.reason, 300)


class DiskFull(NotStored):
    """The disk is full. Nothing stored is damaged; the same request succeeds once there is space again."""

    code: ClassVar[str] = "disk-full"
    reason: str = "the disk of the server's database is full"


@dataclass(eq=False, kw_only=True)
class ServerKeysUnavailable(TrustError):
    """The server cannot sign with its keys, nor make any; nothing was changed. `fault`: the code of what fails.

    The log has more: which token it is, and what it says, is nobody else's business.
    """

    code: ClassVar[str] = "server-keys-unavailable"
    fault: str

    def __str__(self) -> str:
        return f"the server cannot use its keys ({shown(self.fault)}): it signs nothing until its operator helps it"


@dataclass(eq=False, kw_only=True)
class ClockJumped(TrustError):
    """The server's clock has jumped forward, so no snapshot and timestamp is signed with it; nothing was changed.

    `clock`: what it says. `expected`: what it should say after the time that has passed since it was last trusted or,
    `at_start`, when the last round of upkeep was done. All in UTC.
    """

    code: ClassVar[str] = "clock-jumped"
    clock: datetime
    expected: datetime
    at_start: bool

    def __str__(self) -> str:
        known = (
            f"the server last worked on {self.expected:%Y-%m-%d %H:%M} UTC, and nothing says that the clock is right"
            if self.at_start
            else f"by the machine's uptime it is {self.expected:%Y-%m-%d %H:%M} UTC"
        )
        return (
            f"the server's clock says {self.clock:%Y-%m-%d %H:%M} UTC, but {known}: it signs nothing until its "
            "operator sets the clock right or, if it is right, runs: trust-server clock accept"
        )


@dataclass(eq=False, kw_only=True)
class RevisionMoved(TrustError):
    """The collection is no longer at the revision `base` that the change was made for; nothing was changed."""

    code: ClassVar[str] = "revision-moved"
    gun: str
    base: int

    def __str__(self) -> str:
        return f"{self.gun} moved on from revision {self.base}"


@dataclass(eq=False, kw_only=True)
class BadRequest(TrustError):
    """The request has the wrong form. `place` names the header, part or path segment that is wrong."""

    code: ClassVar[str] = "bad-request"
    place: str
    reason: str

    def __str__(self) -> str:
        return f"{shown(self.place)}: {shown(self.reason, 300)}"


@dataclass(eq=False, kw_only=True)
class NoFileName(BadRequest):
    """A part of an upload has no file name, so its role is unknown."""

    reason: str = "has no file name: the role"


@dataclass(eq=False, kw_only=True)
class UnknownRole(BadRequest):
    """A part of an upload names no role of Notary v1. `place` is the name that the part has."""

    reason: str = "is no role of Notary v1"


@dataclass(eq=False, kw_only=True)
class BadParameters(BadRequest):
    """A query parameter of the change feed is wrong. `place` is its name."""


@dataclass(eq=False, kw_only=True)
class NotThere(TrustError):
    """There is nothing under this name now; there may be later."""

    code: ClassVar[str] = "not-found"
    what: str

    def __str__(self) -> str:
        return f"there is no {shown(self.what, 300)}"


@dataclass(eq=False, kw_only=True)
class NoSuchRoute(NotThere):
    """No route of the API has this path and this method."""


@dataclass(eq=False, kw_only=True)
class EncodingRefused(TrustError):
    """An upload has a Content-Encoding. None is accepted, because the size limits count the bytes as they are sent."""

    code: ClassVar[str] = "unsupported-encoding"
    encoding: str

    def __str__(self) -> str:
        return f"uploads with Content-Encoding {shown(self.encoding)} are not accepted; send them without"


@dataclass(eq=False, kw_only=True)
class HeadTooLarge(TrustError):
    """The line of a request, or its headers, are too long. `place` says which; `limit`: bytes."""

    code: ClassVar[str] = "head-too-large"
    place: str
    limit: int

    def __str__(self) -> str:
        return f"{self.place} of the request may have at most {self.limit} bytes"


@dataclass(eq=False, kw_only=True)
class RequestTooSlow(TrustError):
    """The body of a request did not arrive in time. `seconds` is the time that it may take."""

    code: ClassVar[str] = "too-slow"
    seconds: float

    def __str__(self) -> str:
        return f"the request's body did not arrive within {self.seconds:g} seconds"


@dataclass(eq=False, kw_only=True)
class Forbidden(TrustError):
    """The caller may not do this. `authenticated`: whether the server knows who the caller is.

    `challenge`: the value of the WWW-Authenticate header (RFC 9110, 11.6.1), which says how to get permission. The
    status is then 401; as in registries, also for a caller whose token allows too little. If it is empty and the caller
    is authenticated, no token would help, and the status is 403. `subject`: who was refused, `right`: what they lack,
    both in the words of access rules; empty for whoever is not known where only tokens decide.
    """

    code: ClassVar[str] = "forbidden"
    action: str
    gun: str
    authenticated: bool
    challenge: str = ""
    reason: str = ""
    subject: str = ""
    right: str = ""

    def __str__(self) -> str:
        who = f" as {shown(self.subject)}" if self.subject else ""
        why = f": {shown(self.reason, 300)}" if self.reason else ""
        # With a challenge, another token would help; who has sent one already gets that where they got this one.
        place = "the token server" if self.challenge and self.authenticated else "the server"
        grants = f"; who runs {place} grants it" if self.right and self.authenticated else ""
        return f"not allowed to {self.action} {shown(self.gun, 300)}{who}{why}{grants}"

    def details(self) -> dict[str, object]:
        details = super().details()
        del details["challenge"]  # sent as a header, not in the body
        if not self.right:
            del details["right"]
        if not self.subject:
            del details["subject"]
        return details


@dataclass(eq=False, kw_only=True)
class TokenRefused(TrustError):
    """A token is not accepted. `reason` says why, without anything from the token itself.

    `lasting`: whether the same token would be refused at any other time too. The authorizer turns this error into
    `Forbidden`, which is what the caller gets.
    """

    code: ClassVar[str] = "token-refused"
    reason: str
    lasting: bool = False

    def __str__(self) -> str:
        return f"the token is refused: {shown(self.reason, 300)}"


@dataclass(eq=False, kw_only=True)
class ClientCertificateRefused(TrustError):
    """A client certificate is not accepted. `reason` says why; `known`: it is genuine, but that of nobody here.

    The authorizer turns this error into `Forbidden`, which is what the caller gets.
    """

    code: ClassVar[str] = "client-certificate-refused"
    reason: str
    known: bool = False

    def __str__(self) -> str:
        return f"the client certificate {shown(self.reason, 300)}"


@dataclass(eq=False, kw_only=True)
class OriginRefused(TrustError):
    """A web page sent a request that could change something.

    `origin` is the value of its header Origin or, if that is not there, Sec-Fetch-Site.
    """

    code: ClassVar[str] = "refused-origin"
    origin: str

    def __str__(self) -> str:
        page = f"web pages ({shown(self.origin)}) may change nothing here, and get no keys"
        return f"{page}; programs send no Origin and no Sec-Fetch-Site"


@dataclass(eq=False, kw_only=True)
class TooMany(TrustError):
    """There are as many of something as are kept; nothing was changed. `what`: of what. `limit`: how many."""

    code: ClassVar[str] = "too-many"
    what: str
    limit: int

    def __str__(self) -> str:
        return f"there are as many {shown(self.what)} as are kept: {self.limit}"


@dataclass(eq=False, kw_only=True)
class Overloaded(TrustError):
    """Too many requests of one kind wait or are worked on, so that this one is turned away at once.

    `what`: what there is too much of. `seconds`: after which time the client should try again.
    """

    code: ClassVar[str] = "overloaded"
    what: str
    seconds: int = 1

    def __str__(self) -> str:
        when = "in a moment" if self.seconds <= 1 else f"in {self.seconds} seconds"
        return f"too many {self.what}; try again {when}"


@dataclass(eq=False, kw_only=True)
class Stopping(TrustError):
    """The server is stopping: it finishes the requests that it has begun and accepts no new changes."""

    code: ClassVar[str] = "stopping"

    def __str__(self) -> str:
        return "the server is stopping; try again in a moment"


class ReleasedName(NoTrustData):
    """The name is free, and had a collection that was deleted; the fields are those of its tombstone.

    To who asks for trust data it is no other than a name that was never used.
    """

    deleted_root: str
    versions: Mapping[str, int]
    deleted_at: str
    subject: str


@dataclass(eq=False, kw_only=True)
class GoneCollection(TrustError):
    """The collection was deleted; the fields are those of its tombstone.

    `deleted_root`: `sha256:HEX` of its first root file. `versions`: of every role when it was deleted. `deleted_at`:
    RFC 3339, UTC. `subject`: who deleted it.
    """

    code: ClassVar[str] = "collection-deleted"
    gun: str
    deleted_root: str
    versions: Mapping[str, int]
    deleted_at: str
    subject: str

    def __str__(self) -> str:
        return f"{self.gun} was deleted on {self.deleted_at} by {shown(self.subject) or 'unknown'}"
