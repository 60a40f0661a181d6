"""Debian's `notary` with a token server: who may read, publish, rotate and delete, at its own server and at ours."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import re
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.docker_client import DockerCli
from tests.support.guarded_notary import Guarded, notary_server
from tests.support.notary_client import (
    COMMAND_SECONDS,
    PASSPHRASES,
    REPOSITORY_PASSPHRASE,
    ROOT_PASSPHRASE,
    digest_of,
)
from tests.support.programs import program
from tests.support.server_process import ServerProcess
from tests.support.token_server import PASSWORD, SERVICE, TokenServer, logged_in, start_token_server

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

UNAUTHORISED = "you are not authorized to perform this operation"


@contextlib.contextmanager
def trust_server(folder: Path, tokens: TokenServer) -> Iterator[Guarded]:
    """Ours."""
    server = ServerProcess(folder / "data")
    try:
        server.start("--self-signed", *tokens.options())
        assert server.ca is not None
        yield Guarded(url=server.url, authority=Path(server.ca), tokens=tokens)
    finally:
        server.kill()


SERVERS: dict[str, Callable[[Path, TokenServer], AbstractContextManager[Guarded]]] = {
    "notary-server": notary_server,
    "trust-server": trust_server,
}


@pytest.fixture(scope="module", params=[(name, naming) for name in SERVERS for naming in ("kid", "x5c")], ids="-".join)
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Each server, with tokens that name their key in either way."""
    name, naming = request.param
    folder = tmp_path_factory.mktemp(name)
    with start_token_server(folder / "tokens", naming=naming) as tokens, SERVERS[name](folder, tokens) as server:
        yield server


@pytest.fixture
def notary(guarded: Guarded, tmp_path: Path) -> Callable[..., str]:
    """`notary("alice", "list", GUN)`: what a command prints; `refused=True` if it must fail. `trust`: whose folder."""
    binary = program("notary")

    def run(who: str, *arguments: str, refused: bool = False, trust: str = "") -> str:
        credentials = {"NOTARY_AUTH": base64.b64encode(f"{who}:{PASSWORD}".encode()).decode()} if who else {}
        folder = tmp_path / (trust or who or "nobody")
        done = subprocess.run(
            [binary, "-s", guarded.url, "--tlscacert", str(guarded.authority), "-d", str(folder), *arguments],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **PASSPHRASES, **credentials},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        printed = done.stdout + done.stderr
        assert (done.returncode != 0) is refused, f"{who}: notary {' '.join(arguments)} -> {done.returncode}\n{printed}"
        return printed

    return run


def test_who_may_read_publish_rotate_and_delete(guarded: Guarded, notary: Callable[..., str], collection: str) -> None:
    notary("alice", "init", collection, "-p")
    notary("alice", "addhash", collection, "1.0", "10", "--sha256", digest_of("1.0"), "-p")
    assert digest_of("1.0") in notary("bob", "list", collection)

    # What somebody may not do who may do less.
    notary("alice", "addhash", collection, "2.0", "10", "--sha256", digest_of("2.0"))
    assert UNAUTHORISED in notary("bob", "publish", collection, refused=True, trust="alice")
    assert "2.0" not in notary("bob", "list", collection)
    notary("", "list", collection, refused=True)
    notary("alice", "publish", collection)
    assert "2.0" in notary("bob", "list", collection)

    # A `*` for the keys that the server holds, and for deletion.
    assert UNAUTHORISED in notary("alice", "key", "rotate", collection, "timestamp", "-r", refused=True)
    notary("carol", "key", "rotate", collection, "timestamp", "-r", trust="alice")
    assert "2.0" in notary("bob", "list", collection)
    notary("alice", "delete", collection, "--remote", refused=True, trust="elsewhere")
    notary("carol", "delete", collection, "--remote", trust="elsewhere")
    assert "does not have trust data" in notary("bob", "list", collection, refused=True, trust="another")
    asked = guarded.tokens.asked()
    for line in ("bob repository:{}:pull", "alice repository:{}:push,pull", "carol repository:{}:*"):
        assert line.format(collection) in asked


def test_what_is_said_to_those_who_bring_no_token(
    guarded: Guarded, notary: Callable[..., str], collection: str
) -> None:
    """The answers that both clients act on: the same from either server, and from the view as from the store."""
    notary("alice", "init", collection, "-p")
    notary("bob", "list", collection)
    base = f"/v2/{collection}/_trust/tuf"
    for method, path, scope in (
        ("GET", "/v2/", "registry:catalog:*"),
        ("GET", f"{base}/timestamp.json", f"repository:{collection}:pull"),
        ("GET", f"{base}/1.root.json", f"repository:{collection}:pull"),
        ("GET", f"{base}/timestamp.key", f"repository:{collection}:pull,push"),
        ("POST", f"{base}/", f"repository:{collection}:pull,push"),
        ("POST", f"{base}/snapshot.key", f"repository:{collection}:*"),
        ("DELETE", f"{base}/", f"repository:{collection}:*"),
        ("GET", f"/v2/{collection}/_trust/changefeed?records=10", f"repository:{collection}:pull"),
        ("GET", "/v2/_trust/changefeed?records=10", "registry:catalog:*"),
    ):
        for bearer, error in (("", None), ("no.token.atall", "invalid_token")):
            status, challenge, body = _asked(guarded, method, path, bearer)
            assert status == 401, path
            named = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
            assert _parts(named.pop("scope")) == _parts(scope)
            realm = {"realm": guarded.tokens.realm, "service": SERVICE}
            assert named == (realm | {"error": error} if error else realm), challenge
            (told,) = json.loads(body)["errors"]
            assert (told["code"], told["message"]) == ("UNAUTHORIZED", "authentication required")
            listed = {(f"{row['Type']}:{row['Name']}", row["Action"]) for row in told["detail"]}
            assert listed == {(_parts(scope)[0], action) for action in _parts(scope)[1]}


@pytest.fixture
def docker(guarded: Guarded, docker_cli: DockerCli, tmp_path: Path, collection: str) -> Callable[..., str]:
    """`docker("alice", "inspect", GUN)`: `docker trust ...`, logged in at the registry as that person."""

    def run(who: str, *arguments: str, refused: bool = False) -> str:
        config = tmp_path / who / "docker"
        logged_in(config, who, collection.partition("/")[0])
        authority = config / "tls" / urlsplit(guarded.url).netloc / "ca.crt"
        authority.parent.mkdir(parents=True, exist_ok=True)
        authority.write_bytes(guarded.authority.read_bytes())
        done = subprocess.run(
            [str(docker_cli.binary), "trust", *arguments],
            cwd=tmp_path,
            env={
                "PATH": docker_cli.path,
                "HOME": str(tmp_path),
                "DOCKER_CONFIG": str(config),
                "DOCKER_HOST": f"unix://{tmp_path}/no-engine.sock",
                "DOCKER_CONTENT_TRUST_SERVER": guarded.url,
                "DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE": ROOT_PASSPHRASE,
                "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE": REPOSITORY_PASSPHRASE,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        assert (done.returncode != 0) is refused, f"{who}: docker trust {arguments}\n{done.stdout}{done.stderr}"
        return done.stdout

    return run


def test_docker_brings_the_token_of_whom_it_is_logged_in_as(
    guarded: Guarded, docker: Callable[..., str], tmp_path: Path, collection: str
) -> None:
    docker("alice", "key", "generate", "alice")
    docker("bob", "signer", "add", "--key", "alice.pub", "alice", collection, refused=True)
    docker("alice", "signer", "add", "--key", "alice.pub", "alice", collection)
    (told,) = json.loads(docker("bob", "inspect", collection))
    assert [row["Name"] for row in told["Signers"]] == ["alice"]
    assert docker("mallory", "inspect", collection, refused=True) == "[]\n"
    asked = guarded.tokens.asked()
    for line in ("bob repository:{}:pull", "alice repository:{}:push,pull"):
        assert {line.format(collection), line.format(collection).replace("push,pull", "pull,push")} & set(asked)


def _parts(scope: str) -> tuple[str, set[str]]:
    """Resource and actions; the order of the latter varies."""
    resource, _, actions = scope.rpartition(":")
    return resource, set(actions.split(","))


def _asked(guarded: Guarded, method: str, path: str, bearer: str) -> tuple[int, str, bytes]:
    """Status, challenge and body of one request."""
    where = urlsplit(guarded.url)
    context = ssl.create_default_context(cafile=str(guarded.authority))
    connection = http.client.HTTPSConnection("127.0.0.1", where.port, context=context)
    with contextlib.closing(connection):
        connection.request(method, path, headers={"Authorization": f"Bearer {bearer}"} if bearer else {})
        answer = connection.getresponse()
        return answer.status, answer.headers["WWW-Authenticate"], answer.read()
