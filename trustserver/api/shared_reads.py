"""Read a file from the store once for all who ask for it: while it is read, and while anybody is still sent it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from weakref import WeakValueDictionary

from trustdata.gun import GUN
from trustserver.responses.ready import ReadyResponse
from trustserver.responses.response_cache import ResponseCache


class SharedReads:
    """Reads of the store, on one event loop. `cache`: says whether a collection was published in between."""

    def __init__(self, cache: ResponseCache) -> None:
        self._cache = cache
        self._reading: dict[tuple[bytes, int], asyncio.Future[ReadyResponse]] = {}
        self._read: WeakValueDictionary[tuple[bytes, int], ReadyResponse] = WeakValueDictionary()

    async def read(self, gun: GUN, path: bytes, load: Callable[[], ReadyResponse]) -> ReadyResponse:
        """Return the response under this path of the cache. `load` reads it from the store, in a worker thread.

        Raises what `load` raises.
        """
        key = (path, self._cache.ticket(gun))
        found = self._read.get(key)
        if found is not None:
            return found
        reading = self._reading.get(key)
        if reading is None:
            # As asyncio.to_thread does, without a task around it and without a copy of the context.
            reading = asyncio.get_running_loop().run_in_executor(None, load)
            self._reading[key] = reading
            reading.add_done_callback(lambda done: self._done(key, done))
        return await asyncio.shield(reading)

    def _done(self, key: tuple[bytes, int], reading: asyncio.Future[ReadyResponse]) -> None:
        del self._reading[key]
        if not reading.cancelled() and reading.exception() is None:
            self._read[key] = reading.result()
