"""What the client needs of the world: a place to fetch from, a place to publish to, a place to remember files.

Each port states what its implementations promise; one contract suite holds every implementation to it.
`gun` is always a checked name (`trustdata.gun.parse_gun`); role names are never percent-encoded here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trustdata.gun import GUN
    from trustdata.model import Key
    from trustdata.roles import RoleName


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishReceipt:
    """What the server stored. `versions` holds every role of the collection, the server-issued ones too."""

    revision: int
    versions: Mapping[RoleName, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionState:
    """A collection as its server describes it: unsigned, so good for messages, never for a decision of trust.

    `server_keys`: the roles whose keys, as root names them, the server says that it holds.
    """

    gun: GUN
    format: str
    revision: int
    versions: Mapping[RoleName, int]
    server_keys: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """What a deleted collection left: all of it the server's word, foreign text, unsigned.

    `deleted_root` is `sha256:HEX` of root version 1, `deleted_at` the server's time as text.
    """

    gun: GUN
    deleted_root: str
    versions: Mapping[RoleName, int]
    deleted_at: str
    subject: str


class MetadataRemote(Protocol):
    """A plain TUF repository, read only. Nothing that it returns has been verified."""

    @property
    def name(self) -> str:
        """Scheme, host and port, for messages: `https://trust.example.com`. Never holds credentials."""

    def fetch(self, gun: GUN, filename: str, *, limit: int) -> bytes | None:
        """The file's bytes, whole and as they came; None only where the server says that it does not exist (404).

        `filename` is the name on the wire (`timestamp.json`, `3.targets%2Falice.json`), `limit` the most bytes
        that are read. Any other failure is an error: an outage is never reported as absence, nor a part as the whole.

        Raises: RemoteUnreachable (network, DNS, TLS, 5xx, time limit), RemoteRefused (401, 403 and other 4xx),
        RemoteMisbehaved (redirect loop, truncated body, answer without meaning), TooLarge (more than `limit`).
        """


class PublishRemote(Protocol):
    """A trust server's publishing API. Each call is one request; whether to repeat it is the caller's decision.

    Every method raises RemoteUnreachable, RemoteRefused, RemoteMisbehaved and TooLarge as `MetadataRemote.fetch`.
    After RemoteUnreachable from a method that changes something it is unknown whether it was done (a lost reply).
    """

    @property
    def name(self) -> str:
        """Scheme, host and port, for messages. Never holds credentials."""

    def publish(self, gun: GUN, files: Mapping[RoleName, bytes]) -> PublishReceipt:
        """Store all the files or none; root, targets and delegations only, verbatim.

        When it returns, the collection is durable and readable with these files and a new snapshot and timestamp.

        Raises: VersionConflict, WouldBreakRole, ServerKeyNotUsed, CollectionExists (rebuilt from the server's
        problem document; nothing was stored), RemoteRefused with `server_code` for any other refusal.
        """

    def online_key(self, gun: GUN, role: RoleName) -> Key:
        """The public key that the server holds for `snapshot` or `timestamp`; before the first publish it makes one.

        Asked again it gives the same key. The key id is checked to be the key's own.

        Raises: RemoteMisbehaved if the answer is no key, or not under its own id.
        """

    def new_online_key(self, gun: GUN, role: RoleName) -> Key:
        """A new key for the role, pending until a root that names it is published. Raises as `online_key`."""

    def collection(self, gun: GUN) -> CollectionState | Tombstone | None:
        """What the server says about the collection; a tombstone if it was deleted, None if it never existed."""

    def delete(self, gun: GUN) -> int:
        """Delete the collection, leaving a tombstone; returns the revision after it. Raises: NoTrustData."""


class MetadataCache(Protocol):
    """The last verified files of one collection. A convenience, never an authority: what it returns is verified again.

    Only verified bytes may be stored. No method raises: a file that is lost is absent, what cannot be written is not
    kept. Every store is atomic (a reader sees the old bytes or the new) and need not survive a power failure.
    """

    def roots(self) -> list[bytes]:
        """The stored roots from version 1 on, ascending; what comes after a gap is left out."""

    def store_root(self, version: int, raw: bytes) -> None:
        """Keep one version of root beside the others."""

    def drop_roots(self) -> None:
        """Forget every root: another chain takes their place."""

    def load(self, role: RoleName) -> bytes | None:
        """The newest stored file of a role other than root, or None."""

    def store(self, role: RoleName, raw: bytes) -> None:
        """Put a role's file in the place of the one before."""

    def drop(self, role: RoleName) -> None:
        """Forget a role's file (fast-forward recovery)."""
