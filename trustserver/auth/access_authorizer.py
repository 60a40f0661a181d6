"""Authorize requests by who sends them and by rules: the authorizer in which all kinds of credentials meet.

Which kind a request has is said by its Authorization header. A credential that is no good is refused and never taken
for none: whoever sends one means to be somebody. Reads that are open to everybody are the exception, since the response
cache answers them without a look at the header.

As long as nobody has said who may do what, another authorizer decides: by registry tokens alone, or for everybody.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from typing import Final

from trustdata.gun import GUN
from trustdata.roles import RoleName
from trustserver.auth.access_source import AccessSource, AccessState, KnownCredential
from trustserver.auth.api_tokens import token_digest
from trustserver.auth.authorizer import (
    ANONYMOUS,
    BASIC_CHALLENGE,
    Action,
    Authorizer,
    Headers,
    RightHeld,
    Sender,
    Standing,
    Subject,
    SubjectKind,
)
from trustserver.auth.callers import (
    NOBODY,
    STORED,
    WITH_SESSION,
    Caller,
    caller_given,
    caller_of,
    caller_with,
    ended_words,
    of_registry_token,
)
from trustserver.auth.client_certificates import ClientCertificates
from trustserver.auth.credentials import Credential, authorizations, read_credential
from trustserver.auth.exchanges import Exchanges
from trustserver.auth.password_checks import PasswordChecks
from trustserver.auth.recent_failures import Failures
from trustserver.auth.refusals import Refusals, unknown_sender
from trustserver.auth.rights import EVERY_RIGHT, NEEDED, Right
from trustserver.auth.rules import EVERY_NAME, AccessRules, Decision
from trustserver.auth.sessions import Session, Sessions, read_session
from trustserver.auth.token_authorizer import (
    CATALOG,
    PING,
    RequiredAccess,
    TokenAuthorizer,
    everything_on,
    required_access,
)
from trustserver.errors import ClientCertificateRefused, Forbidden, Overloaded
from trustserver.storage.access_port import CredentialKind
from trustserver.storage.exchange_port import ExchangedToken

MAX_DECISIONS: Final = 16 * 1024
"""How many decisions about reads are remembered until the rules change."""

REFUSED_TOKENS: Final = 100
"""How many tokens of one address are refused in REFUSED_SECONDS as what they are; after that they are not looked at."""
REFUSED_SECONDS: Final = 60.0

_DOTS: Final = 2
"""Between the parts of a JSON Web Token."""

_log = logging.getLogger(__name__)


class AccessAuthorizer:
    """Allows what the rules allow to whoever the credential of a request names."""

    def __init__(
        self,
        source: AccessSource,
        *,
        otherwise: Authorizer,
        registry: TokenAuthorizer | None,
        clock: Callable[[], datetime],
        seconds: Callable[[], float],
        scheme: str = "https",
        exchanges: Exchanges | None = None,
        certificates: ClientCertificates | None = None,
    ) -> None:
        """Make an authorizer. `otherwise`: decides where no rules do. `registry`: knows registry tokens.

        `scheme`: with which clients reach this server. `exchanges`: knows the tokens of CI jobs and service accounts.
        `certificates`: judges client certificates.
        """
        self._source = source
        self._otherwise = otherwise
        self._registry = registry
        self._clock = clock
        self._refusals = Refusals(registry, scheme=scheme)
        self._sessions = Sessions()
        self._exchanges = exchanges
        self._certificates = certificates
        self._passwords = PasswordChecks(seconds, upgrade=source.upgrade_password)
        self._refused = Failures(seconds, limit=REFUSED_TOKENS, within=REFUSED_SECONDS)
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
        self._passwords.close()
        if self._exchanges is not None:
            self._exchanges.close()
        if self._registry is not None:
            self._registry.close()

    def warnings(self) -> list[str]:
        """Return what the operator should know of: that what is known is not the newest."""
        return self._source.failures()

    def look_again(self) -> None:
        """Look for new rules at once."""
        self._source.look_now()

    def may_read_now(self, sender: Sender, gun: GUN) -> bool:
        """Return whether the request is known already to come from somebody who may read the collection."""
        if self._reads_are_open:
            return True
        state = self._source.state
        if not state.decides:
            return self._otherwise.may_read_now(sender, gun)
        try:
            caller = self._known_caller(sender)
        except ClientCertificateRefused:
            return False
        return caller is not None and self._may_read(state, caller, gun)

    async def authorize(self, sender: Sender, action: Action, gun: GUN) -> Subject:
        """Return who sent the request, if they may do this to the collection. Raises: Forbidden, Overloaded."""
        if not self._source.state.decides:
            return await self._otherwise.authorize(sender, action, gun)
        if self._reads_are_open and action is Action.READ:
            return ANONYMOUS  # a bad credential is not refused here, as in TokenAuthorizer
        required = required_access(action, gun)
        caller = await self._caller(sender, required)
        rules, own, only_own = self._source.state.rules, caller.own_for(gun), caller.grant is not None
        for right in sorted(NEEDED[action]):
            decision = rules.decide(caller.subject, right, gun, own=own, only_own=only_own)
            self._demand(decision, right, caller, required, sender.headers)
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
        required = required_access(action, gun)
        caller = self._again(state, subject, required)
        for right in sorted(NEEDED[action] | ({Right.INIT} if begins else set())):
            decision = state.rules.decide(subject, right, gun, own=caller.own, only_own=of_registry)
            self._demand(decision, right, caller, required)
            beyond = set() if decision.roles is None else set(changed) - decision.roles
            if beyond:
                only, more = " and ".join(sorted(decision.roles or ())), " and ".join(sorted(beyond))
                reason = f"{decision.why.removesuffix(' allows it')} allows changes of {only} alone, not of {more}"
                raise self._refusals.of_right(caller, right, required, reason)

    async def authorize_catalog(self, sender: Sender, *, only: GUN | None = None) -> Subject:
        """Return who sent the request, if they may learn every collection's name, or what becomes of one of them.

        Raises: Forbidden, Overloaded.
        """
        if not self._source.state.decides:
            return await self._otherwise.authorize_catalog(sender, only=only)
        required = CATALOG if only is None else replace(CATALOG, action="read the record of", what=only)
        caller = await self._caller(sender, required)
        rules, own, only_own = self._source.state.rules, caller.own_for(EVERY_NAME), caller.grant is not None
        decision = rules.decide_on(only, caller.subject, Right.AUDIT, own=own, only_own=only_own)
        self._demand(decision, Right.AUDIT, caller, required, sender.headers)
        return caller.subject

    async def authorize_ping(self, sender: Sender) -> Subject:
        """Return who sent the request, if they are known, whatever they may do.

        Others are refused even if everybody may read: Docker's client takes no login to a server that lets it in here.
        Raises: Forbidden, Overloaded.
        """
        if not self._source.state.decides:
            return await self._otherwise.authorize_ping(sender)
        caller = await self._caller(sender, PING)
        if caller is NOBODY:
            raise self._refusals.challenge(PING, "it wants a login", sender.headers)
        return caller.subject

    async def log_in(self, sender: Sender) -> str:
        """Return a session token for the sender of the request; anonymous clients get one, too.

        Raises: Forbidden if the login is no good; NotThere if there is a token server, or nobody to be told apart.
        """
        if self._registry is not None or not self._source.state.decides:
            return await self._otherwise.log_in(sender)
        if any(read_credential(value).session for value in authorizations(sender.headers)):
            raise unknown_sender(PING, "a session is not renewed by itself: it wants a login", BASIC_CHALLENGE)
        try:
            caller = await self._caller(sender, PING)
        except Forbidden as error:
            raise unknown_sender(PING, error.reason, BASIC_CHALLENGE) from error
        subject = caller.subject
        if subject.kind in _NO_SESSIONS:
            raise unknown_sender(PING, f"{subject} has no session: its credential is used as it is", BASIC_CHALLENGE)
        return self._sessions.make(str(subject.kind), subject.name, subject.bound_to, at=self._clock().timestamp())

    async def who_is(self, sender: Sender, name: GUN | None) -> Standing:
        """Return who sent the request, and what they may do to a collection of this name. None: to all of them.

        Raises: Forbidden if the credential is no good; Overloaded.
        """
        if not self._source.state.decides:
            return await self._otherwise.who_is(sender, name)
        caller = await self._caller(sender, PING)
        rules = self._source.state.rules
        rights = {str(right): _held(rules, caller, right, name) for right in Right}
        known = caller.subject.authenticated
        challenge = "" if known else self._refusals.challenge(everything_on(name), "", sender.headers).challenge
        return Standing(subject=caller.subject, expires=caller.expires, rights=rights, challenge=challenge)

    async def exchange(self, token: bytes, *, address: str | None = None) -> tuple[str, ExchangedToken]:
        """Return a token of this server for one of a CI job or service account, and what is known of it.

        Raises: TokenRefused; Overloaded, TooMany, NotStored.
        """
        if self._exchanges is None:
            return await self._otherwise.exchange(token, address=address)
        return await self._exchanges.exchange(token, address=address)

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

    def _known_caller(self, sender: Sender) -> Caller | None:
        """Return who sent a request if that is known without checking anything anew; None if it must be found out.

        A header counts before a certificate, which programs send by themselves. Raises: ClientCertificateRefused.
        """
        found = authorizations(sender.headers)
        if not found:
            return NOBODY if sender.certificate is None else self._certified(sender.certificate)
        if len(found) > 1:
            return None
        credential = read_credential(found[0])
        if credential.api_token:
            known = self._token(credential)
            return known if isinstance(known, Caller) else None
        if credential.session:
            return self._of_session(credential.session)
        if credential.user:
            return self._known_user(credential, sender.address)
        grant = None if self._registry is None else self._registry.known_grant(sender.headers)
        return None if grant is None else caller_with(grant)

    async def _caller(self, sender: Sender, required: RequiredAccess) -> Caller:
        """Return who sent a request. Raises: Forbidden if the credential is no good; Overloaded.

        It may take a while, so that the rules are to be looked at afterwards.
        """
        try:
            known = self._known_caller(sender)
        except ClientCertificateRefused as error:
            raise self._certificate_refusal(error, required, sender) from error
        if known is not None:
            return known
        found = authorizations(sender.headers)
        if len(found) > 1:
            raise self._refusals.challenge(required, "there is more than one Authorization header", sender.headers)
        credential = read_credential(found[0])
        if credential.api_token and sender.address is not None and self._refused.too_many(sender.address):
            raise Overloaded(what="refused tokens from this address", seconds=int(REFUSED_SECONDS))
        if credential.api_token or credential.user:
            await self._source.look_before_refusing()
            return self._known_caller(sender) or await self._checked(credential, sender, required)
        if credential.scheme == "bearer" and self._registry is not None:
            grant = await self._registry.grant(sender, required)
            if grant is not None:
                return caller_with(grant)
        raise self._refusals.challenge(required, _unknown_credential(credential, found[0]), sender.headers)

    async def _checked(self, credential: Credential, sender: Sender, required: RequiredAccess) -> Caller:
        """Return who has a password that must be checked. Raises: Forbidden for others; Overloaded."""
        if credential.api_token:
            refused = self._token(credential)
            _log.info("API token refused", extra={"reason": refused, "client": sender.address})
            if sender.address is not None:
                self._refused.count(sender.address)
            raise self._refusals.challenge(required, f"the API token {refused}", sender.headers)
        user = self._user(credential)
        stored = None if user is None else user.stored.secret
        good = await self._passwords.check(credential.user, credential.password, stored, address=sender.address)
        now = self._user(credential)  # what was checked must be what counts after the wait
        if good and user and now and now.bound_to == user.bound_to:
            return caller_of(now)
        raise self._refusals.challenge(required, "the name or the password is wrong", sender.headers)

    def _certified(self, certificate: bytes) -> Caller:
        """Return whom a client certificate names. Raises: ClientCertificateRefused."""
        if self._certificates is None:
            raise ClientCertificateRefused(reason="is not looked at here")
        good = self._certificates.check(certificate)
        name = self._source.state.rules.certificates.of(good)
        subject = Subject(name=name, kind=SubjectKind.CERTIFICATE, certificate=certificate)
        return Caller(subject=subject, expires=good.not_valid_after_utc)

    def _certified_again(self, subject: Subject, required: RequiredAccess) -> Caller:
        """Return whom a certificate names now. Raises: Forbidden if it is nobody, or somebody else."""
        try:
            now = self._certified(subject.certificate)
        except ClientCertificateRefused as error:
            raise self._refusals.challenge(required, str(error)) from error
        if now.subject != subject:
            raise self._refusals.challenge(required, f"{subject} is nobody on this server any more")
        return now

    def _certificate_refusal(
        self, error: ClientCertificateRefused, required: RequiredAccess, sender: Sender
    ) -> Forbidden:
        _log.info("client certificate refused", extra={"reason": error.reason, "client": sender.address})
        if error.known:
            return Forbidden(action=required.action, gun=required.what, authenticated=True, reason=str(error))
        return self._refusals.challenge(required, str(error), sender.headers)

    def _user(self, credential: Credential) -> KnownCredential | None:
        """Return the user whom a credential names, if there is one who counts."""
        known = self._source.state.named.get((CredentialKind.USER, credential.user))
        return known if known is not None and known.stored.is_valid(self._clock()) else None

    def _known_user(self, credential: Credential, address: str | None) -> Caller | None:
        """Return the user whom a credential names, if their password was found to be good lately."""
        user, password = self._user(credential), credential.password
        if user is None or not self._passwords.is_known(
            user.stored.name, password, user.stored.secret, address=address
        ):
            return None
        return caller_of(user)

    def _token(self, credential: Credential) -> Caller | str:
        """Return whom an API token names, or why it does not count, as words that follow it."""
        digest = token_digest(credential.api_token)
        if digest is None:
            return "is mistyped or cut off"
        known = self._source.state.tokens.get(digest)
        given = None if self._exchanges is None or credential.user else self._exchanges.find(digest)
        if given is not None:
            return caller_given(given)
        if known is None or (credential.user and credential.user != known.stored.name):
            return "is not known here by this name" if credential.user else "is not known here"
        return ended_words(known, self._clock()) or caller_of(known)

    def _demand(
        self, decision: Decision, right: Right, caller: Caller, required: RequiredAccess, headers: Headers = ()
    ) -> None:
        if not decision.allowed:
            raise self._refusals.of_right(caller, right, required, decision.why, headers)

    def _again(self, state: AccessState, subject: Subject, required: RequiredAccess) -> Caller:
        """Return a subject whose credential was good, with what that brings along now.

        Raises: Forbidden if it does not count any more.
        """
        if subject.kind is SubjectKind.REGISTRY_TOKEN:
            return Caller(subject=subject, own=of_registry_token(required.name, EVERY_RIGHT))
        if subject.kind is SubjectKind.CERTIFICATE:
            return self._certified_again(subject, required)
        if subject.kind is SubjectKind.WORKLOAD:
            workload = state.rules.workloads.workloads.get(subject.name)
            if workload is None or workload.definition != subject.bound_to:
                raise self._refusals.challenge(
                    required, f"{subject} is nobody on this server any more, or somebody else"
                )
        kind = STORED.get(subject.kind)
        if kind is None:
            return Caller(subject=subject)
        known = state.named.get((kind, subject.name))
        ended = "is not known here" if known is None else ended_words(known, self._clock())
        if known is None or ended:
            raise self._refusals.challenge(required, f"{subject} {ended}")
        if known.bound_to != subject.bound_to:
            raise self._refusals.challenge(required, f"{subject} has another password by now")
        return caller_of(known)

    def _of_session(self, token: bytes) -> Caller | None:
        """Return whom a session token names; None if it does not count."""
        session, at = read_session(token), self._clock()
        if session is None:
            return None
        if session.kind == SubjectKind.ANONYMOUS:
            return WITH_SESSION if self._sessions.is_genuine(session, "", at=at.timestamp()) else None
        known = (
            self._source.state.named.get((CredentialKind(session.kind), session.name)) if _is_stored(session) else None
        )
        if known is None or not known.stored.is_valid(at):
            return None
        genuine = self._sessions.is_genuine(session, known.bound_to, at=at.timestamp())
        return caller_of(known) if genuine else None


def _held(rules: AccessRules, caller: Caller, right: Right, name: GUN | None) -> RightHeld:
    own = caller.own_for(EVERY_NAME if name is None or right is Right.AUDIT else name)
    only_own = caller.grant is not None
    decision = rules.decide_on(name, caller.subject, right, own=own, only_own=only_own)
    return RightHeld(allowed=decision.allowed, why=decision.in_words)


def _unknown_credential(credential: Credential, value: bytes) -> str:
    """Return why the value of an Authorization header says of nobody here who that is, without anything from it."""
    if credential.session:
        return "its session is over"
    if credential.scheme == "bearer" and value.count(b".") == _DOTS:
        return "this is no token of this server; that of a CI job is exchanged for one (trust login --oidc)"
    return "this server does not know such a credential"


def _is_stored(session: Session) -> bool:
    return session.kind in set(CredentialKind)


_NO_SESSIONS: Final = frozenset({SubjectKind.WORKLOAD, SubjectKind.CERTIFICATE})
