"""Delegations: which roles a role delegates to, in which order, and which targets their paths let them list.

For both formats; sections are those of the TUF specification 1.0.
"""

from __future__ import annotations

import fnmatch
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Final

from trustdata.envelope import Envelope
from trustdata.errors import DelegationOutOfScope, MalformedMetadata, PublishRefused
from trustdata.model import Delegator, Key, PrefixRole, Root, Targets
from trustdata.roles import ONLINE, ROOT, TARGETS, RoleName

MAX_BIN_BITS: Final = 14
"""The maximum `bit_length` of succinct roles: a snapshot of 1 MiB cannot list 2**14 bins with their hashes."""

MAX_COMPARISONS: Final = 1_000_000
"""The maximum number of comparisons of targets with paths for one uploaded role: about a second."""


def check_scope(delegator: Targets, envelope: Envelope) -> None:
    """Check that a role lists only targets in the paths delegated to it.

    Only uploads are checked so: a client never looks up a target outside these paths. Raises: DelegationOutOfScope;
    PublishRefused if that takes more than MAX_COMPARISONS.
    """
    targets = envelope.targets.targets
    covers = _matcher(delegator, envelope.role)
    delegated = (delegator.delegations.roles or {}).get(envelope.role) if delegator.delegations else None
    paths = len(delegated.paths or delegated.path_hash_prefixes or ()) if delegated else 1
    if len(targets) * paths > MAX_COMPARISONS:
        reason = f"lists {len(targets)} targets, each to be compared with {paths} paths"
        raise PublishRefused(role=envelope.role, reason=f"{reason}: more than {MAX_COMPARISONS} comparisons")
    for target in targets:
        if not covers(target):
            raise DelegationOutOfScope(role=envelope.role, target=target)


def may_list(delegator: Targets, role: RoleName, target: str) -> bool:
    """Return whether the target is in the paths that `delegator` delegates to the role."""
    return _matcher(delegator, role)(target)


def _matcher(delegator: Targets, role: RoleName) -> Callable[[str], bool]:
    """Return the function that says whether a target is in the paths that `delegator` delegates to the role."""
    delegations = delegator.delegations
    succinct = delegations.succinct_roles if delegations is not None else None
    if succinct is not None:
        return lambda target: succinct.get_role_for_target(target) == role
    delegated = (delegations.roles or {}).get(role) if delegations is not None else None
    if delegated is None:
        return lambda _: False
    paths = delegated.paths
    if paths is None or isinstance(delegated, PrefixRole):
        return delegated.is_delegated_path
    if "*" in paths:  # the usual case, without pattern matching for each of 10 000 tags
        return lambda target: "/" not in target or delegated.is_delegated_path(target)
    one_level = _one_level(tuple(paths))
    return lambda target: delegated.is_delegated_path(target) if "/" in target else one_level(target) is not None


@lru_cache(maxsize=64)
def _one_level(paths: tuple[str, ...]) -> Callable[[str], re.Match[str] | None]:
    """Return the match function of one regular expression for those of the glob patterns that hold no slash.

    Only these match a target without a slash, as tags are. `fnmatch.translate` backtracks over no `*`, so a comparison
    takes time in proportion to the lengths of target and pattern.
    """
    patterns = [fnmatch.translate(path) for path in paths if "/" not in path]
    return re.compile("|".join(patterns) if patterns else r"(?!)").match


def delegates_alike(old: Delegator, new: Delegator, role: RoleName) -> bool:
    """Return whether two versions of a file delegate to a role by the same keys, threshold and paths.

    Then what one of them verifies, the other one does. Key ids are the hashes of their keys.
    """
    try:
        before, after = old.get_delegated_role(role), new.get_delegated_role(role)
    except ValueError:  # one of them does not delegate to it
        return False
    if type(before) is not type(after) or before.to_dict() != after.to_dict():
        return False
    return all((keyid in keys_of(old)) == (keyid in keys_of(new)) for keyid in after.keyids)


def keys_of(delegator: Delegator) -> Mapping[str, Key]:
    """Return the keys that a root, or a role that delegates, stands for, by key id."""
    if isinstance(delegator, Root):
        return delegator.keys
    return delegator.delegations.keys if delegator.delegations is not None else {}


def role_keys(root: Root, role: str) -> dict[str, Key]:
    """Return the keys of a role of a root, by key id. A role may name more: ids of keys that the root does not have.

    Such an id signs nothing, and its owner alone is to blame for it.
    """
    return {keyid: root.keys[keyid] for keyid in root.roles[role].keyids if keyid in root.keys}


def delegations_of(delegator: Delegator) -> tuple[RoleName, ...]:
    """Return the roles that `delegator` delegates to, in order, including the bins of succinct roles.

    Raises: MalformedMetadata if there are more bins than a snapshot can list.
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
    """Yield (delegator, role) for targets and all delegations below it, breadth first, each pair once.

    `roles`: root and the other roles that have a file. Delegations may form a cycle.
    """
    queue: deque[tuple[RoleName, RoleName]] = deque([(ROOT, TARGETS)])
    expanded: set[RoleName] = set()
    while queue:
        delegator, role = queue.popleft()
        yield delegator, role
        if role in roles and role not in expanded:
            expanded.add(role)
            queue.extend((role, child) for child in delegations_of(roles[role].targets))


def every_delegation(roles: Mapping[RoleName, Envelope]) -> Iterator[tuple[RoleName, RoleName]]:
    """Yield (delegator, role) for every role: root, targets and all below it, then the online roles; each pair once.

    `roles`: as for `reachable_delegations`.
    """
    yield ROOT, ROOT
    yield from reachable_delegations(roles)
    yield from ((ROOT, role) for role in ONLINE)


def as_delegator(envelope: Envelope) -> Delegator:
    """Return what delegates in the file of root, of targets, or of a delegated role."""
    return envelope.root if envelope.role == ROOT else envelope.targets
