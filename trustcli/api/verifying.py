"""Judge images for the Python API, as `trust verify` does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from trustcli.api.values import Verdict
from trustcli.client.policy_file import load_policy
from trustcli.commands.support.judging import runnable_name
from trustcli.commands.support.judging import verify as judge_images
from trustcli.hooks.deciding.decision import Decision
from trustcli.session import Session
from trustdata.errors import NotTrusted


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
    decisions = judge_images(session, images, signers=signers, policy=rules, max_age=offline, every_signer=True)
    return [_verdict(image, decision) for image, decision in zip(images, decisions, strict=True)]


def _verdict(image: str, decision: Decision) -> Verdict:
    if not decision.allowed or decision.digest is None:
        return Verdict(image=image, error=decision.refusal or NotTrusted())
    name, evidence = runnable_name(decision), decision.evidence
    if evidence is None:
        return Verdict(image=image, name=name, digest=decision.digest, warnings=decision.warnings)
    return Verdict(
        image=image,
        name=name,
        digest=decision.digest,
        tags=evidence.tags,
        signers=evidence.signers,
        released_by=evidence.released_by,
        versions=dict(evidence.versions),
        fresh_until=evidence.fresh_until,
        warnings=decision.warnings,
    )
