"""Refuse a request: say who its sender is taken for, which right is missing, and how to log in."""

from __future__ import annotations

import re
from typing import Final

from trustserver.auth.authorizer import BASIC_CHALLENGE, Headers
from trustserver.auth.callers import Caller
from trustserver.auth.rights import Right
from trustserver.auth.token_authorizer import RequiredAccess, TokenAuthorizer
from trustserver.errors import Forbidden

LOGIN_PATH: Final = "/api/v1/token"
_HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,255}(:[0-9]{1,5})?|\[[0-9a-fA-F:.]{2,45}\](:[0-9]{1,5})?", re.ASCII)


class Refusals:
    """Makes refusals with the challenge (RFC 9110, 11.6.1) that says how to get in.

    `registry`: knows registry tokens, and where they are given; None: this server gives its own. `scheme`: with which
    clients reach this server.
    """

    def __init__(self, registry: TokenAuthorizer | None, *, scheme: str) -> None:
        self._registry = registry
        self._scheme = scheme

    def of_right(
        self, caller: Caller, right: Right, required: RequiredAccess, reason: str, headers: Headers = ()
    ) -> Forbidden:
        """Return the refusal of a right. Senders who may get it with another credential get a challenge."""
        challenge, grant = "", caller.grant
        if self._registry and grant and not grant.allows(required.kind, required.name, required.actions):
            challenge = self._registry.forbidden(required, reason="", error="insufficient_scope").challenge
        elif not caller.subject.authenticated:
            challenge = self.challenge(required, "", headers).challenge
        return Forbidden(
            action=required.action,
            gun=required.what,
            authenticated=caller.subject.authenticated,
            challenge=challenge,
            reason=reason,
            subject=str(caller.subject),
            right=right,
        )

    def challenge(self, required: RequiredAccess, reason: str, headers: Headers = ()) -> Forbidden:
        """Return the refusal of a request whose sender is not known, with the challenge that says how to log in.

        There is one challenge: Docker's client that gets two of them answers both, and the second counts. It asks for a
        token of this server, since `notary` never sends a password when it reads.
        """
        if self._registry is not None:
            return self._registry.forbidden(required, reason=reason)
        host = next((value for name, value in headers if name.lower() == b"host"), b"").decode("latin-1")
        challenge = BASIC_CHALLENGE
        if _HOST.fullmatch(host):
            realm = f"{self._scheme}://{host}{LOGIN_PATH}"
            challenge = f'Bearer realm="{realm}",service="{host}",scope="{required.scope}"'
            if not required.scope.isascii() or not required.scope.isprintable() or '"' in required.scope:
                challenge = f'Bearer realm="{realm}",service="{host}"'
        return unknown_sender(required, reason, challenge)


def unknown_sender(required: RequiredAccess, reason: str, challenge: str) -> Forbidden:
    """Return the refusal of a request whose sender is not known."""
    return Forbidden(action=required.action, gun=required.what, authenticated=False, challenge=challenge, reason=reason)
