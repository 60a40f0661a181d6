"""Attackers that use up what all share: room for uploads, names, versions on the disk, checks of tokens."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import socket
import ssl
from collections import deque
from collections.abc import Iterator, Mapping
from multiprocessing.synchronize import Event
from typing import Final, TypeAlias

from tests.simulator.token_issuer import Certified, authority, claims, now, token, x5c
from tests.support.attackers import Target
from tests.support.attackers.connections import connect

UPLOAD_BYTES: Final = 15 * 1024 * 1024
"""What each unfinished upload sends; less than the largest that is allowed."""
_HELD: Final = 24
_UPLOADS_EACH_SECOND: Final = 5
_ANSWERED_EACH_SECOND: Final = 100
EMPTY: Final = b"\r\n--b--\r\n"
FORM: Final = "multipart/form-data; boundary=b"


Asked: TypeAlias = tuple[str, str, bytes, Mapping[str, str]]
"""A request: method, path, body and headers."""


def unfinished_uploads(target: Target, stop: Event) -> None:
    """Send nearly all of large uploads, each for another name, and never end them. For plain HTTP."""
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="targets"\r\n\r\n'
    body = b"[" * UPLOAD_BYTES
    held: deque[socket.socket] = deque()
    for number in itertools.count():
        if stop.wait(1 / _UPLOADS_EACH_SECOND):
            break
        request = (
            f"POST /api/v1/collections/{target.gun}{number}/publish HTTP/1.1\r\nHost: a\r\n"
            f"Content-Type: {FORM}\r\nContent-Length: {len(head) + len(body) + 9}\r\n\r\n"
        ).encode()
        with contextlib.suppress(OSError):
            client = connect(target, request + head)
            held.append(client)
            client.sendall(body)
        if len(held) > _HELD:
            held.popleft().close()
    for each in held:
        each.close()


def many_names(target: Target, stop: Event) -> None:
    """Ask for the server's keys of ever new names, as a web page would and as a program would."""
    headers: list[Mapping[str, str]] = [{}, {"Origin": "https://evil.example"}]
    paths = (f"/api/v1/collections/{target.gun}{number}/keys/snapshot" for number in itertools.count())
    ask_at_a_rate(target, stop, (("GET", path, b"", headers[number % 2]) for number, path in enumerate(paths)))


def empty_uploads(target: Target, stop: Event) -> None:
    """Send empty uploads to a Notary collection that exists, again and again."""
    headers = {"Content-Type": FORM, **_bearer(target.token)}
    ask_at_a_rate(target, stop, itertools.repeat(("POST", f"/v2/{target.gun}/_trust/tuf/", EMPTY, headers)))


def forged_tokens(target: Target, stop: Event) -> None:
    """Bring tokens whose eight certificates have the name of the operator's; each token is another one.

    `target.token`: issuer and service, separated by a line feed.
    """
    issuer, service = target.token.split("\n")
    eight = same_name()
    path = f"/tuf/{target.gun}/metadata/timestamp.json"
    ask_at_a_rate(
        target, stop, (("GET", path, b"", _bearer(forged(eight, issuer, service, n))) for n in itertools.count())
    )


def same_name(name: str = "token server") -> list[Certified]:
    """Eight certificates of one name, any of which may be the issuer of any other, by the names."""
    return [authority(now(), name=name) for _ in range(8)]


def forged(chain: list[Certified], issuer: str, service: str, number: int) -> str:
    """A token with claims that are right, and with a chain that nobody knows."""
    return token(chain[0].key, claims(now(), iss=issuer, aud=service, jti=str(number)), **x5c(*chain))


def _bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"} if text else {}


def ask_at_a_rate(target: Target, stop: Event, requests: Iterator[Asked]) -> None:
    """Send requests over one connection, at a fixed rate."""
    link: http.client.HTTPConnection | None = None
    for method, path, body, headers in requests:
        if stop.wait(1 / _ANSWERED_EACH_SECOND):
            break
        try:
            link = link or _link(target)
            link.request(method, path, body=body or None, headers=dict(headers))
            link.getresponse().read()
        except (OSError, http.client.HTTPException):
            if link is not None:
                link.close()
            link = None
    if link is not None:
        link.close()


def _link(target: Target) -> http.client.HTTPConnection:
    source = (target.source, 0)
    if target.ca is None:
        return http.client.HTTPConnection(target.host, target.port, timeout=10, source_address=source)
    context = ssl.create_default_context(cafile=str(target.ca))
    return http.client.HTTPSConnection(target.host, target.port, timeout=10, source_address=source, context=context)
