"""What an owner would sign again although it was not verified on this machine before (docs/adr/0122).

A valid signature says that somebody who may has written it. Who signs it again vouches for it from then on, also when
the key of whoever wrote it is taken out: so it is shown before, and somebody agrees.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from trustdata.denied import DENIED_MEMBER, REASON, DenyList, deny_list
from trustdata.editing.difference import Difference, difference
from trustdata.envelope import Envelope
from trustdata.gun import GUN, NAME_MEMBER
from trustdata.model import Content, DelegatedRole, Role, Root, Targets
from trustdata.roles import ROOT, RoleName

_COMPARED: Final[Mapping[type[Content], str]] = {Root: NAME_MEMBER, Targets: DENIED_MEMBER}
"""The members of ours that a difference names, in the files where they count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """A stored file that says something that was not verified here before.

    `before`: the version of the role that was verified here last; None if none was, so that all is new. `difference`:
    what the file says otherwise. `others`: whether members differ that the difference does not name, or the order in
    which signers are asked.
    """

    role: RoleName
    version: int
    sha256: str
    before: int | None
    difference: Difference
    others: bool

    @property
    def reference(self) -> str:
        """The name of exactly this file: `ROLE@sha256:HEX`."""
        return f"{self.role}@sha256:{self.sha256}"


class Look(Protocol):
    """Shows an owner what would be signed again, and remembers whether it may be."""

    def __call__(self, gun: GUN, unseen: Sequence[Unseen]) -> None:
        """Return if these files of the collection may be signed again. Raises: ContentUnseen."""

    def in_plan(self, *, shown: bool) -> Look | None:
        """Return the look for a plan, which asks nobody. `shown`: whether the owner sees the plan: that is a look."""


def find_unseen(file: Envelope, before: Envelope | None) -> Unseen | None:
    """Return what a stored file says that `before`, which was verified here last of its role, does not; None: nothing.

    A root of which none was verified here is not looked at: its chain comes from the pin, and root keys alone have
    signed it.
    """
    if before is None and file.role == ROOT:
        return None
    if before is not None and before.sha256 == file.sha256:
        return None
    found = difference({} if before is None else {file.role: before}, {file.role: file.content})
    if before is None:
        others = bool(_others(file.content))
        others_or_name = others
    else:
        others = (_order(file.content), _others(file.content)) != (_order(before.content), _others(before.content))
        others_or_name = others or any(change.named is not None for change in found.roles)
    if not (found.tags or found.keys or found.delegations or found.denied or others_or_name):
        return None
    return Unseen(
        role=file.role,
        version=file.version,
        sha256=file.sha256,
        before=None if before is None else before.version,
        difference=found,
        others=others,
    )


def carried_tags(stored: Envelope, content: Content) -> Iterator[tuple[str, str]]:
    """Yield the tags, with digests in hex, that new content lists exactly as the stored file does."""
    old = stored.content.targets if isinstance(stored.content, Targets) else {}
    new = content.targets if isinstance(content, Targets) else {}
    for tag in sorted(new.keys() & old.keys()):
        entry = new[tag]
        if entry == old[tag]:
            yield tag, entry.hashes.get("sha256", "")


def _order(content: Content) -> tuple[str, ...]:
    """Return the delegations in the order in which clients ask them."""
    return tuple(_delegated(content))


def _others(content: Content) -> Mapping[str, object]:
    """Return the members that a difference does not name: those that are not ours, hash bins, and more of a root."""
    found: dict[str, object] = {
        name: value for name, value in content.unrecognized_fields.items() if name != _COMPARED.get(type(content))
    }
    if isinstance(content, Root):
        found["consistent_snapshot"] = bool(content.consistent_snapshot)
    denied = deny_list("", content) if isinstance(content, Targets) else DenyList("", {})
    found |= {f"denied {digest}": _besides_reason(denied.entry(digest)) for digest in denied}
    roles: Mapping[str, Role] = content.roles if isinstance(content, Root) else _delegated(content)
    found |= {f"role {name}": role.unrecognized_fields for name, role in roles.items()}
    delegations = content.delegations if isinstance(content, Targets) else None
    if delegations is not None:
        found["delegations"] = delegations.unrecognized_fields
        found["bins"] = delegations.succinct_roles and delegations.succinct_roles.to_dict()
    return {name: value for name, value in found.items() if value}


def _besides_reason(entry: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in entry.items() if name != REASON}


def _delegated(content: Content) -> Mapping[str, DelegatedRole]:
    delegations = content.delegations if isinstance(content, Targets) else None
    return (delegations and delegations.roles) or {}
