"""Import a collection from another Notary server: its whole root chain and every current file, unchanged.

Clients notice nothing, since nothing is signed again: what they have pinned, cached and remembered is still valid
(ADR 0026). If the old server's private keys are imported too, this server goes on in its place. Otherwise it serves the
collection as it is, and refuses to publish to it until the root names keys of this server; until then a later state of
the same collection can be imported again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from keys.algorithms import PrivateKey
from keys.material import tuf_key
from trustdata.envelope import Envelope
from trustdata.errors import CollectionExists, MetadataMissing, PublishRefused, ServerKeyNotUsed
from trustdata.gun import GUN
from trustdata.lifetimes import UNLIMITED_LIFE
from trustdata.limits import MAX_UPLOAD_VALUES
from trustdata.model import Root
from trustdata.roles import ONLINE, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification import checks
from trustdata.verification.trusted_set import TrustedSet
from trustserver.repository.commit import Committer
from trustserver.repository.formats import SERVED_NOTARY
from trustserver.repository.offered_keys import sealed_record
from trustserver.repository.online_roles import held_key, refuse_tombstone, renewal_time
from trustserver.repository.parsed_cache import ParsedCache, ParsedCollection
from trustserver.repository.publish import Permit, PublishedVersions, everything_is_permitted, publish_result
from trustserver.repository.quotas import NameLimits, check_names, check_values
from trustserver.storage.events import NOBODY, Actor
from trustserver.storage.ports import (
    NEVER_RENEWED,
    KeyRecord,
    KeySealer,
    KeyState,
    MetadataStore,
    Status,
    StoredCollection,
)

_WIRE: Final = SERVED_NOTARY.wire


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedCollection:
    """A collection as it was read from another server.

    `roots`: all versions of root, from the first one on. `files`: the current file of every other role. `keys`: the
    private keys of the old server, by role; may be empty.
    """

    roots: Sequence[bytes]
    files: Mapping[RoleName, bytes]
    keys: Mapping[RoleName, PrivateKey] = field(default_factory=dict, repr=False)


VerifiedImport: TypeAlias = tuple[list[Envelope], dict[RoleName, Envelope]]
"""The root chain, ascending, and the current file of every role."""
ImportVerifier: TypeAlias = Callable[[GUN, ImportedCollection, datetime], VerifiedImport]
"""A function that does what `verify_import` does, and raises its errors; or NotStored, if it cannot."""


class CollectionImport:
    """Imports collections. Call it from a worker thread: it verifies signatures and waits for the database."""

    def __init__(
        self,
        *,
        store: MetadataStore,
        sealer: KeySealer,
        parsed: ParsedCache,
        committer: Committer,
        names: NameLimits | None = None,
        verify: ImportVerifier | None = None,
    ) -> None:
        """Make the importer. `verify`: verifies what is imported; None: in the thread that imports."""
        self._verify: ImportVerifier = verify or verify_import
        self._names = names or NameLimits()
        self._store = store
        self._sealer = sealer
        self._parsed = parsed
        self._committer = committer

    def take_over(
        self,
        gun: GUN,
        imported: ImportedCollection,
        *,
        at: datetime,
        subject: str = "",
        permit: Permit = everything_is_permitted,
        by: Actor = NOBODY,
    ) -> PublishedVersions:
        """Verify a collection as a client does, except for expiry, and store all of it.

        If the same state is stored already, nothing changes. `subject`: who sends it; empty if nobody knows. `by`: the
        same for the record. `permit`: what they may still do. Raises: what `permit` does; MalformedMetadata, TooLarge,
        TooMany (names), NotTrusted,
        PublishRefused (a file is missing or superfluous), CollectionExists (another collection has the name, or this
        one was published to here since), ServerKeyNotUsed (the root does not name one of the private keys),
        GoneCollection, NotStored, RevisionMoved.
        """
        check_values([*imported.roots, *imported.files.values()], limit=MAX_UPLOAD_VALUES)
        roots, current = self._verify(gun, imported, at)
        stored = self._parsed.load(gun)
        refuse_tombstone(stored.state)
        if stored.state.status is Status.ABSENT:
            check_names(self._store, self._names, subject=subject)
        keys = self._records(gun, current[ROOT].root, imported.keys, at)
        if stored.state.status is Status.LIVE:
            _check_same(stored, roots, current)
            self._check_chain(gun, roots)
            if all(stored.envelopes[role].sha256 == envelope.sha256 for role, envelope in current.items()) and not (
                set(keys) - _held(stored.state, current[ROOT].root)
            ):
                return publish_result(stored)
        held_roles = {role for role in ONLINE if role in keys} | _held(stored.state, current[ROOT].root)
        due = [renewal_time(current[role], _WIRE) for role in held_roles if TIMESTAMP in held_roles]
        permit(list(current), stored.state.status is not Status.LIVE)
        after = self._committer.commit_import(
            stored,
            roots=roots,
            current=current,
            served_format=SERVED_NOTARY,
            at=at,
            imported_keys=tuple(keys.values()),
            renew_at=min(due, default=NEVER_RENEWED),
            subject=subject,
            by=by,
        )
        return publish_result(after)

    def _check_chain(self, gun: GUN, roots: Sequence[Envelope]) -> None:
        """Check that every stored root is the one of the imported chain with the same version.

        Comparing the newest roots is not enough: two chains can end in the same root, and clients pin the first one.
        Raises: CollectionExists.
        """
        for root in roots:
            file = self._store.file(gun, ROOT, root.version, wire=_WIRE.name)
            if file is not None and file.sha256 != root.sha256:
                raise CollectionExists(role=ROOT, reason=f"version {root.version} here is another one")

    def _records(
        self, gun: GUN, root: Root, private_keys: Mapping[RoleName, PrivateKey], at: datetime
    ) -> dict[RoleName, KeyRecord]:
        records = {}
        for role, private in private_keys.items():
            keyids = root.roles[role].keyids
            if _WIRE.encode_key(tuf_key(private)).keyid not in keyids:
                raise ServerKeyNotUsed(role=role, reason="the key that was brought is not the one that root names")
            records[role] = sealed_record(private, self._sealer, gun=gun, role=role, state=KeyState.CURRENT, at=at)
        return records


def _held(state: StoredCollection, root: Root) -> set[RoleName]:
    return {role for role in ONLINE if held_key(state, root, role, _WIRE) is not None}


def verify_import(gun: GUN, imported: ImportedCollection, at: datetime) -> VerifiedImport:
    """Verify all files, and return the root chain and every current file, parsed.

    Raises: MalformedMetadata, TooLarge, NotTrusted, PublishRefused (a file is missing or superfluous).
    """
    if not imported.roots:
        raise PublishRefused(role=ROOT, reason="is missing: the whole chain is needed, from its first version")
    for role in (TIMESTAMP, SNAPSHOT, TARGETS):
        if role not in imported.files:
            raise PublishRefused(role=role, reason="is missing")
    online = [_WIRE.parse(role, imported.files[role]) for role in (TIMESTAMP, SNAPSHOT)]
    # The online roles may have expired, since the old server may have stopped long ago. All other checks are made.
    valid_at = min(at, *(envelope.expires - timedelta(seconds=1) for envelope in online))
    trusted = TrustedSet(
        gun=gun,
        root=imported.roots[0],
        wire=_WIRE,
        at=valid_at,
        max_life=UNLIMITED_LIFE,  # signed again here at once, if the key is brought; else after the owner's next root
        unsafe_accept_expired_offline_roles=True,
    )
    for raw in imported.roots[1:]:
        trusted.update_root(raw)
    trusted.update_timestamp(imported.files[TIMESTAMP])
    trusted.update_snapshot(imported.files[SNAPSHOT])
    trusted.update_targets(imported.files[TARGETS])
    current = {ROOT: trusted.root, TIMESTAMP: online[0], SNAPSHOT: online[1], TARGETS: trusted.targets}
    for role in sorted(trusted.listed() - current.keys()):
        if role not in imported.files:
            raise MetadataMissing(role=role, reason="the snapshot lists it")
        # Only hash and length of delegations are checked: docker and notary leave delegations in a collection that no
        # longer have enough signatures, or that no role delegates to any more.
        checks.check_content(role, imported.files[role], trusted.role_meta(role))
        current[role] = _WIRE.parse(role, imported.files[role])
    for role in imported.files:
        if role not in current:
            raise PublishRefused(role=role, reason="the snapshot does not list it")
    return list(trusted.roots), current


def _check_same(stored: ParsedCollection, roots: Sequence[Envelope], current: Mapping[RoleName, Envelope]) -> None:
    """Check that the stored collection is the same one as the imported one, and not newer.

    It is newer if somebody has published to it on this server since it was imported. Raises: CollectionExists.
    """
    if stored.state.format != _WIRE.name:
        raise CollectionExists(role="collection", reason=f"is in format {stored.state.format}")
    stored_root = stored.envelopes[ROOT]
    if all(root.sha256 != stored_root.sha256 for root in roots):
        raise CollectionExists(role=ROOT, reason=f"version {stored_root.version} here is not in the chain")
    for role, envelope in stored.envelopes.items():
        if role not in current or envelope.version > current[role].version:
            raise CollectionExists(role=role, reason=f"version {envelope.version} here is newer: it goes on here")
        if envelope.version == current[role].version and envelope.sha256 != current[role].sha256:
            raise CollectionExists(role=role, reason=f"version {envelope.version} here is another one")
