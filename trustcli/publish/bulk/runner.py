"""Carry out the works of a bulk run: one after the other, or several at a time.

What becomes of each is settled in the calling thread, in the order of the works, whatever ends first. A work whose
server was too busy for it is done once more when all others have ended, alone: several at a time were too many for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Final, Protocol

from keys.errors import KeysError
from trustcli.errors import RemoteBusy, UsageError
from trustcli.publish.bulk.journal import Journal
from trustcli.publish.bulk.work import Done
from trustdata.errors import TrustError
from trustdata.gun import GUN

MOST_JOBS: Final = 16
"""How many works are done at a time, at most: a server serves others, too."""


class Ending(Protocol):
    """What is told how each work ends, in the thread that has called `carry_out`."""

    def wanted(self, gun: GUN) -> bool:
        """Return whether a work is to be begun at all."""

    def settle(self, gun: GUN, ended: Callable[[], Done]) -> None:
        """Take what a work returns, or raises. Raises: what `ended` raises, if nothing else is to be begun."""


def carry_out(
    guns: Sequence[GUN], do: Callable[[GUN], Done], ending: Ending, *, journal: Journal | None, jobs: int
) -> None:
    """Do each work that is wanted, `jobs` at a time; how each has ended is in the journal before it is settled.

    `do`: raises TrustError, KeysError or UsageError. Of a run that is stopped (Ctrl-C, or an error of this program),
    the works that were begun in other threads are ended, and settled. Raises: what `ending.settle` does, and
    KeyboardInterrupt.
    """
    alone: Sequence[GUN] = guns
    if jobs > 1:
        alone = _in_threads(guns, do, ending, journal, jobs=min(jobs, MOST_JOBS))
    for gun in alone:
        if ending.wanted(gun):
            ending.settle(gun, lambda gun=gun: _noted(gun, do, journal))  # type: ignore[misc]


class _Threads:
    """The works that were begun in threads and are not settled yet, oldest first."""

    def __init__(self, ending: Ending) -> None:
        self._ending = ending
        self._begun: deque[tuple[GUN, Future[Done]]] = deque()
        self.busy: list[GUN] = []
        """The works whose server was too busy."""

    def __len__(self) -> int:
        return len(self._begun)

    def add(self, gun: GUN, future: Future[Done]) -> None:
        self._begun.append((gun, future))

    def settle_first(self) -> None:
        """Wait for the oldest, and settle it. Raises: what `Ending.settle` does."""
        gun, future = self._begun[0]
        failure = future.exception()
        self._begun.popleft()
        if isinstance(failure, RemoteBusy):
            self.busy.append(gun)
        else:
            self._ending.settle(gun, future.result)

    def stop(self) -> None:
        """Settle what has begun, and begin nothing else."""
        for _, future in self._begun:
            future.cancel()
        while self._begun:
            if self._begun[0][1].cancelled():
                self._begun.popleft()
            else:
                with suppress(Exception):  # the error that has stopped it is the one that is told
                    self.settle_first()


def _in_threads(
    guns: Sequence[GUN], do: Callable[[GUN], Done], ending: Ending, journal: Journal | None, *, jobs: int
) -> list[GUN]:
    """Do the works in threads; return those whose server was too busy."""
    threads = _Threads(ending)
    with ThreadPoolExecutor(jobs, thread_name_prefix="bulk") as pool:
        try:
            for gun in guns:
                if ending.wanted(gun):
                    threads.add(gun, pool.submit(_noted, gun, do, journal))
                if len(threads) >= jobs:
                    threads.settle_first()
            while threads:
                threads.settle_first()
        except BaseException:
            threads.stop()
            raise
    return threads.busy


def _noted(gun: GUN, do: Callable[[GUN], Done], journal: Journal | None) -> Done:
    """Do one work, and write down how it has ended. If that cannot be written, the next run finds out."""
    try:
        done = do(gun)
    except (TrustError, KeysError, UsageError):
        _end(journal, gun, failed=True)
        raise
    _end(journal, gun, failed=bool(done.failures), changed=done.changed)
    return done


def _end(journal: Journal | None, gun: GUN, *, failed: bool, changed: bool = False) -> None:
    if journal is not None:
        with suppress(TrustError):
            journal.end(gun, "failed" if failed else "done" if changed else "nothing to do")
