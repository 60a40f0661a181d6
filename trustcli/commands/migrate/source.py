"""The server that is left: which collections it has, and each of them verified and verbatim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from keys.errors import KeyNotAccepted
from trustcli.client.local_state import Known
from trustcli.client.memory_cache import MemoryCache
from trustcli.client.notary_remote import NotaryRemote
from trustcli.client.updater import Updater
from trustdata.envelope import Envelope
from trustdata.errors import (
    InvalidName,
    MalformedMetadata,
    MetadataMissing,
    NoTrustData,
    NotTrusted,
    RemoteRefused,
    TooLarge,
    TrustError,
)
from trustdata.gun import GUN, parse_gun
from trustdata.limits import MAX_NOTARY_FILE
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, RoleName
from trustdata.verification import checks
from trustdata.verification.trust_pinning import SourcedPin, fingerprint
from trustdata.wire.notary import NOTARY

FIRST_ROOT: Final = "the source's first root"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A collection as its server has it. `roots`: the verified chain, ascending. `files`: every other current file.

    `verified`: the roles that a client accepts, expiry of offline roles apart; `broken`: why another one is not.
    `snapshot_is_the_servers`: whether that server holds the snapshot's key; None: it did not say. `doubtful`: where no
    pin was known, the root that names a key which signs the next one, but has not signed it itself; it may be forged.
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
    """Reads one Notary server. Nothing is kept on this machine."""

    def __init__(self, remote: NotaryRemote, *, at: datetime) -> None:
        self._remote = remote
        self._at = at

    @property
    def name(self) -> str:
        return self._remote.name

    def collections(self) -> tuple[list[GUN], list[str]]:
        """Every collection of its change feed that was not deleted since; and names that none of ours may have.

        Raises: what the remote raises.
        """
        there: dict[str, bool] = {}
        for change in self._remote.changes():
            there[change.gun] = not change.deleted
        names, odd = [], []
        for name in sorted(name for name, lives in there.items() if lives):
            try:
                names.append(parse_gun(name))
            except InvalidName:
                odd.append(name)
        return names, odd

    def read(self, gun: GUN, pins: Sequence[SourcedPin]) -> Found:
        """`pins`: what is known of its root here; without any, the first root is taken as it comes.

        Raises: NoTrustData, NotTrusted, MalformedMetadata, TooLarge, and what the remote raises.
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
        # Before any of it is read: a snapshot can list more than fits into one hand-over, or into memory.
        listed = updater.roles()[SNAPSHOT].snapshot.meta.values()
        if sum(meta.length or 0 for meta in listed) > MAX_NOTARY_FILE:
            raise TooLarge(what=f"everything that the snapshot of {gun} lists", limit=MAX_NOTARY_FILE)
        broken: dict[RoleName, TrustError] = {}
        queue = [TARGETS]
        while queue:
            delegator = queue.pop(0)
            for role in checks.delegations_of(updater.roles()[delegator].targets):
                if role in updater.listed():
                    try:
                        updater.load(role, delegator)
                        queue.append(role)
                    except (NotTrusted, MalformedMetadata) as error:
                        broken[role] = error
        verified = updater.roles()
        files = {role: envelope.raw for role, envelope in verified.items() if role != ROOT}
        for role in updater.listed() - verified.keys():
            files[role] = self._verbatim(gun, role, verified[SNAPSHOT])
        return Found(
            gun=gun,
            roots=updater.roots(),
            files=files,
            verified=verified,
            broken=broken,
            snapshot_is_the_servers=self._holds_snapshot_key(gun, verified[ROOT]),
            doubtful=None if pins else _doubtful(updater.roots()),
        )

    def _first_pin(self, gun: GUN) -> SourcedPin:
        raw = self._remote.fetch(gun, NOTARY.filename(ROOT, version=1), limit=NOTARY.size_limit(ROOT))
        if raw is None:
            raise NoTrustData(gun=gun)
        return SourcedPin(pin=fingerprint(NOTARY.parse(ROOT, raw)), source=FIRST_ROOT)

    def _verbatim(self, gun: GUN, role: RoleName, snapshot: Envelope) -> bytes:
        """A file of a delegation that nobody vouches for any more, but that the snapshot lists."""
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
    """Anybody can name a public key: a stranger's first root that names the owner's key, too, leads to his next one."""
    for before, after in pairwise(roots):
        vouching = checks.check_signatures(before.root, f"root version {before.version}", after)
        own = checks.check_signatures(before.root, f"root version {before.version}", before)
        if not set(vouching) <= set(own):
            return before
    return None
