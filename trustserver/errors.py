"""What only the server refuses, beside the domain's own tree (trustdata/errors.py).

TrustError
├── StartRefused           the operator: settings, data or keys with which the server must not start
│   ├── ServerRunning          another server works on this folder or database; says which
│   └── DatabaseOlder          the database is older than what was published: restored from a backup?
├── NotSound               the operator: stored data that no client would accept (`trust-server check`)
├── DiskFull               the operator: no space for what was to be stored; nothing was changed (a NotStored)
├── RevisionMoved          nobody: the collection changed between reading and writing; judge again
├── BadRequest             the caller: the form of a request, with the place named
│   ├── NoFileName             a part of an upload without the name of its role
│   ├── UnknownRole            a part of an upload for what is no role of Notary v1
│   └── BadParameters          the query of the change feed
├── NotThere               the caller: no such file or page
│   └── NoSuchRoute            nothing is ever there
├── EncodingRefused        the caller: a Content-Encoding on an upload
├── RequestTooSlow         the caller or the network: the body did not arrive in time
├── Forbidden              the caller: not allowed
├── TokenRefused           the caller, or its token server: a token that is not genuine, not for us, or not of now
├── OriginRefused          a browser: it changes nothing here
├── Stopping               nobody: the server is about to stop; ask again
└── GoneCollection         deleted, with what its tombstone says
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from trustdata.errors import NotStored, TrustError, shown


@dataclass(eq=False, kw_only=True)
class StartRefused(TrustError):
    """`what` is the setting or file; the sentence ends with what to do."""

    code: ClassVar[str] = "start-refused"
    what: str
    reason: str

    def __str__(self) -> str:
        return f"{self.what}: {self.reason}"


@dataclass(eq=False, kw_only=True)
class ServerRunning(StartRefused):
    """Another server holds this folder or database. `pid` 0: its lock file does not say which.

    `since`: RFC 3339, UTC. `visible` False: no process of that number is seen from here.
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
    """`count` collections of which more was published than the database holds; `example` is one of them."""

    code: ClassVar[str] = "database-older"
    reason: str = "is older than what this server has published"
    count: int
    example: str

    def __str__(self) -> str:
        return (
            f"{self.what}: {self.reason} ({self.count} collections, such as {shown(self.example, 300)}): "
            "restored from a backup? Clients refuse its older versions. trust-server check says more; "
            "if it was restored on purpose: trust-server check --accept-restore"
        )


@dataclass(eq=False, kw_only=True)
class NotSound(TrustError):
    """What `trust-server check` finds missing in a collection."""

    code: ClassVar[str] = "not-sound"
    reason: str

    def __str__(self) -> str:
        return shown(self.reason, 300)


class DiskFull(NotStored):
    """No space left. What is stored is whole and served; the same request succeeds once there is space again."""

    code: ClassVar[str] = "disk-full"
    reason: str = "the disk of the server's database is full"


@dataclass(eq=False, kw_only=True)
class RevisionMoved(TrustError):
    """A compare-and-swap lost: nothing was changed. `base` is the revision that was expected."""

    code: ClassVar[str] = "revision-moved"
    gun: str
    base: int

    def __str__(self) -> str:
        return f"{self.gun} moved on from revision {self.base}"


@dataclass(eq=False, kw_only=True)
class BadRequest(TrustError):
    """`place` names the header, part or path segment."""

    code: ClassVar[str] = "bad-request"
    place: str
    reason: str

    def __str__(self) -> str:
        return f"{shown(self.place)}: {shown(self.reason, 300)}"


@dataclass(eq=False, kw_only=True)
class NoFileName(BadRequest):
    """A part whose file name, which is to be the role, is absent or empty."""

    reason: str = "has no file name: the role"


@dataclass(eq=False, kw_only=True)
class UnknownRole(BadRequest):
    """`place` is what the part calls itself."""

    reason: str = "is no role of Notary v1"


@dataclass(eq=False, kw_only=True)
class BadParameters(BadRequest):
    """`place` is the parameter."""


@dataclass(eq=False, kw_only=True)
class NotThere(TrustError):
    """Nothing under this name; it may come to be."""

    code: ClassVar[str] = "not-found"
    what: str

    def __str__(self) -> str:
        return f"there is no {shown(self.what, 300)}"


@dataclass(eq=False, kw_only=True)
class NoSuchRoute(NotThere):
    """Nothing is ever under this path, or not with this method."""


@dataclass(eq=False, kw_only=True)
class EncodingRefused(TrustError):
    """Uploads are read as they are: limits count the bytes on the wire."""

    code: ClassVar[str] = "unsupported-encoding"
    encoding: str

    def __str__(self) -> str:
        return f"uploads with Content-Encoding {shown(self.encoding)} are not accepted; send them without"


@dataclass(eq=False, kw_only=True)
class RequestTooSlow(TrustError):
    """`seconds` is the time that a body may take."""

    code: ClassVar[str] = "too-slow"
    seconds: float

    def __str__(self) -> str:
        return f"the request's body did not arrive within {self.seconds:g} seconds"


@dataclass(eq=False, kw_only=True)
class Forbidden(TrustError):
    """`authenticated`: whether the server knows who asks.

    `challenge`: the value of WWW-Authenticate (RFC 9110, 11.6.1), which says how to get in (401), also for who is known
    and holds too small a token, as registries do; empty for who is known: there is no way (403).
    """

    code: ClassVar[str] = "forbidden"
    action: str
    gun: str
    authenticated: bool
    challenge: str = ""
    reason: str = ""

    def __str__(self) -> str:
        why = f": {shown(self.reason, 300)}" if self.reason else ""
        return f"not allowed to {self.action} {shown(self.gun, 300)}{why}"

    def details(self) -> dict[str, object]:
        details = super().details()
        del details["challenge"]  # a header, not a member of the answer's body
        return details


@dataclass(eq=False, kw_only=True)
class TokenRefused(TrustError):
    """`reason` says what is wrong with the token, and nothing that it holds. The caller is told with `Forbidden`."""

    code: ClassVar[str] = "token-refused"
    reason: str

    def __str__(self) -> str:
        return f"the token is refused: {shown(self.reason, 300)}"


@dataclass(eq=False, kw_only=True)
class OriginRefused(TrustError):
    """A request that would change something, sent by a web page. `origin` is what its header says."""

    code: ClassVar[str] = "refused-origin"
    origin: str

    def __str__(self) -> str:
        return f"requests of web pages ({shown(self.origin)}) change nothing here; send them without Origin"


@dataclass(eq=False, kw_only=True)
class Stopping(TrustError):
    """What began is finished; nothing new is begun."""

    code: ClassVar[str] = "stopping"

    def __str__(self) -> str:
        return "the server is stopping; try again in a moment"


@dataclass(eq=False, kw_only=True)
class GoneCollection(TrustError):
    """A tombstone. `deleted_root` is `sha256:HEX` of its first root file, `deleted_at` RFC 3339 UTC."""

    code: ClassVar[str] = "collection-deleted"
    gun: str
    deleted_root: str
    versions: Mapping[str, int]
    deleted_at: str
    subject: str

    def __str__(self) -> str:
        return f"{self.gun} was deleted on {self.deleted_at} by {shown(self.subject) or 'unknown'}"
