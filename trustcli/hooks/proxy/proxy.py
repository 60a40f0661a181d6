"""Answer as a registry does: tags by trust data, content from upstream by digest, if something signed names it.

Source: OCI distribution specification 1.1. The order in each answer: upstream lets this caller read this repository;
then the decision; then the content, fetched with the caller's credentials.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from trustcli.errors import RemoteMisbehaved
from trustcli.hooks.proxy.answers import API_VERSION, document, failure, refused
from trustcli.hooks.proxy.callers import ReadersMemory
from trustcli.hooks.proxy.first_answer import answer_to, first_answer
from trustcli.hooks.proxy.manifest_reading import ImageNotServed
from trustcli.hooks.proxy.permission import Permissions
from trustcli.hooks.proxy.proxy_settings import ProxySettings
from trustcli.hooks.proxy.pushes import is_push, push
from trustcli.hooks.proxy.relayed_blob import RelayedBlob
from trustcli.hooks.proxy.routes import Kind, Route, parse_path
from trustcli.hooks.proxy.signed_search import SearchUnfinished
from trustcli.hooks.proxy.tag_page import tag_page
from trustcli.hooks.proxy.upstream import (
    MAX_ANSWER,
    Caller,
    FetchedManifest,
    Upstream,
    UpstreamSays,
    check_no_page,
    said,
)
from trustcli.hooks.proxy.upstream_answers import chosen, own_path, passed_on
from trustcli.hooks.serving.messages import Request, Response
from trustcli.registry.manifest import ACCEPT, ARTIFACTS, MAX_MANIFEST, OCI_INDEX, OCI_MANIFEST
from trustdata.errors import TrustError

if TYPE_CHECKING:
    from trustcli.hooks.deciding.decision import Decision
    from trustcli.hooks.deciding.ports import Decider
    from trustcli.hooks.proxy.metrics import ProxyMetrics
    from trustcli.http.streams import StreamedAnswer

_log = logging.getLogger(__name__)
_RANGE: Final = re.compile(r"bytes=[0-9]{0,18}-[0-9]{0,18}", re.ASCII)
_OF_BLOBS: Final = frozenset({"content-range", "accept-ranges", "etag", "last-modified"})
_OF_TAGS: Final = frozenset({"content-type", "docker-distribution-api-version"})
_ASKED_BEFORE_A_PUSH: Final = {Kind.BLOB: "BLOB_UNKNOWN", Kind.MANIFEST: "MANIFEST_UNKNOWN"}
"""Clients that push ask by HEAD what is there. Told that it is not, they send it; a refusal ends containerd's push.
For a pull Docker asks again by GET, and shows the reason of that."""
_NEXT_PAGE: Final = re.compile(r'<([^<>"\s]{1,1000})>; ?rel="?next"?')


class VerifyingProxy:
    """The handler of the proxy's server. Safe for threads."""

    def __init__(
        self,
        settings: ProxySettings,
        *,
        upstream: Upstream,
        decider: Decider,
        permissions: Permissions,
        metrics: ProxyMetrics,
        readers: ReadersMemory | None = None,
    ) -> None:
        self._settings = settings
        self._upstream = upstream
        self._decider = decider
        self._permissions = permissions
        self._metrics = metrics
        self._readers = readers or ReadersMemory()

    def __call__(self, request: Request) -> Response:
        """Return the answer to a request; what cannot be judged is refused."""
        route = parse_path(request.path)
        response = self._answered(request, route)
        self._metrics.answered(route.kind.value, response)
        return response

    def _answered(self, request: Request, route: Route) -> Response:
        try:
            return first_answer(request, route, self._settings) or self._routed(request, route)
        except UpstreamSays as told:
            return passed_on(told, remote=str(self._upstream.origin))
        except (ImageNotServed, SearchUnfinished, TrustError) as error:
            code = getattr(error, "code", "image-not-served")
            response = answer_to(error, route)
            if response.status == 403:
                self._metrics.refused(code)
            _log.warning("%s is answered with %d: %s", route, response.status, error)
            return response

    def _routed(self, request: Request, route: Route) -> Response:
        caller = Caller(authorization=request.first("authorization"))
        if is_push(request, route):
            return push(request, self._upstream, caller)
        if route.kind is Kind.BASE:
            return self._base(caller)
        if route.kind is Kind.BLOB:
            return self._blob(request, route, caller)
        if route.kind is Kind.MANIFEST:
            return self._tag(request, route, caller) if route.tag else self._digest(request, route, caller)
        return (
            self._tags(request, route, caller) if route.kind is Kind.TAGS else self._referrers(request, route, caller)
        )

    # --- endpoints

    def _base(self, caller: Caller) -> Response:
        """Pass on whether upstream takes the credentials, and its challenge: clients log in by it."""
        answer = self._upstream.ask("GET", "/v2/", caller)
        if answer.status != 200:
            raise said(answer)
        check_no_page(answer)
        answer.read(MAX_ANSWER)
        return Response(status=200, headers=[(b"content-type", b"application/json"), API_VERSION], body=b"{}")

    def _tag(self, request: Request, route: Route, caller: Caller) -> Response:
        self._authorise(route, caller)
        reference = self._permissions.reference(route.repository, tag=route.tag)
        decision = self._decider.decide(reference)
        if decision.allowed and decision.digest is None:
            accept = ", ".join(request.every("accept")) or ACCEPT
            manifest = self._upstream.manifest(route.repository, route.tag, caller, digest=None, accept=accept)
            decision = self._decider.decide(reference, manifest.digest)  # a rule may be about this digest
            if not decision.allowed:
                return self._denied(request, route, decision)
        elif decision.allowed and decision.digest is not None:
            try:
                manifest = self._fetched(route, decision.digest, caller)
            except UpstreamSays as told:
                if not told.absent:
                    raise
                sentence = f"{reference} is signed as {decision.digest}, which the registry does not have"
                return failure(404, "MANIFEST_UNKNOWN", sentence)
        else:
            return self._denied(request, route, decision)
        self._note(route, decision)
        return self._hand_out(route, manifest)

    def _digest(self, request: Request, route: Route, caller: Caller) -> Response:
        self._authorise(route, caller)
        permission = self._permissions.of(route.repository, route.digest, caller, is_blob=False)
        if not permission.allowed and self._settings.referrers:
            return self._about_signed(request, route, caller, permission.reason)
        if not permission.allowed:
            return self._refuse(request, route, permission.reason)
        manifest = self._fetched(route, route.digest, caller)
        if permission.decision is not None:
            self._note(route, permission.decision)
        return self._hand_out(route, manifest)

    def _fetched(self, route: Route, digest: str, caller: Caller) -> FetchedManifest:
        try:
            return self._upstream.manifest(route.repository, digest, caller, digest=digest)
        except UpstreamSays as told:
            if told.forbids:
                self._readers.forget(caller.authorization, route.repository)
            raise

    def _about_signed(self, request: Request, route: Route, caller: Caller, reason: str) -> Response:
        """Hand out a manifest whose own bytes say that it is about something that may be handed out.

        Never one that an engine would run: whoever may push may write any subject into an image.
        """
        manifest = self._fetched(route, route.digest, caller)
        named = manifest.named
        subject = named.subject if named.is_artifact and manifest.media_type in {OCI_MANIFEST, *ARTIFACTS} else ""
        if not subject or not self._permissions.of(route.repository, subject, caller, is_blob=False).allowed:
            return self._refuse(request, route, reason)
        about = self._fetched(route, subject, caller)
        self._permissions.learn(route.repository, subject, about.named, tag="")
        self._permissions.learn_referrer(subject, manifest.digest)
        return self._hand_out(route, manifest)

    def _hand_out(self, route: Route, manifest: FetchedManifest) -> Response:
        self._permissions.learn(route.repository, manifest.digest, manifest.named, tag=route.tag)
        headers = [
            (b"content-type", manifest.media_type.encode()),
            (b"docker-content-digest", manifest.digest.encode()),
            API_VERSION,
        ]
        return Response(status=200, headers=headers, body=manifest.raw)

    def _tags(self, request: Request, route: Route, caller: Caller) -> Response:
        target = f"/v2/{route.repository}/tags/list"
        self._authorise(route, caller)
        signed = self._permissions.signed_tags(route.repository)
        if signed.any_content:
            return self._all_tags(request, target, caller)
        if signed.refusal is not None:
            self._metrics.refused(signed.refusal.code)
            return self._refuse(request, route, str(signed.refusal))
        try:
            return tag_page(route.repository, signed.tags, request.query)
        except ValueError as error:
            return failure(400, "PAGINATION_NUMBER_INVALID", str(error))

    def _all_tags(self, request: Request, target: str, caller: Caller) -> Response:
        """Return upstream's own list, where a rule lets everything pass."""
        answer = self._upstream.ask("GET", f"{target}?{request.query}" if request.query else target, caller)
        if answer.status != 200:
            raise said(answer)
        headers = chosen(answer.headers, _OF_TAGS)
        for link in answer.every("link")[:1]:
            if found := _NEXT_PAGE.fullmatch(link):
                place = own_path(found[1], self._upstream.origin, self._upstream.prefix)
                headers.append((b"link", f'<{place}>; rel="next"'.encode("latin-1")))
        return Response(status=200, headers=headers, body=answer.read(MAX_MANIFEST))

    def _referrers(self, request: Request, route: Route, caller: Caller) -> Response:
        self._authorise(route, caller)
        if self._settings.referrers:
            permission = self._permissions.of(route.repository, route.digest, caller, is_blob=False)
            if not permission.allowed:
                return self._refuse(request, route, permission.reason)
            answer = self._upstream.ask("GET", f"/v2/{route.repository}/referrers/{route.digest}", caller)
            if answer.status == 200:
                return Response(
                    status=200, headers=[(b"content-type", OCI_INDEX.encode())], body=answer.read(MAX_MANIFEST)
                )
            raise said(answer)
        return document({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}, OCI_INDEX)

    # --- blobs

    def _blob(self, request: Request, route: Route, caller: Caller) -> Response:
        self._authorise(route, caller)
        permission = self._permissions.of(route.repository, route.digest, caller, is_blob=True)
        if not permission.allowed:
            return self._refuse(request, route, permission.reason)
        target = f"/v2/{route.repository}/blobs/{route.digest}"
        wanted = request.first("range")
        headers = [("Range", wanted)] if _RANGE.fullmatch(wanted) else []
        redirect = self._settings.redirect_blobs and request.method == "GET"
        answer = self._upstream.ask(request.method, target, caller, headers=headers, redirected=not redirect)
        if redirect and (elsewhere := self._elsewhere(answer, target, caller)):
            return elsewhere
        if answer.status not in {200, 206, 416}:
            if answer.status in {401, 403}:
                self._readers.forget(caller.authorization, route.repository)
            raise said(answer)
        if answer.first("content-encoding").lower() not in {"", "identity"}:
            answer.finish()
            raise RemoteMisbehaved(remote=str(answer.origin), reason="it encodes a blob, which nobody asked for")
        return self._stream(request, route, answer)

    def _stream(self, request: Request, route: Route, answer: StreamedAnswer) -> Response:
        headers = [
            (b"content-type", b"application/octet-stream"),
            (b"docker-content-digest", route.digest.encode()),
            API_VERSION,
            *chosen(answer.headers, _OF_BLOBS),
        ]
        if request.method == "HEAD":
            answer.finish()
            return Response(status=answer.status, headers=headers, length=answer.length)
        if answer.length is not None:
            return Response(status=answer.status, headers=headers, body=RelayedBlob(answer, answer.length))
        return Response(status=answer.status, headers=headers, body=_pieces(answer))

    def _elsewhere(self, answer: StreamedAnswer, target: str, caller: Caller) -> Response | None:
        """Return the redirect to where a blob is; None if it must be handed on, since credentials would not follow."""
        place = answer.first("location") if answer.status in {302, 303, 307, 308} else ""
        if not place and answer.status == 200 and not caller.authorization:
            place = f"{self._upstream.origin}{self._upstream.prefix}{target}"
        if not place or not place.isascii() or not place.startswith(("http://", "https://")):
            return None
        answer.finish()
        return Response(status=307, headers=[(b"location", place.encode()), API_VERSION])

    # --- who may ask, and what they are told

    def _authorise(self, route: Route, caller: Caller) -> None:
        """Return if upstream lets the caller read the repository. Raises: UpstreamSays, and as `Upstream.ask`."""
        if route.kind is Kind.TAGS:
            self._may_list(route, caller)
            return
        if self._readers.may_read(caller.authorization, route.repository):
            return
        kind = "blobs" if route.kind is Kind.BLOB else "manifests"
        try:
            self._upstream.may_read(caller, f"/v2/{route.repository}/{kind}/{route.digest or route.tag}")
        except UpstreamSays as told:
            if told.forbids:
                self._readers.forget(caller.authorization, route.repository)
            if not (told.absent and route.tag):
                raise
            # That the tag is gone is no yes: many registries say so of what they hide. The list is one.
            try:
                self._may_list(route, caller)
            except UpstreamSays:
                raise told from None
        else:
            self._readers.remember(caller.authorization, route.repository)

    def _may_list(self, route: Route, caller: Caller) -> None:
        """Return if upstream lists the tags for the caller, which is a right of its own. Raises: as `_authorise`."""
        if self._readers.may_read(caller.authorization, route.repository, listing=True):
            return
        try:
            self._upstream.may_read(caller, f"/v2/{route.repository}/tags/list?n=1", method="GET")
        except UpstreamSays as told:
            if told.forbids:
                self._readers.forget(caller.authorization, route.repository)
            raise
        self._readers.remember(caller.authorization, route.repository, listing=True)

    def _note(self, route: Route, decision: Decision) -> None:
        """Tell the operator what a caller is not told: that something was let through, or judged by older data."""
        if decision.stale:
            self._metrics.stale()
        if not decision.verified:
            self._metrics.unverified(decision.mode)
        for warning in decision.warnings:
            _log.warning("%s: %s", route, warning)

    def _denied(self, request: Request, route: Route, decision: Decision) -> Response:
        self._metrics.refused(decision.refusal.code if decision.refusal is not None else "not-trusted")
        return self._refuse(request, route, decision.reason)

    def _refuse(self, request: Request, route: Route, reason: str) -> Response:
        _log.warning("refused %s: %s", route, reason)
        if self._settings.allow_push and request.method == "HEAD" and route.kind in _ASKED_BEFORE_A_PUSH:
            return failure(404, _ASKED_BEFORE_A_PUSH[route.kind], reason)
        return refused(reason)


def _pieces(answer: StreamedAnswer) -> Iterator[bytes]:
    try:
        yield from answer.pieces()
    finally:
        answer.finish()
