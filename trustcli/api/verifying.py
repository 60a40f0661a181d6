"""Judge images for the Python API, as `trust verify` does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from trustcli.api.values import Verdict
from trustcli.client.policy_file import load_policy
from trustcli.commands.support.judging import verify as judge_images
from trustcli.session import Session
from trustdata.judgement import Judgement


def verify(
    session: Session,
    images: Sequence[str],
    *,
    signers: tuple[str, ...],
    policy: str | None,
    offline: timedelta | None,
) -> list[Verdict]:
    """Return one verdict for each image, in order. Raises: PolicyMalformed, FileNewer, FileExposed."""
    rules = None if policy is None else load_policy(Path(policy))
    answers = judge_images(session, images, signers=signers, policy=rules, max_age=offline, every_signer=True)
    return [_verdict(image, answer) for image, answer in zip(images, answers, strict=True)]


def _verdict(image: str, answer: Judgement) -> Verdict:
    evidence = answer.evidence
    if answer.refusal is not None or answer.digest is None or evidence is None:
        return Verdict(image=image, error=answer.refusal)
    return Verdict(
        image=image,
        name=f"{answer.question.gun}@{answer.digest}",
        digest=answer.digest,
        tags=evidence.tags,
        signers=evidence.signers,
        released_by=evidence.released_by,
        versions=dict(evidence.versions),
        fresh_until=evidence.fresh_until,
    )
