"""Wire formats: how the content of a role is written to a file, and which bytes of it are signed.

All differences between TUF 1.0 and Notary v1 are stated here as values, so that the rules have no branches by format
(docs/adr/0023).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from keys.record import record

if TYPE_CHECKING:  # names of formats and the strict parser are used where nothing is verified: start-up time
    from keys.algorithms import PrivateKey
    from trustdata.envelope import Envelope
    from trustdata.lifetimes import Lifetimes, MaxLife
    from trustdata.model import Content, Key, MetaFile, Signature, Signer
    from trustdata.roles import RoleName
    from trustdata.wire.plain_targets import PlainPart


@record
class UploadRules:
    """What a publisher may send, where the formats differ.

    `may_skip_versions`: an offline role other than root may skip versions; otherwise only the next version is allowed.
    `may_be_empty`: an upload without files is allowed, and asks for a new snapshot and timestamp.
    `may_include_snapshot`: the owner may hold the snapshot key and upload the snapshot.
    `may_name_weak_keys`: a role may name keys that are known to be too weak to count (`keys.algorithms.KEY_KINDS`).
    `may_break_roles`: a stored role may become invalid, and a delegation may have too few keys.
    `tags_only`: targets must be OCI tags in the paths delegated to their role, and only one role may release each.
    """

    may_skip_versions: bool
    may_be_empty: bool
    may_include_snapshot: bool
    may_name_weak_keys: bool
    may_break_roles: bool
    tags_only: bool


class WireFormat(Protocol):
    """A format of the metadata files. Implementations have no state."""

    @property
    def name(self) -> str:
        """The name of the format in pins and in storage: `tuf-1.0` or `notary-v1`."""

    @property
    def lists_versions(self) -> bool:
        """Whether snapshot and timestamp list versions (TUF) or only hashes (Notary v1)."""

    @property
    def snapshot_lists_root(self) -> bool:
        """Whether the snapshot lists root (only in Notary v1)."""

    @property
    def first_root_may_be_later(self) -> bool:
        """Whether a collection may begin with a root of a later version than 1 (only in Notary v1, docs/adr/0064).

        Files can then also be requested by their SHA-256, old roots among them.
        """

    @property
    def releases_are_terminating(self) -> bool:
        """Whether `targets/releases` must be the first delegation, terminating, and for every tag (only in TUF).

        Then a client that searches the delegations in order finds the released digest and no other.
        """

    @property
    def delegations_nest(self) -> bool:
        """Whether delegations may delegate further (in Notary v1; not in our TUF collections)."""

    @property
    def certifies_root_keys(self) -> bool:
        """Whether root keys have certificates for the name of the collection (Notary v1).

        The root then still lists the certificates of replaced keys.
        """

    @property
    def every_target(self) -> str:
        """The path of a delegation that matches every target."""

    @property
    def keeps_members(self) -> bool:
        """Whether every program that signs a file again keeps the members that it does not know.

        Go's programs drop them (Notary v1), so what must last cannot stand in one.
        """

    @property
    def lifetimes(self) -> Lifetimes:
        """The usual lifetimes of signed files."""

    @property
    def max_life(self) -> MaxLife:
        """How long after now clients let snapshot and timestamp expire: longer than any honest server makes them."""

    @property
    def upload_rules(self) -> UploadRules:
        """What a publisher may send."""

    def encode_key(self, key: Key) -> Key:
        """Return a public key in the encoding, and with the key id, of this format. Raises: KeyNotAccepted."""

    def signer(self, private: PrivateKey, key: Key | None = None) -> Signer:
        """Return a signer whose signatures have the form of this format.

        `key`: the public key as a document of the format has it; by default it is encoded by the rules of the format.

        Raises: KeyNotAccepted.
        """

    def size_limit(self, role: RoleName) -> int:
        """Return the maximum size of a file of this role, in bytes."""

    def meta(self, envelope: Envelope) -> MetaFile:
        """Return the entry of a file in a snapshot or timestamp."""

    def parse(self, role: RoleName, raw: bytes, *, plain: PlainPart | None = None) -> Envelope:
        """Parse a file strictly.

        `plain`: the first plain targets in its text, if they are known already; then only the rest is parsed.
        Raises: MalformedMetadata, which names role and member; TooLarge; NotPlain if the rest does not bear it out.
        """

    def payload(self, content: Content) -> bytes:
        """Return the bytes of a content that signatures cover."""

    def serialize(self, content: Content, signatures: Mapping[str, Signature]) -> bytes:
        """Return the file, in canonical JSON."""

    def filename(self, role: RoleName, *, version: int | None = None) -> str:
        """Return the name by which clients request a file, such as `timestamp.json` or `3.targets%2Freleases.json`."""

    def listed_filename(self, role: RoleName, meta: MetaFile, *, consistent: bool) -> str:
        """Return the name by which clients request a file that a snapshot or timestamp lists.

        `consistent`: the member `consistent_snapshot` of the root.
        """
