"""What a collection holds and what of it has expired, to be shown by `trust inspect` and the Python API."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from trustdata.envelope import Envelope
from trustdata.inspection import Inspection, inspect
from trustdata.roles import RoleName

if TYPE_CHECKING:
    from trustdata.editing.owner_roles import OwnerRoles


def content_of(roles: OwnerRoles, *, tag: str | None) -> Inspection:
    """Return what clients see in a collection, expiry apart: all of it, or only one tag.

    Raises: ReleaseConflict, DelegationOutOfScope, ContentMismatch.
    """
    content = inspect(roles.sound(), tag=tag)
    # Clients refuse the tags if they refuse targets/releases. What targets lists of them is not what was released last.
    return replace(content, tags=()) if roles.releases_unreadable() else content


def expired_roles(roles: OwnerRoles, *, at: datetime) -> dict[RoleName, Envelope]:
    """Return those of the roles that verify whose time is over."""
    return {role: envelope for role, envelope in roles.sound().items() if envelope.expires <= at}
