"""Two servers on one folder or one database: the second refuses, and says who holds it. Real processes throughout."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server_process import ServerProcess, server_command

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture
def first(tmp_path: Path) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path / "first")
    yield process
    process.kill()


def refused(*arguments: str, command: str = "serve") -> str:
    """What a second program says when it does not start."""
    listen = ["--listen", "127.0.0.1:0"] if command == "serve" else []
    done = server_command(command, *listen, *arguments, expect=2)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, "one line"
    return done.stderr


@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_the_refusal_names_the_holder(first: ServerProcess, command: str) -> None:
    first.start()
    said = refused("--data", str(first.data), command=command)
    assert said.startswith(f"trust-server: {first.data}: another trust-server works on it: process {first.pid} on ")
    assert f"on {socket.gethostname()} since 20" in said
    assert first.url in said


def test_another_folder_with_the_same_database_is_refused_by_any_of_its_names(
    first: ServerProcess, tmp_path: Path
) -> None:
    database = tmp_path / "shared.db"
    first.start("--database", f"sqlite:///{database}")
    link = tmp_path / "link.db"
    link.symlink_to(database)
    for name in (database, link, tmp_path / "first" / ".." / "shared.db"):
        said = refused("--data", str(tmp_path / "second"), "--database", f"sqlite:///{name}")
        assert f"{database}: another trust-server works on it: process {first.pid}" in said
    assert refused("--data", str(tmp_path / "third"), "--database", f"sqlite:///{first.data}/../shared.db")
    (tmp_path / "fourth").mkdir()
    (tmp_path / "fourth" / "trust.db").symlink_to(database)
    assert f"process {first.pid}" in refused("--data", str(tmp_path / "fourth"))


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\x00", b"[" * 4000, b"[]", b'{"pid": "1"}', b'{"pid":true,"host":"a","since":"b","listen":"c"}'],
)
def test_a_damaged_lock_file_guards_as_well(first: ServerProcess, content: bytes) -> None:
    first.start()
    (first.data / "server.lock").write_bytes(content)
    assert "does not say which" in refused("--data", str(first.data))
    first.kill()
    (first.data / "server.lock").write_bytes(content)
    first.start()
    assert first.stop() == 0


def test_what_a_lock_file_says_is_shown_harmlessly(first: ServerProcess) -> None:
    first.start()
    holder = {"pid": 2**70, "host": "\x1b[31mevil", "since": "\nyesterday", "listen": "x" * 3000}
    (first.data / "server.lock").write_text(json.dumps(holder))
    said = refused("--data", str(first.data))
    assert "\x1b" not in said
    assert "\\x1b[31mevil" in said
    assert len(said) < 1000


def test_a_holder_that_was_killed_holds_nothing_and_one_that_ended_leaves_no_name(first: ServerProcess) -> None:
    first.start()
    pid = first.pid
    first.signal(signal.SIGKILL)
    first.wait()
    assert json.loads((first.data / "server.lock").read_bytes())["pid"] == pid
    first.start()
    assert first.stop() == 0
    assert (first.data / "server.lock").read_bytes() == b""
    assert "make sure that it runs no more" not in first.log()


def test_a_holder_that_is_not_seen_is_said_to_be_so(first: ServerProcess) -> None:
    first.start()
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    holder = json.loads((first.data / "server.lock").read_bytes())
    (first.data / "server.lock").write_text(json.dumps({**holder, "pid": gone.pid}))
    assert "not seen from here" in refused("--data", str(first.data))
    (first.data / "server.lock").write_text(json.dumps({**holder, "pid": gone.pid, "host": "web-2.example.com"}))
    said = refused("--data", str(first.data))
    assert f"process {gone.pid} on web-2.example.com since" in said
    assert "not seen" not in said, "of another host nothing can be seen"


def test_after_a_crash_on_another_host_the_start_warns(first: ServerProcess) -> None:
    """A lock may not reach over a shared folder; to refuse would keep a service from moving to another host."""
    first.data.mkdir(mode=0o700)
    left = {"pid": os.getpid(), "host": "web-2.example.com", "since": "2026-11-01T00:00:00Z", "listen": "http://x:1"}
    (first.data / "server.lock").write_text(json.dumps(left))
    first.start()
    warned = json.loads(next(line for line in first.log().splitlines() if "runs no more" in line))
    assert (warned["level"], warned["host"]) == ("warning", "web-2.example.com")
    assert json.loads((first.data / "server.lock").read_bytes())["listen"] == first.url
