"""Find the collection's name (GUN) in the path of a URL.

The paths are `/tuf/GUN/metadata/FILE` and `/api/v1/collections/GUN`, the latter followed by nothing, `/publish`,
`/take-over` or `/keys/ROLE`. The raw path is read, because the decoded one does not distinguish `a/b` from `a%2Fb`. A
GUN may itself end in such a word: `ci/publish` is one. So the end of a path is split off only if it is a resource that
has the request's method.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from trustdata.errors import InvalidName
from trustdata.gun import GUN, parse_gun
from trustdata.roles import ONLINE
from trustserver.api.problems import send_problem

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

TUF_PREFIX: Final = "/tuf/"
COLLECTIONS_PREFIX: Final = "/api/v1/collections/"
GUN_KEY: Final = "content_trust.gun"

_SUBRESOURCES: Final[Mapping[str, frozenset[str]]] = {
    "/publish": frozenset({"POST"}),
    "/take-over": frozenset({"POST"}),
    **{f"/keys/{role}": frozenset({"GET", "HEAD", "POST"}) for role in ONLINE},
}
"""The resources below a collection, with their methods. With another method the whole path is the collection's name."""
_ESCAPE: Final = re.compile(r"%(.{0,2})", re.DOTALL)
_ALLOWED_ESCAPES: Final = {"3A": ":", "5B": "[", "5D": "]"}  # a port, an IPv6 host


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionPath:
    """The parts of a path below /api/v1/collections/. `rest`: empty, or the resource, such as `/publish`."""

    gun: GUN
    rest: str


def raw_path(scope: Scope) -> str:
    """Return the path of a request as it was sent, not decoded and without the query."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    return raw.partition(b"?")[0].decode("latin-1")


def gun_from_path(text: str) -> GUN:
    """Decode and check a collection's name from a raw path. Raises: InvalidName."""

    def decode(escape: re.Match[str]) -> str:
        code = escape[1].upper()
        if code not in _ALLOWED_ESCAPES:
            reason = "in a URL the components are separated by plain /, and nothing but : may be percent-encoded"
            raise InvalidName(kind="collection name", name=text, reason=reason)
        return _ALLOWED_ESCAPES[code]

    return parse_gun(_ESCAPE.sub(decode, text))


def split_metadata_path(path: str) -> tuple[GUN, str]:
    """Split a path below /tuf/ into the collection and the file name, which is not decoded. Raises: InvalidName."""
    gun, found, filename = path.removeprefix(TUF_PREFIX).rpartition("/metadata/")
    if not found:
        raise InvalidName(kind="path", name=path, reason="is not /tuf/GUN/metadata/FILE")
    return gun_from_path(gun), filename


def split_collection_path(method: str, path: str) -> CollectionPath:
    """Split a path below /api/v1/collections/ into the collection and the resource. Raises: InvalidName."""
    name = path.removeprefix(COLLECTIONS_PREFIX)
    for rest, methods in _SUBRESOURCES.items():
        if method in methods and name.endswith(rest):
            return CollectionPath(gun=gun_from_path(name.removesuffix(rest)), rest=rest)
    return CollectionPath(gun=gun_from_path(name), rest="")


class GunPaths:
    """An ASGI application that rewrites paths so that FastAPI can match them: the collection becomes one segment.

    It puts the checked name into the scope, under GUN_KEY.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = raw_path(scope)
            if path.startswith(COLLECTIONS_PREFIX):
                try:
                    collection_path = split_collection_path(scope["method"], path)
                except InvalidName as error:
                    await send_problem(send, error, head=scope["method"] == "HEAD")
                    return
                segment = quote(collection_path.gun, safe="")
                scope = {
                    **scope,
                    GUN_KEY: collection_path.gun,
                    "path": f"{COLLECTIONS_PREFIX}{segment}{collection_path.rest}",
                }
        await self._app(scope, receive, send)
