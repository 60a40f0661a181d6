"""Debian's Docker engine and CLI, unpacked into a folder: nothing is installed (needs root and apt)."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PACKAGES = ("docker.io", "containerd", "runc")


@dataclass(frozen=True, kw_only=True)
class UnpackedDocker:
    """`root`: where the packages were unpacked; `docker`: the CLI."""

    root: Path

    @property
    def docker(self) -> Path:
        return self.root / "usr" / "bin" / "docker"

    @property
    def path(self) -> str:
        return f"{self.root / 'usr/bin'}:{self.root / 'usr/sbin'}:{os.environ['PATH']}"


def unpack_docker(folder: Path) -> UnpackedDocker | str:
    """Download and unpack the packages; the reason if that cannot be done here."""
    if shutil.which("apt-get") is None:
        return "docker.io cannot be unpacked: no apt-get"
    root = folder / "root"
    if not (root / "usr/sbin/dockerd").exists():
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["apt-get", "download", "-q", *_PACKAGES], cwd=folder, capture_output=True, check=False)
        if done.returncode:
            return "docker.io cannot be downloaded by apt-get"
        for package in sorted(folder.glob("*.deb")):
            subprocess.run(["dpkg", "-x", str(package), str(root)], check=True)
    return UnpackedDocker(root=root)


@contextlib.contextmanager
def start_engine(docker: UnpackedDocker, folder: Path, *, etc: Path | None = None) -> Iterator[str]:
    """A real engine on a socket of its own (vfs, no network); gives its DOCKER_HOST. Needs root.

    `etc`: what it sees as /etc, which has certificates of registries; needs `unshare`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "daemon.json").write_text("{}")
    address = folder / "docker.sock"
    command = [str(docker.root / "usr/sbin/dockerd"), "--config-file", str(folder / "daemon.json")]
    command += ["-H", f"unix://{address}", "--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")]
    command += ["--pidfile", str(folder / "dockerd.pid"), "--storage-driver", "vfs", "--iptables=false"]
    command += ["--ip6tables=false", "--bridge=none", "--ip-masq=false", "--ip-forward=false"]
    command += ["--userland-proxy=false", "--insecure-registry", "127.0.0.0/8"]
    if etc is not None:
        command = [*_SEEING, str(etc), *command]
    environ = {**os.environ, "PATH": docker.path}
    with (
        (folder / "dockerd.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=environ) as process,
    ):
        try:
            for _ in range(600):
                if _ping(address):
                    break
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=0.1)
                    break
            else:
                raise RuntimeError("dockerd does not answer")
            if process.poll() is not None:
                raise RuntimeError((folder / "dockerd.log").read_text()[-800:])
            yield f"unix://{address}"
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


_SEEING = ("unshare", "--mount", "--propagation", "private", "sh", "-ec", 'mount --bind "$0" /etc; exec "$@"')


def cannot_see_another_etc() -> str:
    """Why no engine can be started that sees another folder as /etc; "" if it can."""
    done = subprocess.run([*_SEEING, "/tmp", "true"], capture_output=True, text=True, check=False)
    return f"no mount namespace can be had here: {done.stderr.strip()}" if done.returncode else ""


def _ping(address: Path) -> bool:
    connection = http.client.HTTPConnection("docker")
    try:
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.connect(str(address))
        connection.request("GET", "/_ping")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()
