"""Read what a request for a registry asks for.

Source: OCI distribution specification 1.1, "Endpoints". A path is not decoded: what another program might read
differently is no path of a registry. Only `%3A` is `:` in a digest, as some clients write it.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final
from urllib.parse import parse_qsl

from keys.record import record
from trustdata.digest import is_digest
from trustdata.gun import MAX_TAG_LENGTH

_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME: Final = rf"(?P<name>{_COMPONENT}(?:/{_COMPONENT})*)"
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_MOST_PATH: Final = 1024
"""Characters. A name has 255, a digest 71."""
_PATTERNS: Final = tuple(
    re.compile(rf"/v2/{_NAME}/(?P<kind>{kind})", re.ASCII)
    for kind in (
        r"tags/list",
        r"manifests/(?P<reference>[^/]+)",
        r"referrers/(?P<reference>[^/]+)",
        r"blobs/uploads(?:/(?P<reference>[A-Za-z0-9_=:+~-][A-Za-z0-9._=:+~-]*)?)?",
        r"blobs/(?P<reference>[^/]+)",
    )
)


class Kind(Enum):
    """What an endpoint is for."""

    BASE = "base"
    CATALOG = "catalog"
    MANIFEST = "manifest"
    BLOB = "blob"
    TAGS = "tags"
    REFERRERS = "referrers"
    UPLOAD = "upload"
    UNKNOWN = "unknown"


@record
class Route:
    """An endpoint of a repository. `repository`: empty for those of the whole registry.

    Of `tag` and `digest` (`sha256:HEX`) at most one is there. `reference`: what stood in the path, as it was sent.
    """

    kind: Kind
    repository: str = ""
    tag: str = ""
    digest: str = ""
    reference: str = ""

    def __str__(self) -> str:
        """Return what it is about, for the log."""
        return " ".join(filter(None, (self.repository, self.reference))) or f"the registry's {self.kind.value}"


UNKNOWN: Final = Route(kind=Kind.UNKNOWN)


def parse_path(path: str) -> Route:
    """Return the endpoint that a path means; of kind UNKNOWN if none."""
    if len(path) > _MOST_PATH:
        return UNKNOWN
    if path in {"/v2", "/v2/"}:
        return Route(kind=Kind.BASE)
    if path == "/v2/_catalog":
        return Route(kind=Kind.CATALOG)
    for pattern in _PATTERNS:
        if found := pattern.fullmatch(path):
            return _route(found)
    return UNKNOWN


def _route(found: re.Match[str]) -> Route:
    kind, name = found["kind"].split("/", 1)[0], found["name"]
    if kind == "tags":
        return Route(kind=Kind.TAGS, repository=name)
    given = found["reference"] or ""
    if found["kind"].startswith("blobs/uploads"):
        return Route(kind=Kind.UPLOAD, repository=name, reference=given)
    digest = given.replace("%3A", ":").replace("%3a", ":")
    if is_digest(digest):
        kinds = {"manifests": Kind.MANIFEST, "blobs": Kind.BLOB, "referrers": Kind.REFERRERS}
        return Route(kind=kinds[kind], repository=name, digest=digest, reference=given)
    if kind == "manifests" and len(given) <= MAX_TAG_LENGTH and _TAG.fullmatch(given):
        return Route(kind=Kind.MANIFEST, repository=name, tag=given, reference=given)
    return UNKNOWN


def query_values(query: str, name: str) -> list[str]:
    """Return the values that a query has for a name, decoded. Raises: ValueError for a query of many members."""
    return [value for key, value in parse_qsl(query, keep_blank_values=True, max_num_fields=16) if key == name]
