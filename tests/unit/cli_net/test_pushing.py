"""A policy is pushed to the registry that was asked and to nobody else, and what went wrong is told."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.hostile_server import HostileServer, Request, Wire, json_reply, reply
from tests.support.network_users import Stored, network_of
from tests.unit.cli_net.conftest import Serve
from trustcli.config.credential import Credential
from trustcli.errors import ImageNotFound, RemoteMisbehaved, RemoteRefused, RemoteUnreachable
from trustcli.registry.client import Registry
from trustcli.registry.policy_artifact import fetch_policy, policy_artifact
from trustcli.registry.pushing import push_artifact
from trustcli.registry.reference import parse_reference
from trustdata.errors import ContentMismatch

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "127.0.0.2"])

POLICY = b'[[rule]]\nmatch = "*"\n'
ARTIFACT = policy_artifact(POLICY)
BEGIN = "/v2/team/policies/blobs/uploads/"


def digest_of(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


@dataclass(kw_only=True)
class Taking:
    """A registry that takes what is pushed. `location`: where an upload goes on. `answers`: by method and path.

    `wants`: the Authorization without which nobody is let in; `challenge`: how that is said.
    """

    location: str = f"{BEGIN}7?state=a%2Fb"
    answers: dict[str, bytes] = field(default_factory=dict)
    wants: str = ""
    challenge: str = 'Basic realm="a registry"'
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)

    def __call__(self, request: Request, wire: Wire) -> None:
        path = urlsplit(request.target).path
        if answer := self.answers.get(f"{request.method} {path}"):
            wire.send(answer)
        elif self.wants and request.headers.get("authorization") != self.wants:
            wire.send(json_reply(401, {"errors": []}, {"WWW-Authenticate": self.challenge}))
        else:
            wire.send(self._taken(request, path))

    def _taken(self, request: Request, path: str) -> bytes:
        kind, name = path.split("/")[-2:]
        if request.method == "POST" and path == BEGIN:
            return reply(202, b"", {"Location": self.location})
        if request.method == "PUT" and kind == "uploads":
            query = parse_qs(urlsplit(request.target).query)
            assert query["state"] == ["a/b"]
            (digest,) = query["digest"]
            self.blobs[digest] = request.body
            return reply(201 if digest == digest_of(request.body) else 400, b"")
        if request.method == "PUT" and kind == "manifests":
            assert request.headers["content-type"] == "application/vnd.oci.image.manifest.v1+json"
            self.manifests[name] = self.manifests[digest_of(request.body)] = request.body
            return reply(201, b"", {"Docker-Content-Digest": digest_of(request.body)})
        found = (self.manifests if kind == "manifests" else self.blobs).get(name)
        return reply(404, b"") if found is None else reply(200, found)


Push = Callable[[HostileServer], Registry]


@pytest.fixture
def push(environ: dict[str, str]) -> Iterator[Callable[..., Registry]]:
    made: list[Registry] = []

    def pushed(server: HostileServer, **credentials: Credential) -> Registry:
        stored = Stored()
        stored.by_server = dict.fromkeys([server.netloc], next(iter(credentials.values()))) if credentials else {}
        made.append(Registry(network_of(environ), stored))
        reference = parse_reference(f"{server.netloc}/team/policies:now")
        push_artifact(made[-1], reference, manifest=ARTIFACT.manifest, blobs=ARTIFACT.blobs)
        return made[-1]

    yield pushed
    for registry in made:
        registry.close()


@pytest.mark.parametrize("location", [f"{BEGIN}7?state=a%2Fb", "7?state=a%2Fb", "//{netloc}" + f"{BEGIN}7?state=a%2Fb"])
def test_what_is_pushed_can_be_fetched(serve: Serve, push: Push, location: str) -> None:
    registry = Taking()
    server = serve(registry)
    registry.location = location.replace("{netloc}", server.netloc)
    client = push(server)
    assert registry.blobs == {digest_of(blob): blob for blob in ARTIFACT.blobs}
    assert registry.manifests["now"] == ARTIFACT.manifest
    assert fetch_policy(client, parse_reference(f"{server.netloc}/team/policies@{ARTIFACT.digest}")) == POLICY


def test_it_is_the_same_artifact_each_time() -> None:
    assert policy_artifact(POLICY) == ARTIFACT
    assert policy_artifact(POLICY + b"\n").digest != ARTIFACT.digest
    assert digest_of(ARTIFACT.manifest) == ARTIFACT.digest


def test_it_logs_in(serve: Serve, push: Callable[..., Registry]) -> None:
    registry = Taking(wants="Basic Ym9iOnNlY3JldA==")
    server = serve(registry)
    push(server, bob=Credential(username="bob", password="secret", source="test"))
    assert "now" in registry.manifests
    with pytest.raises(RemoteRefused, match="asks for a user name and password"):
        push(server)


def test_a_token_is_asked_for_the_right_to_push(serve: Serve, push: Push) -> None:
    registry = Taking(wants="Bearer a-token")
    server = serve(registry)
    challenge = f'Bearer realm="{server.url}/token",service="registry",scope="repository:team/policies:pull"'
    registry.challenge = challenge
    registry.answers["GET /token"] = json_reply(200, {"token": "a-token"})
    push(server)
    assert "now" in registry.manifests
    scopes = [parse_qs(urlsplit(each.target).query)["scope"] for each in server.requests if "/token" in each.target]
    assert scopes == [["repository:team/policies:pull,push"]]


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("", "does not say where"),
        ("http://[", "no URL"),
        ("ftp://127.0.0.1/x", "no URL"),
        ("http://127.0.0.2{port}/x", "another server"),
        ("https://127.0.0.1{port}/x", "another server"),
        ("http://127.0.0.1:1/x", "another server"),
        ("//registry.example.com/x", "another server"),
    ],
)
def test_an_upload_stays_where_it_was_begun(serve: Serve, push: Push, location: str, said: str) -> None:
    registry = Taking()
    server = serve(registry)
    registry.location = location.replace("{port}", f":{server.port}")
    with pytest.raises(RemoteMisbehaved, match=said):
        push(server)
    assert [request.method for request in server.requests] == ["POST"]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_nothing_that_is_pushed_is_redirected(serve: Serve, push: Push, method: str, *, elsewhere: bool) -> None:
    other = serve(Taking())
    to = f"{other.url}{BEGIN}" if elsewhere else BEGIN
    path = BEGIN if method == "POST" else f"{BEGIN}7"
    server = serve(Taking(answers={f"{method} {path}": reply(307, b"", {"Location": to})}))
    with pytest.raises(RemoteMisbehaved, match=f"redirects a {method}"):
        push(server)
    assert other.requests == []


@pytest.mark.parametrize(
    ("answers", "error", "said"),
    [
        ({f"POST {BEGIN}": reply(201, b"")}, RemoteMisbehaved, "answers 201"),
        (
            {f"POST {BEGIN}": json_reply(404, {"errors": [{"code": "NAME_UNKNOWN"}]})},
            ImageNotFound,
            "no such repository",
        ),
        (
            {f"POST {BEGIN}": json_reply(405, {"errors": [{"code": "UNSUPPORTED", "message": "no pushes"}]})},
            RemoteRefused,
            "no pushes",
        ),
        (
            {f"POST {BEGIN}": json_reply(403, {"errors": [{"code": "DENIED", "message": "no"}]})},
            RemoteRefused,
            "may not be written without credentials",
        ),
        ({f"PUT {BEGIN}7": json_reply(400, {"errors": [{"message": "bad digest"}]})}, RemoteRefused, "bad digest"),
        ({f"PUT {BEGIN}7": reply(503, b"")}, RemoteUnreachable, "503"),
        (
            {"PUT /v2/team/policies/manifests/now": json_reply(400, {"errors": [{"message": "MANIFEST_INVALID"}]})},
            RemoteRefused,
            "MANIFEST_INVALID",
        ),
        (
            {"PUT /v2/team/policies/manifests/now": reply(201, b"", {"Docker-Content-Digest": digest_of(b"")})},
            ContentMismatch,
            "digest of",
        ),
    ],
)
def test_what_goes_wrong_is_told(
    serve: Serve, push: Push, answers: dict[str, bytes], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        push(serve(Taking(answers=answers)))
