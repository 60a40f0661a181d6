"""Registry tokens with real programs: a token server, `trust-server`, Debian's docker-registry, and `trust`."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.images import build_image
from tests.support.programs import RunningProgram, free_port, program, push, running
from tests.support.server_process import ServerProcess
from tests.support.stage import Put
from tests.support.token_server import PASSWORD, TokenServer, logged_in, start_token_server
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

Serve = Callable[..., ServerProcess]


@pytest.fixture(scope="module", params=["kid", "x5c"])
def tokens(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenServer]:
    """A token server that names its key in either way."""
    with start_token_server(tmp_path_factory.mktemp("tokens") / "server", naming=request.param) as server:
        yield server


@pytest.fixture
def guarded(tmp_path: Path, tokens: TokenServer) -> Iterator[Serve]:
    """Starts trust servers that want its tokens, with these options besides."""
    with ExitStack() as stack:

        def start(*options: str) -> ServerProcess:
            folder = tmp_path / "guarded"
            folder.mkdir()
            server = ServerProcess(folder / "data")
            stack.callback(server.kill)
            server.start(*tokens.options(), *options)
            return server

        yield start


class Person(TrustUser):
    """Somebody who is, or is not, known to the token server."""

    def __init__(self, folder: Path, server: ServerProcess, who: str, *registries: str) -> None:
        trusted = {"TRUST_CACERT": server.ca} if server.ca else {}
        super().__init__(folder, server.url, environ=trusted)
        self.server = server
        self.registries = registries
        self.log_in(who)

    def log_in(self, who: str) -> None:
        """`docker login` at the trust server and the registries; nobody, if `who` is empty."""
        hosts = (urlsplit(self.server.url).netloc, *self.registries)
        logged_in(Path(self.environ["DOCKER_CONFIG"]), who, *hosts)


def test_who_may_read_who_may_sign_and_who_may_rotate(
    guarded: Serve, tokens: TokenServer, tmp_path: Path, gun: str, put: Put
) -> None:
    server = guarded("--self-signed")
    image = put("1.0")
    owner = Person(tmp_path / "owner", server, "alice")
    owner.run("init", gun, "--recovery-key", "recovery.key")
    owner.run("sign", f"{gun}:1.0")
    pin = owner.pin_of(gun)

    reader = Person(tmp_path / "reader", server, "bob")
    reader.knows(gun, pin)
    assert reader.run("verify", f"{gun}:1.0").stdout.strip() == f"{gun}@{image.digest}"
    assert reader.run("inspect", f"{gun}:1.0").document()[0]["SignedTags"][0]["SignedTag"] == "1.0"

    # The same keys in the hands of somebody who may only read.
    owner.log_in("bob")
    refused = owner.run("sign", f"{gun}:2.0@{image.digest}", expect=None)
    assert refused.status not in {0, 1}
    refused.said(
        f"not allowed to publish to {gun} as registry-token:bob: the token of bob does not allow pull,push",
        "asked as bob",
        f"next: ask whoever runs the token server of {server.url} for the right push; ",
        f"trust whoami {gun} says what you may do there",
    )

    # The server's keys are rotated, and so is deleted, by those who may do everything.
    owner.log_in("alice")
    refused = owner.run("key", "rotate", "snapshot", gun, expect=None)
    assert refused.status != 0
    refused.said(f"not allowed to ask for new keys of {gun} as registry-token:alice: the token of alice does")
    owner.log_in("carol")
    owner.run("key", "rotate", "snapshot", gun)
    assert f"carol repository:{gun}:*" in tokens.asked()
    assert reader.run("verify", f"{gun}:1.0").stdout.strip() == f"{gun}@{image.digest}"

    # Nobody in particular, and somebody whose password is wrong.
    stranger = Person(tmp_path / "stranger", server, "")
    stranger.run("pin", gun, pin, expect=2).said("the token of anonymous does not allow pull", "--format tuf")
    stranger.run("pin", gun, pin, "--format", "tuf")
    refused = stranger.run("verify", f"{gun}:1.0", expect=None)
    assert refused.status not in {0, 1}
    refused.said("the token of anonymous does not allow pull", "without credentials")
    stranger.log_in("mallory")
    stranger.run("verify", f"{gun}:1.0", expect=refused.status).said("refuses the credentials of mallory")
    assert PASSWORD not in server.log()


@pytest.mark.parametrize("wire", ["tuf", "notary"])
def test_the_log_tells_each_step_and_no_secret(  # noqa: PLR0917 - fixtures
    wire: str, guarded: Serve, tokens: TokenServer, tmp_path: Path, gun: str, put: Put
) -> None:
    server = guarded("--self-signed")
    image = put("1.0")
    owner = Person(tmp_path / "owner", server, "alice")
    told = owner.run("init", gun, "--no-recovery-key", "--format", wire, TRUST_LOG="debug").stderr
    told += owner.run("sign", f"{gun}:1.0", TRUST_LOG="debug").stderr
    for step in (
        f"info: {gun}: the trust server is {server.url} (TRUST_SERVER)",
        f"info: {server.url} asks for bearer, scope repository:{gun}:",
        "answered as alice",
        f"info: {gun}: root is signed with ",
        f"info: {gun}: sent targets 2: stored",
        f"debug: GET {tokens.realm}?...: status 200, ",
    ):
        assert step in told, told
    verified = owner.run("verify", f"{gun}:1.0", "--verbose").stderr
    for step in (
        f"info: {gun}: the roots hold what is pinned: sha256:",
        f"info: {gun}: timestamp ",
        f"info: {gun}:1.0 is allowed as {image.digest}, released by targets",
    ):
        assert step in verified, verified
    assert "debug: " not in verified
    assert "info: " not in owner.run("verify", f"{gun}:1.0").stderr, "nobody has asked for it"
    password = base64.b64encode(f"alice:{PASSWORD}".encode()).decode()
    assert [secret for secret in (PASSWORD, password, "eyJ", "Bearer ") if secret in told + verified] == []


def test_with_anonymous_pull_everybody_verifies_and_nobody_signs(
    guarded: Serve, tokens: TokenServer, tmp_path: Path, gun: str, put: Put
) -> None:
    server = guarded("--self-signed", "--auth-anonymous-pull")
    image = put("1.0")
    owner = Person(tmp_path / "owner", server, "alice")
    owner.run("init", gun, "--no-recovery-key")
    owner.run("sign", f"{gun}:1.0")
    stranger = Person(tmp_path / "stranger", server, "")
    stranger.knows(gun, owner.pin_of(gun))
    before = tokens.asked()
    assert stranger.run("verify", f"{gun}:1.0").stdout.strip() == f"{gun}@{image.digest}"
    assert tokens.asked() == before, "reading asked for a token"
    owner.log_in("")
    owner.run("sign", f"{gun}:2.0@{image.digest}", expect=None).said("the token of anonymous does not allow pull,push")


def test_plain_http_has_no_fast_way_around_the_question(guarded: Serve, tmp_path: Path, gun: str, put: Put) -> None:
    """The front answers from the bytes of the request, and the view before any route: neither does without a token."""
    server = guarded()
    put("1.0")
    owner = Person(tmp_path / "owner", server, "alice")
    owner.run("init", gun, "--no-recovery-key")
    owner.run("sign", f"{gun}:1.0")  # what is published lies in the view
    host = urlsplit(server.url)
    connection = http.client.HTTPConnection("127.0.0.1", host.port or 0)
    for name in ("timestamp.json", "1.root.json", "root.json", "2.snapshot.json", "2.targets.json", "9.root.json"):
        for _ in range(2):
            connection.request("GET", f"/tuf/{gun}/metadata/{name}")
            answer = connection.getresponse()
            problem = json.loads(answer.read())
            assert (answer.status, problem["code"]) == (401, "forbidden")
            assert answer.headers["WWW-Authenticate"].endswith(f'scope="repository:{gun}:pull"')
    connection.close()


@pytest.mark.parametrize("missing", ["--auth-token-realm", "--auth-token-cert"])
def test_half_of_the_settings_stops_the_start(tokens: TokenServer, tmp_path: Path, missing: str) -> None:
    options = tokens.options()
    place = options.index(missing)
    server = ServerProcess(tmp_path / "data")
    with pytest.raises(AssertionError, match=missing):
        server.start(*options[:place], *options[place + 2 :])
    assert server.wait() == 2


@pytest.fixture
def token_registry(tmp_path: Path, tokens: TokenServer) -> Iterator[RunningProgram]:
    """Debian's docker-registry, which judges the same tokens by its own code."""
    port = free_port()
    config = {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "storage")}},
        "http": {"addr": f"127.0.0.1:{port}"},
        "auth": {"token": tokens.of_distribution("registry")},
    }
    file = tmp_path / "registry.yml"
    file.write_text(json.dumps(config))  # JSON is YAML
    log = tmp_path / "registry.log"
    with running([program("docker-registry"), "serve", str(file)], port=port, log=log) as registry:
        yield registry


def test_one_token_server_for_registry_and_trust_server(
    guarded: Serve, token_registry: RunningProgram, tmp_path: Path
) -> None:
    """Tokens that Docker's own code takes are taken here; each of the two servers gets its own."""
    gun = f"{token_registry.netloc}/team/app"
    image = build_image(tmp_path / "image")
    push(image, token_registry, "team/app", "1.0", password=True, who=("alice", PASSWORD))
    server = guarded("--self-signed")
    owner = Person(tmp_path / "owner", server, "alice", token_registry.netloc)
    owner.run("init", gun, "--no-recovery-key")
    signed = owner.run("sign", f"{gun}:1.0")
    assert signed.stdout.strip() == f"{gun}:1.0@{image.digest}"
