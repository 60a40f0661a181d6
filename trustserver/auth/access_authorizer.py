"""Authorize requests by who sends them and by rules: the authorizer in which all kinds of credentials meet.

Which kind a request has is said by its Authorization header. A credential that is no good is refused and never taken
for none: whoever sends one means to be somebody. Reads that are open to everybody are the exception, since the response
cache answers them without a look at the header.

As long as nobody has said who may do what, another authorizer decides: by registry tokens alone, or for everybody.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from trustdata.gun import GUN
from trustdata.roles import RoleName
from trustserver.auth.access_source import AccessSource, AccessState
from trustserver.auth.authorizer import ANONYMOUS, BASIC_CHALLENGE, Action, Authorizer, Headers, Subject, SubjectKind
from trustserver.auth.rights import BY_TOKEN_ACTION, EVERY_RIGHT, NEEDED, Right
from trustserver.auth.rules import EVERY_NAME, Decision, Rule
from trustserver.auth.token_authorizer import (
    CATALOG,
    PING,
    RequiredAccess,
    TokenAuthorizer,
    required_access,
    subject_of,
)
from trustserver.auth.tokens import EVERYTHING, Grant
from trustserver.errors import Forbidden

MAX_DECISIONS: Final = 16 * 1024
"""How many decisions about reads are remembered until the rules change."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who sent a request. `own`: the rights that the credential brings along. `grant`: what a registry token says."""

    subject: Subject
    own: Rule | None = None
    grant: Grant | None = None

    def own_for(self, name: str) -> Rule | None:
        """Return the rights that the credential brings along for one name, or for `*`."""
        if self.grant is None:
            return self.own
        if name == EVERY_NAME:
            catalog = self.grant.allows("registry", "catalog", (EVERYTHING,))
            rights = frozenset({Right.AUDIT}) if catalog else frozenset()
        else:
            actions = self.grant.actions.get(("repository", name), frozenset())
            rights = frozenset().union(*(BY_TOKEN_ACTION.get(action, frozenset()) for action in actions))
        return _of_registry_token(name, rights)


def _of_registry_token(name: str, rights: frozenset[Right]) -> Rule:
    return Rule(number=0, subjects=frozenset(), names=frozenset({name}), rights=rights, label="the token itself")


NOBODY: Final = Caller(subject=ANONYMOUS)


class AccessAuthorizer:
    """Allows what the rules allow to whoever the credential of a request names."""

    def __init__(self, source: AccessSource, *, otherwise: Authorizer, registry: TokenAuthorizer | None) -> None:
        """Make an authorizer. `otherwise`: decides where no rules do. `registry`: knows registry tokens."""
        self._source = source
        self._otherwise = otherwise
        self._registry = registry
        self._reads: tuple[AccessState, dict[tuple[Subject, GUN], bool]] = (source.state, {})
        self._reads_are_open = False
        source.on_change(self._changed)
        self._changed()

    @property
    def reads_are_open(self) -> bool:
        return self._reads_are_open

    def start(self) -> None:
        """Begin to look for changes."""
        self._source.start()

    def close(self) -> None:
        """End the threads that look for changes and check credentials."""
        self._source.close()
        self._otherwise.close()
        if self._registry is not None:
            self._registry.close()

    def warnings(self) -> list[str]:
        """Return what the operator should know of: that the newest file of rules does not count."""
        return (
            [f"the rules on access are older than their file: {self._source.failure}"] if self._source.failure else []
        )

    def look_again(self) -> None:
        """Look for new rules at once."""
        self._source.look_now()

    def may_read_now(self, headers: Headers, gun: GUN) -> bool:
        """Return whether the request is known already to come from somebody who may read the collection."""
        if self._reads_are_open:
            return True
        state = self._source.state
        if not state.decides:
            return self._otherwise.may_read_now(headers, gun)
        caller = self._known_caller(headers)
        return caller is not None and self._may_read(state, caller, gun)

    async def authorize(self, headers: Headers, action: Action, gun: GUN, *, address: str | None = None) -> Subject:
        """Return who sent the request, if they may do this to the collection. Raises: Forbidden, Overloaded."""
        state = self._source.state
        if not state.decides:
            return await self._otherwise.authorize(headers, action, gun, address=address)
        if self._reads_are_open and action is Action.READ:
            return ANONYMOUS  # a bad credential is not refused here, as in TokenAuthorizer
        required = required_access(action, gun)
        caller = await self._caller(headers, required, address)
        for right in sorted(NEEDED[action]):
            decision = state.rules.decide(
                caller.subject, right, gun, own=caller.own_for(gun), only_own=caller.grant is not None
            )
            self._demand(decision, right, caller, required)
        return caller.subject

    def check_change(
        self, subject: Subject, action: Action, gun: GUN, *, changed: Collection[RoleName] = (), begins: bool = False
    ) -> None:
        """Check that a subject still has its rights, and that the change is within them. Raises: Forbidden.

        A registry token counts on until the upload ends, even if it expires meanwhile; what rules take from it counts
        at once.
        """
        state = self._source.state
        if not state.decides:
            self._otherwise.check_change(subject, action, gun, changed=changed, begins=begins)
            return
        of_registry = subject.kind is SubjectKind.REGISTRY_TOKEN
        caller = Caller(subject=subject, own=_of_registry_token(gun, EVERY_RIGHT) if of_registry else None)
        required = required_access(action, gun)
        for right in sorted(NEEDED[action] | ({Right.INIT} if begins else set())):
            decision = state.rules.decide(subject, right, gun, own=caller.own, only_own=of_registry)
            self._demand(decision, right, caller, required)
            beyond = set() if decision.roles is None else set(changed) - decision.roles
            if beyond:
                only, more = " and ".join(sorted(decision.roles or ())), " and ".join(sorted(beyond))
                reason = f"{decision.why.removesuffix(' allows it')} allows changes of {only} alone, not of {more}"
                raise self._refusal(caller, right, required, reason)

    async def authorize_catalog(self, headers: Headers, *, address: str | None = None) -> Subject:
        """Return who sent the request, if they may learn every collection's name. Raises: Forbidden, Overloaded."""
        state = self._source.state
        if not state.decides:
            return await self._otherwise.authorize_catalog(headers, address=address)
        caller = await self._caller(headers, CATALOG, address)
        decision = state.rules.decide_everywhere(
            caller.subject, Right.AUDIT, own=caller.own_for(EVERY_NAME), only_own=caller.grant is not None
        )
        self._demand(decision, Right.AUDIT, caller, CATALOG)
        return caller.subject

    async def authorize_ping(self, headers: Headers, *, address: str | None = None) -> Subject:
        """Return who sent the request, if they are known, whatever they may do.

        Others are refused even if everybody may read: Docker's client takes no login to a server that lets it in here.
        Raises: Forbidden, Overloaded.
        """
        if not self._source.state.decides:
            return await self._otherwise.authorize_ping(headers, address=address)
        caller = await self._caller(headers, PING, address)
        if caller is NOBODY:
            raise self._challenge(PING, "it wants a login")
        return caller.subject

    def _changed(self) -> None:
        """Forget what followed from the state before."""
        state = self._source.state
        self._reads = (state, {})
        self._reads_are_open = state.rules.everybody_reads if state.decides else self._otherwise.reads_are_open

    def _may_read(self, state: AccessState, caller: Caller, gun: GUN) -> bool:
        if caller.grant is not None:
            own = caller.own_for(gun)
            return state.rules.decide(caller.subject, Right.PULL, gun, own=own, only_own=True).allowed
        of_state, reads = self._reads
        allowed = reads.get((caller.subject, gun)) if of_state is state else None
        if allowed is None:
            allowed = state.rules.decide(caller.subject, Right.PULL, gun, own=caller.own).allowed
            if of_state is state:
                if len(reads) >= MAX_DECISIONS:
                    reads.clear()
                reads[caller.subject, gun] = allowed
        return allowed

    def _known_caller(self, headers: Headers) -> Caller | None:
        """Return who sent a request if that is known without checking anything anew; None if it must be found out."""
        found = _authorizations(headers)
        if not found:
            return NOBODY
        grant = None if self._registry is None else self._registry.known_grant(headers)
        return None if grant is None else Caller(subject=subject_of(grant), grant=grant)

    async def _caller(self, headers: Headers, required: RequiredAccess, address: str | None) -> Caller:
        """Return who sent a request. Raises: Forbidden if the credential is no good; Overloaded."""
        known = self._known_caller(headers)
        if known is not None:
            return known
        found = _authorizations(headers)
        if len(found) > 1:
            raise self._challenge(required, "there is more than one Authorization header")
        scheme, _, _ = found[0].partition(b" ")
        if scheme.lower() == b"bearer" and self._registry is not None:
            grant = await self._registry.grant(headers, required, address)
            if grant is not None:
                return Caller(subject=subject_of(grant), grant=grant)
        raise self._challenge(required, "this server does not know such a credential")

    def _demand(self, decision: Decision, right: Right, caller: Caller, required: RequiredAccess) -> None:
        if not decision.allowed:
            raise self._refusal(caller, right, required, decision.why)

    def _refusal(self, caller: Caller, right: Right, required: RequiredAccess, reason: str) -> Forbidden:
        """Return the refusal of a right. Who may get it with another credential gets a challenge."""
        challenge, grant = "", caller.grant
        if self._registry and grant and not grant.allows(required.kind, required.name, required.actions):
            challenge = self._registry.forbidden(required, reason="", error="insufficient_scope").challenge
        elif not caller.subject.authenticated:
            challenge = self._challenge(required, "").challenge
        return Forbidden(
            action=required.action,
            gun=required.what,
            authenticated=caller.subject.authenticated,
            challenge=challenge,
            reason=reason,
            subject=str(caller.subject),
            right=right,
        )

    def _challenge(self, required: RequiredAccess, reason: str) -> Forbidden:
        """Return the refusal of a request whose sender is not known, with the challenge that says how to log in.

        There is one challenge: Docker's client that gets two of them answers both, and the second counts.
        """
        if self._registry is not None:
            return self._registry.forbidden(required, reason=reason)
        return Forbidden(
            action=required.action,
            gun=required.what,
            authenticated=False,
            challenge=BASIC_CHALLENGE,
            reason=reason,
        )


def _authorizations(headers: Headers) -> list[bytes]:
    return [value for name, value in headers if name.lower() == b"authorization"]
