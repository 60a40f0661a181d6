"""Say who makes a change, for the record: the subject, and what the request says of where it comes from."""

from __future__ import annotations

from trustserver.api.gun_path import Scope
from trustserver.auth.authorizer import Subject
from trustserver.storage.events import Actor


def actor_of(scope: Scope, subject: Subject) -> Actor:
    """Return who makes the change that a request asks for.

    The address is the client's own, and not the network that limits count it under. Behind a proxy that --trusted-proxy
    names it is what the proxy says. What the program calls itself (User-Agent) is believed by nobody.
    """
    client = scope.get("client")
    agent = next((value for name, value in scope["headers"] if name == b"user-agent"), b"")
    return Actor(
        subject=str(subject),
        kind=subject.kind,
        address=str(client[0]) if client else "",
        client=agent.decode("latin-1"),
    )
