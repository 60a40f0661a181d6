"""Pass pushes through to upstream, where the operator wants that. What is pushed is pulled only once it is signed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from trustcli.hooks.proxy.routes import Kind, Route
from trustcli.hooks.proxy.upstream import Caller, Upstream
from trustcli.hooks.proxy.upstream_answers import chosen, own_path
from trustcli.hooks.serving.messages import Request, Response
from trustcli.http.streams import StreamedAnswer

_SENT: Final = ("content-type", "content-length", "content-range", "accept")
_RETURNED: Final = frozenset(
    {"www-authenticate", "retry-after", "content-type", "docker-distribution-api-version", "docker-content-digest"}
    | {"docker-upload-uuid", "range", "oci-chunk-min-length", "oci-subject", "warning"}
)
_METHODS: Final = {
    Kind.UPLOAD: frozenset({"POST", "PATCH", "PUT", "GET", "HEAD", "DELETE"}),
    Kind.MANIFEST: frozenset({"PUT"}),
}


def is_push(request: Request, route: Route) -> bool:
    """Return whether a request is a part of a push. The end of an upload is one; the deletion of content is none."""
    return request.method in _METHODS.get(route.kind, frozenset())


def push(request: Request, upstream: Upstream, caller: Caller) -> Response:
    """Pass a request on with its body, as it comes, and return upstream's answer.

    Raises: RemoteUnreachable, RemoteMisbehaved, SettingsUnusable, ClientGone, RequestRefused.
    """
    headers = [(name, value) for name in _SENT for value in request.every(name)]
    has_body = request.body.length != 0
    answer = upstream.ask(
        request.method,
        request.target,
        caller,
        headers=headers,
        body=request.body.pieces() if has_body or request.method in {"POST", "PATCH", "PUT"} else None,
        redirected=False,
    )
    returned = chosen(answer.headers, _RETURNED)
    if request.method in {"GET", "HEAD"} and answer.status < 400:  # how far an upload is, which is said in the head
        answer.finish()
        return Response(status=204, headers=[field for field in returned if field[0] != b"content-type"])
    for location in answer.every("location")[:1]:
        returned.append((b"location", own_path(location, upstream.origin, upstream.prefix).encode("latin-1")))
    return Response(status=answer.status, headers=returned, body=_body(answer), length=answer.length)


def _body(answer: StreamedAnswer) -> Iterator[bytes]:
    try:
        yield from answer.pieces()
    finally:
        answer.finish()
