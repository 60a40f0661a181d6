"""Fetch a small document from a web server that the operator named, within bounds of time and size.

Nothing leads elsewhere: a redirect is a failure, as is every status but 200. Unlike for webhooks, no address is left
out: the operator names the issuers of tokens, and these are often on this machine or its network (Kubernetes, a GitLab
of one's own). Only the operator can change where is asked, and a client learns no more of the answer than its
status.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from threading import Event, Timer
from typing import Final, TypeAlias
from urllib.parse import SplitResult, urlsplit

from trustserver.errors import StartRefused
from trustserver.guarded_files import read_guarded
from trustserver.settings import Listen

FETCH_SECONDS: Final = 5.0
"""Seconds that connecting may take, for each address of the host, and then the whole exchange."""
_STEP: Final = 16 * 1024
_MAX_AUTHORITIES: Final = 1024 * 1024  # bytes

_log = logging.getLogger(__name__)

Fetch: TypeAlias = Callable[[str], bytes]
"""Returns the document at a URL. Raises: Unfetched."""


class Unfetched(Exception):
    """A document could not be fetched. Its text says why, without anything that the other server has said."""


def is_fetchable(url: str) -> bool:
    """Return whether `fetch` would ask at this URL: one with https, or with http on a loopback address."""
    try:
        parts = urlsplit(url)
        loopback = Listen(host=parts.hostname or "", port=parts.port or 0).is_local
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and " " not in url
    has_only_place = bool(parts.hostname) and parts.username is None and not parts.fragment
    return plain and has_only_place and (parts.scheme == "https" or (parts.scheme == "http" and loopback))


def fetch(url: str, *, limit: int, authorities: Path | None = None, seconds: float = FETCH_SECONDS) -> bytes:
    """Return the document at a URL that is fetchable. It has at most `limit` bytes.

    `authorities`: certificates (PEM) of those who may certify the server; None: the system's. Raises: Unfetched.
    """
    parts = urlsplit(url)
    try:
        connection = _connection(parts, authorities, seconds)
    except (OSError, ssl.SSLError, StartRefused) as error:
        _log.error("the file of authorities does not count", extra={"file": str(authorities), "reason": str(error)})
        raise Unfetched("the file with the certificates of its authorities cannot be used") from error
    was_cut = Event()
    deadline = Timer(
        seconds, _cut, [connection, was_cut]
    )  # a socket's own timeout begins anew with each byte that comes
    deadline.daemon = True
    try:
        connection.connect()
        deadline.start()
        content = _exchange(connection, parts, limit)
    except ssl.SSLCertVerificationError as error:
        raise Unfetched(f"its certificate is refused: {error.verify_message}") from error
    except TimeoutError as error:
        raise Unfetched(f"it has not answered within {seconds:g} s") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        if was_cut.is_set():
            raise Unfetched(f"it has not answered within {seconds:g} s") from error
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it does not speak HTTP"
        raise Unfetched(reason) from error
    finally:
        deadline.cancel()
        connection.close()
    if was_cut.is_set():  # what is cut looks like an end
        raise Unfetched(f"it has not answered within {seconds:g} s")
    return content


def _connection(parts: SplitResult, authorities: Path | None, seconds: float) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, parts.port, timeout=seconds)
    known = None if authorities is None else read_guarded(authorities, limit=_MAX_AUTHORITIES)
    context = ssl.create_default_context(cadata=known)
    return http.client.HTTPSConnection(host, parts.port, timeout=seconds, context=context)


def _exchange(connection: http.client.HTTPConnection, parts: SplitResult, limit: int) -> bytes:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection.request("GET", target, headers={"Accept": "application/json", "Connection": "close"})
    answer = connection.getresponse()
    if answer.status != http.client.OK:
        raise Unfetched(f"it answers with status {answer.status}")
    content = b""
    while piece := answer.read(_STEP):
        content += piece
        if len(content) > limit:
            raise Unfetched(f"it answers with more than {limit} bytes")
    if answer.length:
        raise Unfetched("its answer ends too early")
    return content


def _cut(connection: http.client.HTTPConnection, was_cut: Event) -> None:
    """End a connection that another thread reads from, so that it stops waiting."""
    was_cut.set()
    if connection.sock is not None:
        with contextlib.suppress(OSError):  # the other side may have ended it just now
            connection.sock.shutdown(socket.SHUT_RDWR)
