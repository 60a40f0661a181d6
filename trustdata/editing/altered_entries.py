"""Entries of tags that a thief may have altered and whose digest stays, and what is to stand there (docs/adr/0119).

An entry is more than a digest: the platforms of an index run by their own digests, because the entry lists them.
"""

from __future__ import annotations

from dataclasses import dataclass

from trustdata.denied import DenyList
from trustdata.model import TargetFile
from trustdata.roles import RoleName
from trustdata.verification.target_lookup import read_target

_OURS = "oci"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlteredEntry:
    """A tag in a releasing role, and the entry that is to stand there, with the same digest.

    `proven`: whether somebody else vouches for that entry, or it was verified here; else it lists no platform.
    """

    role: RoleName
    tag: str
    entry: TargetFile
    proven: bool


def without_platforms(entry: TargetFile, denied: DenyList) -> TargetFile:
    """Return the entry of an index without its platforms, those apart that are denied: they stop the index."""
    children = read_target(RoleName(""), entry.path, entry).children
    stopping = [digest for digest in children if f"sha256:{digest}" in denied]
    custom = {name: value for name, value in (entry.custom or {}).items() if name != _OURS}
    if stopping:
        custom[_OURS] = {"manifests": stopping}
    return TargetFile(entry.length, dict(entry.hashes), entry.path, {"custom": custom} if custom else {})
