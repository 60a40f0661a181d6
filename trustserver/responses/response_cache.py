"""Keep ready responses by URL path in memory; when their bytes exceed the limit, drop the least recently read.

A response is made when something is published or first read, so that a read is one dictionary lookup.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final

from trustdata.gun import GUN
from trustserver.responses.ready import ReadyResponse

VIEW_BYTES: Final = 64 * 1024 * 1024
_STRIPES: Final = 1024


class ResponseCache:
    """Responses by raw path. Reading needs no lock; changes take one and may come from any thread.

    A reader that fetches an answer from the store takes a ticket before and hands it in with the answer: if the
    collection was published in between, the answer is not kept, for it may be old.
    """

    def __init__(self, *, limit: int = VIEW_BYTES) -> None:
        self._limit = limit
        self._lock = Lock()
        self._answers: OrderedDict[bytes, tuple[GUN, ReadyResponse]] = OrderedDict()
        self._paths: dict[GUN, set[bytes]] = {}
        self._generations = [0] * _STRIPES
        self._stripes = [Lock() for _ in range(_STRIPES)]
        self._bytes = 0

    @property
    def weight(self) -> int:
        """The bytes that the kept responses take."""
        return self._bytes

    def get(self, path: bytes) -> ReadyResponse | None:
        """Return the response under this path, due for renewal or not; None if there is none."""
        found = self._answers.get(path)
        if found is None:
            return None
        try:
            self._answers.move_to_end(path)
        except KeyError:  # dropped by another thread since
            return None
        return found[1]

    def gun(self, path: bytes) -> GUN | None:
        """Return the collection whose response is kept under this path."""
        found = self._answers.get(path)
        return None if found is None else found[0]

    def ticket(self, gun: GUN) -> int:
        """Return the collection's generation: take it before you read the store, and give it to `offer`."""
        return self._generations[hash(gun) % _STRIPES]

    def offer(self, gun: GUN, path: bytes, answer: ReadyResponse, *, ticket: int) -> None:
        """Keep a response that was read from the store after `ticket` was taken, unless the collection changed."""
        with self._lock:
            if self._generations[hash(gun) % _STRIPES] == ticket:
                self._put(gun, path, answer)

    def exchange(self, path: bytes, old: ReadyResponse, new: ReadyResponse) -> bool:
        """Replace `old` by `new`, which says the same. False: `old` is kept no more, or `new` is too large."""
        with self._lock:
            found = self._answers.get(path)
            if found is None or found[1] is not old or new.size > self._limit:
                return False
            self._put(found[0], path, new)
            return True

    @contextmanager
    def changing(self, gun: GUN) -> Iterator[None]:
        """Hold this from before a commit until the cache shows it: so changes show in the order of their commits."""
        with self._stripes[hash(gun) % _STRIPES]:
            yield

    def published(self, gun: GUN, answers: Iterable[tuple[bytes, ReadyResponse]]) -> None:
        """Replace what is kept under these paths."""
        with self._lock:
            self._generations[hash(gun) % _STRIPES] += 1
            for path, answer in answers:
                self._put(gun, path, answer)

    def drop(self, gun: GUN) -> None:
        """Drop every response of a collection."""
        with self._lock:
            self._generations[hash(gun) % _STRIPES] += 1
            for path in list(self._paths.get(gun, ())):
                self._remove(path)

    def _put(self, gun: GUN, path: bytes, answer: ReadyResponse) -> None:
        if answer.size > self._limit:
            self._remove(path)
            return
        self._remove(path)
        self._answers[path] = (gun, answer)
        self._paths.setdefault(gun, set()).add(path)
        self._bytes += answer.size
        while self._bytes > self._limit:
            self._remove(next(iter(self._answers)))

    def _remove(self, path: bytes) -> None:
        found = self._answers.pop(path, None)
        if found is None:
            return
        gun, answer = found
        self._bytes -= answer.size
        paths = self._paths[gun]
        paths.discard(path)
        if not paths:
            del self._paths[gun]
