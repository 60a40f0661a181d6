"""What clients remember, brought to the server in a file: `seen.json` of a machine, or a project's `trust.lock`."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from trustdata.envelope import Envelope
from trustdata.errors import TrustError
from trustdata.gun import GUN, parse_gun
from trustdata.roles import RoleName, parse_role
from trustdata.verification.lock_entry import LockEntry
from trustdata.verification.rollback_memory import Memory, OnlineKeys, from_document
from trustdata.verification.trust_pinning import parse_pin
from trustserver.errors import StartRefused

_SEEN: Final = "content-trust-seen-1"
_LOCK: Final = "content-trust-lock-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What one file says of one collection: either of the two."""

    source: str
    gun: GUN
    memory: Memory | None = None
    lock: LockEntry | None = None

    @property
    def root_of_trust(self) -> str:
        """SHA-256 (hex) of root version 1; empty where the file does not say."""
        return self.memory.root_of_trust if self.memory else ""

    @property
    def versions(self) -> Mapping[RoleName, int]:
        """The highest versions that were seen."""
        if self.memory is not None:
            return {role: seen.version for role, seen in self.memory.roles.items()}
        return self.lock.minimum if self.lock else {}

    def floors(self, chain: Sequence[Envelope]) -> Mapping[RoleName, int]:
        """The lowest versions that this client accepts under the last root of the chain."""
        if self.memory is not None:
            return self.memory.floors(OnlineKeys.of(chain[-1].root))
        return self.lock.floors(chain) if self.lock else {}


def read_remembered(path: Path) -> list[Remembered]:
    """Every collection in the file. Raises: StartRefused naming file and place."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise StartRefused(what=str(path), reason=f"cannot be read: {error.strerror}") from error
    try:
        kind, collections = _parsed(raw)
        return [_of(path, parse_gun(name), entry, kind) for name, entry in collections.items()]
    except TrustError as error:
        raise StartRefused(what=str(path), reason=f"is no memory of a client: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"is neither a client's seen.json nor a trust.lock: {type(error).__name__}: {error}"
        raise StartRefused(what=str(path), reason=reason) from error


def _parsed(raw: bytes) -> tuple[str, dict[str, object]]:
    """Format and collections of either file. Raises: ValueError, KeyError, TypeError."""
    text = raw.decode()
    document = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    if document["format"] not in {_SEEN, _LOCK}:
        raise ValueError("its format is not one that this version knows")
    if not isinstance(document["collections"], dict):
        raise TypeError("collections must be a table")
    return str(document["format"]), document["collections"]


def _of(path: Path, gun: GUN, entry: object, kind: str) -> Remembered:
    if kind == _SEEN:
        return Remembered(source=str(path), gun=gun, memory=from_document(entry, place=gun))
    if not isinstance(entry, dict):
        raise TypeError(f"{gun} must be a table")
    minimum = {parse_role(role): _count(version) for role, version in entry["minimum"].items()}
    lock = LockEntry(
        format=str(entry["format"]),
        root_version=_count(entry["root-version"]),
        root=parse_pin(str(entry["root"])),
        minimum=minimum,
    )
    return Remembered(source=str(path), gun=gun, lock=lock)


def _count(value: object) -> int:
    if type(value) is not int or value < 1:
        raise ValueError("versions must be integers of 1 or more")
    return value
