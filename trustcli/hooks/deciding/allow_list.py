"""Decide by the allow list of this machine's settings, which is looked at before every rule.

Only a deny list that the policy names counts before it (docs/adr/0108).

It counts also while the policy cannot be read: what starts a node may have to run before somebody can put that right.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from trustcli.hooks.deciding.decision import Decision

if TYPE_CHECKING:
    from trustcli.config.verifier_settings import AllowedImage
    from trustcli.registry.reference import ImageReference
    from trustdata.gun import GUN


def allowed_by_list(
    allow: Iterable[AllowedImage], reference: ImageReference, digest: str | None = None
) -> Decision | None:
    """Return the decision if an entry of the list names the image, else None.

    `digest`: what the registry serves; it must be that of the reference, if that has one.
    """
    if digest is not None and reference.digest not in {None, digest}:
        return None
    known = reference.digest or digest
    for entry in allow:
        if entry.allows(reference.gun, known or ""):
            named = f"{reference.gun}@{known}" if known else str(reference)
            return Decision(
                image=reference.given,
                trust_name=reference.gun,
                allowed=True,
                digest=known,
                mode="allow",
                rule=f"[verifier] allow, {entry}",
                reason=f"{named} needs no signature: {entry} stands under [verifier] allow",
                by_allow_list=True,
            )
    return None


def allows_all(allow: Iterable[AllowedImage], gun: GUN) -> bool:
    """Return whether an entry of the list allows whatever the registry serves under a name."""
    return any(entry.allows(gun, "") for entry in allow)
