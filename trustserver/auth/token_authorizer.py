"""Authorize requests by registry tokens: the token names the user and lists what they may do.

Source: the token authentication of the `distribution` registry, which clients of Notary v1 and of registries use.
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from trustdata.errors import shown
from trustdata.gun import GUN
from trustserver.auth.authorizer import Action, Subject
from trustserver.auth.tokens import EVERYTHING, Grant, TokenVerifier
from trustserver.errors import Forbidden, TokenRefused

MAX_KEPT_TOKENS: Final = 1024
"""How many verified tokens are kept; the least recently used is dropped first."""
ANONYMOUS: Final = Subject(name="anonymous", authenticated=False)

_ACTIONS: Final[Mapping[Action, tuple[str, ...]]] = {
    Action.READ: ("pull",),
    Action.PUBLISH: ("pull", "push"),
    Action.MANAGE_KEYS: (EVERYTHING,),
    Action.DELETE: (EVERYTHING,),
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _RequiredAccess:
    """The access that a request needs, in the words of tokens. `action` and `what` are for the error's sentence."""

    kind: str
    name: str
    actions: tuple[str, ...]
    action: str
    what: str

    @property
    def scope(self) -> str:
        return f"{self.kind}:{self.name}:{','.join(self.actions)}"


_CATALOG: Final = _RequiredAccess(
    kind="registry", name="catalog", actions=(EVERYTHING,), action="read", what="the catalogue of all collections"
)
_PING: Final = replace(_CATALOG, action="ask", what="this server")


class TokenAuthorizer:
    """Allows a request if its token does. Verified tokens are kept, so that a read need not check a signature again."""

    def __init__(
        self,
        verifier: TokenVerifier,
        *,
        realm: str,
        service: str,
        anonymous_pull: bool,
        clock: Callable[[], datetime],
    ) -> None:
        """Make an authorizer for the tokens that `verifier` accepts.

        `realm`: URL of the token server. `service`: the name that it has for this server. `anonymous_pull`: whether
        everybody may read without a token.
        """
        self.reads_are_open = anonymous_pull
        self._verifier = verifier
        self._challenge = f"Bearer realm={_quoted(realm)},service={_quoted(service)}"
        self._clock = clock
        self._verified_tokens: OrderedDict[bytes, Grant] = OrderedDict()

    def authorize(self, headers: Iterable[tuple[bytes, bytes]], action: Action, gun: GUN) -> Subject:
        """Return who sent the request, if they may do this to the collection. Raises: Forbidden."""
        if self.reads_are_open and action is Action.READ:
            # A bad token is not refused here, since the response cache answers most reads without looking at tokens.
            return ANONYMOUS
        required = _RequiredAccess(kind="repository", name=gun, actions=_ACTIONS[action], action=action, what=gun)
        return self._allowed(self._grant(headers, required), required)

    def authorize_catalog(self, headers: Iterable[tuple[bytes, bytes]]) -> Subject:
        """Return who sent the request, if they may learn the names of all collections. Raises: Forbidden."""
        return self._allowed(self._grant(headers, _CATALOG), _CATALOG)

    def authorize_ping(self, headers: Iterable[tuple[bytes, bytes]]) -> Subject:
        """Return who sent the request, if it has a valid token. What the token allows does not matter here.

        A request without a token is refused even if everybody may read: a client that gets no challenge here would
        never ask for a token, and so could never publish. Raises: Forbidden.
        """
        grant = self._grant(headers, _PING)
        if grant is None:
            raise self._forbidden(_PING, reason="it wants a token")
        return _subject(grant)

    def _allowed(self, grant: Grant | None, required: _RequiredAccess) -> Subject:
        if grant is None:
            raise self._forbidden(required, reason="it wants a token")
        subject = _subject(grant)
        if not grant.allows(required.kind, required.name, required.actions):
            reason = f"the token of {subject.name} does not allow {','.join(required.actions)}"
            raise self._forbidden(required, reason=reason, error="insufficient_scope", subject=subject)
        return subject

    def _grant(self, headers: Iterable[tuple[bytes, bytes]], required: _RequiredAccess) -> Grant | None:
        """Return what the request's token allows; None if it has no token. Raises: Forbidden if it is a bad token."""
        try:
            token = _bearer(headers)
            return None if token is None else self._verified(token)
        except TokenRefused as error:
            _log.info("token refused", extra={"reason": error.reason})
            raise self._forbidden(required, reason=str(error), error="invalid_token") from error

    def _verified(self, token: bytes) -> Grant:
        at = self._clock()
        digest = hashlib.sha256(token).digest()
        known = self._verified_tokens.get(digest)
        if known is not None and at.timestamp() < known.until:
            self._verified_tokens.move_to_end(digest)
            return known
        self._verified_tokens.pop(digest, None)
        grant = self._verifier.verify(token, at)
        self._verified_tokens[digest] = grant
        if len(self._verified_tokens) > MAX_KEPT_TOKENS:
            self._verified_tokens.popitem(last=False)
        return grant

    def _forbidden(
        self, required: _RequiredAccess, *, reason: str, error: str = "", subject: Subject = ANONYMOUS
    ) -> Forbidden:
        challenge = f"{self._challenge},scope={_quoted(required.scope)}"
        return Forbidden(
            action=required.action,
            gun=required.what,
            authenticated=subject.authenticated,
            challenge=f'{challenge},error="{error}"' if error else challenge,
            reason=reason,
        )


def _subject(grant: Grant) -> Subject:
    """Return the user that a token names. An empty `sub` is anonymous: token servers write it without a login."""
    return Subject(name=shown(grant.subject), authenticated=True) if grant.subject else ANONYMOUS


def _bearer(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """Return the request's bearer token; None if it has none, or uses another scheme such as Basic.

    Raises: TokenRefused if there is more than one Authorization header.
    """
    found: bytes | None = None
    for name, value in headers:
        if name.lower() == b"authorization":
            if found is not None:
                raise TokenRefused(reason="there is more than one")
            found = value
    scheme, _, token = (found or b"").partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else None


def _quoted(text: str) -> str:
    """Write text as a quoted-string (RFC 9110, 5.6.4). All but printable ASCII is percent-encoded."""
    plain = "".join(c if " " <= c <= "~" else "".join(f"%{byte:02X}" for byte in c.encode()) for c in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
