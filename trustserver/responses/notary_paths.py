"""Names of Notary v1's metadata files in URLs, and the one path under which each answer is kept."""

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
"""What Go's clients leave as it is in a path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotaryFile:
    """What a client asks for: one version, the file with a hash, or, with neither, the newest."""

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
    """Read `root.json`, `2.root.json` or `targets/alice.HEX.json`; None for what is no such name.

    A hash may have any of Notary's lengths and cases: only SHA-256 in lower case names something.
    """
    if found := _BY_HASH.fullmatch(text):
        return _named(found["role"], sha256=found["hash"])
    if found := _BY_VERSION.fullmatch(text):
        return _named(found["role"], version=int(found["version"]))
    if found := _CURRENT.fullmatch(text):
        return _named(found["role"])
    return None


def notary_path(gun: GUN, name: NotaryFile) -> bytes:
    """The one raw path under which the view keeps a file."""
    return f"/v2/{quote(gun, safe=_PLAIN)}/_trust/tuf/{quote(str(name), safe=_PLAIN)}".encode()


def _named(role: str, *, version: int | None = None, sha256: str = "") -> NotaryFile | None:
    try:
        return NotaryFile(role=parse_role(role), version=version, sha256=sha256)
    except InvalidName:
        return None
