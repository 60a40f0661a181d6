"""Read the state of a client from a file: the rollback memory `seen.json` of a machine, or a project's `trust.lock`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trustdata.envelope import Envelope
from trustdata.errors import TrustError
from trustdata.gun import GUN, parse_gun
from trustdata.roles import RoleName
from trustdata.verification.lock_document import read_lock
from trustdata.verification.lock_entry import LockEntry
from trustdata.verification.memory_document import read_collections, read_memory
from trustdata.verification.rollback_memory import Memory, OnlineKeys
from trustserver.errors import StartRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientState:
    """What one file says of one collection. Either `memory` or `lock` is set. `source`: the file's path."""

    source: str
    gun: GUN
    memory: Memory | None = None
    lock: LockEntry | None = None

    @property
    def root_of_trust(self) -> str:
        """The SHA-256 (hex) of the collection's first root; empty if the file does not say."""
        return self.memory.root_of_trust if self.memory else ""

    @property
    def versions(self) -> Mapping[RoleName, int]:
        """The version of each role that the file knows of."""
        if self.memory is not None:
            return {role: seen.version for role, seen in self.memory.roles.items()}
        return self.lock.minimum if self.lock else {}

    def minimum_versions(self, chain: Sequence[Envelope]) -> Mapping[RoleName, int]:
        """Return the lowest version of each role that the client accepts, given this chain of roots."""
        if self.memory is not None:
            return self.memory.minimum_versions(OnlineKeys.of_newest(root.root for root in chain))
        return self.lock.minimum_versions(chain) if self.lock else {}


def read_client_state(path: Path) -> list[ClientState]:
    """Read every collection in the file. Raises: StartRefused, which names the file and what is wrong in it."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise StartRefused(what=str(path), reason=f"cannot be read: {error.strerror}") from error
    is_memory = raw.lstrip().startswith(b"{")
    try:
        return list(_memories(raw, path=str(path)) if is_memory else _locks(raw, path=str(path)))
    except TrustError as error:
        kind = "a client's seen.json" if is_memory else "a trust.lock"
        raise StartRefused(what=str(path), reason=f"was read as {kind}: {error}") from error


def _memories(raw: bytes, *, path: str) -> Iterator[ClientState]:
    for name, entry in read_collections(raw, path=path).items():
        yield ClientState(source=path, gun=parse_gun(name), memory=read_memory(entry, path=path))


def _locks(raw: bytes, *, path: str) -> Iterator[ClientState]:
    for gun, entry in read_lock(raw, path=path).items():
        yield ClientState(source=path, gun=gun, lock=entry)
