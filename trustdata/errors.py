"""All errors of the domain, sorted by who must act. What only the command line raises is in trustcli/errors.py.

    TrustError
    ├── InvalidName              the caller: a name that is not valid
    ├── MalformedMetadata        the publisher: bytes that are no valid document
    ├── NotTrusted               nobody may use this content: it may be an attack
    │   ├── ThresholdNotMet          too few valid signatures
    │   │   └── StrongKeysMissing        the same, of a role with keys that are too weak to count
    │   ├── VersionRollback          an older version than the known one, or a role that was removed
    │   ├── VersionMismatch          another version than its parent names
    │   ├── MetadataExpired          too old: a freeze attack, or nobody has renewed it
    │   ├── LivesTooLong             valid for longer than any honest server makes it: a clock was wrong
    │   ├── ContentMismatch          another hash, length or digest than its parent names
    │   ├── RootNotPinned            the pinned root is not in the root chain
    │   ├── CertificateOfAnotherName the certificate of a Notary v1 root key is not for this name
    │   │   └── CertificateNotValidNow   it is, and not at this time: or the clock of this machine is wrong
    │   ├── RootOfAnotherName        a root names another collection, or no longer names its own
    │   ├── RootNotNamed             a pin by key alone, and the root does not say whose it is
    │   ├── RootNotCertified         a pin by CA, and it does not vouch for the newest root
    │   ├── PinsDisagree             two pins of one collection name different roots of trust
    │   ├── LockDisagrees            the lock file names another root than this machine or the server
    │   ├── DelegationOutOfScope     a role lists a tag outside the paths delegated to it
    │   ├── ReleaseConflict          two released digests for one tag
    │   ├── TagMismatch              the requested digest is not the one signed for the tag
    │   ├── DigestDenied             a list of denied digests names it, so nothing else counts
    │   ├── TargetUnusable           a tag is signed without a length and hash that can be checked
    │   ├── MetadataMissing          the server does not give a role that the collection lists
    │   ├── NotVouchedFor            the owner: a stored role that nobody entitled has signed, so it is not signed again
    │   │   └── ExpiredUnknown           a stored role that has expired and that this machine does not know
    │   ├── TrustDataWithheld        the server has no data for a known collection
    │   ├── CollectionDeleted        the server reports that a known collection was deleted
    │   ├── FormatChanged            the server offers a pinned collection in another format
    ├── Unpinned                 the user: the first contact needs a pin
    ├── NoTrustData              no such collection, and no pin or memory of it
    ├── NotSigned                the collection is valid, but the tag is not released in it
    ├── PolicyRefused            the owner of the policy: the policy requires more
    ├── PolicyMalformed          the owner of the policy: the file cannot be read, so nothing is allowed
    ├── PublishRefused           the publisher: a well-formed, signed upload that may not be stored
    │   ├── VersionConflict          an uploaded role does not follow the stored version
    │   ├── WouldBreakRole           a stored role would no longer verify
    │   ├── ServerKeyNotUsed         the root does not name the server's keys for snapshot or timestamp
    │   ├── FormatCannotDeny         no digest can be denied for good in the format of the collection
    │   └── CollectionExists         the collection exists already, or exists in the other format
    ├── ContentUnseen            the owner: what would be signed again was not verified here, and nobody agrees to it
    ├── TooLarge                 a file or body is larger than its limit
    ├── NotStored                the disk or database refused; nothing was changed
    ├── MemoryDamaged            the rollback memory cannot be read
    │   └── MemoryUnreadable         this user may not read its file
    ├── LockDamaged              a lock file cannot be read
    ├── FileNewer                a file of a newer version than this program knows

`code` is the stable name of an error in JSON output and in the server's problem documents; `details()` returns its
fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import ClassVar, Final

from keys.document_version import newer_sentence
from keys.error_record import ErrorRecord
from keys.keyid import short_keyid
from trustdata.foreign_text import plain_value
from trustdata.foreign_text import shown as shown  # noqa: PLC0414 - whoever prints errors has it from here

_NO_DETAILS: Final[Mapping[str, object]] = MappingProxyType({})
_TAGS_SHOWN: Final = 20


def tag_list(tags: Mapping[str, str]) -> str:
    """Return tags with their digests for a sentence, at most `_TAGS_SHOWN` of them."""
    first = [f"{shown(tag)} as {shown(digest)}" for tag, digest in list(tags.items())[:_TAGS_SHOWN]]
    more = f" and {len(tags) - _TAGS_SHOWN} more tags (--json has all)" if len(tags) > _TAGS_SHOWN else ""
    return ", ".join(first) + more if first else "no tag"


class TrustError(ErrorRecord):
    """Base class of all errors of the domain."""

    code: ClassVar[str] = "error"

    def details(self) -> dict[str, object]:
        """Return the fields of the error by name, ready for JSON. Foreign text is escaped and cut."""
        return {name: plain_value(value) for name, value in super().details().items()}


class InvalidName(TrustError):
    """A name is not valid. `kind` says what it should name, such as `tag` or `role`."""

    code: ClassVar[str] = "invalid-name"
    kind: str
    name: str
    reason: str

    def __str__(self) -> str:
        return f"'{shown(self.name)}' is no valid {self.kind}: {self.reason}"


class MalformedMetadata(TrustError):
    """A document is not valid. `path`: the member, such as `signed.roles.root.threshold`; "" for the whole document."""

    code: ClassVar[str] = "malformed-metadata"
    role: str
    path: str
    reason: str

    def __str__(self) -> str:
        place = f" at {shown(self.path)}" if self.path else ""
        return f"{shown(self.role)} metadata is malformed{place}: {shown(self.reason, 300)}"


class NotTrusted(TrustError):
    """The content must not be used. Base class of the errors that may be an attack."""

    code: ClassVar[str] = "not-trusted"


class ThresholdNotMet(NotTrusted):
    """A file has too few valid signatures. `signed`, `unsigned`: the key ids with and without a valid signature."""

    code: ClassVar[str] = "threshold-not-met"
    role: str
    version: int
    delegator: str
    threshold: int
    signed: tuple[str, ...]
    unsigned: tuple[str, ...]

    def __str__(self) -> str:
        missing = ", ".join(short_keyid(k) for k in self.unsigned[:4]) or "none"
        found = f"{shown(self.role)} version {self.version} has {len(self.signed)} of {self.threshold} signatures"
        return f"{found} that {shown(self.delegator)} asks for (no valid signature by: {missing})"


class StrongKeysMissing(ThresholdNotMet):
    """The same, and the role has keys that are too weak to count (Notary v1): `weak`, each with the reason."""

    code: ClassVar[str] = "strong-keys-missing"
    weak: tuple[str, ...]

    def __str__(self) -> str:
        return "; key ".join([super().__str__(), *(shown(text, 100) for text in self.weak[:4])])


class VersionRollback(NotTrusted):
    """A role is older than a known version. `offered` 0: the role was removed. `source`: where `known` comes from."""

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
    """A file has another version than its parent names, or a root does not follow the root before it."""

    code: ClassVar[str] = "version-mismatch"
    role: str
    offered: int
    expected: int

    def __str__(self) -> str:
        return f"{shown(self.role)} has version {self.offered} where version {self.expected} is expected"


class MetadataExpired(NotTrusted):
    """A file has expired. `at`: the reference time of the operation, UTC."""

    code: ClassVar[str] = "metadata-expired"
    role: str
    version: int
    expires: datetime
    at: datetime

    def __str__(self) -> str:
        return f"{shown(self.role)} version {self.version} expired on {self.expires:%Y-%m-%d %H:%M} UTC"


class LivesTooLong(NotTrusted):
    """A timestamp or snapshot is valid for too long from now. `limit`: for how many seconds it may. `at`: now, UTC.

    Either the clock of the server was ahead when it signed the file, or the clock of this machine is behind.
    """

    code: ClassVar[str] = "lives-too-long"
    role: str
    version: int
    expires: datetime
    at: datetime
    limit: int

    def __str__(self) -> str:
        days, rest = divmod(self.limit, 86400)
        span = f"{self.limit} seconds" if rest else f"{days} day{'' if days == 1 else 's'}"
        return (
            f"{shown(self.role)} version {self.version} is valid until {self.expires:%Y-%m-%d %H:%M} UTC, more than "
            f"{span} from now: the clock that signed it was ahead, or the clock here, which says "
            f"{self.at:%Y-%m-%d %H:%M} UTC, is behind"
        )


class ContentMismatch(NotTrusted):
    """The bytes of a file are not those that its parent names. `what`: `sha256`, `length`, `digest`..."""

    code: ClassVar[str] = "content-mismatch"
    role: str
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.what} of {shown(self.role)} is {shown(self.found)} where {shown(self.expected)} is expected"


class RootNotPinned(NotTrusted):
    """No root of the verified chain matches the pin. `found`: the fingerprint of the first root of the chain."""

    code: ClassVar[str] = "root-not-pinned"
    gun: str
    pin: str
    found: str
    pin_source: str = ""

    def __str__(self) -> str:
        by = f" ({self.pin_source})" if self.pin_source else ""
        return f"{self.gun} is pinned to {self.pin}{by}, but the server's root of trust is {self.found}"


class CertificateOfAnotherName(NotTrusted):
    """The certificate of a Notary v1 root key names another collection, or is none that Go's clients would count."""

    code: ClassVar[str] = "certificate-of-another-name"
    gun: str
    keyid: str
    reason: str

    def __str__(self) -> str:
        return f"the root key {short_keyid(self.keyid)} does not speak for {self.gun}: it {shown(self.reason)}"


class CertificateNotValidNow(CertificateOfAnotherName):
    """The certificate of a Notary v1 root key is right, and valid at other times only; `at`: the reference time.

    Either the clock is wrong by which this was judged, or the root key is too old, or not in force yet.
    """

    code: ClassVar[str] = "certificate-not-valid-now"
    at: datetime

    def __str__(self) -> str:
        return f"{super().__str__()}, judged at {self.at:%Y-%m-%d %H:%M} UTC"


class RootOfAnotherName(NotTrusted):
    """A TUF 1.0 root names another collection. `named` "": it names none, but an earlier root did."""

    code: ClassVar[str] = "root-of-another-name"
    gun: str
    role: str
    version: int
    named: str

    def __str__(self) -> str:
        if not self.named:
            return f"{shown(self.role)} version {self.version} no longer names {self.gun}, as an earlier one does"
        return f"{shown(self.role)} version {self.version} belongs to {shown(self.named, 255)}, not to {self.gun}"


class RootNotNamed(NotTrusted):
    """The collection is pinned by a key alone, or for a pattern of names, and no root names it by the word of that pin.

    Other collections that the pin is for would pass for this one. `pin`, `pin_source`: the pin.
    `found`: the fingerprint of the first root. `pin_recorded`: the pin is one that this machine keeps, so another one
    must replace it; it only chooses the advice.
    """

    code: ClassVar[str] = "root-not-named"
    gun: str
    pin: str
    pin_source: str
    found: str
    pin_recorded: bool = False

    def details(self) -> dict[str, object]:
        """Return the fields without `pin_recorded`, which `pin_source` says in words."""
        return {name: value for name, value in super().details().items() if name != "pin_recorded"}

    def __str__(self) -> str:
        pin = f"({self.pin}, {shown(self.pin_source)})"
        if self.pin.startswith("sha256:"):
            return f"{self.gun} is pinned only by a root for a pattern of names {pin}, and its root does not name it"
        others = "any other collection of the same owner would pass for it"
        return f"{self.gun} is pinned by a key alone {pin}, and no root that this key has signed names it: {others}"


class RootNotCertified(NotTrusted):
    """The collection is pinned to a certification authority, which does not vouch for its newest root.

    `pin`, `pin_source`: the pin. `version`: of the root. `reason`: a sentence, without the root as its subject.
    """

    code: ClassVar[str] = "root-not-certified"
    gun: str
    pin: str
    pin_source: str
    version: int
    reason: str

    def __str__(self) -> str:
        by = f"{self.pin} ({shown(self.pin_source)})"
        return (
            f"{self.gun} is pinned to {by}, and no such CA vouches for its root version {self.version}: {self.reason}"
        )


class PinsDisagree(NotTrusted):
    """Two pins of one collection match no common root chain."""

    code: ClassVar[str] = "pins-disagree"
    gun: str
    pin: str
    pin_source: str
    other: str
    other_source: str

    def __str__(self) -> str:
        return f"the pins of {self.gun} disagree: {self.pin} ({self.pin_source}) and {self.other} ({self.other_source})"


class LockDisagrees(NotTrusted):
    """The lock file names another root than this machine knows, or, if it knows none, than the server offers.

    `locked` and `known` are fingerprints. `known_by`: the source of the other root, "" for the server.
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
    """A role lists a target outside the paths that its delegator has delegated to it."""

    code: ClassVar[str] = "delegation-out-of-scope"
    role: str
    target: str

    def __str__(self) -> str:
        return f"{shown(self.role)} lists '{shown(self.target)}', which lies outside the paths delegated to it"


class ReleaseConflict(NotTrusted):
    """Both `targets` and `targets/releases` list the tag, so neither is trusted."""

    code: ClassVar[str] = "release-conflict"
    target: str
    roles: tuple[str, ...]
    digests: tuple[str, ...]

    def __str__(self) -> str:
        return f"tag '{shown(self.target)}' is listed by {' and by '.join(map(shown, self.roles))}; neither is trusted"


class TagMismatch(NotTrusted):
    """The requested digest is not the one that is signed for the tag."""

    code: ClassVar[str] = "tag-mismatch"
    gun: str
    tag: str
    asked: str
    signed: str

    def __str__(self) -> str:
        return f"{self.gun}:{self.tag} is signed as {self.signed}, not as {self.asked}"


class DigestDenied(NotTrusted):
    """A collection, `denied_by`, denies the digest; or the digest is that of an index with the platform `denied`."""

    code: ClassVar[str] = "digest-denied"
    name: str
    digest: str
    denied: str
    denied_by: str
    reason: str = ""

    def __str__(self) -> str:
        lists = "" if self.digest == self.denied else f"lists the platform {self.denied}, which "
        because = f": {shown(self.reason)}" if self.reason else ""
        return f"{self.name}@{self.digest} {lists}is denied by {self.denied_by}{because}"


class TargetUnusable(NotTrusted):
    """The role lists the tag without a length and hash that an image could be checked by (Notary v1)."""

    code: ClassVar[str] = "target-unusable"
    role: str
    target: str
    reason: str

    def __str__(self) -> str:
        return f"{self.role} lists {shown(self.target)} in a way that no image can be checked by: {self.reason}"


class MetadataMissing(NotTrusted):
    """A role is missing that the root, the timestamp, the snapshot or a delegator names."""

    code: ClassVar[str] = "metadata-missing"
    role: str
    reason: str

    def __str__(self) -> str:
        return f"{shown(self.role)} metadata is missing: {shown(self.reason)}"


class NotVouchedFor(NotTrusted):
    """The content of a stored file must not be signed again: nobody entitled has signed it, and it is not known here.

    `tags`: what it lists (`sha256:HEX` by tag). `exposed`: what `targets` would release if the role began empty.
    """

    code: ClassVar[str] = "not-vouched-for"
    role: str
    version: int
    sha256: str
    reason: str
    tags: Mapping[str, str] = _NO_DETAILS  # type: ignore[assignment]
    exposed: Mapping[str, str] = _NO_DETAILS  # type: ignore[assignment]

    def __str__(self) -> str:
        what = f"{shown(self.role)} version {self.version} (sha256:{self.sha256}) must not be signed again"
        exposed = f"; begun empty, targets releases {tag_list(self.exposed)}" if self.exposed else ""
        return f"{what}: {shown(self.reason, 400)}; it lists {tag_list(self.tags)}{exposed}"


class ExpiredUnknown(NotVouchedFor):
    """A stored file is signed, has expired, and is not known here: it may be an old one that the server shows again."""

    code: ClassVar[str] = "expired-unknown"


class ContentUnseen(TrustError):
    """Stored files would be signed again that say what this machine has not verified before; nobody has agreed to it.

    `files`: `ROLE@sha256:HEX` of each. `changes`: what they say, a sentence each.
    """

    code: ClassVar[str] = "content-unseen"
    gun: str
    files: tuple[str, ...]
    changes: tuple[str, ...]

    def __str__(self) -> str:
        files = " and ".join(shown(file, 400) for file in self.files)
        told = "; ".join(self.changes[:_TAGS_SHOWN])
        rest = len(self.changes) - _TAGS_SHOWN
        more = f" and {rest} more (--json has all)" if rest > 0 else ""
        return f"{files} of {self.gun} would be signed again, and say what was not verified here before: {told}{more}"


class TrustDataWithheld(NotTrusted):
    """The server has no data for a collection that a pin or the rollback memory knows. `known_by` says which.

    `missing`: what it does not have, if it may have other data. `doubt`: its answer in words, if that is not one of a
    trust server.
    """

    code: ClassVar[str] = "trust-data-withheld"
    gun: str
    known_by: str
    missing: str = ""
    doubt: str = ""

    def __str__(self) -> str:
        lacks = f"does not have {self.missing}" if self.missing else "has no data for it"
        doubt = f"; {shown(self.doubt, 600)}" if self.doubt else ""
        return f"trust data of {self.gun} is withheld: {self.known_by} knows this name, but the server {lacks}{doubt}"


class CollectionDeleted(NotTrusted):
    """The server reports that a known collection was deleted. `deleted_root`, `pin`: fingerprints."""

    code: ClassVar[str] = "collection-deleted"
    gun: str
    pin: str
    deleted_root: str
    deleted_at: str
    subject: str

    def __str__(self) -> str:
        deleted = f"{self.gun} was deleted on {shown(self.deleted_at)} by {shown(self.subject) or 'unknown'}"
        root = shown(self.deleted_root)
        if self.deleted_root == self.pin:
            return f"{deleted}, as the server says: its root was {root}, as it is pinned here"
        roots = f"its root was {root}, the pin here is {self.pin}"
        return f"{deleted}, as the server says: {roots}; if these are not of one collection, it is withheld"


class FormatChanged(NotTrusted):
    """The collection is recorded in one wire format (in `pin_source`), and another source has it in another."""

    code: ClassVar[str] = "format-changed"
    gun: str
    pinned: str
    offered: str
    pin_source: str = ""
    offered_by: str = "the server"

    def __str__(self) -> str:
        by = f" ({self.pin_source})" if self.pin_source else ""
        return f"{self.gun} is recorded as {self.pinned}{by}, but {self.offered_by} has it as {self.offered}"


class Unpinned(TrustError):
    """The first contact with a collection needs a pin. `found`: the fingerprint from the server (`sha256:HEX`)."""

    code: ClassVar[str] = "unpinned"
    gun: str
    found: str

    def __str__(self) -> str:
        return f"{self.gun} is not pinned here; its root of trust has fingerprint {self.found}"


class NoTrustData(TrustError):
    """The server has no such collection, and no pin, lock file or memory knows its name."""

    code: ClassVar[str] = "no-trust-data"
    gun: str

    def __str__(self) -> str:
        return f"{self.gun} has no trust data"


class NotSigned(TrustError):
    """The collection is valid, but the tag (or the digest) is not released in it.

    `signers`: the signers that list the tag without releasing it. `tag` "": the collection has no released tag.
    `signed`: some of the `total` tags that are released, those first that are written alike; empty in hooks.
    """

    code: ClassVar[str] = "not-signed"
    gun: str
    tag: str
    signers: tuple[str, ...] = ()
    signed: tuple[str, ...] = ()
    total: int = 0

    def __str__(self) -> str:
        if not self.tag:
            return f"{self.gun} has no signed tag"
        signers = ", ".join(map(shown, self.signers))
        also = f" (only {signers} lists it, which does not release it)" if signers else ""
        sign = "@" if self.tag.startswith("sha256:") else ":"
        more = ", ..." if self.total > len(self.signed) else ""
        known = f"; signed are {', '.join(map(shown, self.signed))}{more} ({self.total})" if self.signed else ""
        return f"{self.gun}{sign}{shown(self.tag)} is not signed{also}{known}"


NO_RULE: Final = "no rule matches this name"
DENIED: Final = "the rule denies it"
DIFFERENT_SERVERS: Final = "they name different servers"


class PolicyRefused(TrustError):
    """The policy requires more than what is signed, or lets nothing of this name run. `rule`: who refused."""

    code: ClassVar[str] = "policy-refused"
    name: str
    rule: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} is refused by {self.rule}: {self.reason}"

    @property
    def by_rules_alone(self) -> bool:
        """Whether the rules refuse by themselves: whatever is signed changes nothing."""
        return self.reason.startswith((NO_RULE, DENIED, DIFFERENT_SERVERS))


class PolicyMalformed(TrustError):
    """The policy cannot be read, so nothing is allowed. `path`: the member in the file `source`."""

    code: ClassVar[str] = "policy-malformed"
    source: str
    path: str
    reason: str

    def __str__(self) -> str:
        place = f" at {shown(self.path)}" if self.path else ""
        return f"the policy {self.source} cannot be used{place}: {shown(self.reason, 300)}"


class PublishRefused(TrustError):
    """An upload must not be stored. `role` names the file."""

    code: ClassVar[str] = "publish-refused"
    role: str
    reason: str

    def __str__(self) -> str:
        return f"{shown(self.role)}: {shown(self.reason, 300)}"


class VersionConflict(PublishRefused):
    """An uploaded role does not follow the stored version. `stored` 0: the role is not stored yet."""

    code: ClassVar[str] = "version-conflict"
    offered: int
    stored: int
    reason: str = "version conflict"

    def __str__(self) -> str:
        return f"{shown(self.role)} version {self.offered} cannot follow version {self.stored}, which is stored"


class WouldBreakRole(PublishRefused):
    """The upload would make a stored, delegated role invalid."""

    code: ClassVar[str] = "would-break-role"


class ServerKeyNotUsed(PublishRefused):
    """The root names other keys for an online role than the server holds."""

    code: ClassVar[str] = "server-key-not-used"


class FormatCannotDeny(PublishRefused):
    """The format of the collection has no place for denied digests that all programs leave as it is."""

    code: ClassVar[str] = "format-cannot-deny"


class CollectionExists(PublishRefused):
    """The collection exists already, has a tombstone, or exists in another format."""

    code: ClassVar[str] = "collection-exists"


class TooLarge(TrustError):
    """A file or body is larger than allowed, or holds more than allowed. `unit`: what `limit` counts."""

    code: ClassVar[str] = "too-large"
    what: str
    limit: int
    unit: str = "bytes"

    def __str__(self) -> str:
        relation = "is larger than" if self.unit == "bytes" else "holds more than"
        return f"{shown(self.what)} {relation} {self.limit} {shown(self.unit)}"


class NotStored(TrustError):
    """The disk or database refused to store; nothing was changed."""

    code: ClassVar[str] = "not-stored"
    reason: str

    def __str__(self) -> str:
        return f"nothing was stored: {shown(self.reason)}"


class MemoryDamaged(TrustError):
    """The rollback memory cannot be read. A verdict without it could accept a rollback, so there is no verdict."""

    code: ClassVar[str] = "memory-damaged"
    path: str
    reason: str

    def __str__(self) -> str:
        return f"rollback memory {self.path} is damaged: {shown(self.reason)}"


class MemoryUnreadable(MemoryDamaged):
    """The file of the rollback memory cannot be read by this user: what is in it may be whole, and still counts."""

    code: ClassVar[str] = "memory-unreadable"

    def __str__(self) -> str:
        return f"rollback memory {self.path} cannot be read: {shown(self.reason)}"


class LockDamaged(TrustError):
    """The lock file cannot be read, so there is no verdict. `line`: from 1; 0 if the error has no line."""

    code: ClassVar[str] = "lock-damaged"
    path: str
    line: int
    reason: str

    def __str__(self) -> str:
        place = f", line {self.line}," if self.line else ""
        return f"the lock file {shown(self.path)}{place} cannot be used: {shown(self.reason, 300)}"


class FileNewer(TrustError):
    """A file is of a newer version than this program knows: it is neither read nor changed.

    `what`: which kind of file it is. `known`: the newest version that this program knows.
    """

    code: ClassVar[str] = "file-newer"
    path: str
    what: str
    version: int
    known: int

    def __str__(self) -> str:
        return newer_sentence(shown(self.path, 300), self.what, self.version, self.known)
