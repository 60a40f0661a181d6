"""What the Python API returns: plain frozen values, which can be compared, pickled and sent to other threads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from trustdata.errors import NotSigned, TrustError


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The verdict on one image. It is true in a condition only if the image is trusted.

    `image`: as it was given. `error`: why it is not trusted, else None. All others are None or empty unless it is
    trusted. `name`: what may run, `REPOSITORY@sha256:HEX`. `digest`: `sha256:HEX`. `tags`: the signed tags that were
    meant. `signers`: all whose roles list the digest. `released_by`: the role that lists the tag. `versions`: of the
    roles used, by role. `fresh_until`: when the first of these roles expires (UTC). `warnings`: sentences, such as that
    a rule of the policy lets the image run though nothing, or not enough, was verified; then `tags`, `signers` and what
    follows them are empty.
    """

    image: str
    error: TrustError | None = None
    name: str | None = None
    digest: str | None = None
    tags: tuple[str, ...] = ()
    signers: tuple[str, ...] = ()
    released_by: str | None = None
    versions: Mapping[str, int] = field(default_factory=dict, hash=False)
    fresh_until: datetime | None = None
    warnings: tuple[str, ...] = ()

    @property
    def trusted(self) -> bool:
        """Whether the image is trusted."""
        return self.error is None and self.digest is not None and self.name is not None

    def __bool__(self) -> bool:
        return self.trusted

    def name_or_raise(self) -> str:
        """Return what may run, `REPOSITORY@sha256:HEX`. Raises: TrustError (the verdict's `error`)."""
        self._check()
        return str(self.name)

    def digest_or_raise(self) -> str:
        """Return the digest that may run, `sha256:HEX`. Raises: TrustError (the verdict's `error`)."""
        self._check()
        return str(self.digest)

    def _check(self) -> None:
        if not self.trusted:
            raise self.error or NotSigned(gun=self.image, tag="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialised:
    """A collection that was made, or was there as it was asked for.

    `repository`: its name. `pin`: `sha256:HEX`, what others pin. `format`: `tuf-1.0` or `notary-v1`. `signers`: those
    that were asked for. `published`: False if nothing had to be done.
    """

    repository: str
    pin: str
    format: str
    signers: tuple[str, ...]
    published: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """One signed image, after it was verified as a client does.

    `image`: as it was given. `name`: `REPOSITORY:TAG@sha256:HEX`. `published`: False if everything that was asked for
    in its repository was signed already.
    """

    image: str
    name: str
    tag: str
    digest: str
    published: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedTag:
    """A signed tag of a collection.

    `digest`: `sha256:HEX`. `size`: of the manifest, in bytes. `signers`: those whose roles list the same digest.
    `released_by`: the ids of the keys that signed the role that lists the tag for clients.
    """

    tag: str
    digest: str
    size: int
    signers: tuple[str, ...]
    released_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHolder:
    """A signer, and the ids of the keys with which it may sign."""

    name: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiredRole:
    """A role whose time is over: clients refuse what needs it. `at`: when it expired (UTC)."""

    role: str
    version: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """What a collection holds, to be shown: it is no verdict, since expired roles are among it.

    `image`: as it was given. `repository`: the collection's name. `tags`: by name; one at most, if `image` names a tag.
    `root_keys`, `repository_keys`: ids of the administrative keys. `faults`: why roles that clients refuse are left
    out, by role. `unusable`: why tags that somebody has signed are no tags of an image, by tag.
    """

    image: str
    repository: str
    tags: tuple[SignedTag, ...]
    signers: tuple[KeyHolder, ...]
    root_keys: tuple[str, ...]
    repository_keys: tuple[str, ...]
    expired: tuple[ExpiredRole, ...]
    faults: Mapping[str, TrustError] = field(hash=False)
    unusable: Mapping[str, TrustError] = field(hash=False)
