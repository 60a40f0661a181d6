"""The publisher's order: judge an upload for which no snapshot exists yet, with the rules that a client will use.

    1. which roles may come, and that their versions are exactly the successors of what is stored
    2. root: by the stored root's threshold and by its own; complete, usable keys
    3. targets, then delegations from the top down: signatures of their delegators in the new state, scope, expiry
    4. every stored role that is still delegated: it must verify in the new state too, expiry apart (an expired signer
       blocks nobody), or be part of the upload
    5. one released digest per tag, found by every client; and tags that are tags

Whoever accepts a candidate issues snapshot and timestamp over it and stores all of it, or nothing. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from keys.algorithms import check_accepted, same_key_mark
from keys.errors import KeyNotAccepted
from trustdata.envelope import Envelope
from trustdata.errors import (
    InvalidName,
    MalformedMetadata,
    MetadataMissing,
    NotTrusted,
    PublishRefused,
    VersionConflict,
    WouldBreakRole,
)
from trustdata.gun import are_tags, parse_tag
from trustdata.model import Key, Role, Targets
from trustdata.roles import ONLINE, RELEASES, ROOT, TARGETS, RoleName, is_delegated
from trustdata.verification import checks
from trustdata.verification.target_lookup import check_release_conflicts
from trustdata.wire import WireFormat

_SHA256_DIGITS: Final = 64
MAX_PATTERNS: Final = 64
"""Paths of one delegation, at most: every tag of the role is held against each of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An accepted upload.

    `roles`: root, targets and every delegation with a file, in the new state, delegated or not (a snapshot drops
    nothing). `changed`: the uploaded roles: root, targets, then delegations from the top down.
    """

    roles: Mapping[RoleName, Envelope]
    changed: tuple[RoleName, ...]

    @property
    def root(self) -> Envelope:
        return self.roles[ROOT]

    @property
    def targets(self) -> Envelope:
        return self.roles[TARGETS]


def judge_upload(
    *,
    stored: Mapping[RoleName, Envelope],
    uploads: Mapping[RoleName, Envelope],
    at: datetime,
    wire: WireFormat,
) -> Candidate:
    """Judge `uploads` on top of `stored` (empty for a new collection; may be expired).

    Raises: VersionConflict (an uploaded role moved), WouldBreakRole, PublishRefused, MalformedMetadata, and NotTrusted
    (ThresholdNotMet, MetadataExpired, DelegationOutOfScope, ReleaseConflict, VersionMismatch, MetadataMissing).
    """
    _check_parts(stored, uploads)
    _check_versions(stored, uploads)
    roles = {role: envelope for role, envelope in stored.items() if role not in ONLINE} | dict(uploads)
    if ROOT in uploads:
        _check_root(stored.get(ROOT), uploads[ROOT], at, wire)
    for role, envelope in uploads.items():
        if role != ROOT:
            _check_targets(envelope)
            _check_delegations(envelope, wire)
    changed = [role for role in (ROOT, TARGETS) if role in uploads]
    for delegator, role in checks.reachable_delegations(roles):
        if role in uploads and role not in changed:
            changed.append(role)
        _check_role(roles, role, delegator, at=at, uploaded=role in uploads)
    for role in uploads:
        if role not in changed:
            raise MetadataMissing(role=role, reason="nobody delegates to it in the new state")
    if wire.releases_end_the_search and TARGETS in uploads:
        _check_releases(uploads[TARGETS])
    check_release_conflicts(roles)
    return Candidate(roles=roles, changed=tuple(changed))


def _check_parts(stored: Mapping[RoleName, Envelope], uploads: Mapping[RoleName, Envelope]) -> None:
    if not uploads:
        raise PublishRefused(role="upload", reason="holds no metadata")
    for role in ONLINE:
        if role in uploads:
            raise PublishRefused(role=role, reason="is issued by the server and cannot be uploaded")
    if ROOT not in stored:
        for role in (ROOT, TARGETS):
            if role not in uploads:
                raise PublishRefused(role=role, reason="is missing: the first upload of a collection needs it")


def _check_versions(stored: Mapping[RoleName, Envelope], uploads: Mapping[RoleName, Envelope]) -> None:
    for role, envelope in uploads.items():
        before = stored[role].version if role in stored else 0
        if envelope.version != before + 1:
            raise VersionConflict(role=role, offered=envelope.version, stored=before)


def _check_root(old: Envelope | None, new: Envelope, at: datetime, wire: WireFormat) -> None:
    if old is None:
        checks.check_signatures(new.root, f"root version {new.version}", new)
    else:
        checks.check_root_step(old, new)
    checks.check_not_expired(new, at)
    if wire.pins_versions and not new.root.consistent_snapshot:
        raise MalformedMetadata(role=ROOT, path="signed.consistent_snapshot", reason="must be true")
    for name, role in new.root.roles.items():
        _check_keys(new.role, f"signed.roles.{name}", role, new.root.keys)


def _check_keys(document: RoleName, path: str, role: Role, keys: Mapping[str, Key]) -> None:
    """A threshold that cannot be met, or keys that clients could not use, would lock everybody out."""
    identities: set[str] = set()
    for keyid in role.keyids:
        if keyid not in keys:
            raise MalformedMetadata(role=document, path=f"{path}.keyids", reason=f"key {keyid} is not among the keys")
        try:
            check_accepted(keys[keyid])
        except KeyNotAccepted as error:
            raise MalformedMetadata(role=document, path=f"{path}.keyids", reason=str(error)) from error
        identities.add(same_key_mark(keys[keyid]))
    if len(identities) < role.threshold:
        reason = f"{role.threshold} signatures are asked for, but there are {len(identities)} distinct keys"
        raise MalformedMetadata(role=document, path=f"{path}.threshold", reason=reason)


def _check_role(
    roles: Mapping[RoleName, Envelope], role: RoleName, delegator: RoleName, *, at: datetime, uploaded: bool
) -> None:
    if role not in roles:
        return  # delegated, not published yet
    envelope = roles[role]
    parent = roles[delegator].root if delegator == ROOT else roles[delegator].targets
    try:
        checks.check_signatures(parent, delegator, envelope)
        if isinstance(parent, Targets):
            checks.check_scope(parent, envelope)
    except NotTrusted as error:
        if uploaded:
            raise
        raise WouldBreakRole(role=role, reason=f"the stored role would no longer verify: {error}") from error
    if uploaded:
        checks.check_not_expired(envelope, at)


def _check_releases(targets: Envelope) -> None:
    """PRODUCT decision 6: what a walking client finds is exactly what is released."""
    named = (targets.targets.delegations.roles if targets.targets.delegations else None) or {}
    if RELEASES not in named:
        return
    releases, position = named[RELEASES], list(named).index(RELEASES)
    place = f"signed.delegations.roles[{position}]"
    if position != 0:
        raise MalformedMetadata(role=TARGETS, path=place, reason=f"{RELEASES} must be the first delegation")
    if not releases.terminating:
        raise MalformedMetadata(role=TARGETS, path=f"{place}.terminating", reason=f"must be true for {RELEASES}")
    if releases.paths != ["*"]:
        raise MalformedMetadata(role=TARGETS, path=f"{place}.paths", reason=f'must be ["*"] for {RELEASES}')


def _check_targets(envelope: Envelope) -> None:
    targets = envelope.targets.targets
    if not are_tags(targets):
        for name in targets:
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
        # Whoever may sign one role could otherwise give away names that are not his, and fill the snapshot.
        raise PublishRefused(role=envelope.role, reason="must not delegate: only targets does")
    if delegations.succinct_roles is not None:
        _check_keys(envelope.role, "signed.delegations.succinct_roles", delegations.succinct_roles, delegations.keys)
    for index, role in enumerate((delegations.roles or {}).values()):
        if not is_delegated(role.name):
            raise PublishRefused(role=role.name, reason="is no delegation")
        path = f"signed.delegations.roles[{index}]"
        _check_keys(envelope.role, path, role, delegations.keys)
        if len(role.paths or role.path_hash_prefixes or ()) > MAX_PATTERNS:
            raise MalformedMetadata(role=envelope.role, path=path, reason=f"has more than {MAX_PATTERNS} paths")
