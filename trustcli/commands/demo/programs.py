"""Programs that run during a demo: start them, wait until they answer, and stop them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from trustcli.errors import (
    RemoteMisbehaved,
    RemoteUnreachable,
)
from trustcli.http.connection import HttpConnection
from trustcli.http.messages import Origin, Response
from trustcli.http.network import Network
from trustcli.http.tls import CertificateAuthorities

_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 10.0
_MAX_ANSWER: Final = 1024 * 1024  # bytes


def free_port() -> int:
    """Return a port of the loopback interface that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def running(command: Sequence[str], *, folder: Path, port: int, ready: str) -> Iterator[None]:
    """Run a server until the block ends; enter the block when a GET of `ready` (a path) returns 200.

    Raises: RemoteUnreachable, with the last line that the program wrote.
    """
    log = folder / f"{Path(command[0]).name}-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, env=_environment())
    try:
        _wait(process, port, ready, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def trust_server(folder: Path, port: int) -> list[str]:
    """Return the command line of a trust server on embedded defaults."""
    listen = f"127.0.0.1:{port}"
    return [
        sys.executable,
        "-m",
        "trustserver",
        "serve",
        "--data",
        str(folder / "trust-server-data"),
        "--listen",
        listen,
    ]


def docker_registry(folder: Path, port: int) -> list[str] | None:
    """Return the command line of Debian's docker-registry, or None where it is not installed."""
    program = shutil.which("docker-registry")
    if program is None:
        return None
    configuration = folder / "registry.yml"
    configuration.write_text(
        f'version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: "{folder / "registry"}"}}}}\n'
        f'http: {{addr: "127.0.0.1:{port}"}}\n'
    )
    return [program, "serve", str(configuration)]


def _environment() -> Mapping[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("TRUST_")}


def _wait(process: subprocess.Popen[bytes], port: int, ready: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if _answers(port, ready):
            return
        time.sleep(0.05)
    lines = log.read_text(errors="replace").strip().splitlines()
    raise RemoteUnreachable(remote=f"http://127.0.0.1:{port}", reason=lines[-1] if lines else "it did not start")


def _answers(port: int, path: str) -> bool:
    try:
        fetch(port, path)
    except (RemoteMisbehaved, RemoteUnreachable):
        return False
    return True


def fetch(port: int, path: str) -> bytes:
    """Return a file of a server on loopback.

    Raises: RemoteUnreachable (also for another status than 200), RemoteMisbehaved, TooLarge.
    """
    response = ask("GET", port, path)
    if not response.ok:
        raise RemoteUnreachable(remote=f"http://127.0.0.1:{port}", reason=f"{path} answered {response.status}")
    return response.body


def ask(
    method: str, port: int, target: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> Response:
    """Send one request to a server on loopback and return the response.

    Raises: RemoteUnreachable, RemoteMisbehaved, TooLarge.
    """
    network = Network(authorities=CertificateAuthorities({}), environ={})
    connection = HttpConnection(Origin(scheme="http", host="127.0.0.1", port=port), network)
    try:
        return connection.exchange(method, target, headers=headers or {}, limit=_MAX_ANSWER, body=body)
    finally:
        connection.close()
