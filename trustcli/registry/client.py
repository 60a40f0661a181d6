"""From an image reference to the digest of the bytes that the registry gives (PRODUCT decision 5). No container engine.

Source: OCI distribution specification 1.1, "Pulling manifests". The registry is not trusted: what counts is the
hash of what it sent; what it says in headers may only contradict, never prove.
"""

from __future__ import annotations

import hashlib
import json
import ssl
import time
from collections.abc import Collection, Mapping
from urllib.parse import urljoin

from trustcli.http.errors import causes
from trustcli.http.messages import MAX_REDIRECTS, Answer, Origin, parse_url
from trustcli.http.pool import RegistryTransport
from trustcli.http.time_budget import Clock, Timeouts
from trustcli.http.tls import CertificateAuthorities, speaks_no_tls
from trustcli.http.token_auth import MAX_TOKEN_ANSWER, Authorizer, CredentialSource
from trustcli.registry.manifest import ACCEPT, MAX_MANIFEST, Manifest, read_manifest
from trustcli.registry.reference import ImageReference
from trustdata.errors import (
    ContentMismatch,
    ImageNotFound,
    InvalidName,
    RemoteMisbehaved,
    RemoteRefused,
    RemoteUnreachable,
    TooLarge,
)


class Registry:
    """Any number of registries, one connection each. Not for threads."""

    def __init__(
        self,
        *,
        credentials: CredentialSource,
        authorities: CertificateAuthorities,
        environ: Mapping[str, str],
        insecure: Collection[str] = (),
        clock: Clock = time.monotonic,
        timeouts: Timeouts | None = None,
    ) -> None:
        """`insecure`: hosts (`host` or `host:port`) that may be spoken to over plain HTTP, besides loopback."""
        self._credentials = credentials
        self._insecure = frozenset(host.lower() for host in insecure)
        self._transport = RegistryTransport(
            authorities=authorities, environ=environ, clock=clock, timeouts=timeouts or Timeouts()
        )
        self._origins: dict[str, Origin] = {}
        self._authorizers: dict[Origin, Authorizer] = {}
        self._authorization: dict[tuple[Origin, str], str] = {}

    def resolve(self, reference: ImageReference) -> Manifest:
        """What the reference names now: by its digest if it has one, else by its tag.

        Raises: InvalidName (neither tag nor digest), ImageNotFound, ImageNotSupported, ContentMismatch (other bytes
        than the digest asked for, or than the registry itself says), RemoteRefused, RemoteUnreachable,
        RemoteMisbehaved, TooLarge, SettingsUnusable.
        """
        wanted = reference.digest or reference.tag
        if wanted is None:
            raise InvalidName(kind="image to sign", name=reference.given, reason="name a tag or a digest")
        answer = self._get(reference, f"/v2/{reference.repository}/manifests/{wanted}")
        image = str(reference)
        if not answer.ok:
            raise self._failure(answer, reference)
        manifest_digest = _checked_digest(answer, reference)
        manifest = read_manifest(answer.body, content_type=answer.first("content-type"), image=image)
        if reference.digest and manifest_digest != reference.digest:
            raise ContentMismatch(role=image, what="digest", expected=reference.digest, found=manifest_digest)
        return manifest

    def _get(self, reference: ImageReference, target: str) -> Answer:
        host = reference.registry_host
        if origin := self._origins.get(host):
            return self._ask(origin, target, reference)
        secure, _ = parse_url(f"https://{host}", kind="registry")
        try:
            answer = self._ask(secure, target, reference)
        except RemoteUnreachable as error:
            if not (self._may_be_plain(secure, host) and no_https(error)):
                raise
        else:
            self._origins[host] = secure
            return answer
        plain, _ = parse_url(f"http://{host}", kind="registry")
        answer = self._ask(plain, target, reference)
        self._origins[host] = plain
        return answer

    def _may_be_plain(self, origin: Origin, host: str) -> bool:
        return origin.is_loopback or not self._insecure.isdisjoint({host, origin.bracketed, origin.host_port})

    def _ask(self, origin: Origin, target: str, reference: ImageReference) -> Answer:
        """GET with at most one repetition with credentials, and redirects; credentials stay with `origin`."""
        challenged = False
        place, redirects = origin, 0
        key = (origin, reference.repository)
        while True:
            headers = {"Accept": ACCEPT}
            if place == origin and key in self._authorization:
                headers["Authorization"] = self._authorization[key]
            answer = self._exchange(place, target, headers, reference)
            if answer.challenges and place == origin and not challenged:
                challenged = True
                self._authorization[key] = self._authorize(origin, answer, reference)
            elif answer.redirects:
                redirects += 1
                place, target = _redirected(place, target, answer, redirects)
            else:
                return answer

    def _exchange(self, origin: Origin, target: str, headers: Mapping[str, str], reference: ImageReference) -> Answer:
        try:
            return self._transport.exchange("GET", origin, target, headers=headers, limit=MAX_MANIFEST)
        except TooLarge as error:
            raise TooLarge(what=f"the manifest of {reference}", limit=error.limit) from error

    def _authorize(self, origin: Origin, answer: Answer, reference: ImageReference) -> str:
        authorizer = self._authorizers.get(origin)
        if authorizer is None:
            authorizer = Authorizer(origin, self._credentials, self._token, stored_under=reference.host)
            self._authorizers[origin] = authorizer
        return authorizer.authorization(answer, scope=f"repository:{reference.repository}:pull")

    def _token(self, origin: Origin, target: str, *, headers: Mapping[str, str], form: bytes | None) -> Answer:
        method = "GET" if form is None else "POST"
        return self._transport.exchange(method, origin, target, headers=headers, limit=MAX_TOKEN_ANSWER, body=form)

    def _failure(self, answer: Answer, reference: ImageReference) -> Exception:
        origin = self._origins[reference.registry_host]
        remote = str(origin)
        code, said = _registry_error(answer)
        if answer.absent:
            reason = {
                "NAME_UNKNOWN": "no such repository",
                "MANIFEST_UNKNOWN": "no such tag or digest",
            }.get(code, "no such repository, tag or digest")
            return ImageNotFound(image=str(reference), registry=remote, reason=reason)
        if answer.forbids:
            tried = self._authorizers[origin].tried if origin in self._authorizers else "without credentials"
            reason = f"{reference} may not be read {tried}, or does not exist: {said or 'no reason given'}"
            return RemoteRefused(remote=remote, status=answer.status, reason=reason, server_code=code)
        if answer.server_fails:
            return RemoteUnreachable(
                remote=remote, reason=f"it answered {answer.status}" + (f": {said}" if said else "")
            )
        if answer.refuses:
            return RemoteRefused(
                remote=remote, status=answer.status, reason=said or "no reason given", server_code=code
            )
        return RemoteMisbehaved(remote=remote, reason=f"status {answer.status} has no meaning here")


def _checked_digest(answer: Answer, reference: ImageReference) -> str:
    """The digest of the bytes. A header that says otherwise shows that somebody between changed something."""
    for told in answer.every("docker-content-digest"):
        algorithm = told.partition(":")[0]
        if algorithm in {"sha256", "sha512"}:
            found = f"{algorithm}:{hashlib.new(algorithm, answer.body).hexdigest()}"
            if told != found:
                raise ContentMismatch(role=str(reference), what="digest", expected=told, found=found)
    return f"sha256:{hashlib.sha256(answer.body).hexdigest()}"


def _redirected(place: Origin, target: str, answer: Answer, redirects: int) -> tuple[Origin, str]:
    remote = str(place)
    if redirects > MAX_REDIRECTS:
        raise RemoteMisbehaved(remote=remote, reason=f"more than {MAX_REDIRECTS} redirects")
    try:
        to, target = parse_url(urljoin(f"{place}{target}", answer.first("location")), kind="redirect")
    except (InvalidName, ValueError) as error:
        raise RemoteMisbehaved(remote=remote, reason="it redirects to something that is no URL") from error
    if place.scheme == "https" and to.scheme != "https":
        raise RemoteMisbehaved(remote=remote, reason=f"it redirects from https to {to}")
    if to.is_loopback and not place.is_loopback:
        raise RemoteMisbehaved(remote=remote, reason=f"it redirects to {to}, on this machine")
    return to, target


def no_https(error: BaseException) -> bool:
    """Whether nobody speaks TLS there, which is another thing than a certificate that is refused."""
    return any(
        (isinstance(cause, ssl.SSLError) and speaks_no_tls(cause))
        or isinstance(cause, ConnectionRefusedError | ConnectionResetError)
        for cause in causes(error)
    )


def _registry_error(answer: Answer) -> tuple[str, str]:
    """Code and message of the first error in an answer of the distribution specification; empty if there is none."""
    try:
        first = json.loads(answer.body)["errors"][0]
        code, message = first.get("code"), first.get("message")
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return "", ""
    return (code if isinstance(code, str) else ""), (message if isinstance(message, str) else "")
