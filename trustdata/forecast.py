"""Judge an image at another time by the trust data of now: what breaks on that day if its owners do nothing.

The files are those that were verified. What is left of verification at another time is whether each file has expired,
in the order in which a client looks (`verification.trusted_set`). It is a simulation, and never a reason to run an
image.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Final

from keys.record import record
from trustdata.envelope import Envelope
from trustdata.errors import MetadataExpired, TrustError, shown
from trustdata.judgement import Evidence, Judgement, Question, judge, needed_roles, refused
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification import checks
from trustdata.verification.delegations import delegations_of
from trustdata.wire import WireFormat

_TOP: Final = (ROOT, TIMESTAMP, SNAPSHOT, TARGETS)


@record
class ClientAnswer:
    """What clients of one kind would say. `refusal`: the sentence, "" if they take the image. `note`: beside it."""

    client: str
    refusal: str = ""
    note: str = ""


def judge_at(
    question: Question, roles: Mapping[RoleName, Envelope], *, at: datetime, renewed: AbstractSet[RoleName]
) -> Judgement:
    """Judge an image at another time. No TrustError is raised: it becomes the refusal.

    `roles`: verified, as for `judge`. `renewed`: the roles that somebody will have signed again until then, unchanged.
    """
    valid = dict(roles)
    expired: dict[RoleName, TrustError] = {}
    try:
        for role in _TOP:
            _check(roles[role], at, renewed)
        for role in needed_roles(question, roles[TARGETS]):
            try:
                if role in valid:
                    _check(valid[role], at, renewed)
            except MetadataExpired as refusal:
                expired[role] = refusal
                del valid[role]
    except TrustError as refusal:
        return refused(question, refusal)
    if RELEASES in expired:
        return refused(question, expired[RELEASES])
    judgement = judge(question, valid, expired)
    return judgement if judgement.evidence is None else _lasting(judgement, judgement.evidence, valid, renewed)


def first_to_break(
    question: Question, roles: Mapping[RoleName, Envelope], *, renewed: AbstractSet[RoleName]
) -> Envelope | None:
    """Return the file with whose expiry an image that is allowed now is refused; None if none of them decides it.

    `roles`, `renewed`: as for `judge_at`.
    """
    for file in sorted(roles.values(), key=lambda file: (file.expires, file.role)):
        refusal = judge_at(question, roles, at=file.expires, renewed=renewed).refusal
        if refusal is not None:
            # Several may expire at this instant: the one that is named.
            return roles[RoleName(refusal.role)] if isinstance(refusal, MetadataExpired) else file
    return None


def other_clients(
    question: Question,
    roles: Mapping[RoleName, Envelope],
    *,
    at: datetime,
    renewed: AbstractSet[RoleName],
    wire: WireFormat,
) -> tuple[ClientAnswer, ...]:
    """Return what the clients of others would say, who know neither policies nor required signers."""
    plain = Question(gun=question.gun, tag=question.tag, digest=question.digest)
    if not wire.lists_versions:
        return (_notary(plain, roles, at, renewed),)
    answer = judge_at(plain, roles, at=at, renewed=renewed)
    on_demand = ClientAnswer(client="python-tuf, go-tuf, tuf-js", refusal=_sentence(answer.refusal))
    refusal = answer.refusal or _first_expired_delegation(roles, at)
    return on_demand, ClientAnswer(client="tough, which loads all delegations", refusal=_sentence(refusal))


def _notary(
    question: Question, roles: Mapping[RoleName, Envelope], at: datetime, renewed: AbstractSet[RoleName]
) -> ClientAnswer:
    """Return what `docker` and `notary` would say, which pass over a delegation that has expired."""
    client = "docker up to 28, and notary"
    answer = judge_at(question, roles, at=at, renewed=renewed)
    refusal = answer.refusal
    if not isinstance(refusal, MetadataExpired) or refusal.role != RELEASES:
        return ClientAnswer(client=client, refusal=_sentence(refusal))
    left = {role: file for role, file in roles.items() if role != RELEASES}
    beneath = judge(question, left)
    note = f"they pass over {shown(RELEASES)}, which has expired, and look in {TARGETS}"
    if beneath.digest is not None:
        note += f": there it is {beneath.digest}"
    return ClientAnswer(client=client, refusal=_sentence(beneath.refusal), note=note)


def _first_expired_delegation(roles: Mapping[RoleName, Envelope], at: datetime) -> TrustError | None:
    for role in delegations_of(roles[TARGETS].targets):
        try:
            if role in roles:
                checks.check_not_expired(roles[role], at)
        except MetadataExpired as refusal:
            return refusal
    return None


def _check(file: Envelope, at: datetime, renewed: AbstractSet[RoleName]) -> None:
    if file.role not in renewed:
        checks.check_not_expired(file, at)


def _lasting(
    judgement: Judgement, evidence: Evidence, roles: Mapping[RoleName, Envelope], renewed: AbstractSet[RoleName]
) -> Judgement:
    """Return an allowed judgement whose evidence names what is not renewed by itself, since only that runs out."""
    lasting: dict[str, int] = {role: version for role, version in evidence.versions.items() if role not in renewed}
    shortened = Evidence(
        versions=lasting,
        released_by=evidence.released_by,
        tags=evidence.tags,
        signers=evidence.signers,
        fresh_until=min((roles[RoleName(role)].expires for role in lasting), default=evidence.fresh_until),
        signed_as=evidence.signed_as,
    )
    return Judgement(question=judgement.question, digest=judgement.digest, evidence=shortened)


def _sentence(refusal: TrustError | None) -> str:
    return "" if refusal is None else str(refusal)
