"""python-tuf's own parser and verifier as a second opinion on what we are about to accept.

Two implementations that disagree on "is this signed?" are an incident: what python-tuf refuses is refused, whatever we
found. Costs 64 ms per MB, so only up to `limits.SECOND_OPINION_BELOW`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata

from trustdata.envelope import Envelope
from trustdata.errors import PublishRefused
from trustdata.limits import SECOND_OPINION_BELOW
from trustdata.model import Root, Targets
from trustdata.roles import ROOT, TARGETS, RoleName
from trustdata.verification import checks


def check_second_opinion(roles: Mapping[RoleName, Envelope], changed: Iterable[RoleName]) -> None:
    """Let python-tuf verify each changed role against every role of the new state that delegates to it.

    Raises: PublishRefused.
    """
    judged = [role for role in changed if len(roles[role].raw) <= SECOND_OPINION_BELOW]
    for role in judged:
        for delegator in _delegators(roles, role):
            _verify(roles[delegator], roles[role])


def _delegators(roles: Mapping[RoleName, Envelope], role: RoleName) -> list[RoleName]:
    if role in (ROOT, TARGETS):
        return [ROOT]
    return [
        name
        for name, envelope in roles.items()
        if isinstance(envelope.content, Targets) and role in checks.delegations_of(envelope.content)
    ]


def _verify(delegator: Envelope, envelope: Envelope) -> None:
    content = delegator.content
    if not isinstance(content, Root | Targets):
        raise PublishRefused(role=envelope.role, reason=f"{delegator.role} cannot delegate")
    try:
        metadata: Metadata[Root] | Metadata[Targets] = Metadata.from_bytes(envelope.raw)
        content.verify_delegate(envelope.role, metadata.signed_bytes, metadata.signatures)
    except (RepositoryError, ValueError) as error:
        raise PublishRefused(role=envelope.role, reason=f"python-tuf refuses it: {error}") from error
