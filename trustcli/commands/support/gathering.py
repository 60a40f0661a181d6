"""A run that only reports over many collections reads the pins once, and stores rollback memory together.

Both files hold all collections: read and written for each, they would take most of the time where there are thousands.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from trustcli.errors import MemoryUnwritable
from trustcli.session import Session
from trustcli.state.gathered_memory import GatheredMemory


@contextmanager
def gathering(session: Session) -> Iterator[None]:
    """Gather what is verified inside, and store it on leaving, before anything is told.

    Raises: MemoryDamaged, FileNewer, RootNotPinned, SettingsUnusable.
    """
    if not session.keeps:
        yield
        return
    gathered = session.gathered = GatheredMemory(session.memory)
    try:
        with session.pins.held():
            yield
    finally:
        session.gathered = None
        try:
            gathered.store()
        except MemoryUnwritable as error:
            session.output.warn(f"rollback protection is weaker from here on: {error}")
