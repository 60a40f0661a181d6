"""The parts of a resident reader: its clocks, its rate, its memory on disk, its threads."""

from __future__ import annotations

import errno
import os
import resource
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from keys.record import replace
from tests.simulator.repository import APP
from tests.simulator.scene import GOOD, good_collection
from tests.support.network_users import network_of
from tests.support.resident_node import ResidentNode
from trustcli.client.local_state import LocalState
from trustcli.errors import MemoryUnwritable, OutOfConnections, VerifierBusy
from trustcli.hooks.deciding.once import is_away
from trustcli.hooks.resident.clocks import CLOCK_TOLERANCE, Moment, elapsed, seconds_since_boot
from trustcli.hooks.resident.memory_folder import RECORD_EVERY, MemoryFolder
from trustcli.hooks.resident.open_files import allow_open_files
from trustcli.hooks.resident.rate import Rate
from trustcli.hooks.resident.workers import Workers
from trustcli.http.errors import transport_failure
from trustcli.http.messages import Origin
from trustcli.state.memory import MemoryFile
from trustdata.errors import RootNotPinned, TrustError, VersionRollback
from trustdata.gun import GUN, parse_gun
from trustdata.judgement import Question
from trustdata.roles import TIMESTAMP
from trustdata.verification.rollback_memory import Memory

SECOND = timedelta(seconds=1)


def remembered() -> Memory:
    client = good_collection().regular()
    (memory,) = client.memory.known.values()
    return memory


# --- clocks


def test_the_clock_that_says_more_counts() -> None:
    at = good_collection().server.at
    then = Moment(wall=at, ticks=100.0)
    slept = elapsed(then, Moment(wall=at + 3600 * SECOND, ticks=101.0))
    assert (slept.seconds, slept.went_back) == (3600.0, False)
    set_back = elapsed(then, Moment(wall=at - 3600 * SECOND, ticks=110.0))
    assert (set_back.seconds, set_back.latest, set_back.went_back) == (10.0, at + 10 * SECOND, True)


def test_a_clock_that_is_slewed_did_not_go_back() -> None:
    at = good_collection().server.at
    then = Moment(wall=at, ticks=0.0)
    day = 86400.0
    slow = Moment(wall=at + timedelta(seconds=day - CLOCK_TOLERANCE), ticks=day)
    assert not elapsed(then, slow).went_back
    assert elapsed(then, Moment(wall=slow.wall - SECOND, ticks=day)).went_back


def test_ticks_go_on() -> None:
    assert seconds_since_boot() <= seconds_since_boot()


# --- rate


def test_so_many_in_a_second_and_ten_seconds_worth_at_once() -> None:
    rate = Rate(2.0)
    assert sum(rate.allows(0.0) for _ in range(30)) == 20
    assert sum(rate.allows(1.0) for _ in range(30)) == 2
    assert not rate.allows(0.5), "a clock that goes back fills nothing"


# --- memory


def test_each_collection_has_a_file_of_its_own(tmp_path: Path) -> None:
    memory, other = remembered(), parse_gun("registry.example.com/other")
    folder = MemoryFolder(tmp_path / "seen")
    assert folder.load(APP) is None
    folder.remember(APP, memory)
    folder.remember(other, memory)
    assert folder.load(APP) == memory
    assert len(list((tmp_path / "seen").glob("*.json"))) == 2
    folder.forget(APP)
    assert folder.load(APP) is None
    assert folder.load(other) == memory


def test_the_time_of_a_refresh_alone_is_written_now_and_then(tmp_path: Path) -> None:
    memory, folder = remembered(), MemoryFolder(tmp_path)
    assert memory.refreshed is not None
    folder.remember(APP, memory)
    for later, written in (
        (RECORD_EVERY - SECOND, memory.refreshed),
        (RECORD_EVERY, memory.refreshed + RECORD_EVERY),
        (timedelta(0), memory.refreshed),
    ):
        folder.remember(APP, replace(memory, refreshed=memory.refreshed + later))
        found = folder.load(APP)
        assert found is not None
        assert found.refreshed == written


def test_a_full_disk_loses_the_time_of_a_refresh_and_no_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, folder = remembered(), MemoryFolder(tmp_path)
    assert memory.refreshed is not None
    folder.remember(APP, memory)

    def full(self: MemoryFile, gun: GUN, memory: Memory) -> None:
        raise MemoryUnwritable(path="seen", reason="No space left on device")

    monkeypatch.setattr(MemoryFile, "remember", full)
    later = replace(memory, refreshed=memory.refreshed + 2 * RECORD_EVERY)
    folder.remember(APP, later)
    newer = replace(memory.roles[TIMESTAMP], version=memory.roles[TIMESTAMP].version + 1)
    with pytest.raises(MemoryUnwritable):
        folder.remember(APP, replace(later, roles={**memory.roles, TIMESTAMP: newer}))


def test_a_newer_version_is_written_at_once(tmp_path: Path) -> None:
    memory, folder = remembered(), MemoryFolder(tmp_path)
    folder.remember(APP, memory)
    newer = replace(memory.roles[TIMESTAMP], version=memory.roles[TIMESTAMP].version + 1)
    folder.remember(APP, replace(memory, roles={**memory.roles, TIMESTAMP: newer}))
    found = folder.load(APP)
    assert found is not None
    assert found.roles[TIMESTAMP].version == newer.version


def test_another_root_of_trust_is_refused(tmp_path: Path) -> None:
    memory, folder = remembered(), MemoryFolder(tmp_path)
    folder.remember(APP, memory)
    with pytest.raises(RootNotPinned):
        folder.remember(APP, replace(memory, root_of_trust="ab" * 32))


def test_a_long_name_has_a_file_too(tmp_path: Path) -> None:
    folder = MemoryFolder(tmp_path)
    first, second = (parse_gun(f"registry.example.com/{'a/' * 110}{end}") for end in "bc")
    folder.remember(first, remembered())
    assert folder.load(first) is not None
    assert folder.load(second) is None


# --- threads


def test_a_job_that_fails_ends_no_thread() -> None:
    workers, done = Workers(1, "test", waiting=5, per_share=1), threading.Event()
    workers.submit(lambda: 1 / 0)
    workers.submit(done.set)
    assert done.wait(30)
    workers.stop()


def test_after_the_end_nothing_is_begun() -> None:
    workers, begun, go = Workers(1, "test", waiting=5, per_share=1), threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        go.wait(30)

    workers.submit(hold)
    assert begun.wait(30)
    never = threading.Event()
    workers.submit(never.set)
    workers.stop()
    with pytest.raises(VerifierBusy):
        workers.submit(never.set)
    go.set()
    assert not never.is_set()


def test_a_share_has_its_threads_and_its_places_and_no_more() -> None:
    workers, go, done = Workers(3, "test", waiting=8, per_share=2), threading.Event(), threading.Event()
    begun = threading.Semaphore(0)

    def hang() -> None:
        begun.release()
        go.wait(30)

    for _ in range(2):
        workers.submit(hang, share="hangs")
        assert begun.acquire(timeout=30)
    for _ in range(4):
        workers.submit(hang, share="hangs")
    with pytest.raises(VerifierBusy):
        workers.submit(hang, share="hangs")
    workers.submit(done.set, share="other")
    assert done.wait(30), "there is a thread left for another share"
    assert not begun.acquire(blocking=False)
    for _ in range(4):
        workers.submit(lambda: go.wait(30), share="third")
    go.set()
    assert all(begun.acquire(timeout=30) for _ in range(4))
    workers.stop()


def no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_system_without_room_for_threads_stops_nothing_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens many connections may use up what a container may have; afterwards it must go on."""
    workers, go, begun = Workers(2, "test", waiting=8, per_share=2), threading.Event(), threading.Event()
    never, done = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        go.wait(30)

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", no_thread)
        for _ in range(3):
            with pytest.raises(VerifierBusy):
                workers.submit(never.set)
    workers.submit(hold)
    assert begun.wait(30)
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", no_thread)
        workers.submit(done.set)
    go.set()
    assert done.wait(30), "the thread that there is does it"
    assert not never.is_set(), "who was told that nobody has time is not waited for"
    workers.stop()


def test_a_collection_that_no_thread_could_refresh_is_refreshed_later(
    monkeypatch: pytest.MonkeyPatch, node_of: Callable[..., ResidentNode]
) -> None:
    node = node_of(good_collection().newcomer())
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", no_thread)
        for _ in range(3):
            assert isinstance(node.ask().judgements[0].refusal, VerifierBusy)
    assert node.digest() == f"sha256:{GOOD}"


def test_no_more_threads_are_begun_than_jobs_need() -> None:
    workers = Workers(5, "test-few", waiting=8, per_share=5)
    for _ in range(3):
        done = threading.Event()
        workers.submit(done.set)
        assert done.wait(30)
    assert sum(thread.name.startswith("test-few") for thread in threading.enumerate()) <= 3
    workers.stop()


def test_a_rollback_is_known_after_a_restart(tmp_path: Path) -> None:
    scene = good_collection()

    def verdict() -> TrustError | None:
        client = scene.newcomer()
        local = LocalState(cache=client.cache, memory=MemoryFolder(tmp_path), pins=client.pins)
        collection = client.collection()
        collection._local = local
        question = Question(gun=APP, tag="1.0", digest=None)
        return collection.judge([question])[0].refusal

    assert verdict() is None
    scene.server.files = dict(scene.past.files)
    assert isinstance(verdict(), VersionRollback)


# --- open files


@pytest.mark.parametrize(
    ("soft", "hard", "wanted"),
    [(1024, 4096, 4096), (1024, 1 << 20, 65_536), (1024, -1, 65_536), (-1, -1, None), (4096, 4096, None)],
)
def test_as_many_files_as_the_system_allows(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, wanted: int | None
) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: given.append(limits))
    allow_open_files()
    assert given == ([] if wanted is None else [(wanted, hard)])


def test_a_limit_that_stays_is_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def refuses(_: int, limits: tuple[int, int]) -> None:
        raise ValueError(f"not {limits}")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", refuses)
    allow_open_files()
    assert "stays at 1024" in caplog.text


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_a_server_is_not_away_because_we_may_open_no_more_files(number: int) -> None:
    """Clients of a door may use up all files; that must not make older data count."""
    origin, network = Origin(scheme="https", host="trust.example.com", port=443), network_of({})
    ours = transport_failure(OSError(number, os.strerror(number)), origin, network, None)
    assert isinstance(ours, OutOfConnections)
    assert not is_away(ours)
    assert is_away(transport_failure(OSError(errno.ENETUNREACH, "no way"), origin, network, None))
