"""A Notary server that only shows files: those of a fixture, under their names, versions and hashes, on loopback."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote

FIXTURES = Path(__file__).parents[1] / "golden" / "notary_v1"


def gun_of(state: str) -> str:
    """The collection whose files a fixture has."""
    return (FIXTURES / state / "gun").read_text().strip()


def answers(*states: str) -> dict[str, bytes]:
    """By path: every file of these fixtures, as a Notary server answers for them."""
    found: dict[str, bytes] = {}
    for state in states:
        folder, below = FIXTURES / state, f"/v2/{gun_of(state)}/_trust/tuf"
        for file in [*folder.glob("*.json"), *folder.glob("targets/*.json")]:
            name, raw = str(file.relative_to(folder)), file.read_bytes()
            found[f"{below}/{name}"] = raw
            found[f"{below}/{name.removesuffix('.json')}.{hashlib.sha256(raw).hexdigest()}.json"] = raw
        for file in folder.glob("versions/**/*.json"):
            found[f"{below}/{file.relative_to(folder / 'versions')}"] = file.read_bytes()
    return found


@contextmanager
def static_notary(*states: str) -> Iterator[str]:
    """The URL of a server that has these fixtures, and answers 404 to everything else."""
    there = answers(*states)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            raw = there.get(unquote(self.path))
            body = raw if raw is not None else b'{"errors":[{"code":"METADATA_NOT_FOUND","message":"none"}]}\n'
            self.send_response(200 if raw is not None else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
