"""Check a registry: how it is reached, which credentials it wants, and what those stored here may do there.

Scheme, proxy, certificate, challenge, credential and token are reported from the record of the client that `sign` uses.
Only whether a manifest can be read decides what is wrong, so that nothing here contradicts `sign`.

Nothing is uploaded, so a right to push is read from the token, if the token says it. The 401s that all look the same
are told apart: no credentials, wrong ones, right ones without the right, a repository that is not there.
"""

from __future__ import annotations

import base64
import binascii
import ssl
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Final

from trustcli.config.credential import Credential
from trustcli.config.stored_credentials import CredentialPlace
from trustcli.doctor.certificates import check_certificate
from trustcli.doctor.clock import check_clock
from trustcli.doctor.failing import failed
from trustcli.doctor.findings import Finding, Severity
from trustcli.doctor.registry_visit import Visit, first_tag, visit
from trustcli.errors import (
    ImageNotFound,
    ImageNotSupported,
    RemoteMisbehaved,
    RemoteRefused,
    RemoteUnreachable,
    SettingsUnusable,
)
from trustcli.http.challenges import Challenge
from trustcli.http.errors import causes
from trustcli.http.messages import Origin, Response, parse_url
from trustcli.http.record import Authentication
from trustcli.http.refusals import failing
from trustcli.http.tls import speaks_no_tls
from trustcli.registry.reference import ImageReference
from trustcli.session import Session
from trustdata import bounded_json
from trustdata.errors import (
    InvalidName,
    TrustError,
    shown,
)
from trustdata.gun import Tag

USUAL_TAG: Final = Tag("latest")
_DENIED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


def check_registry(session: Session, reference: ImageReference, tag: Tag = USUAL_TAG) -> Iterator[Finding]:
    """Return the findings about the registry of a name. `tag`: one that it probably has.

    Raises: SettingsUnusable (a proxy variable, a CA file).
    """
    seen = visit(session, reference, tag)
    answered = seen.answered
    if answered is None:
        yield from _unreached(session, seen)
        return
    origin, host = answered.origin, reference.registry_host
    how = "over https" if origin.scheme == "https" else "over plain http"
    via = f", through the proxy {answered.proxy.host}:{answered.proxy.port}" if answered.proxy else ""
    yield Finding(check="registry", severity="ok", text=f"{host} answers {how}{via}", place=str(origin))
    yield from check_certificate(session, answered)
    yield from check_clock(answered, session.at)
    odd = _odd_ping(seen, origin)
    if odd is not None:
        yield odd
        if odd.severity == "wrong" and isinstance(seen.failure, ImageNotFound):
            return  # it has no images at all
    yield from _Rights(session, seen, origin).findings()


def _unreached(session: Session, seen: Visit) -> Iterator[Finding]:
    failure, asked, host = seen.failure, seen.last, seen.reference.registry_host
    if failure is None or asked is None or isinstance(failure, SettingsUnusable):
        if failure is not None:
            raise failure
        return
    plain = any(isinstance(cause, ssl.SSLError) and speaks_no_tls(cause) for cause in causes(failure))
    if plain and not seen.may_be_plain:
        yield Finding(
            check="registry",
            severity="wrong",
            text=f"{host} speaks no https, and is neither on this machine nor allowed to be spoken to in the clear",
            remedy=f"give it a certificate; or --insecure-registry {host}, without credentials then",
            place=str(asked.origin),
        )
        return
    if not isinstance(failure, RemoteUnreachable):
        yield failed("registry", failure, place=str(asked.origin))
        return
    through = f"; it goes through the proxy {asked.proxy.host}:{asked.proxy.port}" if asked.proxy else ""
    yield Finding(
        check="registry",
        severity="wrong",
        text=f"{failure}{through}",
        remedy=f"start it, or check the host in {seen.reference.gun}, the network and the proxy variables",
        place=str(asked.origin),
    )
    yield from check_certificate(session, asked)


def _odd_ping(seen: Visit, origin: Origin) -> Finding | None:
    """Return what is strange about /v2/, if anything. It is only a note if images can be read."""
    ping, readable = seen.ping, seen.failure is None
    failing_for_now = isinstance(ping, Response) and ping.server_fails
    if isinstance(ping, Response) and ping.status not in {HTTPStatus.OK, HTTPStatus.UNAUTHORIZED}:
        text = f"{origin} answers {ping.status} to /v2/: it is no registry, or does not say so"
        if ping.server_fails:  # which says nothing of what it is
            text = str(failing(ping, remote=str(origin)))
    elif isinstance(ping, TrustError) and not any(a.failure is ping for a in seen.authentications):
        text = str(ping)
    else:
        return None
    return Finding(
        check="registry",
        severity="note" if readable else "wrong",
        text=f"{text}; images can be had all the same" if readable else text,
        remedy=None if readable or failing_for_now else f"correct the host in {seen.reference.gun}",
        place=str(origin),
    )


class _Rights:
    """Report what the stored credentials may do to one repository."""

    def __init__(self, session: Session, seen: Visit, origin: Origin) -> None:
        self._session = session
        self._seen = seen
        self._origin = origin
        self._gun, self._host = seen.reference.gun, seen.reference.host
        self._repository = seen.reference.repository
        self._first = next(iter(seen.authentications), None)
        """How the first challenge was met; None if there was no challenge."""
        self._asking = self._first.server if self._first else origin
        """Who asks for credentials: the registry, or another one to which it redirects."""
        self._login = self._first.stored_under if self._first else self._host
        """The name under which credentials are stored for it."""
        self._place = ", ".join(map(place_state, session.credentials.places))

    def findings(self) -> Iterator[Finding]:
        challenges = self._first.challenges if self._first else ()
        wants = "; ".join(map(_told, challenges)) if self._first else "no credentials"
        yield self._say("challenge", "ok", f"{self._asking} asks for {wants or 'credentials in no way it names'}")
        yield from self._token_server(challenges)
        yield from self._stored()
        yield from self._scopes()
        yield from self._access()

    def _say(self, check: str, severity: Severity, text: str, remedy: str | None = None) -> Finding:
        return Finding(check=check, severity=severity, text=text, remedy=remedy, place=str(self._origin))

    @property
    def _only_a_note(self) -> bool:
        """Whether an image could be read, so that `sign` works whatever else is odd."""
        return self._seen.failure is None

    def _token_server(self, challenges: tuple[Challenge, ...]) -> Iterator[Finding]:
        realm = _realm(challenges)
        if realm is not None and realm.host != self._asking.host:
            text = f"it sends us for tokens to {realm}: that host gets what is stored for {self._login} only"
            yield self._say("challenge", "note", text)

    # --- what is stored

    def _stored(self) -> Iterator[Finding]:
        met = self._first
        if met is not None and met.unreadable and met.failure is not None:
            yield failed("credentials", met.failure, place=self._place)
            return
        if met is not None and met.credential is not None:
            yield self._credential_is(met.credential)
            return
        realm = _realm(met.challenges) if met is not None else None
        in_the_clear = not (self._asking.may_carry_credentials and (realm is None or realm.may_carry_credentials))
        if met is not None and not in_the_clear:
            yield self._none_stored()
            return
        # Nobody needed them, so nobody has looked.
        try:
            credential = self._session.credentials.credential_for(self._login)
        except TrustError as error:
            text = f"{error}; they are not needed to read here, but trust pull hands them to the container engine"
            yield Finding(check="credentials", severity="note", text=text, place=self._place)
            return
        if credential is None and met is None:
            text = f"none are stored for {self._login}, and none are asked for"
            yield Finding(check="credentials", severity="ok", text=text, place=self._place)
        elif credential is None:
            yield self._none_stored()
        elif in_the_clear:
            text = f"{shown(credential.label)} is stored for {self._login}, but does not go over plain http"
            severity: Severity = "note" if self._only_a_note else "wrong"
            yield Finding(check="credentials", severity=severity, text=text, remedy="use https", place=self._place)
        else:
            yield self._credential_is(credential)

    def _none_stored(self) -> Finding:
        return Finding(
            check="credentials",
            severity="note",
            text=f"none are stored for {self._login}: it is asked as anybody",
            remedy=f"docker login {self._login}",
            place=self._place,
        )

    def _credential_is(self, credential: Credential) -> Finding:
        kind = "an identity token" if credential.identity_token else "a password"
        kind = "a token for one registry" if credential.registry_token else kind
        entry = f" (entry {shown(credential.entry)})" if credential.entry not in {"", self._login} else ""
        text = f"{kind} of {shown(credential.label)} is stored for {self._login}{entry}"
        return Finding(check="credentials", severity="ok", text=text, place=self._place)

    # --- what they are good for

    def _scopes(self) -> Iterator[Finding]:
        token = self._token()
        if token is None:
            return
        if token.failure is not None:
            yield self._say("scopes", "note", f"asked for {token.scope}: {token.failure}")
            return
        access = granted(token.authorization.removeprefix("Bearer "))
        if access is None:
            yield self._say("scopes", "note", f"asked for {token.scope}; the token does not say what it grants")
            return
        wanted = token.scope.rpartition(":")[2].split(",")
        mine = access.get(self._repository, frozenset())
        missing = ", ".join(action for action in wanted if action not in mine)
        if not missing:
            yield self._say("scopes", "ok", f"asked for {token.scope}; granted: {', '.join(sorted(mine))}")
            return
        others = ", ".join(shown(name) for name in access if name != self._repository)
        only = f"; the token is for {others}" if others and not mine else ""
        has = ", ".join(sorted(mine)) or "nothing"
        yield self._say(
            "scopes",
            "note" if "pull" in mine or self._only_a_note else "wrong",
            f"asked for {token.scope}; granted: {has}{only}. Missing: {missing}",
            f"ask the owner of {self._gun} for the right to {missing}, or docker login "
            f"{self._host} with an account that has it",
        )

    def _token(self) -> Authentication | None:
        """Return the last token that was asked for this repository; None if the first challenge could not be met."""
        if self._first is None or self._first.failure is not None:
            return None
        about = f"repository:{self._repository}:"
        return next(
            (
                met
                for met in reversed(self._seen.authentications)
                if met.scope.startswith(about) and (met.failure or met.authorization.startswith("Bearer "))
            ),
            None,
        )

    # --- whether the repository can be read

    def _access(self) -> Iterator[Finding]:
        failure = self._seen.failure
        if failure is None:
            yield self._say("access", "ok", f"{self._gun} can be read")
        elif isinstance(failure, ImageNotSupported):
            yield self._say("access", "ok", f"{self._gun} can be read")
            yield self._say("access", "note", str(failure))
        elif isinstance(failure, ImageNotFound):
            yield self._nothing_there()
        elif self._seen.shut_out is not None and self._seen.shut_out.failure is failure:
            yield from self._not_let_in(self._seen.shut_out, failure)
        elif isinstance(failure, RemoteRefused) and failure.status in _DENIED and not _by_a_proxy(failure):
            yield self._may_not(failure)
        else:
            yield failed("access", failure, place=str(self._origin))
            yield from self._elsewhere(failure)

    def _nothing_there(self) -> Finding:
        tags = self._seen.tags
        made = f"docker push {self._gun}:TAG makes it"
        if isinstance(tags, Response) and tags.ok:
            listed = first_tag(tags)
            if listed is None:
                return self._say("access", "ok", f"{self._gun} can be read")
            text = f"{self._host} lists the tag {listed} in {self._repository}, and has no manifest for it"
            return self._say("access", "note", text, made)
        if isinstance(tags, Response) and not tags.absent:
            text = (
                f"{self._host} has no such tag in {self._repository}, and answers {tags.status} to a list of its tags"
            )
            return self._say("access", "note", text, made)
        return self._say("access", "note", f"{self._host} has no repository {self._repository}", made)

    def _not_let_in(self, met: Authentication, failure: TrustError) -> Iterator[Finding]:
        if met.unreadable:
            return  # said already, of the credentials
        ways = {challenge.scheme for challenge in met.challenges} & {"bearer", "basic"}
        if isinstance(failure, RemoteRefused) and failure.status in _DENIED and ways:
            if met.credential is not None:
                text = f"the credentials of {shown(met.credential.label)} are wrong or no longer hold: {failure}"
            elif met.server.may_carry_credentials:
                text = (
                    f"no credentials are stored for {met.stored_under}, and without them it gives nothing "
                    f"({failure.status})"
                )
            else:
                text = str(failure)
            yield Finding(
                check="access",
                severity="wrong",
                text=text,
                remedy=f"docker login {met.stored_under}",
                place=self._place,
            )
        elif isinstance(failure, RemoteMisbehaved) and failure.remote == str(met.server):
            yield failed("challenge", failure, remedy="tell the registry's operator", place=str(self._origin))
        else:
            yield failed("access", failure, place=str(self._origin))
            yield from self._elsewhere(failure)

    def _may_not(self, failure: RemoteRefused) -> Finding:
        status = failure.status
        met = self._seen.authentications[-1] if self._seen.authentications else None
        credential = met.credential if met else None
        login = met.stored_under if met else self._login
        if met is None or credential is None:
            text = f"{self._gun} may not be read without credentials ({status}), or does not exist, which some hide"
            return self._say("access", "wrong", text, f"docker login {login}")
        who, ping = shown(credential.label), self._seen.ping
        basic = met.authorization.startswith("Basic ")
        if basic and status == HTTPStatus.UNAUTHORIZED and not (isinstance(ping, Response) and ping.ok):
            text = f"the credentials of {who} are wrong or no longer hold"
            return self._say("access", "wrong", text, f"docker login {login}")
        text = f"{who} is logged in, but may not read {self._gun} ({status}); or there is no such repository"
        if not basic and "pull" in (granted(met.authorization.removeprefix("Bearer ")) or {}).get(self._repository, ()):
            text = (
                f"the token grants {who} to pull from {self._gun}, and the registry still refuses ({status}): "
                "there is no such repository, which it does not say, or registry and token server disagree"
            )
        remedy = f"check the name, push the image first, or ask the owner of {self._gun} for the right to pull"
        return self._say("access", "wrong", text, remedy)

    def _elsewhere(self, failure: TrustError) -> Iterator[Finding]:
        """Return the findings about the certificate of another server (tokens, redirects), if that is what failed."""
        for exchange in self._seen.record.exchanges:
            if exchange.failure is failure and exchange.origin not in self._seen.origins:
                yield from check_certificate(self._session, exchange)


def _realm(challenges: tuple[Challenge, ...]) -> Origin | None:
    """Return the token server that the registry names."""
    for challenge in challenges:
        if challenge.scheme == "bearer":
            try:
                return parse_url(challenge.parameters.get("realm", ""), kind="token realm")[0]
            except InvalidName:
                return None  # whoever is sent there says so
    return None


def place_state(place: CredentialPlace) -> str:
    """Return the path of a place for credentials, and whether there is anything."""
    try:
        return place.path if place.is_there else f"{place.path} (not there)"
    except TrustError:
        return f"{place.path} (cannot be read)"


def _by_a_proxy(refusal: RemoteRefused) -> bool:
    """Return whether a page for people forbids the request: then no login helps."""
    return refusal.page and refusal.status == HTTPStatus.FORBIDDEN


def _told(challenge: Challenge) -> str:
    named = (
        f"{key} {shown(challenge.parameters[key])}" for key in ("realm", "service") if challenge.parameters.get(key)
    )
    return " ".join((shown(challenge.scheme.capitalize(), 30), *named))


def granted(token: str) -> Mapping[str, frozenset[str]] | None:
    """Return the actions by repository that a token says it grants; None if it does not say.

    Its signature is for the registry to check.
    """
    parts = token.split(".")
    try:
        claims = bounded_json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        entries = claims["access"] or []
        return {
            str(entry["name"]): frozenset(map(str, entry["actions"]))
            for entry in entries
            if entry.get("type") == "repository"
        }
    except (IndexError, binascii.Error, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
