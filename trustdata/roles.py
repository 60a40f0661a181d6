"""Role names: the four top-level roles, the role of the releases, and the roles of the signers (docs/adr/0008)."""

from __future__ import annotations

import re
from typing import Final, NewType
from urllib.parse import quote, unquote_to_bytes

from trustdata.errors import InvalidName

RoleName = NewType("RoleName", str)
"""The name of a role. Only `parse_role` makes one from text that was not checked."""

ROOT: Final = RoleName("root")
TIMESTAMP: Final = RoleName("timestamp")
SNAPSHOT: Final = RoleName("snapshot")
TARGETS: Final = RoleName("targets")
RELEASES: Final = RoleName("targets/releases")
"""The delegation that lists the released tags of a collection with signers."""

TOP_LEVEL: Final = (ROOT, TIMESTAMP, SNAPSHOT, TARGETS)
ONLINE: Final = (SNAPSHOT, TIMESTAMP)
"""Roles whose keys the server holds (TUF 1.0)."""

MAX_ROLE_LENGTH = 255
_FORBIDDEN = "[\x00-\x1f\x7f\ud800-\udfff]"  # compiled at first use: not at every start
_SIGNER = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}", re.ASCII)


def parse_role(text: str) -> RoleName:
    """Check a role name: 1 to 255 characters, valid Unicode, no control characters. Raises: InvalidName."""
    if not text or len(text) > MAX_ROLE_LENGTH:
        raise InvalidName(kind="role", name=text, reason=f"must have 1 to {MAX_ROLE_LENGTH} characters")
    if re.search(_FORBIDDEN, text):
        raise InvalidName(kind="role", name=text, reason="holds a control character or a lone surrogate")
    return RoleName(text)


def is_delegated(role: str) -> bool:
    """Return whether the role is a delegation, that is, not one of the four top-level roles."""
    return role not in TOP_LEVEL


def signer_role(signer: str) -> RoleName:
    """Return the role of a signer: `alice` -> `targets/alice`. Raises: InvalidName."""
    if not _SIGNER.fullmatch(signer):
        raise InvalidName(
            kind="signer", name=signer, reason="must be 1 to 64 of a-z 0-9 . _ - and start with a-z or 0-9"
        )
    if signer == "releases":
        raise InvalidName(kind="signer", name=signer, reason="releases is the role that lists what is released")
    return RoleName(f"targets/{signer}")


def signer_name(role: str) -> str:
    """Return the name of the signer of a role: `targets/alice` -> `alice`. Other names are returned unchanged."""
    return role.removeprefix("targets/")


def role_to_path(role: RoleName) -> str:
    """Encode a role for a URL, as TUF clients do: `targets/releases` -> `targets%2Freleases`."""
    return quote(role, safe="")


def role_from_path(text: str) -> RoleName:
    """Decode a role from a URL: `targets%2Freleases` -> `targets/releases`. Raises: InvalidName."""
    try:
        return parse_role(unquote_to_bytes(text).decode())
    except UnicodeDecodeError as error:
        raise InvalidName(kind="role", name=text, reason="not UTF-8") from error
