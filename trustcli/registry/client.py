"""Find the digest of an image by hashing the manifest that its registry sends (ADR 0029), without a container engine.

Source: OCI distribution specification 1.1, "Pulling manifests". The registry is not trusted: what counts is the
hash of what it sent; what it says in headers may only contradict, never prove.
"""

from __future__ import annotations

import contextlib
import hashlib
import ssl
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Final

from keys import record
from trustcli.errors import (
    ClientCertificateWanted,
    ImageNotFound,
    ImageNotSupported,
    RemoteMisbehaved,
    RemoteRefused,
    RemoteUnreachable,
    TagUnknown,
)
from trustcli.http.authenticated import AuthenticatedClient, ServerRules
from trustcli.http.errors import causes
from trustcli.http.messages import Origin, Response, parse_url
from trustcli.http.network import Network
from trustcli.http.pool import ConnectionPool
from trustcli.http.refusals import failing, first_line, is_page, no_document, words
from trustcli.http.tls import speaks_no_tls
from trustcli.http.token_auth import CredentialSource
from trustcli.registry.manifest import ACCEPT, MAX_MANIFEST, Manifest, check_number, read_manifest
from trustcli.registry.reference import ImageReference
from trustdata import bounded_json
from trustdata.errors import (
    ContentMismatch,
    InvalidName,
    TooLarge,
    TrustError,
)

PULL: Final = "pull"
_NO_MANIFEST: Final = "MANIFEST_UNKNOWN"
_PING: Final = "/v2/"
"""Where docker asks for the challenge."""
_PING_LIMIT: Final = 64 * 1024  # bytes
MAX_INNER: Final = 16
"""The most indexes below one index that are read: each may have 4 MiB."""


class Registry:
    """A client of any number of registries, with one connection each. Not for threads."""

    def __init__(self, network: Network, credentials: CredentialSource, *, insecure: Collection[str] = ()) -> None:
        """`insecure`: hosts (`host` or `host:port`) that may be spoken to over plain HTTP, besides loopback."""
        self._network = network
        self._credentials = credentials
        self._insecure = frozenset(host.lower() for host in insecure)
        # What is uploaded is small (`pushing`), as is the form that a token server gets.
        brief = record.replace(network.timeouts, upload=network.timeouts.overall)
        self._pool = ConnectionPool(replace(network, timeouts=brief))
        self._clients: dict[str, AuthenticatedClient] = {}

    def close(self) -> None:
        """Close the connections; a later request opens its connection again."""
        self._pool.close()

    def resolve(self, reference: ImageReference) -> Manifest:
        """Return what the reference means now: by its digest if it has one, else by its tag.

        Raises: InvalidName (neither tag nor digest), ImageNotFound, ImageNotSupported, ContentMismatch (other bytes
        than the digest asked for, or than the registry itself says), RemoteRefused, RemoteUnreachable,
        RemoteMisbehaved, TooLarge, SettingsUnusable.
        """
        manifest = self._read(reference)
        return replace(manifest, children=self._all_children(reference, manifest)) if manifest.inner else manifest

    def has(self, reference: ImageReference) -> bool:
        """Return whether the registry has the tag; False only if it says in its own words that it has no such manifest.

        A repository that is not there, or hidden, is no such answer. Raises: as `resolve`.
        """
        try:
            self._read(reference)
        except TagUnknown:
            return False
        except ImageNotSupported:
            pass  # it is there, whatever it is
        return True

    def _all_children(self, reference: ImageReference, outer: Manifest) -> tuple[str, ...]:
        """Return the children of an index and those of the indexes in it, in order, each once.

        An inner index that the registry does not have lists nothing: of a copy for some platforms, others are absent.
        """
        found: dict[str, None] = {}
        waiting, seen = [outer], {outer.digest}
        while waiting:
            manifest = waiting.pop()
            found.update(dict.fromkeys(manifest.children))
            check_number(len(found), str(reference))
            for digest in (f"sha256:{hex_digest}" for hex_digest in manifest.inner):
                if digest in seen:
                    continue
                if len(seen) > MAX_INNER:
                    reason = f"its index holds more than {MAX_INNER} other indexes"
                    raise ImageNotSupported(image=str(reference), reason=reason)
                seen.add(digest)
                with contextlib.suppress(ImageNotFound):
                    waiting.append(self._read(replace(reference, tag=None, digest=digest)))
        return tuple(found)

    def manifest_bytes(self, reference: ImageReference, *, actions: str = PULL) -> bytes:
        """Return the bytes of the manifest that a reference means. `actions`: see `ask`. Raises: as `resolve`."""
        return self._answer(reference, actions).body

    def blob(self, reference: ImageReference, digest: str, *, limit: int) -> bytes:
        """Return a blob of the reference's repository. `digest`: `sha256:HEX`. `limit`: bytes. Raises: as `resolve`."""
        of_blob = replace(reference, tag=None, digest=digest)
        response = self.get(of_blob, f"/v2/{reference.repository}/blobs/{digest}", limit=limit)
        if not response.ok:
            raise self.failure(response, of_blob)
        _check_content(of_blob, f"sha256:{hashlib.sha256(response.body).hexdigest()}")
        return response.body

    def _read(self, reference: ImageReference) -> Manifest:
        """Return the manifest that a reference means, without what indexes in it list. Raises: as `resolve`."""
        response = self._answer(reference)
        return read_manifest(response.body, content_type=response.first("content-type"), image=str(reference))

    def _answer(self, reference: ImageReference, actions: str = PULL) -> Response:
        """Return the registry's answer with the manifest, whose digest is that of the reference, if it has one."""
        wanted = reference.digest or reference.tag
        if wanted is None:
            raise InvalidName(kind="image to sign", name=reference.given, reason="name a tag or a digest")
        try:
            target = f"/v2/{reference.repository}/manifests/{wanted}"
            response = self.get(reference, target, limit=MAX_MANIFEST, actions=actions)
        except TooLarge as error:
            raise TooLarge(what=f"the manifest of {reference}", limit=error.limit) from error
        if not response.ok:
            raise self.failure(response, reference, actions=actions)
        remote = str(self._clients[reference.registry_host].last)
        if reason := no_document(response, what="a manifest", remote=remote):
            raise RemoteMisbehaved(remote=remote, reason=reason)
        _check_content(reference, _checked_digest(response, reference))
        return response

    def get(self, reference: ImageReference, target: str, *, limit: int, actions: str = PULL) -> Response:
        """Ask the registry of a reference for something. Raises: as `AuthenticatedClient.ask`."""
        return self.ask("GET", reference, target, limit=limit, actions=actions, headers={"Accept": ACCEPT})

    def ask(
        self,
        method: str,
        reference: ImageReference,
        target: str,
        *,
        limit: int,
        actions: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
    ) -> Response:
        """Send a request to the registry of a reference, over https, else over plain http where that is allowed.

        `actions`: what the token is asked for, if one is wanted. Raises: as `AuthenticatedClient.ask`.
        """
        scope = _scope(reference, actions)

        def sent(client: AuthenticatedClient) -> Response:
            return client.ask(method, target, scope=scope, limit=limit, headers=headers, body=body)

        response = self._sent(reference, sent)
        client = self._clients[reference.registry_host]
        # Some registries do not challenge whoever asks for what only others may see: they say that it is not there.
        hidden = response.absent or response.forbids
        if not hidden or client.last != client.origin or client.is_authorized(scope):
            return response
        wanted = response.challenges or self._may_log_in(client, reference)
        if wanted and client.log_in(_PING, scope=scope, limit=_PING_LIMIT):
            return self._sent(reference, sent)
        return response

    def origin(self, reference: ImageReference) -> Origin:
        """Return where the registry of a reference was asked. It has answered before."""
        return self._clients[reference.registry_host].origin

    def _may_log_in(self, client: AuthenticatedClient, reference: ImageReference) -> bool:
        return (
            client.origin.may_carry_credentials
            and self._credentials.credential_for(reference.host, repository=reference.repository) is not None
        )

    def _sent(self, reference: ImageReference, sent: Callable[[AuthenticatedClient], Response]) -> Response:
        host = reference.registry_host
        if known := self._clients.get(host):
            return sent(known)
        client = self._client(f"https://{host}", reference)
        try:
            return sent(client)
        except RemoteUnreachable as error:
            # A server that has once answered over https is not asked in the clear, whatever fails then.
            if client.answered or not (self.may_be_plain(client.origin, host) and no_https(error)):
                raise
            client = self._client(f"http://{host}", reference)
            return sent(client)
        finally:
            if client.answered:
                self._clients[host] = client

    def may_be_plain(self, origin: Origin, host: str) -> bool:
        """Return whether plain http is allowed where https is not spoken. `host`: as it stands in the reference."""
        return origin.is_loopback or not self._insecure.isdisjoint({host, origin.bracketed, origin.host_port})

    def _client(self, url: str, reference: ImageReference) -> AuthenticatedClient:
        origin, _ = parse_url(url, kind="registry")
        rules = ServerRules(is_registry=True, stored_under=reference.host)
        return AuthenticatedClient(origin, self._pool, self._credentials, rules, observer=self._network.observer)

    def failure(self, response: Response, reference: ImageReference, *, actions: str = PULL) -> TrustError:
        """Return the error for an answer that is no success. It names who gave it: a redirect may have led there.

        `actions`: what the token was asked for.
        """
        client = self._clients[reference.registry_host]
        remote = str(client.last)
        code, said = _registry_error(response)
        if response.absent:
            reason = {
                "NAME_UNKNOWN": "no such repository",
                _NO_MANIFEST: "no such tag or digest",
            }.get(code)
            if reason is None:
                reason = "no such repository, tag or digest"
                if not client.is_authorized(_scope(reference, actions)):
                    reason = f"{reason}, or none that is shown to whoever asks without credentials"
                if told := said or first_line(response):
                    reason = f"{reason}; it says: {told}"
            kind = TagUnknown if code == _NO_MANIFEST else ImageNotFound
            return kind(image=str(reference), registry=remote, reason=reason)
        if response.server_fails:
            return failing(response, remote=remote, said=said or None)
        if response.refuses:
            told = words(response, said or None)
            if response.forbids:
                done = "read" if actions == PULL else "written"
                told = f"{reference} may not be {done} {client.tried}, or does not exist: {told}"
            page = is_page(response)
            return RemoteRefused(remote=remote, status=response.status, reason=told, server_code=code, page=page)
        return RemoteMisbehaved(remote=remote, reason=f"status {response.status} has no meaning here")


def _scope(reference: ImageReference, actions: str) -> str:
    return f"repository:{reference.repository}:{actions}"


def _check_content(reference: ImageReference, found: str) -> None:
    """Check a digest against that of the reference, if it has one. Raises: ContentMismatch."""
    if reference.digest and found != reference.digest:
        raise ContentMismatch(role=str(reference), what="digest", expected=reference.digest, found=found)


def _checked_digest(response: Response, reference: ImageReference) -> str:
    """Return the digest of the bytes. Raises: ContentMismatch (a header says otherwise: somebody changed something)."""
    for told in response.every("docker-content-digest"):
        algorithm = told.partition(":")[0]
        if algorithm in {"sha256", "sha512"}:
            found = f"{algorithm}:{hashlib.new(algorithm, response.body).hexdigest()}"
            if told != found:
                raise ContentMismatch(role=str(reference), what="digest", expected=told, found=found)
    return f"sha256:{hashlib.sha256(response.body).hexdigest()}"


def no_https(error: BaseException) -> bool:
    """Return whether the error means that TLS is not spoken there; a refused certificate does not mean that."""
    return not isinstance(error, ClientCertificateWanted) and any(
        (isinstance(cause, ssl.SSLError) and speaks_no_tls(cause))
        or isinstance(cause, ConnectionRefusedError | ConnectionResetError)
        for cause in causes(error)
    )


def _registry_error(response: Response) -> tuple[str, str]:
    """Return code and message of the first error in an answer (distribution specification); empty if there is none."""
    try:
        first = bounded_json.loads(response.body)["errors"][0]
        code, message = first.get("code"), first.get("message")
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return "", ""
    return (code if isinstance(code, str) else ""), (message if isinstance(message, str) else "")
