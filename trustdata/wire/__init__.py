"""Wire formats: how a role's content stands in a file, and what of it is signed.

Everything in which TUF 1.0 and Notary v1 differ is a fact stated here, not a branch in the rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from keys.algorithms import PrivateKey
from trustdata.envelope import Envelope
from trustdata.expiry import Lifetimes
from trustdata.model import Content, Key, MetaFile, Signature, Signer
from trustdata.roles import RoleName


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRules:
    """What a publisher may send, where the formats differ.

    `any_higher_version`: an offline role may skip versions (root may not); else it is exactly the next one.
    `may_be_empty`: an upload without files asks for a new snapshot and timestamp.
    `may_bring_snapshot`: the owner may hold the snapshot's key.
    `may_break_roles`: a stored role may fail to verify afterwards, and a delegation may have too few keys.
    `tags_only`: targets are OCI tags, confined to the paths delegated to their role, released by one role alone.
    """

    any_higher_version: bool
    may_be_empty: bool
    may_bring_snapshot: bool
    may_break_roles: bool
    tags_only: bool


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

    @property
    def certifies_root_keys(self) -> bool:
        """Whether root keys stand in certificates for the collection's name, and stay listed when they are replaced."""

    @property
    def every_target(self) -> str:
        """The path of a delegation that holds every target."""

    @property
    def lifetimes(self) -> Lifetimes:
        """How long what is signed stays valid."""

    @property
    def upload_rules(self) -> UploadRules:
        """What a publisher may send."""

    def encode_key(self, key: Key) -> Key:
        """A public key as this format writes it, under the id that it has there. Raises: KeyNotAccepted."""

    def signer(self, private: PrivateKey, key: Key | None = None) -> Signer:
        """Something that signs as this format wants it; `key`: the public part as a document writes it already.

        Raises: KeyNotAccepted.
        """

    def size_limit(self, role: RoleName) -> int:
        """The most bytes that a file of this role may have."""

    def meta(self, envelope: Envelope) -> MetaFile:
        """What snapshot or timestamp say of a file."""

    def parse(self, role: RoleName, raw: bytes) -> Envelope:
        """Read strictly. Raises: MalformedMetadata (role and member path named), TooLarge."""

    def payload(self, content: Content) -> bytes:
        """The bytes that signatures cover."""

    def serialize(self, content: Content, signatures: Mapping[str, Signature]) -> bytes:
        """The file, in canonical JSON."""

    def filename(self, role: RoleName, *, version: int | None = None) -> str:
        """The name under which clients ask for the file: `timestamp.json`, `3.targets%2Freleases.json`."""

    def listed_filename(self, role: RoleName, meta: MetaFile, *, consistent: bool) -> str:
        """The name of a file that a snapshot or timestamp lists. `consistent`: what the root says of its snapshots."""
