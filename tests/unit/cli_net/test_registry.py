"""Registries that lie, drip, redirect and refuse."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import Authority
from tests.support.hostile_server import (
    HostileServer,
    Request,
    Wire,
    answering,
    json_reply,
    reply,
)
from tests.support.network_users import Stored, network_of
from tests.unit.cli_net.conftest import Serve
from trustcli.config.credential import Credential
from trustcli.errors import (
    ImageNotFound,
    ImageNotSupported,
    RemoteMisbehaved,
    RemoteRefused,
    RemoteUnreachable,
)
from trustcli.http.record import Record
from trustcli.http.tls import CertificateAuthorities
from trustcli.http.token_auth import CredentialSource
from trustcli.registry.client import Registry
from trustcli.registry.manifest import ACCEPT, MAX_MANIFEST, OCI_INDEX, OCI_MANIFEST, Manifest
from trustcli.registry.reference import ImageReference, parse_reference
from trustdata.errors import (
    ContentMismatch,
    InvalidName,
    TooLarge,
    TrustError,
)

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "127.0.0.2"])

RAW = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {}, "layers": []}).encode()
DIGEST = f"sha256:{hashlib.sha256(RAW).hexdigest()}"
TYPE = {"Content-Type": OCI_MANIFEST}

Registries = Callable[..., Registry]


@pytest.fixture
def registry_of(environ: dict[str, str]) -> Iterator[Registries]:
    made: list[Registry] = []

    def make(
        *, credentials: CredentialSource | None = None, insecure: Collection[str] = (), **options: Any
    ) -> Registry:
        made.append(Registry(network_of(environ, **options), credentials or Stored(), insecure=insecure))
        return made[-1]

    yield make
    for registry in made:
        registry.close()


def image(server: HostileServer, rest: str = "team/app:1.0") -> ImageReference:
    return parse_reference(f"{server.netloc}/{rest}")


# --- what goes right


def test_the_bytes_are_hashed(serve: Serve, registry_of: Registries) -> None:
    server = serve(answering(reply(200, RAW, TYPE)))
    registry = registry_of()
    expected = Manifest(digest=DIGEST, size=len(RAW), media_type=OCI_MANIFEST, children=())
    assert registry.resolve(image(server)) == expected
    assert registry.resolve(image(server, f"team/app:1.0@{DIGEST}")) == expected
    assert [r.target for r in server.requests] == ["/v2/team/app/manifests/1.0", f"/v2/team/app/manifests/{DIGEST}"]
    assert server.requests[0].headers["accept"] == ACCEPT
    assert ACCEPT.count(", ") == 5
    assert "authorization" not in server.requests[0].headers


def test_one_connection_after_the_first_look_for_https(serve: Serve, registry_of: Registries) -> None:
    server = serve(answering(reply(200, RAW, TYPE)))
    registry = registry_of()
    for _ in range(3):
        registry.resolve(image(server))
    assert server.connections == 2


def test_an_index_gives_its_children(serve: Serve, registry_of: Registries) -> None:
    children = [f"{n:064x}" for n in range(3)]
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [{"digest": f"sha256:{c}"} for c in children]}
    found = registry_of().resolve(image(serve(answering(json_reply(200, index, {"Content-Type": OCI_INDEX})))))
    assert found.children == tuple(children)


class Manifests:
    """A registry of these documents, each under its digest; `top` is behind every tag."""

    def __init__(self) -> None:
        self.by_digest: dict[str, bytes] = {}
        self.top = ""

    def put(self, content: object) -> dict[str, object]:
        """Store a document; it is the new `top`. Return its descriptor."""
        raw = json.dumps(content).encode()
        self.top = f"sha256:{hashlib.sha256(raw).hexdigest()}"
        self.by_digest[self.top] = raw
        kind = content["mediaType"] if isinstance(content, dict) else ""
        return {"digest": self.top, "mediaType": kind}

    def index(self, *entries: Mapping[str, object]) -> dict[str, object]:
        return self.put({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})

    def single(self, text: str) -> dict[str, object]:
        layers = [{"digest": text}]
        return self.put({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {}, "layers": layers})

    def __call__(self, request: Request, wire: Wire) -> None:
        wanted = request.target.rpartition("/")[2]
        raw = self.by_digest.get(wanted if wanted.startswith("sha256:") else self.top)
        wire.send(reply(404) if raw is None else reply(200, raw))


def hex_of(*descriptors: Mapping[str, object]) -> set[str]:
    return {str(descriptor["digest"]).removeprefix("sha256:") for descriptor in descriptors}


def test_platforms_of_an_index_in_an_index_are_children_too(serve: Serve, registry_of: Registries) -> None:
    stored = Manifests()
    one, two, three = (stored.single(text) for text in ("1", "2", "3"))
    inner = stored.index(one, two)
    middle = stored.index(inner, two)
    absent = {"digest": f"sha256:{'0' * 64}", "mediaType": OCI_INDEX}
    stored.index(middle, three, absent)
    server = serve(stored)
    found = registry_of().resolve(image(server))
    assert found.digest == stored.top
    assert set(found.children) == hex_of(one, two, three, inner, middle, absent)
    assert len(found.children) == 6


def test_what_lies_below_an_index_is_bounded(serve: Serve, registry_of: Registries) -> None:
    stored = Manifests()
    stored.index(*(stored.index(stored.single(str(number))) for number in range(17)))
    server = serve(stored)
    with pytest.raises(ImageNotSupported, match="more than 16 other indexes"):
        registry_of().resolve(image(server))
    assert len(server.requests) <= 17
    half = [{"digest": f"sha256:{number:064x}"} for number in range(200)]
    other = [{"digest": f"sha256:{number:064x}"} for number in range(1000, 1200)]
    stored.index(stored.index(*half), stored.index(*other))
    with pytest.raises(ImageNotSupported, match="402 manifests, more than 256"):
        registry_of().resolve(image(server))


def test_an_inner_index_with_other_bytes_is_not_believed(serve: Serve, registry_of: Registries) -> None:
    stored = Manifests()
    inner = stored.index(stored.single("1"))
    stored.index(inner)
    stored.by_digest[str(inner["digest"])] += b" "
    with pytest.raises(ContentMismatch):
        registry_of().resolve(image(serve(stored)))


# --- lies


def test_other_bytes_than_the_digest_asked_for(serve: Serve, registry_of: Registries) -> None:
    server = serve(answering(reply(200, RAW + b" ", TYPE)))
    with pytest.raises(ContentMismatch) as caught:
        registry_of().resolve(image(server, f"team/app@{DIGEST}"))
    assert caught.value.expected == DIGEST


@pytest.mark.parametrize(
    "told", ["sha256:" + "0" * 64, "sha512:" + "0" * 128, "sha256:", DIGEST.upper().replace("SHA", "sha")]
)
def test_a_header_that_disagrees_with_the_bytes(serve: Serve, registry_of: Registries, told: str) -> None:
    server = serve(answering(reply(200, RAW, {**TYPE, "Docker-Content-Digest": told})))
    with pytest.raises(ContentMismatch):
        registry_of().resolve(image(server))


@pytest.mark.parametrize("told", [DIGEST, "sha512:" + hashlib.sha512(RAW).hexdigest()])
def test_a_header_that_agrees_changes_nothing(serve: Serve, registry_of: Registries, told: str) -> None:
    server = serve(answering(reply(200, RAW, {**TYPE, "Docker-Content-Digest": told})))
    assert registry_of().resolve(image(server)).digest == DIGEST


def test_a_header_does_not_replace_the_hash(serve: Serve, registry_of: Registries) -> None:
    server = serve(answering(reply(200, RAW + b"\n", {**TYPE, "Docker-Content-Digest": f"sha256:{'0' * 64}"})))
    with pytest.raises(ContentMismatch):
        registry_of().resolve(image(server, f"team/app@sha256:{'0' * 64}"))


def test_a_name_alone_is_not_resolved(serve: Serve, registry_of: Registries) -> None:
    server = serve(answering(reply(200, RAW, TYPE)))
    with pytest.raises(InvalidName, match="tag or a digest"):
        registry_of().resolve(image(server, "team/app"))
    assert server.requests == []


# --- sizes and truncation


def test_four_mebibytes_are_the_most(serve: Serve, registry_of: Registries) -> None:
    padded = RAW + b" " * (MAX_MANIFEST - len(RAW))
    server = serve(answering(reply(200, padded, TYPE), reply(200, padded + b" ", TYPE)))
    registry = registry_of()
    assert registry.resolve(image(server)).size == MAX_MANIFEST
    with pytest.raises(TooLarge, match="the manifest of"):
        registry.resolve(image(server))


# --- statuses


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("MANIFEST_UNKNOWN", "no such tag or digest"),
        ("NAME_UNKNOWN", "no such repository"),
        ("", "no such repository, tag or digest, or none that is shown to whoever asks without credentials"),
    ],
)
def test_404_says_what_is_missing(serve: Serve, registry_of: Registries, code: str, words: str) -> None:
    answer = json_reply(404, {"errors": [{"code": code}]}) if code else reply(404, b"<html>")
    server = serve(answering(answer))
    with pytest.raises(ImageNotFound, match=words) as caught:
        registry_of().resolve(image(server))
    assert caught.value.image == f"{server.netloc}/team/app:1.0"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RemoteRefused),
        (401, RemoteRefused),
        (403, RemoteRefused),
        (405, RemoteRefused),
        (429, RemoteUnreachable),
        (503, RemoteUnreachable),
    ],
)
def test_other_statuses(serve: Serve, registry_of: Registries, status: int, error: type[TrustError]) -> None:
    answer = json_reply(status, {"errors": [{"code": "DENIED", "message": "because"}]})
    with pytest.raises(error) as caught:
        registry_of().resolve(image(serve(answering(answer))))
    if status != 401:
        assert "because" in str(caught.value)
    if status == 403:
        assert "may not be read without credentials" in str(caught.value)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"This registry has moved to new.example\n", "; it says: This registry has moved to new.example"),
        (b"<html><title>404 Not Found</title>", "; it says: 404 Not Found"),
        (b'{"errors": [{"code": "MOVED", "message": "ask elsewhere"}]}', "; it says: ask elsewhere"),
    ],
)
def test_what_a_404_says_is_told(serve: Serve, registry_of: Registries, body: bytes, words: str) -> None:
    with pytest.raises(ImageNotFound) as caught:
        registry_of().resolve(image(serve(answering(reply(404, body)))))
    assert str(caught.value).endswith(words)


def behind_a_challenge_at_ping(wanted: str, hidden: bytes) -> Callable[[Request, Wire], None]:
    """A registry that challenges at /v2/ alone, and hides from strangers what they may not see."""

    def script(request: Request, wire: Wire) -> None:
        known = request.headers.get("authorization") == wanted
        if request.target == "/v2/":
            wire.send(reply(200) if known else reply(401, headers={"WWW-Authenticate": 'Basic realm="x"'}))
        else:
            wire.send(reply(200, RAW, TYPE) if known else hidden)

    return script


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_is_hidden_from_strangers_is_asked_for_with_the_login(
    serve: Serve, registry_of: Registries, status: int
) -> None:
    server = serve(behind_a_challenge_at_ping("Basic YWxpY2U6aHVudGVyMg==", reply(status)))
    alice = Credential(source="c", username="alice", password="hunter2")
    registry = registry_of(credentials=Stored(**{server.netloc: alice}))
    assert registry.resolve(image(server)).digest == DIGEST
    assert registry.resolve(image(server)).digest == DIGEST
    assert [r.target.rpartition("/")[2] for r in server.requests] == ["1.0", "", "1.0", "1.0"]


@pytest.mark.parametrize(("status", "error"), [(403, RemoteRefused), (404, ImageNotFound)])
def test_without_a_login_nothing_more_is_asked(
    serve: Serve, registry_of: Registries, status: int, error: type[TrustError]
) -> None:
    server = serve(behind_a_challenge_at_ping("nobody", reply(status)))
    with pytest.raises(error):
        registry_of().resolve(image(server))
    assert len(server.requests) == 1


def test_a_401_without_a_challenge_is_met_with_that_of_the_ping(serve: Serve, registry_of: Registries) -> None:
    """Even where nobody is logged in: it may be one for a token that anybody gets."""
    tokens = serve(answering(json_reply(200, {"token": "t0k"})))

    def script(request: Request, wire: Wire) -> None:
        if request.headers.get("authorization") == "Bearer t0k":
            wire.send(reply(200, RAW, TYPE))
        elif request.target == "/v2/":
            wire.send(reply(401, headers={"WWW-Authenticate": f'Bearer realm="{tokens.url}/token"'}))
        else:
            wire.send(reply(401))

    assert registry_of().resolve(image(serve(script))).digest == DIGEST
    assert "scope=repository%3Ateam%2Fapp%3Apull" in tokens.requests[0].target


def test_a_401_without_any_challenge_is_told_as_one(serve: Serve, registry_of: Registries) -> None:
    server = serve(answering(reply(401)))
    with pytest.raises(RemoteRefused, match="offers nothing") as caught:
        registry_of().resolve(image(server))
    assert caught.value.status == 401
    assert len(server.requests) == 2


def test_a_registry_that_challenges_nowhere_is_believed(serve: Serve, registry_of: Registries) -> None:
    server = serve(answering(reply(404), reply(200), reply(500)))
    alice = Credential(source="c", username="alice", password="hunter2")
    with pytest.raises(ImageNotFound):
        registry_of(credentials=Stored(**{server.netloc: alice})).resolve(image(server))
    assert all("authorization" not in request.headers for request in server.requests)


# --- redirects


def test_credentials_stay_with_the_registry(serve: Serve, registry_of: Registries) -> None:
    other = serve(answering(reply(200, RAW, TYPE)))

    def script(request: Request, wire: Wire) -> None:
        if "authorization" not in request.headers:
            wire.send(reply(401, headers={"WWW-Authenticate": "Basic"}))
        else:
            wire.send(reply(307, headers={"Location": f"{other.url}/elsewhere"}))

    server = serve(script)
    stored = Stored(**{server.netloc: Credential(source="c", username="alice", password="hunter2")})
    assert registry_of(credentials=stored).resolve(image(server)).digest == DIGEST
    assert ["authorization" in r.headers for r in server.requests] == [False, True]
    assert "authorization" not in other.requests[0].headers


def test_no_redirect_from_https_to_http(
    serve: Serve, registry_of: Registries, authority: Authority, tmp_path: Path
) -> None:
    plain = serve(answering(reply(200, RAW, TYPE)))
    server = serve(answering(reply(307, headers={"Location": plain.url})), tls=authority.server_context(tmp_path))
    registry = registry_of(authorities=CertificateAuthorities({}, cacert=authority.file))
    with pytest.raises(RemoteMisbehaved, match="from https to http"):
        registry.resolve(image(server))
    assert plain.requests == []


def test_no_redirect_from_far_away_to_this_machine(
    serve: Serve, registry_of: Registries, environ: dict[str, str]
) -> None:
    here = serve(answering(reply(200, RAW, TYPE)))

    def script(request: Request, wire: Wire) -> None:
        if request.method == "CONNECT":
            wire.send(b"HTTP/1.1 200 OK\r\n\r\nnot TLS at all")
            wire.close()
        else:
            wire.send(reply(307, headers={"Location": here.url}))

    proxy = serve(script)
    environ.update(HTTP_PROXY=proxy.url, HTTPS_PROXY=proxy.url)
    registry = registry_of(insecure=["registry.example.com"])
    with pytest.raises(RemoteMisbehaved, match="on this machine"):
        registry.resolve(parse_reference("registry.example.com/app:1"))
    assert here.requests == []


# --- HTTPS, and when not


def test_https_comes_first(serve: Serve, registry_of: Registries, authority: Authority, tmp_path: Path) -> None:
    server = serve(answering(reply(200, RAW, TYPE)), tls=authority.server_context(tmp_path))
    registry = registry_of(authorities=CertificateAuthorities({}, cacert=authority.file))
    assert registry.resolve(image(server)).digest == DIGEST
    assert server.connections == 1


def test_plain_http_elsewhere_only_when_told(serve: Serve, registry_of: Registries, environ: dict[str, str]) -> None:
    # A proxy stands for the host far away: it refuses the tunnel, as if nobody spoke TLS there.
    def script(request: Request, wire: Wire) -> None:
        if request.method == "CONNECT":
            wire.send(b"HTTP/1.1 200 OK\r\n\r\nnot TLS at all")
            wire.close()
        else:
            wire.send(reply(200, RAW, TYPE))

    proxy = serve(script)
    environ.update(HTTP_PROXY=proxy.url, HTTPS_PROXY=proxy.url)
    far = parse_reference("registry.example.com:5000/app:1")
    with pytest.raises(RemoteUnreachable, match="through the proxy"):
        registry_of().resolve(far)
    with pytest.raises(RemoteUnreachable):
        registry_of(insecure=["registry.example.com:5001", "example.com"]).resolve(far)
    assert {r.method for r in proxy.requests} == {"CONNECT"}
    for insecure in ("registry.example.com", "Registry.example.com:5000"):
        assert registry_of(insecure=[insecure]).resolve(far).digest == DIGEST
    assert proxy.requests[-1].target == "http://registry.example.com:5000/v2/app/manifests/1"


@pytest.mark.parametrize("fails", ["token-server", "redirect-target", "second-request"])
def test_who_has_answered_over_https_is_not_asked_in_the_clear(
    serve: Serve, registry_of: Registries, authority: Authority, tmp_path: Path, fails: str
) -> None:
    """What refuses the connection then is another server, or the network: neither says that TLS is not spoken."""
    dead = serve(answering(b""), tls=authority.server_context(tmp_path))
    dead.stop()
    first = {
        "token-server": reply(401, headers={"WWW-Authenticate": f'Bearer realm="{dead.url}/token"'}),
        "redirect-target": reply(307, headers={"Location": f"{dead.url}/v2/x"}),
        "second-request": reply(307, headers={"Location": "/v2/x", "Connection": "close"}),
    }[fails]

    def script(_: Request, wire: Wire) -> None:
        wire.send(first)
        if fails == "second-request":
            server.stop_listening()
            wire.close()

    server = serve(script, tls=authority.server_context(tmp_path))
    record = Record()
    registry = registry_of(authorities=CertificateAuthorities({}, cacert=authority.file), observer=record)
    with pytest.raises(RemoteUnreachable, match="refused") as caught:
        registry.resolve(image(server))
    assert caught.value.remote == (server.url if fails == "second-request" else dead.url)
    assert {exchange.origin.scheme for exchange in record.exchanges} == {"https"}


# --- tokens


def test_the_token_flow_with_a_password_for_the_registry(serve: Serve, registry_of: Registries) -> None:
    tokens = serve(answering(json_reply(200, {"access_token": "t0k"})))

    def script(request: Request, wire: Wire) -> None:
        if request.headers.get("authorization") == "Bearer t0k":
            wire.send(reply(200, RAW, TYPE))
        else:
            wire.send(reply(401, headers={"WWW-Authenticate": f'Bearer realm="{tokens.url}/token",service="r"'}))

    server = serve(script)
    stored = Stored(**{server.netloc: Credential(source="c", username="alice", password="hunter2")})
    registry = registry_of(credentials=stored)
    assert registry.resolve(image(server)).digest == DIGEST
    assert tokens.requests[0].target == "/token?service=r&scope=repository%3Ateam%2Fapp%3Apull"
    assert tokens.requests[0].headers["authorization"] == "Basic YWxpY2U6aHVudGVyMg=="
    registry.resolve(image(server))
    assert len(tokens.requests) == 1
    registry.resolve(image(server, "team/other:1.0"))
    assert len(tokens.requests) == 2
