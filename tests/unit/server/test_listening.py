"""The listening socket: what everybody who is accepted on it inherits, and whose file a Unix socket's is."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from trustserver.errors import StartRefused
from trustserver.server.connection_timeouts import UNREAD_SECONDS
from trustserver.server.listening import listening, url_of
from trustserver.settings import Listen, UnixSocket

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "::1"])


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of our own whose path is short, as that of a Unix socket must be."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as path:
        yield Path(path)


@pytest.fixture
def here(folder: Path) -> UnixSocket:
    return UnixSocket(path=folder / "trust.sock")


def answers(listen: UnixSocket) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(listen.path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        return True


def left_over(listen: UnixSocket) -> None:
    """What a server leaves that was killed."""
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(listen.path))


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_USER_TIMEOUT is Linux's")
def test_the_kernel_ends_a_connection_whose_client_takes_nothing() -> None:
    with listening(Listen(host="127.0.0.1", port=0)) as bound:
        bound.setblocking(True)
        with socket.create_connection(bound.getsockname()), bound.accept()[0] as accepted:
            found = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert found == UNREAD_SECONDS * 1000


@pytest.mark.parametrize(("host", "others"), [("::", True), ("::1", False)])
def test_all_addresses_are_those_of_both_kinds(host: str, others: bool) -> None:  # noqa: FBT001
    listen = Listen(host=host, port=0)
    with listening(listen) as bound:
        port = bound.getsockname()[1]
        assert url_of(bound, listen, tls=True) == f"https://[{host}]:{port}"
        socket.create_connection(("::1", port)).close()
        with socket.socket() as client:
            assert client.connect_ex(("127.0.0.1", port)) == (0 if others else errno.ECONNREFUSED)


def test_a_unix_socket_is_for_its_user_and_group_and_goes_with_the_server(here: UnixSocket) -> None:
    before = os.umask(0o077)
    try:
        with listening(here) as bound:
            assert stat.S_IMODE(here.path.stat().st_mode) == 0o660
            assert url_of(bound, here, tls=False) == f"unix:{here.path}"
            assert answers(here)
    finally:
        os.umask(before)
    assert not here.path.exists()


def test_a_file_that_a_killed_server_left_is_replaced(here: UnixSocket) -> None:
    left_over(here)
    assert not answers(here)
    with listening(here):
        assert answers(here)


@pytest.mark.parametrize("queue", [0, 5])
def test_the_socket_of_a_server_that_lives_is_left_alone(here: UnixSocket, queue: int) -> None:
    """Also of one that is so busy that it takes no further caller."""
    with socket.socket(socket.AF_UNIX) as living, socket.socket(socket.AF_UNIX) as waiting:
        living.bind(str(here.path))
        living.listen(queue)
        waiting.connect(str(here.path))
        with pytest.raises(StartRefused, match=f"^--listen {here}: another program listens there"), listening(here):
            pass
        assert here.path.is_socket()


def test_what_another_server_has_put_there_meanwhile_stays(here: UnixSocket) -> None:
    with listening(here) as bound:
        bound.close()  # it stops, and finishes what it began
        with listening(here):
            assert answers(here)
            with pytest.raises(StartRefused), listening(here):
                pass
            assert answers(here)


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_no_socket_is_left_alone(here: UnixSocket, folder: Path, kind: str) -> None:
    other = UnixSocket(path=folder / "other.sock")
    left_over(other)
    if kind == "file":
        here.path.write_text("mine")
    else:
        here.path.symlink_to(other.path)
    with pytest.raises(StartRefused, match="is there and is no socket"), listening(here):
        pass
    assert os.path.lexists(here.path)


def test_where_others_may_put_another_file_nobody_listens(here: UnixSocket, folder: Path) -> None:
    folder.chmod(0o777)
    with pytest.raises(StartRefused, match=f"^{folder}: has mode 777.*chmod go-w"), listening(here):
        pass


def test_of_two_that_start_at_one_time_one_is_refused(here: UnixSocket, folder: Path) -> None:
    left_over(here)
    other = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(StartRefused, match=f"{folder} is locked"), listening(here):
            pass
    finally:
        os.close(other)
    assert here.path.is_socket()


def test_a_folder_that_is_not_there_is_named(folder: Path) -> None:
    absent = UnixSocket(path=folder / "none" / "trust.sock")
    with pytest.raises(StartRefused, match=f"^--listen {absent}: cannot be used: No such file"), listening(absent):
        pass
