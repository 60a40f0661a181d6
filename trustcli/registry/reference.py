"""Image references, normalised as Docker does, so that everybody means the same collection by the same name.

Source: distribution/reference (Docker's grammar). Different from Docker, the host is lower-cased and `:443` dropped:
both name the same registry, and must not become two collections.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from trustdata.digest import is_sha256_hex, parse_digest
from trustdata.errors import InvalidName, shown
from trustdata.gun import GUN, Tag, parse_gun, parse_tag
from trustdata.hosts import DOCKER_HUB, HUB_REGISTRY, is_host, normal_host

_KIND = "image reference"
_ALGORITHMS = frozenset({"sha256", "sha384", "sha512"})
_HEX = re.compile(r"[0-9a-f]+", re.ASCII)
"""Behind one of the algorithms, of any length: engines and container runtimes run whatever image of the machine has
such an id, or one that begins so, under whichever name it was pulled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReference:
    """An image reference in normal form; made by `parse_reference` only.

    `str()` returns text that parses to an equal value.

    `digest`: `sha256:HEX`. `given`: the text as typed, for messages.
    """

    gun: GUN
    tag: Tag | None
    digest: str | None
    given: str = field(compare=False)

    def __str__(self) -> str:
        return self.gun + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @property
    def host(self) -> str:
        """The host, with port if any, as in the collection's name: `docker.io`, `registry.example.com:5000`."""
        return self.gun.partition("/")[0]

    @property
    def registry_host(self) -> str:
        """The host of the registry's API."""
        return HUB_REGISTRY if self.host == DOCKER_HUB else self.host

    @property
    def repository(self) -> str:
        """The path inside the registry: `library/alpine`."""
        return self.gun.partition("/")[2]


def parse_reference(text: str) -> ImageReference:
    """Return the reference that a text means, such as `team/app:1.0` or `registry.example.com:5000/app@sha256:...`.

    A missing tag stays missing: the command decides what it means. Raises: InvalidName, with `text` or its wrong part.
    """
    name, at, digest = text.partition("@")
    # A colon before the last slash belongs to the host's port.
    path, colon, tag = name.rpartition(":")
    if not colon or "/" in tag or _is_host_alone(name):
        path, colon, tag = name, "", ""
    if path in _ALGORITHMS and _HEX.fullmatch(tag):
        raise InvalidName(kind=_KIND, name=text, reason=f"{path}: and hexadecimal digits are an image id, not a name")
    return ImageReference(
        gun=_collection(path, text),
        tag=parse_tag(tag) if colon else None,
        digest=parse_digest(digest) if at else None,
        given=text,
    )


def _is_host_alone(name: str) -> bool:
    return name.startswith("[") and "/" not in name


def _collection(name: str, given: str) -> GUN:
    if "://" in given:
        raise InvalidName(kind=_KIND, name=given, reason="leave out the scheme, as docker does")
    if is_sha256_hex(name):
        raise InvalidName(kind=_KIND, name=given, reason="64 hexadecimal digits are an image id, not a name")
    first, slash, repository = name.partition("/")
    if not slash or not is_host(first):
        first, repository = DOCKER_HUB, name
    host = normal_host(first)
    library = "library/" if host == DOCKER_HUB and "/" not in repository else ""
    try:
        return parse_gun(f"{host}/{library}{repository}")
    except InvalidName as error:
        case = repository != repository.lower() and error.reason == "must be lower-case"
        reason = f"the repository {shown(repository)} {error.reason}" if case else error.reason
        raise InvalidName(kind=_KIND, name=given, reason=reason) from error
