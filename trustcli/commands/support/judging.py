"""Judge images, for `trust verify`, `trust pull` and `trust explain`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from trustcli.client.collection import Collection
from trustcli.client.policy_file import question_about
from trustcli.registry.reference import parse_reference
from trustcli.session import Session
from trustdata.errors import NotSigned, TrustError
from trustdata.gun import GUN
from trustdata.judgement import Judgement, Question, refused
from trustdata.policy import Policy, Rule
from trustdata.verification.target_lookup import each_released

_log = logging.getLogger(__name__)

TAGS_TOLD: Final = 5
"""How many signed tags are named beside one that is not."""
TAGS_COMPARED: Final = 2000
"""How many tags are compared with a mistyped one, letter by letter: some 50 ms."""
DEFAULT_MAX_AGE: Final = "24h"
"""How old the last refresh may be with `--offline`, if `--max-age` is not given."""


def verify(
    session: Session,
    images: Sequence[str],
    *,
    signers: tuple[str, ...] = (),
    policy: Policy | None = None,
    max_age: timedelta | None = None,
    watch: Callable[[Collection], None] | None = None,
    every_signer: bool = False,
) -> list[Judgement]:
    """Return one judgement for each image, in order; images of one collection share one refresh.

    `watch`: is called with each collection before it is judged, so that the caller can see afterwards how far it got.
    `every_signer`: name the signers of a digest that nobody asked for, too.
    """
    questions: list[Question | TrustError] = []
    rules: dict[GUN, Rule] = {}
    for image in images:
        try:
            reference = parse_reference(image)
            rule = policy.rule_for(reference.gun) if policy else None
        except TrustError as error:
            questions.append(error)
            continue
        questions.append(question_about(reference, rule=rule, signers=signers))
        if rule is not None:
            _log.info("%s: the policy's rule for %s counts", reference.gun, rule.match)
            rules[reference.gun] = rule
    by_gun: dict[GUN, list[Question]] = {}
    for question in questions:
        if isinstance(question, Question):
            by_gun.setdefault(question.gun, []).append(question)
    answers: dict[Question, Judgement] = {}
    for gun, gun_questions in by_gun.items():
        try:
            rule = rules.get(gun)
            collection = session.collection(
                gun,
                policy_pins=rule.sourced_pins() if rule else (),
                policy_max_life=rule.max_life if rule else None,
                offline=max_age is not None,
            )
            if watch is not None:
                watch(collection)
            judged = collection.judge(gun_questions, max_age=max_age, every_signer=every_signer)
            judged = [_with_signed_tags(collection, answer) for answer in judged]
        except TrustError as error:
            judged = [refused(question, error) for question in gun_questions]
        answers |= dict(zip(gun_questions, judged, strict=True))
    no_question = Question(gun=GUN(""), tag=None, digest=None)
    return [answers[q] if isinstance(q, Question) else refused(no_question, q) for q in questions]


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
