"""Judge an upload: check the state that the collection would have with it, by the rules of clients (docs/adr/0007).

    1. the upload has allowed roles only, and each has exactly the next version after the stored one
    2. root: signed by the thresholds of the stored root and of its own; it names no other collection; its keys are
       complete and accepted
    3. targets, then delegations from the top down: signatures by the keys of the new state, paths, expiry
    4. every stored role that is still delegated must verify in the new state or be uploaded too; it may have expired,
       so that a signer whose role has expired does not block the others
    5. each tag has one released digest, which every client finds; target names are valid tags
    6. a snapshot, if its owner holds the key (Notary v1): it must list every role of the new state, and live no longer
       than clients accept

`WireFormat.upload_rules` says where the formats differ. There is no I/O and no clock. The caller issues snapshot and
timestamp for an accepted upload, and stores everything or nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from keys.algorithms import check_accepted, key_fingerprint
from keys.errors import KeyNotAccepted
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
from trustdata.gun import GUN, are_tags, parse_tag
from trustdata.model import Key, Role, Targets
from trustdata.roles import ONLINE, RELEASES, ROOT, SNAPSHOT, TARGETS, RoleName, is_delegated
from trustdata.verification import checks
from trustdata.verification.delegations import check_scope, reachable_delegations
from trustdata.verification.target_lookup import check_release_conflicts
from trustdata.wire import UploadRules, WireFormat

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
    for role, envelope in uploads.items():
        if role != ROOT:
            _check_target_entries(envelope, rules)
            _check_delegations(envelope, wire)
    changed = _check_roles(roles, uploads, at, rules)
    if wire.releases_are_terminating and TARGETS in uploads:
        _check_releases_delegation(uploads[TARGETS])
    check_release_conflicts(roles)
    if snapshot is not None:
        checks.check_life(snapshot, at, wire.max_life)
        _check_snapshot(snapshot, roles, uploads, at)
    return Candidate(roles=roles, changed=tuple(changed), snapshot=snapshot)


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
    for name, role in new.root.roles.items():
        _check_keys(new.role, f"signed.roles.{name}", role, new.root.keys)


def _check_roles(
    roles: Mapping[RoleName, Envelope], uploads: Mapping[RoleName, Envelope], at: datetime, rules: UploadRules
) -> list[RoleName]:
    """Check all roles of the new state and return the uploaded ones, from the top down.

    Raises: MetadataMissing if no role delegates to an uploaded one, and the errors of `judge_upload`.
    """
    changed = [role for role in (ROOT, TARGETS) if role in uploads]
    for delegator, role in reachable_delegations(roles):
        if role in uploads and role not in changed:
            changed.append(role)
        _check_role(roles, role, delegator, at=at, uploaded=role in uploads, rules=rules)
    for role in uploads:
        if role not in changed:
            raise MetadataMissing(role=role, reason="nobody delegates to it in the new state")
    return changed


def _check_keys(
    document: RoleName, path: str, role: Role, keys: Mapping[str, Key], *, may_lack_keys: bool = False
) -> None:
    """Refuse keys that clients do not accept and thresholds that the keys cannot meet.

    Such a role could never be verified again. Raises: MalformedMetadata.
    """
    fingerprints: set[str] = set()
    for keyid in role.keyids:
        if keyid not in keys:
            if may_lack_keys:
                continue
            raise MalformedMetadata(role=document, path=f"{path}.keyids", reason=f"key {keyid} is not among the keys")
        try:
            check_accepted(keys[keyid])
        except KeyNotAccepted as error:
            raise MalformedMetadata(role=document, path=f"{path}.keyids", reason=str(error)) from error
        fingerprints.add(key_fingerprint(keys[keyid]))
    if len(fingerprints) < role.threshold and not may_lack_keys:
        reason = f"{role.threshold} signatures are asked for, but there are {len(fingerprints)} distinct keys"
        raise MalformedMetadata(role=document, path=f"{path}.threshold", reason=reason)


def _check_role(
    roles: Mapping[RoleName, Envelope],
    role: RoleName,
    delegator: RoleName,
    *,
    at: datetime,
    uploaded: bool,
    rules: UploadRules,
) -> None:
    if role not in roles:
        return  # delegated, not published yet
    if rules.may_break_roles and not uploaded and role != TARGETS:
        return
    envelope = roles[role]
    parent = roles[delegator].root if delegator == ROOT else roles[delegator].targets
    try:
        checks.check_signatures(parent, delegator, envelope)
        if isinstance(parent, Targets) and rules.tags_only:
            check_scope(parent, envelope)
    except NotTrusted as error:
        if uploaded:
            raise
        raise WouldBreakRole(role=role, reason=f"the stored role would no longer verify: {error}") from error
    if uploaded:
        checks.check_not_expired(envelope, at)


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
    for name in () if are_tags(targets) else targets:
        try:
            parse_tag(name)
        except InvalidName as error:
            raise MalformedMetadata(role=envelope.role, path="signed.targets", reason=str(error)) from error
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
    if delegations.succinct_roles is not None:
        _check_keys(envelope.role, "signed.delegations.succinct_roles", delegations.succinct_roles, delegations.keys)
    for index, role in enumerate((delegations.roles or {}).values()):
        if not is_delegated(role.name):
            raise PublishRefused(role=role.name, reason="is no delegation")
        path = f"signed.delegations.roles[{index}]"
        _check_keys(envelope.role, path, role, delegations.keys, may_lack_keys=wire.upload_rules.may_break_roles)
        if wire.upload_rules.tags_only and len(role.paths or role.path_hash_prefixes or ()) > MAX_PATTERNS:
            raise MalformedMetadata(role=envelope.role, path=path, reason=f"has more than {MAX_PATTERNS} paths")
