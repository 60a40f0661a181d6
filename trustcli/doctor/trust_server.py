"""A trust server: can it be reached, is it one, is it ready?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus

from trustcli.config.settings import ServerChoice
from trustcli.doctor.certificates import check_certificate
from trustcli.doctor.clock import check_clock
from trustcli.doctor.failing import failed
from trustcli.doctor.findings import Finding
from trustcli.doctor.probe import Probe, probe
from trustcli.http.messages import Response, parse_url
from trustcli.session import Session

_CHECK = "trust-server"


def check_trust_server(session: Session, choice: ServerChoice) -> Iterator[Finding]:
    """Raises: InvalidName, SettingsUnusable."""
    origin, path = parse_url(choice.url, kind="trust server")
    place = f"{choice.url} ({choice.source})"
    asked = probe(session, origin, f"{path.rstrip('/')}/readyz")
    if asked.answer is not None and asked.answer.absent:
        notary = probe(session, origin, f"{path.rstrip('/')}/_notary_server/health")
        if notary.answer is not None and notary.answer.ok and _object(notary.answer) == {}:
            yield Finding(check=_CHECK, severity="ok", text=f"{origin} is a Notary server, and healthy", place=place)
            asked = replace(notary, answer=None)
    if asked.failure is not None:
        yield failed(_CHECK, asked.failure, place=place, remedy=_remedy(asked))
    elif asked.answer is not None:
        yield _judged(asked.answer, asked, place)
    yield from check_certificate(session, asked)
    yield from check_clock(asked, session.at)


def _remedy(asked: Probe) -> str | None:
    if asked.proxy:
        return f"see whether the proxy {asked.proxy} lets it through, or name {asked.origin.host} in NO_PROXY"
    return None


def _judged(answer: Response, asked: Probe, place: str) -> Finding:
    told = _object(answer)
    status = told.get("status")
    via = f", through the proxy {asked.proxy}" if asked.proxy else ""
    if not isinstance(status, str):
        return Finding(
            check=_CHECK,
            severity="wrong",
            text=f"{asked.origin} answers {answer.status} to /readyz{via}, but not as a trust server does",
            remedy=_remedy(asked)
            or "correct the address: --server, TRUST_SERVER, [servers] in trust.toml; else it is the registry's host",
            place=place,
        )
    if answer.status != HTTPStatus.OK:
        return Finding(
            check=_CHECK,
            severity="wrong",
            text=f"{asked.origin} is a trust server, but not ready: {status}",
            remedy="tell its operator; trust-server check says what is wrong there",
            place=place,
        )
    warnings = told.get("warnings")
    if isinstance(warnings, list) and warnings:
        said = "; ".join(map(str, warnings))
        return Finding(
            check=_CHECK,
            severity="wrong",
            text=f"{asked.origin} answers{via}, and warns: {said}",
            remedy="tell its operator",
            place=place,
        )
    return Finding(check=_CHECK, severity="ok", text=f"{asked.origin} is ready{via}", place=place)


def _object(answer: Response) -> dict[str, object]:
    try:
        told = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
