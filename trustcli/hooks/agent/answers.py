"""Answer the questions of one connection: what was asked, what is decided, and never more than was asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from keys.record import replace
from keys.rfc3339 import to_rfc3339
from trustcli.hooks.agent.protocol import VERSION
from trustcli.registry.reference import parse_reference
from trustdata.digest import is_digest
from trustdata.errors import TrustError
from trustdata.verification.rollback_memory import to_document

if TYPE_CHECKING:
    from trustcli.hooks.deciding.decision import Decision
    from trustcli.registry.reference import ImageReference
    from trustdata.gun import GUN
    from trustdata.judgement import Evidence
    from trustdata.verification.rollback_memory import Memory

_FIELDS = frozenset({"version", "id", "context", "image", "digest"})


class ContextDecider(Protocol):
    """Decides as processes with the same files do: `resident.decider.ResidentDecider`."""

    def decides_as(self, context: str) -> bool:
        """Return whether something here decides as a process with this hash of what decides."""

    def decide_as(self, context: str, reference: ImageReference, digest: str | None = None) -> Decision | None:
        """Decide as a process with this hash of what decides would; None if nothing here decides like that."""

    def remembered(self, gun: GUN) -> Mapping[GUN, Memory]:
        """Return the rollback memory of a collection, of those that must agree with it, and of the policy's own."""


class QuestionMalformed(Exception):
    """What was asked is no question: the connection is closed without an answer."""


class Answers:
    """Makes answers. `now`: the time (UTC), for the age of trust data."""

    def __init__(self, decider: ContextDecider, *, now: Callable[[], datetime]) -> None:
        self._decider = decider
        self._now = now

    def answer(self, question: Mapping[str, object]) -> dict[str, object]:
        """Return the answer to a question. Raises: QuestionMalformed."""
        image, digest, context = question.get("image"), question.get("digest"), question.get("context")
        if set(question) != _FIELDS or type(question["version"]) is not int or not isinstance(question["id"], str):
            raise QuestionMalformed
        if not isinstance(image, str) or not isinstance(context, str):
            raise QuestionMalformed
        if not (digest is None or (isinstance(digest, str) and is_digest(digest))):
            raise QuestionMalformed
        known = question["version"] == VERSION
        return {**question, **(self._verdict(context, image, digest) if known else _nothing("version"))}

    def _verdict(self, context: str, image: str, digest: str | None) -> dict[str, object]:
        if not self._decider.decides_as(context):
            return _nothing("context")
        try:
            decision = self._decider.decide_as(context, parse_reference(image), digest)
        except TrustError as malformed:
            return _refused(malformed.code, str(malformed))
        if decision is None:  # the files were changed just now
            return _nothing("context")
        if not decision.allowed:
            code = decision.refusal.code if decision.refusal else "not-trusted"
            return {**_refused(code, decision.reason), "memory": self._memory(decision.trust_name)}
        return {
            "memory": self._memory(decision.trust_name),
            "allowed": True,
            "runs": decision.digest,
            "collection": str(decision.trust_name),
            "reason": decision.reason,
            "mode": decision.mode,
            "rule": decision.rule,
            "warnings": list(decision.warnings),
            "age": self._age(decision.refreshed),
            "stale": decision.stale,
            "code": decision.refusal.code if decision.refusal else None,
            "evidence": _evidence(decision.evidence),
        }

    def _memory(self, gun: GUN) -> dict[str, object]:
        """Return what the asker must not be shown anything older than. When it was refreshed is not the asker's."""
        remembered = self._decider.remembered(gun)
        return {name: to_document(replace(memory, refreshed=None)) for name, memory in remembered.items()}

    def _age(self, refreshed: datetime | None) -> float | None:
        return None if refreshed is None else max(0.0, (self._now() - refreshed).total_seconds())


def _refused(code: str, reason: str) -> dict[str, object]:
    return {"allowed": False, "code": code, "reason": reason}


def _nothing(differs: str) -> dict[str, object]:
    """Return an answer without a verdict: the asker decides by other files, or speaks another version."""
    return {"allowed": None, "code": f"other-{differs}", "reason": ""}


def _evidence(evidence: Evidence | None) -> dict[str, object]:
    if evidence is None:
        return {}
    return {
        "versions": dict(evidence.versions),
        "released_by": evidence.released_by,
        "tags": list(evidence.tags),
        "signers": list(evidence.signers),
        "fresh_until": to_rfc3339(evidence.fresh_until),
    }
