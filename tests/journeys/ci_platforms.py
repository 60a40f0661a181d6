"""Stand-ins for the CI platforms of docs/guides/access.md, on loopback: keys, discovery, and the tokens of three jobs.

`ci-platforms PORT FOLDER` serves the issuers GitHub, GitLab and a cluster below their names. GitHub's token is asked
for over HTTP, as there; those of the others lie in the folder, for this audience: AUDIENCE.
"""

from __future__ import annotations

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.simulator.workload_issuers import KEY, cluster, discovery, github, gitlab, jwk, jwks, shown

ISSUERS = ("github", "gitlab", "cluster")
REQUEST_TOKEN = "of-the-runner"


def now(**claims: Any) -> dict[str, Any]:
    at = int(time.time())
    return {**claims, "iat": at, "nbf": at, "exp": at + 300}


class Platforms(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        issuer, _, rest = parts.path.removeprefix("/").partition("/")
        url = f"http://{self.headers['Host']}/{issuer}"
        if issuer not in ISSUERS:
            self.send_error(404)
        elif rest == ".well-known/openid-configuration":
            self._send(discovery(url))
        elif rest == "keys":
            self._send(jwks(jwk(KEY)))
        elif rest == "idtoken" and self.headers["Authorization"] == f"Bearer {REQUEST_TOKEN}":
            (audience,) = parse_qs(parts.query)["audience"]
            claims = github(iss=url, aud=audience, jti=os.urandom(8).hex(), environment="release")
            self._send(json.dumps({"value": shown(now(**claims)).decode()}).encode())
        else:
            self.send_error(401)

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class has it so
        """Nobody reads it."""


def main() -> None:
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    server, audience = ThreadingHTTPServer(("127.0.0.1", port), Platforms), os.environ["AUDIENCE"]
    url = f"http://127.0.0.1:{port}"
    jobs = {
        "gitlab": gitlab(iss=f"{url}/gitlab", aud=audience),
        "cluster": {**cluster(aud=[audience]), "iss": f"{url}/cluster"},
    }
    folder.mkdir(parents=True)
    for name, claims in jobs.items():
        file = folder / name
        file.touch(0o600)
        file.write_bytes(shown(now(**claims)))
    server.serve_forever()


if __name__ == "__main__":
    main()
