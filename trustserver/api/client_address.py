"""Say which client a request is from: for limits that each client has of its own, and for who may do what."""

from __future__ import annotations

from trustdata.hosts import address_group
from trustserver.api.gun_path import Scope
from trustserver.auth.authorizer import Sender
from trustserver.process.tls import CERTIFICATE


def sender_of(scope: Scope) -> Sender:
    """Return what is known of the sender of a request."""
    return Sender(headers=scope["headers"], address=client_address(scope), certificate=scope.get(CERTIFICATE))


def client_address(scope: Scope) -> str | None:
    """Return what the client of a request is counted under: its address, or its /64 network; None if it is not known.

    Behind a proxy that --trusted-proxy names it is the client that the proxy had the request from.
    """
    client = scope.get("client")
    return address_group(str(client[0])) if client else None
