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
from trustdata.roles import ROOT, RoleName
from trustdata.verification import checks


def check_second_opinion(roles: Mapping[RoleName, Envelope], changed: Iterable[RoleName]) -> None:
    """Let python-tuf verify each changed role against every role of the new state that delegates to it.

    Raises: PublishRefused.
    """
    judged = {role for role in changed if len(roles[role].raw) <= SECOND_OPINION_BELOW}
    if ROOT in judged:
        _verify(roles[ROOT], roles[ROOT])
    for delegator, role in checks.reachable_delegations(roles):
        if role in judged:
            _verify(roles[delegator], roles[role])


def _verify(delegator: Envelope, envelope: Envelope) -> None:
    content = delegator.content
    if not isinstance(content, Root | Targets):
        raise PublishRefused(role=envelope.role, reason=f"{delegator.role} cannot delegate")
    try:
        metadata: Metadata[Root] | Metadata[Targets] = Metadata.from_bytes(envelope.raw)
        content.verify_delegate(envelope.role, metadata.signed_bytes, metadata.signatures)
    except (RepositoryError, ValueError) as error:
        raise PublishRefused(role=envelope.role, reason=f"python-tuf refuses it: {error}") from error
