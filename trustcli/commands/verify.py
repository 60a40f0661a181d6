"""`trust verify`: is this image signed, and as which digest? Exit 0 only if every image is trusted.

This is the hot command: its arguments are read with argparse, so that Typer is never imported (26 ms).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from trustcli.client.collection import Collection
from trustcli.client.policy_file import load_policy, question_about
from trustcli.console.duration import parse_duration
from trustcli.console.exit_codes import DONE, UsageError, row_for, worst
from trustcli.console.fast_arguments import QuickParser
from trustcli.console.output import failure_document
from trustcli.registry.reference import parse_reference
from trustcli.session import Session
from trustdata.errors import TrustError
from trustdata.gun import GUN
from trustdata.judgement import Judgement, Question, refused
from trustdata.policy import Policy
from trustdata.verification.trust_pinning import SourcedPin

DEFAULT_MAX_AGE: Final = "24h"
SUMMARY = "Verify images; print name@digest for each that is trusted."


def parser() -> QuickParser:
    """The arguments of `trust verify`."""
    found = QuickParser(prog="trust verify", description=SUMMARY, allow_abbrev=False)
    found.add_argument("images", nargs="+", metavar="IMAGE[:TAG|@DIGEST|:TAG@DIGEST]")
    found.add_argument("--signer", action="append", default=[], metavar="NAME", help="this signer must have signed")
    found.add_argument("--policy", type=Path, metavar="FILE", help="what each name must have, by rule")
    found.add_argument("--offline", action="store_true", help="judge from the cache, within --max-age")
    found.add_argument(
        "--max-age", metavar="TIME", help=f"offline: since the last refresh (90m, 7d; default {DEFAULT_MAX_AGE})"
    )
    return found


def main(session: Session, arguments: Sequence[str]) -> int:
    """Raises: UsageError."""
    if {"--help", "-h"} & set(arguments):
        session.output.raw(parser().format_help())
        return DONE
    options = parser().parse_args(arguments)
    if options.max_age is not None and not options.offline:
        raise UsageError("--max-age bounds --offline, which is not given")
    max_age: timedelta | None = parse_duration(options.max_age or DEFAULT_MAX_AGE) if options.offline else None
    policy = load_policy(options.policy) if options.policy else None
    answers = verify(session, options.images, signers=tuple(options.signer), policy=policy, max_age=max_age)
    return _report(session, options.images, answers)


def verify(
    session: Session,
    images: Sequence[str],
    *,
    signers: tuple[str, ...] = (),
    policy: Policy | None = None,
    max_age: timedelta | None = None,
    watch: Callable[[Collection], None] | None = None,
) -> list[Judgement]:
    """One answer for each image, in order; images of one collection share one refresh.

    `watch` is given each collection before it is judged, to see afterwards how far the judgement got.
    """
    questions: list[Question | TrustError] = []
    pins: dict[GUN, list[SourcedPin]] = {}
    for image in images:
        try:
            reference = parse_reference(image)
            rule = policy.rule_for(reference.gun) if policy else None
        except TrustError as error:
            questions.append(error)
            continue
        questions.append(question_about(reference, rule=rule, signers=signers))
        if rule is not None:
            pins[reference.gun] = [SourcedPin(pin=pin, source=rule.source) for pin in rule.pins]
    by_gun: dict[GUN, list[Question]] = {}
    for question in questions:
        if isinstance(question, Question):
            by_gun.setdefault(question.gun, []).append(question)
    answers: dict[Question, Judgement] = {}
    for gun, asked in by_gun.items():
        try:
            collection = session.collection(gun, policy_pins=pins.get(gun, ()), offline=max_age is not None)
            if watch is not None:
                watch(collection)
            judged = collection.judge(asked, max_age=max_age)
        except TrustError as error:
            judged = [refused(question, error) for question in asked]
        answers |= dict(zip(asked, judged, strict=True))
    nobody = Question(gun=GUN(""), tag=None, digest=None)
    return [answers[q] if isinstance(q, Question) else refused(nobody, q) for q in questions]


def _report(session: Session, images: Sequence[str], answers: Sequence[Judgement]) -> int:
    statuses = []
    rows: list[dict[str, object]] = []
    for image, answer in zip(images, answers, strict=True):
        row: dict[str, object] = {"image": image, "trusted": answer.allowed}
        if answer.evidence is not None and answer.digest is not None:
            name = f"{answer.question.gun}@{answer.digest}"
            session.output.result(name)
            evidence = answer.evidence
            row |= {
                "name": name,
                "digest": answer.digest,
                "tags": list(evidence.tags),
                "signers": list(evidence.signers),
                "released_by": evidence.released_by,
                "versions": dict(evidence.versions),
                "fresh_until": evidence.fresh_until.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
            statuses.append(DONE)
        elif answer.refusal is not None:
            session.output.failure(answer.refusal, subject=image)
            row["error"] = failure_document(answer.refusal)
            statuses.append(row_for(answer.refusal).status)
        rows.append(row)
    status = worst(statuses)
    session.output.document({"images": rows, "exit": status})
    return status
