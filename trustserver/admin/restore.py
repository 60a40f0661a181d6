"""Accept a database that was restored from a backup, so that clients accept the server's metadata again.

Clients refuse versions lower than those that they have seen (rollback). So the server signs new snapshots and
timestamps with versions far above everything that was ever published. It cannot do that for the roles that owners sign:
only the owners can publish again what they had published after the backup (docs/guides/restored-backup.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from keys.errors import KeysError
from trustdata.errors import TrustError
from trustdata.gun import GUN
from trustdata.roles import ONLINE, ROOT, SNAPSHOT, TIMESTAMP, RoleName
from trustserver.errors import NotSound, RevisionMoved
from trustserver.process import kernel_clock
from trustserver.repository.clock_guard import ClockGuard
from trustserver.repository.commit import Committer
from trustserver.repository.online_roles import Issued, OnlineRoles, held_key
from trustserver.repository.parsed_cache import ParsedCache, ParsedCollection, format_of
from trustserver.repository.server_keys import ServerKeys
from trustserver.responses.response_cache import ResponseCache
from trustserver.storage.ports import KeySealer, MetadataStore, Status, StoredCollection

JUMP: Final = 1000
"""By how much the versions of snapshot and timestamp are raised: more than a collection can have lost."""
HIGHEST: Final = 1_000_000_000
"""The highest version that can have been published: one a second for thirty years. If a client's file claims a higher
one, the file is wrong, and a version above it would leave too few versions for the future."""
_NEEDED: Final = frozenset({ROOT, SNAPSHOT, TIMESTAMP})


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The result for one collection.

    `versions`: the new ones of snapshot and timestamp. `lost`: versions of the owner's roles that were published or
    seen and are not in the database. `failed`: why the online roles could not be issued; empty if they were.
    """

    gun: GUN
    versions: Mapping[RoleName, int]
    lost: Mapping[RoleName, int]
    failed: str = ""


class Restore:
    """Accepts the collections of a restored store. No server may use the store meanwhile."""

    def __init__(
        self,
        *,
        store: MetadataStore,
        online: OnlineRoles,
        parsed: ParsedCache,
        committer: Committer,
        at: datetime,
    ) -> None:
        self._store = store
        self._at = at
        self._online = online
        self._parsed = parsed
        self._committer = committer

    def accept(self, seen: Mapping[GUN, Mapping[RoleName, int]]) -> Iterator[Accepted]:
        """Issue snapshot and timestamp of every live collection anew.

        `seen`: the highest versions that were published or that a client has seen. Raises: NotStored.
        """
        for summary in self._store.collections():
            if summary.status is Status.LIVE:
                yield self._accept(summary.gun, seen.get(summary.gun, {}))

    def _accept(self, gun: GUN, seen: Mapping[RoleName, int]) -> Accepted:
        state = self._store.load(gun)
        stored_versions = {role: file.version for role, file in state.files.items()}
        lost = {
            role: version
            for role, version in seen.items()
            if role not in ONLINE and version > stored_versions.get(role, 0)
        }
        try:
            versions = self._issue(state, seen)
        except (KeysError, RevisionMoved, TrustError) as error:
            return Accepted(gun=gun, versions={}, lost=lost, failed=str(error))
        return Accepted(gun=gun, versions=versions, lost=lost)

    def _issue(self, state: StoredCollection, seen: Mapping[RoleName, int]) -> Mapping[RoleName, int]:
        stored = self._parsed.load(state.gun, needed=_NEEDED)
        for role in ONLINE:
            if seen.get(role, 0) > HIGHEST:
                reason = f"{role} version {seen[role]} was never published: whoever claims to have seen it is wrong"
                raise NotSound(reason=reason)
        minimum_versions = {role: max(stored.envelopes[role].version, seen.get(role, 0)) + JUMP for role in ONLINE}
        issued = self._issued(stored, minimum_versions)
        self._committer.commit(stored, stored.envelopes, (), issued)
        return {SNAPSHOT: issued.snapshot.version, TIMESTAMP: issued.timestamp.version}

    def _issued(self, stored: ParsedCollection, minimum_versions: Mapping[RoleName, int]) -> Issued:
        """Sign the new snapshot and timestamp; only the timestamp if the owner holds the snapshot key (Notary v1)."""
        served_format, root = format_of(stored.state), stored.envelopes[ROOT].root
        if served_format.wire.upload_rules.may_include_snapshot and not held_key(
            stored.state, root, SNAPSHOT, served_format.wire
        ):
            return self._online.issue_timestamp(
                stored.state,
                served_format=served_format,
                root=root,
                stored=stored.envelopes,
                at=self._at,
                minimum_version=minimum_versions[TIMESTAMP],
            )
        return self._online.issue(
            stored.state,
            served_format=served_format,
            root=root,
            stored=stored.envelopes,
            changed=(),
            at=self._at,
            minimum_versions=minimum_versions,
        )


def open_restore(store: MetadataStore, sealer: KeySealer, at: datetime, *, keys: ServerKeys | None = None) -> Restore:
    """Make a `Restore` for a store that no server uses meanwhile. `at`: the time of its signatures.

    `keys`: None if all are sealed in the store. Raises: ClockJumped if they must not be made at that time, NotStored.
    """
    guard = ClockGuard(store, uptime=kernel_clock.uptime, is_synchronised=kernel_clock.is_synchronised)
    guard.check(at)
    online, parsed = OnlineRoles(store, sealer, guard, keys=keys), ParsedCache(store)
    committer = Committer(store, parsed, ResponseCache(limit=0))
    return Restore(store=store, online=online, parsed=parsed, committer=committer, at=at)


def highest_versions(seen: Iterable[tuple[GUN, Mapping[RoleName, int]]]) -> dict[GUN, dict[RoleName, int]]:
    """Return the highest version of each role, by collection."""
    result: dict[GUN, dict[RoleName, int]] = {}
    for gun, versions in seen:
        highest = result.setdefault(gun, {})
        for role, version in versions.items():
            highest[role] = max(highest.get(role, 0), version)
    return result
