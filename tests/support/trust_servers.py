"""The servers that old clients are tried against: Debian's notary-server, which proves the case itself, and ours."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.notary_server import NotaryStack, missing_programs, start_notary
from tests.support.server_process import ServerProcess

ANSWER_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a server sent; names of `headers` in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class NotaryApi:
    """A server that speaks Notary v1, over TLS or plain, and requests to it."""

    url: str
    ca: Path

    @property
    def netloc(self) -> str:
        """HOST:PORT."""
        return urlsplit(self.url).netloc

    def request(
        self, target: str, *, method: str = "GET", headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """One request on a connection of its own, as the clients do it."""
        connection: http.client.HTTPConnection
        if self.url.startswith("https:"):
            context = ssl.create_default_context(cafile=str(self.ca))
            connection = http.client.HTTPSConnection(self.netloc, timeout=ANSWER_SECONDS, context=context)
        else:
            connection = http.client.HTTPConnection(self.netloc, timeout=ANSWER_SECONDS)
        with contextlib.closing(connection):
            connection.request(method, target, body=body, headers={"Connection": "close", **(headers or {})})
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(status=answer.status, headers=named, body=answer.read())

    def file(self, gun: str, name: str) -> Answer:
        """A metadata file or a key: `timestamp.json`, `2.root.json`, `snapshot.key`."""
        return self.request(f"/v2/{gun}/_trust/tuf/{name}")


@dataclass(frozen=True, kw_only=True)
class PeerServer(NotaryApi):
    """A server for `docker` and `notary`, over TLS. Where the two rightly differ, a fact here says so."""

    name: str
    serves_under_expired_snapshots: bool
    """Notary answers 500 for the timestamp once a snapshot that the owner signs has expired, which hides the cause."""

    looks_up_exactly: bool
    """Notary gives any role's file for a hash once it was asked for, the first file for version 0, and status 500 for
    a delegation that there is not."""
    refuses_what_clients_cannot_survive: bool
    """Notary stores targets on which its own client panics, and members that are read in two ways."""
    refuses_a_role_twice: bool
    """Notary does so over its memory store; over PostgreSQL the last part counts."""
    signs_anew_for_nothing: bool
    """Notary stores a new snapshot and timestamp for each upload of nothing; ours takes those of the last minute."""
    keeps_unknown_members: bool
    """Notary's snapshot has the hash of targets as its server writes them anew, without what it does not know."""
    said_of_missing_snapshot: str
    """What a client prints when nobody makes the snapshot; with a notary-signer, Notary hands on the signer's error."""


@contextlib.contextmanager
def debians_notary_server(_: Path) -> Iterator[PeerServer]:
    """Notary-server 0.7 with PostgreSQL and notary-signer; the test is skipped where they are not installed."""
    if missing := missing_programs():
        pytest.skip(f"not installed: {', '.join(missing)} (make peers)")
    # PostgreSQL runs as a user of its own, who cannot enter the folders of pytest.
    with tempfile.TemporaryDirectory(prefix="peers-") as name, start_notary(_open_to_all(Path(name))) as stack:
        yield peer_of(stack)


def peer_of(stack: NotaryStack) -> PeerServer:
    """Debian's notary-server as tests speak to it."""
    return PeerServer(
        name="notary-server",
        url=stack.url,
        ca=stack.ca,
        serves_under_expired_snapshots=False,
        looks_up_exactly=False,
        refuses_what_clients_cannot_survive=False,
        refuses_a_role_twice=False,
        signs_anew_for_nothing=True,
        keeps_unknown_members=False,
        said_of_missing_snapshot="An error occurred during validation: rpc error: code = NotFound",
    )


def _open_to_all(folder: Path) -> Path:
    folder.chmod(0o755)
    return folder


@contextlib.contextmanager
def our_server(folder: Path) -> Iterator[PeerServer]:
    """`trust-server` with a certificate that it made itself."""
    process = ServerProcess(folder / "data")
    try:
        process.start("--self-signed")
        yield peer_of_process(process)
    finally:
        process.kill()


def peer_of_process(process: ServerProcess) -> PeerServer:
    """Our server, started with a certificate of its own, as tests speak to it."""
    assert process.ca is not None
    return PeerServer(
        name="trust-server",
        url=process.url,
        ca=Path(process.ca),
        serves_under_expired_snapshots=True,
        looks_up_exactly=True,
        refuses_what_clients_cannot_survive=True,
        refuses_a_role_twice=True,
        signs_anew_for_nothing=False,
        keeps_unknown_members=True,
        said_of_missing_snapshot="Metadata hierarchy is incomplete: no snapshot was included in update and server "
        "does not hold current snapshot key for repository",
    )


SERVERS = {"notary-server": debians_notary_server, "trust-server": our_server}


@pytest.fixture(scope="session", params=sorted(SERVERS))
def peer_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PeerServer]:
    """Each of the two in turn; every test has collections of its own there."""
    with SERVERS[request.param](tmp_path_factory.mktemp(request.param)) as server:
        yield server


@pytest.fixture
def collection(request: pytest.FixtureRequest) -> str:
    """A collection of the test's own, for tests without a registry; short enough for the name on a certificate."""
    return f"registry.example.com/{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]}"
