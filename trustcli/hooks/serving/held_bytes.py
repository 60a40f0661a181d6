"""Bound the bytes that clients keep in memory by being slow: in all, and so that each network of clients pays itself.

Large answers are held until their client has taken them, large requests until they were read. Small ones are not
counted here: connections are few enough for them, and nobody who is slow holds those up.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

UNCOUNTED: Final = 64 * 1024
"""Bytes of one answer up to which it is not counted."""


class _Answer:
    """An answer that is being sent. `end`: ends its connection."""

    def __init__(self, group: str, size: int, since: float, end: Callable[[], None]) -> None:
        self.group = group
        self.size = size
        self.since = since
        self.end = end


class HeldAnswers:
    """Room for large answers of all clients. Where it does not suffice, whoever has it for longest loses it.

    First of the network of addresses that has the most: a slow one of many, not somebody who pulls beside them.
    `most`: bytes. `patience`: seconds for which nobody loses it. Safe for threads.
    """

    def __init__(self, most: int, *, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._patience = patience
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[_Answer, None] = {}
        self._of: Counter[str] = Counter()

    @contextmanager
    def room(self, size: int, *, group: str, end: Callable[[], None]) -> Iterator[bool]:
        """Hold room in a block; yield whether there was any. `end`: is called where it is lost, by another thread."""
        if size <= UNCOUNTED:
            yield True
            return
        answer = _Answer(group, size, self._clock(), end)
        has_room, ended = self._take(answer)
        for each in ended:
            each.end()
        try:
            yield has_room
        finally:
            with self._lock:
                self._give_up(answer)

    def _take(self, new: _Answer) -> tuple[bool, list[_Answer]]:
        """Return whether there is room, and which answers lose theirs for it."""
        ended: list[_Answer] = []
        latest = self._clock() - self._patience
        with self._lock:
            while self._of.total() + new.size > self._most:
                most = max(self._of[new.group] + new.size, *self._of.values())
                late = [each for each in self._held if each.since <= latest and self._has(each, new) >= most]
                if not late:
                    return False, ended
                ended.append(late[0])
                self._give_up(late[0])
            self._held[new] = None
            self._of[new.group] += new.size
        return True, ended

    def _has(self, held: _Answer, new: _Answer) -> int:
        """Return how much the network of an answer has, with the new one if that is of it, too."""
        return self._of[held.group] + (new.size if held.group == new.group else 0)

    def _give_up(self, answer: _Answer) -> None:
        if answer in self._held:
            del self._held[answer]
            self._of[answer.group] -= answer.size
            if not self._of[answer.group]:
                del self._of[answer.group]


class NoRoom(Exception):
    """There was no room for what a client sends within its time."""


class HeldRequests:
    """Room for large requests, taken as their bytes come: who sends slowly holds little.

    `most`: bytes in all; `of_one`: of one network of addresses. Safe for threads.
    """

    def __init__(self, most: int, *, of_one: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._of_one = of_one
        self._clock = clock
        self._changed = threading.Condition()
        self._of: Counter[str] = Counter()

    @contextmanager
    def taking(self, group: str, *, free: int, deadline: float) -> Iterator[Callable[[int], None]]:
        """Yield what is to be called with the bytes of each piece; it raises NoRoom. The room is held to the end.

        `free`: bytes that are not counted. `deadline`: until when there is waited for room, by the clock.
        """
        come, held = 0, 0

        def take(count: int) -> None:
            nonlocal come, held
            come += count
            wanted = come - held if come > free else 0
            with self._changed:
                while wanted and (self._of.total() + wanted > self._most or self._of[group] + wanted > self._of_one):
                    if not self._changed.wait(max(0.0, deadline - self._clock())) and self._clock() >= deadline:
                        raise NoRoom
                self._of[group] += wanted
                held += wanted

        try:
            yield take
        finally:
            with self._changed:
                self._of[group] -= held
                if not self._of[group]:
                    del self._of[group]
                self._changed.notify_all()
