"""Delegations: which roles a role delegates to, in which order, and which targets their paths let them list.

For both formats; sections are those of the TUF specification 1.0.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final

from trustdata.envelope import Envelope
from trustdata.errors import DelegationOutOfScope, MalformedMetadata
from trustdata.model import Delegator, PrefixRole, Root, Targets
from trustdata.roles import ROOT, TARGETS, RoleName

MAX_BIN_BITS: Final = 14
"""The maximum `bit_length` of succinct roles: a snapshot of 1 MiB cannot list 2**14 bins with their hashes."""


def check_scope(delegator: Targets, envelope: Envelope) -> None:
    """Check that a role lists only targets in the paths delegated to it. Raises: DelegationOutOfScope.

    Only uploads are checked so: a client never looks up a target outside these paths.
    """
    for target in envelope.targets.targets:
        if not may_list(delegator, envelope.role, target):
            raise DelegationOutOfScope(role=envelope.role, target=target)


def may_list(delegator: Targets, role: RoleName, target: str) -> bool:
    """Return whether the target is in the paths that `delegator` delegates to the role."""
    delegations = delegator.delegations
    if delegations is None:
        return False
    if delegations.succinct_roles is not None:
        return delegations.succinct_roles.get_role_for_target(target) == role
    delegated = (delegations.roles or {}).get(role)
    if delegated is None:
        return False
    if "*" in (delegated.paths or ()) and "/" not in target and not isinstance(delegated, PrefixRole):
        return True  # the usual case, without pattern matching for each of 10 000 tags
    return delegated.is_delegated_path(target)


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
