"""The `[verifier]` table of `trust.toml`: the settings of this machine's pull-time hook.

[verifier]
policy = "policy.toml"                    # relative to the settings file; see trustdata.policy
timeout = "8s"                            # for the whole verdict; when it is over, the hook refuses with a message
allow = [                                 # infrastructure images that need no signature
    "registry.k8s.io/pause@sha256:...",   # exactly this content, under any tag
    "registry.example.com/cni/*",         # whatever the registry serves: no protection at all for these names
]
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from keys.record import record
from trustcli.config.setting_checks import check_keys, path_beside, table_of, unusable
from trustcli.late_verdict import DEFAULT_TIMEOUT
from trustdata.collection_patterns import NARROW_PATTERN_RULE, is_pattern, meant_pattern, pattern_matches
from trustdata.digest import is_digest
from trustdata.duration import parse_duration
from trustdata.errors import shown
from trustdata.gun import GUN

_MIN_TIMEOUT: Final = 1.0
_MAX_TIMEOUT: Final = 300.0
_SETTINGS: Final = ("allow", "policy", "timeout")


@record
class AllowedImage:
    """An image that needs no signature. `pattern`: its name, or the beginning of one before `/*`.

    `digest`: `sha256:HEX`; None allows all content that the registry serves.
    """

    pattern: str
    digest: str | None

    def allows(self, gun: GUN, digest: str) -> bool:
        """Return whether this content needs no signature under this name."""
        return pattern_matches(self.pattern, gun) and self.digest in {None, digest}

    def __str__(self) -> str:
        return self.pattern + (f"@{self.digest}" if self.digest else "")


@record
class VerifierSettings:
    """The settings of the hook. `timeout`: seconds for one verdict. `policy`: a file, which need not exist yet."""

    allow: tuple[AllowedImage, ...] = ()
    policy: Path | None = None
    timeout: float = DEFAULT_TIMEOUT


def parse_verifier_table(value: object, *, file: Path) -> VerifierSettings:
    """Check and return the `[verifier]` table. Raises: SettingsUnusable, which names the file and the setting."""
    table = table_of(value, file=file, key="verifier")
    check_keys(table, _SETTINGS, file=file, key="verifier")
    allow = table.get("allow", [])
    if not isinstance(allow, list):
        raise unusable(file, "verifier.allow", "must be a list of names")
    policy = table.get("policy")
    return VerifierSettings(
        allow=tuple(_allowed(entry, f"verifier.allow[{index}]", file) for index, entry in enumerate(allow)),
        policy=None if policy is None else path_beside(policy, file=file, key="verifier.policy"),
        timeout=_timeout(table["timeout"], file) if "timeout" in table else DEFAULT_TIMEOUT,
    )


def _allowed(entry: object, setting: str, file: Path) -> AllowedImage:
    if not isinstance(entry, str):
        raise unusable(file, setting, "must be a name")
    pattern, at, digest = entry.partition("@")
    if pattern == "*":
        raise unusable(
            file, setting, 'is "*": nothing would be verified; to turn verification off, remove the verifier'
        )
    if not is_pattern(pattern):
        rule = f"{NARROW_PATTERN_RULE}; no tag, since a tag says nothing about content"
        raise unusable(file, setting, f"is '{shown(entry, 60)}', but {rule}{meant_pattern(pattern)}")
    if at and (pattern.endswith("/*") or not is_digest(digest)):
        raise unusable(file, setting, "may end in @sha256:HEX after one whole name, and in nothing else")
    return AllowedImage(pattern=pattern, digest=digest or None)


def _timeout(value: object, file: Path) -> float:
    try:
        seconds = parse_duration(value).total_seconds() if isinstance(value, str) else 0.0
    except ValueError:
        seconds = 0.0
    if not _MIN_TIMEOUT <= seconds <= _MAX_TIMEOUT:
        raise unusable(
            file, "verifier.timeout", f'must be a time such as "8s", from {_MIN_TIMEOUT:g} s to {_MAX_TIMEOUT:g} s'
        )
    return seconds
