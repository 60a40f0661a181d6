"""Parse the upload of POST /api/v1/collections/GUN/take-over, which imports a collection from another Notary server.

It has one part `files` for each file. The file names are `1.root`, `2.root` and so on for the whole root chain; for the
other roles their names, percent-encoded; and `key.timestamp` and `key.snapshot` for the old server's private keys
(PKCS#8, PEM), if the operator has them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from keys.errors import KeysError
from keys.pem import MAX_KEY_FILE
from keys.private_blocks import read_private_pem
from trustdata.limits import MAX_NOTARY_UPLOAD, notary_size_limit
from trustdata.roles import ONLINE, ROOT, RoleName
from trustserver.api.upload import TufParts
from trustserver.errors import BadRequest
from trustserver.repository.collection_import import ImportedCollection

_ROOTS: Final = re.compile(r"([1-9][0-9]{0,8})\.root")
_KEYS: Final = {f"key.{role}": role for role in ONLINE}
# The same rule for delegations as in notary_parts.py.
_ROLE: Final = re.compile(r"timestamp|snapshot|(?!.*/_trust/tuf/)targets(?:/[-a-z0-9_]+)*")
_FORM_OVERHEAD: Final = 1024 * 1024  # bytes


class TakeOverParts(TufParts):
    """The PartRules for the import of a collection."""

    @property
    def max_upload(self) -> int:
        """The highest number of bytes that the upload may have."""
        return MAX_NOTARY_UPLOAD + _FORM_OVERHEAD

    def role(self, place: str, kind: bytes, options: Mapping[bytes, bytes]) -> RoleName:
        """Return the name of a part: a role, a root version, or a private key. Raises: BadRequest, InvalidName."""
        name = super().role(place, kind, options)
        if name not in _KEYS and not _ROOTS.fullmatch(name) and not _ROLE.fullmatch(name):
            raise BadRequest(place=place, reason="is no root of the chain, no role and no key of snapshot or timestamp")
        return name

    def size_limit(self, role: RoleName) -> int:
        """Return the highest number of bytes that the part with this name may have."""
        if role in _KEYS:
            return MAX_KEY_FILE
        return notary_size_limit(ROOT if _ROOTS.fullmatch(role) else role)


def sort_parts(parts: Mapping[RoleName, bytes]) -> ImportedCollection:
    """Sort the parts of an upload into roots, other files and keys.

    Raises: BadRequest (a version of root is missing, or a private key cannot be read).
    """
    roots = {int(found[1]): raw for name, raw in parts.items() if (found := _ROOTS.fullmatch(name))}
    first = min(roots, default=1)  # Notary lets a collection begin with a later root than version 1
    for version in range(first, first + len(roots)):
        if version not in roots:
            raise BadRequest(place=f"part {version}.root", reason="is missing: the chain has a gap")
    keys = {}
    for name, role in _KEYS.items():
        raw = parts.get(RoleName(name))
        if raw is not None:
            try:
                keys[role] = read_private_pem(raw, None, place=f"part {name}")
            except KeysError as error:
                raise BadRequest(place=f"part {name}", reason="is no private key in PKCS#8, unencrypted") from error
    files = {name: raw for name, raw in parts.items() if _ROLE.fullmatch(name)}
    return ImportedCollection(roots=[roots[version] for version in sorted(roots)], files=files, keys=keys)
