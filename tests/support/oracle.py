"""python-tuf's own client over HTTP on a simulated server: what does somebody else's implementation say?"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.ngclient import Updater, UpdaterConfig

from tests.simulator.repository import RepositorySimulator
from trustdata.limits import MAX_ROOT, MAX_SNAPSHOT, MAX_TARGETS, MAX_TIMESTAMP
from trustdata.roles import ROOT

_ALL = 10**9


class LoopbackServer:
    """Serves whatever simulator stands in `site`, as a static web server would."""

    def __init__(self) -> None:
        self.site: RepositorySimulator | None = None
        self.blobs: dict[str, bytes] = {}
        self.requests: list[str] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = urlsplit(self.path).path
                owner.requests.append(path)
                body = owner.answer(path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                """Quiet."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def answer(self, path: str) -> bytes | None:
        if path.startswith("/targets/"):
            return self.blobs.get(path.removeprefix("/targets/"))
        if self.site is None:
            return None
        return self.site.fetch(self.site.gun, path.removeprefix("/metadata/"), limit=_ALL)

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`digest` of the tag, None if it is not listed; `refusal` is the class of python-tuf's error, or None."""

    digest: str | None
    refusal: str | None


class Oracle:
    """One machine with python-tuf's client and its cache; trusts version 1 of the root."""

    def __init__(self, server: LoopbackServer, site: RepositorySimulator, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._first = site.files[site.wire.filename(ROOT, version=1)]
        folder.mkdir(parents=True, exist_ok=True)

    def judge(self, site: RepositorySimulator, tag: str, *, at: datetime) -> Verdict:
        self._server.site = site
        config = UpdaterConfig(
            root_max_length=MAX_ROOT,
            timestamp_max_length=MAX_TIMESTAMP,
            snapshot_max_length=MAX_SNAPSHOT,
            targets_max_length=MAX_TARGETS,
        )
        metadata = f"{self._server.url}/metadata/"
        try:
            updater = Updater(str(self._folder), metadata, config=config, bootstrap=self._first)
            updater._trusted_set.reference_time = at
            found = updater.get_targetinfo(tag)
        except (RepositoryError, DownloadError, ValueError) as error:
            return Verdict(digest=None, refusal=type(error).__name__)
        return Verdict(digest=None if found is None else found.hashes.get("sha256"), refusal=None)


@contextlib.contextmanager
def loopback_server() -> Iterator[LoopbackServer]:
    server = LoopbackServer()
    try:
        yield server
    finally:
        server.close()
