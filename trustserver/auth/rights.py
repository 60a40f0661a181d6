"""Say what somebody may do on this server, and what each route wants: the one table from routes to rights.

The table for people, with the routes, is docs/reference/access.md; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from trustserver.auth.authorizer import Action


class Right(StrEnum):
    """What a subject may do with collections of some names. The set may grow."""

    PULL = "pull"
    PUSH = "push"
    INIT = "init"
    DELETE = "delete"
    ROTATE = "rotate"
    AUDIT = "audit"
    PROPOSE = "propose"
    ADMIN = "admin"
    """Every other right, unless a rule takes that one away."""


EVERY_RIGHT: Final = frozenset(Right)

NEEDED: Final[Mapping[Action, frozenset[Right]]] = {
    Action.READ: frozenset({Right.PULL}),
    Action.PUBLISH: frozenset({Right.PUSH}),
    Action.MANAGE_KEYS: frozenset({Right.ROTATE}),
    Action.TAKE_OVER: frozenset({Right.PUSH, Right.ROTATE}),
    Action.DELETE: frozenset({Right.DELETE}),
    Action.LIST: frozenset({Right.AUDIT}),
}
"""The rights that an action needs. What begins a collection under a name that has none needs `init` besides."""

BY_TOKEN_ACTION: Final[Mapping[str, frozenset[Right]]] = {
    "pull": frozenset({Right.PULL}),
    "push": frozenset({Right.PUSH, Right.INIT}),
    "*": EVERY_RIGHT,
}
"""What the actions of a registry token are as rights on the token's repository."""
