"""Read what a collection holds for the Python API, as `trust inspect` does."""

from __future__ import annotations

from trustcli.api.values import ExpiredRole, Inspected, KeyHolder, SignedTag
from trustcli.commands.support.inspecting import content_of, expired_roles
from trustcli.registry.reference import parse_reference
from trustcli.session import Session
from trustdata.errors import shown


def inspect(session: Session, image: str) -> Inspected:
    """Return what the collection of an image holds. Raises: TrustError."""
    reference = parse_reference(image)
    roles = session.collection(reference.gun).owner_roles()
    content = content_of(roles, tag=reference.tag)
    expired = expired_roles(roles, at=session.at)
    return Inspected(
        image=image,
        repository=reference.gun,
        tags=tuple(
            SignedTag(
                tag=found.tag,
                digest=f"sha256:{found.digest}",
                size=found.length,
                signers=found.signers,
                released_by=found.releasers,
            )
            for found in content.tags
        ),
        signers=tuple(KeyHolder(name=found.name, keys=found.keyids) for found in content.signers),
        root_keys=content.root.keyids,
        repository_keys=content.repository.keyids,
        expired=tuple(
            ExpiredRole(role=shown(role), version=file.version, at=file.expires) for role, file in expired.items()
        ),
        faults={shown(role): fault for role, fault in roles.faults.items()},
        unusable={shown(error.target): error for error in content.unusable},
    )
