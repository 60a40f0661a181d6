"""Threads that ask trust servers for those who wait, and a bound on how much waits for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from trustcli.errors import VerifierBusy


class Workers:
    """Some threads. `waiting`: how many jobs may wait for one of them."""

    def __init__(self, threads: int, name: str, *, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, name)
        self._free = threading.Semaphore(threads + waiting)
        self._waiting = waiting

    def submit(self, job: Callable[[], None]) -> None:
        """Let a thread do a job soon. Raises: VerifierBusy if too much waits, or if the threads were stopped."""
        if not self._free.acquire(blocking=False):
            raise VerifierBusy(waiting=self._waiting)
        try:
            future = self._pool.submit(job)
        except RuntimeError as stopped:
            self._free.release()
            raise VerifierBusy(waiting=0) from stopped
        future.add_done_callback(lambda _: self._free.release())

    def stop(self) -> None:
        """Begin no further job; those that were begun go on."""
        self._pool.shutdown(wait=False, cancel_futures=True)
