"""Real programs that tests run against: found, or the test is skipped; on a free loopback port; killed at the end."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.images import BuiltImage

READY_SECONDS = 20.0
USER = "alice"
PASSWORD = "correct horse"
_HTPASSWD = "alice:$2y$04$DEdJdoW2MEwTx8dI4yzw/.VWn9GHJbEIFvo6JHOgv062COQ7qinQ2\n"
"""The same pair with bcrypt, as `htpasswd -nbB` writes it: the only kind that the registry reads."""


@dataclass(frozen=True, kw_only=True)
class RunningProgram:
    """`netloc` is `127.0.0.1:PORT`; what the program printed is in `log`."""

    netloc: str
    log: Path
    process: subprocess.Popen[bytes]


def program(name: str) -> str:
    """The path of an installed program; without it the test is skipped, naming it."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (make peers)")
    return path


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def running(
    command: list[str], *, port: int, log: Path, environ: dict[str, str] | None = None
) -> Iterator[RunningProgram]:
    """Run a server until the end of the block; entered as soon as it accepts connections."""
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output, env=environ) as process:
        try:
            _await_port(process, port, log)
            yield RunningProgram(netloc=f"127.0.0.1:{port}", log=log, process=process)
        finally:
            process.kill()


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    pause = 0.02
    for _ in range(int(READY_SECONDS / pause)):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=READY_SECONDS).close()
        except ConnectionRefusedError:
            # Waiting for its end is the pause: a program that dies is noticed at once.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=pause)
                pytest.fail(f"{process.args!r} ended with {process.returncode}: {log.read_text()[-2000:]}")
        else:
            return
    pytest.fail(f"{process.args!r} does not listen on {port}: {log.read_text()[-2000:]}")


@contextlib.contextmanager
def start_registry(
    folder: Path,
    *,
    password: bool = False,
    tls: tuple[Path, Path] | None = None,
    tokens: Mapping[str, object] | None = None,
) -> Iterator[RunningProgram]:
    """Debian's docker-registry on an empty storage.

    `password`: only USER gets in. `tokens`: whose tokens let in, as `TokenServer.of_distribution` says it. `tls`:
    certificate, key.
    """
    binary = program("docker-registry")
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    http: dict[str, object] = {"addr": f"127.0.0.1:{port}"}
    if tls:
        http["tls"] = {"certificate": str(tls[0]), "key": str(tls[1])}
    config: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}, "delete": {"enabled": True}},
        "http": http,
    }
    if password:
        (folder / "htpasswd").write_text(_HTPASSWD)
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    if tokens is not None:
        config["auth"] = {"token": dict(tokens)}
    file = folder / "config.yml"
    file.write_text(json.dumps(config))  # JSON is YAML
    with running([binary, "serve", str(file)], port=port, log=folder / "registry.log") as registry:
        yield registry


def push(
    image: BuiltImage,
    registry: RunningProgram,
    repository: str,
    tag: str,
    *,
    password: bool = False,
    who: tuple[str, str] = (USER, PASSWORD),
) -> None:
    """Put an image into a registry with skopeo, bytes unchanged; with `password` as `who`."""
    credentials = ["--dest-creds", ":".join(who)] if password else []
    destination = f"docker://{registry.netloc}/{repository}:{tag}"
    command = [program("skopeo"), "--insecure-policy", "copy", "--all", "--preserve-digests", "--dest-tls-verify=false"]
    done = subprocess.run(
        [*command, *credentials, image.source, destination], capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode:
        pytest.fail(f"skopeo: {done.stderr}")
