"""Patterns of collection names: a whole name, the beginning of names before `/*`, or `*` for every name.

Names are compared in their normal form, so a pattern must be written in it, too.
"""

from __future__ import annotations

from typing import Final

from trustdata.errors import InvalidName
from trustdata.gun import GUN, parse_gun

PATTERN: Final = (
    "must be a name with its host in normal form (docker.io/library/alpine, without :443), the beginning of one "
    'before /*, or "*"'
)
"""What `is_pattern` wants, for messages."""


def pattern_matches(pattern: str, gun: GUN) -> bool:
    """`a/*` matches `a/b` and `a/b/c`, not `a`; `*` matches every name."""
    if pattern == "*":
        return True
    if pattern.endswith("/*"):
        return gun.startswith(pattern[:-1])
    return gun == pattern


def is_pattern(match: str) -> bool:
    """Whether names can match."""
    if match == "*":
        return True
    name = f"{match[:-1]}x/x" if match.endswith("/*") else match
    try:
        parse_gun(name)
    except InvalidName:
        return False
    host, _, path = name.partition("/")
    if host in ("docker.io", "localhost"):
        return host == "localhost" or "/" in path
    return ("." in host or ":" in host) and host != "index.docker.io" and not host.endswith(":443")
