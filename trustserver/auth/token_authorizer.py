"""Authorize requests by registry tokens: the token names the user and lists what they may do.

Source: the token authentication of the `distribution` registry, which clients of Notary v1 and of registries use.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from trustdata.gun import GUN
from trustdata.roles import RoleName
from trustserver.auth.authorizer import (
    ANONYMOUS,
    NO_ISSUERS,
    Action,
    Headers,
    RightHeld,
    Sender,
    Standing,
    Subject,
    SubjectKind,
)
from trustserver.auth.rights import NEEDED, Right
from trustserver.auth.signature_queue import SignatureQueue
from trustserver.auth.tokens import EVERYTHING, Grant, TokenVerifier
from trustserver.auth.verified_tokens import VerifiedTokens
from trustserver.errors import Forbidden, NotThere, TokenRefused
from trustserver.storage.exchange_port import ExchangedToken

_ACTIONS: Final[Mapping[Action, tuple[str, ...]]] = {
    Action.READ: ("pull",),
    Action.PUBLISH: ("pull", "push"),
    Action.MANAGE_KEYS: (EVERYTHING,),
    Action.TAKE_OVER: (EVERYTHING,),
    Action.DELETE: (EVERYTHING,),
    Action.LIST: (EVERYTHING,),
}

_BY_RIGHT: Final[Mapping[Right, tuple[str, ...]]] = {
    Right.PULL: _ACTIONS[Action.READ],
    Right.PUSH: _ACTIONS[Action.PUBLISH],
    Right.INIT: _ACTIONS[Action.PUBLISH],
}
"""The actions that a token must have to give a right, where tokens alone decide; for other rights: `*`."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequiredAccess:
    """The access that a request needs, in the words of tokens. The rest is for the error's sentence.

    `right`: what access rules call it; empty if everybody may do it whom the server knows.
    """

    kind: str
    name: str
    actions: tuple[str, ...]
    action: str
    what: str
    right: str = ""

    @property
    def scope(self) -> str:
        return f"{self.kind}:{self.name}:{','.join(self.actions)}"


CATALOG: Final = RequiredAccess(
    kind="registry",
    name="catalog",
    actions=(EVERYTHING,),
    action="read",
    what="the catalogue of all collections",
    right=Right.AUDIT,
)
PING: Final = replace(CATALOG, action="ask", what="this server", right="")


def required_access(action: Action, gun: GUN) -> RequiredAccess:
    """Return what an action needs of a registry token."""
    right = min(NEEDED[action])
    return RequiredAccess(kind="repository", name=gun, actions=_ACTIONS[action], action=action, what=gun, right=right)


def everything_on(name: GUN | None) -> RequiredAccess:
    """Return what is asked for in a token that shall say all that somebody may do to a collection, or to the server."""
    return PING if name is None else required_access(Action.DELETE, name)


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
        self._anonymous_pull = anonymous_pull
        self._verifier = verifier
        self._queue = SignatureQueue(verifier)
        self._challenge = f"Bearer realm={_quoted(realm)},service={_quoted(service)}"
        self._clock = clock
        self._verified = VerifiedTokens()

    @property
    def reads_are_open(self) -> bool:
        return self._anonymous_pull

    def start(self) -> None:
        """There is nothing that changes."""

    def close(self) -> None:
        """End the thread that checks signatures, once it has nothing to do."""
        self._queue.close()

    def warnings(self) -> list[str]:
        return []

    def look_again(self) -> None:
        """There is nothing that could have changed."""

    def may_read_now(self, sender: Sender, gun: GUN) -> bool:
        """Return whether the request has a token that was verified before and allows to read the collection."""
        if self.reads_are_open:
            return True
        grant = self.known_grant(sender.headers)
        return grant is not None and grant.allows("repository", gun, _ACTIONS[Action.READ])

    def known_grant(self, headers: Headers) -> Grant | None:
        """Return what the request's token allows, if it was verified before; None if that must be asked of `grant`."""
        try:
            token = _bearer(headers)
        except TokenRefused:
            return None
        return None if token is None else self._verified.find(hashlib.sha256(token).digest(), self._clock())

    async def authorize(self, sender: Sender, action: Action, gun: GUN) -> Subject:
        """Return who sent the request, if they may do this to the collection. Raises: Forbidden, Overloaded."""
        if self.reads_are_open and action is Action.READ:
            # A bad token is not refused here, since the response cache answers most reads without looking at tokens.
            return ANONYMOUS
        required = required_access(action, gun)
        return self._allowed(await self.grant(sender, required), required)

    def check_change(
        self, subject: Subject, action: Action, gun: GUN, *, changed: Collection[RoleName] = (), begins: bool = False
    ) -> None:
        """Nothing is taken away: a token says what it allows until it expires, and does so for every role."""

    async def authorize_catalog(self, sender: Sender, *, only: GUN | None = None) -> Subject:
        """Return who sent the request, if they may learn every collection's name. Raises: Forbidden, Overloaded.

        A token says so of all names alone, so this is needed for one of them, too.
        """
        del only
        return self._allowed(await self.grant(sender, CATALOG), CATALOG)

    async def authorize_ping(self, sender: Sender) -> Subject:
        """Return who sent the request, if it has a valid token. What the token allows does not matter here.

        A request without a token is refused even if everybody may read: a client that gets no challenge here would
        never ask for a token, and so could never publish. Raises: Forbidden, Overloaded.
        """
        grant = await self.grant(sender, PING)
        if grant is None:
            raise self.forbidden(PING, reason="it wants a token")
        return subject_of(grant)

    async def log_in(self, sender: Sender) -> str:
        """There is a token server for that. Raises: NotThere."""
        del sender
        raise NotThere(what="login at this server: its tokens come from a token server")

    async def exchange(self, token: bytes, *, address: str | None = None) -> tuple[str, ExchangedToken]:
        """Nobody has said whose tokens count. Raises: TokenRefused."""
        del token, address
        raise TokenRefused(reason=NO_ISSUERS)

    async def who_is(self, sender: Sender, name: GUN | None) -> Standing:
        """Return who sent the request, and what its token allows. Raises: Forbidden if it is a bad one; Overloaded."""
        grant = await self.grant(sender, PING)
        rights = {str(right): self._held(grant, right, name) for right in Right}
        if grant is None:
            challenge = self.forbidden(everything_on(name), reason="").challenge
            return Standing(subject=ANONYMOUS, rights=rights, challenge=challenge)
        return Standing(subject=subject_of(grant), expires=expiry_of(grant), rights=rights)

    def _held(self, grant: Grant | None, right: Right, name: GUN | None) -> RightHeld:
        if self._anonymous_pull and right is Right.PULL:
            return RightHeld(allowed=True, why="--auth-anonymous-pull allows it")
        if grant is None:
            return RightHeld(allowed=False, why="it wants a token")
        if right is Right.AUDIT:
            allowed = grant.allows(CATALOG.kind, CATALOG.name, CATALOG.actions)
        else:
            actions = _BY_RIGHT.get(right, (EVERYTHING,))
            allowed = name is not None and grant.allows("repository", name, actions)
        return RightHeld(allowed=allowed, why="the token allows it" if allowed else f"the token does not allow {right}")

    def _allowed(self, grant: Grant | None, required: RequiredAccess) -> Subject:
        if grant is None:
            raise self.forbidden(required, reason="it wants a token")
        subject = subject_of(grant)
        if not grant.allows(required.kind, required.name, required.actions):
            reason = f"the token of {subject.name} does not allow {','.join(required.actions)}"
            raise self.forbidden(required, reason=reason, error="insufficient_scope", subject=subject)
        return subject

    async def grant(self, sender: Sender, required: RequiredAccess) -> Grant | None:
        """Return what the request's token allows; None if it has no token. `required`: what is asked for.

        Raises: Forbidden if it is a bad token; Overloaded.
        """
        try:
            token = _bearer(sender.headers)
            return None if token is None else await self._verify(token, sender.address)
        except TokenRefused as error:
            _log.info("token refused", extra={"reason": error.reason})
            raise self.forbidden(required, reason=str(error), error="invalid_token") from error

    async def _verify(self, token: bytes, address: str | None) -> Grant:
        at = self._clock()
        known = self._verified.find(hashlib.sha256(token).digest(), at)
        if known is not None:
            return known
        read = self._verifier.read(token, at)
        grant = await self._queue.check(read, at, address=address)
        self._verified.keep(read.digest, grant)
        return grant

    def forbidden(
        self, required: RequiredAccess, *, reason: str, error: str = "", subject: Subject = ANONYMOUS
    ) -> Forbidden:
        """Return the refusal of a request, with the challenge that says which token it needs."""
        challenge = f"{self._challenge},scope={_quoted(required.scope)}"
        return Forbidden(
            action=required.action,
            gun=required.what,
            authenticated=subject.authenticated,
            challenge=f'{challenge},error="{error}"' if error else challenge,
            reason=reason,
            subject=str(subject) if subject.authenticated else "",
            right=required.right if subject.authenticated else "",
        )


def expiry_of(grant: Grant) -> datetime:
    """Return when a token ends, in whole seconds."""
    return datetime.fromtimestamp(int(grant.until), UTC)


def subject_of(grant: Grant) -> Subject:
    """Return the user that a token names. An empty `sub` is anonymous: token servers write it without a login."""
    return Subject(name=grant.subject, kind=SubjectKind.REGISTRY_TOKEN) if grant.subject else ANONYMOUS


def _bearer(headers: Headers) -> bytes | None:
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
