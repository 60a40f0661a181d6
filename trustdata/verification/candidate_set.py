"""Judge an upload: check the state that the collection would have with it, by the rules of clients (docs/adr/0007).

    1. the upload has allowed roles only, and each has exactly the next version after the stored one
    2. root: signed by the thresholds of the stored root and of its own; it names no other collection; its keys are
       complete and accepted
    3. targets, then delegations from the top down: signatures by the keys of the new state, before anything else of
       them is looked at; then names, keys, paths, expiry
    4. a stored role that is still delegated must verify in the new state or be uploaded too; it may have expired, so
       that a signer whose role has expired does not block the others
    5. each tag has one released digest, which every client finds; target names are valid tags
    6. a snapshot, if its owner holds the key (Notary v1): it must list every role of the new state, and live no longer
       than clients accept

Judged is what the upload changes. A stored role is not judged again if the role that delegates to it has the same entry
for it as before, with the same keys: it was judged when one of the two was uploaded (docs/adr/0055).

`WireFormat.upload_rules` says where the formats differ. There is no I/O and no clock. The caller issues snapshot and
timestamp for an accepted upload, and stores everything or nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from keys.algorithms import key_fingerprint
from keys.errors import KeyNotAccepted, KeyNotCounted
from trustdata.envelope import Envelope
from trustdata.errors import (
    ContentMismatch,
    InvalidName,
    MalformedMetadata,
    MetadataMissing,
    NotTrusted,
    PublishRefused,
    VersionConflict,
    WouldBreakRole,
)
from trustdata.gun import GUN, parse_tag
from trustdata.model import Key, Role, Targets
from trustdata.roles import ONLINE, RELEASES, ROOT, SNAPSHOT, TARGETS, RoleName, is_delegated
from trustdata.verification import checks
from trustdata.verification.delegations import as_delegator, check_scope, delegates_alike, delegations_of
from trustdata.verification.target_lookup import check_release_conflicts
from trustdata.wire import UploadRules, WireFormat
from trustdata.wire.plain_targets import PlainTargets, name_tags

_SHA256_DIGITS: Final = 64
MAX_PATTERNS: Final = 64
"""The maximum number of paths of one delegation, because every tag of the role is compared with each path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """The state of a collection after an accepted upload.

    `roles`: root, targets and every delegation with a file, also those that are no longer delegated, because a snapshot
    drops nothing. `changed`: the uploaded roles: root, targets, then delegations from the top down. `snapshot`: the
    uploaded one; None if the server issues it.
    """

    roles: Mapping[RoleName, Envelope]
    changed: tuple[RoleName, ...]
    snapshot: Envelope | None = None

    @property
    def root(self) -> Envelope:
        return self.roles[ROOT]

    @property
    def targets(self) -> Envelope:
        return self.roles[TARGETS]


def judge_upload(
    *,
    gun: GUN,
    stored: Mapping[RoleName, Envelope],
    uploads: Mapping[RoleName, Envelope],
    at: datetime,
    wire: WireFormat,
) -> Candidate:
    """Check the files of an upload against the stored files and return the new state.

    `stored`: the stored files, possibly expired; empty for a new collection. `at`: the reference time, UTC.

    Raises: VersionConflict (the upload does not follow the stored versions), WouldBreakRole, PublishRefused,
    MalformedMetadata, ThresholdNotMet, MetadataExpired, LivesTooLong, DelegationOutOfScope, ReleaseConflict,
    VersionMismatch, MetadataMissing, ContentMismatch, CertificateOfAnotherName, RootOfAnotherName.
    """
    rules = wire.upload_rules
    _check_uploaded_roles(stored, uploads, rules)
    _check_versions(stored, uploads, rules)
    snapshot = uploads.get(SNAPSHOT)
    uploads = {role: envelope for role, envelope in uploads.items() if role != SNAPSHOT}
    roles = {role: envelope for role, envelope in stored.items() if role not in ONLINE} | uploads
    if ROOT in uploads:
        _check_root(gun, stored.get(ROOT), uploads[ROOT], at, wire)
    changed = _from_the_top_down(roles, uploads, wire)
    for delegator, role in changed:
        checks.check_signatures(as_delegator(roles[delegator]), delegator, roles[role])
    for _, role in changed:
        _check_target_entries(roles[role], rules)
        _check_delegations(roles[role], wire)
    for delegator, role in changed:
        if rules.tags_only and delegator != ROOT:
            check_scope(roles[delegator].targets, roles[role])
        checks.check_not_expired(roles[role], at)
    _check_stored_roles(stored, uploads, roles, rules)
    if wire.releases_are_terminating and TARGETS in uploads:
        _check_releases_delegation(uploads[TARGETS])
    if TARGETS in uploads or RELEASES in uploads:
        check_release_conflicts(roles)
    if snapshot is not None:
        checks.check_life(snapshot, at, wire.max_life)
        _check_snapshot(snapshot, roles, uploads, at)
    root = (ROOT,) if ROOT in uploads else ()
    return Candidate(roles=roles, changed=(*root, *(role for _, role in changed)), snapshot=snapshot)


def _check_uploaded_roles(
    stored: Mapping[RoleName, Envelope], uploads: Mapping[RoleName, Envelope], rules: UploadRules
) -> None:
    if not uploads and not rules.may_be_empty:
        raise PublishRefused(role="upload", reason="holds no metadata")
    if ROOT not in stored:
        for role in (ROOT, TARGETS):
            if role not in uploads:
                raise PublishRefused(role=role, reason="is missing: the first upload of a collection needs it")
    check_online_roles(uploads, rules)


def check_online_roles(uploads: Collection[RoleName], rules: UploadRules) -> None:
    """Refuse an upload of a role that only the server may issue. Needs no parsed files. Raises: PublishRefused."""
    for role in ONLINE:
        if role in uploads and not (role == SNAPSHOT and rules.may_include_snapshot):
            raise PublishRefused(role=role, reason="is issued by the server and cannot be uploaded")


def _check_versions(
    stored: Mapping[RoleName, Envelope], uploads: Mapping[RoleName, Envelope], rules: UploadRules
) -> None:
    for role, envelope in uploads.items():
        stored_version = stored[role].version if role in stored else 0
        too_high = envelope.version > stored_version + 1 and not rules.may_skip_versions
        if envelope.version <= stored_version or too_high:
            raise VersionConflict(role=role, offered=envelope.version, stored=stored_version)


def _check_snapshot(
    snapshot: Envelope, roles: Mapping[RoleName, Envelope], uploads: Mapping[RoleName, Envelope], at: datetime
) -> None:
    """Check that an uploaded snapshot lists every role with the content that will be stored."""
    checks.check_signatures(roles[ROOT].root, ROOT, snapshot)
    checks.check_not_expired(snapshot, at)
    listed = snapshot.snapshot.meta
    for role, envelope in roles.items():
        meta = listed.get(f"{role}.json")
        if meta is None:
            if role in uploads or role in (ROOT, TARGETS):
                raise PublishRefused(role=SNAPSHOT, reason=f"does not list {role}")
            continue  # Notary v1: a delegation that its owner has removed
        try:
            checks.check_content(role, envelope.raw, meta)
        except ContentMismatch as error:
            raise PublishRefused(role=SNAPSHOT, reason=f"lists another {role}: {error}") from error


def _check_root(gun: GUN, old: Envelope | None, new: Envelope, at: datetime, wire: WireFormat) -> None:
    if old is None:
        checks.check_signatures(new.root, f"root version {new.version}", new)
    else:
        checks.check_root_step(old, new)
    checks.check_root_belongs(gun, new, old, wire=wire, at=at)
    checks.check_not_expired(new, at)
    if wire.lists_versions and not new.root.consistent_snapshot:
        raise MalformedMetadata(role=ROOT, path="signed.consistent_snapshot", reason="must be true")
    keys = _KeyChecks(new.role, new.root.keys, wire.upload_rules)
    for name, role in new.root.roles.items():
        keys.check(f"signed.roles.{name}", role)


def _from_the_top_down(
    roles: Mapping[RoleName, Envelope], uploads: Mapping[RoleName, Envelope], wire: WireFormat
) -> list[tuple[RoleName, RoleName]]:
    """Return the uploaded roles other than root, each after its delegator: (delegator, role), level by level.

    A role has one delegator: in Notary v1 its name says which, in our TUF collections it is targets.
    Raises: MetadataMissing if no role of the new state delegates to one.
    """
    delegated: dict[RoleName, dict[RoleName, int]] = {}
    # A function in this one that calls itself would be a reference cycle, which keeps the files until it is collected.
    places = {role: _position(role, roles, wire, delegated) for role in uploads if role != ROOT}
    ordered = sorted(places, key=lambda role: (len(places[role]), places[role]))
    return [(_delegator_name(role, wire), role) for role in ordered]


def _position(
    role: RoleName,
    roles: Mapping[RoleName, Envelope],
    wire: WireFormat,
    delegated: dict[RoleName, dict[RoleName, int]],
) -> list[int]:
    """Return the places of a role and its delegators, from the top down, each among the roles of its delegator.

    `delegated`: the places that are known, by delegator; others are added. Raises: MetadataMissing.
    """
    if role == TARGETS:
        return []
    delegator = _delegator_name(role, wire)
    if delegator in roles and delegator != role:
        if delegator not in delegated:
            delegated[delegator] = {name: n for n, name in enumerate(delegations_of(as_delegator(roles[delegator])))}
        if role in delegated[delegator]:
            return [*_position(delegator, roles, wire, delegated), delegated[delegator][role]]
    raise MetadataMissing(role=role, reason="nobody delegates to it in the new state")


def _delegator_name(role: RoleName, wire: WireFormat) -> RoleName:
    if role == TARGETS:
        return ROOT
    return RoleName(role.rpartition("/")[0]) if wire.delegations_nest else TARGETS


def _check_stored_roles(
    stored: Mapping[RoleName, Envelope],
    uploads: Mapping[RoleName, Envelope],
    roles: Mapping[RoleName, Envelope],
    rules: UploadRules,
) -> None:
    """Check that the stored roles to which an uploaded one delegates otherwise than before still verify.

    Raises: WouldBreakRole.
    """
    if ROOT in uploads:
        _check_stored_role(stored, uploads, roles, (ROOT, TARGETS), rules)
    if TARGETS in uploads and not rules.may_break_roles:
        for role in delegations_of(uploads[TARGETS].targets):
            _check_stored_role(stored, uploads, roles, (TARGETS, role), rules)


def _check_stored_role(
    stored: Mapping[RoleName, Envelope],
    uploads: Mapping[RoleName, Envelope],
    roles: Mapping[RoleName, Envelope],
    pair: tuple[RoleName, RoleName],
    rules: UploadRules,
) -> None:
    delegator, role = pair
    if role in uploads or role not in roles:
        return  # judged already, or delegated and not published yet
    parent = as_delegator(roles[delegator])
    if delegator in stored and delegates_alike(as_delegator(stored[delegator]), parent, role):
        return
    try:
        checks.check_signatures(parent, delegator, roles[role])
        if isinstance(parent, Targets) and rules.tags_only:
            check_scope(parent, roles[role])
    except NotTrusted as error:
        raise WouldBreakRole(role=role, reason=f"the stored role would no longer verify: {error}") from error


class _KeyChecks:
    """Checks the keys of the roles that one document names. Each key is decoded once, however many roles have it."""

    def __init__(self, document: RoleName, keys: Mapping[str, Key], rules: UploadRules) -> None:
        self._document = document
        self._keys = keys
        self._may_be_weak = rules.may_name_weak_keys
        self._fingerprints: dict[str, str | KeyNotCounted] = {}

    def check(self, path: str, role: Role, *, may_lack_keys: bool = False) -> None:
        """Refuse keys that clients do not accept and thresholds that the keys cannot meet.

        Such a role could never be verified again. In Notary v1 a key may be named that is too weak to count, because
        the Go programs take it. `path`: the place of the role. Raises: MalformedMetadata.
        """
        fingerprints: set[str] = set()
        idle: list[KeyNotCounted] = []
        for keyid in role.keyids:
            if keyid in self._keys:
                found = self._fingerprint(keyid, path)
                if isinstance(found, str):
                    fingerprints.add(found)
                else:
                    idle.append(found)
            elif not may_lack_keys:
                raise self._refuse(f"{path}.keyids", f"key {keyid} is not among the keys")
        if len(fingerprints) < role.threshold and not may_lack_keys:
            reason = f"{role.threshold} signatures are asked for, but there are {len(fingerprints)} distinct keys"
            raise self._refuse(f"{path}.threshold", "; ".join([reason, *map(str, idle)]))

    def _fingerprint(self, keyid: str, path: str) -> str | KeyNotCounted:
        if keyid not in self._fingerprints:
            try:
                self._fingerprints[keyid] = key_fingerprint(self._keys[keyid])
            except KeyNotAccepted as error:
                if not (isinstance(error, KeyNotCounted) and self._may_be_weak):
                    raise self._refuse(f"{path}.keyids", str(error)) from error
                self._fingerprints[keyid] = error
        return self._fingerprints[keyid]

    def _refuse(self, path: str, reason: str) -> MalformedMetadata:
        return MalformedMetadata(role=self._document, path=path, reason=reason)


def _check_releases_delegation(targets: Envelope) -> None:
    """Check that TUF clients, which search the delegations in order, find only released digests (docs/adr/0008)."""
    delegations = (targets.targets.delegations.roles if targets.targets.delegations else None) or {}
    if RELEASES not in delegations:
        return
    releases, position = delegations[RELEASES], list(delegations).index(RELEASES)
    place = f"signed.delegations.roles[{position}]"
    if position != 0:
        raise MalformedMetadata(role=TARGETS, path=place, reason=f"{RELEASES} must be the first delegation")
    if not releases.terminating:
        raise MalformedMetadata(role=TARGETS, path=f"{place}.terminating", reason=f"must be true for {RELEASES}")
    if releases.paths != ["*"]:
        raise MalformedMetadata(role=TARGETS, path=f"{place}.paths", reason=f'must be ["*"] for {RELEASES}')


def _check_target_entries(envelope: Envelope, rules: UploadRules) -> None:
    if not rules.tags_only:
        return
    targets = envelope.targets.targets
    for name in () if name_tags(targets) else targets:
        try:
            parse_tag(name)
        except InvalidName as error:
            raise MalformedMetadata(role=envelope.role, path="signed.targets", reason=str(error)) from error
    if isinstance(targets, PlainTargets):
        return  # each has been matched with a whole sha256
    if not {len(target.hashes.get("sha256", "")) for target in targets.values()} <= {_SHA256_DIGITS}:
        name = next(n for n, target in targets.items() if len(target.hashes.get("sha256", "")) != _SHA256_DIGITS)
        raise MalformedMetadata(
            role=envelope.role, path=f"signed.targets.{name}.hashes", reason="must hold the sha256 of the manifest"
        )


def _check_delegations(envelope: Envelope, wire: WireFormat) -> None:
    delegations = envelope.targets.delegations
    if delegations is None:
        return
    if envelope.role != TARGETS and not wire.delegations_nest:
        # Otherwise a signer could delegate tags outside its own paths, and fill the snapshot.
        raise PublishRefused(role=envelope.role, reason="must not delegate: only targets does")
    keys = _KeyChecks(envelope.role, delegations.keys, wire.upload_rules)
    if delegations.succinct_roles is not None:
        keys.check("signed.delegations.succinct_roles", delegations.succinct_roles)
    for index, role in enumerate((delegations.roles or {}).values()):
        if not is_delegated(role.name):
            raise PublishRefused(role=role.name, reason="is no delegation")
        path = f"signed.delegations.roles[{index}]"
        keys.check(path, role, may_lack_keys=wire.upload_rules.may_break_roles)
        if wire.upload_rules.tags_only and len(role.paths or role.path_hash_prefixes or ()) > MAX_PATTERNS:
            raise MalformedMetadata(role=envelope.role, path=path, reason=f"has more than {MAX_PATTERNS} paths")
