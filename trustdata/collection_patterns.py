"""Patterns of collection names: a whole name, a prefix followed by `/*`, or `*` for every name.

Patterns are compared with normalised names, so they must be normalised too. Which targets a delegation may list is
another matter: `verification/delegations.py`.
"""

from __future__ import annotations

import re
from typing import Final

from trustdata.errors import InvalidName, shown
from trustdata.gun import GUN, parse_gun
from trustdata.hosts import DOCKER_HUB, is_host, normal_host

WHOLE_NAME_RULE: Final = "must be a name with its host in normal form (docker.io/library/alpine, without :443)"
"""What a valid name is where no pattern is accepted, as part of error messages."""
PATTERN_RULE: Final = f'{WHOLE_NAME_RULE}, the beginning of one before /*, or "*"'
"""What a valid pattern is."""
NARROW_PATTERN_RULE: Final = f"{WHOLE_NAME_RULE}, or the beginning of one before /*"
"""The same where `*` is not accepted."""


def pattern_matches(pattern: str, gun: GUN) -> bool:
    """Return whether a pattern matches a name: `a/*` matches `a/b` and `a/b/c`, not `a`; `*` matches every name."""
    if pattern == "*":
        return True
    if pattern.endswith("/*"):
        return gun.startswith(pattern[:-1])
    return gun == pattern


def matching_patterns(gun: GUN) -> frozenset[str]:
    """Return every pattern that matches a name, for callers with many patterns to look at."""
    parts = gun.split("/")
    return frozenset({"*", gun, *("/".join([*parts[:count], "*"]) for count in range(1, len(parts)))})


def specificity(pattern: str) -> tuple[bool, int]:
    """Return a key by which a whole name comes after every prefix, and a longer prefix after a shorter one."""
    return not pattern.endswith("*"), len(pattern)


def is_pattern(match: str) -> bool:
    """Return whether the text is a pattern that can match a normalised name. A host alone is none."""
    if match == "*":
        return True
    name = f"{match[:-1]}x/x" if match.endswith("/*") else match
    try:
        parse_gun(name)
    except InvalidName:
        return False
    host, _, path = name.partition("/")
    if not path or (host == DOCKER_HUB and "/" not in path):
        return False
    return is_host(host) and host == normal_host(host)


def meant_pattern(text: str) -> str:
    """Return `; did you mean docker.io/library/nginx?` for a text that is no pattern and like one, else nothing.

    None that means every name: that is said on purpose.
    """
    head, star, rest = re.sub(r"^[a-z]+://", "", text.lower()).partition("*")
    first, slash, path = head.partition("/")
    is_alone = is_host(first if slash or star else first.partition(":")[0])
    if star:
        path = f"{path.rpartition('/')[0]}/*".removeprefix("/")
    elif slash:
        path = re.split("[:@]", path)[0]
    elif is_alone:
        path = "*"
    if not is_alone:
        short = re.split("[:@]", first)[0]
        first, path = DOCKER_HUB, f"{short}/{path}" if slash else f"library/{short}"
    elif normal_host(first) == DOCKER_HUB and "/" not in path and path != "*":
        path = f"library/{path}"
    found = f"{normal_host(first)}/{path}"
    is_like = is_pattern(found) and not rest and (slash or is_alone or not star)
    return f"; did you mean {shown(found)}?" if is_like else ""
