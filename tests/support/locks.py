"""The lock files, as they are read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.building import SOURCE


@dataclass(frozen=True, kw_only=True)
class Locked:
    """One entry: its version, the condition under which it counts, and its hashes."""

    version: str
    marker: str
    hashes: frozenset[str]


def _entries(text: str) -> dict[str, Locked]:
    found: dict[str, Locked] = {}
    for entry in re.sub(r"\\\n", " ", text).splitlines():
        if entry.startswith("#"):
            continue
        said, *hashes = entry.split("--hash=")
        requirement = Requirement(said)
        (pin,) = requirement.specifier
        assert pin.operator == "==", entry
        name = canonicalize_name(requirement.name)
        assert name not in found, f"{name} stands there twice"
        found[name] = Locked(
            version=pin.version, marker=str(requirement.marker or ""), hashes=frozenset(word.strip() for word in hashes)
        )
    return found


_LOCK: Final = (SOURCE / "requirements.lock").read_text(encoding="utf-8")
_LOCKED_RUNS, _, _LOCKED_BUILDS = _LOCK.partition("# What builds")
RUNS: Final = _entries(_LOCKED_RUNS)
BUILDS: Final = _entries("# " + _LOCKED_BUILDS)
WHOLE: Final = _entries((SOURCE / "requirements-dev.lock").read_text(encoding="utf-8"))
EXTRAS: Final = {
    extra: frozenset(names.split())
    for extra, _, names in (
        line.partition(":")
        for line in (SOURCE / "requirements-extras.lock").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    )
}
"""The names of the packages that each extra adds to what runs."""
