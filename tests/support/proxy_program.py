"""The real `trust hook proxy` as a child process on loopback, and clients that ask it."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.programs import READY_SECONDS
from tests.support.proxy_stage import Got


@dataclass(frozen=True, kw_only=True)
class ProxyProgram:
    """A running proxy. `netloc`: HOST:PORT. `log`: what it wrote on standard error."""

    netloc: str
    process: subprocess.Popen[bytes]
    log: Path

    def get(self, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None) -> Got:
        """Ask once, on a connection of its own."""
        with contextlib.closing(http.client.HTTPConnection(self.netloc, timeout=60)) as client:
            client.request(method, path, headers=dict(headers or {}))
            answer = client.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return Got(status=answer.status, headers=told, body=answer.read())

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(READY_SECONDS)


@contextlib.contextmanager
def proxy_running(
    folder: Path, upstream: str, *options: str, home: Path, server: str, environ: Mapping[str, str] | None = None
) -> Iterator[ProxyProgram]:
    """Run it until the end of the block. `upstream`: HOST:PORT over plain HTTP. `home`: with the pins."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "trustcli", "hook", "proxy", "--listen", "127.0.0.1:0"]
    command += ["--upstream", f"http://{upstream}", "--state", str(folder / "state"), *options]
    whole = {
        "PATH": os.environ["PATH"],
        **{name: value for name, value in os.environ.items() if name.startswith(("PYTHON", "COVERAGE"))},
        "HOME": str(folder),
        "TRUST_HOME": str(home),
        "TRUST_SERVER": server,
        **(environ or {}),
    }
    log = folder / "proxy.log"
    with (
        log.open("ab") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=whole, cwd=folder) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline().decode()
            assert " verified at http" in line, line + log.read_text()
            yield ProxyProgram(netloc=line.split("//")[-1].strip(), process=process, log=log)
        finally:
            process.kill()
