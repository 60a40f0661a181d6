"""Verify uploads a second time with the parser and the verifier of python-tuf (docs/adr/0007).

If the two implementations disagree on whether a file is signed, one of them has a serious error. Then the upload is
refused. It takes 64 ms per MB, and much memory for each value, so files that are larger than
`limits.SECOND_OPINION_BELOW` or hold more than `SECOND_OPINION_VALUES` are not checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata

from trustdata.envelope import Envelope
from trustdata.errors import PublishRefused
from trustdata.json_bounds import Excess, count_values
from trustdata.limits import SECOND_OPINION_BELOW, SECOND_OPINION_VALUES
from trustdata.model import Root, Targets
from trustdata.roles import ROOT, TARGETS, RoleName


def check_second_opinion(roles: Mapping[RoleName, Envelope], changed: Iterable[RoleName]) -> None:
    """Verify each changed role with python-tuf, by the role of the new state that delegates to it.

    In our collections that is root for targets, and targets for every other role.

    Raises: PublishRefused if python-tuf refuses one.
    """
    judged = {role for role in changed if _is_small(roles[role].raw)}
    for role in judged:
        _verify(roles[ROOT if role in (ROOT, TARGETS) else TARGETS], roles[role])


def _is_small(raw: bytes) -> bool:
    if len(raw) > SECOND_OPINION_BELOW:
        return False
    try:
        count_values(raw, most=SECOND_OPINION_VALUES)
    except Excess:
        return False
    return True


def _verify(delegator: Envelope, envelope: Envelope) -> None:
    content = delegator.content
    if not isinstance(content, Root | Targets):
        raise PublishRefused(role=envelope.role, reason=f"{delegator.role} cannot delegate")
    try:
        metadata: Metadata[Root] | Metadata[Targets] = Metadata.from_bytes(envelope.raw)
        content.verify_delegate(envelope.role, metadata.signed_bytes, metadata.signatures)
    except (RepositoryError, ValueError) as error:
        raise PublishRefused(role=envelope.role, reason=f"python-tuf refuses it: {error}") from error
