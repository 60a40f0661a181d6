"""Give answers of the upstream registry to the caller they are for: what a client needs of them, and no more."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

from trustcli.hooks.proxy.answers import failure
from trustcli.hooks.proxy.upstream import UpstreamSays
from trustcli.hooks.serving.messages import Response
from trustcli.http.messages import Origin
from trustcli.http.streams import Fields

_PASSED_ON: Final = frozenset(
    {"www-authenticate", "retry-after", "content-type", "docker-distribution-api-version", "ratelimit-limit"}
    | {"ratelimit-remaining", "warning"}
)
_CODES: Final = {401: "UNAUTHORIZED", 403: "DENIED", 404: "NAME_UNKNOWN", 429: "TOOMANYREQUESTS"}
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


def passed_on(said: UpstreamSays, *, remote: str) -> Response:
    """Return upstream's own answer. Where it says nothing in words (as to HEAD) words are put in. `remote`: its URL."""
    headers = chosen(said.headers, _PASSED_ON)
    if said.body:
        return Response(status=said.status, headers=headers, body=said.body)
    status = HTTPStatus(said.status).phrase if said.status in set(HTTPStatus) else "an answer without a meaning"
    words = failure(said.status, _CODES.get(said.status, "UNKNOWN"), f"{remote} says: {status}")
    kept = [field for field in headers if field[0] != b"content-type"]
    return Response(status=said.status, headers=[*words.headers, *kept], body=words.body)


def chosen(headers: Fields, names: frozenset[str]) -> list[tuple[bytes, bytes]]:
    """Return some header fields of an answer as they are sent on; values that no header may have are left out."""
    return [
        (name.encode(), value.encode("latin-1"))
        for name, value in headers
        if name in names and _VALUE.fullmatch(value) is not None
    ]


def own_path(location: str, upstream: Origin, prefix: str) -> str:
    """Return a URL of upstream as a path here, so that a client goes on through the proxy; others as they are."""
    for origin in (str(upstream), f"{upstream.scheme}://{upstream.host_port}"):
        if location.startswith(f"{origin}/"):
            location = location.removeprefix(origin)
            break
    return location.removeprefix(prefix) if location.startswith(f"{prefix}/") else location
