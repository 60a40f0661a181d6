"""A run that only reports over many collections stores their rollback memory together, before it tells anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from trustcli.errors import MemoryUnwritable
from trustcli.session import Session
from trustcli.state.gathered_memory import GatheredMemory


@contextmanager
def gathering(session: Session) -> Iterator[None]:
    """Gather what is verified inside, and store it on leaving. Raises: MemoryDamaged, FileNewer, RootNotPinned."""
    if not session.keeps:
        yield
        return
    gathered = session.gathered = GatheredMemory(session.memory)
    try:
        yield
    finally:
        session.gathered = None
        try:
            gathered.store()
        except MemoryUnwritable as error:
            session.output.warn(f"rollback protection is weaker from here on: {error}")
