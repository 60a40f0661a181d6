"""The interfaces between the client and the outside: fetch metadata, publish metadata, cache metadata.

Each interface states what its implementations guarantee; one set of contract tests runs against every implementation.
`gun` is always a checked name (`trustdata.gun.parse_gun`). Role names are never percent-encoded here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from keys.record import record

if TYPE_CHECKING:
    from trustdata.gun import GUN
    from trustdata.model import Key
    from trustdata.roles import RoleName


@record
class PublishReceipt:
    """What the server has stored.

    `versions` holds every role of the collection, those that the server signs included.
    """

    revision: int
    versions: Mapping[RoleName, int]


@record
class CollectionState:
    """A collection as its server describes it. Not signed: use it in messages, never to decide about trust.

    `server_keys`: the online roles of the current root whose private keys the server says that it holds.
    """

    gun: GUN
    format: str
    revision: int
    versions: Mapping[RoleName, int]
    server_keys: frozenset[str] = frozenset()


@record
class DeletedCollection:
    """What the server reports about a deleted collection. Foreign text that is not signed.

    `deleted_root` is `sha256:HEX` of root version 1, `deleted_at` the server's time as text.
    """

    gun: GUN
    deleted_root: str
    versions: Mapping[RoleName, int]
    deleted_at: str
    subject: str


class MetadataRemote(Protocol):
    """A TUF repository that is only read. Nothing that it returns has been verified."""

    @property
    def name(self) -> str:
        """Scheme, host and port for messages: `https://trust.example.com`. Never holds credentials."""

    def fetch(self, gun: GUN, filename: str, *, limit: int) -> bytes | None:
        """Return the file's bytes, complete and unchanged; None only if the server says that there is no such file.

        That is status 404, or 410 for a deleted collection; every other failure is an error. So an outage is never
        reported as absence, nor a part of a file as the whole. `filename` is the name in the URL (`timestamp.json`,
        `3.targets%2Falice.json`), `limit` the largest size in bytes that is read.

        Raises: RemoteUnreachable (network, DNS, TLS, 5xx, time limit), RemoteRefused (401, 403 and other 4xx),
        RemoteMisbehaved (redirect loop, truncated body, unexpected answer), TooLarge (more than `limit` bytes).
        """


class PublishRemote(Protocol):
    """The publishing API of a trust server. Each call sends one request; the caller decides whether to repeat it.

    Every method may raise RemoteUnreachable, RemoteRefused, RemoteMisbehaved and TooLarge. After RemoteUnreachable from
    a method that changes something, it is unknown whether the change was made: the reply may have been lost.
    """

    @property
    def name(self) -> str:
        """Scheme, host and port for messages. Never holds credentials."""

    def publish(self, gun: GUN, files: Mapping[RoleName, bytes]) -> PublishReceipt:
        """Store all the files or none: root, targets and delegations only, byte for byte.

        When it returns, the files are stored durably and can be read together with a new snapshot and timestamp.

        Raises: VersionConflict, WouldBreakRole, ServerKeyNotUsed, CollectionExists (rebuilt from the server's problem
        document; nothing was stored), RemoteRefused with `server_code` for any other refusal.
        """

    def online_key(self, gun: GUN, role: RoleName) -> Key:
        """Return the public key that the server holds for `snapshot` or `timestamp`.

        The server makes one before the first publish; repeated calls return the same key. Raises: RemoteMisbehaved if
        the answer is no key, or its key id is wrong.
        """

    def new_online_key(self, gun: GUN, role: RoleName) -> Key:
        """Return a new key of the server for the role; the server uses it once a root that names it is published.

        Raises: RemoteMisbehaved if the answer is no key, or its key id is wrong.
        """

    def collection(self, gun: GUN) -> CollectionState | DeletedCollection | None:
        """Return the server's description of the collection; a tombstone if it was deleted, None if it never was."""

    def delete(self, gun: GUN) -> int:
        """Delete the collection, leaving a tombstone, and return the revision after it. Raises: NoTrustData."""


class MetadataCache(Protocol):
    """The newest verified files of one collection. All that it returns is verified again before it is used.

    Only verified bytes may be stored. No method raises an error: a lost file counts as absent, and a file that cannot
    be written is not kept. Each store is atomic (a reader sees the old bytes or the new) and may be lost in a power
    failure.
    """

    def roots(self) -> list[bytes]:
        """Return the stored roots from the lowest version on, ascending, up to the first gap."""

    def numbered_roots(self) -> dict[int, bytes]:
        """Return what `roots` returns, by version."""

    def store_root(self, version: int, raw: bytes) -> None:
        """Store one version of root beside the others."""

    def drop_roots(self) -> None:
        """Delete all stored roots, before those of another chain are stored."""

    def load(self, role: RoleName) -> bytes | None:
        """Return the newest stored file of a role other than root, or None."""

    def store(self, role: RoleName, raw: bytes) -> None:
        """Store a role's file in place of the older one."""

    def drop(self, role: RoleName) -> None:
        """Delete a role's stored file (recovery from a fast-forward attack, TUF specification 5.3.11)."""
