"""Translate what sockets, TLS and http.client raise into errors that a user can act on."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from trustcli.errors import (
    CertificateRefused,
    ClientCertificateWanted,
    OutOfConnections,
    ProxyRefused,
    RemoteMisbehaved,
    RemoteUnreachable,
)
from trustcli.http.time_budget import ExchangeTooLong
from trustcli.http.tls import offered_certificate, wants_client_certificate

if TYPE_CHECKING:
    from trustcli.http.messages import Origin
    from trustcli.http.network import Network
    from trustcli.http.proxies import Proxy


_OUR_LIMITS: Final = frozenset({errno.EMFILE, errno.ENFILE})
"""The bounds of this program, or of the machine, which some clients of a resident hook may reach."""
_TLS_ALERT: Final = "\x15\x03"
"""How the answer begins of a server that was spoken to in plain HTTP, and expects TLS: an alert of any version."""


def proxy_refused(origin: Origin, proxy: Proxy, status: int) -> ProxyRefused:
    """Return the error for a proxy that answers with a refusal of its own."""
    wants = " and wants to know who asks" if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED else ""
    return ProxyRefused(remote=str(origin), reason=f"the proxy {proxy.host}:{proxy.port} refuses ({status}){wants}")


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what it was raised from, outermost first."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def transport_failure(
    error: Exception, origin: Origin, network: Network, proxy: Proxy | None, *, secured: bool = False
) -> RemoteUnreachable | RemoteMisbehaved:
    """Return the error to raise. A refused certificate is fetched once more, to say what it holds.

    `secured`: whether a TLS handshake was done, and no answer has come over that connection.
    """
    remote = str(origin)
    via = f" (through the proxy {proxy.host}:{proxy.port})" if proxy else ""
    chain = tuple(causes(error))
    for cause in chain:
        if found := _about_our_certificate(cause, origin, network, via, secured=secured):
            return found
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, TimeoutError):
            wanted = isinstance(cause, ssl.SSLCertVerificationError) and proxy is None
            certificate = offered_certificate(origin, seconds=network.timeouts.connect) if wanted else None
            reason = network.authorities.explain(cause, origin, certificate=certificate) + via
            kind = CertificateRefused if isinstance(cause, ssl.SSLCertVerificationError) else RemoteUnreachable
            return kind(remote=remote, reason=reason)
        if isinstance(cause, http.client.IncompleteRead):
            return RemoteMisbehaved(remote=remote, reason="its answer is cut off")
        if isinstance(cause, OSError):
            return _not_reached(cause, origin, via)
        if isinstance(cause, http.client.HTTPException):
            return RemoteMisbehaved(remote=remote, reason=f"{_no_http(cause, origin)}{via}")
    return RemoteMisbehaved(remote=remote, reason=f"no HTTP answer: {error}{via}")


def _not_reached(error: OSError, origin: Origin, via: str) -> RemoteUnreachable:
    if error.errno in _OUR_LIMITS:
        return OutOfConnections(remote=str(origin), reason=_reason(error))
    return RemoteUnreachable(remote=str(origin), reason=_reason(error) + via + _perhaps_tls(error, origin))


def _perhaps_tls(error: OSError, origin: Origin) -> str:
    """Return the address with https for a server that hangs up on plain HTTP, as most do that expect TLS."""
    hung_up = isinstance(error, http.client.RemoteDisconnected | ConnectionResetError)
    return (
        f"; if it expects TLS, its address is https://{origin.host_port}" if hung_up and origin.scheme == "http" else ""
    )


def _no_http(error: http.client.HTTPException, origin: Origin) -> str:
    if str(error).startswith(_TLS_ALERT):
        return f"it speaks TLS at this port; its address is https://{origin.host_port}"
    return f"no HTTP answer: {str(error) or type(error).__name__}"


def _about_our_certificate(
    cause: BaseException, origin: Origin, network: Network, via: str, *, secured: bool
) -> RemoteUnreachable | None:
    """Return the error if a server has ended the connection for our client certificate, or the lack of one."""
    if isinstance(cause, ssl.SSLError) and wants_client_certificate(cause):
        reason = network.authorities.explain_refusal(origin, str(cause.reason)) + via
        return ClientCertificateWanted(remote=str(origin), reason=reason)
    cut = isinstance(cause, ssl.SSLEOFError | ConnectionResetError | BrokenPipeError)
    if secured and cut and not isinstance(cause, http.client.RemoteDisconnected):  # which has ended in order
        return _closed_after_handshake(origin, network, via)
    return None


def _closed_after_handshake(origin: Origin, network: Network, via: str) -> RemoteUnreachable:
    """Return the error for a connection that ended after its handshake: TLS 1.3 refuses certificates of clients then.

    The alert that would say so is often lost on the way.
    """
    reason = f"it closed the connection after the TLS handshake{via}"
    if ours := ", ".join(network.authorities.client_certificates(origin)):
        reason += f", as servers do that refuse a client certificate (ours: {ours})"
        return RemoteUnreachable(remote=str(origin), reason=reason)
    reason += ", as servers do that want a client certificate, of which there is none here"
    return ClientCertificateWanted(remote=str(origin), reason=reason)


def _reason(error: OSError) -> str:
    if isinstance(error, http.client.RemoteDisconnected):
        return "it closed the connection without an answer"
    if isinstance(error, TimeoutError):
        return str(error) if isinstance(error, ExchangeTooLong) else "no answer in time"
    if isinstance(error, socket.gaierror):
        return "no such host name, or no name server"
    return error.strerror or str(error) or type(error).__name__
