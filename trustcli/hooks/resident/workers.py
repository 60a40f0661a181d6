"""Threads that ask trust servers for those who wait, and a bound on how much waits for them."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable

from trustcli.errors import VerifierBusy

_log = logging.getLogger(__name__)

Job = Callable[[], object]


class Workers:
    """Some threads, begun with the first job. `waiting`: how many jobs may wait for one of them.

    They keep no process from ending: one may hang in a request to a server that does not answer.
    """

    def __init__(self, threads: int, name: str, *, waiting: int) -> None:
        self._threads = threads
        self._name = name
        self._jobs: queue.Queue[Job | None] = queue.Queue(waiting)
        self._lock = threading.Lock()
        self._begun = self._stopped = False

    def submit(self, job: Job) -> None:
        """Let a thread do a job soon. Raises: VerifierBusy if too much waits, or if the threads were stopped."""
        with self._lock:
            if self._stopped:
                raise VerifierBusy(waiting=0)
            try:
                self._jobs.put_nowait(job)
            except queue.Full as full:
                raise VerifierBusy(waiting=self._jobs.maxsize) from full
            if not self._begun:
                self._begun = True
                for number in range(self._threads):
                    threading.Thread(target=self._work, name=f"{self._name}-{number}", daemon=True).start()

    def stop(self) -> None:
        """Begin no further job; those that were begun go on."""
        with self._lock:
            self._stopped = True
            with contextlib.suppress(queue.Empty):
                while True:
                    self._jobs.get_nowait()
            self._jobs.put_nowait(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception:  # noqa: BLE001 - the thread must outlive every fault
                _log.exception("a refresh failed")
        self._jobs.put_nowait(None)  # for the next thread
