"""Threads that ask trust servers for those who wait, with a share for each server and a bound on how much waits."""

from __future__ import annotations

import logging
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Final

from trustcli.errors import VerifierBusy

_log = logging.getLogger(__name__)

Job = Callable[[], object]
_NONE: Final = object()


class Workers:
    """Up to `threads` threads, each begun when it is needed. `waiting`: how many jobs may wait for one of them.

    Jobs of one share, such as a trust server, get at most `per_share` threads and half of the places to wait: a server
    that does not answer delays its own collections and no others. Shares take turns. The threads keep no process from
    ending: one may hang in a request.
    """

    def __init__(self, threads: int, name: str, *, waiting: int, per_share: int) -> None:
        self._threads = threads
        self._name = name
        self._most_waiting = waiting
        self._per_share = per_share
        self._changed = threading.Condition()
        self._jobs: OrderedDict[Hashable, deque[Job]] = OrderedDict()
        self._running: Counter[Hashable] = Counter()
        self._begun = 0
        self._idle = 0
        self._stopped = False

    @property
    def waiting(self) -> int:
        """How many jobs wait for a thread."""
        return sum(map(len, list(self._jobs.values())))

    def submit(self, job: Job, *, share: Hashable = None) -> None:
        """Let a thread do a job soon.

        Raises: VerifierBusy if too much waits, if the threads were stopped, or if the system gives us none.
        """
        with self._changed:
            if self._stopped:
                raise VerifierBusy(waiting=0)
            in_all, of_share = self.waiting, len(self._jobs.get(share, ()))
            if in_all >= self._most_waiting or of_share >= max(self._most_waiting // 2, 1):
                raise VerifierBusy(waiting=of_share if in_all < self._most_waiting else in_all)
            if self._idle:
                self._changed.notify()
            elif self._begun < self._threads and not self._begin_thread() and not self._begun:
                raise VerifierBusy(waiting=of_share + 1)
            self._jobs.setdefault(share, deque()).append(job)

    def _begin_thread(self) -> bool:
        """Begin one more thread, and return whether the system lets us: if it does not now, it may later."""
        thread = threading.Thread(target=self._work, name=f"{self._name}-{self._begun + 1}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            _log.warning("the system has no room for another thread; %d do what %d could", self._begun, self._threads)
            return False
        self._begun += 1
        return True

    def stop(self) -> None:
        """Begin no further job; those that were begun go on."""
        with self._changed:
            self._stopped = True
            self._jobs.clear()
            self._changed.notify_all()

    def _work(self) -> None:
        while (taken := self._next()) is not None:
            share, job = taken
            try:
                job()
            except Exception:  # noqa: BLE001 - the thread must outlive every fault
                _log.exception("a refresh failed")
            finally:
                self._ended(share)

    def _next(self) -> tuple[Hashable, Job] | None:
        """Wait for a job whose share has a thread left, and take it; None at the end."""
        with self._changed:
            while not self._stopped:
                share = next((share for share in self._jobs if self._running[share] < self._per_share), _NONE)
                if share is not _NONE:
                    return share, self._take(share)
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
            return None

    def _take(self, share: Hashable) -> Job:
        jobs = self._jobs[share]
        job = jobs.popleft()
        if jobs:
            self._jobs.move_to_end(share)
        else:
            del self._jobs[share]
        self._running[share] += 1
        return job

    def _ended(self, share: Hashable) -> None:
        with self._changed:
            self._running[share] -= 1
            if not self._running[share]:
                del self._running[share]
            self._changed.notify()
