"""Which digest a tag stands for, and who vouches for it.

Released (PRODUCT decision 6): listed in `targets`, or in `targets/releases` where `targets` delegates to it. A tag in
both is a conflict and neither is trusted; in Notary v1 `targets/releases` comes first, as in docker, and what a role
says beyond its paths is not heard. The other delegations (signers) say who stands behind a tag; they release
nothing. `walk` is TUF's own general search (specification 5.6.7) for repositories of any shape.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from trustdata.envelope import Envelope
from trustdata.errors import ContentMismatch, DelegationOutOfScope, ReleaseConflict
from trustdata.limits import MAX_DELEGATIONS
from trustdata.model import NotaryTargets, TargetFile, Targets
from trustdata.roles import RELEASES, ROOT, TARGETS, RoleName
from trustdata.verification import checks

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_Listings: TypeAlias = dict[RoleName, dict[str, TargetFile]]
MAX_CHILDREN: Final = 64
"""Manifests of an index that one target records, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One tag as one role lists it. `digest` is 64 hex digits (SHA-256 of the manifest), `length` its bytes.

    `children`: the digests (hex) of the manifests of an index, from `custom.oci.manifests` of the same role.
    """

    tag: str
    digest: str
    length: int
    role: RoleName
    children: tuple[str, ...] = ()

    def answers(self, digest: str) -> bool:
        """Whether a manifest with this digest (hex) is this target or one of its platforms."""
        return digest == self.digest or digest in self.children


def read_target(role: RoleName, tag: str, target: TargetFile) -> Target:
    """A tag from python-tuf's model. Raises: ContentMismatch if the role gives it no whole SHA-256."""
    digest = target.hashes.get("sha256", "")
    if not _is_sha256(digest):
        raise ContentMismatch(role=role, what=f"hash of {tag}", expected="sha256", found=", ".join(target.hashes))
    return Target(tag=tag, digest=digest, length=target.length, role=role, children=_children(target))


def _children(target: TargetFile) -> tuple[str, ...]:
    """Foreign `custom` is nobody's statement about platforms: what has not exactly our shape counts as nothing."""
    custom = target.custom
    oci = custom.get("oci") if isinstance(custom, dict) else None
    manifests = oci.get("manifests") if isinstance(oci, dict) else None
    if not isinstance(manifests, list) or len(manifests) > MAX_CHILDREN:
        return ()
    return tuple(manifests) if all(isinstance(m, str) and _is_sha256(m) for m in manifests) else ()


def _is_sha256(digest: str) -> bool:
    return _SHA256.fullmatch(digest) is not None


def releasing_roles(targets: Targets) -> tuple[RoleName, ...]:
    """The roles whose listing releases a tag, given the top-level targets; in Notary v1 the first one decides."""
    named = targets.delegations.roles if targets.delegations else None
    if RELEASES not in (named or {}):
        return (TARGETS,)
    return (RELEASES, TARGETS) if _first_one_decides(targets) else (TARGETS, RELEASES)


def releases_must_be_there(targets: Targets) -> bool:
    """Whether a delegation to `targets/releases` promises that it was published: docker publishes it with the first tag
    that a signer signs.
    """
    return RELEASES in releasing_roles(targets) and not _first_one_decides(targets)


def _first_one_decides(targets: Targets) -> bool:
    return isinstance(targets, NotaryTargets)


def find_released(tag: str, roles: Mapping[RoleName, Envelope]) -> Target | None:
    """The released target of a tag, or None. `roles` holds `targets` and, if delegated and published, the releases.

    Raises: ReleaseConflict, DelegationOutOfScope, ContentMismatch.
    """
    return _find(tag, roles[TARGETS].targets, _listings(roles))


def released(roles: Mapping[RoleName, Envelope]) -> dict[str, Target]:
    """Every released tag. Raises: as `find_released`."""
    targets, listings = roles[TARGETS].targets, _listings(roles)
    tags = {tag for listed in listings.values() for tag in listed}
    found = {tag: _find(tag, targets, listings) for tag in tags}
    return {tag: target for tag, target in found.items() if target is not None}


def _listings(roles: Mapping[RoleName, Envelope]) -> _Listings:
    """What the releasing roles that there are list, in the order in which they are asked."""
    return {role: roles[role].targets.targets for role in releasing_roles(roles[TARGETS].targets) if role in roles}


def _find(tag: str, targets: Targets, listings: _Listings) -> Target | None:
    listing = [role for role, listed in listings.items() if tag in listed]
    if RELEASES in listing and not checks.may_list(targets, RELEASES, tag):
        if not _first_one_decides(targets):
            raise DelegationOutOfScope(role=RELEASES, target=tag)
        listing.remove(RELEASES)
    found = [read_target(role, tag, listings[role][tag]) for role in listing]
    if len(found) > 1 and not _first_one_decides(targets):
        raise _conflict(tag, found)
    return found[0] if found else None


def released_with_digest(digest: str, roles: Mapping[RoleName, Envelope]) -> list[Target]:
    """The released tags under which a manifest digest (hex), or an index that lists it, is signed; by tag."""
    matching = [target for target in released(roles).values() if target.answers(digest)]
    return sorted(matching, key=lambda target: target.tag)


def check_release_conflicts(roles: Mapping[RoleName, Envelope]) -> None:
    """Raises: ReleaseConflict for the first tag in both releasing roles."""
    names = [role for role in releasing_roles(roles[TARGETS].targets) if role in roles]
    if len(names) < 2 or _first_one_decides(roles[TARGETS].targets):
        return
    one, other = (roles[role].targets.targets for role in names)
    for tag in sorted(one.keys() & other.keys()):
        raise _conflict(tag, [read_target(role, tag, roles[role].targets.targets[tag]) for role in names])


def _conflict(tag: str, found: list[Target]) -> ReleaseConflict:
    return ReleaseConflict(target=tag, roles=tuple(t.role for t in found), digests=tuple(t.digest for t in found))


def walk(tag: str, load: Callable[[RoleName, RoleName], Envelope]) -> tuple[RoleName, TargetFile] | None:
    """TUF's pre-order depth-first search (specification 5.6.7): the role that lists the target, and the target.

    `load(role, delegator)` gives verified metadata or raises. None: no visited role lists it.
    """
    stack: list[tuple[RoleName, RoleName]] = [(TARGETS, ROOT)]
    visited: set[RoleName] = set()
    while stack and len(visited) <= MAX_DELEGATIONS:
        role, delegator = stack.pop()
        if role in visited:
            continue
        targets = load(role, delegator).targets
        if tag in targets.targets:
            return role, targets.targets[tag]
        visited.add(role)
        if targets.delegations is None:
            continue
        children: list[tuple[RoleName, RoleName]] = []
        for child, terminating in targets.delegations.get_roles_for_target(tag):
            children.append((RoleName(child), role))
            if terminating:
                stack.clear()
                break
        stack += reversed(children)
    return None


def signers_of_target(
    target: Target, roles: Mapping[RoleName, Envelope], signers: list[RoleName], asked: str | None = None
) -> tuple[RoleName, ...]:
    """Return the roles among `signers` (in order) that list the same tag with the same digest, and may speak for it.

    `asked`: a digest (hex): a signer vouches for a platform of an index only if its own role lists it.
    """
    return tuple(role for role in signers if _vouches(role, target, roles, asked or target.digest))


def _vouches(role: RoleName, target: Target, roles: Mapping[RoleName, Envelope], asked: str) -> bool:
    if role not in roles or not checks.may_list(roles[TARGETS].targets, role, target.tag):
        return False
    listed = roles[role].targets.targets.get(target.tag)
    if listed is None:
        return False
    own = read_target(role, target.tag, listed)
    return own.digest == target.digest and own.answers(asked)
