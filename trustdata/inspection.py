"""What a collection says, as plain values, for people: signed tags, signers, administrative keys. No key is opened.

Names of tags and signers are foreign text and stand here as they may be shown: escaped and cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keys.algorithms import EncodedKey
from keys.errors import KeyNotAccepted
from trustdata.envelope import Envelope
from trustdata.errors import shown
from trustdata.model import Key, Targets
from trustdata.roles import RELEASES, ROOT, TARGETS, RoleName, signer_name
from trustdata.verification import checks
from trustdata.verification.target_lookup import Target, released, signers_of_target


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedTag:
    """A released tag. `digest`: 64 hex digits. `signers`: the delegations that list the same digest; empty: only the
    repository key (or whoever signed the releases) stands behind it. `releasers`: key ids that signed the release.
    """

    tag: str
    digest: str
    length: int
    signers: tuple[str, ...]
    releasers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHolder:
    """A signer, `Root` or `Repository`, and the ids of the keys."""

    name: str
    keyids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """One collection. `tags` sorted by name; `signers` in the order of their delegation."""

    tags: tuple[SignedTag, ...]
    signers: tuple[KeyHolder, ...]
    root: KeyHolder
    repository: KeyHolder


def inspect(roles: Mapping[RoleName, Envelope], *, tag: str | None = None) -> Inspection:
    """Read verified roles: root, targets, and every delegation that could be had. `tag` narrows to one tag.

    Raises: ReleaseConflict, DelegationOutOfScope, ContentMismatch.
    """
    root, targets = roles[ROOT].root, roles[TARGETS].targets
    signers = [role for role in checks.delegations_of(targets) if role != RELEASES]
    found = [target for name, target in sorted(released(roles).items()) if tag is None or name == tag]
    releasers = {role: tuple(sorted(_releasers(role, roles))) for role in {target.role for target in found}}
    tags = [_signed_tag(target, roles, signers, releasers[target.role]) for target in found]
    return Inspection(
        tags=tuple(tags),
        signers=tuple(
            KeyHolder(name=shown(signer_name(role)), keyids=tuple(map(_known_as, _keys(targets, role))))
            for role in signers
        ),
        root=KeyHolder(name="Root", keyids=tuple(root.roles[ROOT].keyids)),
        repository=KeyHolder(name="Repository", keyids=tuple(root.roles[TARGETS].keyids)),
    )


def _keys(targets: Targets, role: RoleName) -> list[Key]:
    """The keys of a delegation that there are: in Notary v1 one may be named that is not."""
    keys = targets.delegations.keys if targets.delegations else {}
    return [keys[keyid] for keyid in targets.get_delegated_role(role).keyids if keyid in keys]


def _known_as(key: Key) -> str:
    """A signer's key, in Notary v1, is known by the id of the bare key, whatever certificate it stands in."""
    try:
        return key.canonical_keyid if isinstance(key, EncodedKey) else key.keyid
    except KeyNotAccepted:
        return key.keyid


def _signed_tag(
    target: Target, roles: Mapping[RoleName, Envelope], signers: list[RoleName], releasers: tuple[str, ...]
) -> SignedTag:
    return SignedTag(
        tag=shown(target.tag),
        digest=target.digest,
        length=target.length,
        signers=tuple(shown(signer_name(role)) for role in signers_of_target(target, roles, signers)),
        releasers=releasers,
    )


def _releasers(role: RoleName, roles: Mapping[RoleName, Envelope]) -> tuple[str, ...]:
    """Whose signatures hold: anybody can write a key id into a file."""
    if role == TARGETS:
        return checks.check_signatures(roles[ROOT].root, ROOT, roles[role])
    return checks.check_signatures(roles[TARGETS].targets, TARGETS, roles[role])
