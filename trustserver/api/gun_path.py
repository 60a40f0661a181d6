"""Collections in URLs, read from the raw path: the decoded one cannot tell `a/b` from `a%2Fb`.

`/tuf/GUN/metadata/FILE`, `/api/v1/collections/GUN[/publish|/keys/ROLE]`; the last of these words splits, where the
method knows it: `ci/publish` and `ci/keys/alice` are names too.
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

_BELOW_A_COLLECTION: Final[Mapping[str, frozenset[str]]] = {
    "/publish": frozenset({"POST"}),
    "/take-over": frozenset({"POST"}),
    **{f"/keys/{role}": frozenset({"GET", "HEAD", "POST"}) for role in ONLINE},
}
"""What is asked of a collection, and with which methods; with others the path can only be a name."""
_ESCAPE: Final = re.compile(r"%(.{0,2})", re.DOTALL)
_NEEDED: Final = {"3A": ":", "5B": "[", "5D": "]"}  # a port, an IPv6 host


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionPath:
    """What a path under /api/v1/collections/ names. `rest`: empty, `/publish` or `/keys/ROLE`."""

    gun: GUN
    rest: str


def raw_path(scope: Scope) -> str:
    """The path as it was sent, without the query."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    return raw.partition(b"?")[0].decode("latin-1")


def gun_from_path(text: str) -> GUN:
    """The collection's name from its place in a raw path. Raises: InvalidName."""

    def plain(escape: re.Match[str]) -> str:
        code = escape[1].upper()
        if code not in _NEEDED:
            reason = "in a URL the components are separated by plain /, and nothing but : may be percent-encoded"
            raise InvalidName(kind="collection name", name=text, reason=reason)
        return _NEEDED[code]

    return parse_gun(_ESCAPE.sub(plain, text))


def split_metadata_path(path: str) -> tuple[GUN, str]:
    """Collection and raw file name of a path under /tuf/. Raises: InvalidName."""
    gun, found, filename = path.removeprefix(TUF_PREFIX).rpartition("/metadata/")
    if not found:
        raise InvalidName(kind="path", name=path, reason="is not /tuf/GUN/metadata/FILE")
    return gun_from_path(gun), filename


def split_collection_path(method: str, path: str) -> CollectionPath:
    """What a path under /api/v1/collections/ names to this method. Raises: InvalidName."""
    name = path.removeprefix(COLLECTIONS_PREFIX)
    for rest, methods in _BELOW_A_COLLECTION.items():
        if method in methods and name.endswith(rest):
            return CollectionPath(gun=gun_from_path(name.removesuffix(rest)), rest=rest)
    return CollectionPath(gun=gun_from_path(name), rest="")


class GunPaths:
    """ASGI: gives the application behind it paths in which the collection is one segment, and the checked name."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = raw_path(scope)
            if path.startswith(COLLECTIONS_PREFIX):
                try:
                    named = split_collection_path(scope["method"], path)
                except InvalidName as error:
                    await send_problem(send, error, head=scope["method"] == "HEAD")
                    return
                segment = quote(named.gun, safe="")
                scope = {**scope, GUN_KEY: named.gun, "path": f"{COLLECTIONS_PREFIX}{segment}{named.rest}"}
        await self._app(scope, receive, send)
