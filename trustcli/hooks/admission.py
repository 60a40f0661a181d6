"""Decide whether content may run under a name: the one question of every pull-time hook.

Only returning allows it. Every error is an exception, and so a refusal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trustcli.errors import HookRequestMalformed
from trustdata.errors import NotTrusted
from trustdata.roles import TARGETS

if TYPE_CHECKING:
    from trustcli.registry.reference import ImageReference
    from trustcli.session import Session
    from trustdata.judgement import Evidence


def admit(session: Session, reference: ImageReference, digest: str) -> str:
    """Return why the content (`sha256:HEX`, as the registry served it) may run under the name, in words.

    The allow list is checked first and decides alone; then policy, pins and trust data. Rollback memory is written
    before this returns. A name without tag and digest means `latest`. Raises: TrustError; every one of them is a
    refusal.
    """
    if reference.digest not in {None, digest}:
        reason = f"is {digest}, but the name says {reference.digest}"
        raise HookRequestMalformed(place="the digest", reason=reason)
    settings = session.settings.verifier
    for entry in settings.allow:
        if entry.allows(reference.gun, digest):
            return f"{reference.gun}@{digest} needs no signature: {entry} stands under [verifier] allow"
    return _verified(session, reference, digest)


def _verified(session: Session, reference: ImageReference, digest: str) -> str:
    from trustcli.client.policy_file import load_policy, question_about

    file = session.settings.verifier.policy
    rule = load_policy(file).rule_for(reference.gun) if file else None
    collection = session.collection(
        reference.gun,
        policy_pins=rule.sourced_pins() if rule else (),
        policy_max_life=rule.max_life if rule else None,
        memory_required=True,
    )
    (answer,) = collection.judge([question_about(reference, rule=rule, digest=digest)])
    if answer.refusal is not None:
        raise answer.refusal
    if not answer.allowed or answer.digest != digest or answer.evidence is None:
        raise NotTrusted
    return f"{reference.gun}:{answer.evidence.tags[0]} is signed as {digest} {_by(answer.evidence)}"


def _by(evidence: Evidence) -> str:
    """Return who signed the tag, for the message; signers' own roles are read only if the policy asks for them."""
    if evidence.signers:
        return f"by {', '.join(evidence.signers)}"
    return "by the repository key" if evidence.released_by == TARGETS else f"and released in {evidence.released_by}"
