"""The Notary server that collections leave: list its collections, and read each one verified and byte for byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from keys.errors import KeyNotAccepted
from trustcli.client.first_root import RootSearch, vouches_for
from trustcli.client.local_state import Known
from trustcli.client.memory_cache import MemoryCache
from trustcli.client.notary_remote import NotaryRemote
from trustcli.client.updater import Updater
from trustcli.errors import RemoteRefused
from trustdata.envelope import Envelope
from trustdata.errors import (
    InvalidName,
    MalformedMetadata,
    MetadataMissing,
    NoTrustData,
    NotTrusted,
    TooLarge,
    TrustError,
)
from trustdata.gun import GUN, parse_gun
from trustdata.limits import MAX_NOTARY_UPLOAD
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, RoleName
from trustdata.verification import checks
from trustdata.verification.delegations import delegations_of
from trustdata.verification.trust_pinning import SourcedPin, fingerprint
from trustdata.wire.notary import NOTARY

FIRST_ROOT: Final = "the source's first root"
"""How messages name the pin that is taken from the source itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCollection:
    """A collection as the source has it.

    `roots`: the verified chain, ascending. `files`: every other current file. `verified`: the roles that a client
    accepts, expired offline roles included; `broken`: why another one is not accepted. `snapshot_is_the_servers`:
    whether the source holds the snapshot's key; None if it did not say. `doubtful`: a root that may be forged, if no
    pin was known: it names a key that signs the next root but has not signed this one.
    """

    gun: GUN
    roots: tuple[Envelope, ...]
    files: Mapping[RoleName, bytes]
    verified: Mapping[RoleName, Envelope]
    broken: Mapping[RoleName, TrustError]
    snapshot_is_the_servers: bool | None
    doubtful: Envelope | None = None

    @property
    def root(self) -> Envelope:
        return self.roots[-1]


class Source:
    """Reads one Notary server; nothing is stored on this machine."""

    def __init__(self, remote: NotaryRemote, *, at: datetime) -> None:
        self._remote = remote
        self._at = at

    @property
    def name(self) -> str:
        return self._remote.name

    def collections(self) -> tuple[list[GUN], list[str]]:
        """Return every collection of the change feed that is not deleted; and the names that cannot be one of ours.

        Raises: RemoteUnreachable, RemoteRefused, RemoteMisbehaved, TooLarge.
        """
        exists: dict[str, bool] = {}
        for change in self._remote.changes():
            exists[change.gun] = not change.deleted
        names, unusable = [], []
        for name in sorted(name for name, present in exists.items() if present):
            try:
                names.append(parse_gun(name))
            except InvalidName:
                unusable.append(name)
        return names, unusable

    def read(self, gun: GUN, pins: Sequence[SourcedPin]) -> SourceCollection:
        """Return a collection, verified from its first root on.

        `pins`: what is known about its root here; without any, the source's first root is trusted.

        Raises: NoTrustData, TrustDataWithheld, NotTrusted, MalformedMetadata, TooLarge, RemoteUnreachable,
        RemoteRefused, RemoteMisbehaved.
        """
        updater = Updater(
            gun=gun,
            wire=NOTARY,
            remote=self._remote,
            known=Known(cache=MemoryCache(), pins=pins or [self._first_pin(gun)]),
            at=self._at,
            unsafe_accept_expired_offline_roles=True,
        )
        updater.refresh()
        # Check before any of it is read: a snapshot may list more than fits into one upload, or into memory.
        listed = updater.roles()[SNAPSHOT].snapshot.meta.values()
        if sum(meta.length or 0 for meta in listed) > MAX_NOTARY_UPLOAD:
            raise TooLarge(what=f"everything that the snapshot of {gun} lists", limit=MAX_NOTARY_UPLOAD)
        broken: dict[RoleName, TrustError] = {}
        queue = [TARGETS]
        while queue:
            delegator = queue.pop(0)
            for role in delegations_of(updater.roles()[delegator].targets):
                if role in updater.listed():
                    try:
                        updater.load(role, delegator)
                        queue.append(role)
                    except (NotTrusted, MalformedMetadata) as error:
                        broken[role] = error
        # A pin may name a root in the middle; our server takes over all roots, for clients that have pinned older ones.
        roots = (*self._roots(gun).older(updater.roots()[0]), *updater.roots())
        verified = updater.roles()
        files = {role: envelope.raw for role, envelope in verified.items() if role != ROOT}
        for role in updater.listed() - verified.keys():
            files[role] = self._verbatim(gun, role, verified[SNAPSHOT])
        return SourceCollection(
            gun=gun,
            roots=roots,
            files=files,
            verified=verified,
            broken=broken,
            snapshot_is_the_servers=self._holds_snapshot_key(gun, verified[ROOT]),
            doubtful=None if pins else _doubtful(roots),
        )

    def _first_pin(self, gun: GUN) -> SourcedPin:
        raw = self._remote.fetch(gun, NOTARY.filename(ROOT, version=1), limit=NOTARY.size_limit(ROOT))
        first = self._roots(gun).oldest() if raw is None else NOTARY.parse(ROOT, raw)
        if first is None:
            raise self._remote.doubtful_absence or NoTrustData(gun=gun)
        return SourcedPin(pin=fingerprint(first), source=FIRST_ROOT)

    def _roots(self, gun: GUN) -> RootSearch:
        return RootSearch(gun, NOTARY, self._remote)

    def _verbatim(self, gun: GUN, role: RoleName, snapshot: Envelope) -> bytes:
        """Return a delegation's file that the snapshot lists, whether or not its signatures are valid."""
        meta = snapshot.snapshot.meta[f"{role}.json"]
        name = NOTARY.listed_filename(role, meta, consistent=True)
        raw = self._remote.fetch(gun, name, limit=min(meta.length or 0, NOTARY.size_limit(role)))
        if raw is None:
            raise MetadataMissing(role=role, reason=f"{self.name} lists it but has no file")
        checks.check_content(role, raw, meta)
        return raw

    def _holds_snapshot_key(self, gun: GUN, root: Envelope) -> bool | None:
        try:
            key = self._remote.online_key(gun, SNAPSHOT)
        except (RemoteRefused, KeyNotAccepted):
            return None
        return key.keyid in root.root.roles[SNAPSHOT].keyids


def _doubtful(roots: Sequence[Envelope]) -> Envelope | None:
    """Return the first root that names a key of the next root's signers without having been signed by it."""
    return next((before for before, after in pairwise(roots) if not vouches_for(before, after)), None)
