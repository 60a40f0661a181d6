"""The real `trust-server` as a child process, on loopback."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO
from urllib.parse import quote

from tests.support.loaded_program import LoadedProcess, Started, start_loaded
from tests.support.server_owner import Owner
from trustdata.roles import ONLINE, RoleName

START_SECONDS = 60
_TRIES = 50
"""Who starts again at the port that it had may find it taken for a moment, by a connection of another test."""


class ServerProcess:
    """A server over one data folder; started anew as often as wanted. `program`: module and command.

    `fresh`: whether it is the start of a program, rather than of one that is already loaded.
    """

    def __init__(self, data: Path, *, program: Sequence[str] = ("trustserver", "serve"), fresh: bool = False) -> None:
        self.data = data
        self.program = program
        self.fresh = fresh
        self.url = ""
        self.ca: str | None = None
        self._process: subprocess.Popen[bytes] | LoadedProcess | None = None
        self._printed: IO[str] | None = None

    def start(self, *options: str, environ: dict[str, str] | None = None, listen: str = "127.0.0.1:0") -> None:
        """Returns when /readyz gives 200."""
        first = self._first_line(options, environ, listen)
        for _ in range(_TRIES):
            if first or not self.log().rstrip().endswith(
                f"bind on address ('127.0.0.1', {listen.rpartition(':')[2]}))"
            ):
                break
            self.wait()
            first = self._first_line(options, environ, listen)
        assert first.startswith("trust-server at "), self.log()
        self.url = first.split()[-1]
        if "--self-signed" in options:
            assert self._printed is not None
            self.ca = self._printed.readline().split(": ", 1)[1].strip()
        assert self.get("/readyz")[0] == 200

    def _first_line(self, options: Sequence[str], environ: dict[str, str] | None, listen: str) -> str:
        """Start the server, and return what it prints once it takes connections; "" if it has ended before."""
        module, *command = self.program
        command += ["--listen", listen, "--data", str(self.data), *options]
        whole = {**os.environ, "PYTHONUNBUFFERED": "1", **(environ or {})}
        reads, writes = os.pipe()
        self._printed = os.fdopen(reads)
        with (self.data.parent / "server.log").open("a") as log, os.fdopen(writes) as stdout:
            if self.fresh:
                whole_command = [sys.executable, "-m", module, *command]
                self._process = subprocess.Popen(whole_command, stdout=stdout, stderr=log, env=whole)
            else:
                self._process = start_loaded(
                    module, command, package="trustserver", cwd=Path.cwd(), environ=whole, stdout=stdout, stderr=log
                )
        return self._printed.readline()

    def get(self, path: str, *, method: str = "GET", data: bytes | None = None, kind: str = "") -> tuple[int, bytes]:
        headers = {"Content-Type": kind} if kind else {}
        if self.url.startswith("unix:"):
            with contextlib.closing(_UnixConnection(self.url.removeprefix("unix:"))) as connection:
                connection.request(method, path, body=data, headers=headers)
                found = connection.getresponse()
                return found.status, found.read()
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers)
        context = ssl.create_default_context(cafile=self.ca) if self.ca else None
        try:
            with urllib.request.urlopen(request, timeout=START_SECONDS, context=context) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def publish(self, gun: str, files: Mapping[RoleName, bytes]) -> tuple[int, bytes]:
        kind, body = multipart(files)
        return self.get(f"/api/v1/collections/{gun}/publish", method="POST", data=body, kind=kind)

    def learn_keys(self, owner: Owner, gun: str) -> None:
        for role in ONLINE:
            status, body = self.get(f"/api/v1/collections/{gun}/keys/{role}")
            assert status == 200
            owner.learn(role, json.loads(body))

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        assert self._process is not None
        status = self._process.wait(timeout=START_SECONDS)
        if self._printed is not None:
            self._printed.close()
        self._process = None
        return status

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """Kill it if it runs."""
        if self._process is not None:
            self._process.kill()
            self.wait()

    def log(self) -> str:
        return (self.data.parent / "server.log").read_text()


class _UnixConnection(http.client.HTTPConnection):
    """To a server that listens on a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=START_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def server_command(*arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command of `trust-server` to its end."""
    environ = dict(os.environ)
    done = Started("trustserver", arguments, package="trustserver", cwd=Path.cwd(), environ=environ).ended(60)
    stdout, stderr = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in stderr, stderr
    assert done.returncode == expect, f"trust-server {' '.join(arguments)} -> {done.returncode}\n{stdout}{stderr}"
    return subprocess.CompletedProcess(done.args, done.returncode, stdout, stderr)


def multipart(files: Mapping[RoleName, bytes]) -> tuple[str, bytes]:
    """Content type and body of an upload."""
    boundary = "0123456789abcdef"
    body = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{quote(role, safe="")}"'.encode()
        + b"\r\n\r\n"
        + raw
        + b"\r\n"
        for role, raw in files.items()
    )
    return f"multipart/form-data; boundary={boundary}", body + f"--{boundary}--\r\n".encode()
