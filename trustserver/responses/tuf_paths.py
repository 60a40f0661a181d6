"""Names of TUF 1.0 metadata files in URLs, and the path under which the response cache keeps each file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from trustdata.errors import InvalidName
from trustdata.gun import GUN
from trustdata.roles import TIMESTAMP, RoleName, role_from_path, role_to_path

_VERSIONED: Final = re.compile(r"(?P<version>[1-9][0-9]{0,17})\.(?P<role>.+)", re.DOTALL | re.ASCII)
_SUFFIX: Final = ".json"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileName:
    """The file that a client asks for. `version` None: the newest version."""

    role: RoleName
    version: int | None

    def __str__(self) -> str:
        version = "" if self.version is None else f"{self.version}."
        return f"{version}{role_to_path(self.role)}{_SUFFIX}"


def parse_filename(text: str) -> FileName:
    """Parse a file name as it is in the URL, such as `timestamp.json` or `3.targets%2Falice.json`.

    Raises: InvalidName.
    """
    if not text.endswith(_SUFFIX) or "/" in text:
        raise InvalidName(kind="metadata file name", name=text, reason="is not [VERSION.]ROLE.json")
    stem = text.removesuffix(_SUFFIX)
    versioned = _VERSIONED.fullmatch(stem)
    if versioned is None:
        return FileName(role=role_from_path(stem), version=None)
    role = role_from_path(versioned["role"])
    if role == TIMESTAMP:
        raise InvalidName(kind="metadata file name", name=text, reason="the timestamp has no versions in its name")
    return FileName(role=role, version=int(versioned["version"]))


def path_of(gun: GUN, name: FileName) -> bytes:
    """Return the path under which the response cache keeps a file. Other spellings of it are not in the cache."""
    return f"/tuf/{gun}/metadata/{name}".encode()
