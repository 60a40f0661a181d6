"""The parts of a Notary v1 upload: any field name, the file name is the role, with or without one `.json`.

There may be no parts at all: whoever has nothing to sign sends an empty upload, for a new snapshot and timestamp.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from trustdata.errors import TrustError, VersionConflict
from trustdata.limits import MAX_NOTARY_FILE, notary_size_limit
from trustdata.roles import MAX_ROLE_LENGTH, TIMESTAMP, RoleName
from trustdata.wire import strict_json
from trustserver.errors import NoFileName, UnknownRole

_ROLE: Final = re.compile(r"root|snapshot|timestamp|(?!.*/_trust/tuf/)targets(?:/[-a-z0-9_]+)*")
"""A delegation below `/_trust/tuf/` would have the path of another collection's file, whose readers would get it."""
_ROOM: Final = 1024 * 1024
"""Bytes for the other parts and the form around the largest one."""


class NotaryParts:
    """As promised by PartRules."""

    max_upload: Final = MAX_NOTARY_FILE + _ROOM
    may_be_empty: Final = True

    def role(self, place: str, kind: bytes, options: Mapping[bytes, bytes]) -> RoleName:
        """As promised by PartRules."""
        del kind
        filename = options.get(b"filename", b"").decode("utf-8", "replace")
        role = filename.removesuffix(".json")
        if not role:
            raise NoFileName(place=place)
        if not _ROLE.fullmatch(role) or len(role) > MAX_ROLE_LENGTH:
            raise UnknownRole(place=role)
        return RoleName(role)

    def size_limit(self, role: RoleName) -> int:
        """As promised by PartRules."""
        return notary_size_limit(role)

    def duplicate_error(self, role: RoleName, filename: str) -> TrustError:
        """As promised by PartRules: the second one is no newer than the first."""
        del filename
        return VersionConflict(role=role, offered=0, stored=0)

    def files_to_publish(self, files: Mapping[RoleName, bytes]) -> Mapping[RoleName, bytes]:
        """As promised by PartRules: the timestamp is the server's own, so what clients send of it is only looked at."""
        if TIMESTAMP in files:
            strict_json.parse(TIMESTAMP, files[TIMESTAMP])
        return {role: raw for role, raw in files.items() if role != TIMESTAMP}
