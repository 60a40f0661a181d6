"""Check the stored data: verify every collection as a client does, and check what only the server can see.

Nothing is changed. An expired role is reported, but does not count as wrong: it says nothing against the database.
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
from trustdata.lifetimes import UNLIMITED_LIFE
from trustdata.roles import ONLINE, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification import checks
from trustdata.verification.delegations import reachable_delegations
from trustdata.verification.trusted_set import TrustedSet
from trustdata.wire import UploadRules, WireFormat
from trustserver.admin.client_state import ClientState
from trustserver.errors import NotSound
from trustserver.repository.formats import find_format
from trustserver.repository.online_roles import encoded_key, held_key, lives_too_long
from trustserver.repository.parsed_cache import format_of
from trustserver.storage.ports import (
    NEVER_RENEWED,
    KeyRecord,
    KeySealer,
    KeyState,
    MetadataStore,
    Status,
    StoredCollection,
    StoredFile,
)
from trustserver.storage.published_log import OutdatedCollection

BACKUP: Final = "restore a backup in which it is sound"
"""What helps where the stored data is not what it was."""
_KEYS: Final = (
    "restore database and seal key of one time; without them the owner cannot be helped: the collection begins anew"
)
_TAKEN_OVER: Final = "was taken over without the old server's keys: nobody can publish, and the timestamp runs out"
_OVERLONG: Final = (
    "the server signs it again when it runs; who has recorded it can show it on: docs/guides/clock-jump.md"
)
_OVERLONG_ELSEWHERE: Final = (
    "this server has no key for it: its owner signs another, or takes its key away with trust key rotate"
)
_ROTATION: Final = "who has its root key runs trust migrate from-notary again, or trust key rotate timestamp"
OLDER_REMEDY: Final = (
    "if the database was restored from a backup on purpose: trust-server check --accept-restore; if not, bring back "
    "the right database (docs/guides/restored-backup.md)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFinding:
    """One finding of `trust-server check`. `gun` is empty if it is about the whole database.

    `remedy`: what the operator can do. `wrong`: whether something is wrong; False for a note.
    """

    gun: str
    code: str
    message: str
    remedy: str
    wrong: bool = True


class Audit:
    """Checks the collections and keys of a store. `at`: the time for which expiry is judged."""

    def __init__(self, store: MetadataStore, sealer: KeySealer | None, at: datetime) -> None:
        self._store = store
        self._sealer = sealer
        self._at = at

    def collection(self, state: StoredCollection, remembered: Iterable[ClientState] = ()) -> Iterator[AuditFinding]:
        """Yield the findings for one name and its keys. Raises: NotStored.

        `remembered`: what clients remember of it.
        """
        client_states = list(remembered)
        if state.status is Status.LIVE:
            yield from self._live(state, client_states)
            yield from self.sealed_keys(state.keys)
            return
        if state.status is Status.DELETED:
            yield from _tombstone(state)
            return
        for each in client_states:
            yield AuditFinding(
                gun=state.gun,
                code="older-than-remembered",
                message=f"is not here, but {each.source} knows it",
                remedy=OLDER_REMEDY,
            )

    def sealed_keys(self, keys: Iterable[KeyRecord]) -> Iterator[AuditFinding]:
        """Yield a finding for each of these keys that cannot be decrypted, or is not the key that its id names."""
        for key in keys if self._sealer else ():
            try:
                self._check_key(key)
            except (TrustError, KeysError) as error:
                yield AuditFinding(gun=key.gun, code="sealed-key", message=str(error), remedy=_KEYS)

    def _check_key(self, key: KeyRecord) -> None:
        if self._sealer is None:
            return
        opened = self._sealer.open(key.sealed, gun=key.gun, role=key.role, keyid=key.keyid, place=key.place)
        if key.place:
            return  # only the token can look into it, and it refuses what it has not wrapped
        which = f"the sealed {key.role} key {key.keyid} of {key.gun}"
        if tuf_key(read_private_der(opened, place=which)).keyid != key.keyid:
            raise KeyFileMalformed(place=which, reason="holds another key")

    # -- a live collection ----------------------------------------------------------------------------------

    def _live(self, state: StoredCollection, client_states: list[ClientState]) -> Iterator[AuditFinding]:
        gun = state.gun
        trusted: TrustedSet | None = None
        try:
            trusted = self._top_level(state)
        except TrustError as error:
            yield AuditFinding(gun=gun, code="does-not-verify", message=str(error), remedy=BACKUP)
        if trusted is None:
            return
        served_format = format_of(state)
        yield from self._delegations(state, trusted, served_format.wire.upload_rules)
        if state.renew_at == NEVER_RENEWED:
            yield AuditFinding(gun=gun, code="online-key", message=_TAKEN_OVER, remedy=_ROTATION, wrong=False)
        else:
            yield from _online_keys(state, trusted.root, served_format.wire)
        yield from self._expired(gun, trusted)
        yield from self._overlong(state, trusted, served_format.wire)
        yield from _older_than_remembered(gun, trusted, client_states)

    def _top_level(self, state: StoredCollection) -> TrustedSet:
        files = state.files
        served_format = find_format(state.format)
        if served_format is None:
            raise NotSound(reason=f"is in format {state.format}, which this version does not know")
        missing = [role for role in (ROOT, TARGETS, SNAPSHOT, TIMESTAMP) if role not in files]
        if missing:
            raise NotSound(reason=f"has no {', '.join(missing)}")
        first = self._first_root(state) if served_format.wire.upload_rules.may_skip_versions else 1
        trusted = TrustedSet(
            gun=state.gun,
            root=self._root(state, first),
            wire=served_format.wire,
            at=self._valid_at(files[TIMESTAMP], files[SNAPSHOT]),
            max_life=UNLIMITED_LIFE,  # what lives too long is a finding of its own
            unsafe_accept_expired_offline_roles=True,
        )
        for version in range(first + 1, files[ROOT].version + 1):
            trusted.update_root(self._root(state, version))
        trusted.update_timestamp(files[TIMESTAMP].raw)
        trusted.update_snapshot(files[SNAPSHOT].raw)
        trusted.update_targets(files[TARGETS].raw)
        return trusted

    def _first_root(self, state: StoredCollection) -> int:
        """Return the lowest stored root version from which no version up to the newest is missing.

        In Notary v1 a collection may begin with any version.
        """
        version = state.files[ROOT].version
        while self._store.file(state.gun, ROOT, version - 1) is not None:
            version -= 1
        return version

    def _root(self, state: StoredCollection, version: int) -> bytes:
        newest = state.files[ROOT]
        file = newest if version == newest.version else self._store.file(state.gun, ROOT, version)
        if file is None:
            raise NotSound(reason=f"its root version {version} is missing: no client can follow the chain")
        return file.raw

    def _valid_at(self, *online: StoredFile) -> datetime:
        """Return the time to verify at: now or, if an online role has expired, the last second before that.

        Online roles expire while the server is stopped; the other checks must still be made.
        """
        return min(self._at, *(file.expires - timedelta(seconds=1) for file in online))

    def _delegations(self, state: StoredCollection, trusted: TrustedSet, rules: UploadRules) -> Iterator[AuditFinding]:
        listed = trusted.listed() - {ROOT, *ONLINE}
        loaded: dict[RoleName, Envelope] = dict(trusted.delegated)
        for delegator, role in reachable_delegations(loaded):
            if role == TARGETS or role not in listed:
                continue
            if role not in state.files:
                message = f"{role} is listed by the snapshot and not there"
                yield AuditFinding(gun=state.gun, code="does-not-verify", message=message, remedy=BACKUP)
                continue
            try:
                loaded[role] = trusted.update_targets(state.files[role].raw, role, delegator)
            except TrustError as error:
                remedy = f"{BACKUP}, or let the owner publish {role} again"
                # In Notary v1 the owner may publish a delegation that no longer has enough signatures.
                broken = rules.may_break_roles and isinstance(error, ThresholdNotMet)
                message = str(error)
                yield AuditFinding(
                    gun=state.gun, code="does-not-verify", message=message, remedy=remedy, wrong=not broken
                )
        for role, file in sorted(state.files.items()):
            if role in {ROOT, *ONLINE} or role in loaded:
                continue
            if role not in listed:
                message = f"{role} version {file.version} is stored, but no snapshot lists it"
                # In Notary v1 the owner may sign a snapshot that no longer lists a role.
                dropped = rules.may_include_snapshot
                yield AuditFinding(
                    gun=state.gun, code="orphaned-file", message=message, remedy=BACKUP, wrong=not dropped
                )
                continue
            try:  # no role delegates to it any more, but a snapshot never drops a role
                checks.check_content(role, file.raw, trusted.role_meta(role))
            except TrustError as error:
                yield AuditFinding(gun=state.gun, code="does-not-verify", message=str(error), remedy=BACKUP)

    def _expired(self, gun: GUN, trusted: TrustedSet) -> Iterator[AuditFinding]:
        owned = {ROOT: trusted.root, **trusted.delegated}
        online = [each for each in (trusted.timestamp, trusted.snapshot) if each is not None]
        remedies = [(each, "its owner signs it again: trust sign, or trust key rotate root") for each in owned.values()]
        remedies += [(each, "the server renews it when it runs") for each in online]
        for envelope, remedy in remedies:
            if envelope.expires <= self._at:
                message = f"{envelope.role} version {envelope.version} expired on {envelope.expires:%Y-%m-%d}"
                yield AuditFinding(gun=gun, code="expired", message=message, remedy=remedy, wrong=False)

    def _overlong(self, state: StoredCollection, trusted: TrustedSet, wire: WireFormat) -> Iterator[AuditFinding]:
        for envelope in (trusted.timestamp, trusted.snapshot):
            if envelope is None or not lives_too_long(envelope, wire, self._at):
                continue
            held = held_key(state, trusted.root.root, envelope.role, wire) is not None
            message = (
                f"{envelope.role} version {envelope.version} is valid until {envelope.expires:%Y-%m-%d %H:%M} UTC, "
                "longer than one that is signed now: it was signed while a clock was ahead"
            )
            remedy = _OVERLONG if held else _OVERLONG_ELSEWHERE
            yield AuditFinding(gun=state.gun, code="lives-too-long", message=message, remedy=remedy)


def _online_keys(state: StoredCollection, root: Envelope, wire: WireFormat) -> Iterator[AuditFinding]:
    for role in ONLINE:
        named = root.root.roles[role]
        if role == SNAPSHOT and wire.upload_rules.may_include_snapshot and not held_key(state, root.root, role, wire):
            continue  # the owner holds the snapshot key
        current = {
            encoded_key(key, wire).keyid for key in state.keys if key.role == role and key.state is KeyState.CURRENT
        }
        if named.threshold != 1 or set(named.keyids) != current:
            message = f"root version {root.version} names another {role} key than the server holds"
            yield AuditFinding(gun=state.gun, code="online-key", message=message, remedy=_KEYS)


def _tombstone(state: StoredCollection) -> Iterator[AuditFinding]:
    tombstone = state.tombstone
    if tombstone is None or len(tombstone.root_sha256) != 64 or state.files or state.keys:
        message = "its tombstone does not say what was deleted, or files and keys remain beside it"
        yield AuditFinding(gun=state.gun, code="tombstone", message=message, remedy=BACKUP)


def _older_than_remembered(
    gun: GUN, trusted: TrustedSet, client_states: Iterable[ClientState]
) -> Iterator[AuditFinding]:
    versions = trusted.versions()
    for each in client_states:
        if each.root_of_trust and all(each.root_of_trust != root.sha256 for root in trusted.roots):
            message = f"has root of trust {trusted.roots[0].sha256}, but {each.source} knows {each.root_of_trust}"
            yield AuditFinding(gun=gun, code="older-than-remembered", message=message, remedy=OLDER_REMEDY)
            continue
        for role, minimum in sorted(each.minimum_versions(trusted.roots).items()):
            if versions.get(role, 0) < minimum:
                message = f"{role} has version {versions.get(role, 0)}, but {each.source} has seen version {minimum}"
                yield AuditFinding(gun=gun, code="older-than-remembered", message=message, remedy=OLDER_REMEDY)


def outdated_finding(outdated: OutdatedCollection) -> AuditFinding:
    """Return the finding for a collection of which more was published than is stored."""
    logged = outdated.logged
    versions = ", ".join(f"{role} {version}" for role, version in sorted(logged.versions.items()))
    event = "it was deleted" if logged.deleted else f"revision {logged.revision} was published ({versions})"
    message = f"is older than what this server has published: revision {outdated.stored}, but {event}"
    return AuditFinding(gun=outdated.gun, code="older-than-published", message=message, remedy=OLDER_REMEDY)
