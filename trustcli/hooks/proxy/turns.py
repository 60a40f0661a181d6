"""Let one thread at a time do something for each name: what takes long for one name holds up no other."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager


class _Turn:
    """The lock of one name, and how many threads have it or wait for it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.threads = 0


class Turns:
    """A lock for each name, which is forgotten when nobody has it or waits for it. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[Hashable, _Turn] = {}

    @contextmanager
    def of(self, name: Hashable, *, seconds: float = -1) -> Iterator[bool]:
        """Wait for the turn of this thread, and yield whether it has come. `seconds`: at most; -1: without a bound."""
        with self._lock:
            turn = self._turns.setdefault(name, _Turn())
            turn.threads += 1
        is_ours = False
        try:
            is_ours = turn.lock.acquire(timeout=seconds)
            yield is_ours
        finally:
            if is_ours:
                turn.lock.release()
            with self._lock:
                turn.threads -= 1
                if not turn.threads:
                    del self._turns[name]

    def __len__(self) -> int:
        return len(self._turns)
