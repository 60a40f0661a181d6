"""What a collection holds and what of it has expired, to be shown by `trust inspect` and the Python API."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from trustdata.counting import counted
from trustdata.denied import deny_list
from trustdata.editing.denying import released_although_denied
from trustdata.envelope import Envelope
from trustdata.errors import shown
from trustdata.gun import GUN
from trustdata.inspection import Inspection, inspect
from trustdata.roles import TARGETS, RoleName

if TYPE_CHECKING:
    from trustdata.editing.owner_roles import OwnerRoles


def content_of(roles: OwnerRoles, *, tag: str | None) -> Inspection:
    """Return what clients see in a collection, expired or not: all of it, or only one tag.

    Raises: ReleaseConflict, DelegationOutOfScope, ContentMismatch.
    """
    content = inspect(roles.sound(), tag=tag)
    # Clients refuse the tags if they refuse targets/releases. What targets lists of them is not what was released last.
    return replace(content, tags=()) if roles.releases_unreadable() else content


def expired_roles(roles: OwnerRoles, *, at: datetime) -> dict[RoleName, Envelope]:
    """Return those of the roles that verify whose time is over."""
    return {role: envelope for role, envelope in roles.sound().items() if envelope.expires <= at}


def denied_lines(roles: OwnerRoles, gun: GUN) -> Iterator[str]:
    """Yield what is to be said of denied digests; docker's form of the content has no place for them."""
    denied = deny_list(gun, roles[TARGETS].targets)
    if not denied:
        return
    yield f"{gun} denies {counted(len(denied), 'digest')}: trust deny --list {gun}"
    for target in released_although_denied(denied, roles.each_released()):
        yield f"{gun}:{shown(target.tag)} is signed, and nothing lets it run: it is denied, or a platform of it is"
