"""Whether what is stored is sound: every collection verified as a client would, and what only the server can see.

Nothing is changed. Expiry is no fault of the database: it is told, and does not count as wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from keys.errors import KeyFileMalformed, KeysError
from keys.material import read_private_der, tuf_key
from trustdata.envelope import Envelope
from trustdata.errors import ThresholdNotMet, TrustError
from trustdata.gun import GUN
from trustdata.roles import ONLINE, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification import checks
from trustdata.verification.trusted_set import TrustedSet
from trustdata.wire import UploadRules, WireFormat
from trustserver.admin.client_state import ClientState
from trustserver.errors import NotSound
from trustserver.repository.formats import find_format
from trustserver.repository.online_roles import encoded_key, held_key
from trustserver.repository.parsed_cache import format_of
from trustserver.storage.ports import (
    NEVER_RENEWED,
    KeySealer,
    KeyState,
    MetadataStore,
    Status,
    StoredCollection,
    StoredFile,
)
from trustserver.storage.published_log import OutdatedCollection

_BACKUP: Final = "restore a backup in which it is sound"
_KEYS: Final = (
    "restore database and seal key of one time; without them the owner cannot be helped: the collection begins anew"
)
_TAKEN_OVER: Final = "was taken over without the old server's keys: nobody can publish, and the timestamp runs out"
_ROTATION: Final = "who has its root key runs trust migrate from-notary again, or trust key rotate timestamp"
OLDER_REMEDY: Final = (
    "if the database was restored from a backup on purpose: trust-server check --accept-restore; if not, bring back "
    "the right database (docs/guides/restored-backup.md)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFinding:
    """`gun` is empty for what concerns the whole database. `wrong`: whether the database is not sound."""

    gun: str
    code: str
    message: str
    remedy: str
    wrong: bool = True


class Audit:
    """Looks at one store at one time."""

    def __init__(self, store: MetadataStore, sealer: KeySealer | None, at: datetime) -> None:
        self._store = store
        self._sealer = sealer
        self._at = at

    def collection(self, gun: GUN, remembered: Iterable[ClientState] = ()) -> Iterator[AuditFinding]:
        """What is to say of one name. `remembered`: what clients know of it. Raises: NotStored."""
        state = self._store.load(gun)
        known = list(remembered)
        if state.status is Status.LIVE:
            yield from self._live(state, known)
            return
        if state.status is Status.DELETED:
            yield from _tombstone(state)
            return
        for each in known:
            yield AuditFinding(
                gun=gun,
                code="older-than-remembered",
                message=f"is not here, but {each.source} knows it",
                remedy=OLDER_REMEDY,
            )

    def sealed_keys(self) -> Iterator[AuditFinding]:
        """Whether every server-held key opens, and is the one that it is filed under. Raises: NotStored."""
        for key in self._store.sealed_keys() if self._sealer else ():
            try:
                self._check_key(key.gun, key.role, key.keyid, key.sealed)
            except (TrustError, KeysError) as error:
                yield AuditFinding(gun=key.gun, code="sealed-key", message=str(error), remedy=_KEYS)

    def _check_key(self, gun: GUN, role: RoleName, keyid: str, sealed: bytes) -> None:
        if self._sealer is None:
            return
        opened = self._sealer.open(sealed, gun=gun, role=role, keyid=keyid)
        private = read_private_der(opened, place=f"the sealed {role} key {keyid} of {gun}")
        if tuf_key(private).keyid != keyid:
            raise KeyFileMalformed(place=f"the sealed {role} key {keyid} of {gun}", reason="holds another key")

    # -- a live collection ----------------------------------------------------------------------------------

    def _live(self, state: StoredCollection, known: list[ClientState]) -> Iterator[AuditFinding]:
        gun = state.gun
        trusted: TrustedSet | None = None
        try:
            trusted = self._top_level(state)
        except TrustError as error:
            yield AuditFinding(gun=gun, code="does-not-verify", message=str(error), remedy=_BACKUP)
        if trusted is None:
            return
        served_format = format_of(state)
        yield from self._delegations(state, trusted, served_format.wire.upload_rules)
        if self._store.renew_at(gun) == NEVER_RENEWED:
            yield AuditFinding(gun=gun, code="online-key", message=_TAKEN_OVER, remedy=_ROTATION, wrong=False)
        else:
            yield from _online_keys(state, trusted.root, served_format.wire)
        yield from self._expired(gun, trusted)
        yield from _against(gun, trusted, known)

    def _top_level(self, state: StoredCollection) -> TrustedSet:
        files = state.files
        served_format = find_format(state.format)
        if served_format is None:
            raise NotSound(reason=f"is in format {state.format}, which this version does not know")
        missing = [role for role in (ROOT, TARGETS, SNAPSHOT, TIMESTAMP) if role not in files]
        if missing:
            raise NotSound(reason=f"has no {', '.join(missing)}")
        first = self._first_root(state) if served_format.wire.upload_rules.any_higher_version else 1
        trusted = TrustedSet(
            gun=state.gun,
            root=self._root(state, first),
            wire=served_format.wire,
            at=self._valid_at(files[TIMESTAMP], files[SNAPSHOT]),
            unsafe_accept_expired_offline_roles=True,
        )
        for version in range(first + 1, files[ROOT].version + 1):
            trusted.update_root(self._root(state, version))
        trusted.update_timestamp(files[TIMESTAMP].raw)
        trusted.update_snapshot(files[SNAPSHOT].raw)
        trusted.update_targets(files[TARGETS].raw)
        return trusted

    def _first_root(self, state: StoredCollection) -> int:
        """Of those that follow each other to the newest; a collection may have begun with any."""
        version = state.files[ROOT].version
        while self._store.file(state.gun, ROOT, version - 1) is not None:
            version -= 1
        return version

    def _root(self, state: StoredCollection, version: int) -> bytes:
        file = self._store.file(state.gun, ROOT, version)
        if file is None:
            raise NotSound(reason=f"its root version {version} is missing: no client can follow the chain")
        return file.raw

    def _valid_at(self, *online: StoredFile) -> datetime:
        """Now, or, where the server has not renewed for long, the last instant at which clients would have accepted."""
        return min(self._at, *(file.expires - timedelta(seconds=1) for file in online))

    def _delegations(self, state: StoredCollection, trusted: TrustedSet, rules: UploadRules) -> Iterator[AuditFinding]:
        listed = trusted.listed() - {ROOT, *ONLINE}
        loaded: dict[RoleName, Envelope] = dict(trusted.delegated)
        for delegator, role in checks.reachable_delegations(loaded):
            if role == TARGETS or role not in listed:
                continue
            if role not in state.files:
                message = f"{role} is listed by the snapshot and not there"
                yield AuditFinding(gun=state.gun, code="does-not-verify", message=message, remedy=_BACKUP)
                continue
            try:
                loaded[role] = trusted.update_targets(state.files[role].raw, role, delegator)
            except TrustError as error:
                remedy = f"{_BACKUP}, or let the owner publish {role} again"
                broken = rules.may_break_roles and isinstance(error, ThresholdNotMet)  # by its owner, who may
                message = str(error)
                yield AuditFinding(
                    gun=state.gun, code="does-not-verify", message=message, remedy=remedy, wrong=not broken
                )
        for role, file in sorted(state.files.items()):
            if role in {ROOT, *ONLINE} or role in loaded:
                continue
            if role not in listed:
                message = f"{role} version {file.version} is stored, but no snapshot lists it"
                dropped = rules.may_bring_snapshot  # by its owner, who may
                yield AuditFinding(
                    gun=state.gun, code="orphaned-file", message=message, remedy=_BACKUP, wrong=not dropped
                )
                continue
            try:  # delegated no more, but listed for ever
                checks.check_content(role, file.raw, trusted.role_meta(role))
            except TrustError as error:
                yield AuditFinding(gun=state.gun, code="does-not-verify", message=str(error), remedy=_BACKUP)

    def _expired(self, gun: GUN, trusted: TrustedSet) -> Iterator[AuditFinding]:
        owned = {ROOT: trusted.root, **trusted.delegated}
        online = [each for each in (trusted.timestamp, trusted.snapshot) if each is not None]
        remedies = [(each, "its owner signs it again: trust sign, or trust key rotate root") for each in owned.values()]
        remedies += [(each, "the server renews it when it runs") for each in online]
        for envelope, remedy in remedies:
            if envelope.expires <= self._at:
                message = f"{envelope.role} version {envelope.version} expired on {envelope.expires:%Y-%m-%d}"
                yield AuditFinding(gun=gun, code="expired", message=message, remedy=remedy, wrong=False)


def _online_keys(state: StoredCollection, root: Envelope, wire: WireFormat) -> Iterator[AuditFinding]:
    for role in ONLINE:
        named = root.root.roles[role]
        if role == SNAPSHOT and wire.upload_rules.may_bring_snapshot and not held_key(state, root.root, role, wire):
            continue  # its owner holds it
        current = {
            encoded_key(key, wire).keyid for key in state.keys if key.role == role and key.state is KeyState.CURRENT
        }
        if named.threshold != 1 or set(named.keyids) != current:
            message = f"root version {root.version} names another {role} key than the server holds"
            yield AuditFinding(gun=state.gun, code="online-key", message=message, remedy=_KEYS)


def _tombstone(state: StoredCollection) -> Iterator[AuditFinding]:
    stone = state.tombstone
    if stone is None or len(stone.root_sha256) != 64 or state.files or state.keys:
        message = "its tombstone does not say what was deleted, or files and keys remain beside it"
        yield AuditFinding(gun=state.gun, code="tombstone", message=message, remedy=_BACKUP)


def _against(gun: GUN, trusted: TrustedSet, known: Iterable[ClientState]) -> Iterator[AuditFinding]:
    versions = trusted.versions()
    for each in known:
        if each.root_of_trust and each.root_of_trust != trusted.roots[0].sha256:
            message = f"has root of trust {trusted.roots[0].sha256}, but {each.source} knows {each.root_of_trust}"
            yield AuditFinding(gun=gun, code="older-than-remembered", message=message, remedy=OLDER_REMEDY)
            continue
        for role, floor in sorted(each.minimum_versions(trusted.roots).items()):
            if versions.get(role, 0) < floor:
                message = f"{role} has version {versions.get(role, 0)}, but {each.source} has seen version {floor}"
                yield AuditFinding(gun=gun, code="older-than-remembered", message=message, remedy=OLDER_REMEDY)


def outdated_finding(outdated: OutdatedCollection) -> AuditFinding:
    """A collection of which the witness knows more than the database."""
    logged = outdated.logged
    versions = ", ".join(f"{role} {version}" for role, version in sorted(logged.versions.items()))
    event = "it was deleted" if logged.deleted else f"revision {logged.revision} was published ({versions})"
    message = f"is older than what this server has published: revision {outdated.stored}, but {event}"
    return AuditFinding(gun=outdated.gun, code="older-than-published", message=message, remedy=OLDER_REMEDY)
