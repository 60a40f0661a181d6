"""Works in threads: settled in the order of the names, stopped without losing one, busy servers asked again alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bulk_runs import journal_in
from trustcli.errors import RemoteBusy, RemoteRefused, UsageError
from trustcli.publish.bulk.journal import Journal
from trustcli.publish.bulk.runner import carry_out
from trustcli.publish.bulk.work import Done
from trustdata.errors import TrustError
from trustdata.gun import GUN

NAMES = [GUN(f"registry.example.com/{number}") for number in range(6)]
REFUSED = RemoteRefused(remote="https://trust.example.com", status=403, reason="no")
BUSY = RemoteBusy(remote="https://trust.example.com", reason="busy", status=429, seconds=1)


class Ending:
    """Takes what becomes of each; an error of the list `stops` goes on to who has called."""

    def __init__(self, stops: tuple[type[BaseException], ...] = ()) -> None:
        self.settled: dict[GUN, object] = {}
        self.threads: set[threading.Thread] = set()
        self.unwanted: set[GUN] = set()
        self._stops = stops

    def wanted(self, gun: GUN) -> bool:
        return gun not in self.unwanted

    def settle(self, gun: GUN, ended: Callable[[], Done]) -> None:
        self.threads.add(threading.current_thread())
        try:
            self.settled[gun] = ended()
        except BaseException as error:
            self.settled[gun] = error
            if isinstance(error, self._stops) or not isinstance(error, (TrustError, UsageError)):
                raise


def test_each_is_settled_in_order_whatever_ends_first() -> None:
    """The first work ends only when the second has: they are really done at the same time."""
    second = threading.Event()

    def do(gun: GUN) -> Done:
        if gun == NAMES[0]:
            assert second.wait(60)
        elif gun == NAMES[1]:
            second.set()
        return Done(note=gun)

    ending = Ending()
    carry_out(NAMES, do, ending, journal=None, jobs=2)
    assert list(ending.settled) == NAMES
    assert ending.threads == {threading.current_thread()}


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_failure_keeps_nobody_from_the_others(jobs: int) -> None:
    def do(gun: GUN) -> Done:
        if gun == NAMES[2]:
            raise REFUSED
        return Done()

    ending = Ending()
    ending.unwanted = {NAMES[4]}
    carry_out(NAMES, do, ending, journal=None, jobs=jobs)
    assert [gun for gun, ended in ending.settled.items() if ended is REFUSED] == [NAMES[2]]
    assert ending.settled.keys() == set(NAMES) - {NAMES[4]}


def test_no_more_than_so_many_at_a_time() -> None:
    begun = threading.Barrier(3)
    most, now, lock = 0, 0, threading.Lock()

    def do(gun: GUN) -> Done:
        nonlocal most, now
        del gun
        with lock:
            now += 1
            most = max(most, now)
        begun.wait(60)  # three at a time go on together: fewer would wait for ever
        with lock:
            now -= 1
        return Done()

    carry_out(NAMES, do, Ending(), journal=None, jobs=3)
    assert most == 3


def test_a_busy_server_is_asked_once_more_alone_at_the_end() -> None:
    asked: list[tuple[GUN, bool]] = []

    def do(gun: GUN) -> Done:
        here = threading.current_thread() is threading.main_thread()
        asked.append((gun, here))
        if gun == NAMES[1] and (not here or BUSY in ending.settled.values()):
            raise BUSY
        return Done()

    ending = Ending()
    carry_out(NAMES, do, ending, journal=None, jobs=3)
    assert asked.count((NAMES[1], False)) == 1
    assert asked[-1] == (NAMES[1], True)
    assert list(ending.settled) == [*NAMES[:1], *NAMES[2:], NAMES[1]]
    assert isinstance(ending.settled[NAMES[1]], Done)


def test_one_that_is_still_busy_has_failed() -> None:
    def do(gun: GUN) -> Done:
        del gun
        raise BUSY

    ending = Ending()
    carry_out(NAMES[:2], do, ending, journal=None, jobs=2)
    assert list(ending.settled.values()) == [BUSY, BUSY]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ZeroDivisionError(), UsageError("no")])
def test_what_was_begun_is_ended_and_settled_when_it_is_stopped(error: BaseException) -> None:
    stopped, begun = threading.Event(), threading.Event()

    def do(gun: GUN) -> Done:
        if gun == NAMES[0]:
            assert begun.wait(60)
            raise error
        begun.set()
        assert stopped.wait(60)
        return Done()

    class Stopping(Ending):
        def settle(self, gun: GUN, ended: Callable[[], Done]) -> None:
            if gun == NAMES[0]:
                stopped.set()
            super().settle(gun, ended)

    ending = Stopping(stops=(UsageError,))
    with pytest.raises(type(error)):
        carry_out(NAMES, do, ending, journal=None, jobs=2)
    assert ending.settled[NAMES[0]] is error
    assert isinstance(ending.settled[NAMES[1]], Done)
    assert len(ending.settled) < len(NAMES), "nothing else is begun"


@pytest.mark.parametrize("jobs", [1, 3])
def test_how_each_has_ended_is_in_the_journal(tmp_path: Path, jobs: int) -> None:

    ends: dict[GUN, Callable[[], Done]] = {
        NAMES[0]: Done,
        NAMES[1]: lambda: Done(changed=False),
        NAMES[2]: lambda: Done(failures=(REFUSED,)),
        NAMES[3]: _refuse,
    }
    journal = journal_in(tmp_path, NAMES)
    carry_out(list(ends), lambda gun: ends[gun](), Ending(), journal=journal, jobs=jobs)
    again = Journal.opened(journal.path.parent, journal.run)
    assert again.found == 2
    assert not again.close()
    journal.path.unlink()
    carry_out(list(ends), lambda gun: ends[gun](), ending := Ending(), journal=journal, jobs=jobs)
    assert len(ending.settled) == 4, "a journal that cannot be written is no failure of a work"


def _refuse() -> Done:
    raise REFUSED
