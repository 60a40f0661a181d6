"""Match the paths of Notary v1's API. The collection's name is in the path as it is, with all its slashes.

There are no redirects, because Notary's clients follow none: a path that matches no route gets a 404.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final
from urllib.parse import unquote_to_bytes

from trustdata.errors import InvalidName
from trustdata.gun import GUN, parse_notary_gun
from trustdata.roles import SNAPSHOT, TIMESTAMP, RoleName
from trustserver.errors import NoSuchRoute
from trustserver.responses.notary_paths import ROLE_PATTERN, NotaryFile, parse_notary_file

PREFIXES: Final = ("/v2/", "/_notary_server/")
"""Paths that begin with one of these belong to Notary's API; so does `/v2` itself."""
_LONGEST: Final = 2048
"""The longest path that is matched, in characters. Names in it have at most 255 each."""
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_GUN: Final = r"/v2/(?P<gun>[^*]+)/_trust"
_FILE: Final = re.compile(rf"{_GUN}/tuf/(?P<file>(?:[0-9]+\.)?(?:{ROLE_PATTERN})(?:\.[0-9a-fA-F]+)?\.json)", re.ASCII)
_KEY: Final = re.compile(rf"{_GUN}/tuf/(?P<role>snapshot|timestamp)\.key")
_COLLECTION: Final = re.compile(rf"{_GUN}/tuf/")
_CHANGES: Final = re.compile(rf"{_GUN}/changefeed")


NO_GUN: Final = GUN("")
NO_FILE: Final = NotaryFile(role=TIMESTAMP)


class Operation(Enum):
    """What a request asks for."""

    PING = auto()
    HEALTH = auto()
    FILE = auto()
    UPLOAD = auto()
    DELETE = auto()
    KEY = auto()
    NEW_KEY = auto()
    CHANGES = auto()
    ALL_CHANGES = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A matched request. `gun`, `file` and `role` are set if `operation` needs them."""

    operation: Operation
    gun: GUN = NO_GUN
    file: NotaryFile = NO_FILE
    role: RoleName = TIMESTAMP


_FIXED: Final[Mapping[tuple[str, str], Operation]] = {
    ("GET", "/v2/"): Operation.PING,
    ("GET", "/_notary_server/health"): Operation.HEALTH,
    ("GET", "/v2/_trust/changefeed"): Operation.ALL_CHANGES,
}


def is_notary_path(path: str) -> bool:
    """Return whether a raw path belongs to Notary's API."""
    return path.startswith(PREFIXES) or path == "/v2"


def match_route(method: str, path: str) -> Route:
    """Return the route of a raw path and method. Raises: NoSuchRoute; InvalidName (an upload with an invalid GUN)."""
    text = _decoded(path)
    fixed = _FIXED.get((method, text))
    if fixed is not None:
        return Route(operation=fixed)
    if method == "GET" and (found := _FILE.fullmatch(text)):
        return Route(operation=Operation.FILE, gun=_gun(found["gun"]), file=_file(found["file"]))
    if method in {"GET", "POST"} and (found := _KEY.fullmatch(text)):
        role = SNAPSHOT if found["role"] == SNAPSHOT else TIMESTAMP
        return Route(
            operation=Operation.KEY if method == "GET" else Operation.NEW_KEY, gun=_gun(found["gun"]), role=role
        )
    if method == "GET" and (found := _CHANGES.fullmatch(text)):
        return Route(operation=Operation.CHANGES, gun=_gun(found["gun"]))
    if method == "POST" and (found := _COLLECTION.fullmatch(text)):
        return Route(operation=Operation.UPLOAD, gun=parse_notary_gun(found["gun"]))
    if method == "DELETE" and (found := _COLLECTION.fullmatch(text)):
        return Route(operation=Operation.DELETE, gun=_gun(found["gun"]))
    raise NoSuchRoute(what="such route")


def _decoded(path: str) -> str:
    if len(path) > 3 * _LONGEST or _BAD_ESCAPE.search(path):
        raise NoSuchRoute(what="such route")
    try:
        text = unquote_to_bytes(path.encode("latin-1")).decode()
    except UnicodeDecodeError as error:
        raise NoSuchRoute(what="such route") from error
    if len(text) > _LONGEST:
        raise NoSuchRoute(what="such route")
    return text


def _gun(text: str) -> GUN:
    try:
        return parse_notary_gun(text)
    except InvalidName as error:
        raise NoSuchRoute(what="such route") from error


def _file(text: str) -> NotaryFile:
    name = parse_notary_file(text)
    if name is None:
        raise NoSuchRoute(what="such route")
    return name
