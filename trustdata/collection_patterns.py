"""Patterns of collection names: a whole name, a prefix followed by `/*`, or `*` for every name.

Patterns are compared with normalised names, so they must be normalised too. Which targets a delegation may list is
another matter: `verification/delegations.py`.
"""

from __future__ import annotations

from typing import Final

from trustdata.errors import InvalidName
from trustdata.gun import GUN, parse_gun
from trustdata.hosts import DOCKER_HUB, is_host, normal_host

_NAME: Final = "must be a name with its host in normal form (docker.io/library/alpine, without :443)"
PATTERN_RULE: Final = f'{_NAME}, the beginning of one before /*, or "*"'
"""What a valid pattern is, as part of error messages."""
NARROW_PATTERN_RULE: Final = f"{_NAME}, or the beginning of one before /*"
"""The same where `*` is not accepted."""


def pattern_matches(pattern: str, gun: GUN) -> bool:
    """Return whether a pattern matches a name: `a/*` matches `a/b` and `a/b/c`, not `a`; `*` matches every name."""
    if pattern == "*":
        return True
    if pattern.endswith("/*"):
        return gun.startswith(pattern[:-1])
    return gun == pattern


def matching_patterns(gun: GUN) -> frozenset[str]:
    """Return every pattern that matches a name, for who has many patterns to look at."""
    parts = gun.split("/")
    return frozenset({"*", gun, *("/".join([*parts[:count], "*"]) for count in range(1, len(parts)))})


def specificity(pattern: str) -> tuple[bool, int]:
    """Return a key by which a whole name comes after every prefix, and a longer prefix after a shorter one."""
    return not pattern.endswith("*"), len(pattern)


def is_pattern(match: str) -> bool:
    """Return whether the text is a pattern that can match a normalised name."""
    if match == "*":
        return True
    name = f"{match[:-1]}x/x" if match.endswith("/*") else match
    try:
        parse_gun(name)
    except InvalidName:
        return False
    host, _, path = name.partition("/")
    if host == DOCKER_HUB and "/" not in path:
        return False
    return is_host(host) and host == normal_host(host)
