"""Read the head of an answer with http.client, and see what a connection has to say that nobody asked for."""

from __future__ import annotations

import select
import socket
from http import HTTPStatus
from http.client import HTTPResponse, parse_headers
from typing import Any, Final

from trustcli.errors import RemoteMisbehaved
from trustcli.http.messages import Origin

_LENGTH_DIGITS: Final = 18


class FinalResponse(HTTPResponse):
    """An answer without those that only announce it (RFC 9110, 15.2): http.client itself skips 100 and no other.

    How many there may be is bounded by the bytes and the time of the exchange.
    """

    fp: Any = None
    """What an answer reads from: nothing, if Ctrl-C came before there was anything; to close it is no error then."""

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc]
        while HTTPStatus.CONTINUE < status < HTTPStatus.OK and status != HTTPStatus.SWITCHING_PROTOCOLS:
            parse_headers(self.fp)
            version, status, reason = super()._read_status()  # type: ignore[misc]
        return version, status, reason


def declared_length(response: HTTPResponse, origin: Origin) -> int | None:
    """Return the bytes that the body has, as declared; None if nothing says it. Raises: RemoteMisbehaved."""
    values = set(response.msg.get_all("Content-Length") or ())
    if not values or response.chunked or response.status in {204, 304}:
        return None
    value = values.pop()
    if values or not (value.isascii() and value.isdigit() and len(value) <= _LENGTH_DIGITS):
        raise RemoteMisbehaved(remote=str(origin), reason="Content-Length is not one number")
    return int(value)


def closed_while_idle(sock: socket.socket) -> bool:
    """Return whether an idle connection has something to read: its end, or bytes that were not asked for."""
    poll = select.poll()
    try:
        poll.register(sock.fileno(), select.POLLIN)
        return bool(poll.poll(0))
    except (OSError, ValueError, AttributeError):
        return True
