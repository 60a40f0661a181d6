"""A token server as registries have one, on loopback: Basic credentials in, a JWT out that grants what the person may.

Run as a program it serves until it is killed. Its key is made at the start, with a certificate that it signs itself.
"""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from tests.simulator.token_issuer import Certified, access, certify, claims, now, token, x5c
from trustserver.auth.token_keys import libtrust_id

ISSUER: Final = "the token server"
SERVICE: Final = "trust.example.com"
PASSWORD: Final = "Eintritt-Geheimnis-5"
RIGHTS: Final[Mapping[str, frozenset[str]]] = {
    "": frozenset(),
    "bob": frozenset({"pull"}),
    "alice": frozenset({"pull", "push"}),
    "carol": frozenset({"pull", "push", "*"}),
    "erin": frozenset(),
}
"""What each person may do to every repository; nobody has a name that is empty."""


class TokenServer:
    """The running program. `certificate` is what servers trust; `asked` what it was asked for, one line per request."""

    def __init__(self, folder: Path, url: str) -> None:
        self.realm = f"{url}/token"
        self.certificate = folder / "tokens.crt"
        self._asked = folder / "asked"

    def asked(self) -> list[str]:
        """`WHO SCOPE` of each request, in order; a token that was not given has no line."""
        return self._asked.read_text().splitlines() if self._asked.exists() else []

    def options(self) -> list[str]:
        """What `trust-server serve` is told of it."""
        return [
            *("--auth-token-realm", self.realm, "--auth-token-service", SERVICE),
            *("--auth-token-issuer", ISSUER, "--auth-token-cert", str(self.certificate)),
        ]

    def of_distribution(self, service: str = SERVICE) -> dict[str, object]:
        """The same for programs that are made with Docker's distribution."""
        bundle = str(self.certificate)
        return {"realm": self.realm, "service": service, "issuer": ISSUER, "rootcertbundle": bundle}


@contextlib.contextmanager
def start_token_server(folder: Path, *, naming: str = "kid") -> Iterator[TokenServer]:
    """A token server until the end of the block. `naming`: how its tokens name their key, `kid` or `x5c`."""
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "tests.support.token_server", str(folder), naming]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url.startswith("http://"), "the token server did not start"
            yield TokenServer(folder, url)
        finally:
            process.kill()


def logged_in(folder: Path, person: str, *servers: str) -> None:
    """What `docker login` leaves in a configuration folder, for each of these hosts."""
    folder.mkdir(parents=True, exist_ok=True)
    auth = base64.b64encode(f"{person}:{PASSWORD}".encode()).decode()
    auths = {server: {"auth": auth} for server in servers} if person else {}
    (folder / "config.json").write_text(json.dumps({"auths": auths}))


class _Handler(BaseHTTPRequestHandler):
    issued: Certified
    header: Mapping[str, Any]
    asked: Path

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        who = self._who()
        if who is None:
            self._answer(401, {"details": "incorrect username or password"})
            return
        scopes = query.get("scope", [])
        with self.asked.open("a") as file:
            file.write(f"{who or 'nobody'} {' '.join(scopes)}\n")
        entries = []
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            granted = [action for action in actions.split(",") if action in RIGHTS[who]]
            entries.append(access(name, *granted, kind=kind))
        said = claims(now(), *entries, iss=ISSUER, sub=who, aud=query.get("service", [""])[0])
        self._answer(200, {"token": token(self.issued.key, said, **self.header), "expires_in": 300})

    def _who(self) -> str | None:
        """Empty without credentials; None for wrong ones."""
        given = self.headers.get("Authorization", "")
        if not given:
            return ""
        person, _, password = base64.b64decode(given.removeprefix("Basic ")).decode().partition(":")
        return person if password == PASSWORD and person in RIGHTS else None

    def _answer(self, status: int, content: Mapping[str, object]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the library's name
        del format, arguments


def main() -> None:
    """FOLDER NAMING; prints the server's URL once it takes connections."""
    folder, naming = Path(sys.argv[1]), sys.argv[2]
    issued = certify(now())
    (folder / "tokens.crt").write_bytes(issued.pem)
    _Handler.issued = issued
    _Handler.header = x5c(issued) if naming == "x5c" else {"kid": libtrust_id(issued.key.public_key())}
    _Handler.asked = folder / "asked"
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        sys.stdout.write(f"http://127.0.0.1:{server.server_address[1]}\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main()
