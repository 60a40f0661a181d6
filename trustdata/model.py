"""The vocabulary: python-tuf's classes, under one roof, so that the rest of the code names one place."""

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

__all__ = [
    "Content",
    "DelegatedRole",
    "Delegations",
    "Delegator",
    "Key",
    "MetaFile",
    "Role",
    "Root",
    "Signature",
    "Signer",
    "Snapshot",
    "SuccinctRoles",
    "TargetFile",
    "Targets",
    "Timestamp",
]
