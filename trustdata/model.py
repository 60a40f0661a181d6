"""The metadata classes: those of python-tuf, and the few subclasses that Notary v1 needs.

All other code imports them from here. Documents of Notary v1 differ in three points, for which there are subclasses: an
expiry has fractions of a second, an entry of a snapshot has no version, and the paths of a delegation are prefixes.
"""

from __future__ import annotations

from typing import Any, TypeAlias

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
    """A delegated role whose paths are prefixes (Notary v1). The path `""` matches every target."""

    def is_delegated_path(self, target_filepath: str) -> bool:
        """Return whether the role may list the target. A role without paths may list none."""
        return any(target_filepath.startswith(prefix) for prefix in self.paths or ())


class UnversionedMeta(MetaFile):
    """The entry of a file in a snapshot or timestamp of Notary v1: length and hashes. `version` is always 0."""

    def __init__(self, *, length: int, hashes: dict[str, str]) -> None:
        super().__init__(1, length, hashes)
        self.version = 0


class UnusableTarget(TargetFile):
    """A target of Notary v1 that no image can be: a Go client has signed it, and it can only be listed by name.

    `length` and `hashes` stay as they were signed, so that its owners can sign the role again. `reason`: what is wrong.
    """

    def __init__(self, path: str, *, length: int, hashes: dict[str, str], foreign: dict[str, Any], reason: str) -> None:
        self.length = length
        self.hashes = hashes
        self.path = path
        self.unrecognized_fields = foreign
        self.reason = reason


class _Written:
    """Base class of the Notary v1 documents. `written`: the expiry as text, because `expires` drops its fractions."""

    written: str = ""


class NotaryRoot(_Written, Root):
    """A Notary v1 root."""


class NotaryTimestamp(_Written, Timestamp):
    """A Notary v1 timestamp."""


class NotarySnapshot(_Written, Snapshot):
    """A Notary v1 snapshot."""


class NotaryTargets(_Written, Targets):
    """A Notary v1 targets file, of `targets` or of a delegation."""


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
    "UnusableTarget",
    "UnversionedMeta",
]
