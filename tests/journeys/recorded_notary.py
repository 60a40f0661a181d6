"""A Notary server that only reads: the recorded files of the real clients, by the names that clients ask for."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_NOT_FOUND = json.dumps(
    {
        "errors": [
            {
                "code": "METADATA_NOT_FOUND",
                "message": "You have requested metadata that does not exist.",
                "detail": {},
            }
        ]
    }
).encode()


class RecordedNotary:
    """Serves every state below `folder`: current files, roots by version, and all others by SHA-256."""

    def __init__(self, folder: Path) -> None:
        self.files: dict[str, bytes] = {}
        self.bases: dict[str, tuple[str, Path]] = {}
        self.requests: list[str] = []
        for state in (state for state in folder.iterdir() if state.is_dir()):
            self._add(state)
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                owner.requests.append(self.path)
                found = owner.files.get(self.path)
                body = _NOT_FOUND if found is None else found
                self.send_response(404 if found is None else 200)
                self.send_header("Content-Type", "application/json; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                """Quiet."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def _add(self, state: Path) -> None:
        base = f"/v2/{(state / 'gun').read_text().strip()}/_trust/tuf"
        self.bases[state.name] = (base, state)
        for file in state.rglob("*.json"):
            raw = file.read_bytes()
            name = file.relative_to(state).as_posix().removesuffix(".json")
            if name.startswith("versions/"):
                version, _, role = name.removeprefix("versions/").partition(".")
                self.files[f"{base}/{version}.{role}.json"] = raw
            else:
                role = name
                self.files[f"{base}/{role}.json"] = raw
            self.files[f"{base}/{role}.{hashlib.sha256(raw).hexdigest()}.json"] = raw

    def go_back(self, state: str, timestamp: int) -> None:
        """Serve a state as it was when the timestamp had this version; its root must be today's."""
        base, folder = self.bases[state]
        self.files[f"{base}/timestamp.json"] = (folder / "versions" / f"{timestamp}.timestamp.json").read_bytes()

    def close(self) -> None:
        """Stop serving."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
