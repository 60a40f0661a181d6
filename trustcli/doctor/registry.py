"""The registry: how it is reached, what it wants to know, and what the credentials here may do there.

Nothing is uploaded, so a right to push is read from the token, if the token says it. The 401s that all look the same
are told apart: no credentials, wrong ones, right ones without the right, a repository that is not there.
"""

from __future__ import annotations

import base64
import binascii
import json
import ssl
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from trustcli.config.docker_config import Credential, DockerConfig
from trustcli.doctor.certificates import check_certificate
from trustcli.doctor.clock import check_clock
from trustcli.doctor.failing import failed
from trustcli.doctor.findings import Finding, Severity
from trustcli.doctor.probe import PATIENCE, Probe, probe
from trustcli.http.errors import causes
from trustcli.http.messages import Origin, Response, parse_url
from trustcli.http.pool import ConnectionPool
from trustcli.http.tls import speaks_no_tls
from trustcli.http.token_auth import Authorizer, Challenge, parse_challenges
from trustcli.registry.client import no_https
from trustcli.registry.reference import ImageReference
from trustcli.session import Session
from trustdata.errors import InvalidName, RemoteRefused, TrustError, shown

_LIMIT: Final = 256 * 1024
_ACTIONS: Final = ("pull", "push")


def check_registry(session: Session, reference: ImageReference) -> Iterator[Finding]:
    """The registry of a name. Raises: InvalidName, SettingsUnusable (a proxy variable)."""
    asked = yield from _reached(session, reference)
    if asked is None or asked.answer is None:
        return
    yield from check_clock(asked, session.at)
    if asked.answer.status not in {HTTPStatus.OK, HTTPStatus.UNAUTHORIZED}:
        yield Finding(
            check="registry",
            severity="wrong",
            text=f"{asked.origin} answers {asked.answer.status} to /v2/: it is no registry, or does not say so",
            remedy=f"correct the host in {reference.gun}",
            place=str(asked.origin),
        )
        return
    yield from _Rights(session, reference, asked.origin, asked.answer).findings()


def _reached(session: Session, reference: ImageReference) -> Generator[Finding, None, Probe | None]:
    host = reference.registry_host
    secure, _ = parse_url(f"https://{host}", kind="registry")
    asked = probe(session, secure, "/v2/")
    plain = asked.failure is not None and _speaks_no_tls(asked.failure)
    named = {name.lower() for name in session.settings.insecure_registries}
    allowed = secure.is_loopback or not named.isdisjoint({host, secure.bracketed, secure.host_port})
    if plain and not allowed:
        yield Finding(
            check="registry",
            severity="wrong",
            text=f"{host} speaks no https, and is neither on this machine nor allowed to be spoken to in the clear",
            remedy=f"give it a certificate; or --insecure-registry {host}, without credentials then",
            place=str(secure),
        )
        return None
    if asked.failure is not None and allowed and no_https(asked.failure):  # as for signing: never for a certificate
        origin, _ = parse_url(f"http://{host}", kind="registry")
        again = probe(session, origin, "/v2/")
        asked = (
            again if again.answer is not None or plain else asked
        )  # where nobody speaks TLS, http says what is wrong
    if asked.failure is not None:
        through = f"; it goes through the proxy {asked.proxy}" if asked.proxy else ""
        yield Finding(
            check="registry",
            severity="wrong",
            text=f"{asked.failure}{through}",
            remedy=f"start it, or check the host in {reference.gun}, the network and the proxy variables",
            place=str(asked.origin),
        )
        yield from check_certificate(session, asked)
        return asked
    how = "over https" if asked.origin.scheme == "https" else "over plain http"
    via = f", through the proxy {asked.proxy}" if asked.proxy else ""
    yield Finding(check="registry", severity="ok", text=f"{host} answers {how}{via}", place=str(asked.origin))
    yield from check_certificate(session, asked)
    return asked


def _speaks_no_tls(failure: TrustError) -> bool:
    return any(isinstance(cause, ssl.SSLError) and speaks_no_tls(cause) for cause in causes(failure))


class _Rights:
    """What the credentials stored here may do to one repository."""

    def __init__(self, session: Session, reference: ImageReference, origin: Origin, ping: Response) -> None:
        self._session = session
        self._reference = reference
        self._origin = origin
        self._ping = ping
        self._credentials = DockerConfig(session.environ)
        self._repository = reference.repository
        self._granted: Mapping[str, frozenset[str]] | None = None
        self._pool = ConnectionPool(replace(session.network(), timeouts=PATIENCE))

    def findings(self) -> Iterator[Finding]:
        challenges = parse_challenges(self._ping.every("www-authenticate"))
        wants = "; ".join(map(self._told, challenges)) if self._ping.challenges else "no credentials"
        yield self._say("challenge", "ok", f"{self._origin} asks for {wants or 'credentials in no way it names'}")
        yield from self._realm(challenges)
        try:
            credential = self._credentials.credential_for(self._reference.host)
        except TrustError as error:
            yield failed("credentials", error, place=self._credentials.place)
            return
        yield self._stored(credential)
        if not self._ping.challenges:
            yield from self._repository_answer("", credential)
            return
        authorizer = Authorizer(self._origin, self._credentials, self._pool, stored_under=self._reference.host)
        scope = f"repository:{self._repository}:{','.join(_ACTIONS)}"
        try:
            header = authorizer.authorization(self._ping, scope=scope)
        except RemoteRefused as refused:
            yield self._refused(refused, credential)
            return
        if header.startswith("Bearer "):
            self._granted = granted(header.removeprefix("Bearer "))
            yield from self._scopes(self._granted, scope)
        yield from self._repository_answer(header, credential)

    def _told(self, challenge: Challenge) -> str:
        named = (
            f"{key} {shown(challenge.parameters[key])}" for key in ("realm", "service") if challenge.parameters.get(key)
        )
        return " ".join((shown(challenge.scheme.capitalize(), 30), *named))

    def _realm(self, challenges: tuple[Challenge, ...]) -> Iterator[Finding]:
        for challenge in challenges:
            if challenge.scheme != "bearer":
                continue
            try:
                realm, _ = parse_url(challenge.parameters.get("realm", ""), kind="token realm")
            except InvalidName as error:
                yield failed("challenge", error, remedy="tell the registry's operator", place=str(self._origin))
                continue
            if realm.host != self._origin.host:
                text = (
                    f"it sends us for tokens to {realm}: that host gets what is stored for {self._reference.host} only"
                )
                yield self._say("challenge", "note", text)

    def _stored(self, credential: Credential | None) -> Finding:
        host = self._reference.host
        place = self._credentials.place
        if credential is None and not self._ping.challenges:
            text = f"none are stored for {host}, and none are asked for"
            return Finding(check="credentials", severity="ok", text=text, place=place)
        if credential is None:
            text = f"none are stored for {host}: it is asked as anybody"
            return Finding(check="credentials", severity="note", text=text, remedy=f"docker login {host}", place=place)
        kind = "an identity token" if credential.identity_token else "a password"
        kind = "a token for one registry" if credential.registry_token else kind
        if not self._origin.may_carry_credentials:
            text = f"{shown(credential.who)} is stored for {host}, but does not go over plain http"
            return Finding(check="credentials", severity="wrong", text=text, remedy="use https", place=place)
        text = f"{kind} of {shown(credential.who)} is stored for {host}"
        return Finding(check="credentials", severity="ok", text=text, place=place)

    def _refused(self, refused: RemoteRefused, credential: Credential | None) -> Finding:
        host = self._reference.host
        if credential is None:
            text = f"no credentials are stored for {host}, and without them it gives nothing ({refused.status})"
        else:
            text = f"the credentials of {shown(credential.who)} are wrong or no longer hold: {refused}"
        return Finding(
            check="access", severity="wrong", text=text, remedy=f"docker login {host}", place=self._credentials.place
        )

    def _scopes(self, access: Mapping[str, frozenset[str]] | None, asked: str) -> Iterator[Finding]:
        if access is None:
            yield self._say("scopes", "note", f"asked for {asked}; the token does not say what it grants")
            return
        mine = access.get(self._repository, frozenset())
        if mine >= set(_ACTIONS):
            yield self._say("scopes", "ok", f"asked for {asked}; granted: {', '.join(sorted(mine))}")
            return
        others = ", ".join(shown(name) for name in access if name != self._repository)
        only = f"; the token is for {others}" if others and not mine else ""
        has = ", ".join(sorted(mine)) or "nothing"
        missing = ", ".join(action for action in _ACTIONS if action not in mine)
        yield self._say(
            "scopes",
            "note" if "pull" in mine else "wrong",
            f"asked for {asked}; granted: {has}{only}. Missing: {missing}",
            f"ask the owner of {self._reference.gun} for the right to {missing}, or docker login "
            f"{self._reference.host} with an account that has it",
        )

    def _repository_answer(self, header: str, credential: Credential | None) -> Iterator[Finding]:
        """What a read of the repository says: the one question that tells a right from a mere log-in."""
        headers = {"Authorization": header} if header else {}
        answer = self._get(f"/v2/{self._repository}/tags/list?n=1", headers)
        gun, host = self._reference.gun, self._reference.host
        if answer.ok:
            yield self._say("access", "ok", f"{gun} can be read")
        elif answer.absent:
            text = f"{host} has no repository {self._repository}"
            yield self._say("access", "note", text, f"docker push {gun}:TAG makes it")
        elif answer.status == HTTPStatus.UNAUTHORIZED and header.startswith("Basic ") and not self._logs_in(header):
            who = shown(credential.who) if credential else "nobody"
            yield self._say(
                "access", "wrong", f"the credentials of {who} are wrong or no longer hold", f"docker login {host}"
            )
        elif answer.forbids and credential is None:
            text = f"{gun} may not be read without credentials ({answer.status}), or does not exist, which some hide"
            yield self._say("access", "wrong", text, f"docker login {host}")
        elif answer.forbids:
            who = shown(credential.who) if credential else "nobody"
            text = f"{who} is logged in, but may not read {gun} ({answer.status}); or there is no such repository"
            if self._granted is not None and "pull" in self._granted.get(self._repository, ()):
                text = (
                    f"the token grants {who} to pull from {gun}, and the registry still refuses ({answer.status}): "
                    "there is no such repository, which it does not say, or registry and token server disagree"
                )
            remedy = f"check the name, push the image first, or ask the owner of {gun} for the right to pull"
            yield self._say("access", "wrong", text, remedy)
        else:
            yield self._say("access", "wrong", f"{host} answers {answer.status} to a read of {gun}")

    def _logs_in(self, header: str) -> bool:
        return self._get("/v2/", {"Authorization": header}).ok

    def _get(self, target: str, headers: Mapping[str, str]) -> Response:
        return self._pool.exchange("GET", self._origin, target, headers=headers, limit=_LIMIT)

    def _say(self, check: str, severity: Severity, text: str, remedy: str | None = None) -> Finding:
        return Finding(check=check, severity=severity, text=text, remedy=remedy, place=str(self._origin))


def granted(token: str) -> Mapping[str, frozenset[str]] | None:
    """Actions by repository, as a JWT of the distribution token specification says itself; None if it says nothing.

    Its signature is for the registry to check.
    """
    parts = token.split(".")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        entries = claims["access"] or []
        return {
            str(entry["name"]): frozenset(map(str, entry["actions"]))
            for entry in entries
            if entry.get("type") == "repository"
        }
    except (IndexError, binascii.Error, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
