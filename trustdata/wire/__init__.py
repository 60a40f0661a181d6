"""Wire formats: how a role's content stands in a file, and what of it is signed.

Everything in which TUF 1.0 and Notary v1 differ is a fact stated here, not a branch in the rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from trustdata.envelope import Envelope
from trustdata.model import Content, Signature
from trustdata.roles import RoleName


class WireFormat(Protocol):
    """One way of writing trust data. Implementations hold no state."""

    @property
    def name(self) -> str:
        """`tuf-1.0` or `notary-v1`: recorded in pins and in storage."""

    @property
    def pins_versions(self) -> bool:
        """Whether snapshot and timestamp record versions (TUF), or hashes only (Notary v1)."""

    @property
    def snapshot_lists_root(self) -> bool:
        """Whether the snapshot lists root (Notary v1 does)."""

    @property
    def releases_end_the_search(self) -> bool:
        """Whether `targets/releases` must be the first delegation, terminating and for every tag, so that a client that
        walks delegations on demand finds the released digest and no other (TUF; Notary v1 has no such order).
        """

    @property
    def delegations_nest(self) -> bool:
        """Whether delegations may delegate further (Notary v1's hierarchy does; a TUF collection of ours does not)."""

    def parse(self, role: RoleName, raw: bytes) -> Envelope:
        """Read strictly. Raises: MalformedMetadata (role and member path named), TooLarge."""

    def payload(self, content: Content) -> bytes:
        """The bytes that signatures cover."""

    def serialize(self, content: Content, signatures: Mapping[str, Signature]) -> bytes:
        """The file, in canonical JSON."""

    def filename(self, role: RoleName, *, version: int | None = None) -> str:
        """The name under which clients ask for the file: `timestamp.json`, `3.targets%2Freleases.json`."""
