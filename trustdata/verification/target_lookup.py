"""Find the digest of a tag and the signers that have signed it.

A tag is released if `targets` lists it, or `targets/releases` if `targets` delegates to that role (docs/adr/0008). If
both list it, that is a conflict and neither is trusted. In Notary v1 `targets/releases` takes precedence, as in docker,
and a target outside the paths of a role is ignored (docs/adr/0023). The other delegations are those of signers: they
show who has signed a tag, but they release none. So TUF's general search (specification 1.0, section 5.6.7) is not
needed: in the shape of our collections it finds exactly the released digest (docs/adr/0008).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from trustdata.digest import is_sha256_hex
from trustdata.envelope import Envelope
from trustdata.errors import ContentMismatch, DelegationOutOfScope, ReleaseConflict, TargetUnusable
from trustdata.model import NotaryTargets, TargetFile, Targets, UnusableTarget
from trustdata.roles import RELEASES, TARGETS, RoleName
from trustdata.verification.delegations import may_list
from trustdata.wire.plain_targets import PlainTargets, in_base64

_Listings: TypeAlias = dict[RoleName, dict[str, TargetFile]]
MAX_CHILDREN: Final = 256
"""The maximum number of manifests of an index that one target lists (docs/adr/0029)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A tag in the file of one role.

    `digest`: the SHA-256 of the manifest, 64 hex digits. `length`: of the manifest, in bytes. `children`: the digests
    (hex) of the manifests of an index, from the member `custom.oci.manifests` in the same file (docs/adr/0029).
    """

    tag: str
    digest: str
    length: int
    role: RoleName
    children: tuple[str, ...] = ()

    def has_manifest(self, digest: str) -> bool:
        """Return whether the digest (hex) is that of the target or of one of its platforms."""
        return digest == self.digest or digest in self.children


def read_target(role: RoleName, tag: str, target: TargetFile) -> Target:
    """Convert a target of python-tuf.

    Raises: TargetUnusable (Notary v1); ContentMismatch if it has no complete SHA-256.
    """
    if isinstance(target, UnusableTarget):
        raise TargetUnusable(role=role, target=tag, reason=target.reason)
    digest = target.hashes.get("sha256", "")
    if not is_sha256_hex(digest):
        raise ContentMismatch(role=role, what=f"hash of {tag}", expected="sha256", found=", ".join(target.hashes))
    return Target(tag=tag, digest=digest, length=target.length, role=role, children=_children(target))


def _children(target: TargetFile) -> tuple[str, ...]:
    """Return the digests of the manifests of an index, or () if `custom` does not have exactly the expected form."""
    manifests = _listed_manifests(target)
    if len(manifests) > MAX_CHILDREN:
        return ()
    return tuple(manifests) if all(isinstance(m, str) and is_sha256_hex(m) for m in manifests) else ()


def _listed_manifests(target: TargetFile) -> list[Any]:
    """Return the list that `custom` has for the manifests of an index, with whatever stands in it."""
    custom = target.custom
    oci = custom.get("oci") if isinstance(custom, dict) else None
    manifests = oci.get("manifests") if isinstance(oci, dict) else None
    return manifests if isinstance(manifests, list) else []


def releasing_roles(targets: Targets) -> tuple[RoleName, ...]:
    """Return the roles that release the tags that they list. In Notary v1 the first one takes precedence."""
    named = targets.delegations.roles if targets.delegations else None
    if RELEASES not in (named or {}):
        return (TARGETS,)
    return (RELEASES, TARGETS) if _first_match_wins(targets) else (TARGETS, RELEASES)


def requires_published_releases(targets: Targets) -> bool:
    """Return whether `targets` delegates to `targets/releases`, and that role must have a file.

    In Notary v1 it may have none: docker publishes it only when a signer signs the first tag.
    """
    return RELEASES in releasing_roles(targets) and not _first_match_wins(targets)


def _first_match_wins(targets: Targets) -> bool:
    return isinstance(targets, NotaryTargets)


def find_released(tag: str, roles: Mapping[RoleName, Envelope]) -> Target | None:
    """Return the released target of a tag, or None. `roles`: verified `targets`, and the releases if published.

    Raises: ReleaseConflict, DelegationOutOfScope, ContentMismatch; TargetUnusable (Notary v1).
    """
    return _find(tag, roles[TARGETS].targets, _listings(roles))


def each_released(roles: Mapping[RoleName, Envelope]) -> Iterator[Target]:
    """Yield the target of every released tag, sorted by tag, and keep none. Unusable ones (Notary v1) are left out.

    `roles`: verified `targets`, and the releases if published. Raises, at the first such tag: ReleaseConflict,
    DelegationOutOfScope, ContentMismatch.
    """
    targets, listings = roles[TARGETS].targets, _listings(roles)
    for tag in sorted({tag for listed in listings.values() for tag in listed}):
        with suppress(TargetUnusable):
            target = _find(tag, targets, listings)
            if target is not None:
                yield target


def unusable_targets(roles: Mapping[RoleName, Envelope]) -> list[TargetUnusable]:
    """Return why released tags are unusable, sorted by tag: what `each_released` leaves out."""
    targets, listings = roles[TARGETS].targets, _listings(roles)
    found = []
    for tag in sorted({tag for listed in listings.values() for tag in _unusable_in(listed)}):
        try:
            _find(tag, targets, listings)
        except TargetUnusable as error:
            found.append(error)
    return found


def _unusable_in(listed: Mapping[str, TargetFile]) -> list[str]:
    if isinstance(listed, PlainTargets):
        return []
    return [tag for tag, target in listed.items() if isinstance(target, UnusableTarget)]


def _listings(roles: Mapping[RoleName, Envelope]) -> _Listings:
    """Return the targets of each releasing role that has a file, in order of precedence."""
    return {role: roles[role].targets.targets for role in releasing_roles(roles[TARGETS].targets) if role in roles}


def _find(tag: str, targets: Targets, listings: _Listings) -> Target | None:
    listing = {role: target for role, listed in listings.items() if (target := listed.get(tag)) is not None}
    if RELEASES in listing and not may_list(targets, RELEASES, tag):
        if not _first_match_wins(targets):
            raise DelegationOutOfScope(role=RELEASES, target=tag)
        del listing[RELEASES]
    if _first_match_wins(targets):  # the first one decides, even if it is unusable: docker looks no further
        return next((read_target(role, tag, target) for role, target in listing.items()), None)
    found = [read_target(role, tag, target) for role, target in listing.items()]
    if len(found) > 1:
        raise _conflict(tag, found)
    return found[0] if found else None


def released_with_digest(digest: str, roles: Mapping[RoleName, Envelope]) -> list[Target]:
    """Return the released tags with this digest (hex), or with a platform of this digest, sorted by tag.

    Other tags are not looked at: whoever may ask about an image may ask about digests that nobody has signed, one
    after another, and a collection has up to 100 000 tags. Raises, at the first such tag: ReleaseConflict,
    DelegationOutOfScope, ContentMismatch.
    """
    targets, listings = roles[TARGETS].targets, _listings(roles)
    found = []
    for tag in sorted({tag for role in listings for tag in _tags_with(digest, roles[role])}):
        with suppress(TargetUnusable):
            target = _find(tag, targets, listings)
            if target is not None and target.has_manifest(digest):
                found.append(target)
    return found


def _tags_with(digest: str, envelope: Envelope) -> Iterable[str]:
    """Return the tags of a file that may have a digest (hex), or a platform of this digest. None that has is left out.

    It is first searched for in the text, where it stands as it is unless something is escaped there.
    """
    listed, text = envelope.targets.targets, envelope.raw
    if not is_sha256_hex(digest):
        return ()
    if isinstance(listed, PlainTargets):
        return listed.names_with(digest)
    if digest.encode() not in text and in_base64(digest) not in text and b"\\" not in text:
        return ()
    return [tag for tag, target in listed.items() if _may_have(digest, target)]


def _may_have(digest: str, target: TargetFile) -> bool:
    """Return whether a digest (hex) is that of a target, or stands where its platforms do, whatever else stands there.

    This is asked of each tag of a file, so nothing is checked that `read_target` checks of the few that are left.
    """
    if isinstance(target, UnusableTarget):
        return False
    return target.hashes.get("sha256") == digest or digest in _listed_manifests(target)


def check_release_conflicts(roles: Mapping[RoleName, Envelope]) -> None:
    """Check that no tag is listed by both releasing roles.

    Raises: ReleaseConflict, which names the first such tag; ContentMismatch.
    """
    names = [role for role in releasing_roles(roles[TARGETS].targets) if role in roles]
    if len(names) < 2 or _first_match_wins(roles[TARGETS].targets):
        return
    first, second = (roles[role].targets.targets for role in names)
    for tag in sorted(first.keys() & second.keys() if first and second else ()):
        raise _conflict(tag, [read_target(role, tag, roles[role].targets.targets[tag]) for role in names])


def _conflict(tag: str, found: list[Target]) -> ReleaseConflict:
    return ReleaseConflict(target=tag, roles=tuple(t.role for t in found), digests=tuple(t.digest for t in found))


def signers_of_target(
    target: Target, roles: Mapping[RoleName, Envelope], signers: list[RoleName], requested: str | None = None
) -> tuple[RoleName, ...]:
    """Return those of the roles `signers`, in order, that list the same tag with the same digest.

    The tag must be in the paths delegated to the role. `requested`: a digest (hex) of a platform, which the role must
    list too. Raises: ContentMismatch.
    """
    return tuple(role for role in signers if _signer_lists(role, target, roles, requested or target.digest))


def listed_by_signers(
    signers: Iterable[RoleName],
    roles: Mapping[RoleName, Envelope],
    tag: str | None = None,
    *,
    digest: str | None = None,
) -> list[Target]:
    """Return what signers list, sorted by tag: one target for each tag and digest, of the first that lists it so.

    Its platforms are those that any of them lists: who is asked first must not decide what the others vouch for, nor
    hide what is denied.

    `signers`: their roles; those that are not among `roles` list nothing. `tag`: only this one. `digest`: where no tag
    is named, only those that may have this digest (hex), or a platform of it. What lies outside the paths delegated to
    a role, or cannot be used, is left out. Raises: ContentMismatch.
    """
    found: dict[tuple[str, str], Target] = {}
    for role in signers:
        if role not in roles:
            continue
        listed = roles[role].targets.targets
        names = listed if digest is None else _tags_with(digest, roles[role])
        for name in names if tag is None else [tag]:
            entry = listed.get(name)
            if entry is None or isinstance(entry, UnusableTarget):
                continue
            if may_list(roles[TARGETS].targets, role, name):
                target = read_target(role, name, entry)
                place = name, target.digest
                found[place] = _with_children(found[place], target.children) if place in found else target
    return [found[key] for key in sorted(found)]


def _with_children(target: Target, more: tuple[str, ...]) -> Target:
    return replace(target, children=tuple(dict.fromkeys((*target.children, *more))))


def _signer_lists(role: RoleName, target: Target, roles: Mapping[RoleName, Envelope], requested: str) -> bool:
    if role not in roles or not may_list(roles[TARGETS].targets, role, target.tag):
        return False
    listed = roles[role].targets.targets.get(target.tag)
    if listed is None or isinstance(listed, UnusableTarget):
        return False
    listed_target = read_target(role, target.tag, listed)
    return listed_target.digest == target.digest and listed_target.has_manifest(requested)
