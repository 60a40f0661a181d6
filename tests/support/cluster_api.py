"""As much of an API server as `kubectl apply --dry-run=client` asks: which kinds there are, and that no object is."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Final

_NO_NAMESPACE: Final = {"Namespace", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}


def resource_of(kind: str) -> str:
    """The name of a kind in URLs and in rules: `networkpolicies`."""
    name = kind.lower()
    return f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"


class _Asked(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    documents: ClassVar[dict[str, Any]] = {}

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        document = self.documents.get(path) or {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "reason": "NotFound",
            "code": 404,
        }
        body = json.dumps(document).encode()
        self.send_response(document.get("code", 200))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def empty_cluster(kinds: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Serve a cluster that has these kinds, as (`apps/v1`, `Deployment`), and no object; gives its URL."""
    by_version: dict[str, list[str]] = {}
    for version, kind in kinds:
        by_version.setdefault(version, []).append(kind)
    groups = [
        {
            "name": version.partition("/")[0],
            "versions": [{"groupVersion": version, "version": version.partition("/")[2]}],
            "preferredVersion": {"groupVersion": version, "version": version.partition("/")[2]},
        }
        for version in by_version
        if "/" in version
    ]
    documents: dict[str, Any] = {
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups},
    }
    for version, names in by_version.items():
        documents[f"/apis/{version}" if "/" in version else f"/api/{version}"] = {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": version,
            "resources": [
                {
                    "name": resource_of(kind),
                    "singularName": "",
                    "namespaced": kind not in _NO_NAMESPACE,
                    "kind": kind,
                    "verbs": ["create", "get", "patch"],
                }
                for kind in names
            ],
        }
    handler = type("_AskedHere", (_Asked,), {"documents": documents})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
