"""Read pieces of stored files, for readers whose file is no longer in memory: two at one time, collections in turn."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from trustserver.api.fair_queue import FairQueue
from trustserver.errors import NotThere
from trustserver.responses.ready import StoredBody
from trustserver.storage.ports import MetadataStore

AT_ONE_TIME: Final = 2
"""How many pieces are read at one time, so that other reads have threads, too."""


class StoredPieces:
    """Reads pieces in worker threads, on one event loop."""

    def __init__(self, store: MetadataStore) -> None:
        self._store = store
        self._turns = FairQueue(AT_ONE_TIME, what="pieces of files")

    async def read(self, stored: StoredBody, start: int, length: int) -> bytes:
        """Return a piece of a file; at its end a shorter one.

        Raises: NotThere if the file is not stored any more, as after its collection was deleted; NotStored, Overloaded.
        """
        ask = partial(self._store.piece, stored.gun, stored.role, stored.sha256, start=start, length=length)
        async with self._turns.place(stored.gun):
            piece = await asyncio.get_running_loop().run_in_executor(None, ask)
        if piece is None or len(piece) != min(length, stored.size - start):
            raise NotThere(what=f"file {stored.role} of {stored.gun} with the hash {stored.sha256} any more")
        return piece
