"""Rollback memory on disk: `seen.json`, the versions that this machine has verified of every collection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from keys.record import replace
from trustcli.state.guarded_file import GuardedFile
from trustdata.errors import MemoryUnreadable, RootNotPinned
from trustdata.gun import GUN
from trustdata.verification.memory_document import read_collections, read_memory, write_collections
from trustdata.verification.rollback_memory import Memory, merge, to_document


class MemoryFile:
    """Rollback memory of all collections. Two processes that write at the same time both keep their changes."""

    def __init__(self, path: Path) -> None:
        self._file = GuardedFile(path)
        self._parsed: tuple[bytes, Mapping[str, object]] | None = None

    def load(self, gun: GUN) -> Memory | None:
        """Return the memory of the collection, or None if this machine has never verified it.

        Raises: FileNewer; MemoryDamaged, which names the file, also if the file cannot be read: treating it as empty
        would give up rollback protection.
        """
        document = self._collections().get(gun)
        return None if document is None else self._read(document)

    def names(self) -> list[GUN]:
        """Return the names of all remembered collections, sorted. Raises: FileNewer, MemoryDamaged."""
        return sorted(GUN(name) for name in self._collections())

    def remember(self, gun: GUN, memory: Memory) -> None:
        """Merge newly verified versions into the stored memory. Durable on return.

        Raises: RootNotPinned (another root of trust is stored; call `forget` first), MemoryUnwritable, MemoryDamaged,
        FileNewer.
        """
        self.remember_all({gun: memory})

    def remember_all(self, memories: Mapping[GUN, Memory]) -> None:
        """Do the same for several collections, in one write. Raises: as `remember`; then nothing is stored."""

        def with_them() -> bytes | None:
            collections = self._collections()
            changed: dict[str, object] = {}
            for gun, memory in memories.items():
                known = collections.get(gun)
                before = None if known is None else self._read(known)
                new = merged(gun, before, memory)
                if new != before:
                    changed[gun] = to_document(new)
            if not changed:
                return None
            after = {**collections, **changed}
            self._parsed = write_collections(after), after
            return self._parsed[0]

        self._file.change(with_them)

    def snapshot(self) -> Callable[[GUN], Memory | None]:
        """Return what is stored now, to be asked for many names. Raises: FileNewer, MemoryDamaged."""
        collections = self._collections()

        def of(gun: GUN) -> Memory | None:
            document = collections.get(gun)
            return None if document is None else self._read(document)

        return of

    def forget(self, gun: GUN) -> None:
        """Delete the memory of the collection, for `trust pin --replace`.

        Raises: MemoryUnwritable, MemoryDamaged, FileNewer.
        """

        def without() -> bytes | None:
            collections = self._collections()
            if gun not in collections:
                return None
            return write_collections({name: memory for name, memory in collections.items() if name != gun})

        self._file.change(without)

    def _collections(self) -> Mapping[str, object]:
        """Return what the file holds. It is read each time, and parsed if it differs from what was read or written."""
        try:
            raw = self._file.read()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise MemoryUnreadable(path=str(self._file.path), reason=reason) from error
        if raw is None:
            return {}
        parsed = self._parsed
        if parsed is None or parsed[0] != raw:
            parsed = self._parsed = raw, read_collections(raw, path=str(self._file.path))
        return parsed[1]

    def _read(self, document: object) -> Memory:
        return read_memory(document, path=str(self._file.path))


def merged(gun: GUN, before: Memory | None, memory: Memory) -> Memory:
    """Return what is remembered with what is newly verified. Raises: RootNotPinned (it has another root of trust)."""
    if before is None:
        return memory
    if before.root_of_trust != memory.root_of_trust:
        raise RootNotPinned(
            gun=gun,
            pin=f"sha256:{before.root_of_trust}",
            pin_source="rollback memory",
            found=f"sha256:{memory.root_of_trust}",
        )
    # The time of the last refresh, not the later of the two times: if the clock was once ahead, --offline would refuse
    # until real time has caught up.
    return replace(merge(before, memory), refreshed=memory.refreshed or before.refreshed)
