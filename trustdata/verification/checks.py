"""One function per rule. Client (`trusted_set`) and server (`candidate_set`) judge with these, in both formats.

Signatures are counted here and nowhere else: over distinct key ids (each recomputed from its key when the delegator
was parsed) and over distinct public keys.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Final

from keys.algorithms import key_fingerprint
from keys.errors import KeyNotAccepted
from trustdata.envelope import Envelope
from trustdata.errors import (
    CertificateOfAnotherName,
    ContentMismatch,
    DelegationOutOfScope,
    MalformedMetadata,
    MetadataExpired,
    MetadataMissing,
    ThresholdNotMet,
    VersionMismatch,
    VersionRollback,
)
from trustdata.gun import GUN
from trustdata.model import Delegator, MetaFile, Root, Snapshot, Targets, UnversionedMeta
from trustdata.roles import ROOT, TARGETS, RoleName, parse_role
from trustdata.verification.minimum_versions import MinimumVersion

MAX_BIN_BITS: Final = 14
"""Succinct roles: 2**14 bins are more than a snapshot of 1 MiB can list with their hashes."""
_HASHES: Final = {"sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}


def is_delegator_of(delegator: Delegator, role: RoleName) -> bool:
    """Whether the delegator names keys for the role."""
    try:
        delegator.get_delegated_role(role)
    except ValueError:
        return False
    return True


def check_signatures(delegator: Delegator, delegator_name: str, envelope: Envelope) -> tuple[str, ...]:
    """The threshold rule (specification 4.3, 5.3.4, 5.4.2, 5.5.3, 5.6.3). Returns the key ids that signed.

    Raises: ThresholdNotMet, MetadataMissing (the delegator does not delegate to this role).
    """
    if not is_delegator_of(delegator, envelope.role):
        raise MetadataMissing(role=envelope.role, reason=f"{delegator_name} does not delegate to it")
    # A key that we do not accept counts for nothing, and python-tuf is not asked about it.
    marks = _accepted_marks(delegator, envelope)
    signatures = {keyid: envelope.signatures[keyid] for keyid in marks}
    result = delegator.get_verification_result(envelope.role, envelope.payload, signatures)
    one_per_key: dict[str, str] = {}
    for keyid in result.signed:
        one_per_key.setdefault(marks[keyid], keyid)
    signed = tuple(one_per_key.values())
    if len(signed) < result.threshold:
        raise ThresholdNotMet(
            role=envelope.role,
            version=envelope.version,
            delegator=delegator_name,
            threshold=result.threshold,
            signed=signed,
            unsigned=tuple(keyid for keyid in (*result.signed, *result.unsigned) if keyid not in signed),
        )
    return signed


def _accepted_marks(delegator: Delegator, envelope: Envelope) -> dict[str, str]:
    """By key id: what tells the keys apart that the role has, that we accept and that have written a signature."""
    marks: dict[str, str] = {}
    for keyid in delegator.get_delegated_role(envelope.role).keyids:
        if keyid in envelope.signatures:
            with suppress(ValueError, KeyNotAccepted):  # ValueError: the delegator has no key of this id
                marks[keyid] = key_fingerprint(delegator.get_key(keyid))
    return marks


def check_root_step(old: Envelope, new: Envelope) -> None:
    """Root N to N+1 (specification 5.3.4, 5.3.5): exactly the next version, signed by both thresholds."""
    if new.version != old.version + 1:
        raise VersionMismatch(role=new.role, offered=new.version, expected=old.version + 1)
    check_signatures(old.root, f"root version {old.version}", new)
    check_signatures(new.root, f"root version {new.version}", new)


def check_root_certificates(gun: GUN, root: Root, *, at: datetime | None = None) -> None:
    """Notary v1: every key of the root role stands in a certificate for this collection; with `at`, valid then.

    The Go clients count no others, so a root that needs them could be read by nobody. Raises: CertificateOfAnotherName.
    """
    from keys.certificate import certificate_fault  # a root of Notary v1 only: start-up time

    for keyid in root.roles[ROOT].keyids:
        try:
            fault = certificate_fault(root.get_key(keyid), gun=gun, at=at)
        except (KeyNotAccepted, ValueError):
            fault = "cannot be read"
        if fault is not None:
            raise CertificateOfAnotherName(gun=gun, keyid=keyid, reason=fault)


def check_not_expired(envelope: Envelope, at: datetime) -> None:
    """Specification 5.3.10, 5.4.4, 5.5.6, 5.6.5; `at` is the reference time of the whole operation."""
    if envelope.expires <= at:
        raise MetadataExpired(role=envelope.role, version=envelope.version, expires=envelope.expires, at=at)


def check_not_older(role: RoleName, offered: int, known: int, source: str) -> None:
    """A version never goes down (specification 5.4.3.1, 5.5.5)."""
    if offered < known:
        raise VersionRollback(role=role, offered=offered, known=known, source=source)


def check_version(envelope: Envelope, expected: int) -> None:
    """The version is the one that the parent names (specification 5.5.4, 5.6.4)."""
    if envelope.version != expected:
        raise VersionMismatch(role=envelope.role, offered=envelope.version, expected=expected)


def check_content(role: RoleName, raw: bytes, meta: MetaFile) -> None:
    """Length and hashes, where the parent lists them (specification 5.5.2, 5.6.2). Unknown hash names are refused."""
    if meta.length is not None and len(raw) != meta.length:
        raise ContentMismatch(role=role, what="length", expected=str(meta.length), found=str(len(raw)))
    for algorithm, expected in (meta.hashes or {}).items():
        if algorithm not in _HASHES:
            raise ContentMismatch(role=role, what="hash algorithm", expected=", ".join(_HASHES), found=algorithm)
        found = _HASHES[algorithm](raw).hexdigest()
        if found != expected:
            raise ContentMismatch(role=role, what=algorithm, expected=expected, found=found)


def check_nothing_dropped(old: Snapshot, new: Snapshot) -> None:
    """A snapshot drops no role and lowers none (specification 5.5.5). Notary v1's owners may drop a role that they
    remove, and its snapshots know no versions: there the version of each file is held against what was seen of it.
    """
    for name, meta in old.meta.items():
        if isinstance(meta, UnversionedMeta):
            continue
        role = parse_role(name.removesuffix(".json"))
        offered = new.meta[name].version if name in new.meta else 0
        check_not_older(role, offered, meta.version, "listed by the snapshot before")


def check_minimum_versions(
    versions: Mapping[RoleName, int], floors: Mapping[RoleName, MinimumVersion], roles: Iterable[RoleName]
) -> None:
    """Rollback memory and the lock: none of `roles` may be older than its floor, or gone."""
    for role in roles:
        if role in floors:
            check_not_older(role, versions.get(role, 0), floors[role].version, floors[role].source)


def check_scope(delegator: Targets, envelope: Envelope) -> None:
    """Every target lies within the paths delegated to the role (publishers' duty; clients never ask beyond them)."""
    for target in envelope.targets.targets:
        if not may_list(delegator, envelope.role, target):
            raise DelegationOutOfScope(role=envelope.role, target=target)


def may_list(delegator: Targets, role: RoleName, target: str) -> bool:
    """Whether the paths that `delegator` gives the role hold the target."""
    delegations = delegator.delegations
    if delegations is None:
        return False
    if delegations.succinct_roles is not None:
        return delegations.succinct_roles.get_role_for_target(target) == role
    delegated = (delegations.roles or {}).get(role)
    if delegated is None:
        return False
    if "*" in (delegated.paths or ()) and "/" not in target:
        return True  # what every role of ours has: 10 000 tags need no pattern matching
    return delegated.is_delegated_path(target)


def delegations_of(delegator: Delegator) -> tuple[RoleName, ...]:
    """The roles that `delegator` delegates to, in their order (bins of succinct roles included).

    Raises: MalformedMetadata (more bins than a snapshot can list).
    """
    if isinstance(delegator, Root) or delegator.delegations is None:
        return ()
    if delegator.delegations.succinct_roles is not None:
        if delegator.delegations.succinct_roles.bit_length > MAX_BIN_BITS:
            path = "signed.delegations.succinct_roles.bit_length"
            raise MalformedMetadata(role=TARGETS, path=path, reason=f"must be {MAX_BIN_BITS} or less")
        return tuple(RoleName(name) for name in delegator.delegations.succinct_roles.get_roles())
    return tuple(RoleName(name) for name in delegator.delegations.roles or {})


def reachable_delegations(roles: Mapping[RoleName, Envelope]) -> Iterator[tuple[RoleName, RoleName]]:
    """(delegator, role) for targets and everything below it, breadth first; each pair once, also in a cycle.

    `roles` holds root, and those of the others that have a file.
    """
    queue: deque[tuple[RoleName, RoleName]] = deque([(ROOT, TARGETS)])
    opened: set[RoleName] = set()
    while queue:
        delegator, role = queue.popleft()
        yield delegator, role
        if role in roles and role not in opened:
            opened.add(role)
            queue.extend((role, child) for child in delegations_of(roles[role].targets))
