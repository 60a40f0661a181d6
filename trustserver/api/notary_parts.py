"""The rules for the parts of a Notary v1 upload: the file name is the role, with or without `.json`.

The field name does not matter. An upload may have no parts at all: a client that has nothing to sign sends an empty one
to get a new snapshot and timestamp.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from trustdata.errors import TrustError, VersionConflict
from trustdata.limits import MAX_NOTARY_UPLOAD, notary_limits, notary_size_limit
from trustdata.roles import MAX_ROLE_LENGTH, TIMESTAMP, RoleName
from trustdata.wire import strict_json
from trustserver.errors import NoFileName, UnknownRole

_ROLE: Final = re.compile(r"root|snapshot|timestamp|(?!.*/_trust/tuf/)targets(?:/[-a-z0-9_]+)*")
"""No delegation may have `/_trust/tuf/` in its name: its path would be that of a file of another collection, whose
readers would then get this one."""
_FORM_OVERHEAD: Final = 1024 * 1024
"""Bytes that an upload may have in addition to its files: the multipart format itself."""


class NotaryParts:
    """The PartRules for Notary v1."""

    max_upload: Final = MAX_NOTARY_UPLOAD + _FORM_OVERHEAD
    may_be_empty: Final = True

    def role(self, place: str, kind: bytes, options: Mapping[bytes, bytes]) -> RoleName:
        """Return the role that a part is for. Raises: NoFileName, UnknownRole."""
        del kind
        filename = options.get(b"filename", b"").decode("utf-8", "replace")
        role = filename.removesuffix(".json")
        if not role:
            raise NoFileName(place=place)
        if not _ROLE.fullmatch(role) or len(role) > MAX_ROLE_LENGTH:
            raise UnknownRole(place=role)
        return RoleName(role)

    def size_limit(self, role: RoleName) -> int:
        """Return the highest number of bytes that the part for this role may have."""
        return notary_size_limit(role)

    def duplicate_error(self, role: RoleName, filename: str) -> TrustError:
        """Return the error for a second part for the same role: a version conflict, since it is not a newer version."""
        del filename
        return VersionConflict(role=role, offered=0, stored=0)

    def files_to_publish(self, files: Mapping[RoleName, bytes]) -> Mapping[RoleName, bytes]:
        """Return the files that are to be published: all but the timestamp, which the server signs itself.

        A timestamp in the upload must still be well-formed. Raises: MalformedMetadata, TooLarge.
        """
        if TIMESTAMP in files:
            strict_json.parse(TIMESTAMP, files[TIMESTAMP], values=notary_limits(TIMESTAMP).values)
        return {role: raw for role, raw in files.items() if role != TIMESTAMP}
