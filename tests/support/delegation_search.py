"""The general search of TUF for a target, for repositories of any shape; the product needs only its own shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from trustdata.envelope import Envelope
from trustdata.model import TargetFile
from trustdata.roles import ROOT, TARGETS, RoleName

MAX_DELEGATIONS: Final = 32
"""How many roles one search visits, at most."""


def search_delegations(tag: str, load: Callable[[RoleName, RoleName], Envelope]) -> tuple[RoleName, TargetFile] | None:
    """Search the delegations for a target, in pre-order and depth first (TUF specification 1.0, section 5.6.7).

    Return the role that lists it, and the target; None if no visited role lists it. `load(role, delegator)` returns
    verified metadata or raises an error.
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
