"""Look at the policy of a node: what its owner should know, and whether its distributed part can be had, until when."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from keys.rfc3339 import to_rfc3339
from trustcli.doctor.expiry import check_expiry
from trustcli.doctor.findings import Finding, Severity
from trustcli.doctor.look import look_at
from trustcli.hooks.deciding.deny_lists import current_denials
from trustcli.hooks.deciding.distributed import Obtained, distributed_policy
from trustcli.hooks.deciding.once import OnceReader
from trustcli.session import Session
from trustdata.counting import counted
from trustdata.errors import TrustError
from trustdata.policy import DenyingCollection, Distributed, Policy
from trustdata.policy.review import review

_SOON: Final = timedelta(days=1)
"""A server signs its roles anew long before so little of their life is left (`trustdata.lifetimes`)."""
_THEN: Final = "every image is refused but those under [verifier] allow"


def check_policy(session: Session, policy: Policy) -> Iterator[Finding]:
    """Return the findings about a policy. `session`: of the hook that decides by it; nothing is kept here."""
    further: Policy | None = None
    if policy.distributed is not None:
        try:
            found = _obtained(session, policy.distributed)
        except TrustError as error:
            yield _finding(policy, "wrong", f"{error}: {_THEN}")
        else:
            further = found.policy
            yield _of_obtained(session, policy, policy.distributed, found)
        yield from _of_collection(session, policy.distributed)
    yield from _deny_lists(session, policy)
    for note in review(policy.tightened(further), session.at):
        yield _finding(policy, "note", f"{note.rule}: {note.text}")


def _deny_lists(session: Session, policy: Policy) -> Iterator[Finding]:
    """Yield whether the deny lists can be had, and what runs out of the trust data of their collections."""
    reader = OnceReader(session, keep=False)
    for of in policy.denying:
        try:
            denials = current_denials([of], reader)
        except TrustError as error:
            yield _finding(policy, "wrong", f"{error}: {_THEN}")
        else:
            (denied,) = denials.lists
            yield _finding(policy, "ok", f"{of} denies {counted(len(denied), 'digest')}, for every name")
            for warning in denials.warnings:
                yield _finding(policy, "wrong", warning)
        yield from _of_collection(session, of)


def _obtained(session: Session, of: Distributed) -> Obtained:
    """Return what is distributed, as the hook would get it at its next pull. Raises: PolicyNotObtained."""
    reader = OnceReader(session, keep=False)
    return distributed_policy(of, session, reader, at=lambda: session.at, only_look=True).current()


def _of_obtained(session: Session, policy: Policy, of: Distributed, found: Obtained) -> Finding:
    until, left = found.kept.fresh_until, found.kept.fresh_until - session.at
    hours = counted(int(left / timedelta(hours=1)), "hour")
    if found.hindrance is not None:
        when = f"verified on {to_rfc3339(found.kept.verified)}, counts until {to_rfc3339(until)}, for {hours} more"
        text = f"the newest of the distributed policy {of} cannot be had ({found.hindrance}): {found.kept.digest}, "
        text += f"{when}; then {_THEN}"
        return _finding(policy, "wrong", text)
    if left < _SOON:
        text = f"the distributed policy {of} is about to expire: {found}, which is in {hours}; then {_THEN}"
        return _finding(policy, "wrong", text)
    return _finding(policy, "ok", f"the distributed policy {of} is {found}")


def _of_collection(session: Session, of: Distributed | DenyingCollection) -> Iterator[Finding]:
    """Yield what runs out of trust data that nobody pulls, and at which nobody else looks."""
    for finding in check_expiry(look_at(session, of.name, of.terms), session.at):
        if finding.severity != "ok":
            yield dataclasses.replace(finding, place=of.name)


def _finding(policy: Policy, severity: Severity, text: str) -> Finding:
    remedy = f"trust policy check {shlex.quote(policy.source)}"
    return Finding(check="policy", severity=severity, text=text, remedy=remedy, place=policy.source)
