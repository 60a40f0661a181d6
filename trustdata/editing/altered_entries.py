"""Find entries of tags that a thief may have altered beside the digest, and the entry to put there (docs/adr/0119).

An entry is more than a digest: the platforms of an index run by their own digests, because the entry lists them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from trustdata.denied import DenyList
from trustdata.envelope import Envelope
from trustdata.errors import ContentMismatch, TargetUnusable
from trustdata.model import TargetFile
from trustdata.roles import RELEASES, TARGETS, RoleName
from trustdata.verification.delegations import delegations_of, may_list
from trustdata.verification.target_lookup import Target, read_target

_OURS = "oci"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlteredEntry:
    """A tag in a releasing role, and the entry that is to stand there, with the same digest.

    `proven`: whether somebody else vouches for that entry, or it was verified here; else it lists no platform.
    `source`: the role of the signer in whose file the entry stands; None if it is taken from nobody's.
    """

    role: RoleName
    tag: str
    entry: TargetFile
    proven: bool
    source: RoleName | None = None


def without_platforms(entry: TargetFile, denied: DenyList) -> TargetFile:
    """Return the entry of an index without its platforms, except denied ones, which stop the index."""
    children = read_target(RoleName(""), entry.path, entry).children
    stopping = [digest for digest in children if f"sha256:{digest}" in denied]
    custom = {name: value for name, value in (entry.custom or {}).items() if name != _OURS}
    if stopping:
        custom[_OURS] = {"manifests": stopping}
    return TargetFile(entry.length, dict(entry.hashes), entry.path, {"custom": custom} if custom else {})


def usable(role: RoleName, tag: str, entry: TargetFile) -> Target | None:
    """Return what an entry says; None if no client can use it."""
    try:
        return read_target(role, tag, entry)
    except (TargetUnusable, ContentMismatch):
        return None


def size_and_platforms(tag: str, entry: TargetFile) -> tuple[int, frozenset[str]] | None:
    """Return what an entry says beside the digest: the size and the platforms; None if no client can use it."""
    target = usable(TARGETS, tag, entry)
    return None if target is None else (target.length, frozenset(target.children))


def contradicted(roles: Mapping[RoleName, Envelope], leaving: RoleName) -> Iterator[AlteredEntry]:
    """Yield the released entries that all remaining signers of the same digest contradict, in its size or platforms.

    `roles`: those that verify. `leaving`: the role of a signer who is removed.
    """
    targets = roles[TARGETS].targets
    staying = [role for role in delegations_of(targets) if role in roles and role not in {RELEASES, leaving}]
    for tag, entry in roles[RELEASES].targets.targets.items() if RELEASES in roles else ():
        released = usable(RELEASES, tag, entry)
        said: dict[RoleName, TargetFile] = {}
        for role in staying:
            own = roles[role].targets.targets.get(tag)
            listed = usable(role, tag, own) if own is not None and may_list(targets, role, tag) else None
            if own is not None and listed is not None and released is not None and listed.digest == released.digest:
                said[role] = own
        if said and size_and_platforms(tag, entry) not in [size_and_platforms(tag, each) for each in said.values()]:
            source, own = next(iter(said.items()))
            yield AlteredEntry(role=RELEASES, tag=tag, entry=own, proven=True, source=source)
