"""Remember what an agent has verified: without it, whoever keeps the agent from answering could show older trust data.

An agent's clients hardly ever verify anything, and so have no rollback memory of their own. What comes with each answer
is merged into it when it has changed; that it has not is seen by comparing bytes, without importing what verifies.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from keys.light_sha256 import sha256_hex
from trustcli.guarded_files import read_guarded
from trustcli.hooks.agent.own_memory import lacks, own_entries

_FOLDER: Final = "told-by-agent"
_MAX_MARK: Final = 4096


class AgentMemory:
    """Merges what an agent remembers into the rollback memory in a folder (`seen.json`)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "seen.json"

    def __call__(self, told: Mapping[str, object]) -> None:
        """Store the agent's memory, by name of collection. Durable on return.

        A collection that this machine knows by another first root keeps its own memory. Raises: MemoryUnwritable,
        MemoryDamaged, FileNewer, FileExposed, InvalidName.
        """
        seen = own_entries(self._folder) or {}
        for name, document in told.items():
            raw = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
            mark = self._folder / _FOLDER / sha256_hex(name.encode())
            # Whatever the mark says: the memory may have been removed since, or be that of a backup.
            if _digest(raw) != _content(mark) or lacks(seen.get(name), document):
                self._merge(name, document)
                _write(mark, _digest(raw))

    def _merge(self, name: str, document: object) -> None:
        from trustcli.state.memory import MemoryFile
        from trustdata.errors import RootNotPinned
        from trustdata.gun import parse_gun
        from trustdata.verification.memory_document import read_memory

        memory = read_memory(document, path="the agent's memory")
        with suppress(RootNotPinned):
            MemoryFile(self._file).remember(parse_gun(name), memory)


def _digest(raw: bytes) -> bytes:
    return sha256_hex(raw).encode()


def _content(mark: Path) -> bytes:
    """Return what stands in a file; nothing if it cannot be read. Raises: FileExposed."""
    try:
        return read_guarded(mark, limit=_MAX_MARK)
    except OSError:
        return b""


def _write(mark: Path, content: bytes) -> None:
    """Write a mark, if that is possible: without it the memory is merged again the next time."""
    from keys.durable_file import make_private_folder, write_atomically

    with suppress(OSError):
        make_private_folder(mark.parent)
        write_atomically(mark, content)
