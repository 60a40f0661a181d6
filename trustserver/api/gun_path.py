"""Collections in URLs, read from the raw path: the decoded one cannot tell `a/b` from `a%2Fb`.

`/tuf/GUN/metadata/FILE`, `/api/v1/collections/GUN[/publish|/keys/ROLE]`; the last of these words splits.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from urllib.parse import quote, unquote

from trustdata.errors import InvalidName
from trustdata.gun import GUN, parse_gun
from trustserver.api.problems import send_problem

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

TUF_PREFIX: Final = "/tuf/"
COLLECTIONS_PREFIX: Final = "/api/v1/collections/"
GUN_KEY: Final = "content_trust.gun"

_ESCAPE: Final = re.compile(r"%(.{0,2})", re.DOTALL)
_NEEDED: Final = {"3A": ":", "5B": "[", "5D": "]"}  # a port, an IPv6 host


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionPath:
    """What a path under /api/v1/collections/ names. `rest`: empty, `/publish` or `/keys/ROLE`, as it stood there."""

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


def split_collection_path(path: str) -> CollectionPath:
    """What a path under /api/v1/collections/ names. Raises: InvalidName."""
    name = path.removeprefix(COLLECTIONS_PREFIX)
    if name.endswith("/publish"):
        return CollectionPath(gun=gun_from_path(name.removesuffix("/publish")), rest="/publish")
    gun, found, role = name.rpartition("/keys/")
    if found and "/" not in role:
        return CollectionPath(gun=gun_from_path(gun), rest=f"/keys/{role}")
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
                    named = split_collection_path(path)
                except InvalidName as error:
                    await send_problem(send, error, head=scope["method"] == "HEAD")
                    return
                segment = quote(named.gun, safe="")
                scope = {**scope, GUN_KEY: named.gun, "path": f"{COLLECTIONS_PREFIX}{segment}{unquote(named.rest)}"}
        await self._app(scope, receive, send)
