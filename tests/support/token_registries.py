"""Registries with a token server, as a script decides them: every way in which a 401 can come about."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.support.hostile_server import HostileServer, Request, Script, Wire, json_reply, reply

Serve = Callable[[Script], HostileServer]
REPOSITORY = "team/app"
ALICE = ("alice", "correct horse")


def token(access: Mapping[str, Sequence[str]]) -> str:
    """A JWT that grants these actions by repository; nobody here checks its signature."""
    claims = {"access": [{"type": "repository", "name": name, "actions": list(a)} for name, a in access.items()]}
    parts = [json.dumps(part).encode() for part in ({"alg": "none"}, claims)]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + ".c2ln"


def docker_config(*, host: str, who: tuple[str, str]) -> str:
    """What `docker login` leaves."""
    return json.dumps({"auths": {host: {"auth": base64.b64encode(":".join(who).encode()).decode()}}})


def manifest_reply() -> bytes:
    """An image, as far as signing looks at it."""
    kind = "application/vnd.oci.image.manifest.v1+json"
    return json_reply(200, {"schemaVersion": 2, "mediaType": kind, "config": {}, "layers": []}, {"Content-Type": kind})


@dataclass(kw_only=True)
class TokenRegistry:
    """Gives a token with `grants` to ALICE (to anybody, if `anonymous`), and lets those read who may `pull`.

    `exists`: without it every read of the repository is 401, whoever asks. `realm`: another token server's address.
    """

    grants: Mapping[str, Sequence[str]] = field(default_factory=dict)
    anonymous: bool = False
    exists: bool = True
    realm: str = ""

    def __call__(self, request: Request, wire: Wire) -> None:
        url = urlsplit(request.target)
        host = request.headers.get("host", "")
        if url.path == "/token":
            wire.send(self._token(request))
            return
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if bearer and url.path == "/v2/":
            wire.send(reply(200))
        elif bearer and self.exists and "pull" in self.grants.get(REPOSITORY, ()):
            tags = {"name": REPOSITORY, "tags": ["1.0"]}
            wire.send(manifest_reply() if "/manifests/" in url.path else json_reply(200, tags))
        else:
            realm = self.realm or f"http://{host}/token"
            challenge = f'Bearer realm="{realm}",service="registry"'
            errors = {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}
            wire.send(json_reply(401, errors, {"WWW-Authenticate": challenge}))

    def _token(self, request: Request) -> bytes:
        given = request.headers.get("authorization", "")
        if given == "Basic " + base64.b64encode(":".join(ALICE).encode()).decode() or (self.anonymous and not given):
            return json_reply(200, {"token": token(self.grants)})
        return json_reply(401, {"details": "incorrect username or password"})
