"""Judge images, for `trust verify`, `trust pull` and `trust explain`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from trustcli.client.collection import Collection
from trustcli.hooks.deciding.decider import PolicyDecider
from trustcli.hooks.deciding.decision import Decision
from trustcli.hooks.deciding.once import OnceReader
from trustcli.registry.reference import ImageReference, parse_reference
from trustcli.session import Session
from trustdata.errors import NotSigned, PolicyRefused, TrustError
from trustdata.gun import GUN
from trustdata.judgement import Judgement, refused
from trustdata.policy import Policy
from trustdata.verification.target_lookup import each_released

if TYPE_CHECKING:
    from datetime import datetime

    from trustcli.hooks.deciding.ports import TrustDataReader

TAGS_TOLD: Final = 5
"""How many signed tags are named beside one that is not."""
TAGS_COMPARED: Final = 2000
"""How many tags are compared with a mistyped one, letter by letter: some 50 ms."""


def verify(
    session: Session,
    images: Sequence[str],
    *,
    signers: tuple[str, ...] = (),
    policy: Policy | None = None,
    max_age: timedelta | None = None,
    watch: Callable[[Collection], None] | None = None,
    every_signer: bool = False,
    forecast: Callable[[OnceReader], TrustDataReader] | None = None,
    at: datetime | None = None,
) -> list[Decision]:
    """Return one decision for each image, in order; images of one collection share one refresh.

    An allowed image always has its digest: where a rule of the policy verifies nothing, the registry is asked for it.

    `watch`: is called with each collection before it is judged, so that the caller can see afterwards how far it got.
    `every_signer`: name the signers of a digest that nobody asked for, too. `forecast`: a reader of another time in
    place of the one of now, and `at`: which one, for the rules of the policy.

    Raises: as `policy_in_use`.
    """
    if not images:
        return []
    if policy is not None:
        from trustcli.hooks.deciding.distributed import policy_in_use  # where there is a policy: start-up time

        policy = policy_in_use(policy, session, max_age=max_age)
    reader = OnceReader(session, max_age=max_age, every_signer=every_signer, watch=watch, finish=_with_signed_tags)
    asked_reader = forecast(reader) if forecast is not None else reader
    decider = PolicyDecider(policy, (), asked_reader, at=lambda: at or session.at, signers=signers)
    found: dict[int, Decision] = {}
    asked: dict[int, ImageReference] = {}
    for index, image in enumerate(images):
        try:
            asked[index] = parse_reference(image)
        except TrustError as error:
            found[index] = Decision.refused(image, GUN(""), error)
    decided = decider.decide_each((reference, None) for reference in asked.values())
    for (index, reference), decision in zip(asked.items(), decided, strict=True):
        found[index] = _with_content(session, decider, reference, decision, offline=max_age is not None)
    for decision in found.values():
        for warning in decision.warnings:
            session.output.warn(warning)
    return [found[index] for index in range(len(images))]


def runnable_name(decision: Decision) -> str:
    """Return what may run of an allowed image: NAME@DIGEST, with the registry's name, whatever its trust name is."""
    return f"{parse_reference(decision.image).gun}@{decision.digest}"


def _with_content(
    session: Session, decider: PolicyDecider, reference: ImageReference, decision: Decision, *, offline: bool
) -> Decision:
    """Decide again with the digest that the registry serves, where a rule allows whatever that is."""
    if not decision.allowed or decision.digest is not None:
        return decision
    try:
        if offline:
            reason = "it exempts the image, but only the registry could say which content that is; name its digest"
            raise PolicyRefused(name=str(reference), rule=decision.rule, reason=reason)
        digest = session.registry().resolve(reference).digest
    except TrustError as refusal:
        return Decision.refused(decision.image, decision.trust_name, refusal, mode=decision.mode, rule=decision.rule)
    return decider.decide(reference, digest)


def _with_signed_tags(collection: Collection, answer: Judgement) -> Judgement:
    """Return the verdict, and where a tag is not signed, name tags that are: the collection has been verified.

    Only commands that people type do so. A hook would tell strangers what there is.
    """
    refusal, updater = answer.refusal, collection.last_updater
    if not isinstance(refusal, NotSigned) or answer.question.tag is None or updater is None:
        return answer
    try:
        tags = [target.tag for target in each_released(updater.roles())]
    except TrustError:
        return answer
    from difflib import get_close_matches  # only after a refusal: start-up time

    from trustcli.commands.support.inspect_view import natural

    comparable = tags if len(tags) <= TAGS_COMPARED else [tag for tag in tags if tag[:2] == refusal.tag[:2]]
    alike = get_close_matches(refusal.tag, comparable[:TAGS_COMPARED], n=TAGS_TOLD, cutoff=0.5)
    others = (tag for tag in sorted(tags, key=natural, reverse=True) if tag not in alike)
    told = tuple([*alike, *others][:TAGS_TOLD])
    known = NotSigned(gun=refusal.gun, tag=refusal.tag, signers=refusal.signers, signed=told, total=len(tags))
    return refused(answer.question, known)
