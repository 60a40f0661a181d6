"""Everything that the domain refuses, sorted by who must act.

    TrustError
    ├── InvalidName              the caller: a name that cannot be one
    ├── MalformedMetadata        the publisher: bytes that are no valid document; names role and member path
    ├── NotTrusted               nobody may use this: possibly an attack
    │   ├── ThresholdNotMet          too few valid signatures
    │   ├── VersionRollback          older than what was seen, or dropped
    │   ├── VersionMismatch          not the version that its parent names
    │   ├── MetadataExpired          too old: freeze, or a duty not done
    │   ├── ContentMismatch          hash, length or digest differs
    │   ├── RootNotPinned            the root chain does not hold the pin
    │   ├── CertificateOfAnotherName a Notary v1 root key does not speak for this name
    │   ├── PinsDisagree             two pins of one name name different roots
    │   ├── LockDisagrees            the project's lock file names another root than what is known or shown
    │   ├── DelegationOutOfScope     a role says something about a tag that it may not speak for
    │   ├── ReleaseConflict          two released digests for one tag
    │   ├── TagMismatch              tag and digest that were asked for do not belong together
    │   ├── MetadataMissing          a role that the collection promises cannot be had
    │   ├── TrustDataWithheld        a known collection without data
    │   ├── CollectionDeleted        a known collection that its server says was deleted
    │   ├── FormatChanged            a pinned collection offered in another format
    │   └── OfflineTooOld            offline beyond its bound, or the clock went back
    ├── Unpinned                 the user: first contact needs a pin
    ├── NoTrustData              nothing there, and nobody knows the name
    ├── NotSigned                the collection is fine, the tag is not in it
    ├── PolicyRefused            the policy's owner
    ├── PolicyMalformed          the policy's owner: the file cannot be read, so nothing is allowed
    ├── TagChanged               another publisher was faster with other content
    ├── PublishRefused           an upload that is well-formed and signed, but may not be stored
    │   ├── VersionConflict          its own role moved
    │   ├── WouldBreakRole           a stored role would no longer verify
    │   ├── ServerKeyNotUsed         snapshot or timestamp do not name the server's key
    │   └── CollectionExists         initialised already, or in the other format
    ├── RemoteUnreachable        the network or the server's operator
    │   ├── RemoteFull               the server's operator: its disk is full
    │   ├── CertificateRefused       the user: a private CA; or the server's operator
    │   ├── ProxyRefused             the network's operator: a proxy that lets nothing through
    │   └── EngineUnreachable        the user: no container engine runs here
    ├── RemoteRefused            credentials or rights
    ├── RemoteMisbehaved         an answer that no server of this protocol gives
    ├── TooLarge                 a body beyond its limit
    ├── ImageNotFound            the registry has no such repository, tag or digest
    ├── ImageNotSupported        the registry's image is of a kind that cannot be signed
    ├── SettingsUnusable         a settings file, variable or program that settings name
    ├── HookRequestMalformed     the container runtime: a request that a hook cannot judge
    ├── HookNotInstalled         a hook could not be put in place
    ├── VerdictTooLate           a hook had no verdict when its time was up
    ├── NoTrustServer            the user: no trust server is known for this name
    ├── NotStored                the disk or database refused; nothing was changed
    ├── MemoryDamaged            rollback memory cannot be read
    ├── LockDamaged              a lock file cannot be read
    └── MemoryUnwritable         rollback memory could not be kept

`code` is the stable name that JSON output and the server's problem documents carry; `details()` are its data.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import ClassVar, Final

from keys.error_record import ErrorRecord

_NOTHING_MORE: Final[Mapping[str, object]] = MappingProxyType({})


def shown(text: str, limit: int = 120) -> str:
    """Foreign text made safe for a terminal or a log: control characters escaped, cut at `limit` characters."""
    safe = text[: limit + 1]
    if not safe.isprintable():
        safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in safe)
    return safe if len(safe) <= limit else safe[:limit] + "…"


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, str):
        return shown(value, 400)
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    return value


class TrustError(ErrorRecord):
    """Root of the domain's refusals."""

    code: ClassVar[str] = "error"

    def details(self) -> dict[str, object]:
        """The error's data by field name, ready for JSON; foreign text is escaped and cut."""
        return {name: _plain(value) for name, value in super().details().items()}


class InvalidName(TrustError):
    """`kind` says what the name should have been."""

    code: ClassVar[str] = "invalid-name"
    kind: str
    name: str
    reason: str

    def __str__(self) -> str:
        return f"{shown(self.name)!r} is no valid {self.kind}: {self.reason}"


class MalformedMetadata(TrustError):
    """`path` is the member path inside the document, such as `signed.roles.root.threshold`; empty for the whole."""

    code: ClassVar[str] = "malformed-metadata"
    role: str
    path: str
    reason: str

    def __str__(self) -> str:
        place = f" at {shown(self.path)}" if self.path else ""
        return f"{shown(self.role)} metadata is malformed{place}: {shown(self.reason, 300)}"


class NotTrusted(TrustError):
    """What was found must not be used."""

    code: ClassVar[str] = "not-trusted"


class ThresholdNotMet(NotTrusted):
    """`signed`: key ids whose signatures hold; `unsigned`: those of the role that are missing or false."""

    code: ClassVar[str] = "threshold-not-met"
    role: str
    version: int
    delegator: str
    threshold: int
    signed: tuple[str, ...]
    unsigned: tuple[str, ...]

    def __str__(self) -> str:
        missing = ", ".join(k[:12] for k in self.unsigned[:4]) or "none"
        return (
            f"{shown(self.role)} version {self.version} has {len(self.signed)} of {self.threshold} signatures "
            f"that {shown(self.delegator)} asks for (no valid signature by: {missing})"
        )


class VersionRollback(NotTrusted):
    """`offered` 0 means that the role was dropped. `source` says who knew better: cache, memory, snapshot."""

    code: ClassVar[str] = "version-rollback"
    role: str
    offered: int
    known: int
    source: str = "verified before"

    def __str__(self) -> str:
        if self.offered == 0:
            return f"{shown(self.role)} was dropped, but version {self.known} was {self.source}"
        return f"{shown(self.role)} version {self.offered} is older than version {self.known}, {self.source}"


class VersionMismatch(NotTrusted):
    """`offered` is not `expected`, which the parent (or, for a root, the step N to N+1) names."""

    code: ClassVar[str] = "version-mismatch"
    role: str
    offered: int
    expected: int

    def __str__(self) -> str:
        return f"{shown(self.role)} has version {self.offered} where version {self.expected} is expected"


class MetadataExpired(NotTrusted):
    """`at` is the reference time of the operation, UTC."""

    code: ClassVar[str] = "metadata-expired"
    role: str
    version: int
    expires: datetime
    at: datetime

    def __str__(self) -> str:
        return f"{shown(self.role)} version {self.version} expired on {self.expires:%Y-%m-%d %H:%M} UTC"


class ContentMismatch(NotTrusted):
    """Bytes that are not those that their parent names. `what` is `sha256`, `length`, `digest`..."""

    code: ClassVar[str] = "content-mismatch"
    role: str
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.what} of {shown(self.role)} is {shown(self.found)} where {shown(self.expected)} is expected"


class RootNotPinned(NotTrusted):
    """No root of the verified chain is the pinned one. `found` is the reference of the chain's first root."""

    code: ClassVar[str] = "root-not-pinned"
    gun: str
    pin: str
    found: str
    pin_source: str = ""

    def __str__(self) -> str:
        by = f" ({self.pin_source})" if self.pin_source else ""
        return f"{self.gun} is pinned to {self.pin}{by}, but the server's root of trust is {self.found}"


class CertificateOfAnotherName(NotTrusted):
    """A root key of Notary v1 whose certificate is none for this collection, or is not valid."""

    code: ClassVar[str] = "certificate-of-another-name"
    gun: str
    keyid: str
    reason: str

    def __str__(self) -> str:
        return f"the root key {self.keyid[:12]} does not speak for {self.gun}: it {shown(self.reason)}"


class PinsDisagree(NotTrusted):
    """Two pins of one name that no single verified root chain holds."""

    code: ClassVar[str] = "pins-disagree"
    gun: str
    pin: str
    pin_source: str
    other: str
    other_source: str

    def __str__(self) -> str:
        return f"the pins of {self.gun} disagree: {self.pin} ({self.pin_source}) and {self.other} ({self.other_source})"


class LockDisagrees(NotTrusted):
    """The lock file has another root than the chain that is known here, or than the server, if only the lock knows one.

    `locked` and `known` are pins. `known_by` says who has the other one, empty for the server.
    """

    code: ClassVar[str] = "lock-disagrees"
    gun: str
    lock: str
    root_version: int
    locked: str
    known: str
    known_by: str

    def __str__(self) -> str:
        return (
            f"the lock file {shown(self.lock)} and {shown(self.known_by) or 'the server'} disagree about {self.gun}: "
            f"root version {self.root_version} is {self.locked} in the lock file, against {self.known}"
        )


class DelegationOutOfScope(NotTrusted):
    """A role lists a target outside the paths that its delegator gave it."""

    code: ClassVar[str] = "delegation-out-of-scope"
    role: str
    target: str

    def __str__(self) -> str:
        return f"{shown(self.role)} lists {shown(self.target)!r}, which lies outside the paths delegated to it"


class ReleaseConflict(NotTrusted):
    """One tag in `targets` and in `targets/releases`: neither is trusted."""

    code: ClassVar[str] = "release-conflict"
    target: str
    roles: tuple[str, ...]
    digests: tuple[str, ...]

    def __str__(self) -> str:
        return f"tag {shown(self.target)!r} is listed by {' and by '.join(map(shown, self.roles))}; neither is trusted"


class TagMismatch(NotTrusted):
    """The digest that was asked for is not the one signed under the tag (or under any tag)."""

    code: ClassVar[str] = "tag-mismatch"
    gun: str
    tag: str
    asked: str
    signed: str

    def __str__(self) -> str:
        return f"{self.gun}:{self.tag} is signed as {self.signed}, not as {self.asked}"


class MetadataMissing(NotTrusted):
    """A role that root, timestamp, snapshot or a delegator promises is not to be had."""

    code: ClassVar[str] = "metadata-missing"
    role: str
    reason: str

    def __str__(self) -> str:
        return f"{shown(self.role)} metadata is missing: {shown(self.reason)}"


class TrustDataWithheld(NotTrusted):
    """A pinned or remembered name for which the server has no data."""

    code: ClassVar[str] = "trust-data-withheld"
    gun: str
    known_by: str

    def __str__(self) -> str:
        return (
            f"trust data of {self.gun} is withheld: {self.known_by} knows this name, but the server has no data for it"
        )


class CollectionDeleted(NotTrusted):
    """A known collection that its server reports as deleted. `deleted_root` and `pin` are fingerprints."""

    code: ClassVar[str] = "collection-deleted"
    gun: str
    pin: str
    deleted_root: str
    deleted_at: str
    subject: str

    def __str__(self) -> str:
        return (
            f"{self.gun} was deleted on {shown(self.deleted_at)} by {shown(self.subject) or 'unknown'}: "
            f"its root was {shown(self.deleted_root)}, the pin here is {self.pin}"
        )


class FormatChanged(NotTrusted):
    """The collection is pinned in one wire format and offered in another."""

    code: ClassVar[str] = "format-changed"
    gun: str
    pinned: str
    offered: str

    def __str__(self) -> str:
        return f"{self.gun} is pinned as {self.pinned}, but the server offers it as {self.offered}"


class OfflineTooOld(NotTrusted):
    """`reason` names the bound that was passed."""

    code: ClassVar[str] = "offline-too-old"
    gun: str
    reason: str

    def __str__(self) -> str:
        return f"{self.gun} cannot be judged offline: {self.reason}"


class Unpinned(TrustError):
    """First contact without a pin. `found` is the fingerprint that the server offers (`sha256:HEX`)."""

    code: ClassVar[str] = "unpinned"
    gun: str
    found: str

    def __str__(self) -> str:
        return f"{self.gun} is not pinned here; its root of trust has fingerprint {self.found}"


class NoTrustData(TrustError):
    """No such collection, and nothing here knows the name."""

    code: ClassVar[str] = "no-trust-data"
    gun: str

    def __str__(self) -> str:
        return f"{self.gun} has no trust data"


class NotSigned(TrustError):
    """The collection verifies, but this tag (or digest) is not released in it. `signers`: roles that do list it.

    An empty `tag`: no tag at all is.
    """

    code: ClassVar[str] = "not-signed"
    gun: str
    tag: str
    signers: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.tag:
            return f"{self.gun} has no signed tag"
        also = (
            f" (only {', '.join(map(shown, self.signers))} lists it, which does not release it)" if self.signers else ""
        )
        sign = "@" if self.tag.startswith("sha256:") else ":"
        return f"{self.gun}{sign}{shown(self.tag)} is not signed{also}"


class PolicyRefused(TrustError):
    """Trusted, but the policy asks for more. `rule` is the pattern or option that refused."""

    code: ClassVar[str] = "policy-refused"
    name: str
    rule: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} is refused by {self.rule}: {self.reason}"


class PolicyMalformed(TrustError):
    """A policy that cannot be read allows nothing. `path` is the member path inside `source`."""

    code: ClassVar[str] = "policy-malformed"
    source: str
    path: str
    reason: str

    def __str__(self) -> str:
        place = f" at {shown(self.path)}" if self.path else ""
        return f"the policy {self.source} cannot be used{place}: {shown(self.reason, 300)}"


class TagChanged(TrustError):
    """The tag moved while we were signing. Digests are `sha256:HEX` or `nothing`."""

    code: ClassVar[str] = "tag-changed"
    gun: str
    tag: str
    ours: str
    theirs: str
    their_signers: tuple[str, ...] = ()
    our_signers: tuple[str, ...] = ()

    def __str__(self) -> str:
        return (
            f"{self.gun}:{self.tag} was changed meanwhile: it is now {self.theirs} "
            f"(by {', '.join(map(shown, self.their_signers)) or 'the repository key'}), we wanted {self.ours} "
            f"(by {', '.join(map(shown, self.our_signers)) or 'the repository key'})"
        )


class PublishRefused(TrustError):
    """An upload that may not be stored. `role` and `path` name the place."""

    code: ClassVar[str] = "publish-refused"
    role: str
    reason: str

    def __str__(self) -> str:
        return f"{shown(self.role)}: {shown(self.reason, 300)}"


class VersionConflict(PublishRefused):
    """The upload's own role is not the successor of what is stored. `stored` 0: nothing stored."""

    code: ClassVar[str] = "version-conflict"
    offered: int
    stored: int
    reason: str = "version conflict"

    def __str__(self) -> str:
        return f"{shown(self.role)} version {self.offered} cannot follow version {self.stored}, which is stored"


class WouldBreakRole(PublishRefused):
    """A stored and delegated role would no longer verify."""

    code: ClassVar[str] = "would-break-role"


class ServerKeyNotUsed(PublishRefused):
    """The root names other keys for an online role than the server holds."""

    code: ClassVar[str] = "server-key-not-used"


class CollectionExists(PublishRefused):
    """Initialised already, deleted with a tombstone, or of another format."""

    code: ClassVar[str] = "collection-exists"


class RemoteUnreachable(TrustError):
    """Network, DNS, TLS or a 5xx. `remote` is scheme, host and port."""

    code: ClassVar[str] = "remote-unreachable"
    remote: str
    reason: str

    def __str__(self) -> str:
        return f"{self.remote} cannot be reached: {shown(self.reason, 600)}"


class RemoteFull(RemoteUnreachable):
    """The server stored nothing, for it has no space left (507). What it serves is as before."""

    code: ClassVar[str] = "remote-full"

    def __str__(self) -> str:
        return f"{self.remote} has no space left on its disk and changed nothing ({shown(self.reason, 300)})"


class CertificateRefused(RemoteUnreachable):
    """TLS: nobody who is believed here vouches for the server's certificate, or it is not for this host or time."""

    code: ClassVar[str] = "certificate-refused"


class ProxyRefused(RemoteUnreachable):
    """The proxy on the way to the server wants credentials, or does not let this through."""

    code: ClassVar[str] = "proxy-refused"


class EngineUnreachable(RemoteUnreachable):
    """No container engine answers where one is looked for."""

    code: ClassVar[str] = "engine-unreachable"


class RemoteRefused(TrustError):
    """401, 403 or another refusal that is about rights or form. `status` is the HTTP status."""

    code: ClassVar[str] = "remote-refused"
    remote: str
    status: int
    reason: str
    server_code: str = ""
    server_details: Mapping[str, object] = _NOTHING_MORE

    def __str__(self) -> str:
        return f"{self.remote} refused ({self.status}): {shown(self.reason, 300)}"


class RemoteMisbehaved(TrustError):
    """Redirect loops, truncated bodies, answers without meaning."""

    code: ClassVar[str] = "remote-misbehaved"
    remote: str
    reason: str

    def __str__(self) -> str:
        return f"{self.remote} gave an answer that cannot be used: {shown(self.reason, 300)}"


class TooLarge(TrustError):
    """More bytes than allowed. `limit` in bytes."""

    code: ClassVar[str] = "too-large"
    what: str
    limit: int

    def __str__(self) -> str:
        return f"{shown(self.what)} is larger than {self.limit} bytes"


class ImageNotFound(TrustError):
    """The registry answered that it has no such repository, tag or digest (or hides it from this user)."""

    code: ClassVar[str] = "image-not-found"
    image: str
    registry: str
    reason: str

    def __str__(self) -> str:
        return f"{shown(self.image, 400)} does not exist in {self.registry}: {shown(self.reason)}"


class ImageNotSupported(TrustError):
    """The registry has it, but it is no image that can be signed by digest."""

    code: ClassVar[str] = "image-not-supported"
    image: str
    reason: str

    def __str__(self) -> str:
        return f"{shown(self.image, 400)} cannot be signed: {shown(self.reason, 300)}"


class SettingsUnusable(TrustError):
    """`place` is a file, an environment variable, an option, or a program that settings name."""

    code: ClassVar[str] = "settings-unusable"
    place: str
    reason: str

    def __str__(self) -> str:
        return f"{shown(self.place)} cannot be used: {shown(self.reason, 300)}"


class HookRequestMalformed(TrustError):
    """What the container runtime asked is not what its contract promises. `place`: an argument, or standard input."""

    code: ClassVar[str] = "hook-request-malformed"
    place: str
    reason: str

    def __str__(self) -> str:
        return f"the request cannot be judged: {shown(self.place)} {shown(self.reason, 300)}"


class HookNotInstalled(TrustError):
    """`place`: the folder or file that is in the way."""

    code: ClassVar[str] = "hook-not-installed"
    place: str
    reason: str

    def __str__(self) -> str:
        return f"no hook was put into {shown(self.place)}: {shown(self.reason, 300)}"


class VerdictTooLate(TrustError):
    """No verdict within the hook's own time, which is shorter than that of its caller. `doing`: what took so long."""

    code: ClassVar[str] = "verdict-too-late"
    seconds: int
    doing: str

    def __str__(self) -> str:
        return f"no verdict within {self.seconds} s, while {shown(self.doing, 300)}"


class NoTrustServer(TrustError):
    """The registry has no default trust server. `settings` is the file whose `[servers]` could name one."""

    code: ClassVar[str] = "no-trust-server"
    gun: str
    registry: str
    settings: str

    def __str__(self) -> str:
        return (
            f"no trust server is known for {self.gun}: {self.registry} has no default; give --server URL or "
            f"TRUST_SERVER, or name one for {self.registry} under [servers] in {self.settings}"
        )


class NotStored(TrustError):
    """The store refused; nothing was changed."""

    code: ClassVar[str] = "not-stored"
    reason: str

    def __str__(self) -> str:
        return f"nothing was stored: {shown(self.reason)}"


class MemoryDamaged(TrustError):
    """Rollback memory cannot be read. What was known is not the same as nothing known: nothing can be judged."""

    code: ClassVar[str] = "memory-damaged"
    path: str
    reason: str

    def __str__(self) -> str:
        return f"rollback memory {self.path} is damaged: {shown(self.reason)}"


class LockDamaged(TrustError):
    """A lock file that cannot be read protects nobody, so nothing is judged. `line` counts from 1; 0: no one line."""

    code: ClassVar[str] = "lock-damaged"
    path: str
    line: int
    reason: str

    def __str__(self) -> str:
        place = f", line {self.line}," if self.line else ""
        return f"the lock file {shown(self.path)}{place} cannot be used: {shown(self.reason, 300)}"


class MemoryUnwritable(TrustError):
    """Rollback memory, pins or cache could not be written. `path` is the file."""

    code: ClassVar[str] = "memory-unwritable"
    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path} cannot be written: {self.reason}"
