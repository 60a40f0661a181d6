"""Judge what clients would answer after a publish, before anything is sent."""

from __future__ import annotations

from trustdata.editing.owner_roles import OwnerRoles
from trustdata.errors import PublishRefused, TrustError
from trustdata.roles import RELEASES


def check_same_releases(before: OwnerRoles, after: OwnerRoles) -> None:
    """Check that an edit that is not about tags changes no released digest.

    Where clients refuse the releases, or they begin empty, the owner has decided what changes. Raises: PublishRefused.
    """
    if not before or RELEASES in before.emptied or before.releases_unreadable():
        return
    try:
        old = {target.tag: target.digest for target in before.each_released()}
    except TrustError:
        return  # the roles conflict already: clients see no tag
    new = {target.tag: target.digest for target in after.each_released()}
    for tag in sorted(old.keys() | new.keys()):
        if old.get(tag) != new.get(tag):
            role = after.released()[tag].role if tag in new else before.released()[tag].role
            reason = f"{tag} would be released as {_named(new.get(tag))}, and is released as {_named(old.get(tag))}"
            way_out = "; to begin it without any tag: --start-empty targets/releases" if before.undelegated else ""
            raise PublishRefused(role=role, reason=f"{reason}; nothing was sent{way_out}")


def _named(digest: str | None) -> str:
    return "nothing" if digest is None else f"sha256:{digest}"
