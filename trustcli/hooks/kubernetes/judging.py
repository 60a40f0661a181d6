"""Judge what a review asks for: every image that it brings, by every policy that counts in its namespace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from keys.record import record
from trustcli.hooks.deciding.decision import Decision
from trustcli.hooks.kubernetes.patch import DEFAULT_TAG, PatchOperation, pinned, replacement
from trustcli.hooks.kubernetes.pod_images import POD, ImagePlace, images_to_judge
from trustcli.registry.reference import ImageReference, parse_reference
from trustdata.errors import InvalidName, NotTrusted, PolicyRefused, TrustError

if TYPE_CHECKING:
    from trustcli.hooks.deciding.ports import Decider
    from trustcli.hooks.kubernetes.review import Kind, Review

MAX_IMAGES: Final = 256
"""Images of one review. A Pod with as many containers does not fit on a node."""
_KNOWN_IMAGES: Final = 1024
"""References that are not read again: Pods of one image come by the hundred, and each is asked about more than once."""


class Asked(NamedTuple):
    """A question to one policy. `namespace`: whose it is; "" for the policy of the whole cluster."""

    namespace: str
    image: str


DecideAll = Callable[[Sequence[Asked]], Mapping[Asked, "Decision | TrustError"]]
"""Answers every question, within the time of the review. An error stands where there is no decision."""


@record
class JudgedImage:
    """An image with what was decided. `refusal`: why it may not run. `watched`: why not, where a rule only watches.

    `digest`: `sha256:HEX`, what may run; None where nothing was verified. `rule`: by which. `stale`: by data that is
    older than it should be, since the trust server is away.
    """

    place: ImagePlace
    refusal: TrustError | None = None
    watched: TrustError | None = None
    digest: str | None = None
    rule: str = ""
    warnings: tuple[str, ...] = ()
    stale: bool = False


@record
class Verdict:
    """The answer to a review. `patch`: what pins its tags, if that was asked for; it counts if all are allowed."""

    uid: str
    images: tuple[JudgedImage, ...]
    patch: tuple[PatchOperation, ...] = ()

    @property
    def allowed(self) -> bool:
        """Whether no image was refused."""
        return all(image.refusal is None for image in self.images)


@record
class Manner:
    """How reviews are judged. `mutate`: tags become digests, at Pods, and with `templates` wherever else they stand.

    `require_digests`: a Pod must name its images by digest, unless a rule lets run whatever a registry serves. Where
    nothing on a node compares what is pulled, a tag is only the registry's word.
    """

    mutate: bool
    templates: bool = False
    require_digests: bool = False

    def pins(self, kind: Kind) -> bool:
        """Return whether tags of this kind of object become digests."""
        return self.mutate and (kind == POD or self.templates)


def judge(review: Review, manner: Manner, *, decide: DecideAll, namespaces: Iterable[str] = ()) -> Verdict:
    """Judge every image that the request brings. `namespaces`: those with policies of their own.

    Labels and annotations decide nothing: whoever may create a Pod may write them. Raises: ReviewMalformed.
    """
    places = images_to_judge(review)
    if len(places) > MAX_IMAGES:
        reason = f"it has {len(places)} images, and at most {MAX_IMAGES} are judged at once"
        refusal = PolicyRefused(name="this object", rule="the webhook", reason=reason)
        return Verdict(uid=review.uid, images=(JudgedImage(place=places[MAX_IMAGES], refusal=refusal),))
    policies = ["", review.namespace] if review.namespace in namespaces else [""]
    references = {place.image: _reference(place.image) for place in places}
    answers = decide(
        [
            Asked(policy, image)
            for image, found in references.items()
            if isinstance(found, ImageReference)
            for policy in policies
        ]
    )
    images, patch = [], []
    for place in places:
        reference = references[place.image]
        if isinstance(reference, TrustError):
            images.append(JudgedImage(place=place, refusal=reference))
            continue
        judged = agreed(place, reference, [answers[Asked(policy, place.image)] for policy in policies])
        unpinned = judged.refusal is None and judged.digest is not None and reference.digest is None
        if unpinned and manner.require_digests and review.kind == POD:
            judged = JudgedImage(place=place, refusal=_not_pinned(place))
        elif unpinned and manner.pins(review.kind):
            patch += replacement(place, pinned(reference, str(judged.digest)))
        images.append(judged)
    return Verdict(uid=review.uid, images=tuple(images), patch=tuple(patch))


def ask(decider: Decider, image: str) -> Decision:
    """Ask one policy about an image. Raises: InvalidName."""
    reference = asked_for(image)
    return decider.decide(reference, reference.digest)


def asked_for(image: str) -> ImageReference:
    """Return what an image names; without tag and digest it means `latest`. Raises: InvalidName."""
    reference = _parsed(image)
    if reference.tag is None and reference.digest is None:
        reference = _parsed(f"{image}:{DEFAULT_TAG}")
    return reference


def agreed(place: ImagePlace, reference: ImageReference, answers: Sequence[Decision | TrustError]) -> JudgedImage:
    """Return what all policies together decide: the first refusal, or the one digest that they all allow."""
    decisions: list[Decision] = []
    for answer in answers:
        if isinstance(answer, TrustError):
            return JudgedImage(place=place, refusal=answer)
        refusal = _refusal(answer, reference)
        if refusal is not None:
            return JudgedImage(place=place, refusal=refusal, rule=answer.rule)
        decisions.append(answer)
    rule = ", ".join(dict.fromkeys(decision.rule for decision in decisions if decision.rule))
    digests = sorted({decision.digest for decision in decisions if decision.digest})
    if len(digests) > 1:
        reason = f"they allow different digests, {' and '.join(digests)}"
        return JudgedImage(place=place, refusal=PolicyRefused(name=place.image, rule=rule, reason=reason), rule=rule)
    return JudgedImage(
        place=place,
        watched=next((decision.refusal for decision in decisions if decision.refusal), None),
        digest=digests[0] if digests else None,
        rule=rule,
        warnings=tuple(dict.fromkeys(warning for decision in decisions for warning in decision.warnings)),
        stale=any(decision.stale for decision in decisions),
    )


def _refusal(decision: Decision, reference: ImageReference) -> TrustError | None:
    """Return why a decision allows nothing. One that says yes, and not to what, is a refusal too."""
    if not decision.allowed:
        rule = decision.rule or "the policy"
        return decision.refusal or PolicyRefused(name=decision.image, rule=rule, reason=decision.reason)
    if decision.digest is None and decision.mode not in {"allow", "audit"}:
        return NotTrusted()
    if reference.digest and decision.digest not in {None, reference.digest}:
        return NotTrusted()
    return None


def _reference(image: str) -> ImageReference | TrustError:
    try:
        return _parsed(image)
    except InvalidName as error:
        return error


@lru_cache(maxsize=_KNOWN_IMAGES)
def _parsed(image: str) -> ImageReference:
    return parse_reference(image)


def _not_pinned(place: ImagePlace) -> PolicyRefused:
    reason = "it is signed, but the node would pull what the registry serves under the tag by then; /mutate pins it"
    return PolicyRefused(name=place.image, rule="--require-digests", reason=reason)
