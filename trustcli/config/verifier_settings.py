"""The `[verifier]` table of `trust.toml`: the settings of this machine's pull-time hook.

[verifier]
policy = "policy.toml"                    # relative to the settings file; see trustdata.policy
timeout = "8s"                            # for the whole verdict; a refusal in words when it passes
allow = [                                 # infrastructure images that need no signature
    "registry.k8s.io/pause@sha256:...",   # exactly this content, under any tag
    "registry.example.com/cni/*",         # whatever the registry serves: no protection at all for these names
]
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from keys.record import record
from trustcli.errors import SettingsUnusable
from trustdata.collection_patterns import PATTERN, is_pattern, pattern_matches
from trustdata.duration import parse_duration
from trustdata.errors import shown
from trustdata.gun import GUN

DEFAULT_TIMEOUT: Final = 8.0
"""Seconds.

containerd's own per_verifier_timeout is 10 by default; it then kills the verifier, which can say nothing.
"""
_SHORTEST: Final = 1.0
_LONGEST: Final = 300.0
_KEYS: Final = ("allow", "policy", "timeout")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


@record
class AllowedName:
    """An image that needs no signature. `digest`: `sha256:HEX`; None allows all content that the registry serves."""

    match: str
    digest: str | None

    def covers(self, gun: GUN, digest: str) -> bool:
        """Return whether this content needs no signature under this name."""
        return pattern_matches(self.match, gun) and self.digest in {None, digest}

    def __str__(self) -> str:
        return self.match + (f"@{self.digest}" if self.digest else "")


@record
class VerifierSettings:
    """The settings of the hook. `timeout`: seconds for one verdict. `policy`: a file, which need not exist yet."""

    allow: tuple[AllowedName, ...] = ()
    policy: Path | None = None
    timeout: float = DEFAULT_TIMEOUT


def read_verifier(table: object, *, file: Path) -> VerifierSettings:
    """Check and return the `[verifier]` table. Raises: SettingsUnusable, which names the file and the key."""
    if not isinstance(table, dict):
        raise _unusable(file, "verifier", "must be a table")
    unknown = sorted(set(table) - set(_KEYS))
    if unknown:
        raise _unusable(file, f"verifier.{shown(unknown[0])}", f"is no setting; there are {', '.join(_KEYS)}")
    allow = table.get("allow", [])
    if not isinstance(allow, list):
        raise _unusable(file, "verifier.allow", "must be a list of names")
    policy = table.get("policy")
    if policy is not None and (not isinstance(policy, str) or not policy):
        raise _unusable(file, "verifier.policy", "must be the path of a file")
    return VerifierSettings(
        allow=tuple(_allowed(entry, f"verifier.allow[{index}]", file) for index, entry in enumerate(allow)),
        policy=file.parent / policy if policy else None,
        timeout=_timeout(table["timeout"], file) if "timeout" in table else DEFAULT_TIMEOUT,
    )


def _allowed(entry: object, key: str, file: Path) -> AllowedName:
    if not isinstance(entry, str):
        raise _unusable(file, key, "must be a name")
    match, at, digest = entry.partition("@")
    if match == "*":
        raise _unusable(file, key, 'is "*": nothing would be verified; take the verifier away if that is meant')
    if not is_pattern(match):
        raise _unusable(file, key, f"{PATTERN}; no tag, since a tag says nothing about content".replace(', or "*"', ""))
    if at and (match.endswith("/*") or not _DIGEST.fullmatch(digest)):
        raise _unusable(file, key, "may end in @sha256:HEX after one whole name, and in nothing else")
    return AllowedName(match=match, digest=digest or None)


def _timeout(value: object, file: Path) -> float:
    try:
        seconds = parse_duration(value).total_seconds() if isinstance(value, str) else 0.0
    except ValueError:
        seconds = 0.0
    if not _SHORTEST <= seconds <= _LONGEST:
        raise _unusable(
            file, "verifier.timeout", f'must be a time such as "8s", from {_SHORTEST:g} s to {_LONGEST:g} s'
        )
    return seconds


def _unusable(file: Path, key: str, reason: str) -> SettingsUnusable:
    return SettingsUnusable(place=str(file), reason=f"{key} {reason}")
