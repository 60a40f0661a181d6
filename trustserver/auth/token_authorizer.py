"""Registry tokens at the door: who asks is whom his token names, and he may do what it lists.

Source: distribution's token authentication, as clients of Notary v1 and registries speak it.
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

KEPT_TOKENS: Final = 1024
"""Verified tokens that are remembered; the least recently used go first."""
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
    """What a request needs, as tokens name it; `action` and `what` say it to people."""

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
    """Lets in who brings a token. A verified token is kept, by its hash, so that a read costs no signature check."""

    def __init__(
        self,
        verifier: TokenVerifier,
        *,
        realm: str,
        service: str,
        anonymous_pull: bool,
        clock: Callable[[], datetime],
    ) -> None:
        """`realm`: URL of the token server. `anonymous_pull`: whether everybody may read without a token."""
        self.reads_are_open = anonymous_pull
        self._verifier = verifier
        self._challenge = f"Bearer realm={_quoted(realm)},service={_quoted(service)}"
        self._clock = clock
        self._kept: OrderedDict[bytes, Grant] = OrderedDict()

    def authorize(self, headers: Iterable[tuple[bytes, bytes]], action: Action, gun: GUN) -> Subject:
        """As promised by `Authorizer`. Where no token is needed none is looked at: the view asks nobody either."""
        if self.reads_are_open and action is Action.READ:
            return ANONYMOUS
        wanted = _RequiredAccess(kind="repository", name=gun, actions=_ACTIONS[action], action=action, what=gun)
        return self._allowed(self._grant(headers, wanted), wanted)

    def authorize_catalog(self, headers: Iterable[tuple[bytes, bytes]]) -> Subject:
        """As promised by `Authorizer`."""
        return self._allowed(self._grant(headers, _CATALOG), _CATALOG)

    def authorize_ping(self, headers: Iterable[tuple[bytes, bytes]]) -> Subject:
        """Whoever holds a token, whatever it allows. The others are challenged, with anonymous pull, too.

        A client that is let in here without a token never asks for one, and so could never publish.
        """
        grant = self._grant(headers, _PING)
        if grant is None:
            raise self._forbidden(_PING, reason="it wants a token")
        return _subject(grant)

    def _allowed(self, grant: Grant | None, wanted: _RequiredAccess) -> Subject:
        if grant is None:
            raise self._forbidden(wanted, reason="it wants a token")
        subject = _subject(grant)
        if not grant.allows(wanted.kind, wanted.name, wanted.actions):
            reason = f"the token of {subject.name} does not allow {','.join(wanted.actions)}"
            raise self._forbidden(wanted, reason=reason, error="insufficient_scope", subject=subject)
        return subject

    def _grant(self, headers: Iterable[tuple[bytes, bytes]], wanted: _RequiredAccess) -> Grant | None:
        """What the request's token allows; None if it brings none."""
        try:
            token = _bearer(headers)
            return None if token is None else self._verified(token)
        except TokenRefused as error:
            _log.info("token refused", extra={"reason": error.reason})
            raise self._forbidden(wanted, reason=str(error), error="invalid_token") from error

    def _verified(self, token: bytes) -> Grant:
        at = self._clock()
        name = hashlib.sha256(token).digest()
        kept = self._kept.get(name)
        if kept is not None and at.timestamp() < kept.until:
            self._kept.move_to_end(name)
            return kept
        self._kept.pop(name, None)
        grant = self._verifier.verify(token, at)
        self._kept[name] = grant
        if len(self._kept) > KEPT_TOKENS:
            self._kept.popitem(last=False)
        return grant

    def _forbidden(
        self, wanted: _RequiredAccess, *, reason: str, error: str = "", subject: Subject = ANONYMOUS
    ) -> Forbidden:
        challenge = f"{self._challenge},scope={_quoted(wanted.scope)}"
        return Forbidden(
            action=wanted.action,
            gun=wanted.what,
            authenticated=subject.authenticated,
            challenge=f'{challenge},error="{error}"' if error else challenge,
            reason=reason,
        )


def _subject(grant: Grant) -> Subject:
    """Token servers leave `sub` empty for whoever asked them without credentials."""
    return Subject(name=shown(grant.subject), authenticated=True) if grant.subject else ANONYMOUS


def _bearer(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The request's token; None if it has none, whatever else it is authorised with. Raises: TokenRefused."""
    found: bytes | None = None
    for name, value in headers:
        if name.lower() == b"authorization":
            if found is not None:
                raise TokenRefused(reason="there is more than one")
            found = value
    scheme, _, token = (found or b"").partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else None


def _quoted(text: str) -> str:
    """A quoted-string (RFC 9110, 5.6.4) of printable ASCII; what cannot stand in one is percent-encoded."""
    plain = "".join(c if " " <= c <= "~" else "".join(f"%{byte:02X}" for byte in c.encode()) for c in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
