"""Decide about images by the allow list, the policy, pins and trust data: the one place that says yes.

A verdict of verification alone (`trustdata.judgement`) allows nothing here before every rule that counts is met, the
second collection included. Whatever cannot be judged is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Final

from keys.record import record, replace
from keys.rfc3339 import to_rfc3339
from trustcli.client.policy_file import question_about, tag_meant
from trustcli.errors import DenyListNotObtained, HookRequestMalformed
from trustcli.hooks.deciding.allow_list import allowed_by_list, allows_all
from trustcli.hooks.deciding.decision import Decision, SignedTags
from trustcli.hooks.deciding.deny_lists import Denials, current_denials
from trustcli.registry.reference import ImageReference
from trustdata.denied import check_not_denied
from trustdata.errors import DigestDenied, NotTrusted, PolicyRefused, TrustError
from trustdata.gun import GUN, parse_tag
from trustdata.judgement import Judgement, Question
from trustdata.policy import Rule
from trustdata.roles import TARGETS

if TYPE_CHECKING:
    from trustcli.config.verifier_settings import AllowedImage
    from trustcli.hooks.deciding.ports import Reading, TrustDataReader
    from trustdata.judgement import Evidence
    from trustdata.policy import Policy


_log = logging.getLogger(__name__)
_MOST_INDEXES: Final = 8
"""Indexes with rules of their own after which only one without counts for a platform: each is read for."""


@record
class _Case:
    """An image whose trust data must be read. `digest`: what the registry serves, if that is known.

    `warnings`: what is to be told if it is allowed.
    """

    reference: ImageReference
    digest: str | None
    trust_name: GUN
    rule: Rule | None
    question: Question
    warnings: tuple[str, ...] = ()


class PolicyDecider:
    """Decides about images. Safe to be called from several threads if its reader is.

    `policy`: None if there is none; then pins and trust data decide. `allow`: images that need no signature; they are
    looked at before the policy. `reader`: where trust data comes from. `at`: the clock (UTC). `signers`: those who must
    have signed each image besides.
    """

    def __init__(
        self,
        policy: Policy | None,
        allow: Sequence[AllowedImage],
        reader: TrustDataReader,
        *,
        at: Callable[[], datetime],
        signers: tuple[str, ...] = (),
    ) -> None:
        self._policy = policy
        self._allow = allow
        self._reader = reader
        self._at = at
        self._signers = signers

    def decide(self, reference: ImageReference, digest: str | None = None) -> Decision:
        """Decide about a name. `digest` (`sha256:HEX`): what the registry serves under it, if that is known."""
        return self.decide_each([(reference, digest)])[0]

    def decide_each(self, images: Iterable[tuple[ImageReference, str | None]]) -> list[Decision]:
        """Decide about names, each with its digest if that is known; what is of one collection is read together."""
        asked = list(images)
        first = [self._first(reference, digest) for reference, digest in asked]
        verified = iter(self._verified([case for case in first if isinstance(case, _Case)]))
        decisions = [next(verified) if isinstance(case, _Case) else case for case in first]
        return [self._told(*each, decision) for each, decision in zip(asked, decisions, strict=True)]

    def _told(self, reference: ImageReference, digest: str | None, decision: Decision) -> Decision:
        """Return the decision; a refusal says whether it is by a rule that names the digest."""
        known = reference.digest or digest
        if isinstance(decision.refusal, DigestDenied) and decision.refusal.digest == known:
            return replace(decision, by_digest=True)
        if decision.verified or self._policy is None or known is None:
            return decision
        counting = self._policy.counting(decision.trust_name, tag=tag_meant(reference), digest=known, at=self._at())
        if not decision.allowed:
            return replace(decision, by_digest=any(rule.digests for rule in counting))
        if reference.tag and reference.digest and any(rule.tags and not rule.digests for rule in counting):
            # Engines pull the digest, and never look at the tag: it is only what whoever wrote the name says. What
            # exempts this tag exempts no digest that anybody may write behind it.
            untagged = ImageReference(gun=reference.gun, tag=None, digest=known, given=reference.given)
            return decision if (by_digest := self.decide(untagged)).allowed else by_digest
        return decision

    def signed_tags(self, gun: GUN) -> SignedTags:
        """Return the tags of a name that may run, by the same rules."""
        if allows_all(self._allow, gun):
            return SignedTags(trust_name=gun, tags={}, any_content=True)
        trust_name, rule, mode = gun, None, "enforce"
        if self._policy is not None:
            trust_name = self._policy.trust_name(gun)
            try:
                rule = self._rule(trust_name, None, None)
                mode = rule.mode
            except PolicyRefused as refusal:
                rule = self._of_some_tags(trust_name)
                if rule is None:
                    return SignedTags(trust_name=trust_name, tags={}, refusal=refusal)
            if mode == "allow":
                return SignedTags(trust_name=trust_name, tags={}, any_content=True)
        released = self._reader.released(trust_name, rule)
        if released.refusal is not None:
            told = None if mode == "audit" else released.refusal
            return SignedTags(trust_name=trust_name, tags={}, refusal=told, any_content=mode == "audit")
        names = list(dict.fromkeys(target.tag for target in released.targets))
        references = [ImageReference(gun=gun, tag=parse_tag(tag), digest=None, given=f"{gun}:{tag}") for tag in names]
        decided = zip(names, self.decide_each((reference, None) for reference in references), strict=True)
        tags = {tag: each.digest for tag, each in decided if each.allowed and each.digest is not None}
        return SignedTags(trust_name=trust_name, tags=tags, any_content=mode == "audit", refreshed=released.refreshed)

    def _of_some_tags(self, gun: GUN) -> Rule | None:
        """Return a rule by which some tags of a name may run, where none is about the name as a whole.

        It only says how the collection is read: about each tag, the rules for that tag decide.
        """
        policy = self._policy
        if policy is None:
            return None
        for rule in policy.about(gun):
            if rule.tags and rule.mode in {"enforce", "audit"}:
                return rule.for_name(gun)
        further = policy.further.about(gun) if policy.further is not None else ()
        if any(rule.tags and rule.mode == "enforce" for rule in further):
            with suppress(PolicyRefused):
                return policy.tightened(None).rule_for(gun, at=self._at())
        return None

    def named_digests(self, gun: GUN) -> frozenset[str]:
        """Return the digests of a name that rules or deny lists are about."""
        trust_name, rule, named = gun, None, frozenset[str]()
        if self._policy is not None:
            trust_name = self._policy.trust_name(gun)
            named = self._policy.named_digests(trust_name)
            try:
                rule = self._rule(trust_name, None, None)
            except PolicyRefused:
                rule = self._of_some_tags(trust_name)
        with suppress(DenyListNotObtained):  # nothing runs then
            named = named.union(*self._denials().lists)
        if self._policy is None or (rule is not None and rule.mode != "allow"):
            named = named.union(self._reader.denied(trust_name, rule).denied or ())
        return named

    # --- before anything is read

    def _first(self, reference: ImageReference, digest: str | None) -> Decision | _Case:
        """Return what can be decided without trust data, or what must be read."""
        if digest is not None and reference.digest not in {None, digest}:
            reason = f"is {digest}, but the name says {reference.digest}"
            malformed = HookRequestMalformed(place="the digest", reason=reason)
            return Decision.refused(reference.given, reference.gun, malformed)
        known = reference.digest or digest
        listed = allowed_by_list(self._allow, reference, digest)
        if listed is not None:
            return self._unless_denied(listed, known)
        if self._policy is None:
            return self._case(reference, digest, reference.gun, None)
        trust_name = self._policy.trust_name(reference.gun)
        try:
            rule = self._rule(trust_name, tag_meant(reference), known)
        except PolicyRefused as refusal:
            return _denied(reference, trust_name, refusal, rule=refusal.rule)
        _log.info("%s: the policy's rule for %s counts", trust_name, rule.match)
        if rule.mode == "allow":
            return self._unless_denied(_exempted(reference, known, trust_name, rule), known)
        return self._case(reference, digest, trust_name, rule)

    def _unless_denied(self, decision: Decision, digest: str | None) -> Decision:
        """Return a decision that verifies nothing, or the refusal if a list denies the digest.

        Whoever does not know the digest yet asks again with it.
        """
        try:
            denials = self._denials()
            if digest is not None:
                check_not_denied(decision.trust_name, digest, denials.lists)
        except DenyListNotObtained as refusal:
            if decision.by_allow_list:
                return replace(decision, warnings=(*decision.warnings, f"it is allowed all the same: {refusal}"))
            return _not_at_all(decision, refusal)
        except DigestDenied as refusal:
            return _not_at_all(decision, refusal)
        return replace(decision, warnings=(*decision.warnings, *denials.warnings))

    def _denials(self) -> Denials:
        """Return what the policy's deny lists deny now. Raises: DenyListNotObtained."""
        return current_denials(self._policy.denying if self._policy is not None else (), self._reader)

    def _rule(self, gun: GUN, tag: str | None, digest: str | None) -> Rule:
        """Return what the policy says of an image. Raises: PolicyRefused if no rule counts, or one denies it."""
        policy = self._policy
        if policy is None:
            raise NotTrusted
        return policy.rule_for(gun, tag=tag, digest=digest, at=self._at())

    def _case(
        self, reference: ImageReference, digest: str | None, trust_name: GUN, rule: Rule | None
    ) -> _Case | Decision:
        try:
            denials = self._denials()
            if digest := reference.digest or digest:  # whatever can be read of the collection itself
                check_not_denied(trust_name, digest, denials.lists)
        except (DenyListNotObtained, DigestDenied) as refusal:
            return _denied(reference, trust_name, refusal, rule=rule.source if rule else "")
        question = question_about(
            reference, rule=rule, gun=trust_name, signers=self._signers, digest=digest, denied=denials.lists
        )
        return _Case(
            reference=reference,
            digest=digest,
            trust_name=trust_name,
            rule=rule,
            question=question,
            warnings=denials.warnings,
        )

    # --- by trust data

    def _verified(self, cases: Sequence[_Case]) -> list[Decision]:
        """Judge cases, those of one collection and rule together."""
        groups: list[tuple[GUN, Rule | None, list[int]]] = []
        if len(cases) == 1:  # by far the most; the hash of a rule costs as much as the rest
            groups = [(cases[0].trust_name, cases[0].rule, [0])]
        else:
            together: dict[tuple[GUN, Rule | None], list[int]] = {}
            for index, case in enumerate(cases):
                together.setdefault((case.trust_name, case.rule), []).append(index)
            groups = [(*key, indexes) for key, indexes in together.items()]
        found: dict[int, Decision] = {}
        for gun, rule, indexes in groups:
            reading = self._reader.judge(gun, rule, [cases[index].question for index in indexes])
            for index, judgement in zip(indexes, reading.judgements, strict=True):
                found[index] = self._decided(cases[index], judgement, reading)
        return [found[index] for index in range(len(cases))]

    def _decided(self, case: _Case, judgement: Judgement, reading: Reading) -> Decision:
        """Return the decision on a verdict: by the rules for the digest that was found, and the second collection."""
        refusal = _refusal_of(judgement, case.question.digest)
        rule, readings = case.rule, [reading]
        if refusal is None and rule is not None:
            try:
                of_digest = self._rule_for_digest(case, judgement)
            except PolicyRefused as denied:
                other = self._by_other_index(case, judgement)
                return other or _denied(case.reference, case.trust_name, denied, rule=denied.rule)
            if of_digest is not None and case.question.digest is None:
                return self.decide(case.reference, judgement.digest)
            if of_digest is not None:
                refusal, more = self._by_rule_of_index(case, of_digest, judgement)
                readings += more
                if refusal is not None and (other := self._by_other_index(case, judgement)):
                    return other
        if refusal is None and rule is not None:
            refusal, more = self._by_seconds(case, rule, judgement)
            readings += more
        stale, refreshed = any(each.stale for each in readings), _oldest(readings)
        evidence = judgement.evidence if refusal is None else None
        if refusal is not None or evidence is None:
            decision = Decision.refused(case.reference.given, case.trust_name, refusal or NotTrusted())
            if rule is not None:
                decision = replace(decision, mode=rule.mode, rule=rule.source)
            if decision.mode == "audit" and not isinstance(refusal, DigestDenied):
                decision = _watched(decision, case.question.digest, _exemption(rule))
        else:
            decision = Decision(
                image=case.reference.given,
                trust_name=case.trust_name,
                allowed=True,
                digest=judgement.digest,
                mode=rule.mode if rule else "enforce",
                rule=rule.source if rule else "",
                reason=f"{case.trust_name}:{evidence.tags[0]} is signed as {judgement.digest} {_by(evidence)}",
                evidence=evidence,
                warnings=(*case.warnings, *([_old(case, refreshed)] if stale else [])),
            )
        return replace(
            decision,
            refreshed=refreshed,
            stale=stale,
            exemption=_exemption(rule),
            judgement=replace(judgement, refusal=refusal),
        )

    def _rule_for_digest(self, case: _Case, judgement: Judgement) -> Rule | None:
        """Return what rules for the digest of the tag say, which was not known before; None if there are none.

        Raises: PolicyRefused if one of them denies it.
        """
        signed_as = _signed_as(judgement)
        if self._policy is None or not self._policy.is_about_digests:
            return None
        if not signed_as or signed_as == case.question.digest:
            return None
        tag = tag_meant(case.reference)
        counting = self._policy.counting(case.trust_name, tag=tag, digest=signed_as, at=self._at())
        if not any(rule.digests for rule in counting):
            return None
        return self._rule(case.trust_name, tag, signed_as)

    def _by_other_index(self, case: _Case, judgement: Judgement) -> Decision | None:
        """Return the decision that lets a platform run by another index than that of the verdict; None if none does.

        What is denied as a part of one image may be a part of another one, which its owner has signed as well.
        """
        question = case.question
        if question.tag is not None or question.digest is None or case.rule is None:
            return None
        passed_over = question.passed_over | {_signed_as(judgement)}
        if len(passed_over) > _MOST_INDEXES and self._policy is not None:  # no index that a rule names counts then
            passed_over |= self._policy.named_digests(case.trust_name)
        other = replace(case, question=replace(question, passed_over=passed_over))
        reading = self._reader.judge(case.trust_name, case.rule, [other.question])
        (verdict,) = reading.judgements
        if not verdict.allowed:
            return None
        decision = self._decided(other, verdict, reading)
        return decision if decision.verified else None

    def _by_rule_of_index(self, case: _Case, rule: Rule, found: Judgement) -> tuple[TrustError | None, list[Reading]]:
        """Return why the rule for an index does not allow the platform of it that was asked about; None if it does.

        Beside it what was read for that.
        """
        if rule.mode != "enforce":
            return None, []
        readings: list[Reading] = []
        index = _signed_as(found)
        question = replace(case.question, policy=rule.requirements)
        while len(readings) <= _MOST_INDEXES:
            readings.append(self._reader.judge(case.trust_name, rule, [question]))
            (judgement,) = readings[-1].judgements
            refusal = _refusal_of(judgement, question.digest)
            if refusal is not None:
                return refusal, readings
            if _signed_as(judgement) == index:
                refusal, more = self._by_seconds(case, rule, judgement)
                return refusal, [*readings, *more]
            # What the rule wants another index has, of which other rules may say other things.
            question = replace(question, passed_over=question.passed_over | {_signed_as(judgement)})
        return NotTrusted(), readings

    def _by_seconds(self, case: _Case, rule: Rule, judgement: Judgement) -> tuple[TrustError | None, list[Reading]]:
        """Judge the same digest in each second collection of a rule, under the same tag if one was named.

        Return the first refusal, None if all allow it, and what was read.
        """
        readings = []
        for second in rule.seconds:
            question = Question(
                gun=GUN(second.match),
                tag=case.question.tag,
                digest=judgement.digest,
                policy=second.requirements,
                denied=case.question.denied,  # of an index it may list other platforms than this collection does
            )
            readings.append(self._reader.judge(question.gun, second, [question]))
        refusals = (_refusal_of(each.judgements[0], judgement.digest) for each in readings)
        return next((refusal for refusal in refusals if refusal is not None), None), readings


def collection_read(policy: Policy | None, reference: ImageReference, *, at: datetime) -> tuple[GUN, Rule | None]:
    """Return the collection that is read for a name, and the rule by which. Raises: PolicyRefused."""
    if policy is None:
        return reference.gun, None
    gun = policy.trust_name(reference.gun)
    return gun, policy.rule_for(gun, tag=tag_meant(reference), digest=reference.digest, at=at)


def _signed_as(judgement: Judgement) -> str:
    """Return what the tag of a verdict is signed as; "" if it has none."""
    return judgement.evidence.signed_as if judgement.evidence is not None else ""


def _oldest(readings: Sequence[Reading]) -> datetime | None:
    """Return when servers last confirmed all of it; None if one never has."""
    times = [each.refreshed for each in readings if each.refreshed is not None]
    return min(times) if len(times) == len(readings) else None


def _refusal_of(judgement: Judgement, digest: str | None) -> TrustError | None:
    """Return why a verdict allows nothing, or another digest than this one (if it is known); None if it allows it."""
    if judgement.refusal is not None:
        return judgement.refusal
    allowed = judgement.allowed and digest in {None, judgement.digest}
    return None if allowed else NotTrusted()


def _denied(reference: ImageReference, trust_name: GUN, refusal: TrustError, *, rule: str) -> Decision:
    return Decision.refused(reference.given, trust_name, refusal, mode="deny", rule=rule)


def _not_at_all(decision: Decision, refusal: TrustError) -> Decision:
    """Return the refusal in the place of a decision that verifies nothing."""
    return Decision.refused(decision.image, decision.trust_name, refusal, mode="deny", rule=decision.rule)


def _watched(refused: Decision, digest: str | None, exemption: str) -> Decision:
    """Return the decision of a rule that only watches: the image may run, and why it should not is told."""
    reason = f"{refused.image} would be refused, but {refused.rule} only watches ({exemption}): {refused.reason}"
    return replace(refused, allowed=True, digest=digest, reason=reason, warnings=(reason,))


def _exemption(rule: Rule | None) -> str:
    """Return until when and why a rule verifies nothing or only watches; "" where it does neither."""
    return str(rule.exemption) if rule is not None and rule.exemption is not None else ""


def _exempted(reference: ImageReference, digest: str | None, trust_name: GUN, rule: Rule) -> Decision:
    """Return the decision of a rule that verifies nothing; that it does is a warning each time."""
    named = f"{reference.gun}@{digest}" if digest else str(reference)
    return Decision(
        image=reference.given,
        trust_name=trust_name,
        allowed=True,
        digest=digest,
        mode="allow",
        rule=rule.source,
        reason=f"{named} needs no signature: {rule.source} exempts it ({rule.exemption})",
        warnings=(f"{named} is not verified: {rule.source} exempts it ({rule.exemption})",),
        exemption=_exemption(rule),
    )


def _old(case: _Case, refreshed: datetime | None) -> str:
    since = to_rfc3339(refreshed) if refreshed else "an unknown time"
    return f"{case.reference.given} is judged by trust data of {since}: the trust server is away"


def _by(evidence: Evidence) -> str:
    """Return who signed the tag, for the message; signers' own roles are read only if the policy asks for them."""
    if evidence.signers:
        return f"by {', '.join(evidence.signers)}"
    return "by the repository key" if evidence.released_by == TARGETS else f"and released in {evidence.released_by}"
