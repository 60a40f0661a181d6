"""The vocabulary: python-tuf's classes, under one roof, so that the rest of the code names one place.

Notary v1's documents are the same things with four differences, which stand here as subclasses: an expiry is written to
the nanosecond, a snapshot's entry has no version, and the paths of a delegation are prefixes.
"""

from __future__ import annotations

from typing import TypeAlias

from securesystemslib.signer import Key, Signature, Signer
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    MetaFile,
    Role,
    Root,
    Snapshot,
    SuccinctRoles,
    TargetFile,
    Targets,
    Timestamp,
)

Content: TypeAlias = Root | Timestamp | Snapshot | Targets
Delegator: TypeAlias = Root | Targets


class PrefixRole(DelegatedRole):
    """A delegated role whose paths are prefixes (Notary v1): `""` holds everything, no path holds nothing."""

    def is_delegated_path(self, target_filepath: str) -> bool:
        """Whether the role may list the target."""
        return any(target_filepath.startswith(prefix) for prefix in self.paths or ())


class UnversionedMeta(MetaFile):
    """What Notary v1's snapshot and timestamp say of a file: length and hashes. `version` is 0, which no file has."""

    def __init__(self, *, length: int, hashes: dict[str, str]) -> None:
        super().__init__(1, length, hashes)
        self.version = 0


class _Written:
    """`written`: the expiry as it stands in the file, whose fraction of a second a datetime of python-tuf's drops."""

    written: str = ""


class NotaryRoot(_Written, Root):
    """A Notary v1 root."""


class NotaryTimestamp(_Written, Timestamp):
    """A Notary v1 timestamp."""


class NotarySnapshot(_Written, Snapshot):
    """A Notary v1 snapshot."""


class NotaryTargets(_Written, Targets):
    """Notary v1's targets, and its delegations."""


NotaryContent: TypeAlias = NotaryRoot | NotaryTimestamp | NotarySnapshot | NotaryTargets

__all__ = [
    "Content",
    "DelegatedRole",
    "Delegations",
    "Delegator",
    "Key",
    "MetaFile",
    "NotaryContent",
    "NotaryRoot",
    "NotarySnapshot",
    "NotaryTargets",
    "NotaryTimestamp",
    "PrefixRole",
    "Role",
    "Root",
    "Signature",
    "Signer",
    "Snapshot",
    "SuccinctRoles",
    "TargetFile",
    "Targets",
    "Timestamp",
    "UnversionedMeta",
]
