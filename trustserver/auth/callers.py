"""Who sent a request, with the rights that their credential brings along."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from keys.rfc3339 import to_rfc3339
from trustserver.auth.access_source import KnownCredential
from trustserver.auth.authorizer import ANONYMOUS, Subject, SubjectKind
from trustserver.auth.rights import BY_TOKEN_ACTION, Right
from trustserver.auth.rules import EVERY_NAME, Rule
from trustserver.auth.token_authorizer import expiry_of, subject_of
from trustserver.auth.tokens import EVERYTHING, Grant
from trustserver.storage.access_port import CredentialKind
from trustserver.storage.exchange_port import ExchangedToken


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who sent a request. `own`: the rights that the credential brings along. `grant`: what a registry token says.

    `expires`: when the credential ends; None: at no set time.
    """

    subject: Subject
    own: Rule | None = None
    grant: Grant | None = None
    expires: datetime | None = None

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
        return of_registry_token(name, rights)


def of_registry_token(name: str, rights: frozenset[Right]) -> Rule:
    """Make the rule that a registry token brings along."""
    return Rule(number=0, subjects=frozenset(), names=frozenset({name}), rights=rights, label="the token itself")


NOBODY: Final = Caller(subject=ANONYMOUS)
WITH_SESSION: Final = Caller(subject=ANONYMOUS)
"""Nobody, who has come with a session: `GET /v2/` lets them in."""


STORED: Final = {SubjectKind.API_TOKEN: CredentialKind.TOKEN, SubjectKind.PASSWORD: CredentialKind.USER}
"""The kinds of subjects whose credentials this server has given out."""


def ended_words(known: KnownCredential, at: datetime) -> str:
    """Return why a credential does not count any more, as words that follow it; empty if it does."""
    stored = known.stored
    if stored.ended is not None:
        return f"was revoked on {to_rfc3339(stored.ended)}"
    return "" if stored.is_valid(at) else f"has expired on {to_rfc3339(stored.expires or at)}"


def caller_of(known: KnownCredential) -> Caller:
    """Return whom a credential of this server names. A session of it ends earlier; then the login gets another."""
    kind = SubjectKind.API_TOKEN if known.stored.kind is CredentialKind.TOKEN else SubjectKind.PASSWORD
    subject = Subject(name=known.stored.name, kind=kind, bound_to=known.bound_to)
    return Caller(subject=subject, own=known.own, expires=known.stored.expires)


def caller_given(given: ExchangedToken) -> Caller:
    """Return whom a token names that was given in exchange for one of a workload."""
    subject = Subject(name=given.workload, kind=SubjectKind.WORKLOAD, bound_to=given.definition)
    return Caller(subject=subject, expires=given.expires)


def caller_with(grant: Grant) -> Caller:
    """Return whom a registry token names."""
    return Caller(subject=subject_of(grant), grant=grant, expires=expiry_of(grant))
