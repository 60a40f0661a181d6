"""Ask the upstream registry for a caller: with the caller's own credentials, and never with any of ours.

Credentials go to the registry's own origin alone; a redirect to another one is followed without them. Nothing of an
answer is trusted: manifests are hashed here, blobs by the client that asked for them by digest.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Final

from keys.record import record
from trustcli.errors import RemoteMisbehaved
from trustcli.hooks.proxy.manifest_children import Named
from trustcli.hooks.proxy.manifest_reading import ManifestReader
from trustcli.http.messages import Origin
from trustcli.http.messages import Response as HttpResponse
from trustcli.http.redirects import follow
from trustcli.http.streams import Fields, StreamedAnswer, StreamPool
from trustcli.registry.manifest import ACCEPT, MAX_MANIFEST
from trustdata.errors import ContentMismatch

MAX_ANSWER: Final = 64 * 1024
"""Bytes of an answer that is no success, or of the endpoint `/v2/`."""
_SMALL: Final = 64 * 1024
"""Bytes of a manifest up to which it is read at once. Of one in a thousand there are more."""
_LARGE_AT_ONCE: Final = 4
"""Larger manifests that are read at one time: what is read of one takes ten times its bytes."""
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_FIRST_REFUSAL: Final = 400
_PAGES: Final = frozenset({"text/html", "application/xhtml+xml"})


@record
class Caller:
    """Who asks. `authorization`: the value of their header, as it was sent; empty for none."""

    authorization: str = ""

    def fields(self) -> list[tuple[str, str]]:
        """Return the header fields with which upstream is asked for them."""
        return [("Authorization", self.authorization)] if self.authorization else []


@record
class FetchedManifest:
    """A manifest whose bytes have the digest. `media_type`: what its bytes say that it is. `named`: what they name."""

    digest: str
    raw: bytes
    media_type: str
    named: Named


class UpstreamSays(Exception):
    """Upstream refuses or fails, which is for the caller: a challenge, 404, 429, 5xx.

    `headers`: of it, names in lower case. `body`: at most 64 KiB.
    """

    def __init__(self, status: int, headers: Fields, body: bytes) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def forbids(self) -> bool:
        """Whether it is a no to this caller."""
        return self.status in {401, 403}

    @property
    def absent(self) -> bool:
        """Whether it is said that there is no such thing; or hidden that there is."""
        return self.status == 404


class Upstream:
    """The registry behind the proxy. Safe for threads."""

    def __init__(self, origin: Origin, pool: StreamPool, *, prefix: str = "") -> None:
        """`prefix`: the path before `/v2/`, without a slash at its end; most registries have none."""
        self.origin = origin
        self.prefix = prefix
        self._pool = pool
        self._reader = ManifestReader()
        self._large = threading.BoundedSemaphore(_LARGE_AT_ONCE)

    def ask(
        self,
        method: str,
        target: str,
        caller: Caller,
        *,
        headers: Fields = (),
        body: Iterable[bytes] | None = None,
        redirected: bool = True,
    ) -> StreamedAnswer:
        """Send a request for a caller; the answer, whatever its status, must be finished.

        `redirected`: whether redirects are followed, without the caller's credentials where they lead elsewhere.
        Raises: RemoteUnreachable, RemoteMisbehaved, SettingsUnusable; what the body raises.
        """
        place, path = self.origin, f"{self.prefix}{target}"
        fields = [*headers, *caller.fields()]
        answer = self._pool.ask(method, place, path, headers=fields, body=body)
        count, named_by = 0, None
        while redirected and method in {"GET", "HEAD"} and answer.status in _REDIRECTS:
            count += 1
            said = HttpResponse(status=answer.status, headers=answer.headers, body=b"", from_here=answer.from_here)
            answer.finish()
            sender = place
            place, path = follow("GET", place, path, said, count=count, within=None)
            if place != sender:
                named_by = None if said.from_here else sender
            fields = [*headers, *(caller.fields() if place == self.origin else ())]
            answer = self._pool.ask(method, place, path, headers=fields, named_by=named_by)
        return answer

    def may_read(self, caller: Caller, target: str, *, method: str = "HEAD") -> None:
        """Return if upstream gives this caller a 200 for a target. Raises: UpstreamSays, and as `ask`."""
        answer = self.ask(method, target, caller, headers=[("Accept", ACCEPT)])
        if answer.status != 200:
            raise said(answer)
        check_no_page(answer)
        answer.finish()

    def manifest(
        self, repository: str, reference: str, caller: Caller, *, digest: str | None, accept: str = ACCEPT
    ) -> FetchedManifest:
        """Fetch a manifest. `digest`: what its bytes must have; None where upstream alone says what is there.

        Raises: ContentMismatch (other bytes), ImageNotServed (not what an image is built like), TooLarge,
        UpstreamSays, and as `ask`.
        """
        target = f"/v2/{repository}/manifests/{reference}"
        answer = self.ask("GET", target, caller, headers=[("Accept", accept)])
        if answer.status != 200:
            raise said(answer)
        told = answer.first("content-type")
        name = f"{repository}@{digest}" if digest else f"{repository}:{reference}"
        with nullcontext() if (answer.length or MAX_MANIFEST) <= _SMALL else self._large:
            return self._read(answer, name=name, told=told, digest=digest)

    def _read(self, answer: StreamedAnswer, *, name: str, told: str, digest: str | None) -> FetchedManifest:
        """Return the manifest that an answer is. Raises: as `manifest`."""
        raw = answer.read(MAX_MANIFEST)
        found = f"sha256:{hashlib.sha256(raw).hexdigest()}"
        if digest is not None and found != digest:
            raise ContentMismatch(role=name, what="digest", expected=digest, found=found)
        read = self._reader.read(raw, digest=found, told=told, name=name)
        return FetchedManifest(digest=found, raw=raw, media_type=read.media_type, named=read.named)


def check_no_page(answer: StreamedAnswer) -> None:
    """Refuse a success that is a page for people, and no yes: a sign-in page to which strangers are sent, mostly.

    Raises: RemoteMisbehaved; the answer is finished then.
    """
    if answer.first("content-type").partition(";")[0].strip().lower() in _PAGES:
        answer.finish()
        reason = "it answers with a page for people, such as one to sign in, in place of what a registry has"
        raise RemoteMisbehaved(remote=str(answer.origin), reason=reason)


def said(answer: StreamedAnswer) -> UpstreamSays | RemoteMisbehaved:
    """Return what to raise for an answer that is not the content that was asked for; it is read and finished.

    Only a refusal or a failure is passed on with its body: Docker takes whatever has a status below 400 for content.
    """
    if answer.status < _FIRST_REFUSAL:
        answer.finish()
        reason = f"it answers with status {answer.status}, which is neither the content nor a refusal"
        return RemoteMisbehaved(remote=str(answer.origin), reason=reason)
    body = b""
    try:
        for piece in answer.pieces():
            body += piece
            if len(body) >= MAX_ANSWER:
                break
    finally:
        answer.finish()
    return UpstreamSays(answer.status, answer.headers, body[:MAX_ANSWER])
