"""Decide whether content may run under a name, for a pull-time hook whose process ends after one answer.

Only returning allows it. Every error is an exception, and so a refusal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trustcli.hooks.deciding.allow_list import allowed_by_list
from trustdata.errors import NotTrusted, TrustError

if TYPE_CHECKING:
    from trustcli.hooks.deciding.decision import Decision
    from trustcli.registry.reference import ImageReference
    from trustcli.session import Session


def admit(session: Session, reference: ImageReference, digest: str) -> str:
    """Return why the content (`sha256:HEX`, as the registry served it) may run under the name, in words.

    The allow list is checked first, and only a deny list of the policy counts before it; then policy, pins and trust
    data. Rollback memory is written before this returns. A name without tag and digest means `latest`. Raises:
    TrustError; every one of them is a refusal.
    """
    decision = allowed_by_list(session.settings.verifier.allow, reference, digest)
    if decision is None:
        decision = _decided(session, reference, digest)
    elif session.settings.verifier.policy:
        decision = _unless_denied(session, decision, reference, digest)
    for warning in decision.warnings:
        session.output.warn(warning)
    if decision.refusal is not None and not decision.allowed:
        raise decision.refusal
    if not decision.allowed or decision.digest != digest:
        raise NotTrusted
    return decision.reason


def _decided(session: Session, reference: ImageReference, digest: str) -> Decision:
    from trustcli.client.policy_file import load_policy
    from trustcli.hooks.deciding.decider import PolicyDecider
    from trustcli.hooks.deciding.distributed import policy_in_use
    from trustcli.hooks.deciding.once import OnceReader

    settings = session.settings.verifier
    policy = None
    if settings.policy:
        policy = policy_in_use(load_policy(settings.policy), session, memory_required=True)
    reader = OnceReader(session, memory_required=True)
    return PolicyDecider(policy, settings.allow, reader, at=lambda: session.at).decide(reference, digest)


def _unless_denied(session: Session, listed: Decision, reference: ImageReference, digest: str) -> Decision:
    """Return what the allow list has decided, unless a deny list of the policy counts before it.

    A policy that cannot be read changes nothing: what starts a node may have to run before somebody puts that right.
    """
    from trustcli.client.policy_file import load_policy
    from trustcli.hooks.deciding.decider import PolicyDecider
    from trustcli.hooks.deciding.once import OnceReader

    settings = session.settings.verifier
    try:
        policy = load_policy(settings.policy) if settings.policy else None
    except TrustError:
        return listed
    if policy is None or not policy.denying:
        return listed
    reader = OnceReader(session, memory_required=True)
    return PolicyDecider(policy, settings.allow, reader, at=lambda: session.at).decide(reference, digest)
