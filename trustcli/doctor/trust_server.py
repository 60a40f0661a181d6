"""Check a trust server with the client that `verify` uses: can it be reached, is it one, is it ready?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from trustcli.client.server_link import ServerLink
from trustcli.config.settings import ServerChoice
from trustcli.doctor.certificates import check_certificate
from trustcli.doctor.clock import check_clock
from trustcli.doctor.failing import failed
from trustcli.doctor.findings import Finding
from trustcli.http.messages import Origin, Response
from trustcli.http.record import Exchange, Record
from trustcli.http.refusals import is_page, words
from trustcli.session import Session
from trustdata import bounded_json
from trustdata.errors import NoTrustData, TrustError
from trustdata.gun import GUN

_CHECK: Final = "trust-server"
_HIDDEN_BY_PROXY: Final = "the proxy before it hides /readyz"
_LIMIT: Final = 256 * 1024  # bytes of an answer
_UNKNOWN: Final = "/tuf/unknown.invalid/doctor/metadata/1.root.json"
"""A file of a collection that nobody has: a trust server says so in words of its own."""


def check_trust_server(session: Session, choice: ServerChoice, *, verified: bool = False) -> Iterator[Finding]:
    """Return the findings about a trust server. `verified`: a collection was just verified with it, so reading works.

    Raises: InvalidName.
    """
    place = f"{choice.url} ({choice.source})"
    record = Record()
    with contextlib.closing(session.link(GUN(""), choice.url, record)) as link:
        ready = _ask(link, "/readyz")
        notary = _ask(link, "/_notary_server/health") if isinstance(ready, Response) and ready.absent else None
        silent = isinstance(ready, Response) and not isinstance(_object(ready).get("status"), str)
        hidden = _hider(link) if silent and not verified and _serves(_ask(link, _UNKNOWN)) else ""
    asked = _most_telling(record, link.origin)
    if isinstance(notary, Response) and notary.ok and _object(notary) == {}:
        yield Finding(check=_CHECK, severity="ok", text=f"{link.name} is a Notary server, and healthy", place=place)
    elif isinstance(ready, Response):
        yield _judged(ready, link.name, asked, place, works=_works(verified=verified, hidden=hidden))
    else:
        finding = failed(_CHECK, ready, place=place, remedy=_remedy(asked))
        yield _all_the_same(finding, _works(verified=True, hidden="")) if verified else finding
    if asked is not None:
        yield from check_certificate(session, asked)
        yield from check_clock(asked, session.at)


def _serves(answer: Response | TrustError) -> bool:
    """Return whether an answer about a collection that nobody has is that of a trust server."""
    return isinstance(answer, Response) and answer.absent and _object(answer).get("code") == NoTrustData.code


def _hider(link: ServerLink) -> str:
    """Return what hides /readyz of a trust server from whoever asks for it at this address."""
    has_path = link.name != str(link.origin)
    return "its /readyz is elsewhere: see whether the path belongs to the address" if has_path else _HIDDEN_BY_PROXY


def _works(*, verified: bool, hidden: str) -> str:
    """Return how it is known that a trust server is there, although it does not say so at /readyz; or ""."""
    if verified:
        return "trust data can be read from it"
    return f"there is a trust server, and {hidden}" if hidden else ""


def _ask(link: ServerLink, target: str) -> Response | TrustError:
    try:
        return link.ask("GET", target, scope="", limit=_LIMIT)
    except TrustError as failure:
        return failure


def _most_telling(record: Record, origin: Origin) -> Exchange | None:
    """Return an exchange that the server itself answered, else the last one with it; None if there was none."""
    own = [exchange for exchange in record.exchanges if exchange.origin == origin]
    return next((exchange for exchange in own if exchange.response is not None), own[-1] if own else None)


def _remedy(asked: Exchange | None) -> str | None:
    if asked is None or asked.proxy is None:
        return None
    proxy = f"{asked.proxy.host}:{asked.proxy.port}"
    return f"see whether the proxy {proxy} lets it through, or name {asked.origin.host} in NO_PROXY"


def _judged(ready: Response, name: str, asked: Exchange | None, place: str, *, works: str) -> Finding:
    told = _object(ready)
    status = told.get("status")
    via = f", through the proxy {asked.proxy.host}:{asked.proxy.port}" if asked and asked.proxy else ""
    if not isinstance(status, str):
        said = f" (it says: {words(ready)})" if is_page(ready) else ""
        none = "" if works else "; so there is no trust server, or a proxy hides all of it"
        finding = Finding(
            check=_CHECK,
            severity="wrong",
            text=f"{name} answers {ready.status} to /readyz{via}, but not as a trust server does{said}{none}",
            remedy=_remedy(asked)
            or "correct the address: --server, TRUST_SERVER, [servers] in trust.toml; else it is the registry's host",
            place=place,
        )
        return _all_the_same(finding, works) if works else finding
    if ready.status != HTTPStatus.OK:
        return Finding(
            check=_CHECK,
            severity="wrong",
            text=f"{name} is a trust server, but not ready: {status}",
            remedy="tell its operator; trust-server check says what is wrong there",
            place=place,
        )
    warnings = told.get("warnings")
    if isinstance(warnings, list) and warnings:
        said = "; ".join(map(str, warnings))
        return Finding(
            check=_CHECK,
            severity="wrong",
            text=f"{name} answers{via}, and warns: {said}",
            remedy="tell its operator",
            place=place,
        )
    return Finding(check=_CHECK, severity="ok", text=f"{name} is ready{via}", place=place)


def _all_the_same(finding: Finding, works: str) -> Finding:
    """Make it a note: a mirror of the files alone is enough for `verify`. `works`: what is known to work."""
    return replace(finding, severity="note", text=f"{finding.text}; {works}", remedy=None)


def _object(response: Response) -> dict[str, object]:
    try:
        told = bounded_json.loads(response.body)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
