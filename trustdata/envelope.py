"""One metadata file: its original bytes together with its parsed content.

The signed bytes are never made again from the content: `raw` is hashed, stored and served, and `payload` is what the
signatures cover (docs/adr/0002).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from trustdata.errors import MalformedMetadata
from trustdata.model import Content, Root, Signature, Snapshot, Targets, Timestamp
from trustdata.roles import RoleName

_Kind = TypeVar("_Kind", Root, Timestamp, Snapshot, Targets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A parsed metadata file whose signatures have not been verified. Do not change `content`.

    `signatures`: by key id. `sha256`: of `raw`, in lower-case hex.
    """

    role: RoleName
    raw: bytes = field(repr=False)
    payload: bytes = field(repr=False)
    content: Content
    signatures: Mapping[str, Signature]
    sha256: str

    @classmethod
    def of(
        cls, *, role: RoleName, raw: bytes, payload: bytes, content: Content, signatures: Mapping[str, Signature]
    ) -> Envelope:
        """Make an envelope and compute its hash."""
        digest = hashlib.sha256(raw).hexdigest()
        return cls(role=role, raw=raw, payload=payload, content=content, signatures=signatures, sha256=digest)

    @property
    def version(self) -> int:
        return self.content.version

    @property
    def expires(self) -> datetime:
        return self.content.expires

    @property
    def root(self) -> Root:
        """The content as a root. Raises: MalformedMetadata if it is not one."""
        return self._as(Root)

    @property
    def timestamp(self) -> Timestamp:
        return self._as(Timestamp)

    @property
    def snapshot(self) -> Snapshot:
        return self._as(Snapshot)

    @property
    def targets(self) -> Targets:
        return self._as(Targets)

    def _as(self, kind: type[_Kind]) -> _Kind:
        if not isinstance(self.content, kind):
            raise MalformedMetadata(
                role=self.role, path="signed._type", reason=f"is not {kind.__name__.lower()} metadata"
            )
        return self.content
