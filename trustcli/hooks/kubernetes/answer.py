"""Write the answer to an AdmissionReview: for people who use kubectl, and for the cluster's audit log.

Limits are Kubernetes': warnings beyond 256 characters, or beyond 4 096 together, may be cut or left out.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, Final

import orjson

from trustcli.console.exit_codes import NOT_SIGNED, NOT_TRUSTED, POLICY, UNREACHABLE
from trustcli.console.failure_table import row_for
from trustcli.errors import PolicyNotObtained
from trustcli.hooks.kubernetes.judging import JudgedImage, Verdict
from trustcli.hooks.kubernetes.review import API_VERSION, KIND
from trustdata.errors import InvalidName, NotSigned, PolicyMalformed, TrustError, shown

FORBIDDEN: Final = 403
BAD_REQUEST: Final = 400
_REASONS: Final = {FORBIDDEN: "Forbidden", BAD_REQUEST: "BadRequest"}
MAX_WARNING: Final = 256
MAX_WARNINGS: Final = 15
MAX_MESSAGE: Final = 3000
"""Characters of a refusal. An event of a controller has room for less, and shows the beginning."""
MAX_SENTENCE: Final = 700
MAX_ANNOTATION: Final = 2000
_OPERATOR: Final = "whoever runs the image admission of this cluster"
_ADVICE: Final = {
    NOT_SIGNED: "its publisher signs it, or name an image that is signed",
    NOT_TRUSTED: f"do not use it; tell its publisher and {_OPERATOR}",
    POLICY: f"name an image that the policy allows, or ask {_OPERATOR}",
    UNREACHABLE: f"try again in a moment; if it goes on, tell {_OPERATOR}",
}
"""By the exit status that the refusal has in commands."""


def answer_to(verdict: Verdict) -> bytes:
    """Return the review that answers: allowed with its patch, or 403 with a sentence for each image that is refused."""
    refused = [image for image in verdict.images if image.refusal is not None]
    response: dict[str, Any] = {"uid": verdict.uid, "allowed": not refused}
    if refused:
        response["status"] = _status(FORBIDDEN, "\n".join(map(_refusal, refused)))
    elif verdict.patch:
        patch = base64.b64encode(orjson.dumps(verdict.patch))
        response |= {"patchType": "JSONPatch", "patch": patch.decode()}
    warnings = list(_warnings(verdict))
    if warnings:
        more = len(warnings) - MAX_WARNINGS
        response["warnings"] = [*warnings[:MAX_WARNINGS], *([f"and {more} more"] if more > 0 else [])]
    response["auditAnnotations"] = _annotations(verdict)
    return _review(response)


def refusal_of(uid: str, error: TrustError, *, code: int = FORBIDDEN) -> bytes:
    """Return the review that refuses a request as a whole. Never `Timeout`: controllers would take that for done."""
    response = {"uid": uid, "allowed": False, "status": _status(code, _sentence(error))}
    return _review(response)


def _review(response: dict[str, Any]) -> bytes:
    return orjson.dumps({"apiVersion": API_VERSION, "kind": KIND, "response": response})


def _status(code: int, message: str) -> dict[str, Any]:
    cut = message if len(message) <= MAX_MESSAGE else f"{message[: MAX_MESSAGE - 1]}…"
    return {"status": "Failure", "code": code, "reason": _REASONS[code], "message": cut}


def _refusal(image: JudgedImage) -> str:
    """Return the sentence of one refusal: where, which image, why, and what to do."""
    assert image.refusal is not None  # noqa: S101 - only refused images come here
    place = f"{image.place.holder} {shown(image.place.name) or 'without a name'}"
    return f"{place}, image {shown(image.place.image, 300) or '(none)'}: {_sentence(image.refusal)}"


def _sentence(error: TrustError) -> str:
    advice = _advice(error)
    return shown(f"{error}; next: {advice}" if advice else str(error), MAX_SENTENCE)


def _advice(error: TrustError) -> str:
    """Return what somebody does who has kubectl, and neither the webhook's files nor, mostly, its policy."""
    if isinstance(error, NotSigned) and error.tag and not error.tag.startswith("sha256:"):
        return f"its publisher signs it with: trust sign {error.gun}:{shown(error.tag)}"
    if isinstance(error, InvalidName):
        return "put the name of the image right"
    if isinstance(error, PolicyMalformed | PolicyNotObtained):  # no other image would be allowed either
        return f"tell {_OPERATOR}"
    return _ADVICE.get(row_for(error).status, f"tell {_OPERATOR}")


def _warnings(verdict: Verdict) -> Iterator[str]:
    """Yield what somebody is told whose request was allowed or refused, without saying anything twice."""
    told = set()
    for image in verdict.images:
        sentences = list(image.warnings)
        if image.watched is not None and not sentences:
            sentences.append(f"{image.place.image} would be refused if the rule did not only watch: {image.watched}")
        for sentence in sentences:
            warning = shown(sentence, MAX_WARNING - 1)
            if warning not in told:
                told.add(warning)
                yield warning


def _annotations(verdict: Verdict) -> dict[str, str]:
    """Return what the cluster's audit log keeps. The API server puts the webhook's name before each key."""
    if not verdict.images:
        return {"verdict": "no-image-changed"}
    found = {"verdict": "allowed" if verdict.allowed else "refused"}
    parts = {
        "images": [_audited(image) for image in verdict.images],
        "watched": [f"{image.place}: {_code(image.watched)}" for image in verdict.images if image.watched],
        "stale": [str(image.place) for image in verdict.images if image.stale],
    }
    return found | {name: shown("; ".join(texts), MAX_ANNOTATION) for name, texts in parts.items() if texts}


def _audited(image: JudgedImage) -> str:
    what = f"refused ({_code(image.refusal)})" if image.refusal else image.digest or "not verified"
    by = f" by {image.rule}" if image.rule else ""
    return f"{image.place} {image.place.image}: {what}{by}"


def _code(error: TrustError | None) -> str:
    return error.code if error is not None else ""
