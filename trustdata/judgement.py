"""Judge whether an image may run: the one verdict that all commands and hooks use.

A judgement says whether the image is allowed, with which digest, and why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from types import MappingProxyType
from typing import Final

from keys.record import record
from trustdata.denied import DenyList, check_not_denied, deny_list
from trustdata.digest import hex_of
from trustdata.envelope import Envelope
from trustdata.errors import DigestDenied, MetadataMissing, NotSigned, PolicyRefused, TagMismatch, TrustError
from trustdata.gun import GUN
from trustdata.policy import Requirement
from trustdata.roles import RELEASES, TARGETS, RoleName, signer_name
from trustdata.verification.delegations import delegations_of
from trustdata.verification.target_lookup import (
    Target,
    each_released,
    find_released,
    listed_by_signers,
    released_with_digest,
    requires_published_releases,
    signers_of_target,
)

_NO_FAULTS: Final[Mapping[RoleName, TrustError]] = MappingProxyType({})


@record
class Question:
    """The image to judge: a tag, a digest (`sha256:HEX`), or both.

    `required_signers`: all of them must have signed it. `policy`: what the rules of a policy require in addition.
    `passed_over`: indexes (`sha256:HEX`) that do not vouch for their platforms here; another one may list the same.
    `denied`: lists of other collections that count for it, beside that of its own.
    """

    gun: GUN
    tag: str | None
    digest: str | None
    required_signers: tuple[str, ...] = ()
    policy: tuple[Requirement, ...] = ()
    passed_over: frozenset[str] = frozenset()
    denied: tuple[DenyList, ...] = ()

    @property
    def needs_release(self) -> bool:
        """Whether the tag must be released, as it must unless the rules say that signers alone decide."""
        return not self.policy or any(requirement.released for requirement in self.policy)


@record
class Evidence:
    """The reasons for an allowed image.

    `versions`: of the roles used, by role. `released_by`: the role that lists the tag. `signers`: their names.
    `fresh_until`: when the first of the roles used expires (UTC). `signed_as`: the digest of the tag (`sha256:HEX`);
    another one than that which may run if one of its platforms was asked about.
    """

    versions: Mapping[str, int]
    released_by: str
    tags: tuple[str, ...]
    signers: tuple[str, ...]
    fresh_until: datetime
    signed_as: str = ""


@record
class Judgement:
    """The verdict on a question: either allowed, with `digest` and `evidence`, or refused, with `refusal`.

    `digest`: the digest that may run (`sha256:HEX`).
    """

    question: Question
    digest: str | None = None
    evidence: Evidence | None = None
    refusal: TrustError | None = None

    @property
    def allowed(self) -> bool:
        return self.refusal is None and self.digest is not None and self.evidence is not None


def needed_roles(question: Question, targets: Envelope) -> tuple[RoleName, ...]:
    """Return the delegations that must be loaded to answer the question. `targets`: verified."""
    delegated = delegations_of(targets.targets)
    named = (role for requirement in _requirements(question) for role in requirement.roles())
    candidates = [*([RELEASES] if question.needs_release else []), *dict.fromkeys(named)]
    return tuple(role for role in candidates if role in delegated)


def judge(
    question: Question, roles: Mapping[RoleName, Envelope], faults: Mapping[RoleName, TrustError] = _NO_FAULTS
) -> Judgement:
    """Judge an image by verified roles.

    `roles`: root, timestamp, snapshot, targets, and the published ones of `needed_roles`. `faults`: why roles of
    signers are not among them; such a signer has signed nothing, and others may be enough. No TrustError is raised: it
    becomes the refusal.
    """
    try:
        denied = (deny_list(question.gun, roles[TARGETS].targets), *question.denied)
        if question.digest is not None:
            check_not_denied(question.gun, question.digest, denied)
        targets = _not_denied(question, _targets(question, roles), denied)
        target, signers = _first_with_required_signers(question, targets, roles)
    except PolicyRefused as refusal:
        return Judgement(question=question, refusal=_cause(question, refusal, faults))
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
        signed_as=f"sha256:{target.digest}",
    )
    return Judgement(question=question, digest=digest, evidence=evidence)


def candidates(requirements: Sequence[Requirement], roles: Mapping[RoleName, Envelope]) -> Iterator[Target]:
    """Yield the tags that rules with these requirements may allow, sorted: the released ones, or what signers list.

    A tag may come several times where signers alone decide and disagree; `judge` says which one is allowed.

    Raises: ReleaseConflict, DelegationOutOfScope, ContentMismatch.
    """
    if not requirements or any(requirement.released for requirement in requirements):
        yield from each_released(roles)
    else:
        signers = [role for requirement in requirements for role in requirement.roles()]
        yield from listed_by_signers(dict.fromkeys(signers), roles)


def with_every_signer(judgement: Judgement, roles: Mapping[RoleName, Envelope]) -> Judgement:
    """Return the same verdict, with all signers of the digest in its evidence whose roles are among `roles`.

    Only to be shown: a verdict does not depend on signers that nobody asked for. Raises: ContentMismatch.
    """
    question, evidence = judgement.question, judgement.evidence
    if evidence is None:
        return judgement
    target = next((target for target in _targets(question, roles) if target.tag in evidence.tags), None)
    if target is None:
        return judgement
    delegated = [role for role in delegations_of(roles[TARGETS].targets) if role != RELEASES]
    requested = hex_of(question.digest) if question.digest else None
    signers = signers_of_target(target, roles, delegated, requested)
    shown = Evidence(
        versions=evidence.versions,
        released_by=evidence.released_by,
        tags=evidence.tags,
        signers=tuple(map(signer_name, signers)),
        fresh_until=evidence.fresh_until,
        signed_as=evidence.signed_as,
    )
    return Judgement(question=question, digest=judgement.digest, evidence=shown)


def _cause(question: Question, refusal: PolicyRefused, faults: Mapping[RoleName, TrustError]) -> TrustError:
    """Return why a signer does not count whom the unmet requirement names; the refusal itself if there is no fault."""
    unmet = (requirement for requirement in _requirements(question) if requirement.source == refusal.rule)
    roles = (role for requirement in unmet for role in requirement.roles())
    return next((faults[role] for role in roles if role in faults), refusal)


def refused(question: Question, refusal: TrustError) -> Judgement:
    """Return a refusal for a question that could not be judged, such as when the trust data could not be loaded."""
    return Judgement(question=question, refusal=refusal)


def _targets(question: Question, roles: Mapping[RoleName, Envelope]) -> list[Target]:
    """Return the targets that the question may mean: the one of the tag, or all with the digest; at least one.

    Raises: MetadataMissing, NotSigned, TagMismatch, ReleaseConflict, DelegationOutOfScope, ContentMismatch;
    PolicyRefused if signers alone decide, and one does not belong to the collection or has no file that verifies.
    """
    if not question.needs_release:
        return _signed_targets(question, roles)
    if requires_published_releases(roles[TARGETS].targets) and RELEASES not in roles:
        raise MetadataMissing(role=RELEASES, reason="targets delegates to it, but the snapshot does not list it")
    requested = hex_of(question.digest) if question.digest else None
    if question.tag is None:
        if requested is None:
            raise NotSigned(gun=question.gun, tag="")
        matches = [target for target in released_with_digest(requested, roles) if _vouches(question, target, requested)]
        if not matches:
            raise NotSigned(gun=question.gun, tag=f"sha256:{requested}")
        return matches
    target = find_released(question.tag, roles)
    if target is None:
        raise NotSigned(gun=question.gun, tag=question.tag, signers=_signers_listing(question.tag, roles))
    if requested is not None and not target.has_manifest(requested):
        raise TagMismatch(
            gun=question.gun, tag=question.tag, asked=f"sha256:{requested}", signed=f"sha256:{target.digest}"
        )
    return [target]


def _not_denied(question: Question, targets: list[Target], denied: Sequence[DenyList]) -> list[Target]:
    """Return the targets that no list denies. Raises: DigestDenied if there is none.

    A denied index vouches for none of its platforms. One that lists a denied platform vouches for the others, and must
    not run itself, since whoever gets it chooses the platform.
    """
    lists = [each for each in denied if each]
    if not lists:
        return targets
    kept, refusal = [], None
    for target in targets:
        digest = f"sha256:{target.digest}"
        platforms = [f"sha256:{each}" for each in target.children] if question.digest in {None, digest} else []
        try:
            check_not_denied(question.gun, digest, lists, platforms=platforms)
        except DigestDenied as found:
            refusal = refusal or found
        else:
            kept.append(target)
    if refusal is not None and not kept:
        raise refusal
    return kept


def _signed_targets(question: Question, roles: Mapping[RoleName, Envelope]) -> list[Target]:
    """Return what the required signers list, where they alone decide: one target for each tag and digest."""
    required = [role for requirement in question.policy for role in requirement.roles()]
    requested = hex_of(question.digest) if question.digest else None
    listed = listed_by_signers(dict.fromkeys(required), roles, question.tag, digest=requested)
    found = [target for target in listed if requested is None or _vouches(question, target, requested)]
    if found:
        return found
    for requirement in question.policy:
        for role in requirement.roles():
            if role not in roles:
                delegated = role in delegations_of(roles[TARGETS].targets)
                lacks = (
                    f"has no file that verifies in {question.gun}" if delegated else f"is no signer of {question.gun}"
                )
                name = f"{question.gun}:{question.tag}" if question.tag else str(question.gun)
                raise PolicyRefused(name=name, rule=requirement.source, reason=f"{signer_name(role)} {lacks}")
    if listed and question.tag is not None:
        signed = f"sha256:{listed[0].digest}"
        raise TagMismatch(gun=question.gun, tag=question.tag, asked=str(question.digest), signed=signed)
    raise NotSigned(gun=question.gun, tag=question.tag or question.digest or "")


def _vouches(question: Question, target: Target, requested: str) -> bool:
    """Return whether a target is the digest (hex) that was asked about, or an index that may vouch for it."""
    listed = target.has_manifest(requested)
    return listed and (target.digest == requested or f"sha256:{target.digest}" not in question.passed_over)


def _first_with_required_signers(
    question: Question, targets: list[Target], roles: Mapping[RoleName, Envelope]
) -> tuple[Target, tuple[RoleName, ...]]:
    """Return the first target that all required signers have signed, and its signers.

    Raises: PolicyRefused for the last target if there is none; ContentMismatch.
    """
    *earlier, last = targets
    for target in earlier:
        with suppress(PolicyRefused):
            return target, _check_signers(question, target, roles)
    return last, _check_signers(question, last, roles)


def _signers_listing(tag: str, roles: Mapping[RoleName, Envelope]) -> tuple[str, ...]:
    delegated = [role for role in delegations_of(roles[TARGETS].targets) if role != RELEASES and role in roles]
    return tuple(signer_name(role) for role in delegated if tag in roles[role].targets.targets)


def _check_signers(question: Question, target: Target, roles: Mapping[RoleName, Envelope]) -> tuple[RoleName, ...]:
    """Check that enough required signers list the digest in their own roles; return all signers that list it.

    The repository key does not replace a required signer. Raises: PolicyRefused, ContentMismatch.
    """
    delegated = [role for role in delegations_of(roles[TARGETS].targets) if role != RELEASES]
    requested = hex_of(question.digest) if question.digest else None
    listing_signers = signers_of_target(target, roles, delegated, requested)
    for requirement in _requirements(question):
        requirement.check(question.gun, target, listing_signers, roles, requested=question.digest)
    return listing_signers


def _requirements(question: Question) -> tuple[Requirement, ...]:
    named = tuple(Requirement(source=f"--signer {n}", signers=(n,), threshold=1) for n in question.required_signers)
    return (*named, *question.policy)
