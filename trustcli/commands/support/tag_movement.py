"""Say that a tag moves: by us, to another digest; or by others, so that an edit must not replace what it never saw."""

from __future__ import annotations

from typing import Final

from trustcli.errors import TagChanged
from trustcli.publish.preparation import Roles
from trustdata.editing import repository_editor
from trustdata.gun import GUN
from trustdata.roles import RoleName, signer_name
from trustdata.verification.target_lookup import Target, signers_of_target

NOTHING: Final = "nothing"


def released_as(target: Target | None) -> str:
    """Return what a tag is released as: `sha256:HEX` or `nothing`."""
    return f"sha256:{target.digest}" if target else NOTHING


def move_warning(gun: GUN, tag: str, was: Target, roles: Roles, *, to: str) -> str:
    """Return the warning before a tag is signed as another digest: who has signed it as which. `to`: `sha256:HEX`."""
    by = f" by {', '.join(map(signer_name, _signers(was, roles)))}" if _signers(was, roles) else ""
    return f"{gun}:{tag} was signed as {released_as(was)}{by}, and moves to {to}"


def tag_changed(
    gun: GUN, tag: str, now: Target | None, roles: Roles, *, ours: str, our_signers: tuple[str, ...] = ()
) -> TagChanged:
    """Return the error for a moved tag, which names the signers of its new digest. `ours`: what we wanted to set."""
    theirs = _signers(now, roles) if now else ()
    return TagChanged(
        gun=gun,
        tag=tag,
        ours=ours,
        theirs=released_as(now),
        their_signers=tuple(map(signer_name, theirs)),
        our_signers=our_signers,
    )


def _signers(target: Target, roles: Roles) -> tuple[RoleName, ...]:
    return signers_of_target(target, roles, list(repository_editor.signers_of(roles)))
