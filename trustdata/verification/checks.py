"""The rules of verification, one function for each. Clients and server use the same ones, for both formats.

`trusted_set` calls them in the order of a client, `candidate_set` in the order of a publisher. Only this module counts
signatures: over distinct key ids (the parser has recomputed each from its key) and over distinct public keys. Section
numbers are those of the TUF specification 1.0.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from datetime import datetime
from typing import Final

from keys.algorithms import key_fingerprint
from keys.errors import KeyNotAccepted, KeyNotCounted
from keys.keyid import short_keyid
from trustdata.envelope import Envelope
from trustdata.errors import (
    CertificateNotValidNow,
    CertificateOfAnotherName,
    ContentMismatch,
    LivesTooLong,
    MetadataExpired,
    MetadataMissing,
    RootOfAnotherName,
    StrongKeysMissing,
    ThresholdNotMet,
    VersionMismatch,
    VersionRollback,
)
from trustdata.gun import GUN, NAME_MEMBER
from trustdata.lifetimes import MaxLife
from trustdata.model import Delegator, MetaFile, Root, Snapshot, UnversionedMeta
from trustdata.roles import ROOT, RoleName, parse_role
from trustdata.wire import WireFormat

_HASHES: Final = {"sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}


def is_delegator_of(delegator: Delegator, role: RoleName) -> bool:
    """Return whether the delegator names keys for the role."""
    try:
        delegator.get_delegated_role(role)
    except ValueError:
        return False
    return True


def check_signatures(delegator: Delegator, delegator_name: str, envelope: Envelope) -> tuple[str, ...]:
    """Check that enough of the delegator's keys have signed a file, and return the ids of those keys.

    Specification 4.3, 5.3.4, 5.4.2, 5.5.3, 5.6.3. `delegator_name`: for messages.

    Raises: ThresholdNotMet; MetadataMissing if the delegator does not delegate to the role.
    """
    if not is_delegator_of(delegator, envelope.role):
        raise MetadataMissing(role=envelope.role, reason=f"{delegator_name} does not delegate to it")
    # Signatures of keys that are not accepted do not count, so python-tuf does not get them.
    fingerprints = _accepted_fingerprints(delegator, envelope)
    signatures = {keyid: envelope.signatures[keyid] for keyid in fingerprints}
    result = delegator.get_verification_result(envelope.role, envelope.payload, signatures)
    one_per_key: dict[str, str] = {}
    for keyid in result.signed:
        one_per_key.setdefault(fingerprints[keyid], keyid)
    signed = tuple(one_per_key.values())
    if len(signed) < result.threshold:
        unsigned = tuple(keyid for keyid in (*result.signed, *result.unsigned) if keyid not in signed)
        raise _too_few(delegator, delegator_name, envelope, signed, unsigned)
    return signed


def _accepted_fingerprints(delegator: Delegator, envelope: Envelope) -> dict[str, str]:
    """Return the fingerprints, by key id, of the role's keys that are accepted and have a signature in the file."""
    fingerprints: dict[str, str] = {}
    for keyid in delegator.get_delegated_role(envelope.role).keyids:
        if keyid in envelope.signatures:
            with suppress(ValueError, KeyNotAccepted):  # ValueError: the delegator has no key with this id
                fingerprints[keyid] = key_fingerprint(delegator.get_key(keyid))
    return fingerprints


def _too_few(
    delegator: Delegator, delegator_name: str, envelope: Envelope, signed: tuple[str, ...], unsigned: tuple[str, ...]
) -> ThresholdNotMet:
    role = envelope.role
    threshold = delegator.get_delegated_role(role).threshold
    weak = _weak_keys(delegator, role)
    if weak:
        return StrongKeysMissing(
            role=role,
            version=envelope.version,
            delegator=delegator_name,
            threshold=threshold,
            signed=signed,
            unsigned=unsigned,
            weak=weak,
        )
    return ThresholdNotMet(
        role=role,
        version=envelope.version,
        delegator=delegator_name,
        threshold=threshold,
        signed=signed,
        unsigned=unsigned,
    )


def _weak_keys(delegator: Delegator, role: RoleName) -> tuple[str, ...]:
    """Return the keys of a role that are too weak, each with the reason: `0123456789ab counts for nothing: REASON`."""
    found = []
    for keyid in delegator.get_delegated_role(role).keyids:
        try:
            key_fingerprint(delegator.get_key(keyid))
        except KeyNotCounted as error:
            found.append(f"{short_keyid(keyid)} counts for nothing: {error.reason}")
        except (ValueError, KeyNotAccepted):  # ValueError: the delegator has no key with this id
            continue
    return tuple(found)


def check_root_step(old: Envelope, new: Envelope) -> None:
    """Check that a root follows the one before it: the next version, signed by the threshold of both.

    Specification 5.3.4, 5.3.5. Raises: VersionMismatch, ThresholdNotMet.
    """
    if new.version != old.version + 1:
        raise VersionMismatch(role=new.role, offered=new.version, expected=old.version + 1)
    check_signatures(old.root, f"root version {old.version}", new)
    check_signatures(new.root, f"root version {new.version}", new)


def check_root_belongs(
    gun: GUN, new: Envelope, before: Envelope | None, *, wire: WireFormat, at: datetime | None = None
) -> None:
    """Check that a root does not belong to another collection. `before`: the root that it follows, if any.

    In Notary v1 its certificates say whose it is, and must be valid at `at`, if given. In TUF 1.0 a member does: older
    roots lack it, but once it is there it stays (docs/adr/0044).

    Raises: CertificateOfAnotherName, RootOfAnotherName.
    """
    if wire.certifies_root_keys:
        _check_certificates(gun, new.root, at)
        return
    if before is not None and named_collection(before.root) is not None:
        check_still_named(gun, new)
    named = named_collection(new.root)
    if named not in (None, gun):
        raise RootOfAnotherName(gun=gun, role=new.role, version=new.version, named=str(named))


def check_still_named(gun: GUN, root: Envelope) -> None:
    """Check that a TUF 1.0 root names a collection, because an earlier one did. Raises: RootOfAnotherName."""
    if named_collection(root.root) is None:
        raise RootOfAnotherName(gun=gun, role=root.role, version=root.version, named="")


def root_names(gun: GUN, root: Root, *, wire: WireFormat) -> bool:
    """Return whether a verified root says that it belongs to this collection and to no other.

    In TUF 1.0 its member says so; in Notary v1 the certificates of all root keys, unless one has a wildcard.
    """
    if not wire.certifies_root_keys:
        return named_collection(root) == gun
    from keys.certificate import common_name

    return all(common_name(root.get_key(keyid)) == gun for keyid in root.roles[ROOT].keyids)


def named_collection(root: Root) -> str | None:
    """Return the collection that a TUF 1.0 root names, or None if it names none."""
    named = root.unrecognized_fields.get(NAME_MEMBER)
    return None if named is None else str(named)


def _check_certificates(gun: GUN, root: Root, at: datetime | None) -> None:
    """Check that every root key of Notary v1 has a certificate for this collection that is valid at `at`, if given.

    The Go clients accept no other root keys (docs/adr/0023).
    Raises: CertificateOfAnotherName, CertificateNotValidNow.
    """
    # Imported here because only Notary v1 needs it, and start-up must stay fast.
    from keys.certificate import certificate_fault

    for keyid in root.roles[ROOT].keyids:
        try:
            fault = certificate_fault(root.get_key(keyid), gun=gun, at=None)
        except (KeyNotAccepted, ValueError):
            fault = "cannot be read"
        if fault is not None:
            raise CertificateOfAnotherName(gun=gun, keyid=keyid, reason=fault)
        if at is not None and (fault := certificate_fault(root.get_key(keyid), gun=gun, at=at)) is not None:
            raise CertificateNotValidNow(gun=gun, keyid=keyid, reason=fault, at=at)


def check_not_expired(envelope: Envelope, at: datetime) -> None:
    """Check that a file has not expired at `at`, the reference time of the whole operation.

    Specification 5.3.10, 5.4.4, 5.5.6, 5.6.5. Raises: MetadataExpired.
    """
    if envelope.expires <= at:
        raise MetadataExpired(role=envelope.role, version=envelope.version, expires=envelope.expires, at=at)


def check_life(envelope: Envelope, at: datetime, limits: MaxLife) -> None:
    """Check that a timestamp or snapshot is not valid for longer after `at` than any honest server makes it.

    Beyond the specification, which leaves lifetimes to the repository (docs/adr/0047). Raises: LivesTooLong.
    """
    limit = limits.of(envelope.role)
    if limit is not None and envelope.expires - at > limit:
        raise LivesTooLong(
            role=envelope.role,
            version=envelope.version,
            expires=envelope.expires,
            at=at,
            limit=int(limit.total_seconds()),
        )


def check_not_older(role: RoleName, offered: int, known: int, source: str) -> None:
    """Check that a version is not lower than a known one (specification 5.4.3.1, 5.5.5). Raises: VersionRollback."""
    if offered < known:
        raise VersionRollback(role=role, offered=offered, known=known, source=source)


def check_version(envelope: Envelope, expected: int) -> None:
    """Check the version that the parent names (specification 5.5.4, 5.6.4). Raises: VersionMismatch."""
    if envelope.version != expected:
        raise VersionMismatch(role=envelope.role, offered=envelope.version, expected=expected)


def check_content(role: RoleName, raw: bytes, meta: MetaFile) -> None:
    """Check the length and the hashes that the parent lists (specification 5.5.2, 5.6.2).

    Raises: ContentMismatch, also for an unknown hash algorithm.
    """
    if meta.length is not None and len(raw) != meta.length:
        raise ContentMismatch(role=role, what="length", expected=str(meta.length), found=str(len(raw)))
    for algorithm, expected in (meta.hashes or {}).items():
        if algorithm not in _HASHES:
            raise ContentMismatch(role=role, what="hash algorithm", expected=", ".join(_HASHES), found=algorithm)
        found = _HASHES[algorithm](raw).hexdigest()
        if found != expected:
            raise ContentMismatch(role=role, what=algorithm, expected=expected, found=found)


def check_nothing_dropped(old: Snapshot, new: Snapshot) -> None:
    """Check that a new snapshot lists every role of the old one, with no lower version (specification 5.5.5).

    Entries of Notary v1 are skipped: its owners may remove a role, and its snapshots have no versions. There the
    version in each file is compared with the rollback memory (docs/adr/0023).

    Raises: VersionRollback.
    """
    for name, meta in old.meta.items():
        if isinstance(meta, UnversionedMeta):
            continue
        role = parse_role(name.removesuffix(".json"))
        offered = new.meta[name].version if name in new.meta else 0
        check_not_older(role, offered, meta.version, "listed by the snapshot before")
