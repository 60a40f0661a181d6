"""The process that judges large uploads beside a real server: reads go on, and nothing is left when the server ends."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server_owner import DIGEST, Owner
from tests.support.server_process import START_SECONDS, ServerProcess
from trustdata.roles import TARGETS

_GUN = "example.com/large"
_TAGS = {f"v{number}": DIGEST for number in range(3000)}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    started = ServerProcess(tmp_path / "data")
    started.start()
    yield started
    started.kill()


def _begin(server: ServerProcess) -> Owner:
    """A collection with a large file of targets: the process has judged it."""
    owner = Owner()
    server.learn_keys(owner, _GUN)
    owner.tags = dict(_TAGS)
    status, answer = server.publish(_GUN, owner.first_upload())
    assert status == 200, answer
    return owner


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _bytes_waiting(pid: int) -> int:
    """Bytes that the standard input of a process holds and that it has not read."""
    count = bytearray(4)
    with Path(f"/proc/{pid}/fd/0").open("rb", buffering=0) as pipe:
        fcntl.ioctl(pipe, termios.FIONREAD, count)
    return int.from_bytes(count, "little")


def _ends(process: int) -> bool:
    """Whether a process ends, by its descriptor."""
    ready, _, _ = select.select([process], [], [], START_SECONDS)
    return bool(ready)


def test_there_is_no_process_until_a_large_upload_comes(server: ServerProcess) -> None:
    owner = Owner()
    server.learn_keys(owner, _GUN)
    owner.tags = {"1.0": DIGEST}
    assert server.publish(_GUN, owner.first_upload())[0] == 200
    assert _children(server.pid) == []
    owner.tags = dict(_TAGS)
    assert server.publish(_GUN, {TARGETS: owner.targets()})[0] == 200
    (judge,) = _children(server.pid)
    files = [str(entry.readlink()) for entry in Path(f"/proc/{judge}/fd").iterdir()]
    assert [file for file in files if file.startswith("socket:") or file.endswith((".lock", "seal.key"))] == []


def test_reads_and_small_uploads_are_answered_while_a_large_one_is_judged(server: ServerProcess) -> None:
    owner = _begin(server)
    beside = Owner()
    server.learn_keys(beside, "example.com/small")
    (judge,) = _children(server.pid)
    os.kill(judge, signal.SIGSTOP)
    owner.tags["2.0"] = DIGEST
    large = {TARGETS: owner.targets()}
    answers: list[int] = []
    upload = threading.Thread(target=lambda: answers.append(server.publish(_GUN, large)[0]))
    upload.start()
    try:
        while not _bytes_waiting(judge):
            assert server.get(f"/tuf/{_GUN}/metadata/timestamp.json")[0] == 200
        for _ in range(20):
            assert server.get(f"/tuf/{_GUN}/metadata/timestamp.json")[0] == 200
            assert server.get(f"/tuf/{_GUN}/metadata/1.targets.json")[0] == 200
        assert server.publish("example.com/small", beside.first_upload())[0] == 200
        assert answers == []
    finally:
        os.kill(judge, signal.SIGCONT)
        upload.join(START_SECONDS)
    assert answers == [200]


def test_a_judge_that_is_killed_at_work_refuses_the_upload_and_nothing_else(server: ServerProcess) -> None:
    owner = _begin(server)
    (judge,) = _children(server.pid)
    os.kill(judge, signal.SIGSTOP)
    large = {TARGETS: owner.targets()}
    answers: list[tuple[int, bytes]] = []
    upload = threading.Thread(target=lambda: answers.append(server.publish(_GUN, large)))
    upload.start()
    while not _bytes_waiting(judge):
        assert server.get("/readyz")[0] == 200
    os.kill(judge, signal.SIGKILL)
    upload.join(START_SECONDS)
    ((status, body),) = answers
    assert status == 503
    assert b"judging a large upload has ended (signal 9)" in body
    assert server.publish(_GUN, large)[0] == 200
    assert judge not in _children(server.pid)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_the_judge_ends_with_the_server(server: ServerProcess, end: signal.Signals) -> None:
    """However the server ends, and also when the signal is for the whole group of processes."""
    owner = _begin(server)
    (judge,) = _children(server.pid)
    process = os.pidfd_open(judge)
    try:
        if end == signal.SIGTERM:
            os.kill(judge, end)
            assert server.publish(_GUN, {TARGETS: owner.targets()})[0] == 200
            assert _children(server.pid) == [judge]
        server.signal(end)
        assert server.wait() == (0 if end == signal.SIGTERM else -end)
        assert _ends(process)
    finally:
        os.close(process)


def test_a_judge_at_work_ends_with_a_killed_server(server: ServerProcess) -> None:
    owner = _begin(server)
    (judge,) = _children(server.pid)
    process = os.pidfd_open(judge)
    os.kill(judge, signal.SIGSTOP)
    large = {TARGETS: owner.targets()}

    def send() -> None:
        with pytest.raises(OSError, match=r"."):
            server.publish(_GUN, large)

    upload = threading.Thread(target=send)
    upload.start()
    while not _bytes_waiting(judge):
        assert server.get("/readyz")[0] == 200
    server.signal(signal.SIGKILL)
    assert server.wait() == -signal.SIGKILL
    os.kill(judge, signal.SIGCONT)
    assert _ends(process)
    os.close(process)
    upload.join(START_SECONDS)
    assert not upload.is_alive()
