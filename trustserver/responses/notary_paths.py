"""Names of Notary v1's metadata files in URLs, and the path under which the response cache keeps each file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from trustdata.errors import InvalidName
from trustdata.gun import GUN
from trustdata.roles import RoleName, parse_role

ROLE_PATTERN: Final = r"root|snapshot|timestamp|targets(?:/[^/\s]+)*"
_HEX: Final = "[0-9a-fA-F]"
_BY_HASH: Final = re.compile(
    rf"(?P<role>{ROLE_PATTERN})\.(?P<hash>{_HEX}{{64}}|{_HEX}{{96}}|{_HEX}{{128}})\.json", re.ASCII
)
_BY_VERSION: Final = re.compile(rf"(?P<version>[0-9]{{1,18}})\.(?P<role>{ROLE_PATTERN})\.json", re.ASCII)
_CURRENT: Final = re.compile(rf"(?P<role>{ROLE_PATTERN})\.json", re.ASCII)
_PLAIN: Final = "/:@&=+$,;-_.~"
"""The characters that clients written in Go do not percent-encode in a path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotaryFile:
    """The file that a client asks for: one version, the one with this hash, or, with neither, the newest version."""

    role: RoleName
    version: int | None = None
    sha256: str = ""

    @property
    def is_current(self) -> bool:
        return self.version is None and not self.sha256

    def __str__(self) -> str:
        version = "" if self.version is None else f"{self.version}."
        return f"{version}{self.role}{f'.{self.sha256}' if self.sha256 else ''}.json"


def parse_notary_file(text: str) -> NotaryFile | None:
    """Parse a file name such as `root.json`, `2.root.json` or `targets/alice.HEX.json`; None if it has another form.

    A hash may have the length of any hash that Notary accepts, in upper or lower case. But files are stored only under
    SHA-256 in lower case, so others are never found.
    """
    if found := _BY_HASH.fullmatch(text):
        return _file_name(found["role"], sha256=found["hash"])
    if found := _BY_VERSION.fullmatch(text):
        return _file_name(found["role"], version=int(found["version"]))
    if found := _CURRENT.fullmatch(text):
        return _file_name(found["role"])
    return None


def notary_path(gun: GUN, name: NotaryFile) -> bytes:
    """Return the path under which the response cache keeps a file. Other spellings of it are not in the cache."""
    return f"/v2/{quote(gun, safe=_PLAIN)}/_trust/tuf/{quote(str(name), safe=_PLAIN)}".encode()


def _file_name(role: str, *, version: int | None = None, sha256: str = "") -> NotaryFile | None:
    try:
        return NotaryFile(role=parse_role(role), version=version, sha256=sha256)
    except InvalidName:
        return None
