"""The registry of the demo: a real one if docker-registry is installed, else a read-only one in this process."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

from trustcli.commands.demo.image import MANIFEST_TYPE, Image
from trustcli.commands.demo.programs import ask
from trustcli.errors import RemoteRefused


class DemoRegistry(Protocol):
    """A registry to which images can be pushed."""

    @property
    def what(self) -> str:
        """What kind of registry it is, for the user."""

    def push(self, repository: str, tag: str, image: Image) -> None:
        """Make `repository:tag` this image."""


class RealRegistry:
    """A registry on loopback (OCI distribution API: "Pushing blobs", monolithic; "Pushing manifests")."""

    what = "docker-registry"

    def __init__(self, port: int) -> None:
        self._port = port

    def push(self, repository: str, tag: str, image: Image) -> None:
        """Push the blobs, then the manifest. Raises: RemoteRefused."""
        for digest, blob in image.blobs.items():
            place = self._ask("POST", f"/v2/{repository}/blobs/uploads/", b"", "", expected=202)
            _, _, path = place.partition(f"127.0.0.1:{self._port}")
            joint = "&" if "?" in path else "?"
            self._ask("PUT", f"{path}{joint}digest={digest}", blob, "application/octet-stream", expected=201)
        self._ask("PUT", f"/v2/{repository}/manifests/{tag}", image.manifest, MANIFEST_TYPE, expected=201)

    def _ask(self, method: str, target: str, body: bytes, media_type: str, *, expected: int) -> str:
        headers = {"Content-Type": media_type} if media_type else {}
        response = ask(method, self._port, target, headers=headers, body=body)
        if response.status != expected:
            raise RemoteRefused(remote=f"127.0.0.1:{self._port}", status=response.status, reason=f"{method} {target}")
        return response.first("location")


class EmbeddedRegistry:
    """A registry that serves manifests and nothing else: enough to sign by digest, not to pull."""

    what = "a read-only stand-in (docker-registry is not installed)"

    def __init__(self) -> None:
        self._manifests: dict[str, bytes] = {}

    def push(self, repository: str, tag: str, image: Image) -> None:
        for reference in (tag, image.digest):
            self._manifests[f"/v2/{repository}/manifests/{reference}"] = image.manifest

    @contextmanager
    def serving(self, port: int) -> Iterator[None]:
        """Serve the manifests on the port until the block ends."""
        with serving(port, self._manifests, MANIFEST_TYPE):
            yield


@contextmanager
def serving(port: int, files: dict[str, bytes], media_type: str) -> Iterator[None]:
    """Serve these files (by path) on loopback until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = files.get(self.path)
            self.send_response(HTTPStatus.OK if body is not None else HTTPStatus.NOT_FOUND)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body or b"")))
            if body is not None:
                self.send_header("Docker-Content-Digest", f"sha256:{hashlib.sha256(body).hexdigest()}")
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
