"""Detect that others have moved a tag: an edit may replace only the value that it saw at first."""

from __future__ import annotations

from typing import Final

from trustcli.errors import TagChanged
from trustcli.publish.preparation import Roles
from trustdata.editing import repository_editor
from trustdata.gun import GUN
from trustdata.roles import signer_name
from trustdata.verification.target_lookup import Target, signers_of_target

NOTHING: Final = "nothing"


def released_as(target: Target | None) -> str:
    """Return what a tag is released as: `sha256:HEX` or `nothing`."""
    return f"sha256:{target.digest}" if target else NOTHING


def tag_changed(
    gun: GUN, tag: str, now: Target | None, roles: Roles, *, ours: str, our_signers: tuple[str, ...] = ()
) -> TagChanged:
    """Return the error for a moved tag, which names the signers of its new digest. `ours`: what we wanted to set."""
    theirs = signers_of_target(now, roles, list(repository_editor.signers_of(roles))) if now else ()
    return TagChanged(
        gun=gun,
        tag=tag,
        ours=ours,
        theirs=released_as(now),
        their_signers=tuple(map(signer_name, theirs)),
        our_signers=our_signers,
    )
