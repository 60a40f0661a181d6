"""The one answer that every choke point gives: allowed or not, which digest, and why."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from trustdata.envelope import Envelope
from trustdata.errors import MetadataMissing, NotSigned, PolicyRefused, TagMismatch, TrustError
from trustdata.gun import GUN
from trustdata.policy import Requirement
from trustdata.roles import RELEASES, TARGETS, RoleName, signer_name
from trustdata.verification import checks
from trustdata.verification.target_lookup import (
    Target,
    find_released,
    released_with_digest,
    releases_must_be_there,
    signers_of_target,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked: a tag, a digest (`sha256:HEX`), or both. `required_signers`: all of them must have signed;
    `policy`: what a policy's rule asks for besides.
    """

    gun: GUN
    tag: str | None
    digest: str | None
    required_signers: tuple[str, ...] = ()
    policy: Requirement | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """On what an answer rests. `versions` by role; `fresh_until`: when the first of the roles used expires (UTC)."""

    versions: Mapping[str, int]
    released_by: str
    tags: tuple[str, ...]
    signers: tuple[str, ...]
    fresh_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """`allowed` is the verdict. Allowed: `digest` (`sha256:HEX`) is what may run and `evidence` says why; refused:
    `refusal` says why. Never both.
    """

    question: Question
    digest: str | None = None
    evidence: Evidence | None = None
    refusal: TrustError | None = None

    @property
    def allowed(self) -> bool:
        return self.refusal is None and self.digest is not None and self.evidence is not None


def needed_roles(question: Question, targets: Envelope) -> tuple[RoleName, ...]:
    """The delegations (below the given, verified `targets`) that must be loaded to answer the question."""
    delegated = checks.delegations_of(targets.targets)
    named = (role for requirement in _requirements(question) for role in requirement.roles())
    wanted = [RELEASES, *dict.fromkeys(named)]
    return tuple(role for role in wanted if role in delegated)


def judge(question: Question, roles: Mapping[RoleName, Envelope]) -> Judgement:
    """Answer from verified roles: root, timestamp, snapshot, targets and those of `needed_roles` that are published.

    Never raises a TrustError: whatever cannot be judged is refused.
    """
    try:
        target, signers = _first_vouched(question, _targets(question, roles), roles)
    except TrustError as refusal:
        return Judgement(question=question, refusal=refusal)
    digest = question.digest or f"sha256:{target.digest}"
    used = [role for role in roles if role != RELEASES or target.role == RELEASES]
    evidence = Evidence(
        versions={role: roles[role].version for role in used},
        released_by=target.role,
        tags=(target.tag,),
        signers=tuple(map(signer_name, signers)),
        fresh_until=min(roles[role].expires for role in used),
    )
    return Judgement(question=question, digest=digest, evidence=evidence)


def refused(question: Question, refusal: TrustError) -> Judgement:
    """The answer when trust data could not even be had."""
    return Judgement(question=question, refusal=refusal)


def _targets(question: Question, roles: Mapping[RoleName, Envelope]) -> list[Target]:
    """What the question can mean: the tag's target, or every released one with the digest; at least one."""
    if releases_must_be_there(roles[TARGETS].targets) and RELEASES not in roles:
        raise MetadataMissing(role=RELEASES, reason="targets delegates to it, but the snapshot does not list it")
    asked = question.digest.removeprefix("sha256:") if question.digest else None
    if question.tag is None:
        if asked is None:
            raise NotSigned(gun=question.gun, tag="")
        found = released_with_digest(asked, roles)
        if not found:
            raise NotSigned(gun=question.gun, tag=f"sha256:{asked}")
        return found
    target = find_released(question.tag, roles)
    if target is None:
        raise NotSigned(gun=question.gun, tag=question.tag, signers=_listing(question.tag, roles))
    if asked is not None and not target.answers(asked):
        raise TagMismatch(gun=question.gun, tag=question.tag, asked=f"sha256:{asked}", signed=f"sha256:{target.digest}")
    return [target]


def _first_vouched(
    question: Question, targets: list[Target], roles: Mapping[RoleName, Envelope]
) -> tuple[Target, tuple[RoleName, ...]]:
    """The first target that those who must have signed it have signed. Raises: PolicyRefused, for the last one."""
    *earlier, last = targets
    for target in earlier:
        with suppress(PolicyRefused):
            return target, _check_signers(question, target, roles)
    return last, _check_signers(question, last, roles)


def _listing(tag: str, roles: Mapping[RoleName, Envelope]) -> tuple[str, ...]:
    delegated = [role for role in checks.delegations_of(roles[TARGETS].targets) if role != RELEASES and role in roles]
    return tuple(signer_name(role) for role in delegated if tag in roles[role].targets.targets)


def _check_signers(question: Question, target: Target, roles: Mapping[RoleName, Envelope]) -> tuple[RoleName, ...]:
    """Enough of the required signers must list the same digest in roles of their own; there is no falling back to the
    repository key (pull-hooks 7). Returns everybody who lists it.
    """
    delegated = [role for role in checks.delegations_of(roles[TARGETS].targets) if role != RELEASES]
    asked = question.digest.removeprefix("sha256:") if question.digest else None
    agreeing = signers_of_target(target, roles, delegated, asked)
    for requirement in _requirements(question):
        requirement.check(question.gun, target, agreeing, roles, asked=question.digest)
    return agreeing


def _requirements(question: Question) -> tuple[Requirement, ...]:
    named = tuple(Requirement(source=f"--signer {n}", signers=(n,), threshold=1) for n in question.required_signers)
    return named if question.policy is None else (*named, question.policy)
