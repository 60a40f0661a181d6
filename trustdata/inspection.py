"""The content of a collection as plain values to show: signed tags, signers and administrative keys.

No private key is needed. Names of tags and signers are foreign text, so they are escaped and cut here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from keys.algorithms import bare_keyid
from trustdata.envelope import Envelope
from trustdata.errors import TargetUnusable, shown
from trustdata.model import Key, Targets
from trustdata.roles import RELEASES, ROOT, TARGETS, RoleName, signer_name
from trustdata.verification import checks
from trustdata.verification.delegations import delegations_of
from trustdata.verification.target_lookup import Target, each_released, signers_of_target, unusable_targets


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedTag:
    """A released tag.

    `digest`: 64 hex digits. `length`: of the manifest, in bytes. `signers`: the signers whose roles list the same
    digest; empty if only the releasing role lists it. `releasers`: the ids of the keys that signed the releasing role.
    """

    tag: str
    digest: str
    length: int
    signers: tuple[str, ...]
    releasers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoDigests:
    """A tag that is released as one digest, and that `targets` lists as another (Notary v1). Digests in hex.

    A client that is shown no `targets/releases` takes the digest of `targets`.
    """

    tag: str
    released: str
    in_targets: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHolder:
    """The ids of the keys of a signer, of `Root` or of `Repository`."""

    name: str
    keyids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """The content of one collection. `tags`: sorted by name. `signers`: in the order of the delegations.

    `unusable`: why further tags, which somebody has signed, are no tags of any image (Notary v1).
    """

    tags: tuple[SignedTag, ...]
    signers: tuple[KeyHolder, ...]
    root: KeyHolder
    repository: KeyHolder
    two_digests: tuple[TwoDigests, ...] = ()
    unusable: tuple[TargetUnusable, ...] = ()


def inspect(roles: Mapping[RoleName, Envelope], *, tag: str | None = None) -> Inspection:
    """Return the content of a collection, or only one `tag` of it.

    `roles`: the verified root, targets, and all delegations that could be loaded.

    Raises: ReleaseConflict, DelegationOutOfScope, ContentMismatch.
    """
    root, targets = roles[ROOT].root, roles[TARGETS].targets
    signers = [role for role in delegations_of(targets) if role != RELEASES]
    reading = _TagReading(roles, signers)
    tags: list[SignedTag] = []
    two_digests: list[TwoDigests] = []
    # All are read, whatever is asked for: a conflict of any tag is one of the whole collection.
    for target in each_released(roles):
        if tag is None or target.tag == tag:
            tags.append(reading.signed_tag(target))
            if target.role != TARGETS:
                two_digests += _two_digests([target], targets)
    return Inspection(
        tags=tuple(tags),
        signers=tuple(
            KeyHolder(name=shown(signer_name(role)), keyids=tuple(map(bare_keyid, _keys(targets, role))))
            for role in signers
        ),
        root=KeyHolder(name="Root", keyids=tuple(root.roles[ROOT].keyids)),
        repository=KeyHolder(name="Repository", keyids=tuple(root.roles[TARGETS].keyids)),
        two_digests=tuple(two_digests),
        unusable=tuple(error for error in unusable_targets(roles) if tag in {None, error.target}),
    )


def tags_with_two_digests(roles: Mapping[RoleName, Envelope]) -> tuple[TwoDigests, ...]:
    """Return every tag with two digests, sorted by name. `roles`: as for `inspect`.

    Raises: ReleaseConflict, DelegationOutOfScope, ContentMismatch.
    """
    return _two_digests(each_released(roles), roles[TARGETS].targets)


def _two_digests(found: Iterable[Target], targets: Targets) -> tuple[TwoDigests, ...]:
    """Return those of the released tags that `targets` lists with another digest."""
    pairs = ((target, targets.targets.get(target.tag)) for target in found if target.role != TARGETS)
    digests = ((target, listed.hashes.get("sha256", "")) for target, listed in pairs if listed is not None)
    return tuple(
        TwoDigests(tag=shown(target.tag), released=target.digest, in_targets=shown(in_targets))
        for target, in_targets in digests
        if in_targets != target.digest
    )


def _keys(targets: Targets, role: RoleName) -> list[Key]:
    """Return the keys of a delegation. Ids without a key, which Notary v1 allows, are left out."""
    keys = targets.delegations.keys if targets.delegations else {}
    return [keys[keyid] for keyid in targets.get_delegated_role(role).keyids if keyid in keys]


class _TagReading:
    """Makes the tags of one collection, which share what is equal in many of them."""

    def __init__(self, roles: Mapping[RoleName, Envelope], signers: list[RoleName]) -> None:
        self._roles = roles
        self._signers = signers
        self._names: dict[tuple[RoleName, ...], tuple[str, ...]] = {}
        self._releasers: dict[RoleName, tuple[str, ...]] = {}

    def signed_tag(self, target: Target) -> SignedTag:
        """Return a released target with its signers. Raises: ContentMismatch."""
        signers = signers_of_target(target, self._roles, self._signers)
        if signers not in self._names:
            self._names[signers] = tuple(shown(signer_name(role)) for role in signers)
        if target.role not in self._releasers:
            self._releasers[target.role] = tuple(sorted(_releasers(target.role, self._roles)))
        return SignedTag(
            tag=shown(target.tag),
            digest=target.digest,
            length=target.length,
            signers=self._names[signers],
            releasers=self._releasers[target.role],
        )


def _releasers(role: RoleName, roles: Mapping[RoleName, Envelope]) -> tuple[str, ...]:
    """Return the ids of the keys whose signatures on a releasing role are valid."""
    if role == TARGETS:
        return checks.check_signatures(roles[ROOT].root, ROOT, roles[role])
    return checks.check_signatures(roles[TARGETS].targets, TARGETS, roles[role])
