"""The real `trust hook admission` as a child process, and an API server's side of it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from tests.support.admission import Object, answered, sent
from tests.support.loaded_program import LoadedProcess, start_loaded
from tests.support.trust_program import TrustUser

END_SECONDS = 60
PATIENT = "timeout=30s"
"""What an API server says that waits as long as it may."""


class Admission:
    """One webhook: `etc` holds trust.toml, pins.toml and policy.toml, `state` what it remembers, `log` what it says.

    `admin`: who looks after `etc`.
    """

    def __init__(self, folder: Path, servers: Mapping[str, str]) -> None:
        self.etc = folder / "etc"
        self.etc.mkdir(parents=True)
        self.state = folder / "state"
        self.policy = self.etc / "policy.toml"
        self.log = folder / "log"
        self.admin = TrustUser(folder / "admin", "", environ={"TRUST_HOME": str(self.etc)})
        self.url, self.ca = "", Path()
        self._process: LoadedProcess | None = None
        self._printed: IO[str] | None = None
        rows = "".join(f"{json.dumps(name)} = {json.dumps(url)}\n" for name, url in servers.items())
        (self.etc / "trust.toml").write_text(f"[servers]\n{rows}")

    def allow(self, *rules: str) -> None:
        """Write the policy: each rule is what stands below [[rule]]."""
        written = self.etc / "new.toml"
        written.write_text("version = 1\n" + "".join(f"\n[[rule]]\n{rule}\n" for rule in rules))
        written.replace(self.policy)

    def start(self, *options: str, tls: Sequence[str] = ("--self-signed",)) -> None:
        """Start it; returns when connections are taken."""
        printed = self.launch(*options, tls=tls)
        first = printed.readline()
        assert first.startswith("admission at https://"), self.log.read_text()
        self.url = first.split()[-1]
        if "--self-signed" in tls:
            self.ca = Path(printed.readline().partition(": ")[2].strip())

    def launch(self, *options: str, tls: Sequence[str] = ("--self-signed",)) -> IO[str]:
        """Start it, and return what it prints."""
        reads, writes = os.pipe()
        command = ["hook", "admission", "--listen", "127.0.0.1:0", "--policy", str(self.policy), *tls, *options]
        command += ["--config", str(self.etc / "trust.toml"), "--state", str(self.state)]
        self._printed = os.fdopen(reads)
        with self.log.open("a") as log, os.fdopen(writes, "w") as stdout:
            self._process = start_loaded(
                "trustcli",
                command,
                package="trustcli",
                cwd=self.etc,
                environ=self.admin.environ,
                stdout=stdout,
                stderr=log,
            )
        return self._printed

    def connect(self, ca: Path | None = None) -> http.client.HTTPSConnection:
        """A connection as an API server's: it believes this CA alone, by default the webhook's own."""
        context = ssl.create_default_context(cafile=str(ca or self.ca))
        return http.client.HTTPSConnection(urlsplit(self.url).netloc, timeout=END_SECONDS, context=context)

    def post(
        self,
        raw: bytes,
        path: str = f"/validate?{PATIENT}",
        *,
        connection: http.client.HTTPSConnection | None = None,
    ) -> tuple[int, bytes]:
        with contextlib.ExitStack() as stack:
            used = connection or stack.enter_context(contextlib.closing(self.connect()))
            used.request("POST", path, body=raw, headers={"Content-Type": "application/json"})
            answer = used.getresponse()
            return answer.status, answer.read()

    def get(self, path: str) -> tuple[int, str]:
        with contextlib.closing(self.connect()) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def review(
        self,
        document: Object,
        path: str = f"/validate?{PATIENT}",
        *,
        connection: http.client.HTTPSConnection | None = None,
    ) -> Object:
        """Post a review, and return the response."""
        status, raw = self.post(sent(document), path, connection=connection)
        assert status == 200, raw
        return answered(raw)

    def refuses(self, document: Object, *words: str, path: str = f"/validate?{PATIENT}") -> str:
        response = self.review(document, path)
        assert response["allowed"] is False
        message = str(response["status"]["message"])
        for word in words:
            assert word in message, message
        return message

    def allows(self, document: Object, path: str = f"/validate?{PATIENT}") -> Object:
        response = self.review(document, path)
        assert response["allowed"] is True, response
        return response

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> int:
        """End it as a kubelet does; returns its exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._ended()

    def kill(self) -> None:
        """Kill it if it runs."""
        if self._process is not None:
            self._process.kill()
            self._ended()

    def _ended(self) -> int:
        assert self._process is not None
        status = self._process.wait(END_SECONDS)
        self._process = None
        if self._printed is not None:
            self._printed.close()
        return status
